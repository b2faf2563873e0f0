"""What reaches a run from outside its own log: seats, people, chance, and what others want of the running room.

A run asks for all of it here, so that a run that was written down can be run again with what it was told then
(`recorded.py`): what is left is a function of the log.
"""

import secrets
from collections.abc import Sequence

from a2a_bridge.chat.ask import Human
from a2a_bridge.chat.breaker import Breaker
from a2a_bridge.chat.control import Control
from a2a_bridge.chat.hearing import Hearing
from a2a_bridge.chat.inbox import Inbox
from a2a_bridge.chat.rules import Rules
from a2a_bridge.chat.run import Run
from a2a_bridge.chat.seat import Chair, Seat, take_chairs


class Outside:
    """The world as it is."""

    breaker: type[Breaker] = Breaker

    def control(self, room: str) -> Control:
        """Where others leave what they want of the run."""
        return Control(room)

    def begin(self, run: Run) -> None:
        """The run that is going to ask."""

    def seed(self, rules: Rules) -> int:
        """The seed of what is left to chance."""
        return secrets.randbits(32) if rules.selector.seed is None else rules.selector.seed

    async def chairs(self, seats: Sequence[Seat], rules: Rules) -> tuple[Chair, ...]:
        """The seats, with their cards read."""
        return await take_chairs(seats, rules.view, rules.on_failure)

    async def has_changed(self, chairs: Sequence[Chair]) -> bool:
        """One of these remote agents, who are about to be called, has another card than when it took its seat."""
        for chair in chairs:
            if chair.card is not None and await chair.has_changed():
                return True
        return False

    def inbox(self, run: Run, hearing: Hearing, human: Human | None, *, pauses: bool) -> Inbox:
        """Where what seats ask is answered."""
        return Inbox(run, hearing, human, pauses=pauses)


OUTSIDE = Outside()
