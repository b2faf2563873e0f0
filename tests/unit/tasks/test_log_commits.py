"""When the log commits, and whom a commit wakes: our decision (docs/decisions/003), for the price of a wake-up."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from a2a_bridge.store.contract import Change
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.tasks.log import COMMIT_AT, LINGER, URGENT_ONLY, TaskLog

SECONDS = 5.0


class Counting(MemoryStore):
    """A store in memory that remembers how many rows each append had, and can hold appends back."""

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[int] = []
        self.held: list[asyncio.Future[None]] | None = None

    def append(
        self, stream: str, epoch: int, first: int, events: Sequence[bytes], records: Sequence[Change] = ()
    ) -> "asyncio.Future[None] | None":
        super().append(stream, epoch, first, events, records)
        self.commits.append(len(events))
        if self.held is None:
            return None
        self.held.append(asyncio.get_running_loop().create_future())
        return self.held[-1]


@pytest.fixture
async def store() -> Counting:
    return Counting()


@pytest.fixture
async def log(store: Counting) -> TaskLog:
    claim = await store.claim("s")
    return TaskLog(store, "s", epoch=claim.epoch)


async def until_visible(log: TaskLog, seq: int) -> None:
    async with asyncio.timeout(SECONDS):
        while log.visible < seq:
            await log.wait()


async def test_rows_that_nobody_is_ready_for_become_visible_together_and_soon(store: Counting, log: TaskLog) -> None:
    for number in range(5):
        log.append(b"{%d}" % number)
    assert log.visible == 0
    before = asyncio.get_running_loop().time()
    await asyncio.wait_for(asyncio.shield(log.wait(before + LINGER)), SECONDS)
    assert store.commits == [5]


async def test_an_urgent_row_is_committed_at_once_with_all_before_it(store: Counting, log: TaskLog) -> None:
    log.append(b"{1}")
    log.append(b"{2}", urgent=True)
    assert log.visible == 2
    assert store.commits == [2]


async def test_a_large_batch_is_committed_although_nobody_is_ready(store: Counting, log: TaskLog) -> None:
    """A run that never waits must not run ahead of what is kept (reliability: at most 256 rows)."""
    for number in range(COMMIT_AT + 1):
        log.append(b"{%d}" % number)
    assert store.commits == [COMMIT_AT]
    assert not log.is_ahead


async def test_a_quiet_reader_is_served_in_the_next_step_of_the_loop(log: TaskLog) -> None:
    """Time to the first event: no timer stands between a row and a reader that has been waiting for it."""
    waiting = log.wait()
    log.append(b"{1}")
    await asyncio.sleep(0)
    assert waiting.done()
    assert log.visible == 1


async def test_a_reader_that_comes_after_the_rows_does_not_wait_for_the_timer(log: TaskLog) -> None:
    log.append(b"{1}")
    waiting = log.wait()
    await asyncio.sleep(0)
    assert waiting.done()


async def test_a_reader_served_a_moment_ago_gets_what_came_meanwhile_in_one_list(log: TaskLog) -> None:
    async with aclosing(log.follow(0)) as rows:
        log.append(b"{1}")
        first = await asyncio.wait_for(anext(rows), SECONDS)
        following = asyncio.ensure_future(anext(rows))
        for number in range(3):
            await asyncio.sleep(0)
            log.append(b"{%d}" % number)
        second = await asyncio.wait_for(following, SECONDS)
    assert [row.seq for row in first] == [1]
    assert [row.seq for row in second] == [2, 3, 4]


async def test_who_waits_for_the_end_is_not_woken_by_ordinary_rows(log: TaskLog) -> None:
    waiting = log.wait(URGENT_ONLY)
    log.append(b"{1}")
    await until_visible(log, 1)
    assert not waiting.done()
    assert not log.is_awaited
    log.close(b"{2}")
    assert waiting.done()
    assert log.is_closed


async def test_a_record_is_made_once_for_a_commit_from_what_is_true_then(store: Counting, log: TaskLog) -> None:
    made = []

    def record() -> Change:
        made.append(log.appended)
        return Change("task", "k", b"%d" % log.appended)

    log.append(b"{1}", also=record)
    log.append(b"{2}", also=record, urgent=True)
    entry = await store.get("task", "k")
    assert made == [2]
    assert entry is not None
    assert entry.value == b"2"


async def test_what_comes_during_a_commit_is_the_next_one(store: Counting, log: TaskLog) -> None:
    store.held = []
    log.append(b"{1}", urgent=True)
    log.append(b"{2}")
    log.append(b"{3}", urgent=True)
    assert store.commits == [1]
    assert log.visible == 0
    store.held[0].set_result(None)
    await asyncio.sleep(0)
    assert log.visible == 1
    assert store.commits == [1, 2]
    store.held[1].set_result(None)
    await until_visible(log, 3)


async def test_closed_means_that_the_last_row_is_visible_not_that_it_was_appended(
    store: Counting, log: TaskLog
) -> None:
    store.held = []
    log.close(b"{1}")
    assert not log.is_closed
    store.held[0].set_result(None)
    await until_visible(log, 1)
    assert log.is_closed
