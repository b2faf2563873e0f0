"""A room's one inbox: what its seats ask, and how the answers find their way back.

All questions of a turn are put together, after everybody who speaks in it is done. They go to a peer that may answer
(`Seat(may_answer=)`), to the person or function that the room was given, or, when the room itself runs for somebody
else, to that somebody: the room pauses, and its own task waits. Requests for credentials, and whether somebody with
another card may go on, never go to a peer; what answers the former is kept nowhere but in the turn that it is for.
"""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from a2a_bridge.agent import Answer, Ask, Reply, Turn, abandon
from a2a_bridge.chat.ask import Human, NobodyThereError, answered_by, question_of
from a2a_bridge.chat.control import CanceledError
from a2a_bridge.chat.entry import Entry, Speaker, StopReason
from a2a_bridge.chat.failure import Failure, raised
from a2a_bridge.chat.hearing import Hearing
from a2a_bridge.chat.recognise import CARD, judged
from a2a_bridge.chat.run import Run
from a2a_bridge.chat.seat import Chair
from a2a_bridge.chat.speech import Speech, attributed
from a2a_bridge.protocol.objects import Message, Part

_log = logging.getLogger(__name__)
NOT_KEPT = Part(text="(a credential, not kept)")


class Inbox:
    """The questions of one run. `paused` are those that its own caller must answer."""

    def __init__(self, run: Run, hearing: Hearing, human: Human | None, *, pauses: bool) -> None:
        self._run = run
        self._hearing = hearing
        self._human = human
        self._pauses = pauses
        self.paused: tuple[Ask, ...] = ()

    async def serve(self) -> AsyncGenerator[Reply, None]:
        """Get answers to what was asked, and the turns ready that go on with them; the log is committed before."""
        asked = list(self._run.log.asked.values())
        peer = self._peer(asked)
        if peer is not None:
            async with aclosing(self._ask_peer(peer, asked)) as said:
                async for shown in said:
                    yield shown
            if not self._run.log.asked or self._run.stop is not None:
                return
        answer = await self.answer(asked)
        if answer is not None:
            self.take(asked, answer)
        elif self._run.stop is not None:  # there will be no answer
            await self.give_up(asked)

    def _peer(self, asked: Sequence[Entry]) -> Chair | None:
        """A seat that may answer all of it."""
        if any(ask.kind == "auth" or ask.id.startswith(CARD) for entry in asked for ask in entry.asks):
            return None
        names = {entry.speaker.name for entry in asked if entry.speaker is not None}
        for chair in self._run.floor.chairs.values():
            may = chair.may_answer
            if chair.name not in names and (may is True or (may is not False and names <= set(may))):
                return chair
        return None

    async def _ask_peer(self, peer: Chair, asked: Sequence[Entry]) -> AsyncGenerator[Reply, None]:
        """A seat answers in a turn of its own, which is not a turn of the room."""
        run = self._run
        asks = self._asks(asked)
        text = "\n".join(question_of(ask, name) for name, ask in asks)
        turn = run.turns.question(peer, run.note(f"Please answer, in as few words as you can.\n{text}"))
        speech = Speech(peer, run.log.turn, 1, peer.words_metadata(None))
        try:
            async with aclosing(peer.speak(turn)) as replies:
                async for reply in replies:
                    shown = speech.take(reply)
                    if shown is not None and not isinstance(shown, Ask):
                        yield shown
            outcome = speech.outcome()
        except Exception as error:  # the peer's failure: somebody else is asked
            _log.warning("%s could not answer for %s: %s", peer.name, asks[0][0], error)
            return
        if outcome.is_empty or outcome.asks or outcome.failed or outcome.refused:
            return
        message = run.note("").model_copy(update={"parts": outcome.parts, "metadata": peer.metadata})
        self.take(asked, message, peer.speaker)

    def _asks(self, asked: Sequence[Entry]) -> list[tuple[str, Ask]]:
        """All asks, with who asks; of several seats the ids say whose they are."""
        found = [(entry.speaker.name, ask) for entry in asked if entry.speaker is not None for ask in entry.asks]
        if len(asked) == 1:
            return found
        return [(name, replace(ask, id=f"{name}:{ask.id}" if ask.id else name)) for name, ask in found]

    async def answer(self, asked: Sequence[Entry]) -> Message | None:
        """What a person answers; None when the room pauses for it, or stops because nobody is there."""
        run = self._run
        asks = self._asks(asked)
        if self._human is None and self._pauses:
            is_ours = asks[0][0] == run.rules.manager.name
            self.paused = tuple(ask if is_ours else attributed((ask,), name)[0] for name, ask in asks)
            return None
        detail = "; ".join(f"{entry.speaker.name if entry.speaker else ''} asks: {entry.text}" for entry in asked)
        if self._human is not None:
            try:
                answering = answered_by(self._human, asks, f"{run.id}:{run.log.next_seq}")
                return await run.control.guard(answering)
            except CanceledError as error:
                run.cancel(error)
                return None
            except NobodyThereError as error:
                detail = f"{detail} ({error.message})"
            except Exception as error:  # the user's function: the conversation so far is worth more than its trouble
                _log.warning("the function that answers for a person raised", exc_info=error)
                run.stop = StopReason("failed", run.rules.manager.name, f"{detail} (human=... {raised(error)})")
                return None
        run.stop = StopReason("input_required", asks[0][0], detail)
        return None

    def take(self, asked: Sequence[Entry], answer: Message, by: Speaker | None = None) -> None:
        """Put an answer into the log, and get the turns ready that it is for."""
        run = self._run
        kept = answer
        if any(ask.kind == "auth" for entry in asked for ask in entry.asks):
            kept = answer.model_copy(update={"parts": (NOT_KEPT,)})
        entry = run.add(run.log.make("answered", by or run.stand_in, kept))
        for question in asked:
            assert question.speaker is not None
            chair = run.floor.chairs.get(question.speaker.name)
            own = answer if len(asked) == 1 else _own_answer(question, answer)
            if question.speaker.name == run.rules.manager.name:
                self._decided_by_hand(question, own)
                continue
            if chair is None:
                told = Failure("has left the room", "asked, and left before the answer came")
                self._hearing.settlement.give_up(question.speaker, told)
                continue
            run.next.append((chair, run.turns.answer(chair, question, own, entry.seq)))

    def _decided_by_hand(self, question: Entry, answer: Message) -> None:
        """The manager had asked what to do about a turn that failed, or about somebody with another card."""
        for about in question.asks:
            if about.id.startswith(CARD):
                option = Answer(question.asks, answer).option(about.id)
                judged(self._run, self._hearing.settlement, about, option)
        ask = question.asks[0]
        chair = self._run.floor.chairs.get(ask.id.removeprefix("failure:"))
        if ask.id.startswith("failure:") and chair is not None:
            option = Answer((ask,), answer).option(ask.id)
            self._hearing.settlement.answered(chair, option)

    async def give_up(self, asked: Sequence[Entry]) -> None:
        """Nobody will answer: whoever asked is told, and frees what it holds."""
        for question in asked:
            chair = self._run.floor.chairs.get(question.speaker.name) if question.speaker is not None else None
            if chair is not None:
                await abandon(chair.agent, self.turn_that_asked(chair, question))

    def turn_that_asked(self, chair: Chair, question: Entry) -> Turn:
        """The turn in which a seat asked."""
        return self._run.turns.make(chair, question.attempt)


def _own_answer(question: Entry, answer: Message) -> Message:
    """Of an answer to several seats, what is for one of them, under the ids that it knows."""
    assert question.speaker is not None
    data: Any = next((part.data for part in answer.parts if part.kind == "data"), None)
    if not isinstance(data, dict):
        return answer
    name = question.speaker.name
    values = {ask.id: data.get(f"{name}:{ask.id}" if ask.id else name) for ask in question.asks}
    only = next(iter(values.values()))
    part = Part(text=only) if len(values) == 1 and isinstance(only, str) else Part(data=values)
    return answer.model_copy(update={"parts": (part,)})
