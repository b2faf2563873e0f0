"""The sync edge: an async conversation for a program that has no event loop."""

import asyncio
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


def run_sync(start: Callable[[], Coroutine[Any, Any, T]], spelling: str) -> T:
    """Run to the end in an event loop of its own.

    Inside a running loop this would block it: RuntimeError names the spelling to use. IPython and notebooks always
    have a loop running; there it runs in a thread with a loop of its own.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(start())
    if not _under_ipython():
        raise RuntimeError(f"an event loop is running here, which this call would block: use {spelling}")
    return _in_a_thread(start)


def _under_ipython() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def _in_a_thread(start: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """The thread is ours and waited for; Ctrl-C in the cell cancels what runs in it."""
    done: Future[T] = Future()
    loop = asyncio.new_event_loop()

    def work() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            try:
                done.set_result(runner.run(start()))
            except BaseException as error:  # handed to the caller, whatever it is
                done.set_exception(error)

    thread = threading.Thread(target=work, name="a2a-bridge-chat")
    thread.start()
    try:
        return done.result()
    except KeyboardInterrupt:
        loop.call_soon_threadsafe(_cancel_all, loop)
        raise
    finally:
        thread.join()


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
