"""A function becomes an A2A endpoint, and a client talks to it: the smallest whole circle, on loopback.

Run it: python examples/publish_a_function.py
"""

import asyncio
from collections.abc import AsyncIterator

from a2a_bridge import Client, Turn
from a2a_bridge.bridge import Bridge
from a2a_bridge.testing.server import running


async def counter(turn: Turn) -> AsyncIterator[str]:
    """Counts the words of what it is told, one at a time."""
    for number, word in enumerate(turn.text.split(), 1):
        yield f"{number} {word}\n"


async def main() -> None:
    async with running(lambda url: Bridge(counter, public_url=url)) as url, Client(url) as client:
        card = await client.card()
        print(f"{card.name}: {card.description}")
        async for event in client.stream("every agent is an endpoint"):
            print(type(event).__name__)
        task = await client.send("and every endpoint is an agent")
        print(task.text)


asyncio.run(main())
