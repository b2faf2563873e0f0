"""The sync edge: an async conversation for a program that has no event loop."""

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from a2a_bridge.chat.interruption import Interruption, interruptible

T = TypeVar("T")


def run_sync(start: Callable[[], Coroutine[Any, Any, T]], spelling: str) -> T:
    """Run to the end in an event loop of its own.

    Ctrl-C ends it in good order, and raises KeyboardInterrupt then. Inside a running loop this would block it:
    RuntimeError names the spelling to use. IPython and notebooks always have a loop running; there it runs in a thread
    with a loop of its own.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _in_a_loop(start)
    if not _under_ipython():
        raise RuntimeError(f"an event loop is running here, which this call would block: use {spelling}")
    return _in_a_thread(start)


def _in_a_loop(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    try:
        return asyncio.run(interruptible(start, Interruption()))
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None  # without the way it took through the loop


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
