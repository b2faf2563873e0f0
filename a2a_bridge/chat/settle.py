"""What a turn of a seat came to: words, questions, nothing, or a failure and what follows from it."""

import logging

from a2a_bridge.agent import Ask, Outcome, Turn, Usage
from a2a_bridge.chat.breaker import Breaker
from a2a_bridge.chat.budget import ESTIMATED, estimated
from a2a_bridge.chat.entry import Entry, Speaker, StopReason, metadata_of, words_of
from a2a_bridge.chat.failure import Failure, failure_of, log_failure
from a2a_bridge.chat.log import RERUN
from a2a_bridge.chat.run import Run, used
from a2a_bridge.chat.seat import Chair
from a2a_bridge.chat.speech import Speech, cleaned
from a2a_bridge.chat.spoken import StopChat
from a2a_bridge.protocol.objects import Message, Role

_log = logging.getLogger(__name__)
TRY_AGAIN = ("retry", "skip", "end")
LATE = "late"
"""The flag of a turn that was not waited for: enough others had answered."""


class Settlement:
    """Writes down what turns came to. Not shown and not kept before the room commits."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._traced: set[str] = set()

    def settle(self, chair: Chair, turn: Turn, speech: Speech, trouble: Exception | None) -> None:
        """One turn is over; `trouble` is what it raised."""
        if trouble is not None:
            log_failure(chair.name, trouble, self._traced)
        try:
            self._settle(chair, turn, speech, trouble)
        except Exception as error:  # what it said cannot be written down, and nothing of it has been: its failure too
            log_failure(chair.name, error, self._traced)
            told = Failure("could not answer: what it said cannot be written down", repr(error))
            self.failed(chair, turn, told, None)

    def late(self, chair: Chair) -> None:
        """It was not waited for."""
        self._run.add(self._run.log.make("passed", chair.speaker, flags=(LATE,)))

    def _settle(self, chair: Chair, turn: Turn, speech: Speech, trouble: Exception | None) -> None:
        run = self._run
        outcome = speech.outcome()
        usage = used(outcome.usage)
        failure = failure_of(trouble, outcome)
        if chair.speaker.endpoint is not None:
            Breaker.tell(chair.speaker.endpoint, failed=failure is not None and failure.is_unreached)
        if speech.ended is not None and trouble is None:
            run.add(run.log.make("passed", chair.speaker, usage=usage, detail=speech.ended.detail))
            if isinstance(speech.ended, StopChat):
                run.stop = StopReason(speech.ended.kind, chair.name, speech.ended.detail)
        elif failure is not None:
            self.failed(chair, turn, failure, usage)
        elif outcome.asks:
            seq, number, asks = run.log.next_seq, run.log.turn, outcome.asks
            run.add(Entry(seq, "asked", number, chair.speaker, None, turn.attempt, usage, asks=asks, at=run.log.now))
        elif outcome.is_empty and run.rules.pair:
            run.add(run.log.make("passed", chair.speaker, usage=usage))
            run.stop = StopReason("no_reply", chair.name, f"{chair.name} has nothing to say")
        elif outcome.is_empty:
            self.failed(chair, turn, Failure("said nothing"), usage)
        else:
            self._accept(chair, turn, speech, outcome, usage)

    def _accept(self, chair: Chair, turn: Turn, speech: Speech, outcome: Outcome, usage: Usage | None) -> None:
        run, log = self._run, self._run.log
        parts, flags = cleaned(outcome.parts, chair.name, run.names)
        kind = chair.speaker.kind
        speaker = chair.voice("human" if speech.by_human else "local" if kind == "human" else kind)
        metadata = chair.metadata if speaker is chair.speaker else metadata_of(speaker)
        message = Message(message_id=f"{run.id}:{log.next_seq}", role=Role.USER, parts=parts, metadata=metadata)
        if usage is None and run.meter.counts:
            usage, flags = estimated(words_of(parts)), (*flags, ESTIMATED)
        raw = speech.raw
        if raw is None and parts is not outcome.parts and parts != outcome.parts:
            raw = outcome.parts
        run.add(
            Entry(
                log.next_seq, "said", log.turn, speaker, message, turn.attempt, usage, log.why, (), "", flags, None,
                log.now, raw,
            )
        )  # fmt: skip
        run.handover = outcome.next

    def failed(self, chair: Chair, turn: Turn, failure: Failure, usage: Usage | None) -> None:
        """A turn that gave nothing: asked again if that is allowed, else the room is told and goes on."""
        run = self._run
        allowed = (chair.on_failure.rerun or 0) if failure.is_unreached else chair.reruns
        if turn.attempt <= allowed and turn.answer is None:
            self._rerun(chair, turn, failure, usage, "It is asked again.")
            run.next.append((chair, run.turns.make(chair, turn.attempt + 1)))
            return
        if turn.answer is None and chair.on_failure.then in ("replace", "pause"):
            self._tried(chair, turn, failure, usage)
            return
        self.give_up(chair.speaker, failure, attempt=turn.attempt, usage=usage)
        active = run.floor.active
        left = len(active) - len(run.log.down)
        told = f"{chair.name} {failure.reason}"
        if run.rules.pair or chair.on_failure.then == "abort":
            run.stop = StopReason("failed", chair.name, told)
        elif left < run.rules.min_seats:
            needed = f"{left} of {len(active)} seats can answer, {run.rules.min_seats} are needed"
            run.stop = StopReason("failed", chair.name, f"{needed}: {told}")

    def _rerun(self, chair: Chair, turn: Turn, failure: Failure, usage: Usage | None, follows: str) -> None:
        """This attempt gave nothing, and another one follows in the same turn; the note is for whoever watches."""
        log, told = self._run.log, failure.detail or failure.reason
        note = self._run.note(f"{chair.name} {failure.public}. {follows}")
        self._run.add(
            log.make("failed", chair.speaker, note, attempt=turn.attempt, usage=usage, detail=told, flags=(RERUN,))
        )

    def _tried(self, chair: Chair, turn: Turn, failure: Failure, usage: Usage | None) -> None:
        """What can be done has been tried: somebody else takes the seat, or a person is asked."""
        run = self._run
        if chair.on_failure.then == "replace":
            self._rerun(chair, turn, failure, usage, "Another agent takes over.")
            run.replace(chair, turn.attempt + 1)
            return
        self._rerun(chair, turn, failure, usage, "Somebody is asked what to do.")
        manager, log = run.rules.manager, run.log
        text = f"{chair.name} {failure.public}. What now?"
        ask = Ask(text=text, options=TRY_AGAIN, id=f"failure:{chair.name}")
        run.add(Entry(log.next_seq, "asked", log.turn, manager, asks=(ask,), at=log.now))

    def answered(self, chair: Chair, option: str | None) -> None:
        """A person has said what to do about a turn that failed; what is unclear means: go on without."""
        run = self._run
        if option == "retry":
            run.next.append((chair, run.turns.make(chair, run.log.attempts.get(chair.name, 1))))
            return
        self.give_up(chair.speaker, Failure("did not answer"))
        if option == "end":
            run.stop = StopReason("human", "human", f"{chair.name} had failed")

    def give_up(self, speaker: Speaker, failure: Failure, *, attempt: int = 1, usage: Usage | None = None) -> None:
        """There will be no answer in this turn: the room is told."""
        run = self._run
        note = None
        if not run.rules.pair:
            note = run.note(f"{speaker.name} {failure.public}. The conversation goes on without that answer.")
        told = failure.detail or failure.reason
        run.add(run.log.make("failed", speaker, note, attempt=attempt, usage=usage, detail=told))
