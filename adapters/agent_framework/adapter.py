"""The adapter's entry point. Nothing of Microsoft's Agent Framework is imported here until an object is adapted."""

from typing import Any

from a2a_bridge.agent import Adapter, Agent


def _adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The agent or workflow as an agent; a function that makes a workflow is called for each turn."""
    from adapters.agent_framework.agent import FrameworkAgent, is_agent
    from adapters.agent_framework.workflow import FrameworkWorkflow

    made = FrameworkAgent if is_agent(obj) else FrameworkWorkflow
    return made(obj, name=name, description=description)


ADAPTER = Adapter(
    name="agent_framework",
    requires="a2a-agent-bridge[agent-framework]",
    package="agent_framework._agents",
    classes=frozenset({("agent_framework._agents", "BaseAgent"), ("agent_framework._workflows._workflow", "Workflow")}),
    adapt=_adapt,
)
