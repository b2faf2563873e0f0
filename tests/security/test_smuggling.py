"""Requests that two readers could understand differently, on a real connection to a real server.

Each row names one mechanism. Behind most of them hides a second request, which a careless server would run: it never
is. Refused or harmless, answered or hung up on, and the server goes on serving.
"""

import asyncio
import json
import re
from typing import NamedTuple

import httpx
import pytest

from a2a_bridge.bridge import Bridge
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.server import running
from a2a_bridge.testing.wire import say

STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


def body(text: str) -> bytes:
    return json.dumps(say(text)).encode()


def request(
    *headers: bytes, verb: bytes = b"POST", target: bytes = b"/message:send", content: bytes = b"", host: bool = True
) -> bytes:
    """A request with these header lines and no others, but for what every request needs."""
    lines = [b"%b %b HTTP/1.1" % (verb, target), b"A2A-Version: 1.0", b"Content-Type: application/json", *headers]
    if host:
        lines.insert(1, b"Host: agents.example")
    return b"\r\n".join(lines) + b"\r\n\r\n" + content


def length(content: bytes) -> bytes:
    return b"Content-Length: %d" % len(content)


TE = b"Transfer-Encoding: chunked"
HELLO = body("hello")
HIDDEN = request(length(body("smuggled")), content=body("smuggled"))
CHUNKED = b"%x\r\n%b\r\n0\r\n\r\n" % (len(HELLO), HELLO)


def sized(content: bytes, *headers: bytes, **more: bytes) -> bytes:
    return request(length(content), *headers, content=content, **more)  # type: ignore[arg-type]


def chunked(content: bytes) -> bytes:
    return request(TE, content=content)


class Row(NamedTuple):
    mechanism: str
    sent: bytes
    answers: tuple[int, ...]  # what the first answer may be; 0: hung up without one


ROWS = (
    Row(
        "CL.TE: length says more than the chunks",
        request(b"Content-Length: %d" % (5 + len(HIDDEN)), TE, content=b"0\r\n\r\n" + HIDDEN),
        (400,),
    ),
    Row(
        "TE.CL: length says less than the chunks",
        request(TE, b"Content-Length: 4", content=b"%x\r\n%b\r\n0\r\n\r\n" % (len(HIDDEN), HIDDEN)),
        (400,),
    ),
    Row("two lengths that differ", request(length(HELLO), b"Content-Length: 0", content=HELLO + HIDDEN), (400,)),
    Row("two lengths that agree", request(length(HELLO), length(HELLO), content=HELLO), (200, 400)),
    Row("a list of lengths in one header", request(b"Content-Length: %d, 0" % len(HELLO), content=HELLO), (400,)),
    Row("a length with a sign", request(b"Content-Length: +%d" % len(HELLO), content=HELLO), (400,)),
    Row("a negative length", request(b"Content-Length: -1", content=HELLO), (400,)),
    Row("a hexadecimal length", request(b"Content-Length: 0x10", content=HELLO), (400,)),
    Row("a length beyond 64 bits", request(b"Content-Length: 99999999999999999999999", content=HELLO), (400, 413)),
    Row("an empty length", request(b"Content-Length:", content=HIDDEN), (400,)),
    Row("a space before the colon", request(b"Content-Length : %d" % len(HIDDEN), content=HIDDEN), (400,)),
    Row("a coding nobody knows", request(b"Transfer-Encoding: xchunked", content=CHUNKED), (400, 501)),
    Row(
        "chunked is not the last coding", request(b"Transfer-Encoding: chunked, identity", content=CHUNKED), (400, 501)
    ),
    Row("chunked twice", request(TE, TE, content=CHUNKED), (200, 400, 501)),
    Row(
        "a control character before the coding", request(b"Transfer-Encoding: \x0bchunked", content=CHUNKED), (400, 501)
    ),
    Row("a coding on a folded line", request(b"Transfer-Encoding:\r\n chunked", content=CHUNKED + HIDDEN), (400, 501)),
    Row("a long chunk extension", chunked(b"5;" + b"a" * 200_000 + b"\r\nhello\r\n0\r\n\r\n"), (400, 413, 0)),
    Row("a chunk extension with a line feed", chunked(b"0;\n\r\n\r\n" + HIDDEN), (400,)),
    Row("a chunk size that overflows", chunked(b"fffffffffffffffff0\r\n" + HIDDEN), (400, 413)),
    Row("a chunk size with a prefix", chunked(b"0x0\r\n\r\n" + HIDDEN), (400,)),
    Row("chunk lines that end with LF alone", chunked(b"%x\n%b\n0\n\n" % (len(HELLO), HELLO)), (400,)),
    Row("more data than the chunk size", chunked(b"1\r\n{}\r\n0\r\n\r\n"), (400,)),
    Row(
        "a length in the trailers",
        chunked(b"%x\r\n%b\r\n0\r\nContent-Length: 999\r\n\r\n" % (len(HELLO), HELLO)),
        (200, 400),
    ),
    Row("a folded header", sized(HELLO, b"X-Note: one\r\n two"), (200, 400)),
    Row("header lines that end with LF alone", sized(HELLO).replace(b"\r\n", b"\n"), (400,)),
    Row("a header line that ends with CR alone", sized(HELLO, b"X-Note: a\rTransfer-Encoding: chunked"), (400,)),
    Row("NUL in a header value", sized(HELLO, b"X-Note: a\0b"), (400,)),
    Row("NUL in the target", sized(HELLO, target=b"/message:send\0"), (400, 404)),
    Row("a space in a header name", sized(HELLO, b"X Note: a"), (400,)),
    Row("a header of 256 KiB", sized(HELLO, b"X-Note: " + b"a" * (256 << 10)), (400, 431, 0)),
    Row("ten thousand headers", sized(HELLO, *(b"X-%d: a" % n for n in range(10_000))), (400, 431, 0)),
    Row(
        "an absolute target of another host", sized(HELLO, target=b"http://evil.example/message:send"), (200, 400, 404)
    ),
    Row("CONNECT to somebody else", request(verb=b"CONNECT", target=b"evil.example:443"), (400, 404, 405)),
    Row("the target *", request(verb=b"OPTIONS", target=b"*"), (400, 404, 405)),
    Row("dots in the path", sized(HELLO, target=b"/nobody/../message:send"), (404,)),
    Row("encoded dots and slashes in the path", sized(HELLO, target=b"/nobody/%2e%2e%2fmessage:send"), (404,)),
    Row("a slash encoded twice", request(verb=b"GET", target=b"/tasks/a%252f..%252fb"), (404,)),
    Row("a backslash in the path", sized(HELLO, target=b"/nobody\\..\\message:send"), (400, 404)),
    Row("two slashes at the start", sized(HELLO, target=b"//evil.example/message:send"), (404,)),
    Row("a query key given twice", request(verb=b"GET", target=b"/tasks?pageSize=1&pageSize=100"), (400,)),
    Row("a verb in a header", sized(HELLO, b"X-HTTP-Method-Override: GET", b"X-Method-Override: DELETE"), (200,)),
    Row("a verb in the query", request(verb=b"GET", target=b"/message:send?_method=POST"), (405,)),
    Row("a compressed body", sized(HELLO, b"Content-Encoding: gzip"), (415,)),
    Row(
        "an upgrade to HTTP/2",
        sized(HELLO, b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABk"),
        (200, 400),
    ),
    Row(
        "an upgrade to a web socket",
        request(
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            b"Sec-WebSocket-Version: 13",
            verb=b"GET",
            target=b"/tasks",
        ),
        (200, 400),
    ),
    Row("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 404, 405, 505, 0)),
    Row("HTTP/0.9", b"GET /tasks\r\n\r\n", (400, 0)),
    Row("a version that does not exist", sized(HELLO).replace(b"HTTP/1.1", b"HTTP/1.9", 1), (200, 400, 505)),
    Row("no Host", request(length(HELLO), content=HELLO, host=False), (200, 400)),
    Row("two hosts", sized(HELLO, b"Host: evil.example"), (200, 400)),
    Row("a line break encoded in the path", request(verb=b"GET", target=b"/tasks/x%0d%0aSet-Cookie:%20a=b"), (404,)),
    Row("a body on GET", request(length(HIDDEN), verb=b"GET", target=b"/tasks", content=HIDDEN), (200, 400)),
    Row("a body on a route that is not there", request(length(HIDDEN), target=b"/nothing/x/y", content=HIDDEN), (404,)),
    Row("a body that is refused by its type", request(length(HIDDEN), b"Content-Encoding: br", content=HIDDEN), (415,)),
    Row("a line break inside a method", b"POST\r\n /message:send HTTP/1.1\r\nHost: x\r\n\r\n" + HIDDEN, (400,)),
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.mechanism)
async def test_nobody_slips_a_request_in(row: Row) -> None:
    """Issue: each row is refused or harmless, what hides behind it is not run, and the next caller is served."""
    agent = Obedient()
    async with running(lambda url: Bridge(agent, public_url=url)) as url:
        found = await answers(httpx.URL(url).port or 0, row.sent)
        assert (found or [0])[0] in row.answers, found
        assert all(status < 500 or status == 505 for status in found), found
        assert [turn.text for turn in agent.turns if turn.text != "hello"] == []
        async with httpx.AsyncClient(base_url=url, headers={"a2a-version": "1.0"}) as http:
            assert (await http.post("/message:send", json=say("hello"))).status_code == 200


async def answers(port: int, sent: bytes) -> list[int]:
    """The statuses of all answers on one connection, on which a last request follows that would close it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        writer.write(sent)
        writer.write(request(b"Connection: close", verb=b"GET", target=b"/healthz"))
        async with asyncio.timeout(1.0):
            while data := await reader.read(65536):
                received += data
    except (TimeoutError, ConnectionError):
        pass  # it waits for more of a body, or has hung up
    finally:
        writer.transport.abort()
    return [int(status) for status in STATUS.findall(received)]


def test_each_row_names_another_mechanism() -> None:
    """House rule: two rows with one mechanism count once."""
    assert len({row.mechanism for row in ROWS}) == len(ROWS) >= 30
