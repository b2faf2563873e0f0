"""The adapter's entry point. Nothing of AG2 1.x is imported here until an object is adapted."""

from typing import Any

from a2a_bridge.agent import Adapter, Agent


def _adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The object as an agent."""
    from adapters.ag2.agent import Ag2Agent

    return Ag2Agent(obj, name=name, description=description)


ADAPTER = Adapter(
    name="ag2",
    requires="a2a-agent-bridge[ag2]",
    package="ag2.agent",
    classes=frozenset({("ag2.agent", "Agent")}),
    adapt=_adapt,
)
