"""The load: a small HTTP/1.1 client that costs little beside what it measures.

One connection per worker, one request at a time on each, keep-alive. Streams are not parsed: events are counted by
their `data:` lines, and the end of the body must hold a completed task.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httptools

DONE = b"TASK_STATE_COMPLETED"
EXCHANGE_SECONDS = 30.0


class LoadError(Exception):
    """A server under test gave something that is no answer: no figure of it would mean anything."""


@dataclass(slots=True)
class Exchange:
    """One request and what came back. `events` counts SSE events, `first` is the time of the first one."""

    began: float
    status: int = 0
    body: list[bytes] = field(default_factory=list)
    events: int = 0
    first: float = 0.0
    ended: float = 0.0


class Connection(asyncio.Protocol):
    """One keep-alive connection. `stream`: bodies are event streams, of which the last bytes are kept only."""

    def __init__(self, *, stream: bool = False, keep: bool = False) -> None:
        self._stream = stream and not keep
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._done: asyncio.Future[Exchange] | None = None
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(LoadError("the server closed the connection before its answer was complete"))

    def on_body(self, body: bytes) -> None:
        exchange = self._exchange
        assert exchange is not None
        if not self._stream:
            exchange.body.append(body)
            return
        if not exchange.first:
            exchange.first = time.perf_counter()
        last = exchange.body[0] if exchange.body else b""
        # An event's name may be cut in two by the network: the last four bytes are looked at again.
        exchange.events += body.count(b"data:") if not last else (last[-4:] + body).count(b"data:")
        exchange.body = [(last + body)[-400:]]

    def on_message_complete(self) -> None:
        exchange, done = self._exchange, self._done
        assert exchange is not None and done is not None
        exchange.ended = time.perf_counter()
        exchange.status = self._parser.get_status_code()
        self._parser = httptools.HttpResponseParser(self)
        if not done.done():
            done.set_result(exchange)

    def ask(self, request: bytes) -> "asyncio.Future[Exchange]":
        """Send one request; the future is done when its answer is complete."""
        assert self._transport is not None
        self._done = asyncio.get_running_loop().create_future()
        self._exchange = Exchange(time.perf_counter())
        self._transport.write(request)
        return self._done

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.abort()


@dataclass(slots=True)
class Load:
    """What one measurement of one server came to."""

    requests: int = 0
    events: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)
    firsts: list[float] = field(default_factory=list)


def check(exchange: Exchange) -> None:
    """Raise LoadError unless this is the answer of a task that has completed."""
    if exchange.status != 200 or DONE not in b"".join(exchange.body):
        raise LoadError(f"status {exchange.status}: {b''.join(exchange.body)[-300:]!r}")


async def once(port: int, request: bytes) -> bytes:
    """One request on a connection of its own; the whole body."""
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(keep=True), "127.0.0.1", port)
    try:
        exchange = await asyncio.wait_for(connection.ask(request), EXCHANGE_SECONDS)
    finally:
        connection.close()
    check(exchange)
    return b"".join(exchange.body)


async def run(
    port: int, make: Callable[[], bytes], *, workers: int, seconds: float, stream: bool, cpu: Callable[[], float]
) -> Load:
    """Keep `workers` requests in flight for `seconds`, and let those in flight at the end finish.

    `make` gives the next request, `cpu` the CPU seconds that the server has used.
    """
    loop = asyncio.get_running_loop()
    made = [await loop.create_connection(lambda: Connection(stream=stream), "127.0.0.1", port) for _ in range(workers)]
    load = Load()
    try:
        before, began = cpu(), time.perf_counter()
        deadline = began + seconds
        await asyncio.gather(*[_work(connection, make, deadline, load) for _, connection in made])
        load.wall, load.cpu = time.perf_counter() - began, cpu() - before
    finally:
        for _, connection in made:
            connection.close()
    return load


async def _work(connection: Connection, make: Callable[[], bytes], deadline: float, load: Load) -> None:
    while True:
        exchange = await asyncio.wait_for(connection.ask(make()), EXCHANGE_SECONDS)
        check(exchange)
        load.requests += 1
        load.events += exchange.events
        load.latencies.append(exchange.ended - exchange.began)
        if exchange.first:
            load.firsts.append(exchange.first - exchange.began)
        if exchange.ended >= deadline:
            return


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which this share of the values lies; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
