"""The OpenAI Agents adapter, with the real SDK: the contract, on both of OpenAI's wires."""

from typing import Any

from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, function_tool
from pydantic import BaseModel

from a2a_bridge.testing.adapter_case import SECRET
from a2a_bridge.testing.adapter_contract import AdapterContract
from a2a_bridge.testing.fake_openai import FakeOpenAI
from tests.adapters.clients import openai_client


@function_tool
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@function_tool
async def broken() -> str:
    """Break."""
    raise RuntimeError(SECRET)


@function_tool(needs_approval=True)
async def erase(what: str) -> str:
    """Erase something, if a human agrees."""
    return f"erased {what}"


class Weather(BaseModel):
    """What a structured answer is."""

    city: str
    degrees: float


class OpenAIContract(AdapterContract):
    """The contract, with clients that are closed."""

    module = "adapters.openai_agents.adapter"
    ask = 'CALL erase {"what": "the disk"}'
    done = "erased the disk"
    wire: type[Any]

    def client(self, model: FakeOpenAI) -> Any:
        """A model that talks to the fake server."""
        return self.wire(model="fake-model", openai_client=openai_client(model))

    def plain(self, model: FakeOpenAI) -> Any:
        return Agent(name="plain", model=self.client(model))

    def with_tools(self, model: FakeOpenAI) -> Any:
        return Agent(name="tools", model=self.client(model), tools=[add, broken])

    def structured(self, model: FakeOpenAI) -> Any:
        return Agent(name="weather", model=self.client(model), output_type=Weather)

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        return Agent(name="asking", model=self.client(model), tools=[erase])


class TestOpenAIAgentsOnChatCompletions(OpenAIContract):
    """What most providers speak."""

    wire = OpenAIChatCompletionsModel


class TestOpenAIAgentsOnResponses(OpenAIContract):
    """OpenAI's own."""

    wire = OpenAIResponsesModel
