"""Bounds on the head of a request, on real connections (`connection.py`)."""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Callable

import httpx
import pytest

from a2a_bridge import connection
from a2a_bridge.agent import Turn
from a2a_bridge.bridge import Bridge
from a2a_bridge.testing.agents import Obedient, Scripted
from a2a_bridge.testing.server import running
from a2a_bridge.testing.wire import say

LINE = b"GET /tasks HTTP/1.1\r\n"
REST = b"host: x\r\na2a-version: 1.0\r\n"


async def ask(url: str, *packets: bytes) -> bytes:
    """The first answer to what is sent in these packets; b"" when the server hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
    try:
        for packet in packets:
            writer.write(packet)
            await writer.drain()
            await asyncio.sleep(0)
        async with asyncio.timeout(5.0):
            return (await reader.read(65536))[:12]
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def padded(size: int) -> bytes:
    """A head whose target and headers come to so many bytes, with four for each header line."""
    known = len("/tasks") + sum(len(line) - len(b": ") + 4 for line in REST.split(b"\r\n") if line)
    return LINE + REST + b"x: " + b"a" * (size - known - 1 - 4) + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("more", "answer"), [(-1, b"HTTP/1.1 200"), (0, b"HTTP/1.1 200"), (1, b"HTTP/1.1 400")], ids=["n-1", "n", "n+1"]
)
async def test_a_head_has_a_size(more: int, answer: bytes) -> None:
    """Issue, limits: n - 1, n, n + 1 bytes, before anything looks at the request."""
    async with running(lambda url: Bridge(Obedient(), public_url=url)) as url:
        head = padded(connection.MAX_HEAD + more)
        assert await ask(url, head) == answer
        assert await ask(url, head[:100], head[100:]) == answer


@pytest.mark.parametrize(("count", "answer"), [(199, b"HTTP/1.1 200"), (200, b"HTTP/1.1 200"), (201, b"HTTP/1.1 400")])
async def test_a_head_has_so_many_lines(count: int, answer: bytes) -> None:
    """Issue, limits."""
    async with running(lambda url: Bridge(Obedient(), public_url=url)) as url:
        lines = b"".join(b"x-%d: a\r\n" % n for n in range(count - 2))
        assert await ask(url, LINE + REST + lines + b"\r\n") == answer


async def test_a_head_that_never_ends_is_cut_off() -> None:
    """Issue: nothing is collected without end."""
    async with running(lambda url: Bridge(Obedient(), public_url=url)) as url:
        assert await ask(url, LINE + REST + b"x: ", *[b"a" * 65536] * 4) in (b"HTTP/1.1 400", b"")


async def test_a_stream_to_an_old_client_says_once_what_becomes_of_the_connection() -> None:
    """Ours: proxies that speak HTTP/1.0 behind us were told both "keep-alive" and "close"."""
    async with running(lambda url: Bridge(Obedient(), public_url=url)) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
        body = json.dumps(say("hello")).encode()
        head = b"POST /message:stream HTTP/1.0\r\ncontent-type: application/json\r\n" + REST
        writer.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        async with asyncio.timeout(5.0):
            answer = await reader.read()
        writer.close()
    head, _, rest = answer.partition(b"\r\n\r\n")
    assert b"TASK_STATE_COMPLETED" in rest
    assert [line for line in head.split(b"\r\n") if line.startswith(b"connection:")] == [b"connection: close"]


PART = b"POST /message:send HTTP/1.1\r\n" + REST + b"content-length: 100\r\n\r\n"


@pytest.mark.parametrize("sent", [b"", LINE, LINE + REST, PART, PART + b"{"])
async def test_a_request_that_does_not_come_is_not_waited_for(pass_time: Callable[[float], None], sent: bytes) -> None:
    """Issue: a slow caller holds a connection for so long; one whose request is there is not disturbed."""
    too_long = max(connection.HEAD_SECONDS, connection.BODY_SECONDS)

    async def slow(turn: Turn) -> AsyncGenerator[str, None]:
        pass_time(too_long)
        await asyncio.sleep(0)
        yield "done"

    async with (
        running(lambda url: Bridge(Scripted(slow), public_url=url)) as url,
        httpx.AsyncClient(base_url=url, headers={"a2a-version": "1.0"}, timeout=2 * too_long) as http,
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(url).port)
        writer.write(sent)
        assert (
            await http.get("/tasks")
        ).status_code == 200  # connections are accepted in order: the other one is known
        pass_time(too_long)
        async with asyncio.timeout(5.0):
            with contextlib.suppress(ConnectionError):  # reset: the same to a caller
                assert await reader.read(1) == b""
        writer.transport.abort()
        for _ in range(3):
            assert (await http.get("/tasks")).status_code == 200
        asked = {"message": {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "slow"}]}}
        assert (await http.post("/message:send", json=asked)).json()["task"]["artifacts"]


class Wire(asyncio.Transport):
    """Keeps what is written to it, packet by packet."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_closed
        self.packets.append(bytes(data))

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True


HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


async def test_a_head_and_its_body_are_one_packet() -> None:
    wire = Wire()
    joining = connection.Joining(wire, asyncio.get_running_loop())
    for body in (b"{}", b"[]"):
        joining.write(HEAD)
        joining.write(body)
    await asyncio.sleep(0)
    assert wire.packets == [HEAD + b"{}", HEAD + b"[]"]


async def test_a_head_does_not_wait_for_a_body_that_takes_its_time() -> None:
    wire = Wire()
    joining = connection.Joining(wire, asyncio.get_running_loop())
    joining.write(HEAD)
    assert wire.packets == []
    await asyncio.sleep(0)
    assert wire.packets == [HEAD]
    joining.write(b"{}")
    assert wire.packets == [HEAD, b"{}"]


async def test_a_large_body_goes_behind_its_head_uncopied() -> None:
    wire = Wire()
    joining = connection.Joining(wire, asyncio.get_running_loop())
    large = b"a" * (connection.JOINED + 1)
    joining.write(HEAD)
    joining.write(large)
    await asyncio.sleep(0)
    assert wire.packets == [HEAD, large]


async def test_a_connection_that_is_closed_has_sent_its_head_first() -> None:
    wire = Wire()
    joining = connection.Joining(wire, asyncio.get_running_loop())
    joining.write(HEAD)
    joining.close()
    await asyncio.sleep(0)
    assert (wire.packets, wire.is_closed) == ([HEAD], True)


async def test_nothing_is_written_to_a_client_who_has_gone_since() -> None:
    """uvloop raises for it, in a callback of the loop, where nobody is to catch it."""
    wire, raised = Wire(), []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: raised.append(context))
    joining = connection.Joining(wire, loop)
    joining.write(HEAD)
    wire.close()
    await asyncio.sleep(0)
    assert (wire.packets, raised) == ([], [])
