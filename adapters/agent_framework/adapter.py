"""The adapter's entry point. Nothing of Microsoft's Agent Framework is imported here until an object is adapted."""

import logging
from typing import Any

from a2a_bridge.agent import Adapter, Agent


def _keep_steps_out_of_the_log() -> None:
    """The framework logs each step of a workflow, at INFO. A level that is set wins."""
    logger = logging.getLogger("agent_framework._workflows")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


def _adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The agent or workflow as an agent; a function that makes a workflow is called for each turn."""
    from adapters.agent_framework.agent import FrameworkAgent, is_agent, is_functional
    from adapters.agent_framework.workflow import FrameworkWorkflow

    _keep_steps_out_of_the_log()
    if is_functional(obj):  # experimental: the framework warns whoever imports what handles it
        from adapters.agent_framework.functional import FrameworkFunction

        return FrameworkFunction(obj, name=name, description=description)
    made = FrameworkAgent if is_agent(obj) else FrameworkWorkflow
    return made(obj, name=name, description=description)


ADAPTER = Adapter(
    name="agent_framework",
    requires="a2a-agent-bridge[agent-framework]",
    package="agent_framework._agents",
    classes=frozenset(
        {
            ("agent_framework._agents", "BaseAgent"),
            ("agent_framework._workflows._workflow", "Workflow"),
            ("agent_framework._workflows._functional", "FunctionalWorkflowDefinition"),
            ("agent_framework._workflows._functional", "FunctionalWorkflow"),
        }
    ),
    adapt=_adapt,
)
