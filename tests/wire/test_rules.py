"""The list of rules and the tests that cite them belong together."""

import re
import tomllib
from pathlib import Path

TESTS = Path(__file__).parents[1]
RULES = tomllib.loads(Path(__file__).with_name("rules.toml").read_text("utf-8"))["rule"]
ID = re.compile(r"\bR-[A-Z]+-\d\d\b")


def cited_in(*folders: str) -> dict[str, set[str]]:
    """Which rules these folders cite, and where."""
    found: dict[str, set[str]] = {}
    for folder in folders:
        for path in (TESTS.parent / folder).rglob("*.py"):
            for rule in ID.findall(path.read_text("utf-8")):
                found.setdefault(rule, set()).add(path.name)
    return found


def test_every_rule_that_must_be_kept_is_cited_by_a_test() -> None:
    """House rule: a rule without a test is a wish."""
    cited = cited_in("tests")
    assert [rule["id"] for rule in RULES if rule["level"] == "M" and rule["id"] not in cited] == []


def test_every_rule_that_is_cited_is_in_the_list() -> None:
    """House rule: in the source and in the tests."""
    known = {rule["id"] for rule in RULES}
    unknown = {rule: sorted(where) for rule, where in cited_in("tests", "a2a_bridge", "adapters").items()}
    assert {rule: where for rule, where in unknown.items() if rule not in known} == {}


def test_the_list_is_in_order_and_complete() -> None:
    """House rule: each rule once, with a level, a section and a sentence."""
    ids = [rule["id"] for rule in RULES]
    assert len(ids) == len(set(ids))
    for rule in RULES:
        assert rule.keys() - {"side"} == {"id", "level", "section", "text"}, rule
        assert ID.fullmatch(rule["id"])
        assert rule["level"] in ("M", "S", "Y", "D")
        assert rule.get("side", "client") == "client"
        assert rule["text"].endswith(".")
