"""What the tests' agents talk to the fake model with: closed after each test, in its event loop (`conftest.py`)."""

import inspect
from typing import Any, TypeVar

from openai import AsyncOpenAI

from a2a_bridge.testing.fake_openai import FakeOpenAI

T = TypeVar("T")

_OPEN: list[Any] = []


def kept(client: T) -> T:
    """The client, which ends with the test."""
    _OPEN.append(client)
    return client


def openai_client(model: FakeOpenAI) -> AsyncOpenAI:
    """One for the fake server."""
    return kept(AsyncOpenAI(base_url=model.base_url, api_key="x", max_retries=0))


async def close_all() -> None:
    """Called after each test."""
    while _OPEN:
        client = _OPEN.pop()
        closed = client.aclose() if hasattr(client, "aclose") else client.close()
        if inspect.isawaitable(closed):
            await closed
