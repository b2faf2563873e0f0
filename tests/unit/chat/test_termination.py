"""Conditions are folds of the log."""

from typing import Any

import pytest

from a2a_bridge.agent import Say, ToolCall, Usage
from a2a_bridge.chat import termination as t
from a2a_bridge.chat.budget import Budget
from a2a_bridge.chat.condition import first_of
from a2a_bridge.chat.control import running
from a2a_bridge.chat.courtesy import is_courtesy
from a2a_bridge.chat.entry import END, Decision, Entry, Speaker, StopReason
from a2a_bridge.chat.log import RERUN
from a2a_bridge.chat.room import Room
from a2a_bridge.chat.termination import (
    Condition,
    FunctionalTermination,
    MaxMessageTermination,
    MessageTermination,
    SourceMatchTermination,
    TextMentionTermination,
)  # fmt: skip
from a2a_bridge.store.journal import MemoryJournal
from a2a_bridge.testing.model import ScriptedModel
from a2a_bridge.testing.turns import make_message, make_turn


def said(
    text: str,
    name: str = "a",
    *,
    turn: int = 1,
    may: bool = True,
    kind: Any = "said",
    flags: tuple[str, ...] = (),
    heard: Any = None,
    at: int = 0,
    usage: Usage | None = None,
    who: Any = "local",
) -> Entry:
    speaker = Speaker(name, who, may_terminate=may)
    return Entry(1, kind, turn, speaker, make_message(text), flags=flags, at=at, usage=usage, heard=heard)


def decided(*names: str, turn: int = 1) -> Entry:
    why = Decision(names, names[0], "auto", "enough", also=names[1:])
    return Entry(1, "decided", turn, Speaker("chat_manager", "manager"), why=why)


def failed(name: str = "a", flags: tuple[str, ...] = ()) -> Entry:
    return said("", name, kind="failed", flags=flags)


def position(answer: str, name: str) -> Entry:
    return said(f'{{"answer": "{answer}"}}', name)


def called(tool: str) -> dict[str, Any]:
    return {"activity": [["call", "1", tool, {}], ["result", "1", "ok", False]]}


def talk(*texts: str) -> list[Entry]:
    """a and b in turn."""
    return [said(text, "ab"[at % 2], turn=at + 1) for at, text in enumerate(texts)]


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


HELLO = said("hello", "user", turn=0)
ROUND = [decided("a"), said("x")]


@pytest.mark.parametrize(
    ("condition", "entries", "holds"),
    [
        (t.MaxRounds(2), [HELLO, decided("a")], False),
        (t.MaxRounds(2), [HELLO, *ROUND], True),
        (t.MaxRounds(2), [HELLO, decided("a", "b"), said("x", "a")], False),
        (t.MaxRounds(2), [HELLO, decided("a", "b"), said("x", "a"), failed("b")], True),
        (t.MaxRounds(2), [HELLO, decided("a"), failed("a", (RERUN,))], False),
        (t.Text("DONE").after(2), [HELLO, decided("a"), said("DONE")], False),
        (t.Text("DONE").after(1), [HELLO, decided("a"), said("DONE")], True),
        (t.Text("DONE", sources="b"), [said("DONE")], False),
        (t.Tokens(10), [said("x", usage=Usage(5, 4))], False),
        (t.Tokens(10), [said("x", usage=Usage(5, 4)), said("x", usage=Usage(1, 0))], True),
        (t.Tokens(10), [said("x" * 40)], True),
        (t.Budget(usd=1), [said("x", usage=Usage(1, 1, 0.5))], False),
        (t.Budget(usd=1), [said("x", usage=Usage(1, 1, 0.5)), decided("a"), said("x", usage=Usage(1, 1, 0.5))], True),
        (t.Budget(remote_calls=1), [said("x", who="remote")], True),
        (t.Deadline(2), [said("x", turn=0, at=1000), said("y", at=2999)], False),
        (t.Deadline(2), [said("x", turn=0, at=1000), said("y", at=3000)], True),
        (t.Source("b"), [said("x", "b")], True),
        (t.Tool("finish"), [said("x", heard=called("finish"))], True),
        (t.Tool("finish"), [said("x", heard=called("finish"), may=False)], False),
        (t.Tool("finish"), [said("x", heard=called("other"))], False),
        (t.Handoff(), [said("x", heard={"next": "user"})], True),
        (t.Handoff("user"), [said("x", heard={"next": "b"})], False),
        (t.Handoff("user"), [said("x", heard={"next": "user"}, may=False)], False),
        (t.External(), [said("please", kind="noted", flags=("finish",))], True),
        (t.External(), [said("please", kind="noted")], False),
        (t.Idle(2), [failed(), said("x"), failed()], False),
        (t.Idle(2), [failed(), failed("a", (RERUN,)), said("", kind="passed")], True),
        (t.Repeats(window=2), talk("one", "two", "three", "four"), False),
        (t.Repeats(window=2), talk("one thing", "two", "One thing!", "two."), True),
        (t.Repeats(window=2), talk("one", "two", "one", "four", "one"), False),
        (t.Repeats(0.5, 1), talk("the plan is good", "the plan is bad"), True),
        (t.Repeats(1.0, 1), talk("the plan is good", "the plan is bad"), False),
        (t.Agreement(), [position("42", "a")], False),
        (t.Agreement(), [position("42", "a"), position("41", "b")], False),
        (t.Agreement(), [position("42", "a"), position("41", "b"), position("42.0", "b")], True),
        (t.Agreement(0.6), [position("x", "a"), position("x", "b"), position("y", "c")], True),
        (t.Agreement(), [said("42"), said("42", "b")], False),
        (t.Stable(), [position("x", "a"), position("y", "b"), position("x", "a")], False),
        (t.Stable(), [position("x", "a"), position("y", "b"), position("x", "a"), position("y", "b")], True),
        (t.Stable(), [said("x"), said("x")], False),
        (t.ManagerSays(), [decided("a")], False),
        (t.ManagerSays(), [decided(END)], True),
    ],
)
def test_every_condition_of_the_algebra_is_a_fold(condition: Condition, entries: list[Entry], holds: bool) -> None:
    """Conversation §3.6; issue 4, part 4: pure functions of the log."""
    found = verdict(condition, *entries)
    assert (found is not None) is holds
    assert found is None or found.detail or found.kind == "converged", "it always says why"


def test_short_and_long_names_are_the_same_class() -> None:
    """Conversation §3.3: AutoGen's words stay."""
    assert t.TextMentionTermination is t.Text
    assert t.SourceMatchTermination is t.Source


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: t.Text(""), lambda: t.MaxRounds(0), lambda: t.Deadline(0), lambda: t.Idle(0), lambda: t.Budget(usd=-1),
        lambda: t.Repeats(0), lambda: t.Repeats(window=0), lambda: t.Agreement(1.5), lambda: t.Stable(1),
        lambda: t.Idle().after(0), lambda: t.MaxMessageTermination(0),
    ],
)  # fmt: skip
def test_a_condition_that_could_never_be_meant_is_refused(wrong: Any) -> None:
    """Ours: a typo is not a condition."""
    with pytest.raises(ValueError, match=r"at least|above|\("):
        wrong()


def test_of_reasons_that_hold_at_once_the_order_is_fixed_and_the_others_are_listed() -> None:
    """Semantics 14 (conversation §4.14): cancel, budget and deadline, condition, manager, rounds."""
    kinds = ["max_round", "converged", "terminated", "deadline", "canceled"]
    found = first_of([StopReason(kind) for kind in kinds])
    assert found is not None
    assert (found.kind, found.also) == ("canceled", ("deadline", "terminated", "converged", "max_round"))
    assert first_of([]) is None
    both = verdict(t.Text("DONE") | t.Tokens(1), said("DONE"))
    assert both is not None
    assert (both.kind, both.also) == ("budget", ("terminated",))


async def test_a_room_stops_by_the_first_reason_and_lists_the_rest(room: Any, puppet: Any) -> None:
    """Semantics 14; demand 5: deterministic, and it says why."""
    until = t.Text("DONE") | t.MaxRounds(2)
    a = puppet("a", ["DONE", Usage(10, 10)])
    result = await room(a, puppet("b"), until=until, budget=Budget(tokens=20), max_round=2).chat("go")
    assert (result.stop.kind, result.stop.also) == ("budget", ("terminated", "max_round"))
    assert [entry.text for entry in result.entries if entry.kind == "said"][-1] == "DONE", "it is delivered"
    result = await room(a, puppet("b"), until=until, max_round=2).chat("go")
    assert (result.stop.kind, result.stop.by, result.stop.also) == ("terminated", "a", ("max_round",))


async def test_a_manager_is_not_asked_when_there_is_a_reason_already(room: Any, puppet: Any) -> None:
    """Semantics 14: the manager's word comes behind conditions; nobody pays for what cannot count."""
    model = ScriptedModel(["a"])
    result = await room(puppet("a", "DONE"), puppet("b"), llm_config=model, until=t.Text("DONE")).chat("go")
    assert (result.stop.kind, len(model.calls)) == ("terminated", 1)


async def test_the_manager_is_offered_the_end_only_when_the_condition_would_hold(room: Any, puppet: Any) -> None:
    """Demand 6: an end that is declared is an end; one that does not count is not offered."""
    model = ScriptedModel(["a", "b", "a", '{"next": "END", "reason": "agreed"}'])
    manager = room(puppet("a"), puppet("b"), llm_config=model, until=t.ManagerSays().after(3))
    result = await manager.chat("go")
    offered = ["END" in str(call.schema) for call in model.calls]
    assert offered == [False, False, True, True]
    assert (result.stop.kind, result.stop.detail) == ("converged", "agreed")


async def test_somebody_outside_asks_for_the_end_and_the_speaker_finishes(room: Any, puppet: Any) -> None:
    """Demand 25: stop from outside the run."""
    manager: Any = None

    def script(turn: Any) -> list[str]:
        manager.finish(room_id[0], "lunch")
        return ["my words"]

    room_id: list[str] = []
    manager = room(puppet("a", script), puppet("b"))
    run = Room(manager.rules, make_turn("go", journal=MemoryJournal()))
    room_id.append(run.id)
    async for _ in run.play():
        pass
    result = run.result()
    assert (result.stop.kind, result.stop.by, result.stop.detail) == ("terminated", "outside", "lunch")
    assert [entry.text for entry in result.entries if entry.kind == "said"] == ["go", "my words"]
    with pytest.raises(Exception, match="no room"):
        running(run.id)


async def test_what_is_asked_from_outside_may_be_one_condition_of_several(room: Any, puppet: Any) -> None:
    """Conversation §3.6: External in the algebra."""
    manager: Any = None
    room_id: list[str] = []

    def script(turn: Any) -> list[str]:
        if turn.attempt == 1 and len(a.turns) == 1:
            manager.finish(room_id[0], "time")
        return ["DONE" if len(a.turns) == 2 else "not yet"]

    a = puppet("a", script)
    manager = room(a, until=t.External() & t.Text("DONE"))
    run = Room(manager.rules, make_turn("go", journal=MemoryJournal()))
    room_id.append(run.id)
    async for _ in run.play():
        pass
    assert (run.result().stop.detail, len(a.turns)) == ("time and said 'DONE'", 2)
    assert a.heard[1] == ["Somebody asks for the end: time"]


async def test_tools_and_handovers_of_a_turn_are_in_the_log(room: Any, puppet: Any) -> None:
    """Conversation §3.6: Tool and Handoff look at the log."""
    a = puppet("a", [ToolCall("1", "search", {}), Say("found", next="editor")])
    result = await room(a, puppet("b"), until=t.Handoff("editor") & t.Tool("search"), max_round=9).chat("go")
    assert (result.stop.kind, result.stop.detail) == ("terminated", "handed over to editor and called search")


# Courtesies.


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("Thank you!", True), ("You\u2019re welcome, have a great day.", True), ("Goodbye :)", True), ("ok", False),
        ("Thanks, but the figure is wrong", False), ("", False), ("yes", False),
    ],
)  # fmt: skip
def test_a_courtesy_says_nothing_else(text: str, is_one: bool) -> None:
    """Demand 3."""
    assert is_courtesy(text) is is_one


async def test_polite_ping_pong_ends_by_itself(room: Any, puppet: Any) -> None:
    """Demand 3: no infinite thank-you loop (conversation §1.4), whatever max_round allows."""
    result = await room(puppet("a", "Thank you!"), puppet("b", "You're welcome."), max_round=500).chat("go")
    assert (result.stop.kind, result.stop.detail) == ("terminated", "the last 4 messages were courtesies and echoes")
    assert len([entry for entry in result.entries if entry.kind == "said"]) == 5


async def test_a_room_may_be_as_polite_as_it_likes(room: Any, puppet: Any) -> None:
    """Ours: what ends a room by default can be switched off."""
    result = await room(puppet("a", "Thanks!"), puppet("b", "Bye."), courtesies_end=False, max_round=20).chat("go")
    assert result.stop.kind == "max_round"


async def test_empty_echoes_end_by_themselves_and_a_vote_is_none(room: Any, puppet: Any) -> None:
    """Demand 3: an echo is what both have said before."""
    result = await room(puppet("a", "agreed"), puppet("b", "agreed"), max_round=500).chat("go")
    assert (result.stop.kind, result.stop.by) == ("terminated", "b")
    assert len([entry for entry in result.entries if entry.kind == "said"]) == 7
    voters = [puppet(name, "Paris") for name in "abcdef"]
    result = await room(*voters, max_round=7).chat("which?")
    assert result.stop.kind == "max_round"


async def test_a_person_and_new_words_begin_the_count_anew(room: Any, puppet: Any) -> None:
    """Demand 3, the other side: nothing that says something is cut off."""
    texts = [["thanks"], ["thanks"], ["wait, one more figure: 42"], ["thanks"], ["thanks"], ["thanks"], ["thanks"]]
    result = await room(puppet("a", texts), max_round=500).chat("go")
    assert len(result.decisions) == 7
