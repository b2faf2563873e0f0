"""GetTask, ListTasks, CancelTask (A2A 1.0.1 §3.1.3 to §3.1.5)."""

import asyncio
import base64
import itertools
import json
from typing import Any

import pytest

from a2a_bridge.agent import Ask, Traits
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.testing.agents import Gate, Obedient, Scripted
from a2a_bridge.testing.wire import Wire, eventually, fields_of, reason_of, say

# --- GetTask


async def test_a_task_shows_state_artifacts_and_history(wire: Wire) -> None:
    """R-GET-01, R-GET-03: artifacts are always there; the same as the send had answered, however often it is asked."""
    task = await wire.send("files")
    assert await wire.get(task["id"]) == await wire.get(task["id"]) == task
    assert task["artifacts"]
    assert task["history"]


async def test_a_running_task_shows_what_has_been_said_so_far(wire: Wire, agent: Obedient) -> None:
    """R-GET-01, R-ART-04."""
    async with wire.stream("SendStreamingMessage", say("wait")) as reader:
        first = await reader.next()
        assert first is not None
        await reader.next()
        task = await wire.get(first.value["id"])
        assert task["status"]["state"] == "TASK_STATE_WORKING"
        assert task["artifacts"][0]["parts"] == [{"text": "before "}]
        agent.gate.open()
        await reader.rest()


@pytest.mark.parametrize("method", ["GetTask", "CancelTask", "SubscribeToTask"])
@pytest.mark.parametrize("found", ["nothing", "../x", "a/b", "%", "x" * 10_000, "\x00", "ü"])
async def test_an_unknown_task_is_not_found(wire: Wire, method: str, found: str) -> None:
    """R-GET-02, R-CANC-03, R-SUB-02, R-ERR-04."""
    error = await wire.error(method, {"id": found})
    assert (error["code"], reason_of(error)) == (-32001, "TASK_NOT_FOUND")


@pytest.mark.parametrize("method", ["GetTask", "CancelTask", "SubscribeToTask"])
@pytest.mark.parametrize("params", [{}, {"id": ""}, {"id": None}, {"id": 5}, {"id": ["x"]}], ids=repr)
async def test_a_task_needs_an_id(wire: Wire, method: str, params: Any) -> None:
    """R-DM-11, R-ERR-05."""
    error = await wire.error(method, params)
    assert (error["code"], fields_of(error)) == (-32602, ["id"])


async def test_agents_of_one_process_do_not_see_each_others_tasks(start: Any) -> None:
    """R-ERR-04, R-LIST-01: a task belongs to its agent; elsewhere it looks exactly like one that never was."""
    http = await start(Bridge([Obedient(name="one"), Obedient(name="two")]))
    one, two = Wire(http, "/one/"), Wire(http, "/two/")
    task = await one.send("ask")
    missing = (await two.post({"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": "no"}})).text
    for method in ("GetTask", "CancelTask", "SubscribeToTask"):
        found = await two.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"id": task["id"]}})
        assert found.text == missing
    assert (await two.error("SendMessage", say(taskId=task["id"])))["code"] == -32001
    assert (await two.result("ListTasks", {}))["totalSize"] == 0
    assert (await one.result("ListTasks", {}))["totalSize"] == 1


# --- ListTasks


class Clock:
    """Seconds that go on when told, in a Bridge of their own."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memory", "sqlite"])
async def listed(request: Any, start: Any, tmp_path: Any) -> tuple[Wire, list[dict[str, Any]]]:
    """Twelve tasks, two in each second, of three states and three contexts; newest first, ties by greatest id."""
    clock = Clock()
    store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "s.sqlite")
    wire = Wire(await start(Bridge(Obedient(), store=store, options=Options(clock=clock))))
    tasks = []
    for number, word in enumerate(itertools.islice(itertools.cycle(["hello", "ask", "fail"]), 12)):
        tasks.append(await wire.send(word, contextId=f"c{number % 3 and number % 2}"))
        clock.now += number % 2
    tasks.sort(key=lambda task: (task["status"]["timestamp"], task["id"]), reverse=True)
    return wire, tasks


def ids(tasks: list[dict[str, Any]]) -> list[str]:
    return [task["id"] for task in tasks]


async def pages(wire: Wire, **params: Any) -> tuple[list[dict[str, Any]], int]:
    """All tasks over all pages, and the total that every page told."""
    found: list[dict[str, Any]] = []
    totals = set()
    token = ""
    while True:
        page = await wire.result("ListTasks", params | ({"pageToken": token} if token else {}))
        assert page.keys() == {"tasks", "nextPageToken", "pageSize", "totalSize"}
        assert len(page["tasks"]) <= page["pageSize"]
        found += page["tasks"]
        totals.add(page["totalSize"])
        token = page["nextPageToken"]
        if not token:
            assert len(totals) == 1
            return found, totals.pop()


@pytest.mark.parametrize("size", [1, 5, 6, 12, 100, None])
async def test_pages_add_up_to_the_whole_list(listed: Any, size: int | None) -> None:
    """R-LIST-02, R-LIST-03, R-LIST-04, R-LIST-05: newest status first, ties by id, every page but the last full."""
    wire, tasks = listed
    found, total = await pages(wire, **({} if size is None else {"pageSize": size}))
    assert ids(found) == ids(tasks)
    assert total == 12


async def test_the_size_of_a_page_is_told(listed: Any) -> None:
    """R-LIST-04, R-LIST-05: fifty unless asked for; the token is there and empty on the last page."""
    wire, _ = listed
    page = await wire.result("ListTasks", {})
    assert (page["pageSize"], page["nextPageToken"]) == (50, "")
    assert (await wire.result("ListTasks", {"pageSize": 3}))["pageSize"] == 3


async def test_filters_add_up(listed: Any) -> None:
    """R-LIST-01, R-LIST-07: by state, by context, by time, and by all of them; the time itself is included."""
    wire, tasks = listed
    since = tasks[5]["status"]["timestamp"]
    filters = {
        "status": ("TASK_STATE_COMPLETED", lambda task: task["status"]["state"] == "TASK_STATE_COMPLETED"),
        "contextId": ("c1", lambda task: task["contextId"] == "c1"),
        "statusTimestampAfter": (since, lambda task: task["status"]["timestamp"] >= since),
    }
    for count in range(len(filters) + 1):
        for chosen in itertools.combinations(filters, count):
            expected = [task for task in tasks if all(filters[name][1](task) for name in chosen)]
            params = {name: filters[name][0] for name in chosen}
            found, total = await pages(wire, pageSize=2, **params)
            assert ids(found) == ids(expected), chosen
            assert total == len(expected), chosen
    assert 0 < len([task for task in tasks if task["status"]["timestamp"] >= since]) < 12


async def test_a_state_may_be_given_by_number_and_unspecified_means_any(listed: Any) -> None:
    """R-DM-04, R-LIST-08."""
    wire, tasks = listed
    assert (await pages(wire, status=4))[1] == len([t for t in tasks if t["status"]["state"] == "TASK_STATE_FAILED"])
    for every in ("TASK_STATE_UNSPECIFIED", 0, None):
        assert (await pages(wire, status=every))[1] == 12


async def test_a_context_that_nobody_knows_is_empty(listed: Any) -> None:
    """R-LIST-05: an empty page has all four members."""
    wire, _ = listed
    page = await wire.result("ListTasks", {"contextId": "nobody"})
    assert page == {"tasks": [], "nextPageToken": "", "pageSize": 50, "totalSize": 0}


async def test_artifacts_are_listed_only_when_asked_for(listed: Any) -> None:
    """R-LIST-06: absent otherwise, not empty."""
    wire, tasks = listed
    assert not any("artifacts" in task for task in (await pages(wire))[0])
    assert not any("artifacts" in task for task in (await pages(wire, includeArtifacts=False))[0])
    assert (await pages(wire, includeArtifacts=True))[0] == tasks


async def test_a_running_task_is_listed_with_what_it_has_said(wire: Wire, agent: Obedient) -> None:
    """R-LIST-06, R-ART-04: as GetTask shows it."""
    async with wire.stream("SendStreamingMessage", say("wait")) as reader:
        await reader.next()
        await reader.next()
        (task,) = (await wire.result("ListTasks", {"includeArtifacts": True, "status": "TASK_STATE_WORKING"}))["tasks"]
        assert task["artifacts"][0]["parts"] == [{"text": "before "}]
        agent.gate.open()
        await reader.rest()
    assert (await wire.result("ListTasks", {"status": "TASK_STATE_WORKING"}))["totalSize"] == 0


async def test_history_length_applies_to_each_listed_task(listed: Any) -> None:
    """R-LIST-09, R-HIST-02."""
    wire, _ = listed
    assert not any("history" in task for task in (await pages(wire, historyLength=0))[0])
    assert all(len(task["history"]) == 1 for task in (await pages(wire, historyLength=1))[0])


@pytest.mark.parametrize("size", [0, -1, 101, 1000, "x", True, 1.5])
async def test_a_page_size_out_of_range_is_invalid(wire: Wire, size: Any) -> None:
    """R-LIST-04."""
    error = await wire.error("ListTasks", {"pageSize": size})
    assert (error["code"], fields_of(error)) == (-32602, ["pageSize"])


@pytest.mark.parametrize(
    "token",
    ["x", "ü", "e30=", "bnVsbA==", "W10=", "WzEsMiwzXQ==", "WyJhIiwiYiIsImMiXQ==", "!!!!", " ", "eyJhIjoxfQ==",
     base64.urlsafe_b64encode(b"[" * 5000).decode()],
)  # fmt: skip
async def test_a_token_that_this_list_never_gave_is_invalid(listed: Any, token: str) -> None:
    """R-LIST-03."""
    wire, _ = listed
    error = await wire.error("ListTasks", {"pageToken": token})
    assert (error["code"], fields_of(error)) == (-32602, ["pageToken"])


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("forged", ["\ud800", None, 5, [], {}], ids=repr)
async def test_a_token_that_was_forged_with_its_filters_is_invalid(listed: Any, place: int, forged: Any) -> None:
    """R-LIST-03, R-ERR-06: a place that no store could look for is refused like any other."""
    wire, _ = listed
    token = (await wire.result("ListTasks", {"pageSize": 2}))["nextPageToken"]
    position = json.loads(base64.urlsafe_b64decode(token))
    position[place] = forged
    other = base64.urlsafe_b64encode(json.dumps(position).encode()).decode()
    error = await wire.error("ListTasks", {"pageToken": other})
    assert (error["code"], fields_of(error)) == (-32602, ["pageToken"])


@pytest.mark.parametrize(
    "moment",
    ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-31T08:00:00Z\n", "2026-01-31T24:00:00Z",
     "2026-02-30T08:00:00Z", "2026-01-31T08:00:00", "2026-01-31T08:00:00.1234567890Z", "2026-01-31 08:00:00Z", "5"],
)  # fmt: skip
async def test_a_moment_that_is_none_is_invalid(wire: Wire, moment: str) -> None:
    """R-DM-05: nor is one that UTC has no year for."""
    error = await wire.error("ListTasks", {"statusTimestampAfter": moment})
    assert (error["code"], fields_of(error)) == (-32602, ["statusTimestampAfter"])


async def test_a_token_belongs_to_its_filters(listed: Any) -> None:
    """R-LIST-03: with other filters it would skip or repeat; another page size is fine."""
    wire, tasks = listed
    token = (await wire.result("ListTasks", {"pageSize": 2}))["nextPageToken"]
    for other in ({"contextId": "c1"}, {"status": 3}, {"statusTimestampAfter": "2026-01-01T00:00:00Z"}):
        assert (await wire.error("ListTasks", {"pageToken": token} | other))["code"] == -32602
    page = await wire.result("ListTasks", {"pageToken": token, "pageSize": 7, "includeArtifacts": True})
    assert ids(page["tasks"]) == ids(tasks[2:9])


async def test_a_token_belongs_to_its_agent(start: Any) -> None:
    """R-LIST-03, R-ERR-04."""
    http = await start(Bridge([Obedient(name="one"), Obedient(name="two")]))
    one, two = Wire(http, "/one/"), Wire(http, "/two/")
    for _ in range(2):
        await one.send()
    token = (await one.result("ListTasks", {"pageSize": 1}))["nextPageToken"]
    assert (await two.error("ListTasks", {"pageToken": token}))["code"] == -32602


async def test_pages_neither_skip_nor_repeat_while_tasks_come_and_change(listed: Any) -> None:
    """R-LIST-03: what was there, and did not change, is seen exactly once."""
    wire, tasks = listed
    waiting = [task["id"] for task in tasks if task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"]
    seen: list[str] = []
    token = ""
    for turn in range(100):
        page = await wire.result("ListTasks", {"pageSize": 2} | ({"pageToken": token} if token else {}))
        seen += ids(page["tasks"])
        token = page["nextPageToken"]
        if not token:
            break
        await wire.send("hello")
        if turn < 2:
            await wire.send("blue", taskId=waiting[turn])
    unchanged = [found for found in ids(tasks) if found not in waiting[:2]]
    assert [found for found in seen if found in unchanged] == unchanged
    assert len(seen) == len(set(seen))


# --- CancelTask


async def test_a_running_task_is_canceled_and_its_agent_stopped(wire: Wire, agent: Obedient) -> None:
    """R-CANC-01, R-CANC-05, failures 16 and 18: CANCELED is the last event of every stream, and stays. Why is told
    with it, but what our own extension says is not for the caller to say."""
    async with wire.stream("SendStreamingMessage", say("wait")) as reader:
        first = await reader.next()
        assert first is not None
        task_id = first.value["id"]
        why = {"why": {"by": "Ann"}, "urn:a2a-bridge:turn:1": {"goesOn": True}}
        canceled = await wire.result("CancelTask", {"id": task_id, "metadata": why})
        assert canceled["status"]["state"] == "TASK_STATE_CANCELED"
        frames = await reader.rest()
    assert frames[-1].state == "TASK_STATE_CANCELED"
    assert frames[-1].value["metadata"] == {"why": {"by": "Ann"}}
    agent.gate.open()
    assert await wire.get(task_id) == canceled
    assert canceled["artifacts"][0]["parts"] == [{"text": "before "}]


async def test_a_waiting_task_is_canceled_and_its_agent_told(start: Any) -> None:
    """R-CANC-04, R-CANC-05: no agent runs, so the agent's `abandon` frees what waits."""
    told: list[str | None] = []

    async def asks(turn: Any) -> Any:
        yield Ask("?")

    async def abandoned(turn: Any) -> None:
        told.append(turn.task_id)

    wire = Wire(await start(Bridge(Scripted(asks, on_abandon=abandoned))))
    task = await wire.send()
    async with wire.stream("SubscribeToTask", {"id": task["id"]}) as reader:
        await reader.next()
        canceled = await wire.result("CancelTask", {"id": task["id"], "metadata": {"why": "enough"}})
        assert canceled["status"]["state"] == "TASK_STATE_CANCELED"
        [frame] = await reader.rest()
        assert (frame.state, frame.value["metadata"]) == ("TASK_STATE_CANCELED", {"why": "enough"})
    assert told == [task["id"]]
    assert (await wire.error("SendMessage", say("blue", taskId=task["id"])))["code"] == -32004


@pytest.mark.parametrize("word", ["hello", "fail", "refuse", "crash"])
async def test_a_task_that_has_ended_cannot_be_canceled(wire: Wire, word: str) -> None:
    """R-CANC-02."""
    task = await wire.send(word)
    error = await wire.error("CancelTask", {"id": task["id"]})
    assert (error["code"], reason_of(error)) == (-32002, "TASK_NOT_CANCELABLE")


async def test_a_second_cancel_is_refused(wire: Wire) -> None:
    """R-CANC-02, failure 16: one after the other, and at the same time."""
    task = await wire.send("ask")
    assert (await wire.result("CancelTask", {"id": task["id"]}))["status"]["state"] == "TASK_STATE_CANCELED"
    assert (await wire.error("CancelTask", {"id": task["id"]}))["code"] == -32002
    task = await wire.send("ask")
    answers = await asyncio.gather(*(wire.call("CancelTask", {"id": task["id"]}) for _ in range(5)))
    assert sorted(answer.get("error", {}).get("code", 0) for answer in answers) == [-32002] * 4 + [0]


async def test_a_send_that_waits_is_answered_when_its_task_is_canceled(wire: Wire, agent: Obedient) -> None:
    """R-CANC-05, R-SEND-02, failure 12: nothing hangs."""
    sending = asyncio.create_task(wire.send("wait"))
    await agent.gate.reached()
    (task,) = await eventually(wire.tasks)  # the list shows what is committed, two milliseconds later at most
    await wire.result("CancelTask", {"id": task["id"]})
    assert (await sending)["status"]["state"] == "TASK_STATE_CANCELED"


async def test_an_agent_that_cleans_up_slowly_is_waited_for(start: Any) -> None:
    """R-CANC-01: all see CANCELED at once, and the answer comes when the agent has let go."""
    cleaning = Gate()

    async def slow(turn: Any) -> Any:
        yield "working"
        try:
            await asyncio.Event().wait()
        finally:
            await cleaning()

    wire = Wire(await start(Bridge(Scripted(slow))))
    async with wire.stream("SendStreamingMessage", say()) as reader:
        first = await reader.next()
        assert first is not None
        canceling = asyncio.create_task(wire.result("CancelTask", {"id": first.value["id"]}))
        await cleaning.reached()
        assert (await reader.rest())[-1].state == "TASK_STATE_CANCELED"
        for _ in range(10):  # long enough for an answer that does not wait
            assert (await wire.get(first.value["id"]))["status"]["state"] == "TASK_STATE_CANCELED"
        assert not canceling.done()
        cleaning.open()
        assert (await canceling)["status"]["state"] == "TASK_STATE_CANCELED"


async def test_what_an_agent_says_after_cancel_is_not_heard(start: Any) -> None:
    """R-STRM-03, R-CANC-06, failure 17: an agent that swallows the cancellation and goes on changes nothing."""

    async def deaf(turn: Any) -> Any:
        yield "working"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            yield "I go on"
            yield "and on"

    wire = Wire(await start(Bridge(Scripted(deaf, traits=Traits(stops_on_cancel=False)))))
    async with wire.stream("SendStreamingMessage", say()) as reader:
        first = await reader.next()
        assert first is not None
        canceled = await wire.result("CancelTask", {"id": first.value["id"]})
        frames = await reader.rest()
    assert frames[-1].state == "TASK_STATE_CANCELED"
    task = await wire.get(first.value["id"])
    assert task == canceled
    assert task["artifacts"][0]["parts"] == [{"text": "working"}]
    assert json.dumps(task).count("go on") == 0
