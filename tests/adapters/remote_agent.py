"""An agent behind a server, for the tests of what puts it inside a framework."""

import asyncio
from collections.abc import AsyncIterator
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
