"""The list of known failures, the tests that name them, and the one that is a property of the source."""

import ast
import re
import tomllib
from pathlib import Path

TESTS = Path(__file__).parents[1]
FAILURES = tomllib.loads(Path(__file__).with_name("failures.toml").read_text("utf-8"))
NAMED = re.compile(r"\bfailures?((?:(?:,| and)? \d+)+)", re.IGNORECASE)


def named() -> dict[int, set[str]]:
    """Which failures are named in tests, and where."""
    found: dict[int, set[str]] = {}
    for path in TESTS.rglob("*.py"):
        for numbers in NAMED.findall(path.read_text("utf-8")):
            for number in re.findall(r"\d+", numbers):
                found.setdefault(int(number), set()).add(path.name)
    return found


def test_every_known_failure_is_named_by_a_test() -> None:
    """Issue: the first 23, each a test."""
    known = named()
    assert [number for number in range(1, 24) if number not in known] == []
    assert set(map(int, FAILURES)) >= set(range(1, 24))


def test_no_test_names_a_failure_that_nobody_knows() -> None:
    """House rule: a number without a sentence says nothing."""
    assert {number: where for number, where in named().items() if str(number) not in FAILURES} == {}


def test_no_queue_stands_between_a_task_and_its_readers() -> None:
    """Failure 11: what is not there cannot be joined."""
    source = TESTS.parent / "a2a_bridge"
    for folder in ("tasks", "server", "client"):
        for path in (source / folder).glob("*.py"):
            used = {
                node.attr for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Attribute)
            }
            assert not used & {"Queue", "PriorityQueue", "task_done"}, path
