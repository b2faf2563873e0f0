"""What all tests share: bridges in process, the JSON-RPC caller, no connection outside this machine."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from a2a_bridge.bridge import Bridge
from a2a_bridge.testing.transport import AppTransport


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
