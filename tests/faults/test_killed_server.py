"""A real server process that is killed, or asked to end, in the middle of its work."""

import asyncio
import signal
import sqlite3
from contextlib import aclosing
from typing import Any

import pytest

from a2a_bridge.client.client import Client, Retries
from a2a_bridge.protocol.objects import Task, TaskArtifactUpdateEvent, TaskState, TaskStatusUpdateEvent
from a2a_bridge.testing.wire import Frame, Wire, eventually, say


async def some(wire: Wire, params: Any, count: int = 6) -> list[Frame]:
    """The first events of a stream; then the connection is closed."""
    async with wire.stream("SendStreamingMessage", params) as reader:
        found = [await reader.next() for _ in range(count)]
    return [frame for frame in found if frame is not None]


def texts(task: Any) -> list[str]:
    return ["".join(part["text"] for part in artifact["parts"]) for artifact in task["artifacts"]]


async def test_nothing_that_was_told_is_lost_when_the_server_is_killed(server: Any) -> None:
    """Issue: kill -9 in mid-stream and a start on the same file; failures 1, 2, 4, 16, 20 and 22."""
    done = await server.wire("talk").send("hello", contextId="c")
    waiting = await server.wire("talk").send("ask", contextId="w")
    messages = {"once": say("go"), "again": say("go")}
    before = {agent: await some(server.wire(agent), params) for agent, params in messages.items()}
    await server.kill()
    await server.start()

    assert await server.wire("talk").get(done["id"]) == done
    assert await server.wire("talk").get(waiting["id"]) == waiting
    answered = await server.wire("talk").send("blue", taskId=waiting["id"])
    assert answered["status"]["state"] == "TASK_STATE_COMPLETED"

    for agent, state in (("once", "TASK_STATE_FAILED"), ("again", "TASK_STATE_COMPLETED")):
        wire, seen = server.wire(agent), before[agent]
        task_id, last = seen[0].value["id"], str(seen[-1].id)
        rest = await wire.frames("SubscribeToTask", {"id": task_id}, {"last-event-id": last})
        assert rest[-1].state == state
        numbers = [frame.id for frame in (*seen, *rest)]
        assert numbers == list(range(1, len(numbers) + 1))
        whole = await wire.frames("SubscribeToTask", {"id": task_id}, {"last-event-id": "0"})
        assert [frame.data["result"] for frame in whole] == [frame.data["result"] for frame in (*seen, *rest)]
        task = await wire.get(task_id)
        assert task["status"]["state"] == state
        assert len(task["history"]) == 1
        again = await wire.result("SendMessage", messages[agent])
        assert again["task"] == task
    words = (await server.wire("once").get(before["once"][0].value["id"]))["status"]["message"]["parts"][0]["text"]
    assert "stopped while the agent was working" in words
    assert texts(await server.wire("again").get(before["again"][0].value["id"])) == ["2.0 2.1 2.2 2.3 2.4 "]


async def test_our_client_reads_on_over_a_kill_without_noticing(server: Any) -> None:
    """Issue: it resumes by Last-Event-ID with no gap and no duplicate (failures 1, 2, 19 and 20)."""
    client = Client(f"{server.url}/again/", retries=Retries(times=8, resumes=12, pause=0.2, longest=1.0))
    said: dict[str, list[str]] = {}
    events = 0
    async with aclosing(client.stream("go")) as stream:
        async for event in stream:
            events += 1
            if events == 6:
                await server.kill()
                await server.start()
            if isinstance(event, TaskArtifactUpdateEvent):
                held = said.setdefault(event.artifact.artifact_id, [])
                if not event.append:
                    held.clear()
                held.append(event.artifact.text)
            last = event
    assert isinstance(last, TaskStatusUpdateEvent)
    assert last.status.state is TaskState.COMPLETED
    assert said == {"answer": ["2.0 ", "2.1 ", "2.2 ", "2.3 ", "2.4 "]}
    task = await client.get(last.task_id)
    assert isinstance(task, Task)
    assert task.text == "2.0 2.1 2.2 2.3 2.4 "


@pytest.mark.parametrize("round", range(3))
async def test_the_file_is_sound_after_every_kill(server: Any, round: int) -> None:
    """Failure class "kill mid-commit": SQLite says so, and every accepted message has a fate."""
    wire = server.wire("once")
    params = [say(f"go {number}") for number in range(8)]
    sends = [asyncio.create_task(some(wire, one, 2 + round)) for one in params]
    frames = await asyncio.gather(*sends)
    await server.kill()
    with sqlite3.connect(server.path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    await server.start()
    listed = await wire.result("ListTasks", {"status": "TASK_STATE_FAILED"})
    assert {task["id"] for task in listed["tasks"]} == {found[0].value["id"] for found in frames}
    assert (await wire.result("ListTasks", {}))["totalSize"] == 8


async def test_a_server_that_is_asked_to_end_says_goodbye_and_ends_in_time(server: Any) -> None:
    """Issue, failure 29: SIGTERM with open streams: not ready, last events, exit within the grace and a few seconds."""
    waiting = await server.wire("talk").send("ask")
    opened = [("talk", "SubscribeToTask", {"id": waiting["id"]})] * 5
    opened += [("once", "SendStreamingMessage", say("go")) for _ in range(5)]
    opened += [("again", "SendStreamingMessage", say("go")) for _ in range(5)]
    streams = [asyncio.create_task(read_to_the_end(server.wire(agent), *asked)) for agent, *asked in opened]
    sending = asyncio.create_task(server.wire("once").post(
        {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say("go")}
    ))  # fmt: skip
    await eventually(lambda: _are(6, server.wire("once")))
    begun = asyncio.get_running_loop().time()
    server.signal(signal.SIGTERM)
    assert await server.ended(within=5.0) in (0, -signal.SIGTERM)
    assert asyncio.get_running_loop().time() - begun < 4.5
    for number, raw in enumerate(await asyncio.gather(*streams)):
        if 5 <= number < 10:
            assert b"TASK_STATE_FAILED" in raw.rpartition(b"data: ")[2], raw[-300:]
        else:
            assert raw.endswith(b"retry: 1000\n: the server is stopping\n\n"), raw[-300:]
    task = (await sending).json()["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_FAILED"

    await server.start()
    assert (await server.wire("talk").get(waiting["id"]))["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    await eventually(lambda: _are(5, server.wire("again"), status="TASK_STATE_COMPLETED"))


async def test_a_server_that_is_interrupted_at_the_terminal_ends_without_a_traceback(server: Any) -> None:
    """Ours: Ctrl-C is how people stop it."""
    await server.wire("talk").send("hello")
    server.signal(signal.SIGINT)
    assert await server.ended(within=5.0) == 0
    assert "Traceback" not in await server.log()


async def test_a_second_interrupt_ends_the_grace_and_nothing_is_lost(patient: Any) -> None:
    """Ours: the first Ctrl-C says what is waited for, the second cuts the turns as the end of the grace does."""
    wire = patient.wire("once")
    sending = asyncio.create_task(wire.post(
        {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say("go")}
    ))  # fmt: skip
    await eventually(lambda: _are(1, wire))
    patient.signal(signal.SIGINT)
    told = b""
    async with asyncio.timeout(5.0):
        while b"waiting up to 60 s for 1 turn; Ctrl-C again stops now" not in told:
            told += await patient.process.stderr.readline()
    assert not sending.done()
    patient.signal(signal.SIGINT)
    assert await patient.ended(within=10.0) == 0
    rest = await patient.log()
    assert "Traceback" not in rest
    assert "Application shutdown complete" in rest
    task = (await sending).json()["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    await patient.start()
    assert (await wire.get(task["id"]))["status"] == task["status"]


async def _are(count: int, wire: Wire, **filters: Any) -> bool:
    return len(await wire.tasks(**filters)) == count


async def read_to_the_end(wire: Wire, method: str, params: Any) -> bytes:
    async with wire.stream(method, params) as reader:
        await reader.rest()
        return reader.raw


async def test_a_second_server_on_the_same_file_refuses_to_start(server: Any) -> None:
    """Architecture: one writing process at a time, told in a sentence."""
    other = type(server)(server.path)
    try:
        with pytest.raises(AssertionError, match=r"another|in use|lock"):
            await other.start()
        assert (await server.wire("talk").send("still here"))["status"]["state"] == "TASK_STATE_COMPLETED"
    finally:
        await other.close()


async def test_a_reader_that_never_reads_loses_its_connection_and_nobody_else_does(server: Any) -> None:
    """Bad input of the issue, failures 9 and 28: cut within the limit; the others get everything, at their own pace."""
    wire = server.wire("flood")
    async with wire.stream("SendStreamingMessage", say("go")) as reader:
        first = await reader.next()
        assert first is not None
        task_id = first.value["id"]
        lazy = [server.open_raw("flood", "SubscribeToTask", {"id": task_id}) for _ in range(10)]
        frames = [first, *await reader.rest()]
    assert frames[-1].state == "TASK_STATE_COMPLETED"
    assert [frame.id for frame in frames] == list(range(1, 204))
    try:
        for connection in lazy:
            assert await is_closed_by_peer(connection)
    finally:
        for connection in lazy:
            connection.close()
    assert (await wire.send("once more"))["status"]["state"] == "TASK_STATE_COMPLETED"


async def is_closed_by_peer(connection: Any) -> bool:
    """Whether the other side has closed: seen without having read anything before. Five seconds at most.

    The kernel still has what it had taken; what matters is that the server holds the connection no longer.
    """

    def is_broken() -> bool:
        try:
            connection.send(b"\r\n")
        except BlockingIOError:
            return False
        except OSError:
            return True
        return False

    return await eventually(is_broken)
