"""`Call`: whose request it is, as the operations on tasks and webhooks see it."""

from typing import NamedTuple

from a2a_bridge.agent import Caller
from a2a_bridge.protocol.card import PROTOCOL_VERSION
from a2a_bridge.tasks.live import scope_of


class Call(NamedTuple):
    """Who calls which agent, and what came with the request beside its parameters; `version` is the protocol's."""

    agent: str
    caller: Caller = Caller()
    extensions: frozenset[str] = frozenset()
    traceparent: str | None = None
    version: str = PROTOCOL_VERSION

    @property
    def scope(self) -> str:
        """The prefix of every key this call may see."""
        return scope_of(self.caller.tenant, self.caller.principal, self.agent)
