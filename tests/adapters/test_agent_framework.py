"""The Agent Framework adapter, with the real framework: the contract, for agents on two wires and for workflows."""

from typing import Any

from agent_framework import Agent, Executor, Message, WorkflowBuilder, WorkflowContext, handler, response_handler, tool
from agent_framework_openai import OpenAIChatClient, OpenAIChatCompletionClient
from openai import AsyncOpenAI
from pydantic import BaseModel

from a2a_bridge.testing.adapter_case import SECRET
from a2a_bridge.testing.adapter_contract import AdapterContract
from a2a_bridge.testing.fake_openai import FakeOpenAI
from tests.adapters.clients import openai_client


@tool
async def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@tool
async def broken() -> str:
    """Break."""
    raise RuntimeError(SECRET)


@tool(approval_mode="always_require")
async def erase(what: str) -> str:
    """Erase something."""
    return f"erased {what}"


class Weather(BaseModel):
    """What a structured answer is."""

    city: str
    degrees: float


def connection(model: FakeOpenAI) -> AsyncOpenAI:
    """A connection to the fake server."""
    return openai_client(model)


class FrameworkContract(AdapterContract):
    """The contract, with clients that are closed."""

    module = "adapters.agent_framework.adapter"
    ask = 'CALL erase {"what": "the disk"}'
    done = "erased the disk"

    def agent_with(self, model: FakeOpenAI, *tools: Any, **options: Any) -> Any:
        client = OpenAIChatCompletionClient(model="fake-model", async_client=connection(model))
        return Agent(client=client, name="worker", tools=list(tools), default_options=options)

    def plain(self, model: FakeOpenAI) -> Any:
        return self.agent_with(model)

    def with_tools(self, model: FakeOpenAI) -> Any:
        return self.agent_with(model, add, broken)

    def structured(self, model: FakeOpenAI) -> Any:
        return self.agent_with(model, response_format=Weather)

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        return self.agent_with(model, erase)


class TestFrameworkAgent(FrameworkContract):
    """An agent that speaks chat completions."""


class TestFrameworkAgentWithResponses(FrameworkContract):
    """An agent that speaks the Responses API, which repeats every text."""

    def agent_with(self, model: FakeOpenAI, *tools: Any, **options: Any) -> Any:
        client = OpenAIChatClient(model="fake-model", async_client=connection(model))
        return Agent(client=client, name="worker", tools=list(tools), default_options={"store": False, **options})


class TestFrameworkWorkflow(FrameworkContract):
    """A workflow of one agent, whose tool wants approval."""

    def agent_with(self, model: FakeOpenAI, *tools: Any, **options: Any) -> Any:
        agent = super().agent_with(model, *tools, **options)
        return WorkflowBuilder(name="flow", start_executor=agent).build()


class Gate(Executor):
    """Asks by itself before it lets a conversation through."""

    @handler
    async def start(self, said: list[Message], ctx: WorkflowContext[list[Message], str]) -> None:
        if "ASK" in said[-1].text:
            await ctx.request_info({"question": "May I?"}, bool)
        else:
            await ctx.send_message(said)

    @response_handler
    async def answered(self, request: dict, answer: bool, ctx: WorkflowContext[list[Message], str]) -> None:  # type: ignore[type-arg]
        await ctx.yield_output(f"allowed: {answer}")


class TestFrameworkWorkflowThatAsks(FrameworkContract):
    """A workflow with an executor that asks the outside by itself."""

    ask = "ASK"
    done = "allowed: True"

    def agent_with(self, model: FakeOpenAI, *tools: Any, **options: Any) -> Any:
        agent, gate = super().agent_with(model, *tools, **options), Gate(id="gate")
        return WorkflowBuilder(name="flow", start_executor=gate).add_edge(gate, agent).build()
