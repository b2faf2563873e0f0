"""The chat model of the tests with LangChain.

LangChain shares the connections to one address among all models of the process, also when their event loop has ended
with its test, and forgets them unclosed when there are too many. Here each model has its own, which end with its test.
"""

from langchain_openai import ChatOpenAI
from openai import DefaultAsyncHttpxClient, DefaultHttpxClient

from a2a_bridge.testing.fake_openai import FakeOpenAI
from tests.adapters.clients import kept


def chat(model: FakeOpenAI) -> ChatOpenAI:
    """A chat model that talks to the fake server."""
    return ChatOpenAI(
        model="fake-model", base_url=model.base_url, api_key="x", max_retries=0, stream_usage=True,
        http_client=kept(DefaultHttpxClient()), http_async_client=kept(DefaultAsyncHttpxClient()),
    )  # fmt: skip
