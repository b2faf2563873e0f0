"""The event log of one live task: append, commit, follow.

Who does what. One turn at a time appends (its run, or the service when it cancels); any number of readers follow.
There is no queue and no task of the log's own. `append` numbers a row and puts it into the next batch. A batch is
committed at once when one of its rows is urgent (a pause, an end) or when it has grown to `COMMIT_AT` rows; else when
the first reader is ready for it, and after `LINGER` seconds at the latest. One commit runs at a time; a done-callback
of the store's future publishes a batch, wakes the readers and sees to the next. Only committed rows are visible.

A reader is a cursor with a future of its own: it looks, and if there is nothing it waits, with no await in between,
so no wake-up is lost; a reader that is cancelled or never reads costs the others nothing. Waking a reader is what
costs, so a reader that was served a moment ago lingers: it is ready when `LINGER` seconds have passed since, and gets
everything that came meanwhile; an urgent row wakes it at once. Who waits for the end of a turn is ready for urgent
rows only. The tail in memory is bounded: older rows come from the store.

When the store cannot commit (full, gone, or somebody else has claimed the stream), the log is broken: nothing more
becomes visible, and every reader and writer gets the error. What was visible stays true.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from math import inf

from a2a_bridge.errors import StoreError, StoreUnavailableError
from a2a_bridge.store.contract import Change, Claim, Numbered, Streams
from a2a_bridge.tasks.alarms import Alarms

Row = Numbered
"""One row of a task's log, with its number."""
MAX_BATCH = 256
"""Events in one commit."""
COMMIT_AT = 64
"""Events that make a batch worth committing although nobody is ready for it."""
MAX_AHEAD = 256
"""Events that a run may be ahead of the last commit."""
MAX_AHEAD_BYTES = 1 << 20
LINGER = 0.002
"""Seconds between two wake-ups of one reader, unless the row is urgent."""
URGENT_ONLY = inf
"""The `not_before` of one who waits for the end of a turn."""
_EARLY = 0.0005
"""Timers of some event loops go off by full milliseconds: so much too early is in time."""
MAX_TAIL_BYTES = 1 << 20
"""Bytes of visible rows kept in memory, or one larger row."""


def at_once(rows: list[Row]) -> list[Row]:
    """As many of these rows as one write should carry: what a reader takes no longer than another to read."""
    size = 0
    for count, (_, row) in enumerate(rows):
        size += len(row)
        if size > MAX_TAIL_BYTES:
            return rows[: count or 1]
    return rows


class TaskLog:
    """The rows of one task, written under one epoch at a time.

    `appended` is the number of the last row that was appended, `visible` of the last one that is committed. `closed`:
    row `last` was the last one. `broken`: why nothing more can be committed, if so. `alarms`: those of `LINGER`
    seconds that many logs share. `watch`, if somebody has set it, is called when rows have become visible.
    """

    # What a log begins with, and most logs keep; a log has no slots because of it.
    _ahead_bytes = 0
    kept_bytes = 0
    most_bytes = 0
    room_bytes = MAX_AHEAD_BYTES
    broken: StoreError | None = None
    _committing: list[bytes] | None = None
    _due = inf  # when what is pending is committed, unless something comes before
    _pending_also: Callable[[], Change] | None = None
    _tail_bytes = 0
    _timer: asyncio.Handle | None = None
    _urgent_at = 0
    watch: Callable[[], None] | None = None

    def __init__(
        self,
        store: Streams,
        stream: str,
        *,
        epoch: int,
        last: int = 0,
        closed: bool = False,
        alarms: Alarms | None = None,
    ) -> None:
        self._store = store
        self._stream = stream
        self._alarms = Alarms(LINGER) if alarms is None else alarms
        self.epoch = epoch
        self.appended = last
        self.visible = last
        self._base = last
        self._tail: list[bytes] = []
        self._pending: list[bytes] = []
        self._pending_records: list[Change] = []
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[asyncio.Future[None], float]] = []
        self._lingering: set[asyncio.Future[None]] = set()
        self._closed_at: int | None = last if closed else None

    def take_over(self, claim: Claim) -> None:
        """Write under a new claim; a log that was not followed so far starts after the rows that are there."""
        self.epoch = claim.epoch
        if self.visible < claim.last:
            self.appended = self.visible = self._base = claim.last
            self._tail, self._tail_bytes = [], 0

    @property
    def is_closing(self) -> bool:
        """The last event there will ever be has been appended."""
        return self._closed_at is not None

    @property
    def is_closed(self) -> bool:
        """The last event there will ever be is visible (not merely appended)."""
        return self._closed_at is not None and self.visible >= self._closed_at

    @property
    def is_ahead(self) -> bool:
        """The writer must wait for `room()` before it appends more."""
        return self.appended - self.visible >= MAX_AHEAD or self._ahead_bytes >= self.room_bytes

    @property
    def is_awaited(self) -> bool:
        """Somebody waits for ordinary rows, not only for the end of a turn."""
        return self._ready() < inf

    def begin(self, row: bytes, also: Callable[[], Change]) -> None:
        """Append a first row, which is committed with the one that follows it, or by `flush`."""
        if self.broken is not None:
            raise self.broken
        self.appended += 1
        self._pending.append(row)
        self._ahead_bytes += len(row)
        self._pending_also = also

    def append(
        self,
        row: bytes,
        records: Sequence[Change] = (),
        *,
        also: Callable[[], Change] | None = None,
        urgent: bool = False,
    ) -> int:
        """Number a row and see that it is committed; returns its number.

        `records` change with it. `also` makes one more change when the batch is committed: the last one given counts.
        `urgent`: readers get it at once. Raises the StoreError of a broken log.
        """
        if self.broken is not None:
            raise self.broken
        self.appended = seq = self.appended + 1
        pending = self._pending
        pending.append(row)
        self._ahead_bytes = ahead = self._ahead_bytes + len(row)
        if records:
            self._pending_records.extend(records)
        if also is not None:
            self._pending_also = also
        if urgent:
            self._urgent_at = seq
        if self._committing is None:
            if urgent or len(pending) >= COMMIT_AT or ahead >= MAX_AHEAD_BYTES:
                self._commit()
            elif self._due == inf:
                self._arm(self._ready())
        return seq

    def close(self, row: bytes, records: Sequence[Change] = (), *, also: Callable[[], Change] | None = None) -> int:
        """Append the last row that there will ever be."""
        self._closed_at = self.appended + 1
        return self.append(row, records, also=also, urgent=True)

    def flush(self) -> None:
        """Commit what is pending now, if no commit is running: the one that follows it takes it along otherwise."""
        if self._pending and self._committing is None:
            self._commit()

    def _ready(self) -> float:
        """When the first of those who wait wants ordinary rows; infinity: nobody does."""
        ready = inf
        for _, not_before in self._waiting:
            if not_before < ready:
                ready = not_before
        return ready

    def _arm(self, ready: float) -> None:
        """See that what is pending is committed when somebody is ready for it, but within `LINGER` seconds."""
        now = self._loop.time()
        latest = now + LINGER
        due = ready if ready < latest else latest
        if due >= self._due:
            return
        if self._due < inf:
            self._disarm()
        self._due = due
        if due < ready:  # most often an urgent row comes before: a timer of the loop would cost too much
            self._alarms.set(self, self._ring)
        elif due > now:
            self._timer = self._loop.call_at(due, self._ring)
        else:  # still at the end of this step of the loop, so that what the run has more of comes along
            self._timer = self._loop.call_soon(self._ring)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        else:
            self._alarms.clear(self)
        self._due = inf

    def _ring(self) -> None:
        self._timer, self._due = None, inf
        self.flush()

    def _commit(self) -> None:
        if self._due < inf:
            self._disarm()
        rows, records = self._pending, self._pending_records
        self._pending = rows[MAX_BATCH:]
        if self._pending:  # the records tell of the last row, so they wait for it
            del rows[MAX_BATCH:]
            records = []
        else:
            self._pending_records = []
            if self._pending_also is not None:
                records.append(self._pending_also())
                self._pending_also = None
        self._committing = rows
        try:
            durable = self._store.append(self._stream, self.epoch, self.visible + 1, rows, records)
        except StoreError as error:
            self._fail(error)
            return
        if durable is None:
            self._publish()
        else:
            asyncio.ensure_future(durable).add_done_callback(self._committed)

    def _committed(self, done: "asyncio.Future[None]") -> None:
        error = StoreUnavailableError("the commit was cancelled") if done.cancelled() else done.exception()
        if error is None:
            self._publish()
            if self._pending and self._committing is None:  # by the rules of `append`, for what came meanwhile
                if self._urgent_at > self.visible or len(self._pending) >= COMMIT_AT or self.is_ahead:
                    self._commit()
                else:
                    self._arm(self._ready())
        elif isinstance(error, StoreError):
            self._fail(error)
        else:  # a fault of the store itself: as bad for this task, and kept as the cause
            broken = StoreUnavailableError("the store failed")
            broken.__cause__ = error
            self._fail(broken)

    def _publish(self) -> None:
        rows, self._committing = self._committing or [], None
        self.visible += len(rows)
        size = sum(map(len, rows))
        self._ahead_bytes -= size
        self.kept_bytes += size
        if self.most_bytes:
            hold_to(self, self.most_bytes)
        self._tail += rows
        self._tail_bytes += size
        while self._tail_bytes > MAX_TAIL_BYTES and len(self._tail) > 1:
            count = max(1, len(self._tail) // 2)
            self._tail_bytes -= sum(map(len, self._tail[:count]))
            del self._tail[:count]
            self._base += count
        if self._waiting or self._lingering:
            self.wake(urgent=self.visible >= self._urgent_at > self.visible - len(rows))
        if self.watch is not None:
            self.watch()

    def _fail(self, error: StoreError) -> None:
        self.broken = error
        self._committing = None
        self._pending, self._pending_records, self._pending_also, self._ahead_bytes = [], [], None, 0
        self.appended = self.visible
        self.wake()

    def wake(self, *, urgent: bool = True) -> None:
        """Let everybody who waits look again; unless `urgent`, who was served just now looks a little later."""
        if not (self._waiting or self._lingering):
            return
        waiting, self._waiting = self._waiting, []
        now = self._loop.time() + _EARLY
        for future, not_before in waiting:
            if future.done():
                continue
            if urgent or now >= not_before:
                future.set_result(None)
            else:
                self._lingering.add(future)
                if not_before < inf:
                    self._loop.call_at(not_before, self._release, future)
        if urgent and self._lingering:
            for future in list(self._lingering):
                self._release(future)

    def _release(self, future: "asyncio.Future[None]") -> None:
        self._lingering.discard(future)
        if not future.done():
            future.set_result(None)

    def wait(self, not_before: float = 0.0) -> "asyncio.Future[None]":
        """Done at the next commit, or when the log breaks; an ordinary commit does not end it before `not_before`
        (event loop time; `URGENT_ONLY`: never). Look first: what is visible already wakes nobody."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((future, not_before))
        if self._pending and self._committing is None:
            self._arm(not_before)
        return future

    async def until(self, seq: int) -> None:
        """Return when row `seq` is visible; raise if it never will be."""
        self.flush()
        while self.visible < seq and self.broken is None:
            await self.wait()
        if self.visible < seq and self.broken is not None:
            raise self.broken

    async def room(self) -> bool:
        """Return when the writer is no longer too far ahead of the store; False if the log is full, and nothing but an
        end should be appended any more. Raises if the log is broken."""
        while self.is_ahead and self.broken is None:
            if 0 < self.most_bytes < self.kept_bytes + self._ahead_bytes:
                return False
            await self.wait()
        if self.broken is not None:
            raise self.broken
        return True

    def tail(self, after: int, limit: int) -> list[Numbered] | None:
        """At most `limit` visible rows above `after`, if memory still has them; None: ask the store."""
        if after < self._base:
            return None
        start = after - self._base
        rows = self._tail[start : start + limit]
        return list(map(Numbered._make, zip(range(after + 1, after + 1 + len(rows)), rows, strict=True)))

    async def follow(self, after: int, *, limit: int = 64) -> AsyncGenerator[list[Numbered], None]:
        """Visible rows above `after`, in lists of at most `limit`, until the log is closed.

        Raises the StoreError of a broken log after the last visible row.
        """
        not_before = 0.0
        while True:
            rows = self.tail(after, limit)
            if rows is None:
                rows = at_once(await self._store.read(self._stream, after, limit))
                rows = [row for row in rows if row.seq <= self.visible]
                if not rows:  # trimmed: nothing is left below what memory holds
                    after = self._base
                    continue
            if rows:
                after = rows[-1].seq
                yield rows
                not_before = self._loop.time() + LINGER
            elif self.is_closed:
                return
            elif self.broken is not None:
                raise self.broken
            else:
                await self.wait(not_before)


def hold_to(log: TaskLog, most: int) -> None:
    """From now on a log of more than `most` bytes is full, counted as long as this process keeps it. 0: never."""
    # A full log is ahead of any store: so the writer looks at one limit for both.
    log.most_bytes, log.room_bytes = most, MAX_AHEAD_BYTES
    if most:
        log.room_bytes = min(MAX_AHEAD_BYTES, most - log.kept_bytes + 1)
