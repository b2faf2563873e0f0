"""One suite for every store: each sentence of `a2a_bridge/store/contract.py`, asked of each of them."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path

import pytest

from a2a_bridge.errors import StoreConflictError
from a2a_bridge.store.contract import Change, Claim, Entry, Numbered, Store
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.store.sqlite import SQLiteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "store.sqlite")
    async with asyncio.timeout(5):
        await made.open()
    yield made
    async with asyncio.timeout(5):
        await made.close()


async def done(pending: Awaitable[None] | None) -> None:
    """What `append` gives back, waited for."""
    if pending is not None:
        async with asyncio.timeout(5):
            await pending


async def append(store: Store, stream: str, epoch: int, first: int, events: Sequence[bytes], *records: Change) -> None:
    await done(store.append(stream, epoch, first, events, records))


def listed(key: str, sort: str, first: str = "", second: str = "", group: str = "g") -> Change:
    return Change("task", key, f"value of {key}".encode(), group=group, sort=sort, labels=(first, second))


def keys(entries: Sequence[Entry]) -> list[str]:
    return [entry.key for entry in entries]


class TestStreams:
    async def test_a_first_claim_gives_epoch_one_of_an_empty_stream(self, store: Store) -> None:
        """Our contract: epoch + 1, and the number of the last event (0: none)."""
        assert await store.claim("s") == Claim(1, 0)

    async def test_each_claim_raises_the_epoch_and_tells_where_the_stream_goes_on(self, store: Store) -> None:
        """Our contract: the sequence goes on over claims."""
        await store.claim("s")
        await append(store, "s", 1, 1, [b"a", b"b"])
        assert await store.claim("s") == Claim(2, 2)
        await append(store, "s", 2, 3, [b"c"])
        assert await store.read("s") == [(1, b"a"), (2, b"b"), (3, b"c")]

    async def test_an_append_with_a_stale_epoch_is_refused_and_leaves_nothing(self, store: Store) -> None:
        """Failure 15 of the known ones: who was overtaken cannot overwrite what came after."""
        await store.claim("s")
        await store.claim("s")
        with pytest.raises(StoreConflictError):
            await append(store, "s", 1, 1, [b"stale"], listed("a", "1"))
        assert await store.read("s") == []
        assert await store.get("task", "a") is None
        await append(store, "s", 2, 1, [b"mine"])

    async def test_an_append_with_an_epoch_from_the_future_is_refused(self, store: Store) -> None:
        """Our contract: the epoch must be the newest, not merely as new."""
        await store.claim("s")
        with pytest.raises(StoreConflictError):
            await append(store, "s", 2, 1, [b"a"])

    async def test_an_append_to_a_stream_that_nobody_has_claimed_is_refused(self, store: Store) -> None:
        """Our contract: there is no epoch to match."""
        with pytest.raises(StoreConflictError):
            await append(store, "s", 0, 1, [b"a"])
        assert await store.read("s") == []

    @pytest.mark.parametrize("first", [0, 1, 2, 4, 100])
    async def test_an_append_that_does_not_go_on_from_the_last_number_is_refused(
        self, store: Store, first: int
    ) -> None:
        """Our contract: numbers have no gaps and no duplicates."""
        await store.claim("s")
        await append(store, "s", 1, 1, [b"a", b"b"])
        with pytest.raises(StoreConflictError):
            await append(store, "s", 1, first, [b"x"], listed("a", "1"))
        assert await store.read("s") == [(1, b"a"), (2, b"b")]
        assert await store.get("task", "a") is None
        await append(store, "s", 1, 3, [b"c"])

    async def test_an_append_without_events_carries_records_and_moves_no_number(self, store: Store) -> None:
        """Our contract: `events` may be empty."""
        await store.claim("s")
        await append(store, "s", 1, 1, [], listed("a", "1"))
        await append(store, "s", 1, 1, [b"a"])
        assert await store.read("s") == [(1, b"a")]
        assert await store.get("task", "a") is not None

    async def test_an_append_without_events_is_fenced_like_any_other(self, store: Store) -> None:
        """Failure 15: a record that travels with nothing still needs the newest epoch."""
        await store.claim("s")
        await store.claim("s")
        with pytest.raises(StoreConflictError):
            await append(store, "s", 1, 1, [], listed("a", "1"))
        assert await store.get("task", "a") is None

    async def test_reading_starts_after_a_number_and_stops_at_the_limit(self, store: Store) -> None:
        """Our contract, over the bounds of appends of several sizes."""
        await store.claim("s")
        events = [f"event {n}".encode() * n for n in range(1, 31)]
        at = 0
        for size in (1, 2, 5, 9, 13):
            await append(store, "s", 1, at + 1, events[at : at + size])
            at += size
        for after in range(32):
            for limit in (1, 3, 1000):
                expected = [Numbered(n, events[n - 1]) for n in range(after + 1, min(30, after + limit) + 1)]
                assert await store.read("s", after=after, limit=limit) == expected

    async def test_reading_a_stream_that_does_not_exist_gives_nothing(self, store: Store) -> None:
        """Our contract."""
        assert await store.read("s") == []

    async def test_events_come_back_byte_for_byte(self, store: Store) -> None:
        """Our contract: a store looks into nothing."""
        events = [b"", b"\x00", b"\xff" * 300_000, b"\n\n", "\N{GRINNING FACE}".encode(), b""]
        await store.claim("s")
        await append(store, "s", 1, 1, events)
        assert [event.data for event in await store.read("s")] == events

    async def test_trimmed_events_are_gone_and_their_numbers_stay_taken(self, store: Store) -> None:
        """Our contract."""
        await store.claim("s")
        await append(store, "s", 1, 1, [b"a", b"b", b"c"])
        await append(store, "s", 1, 4, [b"d"])
        await store.trim("s", 2)
        assert await store.read("s") == [(3, b"c"), (4, b"d")]
        assert await store.read("s", after=1, limit=1) == [(3, b"c")]
        await append(store, "s", 1, 5, [b"e"])
        await store.trim("s", 5)
        assert await store.read("s") == []
        assert await store.claim("s") == Claim(2, 5)
        await append(store, "s", 2, 6, [b"f"])
        assert await store.read("s") == [(6, b"f")]

    async def test_trimming_less_beyond_the_end_or_nothing_does_no_harm(self, store: Store) -> None:
        """Our contract: a number that has not been given yet cannot be forgotten in advance."""
        await store.trim("s", 3)
        assert await store.claim("s") == Claim(1, 0)
        await append(store, "s", 1, 1, [b"a", b"b"])
        await store.trim("s", 1)
        await store.trim("s", 0)
        assert await store.read("s") == [(2, b"b")]
        await store.trim("s", 100)
        await append(store, "s", 1, 3, [b"c"])
        assert await store.read("s") == [(3, b"c")]

    async def test_calls_of_one_stream_take_effect_in_the_order_of_the_calls(self, store: Store) -> None:
        """Our contract: no await in between, and awaited in another order."""
        claimed = store.claim("s")
        pending = [store.append("s", 1, n, [b"%d" % n]) for n in range(1, 51)]
        trimmed = store.trim("s", 10)
        for each in reversed(pending):
            await done(each)
        await trimmed
        assert await claimed == Claim(1, 0)
        assert [event.seq for event in await store.read("s")] == list(range(11, 51))

    async def test_a_claim_that_is_called_before_an_append_wins_over_it(self, store: Store) -> None:
        """Failure 15: the order of the calls decides, not the order of the awaits."""
        await store.claim("s")
        taken = store.claim("s")
        with pytest.raises(StoreConflictError):
            await append(store, "s", 1, 1, [b"late"])
        assert await taken == Claim(2, 0)

    async def test_a_hundred_streams_grow_at_once(self, store: Store) -> None:
        """Our contract: any number of tasks may call; each stream keeps its own order."""

        async def grow(name: str) -> None:
            epoch = (await store.claim(name)).epoch
            for n in range(1, 21, 2):
                await append(store, name, epoch, n, [b"%s-%d" % (name.encode(), n), b"%s-%d" % (name.encode(), n + 1)])

        names = [f"stream {n}" for n in range(100)]
        await asyncio.gather(*map(grow, names))
        for name in names:
            assert await store.read(name) == [(n, b"%s-%d" % (name.encode(), n)) for n in range(1, 21)]

    async def test_an_append_that_nobody_waits_for_is_kept(self, store: Store) -> None:
        """Our contract: the commit goes on if it is not awaited."""
        await store.claim("s")
        store.append("s", 1, 1, [b"a"])
        await append(store, "s", 1, 2, [b"b"])
        assert await store.read("s") == [(1, b"a"), (2, b"b")]

    async def test_a_refused_append_does_no_harm_to_the_calls_around_it(self, store: Store) -> None:
        """Our contract: nothing of a refused append is kept, and everything of its neighbours."""
        await store.claim("a")
        await store.claim("b")
        first = store.append("a", 1, 1, [b"a1"], [listed("one", "1")])
        with pytest.raises(StoreConflictError):
            await append(store, "b", 1, 7, [b"gap"], listed("two", "2"))
        last = store.append("b", 1, 1, [b"b1"], [listed("three", "3")])
        await done(first)
        await done(last)
        assert keys(await store.page("task", "g")) == ["three", "one"]
        assert await store.count("task", "g") == 2

    async def test_cancelling_who_waits_leaves_the_store_in_order(self, store: Store) -> None:
        """Our contract: a call that is cancelled may still take effect, and the next one fits in either case."""
        await store.claim("s")

        async def write() -> None:
            await append(store, "s", 1, 1, [b"a"])

        task = asyncio.create_task(write())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=5)
        claim = await store.claim("s")
        await append(store, "s", claim.epoch, claim.last + 1, [b"b"])
        events = await store.read("s")
        assert [event.seq for event in events] == list(range(1, claim.last + 2))


class TestRecords:
    async def test_a_record_is_what_was_put_last(self, store: Store) -> None:
        """Our contract."""
        await store.put(listed("a", "1", "x", "y"))
        assert await store.get("task", "a") == Entry("a", b"value of a", "1", ("x", "y"))
        await store.put(Change("task", "a", b"new", group="g", sort="2", labels=("z", "")))
        assert await store.get("task", "a") == Entry("a", b"new", "2", ("z", ""))
        await store.put(Change("task", "a", None))
        assert await store.get("task", "a") is None

    async def test_kinds_do_not_meet(self, store: Store) -> None:
        """Our contract: a record stands under (kind, key)."""
        await store.put(Change("one", "k", b"1", group="g"), Change("two", "k", b"2", group="g"))
        await store.put(Change("one", "k", None))
        assert await store.get("one", "k") is None
        assert keys(await store.page("two", "g")) == ["k"]
        assert await store.count("one", "g") == 0

    async def test_deleting_what_is_not_there_is_no_error(self, store: Store) -> None:
        """Our contract: the outcome is the same."""
        await store.put(Change("task", "a", None, group="g", labels=("x", "")))
        assert await store.count("task", "g") == 0

    async def test_unless_refuses_all_that_travels_with_it(self, store: Store) -> None:
        """Our contract, and failure 17: a terminal state is written once, whoever races for it."""
        await store.claim("s")
        await append(store, "s", 1, 1, [b"a"], listed("a", "1", "DONE"))
        guarded = Change("task", "a", b"again", labels=("CANCELED", ""), unless=frozenset({"DONE", "FAILED"}))
        with pytest.raises(StoreConflictError):
            await append(store, "s", 1, 2, [b"b"], listed("other", "2"), guarded)
        with pytest.raises(StoreConflictError):
            await store.put(listed("other", "2"), guarded)
        with pytest.raises(StoreConflictError):
            await store.claim("s", [listed("other", "2"), guarded])
        assert await store.read("s") == [(1, b"a")]
        assert await store.get("task", "a") == Entry("a", b"value of a", "1", ("DONE", ""))
        assert await store.get("task", "other") is None
        assert await store.claim("s") == Claim(2, 1)  # the refused claim did not count

    async def test_unless_lets_pass_what_has_another_label_or_does_not_exist(self, store: Store) -> None:
        """Our contract: refused when the record exists *and* has one of the labels."""
        unless = frozenset({"DONE"})
        await store.put(Change("task", "a", b"1", labels=("NEW", "DONE"), unless=unless))
        await store.put(Change("task", "a", b"2", labels=("DONE", ""), unless=unless))
        with pytest.raises(StoreConflictError):
            await store.put(Change("task", "a", None, unless=unless))

    async def test_absent_refuses_all_that_travels_with_it(self, store: Store) -> None:
        """Our contract, and failure 22: the same message twice starts one task."""
        first = Change("idempotency", "m1", b"task 1", absent=True)
        await store.claim("t1", [listed("t1", "1"), first])
        with pytest.raises(StoreConflictError):
            await store.claim("t2", [listed("t2", "2"), Change("idempotency", "m1", b"task 2", absent=True)])
        assert await store.get("task", "t2") is None
        assert await store.claim("t2") == Claim(1, 0)
        entry = await store.get("idempotency", "m1")
        assert entry is not None
        assert entry.value == b"task 1"

    async def test_of_many_that_race_for_an_absent_record_one_wins(self, store: Store) -> None:
        """Failure 22: called together, so they may well be written together."""

        async def race(n: int) -> bool:
            try:
                await store.put(Change("idempotency", "m", b"%d" % n, absent=True), listed(f"task {n}", f"{n:03}"))
            except StoreConflictError:
                return False
            return True

        won = await asyncio.gather(*[race(n) for n in range(50)])
        assert won.count(True) == 1
        assert keys(await store.page("task", "g")) == [f"task {won.index(True)}"]

    async def test_conditions_are_asked_before_anything_of_the_call_is_written(self, store: Store) -> None:
        """Our contract: all or none, also within one call."""
        await store.put(Change("a", "k", b"1"), Change("a", "k", b"2", absent=True))
        entry = await store.get("a", "k")
        assert entry is not None
        assert entry.value == b"2"

    async def test_records_and_events_commit_together(self, store: Store) -> None:
        """Our contract: whoever sees the record sees the events, at every moment."""
        await store.claim("s")

        async def write() -> None:
            for n in range(1, 101):
                await append(store, "s", 1, n, [b"e"], Change("task", "a", b"%d" % n))

        writing = asyncio.create_task(write())
        while not writing.done():
            entry = await store.get("task", "a")
            seen = len(await store.read("s"))
            assert seen >= (int(entry.value) if entry else 0)
            await asyncio.sleep(0)
        await writing

    async def test_a_claim_carries_records(self, store: Store) -> None:
        """Our contract: changes travel with a claim too."""
        await store.claim("s", [listed("a", "1"), Change("idempotency", "m", b"a")])
        assert await store.get("task", "a") is not None
        assert await store.get("idempotency", "m") is not None

    async def test_a_list_is_newest_first_with_ties_by_key(self, store: Store) -> None:
        """Our contract."""
        await store.put(listed("b", "1"), listed("a", "2"), listed("c", "2"), listed("d", "0"))
        assert keys(await store.page("task", "g")) == ["c", "a", "b", "d"]
        assert keys(await store.page("task", "g", limit=2)) == ["c", "a"]

    async def test_pages_follow_each_other_without_a_gap_or_a_double(self, store: Store) -> None:
        """Our contract: `before` is a cursor in the order of the list."""
        await store.put(*[listed(f"k{n:03}", f"s{n // 3:03}") for n in range(100)])
        seen: list[str] = []
        cursor: tuple[str, str] | None = None
        while page := await store.page("task", "g", before=cursor, limit=7):
            seen += keys(page)
            cursor = (page[-1].sort, page[-1].key)
        assert seen == [f"k{n:03}" for n in reversed(range(100))]

    async def test_a_cursor_stays_right_when_its_record_goes_or_moves(self, store: Store) -> None:
        """Our contract: a cursor is a place in an order, not a record."""
        await store.put(*[listed(f"k{n}", f"s{n}") for n in range(6)])
        page = await store.page("task", "g", limit=2)
        cursor = (page[-1].sort, page[-1].key)
        await store.put(Change("task", "k4", None), listed("k3", "s9"))
        assert keys(await store.page("task", "g", before=cursor)) == ["k2", "k1", "k0"]

    async def test_lists_are_filtered_by_labels_and_since(self, store: Store) -> None:
        """Our contract: None matches any, "" matches the empty label only."""
        rows = [(n, "AB"[n % 2], ["", "x", "y"][n % 3]) for n in range(24)]
        await store.put(*[listed(f"k{n:02}", f"s{n:02}", first, second) for n, first, second in rows])
        for first in (None, "A", "B", "C"):
            for second in (None, "", "x", "z"):
                for since in ("", "s07", "s99"):
                    for before in (None, ("s20", "k20"), ("s03", "zzz"), ("", "")):
                        expected = [
                            f"k{n:02}"
                            for n, one, two in reversed(rows)
                            if first in (None, one) and second in (None, two) and f"s{n:02}" >= since
                        ]
                        asked = {"labels": (first, second), "since": since}
                        assert await store.count("task", "g", **asked) == len(expected)  # type: ignore[arg-type]
                        if before is not None:
                            expected = [key for key in expected if (f"s{key[1:]}", key) < before]
                        page = await store.page("task", "g", **asked, before=before)  # type: ignore[arg-type]
                        assert keys(page) == expected

    async def test_groups_do_not_see_each_other(self, store: Store) -> None:
        """Our contract, and failure 26: a list is of one owner."""
        await store.put(listed("a", "1", group="mine"), listed("b", "2", group="yours"))
        assert keys(await store.page("task", "mine")) == ["a"]
        assert await store.count("task", "mine") == 1
        await store.put(listed("a", "1", group="yours"))
        assert keys(await store.page("task", "mine")) == []
        assert await store.count("task", "mine") == 0
        assert keys(await store.page("task", "yours")) == ["b", "a"]

    async def test_a_record_without_a_group_is_never_listed(self, store: Store) -> None:
        """Our contract."""
        await store.put(listed("a", "1", "x", group=""))
        assert await store.page("task", "") == []
        assert await store.count("task", "") == 0
        assert await store.count("task", "", labels=("x", None)) == 0
        await store.put(listed("a", "1", "x"))
        assert await store.count("task", "g", labels=("x", None)) == 1
        await store.put(listed("a", "1", "x", group=""))
        assert await store.count("task", "g", labels=("x", None)) == 0
        assert await store.get("task", "a") is not None

    async def test_counts_stay_right_through_every_way_of_changing(self, store: Store) -> None:
        """Our contract: put, relabel, regroup, delete, expire."""

        async def counts() -> list[int]:
            every = [await store.count("task", "g")]
            return every + [await store.count("task", "g", labels=(label, None)) for label in "ABC"]

        await store.put(listed("1", "1", "A"), listed("2", "2", "A"), listed("3", "3", "B"))
        assert await counts() == [3, 2, 1, 0]
        await store.put(listed("1", "4", "A"))
        assert await counts() == [3, 2, 1, 0]
        await store.put(listed("1", "4", "C"), listed("1", "5", "B"))
        assert await counts() == [3, 1, 2, 0]
        await store.put(listed("2", "2", "A", group="other"))
        assert await counts() == [2, 0, 2, 0]
        await store.put(Change("task", "3", None))
        assert await counts() == [1, 0, 1, 0]
        await store.put(Change("task", "4", b"", group="g", labels=("C", ""), expires=10.0))
        assert await counts() == [2, 0, 1, 1]
        assert await store.expire(10.0) == 1
        assert await counts() == [1, 0, 1, 0]

    async def test_expiring_removes_what_is_due_with_its_streams_and_nothing_else(self, store: Store) -> None:
        """Our contract."""
        for name in ("due", "later", "never"):
            await store.claim(name)
            await append(store, name, 1, 1, [b"e"])
        await store.put(
            Change("task", "due", b"", group="g", expires=100.0, stream="due"),
            Change("task", "later", b"", group="g", expires=200.0, stream="later"),
            Change("task", "never", b"", group="g", stream="never"),
        )
        assert await store.expire(99.0) == 0
        assert await store.expire(150.0) == 1
        assert sorted(keys(await store.page("task", "g"))) == ["later", "never"]
        assert await store.get("task", "due") is None
        assert await store.read("due") == []
        assert await store.read("later") == [(1, b"e")]
        with pytest.raises(StoreConflictError):
            await append(store, "due", 1, 2, [b"e"])
        assert await store.claim("due") == Claim(1, 0)

    async def test_a_later_expiry_replaces_an_earlier_one(self, store: Store) -> None:
        """Our contract: a record is as it was put last."""
        await store.put(Change("task", "a", b"", expires=100.0))
        await store.put(Change("task", "a", b"", expires=None))
        assert await store.expire(1000.0) == 0

    async def test_thousands_expire_in_one_call(self, store: Store) -> None:
        """Our contract, over whatever pieces a store works in."""
        await store.put(*[Change("task", f"{n}", b"", group="g", expires=float(n % 2)) for n in range(4000)])
        assert await store.expire(0.5) == 2000
        assert await store.count("task", "g") == 2000

    async def test_deleting_a_record_removes_its_stream(self, store: Store) -> None:
        """Our contract: `stream` goes when the record is deleted."""
        await store.claim("s", [Change("task", "a", b"", stream="s")])
        await append(store, "s", 1, 1, [b"e"])
        await store.put(Change("task", "a", None))
        assert await store.read("s") == []
        assert await store.claim("s") == Claim(1, 0)

    async def test_a_record_may_go_with_the_last_append_to_its_own_stream(self, store: Store) -> None:
        """Our contract: events first, then the changes that travel with them."""
        await store.claim("s", [Change("task", "a", b"", stream="s")])
        await append(store, "s", 1, 1, [b"e"], Change("task", "a", None))
        assert await store.read("s") == []
        with pytest.raises(StoreConflictError):
            await append(store, "s", 1, 2, [b"e"])

    async def test_a_stream_begins_anew_after_it_has_gone(self, store: Store) -> None:
        """Our contract: in the same breath, so in the same transaction where there are any."""
        await store.claim("s", [Change("task", "a", b"", stream="s")])
        await append(store, "s", 1, 1, [b"old"])
        gone = store.put(Change("task", "a", None))
        claimed = store.claim("s")
        await append(store, "s", 1, 1, [b"new"])
        await gone
        assert await claimed == Claim(1, 0)
        assert await store.read("s") == [(1, b"new")]

    async def test_order_is_that_of_code_points(self, store: Store) -> None:
        """Our contract says greatest: every store must mean the same by it."""
        sorts = ["", "A", "Z", "a", "\x00", "é", "\uffff", "\U0001f600", "10", "9"]
        await store.put(*[Change("task", f"key of {sort!r}", b"", group="g", sort=sort) for sort in sorts])
        page = await store.page("task", "g")
        assert [entry.sort for entry in page] == sorted(sorts, reverse=True)

    async def test_a_list_of_thousands_is_read_in_order_while_it_changes(self, store: Store) -> None:
        """Our contract, with enough changes between two looks for whatever a store does in bulk."""
        alive: dict[str, str] = {}
        for step in range(3000):
            key = f"k{step * 7919 % 1000:04}"
            if step % 11 == 10:
                await store.put(Change("task", key, None))
                alive.pop(key, None)
            else:
                sort = f"{step * 104729 % 100003:06}" if step % 3 else f"9{step:05}"
                await store.put(Change("task", key, b"", group="g", sort=sort, labels=(f"{step % 4}", f"{step % 50}")))
                alive[key] = sort
            if step % 500 == 499:
                page = await store.page("task", "g", limit=5000)
                assert [(e.sort, e.key) for e in page] == sorted(((s, k) for k, s in alive.items()), reverse=True)
                assert await store.count("task", "g") == len(alive)


def test_the_suite_is_about_the_whole_contract() -> None:
    """Our decision: a method that is added to a store is added to this suite."""
    methods = {name for name, _ in inspect.getmembers(Store, inspect.isfunction) if not name.startswith("_")}
    assert methods == {"open", "close", "claim", "append", "read", "trim", "put", "get", "page", "count", "expire"}
