"""A lock for the tasks of several event loops."""

import asyncio
import copy
import pickle
import threading

import pytest

from a2a_bridge.client.baton import Baton
from a2a_bridge.testing.adapter_case import within


async def test_tasks_of_several_threads_take_turns() -> None:
    """Ours: hosts run sync code in threads, each with an event loop of its own; nobody waits for ever."""
    baton, running, ended = Baton(), [], []
    waiting = [threading.Event() for _ in range(4)]

    async def work(number: int) -> None:
        asyncio.get_running_loop().call_soon(waiting[number].set)  # runs when this task waits
        async with baton:
            running.append(number)
            assert len(running) == 1
            await asyncio.sleep(0)
            running.remove(number)
            ended.append(number)

    threads = [threading.Thread(target=asyncio.run, args=(work(number),), daemon=True) for number in range(4)]
    async with baton:
        for thread, waits in zip(threads, waiting, strict=True):
            thread.start()
            assert await asyncio.to_thread(waits.wait, 5)
    for thread in threads:
        await asyncio.to_thread(thread.join, 5)
    assert ended == [0, 1, 2, 3]
    await within(baton.__aenter__())


async def test_who_waited_longest_is_next() -> None:
    """Ours: first come, first served."""
    baton, order = Baton(), []

    async def work(number: int) -> None:
        async with baton:
            order.append(number)

    async with baton:
        tasks = [asyncio.create_task(work(number)) for number in range(4)]
        await asyncio.sleep(0)
    await within(asyncio.gather(*tasks))
    assert order == [0, 1, 2, 3]


async def test_a_wait_that_is_cancelled_holds_up_nobody() -> None:
    """Ours: it leaves the row; if it was handed the baton in that moment, it hands it on."""
    baton = Baton()
    async with baton:
        leaves, handed, last = (asyncio.create_task(baton.__aenter__()) for _ in range(3))
        await asyncio.sleep(0)
        leaves.cancel()
        await asyncio.wait([leaves])
    handed.cancel()  # it is its turn, and it does not know yet
    await within(last)
    for task in (leaves, handed):
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_loop_that_was_closed_is_passed_over() -> None:
    """Ours: a thread that went away in the middle holds up nobody."""
    baton = Baton()
    gone = asyncio.new_event_loop()
    async with baton:

        def wait_and_go() -> None:
            task = gone.create_task(baton.__aenter__())
            gone.run_until_complete(asyncio.sleep(0))
            gone.close()
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # left like that on purpose

        await asyncio.to_thread(wait_and_go)
    await within(baton.__aenter__())


async def test_a_copy_is_a_baton_of_its_own() -> None:
    """Ours: AutoGen copies its agents deeply, and what they hold; others pickle them."""
    baton = Baton()
    async with baton:
        for other in (copy.deepcopy(baton), pickle.loads(pickle.dumps(baton))):
            await within(other.__aenter__())
