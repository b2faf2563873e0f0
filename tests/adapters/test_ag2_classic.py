"""The adapter for classic AutoGen, with the real framework: the contract, for an agent and for a group chat."""

import warnings
from typing import Any

import pytest
from pydantic import BaseModel

from a2a_bridge.testing.adapter_case import SECRET
from a2a_bridge.testing.adapter_contract import AdapterContract
from a2a_bridge.testing.fake_openai import FakeOpenAI

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what AutoGen imports warns of coming days
    from autogen import ConversableAgent, GroupChat, GroupChatManager, LLMConfig, UserProxyAgent

pytestmark = pytest.mark.filterwarnings("ignore")  # AutoGen leaves its model clients open, and uses what is deprecated

THREAD = "AutoGen calls models from sync code in a thread, which ends at its next token"


def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


def broken() -> str:
    """Break."""
    raise RuntimeError(SECRET)


class Weather(BaseModel):
    """What a structured answer is."""

    city: str
    degrees: float


def config(model: FakeOpenAI, **options: Any) -> LLMConfig:
    """A model configuration for the fake server, which streams."""
    entry = {"model": "fake-model", "base_url": model.base_url, "api_key": "x", "max_retries": 0, "price": [0, 0]}
    return LLMConfig({**entry, "stream": True, **options}, cache_seed=None)


def worker(model: FakeOpenAI, *tools: Any, mode: str = "NEVER", **options: Any) -> ConversableAgent:
    """A classic agent, which runs its tools itself."""
    agent = ConversableAgent("worker", llm_config=config(model), human_input_mode=mode, **options)
    for tool in tools:
        agent.register_for_execution()(agent.register_for_llm(description=tool.__doc__)(tool))
    return agent


def formed(model: FakeOpenAI) -> ConversableAgent:
    """An agent whose answers have a form."""
    return ConversableAgent("worker", llm_config=config(model, response_format=Weather), human_input_mode="NEVER")


class TestClassicAgent(AdapterContract):
    """A single agent, which is handed the conversation."""

    module = "adapters.ag2_classic.adapter"
    ask = "SAY a draft"
    done = "yes"
    limits = {"cancels": THREAD}

    def plain(self, model: FakeOpenAI) -> Any:
        return worker(model)

    def with_tools(self, model: FakeOpenAI) -> Any:
        return worker(model, add, broken)

    def structured(self, model: FakeOpenAI) -> Any:
        return formed(model)

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        return worker(model, mode="TERMINATE", is_termination_msg=lambda line: "draft" in str(line["content"]))


def worker_speaks(last: Any, groupchat: GroupChat) -> Any:
    """Selects the agent with the model; none after its answer."""
    told = groupchat.messages[-1]
    is_answer = last.name == "worker" and not told.get("tool_calls") and told["role"] != "tool"
    return None if is_answer else groupchat.agent_by_name("worker")


def chat(agent: Any, mode: str = "NEVER", selection: Any = worker_speaks) -> GroupChatManager:
    """A group chat of a human and an agent, behind its manager."""
    human = UserProxyAgent("human", human_input_mode=mode, code_execution_config=False)
    groupchat = GroupChat([human, agent], messages=[], max_round=8, speaker_selection_method=selection)
    return GroupChatManager(
        groupchat, llm_config=False, is_termination_msg=lambda line: "Echo: yes" in str(line["content"])
    )


class TestClassicGroupChat(AdapterContract):
    """A group chat, with a human in it who is asked."""

    module = "adapters.ag2_classic.adapter"
    ask = "SAY a draft"
    done = "yes"
    limits = {"cancels": THREAD}

    def plain(self, model: FakeOpenAI) -> Any:
        return chat(worker(model))

    def with_tools(self, model: FakeOpenAI) -> Any:
        return chat(worker(model, add, broken))

    def structured(self, model: FakeOpenAI) -> Any:
        return chat(formed(model))

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        return chat(worker(model), "ALWAYS", "round_robin")
