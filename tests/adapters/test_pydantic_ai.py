"""The Pydantic AI adapter, with the real framework: the contract."""

from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

from a2a_bridge.testing.adapter_case import SECRET
from a2a_bridge.testing.adapter_contract import AdapterContract
from a2a_bridge.testing.fake_openai import FakeOpenAI
from tests.adapters.clients import openai_client


async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


async def broken() -> str:
    """Break."""
    raise RuntimeError(SECRET)


async def erase(what: str) -> str:
    """Erase something, if a human agrees."""
    return f"erased {what}"


class Weather(BaseModel):
    """What a structured answer is."""

    city: str
    degrees: float


class PydanticContract(AdapterContract):
    """The contract, with clients that are closed."""

    module = "adapters.pydantic_ai.adapter"
    ask = 'CALL erase {"what": "the disk"}'
    done = "erased the disk"
    wire: type[Any]

    def client(self, model: FakeOpenAI) -> Any:
        """A model that talks to the fake server."""
        return self.wire("fake-model", provider=OpenAIProvider(openai_client=openai_client(model)))

    def plain(self, model: FakeOpenAI) -> Any:
        return Agent(self.client(model), name="plain")

    def with_tools(self, model: FakeOpenAI) -> Any:
        return Agent(self.client(model), tools=[add, broken])

    def structured(self, model: FakeOpenAI) -> Any:
        return Agent(self.client(model), output_type=Weather)

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        agent = Agent(self.client(model))
        agent.tool_plain(requires_approval=True)(erase)
        return agent


class TestPydanticAIOnChatCompletions(PydanticContract):
    """What most providers speak."""

    wire = OpenAIChatModel


class TestPydanticAIOnResponses(PydanticContract):
    """OpenAI's own."""

    wire = OpenAIResponsesModel
