"""What a condition is that ends a conversation, and how conditions are joined: `|`, `&`, `~` and `.after(n)`.

A condition is a fold: `start()` gives a state, `step(state, entry)` the next one, `verdict(state)` the reason to stop
or None. The state is a value and never changes in place, so what a condition knows is always what the log says, also
after a restart. Each entry costs one step, however long the log is.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from a2a_bridge.chat.entry import Entry, StopReason
from a2a_bridge.chat.failure import raised
from a2a_bridge.chat.log import RERUN

_log = logging.getLogger(__name__)

_RANKS = {"canceled": 0, "budget": 1, "deadline": 1, "converged": 3, "max_round": 4, "max_turns": 4}
_CONDITION = 2


def first_of(reasons: Sequence[StopReason]) -> StopReason | None:
    """Of reasons that hold at the same moment the one that counts, with the kinds of the others in `also`; None for
    none. A cancelled room comes first, then what is spent (budget, deadline), conditions, the manager's word, and the
    number of rounds last."""
    if len(reasons) < 2:
        return reasons[0] if reasons else None
    first, *others = sorted(reasons, key=lambda reason: _RANKS.get(reason.kind, _CONDITION))
    also = [kind for reason in others for kind in (reason.kind, *reason.also)]
    return replace(first, also=tuple(dict.fromkeys((*first.also, *also))))


class Condition:
    """Base of all conditions: one that never holds."""

    def start(self) -> Any:
        """The state before the first entry of a run."""
        return None

    def step(self, state: Any, entry: Entry) -> Any:
        """The state after one more entry."""
        return state

    def verdict(self, state: Any) -> StopReason | None:
        """Why to stop, or None to go on."""
        return state if isinstance(state, StopReason) else None

    def inner(self) -> Iterator["Condition"]:
        """This condition and those that it is made of."""
        yield self

    def after(self, rounds: int) -> "Condition":
        """The same condition, which does not look at the first `rounds` rounds of a run; the opening is the first."""
        return _After(self, rounds)

    def __or__(self, other: "Condition") -> "Condition":
        return _Any((self, other))

    def __and__(self, other: "Condition") -> "Condition":
        return _All((self, other))

    def __invert__(self) -> "Condition":
        return _Not(self)


class Checked(Condition):
    """Another condition, which the room survives: what it raises ends the conversation and is not raised."""

    def __init__(self, condition: Condition, by: str) -> None:
        self._condition = condition
        self._by = by

    def start(self) -> Any:
        return self._condition.start()

    def step(self, state: Any, entry: Entry) -> Any:
        if isinstance(state, _Broken):
            return state
        try:
            return self._condition.step(state, entry)
        except Exception as error:  # the user's function
            return self._broken(error)

    def verdict(self, state: Any) -> StopReason | None:
        if isinstance(state, _Broken):
            return state.stop
        try:
            return self._condition.verdict(state)
        except Exception as error:  # the user's class
            return self._broken(error).stop

    def _broken(self, error: Exception) -> "_Broken":
        _log.warning("the condition that ends the conversation raised", exc_info=error)
        return _Broken(StopReason("failed", self._by, f"the condition that ends the conversation {raised(error)}"))


@dataclass(frozen=True, slots=True)
class _Broken:
    stop: StopReason


class _Joined(Condition):
    def __init__(self, conditions: Sequence[Condition]) -> None:
        self._conditions = tuple(conditions)

    def inner(self) -> Iterator[Condition]:
        yield self
        for condition in self._conditions:
            yield from condition.inner()

    def start(self) -> tuple[Any, ...]:
        return tuple(condition.start() for condition in self._conditions)

    def step(self, state: tuple[Any, ...], entry: Entry) -> tuple[Any, ...]:
        return tuple(condition.step(before, entry) for condition, before in zip(self._conditions, state, strict=True))

    def _verdicts(self, state: tuple[Any, ...]) -> list[StopReason]:
        found = [condition.verdict(now) for condition, now in zip(self._conditions, state, strict=True)]
        return [reason for reason in found if reason is not None]


class _Any(_Joined):
    def verdict(self, state: tuple[Any, ...]) -> StopReason | None:
        return first_of(self._verdicts(state))


class _All(_Joined):
    def verdict(self, state: tuple[Any, ...]) -> StopReason | None:
        held = self._verdicts(state)
        if len(held) < len(self._conditions):
            return None
        detail = " and ".join(reason.detail or reason.kind for reason in held)
        return StopReason("terminated", held[-1].by, detail)


class _Wrapped(Condition):
    def __init__(self, condition: Condition) -> None:
        self._condition = condition

    def inner(self) -> Iterator[Condition]:
        yield self
        yield from self._condition.inner()


class _Not(_Wrapped):
    def start(self) -> Any:
        return self._condition.start()

    def step(self, state: Any, entry: Entry) -> Any:
        return self._condition.step(state, entry)

    def verdict(self, state: Any) -> StopReason | None:
        if self._condition.verdict(state) is not None:
            return None
        return StopReason("terminated", detail=f"not {type(self._condition).__name__}")


class _After(_Wrapped):
    def __init__(self, condition: Condition, rounds: int) -> None:
        if isinstance(rounds, bool) or rounds < 1:
            raise ValueError(f"after({rounds!r}): a number of rounds, 1 or more")
        super().__init__(condition)
        self._rounds = rounds

    def start(self) -> tuple["RoundsHad", Any]:
        return RoundsHad(), self._condition.start()

    def step(self, state: tuple["RoundsHad", Any], entry: Entry) -> tuple["RoundsHad", Any]:
        had, inner = state
        if had.rounds >= self._rounds:
            return had, self._condition.step(inner, entry)
        return had.step(entry), inner

    def verdict(self, state: tuple["RoundsHad", Any]) -> StopReason | None:
        return self._condition.verdict(state[1]) if state[0].rounds >= self._rounds else None


class RoundsHad(NamedTuple):
    """How many rounds a run has had, the opening one counted, and whose answers to the open one are missing."""

    rounds: int = 0
    awaited: frozenset[str] = frozenset()

    def step(self, entry: Entry) -> "RoundsHad":
        """After one more entry."""
        if entry.kind == "decided" and entry.why is not None:
            return RoundsHad(self.rounds, frozenset(entry.why.speakers))
        if not entry.turn:
            return RoundsHad(max(self.rounds, 1), self.awaited) if entry.kind == "said" else self
        if not ends_turn(entry) or entry.speaker is None or entry.speaker.name not in self.awaited:
            return self
        left = self.awaited - {entry.speaker.name}
        return RoundsHad(self.rounds + (not left), left)


def ends_turn(entry: Entry) -> bool:
    """Whether a speaker's turn is over with this entry."""
    if not entry.turn:
        return False
    return entry.kind in ("said", "passed") or (entry.kind == "failed" and RERUN not in entry.flags)
