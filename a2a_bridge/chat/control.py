"""What others want of a room that runs: say something, pause, go on, stop, seat somebody or ask somebody to leave.

Concurrency, in prose. The room runs in one task, its reader's, and only that task touches its log. Others, in the same
event loop, leave what they want here; the room looks at it between two turns, and between two replies of whoever
speaks. `cancel` alone does not wait for that: it cancels the room's task where it waits, for a seat, a model or a
person, and the room takes the cancellation back when it arrives. A cancellation that came from somebody else goes
through. When the room's run ends, nobody finds it here any more.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

from a2a_bridge.agent import Turn, speaker_of
from a2a_bridge.chat.names import check_names, fold_name
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import Message

T = TypeVar("T")


class RoomNotRunningError(ChatError):
    """There is no running room of that id in this process."""


class CanceledError(ChatError):
    """The room was told to stop."""


@dataclass(frozen=True, slots=True)
class Gone:
    """Whoever has this name has left."""

    name: str


class Cancels(Protocol):
    """Waits for whoever speaks, and can be told not to."""

    def cancel(self, reason: str) -> None: ...


class Control:
    """The outside's end of one run. `is_wanted`: the room must look here before its next turn. `watch`
    waits for the seat that speaks alone. `names`: who has a seat, or is about to take one."""

    def __init__(self, room: str) -> None:
        self.room = room
        self.said: deque[tuple[str | None, Message]] = deque()
        self.seats: deque[Any] = deque()
        self.canceled: str | None = None
        self.finished: str | None = None
        self.is_wanted = False
        self._goes_on: asyncio.Event | None = None
        self.watch: Cancels | None = None
        self.names: tuple[str, ...] = ()
        self._waiting: asyncio.Task[Any] | None = None
        self._cancels = 0

    @property
    def is_paused(self) -> bool:
        """No seat is asked until `go_on`."""
        return self._goes_on is not None and not self._goes_on.is_set()

    def interject(self, message: Message, name: str | None = None) -> None:
        """Say something at once, under the name of a person, or of the room's own stand-in."""
        self.said.append((name, message))
        self.is_wanted = True

    def join(self, seat: Any) -> None:
        """Somebody takes a seat; ChatError when the name cannot be told from another one in the room."""
        check_names((*self.names, seat.key))
        self.names = (*self.names, seat.key)
        self.change(lambda changes: (*changes, seat))

    def change(self, seats: Callable[[tuple[Any, ...]], tuple[Any, ...]]) -> None:
        """Somebody comes or goes, before the next turn."""
        self.seats.append(seats)
        self.is_wanted = True

    def leave(self, name: str) -> None:
        """Somebody is to leave; ChatError if there is nobody of that name."""
        if fold_name(name) not in map(fold_name, self.names):
            raise ChatError(f"nobody called {name!r} has a seat in the room; there are {', '.join(self.names)}")
        self.names = tuple(known for known in self.names if fold_name(known) != fold_name(name))
        self.change(lambda changes: (*changes, Gone(name)))

    def pause(self) -> None:
        """Let whoever speaks finish, then wait for `go_on`."""
        if self._goes_on is None:
            self._goes_on = asyncio.Event()
        self._goes_on.clear()
        self.is_wanted = True

    def go_on(self) -> None:
        """End a pause."""
        if self._goes_on is not None:
            self._goes_on.set()

    def finish(self, reason: str) -> None:
        """Let whoever speaks finish, then end."""
        self.finished = reason
        self.is_wanted = True

    def cancel(self, reason: str) -> None:
        """Stop the run now: whoever speaks is cancelled, remote tasks with it."""
        if self.canceled is None:
            self.canceled = reason
            self.is_wanted = True
            if self._waiting is not None:
                self._cancels += 1
                self._waiting.cancel()
            elif self.watch is not None:
                self.watch.cancel(reason)

    # --- the room's end

    async def pass_pause(self) -> None:
        """Wait until the room is not paused."""
        if self._goes_on is not None:
            await self.guard(self._goes_on.wait())

    async def guard(self, work: Awaitable[T]) -> T:
        """Wait for something; CanceledError when the room is told to stop meanwhile, or was before."""
        task = self._waiting = asyncio.current_task()
        base = 0 if task is None else task.cancelling()
        try:
            return await work
        except asyncio.CancelledError:
            if self._cancels and task is not None:
                self._cancels = 0
                if task.uncancel() <= base:
                    raise CanceledError(self.canceled or "canceled") from None
            raise
        finally:
            if self._cancels and task is not None:  # what was awaited came at the same moment
                task.uncancel()
                self._cancels = 0
            self._waiting = None


async def listen(turn: Turn, control: Control) -> None:
    """Take what is sent to a room that is served, while it runs."""
    async for message in turn.interjections():
        control.interject(message, speaker_of(message))


_running: WeakValueDictionary[str, Control] = WeakValueDictionary()


def register(control: Control) -> None:
    """The room runs: others find it by its id."""
    _running[control.room] = control


def unregister(control: Control) -> None:
    """It has ended."""
    if _running.get(control.room) is control:
        del _running[control.room]


def running(room: str) -> Control:
    """The control of a running room; RoomNotRunningError if there is none of that id in this process."""
    found = _running.get(room)
    if found is None:
        raise RoomNotRunningError(
            f"no room {room!r} runs in this process: it has ended, or another process runs it; a room that is kept"
            " in a store goes on with resume()"
        )
    return found
