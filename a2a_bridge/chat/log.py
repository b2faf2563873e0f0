"""The room log in memory: entries in order, and what a room knows, which is a fold of them.

One room run owns one `RoomLog`; nobody else writes to it. `add` folds an entry in and buffers its line; `commit`
writes everything buffered as one journal record, so that a reply and the decision that follows it at once cost one
write. What was added and not committed is lost with the process, and has been shown to nobody: rooms show entries
after the commit. A seat is asked only after the commit of the decision that chose it.
If the journal refuses (full disk, or a newer run owns the context), `commit` raises and the run ends.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from a2a_bridge.agent import Journal
from a2a_bridge.chat.entry import END, Entry, Speaker
from a2a_bridge.chat.record import from_record, to_record
from a2a_bridge.protocol.objects import Message

RERUN = "rerun"
"""The flag of a failed attempt after which the same turn is asked for again."""


class RoomLog:
    """Entries of one room, and the state that they add up to.

    `messages` is what the room has heard, `authors` who said each; `seen` says how many of them a seat had been
    handed when its last reply was accepted; `overtaken` are seats to which something was said before they replied, so
    that their own words stand among what is new to them. `floor` is who had the floor last. `open` is a decision whose
    seat has not answered yet, `pending` a question that waits for an answer. `rounds` and `replies` count within this
    run; `since` is where it begins in `entries`.
    """

    __slots__ = (
        "_buffer", "_journal", "_manager", "_view_end", "authors", "down", "entries", "fallbacks", "floor", "messages",
        "open", "overtaken", "pending", "replies", "rounds", "seen", "since", "speakers", "spoke", "turn",
    )  # fmt: skip

    def __init__(self, journal: Journal, manager: Speaker) -> None:
        self._journal = journal
        self._manager = manager
        self._buffer: list[str] = []
        self._view_end = 0
        self.entries: list[Entry] = []
        self.messages: list[Message] = []
        self.authors: list[str] = []
        self.speakers: dict[str, Speaker] = {manager.name: manager}
        self.seen: dict[str, int] = {}
        self.spoke: dict[str, int] = {}
        self.floor: str | None = None
        self.open: Entry | None = None
        self.pending: Entry | None = None
        self.turn = 0
        self.rounds = 0
        self.replies = 0
        self.fallbacks = 0
        self.down: set[str] = set()
        self.overtaken: set[str] = set()
        self.since = 0

    async def load(self) -> None:
        """Read what an earlier run of this room left."""
        for _, record in await self._journal.read():
            for line in record.split(b"\n"):
                entry = from_record(json.loads(line), self.speakers, self._manager)
                if entry.kind == "said" and self.open is not None:
                    entry = replace(entry, why=self.open.why)  # kept once, with the decision
                self._apply(entry)

    @property
    def run(self) -> Sequence[Entry]:
        """The entries of this run: since the room last stopped."""
        return self.entries[self.since :]

    @property
    def next_seq(self) -> int:
        """The number that the next entry gets."""
        return len(self.entries) + 1

    def add(self, entry: Entry) -> None:
        """Fold in a new entry, numbered `next_seq`. It is kept with the next `commit`, and must not be shown before."""
        self._buffer.append(to_record(entry, self.speakers))
        self._apply(entry)

    async def commit(self) -> None:
        """Keep what was added; durable when it returns."""
        if self._buffer:
            lines, self._buffer = self._buffer, []
            await self._journal.append("\n".join(lines).encode("utf-8", "replace"))

    def _apply(self, entry: Entry) -> None:
        self.entries.append(entry)
        kind = entry.kind
        if kind == "said":
            self._said(entry)
        elif kind == "decided":
            self._decided(entry)
        elif (kind == "failed" and RERUN not in entry.flags) or kind == "passed":
            self._gave_nothing(entry)
        elif kind == "asked":
            self.pending = entry
            if entry.speaker is not None and self.open is not None:
                self.seen[entry.speaker.name] = self._view_end
        elif kind == "answered":
            self.pending = None
        elif kind == "joined" and entry.speaker is not None:
            self.speakers[entry.speaker.name] = entry.speaker
        elif kind == "left" and entry.speaker is not None:
            self.speakers.pop(entry.speaker.name, None)
        elif kind == "stopped":
            self._stopped()

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
        if at == self._view_end:
            self.seen[name] = at + 1
            self.overtaken.discard(name)
        else:
            self.seen[name] = self._view_end
            self.overtaken.add(name)
        self.down.discard(name)
        self.replies += 1
        self._turn_ended()

    def _decided(self, entry: Entry) -> None:
        assert entry.why is not None
        if entry.why.chosen == END:
            return
        self.turn = entry.turn
        self.open = entry
        self._view_end = len(self.messages)
        self.fallbacks = self.fallbacks + 1 if entry.why.chosen_by == "fallback" else 0

    def _gave_nothing(self, entry: Entry) -> None:
        if entry.message is not None:  # the note that tells the room
            self.messages.append(entry.message)
            self.authors.append(self._manager.name)
        if self.open is not None and self.open.why is not None:
            name = self.open.why.chosen
            self.floor = name
            if entry.kind == "failed":
                self.down.add(name)
        self._turn_ended()

    def _turn_ended(self) -> None:
        self.open = self.pending = None
        self.rounds += 1

    def _stopped(self) -> None:
        self.open = self.pending = None
        self.rounds = self.replies = self.fallbacks = 0
        self.down.clear()
        self.since = len(self.entries)
