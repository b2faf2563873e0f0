"""Our server, as a user starts it: three functions given to `serve()`, all limits at their defaults."""

import asyncio
import sys
from collections.abc import AsyncIterator

from a2a_bridge.bridge import Bridge, serve
from a2a_bridge.listen import Listening, run_server
from a2a_bridge.server.auth import Auth
from a2a_bridge.server.identity import ApiKeys, Key
from a2a_bridge.server.limits import Limits
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
    """Arguments: the port, `memory` or the path of a SQLite file, and the key of a caller if callers need one: then
    their rate is counted too."""
    port, store = int(sys.argv[1]), sys.argv[2]
    if len(sys.argv) == 3:
        serve([answer, chunks, waits], port=port, store=MemoryStore() if store == "memory" else store)
        return
    auth = Auth(schemes={"key": ApiKeys([Key.of("caller", sys.argv[3])])})
    limits = Limits(rate=1e6, burst=1_000_000)
    url = f"http://127.0.0.1:{port}"
    bridge = Bridge([answer, chunks, waits], public_url=url, auth=auth, limits=limits)
    run_server(bridge, Listening(port=port))


if __name__ == "__main__":
    serve_until_told(main)
