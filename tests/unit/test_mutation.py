"""The tool that looks for changes which no test notices (`python -m tests.mutation`)."""

import ast
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.mutation.__main__ import Candidate, candidates, reaching
from tests.mutation.mutants import mutants_of
from tests.mutation.running import ROOT

SOURCE = '''
"""Words."""
LIMIT: int = 5

def grade(n: int, names=("a",)) -> str | None:
    """More words."""
    if n > LIMIT and not names:
        raise ValueError("a sentence stays as it is")
    log(n)
    return names[n + 1]
'''


def changed(source: str) -> set[str]:
    """Every source that a mutant makes, each from a tree of its own."""
    found = set()
    for number in range(len(mutants_of(ast.parse(source)))):
        tree = ast.parse(source)
        mutants_of(tree)[number].apply()
        found.add(ast.unparse(tree))
    return found


def test_each_kind_of_change_is_made_once_and_no_words_are_changed() -> None:
    """House rule: a mutant is one change; docstrings, sentences and annotations are for people."""
    plain = ast.unparse(ast.parse(SOURCE))
    expected = {
        ("LIMIT: int = 5", "LIMIT: int = 6"), ("names=('a',)", "names=('a?',)"),
        ("n > LIMIT and", "n >= LIMIT and"), ("n > LIMIT and", "n <= LIMIT and"),
        ("LIMIT and (not names)", "LIMIT or not names"), ("LIMIT and (not names)", "LIMIT"),
        ("n > LIMIT and (not names)", "not names"), ("and (not names)", "and names"),
        ("raise ValueError('a sentence stays as it is')", "pass"), ("log(n)", "pass"),
        ("return names[n + 1]", "return None"), ("n + 1", "n - 1"), ("n + 1", "n + 2"),
    }  # fmt: skip
    assert changed(SOURCE) == {plain.replace(before, after) for before, after in expected}
    assert len(mutants_of(ast.parse(SOURCE))) == len(expected)


def test_a_sample_is_the_same_for_the_same_seed() -> None:
    """House rule: whoever reads of a survivor finds it again."""
    paths = ["a2a_bridge/protocol/dialect.py", "a2a_bridge/protocol/lifecycle.py"]
    one, again, other = (list(map(str, candidates(paths, 10, seed))) for seed in (1, 1, 2))
    assert one == again != other
    assert set(one) < set(map(str, candidates(paths, None, 1)))


def test_a_change_is_tried_with_the_tests_that_run_its_lines() -> None:
    """House rule: the narrowest first; what runs on import may be seen by all tests of the module."""
    path = Path("m.py")
    on_import, inside = (
        Candidate(path, 0, next(m for m in mutants_of(ast.parse(SOURCE)) if m.first == line)) for line in (3, 9)
    )
    lines = {str(path): {3: {""}, 9: {"wide", "narrow"}, 10: {"other"}}}
    weight = Counter({"wide": 9, "narrow": 1, "other": 5})
    assert reaching(inside, lines, weight) == ["narrow", "wide"]
    assert reaching(on_import, lines, weight) == ["narrow", "other", "wide"]


@pytest.mark.timeout(180)  # nine seconds on an idle machine
def test_a_change_that_a_test_sees_is_killed_and_one_that_none_runs_is_told(tmp_path: Path) -> None:
    """House rule: in a process of its own, with the file as it was. This one test never
    asks about a task that has ended."""
    path, results = ROOT / "a2a_bridge/protocol/lifecycle.py", tmp_path / "found.txt"
    before = path.read_bytes()
    test = "tests/wire/test_send.py::test_the_answer_is_a_task_that_has_ended"
    asked = f"-m tests.mutation {path} --sample 3 --seed 11 --tests {test} --results {results}".split()
    here = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run([sys.executable, *asked], cwd=ROOT, env=here, capture_output=True, text=True, check=True)
    said = dict(reversed(line.split("\t", 1)) for line in results.read_text("utf-8").splitlines())
    assert sorted(said.values()) == ["killed", "killed", "no test"]
    assert all(f": {text}" in ran.stdout for text, verdict in said.items() if verdict != "killed")
    assert path.read_bytes() == before
