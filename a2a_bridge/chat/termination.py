"""When a conversation ends: conditions that are pure functions of the log, joined with `|`, `&` and `~`.

A condition is a fold: `start()` gives a state, `step(state, entry)` the next one, `verdict(state)` the reason to stop
or None. The state is a value and never changes in place, so what a condition knows is always what the log says, also
after a restart. Each entry costs one step, however long the log is. Control words of a speaker that may not end the
conversation (a remote agent, unless its seat says `may_terminate`) are not looked at.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from a2a_bridge.chat.classic import TerminationMessage, to_dict
from a2a_bridge.chat.entry import Entry, StopReason
from a2a_bridge.chat.failure import raised

_log = logging.getLogger(__name__)


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

    def start(self) -> tuple[Any, ...]:
        return tuple(condition.start() for condition in self._conditions)

    def step(self, state: tuple[Any, ...], entry: Entry) -> tuple[Any, ...]:
        return tuple(condition.step(before, entry) for condition, before in zip(self._conditions, state, strict=True))

    def _verdicts(self, state: tuple[Any, ...]) -> list[StopReason | None]:
        return [condition.verdict(now) for condition, now in zip(self._conditions, state, strict=True)]


class _Any(_Joined):
    def verdict(self, state: tuple[Any, ...]) -> StopReason | None:
        return next((reason for reason in self._verdicts(state) if reason is not None), None)


class _All(_Joined):
    def verdict(self, state: tuple[Any, ...]) -> StopReason | None:
        reasons = self._verdicts(state)
        held = [reason for reason in reasons if reason is not None]
        if len(held) < len(reasons):
            return None
        return StopReason("terminated", held[-1].by, " and ".join(reason.detail for reason in held))


class _Not(Condition):
    def __init__(self, condition: Condition) -> None:
        self._condition = condition

    def start(self) -> Any:
        return self._condition.start()

    def step(self, state: Any, entry: Entry) -> Any:
        return self._condition.step(state, entry)

    def verdict(self, state: Any) -> StopReason | None:
        if self._condition.verdict(state) is not None:
            return None
        return StopReason("terminated", detail=f"not {type(self._condition).__name__}")


def _may_end(entry: Entry) -> bool:
    return entry.kind == "said" and entry.speaker is not None and entry.speaker.may_terminate


class TextMentionTermination(Condition):
    """Somebody who may end the conversation has said this text; `sources`: only these speakers."""

    def __init__(self, text: str, sources: Sequence[str] | None = None) -> None:
        self._text = text
        self._sources = None if sources is None else frozenset(sources)

    def step(self, state: StopReason | None, entry: Entry) -> StopReason | None:
        if state is not None or not _may_end(entry) or self._text not in entry.text:
            return state
        assert entry.speaker is not None
        if self._sources is not None and entry.speaker.name not in self._sources:
            return None
        return StopReason("terminated", entry.speaker.name, f"said {self._text!r}")


class MaxMessageTermination(Condition):
    """So many messages have been said in this run, the opening one counted."""

    def __init__(self, max_messages: int) -> None:
        self._max = max_messages

    def start(self) -> int:
        return 0

    def step(self, state: int, entry: Entry) -> int:
        return state + (entry.kind == "said")

    def verdict(self, state: int) -> StopReason | None:
        return StopReason("terminated", detail=f"{self._max} messages") if state >= self._max else None


class SourceMatchTermination(Condition):
    """One of these speakers has spoken, in answer to the opening message or later."""

    def __init__(self, sources: Sequence[str]) -> None:
        self._sources = frozenset(sources)

    def step(self, state: StopReason | None, entry: Entry) -> StopReason | None:
        if state is not None or entry.kind != "said" or not entry.turn or entry.speaker is None:
            return state
        name = entry.speaker.name
        return StopReason("terminated", name, f"{name} has spoken") if name in self._sources else None


class FunctionalTermination(Condition):
    """A function of the entry says so."""

    def __init__(self, function: Callable[[Entry], bool]) -> None:
        self._function = function

    def step(self, state: StopReason | None, entry: Entry) -> StopReason | None:
        if state is None and self._function(entry):
            by = entry.speaker.name if entry.speaker else ""
            return StopReason("terminated", by, getattr(self._function, "__name__", "a condition"))
        return state


class MessageTermination(Condition):
    """The classic `is_termination_msg`, asked about each message as a dict."""

    def __init__(self, is_termination_msg: TerminationMessage | None = None) -> None:
        self._function = is_termination_msg

    def step(self, state: StopReason | None, entry: Entry) -> StopReason | None:
        if state is not None or not _may_end(entry):
            return state
        assert entry.message is not None
        assert entry.speaker is not None
        if self._function is None:
            ends = is_closing_word(entry.message.text)
        else:
            ends = bool(self._function(to_dict(entry.message)))
        return StopReason("terminated", entry.speaker.name, "is_termination_msg") if ends else None


def is_closing_word(text: str) -> bool:
    """What ends a conversation when nothing else was agreed, as in AutoGen: TERMINATE and nothing else."""
    return text.strip() == "TERMINATE"
