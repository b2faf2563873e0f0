"""A remote agent is who it was: the card that it was let in with, and what happens when it has another one.

The digest of a card is pinned when its seat is taken. It is looked at again before each turn of the seat, and when a
room is gone on with. What then happens is the seat's own word (`Seat(on_card_change=)`): "ask" puts the question to the
room's person, and the seat is neither handed anything nor asked before the answer; "stop" ends the conversation; "note"
writes it down and goes on. A card that cannot be read says nothing.
"""

from a2a_bridge.agent import Ask
from a2a_bridge.chat.control import Gone
from a2a_bridge.chat.entry import Entry, StopReason
from a2a_bridge.chat.failure import Failure
from a2a_bridge.chat.run import Run
from a2a_bridge.chat.seat import Chair
from a2a_bridge.chat.settle import Settlement

CARD = "card:"
"""How the id of a question about a card begins; the name of the seat follows."""
ACCEPTED = "card_accepted"


def in_question(run: Run) -> list[Chair]:
    """Whoever has a seat and a card that nobody has accepted, in the order of the seats."""
    return [chair for chair in run.floor.chairs.values() if is_other(run, chair)]


def is_other(run: Run, chair: Chair) -> bool:
    """The card is another one than that which the agent at this endpoint was let in with."""
    accepted = run.log.cards.get(chair.name)
    return (
        accepted is not None
        and chair.speaker.card is not None
        and accepted.endpoint == chair.speaker.endpoint
        and accepted.card != chair.speaker.card
    )


def ask_about_cards(run: Run) -> bool:
    """Ask about those who need it, or stop; they are not called before the answer. False: nothing is in question."""
    found = in_question(run)
    if not found or run.log.asked.get(run.rules.manager.name) is not None:
        return bool(found)
    run.next.clear()
    for chair in found:
        if chair.on_card_change == "stop":
            run.stop = StopReason("card_changed", chair.name, f"{_told(chair)}; it was not asked")
            return True
    asks = tuple(
        Ask(text=f"{_told(chair)}. May it go on?", options=("yes", "no"), id=CARD + chair.name) for chair in found
    )
    log = run.log
    run.add(Entry(log.next_seq, "asked", log.turn, run.rules.manager, asks=asks, at=log.now))
    return True


def _told(chair: Chair) -> str:
    return f"{chair.name} ({chair.speaker.endpoint}) has another card than the one that it was let in with"


def judged(run: Run, settlement: Settlement, ask: Ask, option: str | None) -> None:
    """A person has answered; what is unclear means no. Whoever is not let in leaves before the next turn."""
    chair = run.floor.chairs.get(ask.id.removeprefix(CARD))
    run.control.is_wanted = run.is_taken_up = True
    if chair is None:
        return
    if option == "yes":
        run.add(run.log.make("joined", chair.speaker, flags=(ACCEPTED,)))
        return
    if chair.name in run.log.awaited:
        settlement.give_up(chair.speaker, Failure("has another card than before and was not let in again"))
    run.control.change(lambda changes: (*changes, Gone(chair.key)))
