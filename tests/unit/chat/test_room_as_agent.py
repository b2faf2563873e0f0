"""A room behind A2A, on real HTTP: what a plain client sees, cancel down to every seat, rooms within rooms."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from a2a_bridge.agent import Reply, Turn, speaker_in
from a2a_bridge.bridge import Bridge
from a2a_bridge.chat.breaker import Breaker
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.seat import Seat
from a2a_bridge.client.client import Client
from a2a_bridge.client.sending import SendOptions
from a2a_bridge.protocol.objects import Task, TaskArtifactUpdateEvent, TaskState
from a2a_bridge.testing.agents import Gate, Scripted
from a2a_bridge.testing.server import free_socket, running


@pytest.fixture
async def serve() -> AsyncIterator[Any]:
    """Serve an agent, or several, on a port of its own; gives the URL."""
    Breaker.reset()
    async with AsyncExitStack() as stack:

        async def served(*agents: Any, bound: Any = None) -> str:
            made = list(agents) if len(agents) > 1 else agents[0]
            return await stack.enter_async_context(running(lambda url: Bridge(made, public_url=url), bound))

        yield served
    Breaker.reset()


def speaks(name: str, *words: str) -> Scripted:
    async def run(turn: Turn) -> AsyncGenerator[Reply | str, None]:
        for word in words or (f"{name} speaks",):
            yield word

    return Scripted(run, name=name, description=f"{name}.")


class Hangs(Scripted):
    """Speaks until it is cancelled."""

    def __init__(self, name: str) -> None:
        self.gate = Gate()
        super().__init__(self._hang, name=name, description="Hangs.")

    async def _hang(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        yield "well, "
        await self.gate()


def board(*seats: Any, name: str = "board", **rules: Any) -> GroupChatManager:
    rules.setdefault("speaker_selection_method", "round_robin")
    return GroupChatManager(GroupChat(list(seats), **rules), name=name)


async def test_a_plain_client_reads_every_speaker_and_the_answer(serve: Any) -> None:
    """Semantics 19: one task per question, an artifact per speaker, the answer as artifact `answer`."""
    researcher, critic = speaks("researcher", "three ", "trends"), speaks("critic", "why?")
    url = await serve(researcher, critic, board(researcher, critic, max_round=3))
    async with Client(f"{url}/board/") as client:
        events = [event async for event in client.stream("which trends?")]
        task = await client.get(_task_of(events).id)
        again = await client.send("and then?", context_id=task.context_id)
    told = [
        (speaker_in(event.artifact.metadata)["name"], event.artifact.parts[0].text)
        for event in events
        if isinstance(event, TaskArtifactUpdateEvent)
    ]
    assert told[-1] == ("board", "why?")
    assert {name for name, _ in told} == {"researcher", "critic", "board"}
    kept = {artifact.artifact_id: artifact.text for artifact in task.artifacts or ()}
    assert kept == {"turn-1-researcher": "three trends", "turn-2-critic": "why?", "answer": "why?"}
    assert task.status.state is TaskState.COMPLETED
    assert isinstance(again, Task)
    assert again.id != task.id, "one task per question"
    for name in ("researcher", "critic"):
        async with Client(f"{url}/{name}/") as client:
            assert (await client.card()).name == name, "one card per agent; a room is an agent too"


def _task_of(events: list[Any]) -> Task:
    return next(event for event in events if isinstance(event, Task))


async def test_cancel_goes_down_to_every_seat_also_parallel_and_remote(serve: Any) -> None:
    """Semantics 10, demand 15: the tasks of all seats end CANCELED, two at once, one of them in a room within."""
    far, deep, near = Hangs("far"), Hangs("deep"), Hangs("near")
    far_url = await serve(far)
    inner_url = await serve(board(Seat(await serve(deep), name="deep"), name="inner"))
    outer = board(
        Seat(far_url, name="far"), Seat(inner_url, name="inner"), near, speaker_selection_method="all", name="outer"
    )
    async with Client(await serve(outer)) as client:
        task = await client.send("go", options=SendOptions(return_immediately=True))
        assert isinstance(task, Task)
        for seat in (far, deep, near):
            await seat.gate.reached()
        canceled = await client.cancel(task.id)
        assert canceled.status.state is TaskState.CANCELED
    for url in (far_url, inner_url):
        async with Client(url) as client:
            [left] = [task async for task in _ended(client)]
            assert left.status.state is TaskState.CANCELED


async def _ended(client: Client) -> AsyncIterator[Task]:
    """The tasks of a server once none of them works any more."""
    async with asyncio.timeout(5):
        while True:
            tasks = (await client.list()).tasks
            if tasks and all(task.status.state.is_terminal for task in tasks):
                break
            await asyncio.sleep(0)
    for task in tasks:
        yield task


async def test_rooms_nest_over_the_wire(serve: Any) -> None:
    """Issue 4, part 9: a room takes a seat by its URL, and its answer is that seat's words."""
    inner = await serve(board(speaks("x", "from the inside"), name="inner", max_round=2))
    middle = await serve(board(Seat(inner, name="inner"), name="middle", max_round=2))
    heard: list[str] = []

    async def listens(turn: Turn) -> AsyncGenerator[Reply | str, None]:
        heard.append(turn.text)
        yield "heard"

    result = await board(Seat(middle, name="middle"), Scripted(listens, name="last"), max_round=3).chat("go")
    assert heard == ["go\nfrom the inside"]
    assert [entry.speaker.name for entry in result.entries if entry.kind == "said" and entry.speaker] == [
        "user", "middle", "last",
    ]  # fmt: skip


async def test_two_rooms_that_seat_each_other_stop(serve: Any) -> None:
    """Issue 4, part 9, demand 4: a hop limit of 8, and the loop ends."""
    sockets = free_socket(), free_socket()
    urls = [f"http://127.0.0.1:{bound.getsockname()[1]}" for bound in sockets]
    turns: list[int] = []

    async def counts(turn: Turn) -> AsyncGenerator[Reply | str, None]:
        turns.append(turn.hops)
        yield f"{turn.hops}"

    for at, name in enumerate(("left", "right")):
        other = Seat(urls[1 - at], name="other")
        await serve(board(other, Scripted(counts, name="counts"), name=name, max_round=3), bound=sockets[at])
    async with Client(urls[0]) as client:
        task = await asyncio.wait_for(client.send("go"), 30)
    assert isinstance(task, Task)
    assert task.status.state is TaskState.COMPLETED
    assert sorted(turns) == list(range(1, max(turns) + 1))
    assert max(turns) <= 9
