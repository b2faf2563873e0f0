"""The Google ADK adapter, with the real framework: the contract, for one agent and for a pipeline."""

from typing import Any

import pytest
from google.adk.agents import LlmAgent, SequentialAgent
from google.adk.tools import FunctionTool
from pydantic import BaseModel

from a2a_bridge.testing.adapter_case import SECRET
from a2a_bridge.testing.adapter_contract import AdapterContract
from a2a_bridge.testing.fake_openai import FakeOpenAI
from tests.adapters.adk_model import FakeLlm
from tests.adapters.clients import openai_client

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # ADK's own


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


def broken() -> str:
    """Break."""
    raise RuntimeError(SECRET)


def erase(what: str) -> str:
    """Erase something."""
    return f"erased {what}"


class Weather(BaseModel):
    """What a structured answer is."""

    city: str
    degrees: float


def worker(model: FakeOpenAI, name: str = "worker", **options: Any) -> LlmAgent:
    """An ADK agent that talks to the fake server."""
    return LlmAgent(name=name, model=FakeLlm(connection=openai_client(model)), **options)


class AdkContract(AdapterContract):
    """The contract, with connections that are closed."""

    module = "adapters.google_adk.adapter"
    ask = 'CALL erase {"what": "the disk"}'
    done = "erased the disk"

    def agent_with(self, model: FakeOpenAI, **options: Any) -> Any:
        return worker(model, **options)

    def plain(self, model: FakeOpenAI) -> Any:
        return self.agent_with(model)

    def with_tools(self, model: FakeOpenAI) -> Any:
        return self.agent_with(model, tools=[add, broken])

    def structured(self, model: FakeOpenAI) -> Any:
        return self.agent_with(model, output_schema=Weather)

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        return self.agent_with(model, tools=[FunctionTool(erase, require_confirmation=True)])


class TestAdkAgent(AdkContract):
    """A single agent."""


class TestAdkPipeline(AdkContract):
    """A pipeline of one agent."""

    def agent_with(self, model: FakeOpenAI, **options: Any) -> Any:
        return SequentialAgent(name="pipeline", sub_agents=[worker(model, **options)])
