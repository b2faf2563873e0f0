"""An agent behind a server, for the tests of what puts it inside a framework."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from a2a_bridge.agent import Answer, Ask, Chunk, Progress, Reply, Traits, Turn, Usage
from a2a_bridge.protocol.objects import Part


class Remote:
    """Does what it is told, and keeps what it has been told."""

    name = "critic"
    description = "Criticises."
    traits = Traits(input_modes=("text/plain", "application/json", "image/png", "application/pdf"))

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.at_work = asyncio.Event()
        self.stopped = asyncio.Event()

    async def run(self, turn: Turn) -> AsyncIterator[Any]:
        """Says what it heard. Directives: WAIT, ASK, TWICE asked, BREAK, before them "words" and USED; ONLY DATA, SOME
        DATA, DRAW, PAPER, CORRECT. Answers are repeated."""
        self.turns.append(turn)
        text = turn.text
        if "words" in text:
            yield "words"
        if "USED" in text or turn.answer:
            yield Usage(1, 1)
        if "BREAK" in text:
            raise RuntimeError("a secret")
        if "WAIT" in text:
            self.at_work.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.stopped.set()
        alone = next((replies for word, replies in _ALONE.items() if word in text), None)
        for reply in alone or (_answered(turn.answer) if turn.answer else _heard(text)):
            yield reply
            await asyncio.sleep(0)


_ALONE: dict[str, tuple[Reply, ...]] = {
    "TWICE": (Ask("First?", id="a"), Ask("Second?", id="b")),
    "ASK": (Ask("Shall I?", options=("yes", "no")),),
    "ONLY DATA": (Chunk(parts=(Part(data={"a": 1}),)),),
}

_ADDED = {
    "SOME DATA": Chunk(parts=(Part(data={"a": 1}),)),
    "DRAW": Chunk(parts=(Part(raw=b"\x89PNG", media_type="image/png"),)),
    "PAPER": Chunk(parts=(Part(raw=b"file", media_type="application/pdf"),)),
    "CORRECT": Chunk("something else", append=False),
}


def _answered(answer: Answer) -> tuple[str]:
    if len(answer.asks) > 1:
        return (" and ".join(str(answer.value(ask.id)) for ask in answer.asks),)
    return (f"You said {answer.option()}.",)


def _heard(text: str) -> tuple[Reply | str, ...]:
    added = (chunk for word, chunk in _ADDED.items() if word in text)
    return (Progress("thinking"), "I heard: ", text, Usage(3, 4), *added)
