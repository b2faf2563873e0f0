"""Debates: independent answers, rounds of revision, a vote or a judge, and what is told of it."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from a2a_bridge.agent import Chunk, Fail, Reply, Traits, Turn, Usage, outcome
from a2a_bridge.chat.assistant import AssistantAgent
from a2a_bridge.chat.budget import Budget
from a2a_bridge.chat.debate.measure import tally
from a2a_bridge.chat.debate.outcome import Debate
from a2a_bridge.chat.debate.rounds import Judge, Rounds
from a2a_bridge.chat.entry import Entry
from a2a_bridge.chat.position import Position, answer_key, position_in, stated_in
from a2a_bridge.chat.replay import replay
from a2a_bridge.chat.result import ChatResult
from a2a_bridge.chat.room import Room
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import Part
from a2a_bridge.store.journal import MemoryJournal
from a2a_bridge.testing.agents import Gate
from a2a_bridge.testing.model import ScriptedModel
from a2a_bridge.testing.turns import make_message, make_turn


def holds(answer: str, confidence: float = 0.5, *evidence: str, because: str = "") -> list[str]:
    return [json.dumps({"answer": answer, "confidence": confidence, "evidence": evidence, "because": because})]


@pytest.fixture
def debate(room: Any) -> Any:
    """Let these agents debate."""

    async def had(*agents: Any, manager: dict[str, Any] | None = None, **words: Any) -> ChatResult:
        made = room(*agents, **(manager or {}))
        found = type(made)(made.groupchat, (manager or {}).get("llm_config"), protocol=Rounds(**words))
        result: ChatResult = await found.chat("how many?")
        return result

    return had


def of(result: ChatResult) -> Debate:
    assert result.debate is not None
    return result.debate


async def test_first_answers_are_given_before_anybody_reads_anybody(debate: Any, puppet: Any) -> None:
    """Issue 4, part 10; conversation §5 (a): independent, at once; then all read all."""
    a, b, c = (puppet(name, [holds(one), holds("42")]) for name, one in (("a", "41"), ("b", "42"), ("c", "43")))
    result = await debate(a, b, c)
    for seat in (a, b, c):
        assert [text for text in seat.heard[0] if "answer" in text and text.startswith("{")] == []
        assert sorted(json.loads(text)["answer"] for text in seat.heard[1] if text.startswith("{")) == sorted(
            {"41", "42", "43"} - {"41" if seat is a else "42" if seat is b else "43"}
        )
    assert [why.speakers for why in result.decisions] == [("a", "b", "c")] * 2
    found = of(result)
    assert (found.outcome, found.answer, found.agreement) == ("agreed", "42", (pytest.approx(1 / 3), 1.0))
    assert (result.stop.kind, result.stop.detail) == ("converged", "100% agree after 2 rounds (agreement)")
    assert result.summary.startswith("42\n")


async def test_flips_evidence_and_what_changed_are_taken_from_the_log(debate: Any, puppet: Any) -> None:
    """Conversation §5 (b), (c): typed positions; who changed, why, and whether towards the majority."""
    a = puppet("a", [holds("41", 0.9, "x"), holds("42", 0.6, "y", because="b counted again")])
    b, c = puppet("b", [holds("42", 0.8, "z")] * 2), puppet("c", [holds("42", 0.7)] * 2)
    found = of(await debate(a, b, c))
    [flip] = found.rounds[1].flips
    assert (flip.speaker, flip.before, flip.after, flip.because) == ("a", "41", "42", "b counted again")
    assert flip.toward_majority
    assert found.rounds[1].positions["a"].changed_from == "41"
    assert [one.new_evidence for one in found.rounds] == [2, 1]
    assert [round(one.entropy, 3) for one in found.rounds] == [0.918, 0]


async def test_a_vote_decides_and_the_minority_is_reported(debate: Any, puppet: Any) -> None:
    """Issue 4, part 10: plain vote, minority report; it ends when nobody changes."""
    a, b = puppet("a", holds("42")), puppet("b", holds("42"))
    c = puppet("c", holds("41", 0.9, because="one is counted twice"))
    result = await debate(a, b, c)
    found = of(result)
    assert (found.outcome, found.answer, found.decided_by, found.over) == ("decided", "42", "vote", "stable")
    [minority] = found.minority
    assert (minority.speaker, minority.position.answer, minority.survived) == ("c", "41", True)
    assert "- c: 41 (90% sure): one is counted twice" in result.summary
    assert (result.stop.kind, result.stop.also) == ("decided", ())


async def test_a_vote_may_count_how_sure_somebody_is(debate: Any, puppet: Any) -> None:
    """Issue 4, part 10: confidence-weighted."""
    seats = [puppet("a", holds("42", 0.2)), puppet("b", holds("42", 0.2)), puppet("c", holds("41", 0.9))]
    found = of(await debate(*seats, decide="confidence"))
    assert (found.answer, found.decided_by) == ("41", "confidence")
    assert found.share == pytest.approx(0.9 / 1.3)


async def test_a_draw_is_unresolved_and_says_so(debate: Any, puppet: Any) -> None:
    """Conversation §5 (e): unresolved is an honest end, not a forced consensus."""
    result = await debate(puppet("a", holds("42")), puppet("b", holds("41")))
    found = of(result)
    assert (found.outcome, found.answer, result.stop.kind) == ("unresolved", None, "unresolved")
    assert result.summary.startswith("Unresolved.")
    assert {one.speaker for one in found.minority} == {"a", "b"}


async def test_the_first_vote_is_the_fallback_when_the_last_gives_nothing(debate: Any, puppet: Any) -> None:
    """Conversation §5 (g): nobody had been talked into anything then."""
    a, b = puppet("a", holds("42")), puppet("b", holds("42"))
    c, d = puppet("c", holds("41")), puppet("d", holds("42"))
    b = puppet("b", [holds("42"), holds("41")])
    found = of(await debate(a, b, c, d, rounds=2, needs_news=False))
    assert found.rounds[1].agreement == 0.5
    assert (found.answer, found.decided_by, found.share) == ("42", "first vote", 0.75)
    assert (found.first_vote.winner, found.final_vote.winner) == ("42", None)


async def test_it_ends_when_nobody_brings_new_evidence(debate: Any, puppet: Any) -> None:
    """Issue 4, part 10: a change of mind without evidence is only giving in."""
    a = puppet("a", [holds("42", 0.5, "x"), holds("41", 0.5, "x"), holds("42", 0.5, "x")])
    b = puppet("b", [holds("41", 0.5, "y"), holds("42", 0.5, "Y.")])
    found = of(await debate(a, b, rounds=9))
    assert (len(found.rounds), found.over) == (2, "no new evidence")


async def test_it_has_so_many_rounds_at_most(debate: Any, puppet: Any) -> None:
    """Issue 4, part 10."""
    a = puppet("a", lambda turn: holds(str(len(a.turns))))
    b = puppet("b", lambda turn: holds(str(-len(b.turns))))
    found = of(await debate(a, b, rounds=4))
    assert (len(found.rounds), found.over, found.flips) == (4, "rounds", 6)


async def test_a_seat_may_judge_and_takes_no_other_part(debate: Any, puppet: Any) -> None:
    """Issue 4, part 10: judge."""
    judge = puppet("judge", holds("41", because="c is right"))
    seats = [puppet("a", holds("42")), puppet("b", holds("42")), puppet("c", holds("41"))]
    result = await debate(*seats, judge, decide=Judge("judge"))
    found = of(result)
    assert (found.answer, found.decided_by, found.reason) == ("41", "judge", "c is right")
    assert (len(judge.turns), result.stop.by, result.stop.kind) == (1, "judge", "decided")
    assert result.decisions[-1].chosen_by == "judge"
    assert {one.speaker for one in found.minority} == {"a", "b"}


def test_the_summary_of_a_debate_is_what_it_came_to_however_it_was_opened(room: Any, puppet: Any) -> None:
    """Ours: not the last words, which are somebody's position, or the judge's. A function sums up as it likes."""
    seats = [puppet("a", holds("41")), puppet("b", holds("42")), puppet("judge", holds("42"))]
    made = room(*seats)
    manager = type(made)(made.groupchat, protocol=Rounds(rounds=1, decide=Judge("judge")))
    human = AssistantAgent("human")
    opened = human.initiate_chat(manager, message="how many?", silent=True)
    assert opened.summary == asyncio.run(manager.chat("how many?")).summary
    assert opened.summary.startswith("42\n\n(decided by judge")
    own = human.initiate_chat(manager, message="how many?", silent=True, summary_method=lambda *told: "mine")
    assert own.summary == "mine"


async def test_a_judge_who_does_not_answer_leaves_the_vote(debate: Any, puppet: Any) -> None:
    """Conversation §5 (g)."""
    seats = [puppet("a", holds("42")), puppet("b", holds("42")), puppet("c", holds("41"))]
    found = of(await debate(*seats, puppet("judge", [Fail("ill")]), decide=Judge("judge")))
    assert (found.answer, found.decided_by) == ("42", "vote")
    found = of(await debate(*seats, decide=Judge(ScriptedModel([RuntimeError("down")]))))
    assert (found.answer, found.decided_by) == ("42", "vote")


async def test_the_managers_model_may_judge_and_sees_no_names(debate: Any, puppet: Any) -> None:
    """Issue 4, part 10: the manager decides; conversation §5 (Liang): sides are anonymous."""
    model = ScriptedModel(holds("41", because="the evidence"))
    seats = [puppet("alice", holds("42", 0.5, "e")), puppet("bob", holds("41")), puppet("carol", holds("42"))]
    result = await debate(*seats, decide="manager", manager={"llm_config": model})
    assert (of(result).answer, of(result).decided_by) == ("41", "chat_manager")
    [asked] = model.calls
    assert not any(name in asked.text for name in ("alice", "bob", "carol"))
    assert asked.text.count('"answer": "42"') == 2
    assert result.usage["chat_manager"].output_tokens


async def test_a_judge_may_leave_it_unresolved(debate: Any, puppet: Any) -> None:
    """Conversation §5 (e)."""
    model = ScriptedModel(holds("unresolved", because="no evidence either way"))
    seats = [puppet("a", holds("yes")), puppet("b", holds("no"))]
    result = await debate(*seats, decide=Judge(model), options=("yes", "no"))
    assert (of(result).outcome, of(result).reason) == ("unresolved", "no evidence either way")
    assert model.calls[0].schema["properties"]["answer"]["enum"] == ["yes", "no", "unresolved"]


async def test_models_are_asked_for_the_form(debate: Any) -> None:
    """Issue 4, part 10: structured output where the seat supports it."""
    models = [ScriptedModel(holds("42")), ScriptedModel(holds("42"))]
    seats = [AssistantAgent(name, llm_config=model) for name, model in zip("ab", models, strict=True)]
    found = of(await debate(*seats, options=("41", "42")))
    for model in models:
        assert model.calls[0].schema["properties"]["answer"] == {"type": "string", "enum": ["41", "42"]}
        assert "nobody has read anybody yet" in model.calls[0].text
    assert (found.outcome, found.usage.output_tokens > 0) == ("agreed", True)
    assert found.warnings == (
        "all answer with the model 'scripted': different models see more of each other's mistakes",
    )


async def test_a_budget_ends_it_and_the_vote_so_far_stands(debate: Any, puppet: Any) -> None:
    """Issue 4, part 10: or the budget; a round is reserved for all its speakers."""
    seats = [puppet(name, [*holds(one), Usage(30, 10, 0.1)]) for name, one in (("a", "1"), ("b", "1"), ("c", "2"))]
    result = await debate(*seats, needs_news=False, stable=5, rounds=6, manager={"budget": Budget(tokens=300)})
    found = of(result)
    assert (result.stop.kind, len(found.rounds), found.over) == ("budget", 2, "cut off")
    assert (found.answer, found.decided_by) == ("1", "vote")
    assert found.usage.cost_usd == pytest.approx(0.6)
    assert found.usd_per_flip is None


async def test_one_that_fails_is_silent_and_the_others_go_on(debate: Any, puppet: Any) -> None:
    """Conversation §4.11."""
    bad = puppet("bad", [Fail("x")])
    found = of(await debate(puppet("a", holds("42")), bad, puppet("c", holds("42"))))
    assert (found.outcome, found.rounds[0].silent) == ("agreed", ("bad",))
    result = await debate(puppet("a", [Fail("x")]), puppet("b", [Fail("x")]), manager={"min_seats": 0})
    assert (result.stop.kind, of(result).over) == ("unresolved", "nobody answered")


async def test_a_debate_that_was_cut_off_goes_on_in_its_round(room: Any, puppet: Any) -> None:
    """Issue 4, part 5: state is a fold of the log; who has answered is not asked again."""

    class Hangs:
        name, description, traits = "b", "hangs once, in round 2", Traits(after_crash="restartable")

        def __init__(self) -> None:
            self.turns: list[Turn] = []
            self.gate = Gate()

        async def run(self, turn: Turn) -> Any:
            self.turns.append(turn)
            if len(self.turns) == 2:
                await self.gate()
            yield holds("41" if len(self.turns) == 1 else "42")[0]

    a, b = puppet("a", holds("42"), traits=Traits(after_crash="restartable")), Hangs()
    made = room(a, b)
    manager = type(made)(made.groupchat, protocol=Rounds())
    turn = make_turn("go", journal=MemoryJournal())

    async def play() -> ChatResult:
        one = Room(manager.rules, turn)
        async with aclosing(one.play()) as shown:
            async for _ in shown:
                pass
        return one.result()

    running = asyncio.create_task(play())
    await b.gate.reached()
    running.cancel()  # nothing is written while being cancelled: the log is that of a kill
    with pytest.raises(asyncio.CancelledError):
        await running
    found = of(await play())
    assert (found.outcome, len(found.rounds)) == ("agreed", 2)
    assert b.turns[1].id == b.turns[2].id


async def test_a_served_debate_tells_all_of_it(room: Any, puppet: Any, watch: Any) -> None:
    """Issue 4, parts 9 and 10: the answer as artifact `answer`, the measures as one of their own."""
    made = room(puppet("a", holds("42")), puppet("b", holds("42")))
    manager = type(made)(made.groupchat, protocol=Rounds())
    replies: list[Reply] = await watch(manager, make_turn("go"))
    [told] = [reply for reply in replies if isinstance(reply, Chunk) and reply.artifact == "debate"]
    data: Any = told.parts[0].data
    assert (data["outcome"], data["rounds"][0]["positions"]["a"]["answer"]) == ("agreed", "42")
    assert outcome(replies).text.startswith("42")


@pytest.mark.parametrize(
    "wrong",
    [
        {"rounds": 0}, {"stable": True}, {"agreement": 0.5}, {"quota": 1}, {"decide": "dice"}, {"options": ("a", "A ")},
        {"options": "ab"},
    ],
)  # fmt: skip
def test_a_debate_that_cannot_be_meant_is_refused(wrong: Any) -> None:
    """Ours: a typo is no protocol."""
    with pytest.raises(ValueError, match="Rounds"):
        Rounds(**wrong)


@pytest.mark.parametrize(
    ("words", "protocol", "told"),
    [
        ({}, Rounds(decide="manager"), "llm_config"),
        ({}, Rounds(decide=Judge("nobody")), "no seat"),
        ({}, Rounds(decide=Judge("b")), "two seats"),
        ({"allow_repeat_speaker": False}, Rounds(), "every round"),
    ],
)
def test_a_room_that_cannot_debate_says_why(words: Any, protocol: Rounds, told: str, room: Any, puppet: Any) -> None:
    """Ours: at construction, not in the first turn."""
    made = room(puppet("a"), puppet("b"), **words)
    with pytest.raises(ChatError, match=told):
        type(made)(made.groupchat, protocol=protocol)


# Positions.


@pytest.mark.parametrize(
    ("text", "answer", "confidence"),
    [
        ('{"answer": "42", "confidence": 0.8}', "42", 0.8),
        ('Here:\n```json\n{"answer": 42, "confidence": "80 %"}\n```', "42", 0.8),
        ('{"other": 1} then {"answer": true, "confidence": 80}', "yes", 0.8),
        ("I think so.\n**Answer:** 42\nConfidence: high\nBecause: I counted", "42", 0.8),
        ("Final answer: 1\nFinal answer: 2", "2", 0.5),
        ("just words", "just words", 0.5),
        ('{"answer": "x", "confidence": NaN}', "x", 0.5),
        ('{"answer": "x", "confidence": -3}', "x", 0.0),
        ("{" * 500, "{" * 500, 0.5),
    ],
)
def test_a_position_is_read_however_it_is_written(text: str, answer: str, confidence: float) -> None:
    """Issue 4, part 10: tolerant parsing."""
    found = position_in(make_message(text))
    assert (found.answer, found.confidence) == (answer, confidence)


def test_a_position_in_data_and_among_options() -> None:
    """Issue 4, part 10."""
    message = make_message("x").model_copy(update={"parts": (Part(data={"answer": "Yes!", "evidence": "one"}),)})
    assert position_in(message, ("yes", "no")) == Position("yes", 0.5, ("one",))
    assert position_in(make_message("It is clearly a No from me."), ("yes", "no")).answer == "no"
    assert position_in(make_message("yes or no"), ("yes", "no")).answer == "yes or no"
    assert stated_in(make_message("yes")) is None
    assert answer_key(" 1,000.50 ") == answer_key("1000.5")


def test_a_tally_has_no_winner_in_a_draw_or_below_the_quota() -> None:
    """Issue 4, part 10."""
    held = {name: Position(answer) for name, answer in (("a", "x"), ("b", "y"), ("c", "z"), ("d", "x"))}
    assert tally(held, by_confidence=False, quota=0.5).winner is None
    assert tally(held, by_confidence=False, quota=0.4).winner == "x"
    assert tally({}, by_confidence=True, quota=0.5).winner is None


def test_entries_of_other_turns_are_no_part_of_a_debate(room: Any) -> None:
    """Ours: a round is told by its decision."""
    entries: list[Entry] = []
    found = Rounds().measure(entries)
    assert (found.outcome, found.over, found.rounds, found.summary[:11]) == ("unresolved", "cut off", (), "Unresolved.")


async def test_a_debate_is_replayed_without_asking_anybody(room: Any, puppet: Any) -> None:
    """Semantics 16: positions and the judge's word are in the log."""
    model = ScriptedModel(holds("41"))
    a, b = puppet("a", holds("42")), puppet("b", holds("41"))
    made = room(a, b)
    manager = type(made)(made.groupchat, protocol=Rounds(decide=Judge(model)))
    journal = MemoryJournal()
    async with aclosing(Room(manager.rules, make_turn("go", journal=journal)).play()) as shown:
        async for _ in shown:
            pass
    lines = [line for _, record in await journal.read() for line in record.split(b"\n")]
    found = await replay(manager.rules, lines)
    assert found.is_same, found
    assert (len(model.calls), len(a.turns), len(b.turns)) == (1, 2, 2)


@pytest.mark.parametrize("says", ["", "I cannot decide this, sorry", "41"])
async def test_a_judge_who_names_no_answer_leaves_the_vote(says: str, debate: Any, puppet: Any) -> None:
    """A new user's complaint: any words of a judge were the answer."""
    seats = [puppet("a", "yes"), puppet("b", "yes"), puppet("c", "no")]
    found = of(await debate(*seats, decide=Judge(ScriptedModel([says])), options=("yes", "no")))
    assert found.answer == "yes"


async def test_an_answer_that_is_none_of_the_options_is_none(debate: Any, puppet: Any) -> None:
    """A new user's complaint: options bound nobody."""
    seats = [puppet("a", "yes"), puppet("b", "41"), puppet("c", "yes")]
    found = of(await debate(*seats, options=("yes", "no")))
    assert found.rounds[0].silent == ("b",)
    assert found.answer == "yes"
