"""The turns that a room gives its seats: what each is handed, and under which ids."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from a2a_bridge.agent import Answer, Journal, Turn
from a2a_bridge.chat.entry import Decision, Entry, Speaker, metadata_of
from a2a_bridge.chat.log import RoomLog
from a2a_bridge.chat.seat import Chair, uuid_of
from a2a_bridge.protocol.objects import JSONValue, Message, Part, Role

_NO_JOURNAL = Turn(id="none", messages=(), context_id="none").journal
_GO_ON = "Nobody has spoken since your last words. Please go on."
"""What a seat gets when it is chosen and nothing new has been said: it must not be handed nothing."""


class Past:
    """A `TurnSource` over a room's log: what was said before the new messages, the seat's own words as its own.

    Nothing is copied until somebody asks. The log only grows, so what is read is what the turn began with.
    """

    __slots__ = ("_authors", "_end", "_messages", "_name")

    def __init__(self, messages: Sequence[Message], authors: Sequence[str], end: int, name: str) -> None:
        self._messages = messages
        self._authors = authors
        self._end = end
        self._name = name

    async def history(self, limit: int | None) -> Sequence[Message]:
        """The newest `limit` messages, oldest first."""
        start = 0 if limit is None else max(0, self._end - limit)
        return [self._as_seen(at) for at in range(start, self._end)]

    def _as_seen(self, at: int) -> Message:
        message = self._messages[at]
        return message.model_copy(update={"role": Role.AGENT}) if self._authors[at] == self._name else message

    async def interjections(self) -> AsyncIterator[Message]:
        """None: a seat's turn is not interrupted in this version."""
        return
        yield  # an async generator that is empty


@dataclass(frozen=True, slots=True)
class SeatTurn(Turn):
    """A turn in a room of this program: `peers` are the agents of the seats by name, `shared` is a journal that
    all seats write to."""

    _turns: "SeatTurns | None" = None

    @property
    def peers(self) -> Mapping[str, Any]:
        """Whoever sits in the room, as it was given to it."""
        return self._turns.peers if self._turns is not None else {}

    @property
    def shared(self) -> Journal | None:
        """The room's own journal: only for agents that may write to one."""
        return self._turns.shared if self._turns is not None else None

    @property
    def seq(self) -> int | None:
        """The entry of the room's log in which the words of this turn will stand, as far as can be told now."""
        return self._turns.seq if self._turns is not None else None

    @property
    def form(self) -> JSONValue:
        """The JSON Schema of the answer that the room hopes for; None for any words. A model that can, keeps to it."""
        return self._turns.form if self._turns is not None else None


class SeatTurns:
    """Makes the turns of one run. Ids follow from the room, the seat and the number of the turn, so that they are the
    same after a restart."""

    def __init__(self, room: str, turn: Turn, log: RoomLog, manager: Speaker) -> None:
        self._room = room
        self._turn = turn
        self._log = log
        self._manager = manager
        self._places: dict[str, tuple[str, Journal]] = {}
        self.peers: Mapping[str, Any] = {}
        self.shared = turn.journal
        self.forms: Callable[[Decision | None], JSONValue] | None = None

    @property
    def seq(self) -> int:
        """The number of the entry that comes next."""
        return self._log.next_seq

    @property
    def form(self) -> JSONValue:
        """What the open turn is to be answered with."""
        return None if self.forms is None else self.forms(self._log.why)

    def make(self, chair: Chair, attempt: int) -> Turn:
        """What the seat is handed. The id is the same whenever the same attempt at the same turn is made."""
        log = self._log
        end = log.view_end
        start = chair.view.start(end, log.seen.get(chair.name, 0))
        new = tuple(log.messages[start:end])
        if chair.name in log.overtaken and start:
            authors = log.authors[start:end]
            new = tuple(said for said, author in zip(new, authors, strict=True) if author != chair.name)
        if not new:
            new = (self.note(_GO_ON),)
        past = Past(log.messages, log.authors, start, chair.name)
        return self._turn_of(
            chair, uuid_of("turn", self._room, chair.key, log.turn, attempt), new, past, attempt=attempt
        )

    def answer(self, chair: Chair, pending: Entry, answer: Message, seq: int) -> Turn:
        """The turn that goes on where the seat asked; `seq` is that of the answer's entry."""
        log = self._log
        past = Past(log.messages, log.authors, log.seen.get(chair.name, 0), chair.name)
        turn_id = uuid_of("answer", self._room, chair.key, log.turn, pending.attempt, seq)
        return self._turn_of(
            chair, turn_id, (answer,), past, attempt=pending.attempt, answer=Answer(pending.asks, answer)
        )

    def question(self, chair: Chair, question: Message) -> Turn:
        """A turn in which a seat answers for another one. It is nobody's turn in the room, and changes no view."""
        log = self._log
        past = Past(log.messages, log.authors, len(log.messages), chair.name)
        turn_id = uuid_of("question", self._room, chair.key, log.next_seq)
        return self._turn_of(chair, turn_id, (question,), past, attempt=1)

    def _turn_of(
        self,
        chair: Chair,
        turn_id: str,
        messages: tuple[Message, ...],
        past: Past,
        *,
        attempt: int,
        answer: Answer | None = None,
    ) -> Turn:
        place = self._places.get(chair.key)
        if place is None:
            journal = self._turn.journal.child(chair.key) if chair.traits.keeps_context else _NO_JOURNAL
            place = self._places[chair.key] = uuid_of("seat", self._room, chair.key), journal
        return SeatTurn(
            turn_id, messages, place[0], None, self._turn.caller, place[1], answer, attempt, self._turn.hops + 1,
            _source=past, _turns=self,
        )  # fmt: skip

    def note(self, text: str) -> Message:
        """A message of the manager, with the id of the entry that comes next."""
        return Message(
            message_id=f"{self._room}:{self._log.next_seq}",
            role=Role.USER,
            parts=(Part(text=text),),
            metadata=metadata_of(self._manager),
        )
