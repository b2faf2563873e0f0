"""The chat model of the tests with LangChain.

LangChain shares the connections to one address among all models of the process, also when their event loop has ended
with its test, and forgets them unclosed when there are too many. Here each model has its own, which end with its test.
"""

from langchain_openai import ChatOpenAI
from openai import DefaultAsyncHttpxClient, DefaultHttpxClient

from a2a_bridge.testing.fake_openai import FakeOpenAI

_OPEN: list[tuple[DefaultHttpxClient, DefaultAsyncHttpxClient]] = []


def chat(model: FakeOpenAI) -> ChatOpenAI:
    """A chat model that talks to the fake server."""
    _OPEN.append((DefaultHttpxClient(), DefaultAsyncHttpxClient()))
    sync, concurrent = _OPEN[-1]
    return ChatOpenAI(
        model="fake-model", base_url=model.base_url, api_key="x", max_retries=0, stream_usage=True,
        http_client=sync, http_async_client=concurrent,
    )  # fmt: skip


async def close() -> None:
    """Called after each test, in its event loop."""
    while _OPEN:
        sync, concurrent = _OPEN.pop()
        sync.close()
        await concurrent.aclose()
