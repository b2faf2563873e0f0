"""The event log of a task: numbers, commits, readers, and what happens when the store fails (`tasks/log.py`)."""

import asyncio
import contextlib
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest

from a2a_bridge.errors import StoreConflictError, StoreError, StoreUnavailableError
from a2a_bridge.store.contract import Change
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.tasks import log as module
from a2a_bridge.tasks.log import TaskLog
from a2a_bridge.testing.wire import eventually


class LateStore(MemoryStore):
    """Commits when the test says so, all that was asked for or the next one; `fails` makes it refuse instead."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[asyncio.Future[None], Any]] = []
        self.batches: list[tuple[int, int]] = []  # how many rows, how many records
        self.fails: Exception | None = None

    def append(  # type: ignore[override]
        self, stream: str, epoch: int, first: int, events: Sequence[bytes], records: Sequence[Change] = ()
    ) -> asyncio.Future[None]:
        future = asyncio.get_running_loop().create_future()
        self.batches.append((len(events), len(records)))
        self.asked.append((future, (stream, epoch, first, list(events), list(records))))
        return future

    def commit(self) -> None:
        """The oldest one that was asked for."""
        future, arguments = self.asked.pop(0)
        try:
            if self.fails is not None:
                raise self.fails
            super().append(*arguments)
        except Exception as error:
            future.set_exception(error)
        else:
            future.set_result(None)

    async def commit_all(self, log: TaskLog) -> None:
        """Until the last row is there."""
        for _ in range(20):
            await eventually(lambda: self.asked)
            self.commit()
            await asyncio.sleep(0)
            if log.is_closed:
                return


async def new_log(store: MemoryStore, name: str = "task/x") -> TaskLog:
    return TaskLog(store, name, epoch=(await store.claim(name)).epoch)


async def read_all(log: TaskLog, after: int = 0) -> list[tuple[int, bytes]]:
    """Everything to the end, as a reader gets it."""
    found: list[tuple[int, bytes]] = []
    async with asyncio.timeout(5), aclosing(log.follow(after)) as lists:
        async for rows in lists:
            assert rows
            found += [tuple(row) for row in rows]
    return found


def change(key: str = "k") -> Change:
    return Change("kind", key, b"v")


async def test_rows_are_numbered_from_one_and_visible_when_committed() -> None:
    """R-STRM-05: the log is the order of events."""
    store = LateStore()
    log = await new_log(store)
    assert [log.append(b"a"), log.append(b"b"), log.append(b"c", urgent=True)] == [1, 2, 3]
    assert (log.appended, log.visible) == (3, 0)
    assert log.tail(0, 10) == []
    store.commit()
    await log.until(3)
    assert [row.seq for row in log.tail(0, 10) or ()] == [1, 2, 3]


async def test_only_the_last_visible_row_closes_a_log() -> None:
    """Our decision: closed means that the last event can be read, not that it was appended."""
    store = LateStore()
    log = await new_log(store)
    log.close(b"end")
    assert not log.is_closed
    store.commit()
    await log.until(1)
    assert log.is_closed


async def test_every_reader_gets_every_row_once_and_in_order() -> None:
    """R-STRM-06, failures 1, 2 and 9: from any offset, joining at any time, one of them slow."""
    store = MemoryStore()
    log = await new_log(store)
    slow_read: list[int] = []

    async def slow() -> None:
        async with aclosing(log.follow(0)) as lists:
            async for rows in lists:
                slow_read.extend(row.seq for row in rows)
                for _ in range(30):
                    await asyncio.sleep(0)

    readers = [asyncio.create_task(read_all(log, after)) for after in (0, 0, 3)]
    readers.append(asyncio.create_task(slow()))
    for number in range(1, 400):
        log.append(b"%d" % number)
        if number % 50 == 0:
            readers.append(asyncio.create_task(read_all(log, number - 7)))
            await asyncio.sleep(0)
        if log.is_ahead:
            await log.room()
    log.close(b"400")
    offsets = [0, 0, 3, None, *(number - 7 for number in range(50, 400, 50))]
    for offset, reader in zip(offsets, readers, strict=True):
        found = await reader
        if offset is not None:
            assert found == [(number, b"%d" % number) for number in range(offset + 1, 401)]
    assert slow_read == list(range(1, 401))


async def test_a_cancelled_reader_costs_the_others_nothing() -> None:
    """Failure 10: no clean-up of one reader waits for another."""
    log = await new_log(MemoryStore())
    gone = [asyncio.create_task(read_all(log)) for _ in range(10)]
    stays = asyncio.create_task(read_all(log))
    await asyncio.sleep(0)
    for reader in gone:
        reader.cancel()
    log.append(b"a")
    log.close(b"b")
    assert await stays == [(1, b"a"), (2, b"b")]
    for reader in gone:
        with contextlib.suppress(asyncio.CancelledError):
            await reader


async def test_what_comes_during_a_commit_is_the_next_batch() -> None:
    """Our decision: one commit at a time, group commit for what waits."""
    store = LateStore()
    log = await new_log(store)
    log.append(b"a", urgent=True)
    for _ in range(5):
        log.append(b"b")
    log.append(b"c", urgent=True)
    assert store.batches == [(1, 0)]
    store.commit()
    await log.until(1)
    assert store.batches == [(1, 0), (6, 0)]
    store.commit()
    await log.until(7)


async def test_the_records_of_a_large_batch_commit_with_its_last_row() -> None:
    """Our decision: a task must not be COMPLETED in the store before its events are there."""
    store = LateStore()
    log = await new_log(store)
    log.append(b"first", urgent=True)
    for _ in range(600):
        log.append(b"x")
    log.close(b"end", (change(),), also=lambda: change("also"))
    await store.commit_all(log)
    assert store.batches == [(1, 0), (256, 0), (256, 0), (89, 2)]
    assert log.is_closed


async def test_a_writer_that_is_far_ahead_waits_for_room() -> None:
    """Our decision: back-pressure comes from the store, at 256 events or 1 MiB, never from readers (failure 9)."""
    store = LateStore()
    log = await new_log(store)
    for _ in range(module.MAX_AHEAD):
        log.append(b"x")
    assert log.is_ahead
    waiting = asyncio.create_task(log.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    store.commit()
    async with asyncio.timeout(5):
        await waiting
    other = await new_log(store, "task/y")
    other.append(b"x" * module.MAX_AHEAD_BYTES)
    assert other.is_ahead


async def test_memory_holds_a_bounded_tail_and_the_store_the_rest() -> None:
    """Failure 28: a reader that is far behind reads the store; nothing is kept for it."""
    store = MemoryStore()
    log = await new_log(store)
    for number in range(100):
        log.append(b"%02d" % number + b"x" * 50_000, urgent=True)
    assert log._tail_bytes <= module.MAX_TAIL_BYTES
    assert log.tail(0, 1) is None
    log.close(b"end")
    found = await read_all(log)
    assert [seq for seq, _ in found] == list(range(1, 102))
    assert [row[:2] for _, row in found[:-1]] == [b"%02d" % number for number in range(100)]
    one_large = await new_log(store, "task/large")
    one_large.append(b"x" * (3 << 20), urgent=True)
    assert one_large.tail(0, 1)


@pytest.mark.parametrize("error", [StoreUnavailableError("full"), ValueError("a fault of the store")])
async def test_a_broken_log_tells_everybody(error: Exception) -> None:
    """Failure 12: readers get what was visible and then the error; so does the writer; nobody hangs."""
    store = LateStore()
    log = await new_log(store)
    log.append(b"kept", urgent=True)
    store.commit()
    await log.until(1)
    reading = asyncio.create_task(read_all(log))
    log.append(b"lost", urgent=True)
    log.append(b"lost too")
    waiting = [asyncio.create_task(log.until(2)), asyncio.create_task(log.until(3))]
    await asyncio.sleep(0)
    store.fails = error
    store.commit()
    for task in (reading, *waiting):
        with pytest.raises(StoreError):
            await task
    with pytest.raises(StoreError):
        log.append(b"never")
    with pytest.raises(StoreError):
        await log.room()
    assert (log.visible, log.appended) == (1, 1)
    assert isinstance(log.broken, StoreUnavailableError)
    seen: list[Any] = []

    async def read() -> None:
        async for rows in log.follow(0):
            seen.extend(rows)

    with pytest.raises(StoreError):
        await read()
    assert [row.data for row in seen] == [b"kept"]


async def test_a_stale_epoch_is_refused() -> None:
    """Failure 15: whoever was overtaken writes nothing more, and the newer one goes on with the next number."""
    store = MemoryStore()
    old = await new_log(store)
    old.append(b"old", urgent=True)
    new = TaskLog(store, "task/x", epoch=0)
    new.take_over(await store.claim("task/x"))
    assert new.append(b"new", urgent=True) == 2
    old.append(b"stale", urgent=True)
    assert isinstance(old.broken, StoreConflictError)
    with pytest.raises(StoreConflictError):
        old.append(b"stale")
    assert [row.data for row in await store.read("task/x")] == [b"old", b"new"]


async def test_a_commit_that_was_cancelled_breaks_the_log() -> None:
    """Our decision: nobody knows what was kept, so nothing more is claimed."""
    store = LateStore()
    log = await new_log(store)
    log.append(b"a", urgent=True)
    store.asked[0][0].cancel()
    with pytest.raises(StoreUnavailableError):
        await log.until(1)


async def test_a_quiet_reader_is_served_at_once_and_a_busy_one_in_lists() -> None:
    """Our decision: waking a reader is what costs; an urgent row wakes everybody."""
    log = await new_log(MemoryStore())
    lists = log.follow(0)
    async with asyncio.timeout(5), aclosing(lists):
        first = asyncio.create_task(anext(lists))
        await asyncio.sleep(0)
        log.append(b"0")
        assert [row.seq for row in await first] == [1]
        second = asyncio.create_task(anext(lists))
        await asyncio.sleep(0)
        for _ in range(10):
            log.append(b"x")
            await asyncio.sleep(0)
        assert [row.seq for row in await second] == list(range(2, 12))
        third = asyncio.create_task(anext(lists))
        await asyncio.sleep(0)
        before = asyncio.get_running_loop().time()
        log.append(b"now", urgent=True)
        assert [row.seq for row in await third] == [12]
        assert asyncio.get_running_loop().time() - before < module.LINGER
