"""`module:attribute`: what is found, and what is said when nothing is."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from a2a_bridge.cli.target import load_target
from a2a_bridge.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with the search path and the loaded modules as they were put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_the_working_directory_is_searched(folder: Path) -> None:
    """Issue 2: `serve` finds what lies where it is started; the attribute may be dotted."""
    (folder / "target_a.py").write_text("class Box:\n    agent = 'found'\n")
    assert load_target("target_a:Box.agent") == "found"
    assert load_target("target_a:Box").agent == "found"


def test_packages_are_searched_too(folder: Path) -> None:
    """A dotted module."""
    (folder / "target_pkg").mkdir()
    (folder / "target_pkg" / "inner.py").write_text("x = 1\n")
    assert load_target("target_pkg.inner:x") == 1


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("target_b", "is not MODULE:ATTRIBUTE"),
        (":x", "is not MODULE:ATTRIBUTE"),
        ("target_b:", "is not MODULE:ATTRIBUTE"),
        ("target_none:x", r"there is no module 'target_none' in .* or installed"),
        ("target_none.deep:x", r"there is no module 'target_none'"),
        ("target_b:shuot", r"target_b has no 'shuot'. Did you mean 'shout'\?"),
        ("target_b:zzzzzz", "target_b has no 'zzzzzz'$"),
        ("target_needs:x", "target_needs needs the module 'target_missing', which is not installed"),
        ("target_broken:x", r"importing target_broken failed: ZeroDivisionError: division by zero \(.*, line 2\)"),
        (
            "target_crew:x",
            r"'crewai', which is not installed\. .*: pip install .a2a-agent-bridge\[crewai\].$",
        ),
        ("target_syntax:x", r"importing target_syntax failed: SyntaxError: .* \(target_syntax.py, line 1\)$"),
        ("target_b.py:shout", r"without \.py, with dots for folders: target_b:shout$"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, target: str, said: str) -> None:
    """Our decision: module, attribute, dependency and bug are four different sentences."""
    (folder / "target_b.py").write_text("shout = 1\n")
    (folder / "target_needs.py").write_text("import target_missing\n")
    (folder / "target_crew.py").write_text("from crewai import Agent\n")
    (folder / "target_broken.py").write_text("x = 1\n1 / 0\n")
    (folder / "target_syntax.py").write_text("def\n")
    with pytest.raises(ConfigError, match=said):
        load_target(target)
