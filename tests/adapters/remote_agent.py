"""An agent behind a server, for the tests of what puts it inside a framework."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from a2a_bridge.agent import Ask, Chunk, Progress, Traits, Turn, Usage
from a2a_bridge.protocol.objects import Part


class Remote:
    """Does what it is told, and keeps what it has been told."""

    name = "critic"
    description = "Criticises."
    traits = Traits(input_modes=("text/plain", "image/png"))

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.at_work = asyncio.Event()
        self.stopped = asyncio.Event()

    async def run(self, turn: Turn) -> AsyncIterator[Any]:
        """WAIT, ASK, BREAK and DATA in the text are directives; an answer is repeated; else it says what it heard."""
        self.turns.append(turn)
        text = turn.text
        if "WAIT" in text:
            self.at_work.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.stopped.set()
        elif "ASK" in text:
            yield Ask("Shall I?", options=("yes", "no"))
        elif turn.answer:
            yield f"You said {turn.answer.option()}."
        elif "BREAK" in text:
            raise RuntimeError("a secret")
        else:
            yield Progress("thinking")
            yield "I heard "
            yield f"{len(turn.messages[0].parts)}: {text}"
            yield Usage(3, 4)
            if "DATA" in text:
                yield Chunk(parts=(Part(data={"a": 1}), Part(raw=b"file", media_type="application/pdf")))


class Talkative(Remote):
    """Knows more: words before it WAITs, TWICE asked, data and nothing else, pictures, corrections."""

    traits = Traits(input_modes=("text/plain", "application/json", "image/png", "application/pdf"))

    async def run(self, turn: Turn) -> AsyncIterator[Any]:
        """As its class says."""
        text, asks = turn.text, turn.answer.asks if turn.answer else ()
        if len(asks) == 1 or any(word in text for word in ("WAIT", "ASK", "BREAK")):
            if "words" in text:
                yield "words"
            if "USED" in text or asks:
                yield Usage(1, 1)
            async with aclosing(super().run(turn)) as replies:  # type: ignore[type-var]  # it is a generator
                async for reply in replies:
                    yield reply
            return
        self.turns.append(turn)
        if asks:
            yield " and ".join(str(turn.answer.value(ask.id)) for ask in asks if turn.answer)
        elif "TWICE" in text:
            yield Ask("First?", id="a")
            yield Ask("Second?", id="b")
        elif "ONLY DATA" in text:
            yield Chunk(parts=(Part(data={"a": 1}),))
        else:
            yield Progress("thinking")
            yield "I heard: "
            await asyncio.sleep(0)
            yield text
            yield Usage(3, 4)
            for word, chunk in _ADDED.items():
                if word in text:
                    yield chunk


_ADDED = {
    "SOME DATA": Chunk(parts=(Part(data={"a": 1}),)),
    "DRAW": Chunk(parts=(Part(raw=b"\x89PNG", media_type="image/png"),)),
    "CORRECT": Chunk("something else", append=False),
}
