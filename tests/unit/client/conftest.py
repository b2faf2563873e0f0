"""A server that does what a test tells it to: see `a2a_bridge.testing.raw_server`."""

from collections.abc import AsyncIterator

import pytest

from a2a_bridge.testing.raw_server import RawServer, raw_server


@pytest.fixture
async def raw() -> AsyncIterator[RawServer]:
    """A server on a free port of loopback, in this event loop."""
    async with raw_server() as server:
        yield server
