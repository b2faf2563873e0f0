"""Calls after a delay that is always the same, at the price of a dictionary entry each: one timer serves them all.

A server sets two of them for every send, and nearly all are cleared long before they are due; a timer of the event
loop for each would cost more than the rest of opening a task. The entries stand in the order in which they are due,
because the delay is one. The timer goes off for the first one and then looks for the next; it owns nothing, and what
it calls is called from the event loop, one step each.
"""

import asyncio
from collections.abc import Callable, Hashable


class Alarms:
    """Alarms of one delay, in seconds, each under a key of its own."""

    __slots__ = ("_loop", "_set", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._set: dict[Hashable, tuple[float, Callable[[], None]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None  # the one whose timer is running

    def set(self, key: Hashable, call: Callable[[], None]) -> None:
        """Call this when the delay is over; the key must not be in use."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
            loop.call_later(self.seconds, self._ring, loop)
        self._set[key] = (loop.time() + self.seconds, call)

    def clear(self, key: Hashable) -> None:
        """Do not call it; nothing happens if it has been called or was never set."""
        self._set.pop(key, None)

    def _ring(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        due = []
        for key, (when, call) in self._set.items():
            if when > now:
                loop.call_at(when, self._ring, loop)
                break
            due.append((key, call))
        else:
            self._loop = None
        for key, call in due:
            del self._set[key]
            loop.call_soon(call)
