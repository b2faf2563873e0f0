"""The one way out: pools, timeouts, what is never followed or kept."""

import asyncio
import gzip
import socket
import threading
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx
import pytest

from a2a_bridge import net
from a2a_bridge.aio import AiohttpTransport
from a2a_bridge.errors import ConnectionFailedError, InvalidAgentResponseError, RemoteTimeoutError
from a2a_bridge.net import Answer, Deadline, Http, Timeouts, is_loopback, shared, shown

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\n\r\nok"


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[str]:
    """A server on a free port of loopback; gives its URL."""

    async def closing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(closing, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


async def get(http: Http, url: str, timeouts: Timeouts = Timeouts()) -> Answer:
    return await http.request("GET", url, headers={}, timeouts=timeouts, deadline=Deadline(timeouts.total))


@pytest.fixture(params=["httpx", "aiohttp"])
async def http(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Http]:
    """Over both kinds of pools: they must not be told apart."""
    monkeypatch.setattr(net, "_quick", AiohttpTransport if request.param == "aiohttp" else None)
    made = Http()
    yield made
    await made.aclose()


def says(*chunks: bytes, then: str = "close") -> Serve:
    """Answers each request with these bytes; then "close", "wait" or "abort"."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        if then == "wait":
            await reader.read()
        elif then == "abort":
            writer.transport.abort()

    return serve


async def test_an_answer_is_read_in_pieces_or_whole(http: Http) -> None:
    """Both ways give the same bytes, and names of headers come in any case."""
    async with serving(says(OK)) as url:
        async with await get(http, url) as answer:
            assert (answer.status, answer.headers["SET-COOKIE"]) == (200, "a=b")
            assert await answer.read(10) == b"ok"
        async with await get(http, url) as answer:
            assert b"".join([chunk async for chunk in answer.chunks()]) == b"ok"


async def test_a_refused_connection_says_what_to_check(http: Http) -> None:
    """Messages say what to do, and never show credentials or queries."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ConnectionFailedError, match=r"Is the agent running there\?") as caught:
        await get(http, f"http://user:secret@127.0.0.1:{port}/x?token=secret")
    assert "secret" not in str(caught.value)
    assert caught.value.status is None


async def test_first_byte_idle_and_total_are_different_waits(http: Http) -> None:
    """The issue: connect, first-byte, idle and total timeouts. Each message names its setting."""
    short = 0.05
    async with serving(says(then="wait")) as url:
        with pytest.raises(RemoteTimeoutError, match="first_byte"):
            await get(http, url, Timeouts(first_byte=short))
        with pytest.raises(RemoteTimeoutError, match="total"):
            await get(http, url, Timeouts(total=short))
    half = OK.replace(b"Length: 2", b"Length: 9")
    async with serving(says(half, then="wait")) as url:
        async with await get(http, url, Timeouts(idle=short)) as answer:
            with pytest.raises(RemoteTimeoutError, match="idle"):
                await answer.read(10)
        async with await get(http, url, Timeouts(idle=None, total=short)) as answer:
            with pytest.raises(RemoteTimeoutError, match="total"):
                await answer.read(10)


async def test_a_connection_cut_before_the_answer_is_a_failed_one(http: Http) -> None:
    """What the client may try again."""
    async with serving(says(then="abort")) as url:
        with pytest.raises(ConnectionFailedError, match="before it answered"):
            await get(http, url)


async def test_a_body_cut_short_is_an_error_and_no_answer(http: Http) -> None:
    """Failure 19, one layer down: a shorter body never looks complete."""
    half = OK.replace(b"Length: 2", b"Length: 9")
    async with serving(says(half, then="abort")) as url, await get(http, url) as answer:
        with pytest.raises(ConnectionFailedError, match="before its answer was complete"):
            await answer.read(10)


async def test_a_body_above_the_limit_is_refused(http: Http) -> None:
    """Reading stops at the limit."""
    async with serving(says(OK)) as url, await get(http, url) as answer:
        with pytest.raises(InvalidAgentResponseError, match="more than 1 bytes"):
            await answer.read(1)


async def test_a_compressed_answer_is_unpacked_within_the_limit(http: Http) -> None:
    """We ask for identity; a server that compresses all the same is understood, and cannot blow up."""
    body = gzip.compress(b"x" * 100_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with serving(says(head + body)) as url:
        async with await get(http, url) as answer:
            assert len(await answer.read(100_000)) == 100_000
        async with await get(http, url) as answer:
            with pytest.raises(InvalidAgentResponseError):
                await answer.read(50_000)


async def test_redirects_are_not_followed(http: Http) -> None:
    """A redirect could lead anywhere, with the caller's headers."""
    moved = b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with serving(says(moved)) as url, await get(http, url) as answer:
        assert answer.status == 307


async def test_connections_are_used_again_and_cookies_are_not_kept(http: Http) -> None:
    """One pool for all callers: they share connections and nothing else."""
    heads: list[bytes] = []
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while True:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(OK)

    async with serving(serve) as url:
        for _ in range(3):
            async with await get(http, url) as answer:
                await answer.read(10)
    assert connections == 1
    assert not any(b"cookie" in head.lower() for head in heads)


async def test_a_connection_that_the_server_has_closed_is_not_used_again(http: Http) -> None:
    """Also when the event loop has had no time to notice: what is written to it would be lost, and nobody could say
    whether it was served. The server is a thread, so that it can close while the loop stands still."""
    may_close, closed = threading.Event(), threading.Event()

    def serve() -> None:
        for answered in range(2):
            connection, _ = listener.accept()
            with connection:
                while not connection.recv(4096).endswith(b"\r\n\r\n"):
                    pass
                connection.sendall(OK)
                if not answered:
                    may_close.wait(5)
            closed.set()

    async def post() -> bytes:
        timeouts, deadline = Timeouts(), Deadline(5)
        async with await http.request("POST", url, headers={}, timeouts=timeouts, deadline=deadline) as answer:
            return await answer.read(10)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(5)
        server = asyncio.create_task(asyncio.to_thread(serve))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert await post() == b"ok"
        may_close.set()
        assert closed.wait(5)
        assert await post() == b"ok"
        await server


async def test_the_environment_gives_no_proxy_for_loopback(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """Agents on this machine are reached directly, whatever HTTP_PROXY says; others go through it."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)

    async with serving(serve) as proxy:
        monkeypatch.setenv("http_proxy", proxy.removeprefix("http://"))
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        async with serving(says(OK)) as url, await get(http, url) as answer:
            assert await answer.read(10) == b"ok"
        assert heads == []
        async with await get(http, "http://agent.example/x") as answer:
            await answer.read(10)
    assert heads[0].startswith(b"GET http://agent.example/x HTTP/1.1")


@pytest.mark.parametrize("url", ["", "agent", "ftp://x/y", "http://", "http://[::1", "file:///etc/passwd"])
async def test_what_is_no_http_url_is_a_mistake_of_the_caller(http: Http, url: str) -> None:
    """ValueError for mistakes of the programmer, before anything is sent."""
    with pytest.raises(ValueError, match="URL"):
        await get(http, url)


async def test_a_header_that_is_none_is_a_mistake_of_the_caller(http: Http) -> None:
    """No header can be smuggled in by a line end, and a value, which may be secret, is not shown."""
    async with serving(says(OK)) as url:
        for value in ("s3cret\r\nb: c", "s3cret\u00e9", "s3cret\n"):
            with pytest.raises(ValueError, match="cannot be sent: the header 'x' holds") as caught:
                await http.request("GET", url, headers={"x": value}, timeouts=Timeouts(), deadline=Deadline(None))
            assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_the_pool_of_a_loop_is_closed_with_it() -> None:
    """One pool per event loop; the server sees its connection close when `asyncio.run` ends."""
    ends: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(OK)
                connection.settimeout(5)
                ends.append(connection.recv(1))

        thread = threading.Thread(target=serve)
        thread.start()

        async def main() -> Http:
            http = await shared()
            assert await shared() is http
            async with await get(http, f"http://127.0.0.1:{listener.getsockname()[1]}") as answer:
                await answer.read(10)
            return http

        first = asyncio.run(main())
        thread.join(5)
    assert ends == [b""]

    async def other() -> Http:
        return await shared()

    assert asyncio.run(other()) is not first


async def test_a_transport_of_ones_own_is_used_and_left_open() -> None:
    """The seam for tests: whoever made it closes it."""

    class Canned(httpx.AsyncBaseTransport):
        closed = False

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, content=request.url.path.encode())

        async def aclose(self) -> None:
            self.closed = True

    transport = Canned()
    http = Http(transport)
    async with await get(http, "http://anywhere.example/path") as answer:
        assert await answer.read(10) == b"/path"
    await http.aclose()
    assert not transport.closed


async def test_a_cancelled_request_closes_its_connection(http: Http) -> None:
    """Cancelling is seen by the server, and the pool goes on working."""
    gone, came = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        came.set()
        await reader.read()
        gone.set()

    async with serving(serve) as url:
        request = asyncio.create_task(get(http, url))
        await asyncio.wait_for(came.wait(), 5)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        await asyncio.wait_for(gone.wait(), 5)


def test_a_url_is_shown_without_its_secrets() -> None:
    """Errors and logs show where, never with what."""
    assert shown("https://user:pw@h:8/p/q?token=1#f") == "https://h:8/p/q"
    assert shown("http://[::1") == "(unreadable URL)"


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True),
        ("LOCALHOST.", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("127.0.0.1.example", False),
        ("10.0.0.1", False),
        ("0.0.0.0", False),
        ("localhost.example", False),
    ],
)
def test_loopback_is_told_from_other_hosts(host: str, local: bool) -> None:
    """Names that look local are not."""
    assert is_loopback(host) is local
