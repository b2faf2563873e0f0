"""Replaying a room: the rules decide anew on what was heard then, and must come to the same log, byte for byte.

A log consists of runs, each with a head: a question put to the room, the answer to one of its questions, or going on
after it was cut off. Each is played again on the lines before it. What is compared are the lines of entries and heads,
not where commits ended. The first line that differs says which rule has changed, or that the log was.
"""

import asyncio
import json
from collections.abc import Iterable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from a2a_bridge.agent import Answer, Caller, Turn
from a2a_bridge.chat.entry import Entry, Speaker
from a2a_bridge.chat.guest import guest_seat, is_of, named_seat
from a2a_bridge.chat.log import RoomLog, RunHead
from a2a_bridge.chat.names import fold_name
from a2a_bridge.chat.recorded import RecordedOutside
from a2a_bridge.chat.retell import said_outside
from a2a_bridge.chat.room import Room
from a2a_bridge.chat.rules import Rules
from a2a_bridge.chat.seal import is_seal
from a2a_bridge.chat.seat import Seat
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import Message, Role
from a2a_bridge.store.contract import Numbered
from a2a_bridge.store.journal import MemoryJournal

_ENTRIES = frozenset({
    "joined", "left", "noted", "said", "decided", "asked", "answered", "failed", "passed", "stopped",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Difference:
    """The first line that came out otherwise: as it was written down, and as it is now; None: there is no such line.
    `seq` is the number of its entry, or of the one before it."""

    seq: int
    recorded: str | None
    replayed: str | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Replay:
    """What replaying a room came to. `entries` is how many came out the same, `runs` how many runs were played."""

    entries: int
    runs: int
    difference: Difference | None = None

    @property
    def is_same(self) -> bool:
        """The same log, byte for byte."""
        return self.difference is None


class LogError(ChatError):
    """The lines are no log of a room."""


@dataclass(slots=True)
class _Session:
    """One run: its lines are those from `start` to `end`, its entries end before `last`."""

    head: RunHead
    start: int
    end: int = 0
    first: int = 0
    last: int = 0
    goes_on: bool = False
    asked: tuple[Entry, ...] = ()
    speakers: dict[str, Speaker] = field(default_factory=dict)
    is_new_room: bool = False


async def replay(rules: Rules, lines: Iterable[bytes | str]) -> Replay:
    """Play the runs in these lines again, without asking anybody. LogError for lines that are no log.

    Of a room that was forked from another one, the runs after that are played: what came before is the other room's.
    `rules` may be those of another room than the one that was written down: then they differ somewhere.
    """
    kept = [line.encode() if isinstance(line, str) else line for line in lines]
    record = _Record(rules, [line for line in kept if line.strip() and not is_seal(line)])
    for number, session in enumerate(record.sessions):
        difference = await _play(rules, record, session)
        if difference is not None:
            return Replay(max(0, difference.seq - 1), number + 1, difference)
    return Replay(len(record.entries), len(record.sessions))


class _Record:
    """A log, cut into runs."""

    def __init__(self, rules: Rules, lines: Sequence[bytes]) -> None:
        self.lines = lines
        self.names: dict[str, str] = {}
        self.sessions: list[_Session] = []
        log = RoomLog(MemoryJournal(), rules.manager)
        for at, line in enumerate(lines):
            try:
                found = json.loads(line)
                self._take(log, at, found)
            except (ValueError, KeyError, TypeError, IndexError, AssertionError) as error:
                raise LogError(f"line {at + 1} is no line of a room's log ({type(error).__name__})") from None
        if self.sessions:
            self._close(len(lines), len(log.entries))
        self.entries: Sequence[Entry] = log.entries

    def _take(self, log: RoomLog, at: int, line: dict[str, Any]) -> None:
        if line["kind"] == "run":
            self._open(log, at, RunHead(*line["head"]))
        elif line["kind"] == "stopped" and line["stop"][:2] == ["interrupted", "human"]:
            self._close(at, len(log.entries))  # by Ctrl-C: it is no rule that ends it
        elif line["kind"] not in _ENTRIES:
            if self.sessions:
                self._close(at, len(log.entries))
            if line["kind"] == "forked":
                self.sessions.clear()
            self.names.update(line.get("names", {}))
        log.take(line)

    def _open(self, log: RoomLog, at: int, head: RunHead) -> None:
        start, first = at, len(log.entries)
        last = log.entries[-1] if log.entries else None
        if last is not None and last.stop is not None and last.stop.kind == "interrupted" and last.is_end:
            start, first = at - 1, first - 1  # the run that begins has closed the one before it
        if self.sessions:
            self._close(start, first)
        goes_on = bool(log.run) and log.head is not None and log.head.turn == head.turn
        asked = () if goes_on else tuple(log.asked.values())
        session = _Session(head, start, first=first, goes_on=goes_on, asked=asked, speakers=dict(log.speakers))
        self.sessions.append(session)

    def _close(self, end: int, last: int) -> None:
        session = self.sessions[-1]
        if not session.end:
            session.end, session.last = end, last


class _Journal(MemoryJournal):
    """Gives what stood before a run, and compares what the run writes."""

    def __init__(self, before: bytes, expected: Sequence[bytes], outside: RecordedOutside) -> None:
        super().__init__()
        self._before = before
        self._expected = expected
        self._outside = outside
        self.matched = 0
        self.written: bytes | None = None

    async def append(self, record: bytes, snapshot: bool = False) -> None:
        """Line by line; what is more than was written down was not committed then."""
        for line in record.split(b"\n"):
            if is_seal(line):
                continue
            if self.matched == len(self._expected):
                await self._outside.cut()
            if line != self._expected[self.matched]:
                self.written = line
                await self._outside.differ("another line is written")
            self.matched += 1

    async def read(self, after: int = 0) -> list[Numbered]:
        """One record: all that stood before."""
        return [Numbered(1, self._before)] if self._before else []


async def _play(rules: Rules, record: _Record, session: _Session) -> Difference | None:
    expected = record.lines[session.start : session.end]
    entries = record.entries
    opening = _opening(entries[session.first : session.last])
    rules = replace(rules, seats=_seats(rules, session, entries, record.names))
    outside = RecordedOutside(rules, entries, session.last, session.head.seed)
    journal = _Journal(b"\n".join(record.lines[: session.start]), expected, outside)
    turn, opener = _turn(rules, session, entries, opening, journal)
    room = Room(outside.rules(), turn, opener=opener, summarise=None, outside=outside)
    trouble = await _until_cut(room, outside)
    if journal.matched == len(expected) and not (journal.written or trouble or outside.ending.difference):
        return None
    at = journal.matched
    was = expected[at].decode() if at < len(expected) else None
    now = journal.written.decode() if journal.written is not None else None
    before = sum(_is_entry(line) for line in expected[:at])
    reason = trouble or outside.ending.difference or "the run ends here, and the log goes on"
    return Difference(session.first + before + 1, was, now, reason)


async def _until_cut(room: Room, outside: RecordedOutside) -> str | None:
    """Play the run until it ends, or wants something that is not in the record; what it raised, in words."""

    async def played() -> None:
        async with aclosing(room.play()) as shown:
            async for _ in shown:
                pass

    playing = asyncio.create_task(played())
    waiting = asyncio.create_task(outside.ending.done.wait())
    try:
        await asyncio.wait((playing, waiting), return_when=asyncio.FIRST_COMPLETED)
        if not playing.done():
            return None
        error = playing.exception()
        return None if error is None else f"the run raised {type(error).__name__}: {error}"
    finally:
        for task in (playing, waiting):
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):  # its trouble has been told
                await task


def _opening(entries: Sequence[Entry]) -> list[Entry]:
    """What a run begins with: who comes and goes, and what is said first."""
    found: list[Entry] = []
    for entry in entries:
        is_first = entry.kind in ("left", "joined") or (entry.kind == "said" and not entry.turn)
        if entry.stop is None and not is_first:
            break
        if entry.stop is None:
            found.append(entry)
        elif entry.stop.kind != "interrupted":
            break
    return found


def _seats(rules: Rules, session: _Session, entries: Sequence[Entry], names: dict[str, str]) -> tuple[Seat, ...]:
    """Who sat in the room in this run: seats of the configuration where there are, else what is known of them."""
    known = {**session.speakers}
    guests: dict[str, Entry] = {}
    for entry in entries[: session.last]:
        if entry.kind == "joined" and entry.speaker is not None:
            guests[entry.speaker.name] = entry
    for entry in entries[session.first : session.last]:
        if entry.kind not in ("left", "joined"):
            if entry.stop is None or entry.stop.kind != "interrupted":
                break
        elif entry.speaker is not None and entry.kind == "left":
            known.pop(entry.speaker.name, None)
        elif entry.speaker is not None:
            known[entry.speaker.name] = entry.speaker
    known.pop(rules.manager.name, None)
    found: list[Seat] = []
    for seat in rules.seats:
        name = next((name for name, speaker in known.items() if is_of(seat, speaker, names.get(name, name))), None)
        if name is not None:
            found.append(named_seat(seat, name))
            del known[name]
    found += [guest_seat(speaker, guests[name].heard if name in guests else None) for name, speaker in known.items()]
    return tuple(found)


def _turn(
    rules: Rules, session: _Session, entries: Sequence[Entry], opening: Sequence[Entry], journal: _Journal
) -> tuple[Turn, str | None]:
    """The turn that the room was given, and in whose name it was opened."""
    head = session.head
    names = frozenset(
        fold_name(name)
        for name in (rules.manager.name, *(seat.named or seat.key for seat in rules.seats), "human", "user")
    )
    seated = [entry.speaker for entry in entries[: session.last] if entry.kind == "joined" and entry.speaker]
    stand_in = rules.stand_in(seated)
    said = [entry for entry in opening if entry.kind == "said"]
    if not any(entry.message is not None and entry.kind != "failed" for entry in entries[: session.first]):
        said = said[len(rules.earlier) + rules.introduces :]
    messages = [said_outside(entry, names, stand_in)[1] for entry in said]
    opener = None
    if said and said[0].speaker is not None and not session.asked:
        opened = said[0].speaker.name
        opener = opened if any(one.name == opened and one.kind != "human" for one in seated) else None
    answer = None
    if session.asked:
        given = next((entry for entry in entries[session.first : session.last] if entry.kind == "answered"), None)
        is_answer = given is not None and given.message is not None and given.seq == session.first + len(said) + 1
        if given is not None and given.message is not None and is_answer:
            message = Message(message_id=given.message.message_id, role=Role.USER, parts=given.message.parts)
            answer = Answer(tuple(ask for entry in session.asked for ask in entry.asks), message)
            messages.append(message)
    caller = Caller(head.principal, head.tenant)
    turn = Turn(
        id=head.turn, messages=tuple(messages), context_id=head.context, journal=journal, caller=caller, answer=answer
    )
    return turn, opener


def _is_entry(line: bytes) -> bool:
    return line.startswith(b'{"seq":')
