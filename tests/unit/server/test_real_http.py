"""What only a real connection shows: refusals while a body is still on its way, reuse, and half a request."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from a2a_bridge.bridge import Bridge
from a2a_bridge.server.limits import Limits
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.server import running
from a2a_bridge.testing.wire import Wire, eventually, say


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """A real server with small limits, and a client with one connection."""
    limits = Limits(body=1 << 20)
    async with running(lambda url: Bridge(Obedient(), public_url=url, limits=limits)) as url:
        one = httpx.Limits(max_connections=1)
        async with httpx.AsyncClient(base_url=url, headers={"A2A-Version": "1.0"}, timeout=5, limits=one) as http:
            yield Wire(http)


@pytest.mark.parametrize("megabytes", [2, 16])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_client_sees_why_its_large_body_was_refused(wire: Wire, megabytes: int, chunked: bool) -> None:
    """R-JRPC-13: the connection is not reset under a body that is still being sent, and serves the next request."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(megabytes * 16):
            yield b"x" * 65536

    content = pieces() if chunked else b"x" * (megabytes << 20)
    response = await wire.http.post("/", content=content, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (413, -32600)
    assert (await wire.send())["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_a_body_of_the_wrong_type_is_refused_before_it_is_there(wire: Wire) -> None:
    """R-JRPC-03."""
    response = await wire.http.post("/", content=b"x" * (8 << 20), headers={"content-type": "text/plain"})
    assert response.status_code == 415


async def test_one_connection_serves_answers_streams_and_refusals(wire: Wire) -> None:
    """R-JRPC-23: a stream ends properly, so that its connection can be used again."""
    for _ in range(3):
        assert (await wire.frames("SendStreamingMessage", say("tokens")))[-1].state == "TASK_STATE_COMPLETED"
        assert (await wire.error("GetTask", {"id": "no"}))["code"] == -32001
        assert (await wire.http.get("/.well-known/agent-card.json")).status_code == 200
        assert (await wire.http.head("/.well-known/agent-card.json")).status_code == 200
        assert (await wire.post({"jsonrpc": "2.0", "method": "ListTasks"})).status_code == 204
        known = await wire.http.get("/.well-known/agent-card.json", headers={"if-none-match": "*"})
        assert known.status_code == 304


async def test_half_a_request_is_nothing(wire: Wire) -> None:
    """Bad input of the issue: a client that hangs up in the middle of its body leaves no task, and no error."""
    port = wire.http.base_url.port
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say()}).encode()
    head = f"POST / HTTP/1.1\r\nHost: x\r\nA2A-Version: 1.0\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    for cut in (10, len(head), len(head) + 5, len(head) + len(body) - 1):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write((head + body)[:cut])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert (await wire.result("ListTasks", {}))["totalSize"] == 0


async def test_a_request_in_two_halves_is_one(wire: Wire) -> None:
    """R-JRPC-12: also when the cut is inside a character."""
    port = wire.http.base_url.port
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say("ü")}, ensure_ascii=False)
    raw = body.encode()
    at = raw.index("ü".encode()) + 1
    head = f"POST / HTTP/1.1\r\nHost: x\r\nA2A-Version: 1.0\r\nContent-Length: {len(raw)}\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head + raw[:at])
    await writer.drain()
    await asyncio.sleep(0)
    writer.write(raw[at:])
    async with asyncio.timeout(5):
        answer = await reader.readuntil(b"COMPLETED")
    assert "echo: ü".encode() in answer + await reader.read(2000)
    writer.close()
    assert len(await eventually(wire.tasks)) == 1
