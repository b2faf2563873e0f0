"""A server with webhooks that a fault test starts as a process and kills: `python pushing.py STORE PORT`."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from typing import Any

from a2a_bridge.agent import Traits
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.guard import Guard
from a2a_bridge.listen import Listening, run_server
from a2a_bridge.server.limits import Limits
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.tasks.push import Push
from a2a_bridge.testing.agents import Scripted

EVENTS = 40


async def count(turn: Any) -> AsyncGenerator[Any, None]:
    """Says numbers, some of them at once."""
    for number in range(EVENTS):
        yield f"{turn.attempt}.{number} "
        if number % 8 == 7:
            await asyncio.sleep(0.01)  # the agent under test


if __name__ == "__main__":
    path, port = sys.argv[1], int(sys.argv[2])
    agent = Scripted(count, traits=Traits(after_crash="restartable"))
    options = Options(push=Push(Guard(loopback=True)))
    bridge = Bridge({"count": agent}, store=SQLiteStore(path), limits=Limits(grace=0.3), options=options)
    run_server(bridge, Listening(port=port, log_level="warning"))
