"""Turns for sync code: one event loop in a thread of its own, for the whole life of the process.

One loop, and not one for each call, because what an agent holds belongs to a loop: the connections of its client,
locks, a pool. The thread is a daemon and starts with the first call; a child of a fork starts one of its own. At the
end of the process the loop is ended in good order: its tasks are cancelled, its connections closed. Whoever calls owns
the turn: Ctrl-C cancels it, and is raised when it has ended.
"""

import asyncio
import atexit
import contextvars
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

T = TypeVar("T")

_END_WITHIN = 5.0


class LoopThread:
    """An event loop in a thread, once somebody needs it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """In the child of a fork there is no such thread."""
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def loop(self) -> asyncio.AbstractEventLoop:
        """Started by whoever comes first."""
        with self._guard:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_serve, args=(self._loop,), daemon=True, name="a2a-bridge-loop")
                thread.start()
                atexit.register(_end, self._loop, thread, os.getpid())
            return self._loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Block until it has ended; its own context variables are a copy of the caller's."""
        loop, outcome = self.loop(), Future[T]()
        tasks: list[asyncio.Task[T]] = []

        def settle(task: "asyncio.Task[T]") -> None:
            if task.cancelled():
                outcome.set_exception(asyncio.CancelledError())
            elif (error := task.exception()) is not None:
                outcome.set_exception(error)
            else:
                outcome.set_result(task.result())

        def begin() -> None:
            tasks.append(loop.create_task(work))
            tasks[0].add_done_callback(settle)

        def give_up() -> None:
            if tasks:
                tasks[0].cancel()
            else:  # interrupted before it was begun
                work.close()
                outcome.cancel()

        try:
            loop.call_soon_threadsafe(begin)
            return outcome.result()
        finally:
            if not outcome.done():  # Ctrl-C
                loop.call_soon_threadsafe(give_up)
                wait([outcome])


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    while True:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):  # raised in a task, whose caller has it: others are still at work
            continue
        break
    close_loop(loop)


def close_loop(loop: asyncio.AbstractEventLoop) -> None:
    """End a loop that is not running, with what is left in it: its tasks are cancelled, its connections closed. It does
    not wait for threads, which `asyncio.Runner` does: at the end of a process no thread to wait in can be started."""
    if tasks := asyncio.all_tasks(loop):
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.wait(tasks))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread, process: int) -> None:
    if process == os.getpid():
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_END_WITHIN)


_shared = LoopThread()
if hasattr(os, "register_at_fork"):  # not on Windows, where nobody forks
    os.register_at_fork(after_in_child=_shared.forget)


def blocking(work: Coroutine[Any, Any, T]) -> T:
    """For sync code of a host: run it to its end in the loop that all such calls share. Called in that very loop, by an
    agent that blocks it, it runs in one of its own."""
    try:
        is_inside = asyncio.get_running_loop() is _shared.loop()
    except RuntimeError:
        is_inside = False
    if not is_inside:
        return _shared.run(work)
    with ThreadPoolExecutor(1, "a2a-bridge-loop") as thread:
        return thread.submit(contextvars.copy_context().run, asyncio.run, work).result()
