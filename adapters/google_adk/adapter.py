"""The adapter's entry point. Nothing of Google's ADK is imported here until an object is adapted."""

import logging
from typing import Any

from a2a_bridge.agent import Adapter, Agent


def _keep_plugins_out_of_the_log() -> None:
    """ADK logs, at INFO, each plugin of each run: ours is one. A level that is set wins."""
    logger = logging.getLogger("google_adk.google.adk.plugins.plugin_manager")
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.WARNING)


def _adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The agent, node, app or runner as an agent."""
    from adapters.google_adk.agent import AdkAgent

    _keep_plugins_out_of_the_log()
    return AdkAgent(obj, name=name, description=description)


ADAPTER = Adapter(
    name="google_adk",
    requires="a2a-agent-bridge[google-adk]",
    package="google.adk.agents",
    classes=frozenset(
        {
            ("google.adk.agents.base_agent", "BaseAgent"),
            ("google.adk.workflow._base_node", "BaseNode"),
            ("google.adk.apps.app", "App"),
            ("google.adk.runners", "Runner"),
        }
    ),
    adapt=_adapt,
)
