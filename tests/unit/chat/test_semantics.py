"""The decided semantics of rooms, the demands of users, and the tests that cite them belong together."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[2]
TABLE = tomllib.loads(Path(__file__).with_name("semantics.toml").read_text("utf-8"))
CITED = re.compile(r"\b(semantics|demand)s? ((?:\d+(?:, | and )?)+)", re.IGNORECASE)


def docstrings() -> Iterator[str]:
    """Of all tests."""
    for path in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                yield ast.get_docstring(node) or ""


def cited() -> dict[str, set[str]]:
    """The numbers of each kind that some test cites."""
    found: dict[str, set[str]] = {"semantics": set(), "demand": set()}
    for text in docstrings():
        for kind, numbers in CITED.findall(text):
            found[kind.lower()] |= set(re.findall(r"\d+", numbers))
    return found


def test_each_of_the_semantics_and_each_demand_is_cited_by_a_test() -> None:
    """Issue 4: twenty semantics, 25 demands."""
    assert {kind: len(known) for kind, known in TABLE.items()} == {"semantics": 20, "demand": 25}
    numbers = cited()
    assert {kind: sorted(known.keys() - numbers[kind], key=int) for kind, known in TABLE.items()} == {
        "semantics": [], "demand": [],
    }  # fmt: skip


def test_no_test_cites_what_is_not_in_the_table() -> None:
    """House rule: a number without a sentence says nothing."""
    assert {kind: sorted(numbers - TABLE[kind].keys()) for kind, numbers in cited().items()} == {
        "semantics": [], "demand": [],
    }  # fmt: skip
