"""The list of rules and the tests that cite them belong together."""

import os
import subprocess
import sys

from tests.wire.rules import ID, RULES, TESTS, cited, untested


def test_every_rule_has_a_test_or_says_why_not() -> None:
    """House rule: a rule without a test is a wish. What must be kept and applies to us always has one."""
    assert [rule["id"] for rule in untested() if "why" not in rule] == []
    asked = [sys.executable, "-m", "tests.wire.rules"]
    here = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    found = subprocess.run(asked, cwd=TESTS.parent, env=here, capture_output=True, text=True, check=True)
    assert [line.partition("\t")[0] for line in found.stdout.splitlines()[:-1]] == [rule["id"] for rule in untested()]


def test_a_reason_is_for_a_rule_without_a_test() -> None:
    """House rule: a reason that is out of date is removed."""
    known = cited()
    assert [rule["id"] for rule in RULES if "why" in rule and rule["id"] in known] == []


def test_every_rule_that_is_cited_is_in_the_list() -> None:
    """House rule: in the source and in the tests."""
    known = {rule["id"] for rule in RULES}
    named = {
        f"{path.name}: {rule}"
        for folder in ("tests", "a2a_bridge", "adapters", "docs")
        for path in (TESTS.parent / folder).rglob("*.[pm][yd]")
        for rule in ID.findall(path.read_text("utf-8"))
        if rule not in known
    }
    assert named == set()


def test_the_list_is_complete() -> None:
    """House rule: each rule once, with a level, a section and a sentence."""
    ids = [rule["id"] for rule in RULES]
    assert len(ids) == len(set(ids))
    for rule in RULES:
        assert rule.keys() - {"side", "why"} == {"id", "level", "section", "text"}, rule
        assert ID.fullmatch(rule["id"])
        assert rule["level"] in ("M", "S", "Y", "D")
        assert rule.get("side", "client") == "client"
        assert rule["text"].endswith(".")
        assert rule.get("why", ".").endswith(".")
