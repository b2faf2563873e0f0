"""The room log in memory: entries in order, and what a room knows, which is a fold of them.

One room run owns one `RoomLog`; nobody else writes to it. `add` folds an entry in and buffers its line; `commit`
writes everything buffered as one journal record, so that a reply and the decision that follows it at once cost one
write. What was added and not committed is lost with the process, and has been shown to nobody: rooms show entries
after the commit. A seat is asked only after the commit of the decision that chose it.
If the journal refuses (full disk, or a newer run owns the context), `commit` raises and the run ends.

Between the entries stand the heads of runs: which turn began the run, or went on with it, for whom, and the seed of
its chance. Each commit ends with a seal, the digest of the seal before it and of what is committed, so that no line of
a log can be changed, taken out or put elsewhere without it being seen (`seal.py`).
"""

import json
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, cast

from a2a_bridge.agent import Journal, Usage
from a2a_bridge.chat.entry import END, Decision, Entry, Kind, Speaker
from a2a_bridge.chat.record import from_record, to_record
from a2a_bridge.chat.seal import NO_SEAL, is_seal, seal_in, seal_line, sealed
from a2a_bridge.protocol.objects import JSONValue, Message

IN_QUESTION = "in_question"
"""The flag of a seat that is taken with another card than before, which nobody has accepted yet."""
RERUN = "rerun"
"""The flag of a failed attempt after which the same turn is asked for again."""


_MARKS = frozenset({"run", "forked", "renamed"})


class RunHead(NamedTuple):
    """What a run began with: the id of the turn that asked for it, the seed of what is left to chance, the context, and
    on whose behalf."""

    turn: str
    seed: int
    context: str = ""
    tenant: str = ""
    principal: str = ""


_LONG, _MOST = 400, 60_000
_folded: "OrderedDict[bytes, RoomLog]" = OrderedDict()
"""Long logs whose runs have ended, by their last seal, which stands for all that is in them: the next run of the same
room need not read it again. So many entries in all."""


def remember(log: "RoomLog") -> None:
    """A run has ended, and its log is not written to any more. Short logs are read faster than they are kept."""
    if len(log.entries) < _LONG or (line := log.last_line) is None:
        return
    _folded[line] = log
    while sum(len(kept.entries) for kept in _folded.values()) > _MOST:
        _folded.popitem(last=False)


class RoomLog:
    """Entries of one room, and the state that they add up to.

    `messages` is what the room has heard, `authors` who said each; `seen` says how many of them a seat had been handed
    when its last reply was accepted; `overtaken` are seats to which something was said before they replied, so that
    their own words stand among what is new to them. `floor` is who had the floor last. `open` is a decision whose
    speakers have not all answered yet, `awaited` are those who have not, in the order of the decision. `asked` are
    questions that wait for an answer, `answers` what the speakers of the open turn have been answered, by name, and
    `attempts` how often each has been asked; `view_end` is how many messages they have been handed at most. `rounds`
    and `replies` count within this run; `handover` is whom the last speaker proposed; `since` is where it begins in
    `entries`, `head` what it began with, None before the first. `cards` are remote speakers with the cards that they
    were let in with. `is_whole`: what was committed is known to be kept; nothing can be added after a write that did
    not return.
    """

    __slots__ = (
        "_buffer", "_clock", "_journal", "_manager", "_seal", "answers", "asked", "attempts", "authors",
        "awaited", "cards", "down", "entries", "fallbacks", "floor", "handover", "head", "is_forked", "is_whole",
        "messages", "open", "overtaken", "replies", "rounds", "seen", "since", "speakers", "spoke", "turn", "view_end",
    )  # fmt: skip

    def __init__(self, journal: Journal, manager: Speaker, clock: Callable[[], float] = time.time) -> None:
        self._journal = journal
        self._manager = manager
        self._clock = clock
        self._buffer: list[str] = []
        self._seal = NO_SEAL
        self.is_whole = True
        self.is_forked = False
        self.handover: str | None = None
        self.view_end = 0
        self.head: RunHead | None = None
        self.entries: list[Entry] = []
        self.messages: list[Message] = []
        self.authors: list[str] = []
        self.cards: dict[str, Speaker] = {}
        self.speakers: dict[str, Speaker] = {manager.name: manager}
        self.seen: dict[str, int] = {}
        self.spoke: dict[str, int] = {}
        self.floor: str | None = None
        self.open: Entry | None = None
        self.awaited: list[str] = []
        self.asked: dict[str, Entry] = {}
        self.answers: dict[str, tuple[Entry, Entry]] = {}
        self.attempts: dict[str, int] = {}
        self.turn = 0
        self.rounds = 0
        self.replies = 0
        self.fallbacks = 0
        self.down: set[str] = set()
        self.overtaken: set[str] = set()
        self.since = 0

    async def load(self) -> None:
        """Read what an earlier run of this room left."""
        records = await self._journal.read()
        if records and (known := _folded.get(records[-1][1].rpartition(b"\n")[2])) is not None:
            for name in _STATE:
                held = getattr(known, name)
                setattr(self, name, held.copy() if isinstance(held, list | dict | set) else held)
            return
        for _, record in records:
            for line in record.split(b"\n"):
                if is_seal(line):
                    self._seal = seal_in(line)
                else:
                    self.take(json.loads(line))

    def take(self, line: dict[str, Any]) -> None:
        """Fold in a line that was kept before."""
        if line["kind"] in _MARKS:
            _take_mark(self, line)
            return
        entry = from_record(line, self.speakers, self._manager)
        if entry.kind == "said" and self.open is not None and entry.turn:
            entry = replace(entry, why=self.open.why)  # kept once, with the decision
        self._apply(entry)

    @property
    def last_line(self) -> bytes | None:
        """The line of the last seal; None if something was added after it."""
        return None if self._buffer else seal_line(self._seal)

    @property
    def run(self) -> Sequence[Entry]:
        """The entries of this run: since the room last stopped."""
        return self.entries[self.since :]

    @property
    def next_seq(self) -> int:
        """The number that the next entry gets."""
        return len(self.entries) + 1

    @property
    def why(self) -> Decision | None:
        """The decision of the open turn."""
        return None if self.open is None else self.open.why

    def make(
        self,
        kind: Kind,
        speaker: Speaker | None,
        message: Message | None = None,
        *,
        usage: Usage | None = None,
        attempt: int = 1,
        detail: str = "",
        flags: tuple[str, ...] = (),
        heard: Mapping[str, JSONValue] | None = None,
    ) -> Entry:
        """The entry that comes next: its number, the time, and the number of the open turn."""
        return Entry(
            len(self.entries) + 1, kind, self.turn, speaker, message, attempt, usage, None, (), detail, flags, None,
            self.now, None, heard,
        )  # fmt: skip

    @property
    def now(self) -> int:
        """What the next entry is stamped with: milliseconds since 1970."""
        return int(self._clock() * 1000)

    def begin(self, head: RunHead) -> None:
        """Write down what a run begins with, or is gone on with."""
        self.head = head
        self.is_forked = False
        self._buffer.append(json.dumps({"kind": "run", "head": head}, separators=(",", ":")))

    def mark(self, line: dict[str, Any]) -> None:
        """Write down that the room was forked, or that seats have other names from now on."""
        self._buffer.append(json.dumps(line, ensure_ascii=False, separators=(",", ":")))
        _take_mark(self, line)

    def add(self, entry: Entry) -> None:
        """Fold in a new entry, made by `make`. It is kept with the next `commit`, and must not be shown before."""
        self._buffer.append(to_record(entry, self.speakers))
        self._apply(entry)

    async def commit(self) -> None:
        """Keep what was added; durable when it returns."""
        if self._buffer:
            lines, self._buffer = self._buffer, []
            record, seal = sealed(self._seal, "\n".join(lines).encode("utf-8", "replace"))
            self.is_whole = False  # and stays so if this does not return
            await self._journal.append(record)
            self.is_whole, self._seal = True, seal

    def _apply(self, entry: Entry) -> None:
        self.entries.append(entry)
        fold = self._FOLDS.get(entry.kind)
        if fold is not None:
            fold(self, entry)

    def _noted(self, entry: Entry) -> None:
        assert entry.message is not None
        self.messages.append(entry.message)
        self.authors.append(self._manager.name)

    def _failed(self, entry: Entry) -> None:
        if RERUN in entry.flags and entry.speaker is not None:
            self.attempts[entry.speaker.name] = entry.attempt + 1
        else:
            self._gave_nothing(entry)

    def _asked(self, entry: Entry) -> None:
        assert entry.speaker is not None
        self.asked[entry.speaker.name] = entry
        if self.open is not None:
            self.seen[entry.speaker.name] = self.view_end

    def _answered(self, entry: Entry) -> None:
        for name, asked in self.asked.items():
            self.answers[name] = asked, entry
        self.asked.clear()

    def _joined(self, entry: Entry) -> None:
        assert entry.speaker is not None
        name = entry.speaker.name
        before = self.speakers.get(name)
        if before is not None and (before.endpoint, before.framework) != (
            entry.speaker.endpoint,
            entry.speaker.framework,
        ):
            self.seen.pop(name, None)  # another agent, which has heard nothing yet
        self.speakers[name] = entry.speaker
        if entry.speaker.card is not None and IN_QUESTION not in entry.flags:
            self.cards[name] = entry.speaker

    def _left(self, entry: Entry) -> None:
        assert entry.speaker is not None
        self.speakers.pop(entry.speaker.name, None)

    def _said(self, entry: Entry) -> None:
        assert entry.speaker is not None
        assert entry.message is not None
        name = entry.speaker.name
        at = len(self.messages)
        self.messages.append(entry.message)
        self.authors.append(name)
        self.spoke[name] = entry.seq
        if entry.turn == 0:
            self.floor = name if self.open is None else self.floor
            self.rounds = max(self.rounds, 1)  # what opens a run is its first round, however many messages it has
            return
        self.floor = name
        self.handover = None if entry.heard is None else cast("str | None", entry.heard.get("next"))
        if at == self.view_end:
            self.seen[name] = at + 1
            self.overtaken.discard(name)
        else:
            self.seen[name] = self.view_end
            self.overtaken.add(name)
        self.down.discard(name)
        self.replies += 1
        self._settled(name)

    def _decided(self, entry: Entry) -> None:
        why = entry.why
        assert why is not None
        self.handover = None
        if why.chosen == END:
            return
        self.turn = entry.turn
        self.open = entry
        self.awaited = [*why.speakers]
        if self.attempts:
            self.attempts.clear()
        if self.answers:
            self.answers.clear()
        self.view_end = len(self.messages)
        self.fallbacks = self.fallbacks + 1 if why.chosen_by == "fallback" else 0

    def _gave_nothing(self, entry: Entry) -> None:
        if entry.message is not None:  # the note that tells the room
            self.messages.append(entry.message)
            self.authors.append(self._manager.name)
        if self.open is None or self.open.why is None:
            return
        name = entry.speaker.name if entry.speaker is not None else self.open.why.chosen
        self.floor = name
        if entry.kind == "failed":
            self.down.add(name)
        self._settled(name)

    def _settled(self, name: str) -> None:
        """One speaker of the open turn is done; the last one ends it."""
        self.asked.pop(name, None)
        if name in self.awaited:
            self.awaited.remove(name)
        if not self.awaited:
            self.open = None
            self.rounds += 1

    def _stopped(self, entry: Entry) -> None:
        if not entry.is_end:
            return
        self.open = self.handover = None
        self.awaited = []
        self.asked.clear()
        self.answers.clear()
        self.attempts.clear()
        self.rounds = self.replies = self.fallbacks = 0
        self.down.clear()
        self.since = len(self.entries)

    _FOLDS: ClassVar[Mapping[str, Callable[["RoomLog", Entry], None]]] = {
        "said": _said, "decided": _decided, "failed": _failed, "passed": _gave_nothing, "noted": _noted,
        "asked": _asked, "answered": _answered, "joined": _joined, "left": _left, "stopped": _stopped,
    }  # fmt: skip


def _take_mark(log: RoomLog, line: dict[str, Any]) -> None:
    if "head" in line:
        log.head = RunHead(*line["head"])
    log.is_forked = line["kind"] == "forked"
    names = line.get("names", {})
    if line["kind"] == "forked":  # nobody in the new room has heard anything, or been asked
        for held in (log.seen, log.overtaken, log.asked, log.answers, log.attempts):
            held.clear()
    log.authors = [names.get(name, name) for name in log.authors]
    for old, new in names.items():
        _rename(log, old, new)


def _rename(log: RoomLog, old: str, new: str) -> None:
    """Another agent has this seat's name from now on, and hears all of it anew."""
    log.seen.pop(old, None)
    known: tuple[dict[str, Any], ...] = (log.cards, log.speakers, log.spoke, log.asked, log.answers, log.attempts)
    for held in known:
        if old in held:
            held[new] = held.pop(old)
    if new in log.speakers:
        log.speakers[new] = replace(log.speakers[new], name=new)
    for names in (log.down, log.overtaken):
        if old in names:
            names.remove(old)
    log.awaited = [new if name == old else name for name in log.awaited]
    log.floor = new if log.floor == old else log.floor


_OWN = frozenset({"_buffer", "_clock", "_journal", "_manager", "is_whole"})
_STATE = tuple(name for name in RoomLog.__slots__ if name not in _OWN)
