"""Memory: what an agent knows from elsewhere, put before its model, and told what was said.

A memory is an object of the user's, who decides where it is kept and for whom: `turn.caller` says whose turn it is.
"""

from collections.abc import Sequence
from typing import Protocol

from a2a_bridge.agent import Turn
from a2a_bridge.protocol.objects import Message


class Memory(Protocol):
    """What is recalled is told to the model as a system message of its own; what it answered can be remembered.

    An exception of either fails the turn: a memory that may be lost must catch its own.
    """

    async def recall(self, turn: Turn, messages: Sequence[Message]) -> Sequence[str]:
        """What is worth knowing for the next reply to these messages, each a short text."""

    async def remember(self, turn: Turn, messages: Sequence[Message], reply: str) -> None:
        """The reply has been given; an empty one is not told."""


class Notes:
    """Facts that are always recalled: `memory=[Notes("The office is closed on Fridays.")]`."""

    def __init__(self, *notes: str) -> None:
        self._notes = notes

    async def recall(self, turn: Turn, messages: Sequence[Message]) -> Sequence[str]:
        """All of them."""
        return self._notes

    async def remember(self, turn: Turn, messages: Sequence[Message], reply: str) -> None:
        """Nothing: facts stay as they are."""


async def recalled(memories: Sequence[Memory], turn: Turn, messages: Sequence[Message]) -> str:
    """What all of them recall, as one text; empty if it is nothing."""
    notes = [note for memory in memories for note in await memory.recall(turn, messages)]
    return "\n".join(["What you remember:", *(f"- {note}" for note in notes)]) if notes else ""
