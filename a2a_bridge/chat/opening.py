"""How a run of a room begins: who takes a seat, and what was said before anybody is asked."""

from collections.abc import Iterator
from dataclasses import replace

from a2a_bridge.agent import Turn, speaker_of
from a2a_bridge.chat.entry import Entry, Speaker, metadata_of
from a2a_bridge.chat.log import IN_QUESTION
from a2a_bridge.chat.names import fold_name
from a2a_bridge.chat.recognise import is_other
from a2a_bridge.chat.run import Run
from a2a_bridge.chat.seat import REPLACED
from a2a_bridge.protocol.objects import Message, Part, Role

CARD_CHANGED = "card_changed"
"""The flag of a remote agent that takes its seat with another card than before."""
INTRODUCED = "Taking part in this conversation:\n"
OUTSIDER = " (outside)"
"""What is added to the name of somebody outside that a seat has too."""
_ANYBODY = frozenset({fold_name("human"), fold_name("user")})


def _is_unread(before: Speaker | None, speaker: Speaker) -> bool:
    """Whether this is the same remote agent, and only its card could not be read this time."""
    return before is not None and speaker.card is None and replace(before, card=None) == speaker


class Opening:
    """The first entries of a run. They are numbered as they are taken: add each to the log before the next."""

    def __init__(self, run: Run, opener: str | None) -> None:
        self._run = run
        self._log = run.log
        self._opener = opener

    def entries(self, turn: Turn) -> Iterator[Entry]:
        """Seats that are new or gone, what the room begins with, and the messages that open the run."""
        yield from self.seats()
        if not self._log.messages:
            yield from self._before()
        for message in turn.messages:
            yield self.said(message, self.speaker(self._opener or speaker_of(message)))

    def seats(self) -> Iterator[Entry]:
        """Seats that are new, other than before, or gone."""
        known, chairs = self._log.speakers, self._run.floor.chairs
        own = {seat.key for seat in self._run.rules.seats}
        for name in [name for name in known if name not in chairs and name != self._run.rules.manager.name]:
            yield self._log.make("left", known[name])
        for chair in chairs.values():
            before = known.get(chair.name)
            changed = is_other(self._run, chair)
            if changed or (before != chair.speaker and not _is_unread(before, chair.speaker)):
                flags: tuple[str, ...] = (CARD_CHANGED,) if changed else ()
                if changed and chair.on_card_change != "note":
                    flags = (CARD_CHANGED, IN_QUESTION)
                guest = chair.key not in own and not chair.key.endswith(REPLACED)
                heard = {"seat": chair.as_guest()} if guest else None
                yield self._log.make("joined", chair.speaker, flags=flags, heard=heard)

    def _before(self) -> Iterator[Entry]:
        for name, parts in self._run.rules.earlier:
            chair = self._run.floor.chairs.get(name)
            yield self._said(chair.speaker if chair else Speaker(name), parts)
        if self._run.rules.introduces:
            roles = "\n".join(f"{chair.name}: {chair.description}" for chair in self._run.floor.chairs.values())
            yield self._said(self._run.rules.manager, (Part(text=f"{INTRODUCED}{roles}"),))

    def said(self, message: Message, speaker: Speaker) -> Entry:
        """A message from outside, as the room's own entry."""
        return self._said(speaker, message.parts)

    def speaker(self, name: str | None = None) -> Speaker:
        """Who speaks from outside. A name from outside never passes for one of the seats, except the stand-in's."""
        chairs = self._run.floor.chairs
        if name is None:
            return self._run.stand_in
        chair = chairs.get(name)
        if chair is not None and (name == self._opener or chair.speaker.kind == "human"):
            return chair.voice("human")  # whoever opens says what a person gave: no automatic reply
        if self._opener is None and fold_name(name) in self._run.names - _ANYBODY:
            name = f"{name}{OUTSIDER}"
        return Speaker(name, "human")

    def _said(self, speaker: Speaker, parts: tuple[Part, ...]) -> Entry:
        seq = self._log.next_seq
        message = Message(
            message_id=f"{self._run.id}:{seq}", role=Role.USER, parts=parts, metadata=metadata_of(speaker)
        )
        return Entry(self._log.next_seq, "said", 0, speaker, message, at=self._log.now)
