"""How large things may get. A number here is raised by a decision, never to make a test pass."""

import ast
import re

from source import ROOT, functions, modules

import a2a_bridge

LONG_MODULES = {"a2a_bridge/protocol/objects.py": 800, "a2a_bridge/protocol/v03.py": 800}
MAX_LINES = 500
MAX_ADAPTER = 400
MAX_BODY = 60
MAX_PARAMETERS = 8
MAX_CONSTRUCTOR = 20
MAX_METHODS = 25
MAX_DOOR = 40
CONSTRUCTORS = re.compile(r"a2a_bridge/chat/")
"""Where constructors of agents, rooms and seats live: they have AutoGen's many keyword-only words."""

DEFERRED = {
    "a2a_bridge/__init__.py",  # the lazy door
    "a2a_bridge/__main__.py",
    "a2a_bridge/cli/main.py",
    "a2a_bridge/cards/sign.py",  # the extra `security`
    "a2a_bridge/chat/model.py",
    "a2a_bridge/net.py",  # the extra `aiohttp`
    "a2a_bridge/observe/metrics.py",  # the extra `metrics`
    "a2a_bridge/observe/spans.py",  # the extra `otel`
    "a2a_bridge/chat/mcp.py",
    "a2a_bridge/chat/execution/bubblewrap.py",
    "a2a_bridge/chat/execution/seccomp.py",
    "a2a_bridge/server/jsonrpc.py",
    "a2a_bridge/server/sse.py",
    "a2a_bridge/store/seal.py",  # the extra `security`
    "a2a_bridge/server/auth.py",  # joserfc is an extra
    "a2a_bridge/adaptation.py",  # a URL becomes a RemoteAgent: the client is loaded then
    "a2a_bridge/bridge.py",  # warms what is imported late
}
"""Files that may import inside functions; adapters and `demo/` do so for their frameworks."""


def test_modules_stay_short() -> None:
    long = {str(path): text.count("\n") for path, _, text in modules()}
    assert {path: n for path, n in long.items() if n > LONG_MODULES.get(path, MAX_LINES)} == {}


def test_no_file_of_an_adapter_is_long() -> None:
    """Issue 5: no adapter over 400 lines."""
    long = {str(path): text.count("\n") for path, _, text in modules("adapters")}
    assert {path: lines for path, lines in long.items() if lines > MAX_ADAPTER} == {}


def test_functions_fit_a_screen() -> None:
    long = [
        f"{path}:{function.lineno} {function.name}"
        for path, tree, _ in modules()
        for function in functions(tree)
        if (function.end_lineno or 0) - function.body[0].lineno >= MAX_BODY
    ]
    assert long == []


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    arguments = function.args
    found = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return [argument for argument in found if argument.arg not in ("self", "cls")]


def test_functions_take_few_parameters() -> None:
    many = []
    for path, tree, _ in modules():
        for function in functions(tree):
            is_constructor = function.name == "__init__" and CONSTRUCTORS.match(str(path))
            limit = MAX_CONSTRUCTOR if is_constructor else MAX_PARAMETERS
            if str(path).startswith("a2a_bridge/cli/"):  # options of a command are its words, not its parameters
                continue
            if len(parameters(function)) > limit:
                many.append(f"{path}:{function.lineno} {function.name}")
    assert many == []


def hands_on(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function takes any keyword at all and hands what it got on to somebody else."""
    taken = function.args.kwarg
    return taken is not None and any(
        isinstance(node, ast.Call)
        and any(keyword.arg is None and ast.unparse(keyword.value) == taken.arg for keyword in node.keywords)
        for node in ast.walk(function)
    )


def test_no_parameters_are_passed_through_as_kwargs() -> None:
    """Ours: a function says what it takes. Libraries that call ours with open keywords are a different thing."""
    pipes = [
        f"{path}:{function.lineno} {function.name}"
        for path, tree, _ in modules()
        for function in functions(tree)
        if hands_on(function)
    ]
    assert [pipe for pipe in pipes if not pipe.endswith(" command")] == []  # typer's own way, in cli/options.py


def test_classes_have_few_methods() -> None:
    large = [
        f"{path}:{node.lineno} {node.name}"
        for path, tree, _ in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and sum(isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef) for item in node.body) > MAX_METHODS
    ]
    assert large == []


def test_the_door_is_small_sorted_and_leads_somewhere() -> None:
    names = [name for name in a2a_bridge.__all__ if name != "__version__"]
    assert names == sorted(names, key=str)
    assert len(a2a_bridge.__all__) <= MAX_DOOR
    assert all(getattr(a2a_bridge, name) is not None for name in names)
    assert all(not (ROOT / "a2a_bridge" / f"{name}.py").exists() for name in names)


def test_imports_inside_functions_are_on_a_list() -> None:
    found = set()
    for path, tree, _ in modules():
        if path.parts[0] == "adapters" or path.parts[1] in ("demo", "testing"):
            continue
        for function in functions(tree):
            if any(isinstance(node, ast.Import | ast.ImportFrom) for node in ast.walk(function)):
                found.add(str(path))
    assert found - DEFERRED == set()


def test_broad_excepts_are_few_and_say_why() -> None:
    places = []
    for path, tree, text in modules():
        lines = text.splitlines()
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = getattr(node.type, "id", None)
            if node.type is None or caught in ("Exception", "BaseException"):
                places.append(f"{path}:{node.lineno}")
                reraises = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
                near = " ".join(lines[node.lineno - 2 : node.lineno + 1])
                assert "#" in near or reraises, f"{path}:{node.lineno} catches everything and does not say why"
    assert len(places) <= 30, places


def test_mocks_are_rare() -> None:
    tests = mocks = 0
    for _, _, text in modules("tests"):
        tests += len(re.findall(r"^\s*(?:async )?def test_", text, re.MULTILINE))
        mocks += len(re.findall(r"\b(?:Async|Magic)?Mock\(|\bpatch\(", text))
    assert mocks <= tests * 0.05


def test_nothing_sleeps_in_tests() -> None:
    pattern = re.compile(r"time\.sleep\(|asyncio\.sleep\((?!0\))")
    allowed = {"tests/house/test_budgets.py"}
    found = [
        f"{path}:{number}"
        for path, _, text in modules("tests")
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line) and str(path) not in allowed and "# the agent under test" not in line
    ]
    assert found == []
