"""When a conversation ends: conditions that are pure functions of the log, joined with `|`, `&`, `~` and `.after(n)`.

    from a2a_bridge.chat import termination as t

    GroupChat(agents, until=t.Text("DONE", sources=["critic"]).after(3) | t.Budget(usd=0.50) | t.Repeats())

Control words of a speaker that may not end the conversation (a remote agent, unless its seat says `may_terminate`) are
not looked at. Conditions are looked at between turns, never in the middle of one: how long a turn may take is the
seat's business. The long names are those of AutoGen.

Without any condition a room ends when somebody says TERMINATE and nothing else, and when it is down to courtesies
(`courtesy.py`; `GroupChat(courtesies_end=False)` for one in which they do not).
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from a2a_bridge.chat import budget as bounds
from a2a_bridge.chat.classic import TerminationMessage, check_count, to_dict
from a2a_bridge.chat.condition import Condition, RoundsHad, ends_turn
from a2a_bridge.chat.courtesy import NO_COURTESY, Courtesy, after, down_to_courtesies, likeness, words_in
from a2a_bridge.chat.entry import END, EXTERNAL, Entry, StopReason, words_of
from a2a_bridge.chat.position import Position, stated_in

__all__ = [
    "Agreement", "Budget", "Condition", "Deadline", "External", "FunctionalTermination", "Handoff", "Idle",
    "ManagerSays", "MaxMessageTermination", "MaxRounds", "MessageTermination", "Repeats", "Source",
    "SourceMatchTermination", "Stable", "Text", "TextMentionTermination", "Tokens", "Tool", "is_closing_word",
]  # fmt: skip


def _may_end(entry: Entry) -> bool:
    return entry.kind == "said" and entry.speaker is not None and entry.speaker.may_terminate


def _by(entry: Entry) -> str:
    return entry.speaker.name if entry.speaker is not None else ""


def _names(sources: str | Sequence[str]) -> frozenset[str]:
    return frozenset([sources] if isinstance(sources, str) else sources)


# What is said.


class Text(Condition):
    """Somebody who may end the conversation has said this text; `sources`: only these speakers."""

    def __init__(self, text: str, sources: str | Sequence[str] | None = None) -> None:
        if not text:
            raise ValueError("Text(''): everything contains it")
        self._text = text
        self._sources = None if sources is None else _names(sources)

    def step(self, state: StopReason | None, entry: Entry) -> StopReason | None:
        if state is not None or not _may_end(entry) or self._text not in entry.text:
            return state
        if self._sources is not None and _by(entry) not in self._sources:
            return None
        return StopReason("terminated", _by(entry), f"said {self._text!r}")


class Source(Condition):
    """One of these speakers has spoken, in answer to the opening message or later."""

    def __init__(self, sources: str | Sequence[str]) -> None:
        self._sources = _names(sources)

    def step(self, state: StopReason | None, entry: Entry) -> StopReason | None:
        if state is not None or entry.kind != "said" or not entry.turn or _by(entry) not in self._sources:
            return state
        return StopReason("terminated", _by(entry), f"{_by(entry)} has spoken")


class MaxMessageTermination(Condition):
    """So many messages have been said in this run, the opening one counted."""

    def __init__(self, max_messages: int) -> None:
        check_count("max_messages", max_messages)
        self._max = max_messages

    def start(self) -> int:
        return 0

    def step(self, state: int, entry: Entry) -> int:
        return state + (entry.kind == "said")

    def verdict(self, state: int) -> StopReason | None:
        return StopReason("terminated", detail=f"{self._max} messages") if state >= self._max else None


class FunctionalTermination(Condition):
    """A function of the entry says so."""

    def __init__(self, function: Callable[[Entry], bool]) -> None:
        self._function = function

    def step(self, state: StopReason | None, entry: Entry) -> StopReason | None:
        if state is None and self._function(entry):
            return StopReason("terminated", _by(entry), getattr(self._function, "__name__", "a condition"))
        return state


class MessageTermination(Condition):
    """The condition that every room has: the classic `is_termination_msg`, asked about each message as a dict (without
    one, TERMINATE and nothing else), and, unless `courtesies` is False, four courtesies in a row."""

    def __init__(self, is_termination_msg: TerminationMessage | None = None, *, courtesies: bool = True) -> None:
        self._function = is_termination_msg
        self._courtesies = courtesies

    def start(self) -> Courtesy:
        return NO_COURTESY

    def step(self, state: Courtesy | StopReason, entry: Entry) -> Courtesy | StopReason:
        if entry.kind != "said" or isinstance(state, StopReason):
            return state
        message, speaker = entry.message, entry.speaker
        assert message is not None
        assert speaker is not None
        parts = message.parts
        text = parts[0].text if len(parts) == 1 else None
        if speaker.may_terminate:
            if self._function is None:
                ends = is_closing_word(message.text if text is None else text)
            else:
                ends = bool(self._function(to_dict(message)))
            if ends:
                return StopReason("terminated", speaker.name, "is_termination_msg")
        return after(state, text, entry) if self._courtesies and text is not None else NO_COURTESY

    def verdict(self, state: Courtesy | StopReason) -> StopReason | None:
        return state if isinstance(state, StopReason) else down_to_courtesies(state)


def is_closing_word(text: str) -> bool:
    """What ends a conversation when nothing else was agreed, as in AutoGen: TERMINATE and nothing else."""
    return text.strip() == "TERMINATE"


class Tool(Condition):
    """A speaker that may end the conversation has called this tool in its turn."""

    def __init__(self, name: str) -> None:
        self._name = name

    def step(self, state: StopReason | None, entry: Entry) -> StopReason | None:
        if state is not None or not entry.heard or not _may_end(entry):
            return state
        activity: Any = entry.heard.get("activity") or ()
        if not any(told[0] == "call" and told[2] == self._name for told in activity):
            return None
        return StopReason("terminated", _by(entry), f"called {self._name}")


class Handoff(Condition):
    """A speaker that may end the conversation has handed over to `target`, or to anybody; whoever that is need not
    have a seat, and does not speak any more."""

    def __init__(self, target: str | None = None) -> None:
        self._target = target

    def step(self, state: StopReason | None, entry: Entry) -> StopReason | None:
        if state is not None or not entry.heard or not _may_end(entry):
            return state
        to = entry.heard.get("next")
        if to is None or self._target not in (None, to):
            return None
        return StopReason("terminated", _by(entry), f"handed over to {to}")


# How much of it.


class MaxRounds(Condition):
    """So many rounds have been had, the opening one counted, as with `GroupChat(max_round=)`."""

    def __init__(self, rounds: int) -> None:
        check_count("rounds", rounds)
        self._rounds = rounds

    def start(self) -> RoundsHad:
        return RoundsHad()

    def step(self, state: RoundsHad, entry: Entry) -> RoundsHad:
        return state.step(entry)

    def verdict(self, state: RoundsHad) -> StopReason | None:
        return StopReason("max_round", detail=f"{self._rounds} rounds") if state.rounds >= self._rounds else None


class Budget(Condition):
    """So much is spent, the manager's own share counted. Nothing is reserved before a turn, so that the last one may
    overshoot: `GroupChat(budget=)` stops before. Seats that do not tell are estimated."""

    def __init__(
        self,
        *,
        tokens: int | None = None,
        usd: float | None = None,
        seconds: float | None = None,
        messages: int | None = None,
        remote_calls: int | None = None,
    ) -> None:
        self._budget = bounds.Budget(
            tokens=tokens, usd=usd, seconds=seconds, messages=messages, remote_calls=remote_calls
        )

    def start(self) -> tuple[bounds.Spent, int, int]:
        return bounds.Spent(), 0, 0

    def step(self, state: tuple[bounds.Spent, int, int], entry: Entry) -> tuple[bounds.Spent, int, int]:
        spent, began, _ = state
        spent = replace(spent)
        if entry.kind == "said" and entry.turn and entry.usage is None and entry.message is not None:
            entry = replace(entry, usage=bounds.estimated(words_of(entry.message.parts)))
        spent.add(entry)
        return spent, began or entry.at, entry.at

    def verdict(self, state: tuple[bounds.Spent, int, int]) -> StopReason | None:
        spent, began, now = state
        told = bounds.broken(self._budget, spent, (now - began) / 1000)
        return None if told is None else StopReason("budget", detail=told)


class Tokens(Budget):
    """So many tokens are used, read and written together."""

    def __init__(self, tokens: int) -> None:
        super().__init__(tokens=tokens)


class Deadline(Condition):
    """So many seconds have passed since the run began, by the times in the log; waiting for a person counts."""

    def __init__(self, seconds: float) -> None:
        if isinstance(seconds, bool) or not seconds > 0:
            raise ValueError(f"Deadline({seconds!r}): seconds above 0")
        self._seconds = seconds

    def start(self) -> tuple[int, int]:
        return 0, 0

    def step(self, state: tuple[int, int], entry: Entry) -> tuple[int, int]:
        return state[0] or entry.at, entry.at

    def verdict(self, state: tuple[int, int]) -> StopReason | None:
        if state[1] - state[0] < self._seconds * 1000:
            return None
        return StopReason("deadline", detail=f"{self._seconds:g} seconds have passed")


# Whether it gets anywhere.


class Idle(Condition):
    """So many turns of seats in a row have given nothing: failed, empty, passed over."""

    def __init__(self, turns: int = 3) -> None:
        check_count("turns", turns)
        self._turns = turns

    def start(self) -> int:
        return 0

    def step(self, state: int, entry: Entry) -> int:
        if not ends_turn(entry):
            return state
        return 0 if entry.kind == "said" else state + 1

    def verdict(self, state: int) -> StopReason | None:
        return StopReason("terminated", detail=f"{state} turns in a row gave nothing") if state >= self._turns else None


class Repeats(Condition):
    """The conversation goes round in circles: each of the last `window` messages says what one of the `window`
    messages before it has said. `similarity`: the share of words that two messages must have in common, 1.0 for the
    same words; case and punctuation make no difference."""

    def __init__(self, similarity: float = 0.95, window: int = 4) -> None:
        if isinstance(similarity, bool) or not 0 < similarity <= 1:
            raise ValueError(f"Repeats(similarity={similarity!r}): above 0, 1 at most")
        check_count("window", window)
        self._similarity = similarity
        self._window = window

    def start(self) -> tuple[int, tuple[Counter[str], ...]]:
        return 0, ()

    def step(self, state: tuple[int, tuple[Counter[str], ...]], entry: Entry) -> tuple[int, tuple[Counter[str], ...]]:
        if entry.kind != "said" or not entry.turn:
            return state
        streak, recent = state
        words = words_in(entry.text)
        again = any(likeness(words, other) >= self._similarity for other in recent)
        return streak + 1 if again else 0, (*recent, words)[-self._window :]

    def verdict(self, state: tuple[int, tuple[Counter[str], ...]]) -> StopReason | None:
        if state[0] < self._window:
            return None
        return StopReason("terminated", detail=f"the last {state[0]} messages repeat what was said before")


class Agreement(Condition):
    """At least this share of those who have stated a position (`position.py`) hold the same answer, two at least."""

    def __init__(self, share: float = 1.0) -> None:
        if isinstance(share, bool) or not 0 < share <= 1:
            raise ValueError(f"Agreement({share!r}): above 0, 1 at most")
        self._share = share

    def start(self) -> Mapping[str, Position]:
        return {}

    def step(self, state: Mapping[str, Position], entry: Entry) -> Mapping[str, Position]:
        held = _stated(entry)
        return state if held is None else {**state, _by(entry): held}

    def verdict(self, state: Mapping[str, Position]) -> StopReason | None:
        if len(state) < 2:
            return None
        key, count = Counter(held.key for held in state.values()).most_common(1)[0]
        if count < 2 or count < self._share * len(state) - 1e-9:
            return None
        answer = next(held.answer for held in state.values() if held.key == key)
        return StopReason("terminated", detail=f"{count} of {len(state)} hold {answer!r}")


class Stable(Condition):
    """Everybody who states positions has held the same answer so many times in a row."""

    def __init__(self, times: int = 2) -> None:
        check_count("times", times, least=2)
        self._times = times

    def start(self) -> Mapping[str, tuple[str, int]]:
        return {}

    def step(self, state: Mapping[str, tuple[str, int]], entry: Entry) -> Mapping[str, tuple[str, int]]:
        held = _stated(entry)
        if held is None:
            return state
        before, times = state.get(_by(entry), ("", 0))
        return {**state, _by(entry): (held.key, times + 1 if held.key == before else 1)}

    def verdict(self, state: Mapping[str, tuple[str, int]]) -> StopReason | None:
        if not state or any(times < self._times for _, times in state.values()):
            return None
        return StopReason("terminated", detail=f"nobody has changed an answer for {self._times} rounds")


def _stated(entry: Entry) -> Position | None:
    if entry.kind != "said" or not entry.turn or entry.message is None:
        return None
    return stated_in(entry.message)


# Somebody says so.


class ManagerSays(Condition):
    """The manager, choosing by a model, has declared the end. Where this stands in a condition, the manager is offered
    the end only when the whole condition would then hold: `ManagerSays().after(3)`, `ManagerSays() & Agreement()`."""

    def step(self, state: StopReason | None, entry: Entry) -> StopReason | None:
        if state is not None or entry.kind != "decided" or entry.why is None or entry.why.chosen != END:
            return state
        return StopReason("converged", _by(entry), entry.why.reason)


class External(Condition):
    """Somebody outside has asked for the end with `GroupChatManager.finish`. Where this stands in a condition, that
    is one more thing that the condition looks at; else it ends the conversation by itself."""

    def step(self, state: StopReason | None, entry: Entry) -> StopReason | None:
        if state is not None or EXTERNAL not in entry.flags:
            return state
        return StopReason("terminated", "outside", entry.detail or entry.text)


TextMentionTermination = Text
SourceMatchTermination = Source
