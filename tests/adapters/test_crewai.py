"""The CrewAI adapter, with the real framework (the LEGACY environment): the contract, and what is CrewAI's own."""

import warnings
from typing import Any

import pytest
from pydantic import BaseModel

import adapters.crewai.adapter  # noqa: F401  # before CrewAI: it switches the telemetry off
from a2a_bridge.testing.adapter_case import SECRET
from a2a_bridge.testing.adapter_contract import AdapterContract
from a2a_bridge.testing.fake_openai import FakeOpenAI

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # CrewAI's own modules warn while they are imported
    from crewai import LLM, Agent, Crew, Flow, Task
    from crewai.flow.flow import listen, start
    from crewai.flow.human_feedback import human_feedback
    from crewai.tools import tool


pytestmark = pytest.mark.filterwarnings("ignore")  # CrewAI uses what it has deprecated itself


@tool("add")
def add(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@tool("broken")
def broken() -> str:
    """Break."""
    raise RuntimeError(SECRET)


class Weather(BaseModel):
    """What a structured answer is."""

    city: str
    degrees: float


def llm(model: FakeOpenAI) -> LLM:
    """A model that streams."""
    return LLM(model="openai/fake-model", base_url=model.base_url, api_key="x", max_retries=0, stream=True)


def worker(model: FakeOpenAI, **options: Any) -> Agent:
    """A CrewAI agent that talks to the fake server."""
    llm = LLM(model="openai/fake-model", base_url=model.base_url, api_key="x", max_retries=0)
    return Agent(role="Worker", goal="to work", backstory="Born to.", llm=llm, max_retry_limit=0, **options)


def crew(agent: Agent, description: str = "{transcript}", **options: Any) -> Crew:
    """A crew of one."""
    return Crew(agents=[agent], tasks=[Task(description=description, expected_output="x", agent=agent, **options)])


KEPT = ("crewai.types.usage_metrics.UsageMetrics",)  # with the newest 256 of its event bus' handlers
THREAD = "CrewAI calls models from sync code in a thread, which ends at its next token"


class TestCrew(AdapterContract):
    """A crew whose task has placeholders."""

    module = "adapters.crewai.adapter"
    ask = "SAY a draft"
    done = "a draft"
    limits = {"cancels": THREAD}
    kept = KEPT

    def plain(self, model: FakeOpenAI) -> Any:
        return crew(worker(model))

    def with_tools(self, model: FakeOpenAI) -> Any:
        return crew(worker(model, tools=[add, broken]), "{topic}")

    def structured(self, model: FakeOpenAI) -> Any:
        return crew(worker(model), output_pydantic=Weather)

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        return crew(worker(model), human_input=True)


class TestCrewAgent(AdapterContract):
    """A single CrewAI agent, which is handed the conversation."""

    module = "adapters.crewai.adapter"
    kept = KEPT
    limits = {
        "cancels": THREAD,
        "pauses": "a CrewAI agent outside a crew has no review by a human",
        "restarts": "a CrewAI agent outside a crew has no review by a human",
        "structured": "a CrewAI agent does not say the form of its answers; `CrewAgent(agent, response_format=)` does",
    }

    def plain(self, model: FakeOpenAI) -> Any:
        return worker(model)

    def with_tools(self, model: FakeOpenAI) -> Any:
        return worker(model, tools=[add, broken])


class Written(Flow[dict]):  # type: ignore[type-arg]
    """Asks its model, and shows it what pictures there are."""

    call: Any = None
    told: str = "transcript"

    @start()
    def write(self) -> Any:
        if not self.state["message_files"]:
            return self.call(self.state[self.told])
        shown = [{"type": "image_url", "image_url": {"url": file["url"]}} for file in self.state["message_files"]]
        return self.call([{"role": "user", "content": [{"type": "text", "text": self.state["message"]}, *shown]}])


class Reviewed(Written):
    """The same, and a human looks at it before it goes on."""

    @start()
    @human_feedback(message="Is it good?")
    def write(self) -> Any:
        return self.call(self.state["message"])

    @listen(write)
    def publish(self, result: Any) -> str:
        return f"{result.output} ({result.feedback})"


class TestFlow(AdapterContract):
    """A flow that calls a model."""

    module = "adapters.crewai.adapter"
    ask = "SAY a draft"
    done = "a draft"
    kept = KEPT
    limits = {
        "cancels": THREAD,
        "card": "what a flow calls stands in the code of its methods",
    }

    def plain(self, model: FakeOpenAI) -> Any:
        return Written(call=llm(model).call)

    def with_tools(self, model: FakeOpenAI) -> Any:
        agent = worker(model, tools=[add, broken])
        agent.llm.stream = True
        return Written(call=lambda said: agent.copy().kickoff(said), told="message")

    def structured(self, model: FakeOpenAI) -> Any:
        agent = worker(model)
        return Written(call=lambda said: agent.copy().kickoff(said, response_format=Weather))

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        return Reviewed(call=llm(model).call)
