"""The event log of one live task: append, commit, follow.

Who does what. One turn at a time appends (its run, or the service when it cancels); any number of readers follow.
There is no queue and no task of the log's own. `append` numbers a row and hands it to the store at once if no commit
is under way, else it joins the batch that is committed next; a done-callback of the store's future publishes a batch,
wakes the readers and starts the next commit. Only committed rows are visible.

A reader is a cursor with a future of its own: it looks, and if there is nothing it waits, with no await in between,
so no wake-up is lost; a reader that is cancelled or never reads costs the others nothing. Waking a reader is what
costs, so a reader that was served a moment ago lingers: it is woken when `LINGER` seconds have passed since, with
everything that came meanwhile; an urgent row (a pause, an end) wakes it at once. The tail in memory is bounded: older
rows come from the store.

When the store cannot commit (full, gone, or somebody else has claimed the stream), the log is broken: nothing more
becomes visible, and every reader and writer gets the error. What was visible stays true.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Sequence

from a2a_bridge.errors import StoreError, StoreUnavailableError
from a2a_bridge.store.contract import Change, Claim, Numbered, Streams

Row = Numbered
"""One row of a task's log, with its number."""
MAX_BATCH = 256
"""Events in one commit."""
MAX_AHEAD = 256
"""Events that a run may be ahead of the last commit."""
MAX_AHEAD_BYTES = 1 << 20
LINGER = 0.002
"""Seconds between two wake-ups of one reader, unless the row is urgent."""
MAX_TAIL_BYTES = 1 << 20
"""Bytes of visible rows kept in memory, or one larger row."""


class TaskLog:
    """The rows of one task, written under one epoch at a time.

    `appended` is the number of the last row that was appended, `visible` of the last one that is committed. `closed`:
    row `last` was the last one.
    """

    __slots__ = (
        "_ahead_bytes",
        "_base",
        "_broken",
        "_closed_at",
        "_committing",
        "_lingering",
        "_loop",
        "_pending",
        "_pending_records",
        "_store",
        "_stream",
        "_tail",
        "_tail_bytes",
        "_urgent_at",
        "_waiting",
        "appended",
        "epoch",
        "visible",
    )

    def __init__(self, store: Streams, stream: str, *, epoch: int, last: int = 0, closed: bool = False) -> None:
        self._store = store
        self._stream = stream
        self.epoch = epoch
        self.appended = last
        self.visible = last
        self._base = last
        self._tail: list[bytes] = []
        self._tail_bytes = 0
        self._pending: list[bytes] = []
        self._pending_records: list[Change] = []
        self._ahead_bytes = 0
        self._committing: list[bytes] | None = None
        self._loop = asyncio.get_running_loop()
        self._waiting: list[tuple[asyncio.Future[None], float]] = []
        self._lingering: set[asyncio.Future[None]] = set()
        self._urgent_at = 0
        self._closed_at: int | None = last if closed else None
        self._broken: StoreError | None = None

    def take_over(self, claim: Claim) -> None:
        """Write under a new claim; a log that was not followed so far starts after the rows that are there."""
        self.epoch = claim.epoch
        if self.visible < claim.last:
            self.appended = self.visible = self._base = claim.last
            self._tail, self._tail_bytes = [], 0

    @property
    def is_closed(self) -> bool:
        """The last event there will ever be is visible (not merely appended)."""
        return self._closed_at is not None and self.visible >= self._closed_at

    @property
    def broken(self) -> StoreError | None:
        """Why nothing more can be committed, if so."""
        return self._broken

    @property
    def is_ahead(self) -> bool:
        """The writer must wait for `room()` before it appends more."""
        return self.appended - self.visible >= MAX_AHEAD or self._ahead_bytes >= MAX_AHEAD_BYTES

    def append(self, row: bytes, records: Sequence[Change] = (), *, urgent: bool = False, closes: bool = False) -> int:
        """Number a row and see that it is committed; returns its number.

        `records` change with it. `urgent`: readers get it at once. `closes`: this is the last row of the task. Raises
        the StoreError of a broken log.
        """
        if self._broken is not None:
            raise self._broken
        self.appended += 1
        if closes:
            self._closed_at = self.appended
        if urgent or closes:
            self._urgent_at = self.appended
        self._pending.append(row)
        self._pending_records.extend(records)
        self._ahead_bytes += len(row)
        if self._committing is None:
            self._commit()
        return self.appended

    def _commit(self) -> None:
        rows, records = self._pending[:MAX_BATCH], self._pending_records
        del self._pending[:MAX_BATCH]
        self._pending_records = []
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
            if self._pending:
                self._commit()
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
        self._tail += rows
        self._tail_bytes += size
        while self._tail_bytes > MAX_TAIL_BYTES and len(self._tail) > 1:
            self._drop_half()
        if self._waiting or self._lingering:
            self.wake(urgent=self.visible >= self._urgent_at > self.visible - len(rows))

    def _drop_half(self) -> None:
        count = max(1, len(self._tail) // 2)
        self._tail_bytes -= sum(map(len, self._tail[:count]))
        del self._tail[:count]
        self._base += count

    def _fail(self, error: StoreError) -> None:
        self._broken = error
        self._committing = None
        self._pending, self._pending_records, self._ahead_bytes = [], [], 0
        self.appended = self.visible
        self.wake()

    def wake(self, *, urgent: bool = True) -> None:
        """Let everybody who waits look again; unless `urgent`, who was served just now looks a little later."""
        waiting, self._waiting = self._waiting, []
        now = self._loop.time()
        for future, not_before in waiting:
            if future.done():
                continue
            if urgent or now >= not_before:
                future.set_result(None)
            else:
                self._lingering.add(future)
                self._loop.call_at(not_before, self._release, future)
        if urgent and self._lingering:
            for future in list(self._lingering):
                self._release(future)

    def _release(self, future: "asyncio.Future[None]") -> None:
        self._lingering.discard(future)
        if not future.done():
            future.set_result(None)

    def wait(self, not_before: float = 0.0) -> Awaitable[None]:
        """Done at the next commit, or when the log breaks; an ordinary commit does not end it before `not_before`
        (event loop time). Look first: what is visible already wakes nobody."""
        future: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append((future, not_before))
        return future

    async def until(self, seq: int) -> None:
        """Return when row `seq` is visible; raise if it never will be."""
        while self.visible < seq and self._broken is None:
            await self.wait()
        if self.visible < seq and self._broken is not None:
            raise self._broken

    async def room(self) -> None:
        """Return when the writer is no longer too far ahead of the store; raise if the log is broken."""
        while self.is_ahead and self._broken is None:
            await self.wait()
        if self._broken is not None:
            raise self._broken

    def tail(self, after: int, limit: int) -> list[Numbered] | None:
        """At most `limit` visible rows above `after`, if memory still has them; None: ask the store."""
        if after < self._base:
            return None
        start = after - self._base
        return [Numbered(after + 1 + i, row) for i, row in enumerate(self._tail[start : start + limit])]

    async def follow(self, after: int, *, limit: int = 64) -> AsyncGenerator[list[Numbered], None]:
        """Visible rows above `after`, in lists of at most `limit`, until the log is closed.

        Raises the StoreError of a broken log after the last visible row.
        """
        not_before = 0.0
        while True:
            rows = self.tail(after, limit)
            if rows is None:
                rows = await self._store.read(self._stream, after, limit)
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
            elif self._broken is not None:
                raise self._broken
            else:
                await self.wait(not_before)
