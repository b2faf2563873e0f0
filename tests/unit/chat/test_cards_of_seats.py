"""A remote agent with another card than it was let in with: somebody is asked before it goes on."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import pytest

from a2a_bridge.agent import Ask, Chunk, Reply, Traits, Turn
from a2a_bridge.chat.entry import Entry
from a2a_bridge.chat.explain import explain
from a2a_bridge.chat.replay import replay
from a2a_bridge.chat.room import Room
from a2a_bridge.chat.seat import Seat
from a2a_bridge.protocol.card import AgentCard, AgentCardSignature
from a2a_bridge.store.journal import MemoryJournal
from a2a_bridge.testing.turns import make_answer, make_turn


def card(version: int) -> AgentCard:
    return AgentCard.model_validate(
        {"name": "planner", "description": "Plans trips.", "version": str(version), "capabilities": {}, "skills": [],
         "supportedInterfaces": [{"url": "http://x", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
         "defaultInputModes": [], "defaultOutputModes": []}
    )  # fmt: skip


class Remote:
    """A remote agent, as far as a room can tell; its card may become another one."""

    traits = Traits(keeps_context=True, after_crash="resumable")
    name = "planner"
    description = "Plans trips."
    url = "http://x"

    def __init__(self) -> None:
        self.card = card(1)
        self.heard: list[list[str]] = []

    async def describe(self) -> AgentCard:
        return self.card

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        self.heard.append([said.text for said in turn.messages])
        yield f"plan {len(self.heard)}"


class Played:
    """A room over one journal, question by question; each run is replayed."""

    def __init__(self, manager: Any) -> None:
        self.manager = manager
        self.journal = MemoryJournal()

    async def put(self, turn: Turn, human: Any = None) -> tuple[Room, list[Any]]:
        made = Room(self.manager.rules, turn, human=human, pauses=human is None)
        async with aclosing(made.play()) as shown:
            seen = [said async for said in shown]
        lines = [line for _, record in await self.journal.read() for line in record.split(b"\n")]
        found = await replay(self.manager.rules, lines)
        assert found.is_same, found
        return made, seen

    async def ask(self, text: str, human: Any = None) -> tuple[Room, list[Any]]:
        return await self.put(make_turn(text, journal=self.journal), human)


@pytest.fixture
def remote() -> Remote:
    return Remote()


TOLD = "planner (http://x) has another card than the one that it was let in with"


def flags(seen: list[Any]) -> list[tuple[str, ...]]:
    return [said.flags for said in seen if isinstance(said, Entry) and said.kind == "joined" and said.flags]


@pytest.mark.parametrize("answer", ["yes", "no", "hm"])
async def test_another_card_is_put_to_the_person_before_the_seat_hears_anything(
    room: Any, puppet: Any, remote: Remote, answer: str
) -> None:
    """Semantics 18: change -> re-approve. What is unclear means no."""
    played = Played(room(remote, puppet("b"), max_round=3))
    questions: list[str] = []

    def human(question: str) -> str:
        questions.append(question)
        return answer

    await played.ask("go", human)
    assert questions == []
    remote.card = card(2)
    made, seen = await played.ask("again", human)
    assert questions == [f"chat_manager: {TOLD}. May it go on? [yes / no]"]
    assert flags(seen)[0] == ("card_changed", "in_question")
    if answer == "yes":
        assert flags(seen)[1:] == [("card_accepted",)]
        assert len(remote.heard) == 2
        assert "with the card that was accepted" in explain(made.log.entries)
        await played.ask("once more", human)
        assert len(questions) == 1
        return
    assert len(remote.heard) == 1
    assert [said.kind for said in seen if isinstance(said, Entry)].count("left") == 1
    assert made.result().messages[-1].text == "b speaks"
    await played.ask("once more", human)  # it is still another card, and nobody has accepted it
    assert len(questions) == 2
    remote.card = card(1)
    await played.ask("and now", human)
    assert len(questions) == 2
    assert len(remote.heard) == 2


@pytest.mark.parametrize("answer", ["yes", "no"])
async def test_a_card_that_changes_between_two_turns_of_a_run_is_noticed_before_the_next(
    room: Any, puppet: Any, remote: Remote, answer: str
) -> None:
    """Semantics 18. A turn that was decided is taken up after the answer, or lost, and the room is told."""

    def moved(turn: Turn) -> str:
        remote.card = card(2)
        return "b speaks"

    played = Played(room(remote, puppet("b", moved), max_round=5, speaker_selection_method="round_robin"))
    made, seen = await played.ask("go", lambda question: answer)
    assert flags(seen)[0] == ("card_changed", "in_question")
    assert [decision.chosen for decision in made.result().decisions][:3] == ["planner", "b", "planner"]
    if answer == "yes":
        assert remote.heard == [["go"], ["b speaks"]]
        return
    assert remote.heard == [["go"]]
    told = (
        "planner has another card than before and was not let in again. The conversation goes on without that answer."
    )
    assert told in [said.text for said in made.result().messages]
    assert made.result().messages[-1].text == "b speaks"


async def test_a_served_room_puts_the_question_to_its_caller_and_goes_on_with_the_answer(
    room: Any, puppet: Any, remote: Remote
) -> None:
    """Semantics 8 and 18: the room's own task waits, also over a restart."""

    def moved(turn: Turn) -> str:
        remote.card = card(2)
        return "b speaks"

    played = Played(room(remote, puppet("b", moved), max_round=4))
    made, seen = await played.ask("go")
    [asked] = [said for said in seen if isinstance(said, Ask)]
    assert asked.text.startswith(TOLD)
    assert made.stop is None
    answer = make_turn(answer=make_answer("yes", asks=(asked,)), journal=played.journal)
    made, seen = await played.put(answer)
    assert remote.heard == [["go"], ["b speaks"]]
    assert [said.text for said in seen if isinstance(said, Chunk)] == ["plan 2"]
    assert made.stop is not None
    assert made.stop.kind == "max_round"


@pytest.mark.parametrize("policy", ["note", "stop"])
async def test_a_seat_says_what_another_card_means(room: Any, puppet: Any, remote: Remote, policy: Any) -> None:
    """Semantics 18: `Seat(on_card_change=)`."""
    played = Played(room(Seat(remote, on_card_change=policy), puppet("b"), max_round=3))
    await played.ask("go")
    remote.card = card(2)
    made, seen = await played.ask("again")
    assert made.stop is not None
    if policy == "note":
        assert flags(seen) == [("card_changed",)]
        assert made.stop.kind == "max_round"
        assert len(remote.heard) == 2
        assert flags((await played.ask("once more"))[1]) == []
    else:
        assert (made.stop.kind, made.stop.by) == ("card_changed", "planner")
        assert len(remote.heard) == 1
        assert (await played.ask("once more"))[0].stop == made.stop
    with pytest.raises(ValueError, match="use 'ask', 'note' or 'stop'"):
        Seat(remote, on_card_change="shrug")  # type: ignore[arg-type]


async def test_no_seat_lets_in_another_one_or_itself(room: Any, puppet: Any, remote: Remote) -> None:
    """Ours: `may_answer` is for what seats ask; who takes part is for a person to say."""
    peer = puppet("b", lambda turn: "yes")
    played = Played(room(Seat(remote, may_answer=True), Seat(peer, may_answer=True), max_round=3))
    await played.ask("go", lambda question: "no")
    remote.card = card(2)
    _, seen = await played.ask("again", lambda question: "no")
    assert flags(seen) == [("card_changed", "in_question")]
    assert len(remote.heard) == 1


async def test_a_new_signature_on_the_same_words_is_no_other_card(room: Any, puppet: Any, remote: Remote) -> None:
    """Ours: a server signs its card anew whenever it starts."""
    signatures = [AgentCardSignature(protected="e30", signature=each) for each in ("one", "two")]
    played = Played(room(remote, puppet("b"), max_round=3))
    for signature in signatures:
        remote.card = card(1).model_copy(update={"signatures": (signature,)})
        _, seen = await played.ask("go")
        assert flags(seen) == []
    assert len(remote.heard) == 2


async def test_several_cards_are_one_question_and_one_answer_each(room: Any, puppet: Any) -> None:
    """Semantics 8 and 18: one pause, whatever is asked."""
    one, other = Remote(), Remote()
    seats = [Seat(one, "one"), Seat(other, "other"), puppet("b")]
    played = Played(room(*seats, max_round=3))
    await played.ask("go", lambda question: "no")
    one.card = other.card = card(2)
    answers = iter(["yes", "no"])
    await played.ask("again", lambda question: next(answers))
    assert (len(one.heard), len(other.heard)) == (2, 1)
