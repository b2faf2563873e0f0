"""Streams over ASGI and over real connections: pings, slow and lost readers, the server's end (`server/sse.py`)."""

import asyncio
import inspect
import json
import logging
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from sse_starlette.sse import AppStatus, EventSourceResponse

from a2a_bridge.agent import Chunk, ToolCall
from a2a_bridge.bridge import Bridge
from a2a_bridge.server.limits import Limits
from a2a_bridge.server.sse import LAST_WORDS, EventStream, Streams
from a2a_bridge.store.contract import Numbered
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.testing.agents import Gate, Scripted
from a2a_bridge.testing.server import running
from a2a_bridge.testing.wire import Wire, eventually, say


class Reader:
    """One ASGI connection: it takes what is sent while `reads` is set, and hangs up when told."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.reads = asyncio.Event()
        self.reads.set()
        self.gone = asyncio.Event()
        self.got = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        await self.reads.wait()
        self.sent.append(message)
        self.got.set()

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)

    async def until(self, text: bytes) -> None:
        """Return when this has been sent."""
        async with asyncio.timeout(5):
            while text not in self.body:
                self.got.clear()
                await self.got.wait()


def streamed(streams: Streams, rows: AsyncGenerator[list[Numbered], None]) -> EventStream:
    return EventStream(
        streams, rows, lambda batch: b"".join(b"data: %b\n\n" % row for _, row in batch),
        failed=lambda error: b"event: error\ndata: {}\n\n", headers={"x-test": "1"},
    )  # fmt: skip


class Rows:
    """Rows that come when the test says so; `closed` when the reader let go of them."""

    def __init__(self, *first: bytes) -> None:
        self._queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.closed = False
        self._number = 0
        for row in first:
            self._queue.put_nowait(row)

    def put(self, row: bytes | Exception | None) -> None:
        """A row, an error, or the end."""
        self._queue.put_nowait(row)

    async def __call__(self) -> AsyncGenerator[list[Numbered], None]:
        try:
            while (row := await self._queue.get()) is not None:
                if isinstance(row, Exception):
                    raise row
                self._number += 1
                yield [Numbered(self._number, row)]
        finally:
            self.closed = True


SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": []}


async def run(stream: EventStream, reader: Reader) -> "asyncio.Task[None]":
    return asyncio.create_task(stream(SCOPE, reader.receive, reader.send))


async def ended(task: "asyncio.Task[None]") -> None:
    async with asyncio.timeout(5):
        await task


# --- what we take from sse-starlette


def test_what_is_overridden_is_still_there() -> None:
    """Contract with sse-starlette: `__call__` and `_send_with_timeout` are replaced, three others are used as they are.

    If this fails after an update, read what has changed before anything else.
    """
    assert list(inspect.signature(EventSourceResponse._send_with_timeout).parameters) == ["self", "send", "message"]
    assert list(inspect.signature(EventSourceResponse._stream_response).parameters) == ["self", "send"]
    assert list(inspect.signature(EventSourceResponse._listen_for_disconnect).parameters) == ["self", "receive"]
    source = inspect.getsource(EventSourceResponse._stream_response)
    assert "self._send_with_timeout(" in source
    assert "http.response.start" in source
    assert "self.body_iterator" in source
    assert "self.active" in inspect.getsource(EventSourceResponse._listen_for_disconnect)
    assert AppStatus.should_exit is False


async def test_a_stream_sends_its_head_its_rows_and_its_end() -> None:
    """R-JRPC-20, R-JRPC-21, R-JRPC-23."""
    reader, rows = Reader(), Rows(b"1", b"2")
    rows.put(None)
    await ended(await run(streamed(Streams(), rows()), reader))
    head = dict(reader.sent[0]["headers"])
    assert head[b"content-type"].startswith(b"text/event-stream")
    assert (head[b"cache-control"], head[b"x-accel-buffering"], head[b"x-test"]) == (b"no-store", b"no", b"1")
    assert reader.body == b"data: 1\n\ndata: 2\n\n"
    assert reader.sent[-1]["more_body"] is False
    assert rows.closed


# --- readers


async def test_a_reader_that_hangs_up_ends_its_stream_and_lets_go_of_its_rows() -> None:
    """R-STRM-11, failure 10: no trace of it is left."""
    streams, reader, rows = Streams(), Reader(), Rows(b"1")
    task = await run(streamed(streams, rows()), reader)
    await reader.until(b"1")
    assert len(streams) == 1
    reader.gone.set()
    await ended(task)
    assert rows.closed
    assert len(streams) == 0


@pytest.mark.parametrize("rows_come", [True, False], ids=["an event", "a ping"])
async def test_a_reader_that_does_not_read_is_cut(rows_come: bool, caplog: Any) -> None:
    """R-STRM-08, failures 9 and 28: it is stuck on an event, or on a ping; others of the same server are not."""
    streams = Streams(ping=0.02, send_timeout=0.05)
    stuck, fine = Reader(), Reader()
    rows, others = Rows(b"1"), Rows(b"1")
    task = await run(streamed(streams, rows()), stuck)
    other = await run(streamed(streams, others()), fine)
    await stuck.until(b"1")
    stuck.reads.clear()
    if rows_come:
        rows.put(b"2")
    with caplog.at_level(logging.WARNING):
        await ended(task)
    assert "did not read" in caplog.text
    assert rows.closed
    others.put(b"2")
    others.put(None)
    await ended(other)
    assert fine.body.replace(b": ping\n\n", b"") == b"data: 1\n\ndata: 2\n\n"
    assert len(streams) == 0
    stuck.reads.set()
    await asyncio.sleep(0)


async def test_a_quiet_stream_is_kept_alive_by_comments() -> None:
    """R-JRPC-22: a comment, never an event; none is sent while events come, none at all with 0."""
    streams, reader, rows = Streams(ping=0.01), Reader(), Rows()
    task = await run(streamed(streams, rows()), reader)
    await reader.until(b": ping\n\n: ping\n\n")
    rows.put(None)
    await ended(task)
    assert reader.body.replace(b": ping\n\n", b"") == b""
    ticks = 0
    silent, none, streams = Reader(), Rows(), Streams(ping=0, send_timeout=0.005)
    stream = streamed(streams, none())
    tick = stream.tick

    def counted(now: float) -> None:
        nonlocal ticks
        ticks += 1
        tick(now)

    stream.tick = counted  # type: ignore[method-assign]
    task = await run(stream, silent)
    await eventually(lambda: ticks > 3)
    none.put(None)
    await ended(task)
    assert silent.body == b""


async def test_a_failure_in_mid_stream_is_one_error_event_and_the_end(caplog: Any) -> None:
    """R-JRPC-24, R-STRM-09: what it was stands in the log."""
    reader, rows = Reader(), Rows(b"1")
    rows.put(ValueError("secret"))
    await ended(await run(streamed(Streams(), rows()), reader))
    assert reader.body == b"data: 1\n\nevent: error\ndata: {}\n\n"
    assert reader.sent[-1]["more_body"] is False
    assert "secret" in caplog.text


# --- the end of the server


async def test_every_stream_gets_last_words_when_the_server_stops() -> None:
    """Failure 29: a comment and when to come back; a stream that is opened later ends at once."""
    streams = Streams()
    readers = [Reader() for _ in range(3)]
    tasks = [await run(streamed(streams, Rows(b"1")()), reader) for reader in readers]
    for reader in readers:
        await reader.until(b"1")
    streams.end_all()
    for task, reader in zip(tasks, readers, strict=True):
        await ended(task)
        assert reader.body == b"data: 1\n\n" + LAST_WORDS
        assert reader.sent[-1]["more_body"] is False
    late = Reader()
    await ended(await run(streamed(streams, Rows()()), late))
    assert late.body == LAST_WORDS


async def test_streams_notice_when_somebody_elses_server_stops(monkeypatch: Any) -> None:
    """Failure 29: under another uvicorn nobody calls us; whoever made the streams is told, or they end themselves."""
    for on_exit in (None, asyncio.Event()):
        streams = Streams(ping=0.01, on_exit=on_exit and on_exit.set)
        reader = Reader()
        task = await run(streamed(streams, Rows(b"1")()), reader)
        await reader.until(b"1")
        monkeypatch.setattr(AppStatus, "should_exit", True)
        if on_exit is not None:
            async with asyncio.timeout(5):
                await on_exit.wait()
            assert not task.done()
            streams.end_all()
        await ended(task)
        assert reader.body.endswith(LAST_WORDS)
        monkeypatch.setattr(AppStatus, "should_exit", False)


async def test_a_stream_that_somebody_else_cancels_is_cancelled() -> None:
    """House rule: no cancellation is swallowed that is not ours."""
    rows = Rows(b"1")
    reader = Reader()
    task = await run(streamed(Streams(), rows()), reader)
    await reader.until(b"1")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert rows.closed


# --- over real connections


@asynccontextmanager
async def serving(behaviour: Callable[[Any], Any], tmp_path: Path, **limits: Any) -> Any:
    """A bridge on a real port; gives it, a client, and the port."""
    made: list[Bridge] = []

    def make(url: str) -> Bridge:
        store = SQLiteStore(tmp_path / "s.sqlite")
        made.append(Bridge(Scripted(behaviour), store=store, public_url=url, limits=Limits(**limits)))
        return made[0]

    async with running(make) as url:
        headers = {"A2A-Version": "1.0"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=10) as http:
            yield made[0], Wire(http), int(url.rpartition(":")[2])


async def test_a_connection_that_breaks_does_not_end_the_run(tmp_path: Path) -> None:
    """R-STRM-11, failures 3 and 4: over a real socket, closed without a word."""
    gate = Gate()

    async def behaviour(turn: Any) -> Any:
        yield "before "
        await gate()
        yield "after"

    async with serving(behaviour, tmp_path) as (bridge, wire, port):
        connection = socket.create_connection(("127.0.0.1", port))
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "SendStreamingMessage", "params": say()})
        head = f"POST / HTTP/1.1\r\nHost: x\r\nA2A-Version: 1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall((head + body).encode())
        await gate.reached()
        connection.close()
        await eventually(lambda: len(bridge._streams) == 0)
        gate.open()
        done = await eventually(lambda: wire.tasks(status=3, includeArtifacts=True))
    assert done[0]["artifacts"][0]["parts"] == [{"text": "before after"}]


async def test_a_stuck_connection_is_closed_without_waiting_for_its_reader(tmp_path: Path) -> None:
    """Failure 28: what it had not taken is dropped, its socket is free; contract with uvicorn's request cycle."""
    gate = Gate()

    async def behaviour(turn: Any) -> Any:
        yield "begin"
        await gate()
        for _ in range(120):
            yield Chunk("x" * 100_000, append=False)

    async with serving(behaviour, tmp_path, send=0.3) as (bridge, wire, port):
        sending = asyncio.create_task(wire.send())
        await gate.reached()
        tasks = await eventually(wire.tasks)
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask", "params": {"id": tasks[0]["id"]}})
        head = f"POST / HTTP/1.1\r\nHost: x\r\nA2A-Version: 1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(("127.0.0.1", port))
            connection.sendall((head + body).encode())
            await eventually(lambda: len(bridge._streams))
            gate.open()
            assert (await sending)["status"]["state"] == "TASK_STATE_COMPLETED"
            connection.setblocking(False)

            def write() -> None:
                with suppress(BlockingIOError):
                    connection.send(b"\r\n")

            with pytest.raises(ConnectionError):
                await eventually(write)
            assert len(bridge._streams) == 0


async def test_rows_that_are_not_shown_leave_no_trace_in_a_stream(tmp_path: Path) -> None:
    """R-EXT-05: many hidden rows in a row, over a real connection with chunked encoding, do not end it."""

    async def behaviour(turn: Any) -> Any:
        yield "begin"
        for number in range(500):
            yield ToolCall(str(number), "t", {})
            if number % 100 == 0:
                await asyncio.sleep(0.003)  # the agent under test
        yield "end"

    async with serving(behaviour, tmp_path) as (_, wire, _), wire.stream("SendStreamingMessage", say()) as reader:
        frames = await reader.rest()
    assert [frame.kind for frame in frames] == ["task", "artifactUpdate", "artifactUpdate", "statusUpdate"]
    assert frames[-1].id == 504
    assert b"\n\n\n" not in reader.raw


async def test_a_reader_closes_its_rows_when_it_is_left_early() -> None:
    """House rule: replies and rows are read inside aclosing."""
    rows = Rows(b"1", b"2")
    async with aclosing(rows()) as lists:
        async for _ in lists:
            break
    assert rows.closed
