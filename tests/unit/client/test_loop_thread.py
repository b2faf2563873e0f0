"""The event loop that all sync calls of a process share."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

from a2a_bridge.client.loop_thread import LoopThread, blocking

SAID: ContextVar[str] = ContextVar("said")


async def loop_and_word() -> tuple[asyncio.AbstractEventLoop, str]:
    """Where it runs, and with which context."""
    return asyncio.get_running_loop(), SAID.get("")


def test_all_calls_of_all_threads_run_in_one_loop() -> None:
    """Ours: the client of a model keeps its connections in the loop that it was first used in, and fails in another."""
    SAID.set("hello")
    first, word = blocking(loop_and_word())
    with ThreadPoolExecutor(2) as threads:
        others = list(threads.map(lambda _: blocking(loop_and_word())[0], range(2)))
    assert others == [first, first]
    assert word == "hello"


async def test_a_loop_that_runs_already_is_not_the_one_that_it_runs_in() -> None:
    """Ours: notebooks have a loop running, and sync code is called in it."""
    loop, _ = blocking(loop_and_word())
    assert loop is not asyncio.get_running_loop()


def test_an_agent_may_block_in_the_loop_itself() -> None:
    """Ours: an agent that calls sync code of a host, which seats another agent, waits for no one but itself."""

    async def outer() -> str:
        return blocking(inner())

    async def inner() -> str:
        return "done"

    assert blocking(outer()) == "done"


def test_what_is_raised_is_raised_and_the_loop_goes_on() -> None:
    """Ours: the end of one caller's program is not the end of the others'."""

    async def leaves(error: BaseException) -> None:
        raise error

    for error in (ValueError("no"), SystemExit(3), asyncio.CancelledError()):
        with pytest.raises(type(error)):
            blocking(leaves(error))
    assert blocking(loop_and_word())


def test_ctrl_c_cancels_what_runs_and_waits_for_it() -> None:
    """Ours: the remote task is cancelled before the program goes on."""
    ended: list[str] = []

    async def work() -> None:
        try:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("in order")

    with pytest.raises(KeyboardInterrupt):
        blocking(work())
    assert ended == ["in order"]


PROGRAM = """
import asyncio, os
from a2a_bridge.client.loop_thread import blocking

async def kept():
    try:
        yield
    finally:
        print("closed", flush=True)

KEPT = kept()

async def work():
    await anext(KEPT, None)
    await asyncio.sleep(0)
    return os.getpid()

blocking(work())
child = os.fork()
if not child:
    KEPT = kept()
    assert blocking(work()) == os.getpid()
else:
    os.waitpid(child, 0)
"""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_of_a_fork_has_its_own_and_each_is_closed_at_the_end() -> None:
    """Ours: servers fork their workers; what runs is ended with the process, and what is open is closed."""
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "ignore::DeprecationWarning", "-c", PROGRAM],
        capture_output=True, text=True, timeout=30, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("closed\nclosed\n", "", 0)


def test_it_starts_when_it_is_needed() -> None:
    """Ours: a program that never blocks has no thread of ours."""
    before = threading.active_count()
    LoopThread()
    assert threading.active_count() == before
