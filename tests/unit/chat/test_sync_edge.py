"""The sync edge."""

import asyncio
import sys
import types
from typing import Any

import pytest

from a2a_bridge.chat.sync_edge import run_sync


async def answer() -> str:
    await asyncio.sleep(0)
    return "done"


def test_without_a_loop_it_runs_in_one_of_its_own() -> None:
    """Ours: a program needs no event loop of its own."""
    assert run_sync(answer, "await x") == "done"


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


async def test_an_imported_ipython_without_a_shell_is_no_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: some libraries import IPython."""
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: None))
    with pytest.raises(RuntimeError):
        run_sync(answer, "await x")
