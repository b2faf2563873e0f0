"""The sync edge."""

import asyncio
import sys
import types
from contextvars import ContextVar
from typing import Any

import pytest

from a2a_bridge.bridge import Bridge
from a2a_bridge.chat.sync_edge import run_sync
from a2a_bridge.testing.server import running


async def answer() -> str:
    await asyncio.sleep(0)
    return "done"


def test_without_a_loop_it_runs_in_one_of_its_own() -> None:
    """Ours: a program needs no event loop of its own."""
    assert run_sync(answer, "await x") == "done"


SAID: ContextVar[str] = ContextVar("said", default="")


async def loop_and_word() -> tuple[asyncio.AbstractEventLoop, str]:
    """Where it runs, and with which context."""
    return asyncio.get_running_loop(), SAID.get()


def test_all_conversations_of_the_main_thread_run_in_one_loop() -> None:
    """Ours: agents of other frameworks keep connections in the loop that they were first used in, and fail in another;
    the context is that of each caller."""
    first, _ = run_sync(loop_and_word, "")
    SAID.set("hello")
    assert run_sync(loop_and_word, "") == (first, "hello")


def test_a_conversation_that_was_torn_out_of_its_loop_ends_it() -> None:
    """Ours: what a second Ctrl-C has left behind does not go on in the next conversation."""
    ended: list[str] = []

    async def torn() -> None:
        async def ctrl_c() -> None:
            raise KeyboardInterrupt

        pressing = asyncio.create_task(ctrl_c())
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(repr(pressing.exception()))

    first, _ = run_sync(loop_and_word, "")
    with pytest.raises(KeyboardInterrupt):
        run_sync(torn, "")
    assert ended == ["KeyboardInterrupt()"]
    assert first.is_closed()
    assert run_sync(loop_and_word, "")[0] is not first


async def test_in_a_loop_it_refuses_before_anything_is_started() -> None:
    """Ours: and leaves no coroutine that was never awaited."""
    with pytest.raises(RuntimeError, match="use await x"):
        run_sync(answer, "await x")


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: object()))


async def test_in_a_notebook_errors_reach_the_cell(notebook: Any) -> None:
    """Ours: a thread and a loop of its own."""

    async def broken() -> str:
        raise ValueError("mistake")

    assert run_sync(answer, "await x") == "done"
    with pytest.raises(ValueError, match="mistake"):
        run_sync(broken, "await x")


async def test_a_notebook_that_serves_is_told_what_to_write_instead_of_waiting_for_itself(notebook: Any) -> None:
    """Ours: the agent of the cell above lives in the loop that this call would block; nothing would ever be said."""

    def shout(text: str) -> str:
        return text.upper()

    async with running(lambda url: Bridge(shout, public_url=url)):
        with pytest.raises(RuntimeError, match=r"served from this event loop.*use await x"):
            run_sync(answer, "await x")
    assert run_sync(answer, "await x") == "done"


async def test_an_imported_ipython_without_a_shell_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: some libraries import IPython."""
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    with pytest.raises(RuntimeError):
        run_sync(answer, "await x")
