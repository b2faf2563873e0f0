"""Our client and our server with a bad line between them: connections cut after any number of bytes.

Failures 1, 2, 19 and 20: whatever is cut, the reader has every event once, in order.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import Turn, outcome
from a2a_bridge.bridge import Bridge
from a2a_bridge.client.client import Client, Retries
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.protocol.objects import Task, TaskArtifactUpdateEvent, TaskState, TaskStatusUpdateEvent
from a2a_bridge.testing.server import running
from a2a_bridge.testing.turns import make_turn

WORDS = [f"word-{number} " for number in range(60)]
TEXT = "".join(WORDS)


async def talks(turn: Turn) -> AsyncIterator[str]:
    """Says sixty words, now and then giving the loop away."""
    for number, word in enumerate(WORDS):
        yield word
        if number % 7 == 0:
            await asyncio.sleep(0)


class BadLine:
    """A TCP proxy that cuts each connection after some bytes of the answer; the last ones are left whole."""

    def __init__(self, cuts: list[int]) -> None:
        self.port = 0
        self._cuts = cuts
        self.connections = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self.port)
        forth = asyncio.create_task(self._forward(reader, their_writer, None))
        try:
            await self._forward(their_reader, writer, self._cuts.pop(0) if self._cuts else None)
        finally:
            forth.cancel()
            for end in (writer, their_writer):
                end.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int | None) -> None:
        try:
            while data := await reader.read(997):
                if left is not None and len(data) >= left:
                    writer.write(data[:left])
                    await writer.drain()
                    return
                left = None if left is None else left - len(data)
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass


@asynccontextmanager
async def bad_line(cuts: list[int]) -> AsyncIterator[tuple[str, BadLine]]:
    """Our server behind a bad line: the URL of the line, which the card names too."""
    line = BadLine(cuts)
    listening = await asyncio.start_server(line.carry, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        async with running(lambda _: Bridge(adapt(talks, name="talker"), public_url=url)) as behind:
            line.port = int(behind.rpartition(":")[2])
            yield url, line
    finally:
        listening.close()


def cuts_of(seed: int) -> list[int]:
    rolls = random.Random(seed)
    return [rolls.choice((1, 60, 200, 700, 1500, 3000, 6000)) + rolls.randrange(50) for _ in range(6)]


PATIENT = Retries(times=10, resumes=10, pause=0.0)


@pytest.mark.parametrize("seed", range(8))
async def test_a_stream_over_a_bad_line_is_whole(seed: int) -> None:
    """Every word once and in order; one task, however often the message was sent."""
    async with bad_line(cuts_of(seed)) as (url, line):
        client = Client(url, retries=PATIENT)
        text, state = "", None
        async with asyncio.timeout(20), aclosing(client.stream("go")) as events:
            async for event in events:
                if isinstance(event, Task):
                    text, state = event.text, event.status.state
                elif isinstance(event, TaskArtifactUpdateEvent):
                    text = (text if event.append else "") + event.artifact.text
                elif isinstance(event, TaskStatusUpdateEvent):
                    state = event.status.state
        assert text == TEXT
        assert state is TaskState.COMPLETED
        assert (await client.list()).total_size == 1
        assert line.connections > 1


@pytest.mark.parametrize("seed", range(8, 12))
async def test_a_turn_over_a_bad_line_is_whole(seed: int) -> None:
    """The same through `RemoteAgent`."""
    async with bad_line(cuts_of(seed)) as (url, _):
        agent = RemoteAgent(url, retries=PATIENT)
        async with asyncio.timeout(20), aclosing(agent.run(make_turn("go"))) as replies:
            assert outcome([reply async for reply in replies]).text == TEXT
