"""The store that keeps everything in memory: what `tasks` uses when nothing has to outlive the process.

It has no task and no lock: every call does its work at once, in the event loop's thread, and what it gives back is
done already; only `expire` lets others run in between. A call that is cancelled has therefore taken effect before,
there is no disk to fill, and a killed process loses everything, which is what memory means.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Generator, Sequence
from itertools import islice
from typing import Generic, TypeVar

from a2a_bridge.errors import StoreConflictError
from a2a_bridge.store.contract import Change, Claim, Entry, Numbered
from a2a_bridge.store.lists import Ident, Lists

_logger = logging.getLogger(__name__)

_T = TypeVar("_T")

# What one of each takes beside its bytes, measured roughly, so that `max_bytes` is near to what the process grows by.
_RECORD_ROOM = 600
_STREAM_ROOM = 300
_EVENT_ROOM = 41


class _Done(Generic[_T]):
    """An awaitable that is done: awaiting it does not suspend."""

    __slots__ = ("_value",)

    def __init__(self, value: _T) -> None:
        self._value = value

    def __await__(self) -> Generator[None, None, _T]:
        return self._value
        yield


_NOTHING = _Done(None)


class _Stream:
    """The events of one stream above `base`; `last` is the number of the newest."""

    __slots__ = ("base", "epoch", "events", "last", "room")

    def __init__(self, room: int) -> None:
        self.epoch = 0
        self.base = 0
        self.last = 0
        self.events: list[bytes] = []
        self.room = room


class MemoryStore:
    """Streams and records in memory, within limits.

    `max_records` counts records, `max_bytes` adds up values, events and a fixed allowance for each record, stream and
    event. When a write goes over either, evictable records are dropped, the ones put longest ago first and each with
    its `stream`, until it fits. Records that are not evictable, and those of the write itself, are never dropped: if
    nothing else is left the store grows beyond its limits, and says so in the log once.
    """

    def __init__(self, *, max_records: int = 100_000, max_bytes: int = 256 * 1024 * 1024) -> None:
        self._max_records = max_records
        self._max_bytes = max_bytes
        self._streams: dict[str, _Stream] = {}
        self._rows: dict[Ident, Change] = {}
        self._lists = Lists(self._rows)
        self._evictable: OrderedDict[Ident, None] = OrderedDict()
        self._bytes = 0
        self._warned = False

    async def open(self) -> None:
        """Nothing to do: the store is ready when it is made."""

    async def close(self) -> None:
        """Nothing to do: there are no files and no threads."""

    # Streams

    def claim(self, stream: str, records: Sequence[Change] = ()) -> Awaitable[Claim]:
        if records:
            self._check(records)
        held = self._streams.get(stream)
        if held is None:
            room = _STREAM_ROOM + len(stream)
            held = self._streams[stream] = _Stream(room)
            self._bytes += room
        held.epoch += 1
        claim = Claim(held.epoch, held.last)
        if records:
            self._apply(records)
        elif self._bytes > self._max_bytes:
            self._make_room(0)
        return _Done(claim)

    def append(
        self, stream: str, epoch: int, first: int, events: Sequence[bytes], records: Sequence[Change] = ()
    ) -> None:
        held = self._streams.get(stream)
        if held is None or held.epoch != epoch:
            newest = 0 if held is None else held.epoch
            raise StoreConflictError(f"{stream!r} has been taken over: epoch {epoch} is not {newest}, the newest")
        if first != held.last + 1:
            raise StoreConflictError(f"{stream!r} goes on with number {held.last + 1}, not with {first}")
        if records:
            self._check(records)
        if events:
            held.events.extend(events)
            held.last += len(events)
            room = sum(map(len, events)) + _EVENT_ROOM * len(events)
            held.room += room
            self._bytes += room
        if records:
            self._apply(records)
        elif self._bytes > self._max_bytes:
            self._make_room(0)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[Numbered]:
        held = self._streams.get(stream)
        if held is None:
            return []
        start = max(after - held.base, 0)
        numbers = range(held.base + start + 1, held.last + 1)
        return [Numbered(*pair) for pair in zip(numbers, held.events[start : start + limit], strict=False)]

    def trim(self, stream: str, through: int) -> Awaitable[None]:
        held = self._streams.get(stream)
        if held is not None and through > held.base:
            through = min(through, held.last)
            gone = held.events[: through - held.base]
            del held.events[: through - held.base]
            held.base = through
            room = sum(map(len, gone)) + _EVENT_ROOM * len(gone)
            held.room -= room
            self._bytes -= room
        return _NOTHING

    # Records

    def put(self, *changes: Change) -> Awaitable[None]:
        self._check(changes)
        self._apply(changes)
        return _NOTHING

    async def get(self, kind: str, key: str) -> Entry | None:
        row = self._rows.get((kind, key))
        return None if row is None else _entry(row)

    async def page(
        self,
        kind: str,
        group: str,
        *,
        labels: tuple[str | None, str | None] = (None, None),
        since: str = "",
        before: tuple[str, str] | None = None,
        limit: int = 50,
    ) -> list[Entry]:
        return [_entry(row) for row in islice(self._lists.walk(kind, group, labels, since, before), limit)]

    async def count(
        self, kind: str, group: str, *, labels: tuple[str | None, str | None] = (None, None), since: str = ""
    ) -> int:
        return self._lists.count(kind, group, labels, since)

    async def expire(self, now: float) -> int:
        # A look at every record is cheaper than an order of expiry that every put has to pay for; others may run
        # after each thousand or so, and what they change meanwhile is seen as it is when its turn comes.
        removed = 0
        for at, ident in enumerate(list(self._rows)):
            if at % 1024 == 1023:
                await asyncio.sleep(0)
            row = self._rows.get(ident)
            if row is not None and row.expires is not None and row.expires <= now:
                self._remove(ident)
                removed += 1
        return removed

    # Below: how records change. Every condition of a call is checked before its first change is made.

    def _check(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.absent or change.unless:
                row = self._rows.get((change.kind, change.key))
                if row is not None and (change.absent or row.labels[0] in change.unless):
                    raise StoreConflictError(f"the record {change.kind} {change.key!r} is {row.labels[0]!r} already")

    def _apply(self, changes: Sequence[Change]) -> None:
        rows, note, evictable, grown = self._rows, self._lists.note, self._evictable, 0
        for change in changes:
            value = change.value
            ident = change[:2]
            if value is None:
                self._remove(ident)
                continue
            old = rows.get(ident)
            rows[ident] = change
            if old is None:
                grown += len(value) + _RECORD_ROOM
                if change.group:
                    note(ident, None)
                if change.evictable:
                    evictable[ident] = None
                continue
            grown += len(value) - len(old.value or b"")
            if change.group or old.group:
                note(ident, old)
            if change.evictable:
                evictable[ident] = None
                evictable.move_to_end(ident)
            elif old.evictable:
                del evictable[ident]
        self._bytes += grown
        if self._bytes > self._max_bytes or len(rows) > self._max_records:
            self._make_room(sum(1 for change in changes if change.evictable))

    def _remove(self, ident: Ident) -> None:
        row = self._rows.pop(ident, None)
        if row is None:
            return
        self._bytes -= len(row.value or b"") + _RECORD_ROOM
        if row.evictable:
            del self._evictable[ident]
        if row.group:
            self._lists.note(ident, row)
        if row.stream is not None:
            held = self._streams.pop(row.stream, None)
            if held is not None:
                self._bytes -= held.room

    def _make_room(self, keep: int) -> None:
        """Drop evictable records, oldest first, but not the newest `keep`: they have just been written."""
        while self._bytes > self._max_bytes or len(self._rows) > self._max_records:
            if len(self._evictable) <= keep:
                if not self._warned:
                    self._warned = True
                    _logger.warning(
                        "the memory store is above its limit (%d records, %d bytes) and nothing in it may be dropped:"
                        " it grows. Raise its limits, or keep the data in a SQLite file.",
                        len(self._rows),
                        self._bytes,
                    )
                return
            self._remove(next(iter(self._evictable)))


def _entry(row: Change) -> Entry:
    return Entry(row.key, row.value or b"", row.sort, row.labels)
