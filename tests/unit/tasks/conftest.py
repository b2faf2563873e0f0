"""Bridges with any agent over either store, and a rude client for each."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from a2a_bridge.bridge import Bridge
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.testing.wire import Wire

Serve = Callable[..., Awaitable[Wire]]


@pytest.fixture
def serve(start: Callable[[Bridge], Awaitable[httpx.AsyncClient]]) -> Serve:
    """`await serve(agent, store=..., limits=...)`: a bridge that ends with the test."""

    async def served(agent: Any, **options: Any) -> Wire:
        return Wire(await start(Bridge(agent, **options)))

    return served


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Both kinds: one that commits at once and one that commits later."""
    return MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "tasks.sqlite")
