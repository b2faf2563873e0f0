"""The adapter's entry point, and the switch that keeps CrewAI silent.

CrewAI sends telemetry by default, and on a machine where it runs for the first time it asks, on the terminal,
whether it may upload a trace, and waits twenty seconds for an answer. Its switches are environment variables, most
of which it reads while it is imported. They are therefore set when this module is imported, which `adapt` and the
command line do before anything else; a value that is already set is left alone. CrewAI itself is not imported here
until an object is adapted.
"""

import logging
import os
import sys
from typing import Any

from a2a_bridge.agent import Adapter, Agent

_SWITCHES = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
}

_log = logging.getLogger(__name__)


def _silence() -> None:
    missing = [name for name in _SWITCHES if name not in os.environ]
    for name in missing:
        os.environ[name] = _SWITCHES[name]
    # It tells the number of tokens by a rule of thumb for models it does not know, and says so at every call.
    logging.getLogger("crewai.llms.base_llm").setLevel(logging.ERROR)
    logging.getLogger().addFilter(_is_worth_a_line)
    if missing and "crewai" in sys.modules:
        _log.warning(
            "crewai was imported before its telemetry was switched off, and may have sent something already: set %s"
            " in the environment, or import adapters.crewai.adapter first",
            " ".join(f"{name}={_SWITCHES[name]}" for name in missing),
        )


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """CrewAI logs each tool of each call to the root logger, at INFO."""
    return record.levelno > logging.INFO or f"{os.sep}crewai{os.sep}" not in record.pathname


_silence()


def _adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The crew, agent or flow as an agent; a function that makes a flow is called for each turn."""
    from adapters.crewai.crew import CrewAgent, is_crew_or_agent
    from adapters.crewai.flow import FlowAgent

    made = CrewAgent if is_crew_or_agent(obj) else FlowAgent
    return made(obj, name=name, description=description)


ADAPTER = Adapter(
    name="crewai",
    requires="a2a-agent-bridge[crewai]",
    package="crewai.crew",
    classes=frozenset(
        {
            ("crewai.crew", "Crew"),
            ("crewai.agents.agent_builder.base_agent", "BaseAgent"),
            ("crewai.flow.runtime", "Flow"),
        }
    ),
    adapt=_adapt,
)
