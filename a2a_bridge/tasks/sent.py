"""Reading what a send has begun, or a subscription asks for: rows of a log from somewhere to somewhere."""

from collections.abc import AsyncGenerator, Callable

from a2a_bridge.protocol.events import message_event, task_event
from a2a_bridge.protocol.snapshot import TaskPieces
from a2a_bridge.store.contract import Numbered, Store
from a2a_bridge.tasks.live import Identity, LiveTask
from a2a_bridge.tasks.log import TaskLog, at_once


class Sent:
    """An accepted send, or the one that it repeats: wait for its answer, or follow its events."""

    __slots__ = ("_after", "_live", "history_length")

    def __init__(self, live: LiveTask, after: int, history_length: int | None = None) -> None:
        self._live = live
        self._after = after
        self.history_length = history_length

    async def opened(self) -> bytes:
        """The task as it is once it is shown: the answer to `returnImmediately` (R-SEND-03)."""
        await self._live.shown()
        return await self._answer()

    async def ended(self) -> bytes:
        """The SendMessageResponse once the turn has ended, whatever that is (R-SEND-02)."""
        await self._live.turn_ended(self._after)
        return await self._answer()

    async def _answer(self) -> bytes:
        live = self._live
        if live.direct is not None:
            return message_event(live.direct)
        if live.log.visible == live.log.appended and live.log.broken is None:
            return task_event(live.pieces.json(self.history_length))
        task, _ = await live.snapshot(self.history_length)
        return task_event(task)

    async def stream(self) -> AsyncGenerator[list[Numbered], None]:
        """The opening `task`, then the rows of this turn, to its end (R-STRM-02 to R-STRM-04).

        Returns when the task is shown, so that a stream is opened only for a turn that has something to say. A direct
        answer is one row with the number 0 (R-STRM-01).
        """
        live = self._live
        await live.shown()
        if live.direct is not None:
            return one_row(message_event(live.direct))
        if self._after == 0 and self.history_length is None and live.log.tail(0, 1):
            return until_turn_ends(live, 0, 0)  # the first row is the opening snapshot
        return self._from_snapshot()

    async def _from_snapshot(self) -> AsyncGenerator[list[Numbered], None]:
        task, seq = await self._live.snapshot(self.history_length)
        yield [Numbered(seq, task_event(task))]
        async for rows in until_turn_ends(self._live, seq, self._after):
            yield rows


async def one_row(row: bytes, seq: int = 0) -> AsyncGenerator[list[Numbered], None]:
    yield [Numbered(seq, row)]


async def until_turn_ends(live: LiveTask, after: int, turn_starts: int) -> AsyncGenerator[list[Numbered], None]:
    """Rows above `after` up to the first end of a turn above `turn_starts`."""
    ends = live.pieces.ends
    if any(turn_starts < end <= after for end in ends):
        return
    async for rows in live.log.follow(after):
        end = next((end for end in ends if end > turn_starts), None)
        if end is not None and rows[-1].seq >= end:
            yield [row for row in rows if row.seq <= end]
            return
        yield rows


def ended_task(who: Identity, pieces: TaskPieces, store: Store, clock: Callable[[], float]) -> LiveTask:
    """A task that has ended, in the shape of a live one: for a repeated send that comes late."""
    last = pieces.ends[-1]
    live = LiveTask(who, pieces, TaskLog(store, who.stream, epoch=0, last=last, closed=True), clock)
    live.is_shown = True
    return live


async def follow(live: LiveTask, after: int | None) -> AsyncGenerator[list[Numbered], None]:
    if after is None or after > live.log.visible:
        task, after = await live.snapshot()
        yield [Numbered(after, task_event(task))]
    async for rows in live.log.follow(after):
        yield rows


async def replay(store: Store, stream: str, after: int) -> AsyncGenerator[list[Numbered], None]:
    while rows := at_once(await store.read(stream, after, 64)):
        yield rows
        after = rows[-1].seq
