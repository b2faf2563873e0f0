"""What an agent remembers about a context: the `Journal` of `agent.py`, on a stream of a store or in memory.

This file does not import `agent.py` (a store knows no agents); it has the methods that the protocol asks for.

On a store, one context has one stream, whoever claimed it last may append, and all journals inside one another (a room
and its fifty seats) share that stream, its epoch and one reading of it. Each event is a small header (path of the
journal, number in that journal, whether it is a snapshot) and the record. Once no journal needs the events up to some
number, those are trimmed; the numbers within each journal go on, because the header carries them.

Concurrency: any task of one event loop may call; there is no task, no lock and no waiting but for the store. An append
takes its number when it is called, and becomes readable when it is durable, in the same order. An append that is
cancelled may still be kept; the numbers stay right either way, because the outcome is heard from the store and not
from who waited. When the store cannot write (a full disk), that append and those behind it fail, and their numbers are
given out again. When a newer run has claimed the stream, appends raise StoreConflictError from then on. A killed
process loses the appends that had not returned, at most.
"""

import asyncio
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from urllib.parse import quote, unquote

from a2a_bridge.errors import StoreUnavailableError
from a2a_bridge.store.contract import Change, Claim, Numbered, Streams

_HEADER = struct.Struct(">BQH")
"""Flags (1: snapshot), number in its journal, length of the path in bytes; the path and the record follow."""

_LONGEST_PATH = 65_535
_READ_AT_ONCE = 5000

_TRIM_EVENTS = 64
_TRIM_BYTES = 64 * 1024
"""Trimming is a write of its own, so it waits for so many events, or bytes, that nobody needs."""


class _Shelf:
    """The records of one journal from its newest snapshot on; `places` are their numbers in the stream.

    `given` is the last number given out; the record with it may not be durable yet.
    """

    __slots__ = ("given", "places", "records")

    def __init__(self) -> None:
        self.given = 0
        self.records: list[Numbered] = []
        self.places: list[int] = []


class _Book:
    """One claimed stream, read once: its shelves by path, and the next number in it."""

    def __init__(self, store: Streams, name: str, claim: Claim) -> None:
        self._store = store
        self._name = name
        self._epoch = claim.epoch
        self._last = claim.last
        self._trimmed = 0
        self._idle_bytes = 0
        self._shelves: dict[bytes, _Shelf] = {}

    async def load(self) -> None:
        """Read what is in the stream. Nothing can be added by others: our claim has shut them out."""
        at = 0
        while at < self._last:
            events = await self._store.read(self._name, after=at, limit=_READ_AT_ONCE)
            if at == 0:
                self._trimmed = min(events[0].seq - 1 if events else self._last, self._last)
            for place, data in events:
                if place > self._last:
                    return  # somebody has claimed it after us: our appends are going to say so
                self._load(place, data)
            if not events:
                return
            at = events[-1].seq

    def _load(self, place: int, data: bytes) -> None:
        snapshot, seq, length = _HEADER.unpack_from(data)
        end = _HEADER.size + length
        shelf = self.shelf(data[_HEADER.size : end])
        shelf.given = seq
        self._keep(shelf, Numbered(seq, data[end:]), place, snapshot)

    def shelf(self, path: bytes) -> _Shelf:
        shelf = self._shelves.get(path)
        if shelf is None:
            shelf = self._shelves[path] = _Shelf()
        return shelf

    def shelves(self) -> list[tuple[bytes, _Shelf]]:
        """All of them, by path."""
        return sorted(self._shelves.items())

    def append(self, path: bytes, record: bytes, snapshot: bool) -> asyncio.Future[None] | None:
        """Hand a record to the store; None when it is durable at once."""
        shelf = self.shelf(path)
        place, seq = self._last + 1, shelf.given + 1
        event = _HEADER.pack(snapshot, seq, len(path)) + path + record
        committing = self._store.append(self._name, self._epoch, place, (event,))
        self._last, shelf.given = place, seq
        if committing is None:
            self._keep(shelf, Numbered(seq, record), place, snapshot)
            return None
        future: asyncio.Future[None] = asyncio.ensure_future(committing)
        future.add_done_callback(partial(self._settled, shelf, Numbered(seq, record), place, snapshot))
        return future

    def _settled(
        self, shelf: _Shelf, record: Numbered, place: int, snapshot: bool, future: asyncio.Future[None]
    ) -> None:
        if future.cancelled() or future.exception() is not None:
            # What was numbered after it fails as well, so these numbers are free again.
            self._last = min(self._last, place - 1)
            shelf.given = min(shelf.given, record.seq - 1)
        else:
            self._keep(shelf, record, place, snapshot)

    def _keep(self, shelf: _Shelf, record: Numbered, place: int, snapshot: bool) -> None:
        if snapshot:
            self._idle_bytes += sum(len(old.data) for old in shelf.records)
            shelf.records, shelf.places = [], []
        shelf.records.append(record)
        shelf.places.append(place)

    async def trim(self) -> None:
        """Forget what no journal needs, if it is worth a write."""
        needed = min(shelf.places[0] for shelf in self._shelves.values() if shelf.places)
        idle = needed - 1 - self._trimmed
        if idle >= _TRIM_EVENTS or (idle and self._idle_bytes >= _TRIM_BYTES):
            with suppress(StoreUnavailableError):  # the record itself is safe; the next snapshot tries again
                await self._store.trim(self._name, needed - 1)
                self._trimmed = max(self._trimmed, needed - 1)
                self._idle_bytes = 0


class StreamJournal:
    """A journal on a stream of a store; made by `claim`, and by `child` of another one."""

    __slots__ = ("_book", "_path")

    def __init__(self, book: _Book, path: bytes) -> None:
        self._book = book
        self._path = path

    @classmethod
    async def claim(cls, store: Streams, name: str, records: Sequence[Change] = ()) -> "StreamJournal":
        """Become the one who may append to the stream `name`, and read what it holds.

        `records` commit with the claim: put one whose `stream` is `name`, or the stream is kept for ever.
        """
        book = _Book(store, name, await store.claim(name, records))
        await book.load()
        return cls(book, b"")

    @classmethod
    async def look(cls, store: Streams, name: str) -> "StreamJournal":
        """The stream as it is, for reading only: whoever has claimed it goes on. Appends are refused."""
        book = _Book(store, name, Claim(0, sys.maxsize))
        await book.load()
        return cls(book, b"")

    def inner(self) -> list[tuple[tuple[str, ...], list[Numbered]]]:
        """All journals inside this one that hold anything, by the keys that lead to them, and their records."""
        inside = self._path + b"/"
        return [
            (tuple(unquote(key) for key in path[len(inside) :].decode().split("/")), shelf.records)
            for path, shelf in self._book.shelves()
            if path.startswith(inside) and shelf.records
        ]

    async def append(self, record: bytes, snapshot: bool = False) -> None:
        """Durable when it returns; see the protocol."""
        future = self._book.append(self._path, record, snapshot)
        if future is not None:
            await asyncio.shield(future)
        if snapshot:
            await self._book.trim()

    async def read(self, after: int = 0) -> list[Numbered]:
        """Records with a number above `after`, in order, from the newest snapshot on."""
        return _after(self._book.shelf(self._path).records, after)

    def child(self, key: str) -> "StreamJournal":
        """A journal of its own inside this one; the same key gives the same records."""
        path = self._path + b"/" + quote(key, safe="").encode()
        if len(path) > _LONGEST_PATH:
            raise ValueError(f"the path of a journal is at most {_LONGEST_PATH} bytes long: use shorter keys")
        return StreamJournal(self._book, path)


class MemoryJournal:
    """A journal for where there is no store: kept as long as the object is."""

    __slots__ = ("_children", "_given", "_records")

    def __init__(self) -> None:
        self._given = 0
        self._records: list[Numbered] = []
        self._children: dict[str, MemoryJournal] = {}

    async def append(self, record: bytes, snapshot: bool = False) -> None:
        """At once, without suspending."""
        self._given += 1
        if snapshot:
            self._records = []
        self._records.append(Numbered(self._given, record))

    async def read(self, after: int = 0) -> list[Numbered]:
        """Records with a number above `after`, in order, from the newest snapshot on."""
        return _after(self._records, after)

    def child(self, key: str) -> "MemoryJournal":
        """A journal of its own inside this one; the same key gives the same journal."""
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = MemoryJournal()
        return child


def _after(records: list[Numbered], after: int) -> list[Numbered]:
    return records[max(after + 1 - records[0].seq, 0) :] if records else []
