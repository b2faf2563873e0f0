"""The adapter's entry point. Nothing of Pydantic AI is imported here until an object is adapted."""

from typing import Any

from a2a_bridge.agent import Adapter, Agent


def _adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The object as an agent."""
    from adapters.pydantic_ai.agent import PydanticAgent

    return PydanticAgent(obj, name=name, description=description)


ADAPTER = Adapter(
    name="pydantic_ai",
    requires="a2a-agent-bridge[pydantic-ai]",
    package="pydantic_ai.agent",
    classes=frozenset({("pydantic_ai.agent.abstract", "AbstractAgent")}),
    adapt=_adapt,
)
