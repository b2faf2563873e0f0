"""The AutoGen adapter, with the real framework: the contract, for an agent and for teams."""

from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent, UserProxyAgent
from autogen_agentchat.base import Handoff
from autogen_agentchat.conditions import HandoffTermination
from autogen_agentchat.messages import StructuredMessage
from autogen_agentchat.teams import RoundRobinGroupChat, Swarm
from autogen_core.models import ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient
from pydantic import BaseModel

from a2a_bridge.testing.adapter_case import SECRET
from a2a_bridge.testing.adapter_contract import AdapterContract
from a2a_bridge.testing.fake_openai import FakeOpenAI
from tests.adapters.clients import kept

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # AutoGen uses what others have deprecated

INFO = ModelInfo(vision=True, function_calling=True, json_output=True, family="unknown", structured_output=True)


def client(model: FakeOpenAI) -> OpenAIChatCompletionClient:
    """A model client that talks to the fake server."""
    made = OpenAIChatCompletionClient(
        model="fake-model", base_url=model.base_url, api_key="x", model_info=INFO, max_retries=0
    )
    kept(made)
    return made


class AutoGenContract(AdapterContract):
    """The contract, with clients that are closed."""

    module = "adapters.autogen.adapter"


async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


async def broken() -> str:
    """Break."""
    raise RuntimeError(SECRET)


class Weather(BaseModel):
    """What a structured answer is."""

    city: str
    degrees: float


def assistant(model: FakeOpenAI, name: str = "worker", **options: Any) -> AssistantAgent:
    """An AutoGen agent that streams."""
    return AssistantAgent(name, client(model), model_client_stream=True, **options)


class TestAutoGenAgent(AutoGenContract):
    """A single agent, which hands over to the user when it has a question."""

    ask = "CALL transfer_to_user {}"
    done = "yes"

    def plain(self, model: FakeOpenAI) -> Any:
        return assistant(model)

    def with_tools(self, model: FakeOpenAI) -> Any:
        return assistant(model, tools=[add, broken], reflect_on_tool_use=True)

    def structured(self, model: FakeOpenAI) -> Any:
        return assistant(model, output_content_type=Weather)

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        return assistant(model, handoffs=[Handoff(target="user", message="May I?")])


class TestAutoGenSwarm(AutoGenContract):
    """A team that hands over to the user."""

    ask = "CALL transfer_to_user {}"
    done = "yes"

    def _swarm(self, agent: AssistantAgent) -> Swarm:
        return Swarm([agent], termination_condition=HandoffTermination("user"), max_turns=1)

    def plain(self, model: FakeOpenAI) -> Any:
        return self._swarm(assistant(model))

    def with_tools(self, model: FakeOpenAI) -> Any:
        return self._swarm(assistant(model, tools=[add, broken], reflect_on_tool_use=True))

    def structured(self, model: FakeOpenAI) -> Any:
        agent = assistant(model, output_content_type=Weather)
        return Swarm([agent], max_turns=1, custom_message_types=[StructuredMessage[Weather]])

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        return self._swarm(assistant(model, handoffs=[Handoff(target="user", message="May I?")]))


class TestAutoGenTeamWithAHuman(AutoGenContract):
    """A round robin of an agent and a human, who is asked when it is their turn."""

    ask = "SAY the plan"
    done = "yes"

    def plain(self, model: FakeOpenAI) -> Any:
        return RoundRobinGroupChat([assistant(model)], max_turns=1)

    def with_tools(self, model: FakeOpenAI) -> Any:
        return RoundRobinGroupChat([assistant(model, tools=[add, broken], reflect_on_tool_use=True)], max_turns=1)

    def structured(self, model: FakeOpenAI) -> Any:
        agent = assistant(model, output_content_type=Weather)
        return RoundRobinGroupChat([agent], max_turns=1, custom_message_types=[StructuredMessage[Weather]])

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        human = UserProxyAgent("human")
        return RoundRobinGroupChat([assistant(model), human], max_turns=3)  # the answer is one of them
