"""Every store against a model of plain dicts: whatever is called, alone or many at once, they agree."""

import asyncio
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from a2a_bridge.errors import StoreConflictError
from a2a_bridge.store.contract import Change, Claim, Entry, Store
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.store.sqlite import SQLiteStore

STREAMS = ["s1", "s2", "s3"]
GROUPS = ["", "g1", "g2"]
FIRST = ["", "A", "B"]
SECOND = ["", "x"]
SORTS = ["1", "2", "3"]
TIMES = [1.0, 2.0, 3.0]

changes = st.lists(
    st.builds(
        Change,
        kind=st.sampled_from(["k", "l"]),
        key=st.sampled_from(["a", "b", "c", "d"]),
        value=st.one_of(st.none(), st.binary(max_size=3)),
        group=st.sampled_from(GROUPS),
        sort=st.sampled_from(SORTS),
        labels=st.tuples(st.sampled_from(FIRST), st.sampled_from(SECOND)),
        unless=st.one_of(st.just(frozenset()), st.frozensets(st.sampled_from(FIRST), max_size=2)),
        absent=st.sampled_from([False, False, False, True]),
        expires=st.one_of(st.none(), st.sampled_from(TIMES)),
        stream=st.one_of(st.none(), st.sampled_from(STREAMS)),
        evictable=st.booleans(),
    ),
    max_size=3,
)
calls = st.one_of(
    st.tuples(st.just("claim"), st.sampled_from(STREAMS), changes),
    st.tuples(
        st.just("append"),
        st.sampled_from(STREAMS),
        st.sampled_from([0, 0, 0, 0, 1, -1]),
        st.sampled_from([0, 0, 0, 0, 1, -1]),
        st.lists(st.binary(max_size=3), max_size=3),
        changes,
    ),
    st.tuples(st.just("trim"), st.sampled_from(STREAMS), st.integers(0, 6)),
    st.tuples(st.just("put"), changes),
)


class ModelStream:
    def __init__(self) -> None:
        self.epoch = 0
        self.last = 0
        self.events: dict[int, bytes] = {}


class Model:
    """What the contract says, with no thought of speed."""

    def __init__(self) -> None:
        self.streams: dict[str, ModelStream] = {}
        self.records: dict[tuple[str, str], Change] = {}

    def refuses(self, records: list[Change]) -> bool:
        for change in records:
            old = self.records.get((change.kind, change.key))
            if old is not None and (change.absent or old.labels[0] in change.unless):
                return True
        return False

    def apply(self, records: list[Change]) -> None:
        for change in records:
            if change.value is None:
                self.remove((change.kind, change.key))
            else:
                self.records[change.kind, change.key] = change

    def remove(self, ident: tuple[str, str]) -> None:
        old = self.records.pop(ident, None)
        if old is not None and old.stream is not None:
            self.streams.pop(old.stream, None)

    def claim(self, name: str, records: list[Change]) -> Claim | None:
        if self.refuses(records):
            return None
        stream = self.streams.setdefault(name, ModelStream())
        stream.epoch += 1
        claim = Claim(stream.epoch, stream.last)
        self.apply(records)
        return claim

    def append(self, name: str, epoch: int, first: int, events: list[bytes], records: list[Change]) -> bool:
        stream = self.streams.get(name)
        if stream is None or stream.epoch != epoch or first != stream.last + 1 or self.refuses(records):
            return False
        for event in events:
            stream.last += 1
            stream.events[stream.last] = event
        self.apply(records)
        return True

    def trim(self, name: str, through: int) -> None:
        stream = self.streams.get(name, ModelStream())
        stream.events = {seq: data for seq, data in stream.events.items() if seq > through}

    def page(self, kind: str, group: str, labels: tuple[str | None, str | None], since: str) -> list[Entry]:
        rows = [
            Entry(row.key, row.value or b"", row.sort, row.labels)
            for row in self.records.values()
            if group and row.kind == kind and row.group == group and row.sort >= since
            if labels[0] in (None, row.labels[0]) and labels[1] in (None, row.labels[1])
        ]
        return sorted(rows, key=lambda entry: (entry.sort, entry.key), reverse=True)


class StoreMachine(RuleBasedStateMachine):
    """Does the same to a store and to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.model = Model()
        self.store = self.make()
        self.runner.run(self.store.open())

    def make(self) -> Store:
        raise NotImplementedError

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.runner.close()

    @rule(together=st.lists(calls, min_size=1, max_size=5))
    def call(self, together: list[tuple[Any, ...]]) -> None:
        async def run() -> None:
            expected: list[object] = []
            waiting: list[Awaitable[object] | StoreConflictError | None] = []
            for name, *arguments in together:
                wanted, pending = getattr(self, f"start_{name}")(*arguments)
                expected.append(wanted)
                waiting.append(pending)
            async with asyncio.timeout(5):
                assert [await outcome(pending) for pending in waiting] == expected

        self.runner.run(run())

    def start_claim(self, name: str, records: list[Change]) -> tuple[object, object]:
        claim = self.model.claim(name, records)
        return claim or "refused", called(lambda: self.store.claim(name, records))

    def start_append(
        self, name: str, older: int, gap: int, events: list[bytes], records: list[Change]
    ) -> tuple[object, object]:
        stream = self.model.streams.get(name) or ModelStream()
        epoch, first = stream.epoch - older, stream.last + 1 + gap
        kept = self.model.append(name, epoch, first, events, records)
        return None if kept else "refused", called(lambda: self.store.append(name, epoch, first, events, records))

    def start_trim(self, name: str, through: int) -> tuple[object, object]:
        self.model.trim(name, through)
        return None, called(lambda: self.store.trim(name, through))

    def start_put(self, records: list[Change]) -> tuple[object, object]:
        refused = self.model.refuses(records)
        if not refused:
            self.model.apply(records)
        return "refused" if refused else None, called(lambda: self.store.put(*records))

    @rule(now=st.sampled_from(TIMES))
    def expire(self, now: float) -> None:
        gone = [ident for ident, row in self.model.records.items() if row.expires is not None and row.expires <= now]
        for ident in gone:
            self.model.remove(ident)
        assert self.runner.run(self.store.expire(now)) == len(gone)

    @rule()
    def restart(self) -> None:
        """Only a store that outlives its process is closed and opened."""

    @invariant()
    def agree(self) -> None:
        self.runner.run(self.compare())

    async def compare(self) -> None:
        for name in STREAMS:
            events = sorted((self.model.streams.get(name) or ModelStream()).events.items())
            assert await self.store.read(name) == events
            assert await self.store.read(name, after=2, limit=2) == [event for event in events if event[0] > 2][:2]
        for kind in "kl":
            for key in "abcd":
                row = self.model.records.get((kind, key))
                entry = None if row is None else Entry(row.key, row.value or b"", row.sort, row.labels)
                assert await self.store.get(kind, key) == entry
            for group in GROUPS:
                await self.compare_lists(kind, group)

    async def compare_lists(self, kind: str, group: str) -> None:
        for labels in [(None, None), ("A", None), ("", None), (None, "x"), (None, ""), ("B", "x")]:
            for since in ("", "2"):
                expected = self.model.page(kind, group, labels, since)
                assert await self.store.page(kind, group, labels=labels, since=since) == expected
                assert await self.store.count(kind, group, labels=labels, since=since) == len(expected)
                before = ("2", "b")
                after = [entry for entry in expected if (entry.sort, entry.key) < before]
                assert await self.store.page(kind, group, labels=labels, since=since, before=before) == after


def called(call: Any) -> Any:
    """A store may raise from the call or from what it gives back."""
    try:
        return call()
    except StoreConflictError as refused:
        return refused


async def outcome(pending: Any) -> object:
    if isinstance(pending, StoreConflictError):
        return "refused"
    try:
        return None if pending is None else await pending
    except StoreConflictError:
        return "refused"


class MemoryMachine(StoreMachine):
    def make(self) -> Store:
        return MemoryStore()


class SQLiteMachine(StoreMachine):
    def make(self) -> Store:
        self.folder = tempfile.TemporaryDirectory()
        return SQLiteStore(Path(self.folder.name) / "store.sqlite")

    @rule()
    def restart(self) -> None:
        self.runner.run(self.store.close())
        self.store = SQLiteStore(Path(self.folder.name) / "store.sqlite")
        self.runner.run(self.store.open())

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()


@pytest.mark.parametrize(("machine", "examples"), [(MemoryMachine, 60), (SQLiteMachine, 25)])
def test_a_store_agrees_with_a_model_of_plain_dicts(machine: type[StoreMachine], examples: int) -> None:
    """Our contract, all of it at once: random calls, some together in one transaction, some over a restart."""
    machine.TestCase.settings = settings(
        max_examples=examples,
        stateful_step_count=20,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    machine.TestCase("runTest").debug()
