"""Alarms of one delay: our decision, because a timer of the event loop for each send costs too much."""

import asyncio

from a2a_bridge.tasks.alarms import Alarms

SECONDS = 5.0


async def test_alarms_go_off_in_the_order_in_which_they_were_set() -> None:
    alarms, rung, over = Alarms(0.01), [], asyncio.Event()
    alarms.set("a", lambda: rung.append("a"))
    alarms.set("b", lambda: rung.append("b"))
    alarms.set("c", over.set)
    await asyncio.wait_for(over.wait(), SECONDS)
    assert rung == ["a", "b"]


async def test_a_cleared_alarm_does_not_go_off_and_holds_up_no_other() -> None:
    alarms, rung, over = Alarms(0.01), [], asyncio.Event()
    alarms.set("a", lambda: rung.append("a"))
    alarms.set("b", over.set)
    alarms.clear("a")
    alarms.clear("never set")
    await asyncio.wait_for(over.wait(), SECONDS)
    assert rung == []


async def test_one_that_is_set_after_the_others_have_gone_off_does_too() -> None:
    alarms, first, second = Alarms(0.01), asyncio.Event(), asyncio.Event()
    alarms.set("a", first.set)
    await asyncio.wait_for(first.wait(), SECONDS)
    alarms.set("a", second.set)
    await asyncio.wait_for(second.wait(), SECONDS)


async def test_one_that_raises_does_not_keep_the_others_from_going_off() -> None:
    loop, heard = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: heard.append(context["exception"]))
    alarms, over = Alarms(0.01), asyncio.Event()

    def fails() -> None:
        raise RuntimeError("on purpose")

    alarms.set("a", fails)
    alarms.set("b", over.set)
    await asyncio.wait_for(over.wait(), SECONDS)
    assert [str(error) for error in heard] == ["on purpose"]
