"""How a room is run: everything that does not change while it runs."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from a2a_bridge.agent import Usage
from a2a_bridge.chat.ask import Human
from a2a_bridge.chat.budget import Budget
from a2a_bridge.chat.debate.rounds import Rounds
from a2a_bridge.chat.entry import Entry, Speaker
from a2a_bridge.chat.model import Model
from a2a_bridge.chat.names import fold_name
from a2a_bridge.chat.result import ChatResult
from a2a_bridge.chat.seat import OnFailure, Seat, View
from a2a_bridge.chat.speaker import Selector
from a2a_bridge.chat.termination import Condition
from a2a_bridge.protocol.objects import Part

Summarise = Callable[[Sequence[Entry]], Awaitable[tuple[str, Usage]]]
"""Sums up the entries of a run."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a `GroupChatManager`, or a chat of two, tells the engine.

    `limit` is how many rounds a run may have, the opening one counted, and `limit_kind` what the stop is called then.
    `pair`: a chat of two agents, in which having nothing to say ends it and a failure is not talked about. `clock`:
    seconds since 1970, which entries of the log are stamped with. `protocol` says who speaks instead of `selector`.
    """

    manager: Speaker
    seats: tuple[Seat, ...]
    selector: Selector
    until: Condition
    limit: int | None = None
    limit_kind: str = "max_round"
    model: Model | None = None
    repeats: "bool | tuple[Any, ...]" = True
    transitions: Mapping[Any, Sequence[Any]] | None = None
    transitions_kind: str | None = None
    view: View = View()
    on_failure: OnFailure = OnFailure()
    min_seats: int = 1
    earlier: tuple[tuple[str, tuple[Part, ...]], ...] = ()
    introduces: bool = False
    pair: bool = False
    summarise: Summarise | None = None
    budget: Budget | None = None
    eligibility: tuple[Callable[[Any, Any], bool], ...] = ()
    clock: Callable[[], float] = time.time
    protocol: Rounds | None = None
    admin: str = "Admin"

    def stand_in(self, speakers: Iterable[Speaker]) -> Speaker:
        """In whose name a person speaks and answers who gives none: the person called `admin`, else the first one."""
        people = [speaker for speaker in speakers if speaker.kind == "human"]
        named = (speaker for speaker in people if fold_name(speaker.name) == fold_name(self.admin))
        return next(named, people[0] if people else Speaker("user", "human"))


class Host:
    """Base of what hosts a room: a `GroupChatManager`."""

    rules: Rules
    human: Human | None
    is_patient: ClassVar[bool] = True
    """Its seats have time limits of their own."""

    def keep_result(self, result: ChatResult) -> None:
        """Leave a finished conversation for reading."""
        raise NotImplementedError
