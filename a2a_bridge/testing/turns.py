"""Turns without a server: for tests of agents, and for trying an agent out in a notebook."""

import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import aclosing

from a2a_bridge.agent import (
    Agent,
    Answer,
    Ask,
    Caller,
    Journal,
    OutcomeFold,
    Reply,
    Turn,
    parts_of,
    speaker_metadata,
)  # fmt: skip
from a2a_bridge.protocol.objects import JSONValue, Message, Part, Role
from a2a_bridge.store.journal import MemoryJournal

_numbers = itertools.count(1)


def make_message(said: str | Part | Iterable[Part], *, role: Role = Role.USER, speaker: str | None = None) -> Message:
    """A message with a fresh id, said by `speaker` if one is named."""
    parts = (Part(text=said),) if isinstance(said, str) else (said,) if isinstance(said, Part) else tuple(said)
    metadata = speaker_metadata(speaker) if speaker is not None else None
    return Message(message_id=f"message-{next(_numbers)}", role=role, parts=parts, metadata=metadata)


def make_answer(value: JSONValue, asks: Sequence[Ask] = ()) -> Answer:
    """What answers a pause: a text as words, anything else as data."""
    part = Part(text=value) if isinstance(value, str) else Part(data=value)
    return Answer(asks=tuple(asks), message=make_message(part))


class MemoryTurns:
    """A `TurnSource` in memory: a past that is known, and interjections that are all there from the start."""

    def __init__(self, history: Iterable[Message] = (), interjections: Iterable[Message] = ()) -> None:
        self._history = tuple(history)
        self._interjections = tuple(interjections)

    async def history(self, limit: int | None) -> Sequence[Message]:
        """The newest `limit` messages, oldest first."""
        return self._history if limit is None else self._history[len(self._history) - limit :] if limit > 0 else ()

    async def interjections(self) -> AsyncIterator[Message]:
        """Each in turn, then nothing more."""
        for message in self._interjections:
            yield message


def make_turn(
    *said: str | Message,
    context_id: str = "context-1",
    task_id: str | None = None,
    history: Iterable[Message] = (),
    answer: Answer | None = None,
    journal: Journal | None = None,
    caller: Caller | None = None,
) -> Turn:
    """A turn whose new messages are `said`: user messages for texts. Without any, those of the answer."""
    messages = tuple(make_message(one) if isinstance(one, str) else one for one in said)
    if not messages and answer is not None:
        messages = (answer.message,)
    return Turn(
        id=f"turn-{next(_numbers)}",
        messages=messages,
        context_id=context_id,
        task_id=task_id,
        caller=caller or Caller(),
        journal=journal if journal is not None else MemoryJournal(),
        answer=answer,
        _source=MemoryTurns(history),
    )


class Talk:
    """One context with one agent, driven as a server would: history grows, a pause is answered by the next message."""

    def __init__(self, agent: Agent, context_id: str = "context-1") -> None:
        self.agent = agent
        self.context_id = context_id
        self.history: list[Message] = []
        self.asks: tuple[Ask, ...] = ()
        self.journal: Journal = MemoryJournal()

    def turn(self, said: str | Message, value: JSONValue = None) -> Turn:
        """The next turn; it answers the asks of the last one, with `value` if that is given."""
        message = make_message(said) if isinstance(said, str) else said
        if value is not None:
            message = make_message(Part(data=value))
        answer = Answer(asks=self.asks, message=message) if self.asks else None
        turn = make_turn(
            message, context_id=self.context_id, history=tuple(self.history), answer=answer, journal=self.journal
        )
        self.history.append(message)
        return turn

    async def say(self, said: str | Message, value: JSONValue = None) -> list[Reply | str]:
        """Take one turn to its end; what came is kept in the history, and its asks are what the next one answers."""
        replies = await replies_of(self.agent, self.turn(said, value))
        self.take(replies)
        return replies

    def take(self, replies: Iterable[Reply | str]) -> None:
        """Keep what a turn said, as a server keeps it: the words of each ask, and the outcome."""
        fold = OutcomeFold()
        for reply in replies:
            fold.add(reply)
        outcome = fold.outcome()
        self.asks = outcome.asks
        words = [part for ask in outcome.asks for part in parts_of(ask)]
        if parts := [*outcome.parts, *words]:
            self.history.append(make_message(parts, role=Role.AGENT))


async def replies_of(agent: Agent, turn: Turn) -> list[Reply | str]:
    """All replies of one turn, read to its end."""
    async with aclosing(agent.run(turn)) as replies:
        return [reply async for reply in replies]
