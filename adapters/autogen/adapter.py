"""The adapter's entry point. Nothing of AutoGen's agentchat is imported here until an object is adapted."""

import logging
from asyncio import CancelledError
from typing import Any

from a2a_bridge.agent import Adapter, Agent


def _keep_words_out_of_the_log() -> None:
    """AutoGen tells its loggers, at INFO, every prompt, answer and message in full. A level that is set wins."""
    for name in ("autogen_core", "autogen_core.events", "autogen_agentchat", "autogen_agentchat.events"):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
    logging.getLogger("autogen_core").addFilter(_is_worth_a_line)


def _is_worth_a_line(record: logging.LogRecord) -> bool:
    """Not a cancel, and not what a team's failure does to those who are told of it: the run raises the failure."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, CancelledError) or (isinstance(error, ValueError) and "GroupChatError" in str(error)))


def _adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The agent or team as an agent; a function that makes one is called for each turn."""
    from adapters.autogen.agent import AutoGenAgent

    _keep_words_out_of_the_log()
    return AutoGenAgent(obj, name=name, description=description)


ADAPTER = Adapter(
    name="autogen",
    requires="a2a-agent-bridge[autogen]",
    package="autogen_agentchat.base",
    classes=frozenset({("autogen_agentchat.base._team", "Team"), ("autogen_agentchat.base._chat_agent", "ChatAgent")}),
    adapt=_adapt,
)
