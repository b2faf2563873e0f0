"""Following a task of a 0.3 server, which promises no snapshot."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from a2a_bridge.errors import InvalidParamsError, TaskNotFoundError
from a2a_bridge.protocol.objects import Task, TaskArtifactUpdateEvent, TaskStatusUpdateEvent

IDS = {"taskId": "t1", "contextId": "c1"}


def task(state: str, text: str) -> dict[str, Any]:
    artifact = {"artifactId": "answer", "parts": [{"kind": "text", "text": text}]}
    return {"kind": "task", "id": "t1", "contextId": "c1", "status": {"state": state}, "artifacts": [artifact]}


def chunk(text: str) -> dict[str, Any]:
    artifact = {"artifactId": "answer", "parts": [{"kind": "text", "text": text}]}
    return {"kind": "artifact-update", **IDS, "artifact": artifact, "append": True}


def status(state: str, *, final: bool = False) -> dict[str, Any]:
    return {"kind": "status-update", **IDS, "status": {"state": state}, "final": final}


@pytest.fixture
def old(raw: Any) -> Any:
    raw.card = {
        "name": "old", "url": f"{raw.url}/rpc", "protocolVersion": "0.3.0", "capabilities": {"streaming": True},
    }  # fmt: skip
    return raw


def shown(events: list[Any]) -> list[str]:
    """What a reader sees, in words."""
    found = []
    for event in events:
        if isinstance(event, TaskArtifactUpdateEvent):
            found.append(("+" if event.append else "=") + event.artifact.text)
        elif isinstance(event, TaskStatusUpdateEvent):
            found.append(event.status.state.value)
        else:
            assert isinstance(event, Task)
            found.append(f"task {event.text}")
    return found


async def read(events: Any) -> list[str]:
    async with asyncio.timeout(5), aclosing(events):
        return shown([event async for event in events])


async def test_updates_without_a_snapshot_come_neither_twice_nor_not_at_all(old: Any) -> None:
    """R-COMPAT-10, R-SUB-01: "b" is in the snapshot that was asked for and in the stream; "c" only in the task."""
    old.on(
        "tasks/get",
        lambda exchange: exchange.result(task("working", "ab")),
        lambda exchange: exchange.result(task("working", "abc")),
        lambda exchange: exchange.result(task("completed", "abc")),
    )
    old.on("tasks/resubscribe", lambda exchange: exchange.stream(chunk("b"), status("completed", final=True)))
    assert await read(old.client().subscribe("t1")) == ["task ab", "+c", "TASK_STATE_COMPLETED"]


async def test_a_server_that_begins_with_a_snapshot_is_read_as_it_comes(old: Any) -> None:
    """The official SDK's 1.x servers do so in 0.3 too: no more is asked for."""
    old.on("tasks/get", lambda exchange: exchange.result(task("working", "a")))
    old.on(
        "tasks/resubscribe",
        lambda exchange: exchange.stream(task("working", "ab"), chunk("c"), status("completed", final=True)),
    )
    assert await read(old.client().subscribe("t1")) == ["task a", "+b", "+c", "TASK_STATE_COMPLETED"]
    assert len(old.calls("tasks/get")) == 1


async def test_a_task_that_has_ended_comes_as_it_is(old: Any) -> None:
    """R-SUB-02: servers refuse to follow it, each in its own way, so it is not tried."""
    old.on("tasks/get", lambda exchange: exchange.result(task("completed", "all")))
    assert await read(old.client().subscribe("t1")) == ["task all"]
    assert old.calls("tasks/resubscribe") == []


@pytest.mark.parametrize("ends", ["completed", "working"])
async def test_a_task_that_ends_before_it_can_be_followed_comes_as_it_is(old: Any, ends: str) -> None:
    """R-SUB-02: the refusal counts only if the task goes on."""
    old.on(
        "tasks/get",
        lambda exchange: exchange.result(task("working", "a")),
        lambda exchange: exchange.result(task(ends, "ab")),
    )
    old.on("tasks/resubscribe", lambda exchange: exchange.error(-32602, "in terminal state"))
    if ends == "working":
        with pytest.raises(InvalidParamsError):
            await read(old.client().subscribe("t1"))
        return
    assert await read(old.client().subscribe("t1")) == ["task a", "+b", "TASK_STATE_COMPLETED"]


async def test_a_cut_stream_is_taken_up_again(old: Any) -> None:
    """Without numbers of events, and without a snapshot from the server."""
    old.on("message/stream", lambda exchange: exchange.stream({**task("working", "a"), "artifacts": []}, chunk("a")))
    old.on(
        "tasks/get",
        lambda exchange: exchange.result(task("working", "ab")),
        lambda exchange: exchange.result(task("working", "ab")),
        lambda exchange: exchange.result(task("completed", "abc")),
    )
    old.on("tasks/resubscribe", lambda exchange: exchange.stream(status("completed", final=True)))
    assert await read(old.client().stream("hi")) == ["task ", "+a", "+b", "+c", "TASK_STATE_COMPLETED"]


async def test_a_server_that_numbers_its_events_is_left_to_it(old: Any) -> None:
    """`Last-Event-ID` says all, so nothing is asked for first."""
    old.on("tasks/resubscribe", lambda exchange: exchange.stream(status("completed", final=True), ids=8))
    assert await read(old.client().subscribe("t1", last_event_id="7")) == ["TASK_STATE_COMPLETED"]
    assert old.requests[-1].headers["last-event-id"] == "7"
    assert old.calls("tasks/get") == []


async def test_an_error_inside_the_stream_is_raised(old: Any) -> None:
    """R-COMPAT-12: 0.3 sends the errors of streaming methods as an event."""

    async def refuse(exchange: Any) -> None:
        await exchange.stream()
        error = {"jsonrpc": "2.0", "id": exchange.rpc["id"], "error": {"code": -32001, "message": "gone"}}
        await exchange.raw(f"data: {json.dumps(error)}\n\n".encode())

    old.on("message/stream", refuse)
    with pytest.raises(TaskNotFoundError, match="gone"):
        await read(old.client().stream("hi"))
