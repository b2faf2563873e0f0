"""Webhooks when the server is killed, or asked to end, or its receiver is away: at least once, in order."""

import itertools
import json
import signal
from typing import Any

from a2a_bridge.testing.receiver import Notification, Receiver
from a2a_bridge.testing.wire import Wire, eventually, say

EVENTS = 40  # so many words does `pushing.py` say in a turn


def with_hook(url: str) -> dict[str, Any]:
    said = {"taskPushNotificationConfig": {"url": url, "token": "tok"}, "returnImmediately": True}
    return say("go") | {"configuration": said}


def told_of(task_id: str, got: list[Notification]) -> list[str]:
    """What was told of one task, each event as text."""
    found = []
    for notification in got:
        held = next(iter(notification.body.values()))
        if task_id in (held.get("id"), held.get("taskId")):
            found.append(json.dumps(notification.body, sort_keys=True))
    return found


async def log_of(wire: Wire, task_id: str) -> list[str]:
    """Every event of a task that has ended."""
    frames = await wire.frames("SubscribeToTask", {"id": task_id}, {"last-event-id": "0"})
    return [json.dumps(frame.data["result"], sort_keys=True) for frame in frames]


def check_order(told: list[str], log: list[str], kills: int) -> None:
    """Each event at least once, first times in order, and again only what was on its way when the server was killed."""
    assert list(dict.fromkeys(told)) == log
    assert len(told) - len(log) <= kills
    numbers = [log.index(event) for event in told]
    assert all(later in (earlier, earlier + 1) for earlier, later in itertools.pairwise(numbers))


async def test_every_event_is_told_over_kills(pushing: Any) -> None:
    """Issue: kill -9 in the middle of deliveries, twice, and starts on the same file; failure 27."""
    wire = pushing.wire("count")
    async with Receiver() as hook:
        opened = [await wire.result("SendMessage", with_hook(hook.url)) for _ in range(5)]
        tasks = [found["task"]["id"] for found in opened]
        for kill in (1, 2):
            await hook.until(len(hook.got) + 30, within=10.0)
            await pushing.kill()
            assert len(hook.got) < 5 * EVENTS * kill
            await pushing.start()

        async def is_told() -> bool:
            ended = [task for task in tasks if any('"TASK_STATE_COMPLETED"' in e for e in told_of(task, hook.got))]
            return ended == tasks

        await eventually(is_told, within=20.0)
        for task in tasks:
            check_order(told_of(task, hook.got), await log_of(wire, task), kills=2)
        assert {found.headers["x-a2a-notification-token"] for found in hook.got} == {"tok"}


async def test_a_server_that_ends_in_good_order_repeats_nothing(pushing: Any) -> None:
    """Architecture: what is being sent may end; the rest is for the next process."""
    wire = pushing.wire("count")
    async with Receiver() as hook:
        task = (await wire.result("SendMessage", with_hook(hook.url)))["task"]["id"]
        await hook.until(10, within=10.0)
        pushing.signal(signal.SIGTERM)
        assert await pushing.ended() in (0, -signal.SIGTERM)
        await pushing.start()

        async def is_told() -> bool:
            return any('"TASK_STATE_COMPLETED"' in event for event in told_of(task, hook.got))

        await eventually(is_told, within=20.0)
        check_order(told_of(task, hook.got), await log_of(wire, task), kills=0)


async def test_a_receiver_that_is_away_gets_everything_when_it_is_back(pushing: Any) -> None:
    """R-PUSH-13: no connection is worth another try; here the first one comes after two seconds, and the next, if the
    task took longer than that, after ten or so."""
    wire = pushing.wire("count")
    async with Receiver() as hook:
        port = hook.port
    task = (await wire.result("SendMessage", with_hook(hook.url)))["task"]["id"]

    async def is_over() -> bool:
        return str((await wire.get(task))["status"]["state"]) == "TASK_STATE_COMPLETED"

    await eventually(is_over, within=10.0)
    async with Receiver(port=port) as back:
        await back.until_state("COMPLETED", within=30.0)
        check_order(told_of(task, back.got), await log_of(wire, task), kills=0)
