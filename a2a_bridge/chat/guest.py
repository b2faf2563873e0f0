"""Seats of a room that is replayed: those of its configuration under the name that they had, and guests.

A guest took a seat while the room ran. What the rules need to know of it was written down when it joined.
"""

from collections.abc import AsyncGenerator, Mapping
from copy import copy
from typing import Any, cast

from a2a_bridge.agent import Reply, Traits, Turn
from a2a_bridge.chat.budget import Budget
from a2a_bridge.chat.entry import Entry, Speaker
from a2a_bridge.chat.names import fold_name
from a2a_bridge.chat.seat import OnFailure, Seat
from a2a_bridge.protocol.objects import JSONValue


class _Guest:
    """Somebody who sat in the room and is not in its configuration; nothing but its name is left of it."""

    def __init__(self, speaker: Speaker, traits: Traits, *, is_passive: bool) -> None:
        self.name = speaker.name
        self.description = speaker.name
        self.traits = traits
        self.is_passive = is_passive
        self.speaker_kind = speaker.kind
        self.url = speaker.endpoint

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        raise AssertionError("what it said is in the record")
        yield


def guest_seat(speaker: Speaker, heard: Mapping[str, JSONValue] | None) -> Seat:
    """A seat as it was written down."""
    sits = cast("Mapping[str, Any]", (heard or {}).get("seat") or {})
    traits = Traits(framework=speaker.framework, after_crash=sits.get("after_crash", "at_most_once"))
    agent = _Guest(speaker, traits, is_passive=bool(sits.get("passive")))
    policy = None
    if sits:
        then = sits["then"]
        policy = OnFailure(rerun=sits["rerun"], then=then, replacement=agent if then == "replace" else None)
    may_answer = sits.get("may_answer", False)
    budget = sits.get("budget")
    return Seat(
        agent,
        speaker.name,
        on_failure=policy,
        may_answer=may_answer,
        may_terminate=speaker.may_terminate,
        budget=Budget(**budget) if budget else None,
        on_card_change=sits.get("on_card_change", "ask"),
    )


def named_seat(seat: Seat, name: str) -> Seat:
    """The same seat under the name that it had."""
    found = copy(seat)
    found.named = name
    return found


def is_guest(entry: Entry) -> bool:
    """Whether somebody came who is not in the room's configuration."""
    return entry.kind == "joined" and entry.heard is not None and "seat" in entry.heard


def is_of(seat: Seat, speaker: Speaker, name: str) -> bool:
    """Whether a seat of the configuration is that of a speaker, who may have another name now."""
    if seat.named is None and seat.endpoint is not None:
        return seat.endpoint == speaker.endpoint
    return fold_name(seat.named or seat.agent.name) == fold_name(name)
