"""Agents for tests: any behaviour, with any traits, and points at which a test holds them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing

from a2a_bridge.agent import (
    Ask,
    Chunk,
    Fail,
    Progress,
    Refuse,
    Reply,
    Say,
    ToolCall,
    ToolResult,
    Traits,
    Turn,
    Usage,
)  # fmt: skip
from a2a_bridge.protocol.objects import Part

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


class Obedient(Scripted):
    """An agent that does what the first word of the message says; any other word is echoed.

    `gate` is where `wait` stands; what it said before is "before ", what it says after is "after".
    """

    def __init__(self, *, name: str = "obedient", traits: Traits = Traits()) -> None:
        super().__init__(self._obey, name=name, description="Does what the first word says.", traits=traits)
        self.gate = Gate()

    async def _obey(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        word = turn.text.partition(" ")[0]
        if word == "wait":
            yield "before "
            await self.gate()
            yield "after"
        elif word == "crash":
            yield "so far"
            raise RuntimeError("secret words of a stack trace")
        else:
            for reply in _answers(word, turn):
                yield reply


def _answers(word: str, turn: Turn) -> Iterator[Reply | str]:
    if word == "tokens":
        yield from ("one ", "two ", "three")
    elif word == "direct":
        yield Say("directly", direct=True)
    elif word == "ask":
        yield Chunk("so far", artifact="notes")
        yield Ask("Which colour?", options=("red", "blue"))
    elif word == "auth":
        yield Ask("Log in first.", kind="auth")
    elif word == "fail":
        yield Fail("no more paint")
    elif word == "refuse":
        yield Refuse("not my job")
    elif word == "files":
        data = Part(data={"n": 1, "list": [True, None]})
        yield Chunk("words", (data, Part(raw=b"\x00\xff", filename="a.bin", media_type="image/png")), artifact="files")
        yield Chunk(parts=(Part(url="https://example.org/b"),), artifact="files", last=True, name="Files")
        yield Say("two files")
    elif word == "tools":
        yield Progress("looking it up")
        yield ToolCall("c1", "look_up", {"word": "x"})
        yield ToolResult("c1", ["y"])
        yield Usage(10, 5, 0.25, "m-1")
        yield "found y"
    else:
        yield f"echo: {turn.text}"
