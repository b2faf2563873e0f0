"""A real model, small and embedded, streams real tokens through five adapters: what no fake can show."""

from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import Agent, Outcome, OutcomeFold
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.demo.model import EmbeddedModel
from a2a_bridge.testing.adapter_case import IMPORT_WAIT, within
from a2a_bridge.testing.turns import make_turn
from tests.adapters import test_ag2_classic, test_langgraph, test_openai_agents, test_pydantic_ai

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # the frameworks use what others, and they themselves, have deprecated
    pytest.mark.timeout(180),
]

CASES = {
    "langgraph": test_langgraph.TestLangGraphAgentWithoutCheckpointer,
    "ag2_classic": test_ag2_classic.TestClassicAgent,
    "openai_agents": test_openai_agents.TestOpenAIAgentsOnChatCompletions,
    "pydantic_ai": test_pydantic_ai.TestPydanticAIOnChatCompletions,
}
QUESTION = "What is the capital of France?"
MODEL_WAIT = 60.0
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module")
def real() -> Iterator[SimpleNamespace]:
    """The embedded model, where a case expects the fake one: it answers to every name."""
    with EmbeddedModel() as model:
        yield SimpleNamespace(base_url=model.base_url)


async def heard(agent: Agent) -> tuple[list[str], Outcome]:
    """The pieces of the answer, as they came, and what the turn came to."""
    pieces: list[str] = []
    fold = OutcomeFold()
    async with aclosing(agent.run(make_turn(QUESTION))) as replies:
        async for reply in replies:
            fold.add(reply)
            text = reply if isinstance(reply, str) else getattr(reply, "text", "")
            if text:
                pieces.append(text)
    return pieces, fold.outcome()


@pytest.mark.parametrize("framework", CASES)
async def test_a_real_model_streams_through_the_adapter(framework: str, real: Any) -> None:
    """Issue 5: the embedded real model streams real tokens, which are counted."""
    case: Any = CASES[framework]()
    try:
        pieces, outcome = await within(heard(adapt(case.plain(real))), MODEL_WAIT)
    finally:
        await case.close()
    assert len(pieces) > 3
    assert "Paris" in outcome.text
    assert outcome.usage.output_tokens > 3


async def test_a_real_model_streams_through_crewai(real: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same; the crew runs in its own environment, and its tokens come over A2A."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    from other_environment.process import in_the_other_environment

    async with in_the_other_environment("crew.py", real.base_url) as crew:
        url = (await within(crew.readline(), IMPORT_WAIT)).decode().strip()
        pieces, outcome = await within(heard(RemoteAgent(url)), MODEL_WAIT)
    assert len(pieces) > 3
    assert outcome.text.strip()
    assert outcome.usage.output_tokens > 3
