"""What only our own agents can say in a conversation, because only rooms and chats of ours understand it."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from a2a_bridge.agent import Reply, Turn


@dataclass(frozen=True, slots=True)
class HumanWords:
    """What a person said through an agent."""

    text: str


@dataclass(frozen=True, slots=True)
class StopChat:
    """The agent ends the conversation it takes part in; `kind` is that of the `StopReason`."""

    kind: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Pass:
    """The agent has nothing to say this time, and that is no failure: a person pressed Enter."""

    detail: str = ""


Spoken = Reply | str | HumanWords | StopChat | Pass


class Conversing:
    """Base of agents that can say these things; `run` of such an agent leaves them out."""

    name: str
    description: str

    def converse(self, turn: Turn) -> AsyncGenerator[Spoken, None]:
        """Take a turn in a room or chat of ours."""
        raise NotImplementedError

    def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """Take a turn anywhere."""
        raise NotImplementedError
