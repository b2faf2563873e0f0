"""The engine: one run of one room, from the message that opens it to the reason why it stopped.

Concurrency, in prose. A `Room` is one run and belongs to whoever reads `play()`; it starts no task of its own, so
there is nothing to wait for when it ends. The seat that has the floor runs inside that reader's task, within
`aclosing`: cancelling the task reaches the seat at its `await`, a `RemoteAgent` then cancels its remote task, and the
generator is closed before the room's is. Its silence is bounded by a timer (`listen.py`). A reader that goes away
without cancelling closes `play()`, with the same effect. Nothing is written while being cancelled: the log then ends
with a decision, and the next run of the same room records that it was interrupted. Being killed leaves the same log.
If the journal refuses a write, the run ends with that error; what was not committed was shown to nobody.

The decision who speaks is committed before that seat is called, a reply before anybody else is asked. Everything a
room knows is a fold of its log (`log.py`).
"""

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from a2a_bridge.agent import Answer, Ask, Outcome, Reply, Turn, Usage, abandon, speaker_of
from a2a_bridge.chat.ask import Human, NobodyThereError, answered_by
from a2a_bridge.chat.choose import choose, choose_at_once, why_stop
from a2a_bridge.chat.entry import END, Decision, Entry, Speaker, StopReason, metadata_of
from a2a_bridge.chat.failure import Failure, failure_of, log_failure, one_sentence, raised
from a2a_bridge.chat.listen import Watch, heard
from a2a_bridge.chat.log import RERUN, RoomLog
from a2a_bridge.chat.opening import Opening
from a2a_bridge.chat.result import ChatResult, Kept, human_input, usage_by_speaker
from a2a_bridge.chat.rules import Rules, Summarise
from a2a_bridge.chat.seat import Chair, check_names, fold_name, take_chairs, uuid_of
from a2a_bridge.chat.speaker import Floor, check_transitions, fallback, parse_manual, who_repeats
from a2a_bridge.chat.speech import Speech, attributed, cleaned
from a2a_bridge.chat.spoken import StopChat
from a2a_bridge.chat.summary import last_words
from a2a_bridge.chat.termination import Checked
from a2a_bridge.chat.turns import SeatTurns
from a2a_bridge.chat.watch import choice_span, watch_run, watch_turn
from a2a_bridge.errors import BridgeError, StoreError
from a2a_bridge.protocol.objects import Message, Part, Role

__all__ = ["ChatResult", "Room", "abandon_room"]

_log = logging.getLogger(__name__)
_NO_USAGE = Usage()


class Room:
    """One run of a room. `play` is read once, to its end; then `result` says what came of it.

    `human` answers what seats ask. Without it a room that `pauses` hands the question on and ends its turn, to go on
    when the answer comes with the next one; a room that does not stops.
    """

    def __init__(
        self,
        rules: Rules,
        turn: Turn,
        *,
        human: Human | None = None,
        opener: str | None = None,
        pauses: bool = False,
        summarise: Summarise | None = None,
    ) -> None:
        caller = turn.caller
        self.rules = rules
        self.id = uuid_of("room", rules.manager.name, caller.tenant, caller.principal, turn.context_id)
        self.log = RoomLog(turn.journal, rules.manager)
        self.stop: StopReason | None = None
        self.summary = ""
        self._turn = turn
        self._human = human
        self._opener = opener
        self._pauses = pauses
        self._summarise = summarise or rules.summarise
        self._floor = Floor(())
        self._opening = Opening(self.id, rules, self._floor, self.log, opener)
        self._names: frozenset[str] = frozenset()
        self._unshown: list[Entry] = []
        self._until = Checked(rules.until, rules.manager.name)
        self._judged: Any = None
        self._began = 0
        self._next: tuple[Chair, Turn] | None = None
        self._handover: str | None = None
        self._paused: tuple[Ask, ...] = ()
        self._turns = SeatTurns(self.id, turn, self.log, rules.manager)
        self._traced: set[str] = set()
        self._watch = Watch()

    async def play(self) -> AsyncGenerator[Entry | Reply, None]:
        """Run the room: its log entries, once they are kept, and between them what the seats say while they say it."""
        with watch_run(self.rules.manager.name, self._turn.context_id) as watch:
            try:
                await self._open()
                while self.stop is None and not self._paused:
                    if self._next is None and not self._choose_at_once():
                        async with aclosing(self._choose()) as entries:
                            async for entry in entries:
                                yield entry
                    for entry in await self._commit():
                        yield entry
                    if self._next is not None and self.stop is None:
                        async with aclosing(self._hear(*self._next)) as said:
                            async for shown in said:
                                yield shown
                for entry in await self._commit():
                    yield entry
                for last in await self._end():
                    yield last
            finally:
                self._watch.close()
                if self.stop is not None or self._paused:
                    watch.stopped(self.stop)

    def result(self) -> ChatResult:
        """What came of the run, once `play` has ended."""
        log = self.log
        run = log.entries[self._began :]
        stop = self.stop or StopReason("input_required", detail=", ".join(ask.text for ask in self._paused))
        return ChatResult(
            messages=tuple(log.messages),
            summary=self.summary,
            stop=stop,
            usage=usage_by_speaker(run),
            human_input=human_input(run),
            decisions=tuple(entry.why for entry in run if entry.kind == "decided" and entry.why is not None),
            room_id=self.id,
            entries=tuple(run),
            kept=Kept(self._turn.context_id, self._turn.journal),
        )

    # How a run begins.

    async def _open(self) -> None:
        rules, log = self.rules, self.log
        chairs = await take_chairs(rules.seats, rules.view, rules.on_failure)
        check_names((rules.manager.name, *(chair.name for chair in chairs)))
        await log.load()
        self._floor = Floor(
            chairs,
            may_repeat=who_repeats(rules.repeats, chairs),
            allowed=check_transitions(rules.transitions, rules.transitions_kind, chairs),
            all_speak=rules.pair,
        )
        self._turns.peers = {chair.name: chair.original for chair in chairs}
        self._names = frozenset(fold_name(name) for name in (rules.manager.name, *self._floor.chairs, "human", "user"))
        self._opening = Opening(self.id, rules, self._floor, log, self._opener)
        self._judged = self._until.start()
        if log.pending is not None and self._turn.answer is not None:
            self._began = log.since
            for entry in log.run:
                self._judged = self._until.step(self._judged, entry)
            self._take_up(log.pending, self._turn.answer)
            return
        if log.entries[log.since :]:
            log.add(Entry(log.next_seq, "stopped", log.turn, rules.manager, stop=StopReason("interrupted")))
        self._began = log.since
        for entry in self._opening.entries(self._turn):
            self._add(entry)

    def _take_up(self, pending: Entry, answer: Answer) -> None:
        """Go on where the room asked: the answer goes to the seat that wanted it."""
        assert pending.speaker is not None
        for message in self._turn.messages:
            if message.message_id != answer.message.message_id:  # said while the room waited
                self._add(self._opening.said(message, self._opening.speaker(speaker_of(message))))
        if pending.speaker.name == self.rules.manager.name:
            self._answered(pending, answer.message)
            self._chosen_by_hand(answer.message.text, pending)
            return
        chair = self._floor.chairs.get(pending.speaker.name)
        if chair is None:
            self._give_up(pending.speaker, Failure("has left the room", "asked, and left before the answer came"))
            return
        entry = self._answered(pending, answer.message)
        self._next = chair, self._turns.answer(chair, pending, answer.message, entry.seq)

    def _answered(self, pending: Entry, answer: Message) -> Entry:
        """Put an answer into the log; a credential is not kept anywhere but in the turn that it is for."""
        if any(ask.kind == "auth" for ask in pending.asks):
            answer = answer.model_copy(update={"parts": (Part(text="(a credential, not kept)"),)})
        return self._add(Entry(self.log.next_seq, "answered", self.log.turn, self._opening.speaker(), answer))

    # Who speaks next.

    def _choose_at_once(self) -> bool:
        """Look whether to stop, and choose if nobody must be asked for it. True: it is settled."""
        stop = why_stop(self.rules, self.log, self._until.verdict(self._judged))
        return self._settled(stop or choose_at_once(self.rules, self._floor, self.log, self._handover))

    async def _choose(self) -> AsyncGenerator[Entry, None]:
        """Choose with the help of a function, a model or a person; what was said before is shown first."""
        for entry in await self._commit():
            yield entry
        with choice_span(self.rules.manager.name):
            chosen, usage = await choose(self.rules, self._floor, self.log)
        if not self._settled(chosen, usage):
            await self._choose_by_hand(self._floor.candidates(self.log.floor))

    def _settled(self, chosen: Decision | StopReason | None, usage: Usage | None = None) -> bool:
        if isinstance(chosen, Decision):
            self._decide(chosen, usage)
        else:
            self.stop = chosen
        return chosen is not None

    async def _choose_by_hand(self, names: tuple[str, ...]) -> None:
        listed = ", ".join(f"{number} {name}" for number, name in enumerate(names, 1))
        ask = Ask(text=f"Who speaks next? {listed}; q ends the conversation.", options=names, id="next-speaker")
        for _ in range(self.rules.selector.max_retries + 1):
            pending = self._add(Entry(self.log.next_seq, "asked", self.log.turn, self.rules.manager, asks=(ask,)))
            answer = await self._answer_to(pending)
            if answer is None:
                return
            self._answered(pending, answer)
            if self._chosen_by_hand(answer.text, pending):
                return
        self._decide(fallback(names, self.log, "no answer named a candidate"))

    def _chosen_by_hand(self, answer: str, pending: Entry) -> bool:
        names = pending.asks[0].options
        chosen = parse_manual(answer, names)
        if chosen is not None:
            self._decide(Decision(names, chosen, "manual", "chosen by a person"))
        return chosen is not None

    def _decide(self, why: Decision, usage: Usage | None = None) -> None:
        """Put the decision into the log, and get ready to call the seat once it is kept there."""
        self._handover = None
        manager = self.rules.manager
        number = self.log.turn + (why.chosen != END)
        self._add(Entry(self.log.next_seq, "decided", number, manager, usage=_used(usage), why=why))
        if why.chosen == END:
            by = "human" if why.chosen_by == "manual" else manager.name
            kind = {"manual": "human", "function": "function"}.get(why.chosen_by, "converged")
            self.stop = StopReason(kind, by, why.reason)
        elif self.log.fallbacks > 1 and self.rules.selector.on_failure == "stop":
            last = f" ({one_sentence(why.rejected[-1])})" if why.rejected else ""
            detail = f'twice in a row: {why.reason}{last}; to go on all the same, use Selector(on_failure="fallback")'
            self.stop = StopReason("selection_failed", manager.name, detail)
        else:
            chair = self._floor.chairs[why.chosen]
            self._next = chair, self._turns.make(chair, 1)

    # A seat's turn.

    async def _hear(self, chair: Chair, turn: Turn) -> AsyncGenerator[Entry | Reply, None]:
        self._next = None
        speech = Speech(
            chair, self.log.turn, turn.attempt, chair.words_metadata(self.log.open.why if self.log.open else None)
        )
        trouble: Exception | None = None
        with watch_turn(self.rules.manager.name, chair, turn) as watch:
            try:
                async with aclosing(heard(chair.speak(turn), chair.timeout, self._watch)) as replies:
                    async for reply in replies:
                        shown = speech.take(reply)
                        if shown is not None:
                            yield shown
            except StoreError:  # our own log, not the seat: the run must end
                raise
            except Exception as error:  # whatever a seat raises is that seat's failure, not the room's
                log_failure(chair.name, error, self._traced)
                trouble = error
            rest = speech.rest()
            if rest is not None:
                yield rest
            try:
                self._settle(chair, turn, speech, trouble)
            except Exception as error:  # it cannot be written down, and nothing of it has been: its failure too
                log_failure(chair.name, error, self._traced)
                told = Failure("could not answer: what it said cannot be written down", repr(error))
                self._failed(chair, turn, told, None)
            watch.settled(self.log.entries[-1])
        if self.log.pending is not None:
            for entry in await self._commit():
                yield entry
            await self._put_to_human(chair, turn, self.log.pending)

    def _settle(self, chair: Chair, turn: Turn, speech: Speech, trouble: Exception | None) -> None:
        """Decide what the turn came to, and put it into the log."""
        outcome = speech.outcome()
        usage = _used(outcome.usage)
        seq, number = self.log.next_seq, self.log.turn
        failure = failure_of(trouble, outcome)
        if speech.ended is not None and trouble is None:
            self._add(Entry(seq, "passed", number, chair.speaker, usage=usage, detail=speech.ended.detail))
            if isinstance(speech.ended, StopChat):
                self.stop = StopReason(speech.ended.kind, chair.name, speech.ended.detail)
        elif failure is not None:
            self._failed(chair, turn, failure, usage)
        elif outcome.asks:
            self._add(Entry(seq, "asked", number, chair.speaker, attempt=turn.attempt, usage=usage, asks=outcome.asks))
        elif outcome.is_empty and self.rules.pair:
            self._add(Entry(seq, "passed", number, chair.speaker, usage=usage))
            self.stop = StopReason("no_reply", chair.name, f"{chair.name} has nothing to say")
        elif outcome.is_empty:
            self._failed(chair, turn, Failure("said nothing"), usage)
        else:
            self._accept(chair, turn, speech, outcome, usage)

    def _accept(self, chair: Chair, turn: Turn, speech: Speech, outcome: Outcome, usage: Usage | None) -> None:
        parts, flags = cleaned(outcome.parts, chair.name, self._names)
        kind = chair.speaker.kind
        speaker = chair.voice("human" if speech.by_human else "local" if kind == "human" else kind)
        why = self.log.open.why if self.log.open else None
        metadata = chair.metadata if speaker is chair.speaker else metadata_of(speaker)
        seq = self.log.next_seq
        message = Message(message_id=f"{self.id}:{seq}", role=Role.USER, parts=parts, metadata=metadata)
        self._add(Entry(seq, "said", self.log.turn, speaker, message, turn.attempt, usage, why, flags=flags))
        self._handover = outcome.next

    def _failed(self, chair: Chair, turn: Turn, failure: Failure, usage: Usage | None) -> None:
        """A turn that gave nothing: asked again if that is allowed, else the room is told and goes on."""
        allowed = (chair.on_failure.rerun or 0) if failure.is_unreached else chair.reruns
        if turn.attempt <= allowed and turn.answer is None:
            note = self._turns.note(f"{chair.name} {failure.public}. It is asked again.")  # for whoever watches
            seq, number, told = self.log.next_seq, self.log.turn, failure.detail or failure.reason
            self._add(
                Entry(seq, "failed", number, chair.speaker, note, turn.attempt, usage, detail=told, flags=(RERUN,))
            )
            self._next = chair, self._turns.make(chair, turn.attempt + 1)
            return
        self._give_up(chair.speaker, failure, attempt=turn.attempt, usage=usage)
        active = self._floor.active
        left = len(active) - len(self.log.down)
        told = f"{chair.name} {failure.reason}"
        if self.rules.pair or chair.on_failure.then == "stop":
            self.stop = StopReason("failed", chair.name, told)
        elif left < self.rules.min_seats:
            needed = f"{left} of {len(active)} seats can answer, {self.rules.min_seats} are needed"
            self.stop = StopReason("failed", chair.name, f"{needed}: {told}")

    def _give_up(self, speaker: Speaker, failure: Failure, *, attempt: int = 1, usage: Usage | None = None) -> None:
        note = None
        if not self.rules.pair:
            text = f"{speaker.name} {failure.public}. The conversation goes on without that answer."
            note = self._turns.note(text)
        seq, number, told = self.log.next_seq, self.log.turn, failure.detail or failure.reason
        self._add(Entry(seq, "failed", number, speaker, note, attempt, usage, detail=told))

    # Questions to people.

    async def _put_to_human(self, chair: Chair, turn: Turn, pending: Entry) -> None:
        """A seat asks: the answer goes back to it, as the next thing that happens."""
        answer = await self._answer_to(pending)
        if answer is not None:
            entry = self._answered(pending, answer)
            self._next = chair, self._turns.answer(chair, pending, answer, entry.seq)
        elif self.stop is not None:  # there will be no answer
            await abandon(chair.agent, turn)

    async def _answer_to(self, pending: Entry) -> Message | None:
        """What a person answers; None when the room pauses for it, or stops because nobody is there."""
        assert pending.speaker is not None
        if self._human is None and self._pauses:
            self._paused = pending.asks
            return None
        await self.log.commit()
        detail = f"{pending.speaker.name} asks: {pending.text}"
        if self._human is not None:
            message_id = f"{self.id}:{self.log.next_seq}"
            try:
                return await answered_by(self._human, pending.asks, pending.speaker.name, message_id)
            except NobodyThereError as error:
                detail = f"{detail} ({error.message})"
            except Exception as error:  # the user's function: the conversation so far is worth more than its trouble
                _log.warning("the function that answers for a person raised", exc_info=error)
                self.stop = StopReason("failed", self.rules.manager.name, f"{detail} (human=... {raised(error)})")
                return None
        self.stop = StopReason("input_required", pending.speaker.name, detail)
        return None

    # How a run ends.

    async def _end(self) -> list[Entry | Reply]:
        if self._paused:
            pending = self.log.pending
            assert pending is not None
            assert pending.speaker is not None
            is_ours = pending.speaker.name == self.rules.manager.name
            asks = list(self._paused) if is_ours else attributed(self._paused, pending.speaker.name)
            return [*asks]
        assert self.stop is not None
        self.summary, usage = last_words(self.log.run), _NO_USAGE
        if self._summarise is not None:
            try:
                self.summary, usage = await self._summarise(self.log.run)
            except Exception as error:  # a model, or the user's function: the conversation has been had all the same
                trace = None if isinstance(error, BridgeError) else error
                _log.warning("not summed up, the last words stand for it: %s", raised(error), exc_info=trace)
        message = self._turns.note(self.summary) if self.summary else None
        seq, number = self.log.next_seq, self.log.turn
        self._add(Entry(seq, "stopped", number, self.rules.manager, message, usage=_used(usage), stop=self.stop))
        return [*await self._commit()]

    # Small things.

    def _add(self, entry: Entry) -> Entry:
        self.log.add(entry)
        self._judged = self._until.step(self._judged, entry)
        self._unshown.append(entry)
        return entry

    async def _commit(self) -> list[Entry]:
        await self.log.commit()
        shown, self._unshown = self._unshown, []
        return shown


def _used(usage: Usage | None) -> Usage | None:
    return None if usage == _NO_USAGE else usage


async def abandon_room(rules: Rules, turn: Turn) -> None:
    """A room that waits for an answer will get none: tell the seat that asked."""
    log = RoomLog(turn.journal, rules.manager)
    await log.load()
    pending = log.pending
    if pending is None or pending.speaker is None:
        return
    room = uuid_of("room", rules.manager.name, turn.caller.tenant, turn.caller.principal, turn.context_id)
    for chair in await take_chairs(rules.seats, rules.view, rules.on_failure):
        if chair.name == pending.speaker.name:
            await abandon(chair.agent, SeatTurns(room, turn, log, rules.manager).make(chair, pending.attempt))
