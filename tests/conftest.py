"""What all tests share: bridges in process, the JSON-RPC caller, no connection outside this machine."""

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from a2a_bridge.bridge import Bridge
from a2a_bridge.testing.transport import AppTransport


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """`serve` configures the log of its process, and here that is the process of the tests."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    """Who catches Ctrl-C in a test gives it back."""
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


@pytest.fixture
async def start() -> AsyncIterator[Callable[..., Any]]:
    """`await start(bridge)` starts a bridge in process and gives an httpx client for it; both end with the test."""
    async with AsyncExitStack() as stack:

        async def started(bridge: Bridge) -> httpx.AsyncClient:
            await bridge.start()
            stack.push_async_callback(bridge.stop)
            headers = {"A2A-Version": "1.0"}
            client = httpx.AsyncClient(transport=AppTransport(bridge.app), base_url="http://test", headers=headers)
            return await stack.enter_async_context(client)

        yield started


@pytest.fixture
async def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """`pass_time(seconds)`: for the event loop so much time has passed, and what waited for it is due now. A limit is
    met when the test says so, however slow its machine is."""
    loop = asyncio.get_running_loop()
    time, passed = loop.time, 0.0

    def pass_(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(loop, "time", lambda: time() + passed)
    return pass_
