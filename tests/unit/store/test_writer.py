"""The writing thread: what it groups, whom it tells, when it ends."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from a2a_bridge.store.writer import GROUP, Job, Ledger, Writer


class Notebook:
    """A ledger that runs its jobs and notes how many came together."""

    def __init__(self) -> None:
        self.groups: list[int] = []
        self.closed_in = ""

    def commit(self, jobs: Sequence[Job[Any]]) -> None:
        self.groups.append(len(jobs))
        for job in jobs:
            try:
                job.run()
            except ValueError as error:
                job.fail(error)

    def close(self) -> None:
        self.closed_in = threading.current_thread().name


def noting(notebook: Notebook) -> Callable[[], Ledger]:
    return lambda: notebook


async def started() -> tuple[Writer, Notebook]:
    writer, notebook = Writer("a writer under test"), Notebook()
    async with asyncio.timeout(5):
        await writer.start(noting(notebook))
    return writer, notebook


async def test_what_comes_while_it_writes_is_written_together() -> None:
    """Architecture §5: group commit, at most 256 together."""
    writer, notebook = await started()
    blocked, go_on = threading.Event(), threading.Event()

    def block() -> None:
        blocked.set()
        go_on.wait(5)

    first = writer.submit(block)
    async with asyncio.timeout(5):
        while not blocked.is_set():
            await asyncio.sleep(0)
        rest = [writer.submit(lambda n=n: n) for n in range(600)]  # type: ignore[misc]
        go_on.set()
        assert await asyncio.gather(first, *rest) == [None, *range(600)]
        await writer.stop()
    assert notebook.groups == [1, GROUP, GROUP, 600 - 2 * GROUP]
    assert notebook.closed_in == "a writer under test"


async def test_stopping_waits_for_what_has_been_submitted() -> None:
    """Our contract: `close` waits for what is being written."""
    writer, _ = await started()
    done: list[int] = []
    for n in range(1000):
        writer.submit(lambda n=n: done.append(n))  # type: ignore[misc]
    async with asyncio.timeout(5):
        await writer.stop()
    assert done == list(range(1000))


async def test_an_error_goes_to_who_waits_and_to_nobody_else() -> None:
    """Our decision: the thread outlives whatever a job raises."""
    writer, _ = await started()
    before, bad, after = writer.submit(lambda: 1), writer.submit(lambda: int("one")), writer.submit(lambda: 2)
    async with asyncio.timeout(5):
        assert await before == 1
        with pytest.raises(ValueError, match="one"):
            await bad
        assert await after == 2
        await writer.stop()


async def test_a_job_whose_waiter_is_cancelled_is_done_all_the_same() -> None:
    """Our contract: a call that is cancelled may still take effect."""
    writer, _ = await started()
    done: list[str] = []
    waiting = writer.submit(lambda: done.append("cancelled"))
    waiting.cancel()
    async with asyncio.timeout(5):
        await writer.submit(lambda: done.append("next"))
        await writer.stop()
    assert done == ["cancelled", "next"]


async def test_a_writer_that_cannot_start_says_why_and_leaves_no_thread() -> None:
    """Our contract: `open` says why not."""
    writer = Writer("a writer that fails")

    def fail() -> Ledger:
        raise ValueError("no such place")

    async with asyncio.timeout(5):
        with pytest.raises(ValueError, match="no such place"):
            await writer.start(fail)
        while any(thread.name == "a writer that fails" for thread in threading.enumerate()):
            await asyncio.sleep(0)


async def test_cancelling_the_start_ends_the_thread() -> None:
    """Our decision: nobody is left to stop it, so it stops itself."""
    writer, notebook = Writer("a writer cancelled"), Notebook()
    go_on = threading.Event()

    def make() -> Ledger:
        go_on.wait(5)
        return notebook

    starting = asyncio.create_task(writer.start(make))
    await asyncio.sleep(0)
    starting.cancel()
    async with asyncio.timeout(5):
        with pytest.raises(asyncio.CancelledError):
            await starting
        go_on.set()
        while any(thread.name == "a writer cancelled" for thread in threading.enumerate()):
            await asyncio.sleep(0)
    assert notebook.closed_in == "a writer cancelled"


def test_a_loop_that_has_ended_is_no_trouble() -> None:
    """Our decision: what was submitted is done, though nobody hears of it."""
    done = threading.Event()
    blocked = threading.Event()

    async def leave() -> Writer:
        writer, _ = await started()
        writer.submit(lambda: blocked.wait(5))
        writer.submit(done.set)
        return writer

    with asyncio.Runner() as runner:
        writer = runner.run(leave())
    blocked.set()
    assert done.wait(5)
    writer._queue.put(None)
