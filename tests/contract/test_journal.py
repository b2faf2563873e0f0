"""One suite for every journal: in memory, and on a stream of each store."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from a2a_bridge.errors import StoreConflictError
from a2a_bridge.store.contract import Change, Store
from a2a_bridge.store.journal import MemoryJournal, StreamJournal
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.store.sqlite import SQLiteStore

Reopen = Callable[[], Awaitable[MemoryJournal | StreamJournal]]


def make_store(kind: str, folder: Path) -> Store:
    return MemoryStore() if kind == "memory" else SQLiteStore(folder / "store.sqlite")


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made = make_store(request.param, tmp_path)
    await made.open()
    yield made
    await made.close()


@pytest.fixture(params=["no store", "memory", "sqlite"])
async def reopen(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Reopen]:
    """Gives the journal of one context as the next run of it sees it."""
    if request.param == "no store":
        kept = MemoryJournal()

        async def same() -> MemoryJournal:
            return kept

        yield same
        return
    store = make_store(request.param, tmp_path)
    await store.open()

    async def claim() -> StreamJournal:
        return await StreamJournal.claim(store, "context")

    yield claim
    await store.close()


async def words(journal: MemoryJournal | StreamJournal, after: int = 0) -> list[tuple[int, bytes]]:
    return [(record.seq, record.data) for record in await journal.read(after)]


async def test_records_come_back_in_order_from_one(reopen: Reopen) -> None:
    """Architecture: an append-only list, numbered from 1."""
    journal = await reopen()
    assert await words(journal) == []
    for word in (b"a", b"", b"c\x00\xff"):
        await journal.append(word)
    assert await words(journal) == [(1, b"a"), (2, b""), (3, b"c\x00\xff")]
    assert await words(journal, after=1) == [(2, b""), (3, b"c\x00\xff")]
    assert await words(journal, after=3) == []
    assert await words(journal, after=99) == []
    assert await words(await reopen()) == [(1, b"a"), (2, b""), (3, b"c\x00\xff")]


async def test_nothing_before_a_snapshot_is_read_again(reopen: Reopen) -> None:
    """Architecture: `snapshot=True`; the numbers go on."""
    journal = await reopen()
    for word in (b"a", b"b"):
        await journal.append(word)
    await journal.append(b"S", snapshot=True)
    await journal.append(b"d")
    for each in (journal, await reopen()):
        assert await words(each) == [(3, b"S"), (4, b"d")]
        assert await words(each, after=1) == [(3, b"S"), (4, b"d")]
        assert await words(each, after=3) == [(4, b"d")]


async def test_children_have_their_own_order_and_snapshots(reopen: Reopen) -> None:
    """Architecture: a room gives each seat one."""
    journal = await reopen()
    one, two = journal.child("one"), journal.child("two")
    await journal.append(b"root 1")
    await one.append(b"one 1")
    await two.append(b"two 1")
    await one.append(b"one 2", snapshot=True)
    await journal.append(b"root 2")
    for each in (journal, await reopen()):
        assert await words(each) == [(1, b"root 1"), (2, b"root 2")]
        assert await words(each.child("one")) == [(2, b"one 2")]
        assert await words(each.child("two")) == [(1, b"two 1")]
        assert await words(each.child("three")) == []


@pytest.mark.parametrize(
    ("left", "right"),
    [(["a/b"], ["a", "b"]), (["a", ""], ["a"]), ([""], []), (["a%2Fb"], ["a/b"]), (["é"], ["e"]), (["/"], ["", ""])],
)
async def test_no_two_paths_of_children_meet(reopen: Reopen, left: list[str], right: list[str]) -> None:
    """Our decision: keys are any strings, seats may be called anything."""
    journal = await reopen()

    def at(root: MemoryJournal | StreamJournal, path: list[str]) -> MemoryJournal | StreamJournal:
        for key in path:
            root = root.child(key)
        return root

    await at(journal, left).append(b"left")
    await at(journal, right).append(b"right")
    again = await reopen()
    assert await words(at(again, left)) == [(1, b"left")]
    assert await words(at(again, right)) == [(1, b"right")]


async def test_appends_that_run_at_once_keep_the_order_of_their_calls(reopen: Reopen) -> None:
    """Our decision: several seats of a room write at the same time."""
    journal = await reopen()
    seats = [journal.child(f"seat {n}") for n in range(10)]
    async with asyncio.timeout(5):
        await asyncio.gather(*[seats[n % 10].append(b"%d" % n) for n in range(200)])
    for root in (journal, await reopen()):
        for number in range(10):
            expected = [(n + 1, b"%d" % (10 * n + number)) for n in range(20)]
            assert await words(root.child(f"seat {number}")) == expected


async def test_ten_thousand_records_are_read(reopen: Reopen) -> None:
    """Our decision: a long room is read over the bounds of whatever is read at once."""
    journal = await reopen()
    await asyncio.gather(*[journal.append(b"%d" % n) for n in range(10_000)])
    again = await reopen()
    assert await words(again) == [(n + 1, b"%d" % n) for n in range(10_000)]
    assert await words(again, after=9_999) == [(10_000, b"9999")]


async def test_a_record_can_be_read_once_it_is_durable(store: Store) -> None:
    """Architecture: durable when `append` returns, and what is read has been kept."""
    journal = await StreamJournal.claim(store, "context")
    appending = asyncio.create_task(journal.append(b"a"))
    while not appending.done():
        held = len(await store.read("context"))
        assert len(await journal.read()) <= held
        await asyncio.sleep(0)
    assert await words(journal) == [(1, b"a")]


async def test_who_was_overtaken_cannot_append(store: Store) -> None:
    """Failure 15 and 24: a newer run owns the context; children share the fence."""
    old = await StreamJournal.claim(store, "context")
    await old.append(b"old")
    new = await StreamJournal.claim(store, "context")
    for stale in (old, old.child("seat")):
        with pytest.raises(StoreConflictError):
            await stale.append(b"stale")
        with pytest.raises(StoreConflictError):
            await stale.append(b"stale", snapshot=True)
    await new.append(b"new")
    assert await words(new) == [(1, b"old"), (2, b"new")]
    assert await words(await StreamJournal.claim(store, "context")) == [(1, b"old"), (2, b"new")]


async def test_a_claim_carries_the_records_that_go_with_the_context(store: Store) -> None:
    """Our decision: with a record whose `stream` is the journal's, the journal goes when the record does."""
    journal = await StreamJournal.claim(store, "context", [Change("context", "c", b"", expires=1.0, stream="context")])
    await journal.append(b"a")
    assert await store.expire(2.0) == 1
    assert await words(await StreamJournal.claim(store, "context")) == []


async def test_what_no_journal_needs_is_trimmed(store: Store) -> None:
    """Our decision: state that is written on every turn must not grow for ever."""
    journal = await StreamJournal.claim(store, "context")
    seats = [journal.child("one"), journal.child("two")]
    for n in range(500):
        for seat in seats:
            await seat.append(b"state %d" % n, snapshot=True)
    assert len(await store.read("context")) < 150
    again = await StreamJournal.claim(store, "context")
    for seat in ("one", "two"):
        assert await words(again.child(seat)) == [(500, b"state 499")]
    await again.child("one").append(b"next")
    assert await words(again.child("one")) == [(500, b"state 499"), (501, b"next")]


async def test_large_snapshots_are_trimmed_at_once(store: Store) -> None:
    """Our decision: by bytes, not by number alone."""
    journal = await StreamJournal.claim(store, "context")
    for _ in range(4):
        await journal.append(b"x" * 100_000, snapshot=True)
    assert [event.seq for event in await store.read("context")] == [4]


async def test_a_journal_that_still_needs_its_first_record_keeps_the_stream(store: Store) -> None:
    """Our decision: trimming waits for the one that is furthest behind."""
    journal = await StreamJournal.claim(store, "context")
    await journal.child("early").append(b"needed")
    for n in range(200):
        await journal.append(b"%d" % n, snapshot=True)
    assert await words((await StreamJournal.claim(store, "context")).child("early")) == [(1, b"needed")]
    assert len(await store.read("context")) == 201


async def test_a_trim_of_an_overtaken_run_takes_nothing_of_the_newer_one(store: Store) -> None:
    """Failure 24: trimming is not fenced, so it may only rest on what has been kept."""
    old = await StreamJournal.claim(store, "context")
    for n in range(100):
        await old.child("a").append(b"%d" % n)
    new = await StreamJournal.claim(store, "context")
    with pytest.raises(StoreConflictError):
        await old.child("a").append(b"stale", snapshot=True)
    await new.child("a").append(b"100")
    assert len(await words(await StreamJournal.claim(store, "context"))) == 0
    assert len(await words((await StreamJournal.claim(store, "context")).child("a"))) == 101


async def test_cancelling_an_append_leaves_the_numbers_right(store: Store) -> None:
    """Our decision: a turn that is cancelled in the middle of an append goes on in the next one without a gap."""
    journal = await StreamJournal.claim(store, "context")
    task = asyncio.create_task(journal.append(b"cancelled"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    await journal.append(b"next")
    for each in (journal, await StreamJournal.claim(store, "context")):
        records = await words(each)
        assert [seq for seq, _ in records] == list(range(1, len(records) + 1))
        assert records[-1][1] == b"next"


async def test_a_journal_in_memory_never_suspends() -> None:
    """Our decision: a room outside a server pays nothing for its journal."""
    step = MemoryJournal().append(b"a")
    with pytest.raises(StopIteration):
        step.send(None)


class JournalMachine(RuleBasedStateMachine):
    """A journal with children against lists, over restarts and many appends at once."""

    kind = "memory"
    PATHS = ((), ("a",), ("b",), ("a", "b"))

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.store = make_store(self.kind, Path(self.folder.name))
        self.runner.run(self.store.open())
        self.model: dict[tuple[str, ...], tuple[int, list[tuple[int, bytes]]]] = dict.fromkeys(self.PATHS, (0, []))
        self.claim()

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()
        self.folder.cleanup()

    def at(self, root: StreamJournal, path: tuple[str, ...]) -> StreamJournal:
        for key in path:
            root = root.child(key)
        return root

    @rule()
    def claim(self) -> None:
        self.journal = self.runner.run(StreamJournal.claim(self.store, "context"))

    @rule()
    def restart(self) -> None:
        if self.kind == "sqlite":
            self.runner.run(self.store.close())
            self.store = make_store(self.kind, Path(self.folder.name))
            self.runner.run(self.store.open())
        self.claim()

    @rule(
        appends=st.lists(
            st.tuples(st.sampled_from(PATHS), st.integers(0, 40_000), st.sampled_from([False, False, True])),
            min_size=1,
            max_size=8,
        )
    )
    def append(self, appends: list[tuple[tuple[str, ...], int, bool]]) -> None:
        async def together() -> None:
            await asyncio.gather(
                *[self.at(self.journal, path).append(b"x" * size, snapshot) for path, size, snapshot in appends]
            )

        self.runner.run(together())
        for path, size, snapshot in appends:
            count, records = self.model[path]
            records = [] if snapshot else records
            self.model[path] = (count + 1, [*records, (count + 1, b"x" * size)])

    @rule()
    def overtaken(self) -> None:
        stale = self.journal
        self.claim()
        with pytest.raises(StoreConflictError):
            self.runner.run(stale.append(b"stale", True))

    @invariant()
    def agree(self) -> None:
        for path, (count, records) in self.model.items():
            for after in (0, 1, count - 1, count):
                expected = [record for record in records if record[0] > after]
                assert self.runner.run(words(self.at(self.journal, path), after)) == expected


class SQLiteJournalMachine(JournalMachine):
    kind = "sqlite"


@pytest.mark.parametrize(("machine", "examples"), [(JournalMachine, 40), (SQLiteJournalMachine, 20)])
def test_a_journal_agrees_with_a_model_of_lists(machine: type[JournalMachine], examples: int) -> None:
    """Our decision, all of it at once."""
    machine.TestCase.settings = settings(
        max_examples=examples,
        stateful_step_count=15,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    machine.TestCase("runTest").debug()
