"""The adapter's entry point. Nothing of the package `autogen` is imported here until an object is adapted."""

from typing import Any

from a2a_bridge.agent import Adapter, Agent


def _adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The agent or group chat as an agent; a function that makes one is called for each turn."""
    from adapters.ag2_classic.agent import ClassicAgent

    return ClassicAgent(obj, name=name, description=description)


ADAPTER = Adapter(
    name="ag2_classic",
    requires="a2a-agent-bridge[ag2-classic]",
    package="autogen.agentchat.conversable_agent",
    classes=frozenset({("autogen.agentchat.conversable_agent", "ConversableAgent")}),
    adapt=_adapt,
)
