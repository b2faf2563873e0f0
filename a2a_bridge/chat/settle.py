"""What a turn of a seat came to: words, questions, nothing, or a failure and what follows from it."""

import logging
from collections.abc import Mapping
from dataclasses import replace

from a2a_bridge.agent import Ask, Outcome, Turn, Usage
from a2a_bridge.chat.budget import ESTIMATED, estimated
from a2a_bridge.chat.entry import Entry, Speaker, StopReason, metadata_of, words_of
from a2a_bridge.chat.failure import Failure, failure_of, log_failure
from a2a_bridge.chat.log import RERUN
from a2a_bridge.chat.run import Run, used
from a2a_bridge.chat.seat import Chair
from a2a_bridge.chat.speech import Speech, cleaned
from a2a_bridge.chat.spoken import StopChat
from a2a_bridge.protocol.objects import JSONValue, Message, user_message

_log = logging.getLogger(__name__)
TRY_AGAIN = ("retry", "skip", "end")
Heard = Mapping[str, JSONValue]
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
        heard: dict[str, JSONValue] | None = None if speech.activity is None else {"activity": speech.activity}
        if chair.speaker.endpoint is not None:
            run.breaker.tell(chair.speaker.endpoint, failed=failure is not None and failure.is_unreached)
        if speech.ended is not None and trouble is None:
            ends = speech.ended.kind if isinstance(speech.ended, StopChat) else "pass"
            heard = {**(heard or {}), "ends": ends}
            run.add(run.log.make("passed", chair.speaker, usage=usage, detail=speech.ended.detail, heard=heard))
            if isinstance(speech.ended, StopChat):
                run.stop = StopReason(speech.ended.kind, chair.name, speech.ended.detail)
        elif failure is not None:
            self.failed(chair, turn, failure, usage, heard)
        elif outcome.asks:
            asked = run.log.make("asked", chair.speaker, usage=usage, attempt=turn.attempt, heard=heard)
            run.add(replace(asked, asks=outcome.asks))
        elif outcome.is_empty and run.rules.pair:
            run.add(run.log.make("passed", chair.speaker, usage=usage, heard=heard))
            run.stop = StopReason("no_reply", chair.name, f"{chair.name} has nothing to say")
        elif outcome.is_empty:
            self.failed(chair, turn, Failure("said nothing"), usage, heard)
        else:
            self._accept(chair, turn, speech, outcome, usage)

    def _accept(self, chair: Chair, turn: Turn, speech: Speech, outcome: Outcome, usage: Usage | None) -> None:
        run, log = self._run, self._run.log
        parts, flags = cleaned(outcome.parts, chair.name, run.names)
        escaped, kind = bool(flags), chair.speaker.kind
        speaker = chair.voice("human" if speech.by_human else "local" if kind == "human" else kind)
        metadata = chair.metadata if speaker is chair.speaker else metadata_of(speaker)
        message = user_message(f"{run.id}:{log.next_seq}", parts, metadata)
        if usage is None and run.meter.counts:
            usage, flags = estimated(words_of(parts)), (*flags, ESTIMATED)
        raw = speech.raw
        if raw is None and escaped:
            raw = outcome.parts
        heard: dict[str, JSONValue] | None = None
        if outcome.next is not None or speech.activity is not None:
            heard = {} if speech.activity is None else {"activity": speech.activity}
            if outcome.next is not None:
                heard["next"] = outcome.next
        run.add(
            Entry(
                log.next_seq, "said", log.turn, speaker, message, turn.attempt, usage, log.why, (), "", flags, None,
                log.now, raw, heard,
            )
        )  # fmt: skip

    def failed(
        self, chair: Chair, turn: Turn, failure: Failure, usage: Usage | None, heard: Heard | None = None
    ) -> None:
        """A turn that gave nothing: asked again if that is allowed, else the room is told and goes on."""
        run = self._run
        allowed = (chair.on_failure.rerun or 0) if failure.is_unreached else chair.reruns
        if turn.attempt <= allowed and turn.answer is None:
            self._rerun(chair, turn, failure, usage, "It is asked again.", heard)
            run.next.append((chair, run.turns.make(chair, turn.attempt + 1)))
            return
        if turn.answer is None and chair.on_failure.then in ("replace", "pause"):
            self._tried(chair, turn, failure, usage, heard)
            return
        ends = chair.on_failure.then == "abort"
        self.give_up(chair.speaker, failure, attempt=turn.attempt, usage=usage, heard=heard, ends=ends)
        active = run.floor.active
        left = len(active) - len(run.log.down)
        told = f"{chair.name} {failure.reason}"
        if run.rules.pair or ends:
            run.stop = StopReason("failed", chair.name, told)
        elif left < run.rules.min_seats:
            needed = f"{left} of {len(active)} seats can answer, {run.rules.min_seats} are needed"
            run.stop = StopReason("failed", chair.name, f"{needed}: {told}")

    def _rerun(
        self, chair: Chair, turn: Turn, failure: Failure, usage: Usage | None, follows: str, heard: Heard | None
    ) -> None:
        """This attempt gave nothing, and another one follows in the same turn; the note is for whoever watches."""
        note = self._run.note(f"{chair.name} {failure.public}. {follows}")
        entry = self._failed(chair.speaker, note, turn.attempt, failure, usage, heard)
        self._run.add(replace(entry, flags=(RERUN,)))

    def _failed(
        self,
        speaker: Speaker,
        note: Message | None,
        attempt: int,
        failure: Failure,
        usage: Usage | None,
        heard: Heard | None,
    ) -> Entry:
        told: dict[str, JSONValue] = {**(heard or {}), "reason": failure.reason}
        if failure.is_unreached:
            told["unreached"] = True
        detail = failure.detail or failure.reason
        return self._run.log.make("failed", speaker, note, attempt=attempt, usage=usage, detail=detail, heard=told)

    def _tried(self, chair: Chair, turn: Turn, failure: Failure, usage: Usage | None, heard: Heard | None) -> None:
        """What can be done has been tried: somebody else takes the seat, or a person is asked."""
        run = self._run
        if chair.on_failure.then == "replace":
            self._rerun(chair, turn, failure, usage, "Another agent takes over.", heard)
            run.replace(chair, turn.attempt + 1)
            return
        self._rerun(chair, turn, failure, usage, "Somebody is asked what to do.", heard)
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

    def give_up(
        self,
        speaker: Speaker,
        failure: Failure,
        *,
        attempt: int = 1,
        usage: Usage | None = None,
        heard: Heard | None = None,
        ends: bool = False,
    ) -> None:
        """There will be no answer in this turn: the room is told. `ends`: and the conversation is over."""
        run = self._run
        note = None
        if not run.rules.pair:
            follows = "" if ends else " The conversation goes on without that answer."
            note = run.note(f"{speaker.name} {failure.public}.{follows}")
        run.add(self._failed(speaker, note, attempt, failure, usage, heard))
