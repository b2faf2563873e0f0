"""Our server, as a user starts it: three functions given to `serve()`, all limits at their defaults."""

import asyncio
import sys
from collections.abc import AsyncIterator

from a2a_bridge.bridge import serve
from a2a_bridge.store.memory import MemoryStore
from benchmarks.peers.words import ANSWER, CHUNK, CHUNKS
from benchmarks.processes import serve_until_told


async def answer(text: str) -> str:
    """Answers at once."""
    return ANSWER


async def chunks(text: str) -> AsyncIterator[str]:
    """Answers in chunks and never waits."""
    for _ in range(CHUNKS):
        yield CHUNK


async def waits(text: str) -> AsyncIterator[str]:
    """Answers in chunks and lets others run after each."""
    for _ in range(CHUNKS):
        yield CHUNK
        await asyncio.sleep(0)


def main() -> None:
    """Arguments: the port, and `memory` or the path of a SQLite file."""
    port, store = int(sys.argv[1]), sys.argv[2]
    serve([answer, chunks, waits], port=port, store=MemoryStore() if store == "memory" else store)


if __name__ == "__main__":
    serve_until_told(main)
