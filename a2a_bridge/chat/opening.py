"""How a run of a room begins: who takes a seat, and what was said before anybody is asked."""

from collections.abc import Iterator

from a2a_bridge.agent import Turn, speaker_of
from a2a_bridge.chat.entry import Entry, Kind, Speaker, metadata_of
from a2a_bridge.chat.log import RoomLog
from a2a_bridge.chat.rules import Rules
from a2a_bridge.chat.seat import fold_name
from a2a_bridge.chat.speaker import Floor
from a2a_bridge.protocol.objects import Message, Part, Role


class Opening:
    """The first entries of a run. They are numbered as they are taken: add each to the log before the next."""

    def __init__(self, room: str, rules: Rules, floor: Floor, log: RoomLog, opener: str | None) -> None:
        self._room = room
        self._rules = rules
        self._floor = floor
        self._log = log
        self._opener = opener
        self._taken = frozenset(fold_name(name) for name in (rules.manager.name, *floor.chairs))

    def entries(self, turn: Turn) -> Iterator[Entry]:
        """Seats that are new or gone, what the room begins with, and the messages that open the run."""
        yield from self._seats()
        if not self._log.messages:
            yield from self._before()
        for message in turn.messages:
            yield self.said(message, self.speaker(self._opener or speaker_of(message)))

    def _seats(self) -> Iterator[Entry]:
        known, chairs = self._log.speakers, self._floor.chairs
        for name in [name for name in known if name not in chairs and name != self._rules.manager.name]:
            yield self._entry("left", known[name])
        for chair in chairs.values():
            if known.get(chair.name) != chair.speaker:
                yield self._entry("joined", chair.speaker)

    def _before(self) -> Iterator[Entry]:
        for name, parts in self._rules.earlier:
            chair = self._floor.chairs.get(name)
            yield self._said(chair.speaker if chair else Speaker(name), parts)
        if self._rules.introduces:
            roles = "\n".join(f"{chair.name}: {chair.description}" for chair in self._floor.chairs.values())
            yield self._said(self._rules.manager, (Part(text=f"Taking part in this conversation:\n{roles}"),))

    def said(self, message: Message, speaker: Speaker) -> Entry:
        """A message from outside, as the room's own entry."""
        return self._said(speaker, message.parts)

    def speaker(self, name: str | None = None) -> Speaker:
        """Who speaks from outside. A name from outside never passes for one of the seats, except the stand-in's."""
        chairs = self._floor.chairs
        if name is None:
            people = (chair.speaker for chair in chairs.values() if chair.speaker.kind == "human")
            return next(people, Speaker("user", "human"))
        chair = chairs.get(name)
        if chair is not None and (name == self._opener or chair.speaker.kind == "human"):
            return chair.voice("human")  # whoever opens says what a person gave: no automatic reply
        if self._opener is None and fold_name(name) in self._taken:
            name = f"{name} (outside)"
        return Speaker(name, "human")

    def _said(self, speaker: Speaker, parts: tuple[Part, ...]) -> Entry:
        seq = self._log.next_seq
        message = Message(message_id=f"{self._room}:{seq}", role=Role.USER, parts=parts, metadata=metadata_of(speaker))
        return Entry(seq, "said", 0, speaker, message)

    def _entry(self, kind: Kind, speaker: Speaker) -> Entry:
        return Entry(self._log.next_seq, kind, self._log.turn, speaker)
