"""What a conversation came to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from a2a_bridge.agent import Journal, Usage, speaker_of
from a2a_bridge.chat.classic import seen_by
from a2a_bridge.chat.debate.outcome import Debate
from a2a_bridge.chat.entry import Decision, Entry, StopReason, words_of
from a2a_bridge.protocol.objects import Message


@dataclass(frozen=True, slots=True)
class Kept:
    """What is needed to go on with a conversation: `initiate_chat(..., clear_history=False)`."""

    context_id: str
    journal: Journal


@dataclass(frozen=True, slots=True)
class ChatResult:
    """What a conversation came to, and why it ended.

    `messages` is all the room has heard, `entries` the log of this run. `usage` is by speaker; the manager's own
    (choosing speakers, summing up) stands under its name. `decisions` says who was chosen, by what and why. `debate` is
    there when the room had a protocol: how they came to agree, or did not. `opener` is the agent who opened it.
    """

    messages: tuple[Message, ...]
    summary: str
    stop: StopReason
    usage: dict[str, Usage]
    human_input: list[str]
    decisions: tuple[Decision, ...]
    room_id: str
    entries: tuple[Entry, ...] = field(repr=False)
    kept: Kept | None = field(default=None, repr=False, compare=False)
    debate: Debate | None = field(default=None, repr=False)
    opener: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """The conversation to read: who said what, and why it ended."""
        lines = [f"{speaker_of(message) or 'somebody'}: {words_of(message.parts)}" for message in self.messages]
        by = f" by {self.stop.by}" if self.stop.by else ""
        detail = f": {self.stop.detail}" if self.stop.detail else ""
        return "\n".join([*lines, f"({self.stop.kind}{by}{detail})"])

    @property
    def chat_history(self) -> list[dict[str, Any]]:
        """All messages as classic dicts, as the agent who opened the conversation has them: its own words are the
        assistant's, all others the user's."""
        return [seen_by(self.opener, message) for message in self.messages]

    @property
    def chat_id(self) -> int:
        """The conversation as a number: the same for one that was gone on with."""
        return UUID(self.room_id).int

    @property
    def cost(self) -> dict[str, Any]:
        """Tokens and US dollars by model, in the classic shape. What comes from a cache is counted in neither part, so
        both are the same; the cost is 0 for a model without a `price`."""
        models = usage_by_model([entry.usage for entry in self.entries if entry.usage is not None])
        return {
            "usage_including_cached_inference": models,
            "usage_excluding_cached_inference": {**models},
        }


def usage_by_model(usages: Iterable[Usage]) -> dict[str, Any]:
    """What was used of which model, in the classic shape."""
    models: dict[str, Any] = {"total_cost": 0.0}
    for used in usages:
        held = models.setdefault(
            used.model or "unknown", {"cost": 0.0, "prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
        )
        held["cost"] += used.cost_usd or 0.0
        held["prompt_tokens"] += used.input_tokens
        held["completion_tokens"] += used.output_tokens
        held["total_tokens"] += used.input_tokens + used.output_tokens
        models["total_cost"] += used.cost_usd or 0.0
    return models


def usage_by_speaker(entries: Sequence[Entry]) -> dict[str, Usage]:
    """Who used how much."""
    found: dict[str, Usage] = {}
    for entry in entries:
        if entry.usage is not None and entry.speaker is not None:
            found[entry.speaker.name] = found.get(entry.speaker.name, Usage()) + entry.usage
    return found


def human_input(entries: Sequence[Entry]) -> list[str]:
    """What people said after the opening: answers, and words that came through an agent."""
    found: list[str] = []
    answered: int | None = None
    for entry in entries:
        if entry.kind == "answered":
            found.append(entry.text)
            answered = entry.turn
        elif entry.kind == "said" and entry.turn not in (0, answered) and _by_human(entry):
            found.append(entry.text)
    return found


def _by_human(entry: Entry) -> bool:
    return entry.speaker is not None and entry.speaker.kind == "human"
