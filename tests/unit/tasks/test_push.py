"""Webhooks: what they are sent, in which order, and how hard it is tried. Over both stores; time is a number here."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from a2a_bridge.agent import Ask, Progress, Refuse, Say, ToolCall, Traits
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.errors import StoreUnavailableError
from a2a_bridge.guard import Guard
from a2a_bridge.protocol.extensions import TURN_EXTENSION
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.tasks.delivery import RETRIES_AT_ONCE, Slots
from a2a_bridge.tasks.push import Push
from a2a_bridge.testing.agents import Gate, Scripted
from a2a_bridge.testing.receiver import HANG, Receiver
from a2a_bridge.testing.wire import Wire, eventually, say

PUSH = Push(Guard(loopback=True))
FACTORIES = [None, *([asyncio.eager_task_factory] if sys.version_info >= (3, 12) else [])]
Create = "CreateTaskPushNotificationConfig"
Get = "GetTaskPushNotificationConfig"
List = "ListTaskPushNotificationConfigs"
Delete = "DeleteTaskPushNotificationConfig"


class Clock:
    """Seconds since 1970 that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Served:
    """A bridge, a rude client for it, and its clock."""

    def __init__(self, bridge: Bridge, wire: Wire, clock: Clock) -> None:
        self.bridge = bridge
        self.wire = wire
        self.clock = clock

    async def pass_time(self, seconds: float) -> None:
        """So many seconds later, when the housekeeping has looked."""
        self.clock.now += seconds
        await self.bridge.service.sweep()

    async def undelivered(self) -> list[dict[str, Any]]:
        """The dead letters."""
        return [json.loads(entry.value) for entry in await self.bridge.store.page("undelivered", "undelivered")]

    async def pending(self) -> int:
        """Deliveries that are not over."""
        return await self.bridge.store.count("delivery", "delivery")

    async def over(self) -> None:
        """Wait until nothing is left to be sent."""

        async def check() -> bool:
            return await self.pending() == 0

        await eventually(check)


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
def serving(start: Any, store: Any) -> Serve:
    async def served(agent: Any, push: Push | None = PUSH) -> Served:
        clock = Clock()
        bridge = Bridge(agent, store=store, options=Options(push=push, clock=clock))
        return Served(bridge, Wire(await start(bridge)), clock)

    return served


def with_hook(url: str, text: str = "go", **config: Any) -> dict[str, Any]:
    """A send that brings its webhook."""
    return say(text) | {"configuration": {"taskPushNotificationConfig": {"url": url, **config}}}


async def talks(turn: Any) -> AsyncGenerator[Any, None]:
    yield Progress("thinking")
    yield ToolCall("1", "look", {})
    yield "one "
    yield "two"


async def test_a_webhook_gets_what_a_stream_gets(serving: Serve) -> None:
    """R-PUSH-03, R-PUSH-09, R-PUSH-12, R-PUSH-14, R-PUSH-15: every event, from the first on, in order, as it is."""
    served = await serving(Scripted(talks))
    async with Receiver() as hook:
        frames = await served.wire.frames("SendStreamingMessage", with_hook(hook.url))
        got = await hook.until_state("COMPLETED")
        await served.over()
    assert [found.body for found in got] == [frame.data["result"] for frame in frames]
    assert "task" in got[0].body
    assert TURN_EXTENSION not in json.dumps([found.body for found in got])
    assert all(found.headers["content-type"] == "application/a2a+json" for found in got)
    assert all(found.headers["a2a-version"] == "1.0" for found in got)


@pytest.mark.parametrize("factory", FACTORIES)
async def test_it_is_the_same_on_a_loop_that_starts_tasks_at_once(serving: Serve, factory: Any) -> None:
    """Ours: the loop is the host's, and from Python 3.12 on it may have `asyncio.eager_task_factory`."""
    asyncio.get_running_loop().set_task_factory(factory)

    async def asks(turn: Any) -> AsyncGenerator[Any, None]:
        yield Ask("?") if turn.answer is None else turn.answer.message.text

    served = await serving(Scripted(asks))
    async with Receiver() as hook:
        task = (await served.wire.result("SendMessage", with_hook(hook.url)))["task"]
        await hook.until_state("INPUT_REQUIRED")
        frames = await served.wire.frames("SendStreamingMessage", say("blue", taskId=task["id"]))
        assert [frame.kind for frame in frames][:1] == ["task"]
        assert frames[-2].value["artifact"]["parts"] == [{"text": "blue"}]
        await hook.until_state("COMPLETED")


async def test_token_and_credentials_travel_in_their_headers(serving: Serve) -> None:
    """R-PUSH-10, R-PUSH-11; a scheme without credentials gives no header."""
    served = await serving(Scripted(talks))
    async with Receiver() as hook:
        said = {"token": "tok", "authentication": {"scheme": "Digest", "credentials": 'user="secret"'}}
        await served.wire.result("SendMessage", with_hook(hook.url, **said))
        for found in await hook.until_state("COMPLETED"):
            assert found.headers["x-a2a-notification-token"] == "tok"
            assert found.headers["authorization"] == 'Digest user="secret"'
            assert found.path == "/hook"
    async with Receiver() as hook:
        await served.wire.result("SendMessage", with_hook(hook.url, authentication={"scheme": "Bearer"}))
        found = (await hook.until(1))[0]
        assert not {"authorization", "x-a2a-notification-token"} & set(found.headers)


async def test_a_webhook_that_comes_later_gets_what_comes_later(serving: Serve) -> None:
    """R-PUSH-01, R-PUSH-06: from its registration on; several webhooks each get everything."""
    gate = Gate()

    async def waits(turn: Any) -> AsyncGenerator[Any, None]:
        yield "before "
        await gate()
        yield "after"

    served = await serving(Scripted(waits))
    async with Receiver() as hook, Receiver() as other, served.wire.stream("SendStreamingMessage", say()) as reader:
        opened = await reader.next()
        await reader.next()
        assert opened is not None
        task_id = opened.value["id"]
        for receiver in (hook, other):
            made = await served.wire.result(Create, {"taskId": task_id, "url": receiver.url})
            assert made["taskId"] == task_id
            assert made["id"]
        gate.open()
        later = [frame.data["result"] for frame in await reader.rest()]
        for receiver in (hook, other):
            assert [found.body for found in await receiver.until_state("COMPLETED")] == later
        assert len((await served.wire.result(List, {"taskId": task_id}))["configs"]) == 2
    await served.over()


async def test_all_turns_of_a_task_are_told(serving: Serve) -> None:
    """R-PUSH-04: a pause is no end; the answer, and what comes of it, is told too."""

    async def asks(turn: Any) -> AsyncGenerator[Any, None]:
        yield Ask("?") if turn.answer is None else "done"

    served = await serving(Scripted(asks))
    async with Receiver() as hook:
        task = (await served.wire.result("SendMessage", with_hook(hook.url)))["task"]
        await hook.until_state("INPUT_REQUIRED")
        assert await served.pending() == 1
        await served.wire.send("yes", taskId=task["id"])
        got = await hook.until_state("COMPLETED")
        await served.over()
    assert [found.state for found in got if found.state] == ["WORKING", "INPUT_REQUIRED", "WORKING", "COMPLETED"]
    assert (await served.wire.result(List, {"taskId": task["id"]}))["configs"][0]["url"] == hook.url


async def test_an_answer_may_bring_a_webhook_of_its_own(serving: Serve) -> None:
    """R-PUSH-03: a send to an existing task registers before that turn begins."""

    async def asks(turn: Any) -> AsyncGenerator[Any, None]:
        yield Ask("?") if turn.answer is None else "done"

    served = await serving(Scripted(asks))
    task = await served.wire.send("go")
    async with Receiver() as hook:
        params = with_hook(hook.url)
        params["message"]["taskId"] = task["id"]
        await served.wire.result("SendMessage", params)
        got = await hook.until_state("COMPLETED")
    assert [found.state for found in got if found.state] == ["WORKING", "COMPLETED"]


async def test_a_message_to_a_running_task_may_bring_one_too(serving: Serve) -> None:
    """R-PUSH-03: whatever is told from now on."""
    gate = Gate()

    async def listens(turn: Any) -> AsyncGenerator[Any, None]:
        yield "begin"
        await gate()
        async for message in turn.interjections():
            yield message.parts[0].text
            return

    served = await serving(Scripted(listens))
    async with Receiver() as hook, served.wire.stream("SendStreamingMessage", say()) as reader:
        opened = await reader.next()
        assert opened is not None
        params = with_hook(hook.url, "more")
        params["message"]["taskId"] = opened.value["id"]
        gate.open()
        await served.wire.result("SendMessage", params)
        got = await hook.until_state("COMPLETED")
    assert any("more" in json.dumps(found.body) for found in got)


async def test_a_bare_message_is_not_pushed_and_leaves_nothing(serving: Serve) -> None:
    """R-PUSH-15: there is no task, hence nothing to push and nothing to keep."""

    async def answers(turn: Any) -> AsyncGenerator[Any, None]:
        yield Say("hello", direct=True)

    served = await serving(Scripted(answers))
    async with Receiver() as hook:
        found = await served.wire.result("SendMessage", with_hook(hook.url))
        assert "message" in found
        await served.over()
        assert hook.got == []


async def test_a_task_that_is_refused_or_canceled_says_so(serving: Serve) -> None:
    """R-PUSH-12: every terminal state."""
    gate = Gate()

    async def ends(turn: Any) -> AsyncGenerator[Any, None]:
        if turn.text == "refuse":
            yield Refuse("no")
            return
        yield "x"
        await gate()

    served = await serving(Scripted(ends))
    async with Receiver() as hook:
        await served.wire.result("SendMessage", with_hook(hook.url, "refuse"))
        await hook.until_state("REJECTED")
    async with Receiver() as hook:
        params = with_hook(hook.url)
        params["configuration"]["returnImmediately"] = True
        task = (await served.wire.result("SendMessage", params))["task"]
        await served.wire.result("CancelTask", {"id": task["id"]})
        await hook.until_state("CANCELED")


async def test_what_is_not_taken_is_sent_again_and_nothing_overtakes_it(serving: Serve) -> None:
    """R-PUSH-13, R-PUSH-14: later each time; the events behind it wait."""
    served = await serving(Scripted(talks))
    async with Receiver(503, 429, 500) as hook:
        await served.wire.result("SendMessage", with_hook(hook.url))
        for count in (1, 2, 3):
            await hook.until(count)
            await eventually(lambda: _due(served))
            await served.pass_time(1.0)
            assert len(hook.got) == count
            await served.pass_time(100.0)
        got = await hook.until_state("COMPLETED")
        await served.over()
    assert [found.body for found in got[:4]] == [got[0].body] * 4
    assert [found.body for found in got[4:]] != []
    assert await served.undelivered() == []


async def _due(served: Served) -> bool:
    entries = await served.bridge.store.page("delivery", "delivery")
    return bool(entries) and json.loads(entries[0].value)["due"] > served.clock.now


async def test_after_eight_tries_an_event_is_a_dead_letter(serving: Serve) -> None:
    """Issue: 8 tries in 24 h, then it is shown; each later event gets one try until one is taken."""
    gate = Gate()

    async def waits(turn: Any) -> AsyncGenerator[Any, None]:
        yield "one"
        await gate()

    served = await serving(Scripted(waits))
    async with Receiver(default=503) as hook:
        params = with_hook(hook.url, id="mine")
        params["configuration"]["returnImmediately"] = True
        task = (await served.wire.result("SendMessage", params))["task"]
        waited = 0.0
        for tries in range(1, 8):
            await hook.until(tries)
            await eventually(lambda: _due(served))
            due = json.loads((await served.bridge.store.page("delivery", "delivery"))[0].value)["due"]
            pause = due - served.clock.now
            assert 0.75 * 2 * 5 ** (tries - 1) <= pause <= 1.25 * 2 * 5 ** (tries - 1)
            waited += pause
            await served.pass_time(pause)
        assert waited < 24 * 3600
        # The eighth try of the first event, then one try for the second.
        await hook.until(9)
        hook.default = 200
        gate.open()
        got = await hook.until_state("COMPLETED")
        await served.over()
    assert [found.body for found in got[:8]] == [got[0].body] * 8
    (dead,) = await served.undelivered()
    assert dead == {
        "task": task["id"], "webhook": "mine", "host": "127.0.0.1", "seq": 2, "tries": 1, "reason": "HTTP 503",
        "first": 1, "last": 2, "count": 2, "time": dead["time"],
    }  # fmt: skip


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 410, 422])
async def test_what_would_be_refused_again_is_not_tried_again(serving: Serve, status: int) -> None:
    """R-PUSH-13, R-PUSH-16: other 4xx and redirects are dead letters at once, and are not followed."""
    served = await serving(Scripted(talks))
    moved = f"HTTP/1.1 {status} .\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n".encode()
    async with Receiver(moved) as hook:
        await served.wire.result("SendMessage", with_hook(hook.url))
        got = await hook.until_state("COMPLETED")
        await served.over()
    assert "task" in got[0].body
    assert "task" not in got[1].body
    (dead,) = await served.undelivered()
    assert (dead["reason"], dead["count"], dead["first"]) == (f"HTTP {status}", 1, 1)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
async def test_what_may_be_taken_later_is_tried_again(serving: Serve, status: int) -> None:
    """R-PUSH-13."""
    served = await serving(Scripted(talks))
    async with Receiver(status) as hook:
        await served.wire.result("SendMessage", with_hook(hook.url))
        await hook.until(1)
        await eventually(lambda: _due(served))
        await served.pass_time(3.0)
        got = await hook.until_state("COMPLETED")
    assert got[0].body == got[1].body
    assert await served.undelivered() == []


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_the_receiver_may_ask_for_time(serving: Serve, form: str) -> None:
    """R-PUSH-13: Retry-After, in both of its forms; never sooner than our own pause."""
    served = await serving(Scripted(talks))
    asked = "3600" if form == "seconds" else "Fri, 15 Jan 2027 09:00:00 GMT"
    head = f"HTTP/1.1 429 .\r\nRetry-After: {asked}\r\nContent-Length: 0\r\n\r\n".encode()
    async with Receiver(head) as hook:
        await served.wire.result("SendMessage", with_hook(hook.url))
        await hook.until(1)
        await eventually(lambda: _due(served))
        await served.pass_time(3599.0)
        assert len(hook.got) == 1
        await served.pass_time(2.0)
        await hook.until_state("COMPLETED")


async def test_who_asks_for_more_than_a_day_is_given_up(serving: Serve) -> None:
    """Issue: 24 h from the first try to the last."""
    served = await serving(Scripted(talks))
    head = b"HTTP/1.1 503 .\r\nRetry-After: 999999\r\nContent-Length: 0\r\n\r\n"
    async with Receiver(head) as hook:
        await served.wire.result("SendMessage", with_hook(hook.url))
        await hook.until_state("COMPLETED")
        await served.over()
    assert (await served.undelivered())[0]["count"] == 1


async def test_a_webhook_that_hangs_holds_up_neither_the_task_nor_another(serving: Serve) -> None:
    """R-PUSH-14: nobody waits for it."""
    served = await serving(Scripted(talks))
    async with Receiver(default=HANG) as slow, Receiver() as quick:
        for _ in range(20):
            await served.wire.result("SendMessage", with_hook(slow.url))
        task = (await served.wire.result("SendMessage", with_hook(quick.url)))["task"]
        assert task["status"]["state"] == "TASK_STATE_COMPLETED"
        await quick.until_state("COMPLETED")
        assert await served.pending() >= 20


async def test_nothing_is_sent_after_a_delete(serving: Serve) -> None:
    """R-PUSH-07: what waited is dropped; deleting once more is a success."""
    gate = Gate()

    async def waits(turn: Any) -> AsyncGenerator[Any, None]:
        yield "one"
        await gate()
        yield "two"

    served = await serving(Scripted(waits))
    async with Receiver(503) as hook, Receiver() as other:
        params = with_hook(hook.url, id="a/b")
        params["configuration"]["returnImmediately"] = True
        task = (await served.wire.result("SendMessage", params))["task"]
        await served.wire.result(Create, {"taskId": task["id"], "url": other.url})
        await hook.until(1)
        for _ in range(2):
            assert await served.wire.result(Delete, {"taskId": task["id"], "id": "a/b"}) == {}
        error = await served.wire.error(Get, {"taskId": task["id"], "id": "a/b"})
        assert error["code"] == -32001
        gate.open()
        await other.until_state("COMPLETED")
        await served.over()
        await served.pass_time(1000.0)
        assert len(hook.got) == 1


async def test_a_delivery_in_flight_ends_before_the_delete_returns(serving: Serve) -> None:
    """R-PUSH-07: also what hangs at that very moment."""
    served = await serving(Scripted(talks))
    async with Receiver(HANG) as hook:
        task = (await served.wire.result("SendMessage", with_hook(hook.url, id="x")))["task"]
        await hook.until(1)
        await served.wire.result(Delete, {"taskId": task["id"], "id": "x"})
        await served.pass_time(1000.0)
        assert len(hook.got) == 1
    assert await served.pending() == 0


async def test_a_config_with_a_known_id_is_replaced(serving: Serve) -> None:
    """R-PUSH-02: what has not been sent yet goes to the new address."""
    served = await serving(Scripted(talks))
    async with Receiver(503) as old, Receiver() as new:
        task = (await served.wire.result("SendMessage", with_hook(old.url, id="x")))["task"]
        await old.until(1)
        await eventually(lambda: _due(served))
        await served.wire.result(Create, {"taskId": task["id"], "url": new.url, "id": "x"})
        got = await new.until_state("COMPLETED")
        assert got[0].body == old.got[0].body
        await served.over()
        assert len(old.got) == 1
    (config,) = (await served.wire.result(List, {"taskId": task["id"]}))["configs"]
    assert config["url"] == new.url


async def test_what_was_being_sent_is_taken_up_after_a_restart(start: Any, tmp_path: Any) -> None:
    """Issue: a worker that survives restarts; tries count on."""
    clock = Clock()
    path = tmp_path / "s.sqlite"

    async def bridge() -> Bridge:
        return Bridge(Scripted(talks), store=SQLiteStore(path), options=Options(push=PUSH, clock=clock))

    async with Receiver(503, 503) as hook:
        first = await bridge()
        wire = Wire(await start(first))
        await wire.result("SendMessage", with_hook(hook.url, token="tok"))
        await hook.until(1)
        served = Served(first, wire, clock)
        await eventually(lambda: _due(served))
        await first.stop()
        clock.now += 3.0
        second = await bridge()
        served = Served(second, Wire(await start(second)), clock)
        await hook.until(2)
        await eventually(lambda: _due(served))
        assert json.loads((await second.store.page("delivery", "delivery"))[0].value)["tries"] == 2
        await served.pass_time(15.0)
        got = await hook.until_state("COMPLETED")
        await served.over()
    assert all(found.headers["x-a2a-notification-token"] == "tok" for found in got)
    assert "task" in got[2].body


async def test_a_task_that_a_restart_fails_says_so(start: Any, tmp_path: Any) -> None:
    """Failure 16, one step on: the end that recovery writes is pushed like any other."""
    path, gate = tmp_path / "s.sqlite", Gate()

    async def waits(turn: Any) -> AsyncGenerator[Any, None]:
        yield "one"
        await gate()

    async with Receiver() as hook:
        first = Bridge(Scripted(waits), store=SQLiteStore(path), options=Options(push=PUSH))
        wire = Wire(await start(first))
        params = with_hook(hook.url)
        params["configuration"]["returnImmediately"] = True
        await wire.result("SendMessage", params)
        await hook.until(2)
        for run in first.service._turns._running:  # killed: no last word is written
            run.cancel()
        second = SQLiteStore(path)
        await first.store.close()
        await start(Bridge(Scripted(waits), store=second, options=Options(push=PUSH)))
        got = await hook.until_state("FAILED")
    assert got[-1].state == "FAILED"


async def test_the_trace_of_the_request_goes_out_with_the_webhook(serving: Serve) -> None:
    """Architecture: traceparent comes in, is kept with the webhook, and goes out."""
    served = await serving(Scripted(talks))
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    async with Receiver() as hook:
        headers = {"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"}
        await served.wire.result("SendMessage", with_hook(hook.url), headers=headers)
        got = await hook.until_state("COMPLETED")
    assert {found.headers["traceparent"].split("-")[1] for found in got} == {trace_id}


async def test_a_webhook_of_0_3_gets_the_whole_task_each_time(serving: Serve) -> None:
    """R-PUSH-19, R-COMPAT-21, trap T-21: the dialect of the request that registered it."""
    served = await serving(Scripted(talks))
    async with Receiver() as hook:
        params = {
            "message": {"kind": "message", "messageId": "m", "role": "user", "parts": [{"kind": "text", "text": "x"}]},
            "configuration": {"blocking": True, "pushNotificationConfig": {"url": hook.url, "token": "tok"}},
        }
        await served.wire.result("message/send", params, headers={"A2A-Version": "0.3"})
        await eventually(lambda: hook.got and hook.got[-1].body["status"]["state"] == "completed")
        await served.over()
    assert {found.body["kind"] for found in hook.got} == {"task"}
    assert hook.got[0].body["status"]["state"] == "working"
    last = hook.got[-1]
    assert last.body["artifacts"][0]["parts"][0]["text"] == "one two"
    assert last.headers["content-type"] == "application/json"
    assert last.headers["x-a2a-notification-token"] == "tok"


async def test_tasks_without_a_webhook_have_no_records_of_one(serving: Serve) -> None:
    """Issue: costs nothing for tasks without configs."""
    served = await serving(Scripted(talks, traits=Traits(keeps_context=True)))
    await served.wire.send("go")
    assert await served.pending() == 0


async def test_events_that_are_gone_are_replaced_by_the_task(serving: Serve) -> None:
    """Architecture: an unknown or compacted number gives the snapshot, never silence."""
    gate = Gate()

    async def waits(turn: Any) -> AsyncGenerator[Any, None]:
        yield "one "
        await gate()
        yield "two"

    served = await serving(Scripted(waits))
    async with Receiver(503) as hook:
        params = with_hook(hook.url)
        params["configuration"]["returnImmediately"] = True
        task = (await served.wire.result("SendMessage", params))["task"]
        await hook.until(1)
        await eventually(lambda: _due(served))
        gate.open()
        frames = await served.wire.frames("SubscribeToTask", {"id": task["id"]}, {"last-event-id": "0"})
        stream = f"task//anonymous/scripted/{task['id']}"
        await served.bridge.store.trim(stream, frames[-2].id or 0)
        await served.pass_time(3.0)
        await served.over()
    got = hook.got
    assert [next(iter(found.body)) for found in got] == ["task", "task", "statusUpdate"]
    assert got[1].body["task"] == await served.wire.get(task["id"])


async def test_a_caller_with_dead_webhooks_holds_up_its_own_retries_only() -> None:
    """Our decision: slots for first attempts and for others, of each caller."""
    slots = Slots()
    taken = [slots.take("a", again=True) for _ in range(RETRIES_AT_ONCE)]
    for slot in taken:
        await slot.__aenter__()
    waiting = asyncio.create_task(slots.take("a", again=True).__aenter__())
    for owner, again in (("a", False), ("b", True), ("b", False)):
        async with asyncio.timeout(1.0), slots.take(owner, again=again):
            assert not waiting.done()
    await taken[0].__aexit__(None, None, None)
    await waiting


async def test_a_store_that_fails_holds_deliveries_up_and_loses_none(start: Any, tmp_path: Any) -> None:
    """Issue: what cannot be read is tried again soon."""
    clock = Clock()

    class Failing(SQLiteStore):
        fails = False

        async def read(self, stream: str, after: int = 0, limit: int = 1000) -> Any:
            if self.fails:
                raise StoreUnavailableError("for the test")
            return await super().read(stream, after, limit)

    store = Failing(tmp_path / "s.sqlite")
    store.fails = True
    bridge = Bridge(Scripted(talks), store=store, options=Options(push=PUSH, clock=clock))
    served = Served(bridge, Wire(await start(bridge)), clock)
    async with Receiver() as hook:
        await served.wire.result("SendMessage", with_hook(hook.url))
        assert hook.got == []
        store.fails = False
        await served.pass_time(6.0)
        got = await hook.until_state("COMPLETED")
        await served.over()
    assert "task" in got[0].body


async def test_a_webhook_that_cannot_be_deleted_goes_on(start: Any, tmp_path: Any) -> None:
    """R-PUSH-07: a delete that has failed has deleted nothing."""

    class Failing(SQLiteStore):
        fails = False

        def put(self, *changes: Any) -> Any:
            if self.fails:
                raise StoreUnavailableError("for the test")
            return super().put(*changes)

    gate = Gate()

    async def waits(turn: Any) -> AsyncGenerator[Any, None]:
        yield "one"
        await gate()
        yield "two"

    store = Failing(tmp_path / "s.sqlite")
    wire = Wire(await start(Bridge(Scripted(waits), store=store, options=Options(push=PUSH))))
    async with Receiver() as hook, Receiver() as other:
        params = with_hook(hook.url, id="x")
        params["configuration"]["returnImmediately"] = True
        task = (await wire.result("SendMessage", params))["task"]
        await hook.until(2)
        store.fails = True
        for method in (Delete, Create):
            asked = {"taskId": task["id"], "id": "x", "url": other.url}
            response = await wire.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": asked})
            assert response.status_code == 503
        store.fails = False
        gate.open()
        await hook.until_state("COMPLETED")
        assert other.got == []
