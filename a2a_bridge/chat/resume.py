"""Going on with a run that was cut off: by a kill, a full disk, a server that stopped.

Who has answered is in the log and is not asked again. A decision whose speakers have not all answered is open: those
are asked again with the same turn id, which a remote agent that knows its messages by their ids answers from memory.
A seat that must not be asked twice (`at_most_once`, unless `OnFailure(rerun=)` allows it) has failed its turn, because
nobody knows how far it came. An answer that carried credentials is lost with the process, and the turn with it.
"""

from a2a_bridge.chat.entry import Entry
from a2a_bridge.chat.failure import Failure
from a2a_bridge.chat.inbox import NOT_KEPT
from a2a_bridge.chat.run import Run
from a2a_bridge.chat.seat import Chair
from a2a_bridge.chat.settle import Settlement

_CUT_OFF = Failure(
    "was cut off when the room was stopped", "stopped in the middle of its turn; it may not be run twice"
)
_GONE = Failure("has left the room", "chosen, and left before it answered")
_LOST = Failure("was cut off when the room was stopped", "the credentials that it was given are not kept")


def take_up(run: Run, settlement: Settlement, *, is_forked: bool = False) -> None:
    """Get the open turns ready to be heard again. In a room that is forked nobody has been asked yet."""
    log = run.log
    for name in [*log.awaited]:
        if name in log.asked:
            continue  # its question stands
        chair = run.floor.chairs.get(name)
        answered = log.answers.get(name)
        if chair is None:
            speaker = log.speakers.get(name)
            if speaker is not None:
                settlement.give_up(speaker, _GONE)
        elif answered is not None:
            _answer_again(run, settlement, chair, answered)
        elif not is_forked and chair.traits.after_crash == "at_most_once" and not chair.on_failure.rerun:
            settlement.give_up(chair.speaker, _CUT_OFF)
        else:
            run.next.append((chair, run.turns.make(chair, log.attempts.get(name, 1))))


def _answer_again(run: Run, settlement: Settlement, chair: Chair, answered: tuple[Entry, Entry]) -> None:
    question, answer = answered
    if answer.message is None or NOT_KEPT in answer.message.parts:
        settlement.give_up(chair.speaker, _LOST)
        return
    run.next.append((chair, run.turns.answer(chair, question, answer.message, answer.seq)))
