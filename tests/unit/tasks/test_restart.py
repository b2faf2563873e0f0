"""A second process on the same file, without the processes: what a start finds and what it does (`tasks/turns.py`)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from a2a_bridge.agent import Ask, Say, Traits
from a2a_bridge.bridge import Bridge
from a2a_bridge.server.limits import Limits
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.testing.agents import Gate, Scripted
from a2a_bridge.testing.transport import AppTransport
from a2a_bridge.testing.wire import Frame, Wire, reason_of, say

RESTARTABLE = Traits(after_crash="restartable")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "s.sqlite"


@asynccontextmanager
async def process(agent: Any, path: Path, *, grace: float = 5.0, killed: bool = False) -> AsyncIterator[Wire]:
    """One life of a server. `killed`: it does not end, it just stops: nothing is said and nothing is written."""
    store = SQLiteStore(path)
    bridge = Bridge(agent, store=store, limits=Limits(grace=grace))
    await bridge.start()
    headers = {"A2A-Version": "1.0"}
    try:
        async with httpx.AsyncClient(transport=AppTransport(bridge), base_url="http://test", headers=headers) as http:
            yield Wire(http)
            if killed:
                for task, live in list(bridge.service._turns._running.items()):
                    live.is_left = True  # whoever waits for an answer gets none
                    task.cancel()
                await store.close()  # what is written from now on is refused, as from a process that is gone
    finally:
        bridge._grace = 0.0 if killed else grace
        await bridge.stop()


def state_of(task: dict[str, Any]) -> str:
    return str(task["status"]["state"]).removeprefix("TASK_STATE_")


def words_of(task: dict[str, Any]) -> str:
    return "".join(part["text"] for part in task["status"]["message"]["parts"])


def texts(messages: Any) -> list[str]:
    return ["".join(part.get("text", "") for part in message["parts"]) for message in messages]


async def begun(wire: Wire, agent: Any, gate: Gate, params: Any) -> tuple[str, list[Frame]]:
    """Start a turn, read what it says before its gate, and go away."""
    async with wire.stream("SendStreamingMessage", params) as reader:
        frames = [await reader.next(), await reader.next(), await reader.next()]
    await gate.reached()
    found = [frame for frame in frames if frame is not None]
    return found[0].value.get("id") or found[0].value["taskId"], found


def halting(gate: Gate, **traits: Any) -> Scripted:
    """Says "one two ", then stands at the gate; on a later attempt it says so and ends."""

    async def behaviour(turn: Any) -> Any:
        if turn.attempt > 1:
            yield f"attempt {turn.attempt}"
            return
        yield "one "
        await asyncio.sleep(0.005)  # the agent under test
        yield "two "
        await gate()
        yield "three"

    return Scripted(behaviour, traits=Traits(**traits))


async def test_finished_tasks_are_there_after_a_restart(path: Path) -> None:
    """Issue: with history, artifacts, lists, counts, replays, and repeats of their messages."""

    async def behaviour(turn: Any) -> Any:
        if turn.text == "direct":
            yield Say("directly", direct=True)
        else:
            yield f"said {turn.text} after {[message.text for message in await turn.history()]}"

    agent = Scripted(behaviour)
    params, direct = say("hello", contextId="c"), say("direct", contextId="c")
    async with process(agent, path) as wire:
        frames = await wire.frames("SendStreamingMessage", params)
        message = await wire.result("SendMessage", direct)
        task = await wire.get(frames[0].value["id"])
    async with process(agent, path) as wire:
        assert await wire.get(task["id"]) == task
        assert (await wire.result("ListTasks", {"includeArtifacts": True}))["tasks"] == [task]
        replay = await wire.frames("SubscribeToTask", {"id": task["id"]}, {"last-event-id": "1"})
        assert [frame.data["result"] for frame in replay] == [frame.data["result"] for frame in frames[1:]]
        assert (await wire.result("SendMessage", params))["task"] == task
        assert await wire.result("SendMessage", direct) == message
        assert (await wire.frames("SendStreamingMessage", direct))[0].value == message["message"]
        assert len(agent.turns) == 2
        later = await wire.send("more", contextId="c")
        assert "['hello', 'said hello after []', 'direct', 'directly']" in later["artifacts"][0]["parts"][0]["text"]


async def test_an_interrupted_task_fails_with_a_reason(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Issue, failures 1 and 16: at_most_once work is not done twice; what it had said is kept. The operator reads how
    many there were."""
    caplog.set_level("INFO")
    gate = Gate()
    agent = halting(gate)
    async with process(agent, path, killed=True) as wire:
        task_id, frames = await begun(wire, agent, gate, say("go"))
    assert "taken up now" not in caplog.text
    async with process(agent, path) as wire:
        assert "unfinished tasks of an earlier run of this server, taken up now: 1" in caplog.text
        task = await wire.get(task_id)
        assert state_of(task) == "FAILED"
        assert "stopped while the agent was working" in words_of(task)
        assert texts(task["artifacts"]) == ["one two "]
        assert texts(task["history"]) == ["go"]
        rest = await wire.frames("SubscribeToTask", {"id": task_id}, {"last-event-id": str(frames[-1].id)})
        assert [frame.state for frame in rest] == ["TASK_STATE_FAILED"]
        assert len(agent.turns) == 1


async def test_a_restartable_task_runs_again_and_replaces_what_it_had_said(path: Path) -> None:
    """Issue, failures 1, 2 and 20: a client resumes with no gap and no repeat; artifacts are not doubled."""
    gate = Gate()
    agent = halting(gate, after_crash="restartable")
    params = say("go")
    async with process(agent, path, killed=True) as wire:
        task_id, frames = await begun(wire, agent, gate, params)
    async with process(agent, path) as wire:
        last = str(frames[-1].id)
        rest = await wire.frames("SubscribeToTask", {"id": task_id}, {"last-event-id": last})
        again = await wire.frames("SendStreamingMessage", params, {"last-event-id": last})
        assert [frame.data["result"] for frame in again] == [frame.data["result"] for frame in rest]
        assert [frame.id for frame in rest] == sorted({frame.id for frame in rest if frame.id})
        assert rest[0].id == (frames[-1].id or 0) + 1
        chunk = next(frame for frame in rest if frame.kind == "artifactUpdate")
        assert chunk.value.get("append", False) is False
        assert rest[-1].state == "TASK_STATE_COMPLETED"
        task = await wire.get(task_id)
        assert texts(task["artifacts"]) == ["attempt 2"]
        assert texts(task["history"]) == ["go"]
        first, second = agent.turns
        assert (first.id, first.attempt, second.id, second.attempt) == (second.id, 1, first.id, 2)


async def test_three_attempts_are_enough(path: Path) -> None:
    """Our decision: work that kills its server each time is given up."""
    gate = Gate()

    async def behaviour(turn: Any) -> Any:
        yield f"attempt {turn.attempt}"
        await asyncio.sleep(0.005)  # the agent under test
        await gate()

    agent = Scripted(behaviour, traits=RESTARTABLE)
    async with process(agent, path, killed=True) as wire, wire.stream("SendStreamingMessage", say("go")) as reader:
        first = await reader.next()
        assert first is not None
        task_id = first.value["id"]
        await gate.reached()
    for attempt in (2, 3):
        gate.__init__()  # type: ignore[misc]
        async with process(agent, path, killed=True) as wire:
            await gate.reached()
            assert texts((await wire.get(task_id))["artifacts"]) == [f"attempt {attempt}"]
    async with process(agent, path) as wire:
        assert state_of(await wire.get(task_id)) == "FAILED"
    assert [turn.attempt for turn in agent.turns] == [1, 2, 3]


async def test_a_message_that_was_accepted_but_never_shown_is_not_lost(path: Path) -> None:
    """Architecture: an accepted send is written before the agent runs; the client's repeat finds its fate."""
    gate = Gate()

    async def silent(turn: Any) -> Any:
        if turn.attempt == 1:
            await gate()
        yield f"attempt {turn.attempt}"

    for traits, expected in ((Traits(), "FAILED"), (RESTARTABLE, "COMPLETED")):
        gate.__init__()  # type: ignore[misc]
        agent = Scripted(silent, traits=traits)
        params = say("go")
        async with process(agent, path, killed=True) as wire:
            sending = asyncio.create_task(wire.call("SendMessage", params))
            await gate.reached()
        assert "error" in await sending
        async with process(agent, path) as wire:
            assert state_of((await wire.result("SendMessage", params))["task"]) == expected


async def test_a_task_that_waits_goes_on_waiting(path: Path) -> None:
    """Failure 23: the answer finds its question over a restart, with the asks, the turn's number and the history."""

    async def behaviour(turn: Any) -> Any:
        if turn.answer is None:
            yield "first"
            yield Ask("Which colour?", id="colour", options=("red", "blue"))
        else:
            yield f"{turn.answer.option('colour')} {turn.id.rpartition('.')[2]}"

    agent = Scripted(behaviour, traits=Traits(keeps_context=True))
    async with process(agent, path) as wire:
        task = await wire.send("paint", contextId="c")
    async with process(agent, path) as wire:
        assert await wire.get(task["id"]) == task
        rejected = await wire.send("other", contextId="c")
        assert state_of(rejected) == "REJECTED"
        assert task["id"] in words_of(rejected)
        async with wire.stream("SubscribeToTask", {"id": task["id"]}) as reader:
            first = await reader.next()
            assert first is not None
            assert first.state == "TASK_STATE_INPUT_REQUIRED"
            answered = await wire.send("BLUE", taskId=task["id"])
            frames = await reader.rest()
        assert frames[-1].state == "TASK_STATE_COMPLETED"
        assert [frame.id for frame in frames] == sorted(frame.id or 0 for frame in frames)
        assert (frames[0].id or 0) > (first.id or 0)
        assert [(a["artifactId"], a["parts"][0]["text"]) for a in answered["artifacts"]] == [
            ("answer", "first"), ("answer.2", "blue 2"),
        ]  # fmt: skip
        assert texts(answered["history"]) == ["paint", "Which colour?", "BLUE"]
        assert state_of(await wire.send("other", contextId="c")) == "INPUT_REQUIRED"


async def test_a_waiting_task_can_be_canceled_after_a_restart(path: Path) -> None:
    """R-CANC-04: and its agent is told."""
    told: list[str] = []

    async def behaviour(turn: Any) -> Any:
        yield Ask("?")

    async def abandoned(turn: Any) -> None:
        told.append(turn.id)

    agent = Scripted(behaviour, on_abandon=abandoned)
    async with process(agent, path) as wire:
        task = await wire.send()
    async with process(agent, path) as wire:
        assert state_of(await wire.result("CancelTask", {"id": task["id"]})) == "CANCELED"
        assert told == [f"{task['id']}.1"]


@pytest.mark.parametrize(("after_crash", "state"), [("at_most_once", "FAILED"), ("restartable", "COMPLETED")])
@pytest.mark.parametrize("seen", [False, True], ids=["accepted", "seen at work"])
async def test_an_answer_that_was_being_worked_on_is_kept(path: Path, after_crash: Any, state: str, seen: bool) -> None:
    """Architecture: no accepted message is lost; the question and the answer are in the history either way."""
    gate = Gate()

    async def behaviour(turn: Any) -> Any:
        if turn.answer is None:
            yield Ask("?")
        else:
            if turn.attempt == 1:
                await gate()
            yield f"{turn.answer.message.text} {[ask.text for ask in turn.answer.asks]}"

    agent = Scripted(behaviour, traits=Traits(after_crash=after_crash))
    async with process(agent, path, killed=True) as wire:
        task = await wire.send("go")
        async with wire.stream("SubscribeToTask", {"id": task["id"]}) as reader:
            sending = asyncio.create_task(wire.call("SendMessage", say("blue", taskId=task["id"])))
            await gate.reached()
            if seen:
                await reader.until("TASK_STATE_WORKING")
    assert "error" in await sending
    async with process(agent, path) as wire:
        async with asyncio.timeout(5):
            while state_of(found := await wire.get(task["id"])) not in ("FAILED", "COMPLETED"):
                await asyncio.sleep(0)
        assert state_of(found) == state
        assert texts(found["history"]) == ["go", "?", "blue"]
        if state == "COMPLETED":
            assert texts(found["artifacts"]) == ["blue ['?']"]


async def test_credentials_do_not_survive_a_crash(path: Path) -> None:
    """R-AUTHREQ-05: the turn that had them cannot be run again, and fails with a reason."""
    gate = Gate()

    async def behaviour(turn: Any) -> Any:
        if turn.answer is None:
            yield Ask("Password?", kind="auth")
        else:
            await gate()

    agent = Scripted(behaviour, traits=RESTARTABLE)
    async with process(agent, path, killed=True) as wire:
        task = await wire.send("open")
        sending = asyncio.create_task(wire.call("SendMessage", say("hunter2", taskId=task["id"])))
        await gate.reached()
    assert "error" in await sending
    assert b"hunter2" not in path.read_bytes()
    async with process(agent, path) as wire:
        found = await wire.get(task["id"])
        assert state_of(found) == "FAILED"
        assert texts(found["history"]) == ["open", "Password?", "(not kept: credentials)"]


# --- an orderly end


async def test_running_turns_get_a_grace_and_then_fail(path: Path) -> None:
    """Issue: on SIGTERM; every reader sees how it ended."""
    gate = Gate()
    agent = halting(gate)
    async with process(agent, path, grace=0.05) as wire:
        sending = asyncio.create_task(wire.send("go"))
        await gate.reached()
    assert state_of(await sending) == "FAILED"
    assert "stopped" in words_of(await sending)


async def test_a_turn_that_ends_within_the_grace_completes(path: Path) -> None:
    """Issue: no work is thrown away that would have been done in time."""
    gate = Gate()
    agent = halting(gate)
    async with process(agent, path) as wire:
        sending = asyncio.create_task(wire.send("go"))
        await gate.reached()
        asyncio.get_running_loop().call_later(0.02, gate.open)
    assert state_of(await sending) == "COMPLETED"


async def test_restartable_work_is_left_for_the_next_start(path: Path) -> None:
    """Our decision: its stream gets last words and ends, its send is told to come again; then it is run again."""
    gate = Gate()
    agent = halting(gate, after_crash="restartable")
    params = say("go")
    async with process(agent, path, grace=0.05) as wire:
        sending = asyncio.create_task(wire.post({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params}))
        await gate.reached()
        async with asyncio.timeout(5):
            while not (listed := (await wire.result("ListTasks", {}))["tasks"]):
                await asyncio.sleep(0)
        reading = asyncio.create_task(_read_raw(wire, listed[0]["id"]))
        await asyncio.sleep(0)
    response = await sending
    assert (response.status_code, reason_of(response.json()["error"])) == (503, "UNAVAILABLE")
    assert (await reading).endswith(b"retry: 1000\n: the server is stopping\n\n")
    async with process(agent, path) as wire:
        assert texts((await wire.result("SendMessage", params))["task"]["artifacts"]) == ["attempt 2"]


async def _read_raw(wire: Wire, task_id: str) -> bytes:
    async with wire.stream("SubscribeToTask", {"id": task_id}) as reader:
        await reader.rest()
        return reader.raw


async def test_a_server_that_stops_takes_no_new_messages(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Issue: told as 503, so that the client comes back with the same message. Nothing is wrong, so nothing is logged:
    every restart under load refuses some."""
    agent = halting(Gate())
    store = SQLiteStore(path)
    bridge = Bridge(agent, store=store)
    await bridge.start()
    headers = {"A2A-Version": "1.0"}
    async with httpx.AsyncClient(transport=AppTransport(bridge), base_url="http://test", headers=headers) as http:
        await bridge.drain()
        response = await Wire(http).post({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say()})
        assert (response.status_code, reason_of(response.json()["error"])) == (503, "UNAVAILABLE")
        assert response.json()["error"]["message"] == "The server is stopping: send again when it is back."
        assert (await Wire(http).result("ListTasks", {}))["tasks"] == []
    await bridge.stop()
    assert agent.turns == []
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
