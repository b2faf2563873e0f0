"""One server with the obedient agent, and a rude client for it."""

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from a2a_bridge.bridge import Bridge
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.wire import Wire


@pytest.fixture
async def agent() -> AsyncIterator[Obedient]:
    """Its gate is opened at the end, so that no turn is left waiting."""
    found = Obedient()
    yield found
    found.gate.open()


@pytest.fixture
async def wire(start: Callable[[Bridge], Awaitable[httpx.AsyncClient]], agent: Obedient) -> Wire:
    """Version 1.0 goes with every request unless a test says otherwise."""
    return Wire(await start(Bridge(agent)))
