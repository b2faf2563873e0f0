"""The LangGraph adapter, with the real framework: the contract, and what is LangGraph's own."""

from typing import Any

from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import interrupt
from pydantic import BaseModel

from a2a_bridge.testing.adapter_case import SECRET
from a2a_bridge.testing.adapter_contract import AdapterContract
from a2a_bridge.testing.fake_openai import FakeOpenAI
from tests.adapters.langchain_model import chat


@tool
def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@tool
def erase(what: str) -> str:
    """Erase something, if a human agrees."""
    answer = interrupt({"question": f"Erase {what}?", "options": ["yes", "no"]})
    return f"erase {what}: {answer}"


@tool
def broken() -> str:
    """Break."""
    raise RuntimeError(SECRET)


class Weather(BaseModel):
    """What a structured answer is."""

    city: str
    degrees: float


class TestLangGraphAgentWithCheckpointer(AdapterContract):
    """`create_agent` with a checkpointer: the thread keeps the conversation."""

    module = "adapters.langgraph.adapter"
    ask = 'CALL erase {"what": "the disk"}'
    done = "erase the disk: yes"

    def plain(self, model: FakeOpenAI) -> Any:
        return create_agent(chat(model), checkpointer=InMemorySaver(), name="plain")

    def with_tools(self, model: FakeOpenAI) -> Any:
        return create_agent(chat(model), [add, broken], checkpointer=InMemorySaver())

    def structured(self, model: FakeOpenAI) -> Any:
        return create_agent(chat(model), response_format=Weather, checkpointer=InMemorySaver())

    def memory(self) -> Any:
        return InMemorySaver()

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        return create_agent(chat(model), [erase], checkpointer=memory)


class TestLangGraphAgentWithoutCheckpointer(AdapterContract):
    """`create_agent` without one: the history is handed over each time."""

    module = "adapters.langgraph.adapter"
    limits = {
        "pauses": "a graph without a checkpointer cannot wait",
        "restarts": "a graph without a checkpointer cannot wait",
    }

    def plain(self, model: FakeOpenAI) -> Any:
        return create_agent(chat(model))

    def with_tools(self, model: FakeOpenAI) -> Any:
        return create_agent(chat(model), [add, broken])

    def structured(self, model: FakeOpenAI) -> Any:
        return create_agent(chat(model), response_format=Weather)
