"""Agents that the command line tests serve in a process of their own."""

import asyncio
from collections.abc import AsyncIterator

from a2a_bridge.agent import Ask, Chunk, Fail, Progress, Reply, Say, Turn
from a2a_bridge.protocol.objects import Part


async def echo(text: str) -> AsyncIterator[str]:
    """Says it again."""
    for word in text.split(" "):
        yield f"{word} "


async def asks(turn: Turn) -> AsyncIterator[Reply | str]:
    """Asks for a name."""
    if turn.answer is None:
        yield Ask("What is your name?")
    else:
        yield f"Hello {turn.answer.message.text}"


async def decides(turn: Turn) -> AsyncIterator[Reply | str]:
    """Asks for yes or no until it is told one."""
    word = turn.answer.option() if turn.answer is not None else None
    if word is None:
        yield Ask("May pay be called?", options=("yes", "no"))
    else:
        yield f"{word} it is"


async def slow(turn: Turn) -> AsyncIterator[str]:
    """Begins, and never ends."""
    yield "began"
    await asyncio.Event().wait()


async def direct(turn: Turn) -> AsyncIterator[Reply]:
    """Answers without a task."""
    yield Say("hi", direct=True)


async def fails(turn: Turn) -> AsyncIterator[Reply]:
    """Fails."""
    yield Progress("trying")
    yield Fail("no luck")


async def parts(turn: Turn) -> AsyncIterator[Reply]:
    """Gives back the parts it got, and one of each kind."""
    message = turn.messages[-1]
    yield Chunk(parts=message.parts, artifact="given", name="What came")
    yield Chunk(
        parts=(
            Part(text="one\ntwo\x1b[31m red\u202e"),
            Part(data={"b": [1, None]}),
            Part(raw=b"\x00\x01", filename="x.bin", media_type="application/octet-stream"),
            Part(url="https://files.example/y.png", media_type="image/png"),
        ),
        artifact="mixed",
    )


async def metadata(turn: Turn) -> AsyncIterator[Reply]:
    """Shows the metadata of the request."""
    yield Chunk(parts=(Part(data=dict(turn.metadata)),))
