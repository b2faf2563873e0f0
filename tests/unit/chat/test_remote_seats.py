"""Seats behind A2A: real servers in process, a real client, one room."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from a2a_bridge.adaptation import FunctionAgent
from a2a_bridge.agent import Ask, Caller, Reply, Traits, Turn, outcome, speaker_of
from a2a_bridge.bridge import Bridge
from a2a_bridge.chat.entry import Entry
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.seat import OnFailure, Seat
from a2a_bridge.client.client import Retries
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.protocol.objects import Part
from a2a_bridge.store.journal import MemoryJournal
from a2a_bridge.testing.transport import AppTransport
from a2a_bridge.testing.turns import make_answer, make_turn


@pytest.fixture
def remote(start: Any) -> Any:
    """Serve an agent in process and give a RemoteAgent for it."""

    async def served(agent: Any, **words: Any) -> RemoteAgent:
        bridge = Bridge([agent], public_url="http://agents.test")
        await start(bridge)
        return RemoteAgent("http://agents.test/", transport=AppTransport(bridge.app), **words)

    return served


class Watched:
    """An agent that keeps the turns it was given."""

    description = "Watches."

    def __init__(self, name: str, **traits: Any) -> None:
        self.name = name
        self.turns: list[Turn] = []
        self.traits = Traits(framework="watching", **traits)

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        self.turns.append(turn)
        yield f"{self.name} "
        yield str(len(self.turns))


async def test_a_remote_seat_gets_what_is_new_attributed_in_one_context(remote: Any, room: Any, puppet: Any) -> None:
    """Semantics 1, 3 and 5; demands 10, 11 and 14. Ours: measured at the remote agent."""
    watched = Watched("archivist")
    a, b = puppet("a"), puppet("b")
    result = await room(a, b, await remote(watched), max_round=7).chat("task")
    texts = [[part.text for message in turn.messages for part in message.parts] for turn in watched.turns]
    assert texts == [["[user] task", "[a] a speaks", "[b] b speaks"], ["[a] a speaks", "[b] b speaks"]]
    speakers = [[speaker_of(part) for part in turn.messages[0].parts] for turn in watched.turns]
    assert speakers == [["user", "a", "b"], ["a", "b"]]
    assert len({turn.context_id for turn in watched.turns}) == 1
    assert len({turn.task_id for turn in watched.turns}) == 2
    assert [turn.hops for turn in watched.turns] == [1, 1]
    said = [entry.speaker for entry in result.entries if entry.kind == "said"]
    assert said[3] is not None
    assert (said[3].name, said[3].kind, said[3].framework) == ("archivist", "remote", "watching")
    assert said[3].endpoint == "http://agents.test/"
    assert "agents.test" not in repr(result.messages), "where a seat lives is not told to the others"


async def test_what_a_remote_seat_does_not_take_is_named_to_it(remote: Any, room: Any) -> None:
    """R-SEND-07. README: a picture in the room would have its agent refuse all that is new, turn by turn."""

    def painter(turn: Turn) -> list[Part]:
        drawn = Part(raw=b"png", media_type="image/png", filename="map.png")
        return [
            drawn,
            Part(text="*wide*", media_type="text/markdown"),
            Part(data={"a": 1}, media_type="application/x-a"),
        ]

    plain, seeing = Watched("plain"), Watched("seeing", input_modes=("text/plain", "image/*", "text/markdown"))
    result = await room(painter, await remote(plain), max_round=3).chat("go")
    assert [said.text for said in result.messages][-1] == "plain 1", result.messages
    told = [part for message in plain.turns[0].messages for part in message.parts][1:]
    assert [part.text for part in told] == ["[painter] [map.png: image/png]", "*wide*", '{"a":1}']
    assert [(part.media_type, speaker_of(part)) for part in told] == [(None, "painter")] * 3
    await room(painter, await remote(seeing), max_round=3).chat("go")
    told = [part for message in seeing.turns[0].messages for part in message.parts][1:]
    assert [(part.media_type, part.kind) for part in told] == [
        ("image/png", "raw"), ("text/markdown", "text"), (None, "text"),
    ]  # fmt: skip


async def test_words_of_a_remote_seat_stream_through(remote: Any, room: Any) -> None:
    """Issue 2: token by token."""
    manager = room(await remote(Watched("archivist")), max_round=2)
    shown = [one.text async for one in manager.stream("task") if not isinstance(one, Entry)]
    assert "".join(shown) == "archivist 1"


async def test_a_question_of_a_remote_agent_comes_up_and_is_answered_in_the_same_task(
    remote: Any, room: Any, puppet: Any, watch: Any
) -> None:
    """Semantics 4 and 8; demand 12. Ours: the answer finds its way to the task that asked."""
    tasks: list[Any] = []

    async def plan(turn: Turn) -> Any:
        tasks.append(turn.task_id)
        return f"off to {turn.answer.value()}" if turn.answer else Ask("Where to?")

    planner = await remote(FunctionAgent(plan, name="planner", description="Plans."))
    manager = room(puppet("a"), planner, max_round=3)
    journal = MemoryJournal()
    asks = outcome(await watch(manager, make_turn("go", journal=journal))).asks
    assert [ask.text for ask in asks] == ["[planner] Where to?"]
    replies = await watch(manager, make_turn(answer=make_answer("Paarl", asks), journal=journal))
    assert outcome(replies).text == "off to Paarl"
    assert len(tasks) == 2
    assert len(set(tasks)) == 1


async def test_cancelling_the_room_cancels_the_remote_task(remote: Any, room: Any) -> None:
    """Semantics 10; demand 15. Issue 2: cancel goes through."""
    started, cancelled = asyncio.Event(), asyncio.Event()

    class Slow(Watched):
        async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
            yield "hold on"
            started.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    manager = room(await remote(Slow("slow")), max_round=2)
    task = asyncio.create_task(manager.chat("go"))
    await asyncio.wait_for(started.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(cancelled.wait(), 5)


@pytest.mark.parametrize("trouble", ["raises", "says nothing"])
async def test_a_remote_turn_that_fails_or_is_empty_is_told_to_the_room(
    remote: Any, room: Any, puppet: Any, trouble: str
) -> None:
    """Semantics 11; demand 17. Issue 2: a failed, canceled or empty answer is handled and the room is told."""

    async def bad(text: str) -> None:
        if trouble == "raises":
            raise RuntimeError("secret")

    a = puppet("a")
    seat = await remote(FunctionAgent(bad, name="bad", description="Bad."))
    result = await room(seat, a, max_round=3).chat("go")
    assert a.heard[0][1].startswith("bad ")
    assert "The conversation goes on" in a.heard[0][1]
    assert "secret" not in a.heard[0][1]
    assert result.stop.kind == "max_round"


async def test_an_endpoint_that_is_gone_is_told_to_the_room(room: Any, puppet: Any) -> None:
    """Ours: connection refused is one failed turn."""
    gone = RemoteAgent("http://127.0.0.1:9/", name="gone", retries=Retries(times=0))
    a = puppet("a")
    result = await room(gone, a, min_seats=2, max_round=3).chat("go")
    failed = [entry for entry in result.entries if entry.kind == "failed"]
    assert len(failed) == 1, "the client has tried as often as it should"
    assert failed[0].text.startswith("gone could not be reached: cannot connect to its address")
    assert failed[0].text.endswith("Connection refused. The conversation goes on without that answer.")
    assert "127.0.0.1" not in failed[0].text
    assert result.stop.detail.startswith(
        "1 of 2 seats can answer, 2 are needed: gone could not be reached: cannot connect to http://127.0.0.1:9/"
    )


async def test_who_asks_for_reruns_of_an_endpoint_that_is_gone_gets_them(room: Any, puppet: Any) -> None:
    """Ours: no option is silently ignored."""
    gone = RemoteAgent("http://127.0.0.1:9/", name="gone", retries=Retries(times=0))
    result = await room(Seat(gone, on_failure=OnFailure(rerun=1)), puppet("a"), max_round=3).chat("go")
    assert len([entry for entry in result.entries if entry.kind == "failed"]) == 2


async def test_a_url_takes_a_seat(room: Any, puppet: Any) -> None:
    """Ours: a URL becomes a RemoteAgent."""
    seat = Seat("https://me:secret@agents.example/critic?key=secret", name="critic")
    assert seat.endpoint == "https://agents.example/critic"
    assert isinstance(seat.agent, RemoteAgent)
    assert GroupChat([seat, "https://agents.example/other"], speaker_selection_method="random").seats[1].endpoint


async def test_a_served_room_is_an_agent_in_another_room(remote: Any, room: Any, puppet: Any) -> None:
    """Semantics 19. Issue 2: a room is an agent; rooms nest over the wire."""
    inner = room(puppet("x", "from inside"), name="inner", max_round=2)
    a = puppet("a")
    result = await room(await remote(inner), a, max_round=3).chat("go")
    assert a.heard == [["go", "from inside"]]
    assert result.decisions[0].chosen == "inner"


async def test_callers_of_a_served_room_over_the_wire_are_kept_apart(remote: Any) -> None:
    """Issue 2: 50 at once, through the whole path."""

    async def echo(turn: Turn) -> str:
        past = await turn.history()
        return " | ".join(message.text for message in [*past, *turn.messages])

    chat = GroupChat(
        [FunctionAgent(echo, name="echo", description="E.")], speaker_selection_method="round_robin", max_round=2
    )
    agent = await remote(GroupChatManager(chat))

    async def call(number: int) -> str:
        turn = make_turn(f"task {number}", context_id=f"context-{number}", caller=Caller(f"c{number}"))
        return outcome([reply async for reply in agent.run(turn)]).text

    async with asyncio.timeout(30):
        answers = await asyncio.gather(*(call(number) for number in range(50)))
    assert answers == [f"task {number}" for number in range(50)]
