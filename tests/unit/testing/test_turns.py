"""Turns without a server."""

from collections.abc import AsyncGenerator

from a2a_bridge.agent import Ask, Reply, Turn, speaker_of
from a2a_bridge.protocol.objects import Role
from a2a_bridge.testing.turns import MemoryTurns, Talk, make_answer, make_message, make_turn, replies_of


class Asks:
    """Asks once, then tells the answer and how much was said before."""

    name = "asks"
    description = "Asks."

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        if turn.answer is None:
            yield "wait"
            yield Ask("what?", id="1")
        else:
            yield f"{turn.answer.value()} after {len(await turn.history())}"


async def test_a_turn_has_messages_history_and_a_journal() -> None:
    """Architecture §1.1."""
    turn = make_turn("one", make_message("two", speaker="ada"), history=[make_message("a"), make_message("b")])
    assert turn.text == "one\ntwo"
    assert speaker_of(turn.messages[1]) == "ada"
    assert [message.text for message in await turn.history()] == ["a", "b"]
    assert [message.text for message in await turn.history(1)] == ["b"]
    assert list(await turn.history(0)) == []
    await turn.journal.append(b"kept")
    assert [record.data for record in await turn.journal.read()] == [b"kept"]


async def test_interjections_come_in_order() -> None:
    """Architecture §1.1."""
    source = MemoryTurns(interjections=[make_message("a"), make_message("b")])
    assert [message.text async for message in source.interjections()] == ["a", "b"]


async def test_a_talk_answers_a_pause_with_its_next_message() -> None:
    """Ours: driven as a server would."""
    talk = Talk(Asks())
    await talk.say("hello")
    assert await talk.say("this") == ["this after 2"]
    assert [(message.role, message.text) for message in talk.history] == [
        (Role.USER, "hello"),
        (Role.AGENT, "wait\nwhat?"),
        (Role.USER, "this"),
        (Role.AGENT, "this after 2"),
    ]
    await talk.say("hello")
    assert await talk.say("", {"a": 1}) == ["{'a': 1} after 6"]


async def test_an_answer_alone_makes_a_turn() -> None:
    """Ours: `make_answer` is a text or data."""
    asked = Ask("which?", options=("red", "blue"))
    turn = make_turn(answer=make_answer("Blue.", [asked]))
    assert turn.answer
    assert turn.answer.option() == "blue"
    assert turn.text == "Blue."
    assert await replies_of(Asks(), make_turn(answer=make_answer(3))) == ["3 after 0"]
