"""The adapter's entry point. Nothing of AutoGen's agentchat is imported here until an object is adapted."""

from typing import Any

from a2a_bridge.agent import Adapter, Agent


def _adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The agent or team as an agent; a function that makes one is called for each turn."""
    from adapters.autogen.agent import AutoGenAgent

    return AutoGenAgent(obj, name=name, description=description)


ADAPTER = Adapter(
    name="autogen",
    requires="a2a-agent-bridge[autogen]",
    package="autogen_agentchat.base",
    classes=frozenset({("autogen_agentchat.base._team", "Team"), ("autogen_agentchat.base._chat_agent", "ChatAgent")}),
    adapt=_adapt,
)
