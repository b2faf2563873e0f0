"""Replaying a room: the same log, byte for byte, and nobody is asked."""

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a2a_bridge.agent import Ask, Chunk, Fail, Part, Refuse, Say, ToolCall, ToolResult, Traits, Turn, Usage
from a2a_bridge.chat.budget import Budget
from a2a_bridge.chat.debate.rounds import Judge, Rounds
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.replay import LogError, replay
from a2a_bridge.chat.room import Room
from a2a_bridge.chat.rules import Rules
from a2a_bridge.chat.seat import OnFailure, Seat
from a2a_bridge.chat.speaker import Selector
from a2a_bridge.chat.termination import External, MaxMessageTermination
from a2a_bridge.store.journal import MemoryJournal
from a2a_bridge.testing.model import ScriptedModel
from a2a_bridge.testing.turns import make_answer, make_turn

RESTARTABLE = Traits(after_crash="restartable")


async def lines_of(journal: Any) -> list[bytes]:
    return [line for _, record in await journal.read() for line in record.split(b"\n")]


async def played(room: Room, *, entries: int | None = None, then: Any = None) -> None:
    """Play a run; after so many entries do something, or stop in the middle."""
    seen = 0
    async with aclosing(room.play()) as shown:
        async for said in shown:
            seen += hasattr(said, "seq")
            if entries is not None and seen >= entries:
                if then is None:
                    return
                entries = None
                then(room.run.control)


async def same(rules: Rules, journal: Any) -> None:
    found = await replay(rules, await lines_of(journal))
    assert found.difference is None, found
    assert found.entries


@pytest.mark.parametrize("method", ["function", "round_robin", "auto"])
async def test_a_handover_that_was_not_followed_is_replayed(room: Any, puppet: Any, method: str) -> None:
    """Semantics 16: why it was not stands in the reason of the choice."""

    def choose(last: Any, chat: Any) -> Any:
        return chat.agents[1 - len(chat.messages) % 2]

    model = ScriptedModel([json.dumps({"next": name, "reason": "so"}) for name in "abab"])
    ways: dict[str, Any] = {
        "function": {"speaker_selection_method": choose},
        "round_robin": {},
        "auto": {"llm_config": model},
    }
    a = puppet("a", [Say("over to you", next="nobody")])
    manager = room(a, puppet("b", [Say("and back", next="c")]), max_round=5, **ways[method])
    journal = MemoryJournal()
    made = Room(manager.rules, make_turn("go", journal=journal))
    await played(made)
    assert "'nobody', who has no seat here" in made.result().decisions[1].reason
    assert len(a.turns) == 2
    await same(manager.rules, journal)


async def test_a_room_is_replayed_without_asking_anybody(room: Any, puppet: Any) -> None:
    """Semantics 16. Issue 4, part 5: byte for byte the same log."""
    tools = [ToolCall("1", "search", {"q": 1}), ToolResult("1", "found"), Usage(3, 4, 0.1, "m")]
    a = puppet("a", [[*tools, "[a]: I say so"], [RuntimeError("secret")], ["[b] says", Say("more", next="b")]])
    b = puppet("b", [[Fail("cannot")], [Refuse("will not")], [Chunk(parts=(Part(data={"x": [1]}),)), "and words"]])
    model = ScriptedModel(
        ['{"next": "nobody"}', '{"next": "a", "reason": "x"}', "b", ValueError("down"), "a", "b", "a", "b", "END"]
    )
    journal = MemoryJournal()
    manager = room(a, b, llm_config=model, speaker_selection_method=Selector(on_failure="fallback"), max_round=9)
    await played(Room(manager.rules, make_turn("go", journal=journal)))
    asked, turns = len(model.calls), len(a.turns) + len(b.turns)
    await same(manager.rules, journal)
    assert (len(model.calls), len(a.turns) + len(b.turns)) == (asked, turns)


async def test_what_others_wanted_of_a_running_room_is_replayed(room: Any, puppet: Any) -> None:
    """Issue 4, part 5: interjections, who came and went, a cancellation."""
    journal = MemoryJournal()
    manager = room(puppet("a"), puppet("b"), max_round=9)

    def outside(control: Any) -> None:
        control.interject(make_turn("mind the costs").messages[0], "boss")
        control.interject(make_turn("and the time").messages[0], "a")
        control.join(Seat(puppet("guest", [RuntimeError("no")], traits=RESTARTABLE), on_failure=OnFailure(rerun=2)))
        control.leave("b")

    await played(Room(manager.rules, make_turn("go", journal=journal)), entries=5, then=outside)
    await same(manager.rules, journal)
    kinds = [json.loads(line)["kind"] for line in await lines_of(journal)]
    assert "left" in kinds
    assert kinds.count("joined") == 3

    def canceled(control: Any) -> None:
        control.cancel("enough")

    await played(Room(manager.rules, make_turn("again", journal=journal)), entries=4, then=canceled)
    await same(manager.rules, journal)
    assert b'"canceled"' in b"".join(await lines_of(journal))


async def test_questions_and_answers_are_replayed_and_runs_that_were_cut_off(
    room: Any, puppet: Any, watch: Any
) -> None:
    """Issue 4, part 5: a kill at any point; a question answered in a later turn; the same room asked again."""

    def script(turn: Turn) -> list[Any]:
        return [f"so {turn.answer.value('n')}"] if turn.answer else [Ask("How many?", id="n")]

    journal = MemoryJournal()
    manager = room(puppet("a", script), puppet("b"), puppet("c", traits=RESTARTABLE), max_round=4)
    await watch(manager, make_turn("go", journal=journal))
    await same(manager.rules, journal)
    await watch(manager, make_turn(answer=make_answer("five", [Ask("How many?", id="n")]), journal=journal))
    await same(manager.rules, journal)
    turn = make_turn("again", journal=journal)
    for entries in (2, 5, 1):
        await played(Room(manager.rules, turn), entries=entries)
        await same(manager.rules, journal)
    await watch(manager, make_turn("something else", journal=journal))
    await same(manager.rules, journal)


async def test_people_who_choose_and_people_who_answer_are_replayed(room: Any, puppet: Any) -> None:
    """Issue 4, part 5: human answers, also those of a peer."""
    answers = iter(["7", "b", "1", "q"])
    manager = room(puppet("a"), puppet("b"), speaker_selection_method="manual", human=lambda _: next(answers))
    journal = MemoryJournal()
    await played(Room(manager.rules, make_turn("go", journal=journal), human=manager.human))
    await same(manager.rules, journal)
    asks = puppet("a", lambda turn: ["thanks"] if turn.answer else [Ask("How many?", id="n")])
    manager = room(asks, Seat(puppet("b", ["five"]), may_answer=True), max_round=2)
    journal = MemoryJournal()
    await played(Room(manager.rules, make_turn("go", journal=journal)))
    assert b'"answered"' in b"".join(await lines_of(journal))
    await same(manager.rules, journal)


async def test_functions_filters_and_introductions_are_replayed(room: Any, puppet: Any) -> None:
    """Issue 4, part 5: what may ask somebody is not asked again."""
    chosen = iter(["b", "random", "auto", None])

    def choose(last: Any, chat: Any) -> Any:
        return next(chosen)

    asked = []

    def small(agent: Any, chat: Any) -> bool:
        asked.append(agent.name)
        return agent.name != "c"

    seats = [puppet(name) for name in "abc"]
    model = ScriptedModel(["a"])
    manager = room(
        *seats, llm_config=model, speaker_selection_method=choose, eligibility=(small,), send_introductions=True
    )
    journal = MemoryJournal()
    await played(Room(manager.rules, make_turn("go", journal=journal)))
    before = len(asked)
    await same(manager.rules, journal)
    assert len(asked) == before

    def fails(last: Any, chat: Any) -> Any:
        raise ValueError("oops")

    for rules in ({"speaker_selection_method": fails}, {"eligibility": (fails,)}):
        manager = room(*seats, **rules)
        journal = MemoryJournal()
        await played(Room(manager.rules, make_turn("go", journal=journal)))
        assert b"selection_failed" in b"".join(await lines_of(journal))
        await same(manager.rules, journal)


async def test_the_first_line_that_differs_is_told(room: Any, puppet: Any) -> None:
    """Issue 4, part 5: with other rules, and with a line changed by hand."""
    journal = MemoryJournal()
    manager = room(puppet("a"), puppet("b"), max_round=4)
    await played(Room(manager.rules, make_turn("go", journal=journal)))
    found = await replay(room(puppet("a"), puppet("b"), max_round=3).rules, await lines_of(journal))
    assert found.difference is not None
    assert found.difference.recorded is not None
    assert '"decided"' in found.difference.recorded
    lines = await lines_of(journal)
    at = next(number for number, line in enumerate(lines) if b'"decided"' in line)
    lines[at] = lines[at].replace(b'"a","round_robin"', b'"b","round_robin"')
    found = await replay(manager.rules, lines)
    assert found.difference is not None
    assert found.difference.recorded == lines[at].decode()
    assert found.difference.replayed is not None
    assert found.entries == found.difference.seq - 1


async def test_lines_that_are_no_log_are_refused(room: Any, puppet: Any) -> None:
    """Ours."""
    with pytest.raises(LogError, match="line 1"):
        await replay(room(puppet("a")).rules, [b"hello"])


def one_turn(seed: int) -> Any:
    """What a scripted seat does in a turn, by chance."""
    chance = Random(seed)

    def script(turn: Turn) -> list[Any]:
        if turn.answer is not None:
            return [f"told {turn.answer.message.text}"]
        kind = chance.randrange(12)
        words = chance.choice(["well", "[a] no", "[b]: yes", "**c:** so", "enough", "é\ud800", "a b c"])
        return {
            0: [RuntimeError("no")], 1: [Fail("cannot")], 2: [], 3: [Ask("which?", id="q", options=("x", "y"))],
            4: [Usage(chance.randrange(50), 5, 0.01, "m"), words], 5: [Chunk(parts=(Part(data={"n": 1}),)), words],
            6: [ToolCall("1", "t", {"a": 1}), ToolResult("1", "r" * 3000), words], 7: [Say(words, next="b")],
            8: [Chunk(words, artifact="notes")],
        }.get(kind, [words])  # fmt: skip

    return script


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10**9))
def test_whatever_happens_in_a_room_is_replayed_to_the_same_log(seed: int, puppet: Any, room: Any) -> None:
    """Issue 4, part 5: several at once, failures, re-runs, questions, interjections, chance, budgets, kills."""
    chance = Random(seed)
    journal = MemoryJournal()
    answers = ["x", "y", "what", "b", "1", "retry", "skip"]
    human = (lambda _: chance.choice(answers)) if chance.random() < 0.7 else None
    model = ScriptedModel(lambda _: chance.choice(["a", "b", "c", '{"next": "b", "reason": "r"}', "END", "zoe"]))
    method = chance.choice(["round_robin", "random", "all", "auto", "manual"])
    together = chance.choice([1, 1, 2]) if method not in ("manual", "all") else 1
    policies = [OnFailure(), OnFailure(rerun=2), OnFailure(then="pause"), OnFailure(then="abort")]
    policies.append(OnFailure(then="replace", replacement=puppet("z", traits=RESTARTABLE)))
    seats = [
        Seat(
            puppet(name, one_turn(chance.randrange(10**6)), traits=chance.choice([RESTARTABLE, Traits()])),
            on_failure=chance.choice(policies),
            may_answer=chance.random() < 0.1,
            budget=chance.choice([None, None, Budget(messages=3)]),
        )
        for name in "abc"
    ]
    manager = room(
        *seats,
        llm_config=model,
        human=human,
        speaker_selection_method=Selector(method, together=together, barrier=chance.choice(["all", 1, 0.5])),
        max_round=chance.randrange(2, 9),
        budget=chance.choice([None, Budget(messages=6), Budget(tokens=200), Budget(seconds=3)]),
        allow_repeat_speaker=chance.random() < 0.7,
        min_seats=chance.choice([1, 2]),
    )
    ticks, step = iter(range(10**9)), chance.choice([0.001, 0.1234])
    rules = replace(manager.rules, clock=lambda: 1_800_000_000 + next(ticks) * step)

    async def drive() -> None:
        for number in range(chance.randrange(1, 4)):
            turn = make_turn(f"question {number}", journal=journal)
            for _ in range(chance.randrange(1, 3)):
                point = chance.choice([None, None, chance.randrange(1, 12)])
                then = chance.choice([None, interject, cancel, lambda control: None])
                await played(Room(rules, turn, human=human, pauses=human is None), entries=point, then=then)
        await same(rules, journal)

    asyncio.run(drive())


def interject(control: Any) -> None:
    control.interject(make_turn("by the way").messages[0], "boss")


def cancel(control: Any) -> None:
    control.cancel("enough")


@pytest.mark.parametrize("decide", ["vote", "manager", "judge", "down"])
async def test_debates_are_replayed(room: Any, puppet: Any, decide: str) -> None:
    """Issue 4, parts 5 and 10: a judge who is a model is not asked again."""

    def holds(answer: str) -> list[str]:
        return [json.dumps({"answer": answer, "confidence": 0.5, "evidence": [], "because": ""})]

    ruling = json.dumps({"answer": "one", "confidence": 1, "evidence": [], "because": "so"})
    model = ScriptedModel([ValueError("down")] if decide == "down" else [ruling])
    judged: Any = {"judge": Judge(model), "down": Judge(model)}.get(decide, decide)
    seats = [puppet("a", holds("one")), puppet("b", holds("two"))]
    manager = GroupChatManager(GroupChat(seats), model, protocol=Rounds(rounds=2, decide=judged))
    journal = MemoryJournal()
    await played(Room(manager.rules, make_turn("how many?", journal=journal)))
    calls = len(model.calls)
    assert calls == (decide != "vote")
    await same(manager.rules, journal)
    assert len(model.calls) == calls


@pytest.mark.parametrize("until", [None, External() & MaxMessageTermination(4)])
async def test_an_end_that_somebody_asked_for_is_replayed(room: Any, puppet: Any, until: Any) -> None:
    """Issue 4, parts 4 and 5: also where the conditions say what it means."""
    manager = room(puppet("a"), puppet("b"), max_round=9, until=until)
    journal = MemoryJournal()
    await played(
        Room(manager.rules, make_turn("go", journal=journal)), entries=4, then=lambda control: control.finish("late")
    )
    assert b"late" in b"".join(await lines_of(journal))
    await same(manager.rules, journal)
