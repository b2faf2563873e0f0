"""Ctrl-C, told apart from every other cancellation.

Concurrency, in prose. A program that waits for a conversation in an event loop of our own waits in the main task of
that loop, and Ctrl-C cancels this task, as asyncio has it. The handler here is put before asyncio's for that time and
only notes that it was Ctrl-C; whoever is cancelled may ask. A second Ctrl-C raises KeyboardInterrupt wherever the
program is, and nothing more is written. Tasks that are started meanwhile inherit the note.

A signal that comes while the loop is about to wait wakes nobody: Python notes it and calls the handler when the wait is
over. So signals are written to a socket that the loop reads for that time, as uvloop and asyncio on Windows do.
"""

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class Interruption:
    """Whether the person at the terminal has pressed Ctrl-C."""

    is_set: bool = False
    task: "asyncio.Task[Any] | None" = None

    def cancel(self) -> None:
        """Cancel what runs, from its own event loop."""
        if self.task is not None:
            self.task.cancel()


_CURRENT: ContextVar[Interruption | None] = ContextVar("a2a_bridge_interruption", default=None)


def is_interrupted() -> bool:
    """The person who waits for this has pressed Ctrl-C: a cancellation that arrives now is theirs."""
    current = _CURRENT.get()
    return current is not None and current.is_set


async def interruptible(start: Callable[[], Coroutine[Any, Any, T]], noted: Interruption) -> T:
    """Run it in this task, the main one of its loop; Ctrl-C meanwhile is noted, whoever else handles it."""
    held = _CURRENT.set(noted)
    noted.task = asyncio.current_task()
    if noted.is_set:
        noted.cancel()  # Ctrl-C was faster than the thread that this runs in
    before = signal.getsignal(signal.SIGINT)
    is_ours = callable(before) and threading.current_thread() is threading.main_thread()

    def note(number: int, frame: FrameType | None) -> None:
        noted.is_set = True
        if callable(before):
            before(number, frame)

    if is_ours:
        signal.signal(signal.SIGINT, note)
    try:
        with _woken_by_signals() if is_ours else contextlib.nullcontext():
            return await start()
    finally:
        if is_ours:
            signal.signal(signal.SIGINT, before)
        _CURRENT.reset(held)


@contextlib.contextmanager
def _woken_by_signals() -> Iterator[None]:
    """The running loop of the main thread, inside."""
    before = signal.set_wakeup_fd(-1)
    if before != -1:  # somebody wakes it already
        signal.set_wakeup_fd(before)
        yield
        return
    loop = asyncio.get_running_loop()
    read, written = socket.socketpair()
    with read, written:
        read.setblocking(False)
        written.setblocking(False)
        loop.add_reader(read, read.recv, 64)
        signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            if (now := signal.set_wakeup_fd(-1)) != written.fileno():  # somebody's who came meanwhile
                signal.set_wakeup_fd(now)
            loop.remove_reader(read)
