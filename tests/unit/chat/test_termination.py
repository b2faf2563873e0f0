"""Conditions are folds of the log."""

from typing import Any

import pytest

from a2a_bridge.chat.entry import Entry, Speaker, StopReason
from a2a_bridge.chat.termination import (
    Condition,
    FunctionalTermination,
    MaxMessageTermination,
    MessageTermination,
    SourceMatchTermination,
    TextMentionTermination,
)  # fmt: skip
from a2a_bridge.testing.turns import make_message


def said(text: str, name: str = "a", *, turn: int = 1, may: bool = True, kind: Any = "said") -> Entry:
    return Entry(1, kind, turn, Speaker(name, may_terminate=may), make_message(text))


def verdict(condition: Condition, *entries: Entry) -> StopReason | None:
    state = condition.start()
    for entry in entries:
        state = condition.step(state, entry)
    return condition.verdict(state)


MENTION = TextMentionTermination("DONE")


@pytest.mark.parametrize(
    ("condition", "entries", "holds"),
    [
        (Condition(), [said("DONE")], False),
        (MENTION, [said("not yet")], False),
        (MENTION, [said("it is DONE"), said("really?")], True),
        (MENTION, [said("DONE", may=False)], False),
        (MENTION, [said("DONE", kind="failed")], False),
        (TextMentionTermination("DONE", sources=["b"]), [said("DONE")], False),
        (TextMentionTermination("DONE", sources=["b"]), [said("DONE", "b")], True),
        (MaxMessageTermination(2), [said("x")], False),
        (MaxMessageTermination(2), [said("x", turn=0), said("y")], True),
        (SourceMatchTermination(["b"]), [said("x", "b", turn=0)], False),
        (SourceMatchTermination(["b"]), [said("x", "b")], True),
        (FunctionalTermination(lambda entry: entry.turn > 3), [said("x", turn=4)], True),
        (MessageTermination(), [said("TERMINATE")], True),
        (MessageTermination(), [said("TERMINATE now")], False),
        (MessageTermination(lambda one: one["content"].endswith("END")), [said("the END")], True),
        (MessageTermination(lambda one: True), [said("x", may=False)], False),
        (MENTION | MaxMessageTermination(1), [said("x")], True),
        (MENTION & MaxMessageTermination(2), [said("DONE")], False),
        (MENTION & MaxMessageTermination(2), [said("DONE"), said("x")], True),
        (~MaxMessageTermination(2) & MENTION, [said("DONE")], True),
        (~MaxMessageTermination(2) & MENTION, [said("x"), said("DONE")], False),
    ],
)
def test_a_condition_holds_when_the_log_says_so(condition: Condition, entries: list[Entry], holds: bool) -> None:
    """Ours: pure functions of the log, with |, & and ~."""
    assert (verdict(condition, *entries) is not None) is holds


def test_a_condition_keeps_nothing_between_runs() -> None:
    """Ours: one condition serves any number of rooms at once."""
    condition = MENTION & MaxMessageTermination(2)
    first = condition.step(condition.start(), said("DONE"))
    other = condition.step(condition.start(), said("x"))
    assert condition.verdict(condition.step(first, said("x"))) is not None
    assert condition.verdict(condition.step(other, said("x"))) is None
