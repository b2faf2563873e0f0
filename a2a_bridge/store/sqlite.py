"""The store in a SQLite file: what `serve` uses when nothing else is said.

Who does what: one thread of our own writes (`writer.py`), with a connection of its own; everything that is asked for
while a transaction runs becomes the next one. The event loop's thread reads, with a second connection that cannot
write, and therefore sees committed data only. One process at a time writes to a file: `<file>.lock` is held from
`open` to `close`, or until the process ends.

Within a transaction each call first checks its conditions and then writes, so a call that is refused leaves nothing
and does no harm to its neighbours. When the disk is full or broken the whole transaction is rolled back, all its calls
raise StoreUnavailableError, and the thread goes on: later calls work as soon as the disk does. A killed process loses
what was not committed, and nothing else; with `sync="normal"` a power failure may lose the last commits too (the file
stays sound), with `sync="full"` it does not. A cancelled call may still be written.
"""

import os
import sqlite3
import struct
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from a2a_bridge.errors import StoreConflictError, StoreError, StoreUnavailableError
from a2a_bridge.store import schema
from a2a_bridge.store.contract import Change, Claim, Entry, Numbered
from a2a_bridge.store.lockfile import FileLock, who_we_are
from a2a_bridge.store.writer import Job, Writer

_T = TypeVar("_T")

_PAGE = "SELECT key, value, sort, label1, label2"
_EXPIRE_AT_ONCE = 500
_HEADS = 10_000
_ROWS_AT_ONCE = (64, 16, 4, 1)
_HINTS = {
    "SQLITE_FULL": ". Free some space",
    "SQLITE_BUSY": ". Another program holds it locked: end that one",
    "SQLITE_CORRUPT": ". It is damaged: put a backup in its place, or move it away and begin with a new one",
    "SQLITE_NOTADB": ". It is not a SQLite file: use another one",
}
_WAL_PAGES = 4000  # 16 MB: a page that is written again and again goes to the file once for each so many


class SQLiteStore:
    """Streams and records in a file.

    `sync="full"` waits for the disk on each commit, which survives a power failure and costs milliseconds.
    `readonly=True` opens a file that another process may be writing to, takes no lock and refuses every write.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, sync: Literal["normal", "full"] = "normal", readonly: bool = False
    ) -> None:
        self.path = Path(path).expanduser().resolve()
        self._sync = sync
        self._readonly = readonly
        self._lock = FileLock(self.path)
        self._writer = Writer(f"a2a-bridge-store-{self.path.name}")
        self._ledger: _Ledger | None = None
        self._reader: sqlite3.Connection | None = None

    async def open(self) -> None:
        if self._readonly:
            if not self.path.is_file():
                raise StoreUnavailableError(f"there is no store at {self.path}: check the path")
        elif not self.path.parent.is_dir():
            raise StoreUnavailableError(f"the folder {self.path.parent} does not exist: create it first")
        elif self.path.is_dir():
            raise StoreUnavailableError(f"the store {self.path} is a folder: name a file in it")
        else:
            self._lock.acquire()
            await self._writer.start(self._make_ledger)
        try:
            self._reader = _connect(self.path, readonly=True)
        except StoreUnavailableError:
            await self.close()
            raise

    async def close(self) -> None:
        reader, self._reader = self._reader, None
        ledger, self._ledger = self._ledger, None
        if reader is not None:
            reader.close()
        if ledger is not None:
            await self._writer.stop()

    def _make_ledger(self) -> "_Ledger":
        """In the writing thread."""
        try:
            connection = _connect(self.path, sync=self._sync)
            try:
                self._ledger = _Ledger(self.path, connection, self._lock)
            except sqlite3.Error as error:
                connection.close()
                raise _unavailable(self.path, "opened", error) from error
        except StoreUnavailableError:
            self._lock.release()
            raise
        return self._ledger

    # Streams

    def claim(self, stream: str, records: Sequence[Change] = ()) -> Awaitable[Claim]:
        return self._writer.submit(partial(self._writing().claim, stream, tuple(records)))

    def append(
        self, stream: str, epoch: int, first: int, events: Sequence[bytes], records: Sequence[Change] = ()
    ) -> Awaitable[None]:
        # Packed here, so that what is not bytes is refused to who passed it.
        call = partial(self._writing().append, stream, epoch, first, len(events), _pack(events), tuple(records))
        return self._writer.submit(call, stream)

    async def read(self, stream: str, after: int = 0, limit: int = 1000) -> list[Numbered]:
        def unpack(rows: Iterable[_Columns]) -> list[Numbered]:
            found: list[Numbered] = []
            for first, last, data, trimmed in rows:
                _unpack(data, first, last, max(after, trimmed), found)
                if len(found) >= limit:
                    break
            return found[:limit]

        return self._query(schema.READ, (stream, after, limit), unpack)

    def trim(self, stream: str, through: int) -> Awaitable[None]:
        return self._writer.submit(partial(self._writing().trim, stream, through))

    # Records

    def put(self, *changes: Change) -> Awaitable[None]:
        return self._writer.submit(partial(self._writing().put, changes))

    async def get(self, kind: str, key: str) -> Entry | None:
        entries = self._query(schema.GET, (kind, key), _entries)
        return entries[0] if entries else None

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
        matching, values = schema.matching(kind, group, labels, since, before)
        return self._query(f"{_PAGE} {matching} ORDER BY sort DESC, key DESC LIMIT ?", (*values, limit), _entries)

    async def count(
        self, kind: str, group: str, *, labels: tuple[str | None, str | None] = (None, None), since: str = ""
    ) -> int:
        if since or labels[1] is not None:
            matching, values = schema.matching(kind, group, labels, since, None)
            return self._query(f"SELECT count(*) {matching}", values, _number)
        sql, values = "SELECT sum(n) FROM counts WHERE kind = ? AND grp = ?", [kind, group]
        if labels[0] is not None:
            sql, values = sql + " AND label = ?", [kind, group, labels[0]]
        return self._query(sql, values, _number)

    async def expire(self, now: float) -> int:
        removed = 0
        while True:  # a few hundred at a time, so that others get their turn
            gone = await self._writer.submit(partial(self._writing().expire, now))
            removed += gone
            if gone < _EXPIRE_AT_ONCE:
                return removed

    # Below: the two ways into the file.

    def _writing(self) -> "_Ledger":
        if self._ledger is None:
            state = "is open for reading only" if self._readonly else "is not open"
            raise StoreUnavailableError(f"the store {self.path} {state}: nothing has been written")
        return self._ledger

    def _query(self, sql: str, values: Sequence[object], take: Callable[[sqlite3.Cursor], _T]) -> _T:
        if self._reader is None:
            raise StoreUnavailableError(f"the store {self.path} is not open")
        try:
            # A cursor left open would hold on to its snapshot, and the write-ahead log could not start again.
            with closing(self._reader.execute(sql, values)) as rows:
                return take(rows)
        except sqlite3.Error as error:
            raise _unavailable(self.path, "read", error) from error


_Columns = tuple[Any, ...]


class _Head:
    """What the streams table says, or is going to say, of one stream."""

    __slots__ = ("epoch", "id", "last", "name", "trimmed")

    def __init__(self, id: int, name: str, epoch: int, last: int, trimmed: int) -> None:
        self.id = id
        self.name = name
        self.epoch = epoch
        self.last = last
        self.trimmed = trimmed

    def row(self) -> tuple[int, str, int, int, int]:
        return self.id, self.name, self.epoch, self.last, self.trimmed


class _Ledger:
    """The side that writes; all of it runs in the writing thread.

    Nobody else writes to the file, so what is remembered of streams (`heads`) need not be asked again, and what a
    transaction is going to write may wait (`moved`, `events`, `rows`) until its end, or until a statement needs it:
    ten puts of one record in one transaction are one. After a failed transaction all of it is forgotten.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: FileLock) -> None:
        self.path = path
        self._connection = connection
        self._lock = lock
        self._next_id: int = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM streams").fetchone()[0]
        self._heads: dict[str, _Head] = {}
        self._moved: dict[str, _Head] = {}
        self._events: list[tuple[int, int, int, bytes]] = []
        self._rows: dict[tuple[str, str], Change] = {}
        # Streams that lost an append to a failed transaction: what was numbered after it fails for the same reason.
        self._behind: set[str] = set()

    def close(self) -> None:
        self._connection.close()
        self._lock.release()

    def commit(self, jobs: Sequence[Job[Any]]) -> None:
        try:
            self._transaction(jobs)
        except Exception as error:  # whatever it is, the thread must go on and every caller must hear of it
            self._forget(jobs)
            if len(jobs) > 1 and not _is_outage(error):
                for job in jobs:  # one of them cannot be written (a string that is not Unicode, say): the others can
                    self.commit([job])
                return
            for job in jobs:
                job.fail(_unavailable(self.path, "written", error) if isinstance(error, sqlite3.Error) else error)

    def _transaction(self, jobs: Sequence[Job[Any]]) -> None:
        execute = self._connection.execute
        if self._connection.in_transaction:  # an earlier rollback has failed
            execute("ROLLBACK")
        execute("BEGIN IMMEDIATE")
        for job in jobs:
            try:
                job.run()
            except StoreError as refused:  # before it changed anything
                job.fail(refused)
        self._flush()
        execute("COMMIT")
        if len(self._heads) > _HEADS:
            self._heads.clear()

    def _forget(self, jobs: Sequence[Job[Any]]) -> None:
        self._behind.update(job.stream for job in jobs if job.stream is not None)
        for kept in (self._heads, self._moved, self._events, self._rows):
            kept.clear()
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):  # tried again before the next transaction
                self._connection.execute("ROLLBACK")

    def _flush(self) -> None:
        if self._moved:
            self._put(schema.PUT_STREAM, [head.row() for head in self._moved.values()])
            self._moved.clear()
        if self._events:
            self._put(schema.PUT_EVENTS, self._events)
            self._events.clear()
        if self._rows:
            self._put(schema.PUT_RECORD, [_row(change) for change in self._rows.values()])
            self._rows.clear()

    def _put(self, put: schema.Put, rows: Sequence[_Columns]) -> None:
        # Many rows a statement: the lock of the interpreter changes hands with each, which costs more than a row.
        at = 0
        for count in _ROWS_AT_ONCE:
            while len(rows) - at >= count:
                values = [value for row in rows[at : at + count] for value in row]
                self._connection.execute(put.sql(count), values)
                at += count

    # Below: what a job does. Each checks first, raising StoreError, and then writes.

    def claim(self, stream: str, records: Sequence[Change]) -> Claim:
        self._check(records)
        head = self._head(stream)
        if head is None:
            head = self._heads[stream] = _Head(self._next_id, stream, 0, 0, 0)
            self._next_id += 1
        head.epoch += 1
        self._moved[stream] = head
        self._behind.discard(stream)
        claim = Claim(head.epoch, head.last)
        self._change(records)
        return claim

    def append(self, stream: str, epoch: int, first: int, count: int, data: bytes, records: Sequence[Change]) -> None:
        head = self._head(stream)
        if head is None or head.epoch != epoch:
            newest = 0 if head is None else head.epoch
            raise StoreConflictError(f"{stream!r} has been taken over: epoch {epoch} is not {newest}, the newest")
        if first != head.last + 1:
            if first > head.last and stream in self._behind:
                raise StoreUnavailableError(f"the store {self.path} could not be written, so this cannot follow")
            raise StoreConflictError(f"{stream!r} goes on with number {head.last + 1}, not with {first}")
        self._check(records)
        if self._behind:
            self._behind.discard(stream)
        if count:
            head.last += count
            self._moved[stream] = head
            self._events.append((head.id, head.last, first, data))
        self._change(records)

    def trim(self, stream: str, through: int) -> None:
        head = self._head(stream)
        if head is not None and through > head.trimmed:
            self._flush()
            head.trimmed = min(through, head.last)
            self._moved[stream] = head
            self._connection.execute(schema.TRIM, (head.id, head.trimmed))

    def put(self, changes: Sequence[Change]) -> None:
        self._check(changes)
        self._change(changes)

    def expire(self, now: float) -> int:
        self._flush()
        gone = self._connection.execute(schema.EXPIRE, (now, _EXPIRE_AT_ONCE)).rowcount
        if gone:
            self._heads.clear()
        return gone

    def _head(self, stream: str) -> _Head | None:
        head = self._heads.get(stream)
        if head is None:
            row = self._connection.execute(schema.HEAD, (stream,)).fetchone()
            if row is not None:
                head = self._heads[stream] = _Head(*row)
        return head

    def _check(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.absent or change.unless:
                ident = (change.kind, change.key)
                pending = self._rows.get(ident)
                if pending is not None:
                    label: str = pending.labels[0]
                else:
                    row = self._connection.execute(schema.LABEL, ident).fetchone()
                    if row is None:
                        continue
                    label = row[0]
                if change.absent or label in change.unless:
                    raise StoreConflictError(f"the record {change.kind} {change.key!r} is {label!r} already")

    def _change(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if change.value is not None:
                self._rows[(change.kind, change.key)] = change
            else:
                self._flush()
                # Its stream may go with it: what is remembered of streams is asked anew.
                if self._connection.execute(schema.DELETE, (change.kind, change.key)).rowcount:
                    self._heads.clear()


def _row(change: Change) -> _Columns:
    """A change as the parameters of `schema.PUT_RECORD`."""
    first, second = change.labels
    return (
        change.kind,
        change.key,
        change.group,
        change.sort,
        first,
        second,
        change.value,
        change.expires,
        change.stream,
    )


def _entries(rows: Iterable[_Columns]) -> list[Entry]:
    return [Entry(key, value, sort, (first, second)) for key, value, sort, first, second in rows]


def _number(rows: sqlite3.Cursor) -> int:
    found: int | None = rows.fetchone()[0]
    return found or 0


def _pack(events: Sequence[bytes]) -> bytes:
    """The lengths of all events, then the events: one blob for one append."""
    return struct.pack(f">{len(events)}I", *map(len, events)) + b"".join(events)


def _unpack(data: bytes, first: int, last: int, after: int, found: list[Numbered]) -> None:
    """Add the events of a blob that are numbered above `after`."""
    count = last - first + 1
    start = 4 * count
    for seq, length in zip(range(first, last + 1), struct.unpack_from(f">{count}I", data), strict=True):
        if seq > after:
            found.append(Numbered(seq, data[start : start + length]))
        start += length


def _connect(path: Path, *, sync: str = "normal", readonly: bool = False) -> sqlite3.Connection:
    """A connection to a store file that is fit for use; without `readonly` the file is made if need be."""
    try:
        if not readonly:  # made here, so that only its owner can read it; the files beside it follow
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        uri = f"{path.as_uri()}?mode={'ro' if readonly else 'rw'}"
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=1.0 if readonly else 5.0)
    except (sqlite3.Error, OSError) as error:
        raise _unavailable(path, "opened", error) from error
    try:
        connection.execute("PRAGMA cache_size = -8192")
        if not readonly:
            _prepare(connection, sync)
        _check_version(connection, path)
    except sqlite3.Error as error:
        connection.close()
        raise _unavailable(path, "opened", error) from error
    except StoreUnavailableError:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, sync: str) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version == 0 and tables == 0:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise sqlite3.OperationalError("this file system does not support write-ahead logs (shared memory)")
        connection.executescript(schema.TABLES)
    connection.execute(f"PRAGMA synchronous = {'FULL' if sync == 'full' else 'NORMAL'}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
    connection.execute("PRAGMA journal_size_limit = 67108864")


def _check_version(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > schema.VERSION:
        raise StoreUnavailableError(
            f"the store {path} was written by a newer a2a_bridge (format {version}, this one knows {schema.VERSION}):"
            " install that version, or use another file"
        )
    if version < 1 or not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'streams'").fetchone():
        raise StoreUnavailableError(f"{path} is a SQLite file, but not a store of a2a_bridge: use another file")


def _is_outage(error: Exception) -> bool:
    """Whether the file cannot be written at all (full, broken, locked), rather than not with these values."""
    return type(error) in (sqlite3.OperationalError, sqlite3.DatabaseError, sqlite3.InternalError)


def _unavailable(path: Path, verb: str, error: Exception) -> StoreUnavailableError:
    said = error.strerror if isinstance(error, OSError) else str(error)
    if isinstance(error, PermissionError):
        return StoreUnavailableError(f"the store {path} cannot be {verb}: {said}{who_we_are()}")
    name = "_".join(getattr(error, "sqlite_errorname", "").split("_")[:2])  # SQLITE_READONLY_DIRECTORY is READONLY
    hint = _HINTS.get(name, "") if name != "SQLITE_READONLY" else who_we_are()
    return StoreUnavailableError(f"the store {path} cannot be {verb}: {said}{hint}")
