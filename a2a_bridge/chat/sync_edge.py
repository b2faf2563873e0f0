"""The sync edge: an async conversation for a program that has no event loop.

The main thread has one loop for all its conversations, which is closed at the end of the process: agents of other
frameworks keep connections in the loop that they were first used in, and fail in another. A conversation that was torn
out of it (a second Ctrl-C) ends it at once, and the next one begins with a new loop; so does the child of a fork.
Other threads have a loop for each call.
"""

import asyncio
import atexit
import contextvars
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from a2a_bridge.chat.interruption import Interruption, interruptible
from a2a_bridge.client.loop_thread import close_loop
from a2a_bridge.net import SERVES

T = TypeVar("T")


def run_sync(start: Callable[[], Coroutine[Any, Any, T]], spelling: str) -> T:
    """Run to the end in an event loop of its own.

    Ctrl-C ends it in good order, and raises KeyboardInterrupt then. Inside a running loop this would block it:
    RuntimeError names the spelling to use. IPython and notebooks always have a loop running; there it runs in a thread
    with a loop of its own, unless an agent is served from theirs, which this would wait for and block.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _in_a_loop(start)
    if not _under_ipython():
        raise RuntimeError(f"an event loop is running here, which this call would block: use {spelling}")
    if any(task.get_name() == SERVES for task in asyncio.all_tasks()):
        raise RuntimeError(f"agents are served from this event loop, which this call would block: use {spelling}")
    return _in_a_thread(start)


def _in_a_loop(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    noted, before = Interruption(), signal.getsignal(signal.SIGINT)
    try:
        if threading.current_thread() is not threading.main_thread():
            return asyncio.run(interruptible(start, noted))
        return _main.runner().run(interruptible(start, noted), context=contextvars.copy_context())
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None  # without the way it took through the loop
    finally:
        if noted.task is not None and not noted.task.done():
            _main.close()
            signal.signal(signal.SIGINT, before)  # what ends there has put back the handler of the loop that is gone


class _MainLoop:
    """The loop of the main thread, once it has one."""

    def __init__(self) -> None:
        self._runner: asyncio.Runner | None = None

    def runner(self) -> asyncio.Runner:
        if self._runner is None:
            self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        return self._runner

    def close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            close_loop(runner.get_loop())

    def forget(self) -> None:
        """In the child of a fork: the loop is the parent's."""
        self._runner = None


_main = _MainLoop()
atexit.register(_main.close)
if hasattr(os, "register_at_fork"):  # not on Windows, where nobody forks
    os.register_at_fork(after_in_child=_main.forget)


def _under_ipython() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def _in_a_thread(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The thread is ours and waited for; Ctrl-C in the cell cancels what runs in it."""
    done: Future[T] = Future()
    noted = Interruption()
    loop = asyncio.new_event_loop()

    def work() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                done.set_result(runner.run(interruptible(start, noted)))
            except BaseException as error:  # handed to the caller, whatever it is
                done.set_exception(error)

    thread = threading.Thread(target=work, name="a2a-bridge-chat")
    try:
        thread.start()  # Ctrl-C may arrive in here already
        return done.result()
    except KeyboardInterrupt:
        noted.is_set = True
        loop.call_soon_threadsafe(noted.cancel)
        raise
    finally:
        thread.join()
