"""A journal on a store that cannot write for a while."""

import asyncio
from pathlib import Path

import pytest

from a2a_bridge.errors import StoreUnavailableError
from a2a_bridge.store.journal import StreamJournal
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.store.sqlite import SQLiteStore


async def test_a_full_disk_costs_the_appends_that_met_it_and_no_number(tmp_path: Path) -> None:
    """Architecture §7: a refusal is an error, never a gap or a run that believes it was overtaken."""
    store = SQLiteStore(tmp_path / "store.sqlite")
    await store.open()
    connection = store._writing()._connection
    journal = await StreamJournal.claim(store, "context")
    await journal.append(b"1")
    await journal.child("seat").append(b"seat 1")
    (pages,) = await store._writer.submit(lambda: connection.execute("PRAGMA page_count").fetchone())
    await store._writer.submit(lambda: connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())
    async with asyncio.timeout(5):
        outcomes = await asyncio.gather(
            *[journal.append(b"x" * 100_000) for _ in range(3)],
            *[journal.child("seat").append(b"small") for _ in range(300)],
            return_exceptions=True,
        )
        assert {type(outcome) for outcome in outcomes} == {StoreUnavailableError}
        await store._writer.submit(lambda: connection.execute("PRAGMA max_page_count = 1000000").fetchone())
        await journal.append(b"2")
        await journal.child("seat").append(b"seat 2", snapshot=True)
    for each in (journal, await StreamJournal.claim(store, "context")):
        assert await each.read() == [(1, b"1"), (2, b"2")]
        assert await each.child("seat").read() == [(2, b"seat 2")]
    await store.close()


async def test_an_append_whose_waiter_has_gone_and_that_fails_leaves_no_gap(tmp_path: Path) -> None:
    """Our decision: the outcome is heard from the store, not from who waited."""
    store = SQLiteStore(tmp_path / "store.sqlite")
    await store.open()
    connection = store._writing()._connection
    journal = await StreamJournal.claim(store, "context")
    (pages,) = await store._writer.submit(lambda: connection.execute("PRAGMA page_count").fetchone())
    await store._writer.submit(lambda: connection.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())
    task = asyncio.create_task(journal.append(b"x" * 100_000))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    await asyncio.gather(store.put(), return_exceptions=True)  # whatever its outcome: the append has had its own
    await store._writer.submit(lambda: connection.execute("PRAGMA max_page_count = 1000000").fetchone())
    await journal.append(b"1")
    assert await journal.read() == [(1, b"1")]
    await store.close()


async def test_a_path_that_is_too_long_is_refused_before_it_is_written() -> None:
    """Our decision: the header counts the path in two bytes."""
    journal = await StreamJournal.claim(MemoryStore(), "context")
    with pytest.raises(ValueError, match="use shorter keys"):
        journal.child("x" * 70_000)
