"""The memory store's limits: what it drops, in which order, and what it never drops."""

import logging

import pytest

from a2a_bridge.errors import StoreConflictError
from a2a_bridge.store.contract import Change
from a2a_bridge.store.memory import MemoryStore


def record(key: str, *, evictable: bool = True, size: int = 10, stream: str | None = None) -> Change:
    return Change("task", key, b"x" * size, group="g", sort=key, labels=("A", ""), stream=stream, evictable=evictable)


async def listed(store: MemoryStore) -> list[str]:
    page = await store.page("task", "g", limit=1000)
    assert await store.count("task", "g") == len(page)
    assert await store.count("task", "g", labels=("A", None)) == len(page)
    return [entry.key for entry in reversed(page)]


async def test_the_oldest_evictable_records_go_when_there_are_too_many() -> None:
    """Issue: capped by count, finished tasks evicted first."""
    store = MemoryStore(max_records=4)
    await store.put(record("1", evictable=False), record("2"), record("3"), record("4"))
    await store.put(record("5"))
    assert await listed(store) == ["1", "3", "4", "5"]
    await store.put(record("6", evictable=False))
    assert await listed(store) == ["1", "4", "5", "6"]
    assert await store.get("task", "2") is None


async def test_a_record_that_is_put_again_is_young_again() -> None:
    """Our decision: oldest means put longest ago."""
    store = MemoryStore(max_records=3)
    await store.put(record("1"), record("2"), record("3"))
    await store.put(record("1"))
    await store.put(record("4"))
    assert await listed(store) == ["1", "3", "4"]


async def test_a_record_that_is_no_longer_evictable_is_kept() -> None:
    """Our contract: a record is as it was put last."""
    store = MemoryStore(max_records=2)
    await store.put(record("1"))
    await store.put(record("1", evictable=False))
    await store.put(record("2"))
    await store.put(record("3"))
    assert await listed(store) == ["1", "3"]


async def test_evicting_a_record_drops_its_stream() -> None:
    """Our contract: `stream` goes when the record is evicted."""
    store = MemoryStore(max_records=1)
    await store.claim("s1", [record("1", stream="s1")])
    store.append("s1", 1, 1, [b"event"])
    await store.claim("s2", [record("2", stream="s2")])
    assert await store.read("s1") == []
    with pytest.raises(StoreConflictError):
        store.append("s1", 1, 2, [b"event"])
    store.append("s2", 1, 1, [b"event"])


async def test_records_go_when_there_are_too_many_bytes() -> None:
    """Issue: capped by bytes."""
    store = MemoryStore(max_bytes=100_000)
    await store.put(record("1", size=40_000), record("2", size=40_000))
    await store.put(record("3", size=40_000))
    assert await listed(store) == ["2", "3"]


async def test_events_count_as_bytes_too() -> None:
    """Issue: capped by bytes, and an event is the larger part of a task."""
    store = MemoryStore(max_bytes=100_000)
    for n in "123":
        await store.claim(f"s{n}", [record(n, stream=f"s{n}")])
        store.append(f"s{n}", 1, 1, [b"x" * 40_000])
    assert await listed(store) == ["2", "3"]
    store.append("s3", 1, 2, [b"x" * 40_000])
    assert await listed(store) == ["3"]


async def test_what_is_not_evictable_is_never_dropped_and_the_store_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Our decision: running tasks are worth more than the limit."""
    store = MemoryStore(max_records=2)
    with caplog.at_level(logging.WARNING):
        for n in range(10):
            await store.put(record(str(n), evictable=False))
    assert len(await listed(store)) == 10
    assert len(caplog.records) == 1
    assert "Raise its limits" in caplog.text


async def test_a_write_does_not_drop_what_it_has_just_written() -> None:
    """Our decision: who finishes a task can read it, however full the store is."""
    store = MemoryStore(max_records=1)
    await store.put(record("1", evictable=False))
    await store.put(record("2"), record("3"))
    assert await listed(store) == ["1", "2", "3"]
    await store.put(record("4"))
    assert await listed(store) == ["1", "4"]


async def test_nothing_is_left_of_the_account_when_everything_has_gone() -> None:
    """Our decision: the limit by bytes must not drift over weeks."""
    store = MemoryStore()
    for n in range(50):
        await store.claim(f"s{n}", [record(f"{n}", stream=f"s{n}", size=n)])
        store.append(f"s{n}", 1, 1, [b"x" * n] * n, [record(f"{n}", stream=f"s{n}", size=3 * n)])
        await store.trim(f"s{n}", n // 2)
    await store.put(*[Change("task", f"{n}", None) for n in range(50)])
    assert await listed(store) == []
    assert store._bytes == 0
    assert not store._streams
    assert not store._evictable
    assert not store._lists._lists


async def test_a_capped_store_stays_as_large_as_it_is() -> None:
    """Our decision (growth, W6): ten times the limit in tasks leaves no trace of the first nine."""
    store = MemoryStore(max_records=500)
    for n in range(5000):
        await store.put(
            Change("task", f"{n:05}", b"x", group="g", sort=f"{n:05}", labels=("A", f"c{n}"), evictable=True)
        )
    assert len(await store.page("task", "g", limit=10_000)) == 500
    assert len(store._evictable) == len(store._rows) == 500
    assert len(store._lists._lists) == 502
