"""A server that the fault tests start as a process and kill: `python served.py STORE PORT`."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

from a2a_bridge.agent import Ask, Chunk, Traits
from a2a_bridge.bridge import Bridge
from a2a_bridge.listen import Listening, run_server
from a2a_bridge.server.limits import Limits
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.testing.agents import Scripted

FOREVER = 100_000


async def count(turn: Any) -> AsyncGenerator[Any, None]:
    """Says numbers, a hundred a second; the second attempt says five and ends."""
    for number in range(FOREVER if turn.attempt == 1 else 5):
        yield f"{turn.attempt}.{number} "
        if turn.attempt == 1:
            await asyncio.sleep(0.01)  # the agent under test


async def flood(turn: Any) -> AsyncGenerator[Any, None]:
    """A lot of bytes at once, each piece in place of the one before."""
    yield "begin"
    for _ in range(200):
        yield Chunk("x" * 100_000, append=False)
        await asyncio.sleep(0.001)  # the agent under test


async def talk(turn: Any) -> AsyncGenerator[Any, None]:
    """Asks, or echoes."""
    if turn.text == "ask":
        yield Ask("Which colour?")
    else:
        yield f"echo: {turn.text}"


AGENTS = {
    "once": Scripted(count),
    "again": Scripted(count, traits=Traits(after_crash="restartable")),
    "flood": Scripted(flood),
    "talk": Scripted(talk, traits=Traits(keeps_context=True)),
}

if __name__ == "__main__":
    path, port = sys.argv[1], int(sys.argv[2])
    limits = Limits(grace=0.3, send=2.5)
    bridge = Bridge(AGENTS, root="talk", store=SQLiteStore(path), public_url=f"http://127.0.0.1:{port}", limits=limits)
    run_server(bridge, Listening(port=port, log_level="warning"))
