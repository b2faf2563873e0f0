"""The adapter's entry point. Nothing of the package `autogen` is imported here until an object is adapted."""

import logging
from typing import Any

from a2a_bridge.agent import Adapter, Agent

_MOST_KEPT = 1000


class _Once(logging.Filter):
    """A warning that has been given is not given again: AutoGen has some for every model call."""

    def __init__(self) -> None:
        super().__init__()
        self._given: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be logged."""
        said = record.getMessage()
        if record.levelno != logging.WARNING or len(self._given) >= _MOST_KEPT:
            return True
        if said in self._given:
            return False
        self._given.add(said)
        return True


_once = _Once()


def _log_as_others_do() -> None:
    """AutoGen writes what it logs to standard output as well: here it is logged, and no more."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "autogen":
            logger = logging.getLogger(name)
            logger.handlers[:] = [handler for handler in logger.handlers if type(handler) is not logging.StreamHandler]
            logger.addFilter(_once)


def _adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The agent or group chat as an agent; a function that makes one is called for each turn."""
    from adapters.ag2_classic.agent import ClassicAgent

    _log_as_others_do()
    return ClassicAgent(obj, name=name, description=description)


ADAPTER = Adapter(
    name="ag2_classic",
    requires="a2a-agent-bridge[ag2-classic]",
    package="autogen.agentchat.conversable_agent",
    classes=frozenset({("autogen.agentchat.conversable_agent", "ConversableAgent")}),
    adapt=_adapt,
)
