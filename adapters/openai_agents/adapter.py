"""The adapter's entry point. Nothing of the OpenAI Agents SDK is imported here until an object is adapted."""

from typing import Any

from a2a_bridge.agent import Adapter, Agent


def _adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The object as an agent."""
    from adapters.openai_agents.agent import OpenAIAgent

    return OpenAIAgent(obj, name=name, description=description)


ADAPTER = Adapter(
    name="openai_agents",
    requires="a2a-agent-bridge[openai-agents]",
    package="agents.agent",
    classes=frozenset({("agents.agent", "AgentBase")}),
    adapt=_adapt,
)
