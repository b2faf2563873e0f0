"""The world of a run that is replayed: everything it asks for is read from what was written down.

Nobody is called: no seat, no model, no person, no network. What comes next in the log says what came from outside: the
words of a seat are in the entry in which they were written down, with `raw` and `heard`; the answers of a model are in
the decision that they led to; what was said meanwhile, who came and went, and a cancellation stand where the room took
note of them. The rules decide anew.

Concurrency, in prose. Whatever is asked for and is not in the record waits for ever: the run was cut off there, or it
is another run than the one that was written down. `done` is set then, and whoever plays the run cancels it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Never

from a2a_bridge.agent import Chunk, Progress, Turn, Usage
from a2a_bridge.chat.ask import Human
from a2a_bridge.chat.breaker import Breaker
from a2a_bridge.chat.choose import HANDED
from a2a_bridge.chat.control import CanceledError, Control, Gone
from a2a_bridge.chat.debate.measure import RULING
from a2a_bridge.chat.debate.rounds import Judge
from a2a_bridge.chat.entry import END, EXTERNAL, Entry, Speaker, StopReason, metadata_of
from a2a_bridge.chat.failure import RecordedError
from a2a_bridge.chat.guest import guest_seat, is_guest
from a2a_bridge.chat.hearing import Hearing
from a2a_bridge.chat.inbox import Inbox
from a2a_bridge.chat.model import ModelMessage, ModelTool, Piece
from a2a_bridge.chat.opening import CARD_CHANGED, INTRODUCED
from a2a_bridge.chat.outside import Outside
from a2a_bridge.chat.retell import retold, said_outside
from a2a_bridge.chat.rules import Rules
from a2a_bridge.chat.run import NO_USAGE, Run
from a2a_bridge.chat.seat import Chair, Seat, make_chair, uuid_of
from a2a_bridge.chat.settle import LATE
from a2a_bridge.chat.spoken import Spoken
from a2a_bridge.protocol.objects import JSONValue, Message

_OUTCOMES = frozenset({"said", "failed", "passed", "asked"})
_NO_ANSWER = "no answer: "
_PATIENCE = 10_000


class _NoBreaker(Breaker):
    """Who could be reached is in the record."""

    @classmethod
    def tell(cls, endpoint: str, *, failed: bool, now: float | None = None) -> None:
        """It is known."""

    @classmethod
    def seconds_left(cls, endpoint: str | None, now: float | None = None) -> float:
        """Everybody is called as it was."""
        return 0.0


@dataclass(slots=True)
class Ending:
    """How a replayed run ended before its end. `difference`: in which way it is not the one that was written down."""

    done: asyncio.Event
    difference: str = ""


class RecordedOutside(Outside):
    """What reached a run that is in the log: `entries` of the whole room, those of the run end before `end`. `seed` is
    in the head of the run."""

    breaker = _NoBreaker

    def __init__(self, rules: Rules, entries: Sequence[Entry], end: int, seed: int) -> None:
        self.ending = Ending(asyncio.Event())
        self._rules = rules
        self._entries = entries
        self._end = end
        self._seed = seed
        self._run: Run | None = None
        self._counted: set[int] = set()
        self._answered: dict[int, int] = {}

    # What comes next.

    @property
    def run(self) -> Run:
        """The run that is replayed."""
        assert self._run is not None
        return self._run

    @property
    def at(self) -> int:
        """How many entries there are."""
        return len(self.run.log.entries)

    @property
    def next(self) -> Entry | None:
        """The entry that was written next; None: none was."""
        return self._entries[self.at] if self.at < self._end else None

    def change(self) -> list[Entry]:
        """Who comes and goes next: entries in a row, those who leave first."""
        found: list[Entry] = []
        for entry in self._entries[self.at : self._end]:
            late = entry.kind == "left" and any(other.kind == "joined" for other in found)
            if entry.kind not in ("left", "joined") or late:
                break
            found.append(entry)
        return found

    async def cut(self) -> Never:
        """Nothing was written down any more."""
        self.ending.done.set()
        await asyncio.Event().wait()
        raise AssertionError("unreachable: whoever plays the run has cancelled it")

    async def differ(self, told: str) -> Never:
        """This is not the run that was written down."""
        self.ending.difference = self.ending.difference or told
        await self.cut()

    async def expected(self) -> Entry:
        """What was written next, for somebody who wants it; a room that was told to stop is told so."""
        found = self.next
        if found is None:
            await self.cut()
        if _is_canceled(found):
            self.run.control.cancel(_stop_of(found).detail)
            await asyncio.Event().wait()
        return found

    # What a run asks for.

    def control(self, room: str) -> Control:
        return _Control(self, f"{room} (replay)")

    def begin(self, run: Run) -> None:
        self._run = run

    def clock(self) -> float:
        """When the next entry was written."""
        found = self.next
        return 0.0 if found is None else (found.at + 0.5) / 1000

    def seed(self, rules: Rules) -> int:
        return self._seed

    async def chairs(self, seats: Sequence[Seat], rules: Rules) -> tuple[Chair, ...]:
        coming = {entry.speaker.name: entry.speaker for entry in self.change() if entry.speaker is not None}
        return tuple(self._chair(seat, {**self.run.log.speakers, **coming}, rules) for seat in seats)

    def _chair(self, seat: Seat, speakers: Mapping[str, Speaker], rules: Rules) -> Chair:
        chair = make_chair(seat, rules.view, rules.on_failure, None)
        speaker = speakers.get(chair.name, chair.speaker)
        introduced = self._introduced().get(chair.name)
        return replace(
            chair,
            speaker=speaker,
            metadata=metadata_of(speaker),
            card=SimpleNamespace(description=introduced) if introduced is not None else None,
            timeout=None,
            speak=lambda turn: self._speak(chair, turn),
        )

    def _introduced(self) -> dict[str, str]:
        """What was said about the seats when they were introduced."""
        if not self._rules.introduces:
            return {}
        said = next((entry.text for entry in self._entries if entry.text.startswith(INTRODUCED)), INTRODUCED)
        rest = said.removeprefix(INTRODUCED)
        names = [entry.speaker.name for entry in self._entries[: self._end] if entry.kind == "joined" and entry.speaker]
        found: dict[str, str] = {}
        for name, following in zip(names, [*names[1:], None], strict=True):
            if not rest.startswith(f"{name}: "):
                break
            told, _, rest = rest.removeprefix(f"{name}: ").partition(f"\n{following}: ")
            rest = f"{following}: {rest}"
            found[name] = told
        return found

    async def has_changed(self, chairs: Sequence[Chair]) -> bool:
        """The log says so next."""
        names = {chair.name for chair in chairs}
        return any(
            CARD_CHANGED in entry.flags and entry.speaker is not None and entry.speaker.name in names
            for entry in self.change()
        )

    def inbox(self, run: Run, hearing: Hearing, human: Human | None, *, pauses: bool) -> Inbox:
        return _Inbox(self, run, hearing)

    # What a seat said.

    async def _speak(self, chair: Chair, turn: Turn) -> AsyncGenerator[Spoken, None]:
        run = self.run
        if turn.id == uuid_of("question", run.id, chair.key, run.log.next_seq):
            found = self.next
            if found is not None and found.kind == "answered" and found.speaker == chair.speaker:
                assert found.message is not None
                yield Chunk(parts=found.message.parts)
            return
        while run.control.said:
            yield Progress("")  # so that what was said meanwhile is taken in
            await asyncio.sleep(0)
        entry = self._outcome(chair.name)
        if entry is None:
            found = await self.expected()
            await self.differ(f"{chair.name} is asked, who has not been; next comes {_told(found)}")
        if LATE in entry.flags:
            await self._silence(chair.name)
        for reply in retold(entry):
            yield reply

    def _outcome(self, name: str) -> Entry | None:
        number = self.run.log.turn
        for entry in self._entries[self.at : self._end]:
            if entry.kind in _OUTCOMES and entry.turn == number and entry.speaker and entry.speaker.name == name:
                return entry
        return None

    async def _silence(self, name: str) -> Never:
        """Nobody waited for it; whoever does now, does not wait for ever."""
        for _ in range(_PATIENCE):
            await asyncio.sleep(0)
        await self.differ(f"{name} is waited for, who has not been")

    # How the next speaker was chosen, and the conversation summed up.

    def usage_of(self, entry: Entry | None) -> Usage:
        """What was used for an entry of the manager's, told once."""
        if entry is None or entry.usage is None or entry.seq in self._counted:
            return NO_USAGE
        self._counted.add(entry.seq)
        return entry.usage

    def next_decision(self) -> Entry | None:
        """The decision that comes next, whatever comes before it."""
        return next((entry for entry in self._entries[self.at : self._end] if entry.kind == "decided"), None)

    def answer_of(self, entry: Entry) -> str | None:
        """The next answer that led to this decision; None when there are no more."""
        answers = entry.why.answers if entry.why is not None else ()
        number = self._answered.get(entry.seq, 0)
        self._answered[entry.seq] = number + 1
        return answers[number] if number < len(answers) else None

    async def summarise(self, _: Sequence[Entry]) -> tuple[str, Usage]:
        """What it was summed up to."""
        found = self.next
        if found is None:
            await self.cut()
        if found.kind != "stopped":
            await self.differ(f"the conversation is summed up, and next comes {_told(found)}")
        return found.text, found.usage or NO_USAGE

    def rules(self) -> Rules:
        """The rules with everything in them that would ask somebody replaced by what was written down."""
        rules = self._rules
        selector = rules.selector
        model = _Model(self)
        protocol = rules.protocol
        if protocol is not None and isinstance(protocol.decide, Judge) and protocol.judge_seat is None:
            protocol = replace(protocol, decide=Judge(model))
        method = _Function(self) if callable(selector.method) else selector.method
        return replace(
            rules,
            model=model if rules.model is not None else None,
            selector=replace(selector, method=method, model=model if selector.model is not None else None),
            eligibility=(_Filter(self),) if rules.eligibility else (),
            summarise=self.summarise if rules.summarise is not None else None,
            clock=self.clock,
            protocol=protocol,
        )


class _Control(Control):
    """What others wanted of the run, when the log says that it took note of it."""

    def __init__(self, outside: RecordedOutside, room: str) -> None:
        self._outside = outside
        self._wanted = False
        self._said_at = self._seats_at = -1
        self._said: deque[tuple[str | None, Message]] = deque()
        self._seats: deque[Any] = deque()
        super().__init__(room)

    @property
    def is_wanted(self) -> bool:
        """The room must look here before its next turn."""
        found = self._outside.next
        if found is not None and _is_canceled(found):
            self.canceled = _stop_of(found).detail
            return True
        return self._wanted or bool(self.said) or bool(self.seats) or self.finished is not None

    @is_wanted.setter
    def is_wanted(self, value: bool) -> None:
        self._wanted = value

    @property
    def finished(self) -> str | None:
        """Whether somebody asks for the end next."""
        found = self._outside.next
        if found is None:
            return None
        if found.stop is not None and (found.stop.kind, found.stop.by) == ("terminated", "outside"):
            return found.stop.detail
        return found.detail if EXTERNAL in found.flags else None

    @finished.setter
    def finished(self, value: str | None) -> None:
        """It is in the record."""

    @property
    def said(self) -> deque[tuple[str | None, Message]]:
        """What was said next from outside."""
        outside = self._outside
        if outside.at != self._said_at:
            self._said_at = outside.at
            found = outside.next
            self._said = deque()
            if found is not None and found.kind == "said" and not found.turn:
                self._said.append(said_outside(found, outside.run.names, outside.run.stand_in))
        return self._said

    @said.setter
    def said(self, value: Any) -> None:
        """It is in the record."""

    @property
    def seats(self) -> deque[Any]:
        """Who comes and goes next."""
        outside = self._outside
        if outside.at != self._seats_at:
            self._seats_at = outside.at
            change = outside.change()
            self._seats = deque()
            if any(entry.kind == "left" or is_guest(entry) for entry in change):
                self._seats.append(self._changes(change))
        return self._seats

    @seats.setter
    def seats(self, value: Any) -> None:
        """It is in the record."""

    def _changes(self, change: Sequence[Entry]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
        chairs = self._outside.run.floor.chairs
        found: list[Any] = []
        for entry in change:
            assert entry.speaker is not None
            chair = chairs.get(entry.speaker.name)
            if entry.kind == "left" and chair is not None:
                found.append(Gone(chair.key))
            elif is_guest(entry):
                found.append(guest_seat(entry.speaker, entry.heard))
        return lambda changes: (*changes, *found)


class _Inbox(Inbox):
    """What people answered."""

    def __init__(self, outside: RecordedOutside, run: Run, hearing: Hearing) -> None:
        super().__init__(run, hearing, None, pauses=False)
        self._outside = outside

    async def answer(self, asked: Sequence[Entry]) -> Message | None:
        """What a person answered."""
        run, found = self._run, self._outside.next
        if found is None:
            await self._outside.cut()
        if found.kind == "answered" and found.message is not None:
            return found.message.model_copy(update={"metadata": None})
        if _is_canceled(found):
            run.cancel(CanceledError(_stop_of(found).detail))
            return None
        if found.kind == "stopped" and found.stop is not None:
            run.stop = found.stop
            return None
        if found.kind == "said" and not found.turn:  # the room waited for its caller, and was told something else
            self.paused = tuple(ask for entry in asked for ask in entry.asks)
            return None
        return await self._outside.differ(f"a person is asked, and next comes {_told(found)}")


class _Model:
    """What a model answered."""

    name = "recorded"

    def __init__(self, outside: RecordedOutside) -> None:
        self._outside = outside

    async def stream(
        self, messages: Sequence[ModelMessage], *, schema: JSONValue = None, tools: Sequence[ModelTool] = ()
    ) -> AsyncGenerator[Piece, None]:
        """The next answer that led to the decision that comes next. Without a schema: what a summary used."""
        outside = self._outside
        if schema is None:
            yield outside.usage_of(outside.next_decision())
            return
        found = await outside.expected()
        why = found.why
        if found.kind == "noted":  # it judges a debate
            if RULING not in found.flags:
                raise RecordedError(found.detail)
            yield found.text
            yield outside.usage_of(found)
            return
        if found.kind != "decided" or why is None:
            await outside.differ(f"a model is asked who is next, and next comes {_told(found)}")
        answer = outside.answer_of(found)
        if answer is None and why.rejected and why.rejected[-1].startswith(_NO_ANSWER):
            raise RecordedError(why.rejected[-1].removeprefix(_NO_ANSWER))
        if answer is None:
            await outside.differ("a model is asked who is next more often than it was")
        yield answer
        yield outside.usage_of(found)


class _Function:
    """What a selection function gave."""

    def __init__(self, outside: RecordedOutside) -> None:
        self._outside = outside

    @property
    def __name__(self) -> str:
        found = self._outside.next
        if found is None:
            return "function"
        if found.stop is not None:
            return found.stop.detail.partition(" ")[0]
        return found.why.reason.partition(HANDED)[0].removesuffix(" named nobody") if found.why else "function"

    async def __call__(self, last: Any, view: Any) -> Any:
        found = await self._outside.expected()
        if found.kind == "stopped":
            raise RecordedError(_stop_of(found).detail.partition(" ")[2])
        if found.kind == "asked":
            return "manual"
        why = found.why
        if found.kind != "decided" or why is None:
            return await self._outside.differ(f"a function chooses, and next comes {_told(found)}")
        if why.chosen_by == "function":
            return None if why.chosen == END else [*why.speakers]
        return "auto" if why.chosen_by == "fallback" else why.chosen_by


class _Filter:
    """What the filters let through."""

    def __init__(self, outside: RecordedOutside) -> None:
        self._outside = outside

    @property
    def __name__(self) -> str:
        found = self._outside.next
        return found.stop.detail.partition(" ")[0] if found is not None and found.stop is not None else "the filter"

    def __call__(self, agent: Any, view: Any) -> bool:
        found = self._outside.next
        if found is None:
            return True
        if found.stop is not None and found.stop.kind == "selection_failed":
            raise RecordedError(found.stop.detail.partition(" ")[2])
        names = found.why.candidates if found.why is not None else found.asks[0].options if found.asks else ()
        chairs = self._outside.run.floor.chairs
        return any(name in chairs and chairs[name].original is agent for name in names)


def _is_canceled(entry: Entry) -> bool:
    return entry.stop is not None and entry.stop.kind == "canceled"


def _stop_of(entry: Entry) -> StopReason:
    return entry.stop or StopReason("unknown")


def _told(entry: Entry) -> str:
    who = f" of {entry.speaker.name}" if entry.speaker is not None else ""
    return f"entry {entry.seq}, {entry.kind}{who}"
