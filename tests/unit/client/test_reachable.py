"""Interfaces that cannot be reached: the next one of the card is used (R-BIND-03)."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from a2a_bridge.client.client import Trust
from a2a_bridge.client.interface import usable_interfaces
from a2a_bridge.errors import ConnectionFailedError, InternalError, StreamBrokenError
from a2a_bridge.protocol.objects import Task
from a2a_bridge.testing.raw_server import RawServer, raw_server
from a2a_bridge.testing.server import free_socket
from tests.unit.client.test_resolve import card_with

TASK = {"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_COMPLETED"}}
ANYWHERE = Trust(allow_other_origin=True)


@pytest.fixture
def dead() -> Iterator[str]:
    """The URL of a port that nobody listens at."""
    bound: socket.socket = free_socket()
    yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    bound.close()


@pytest.fixture
async def second() -> AsyncIterator[RawServer]:
    """Another server."""
    async with raw_server() as server:
        yield server


def offer(raw: RawServer, *interfaces: tuple[str, str, str]) -> None:
    raw.card["supportedInterfaces"] = [
        {"url": url, "protocolBinding": binding, "protocolVersion": "1.0"} | ({"tenant": tenant} if tenant else {})
        for url, binding, tenant in interfaces
    ]


async def test_a_send_goes_to_the_next_interface_when_the_first_cannot_be_reached(
    raw: Any, dead: str, caplog: pytest.LogCaptureFixture
) -> None:
    """R-BIND-03: at once, under the other's binding and tenant; and then the choice stands, also with a new card."""
    offer(raw, (dead, "JSONRPC", "one"), (f"{raw.url}/rest", "HTTP+JSON", "two"))
    raw.on("POST /rest/two/message:send", lambda exchange: exchange.answer(b'{"message":' + SAID + b"}"))
    client = raw.client(trust=ANYWHERE)
    assert (await client.send("hi")).parts[0].text == "hello"
    raw.card["description"] = "It has changed."
    await client.card(refresh=True)
    await client.send("again")
    assert [record.levelname for record in caplog.records if "cannot be reached" in record.message] == ["WARNING"]
    assert [request.path for request in raw.requests if request.verb == "POST"] == ["/rest/two/message:send"] * 2


SAID = b'{"messageId":"m","role":"ROLE_AGENT","parts":[{"text":"hello"}]}'


async def test_a_stream_goes_to_the_next_interface_as_well(raw: Any, dead: str) -> None:
    """R-BIND-03: nothing has been given yet."""
    offer(raw, (dead, "HTTP+JSON", ""), (f"{raw.url}/rpc", "JSONRPC", ""))
    raw.on("SendStreamingMessage", lambda exchange: exchange.stream({"task": TASK}))
    async with asyncio.timeout(5), aclosing(raw.client(trust=ANYWHERE).stream("hi")) as events:
        assert [type(event) async for event in events] == [Task]
    assert len(raw.calls("SendStreamingMessage")) == 1


async def test_an_answer_is_an_answer_whatever_it_says(raw: Any, second: RawServer) -> None:
    """R-BIND-03: an error, and a connection that breaks after the request was sent, ask no other interface."""
    offer(raw, (f"{raw.url}/rpc", "JSONRPC", ""), (f"{second.url}/rpc", "JSONRPC", ""))
    raw.on("GetTask", lambda exchange: exchange.error(-32603))
    client = raw.client(trust=ANYWHERE)
    with pytest.raises(InternalError):
        await client.get("t1")

    async def cut(exchange: Any) -> None:
        exchange.cut()

    raw.on("SendMessage", cut)
    with pytest.raises(ConnectionFailedError, match="closed the connection"):
        await client.send("hi")
    raw.on("SendStreamingMessage", cut)
    with pytest.raises((ConnectionFailedError, StreamBrokenError)):
        async with aclosing(client.stream("hi")) as events:
            _ = [event async for event in events]
    assert second.requests == []


async def test_an_error_of_the_second_interface_settles_it_too(
    raw: Any, dead: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It was reached: the first one is not tried again for the next call."""
    offer(raw, (dead, "JSONRPC", ""), (f"{raw.url}/rpc", "JSONRPC", ""))
    raw.on("GetTask", lambda exchange: exchange.error(-32603))
    client = raw.client(trust=ANYWHERE)
    for _ in range(2):
        with pytest.raises(InternalError):
            await client.get("t1")
    assert len([record for record in caplog.records if "cannot be reached" in record.message]) == 1


async def test_when_no_interface_can_be_reached_the_first_failure_is_told(raw: Any, dead: str) -> None:
    """With the address of the interface of choice."""
    bound = free_socket()
    offer(raw, (dead, "JSONRPC", ""), (f"http://127.0.0.1:{bound.getsockname()[1]}", "JSONRPC", ""))
    client = raw.client(trust=ANYWHERE)
    with pytest.raises(ConnectionFailedError, match=f"cannot connect to {dead}"):
        await client.get("t1")
    with pytest.raises(ConnectionFailedError, match=f"cannot connect to {dead}"):
        async with aclosing(client.stream("hi")) as events:
            _ = [event async for event in events]
    bound.close()


@pytest.mark.parametrize(
    ("offered", "usable"),
    [
        (["https://a/1", "http://b/2", "https://c/3"], ["https://a/1", "https://c/3"]),
        (["http://a/1", "https://b/2", "http://A/3"], ["http://a/1", "https://b/2"]),
    ],
)
def test_who_cuts_a_connection_gets_nothing_to_read(offered: list[str], usable: list[str]) -> None:
    """R-BIND-03 has its limit: never from https to http; and one interface of a server stands for all of it."""
    card = card_with(*((url, "JSONRPC", "1.0") for url in offered))
    found = usable_interfaces(card, "https://a/.well-known/agent-card.json", allow_other_origin=True)
    assert [one.url for one in found] == usable


def test_another_origin_is_no_way_out_unless_it_is_allowed() -> None:
    """Credentials would go there."""
    card = card_with(*((url, "JSONRPC", "1.0") for url in ("https://a/1", "https://b/2")))
    assert [one.url for one in usable_interfaces(card, "https://a/card.json")] == ["https://a/1"]
