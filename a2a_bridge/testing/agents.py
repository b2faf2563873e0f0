"""Agents for tests: any behaviour, with any traits, and points at which a test holds them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from a2a_bridge.agent import Reply, Traits, Turn

Behaviour = Callable[[Turn], AsyncGenerator[Reply | str, None]]


class Scripted:
    """An agent made of an async generator function. `turns` keeps every turn it was given, for looking at."""

    def __init__(
        self,
        behaviour: Behaviour,
        *,
        name: str = "scripted",
        description: str = "Does what a test says.",
        traits: Traits = Traits(),
        on_abandon: Callable[[Turn], Awaitable[None]] | None = None,
    ) -> None:
        self.name = name
        self.description = description
        self.traits = traits
        self.turns: list[Turn] = []
        self._behaviour = behaviour
        self._on_abandon = on_abandon

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        self.turns.append(turn)
        async with aclosing(self._behaviour(turn)) as replies:
            async for reply in replies:
                yield reply

    async def abandon(self, turn: Turn) -> None:
        """What the test wants to happen then; nothing by default."""
        if self._on_abandon is not None:
            await self._on_abandon(turn)


class Gate:
    """A point that an agent reaches and that a test opens: `await gate()` in the agent."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._opened = asyncio.Event()

    async def __call__(self) -> None:
        self._reached.set()
        await self._opened.wait()

    async def reached(self) -> None:
        """Return when an agent stands at the gate; five seconds at most."""
        async with asyncio.timeout(5.0):
            await self._reached.wait()

    def open(self) -> None:
        """Let it, and all who come later, through."""
        self._opened.set()
