"""Listening to one seat: how long its silence is borne, and what of all it may raise is a failure of its own.

Concurrency, in prose. No task is started: the seat runs in the task of whoever reads. A timer of the event loop
watches that task while it waits for the next reply, and only then: what the reader does between two replies is not
the seat's silence. When the time is over the timer cancels the task, as `asyncio.timeout` does, takes the cancellation
back when it arrives here, and the turn has failed. A seat that has not let go some seconds later (a blocking call in a
thread, say) is cancelled again, which leaves it behind: its thread ends when it ends. A cancellation that came from
somebody else in the meantime goes through. When the reader is closed the timer goes with it.
"""

import asyncio
from collections.abc import AsyncGenerator

from a2a_bridge.chat.control import CanceledError
from a2a_bridge.chat.spoken import Spoken
from a2a_bridge.errors import ChatError

GRACE = 10.0
"""Seconds in which a seat that was silent for too long may clean up."""


class SilenceError(ChatError):
    """Nothing came for too long."""


async def heard(
    replies: AsyncGenerator[Spoken, None], seconds: float | None, watch: "Watch"
) -> AsyncGenerator[Spoken, None]:
    """The replies of a seat. SilenceError when none has come for so many seconds; None waits for ever.

    `watch` is the reader's, one turn after another; it closes it when it reads no more. CanceledError when the watch is
    told to cancel. A CancelledError that nobody asked for becomes a ChatError: it ends that seat's turn, not the room.
    KeyboardInterrupt and SystemExit go through: a signal handler may raise them anywhere, and then the program is
    meant.
    """
    try:
        while True:
            watch.begin(seconds)
            try:
                reply = await anext(replies)
            except StopAsyncIteration:
                return
            except asyncio.CancelledError:
                watch.judge()
                raise
            finally:
                watch.end()
            yield reply
    finally:
        await replies.aclose()


class Watch:
    """The timer of one reader. It is set once and looks again later, so that a turn or a reply costs no timer."""

    __slots__ = ("_base", "_canceled", "_cancels", "_grace", "_handle", "_loop", "_seconds", "_since", "_task")

    def __init__(self, grace: float = GRACE) -> None:
        self._seconds: float | None = None
        self._grace = grace
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[object] | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._since = 0.0
        self._base = self._cancels = 0
        self._canceled: str | None = None

    def begin(self, seconds: float | None) -> None:
        """The reader waits for the seat from now on, for so long."""
        self._seconds = seconds
        self._task = task = asyncio.current_task(self._loop)
        self._base = task.cancelling() if task is not None else 0
        if seconds is None:
            return
        self._since = self._loop.time()
        due = self._since + seconds
        if self._handle is not None and self._handle.when() > due:
            self._handle.cancel()
            self._handle = None
        if self._handle is None:
            self._handle = self._loop.call_at(due, self._look)

    def cancel(self, reason: str) -> None:
        """Nobody wants to hear the seat any more: it is cancelled where the reader waits for it, now or next time."""
        self._canceled = reason
        if self._task is not None:
            self._cancels += 1
            self._task.cancel()

    def _look(self) -> None:
        self._handle = None
        if self._task is None or self._seconds is None:
            return  # nobody waits; the next `begin` sets the timer again
        due = self._since + self._seconds
        if not self._cancels and self._loop.time() < due:
            self._handle = self._loop.call_at(due, self._look)
            return
        self._cancels += 1
        self._task.cancel()
        self._handle = self._loop.call_later(self._grace, self._look)

    def judge(self) -> None:
        """Raise what a CancelledError of the seat means; return if somebody has cancelled the reader."""
        task = asyncio.current_task()
        was_ours, base = self._cancels > 0, self._base
        self.end()
        if task is None:
            return
        if was_ours and self._canceled is not None and task.cancelling() <= base:
            raise CanceledError(self._canceled) from None
        if was_ours and task.cancelling() <= base:
            raise SilenceError(
                f"nothing came for {self._seconds:g} seconds; Seat(timeout=...) says how long is waited"
            ) from None
        if not task.cancelling():
            raise ChatError("it raised CancelledError although nobody had cancelled it") from None

    def end(self) -> None:
        """The reader has a reply, or the seat is done: take back what was cancelled here."""
        task, self._task = self._task, None
        while self._cancels and task is not None:
            self._cancels -= 1
            task.uncancel()

    def close(self) -> None:
        """Nobody waits any more."""
        if self._handle is not None:
            self._handle.cancel()
