"""Whatever agents say and whenever they are stopped: the invariants of a task's log, as properties."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from a2a_bridge.agent import Ask, Chunk, Fail, Progress, Refuse, Say, ToolCall, ToolResult, Usage
from a2a_bridge.bridge import Bridge
from a2a_bridge.protocol.extensions import TURN_EXTENSION
from a2a_bridge.protocol.objects import Part, Task
from a2a_bridge.store.contract import Store
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.testing.agents import Scripted
from a2a_bridge.testing.transport import AppTransport
from a2a_bridge.testing.wire import Frame, Wire, say

TERMINAL = {f"TASK_STATE_{state}" for state in ("COMPLETED", "FAILED", "CANCELED", "REJECTED")}
INTERRUPTED = {"TASK_STATE_INPUT_REQUIRED", "TASK_STATE_AUTH_REQUIRED"}
TEXT = st.sampled_from(["", "a", "bc", "ü\n", "😀\ud800", "x" * 3000])
REPLY = st.one_of(
    TEXT,
    st.builds(Chunk, TEXT, artifact=st.sampled_from(["answer", "b"]), append=st.booleans(), last=st.booleans()),
    st.just(Chunk(parts=(Part(data={"k": [None]}), Part(raw=b"\x00")), name="n", metadata={"m": 1})),
    st.builds(Progress, TEXT),
    st.just(ToolCall("1", "t", {"a": 1})),
    st.just(ToolResult("1", None)),
    st.just(Usage(1, 2, 0.5)),
    st.builds(Say, TEXT, direct=st.booleans()),
    st.builds(Ask, TEXT, kind=st.sampled_from(["input", "auth"]), ends_turn=st.booleans()),
    st.builds(Fail, TEXT),
    st.builds(Refuse, TEXT),
    st.just(None),
    st.just(5),
    st.just(RuntimeError("secret")),
    st.just("wait"),
)
TURNS = st.lists(st.lists(REPLY, max_size=6), min_size=1, max_size=3)


def acting(turns: list[list[Any]]) -> Scripted:
    """An agent that says these replies, turn by turn; exceptions are raised, "wait" gives others time."""

    async def behaviour(turn: Any) -> AsyncGenerator[Any, None]:
        number = int(turn.id.rpartition(".")[2]) - 1
        for reply in turns[number] if number < len(turns) else ():
            if isinstance(reply, Exception):
                raise reply
            if reply == "wait":
                await asyncio.sleep(0)
            else:
                yield reply

    return Scripted(behaviour)


async def served(agent: Scripted, store: Store, test: Callable[[Wire, Bridge], Awaitable[None]]) -> None:
    bridge = Bridge(agent, store=store)
    await bridge.start()
    try:
        async with httpx.AsyncClient(
            transport=AppTransport(bridge), base_url="http://test", headers={"A2A-Version": "1.0"}
        ) as http:
            async with asyncio.timeout(10):
                await test(Wire(http), bridge)
            assert bridge.service.running == 0
    finally:
        await bridge.stop()


def check_log(rows: list[Frame]) -> None:
    """Numbers rise, one terminal event at most and nothing behind it, the fold is a valid task."""
    numbers = [frame.id or 0 for frame in rows]
    assert numbers == sorted(set(numbers))
    ends = [at for at, frame in enumerate(rows) if frame.state in TERMINAL]
    assert ends in ([], [len(rows) - 1])
    assert rows[0].kind == "task"
    assert not any(frame.kind in ("task", "message") for frame in rows[1:])
    assert "secret" not in json.dumps([frame.data for frame in rows])


def seen(frames: list[Frame]) -> list[Any]:
    return [(frame.id, frame.data["result"]) for frame in frames]


async def play(wire: Wire, turns: list[list[Any]]) -> None:
    """Send, answer while it asks, and compare what every reader saw."""
    rich = {"a2a-extensions": TURN_EXTENSION}
    frames = await wire.frames("SendStreamingMessage", say("go"), rich)
    if frames[0].kind == "message":
        assert len(frames) == 1
        return
    task_id = frames[0].value["id"]
    for number in range(1, len(turns) + 1):
        if frames[-1].state not in INTERRUPTED:
            break
        more = await wire.frames("SendStreamingMessage", say(f"answer {number}", taskId=task_id), rich)
        assert more[0].kind == "task"
        frames += more[1:]
    check_log(frames)
    if frames[-1].state in INTERRUPTED:
        await wire.result("CancelTask", {"id": task_id})
    whole = await wire.frames("SubscribeToTask", {"id": task_id}, {"last-event-id": "0"} | rich)
    check_log(whole)
    assert whole[-1].state in TERMINAL
    assert seen(whole)[: len(frames)] == seen(frames)
    for after in {0, 1, whole[-1].id // 2, whole[-1].id}:  # type: ignore[operator]
        again = await wire.frames("SubscribeToTask", {"id": task_id}, {"last-event-id": str(after)} | rich)
        assert seen(again) == [item for item in seen(whole) if item[0] > after]
    task = await wire.get(task_id)
    Task.model_validate(task)
    assert task["status"]["state"] == whole[-1].state


@given(TURNS)
@settings(max_examples=40, deadline=None)
def test_what_every_reader_sees_is_the_log_from_where_it_began(turns: list[list[Any]]) -> None:
    """Exact from any offset, one terminal event and that one last: R-STRM-02, R-STRM-03, R-STRM-05, R-STRM-06."""
    asyncio.run(served(acting(turns), MemoryStore(), lambda wire, _: play(wire, turns)))


@given(TURNS)
@settings(max_examples=12, deadline=None)
def test_the_same_holds_when_commits_take_their_time(tmp_path_factory: Any, turns: list[list[Any]]) -> None:
    """The same over a store that commits in a thread of its own."""
    path: Path = tmp_path_factory.mktemp("random") / "s.sqlite"
    asyncio.run(served(acting(turns), SQLiteStore(path), lambda wire, _: play(wire, turns)))


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_cancel_that_races_with_the_end_leaves_one_terminal_event(
    tmp_path_factory: Any, kind: str, data: st.DataObject
) -> None:
    """R-CANC-01, failures 16 and 17: whoever comes first has won, in the answers, the streams and the store alike."""
    steps = data.draw(st.integers(0, 12), label="steps of the agent")
    delay = data.draw(st.integers(0, 20), label="steps before the cancel")
    ending = data.draw(st.sampled_from([[], [Fail("no")], [Ask("?")], [Say("bye")]]), label="end")
    turns: list[list[Any]] = [["begin", *["wait", "x"] * steps, *ending]]
    store = MemoryStore() if kind == "memory" else SQLiteStore(tmp_path_factory.mktemp("race") / "s.sqlite")

    async def race(wire: Wire, bridge: Bridge) -> None:
        async with wire.stream("SendStreamingMessage", say()) as reader:
            first = await reader.next()
            assert first is not None
            task_id = first.value["id"]
            for _ in range(delay):
                await asyncio.sleep(0)
            answer = await wire.call("CancelTask", {"id": task_id})
            frames = [first, *await reader.rest()]
        check_log(frames)
        state = (await wire.get(task_id))["status"]["state"]
        if "result" in answer:
            assert answer["result"]["status"]["state"] == state == "TASK_STATE_CANCELED"
        else:
            assert answer["error"]["code"] == -32002
            assert state in TERMINAL - {"TASK_STATE_CANCELED"}
        whole = await wire.frames("SubscribeToTask", {"id": task_id}, {"last-event-id": "0"})
        check_log(whole)
        assert whole[-1].state == state
        listed = await wire.result("ListTasks", {"status": state})
        assert [task["id"] for task in listed["tasks"]] == [task_id]

    asyncio.run(served(acting(turns), store, race))
