"""Servers that speak another version than their card says."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from a2a_bridge.client.client import Wanted
from a2a_bridge.errors import MethodNotFoundError, TaskNotFoundError, VersionNotSupportedError
from a2a_bridge.protocol.objects import Task, TaskState

NEW = {"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_COMPLETED"}}
OLD = {"kind": "task", "id": "t1", "contextId": "c1", "status": {"state": "completed"}}


def methods(raw: Any) -> list[str]:
    return [request.rpc["method"] for request in raw.requests if request.rpc]


@pytest.mark.parametrize("code", [-32009, -32601])
async def test_a_server_of_0_3_behind_a_card_of_1_0_is_spoken_to_in_0_3(raw: Any, code: int) -> None:
    """R-COMPAT-22: tried once, and then known."""
    raw.on("GetTask", lambda exchange: exchange.error(code))
    raw.on("tasks/get", lambda exchange: exchange.result(OLD))
    raw.on("tasks/cancel", lambda exchange: exchange.result({**OLD, "status": {"state": "canceled"}}))
    client = raw.client()
    assert (await client.get("t1")).status.state is TaskState.COMPLETED
    assert (await client.cancel("t1")).status.state is TaskState.CANCELED
    assert methods(raw) == ["GetTask", "tasks/get", "tasks/cancel"]
    assert raw.requests[-1].headers["a2a-version"] == "0.3"


async def test_a_server_of_1_0_behind_a_card_of_0_3_is_spoken_to_in_1_0(raw: Any) -> None:
    """R-COMPAT-22: the other way round, in a stream."""
    raw.card = {
        "name": "old", "url": f"{raw.url}/rpc", "protocolVersion": "0.3.0", "capabilities": {"streaming": True},
    }  # fmt: skip

    async def refuse(exchange: Any) -> None:
        await exchange.stream()
        error = {"jsonrpc": "2.0", "id": exchange.rpc["id"], "error": {"code": -32601, "message": "no"}}
        await exchange.raw(f"data: {json.dumps(error)}\n\n".encode())

    raw.on("message/stream", refuse)
    raw.on("SendStreamingMessage", lambda exchange: exchange.stream({"task": NEW}))
    async with asyncio.timeout(5), aclosing(raw.client().stream("hi")) as events:
        assert [type(event) async for event in events] == [Task]
    assert methods(raw) == ["message/stream", "SendStreamingMessage"]
    first, second = (request.rpc["params"]["message"]["messageId"] for request in raw.requests[1:])
    assert first == second


async def test_the_first_refusal_counts_when_the_other_version_is_refused_too(raw: Any) -> None:
    """And nothing is settled."""
    raw.on("GetTask", lambda exchange: exchange.error(-32009, "1.0 is not spoken here"))
    raw.on("tasks/get", lambda exchange: exchange.error(-32601))
    client = raw.client()
    for _ in range(2):
        with pytest.raises(VersionNotSupportedError, match=r"1\.0 is not spoken here"):
            await client.get("t1")
    assert methods(raw) == ["GetTask", "tasks/get"] * 2


async def test_another_error_in_the_other_version_is_the_answer(raw: Any) -> None:
    """It was understood."""
    raw.on("GetTask", lambda exchange: exchange.error(-32009))
    raw.on("tasks/get", lambda exchange: exchange.error(-32001))
    client = raw.client()
    with pytest.raises(TaskNotFoundError):
        await client.get("t1")
    with pytest.raises(TaskNotFoundError):
        await client.get("t1")
    assert methods(raw) == ["GetTask", "tasks/get", "tasks/get"]


async def test_a_method_that_a_server_merely_lacks_changes_nothing(raw: Any) -> None:
    """Lists are not in every server."""
    raw.on("ListTasks", lambda exchange: exchange.error(-32601))
    with pytest.raises(MethodNotFoundError):
        await raw.client().list()
    assert methods(raw) == ["ListTasks"]


async def test_a_version_that_was_asked_for_is_kept(raw: Any) -> None:
    """R-VER-08: no silent downgrade."""
    raw.on("GetTask", lambda exchange: exchange.error(-32009))
    with pytest.raises(VersionNotSupportedError):
        await raw.client(interface=Wanted(version="1.0")).get("t1")
    assert methods(raw) == ["GetTask"]
