"""Server-sent events: rows become frames, many rows one write.

Who does what. A stream runs in its request's own task, which writes the opening events before anything else gets the
loop. One watcher task per stream waits for the client to go away and then cancels the stream, never the run. One
ticker for all streams of an app sends pings to quiet ones, cuts readers whose send has been stuck for `SEND_TIMEOUT`
seconds, and ends all streams when the server stops: each gets a last comment with a `retry` hint, so that a client
comes back with its Last-Event-ID.

`EventSourceResponse` brings headers, encoding, the send loop and the disconnect loop; `__call__` and
`_send_with_timeout` are overridden to share one ticker (a contract test in tests/unit/server looks at both).
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

from sse_starlette.sse import AppStatus, EventSourceResponse
from starlette.types import Message, Receive, Scope, Send

from a2a_bridge.protocol.snapshot import SHOWN, TURN_ROW
from a2a_bridge.server.limits import Place
from a2a_bridge.tasks.log import Row

_log = logging.getLogger(__name__)

PING_SECONDS = 15.0
SEND_TIMEOUT = 30.0
TICK_SECONDS = 1.0
LAST_WORDS = b"retry: 1000\n: the server is stopping\n\n"


class Streams:
    """All open streams of one app, and the one ticker they share.

    `on_exit` is called when uvicorn has been asked to stop, about once a second until no stream is open; without it
    the streams end then.
    """

    def __init__(
        self,
        *,
        ping: float = PING_SECONDS,
        send_timeout: float = SEND_TIMEOUT,
        on_exit: Callable[[], object] | None = None,
    ) -> None:
        self.ping = ping
        self.send_timeout = send_timeout
        self._on_exit = on_exit or self.end_all
        self._open: set[EventStream] = set()
        self._ticker: asyncio.Task[None] | None = None
        self._stopping = False

    def __len__(self) -> int:
        return len(self._open)

    def add(self, stream: "EventStream") -> None:
        """A stream begins; the ticker starts with the first one."""
        self._open.add(stream)
        if self._ticker is None or self._ticker.done():
            self._ticker = asyncio.get_running_loop().create_task(self._tick())
        if self._stopping:
            stream.end()

    def discard(self, stream: "EventStream") -> None:
        """A stream has ended."""
        self._open.discard(stream)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while self._open:
            await asyncio.sleep(min(TICK_SECONDS, self.ping or TICK_SECONDS, self.send_timeout))
            now = loop.time()
            if AppStatus.should_exit:
                self._on_exit()
            for stream in list(self._open):
                stream.tick(now)

    def end_all(self) -> None:
        """The server stops: every stream says so and ends; later ones end at once."""
        self._stopping = True
        for stream in list(self._open):
            stream.end()


def _abort(send: Send | None) -> None:
    """Close a connection without waiting until its reader has taken what was written, which may be never.

    ASGI has no word for that, so uvicorn's own request cycle is asked, whose method `send` is. Under another server,
    or behind something that wraps `send`, the connection is closed as it closes others.
    """
    abort = getattr(getattr(getattr(send, "__self__", None), "transport", None), "abort", None)
    if callable(abort):
        abort()


def framer(
    prefix: bytes, suffix: bytes, lower: Callable[[bytes], bytes] | None, *, shows_turns: bool
) -> Callable[[list[Row]], bytes]:
    """Makes the bytes of a batch of events: each between `prefix` and `suffix`, its number below.

    `lower` makes the JSON of another version first. `shows_turns`: this reader wants rows of tools and usage.
    """
    numbered, bare = b"%b%b" + suffix + b"\nid: %d\n\n", b"%b%b" + suffix + b"\n\n"

    def frame(rows: list[Row]) -> bytes:
        pieces = []
        for seq, row in rows:
            if row[0] != SHOWN:
                if not shows_turns or row[:1] != TURN_ROW:
                    continue
                row = row[1:]
            if lower is not None:
                row = lower(row)
            pieces.append(numbered % (prefix, row, seq) if seq else bare % (prefix, row))
        return b"".join(pieces)

    return frame


class EventStream(EventSourceResponse):
    """One stream of rows. `frame` makes the bytes of one event from its number and row. `pings`: a comment now and
    then while it is quiet."""

    def __init__(
        self,
        streams: Streams,
        rows: AsyncGenerator[list[Row], None],
        frame: Callable[[list[Row]], bytes],
        *,
        failed: Callable[[Exception], bytes],
        headers: dict[str, str],
        pings: bool = True,
        place: Place | None = None,
    ) -> None:
        super().__init__(self._chunks(rows, frame, failed), headers=headers, ping=0, sep="\n")
        del self.headers["connection"]  # whoever owns the connection says whether it is kept
        self._streams = streams
        self._ping_after = streams.ping if pings else 0.0
        self._place = place
        self._task: asyncio.Task[None] | None = None
        self._asgi_send: Send | None = None
        self._stuck_since: float | None = None
        self._last_sent = 0.0
        self._is_cut = False
        self._is_ending = False
        self._pinging: asyncio.Task[None] | None = None

    async def _chunks(
        self,
        rows: AsyncGenerator[list[Row], None],
        frame: Callable[[list[Row]], bytes],
        failed: Callable[[Exception], bytes],
    ) -> AsyncIterator[bytes]:
        async with aclosing(rows):
            try:
                async for batch in rows:
                    yield frame(batch)
            except Exception as error:  # the request edge: the reader gets one error frame, never the text (R-JRPC-24)
                _log.exception("a stream was cut off")
                yield failed(error)

    async def _send_with_timeout(self, send: Send, message: Message) -> None:
        loop = asyncio.get_running_loop()
        self._stuck_since = loop.time()
        await send(message)
        self._stuck_since = None
        self._last_sent = loop.time()

    def tick(self, now: float) -> None:
        """Called by the ticker about once a second."""
        if self._stuck_since is not None:
            if now - self._stuck_since > self._streams.send_timeout:
                _log.warning("a reader of a stream did not read for %g seconds and was cut", self._streams.send_timeout)
                _abort(self._asgi_send)
                self._cut()
        elif self._ping_after and now - self._last_sent >= self._ping_after and self._asgi_send is not None:
            self._last_sent = now
            self._pinging = asyncio.get_running_loop().create_task(self._send_ping(self._asgi_send))

    async def _send_ping(self, send: Send) -> None:
        # A reader that does not take its ping is as stuck as one that does not take its events.
        if self._is_cut or not self.active:
            return  # the stream has ended since this was decided
        with contextlib.suppress(OSError):
            await self._send_with_timeout(
                send, {"type": "http.response.body", "body": b": ping\n\n", "more_body": True}
            )

    def end(self) -> None:
        """End the stream with a last comment."""
        self._is_ending = True
        self._cut()

    def _cut(self) -> None:
        self._is_cut = True
        if self._task is not None:
            self._task.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._task = asyncio.current_task()
        self._asgi_send = send
        self._last_sent = asyncio.get_running_loop().time()
        self._streams.add(self)
        watcher = asyncio.get_running_loop().create_task(self._watch(receive))
        try:
            await self._stream_response(send)
        except asyncio.CancelledError:
            if not self._is_cut or self._task is None:
                raise  # somebody else cancels the request: not ours to swallow
            self._task.uncancel()
            await self._say_goodbye(send)
        finally:
            self._streams.discard(self)
            watcher.cancel()
            if self._place is not None:
                self._place.give_back()

    async def _watch(self, receive: Receive) -> None:
        await self._listen_for_disconnect(receive)
        self._cut()

    async def _say_goodbye(self, send: Send) -> None:
        if self._is_ending and self._stuck_since is None:
            await send({"type": "http.response.body", "body": LAST_WORDS, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
