"""The load: a small HTTP/1.1 client that costs little beside what it measures, so that the server is never idle.

One connection per worker, one request at a time on each, keep-alive; the next request leaves in the callback that
saw the end of the last answer. Answers are not parsed: their end is found by their length, or by the last chunk,
events are counted by their `data:` lines, and each answer must hold a completed task.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

DONE = b"TASK_STATE_COMPLETED"
LAST_CHUNK = b"\r\n0\r\n\r\n"
OVERLAP = 4
"""So many bytes of `data:` may have come with the packet before."""
QUIET_SECONDS = 30.0


class LoadError(Exception):
    """A server under test gave something that is no answer: no figure of it would mean anything."""


@dataclass(slots=True)
class Load:
    """What one measurement of one server came to; latencies and times to the first event in seconds."""

    requests: int = 0
    events: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)

    def add(self, other: "Load") -> None:
        """Take in another measurement of the same server."""
        self.requests += other.requests
        self.events += other.events
        self.wall += other.wall
        self.cpu += other.cpu
        self.latencies += other.latencies
        self.firsts += other.firsts


class Connection(asyncio.Protocol):
    """One keep-alive connection, which sends what `make` gives until `deadline` has passed."""

    def __init__(self, make: Callable[[], bytes], deadline: float, load: Load, *, stream: bool) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.body = b""
        self._make = make
        self._deadline = deadline
        self._load = load
        self._stream = stream
        self._transport: asyncio.Transport | None = None
        self._began = 0.0
        self._events = 0
        self._first = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def begin(self) -> None:
        """Send the next request."""
        assert self._transport is not None
        self.body, self._events, self._first = b"", 0, 0.0
        self._began = time.perf_counter()
        self._transport.write(self._make())

    def data_received(self, data: bytes) -> None:
        if self._stream:
            if not self._first:
                self._first = time.perf_counter() if b"data:" in data else 0.0
            self._events += (self.body[-OVERLAP:] + data).count(b"data:") if self.body else data.count(b"data:")
            # Kept: the status line, and enough of the end.
            status = (self.body or data)[:12]
            self.body = status + (self.body[12:] + data)[-600:]
            if not self.body.endswith(LAST_CHUNK):
                return
        else:
            self.body += data
            if not is_complete(self.body):
                return
        self._over()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(LoadError("the server closed the connection before its answer was complete"))

    def _over(self) -> None:
        ended = time.perf_counter()
        if not self.body.startswith(b"HTTP/1.1 200") or DONE not in self.body:
            if not self.done.done():
                self.done.set_exception(LoadError(f"not an answer: {self.body[-600:]!r}"))
            return
        load = self._load
        load.requests += 1
        load.events += self._events
        load.latencies.append(ended - self._began)
        if self._first:
            load.firsts.append(self._first - self._began)
        if ended < self._deadline:
            self.begin()
        elif not self.done.done():
            self.done.set_result(None)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


def is_complete(answer: bytes) -> bool:
    """Whether the whole of an answer with a length is there."""
    head, found, body = answer.partition(b"\r\n\r\n")
    at = head.lower().find(b"content-length:")
    if not found or at < 0:
        return False
    return len(body) >= int(head[at + 15 :].partition(b"\r\n")[0])


def dechunked(answer: bytes) -> bytes:
    """The body of an answer, whether it came in chunks or not."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"chunked" not in head.lower():
        return body
    found = []
    while body:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        found.append(rest[:length])
        body = rest[length + 2 :] if length else b""
    return b"".join(found)


async def once(port: int, request: bytes) -> bytes:
    """One request on a connection of its own; the whole body."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(QUIET_SECONDS):
            writer.write(request)
            answer = b""
            while not (answer.endswith(LAST_CHUNK) or is_complete(answer)):
                if not (data := await reader.read(65536)):
                    break
                answer += data
    finally:
        writer.close()
    if not answer.startswith(b"HTTP/1.1 200") or DONE not in answer:
        raise LoadError(f"not an answer: {answer[-600:]!r}")
    return dechunked(answer)


async def run(
    port: int, make: Callable[[], bytes], *, workers: int, seconds: float, stream: bool, cpu: Callable[[], float]
) -> Load:
    """Keep `workers` requests in flight for `seconds`, and let those in flight at the end finish.

    `make` gives the next request, `cpu` the CPU seconds that the server has used.
    """
    loop, load = asyncio.get_running_loop(), Load()
    deadline = time.perf_counter() + seconds
    made = [
        (await loop.create_connection(lambda: Connection(make, deadline, load, stream=stream), "127.0.0.1", port))[1]
        for _ in range(workers)
    ]
    try:
        before, began = cpu(), time.perf_counter()
        for connection in made:
            connection.begin()
        async with asyncio.timeout(seconds + QUIET_SECONDS):
            await asyncio.gather(*[connection.done for connection in made])
        load.wall, load.cpu = time.perf_counter() - began, cpu() - before
    finally:
        for connection in made:
            connection.close()
    return load


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
