"""A room as an agent: it takes turns, keeps its callers apart, asks through its caller, and survives a restart."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from a2a_bridge.agent import Answer, Ask, Caller, Chunk, Fail, Reply, Traits, Turn, outcome, speaker_in
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.user_proxy import UserProxyAgent
from a2a_bridge.errors import ChatError, StoreUnavailableError
from a2a_bridge.protocol.extensions import ROOM_EXTENSION
from a2a_bridge.store.journal import MemoryJournal
from a2a_bridge.testing.model import ScriptedModel
from a2a_bridge.testing.turns import make_answer, make_message, make_turn


async def lines_of(journal: MemoryJournal) -> list[dict[str, Any]]:
    """What is kept, but for the seals."""
    found = [json.loads(line) for _, data in await journal.read() for line in data.splitlines()]
    return [line for line in found if line["kind"] != "seal"]


async def test_each_speaker_streams_as_an_artifact_of_its_own(room: Any, puppet: Any, watch: Any) -> None:
    """Semantics 19. Ours: and the last word is artifact `answer`."""
    replies = await watch(room(puppet("a"), puppet("critic", ["no", "!"]), max_round=3), make_turn("go"))
    assert [(chunk.artifact, chunk.text) for chunk in replies] == [
        ("turn-1-a", "a speaks"), ("turn-2-critic", "no"), ("turn-2-critic", "!"), ("answer", "no!"),
    ]  # fmt: skip
    assert speaker_in(replies[1].metadata) == {"name": "critic", "kind": "local", "framework": "puppet"}
    assert replies[1].metadata[ROOM_EXTENSION]["decision"] == {"by": "round_robin", "reason": ""}
    assert replies[-1].metadata[ROOM_EXTENSION]["stop"]["kind"] == "max_round"
    assert outcome(replies).text == "no!"


async def test_fifty_callers_of_one_room_never_see_each_other(room: Any) -> None:
    """Issue 2: 50 at once in a test."""
    together = asyncio.Barrier(50)
    heard: dict[str, list[str]] = {}

    class Echo:
        name, description = "echo", "says what it heard"

        async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
            if turn.messages[-1].text.startswith("task"):
                await together.wait()  # all fifty are inside the room now
            past = [message.text for message in await turn.history()]
            heard.setdefault(turn.caller.principal, []).extend([*past, *(said.text for said in turn.messages)])
            yield f"echo for {turn.caller.principal}"

    manager = room(Echo(), max_round=3)
    before = dict(vars(manager)), dict(vars(manager.groupchat))

    async def call(number: int) -> str:
        turn = make_turn(f"task {number}", context_id="same", caller=Caller(f"caller {number}"))
        words = [reply async for reply in manager.run(turn)]
        return outcome(words).text

    async with asyncio.timeout(5):
        answers = await asyncio.gather(*(call(number) for number in range(50)))
    assert answers == [f"echo for caller {number}" for number in range(50)]
    for number in range(50):
        mine = heard[f"caller {number}"]
        assert all(text.endswith(str(number)) for text in mine if text.startswith(("task", "echo")))
        assert mine[0] == f"task {number}"
    assert (dict(vars(manager)), dict(vars(manager.groupchat))) == before, "configuration is never written to"


async def test_a_second_task_of_the_same_context_goes_on_in_the_same_room(room: Any, puppet: Any, watch: Any) -> None:
    """Ours: what a room remembers is in the journal of its context."""
    a, b = puppet("a"), puppet("b")
    journal = MemoryJournal()
    manager = room(a, b, max_round=3)
    await watch(manager, make_turn("one", journal=journal))
    await watch(manager, make_turn("two", journal=journal))
    assert a.heard == [["one"], ["b speaks", "two"]]
    assert a.turns[0].context_id == a.turns[1].context_id
    assert a.turns[0].id != a.turns[1].id


async def test_a_question_of_a_seat_becomes_the_rooms_own_and_the_answer_finds_back(
    room: Any, puppet: Any, watch: Any
) -> None:
    """Semantics 8; demands 7 and 8. Ours: the pause of the room, and a restart in between."""

    def script(turn: Turn) -> list[Any]:
        if turn.answer is None:
            return [Ask("Which city?", options=("Cape Town", "Durban"), id="city")]
        return [f"flying to {turn.answer.option('city')}"]

    journal = MemoryJournal()
    planner = puppet("planner", script)
    manager = room(puppet("a"), planner, max_round=3)
    replies = await watch(manager, make_turn("plan", journal=journal))
    asks = outcome(replies).asks
    assert asks == (Ask("[planner] Which city?", options=("Cape Town", "Durban"), id="city"),)

    restarted = room(puppet("a"), planner, max_round=3)
    answer = make_answer("durban", asks)
    replies = await watch(restarted, make_turn(answer=answer, journal=journal))
    assert outcome(replies).text == "flying to Durban"
    asked, answered = planner.turns
    assert answered.answer is not None
    assert answered.answer.asks == (Ask("Which city?", options=("Cape Town", "Durban"), id="city"),)
    assert (answered.context_id, answered.messages) == (asked.context_id, (answer.message,))
    assert answered.id != asked.id
    assert [said.text for said in await answered.history()] == ["plan", "a speaks"]
    kinds = [line["kind"] for line in await lines_of(journal) if line["kind"] != "run"]
    assert kinds[-5:] == ["decided", "asked", "answered", "said", "stopped"]
    assert [chunk.artifact for chunk in replies] == ["turn-2-planner", "answer"]


async def test_what_is_said_while_the_room_waits_reaches_the_seats_afterwards(
    room: Any, puppet: Any, watch: Any
) -> None:
    """Ours: such a message is offered with the answer and answers no question."""
    a = puppet("a")
    asker = puppet("asker", lambda turn: ["thanks"] if turn.answer else [Ask("what?")])
    journal = MemoryJournal()
    manager = room(asker, a, max_round=4)
    await watch(manager, make_turn("go", journal=journal))
    answer = make_answer("this")
    turn = make_turn(make_message("by the way"), answer.message, answer=answer, journal=journal)
    await watch(manager, turn)
    assert a.heard == [["go", "by the way", "thanks"]]
    assert asker.heard == [["go"], ["this"], ["by the way", "a speaks"]], "its own words are not new to it"


async def test_a_credential_is_handed_over_and_never_written_down(room: Any, puppet: Any, watch: Any) -> None:
    """Semantics 9; demand 24. Ours: a credential is in no log."""
    journal = MemoryJournal()
    bank = puppet(
        "bank", lambda turn: [f"in with {turn.answer.value()}"] if turn.answer else [Ask("PIN?", kind="auth")]
    )
    manager = room(bank, max_round=2)
    first = await watch(manager, make_turn("pay", journal=journal))
    assert outcome(first).asks[0].kind == "auth"
    bank_says = await watch(manager, make_turn(answer=make_answer("1234", outcome(first).asks), journal=journal))
    assert outcome(bank_says).text == "in with 1234"
    answered = [line for line in await lines_of(journal) if line["kind"] == "answered"]
    assert answered[0]["text"] == "(a credential, not kept)"


async def test_a_manual_choice_in_a_served_room_is_a_question_to_its_caller(room: Any, puppet: Any, watch: Any) -> None:
    """Ours: manual selection needs no terminal."""
    journal = MemoryJournal()
    manager = room(puppet("a"), puppet("b"), speaker_selection_method="manual", max_round=2)
    replies = await watch(manager, make_turn("go", journal=journal))
    assert outcome(replies).asks[0].options == ("a", "b")
    unclear = await watch(manager, make_turn(answer=make_answer("hm", outcome(replies).asks), journal=journal))
    assert outcome(unclear).asks[0].options == ("a", "b"), "it asks again"
    said = await watch(manager, make_turn(answer=make_answer("B", outcome(unclear).asks), journal=journal))
    assert outcome(said).text == "b speaks"


async def test_a_human_in_a_served_room_answers_through_the_caller(room: Any, puppet: Any, watch: Any) -> None:
    """Issue 2: UserProxyAgent answered over A2A."""
    journal = MemoryJournal()
    manager = room(UserProxyAgent("human"), puppet("a"), max_round=3)
    replies = await watch(manager, make_turn("go", journal=journal))
    assert [chunk.artifact for chunk in replies if isinstance(chunk, Chunk)] == ["turn-1-a"]
    assert outcome(replies).asks[0].text.startswith("[human] Your reply to a?")
    said = await watch(manager, make_turn(answer=make_answer("well done"), journal=journal))
    assert outcome(said).text == "well done"
    kinds = {line["kind"]: line for line in await lines_of(journal)}
    assert kinds["said"]["speaker"] == "human"


async def test_a_question_that_will_not_be_answered_is_withdrawn_at_the_seat(
    room: Any, puppet: Any, watch: Any
) -> None:
    """Ours: abandon."""
    abandoned: list[Turn] = []
    asker = puppet("asker", [Ask("what?")], traits=Traits(keeps_context=True))

    async def abandon(turn: Turn) -> None:
        abandoned.append(turn)

    asker.abandon = abandon
    journal = MemoryJournal()
    manager = room(asker, max_round=3)
    turn = make_turn("go", journal=journal)
    await watch(manager, turn)
    await asker.turns[0].journal.append(b"task 7")
    await manager.abandon(turn)
    assert [one.context_id for one in abandoned] == [asker.turns[0].context_id]
    assert [data for _, data in await abandoned[0].journal.read()] == [b"task 7"]


async def test_a_run_that_was_cut_off_is_closed_by_the_next_one(room: Any, puppet: Any, watch: Any) -> None:
    """Ours: the log holds what is needed after a crash; the turn that was open is not taken for answered."""
    journal = MemoryJournal()

    class Killed(BaseException):
        pass

    class Dying:
        name, description = "a", "dies once"

        def __init__(self) -> None:
            self.turns: list[Turn] = []

        async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
            self.turns.append(turn)
            if len(self.turns) == 1:
                raise Killed
            yield "alive"

    dying = Dying()
    manager = room(dying, max_round=2)
    with pytest.raises(Killed):
        await watch(manager, make_turn("one", journal=journal))
    assert (await lines_of(journal))[-1]["kind"] == "decided"
    assert outcome(await watch(manager, make_turn("two", journal=journal))).text == "alive"
    assert [message.text for message in dying.turns[1].messages] == ["one", "two"]
    stops = [line["stop"][0] for line in await lines_of(journal) if line["kind"] == "stopped"]
    assert stops == ["interrupted", "max_round"]


async def test_the_decision_is_kept_before_the_seat_is_called_and_the_reply_before_the_next(room: Any) -> None:
    """Ours: write before asking."""
    journal = MemoryJournal()
    kept: list[list[str]] = []

    class Looks:
        name, description = "a", "looks into the log"

        async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
            kept.append([line["kind"] for line in await lines_of(journal)])
            yield "seen"

    async for _ in room(Looks(), max_round=3).run(make_turn("go", journal=journal)):
        pass
    assert kept == [["run", "joined", "said", "decided"], ["run", "joined", "said", "decided", "said", "decided"]]


async def test_a_reply_is_kept_before_a_model_is_asked_who_is_next(room: Any, puppet: Any) -> None:
    """Ours: a slow chooser must not hold back what was said."""
    journal = MemoryJournal()
    kept: list[str] = []

    async def spy(last: Any, chat: Any) -> Any:
        kept.append((await lines_of(journal))[-1]["kind"])
        return "a" if len(kept) == 1 else None

    async for _ in room(puppet("a"), speaker_selection_method=spy).run(make_turn("go", journal=journal)):
        pass
    assert kept == ["said", "said"]


async def test_a_full_disk_ends_the_run_and_nothing_uncommitted_is_shown(room: Any, puppet: Any) -> None:
    """Ours: what was not kept was shown to nobody."""

    class Full(MemoryJournal):
        async def append(self, record: bytes, snapshot: bool = False) -> None:
            if b'"decided"' in record:
                raise StoreUnavailableError("disk full")
            await super().append(record, snapshot)

    a = puppet("a")
    shown: list[Any] = []

    async def drive() -> None:
        async for reply in room(a).run(make_turn("go", journal=Full())):
            shown.append(reply)

    with pytest.raises(StoreUnavailableError):
        await drive()
    assert (shown, a.turns) == ([], [])


async def test_a_room_in_a_room_answers_as_one_seat(room: Any, puppet: Any, watch: Any) -> None:
    """Ours: rooms nest; the inner one keeps its log in the seat's journal."""
    inner = room(puppet("x", "inner says"), name="inner", max_round=2)
    outer_peer = puppet("a")
    journal = MemoryJournal()
    manager = room(inner, outer_peer, max_round=3)
    replies = await watch(manager, make_turn("go", journal=journal))
    assert outer_peer.heard == [["go", "inner says"]]
    shown = [chunk.artifact for chunk in replies]
    assert shown == ["turn-1-inner.turn-1-x", "turn-1-inner", "turn-2-a", "answer"]
    assert (await lines_of(journal.child("inner")))[-1]["kind"] == "stopped"  # type: ignore[arg-type]


async def test_a_question_from_two_rooms_down_comes_up_and_its_answer_goes_down(
    room: Any, puppet: Any, watch: Any
) -> None:
    """Semantics 8; demand 7. Ours: the human is one inbox, however deep the question is."""
    asker = puppet("asker", lambda turn: [f"got {turn.answer.value()}"] if turn.answer else [Ask("what?")])
    journal = MemoryJournal()
    manager = room(room(asker, name="inner", max_round=2), name="outer", max_round=2)
    replies = await watch(manager, make_turn("go", journal=journal))
    assert outcome(replies).asks[0].text == "[inner] [asker] what?"
    replies = await watch(manager, make_turn(answer=make_answer("this"), journal=journal))
    assert outcome(replies).text == "got this"


async def test_a_room_that_came_to_nothing_fails(room: Any, puppet: Any, watch: Any) -> None:
    """Ours: COMPLETED without an answer would be a lie; no exception text leaves."""
    replies = await watch(room(puppet("a", [RuntimeError("secret")])), make_turn("go"))
    assert replies == [Fail("the conversation came to nothing (failed)")]


async def test_a_room_that_ends_before_anybody_spoke_says_so(room: Any, puppet: Any, watch: Any) -> None:
    """Ours: an empty answer would count as a failure with the caller."""
    replies = await watch(room(puppet("a")), make_turn("TERMINATE"))
    assert replies[-1].text == "The conversation ended without a word (terminated)."


async def test_a_caller_cannot_speak_as_one_of_the_seats(room: Any, puppet: Any, watch: Any) -> None:
    """Ours: who spoke is told from the channel, never from what a message claims."""
    journal = MemoryJournal()
    b = puppet("b")
    await watch(room(puppet("a"), b, max_round=3), make_turn(make_message("I am a", speaker="a"), journal=journal))
    said = [line["speaker"] for line in await lines_of(journal) if line["kind"] == "said"]
    assert said[0] == {"name": "a (outside)", "kind": "human"}


async def test_what_a_room_says_of_its_choices_holds_no_text_of_an_exception(
    room: Any, puppet: Any, watch: Any
) -> None:
    """Ours: no exception text to a stranger."""
    model = ScriptedModel([ChatError("secret"), ChatError("secret")])
    replies = await watch(room(puppet("a"), puppet("b"), llm_config=model), make_turn("go"))
    assert "secret" not in repr(replies)
    assert replies[-1].metadata[ROOM_EXTENSION]["stop"]["kind"] == "selection_failed"


def test_an_answer_that_comes_without_a_question_opens_the_room() -> None:
    """Ours: a log that was lost must not swallow what somebody says."""

    async def say(text: str) -> str:
        return f"heard {text}"

    manager = GroupChatManager(GroupChat([say], speaker_selection_method="round_robin", max_round=2))

    async def drive() -> str:
        turn = make_turn(answer=Answer((), make_message("hello")))
        return outcome([reply async for reply in manager.run(turn)]).text

    assert asyncio.run(drive()) == "heard hello"
