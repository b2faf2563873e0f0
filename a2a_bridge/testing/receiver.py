"""A webhook for tests: a server on loopback that keeps what it is sent and answers as a test says.

It belongs to its `async with` block, which ends it and every connection. Answers are taken from `answers`, oldest
first, then it is `default`: a status, a whole head as bytes, or HANG, which answers nothing until the block ends.
"""

import asyncio
import json
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Self

from a2a_bridge.testing.wire import WAIT

HANG: Final = None


@dataclass(frozen=True, slots=True)
class Notification:
    """One POST: names of headers in lower case."""

    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def state(self) -> str | None:
        """The state of the task that it tells, without its prefix."""
        held = next(iter(self.body.values()))
        status = held.get("status")
        return None if status is None else str(status["state"]).removeprefix("TASK_STATE_")


class Receiver:
    """See the module's text. `got` is everything that came, in order."""

    def __init__(self, *answers: int | bytes | None, default: int | bytes | None = 200, port: int = 0) -> None:
        self.answers = deque(answers)
        self.default = default
        self.got: list[Notification] = []
        self.port = port
        self._came = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._ended = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._ended.set()
        assert self._server is not None
        self._server.close()
        for writer in self._writers:  # who reads from it sees the end, and goes
            writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def until(self, count: int, within: float = WAIT) -> list[Notification]:
        """The first `count` notifications, once so many have come."""
        async with asyncio.timeout(within), self._came:
            await self._came.wait_for(lambda: len(self.got) >= count)
        return self.got[:count]

    async def until_state(self, state: str, within: float = WAIT) -> list[Notification]:
        """All notifications, once one has told this state."""
        async with asyncio.timeout(within), self._came:
            await self._came.wait_for(lambda: any(found.state == state for found in self.got))
        return list(self.got)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer(reader, writer):
                    pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        found = await self._read(reader)
        async with self._came:
            self.got.append(found)
            self._came.notify_all()
        said = self.answers.popleft() if self.answers else self.default
        if said is HANG:
            await self._ended.wait()
            return False
        head = said if isinstance(said, bytes) else f"HTTP/1.1 {said} .\r\nContent-Length: 0\r\n\r\n".encode()
        writer.write(head)
        await writer.drain()
        return True

    async def _read(self, reader: asyncio.StreamReader) -> Notification:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Notification(first.split(" ")[1], headers, json.loads(body))
