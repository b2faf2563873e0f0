"""A disk that is full: when a message is accepted, and in the middle of a stream (SQLite's own page limit)."""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.agent import Ask, Chunk, Traits
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.errors import StoreUnavailableError
from a2a_bridge.guard import Guard
from a2a_bridge.listen import Listening, server_for
from a2a_bridge.store.contract import Change, Claim
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.tasks.push import Push
from a2a_bridge.testing.agents import Gate, Scripted
from a2a_bridge.testing.receiver import Receiver
from a2a_bridge.testing.wire import Frame, Reader, Wire, eventually, reason_of, say

LARGE = "x" * 60_000


class Disk(SQLiteStore):
    """A store whose disk can be filled up and freed again."""

    async def fill(self) -> None:
        """From now on the file may not grow."""
        await self._limit("SELECT page_count FROM pragma_page_count")

    async def free(self) -> None:
        """As much room as anybody needs."""
        await self._limit("SELECT 1000000")

    async def _limit(self, pages: str) -> None:
        connection = self._ledger._connection  # type: ignore[union-attr]

        def work() -> None:
            (count,) = connection.execute(pages).fetchone()
            connection.execute(f"PRAGMA max_page_count = {count}")

        await self._writer.submit(work)


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "s.sqlite")


def state_of(task: dict[str, Any]) -> str:
    return str(task["status"]["state"]).removeprefix("TASK_STATE_")


async def echo(turn: Any) -> Any:
    yield f"echo: {len(turn.text)}"


async def use_up(wire: Wire) -> None:
    """Small things still fit into pages that are there; this fills them."""
    for _ in range(200):
        response = await wire.post({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say("x" * 500)})
        if response.status_code == 503:
            return
    raise AssertionError("the disk never filled up")


async def test_a_message_that_cannot_be_kept_is_refused_and_not_run(start: Any, disk: Disk) -> None:
    """Issue: at acceptance: 503, nothing has run, nothing hangs; the same message is taken when there is room again."""
    agent = Scripted(echo)
    wire = Wire(await start(Bridge(agent, store=disk)))
    before = await wire.send("before")
    await disk.fill()
    await use_up(wire)
    runs = len(agent.turns)
    params = say(LARGE)
    for method in ("SendMessage", "SendStreamingMessage"):
        response = await wire.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        assert response.status_code == 503
        assert reason_of(response.json()["error"]) == "UNAVAILABLE"
        assert "sqlite" not in response.text.lower()
    assert len(agent.turns) == runs
    assert await wire.get(before["id"]) == before
    await disk.free()
    assert state_of((await wire.result("SendMessage", params))["task"]) == "COMPLETED"


async def test_an_answer_that_cannot_be_kept_may_be_sent_again(start: Any, disk: Disk) -> None:
    """The task waits as before, whatever has failed meanwhile."""

    async def asks(turn: Any) -> Any:
        if turn.answer is None:
            yield Ask("?")
        else:
            yield turn.id.rpartition(".")[2]

    wire = Wire(await start(Bridge(Scripted(asks), store=disk)))
    task = await wire.send("go")
    await disk.fill()
    await use_up(wire)
    for _ in range(3):
        refused = await wire.post(
            {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say(LARGE, taskId=task["id"])}
        )
        assert refused.status_code == 503
    assert state_of(await wire.get(task["id"])) == "INPUT_REQUIRED"
    await disk.free()
    answered = await wire.send(LARGE, taskId=task["id"])
    assert state_of(answered) == "COMPLETED"
    assert answered["artifacts"] == [{"artifactId": "answer.2", "parts": [{"text": "2"}]}]


async def read_raw(reader: Reader) -> tuple[list[Frame], Frame]:
    """The events of a stream that ends with an error."""
    frames = await reader.rest()
    return frames[:-1], frames[-1]


async def test_a_disk_that_fills_up_in_mid_stream_is_an_error_and_no_silence(start: Any, disk: Disk) -> None:
    """Issue, R-JRPC-24, R-STRM-09: what was shown is kept; one error event; other readers and sends end too."""
    gate = Gate()

    async def talks(turn: Any) -> Any:
        if turn.text == "hello":
            yield "hello"
            return
        yield "kept"
        await gate()
        for _ in range(100):
            yield Chunk(LARGE)
            await asyncio.sleep(0)

    wire = Wire(await start(Bridge(Scripted(talks), store=disk)))
    sending = asyncio.create_task(
        wire.post({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say("unary")})
    )
    async with wire.stream("SendStreamingMessage", say("go")) as reader:
        opened = [await reader.next(), await reader.next()]
        assert opened[0] is not None
        task_id = opened[0].value["id"]
        async with wire.stream("SubscribeToTask", {"id": task_id}) as other:
            await other.next()
            waiting = asyncio.create_task(
                wire.post({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say("more", taskId=task_id)})
            )
            await asyncio.sleep(0)
            await disk.fill()
            gate.open()
            frames, error = await read_raw(reader)
            frames_of_other, error_of_other = await read_raw(other)
    for found in (error, error_of_other):
        assert found.event == "error"
        assert reason_of(found.data["error"]) == "UNAVAILABLE"
        assert found.data["id"] == "s"
        assert "sqlite" not in json.dumps(found.data).lower()
    assert [frame.id for frame in frames] == [frame.id for frame in frames_of_other]
    assert (await waiting).status_code == 503
    assert (await sending).status_code == 503

    await disk.free()
    assert state_of(await wire.send("hello")) == "COMPLETED"
    task = await wire.get(task_id)
    assert state_of(task) == "FAILED"
    seen = "kept" + "".join(frame.text for frame in frames)
    assert task["artifacts"][0]["parts"] == [{"text": seen}]
    whole = await wire.frames("SubscribeToTask", {"id": task_id}, {"last-event-id": "0"})
    assert [frame.id for frame in whole] == list(range(1, len(whole) + 1))
    assert whole[-1].state == "TASK_STATE_FAILED"


async def test_nobody_is_told_what_was_not_kept(start: Any, disk: Disk) -> None:
    """Our decision: while the agent of a task that was cut off still works, asking for the task is 503."""
    begin, end = Gate(), Gate()

    async def talks(turn: Any) -> Any:
        yield "kept"
        await begin()
        yield Chunk(LARGE)
        await end()

    wire = Wire(await start(Bridge(Scripted(talks), store=disk)))
    async with wire.stream("SendStreamingMessage", say("go")) as reader:
        first = await reader.next()
        assert first is not None
        await disk.fill()
        begin.open()
        await reader.rest()
    await end.reached()
    asked = {"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": first.value["id"]}}
    assert (await wire.post(asked)).status_code == 503
    await disk.free()
    end.open()
    found = await eventually(lambda: _is_told(wire, asked))
    assert state_of(found) == "FAILED"
    assert found["artifacts"][0]["parts"] == [{"text": "kept"}]


async def _is_told(wire: Wire, asked: Any) -> Any:
    response = await wire.post(asked)
    return response.json().get("result")


async def test_a_task_that_was_cut_off_is_not_left_working(start: Any, tmp_path: Path) -> None:
    """Failure 16: whoever asks for it next, in whatever way, finds that it has ended."""
    for method in ("GetTask", "CancelTask", "SubscribeToTask", "SendMessage"):
        gate = Gate()

        async def talks(turn: Any, gate: Gate = gate) -> Any:
            yield "kept"
            await gate()
            for _ in range(100):
                yield Chunk(LARGE)
                await asyncio.sleep(0)

        store = Disk(tmp_path / f"{method}.sqlite")
        wire = Wire(await start(Bridge(Scripted(talks, traits=Traits(keeps_context=True)), store=store)))
        async with wire.stream("SendStreamingMessage", say("go", contextId="c")) as reader:
            first = await reader.next()
            assert first is not None
            await store.fill()
            gate.open()
            await reader.rest()
        await store.free()
        task_id = first.value["id"]
        params = say("more", taskId=task_id) if method == "SendMessage" else {"id": task_id}
        found = await wire.call(method, params)
        expected = {"GetTask": None, "CancelTask": -32002}.get(method, -32004)
        assert found.get("error", {}).get("code") == expected, (method, found)
        assert state_of(await wire.get(task_id)) == "FAILED"


async def test_a_store_that_is_gone_at_the_start_is_told_in_a_sentence(tmp_path: Path) -> None:
    """Issue: the server does not start, and says why."""
    bridge = Bridge(Scripted(echo), store=SQLiteStore(tmp_path / "nowhere" / "s.sqlite"))
    with pytest.raises(StoreUnavailableError, match="does not exist"):
        await bridge.start()


class NoRoom(SQLiteStore):
    """Its disk has been full since before it was opened."""

    def claim(self, stream: str, records: Sequence[Change] = ()) -> Awaitable[Claim]:
        raise StoreUnavailableError("the store cannot be written: database or disk is full. Free some space")


async def test_tasks_that_cannot_be_taken_up_at_the_start_are_told_in_a_sentence(
    start: Any, tmp_path: Path, caplog: Any
) -> None:
    """Ours: the disk is still full when the server comes back. It says so in a sentence, uvicorn says nothing, and the
    store is let go for whoever tries again. The copy is made while the server runs, as README says."""
    gate = Gate()

    async def behaviour(turn: Any) -> Any:
        await gate()
        yield "done"

    wire = Wire(await start(Bridge(Scripted(behaviour), store=SQLiteStore(tmp_path / "s.sqlite"))))
    sending = asyncio.create_task(wire.send())
    await gate.reached()
    copy = tmp_path / "copy.sqlite"
    with closing(sqlite3.connect(tmp_path / "s.sqlite")) as backup:
        backup.execute(f"VACUUM INTO '{copy}'")
    gate.open()
    assert state_of(await sending) == "COMPLETED"
    server = server_for(Bridge(Scripted(echo), store=NoRoom(copy)), Listening(port=0))
    with pytest.raises(StoreUnavailableError, match="disk is full"):
        await server.serve()
    assert "Traceback" not in caplog.text
    wire = Wire(await start(Bridge(Scripted(echo), store=SQLiteStore(copy))))
    (task,) = (await wire.result("ListTasks", {}))["tasks"]
    assert state_of(task) == "FAILED"


@pytest.mark.parametrize(("after_crash", "state"), [("at_most_once", "FAILED"), ("restartable", "COMPLETED")])
@pytest.mark.parametrize("how", ["send again", "sweep"])
async def test_an_accepted_message_whose_task_was_never_shown_has_a_fate(
    start: Any, disk: Disk, after_crash: Any, state: str, how: str
) -> None:
    """Architecture: no accepted message is lost; without a restart, when the store works again."""
    gate = Gate()

    async def silent(turn: Any) -> Any:
        if turn.attempt == 1:
            await gate()
        yield LARGE

    bridge = Bridge(Scripted(silent, traits=Traits(after_crash=after_crash)), store=disk)
    wire = Wire(await start(bridge))
    params = say("go")
    sending = asyncio.create_task(wire.post({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params}))
    await gate.reached()
    await disk.fill()
    gate.open()
    assert (await sending).status_code == 503
    await disk.free()
    if how == "send again":
        assert state_of((await wire.result("SendMessage", params))["task"]) == state
        return
    await bridge.service.sweep()
    assert len(await eventually(lambda: wire.tasks(status=f"TASK_STATE_{state}"))) == 1


async def test_a_full_disk_loses_no_event_that_was_kept(start: Any, disk: Disk) -> None:
    """Our decision: a cursor that cannot be written is kept in memory; what was committed is told, once, in order."""
    gate = Gate()

    async def talks(turn: Any) -> Any:
        if turn.text != "go":
            return
        yield "kept"
        await gate()
        for _ in range(20):
            yield Chunk(LARGE)
            await asyncio.sleep(0)

    async with Receiver() as hook:
        options = Options(push=Push(Guard(loopback=True)))
        wire = Wire(await start(Bridge(Scripted(talks), store=disk, options=options)))
        said = {"taskPushNotificationConfig": {"url": hook.url}, "returnImmediately": True}
        params = say("go") | {"configuration": said}
        task = (await wire.result("SendMessage", params))["task"]["id"]
        await hook.until(2)
        await disk.fill()
        await use_up(wire)
        gate.open()

        async def is_cut_off() -> bool:
            asked = {"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": task}}
            return (await wire.post(asked)).status_code == 503

        await eventually(is_cut_off)
        brought = say(LARGE) | {"configuration": params["configuration"]}
        refused = await wire.post({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": brought})
        assert refused.status_code == 503
        await disk.free()
        await wire.get(task)
        got = await hook.until_state("FAILED")
        whole = await wire.frames("SubscribeToTask", {"id": task}, {"last-event-id": "0"})
        assert [found.body for found in got] == [frame.data["result"] for frame in whole]
