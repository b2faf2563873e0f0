"""The AG2 adapter, with the real framework: the contract."""

from typing import Any

import httpx2
from ag2 import Agent, Context, tool
from ag2.config import OpenAIConfig
from pydantic import BaseModel

from a2a_bridge.testing.adapter_case import SECRET
from a2a_bridge.testing.adapter_contract import AdapterContract
from a2a_bridge.testing.fake_openai import FakeOpenAI
from tests.adapters.clients import kept


def config(model: FakeOpenAI, **options: Any) -> OpenAIConfig:
    """A model configuration for the fake server."""
    return OpenAIConfig(
        model="fake-model",
        base_url=model.base_url,
        api_key="x",
        streaming=True,
        max_retries=0,
        http_client=kept(httpx2.AsyncClient()),
    )


@tool
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@tool
async def broken() -> str:
    """Break."""
    raise RuntimeError(SECRET)


@tool
async def erase(what: str, context: Context) -> str:
    """Erase something, if a human agrees."""
    return f"erase {what}: " + await context.input(f"Erase {what}?")


class Weather(BaseModel):
    """What a structured answer is."""

    city: str
    degrees: float


class TestAg2Agent(AdapterContract):
    """An AG2 agent, whose tool asks a human."""

    module = "adapters.ag2.adapter"
    ask = 'CALL erase {"what": "the disk"}'
    done = "erase the disk: yes"
    limits = {"restarts": "AG2 asks a human in the middle of a tool: a run that waits lives in memory"}

    def plain(self, model: FakeOpenAI) -> Any:
        return Agent("worker", "You work.", config=config(model))

    def with_tools(self, model: FakeOpenAI) -> Any:
        return Agent("worker", config=config(model), tools=[add, broken])

    def structured(self, model: FakeOpenAI) -> Any:
        return Agent("worker", config=config(model), response_schema=Weather)

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        return Agent("worker", config=config(model), tools=[erase])
