"""Running tests against a changed module, each time in a process that is forked from one that has loaded the libraries.

No file is changed: an importer in the forked process compiles the changed tree in place of the module's source. The
parent never imports the product, so that every child imports it anew.
"""

import ast
import contextlib
import importlib.util
import multiprocessing
import os
import resource
import signal
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from multiprocessing.connection import Connection
from pathlib import Path
from types import ModuleType

import coverage
import pytest

ROOT = Path(__file__).parents[2]
_MEMORY = 4 << 30
_OURS = ("a2a_bridge", "adapters", "tests", "conftest", "__")
_OPTIONS = ("-q", "-x", "-p", "no:cacheprovider", "-o", "timeout=20", "-W", "ignore::pytest.PytestAssertRewriteWarning")

Lines = dict[str, dict[int, set[str]]]
"""By file and line: the tests that run it, "" for what runs while it is imported."""


@dataclass(frozen=True, slots=True)
class Baseline:
    """What the tests do without any change: who runs which line, for how long, what fails, what is imported."""

    lines: Lines
    seconds: dict[str, float]
    failed: list[str]
    libraries: list[str]


def load(libraries: Sequence[str]) -> None:
    """Import here what every child would import again; what cannot be is left to them."""
    with warnings.catch_warnings(action="ignore"):
        for name in libraries:
            with contextlib.suppress(Exception):
                importlib.import_module(name)


class _Changed(MetaPathFinder, Loader):
    """The one module, from a tree instead of from its file."""

    def __init__(self, name: str, path: Path, tree: ast.Module) -> None:
        self._name, self._path, self._tree = name, path, tree

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._path, loader=self)

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self._tree, str(self._path), "exec"), module.__dict__)


class _Chosen:
    """A plugin: only these tests, those that look at the fewest lines first."""

    def __init__(self, tests: Sequence[str]) -> None:
        self._rank = {test: rank for rank, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((i for i in items if i.nodeid in self._rank), key=lambda item: self._rank[item.nodeid])


class _Watched:
    """A plugin: which test runs which line, how long each takes, and whether all pass."""

    def __init__(self, cover: coverage.Coverage) -> None:
        self._cover = cover
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item):  # type: ignore[no-untyped-def]
        self._cover.switch_context(item.nodeid)
        try:
            return (yield)
        finally:
            self._cover.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.append(report.nodeid)


def watch(tests: Sequence[str], modules: Sequence[Path]) -> Baseline:
    """Run the tests once as they are, and look at these modules."""
    here, there = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_watch, args=(there, tests, modules))
    child.start()
    there.close()
    found: Baseline = here.recv()
    child.join()
    return found


def _watch(there: Connection, tests: Sequence[str], modules: Sequence[Path]) -> None:
    _be_quiet()
    cover = coverage.Coverage(data_file=None, config_file=False, include=[str(path) for path in modules])
    watched = _Watched(cover)
    cover.start()
    pytest.main([*_OPTIONS, "--maxfail=1000", *tests], plugins=[watched])
    cover.stop()
    data = cover.get_data()
    lines: Lines = {
        str(path): {line: set(names) for line, names in data.contexts_by_lineno(str(path)).items()} for path in modules
    }
    libraries = sorted(name for name in sys.modules if not name.startswith(_OURS))
    there.send(Baseline(lines, watched.seconds, watched.failed, libraries))


def survives(path: Path, tree: ast.Module, tests: Sequence[str], seconds: float) -> bool:
    """Whether all of these tests pass with this tree as the module; False too after `seconds`."""
    child = multiprocessing.get_context("fork").Process(target=_try, args=(path, tree, tests))
    child.start()
    child.join(seconds)
    if child.is_alive() and child.pid is not None:
        os.killpg(child.pid, signal.SIGKILL)
        child.join()
    return child.exitcode == pytest.ExitCode.OK


def _try(path: Path, tree: ast.Module, tests: Sequence[str]) -> None:
    os.setpgid(0, 0)  # what it starts ends with it
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    _be_quiet()
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    sys.meta_path.insert(0, _Changed(name, path, tree))
    functions = sorted({test.partition("[")[0] for test in tests})
    sys.exit(pytest.main([*_OPTIONS, *functions], plugins=[_Chosen(tests)]))


def _be_quiet() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
