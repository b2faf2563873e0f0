"""What one server allows, at n - 1, n and n + 1, through both bindings."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from a2a_bridge.agent import Turn
from a2a_bridge.bridge import Bridge
from a2a_bridge.server.auth import Auth
from a2a_bridge.server.identity import ApiKeys, Key
from a2a_bridge.server.limits import Limits
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.tasks.log import TaskLog, hold_to
from a2a_bridge.testing.agents import Gate, Obedient, Scripted
from a2a_bridge.testing.rest_wire import RestWire
from a2a_bridge.testing.server import running
from a2a_bridge.testing.wire import Wire, eventually, reason_of, say

ANN, BOB = "ann-key-of-this-test", "bob-key-of-this-test"
AUTH = Auth(schemes={"key": ApiKeys([Key.of("ann", ANN), Key.of("bob", BOB)])})
Serve = Callable[..., Any]


def as_caller(key: str) -> dict[str, str]:
    return {"x-api-key": key}


async def status(http: httpx.AsyncClient, key: str) -> httpx.Response:
    """What this key gets for a question that costs nothing."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {}}
    return await http.post("/", json=call, headers=as_caller(key))


@pytest.fixture(params=[Wire, RestWire])
def binding(request: pytest.FixtureRequest) -> Callable[[httpx.AsyncClient], Wire]:
    found: Callable[[httpx.AsyncClient], Wire] = request.param
    return found


@pytest.mark.parametrize(("count", "taken"), [(2, True), (3, True), (4, False)])
async def test_a_message_has_so_many_parts(start: Serve, binding: Any, count: int, taken: bool) -> None:
    """R-SEC-09: refused before anything runs, and the answer names the field."""
    wire = binding(await start(Bridge(Obedient(), limits=Limits(parts=3))))
    for method in ("SendMessage", "SendStreamingMessage"):
        params = say(parts=[{"text": "x"}] * count)
        if not taken:
            error = await wire.error(method, params)
            assert (error["code"], reason_of(error)) == (-32602, "INVALID_PARAMS")
        elif method == "SendMessage":
            assert (await wire.result(method, params))["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
        else:
            assert (await wire.frames(method, params))[-1].state == "TASK_STATE_COMPLETED"


async def test_a_caller_has_a_rate_of_its_own(start: Serve) -> None:
    """R-SEC-10: three at once, then 429 with the seconds to wait; somebody else is not disturbed."""
    http = await start(Bridge(Obedient(), auth=AUTH, limits=Limits(rate=0.1, burst=3)))
    assert [(await status(http, ANN)).status_code for _ in range(3)] == [200, 200, 200]
    refused = await status(http, ANN)
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 10
    assert refused.json()["error"]["data"][0]["reason"] == "RESOURCE_EXHAUSTED"
    assert (await status(http, BOB)).status_code == 200


async def test_callers_that_nobody_knows_share_the_rate_of_their_address(start: Serve) -> None:
    """R-SEC-10: a rate without schemes."""
    http = await start(Bridge(Obedient(), limits=Limits(rate=0.1, burst=2)))
    assert [(await status(http, "")).status_code for _ in range(3)] == [200, 200, 429]


async def test_an_address_has_so_many_attempts_and_a_good_key_still_opens(start: Serve) -> None:
    """R-SEC-10: guessing is slowed down, without locking out who shares the address."""
    http = await start(Bridge(Obedient(), auth=AUTH, limits=Limits(attempts=0.1, attempts_burst=2)))
    assert [(await status(http, "wrong" * 5)).status_code for _ in range(3)] == [401, 401, 429]
    assert [(await status(http, "")).status_code for _ in range(1)] == [429]
    assert (await status(http, ANN)).status_code == 200


async def no_place(wire: Wire, key: str) -> None:
    """A stream is refused with 429, and nothing runs."""
    with pytest.raises(AssertionError, match="RESOURCE_EXHAUSTED"):
        async with wire.stream("SendStreamingMessage", say("wait"), as_caller(key)):
            pass


async def test_streams_have_places(start: Serve, binding: Any) -> None:
    """R-SEC-10: two of one caller, three of all; one that ends makes room."""
    agent = Obedient()
    limits = Limits(streams=3, caller_streams=2)
    http = await start(Bridge(agent, auth=AUTH, limits=limits))
    wire = binding(http)
    async with AsyncExitStack() as stack:
        first = AsyncExitStack()
        await stack.enter_async_context(first)
        for opened in (first, stack):
            reader = await opened.enter_async_context(wire.stream("SendStreamingMessage", say("wait"), as_caller(ANN)))
            await reader.next()
        await no_place(wire, ANN)
        await stack.enter_async_context(wire.stream("SendStreamingMessage", say("wait"), as_caller(BOB)))
        await no_place(wire, BOB)
        assert "task" in await wire.result("SendMessage", say("hello"), headers=as_caller(ANN))  # not a stream
        await first.aclose()
        async with wire.stream("SendStreamingMessage", say("hello"), as_caller(ANN)) as reader:
            assert (await reader.rest())[-1].state == "TASK_STATE_COMPLETED"
        agent.gate.open()


async def test_a_stream_that_was_refused_takes_no_place(start: Serve, binding: Any) -> None:
    """Neither an unknown task nor parameters that are no good use up the places."""
    wire = binding(await start(Bridge(Obedient(), limits=Limits(streams=1))))
    for _ in range(3):
        assert (await wire.error("SubscribeToTask", {"id": "none"}))["code"] == -32001
        assert (await wire.error("SendStreamingMessage", {"message": {}}))["code"] == -32602
        assert (await wire.frames("SendStreamingMessage", say("hello")))[-1].state == "TASK_STATE_COMPLETED"


async def test_so_many_turns_run_at_a_time(start: Serve, binding: Any) -> None:
    """The third waits for nobody: it is told to come again, with 429 in either binding."""
    agent = Obedient()
    wire = binding(await start(Bridge(agent, limits=Limits(runs=2))))
    for _ in range(2):
        await wire.result("SendMessage", say("wait") | {"configuration": {"returnImmediately": True}})
    error = await wire.error("SendMessage", say("hello"))
    assert (error["code"], reason_of(error)) == (-32603, "RESOURCE_EXHAUSTED")
    agent.gate.open()
    assert await eventually(lambda: _sent(wire))


async def _sent(wire: Wire) -> bool:
    return "result" in await wire.call("SendMessage", say("hello"))


async def test_so_many_messages_wait_for_a_task(start: Serve) -> None:
    """Two wait; the third is told to come again, and nothing of it is kept."""
    gate = Gate()

    async def slow(turn: Turn) -> AsyncGenerator[str, None]:
        yield "begun"
        await gate()
        yield turn.text if hasattr(turn, "text") else "done"

    wire = Wire(await start(Bridge(Scripted(slow), limits=Limits(queue=2))))
    task = (await wire.result("SendMessage", say("x") | {"configuration": {"returnImmediately": True}}))["task"]["id"]
    await gate.reached()
    more = [asyncio.ensure_future(wire.call("SendMessage", say("more", taskId=task))) for _ in range(3)]
    done, _ = await asyncio.wait(more, return_when=asyncio.FIRST_COMPLETED)
    assert [reason_of(found.result()["error"]) for found in done] == ["RESOURCE_EXHAUSTED"]
    gate.open()
    await asyncio.gather(*more)


@pytest.mark.parametrize(("limit", "taken"), [(4, True), (3, True), (2, False)])
async def test_a_task_has_so_many_messages(start: Serve, limit: int, taken: bool) -> None:
    """A task with two messages takes a third if three are permitted; the task is as it was if not."""
    wire = Wire(await start(Bridge(Obedient(), limits=Limits(history=limit))))
    task = await wire.send("ask")
    before = await wire.get(task["id"])
    assert len(before.get("history", ())) == 1
    again = await wire.send("ask", taskId=task["id"])
    assert len(again["history"]) == 3  # the question that was answered is one of them
    if taken and limit > 3:
        assert (await wire.send("fine", taskId=task["id"]))["status"]["state"] == "TASK_STATE_COMPLETED"
    else:
        error = await wire.error("SendMessage", say("fine", taskId=task["id"]))
        assert reason_of(error) == "UNSUPPORTED_OPERATION"


@pytest.mark.parametrize(("limit", "is_full"), [(101, False), (100, False), (99, True)])
async def test_a_log_of_so_many_bytes_is_full(limit: int, is_full: bool) -> None:
    """Counted over commits: what has been written does not make room."""
    store = MemoryStore()
    log = TaskLog(store, "s", epoch=(await store.claim("s")).epoch)
    hold_to(log, limit)
    for _ in range(10):
        log.append(b"0123456789")
    log.flush()
    assert log.is_ahead is is_full
    if is_full:
        assert await log.room() is False


async def test_an_agent_that_never_stops_talking_is_stopped(start: Serve) -> None:
    """The task FAILS with words that say why, and the generator is finished."""
    ended = asyncio.Event()

    async def forever(turn: Turn) -> AsyncGenerator[str, None]:
        try:
            while True:
                yield "x" * 1000
        finally:
            ended.set()

    wire = Wire(await start(Bridge(Scripted(forever), limits=Limits(log=200_000))))
    task = await wire.send("go")
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert "too large" in task["status"]["message"]["parts"][0]["text"]
    assert ended.is_set()


def open_streams(bridge: Bridge) -> int:
    return len(bridge._streams)


def speaking_to(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, headers={"A2A-Version": "1.0"}, timeout=10)


@contextlib.contextmanager
def deaf_reader(url: str, task_id: str) -> Iterator[None]:
    """A client that subscribes and never reads a byte."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", httpx.URL(url).port))
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "SubscribeToTask", "params": {"id": task_id}})
        head = "POST / HTTP/1.1\r\nhost: x\r\na2a-version: 1.0\r\ncontent-type: application/json\r\n"
        client.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        yield


async def test_a_reader_that_never_reads_is_dropped_and_costs_the_others_nothing() -> None:
    """Issue, limits: its place is free again, and another reader of the same task has got everything meanwhile."""
    gate = Gate()

    async def loud(turn: Turn) -> AsyncGenerator[str, None]:
        yield "begun"
        await gate()
        for _ in range(100):
            yield "x" * 100_000

    limits = Limits(send=1.0, caller_streams=2)
    made: list[Bridge] = []

    def bridge(url: str) -> Bridge:
        made.append(Bridge(Scripted(loud), public_url=url, limits=limits))
        return made[0]

    async with running(bridge) as url, speaking_to(url) as http:
        wire = Wire(http)
        task = (await wire.result("SendMessage", say("x") | {"configuration": {"returnImmediately": True}}))["task"]
        await gate.reached()
        with deaf_reader(url, task["id"]):
            await eventually(lambda: open_streams(made[0]) == 1)
            async with wire.stream("SubscribeToTask", {"id": task["id"]}) as other:
                gate.open()
                frames = await other.rest()
            assert frames[-1].state == "TASK_STATE_COMPLETED"
            assert sum(frame.kind == "artifactUpdate" for frame in frames) >= 100
            await eventually(lambda: open_streams(made[0]) == 0)  # the deaf one has been cut
