"""Rules of the house that a reader cannot check by eye."""

import ast
import os
import re
import subprocess
import sys
import tomllib

import pytest
from source import ROOT, functions, modules

HOSTS = re.compile(r"pypi\.org|pythonhosted|npmjs\.(?:org|com)|deb\.debian|files\.python", re.IGNORECASE)


def committed_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.splitlines() if (ROOT / name).is_file()]


def test_there_is_no_init_directly_in_adapters() -> None:
    """Another distribution owns `adapters/` too: ours is a namespace package, for ever."""
    assert not (ROOT / "adapters" / "__init__.py").exists()


def test_no_committed_file_names_a_registry_host() -> None:
    found = []
    for name in committed_files():
        if name == "tests/house/test_house.py":
            continue
        text = (ROOT / name).read_text("utf-8", "replace")
        found += [f"{name}:{n}" for n, line in enumerate(text.splitlines(), 1) if HOSTS.search(line)]
    assert found == []


def loaded_by(*arguments: str) -> set[str]:
    code = "import sys, runpy\nbefore = set(sys.modules)\n" + arguments[0] + "\nprint('\\n'.join(set(sys.modules)))"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return {line.split(".")[0] for line in run.stdout.splitlines() if line.isidentifier() or "." in line}


def test_importing_the_package_loads_the_standard_library_and_nothing_else() -> None:
    """Ours: the lazy door."""
    foreign = loaded_by("import a2a_bridge") - set(sys.stdlib_module_names) - {"a2a_bridge", "__main__"}
    foreign = {name for name in foreign if not name.startswith(("_", "sitecustomize"))}
    assert foreign == set()


def test_looking_for_an_adapter_loads_no_framework() -> None:
    """Issue 5: an object's adapter is found by the names of its classes."""
    code = "from a2a_bridge.adaptation import adapters, find_adapter\nassert adapters()\nfind_adapter(object())"
    frameworks = {
        "langgraph", "langchain_core", "crewai", "ag2", "autogen", "autogen_agentchat", "agents", "agent_framework",
        "google", "pydantic_ai",
    }  # fmt: skip
    assert loaded_by(code) & frameworks == set()


def test_help_loads_typer_and_no_part_of_the_product() -> None:
    """Ours: `--help` stays fast."""
    code = (
        "import sys\nsys.argv = ['a2a-bridge', '--help']\n"
        "from a2a_bridge.cli.main import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )
    foreign = loaded_by(code)
    heavy = {"pydantic", "httpx", "starlette", "uvicorn", "openai", "sse_starlette", "jsonrpcserver", "sqlite3"}
    assert foreign & heavy == set()


def test_replies_of_another_agent_are_read_inside_aclosing() -> None:
    """Ours: a reader that stops early must finish the generator, or the other agent's work goes on unseen."""
    found = []
    for path, tree, _ in modules():
        for node in ast.walk(tree):
            if not isinstance(node, ast.AsyncFor):
                continue
            source = ast.unparse(node.iter)
            if re.search(r"\.run\(", source):
                found.append(f"{path}:{node.lineno} {source}")
    assert found == []


def test_nothing_yields_inside_a_timeout_or_a_task_group() -> None:
    """Ours: a generator that is left suspended there would hold somebody else's scope."""
    scopes = re.compile(r"\b(timeout|timeout_at|TaskGroup|create_task_group|move_on_after|fail_after)\(")
    found = []
    for path, tree, _ in modules():
        for function in functions(tree):
            for node in ast.walk(function):
                if isinstance(node, ast.AsyncWith | ast.With) and any(
                    scopes.search(ast.unparse(item.context_expr)) for item in node.items
                ):
                    found += [
                        f"{path}:{inner.lineno}"
                        for inner in ast.walk(node)
                        if isinstance(inner, ast.Yield | ast.YieldFrom)
                    ]
    assert found == []


def test_no_except_swallows_a_cancellation_unsaid() -> None:
    """Ours: an `except` that catches CancelledError raises again, or says in a comment whose cancellation it was."""
    found = []
    for path, tree, text in modules():
        lines = text.splitlines()
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler) or node.type is None:
                continue
            if "CancelledError" not in ast.unparse(node.type):
                continue
            body = "\n".join(lines[node.lineno - 1 : (node.end_lineno or node.lineno)])
            if "raise" not in body and "#" not in body:
                found.append(f"{path}:{node.lineno}")
    assert found == []


def gaps_in_readme() -> set[str]:
    text = (ROOT / "README.md").read_text("utf-8")
    section = re.search(r"^#+ Known gaps\n(.*?)(?=^#+ |\Z)", text, re.MULTILINE | re.DOTALL)
    return {line[2:].strip() for line in (section.group(1) if section else "").splitlines() if line.startswith("- ")}


def expected_failures() -> set[str]:
    found = set()
    for path, tree, _ in modules("tests"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("mark.xfail"):
                words = {keyword.arg: keyword.value for keyword in node.keywords}
                reason = words.get("reason")
                strict = words.get("strict")
                assert isinstance(strict, ast.Constant), f"{path}:{node.lineno}"
                assert strict.value is True, f"{path}:{node.lineno}"
                assert isinstance(reason, ast.Constant), f"{path}:{node.lineno}"
                found.add(str(reason.value))
    return found


def test_every_expected_failure_is_a_known_gap_of_the_readme_and_no_gap_is_untested() -> None:
    assert expected_failures() == gaps_in_readme()


def test_nothing_is_skipped() -> None:
    """Ours: a skip hides a gap."""
    pattern = re.compile(r"mark\.skip|pytest\.skip\(|importorskip|skipif")
    found = [
        f"{path}:{number}"
        for path, _, text in modules("tests")
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line) and path.name != "test_house.py"
    ]
    assert found == []


@pytest.mark.parametrize("name", ["setup", "demo", "fix", "check", "test"])
def test_the_scripts_are_short_sh(name: str) -> None:
    text = (ROOT / "scripts" / name).read_text("utf-8")
    assert text.startswith("#!/bin/sh\n")
    assert text.count("\n") <= 10


def test_every_entry_point_leads_to_an_adapter() -> None:
    from a2a_bridge.adaptation import adapters

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = set(project["entry-points"]["a2a_bridge.adapters"])
    assert {adapter.name for adapter in adapters()} >= declared


def test_a_decision_has_a_number_of_its_own_and_says_it() -> None:
    """Ours: "decision 7" means one page."""
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [page.name[:3] for page in pages]
    assert sorted(set(numbers)) == numbers
    assert [page.name for page in pages if not page.read_text("utf-8").startswith(f"# {page.name[:3]}: ")] == []
