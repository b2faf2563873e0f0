"""The state of one run of a room, shared by the parts of the engine; each part says what it does with it.

One run belongs to whoever reads `Room.play()`, and everything here is touched from that task only. What others want of
a running room they leave in its `Control`.
"""

from collections.abc import Callable, Iterable
from random import Random

from a2a_bridge.agent import Outcome, Turn, Usage
from a2a_bridge.chat.breaker import Breaker
from a2a_bridge.chat.budget import Meter
from a2a_bridge.chat.condition import Checked
from a2a_bridge.chat.control import CanceledError, Control
from a2a_bridge.chat.entry import END, EXTERNAL, Decision, Entry, Speaker, StopReason
from a2a_bridge.chat.log import RoomLog
from a2a_bridge.chat.names import fold_name
from a2a_bridge.chat.rules import Rules
from a2a_bridge.chat.seat import Chair, uuid_of
from a2a_bridge.chat.speaker import Floor
from a2a_bridge.chat.termination import External, ManagerSays
from a2a_bridge.chat.turns import SeatTurns
from a2a_bridge.protocol.objects import Message

NO_USAGE = Outcome().usage
"""The very object that a turn has which used nothing: it is told by identity, which costs nothing."""


def room_id(rules: Rules, turn: Turn) -> str:
    """The id of a room: the same for the same manager, caller and context."""
    return uuid_of("room", rules.manager.name, turn.caller.tenant, turn.caller.principal, turn.context_id)


class Run:
    """`stop` is set once the run is to end. `next` are the turns that have been decided and not taken. `replacing`
    are seats that another agent takes, each with the attempt that it begins with, `owed` is what the manager has
    used since it last wrote something down; `is_taken_up`: the open turn was held up, and is to go on."""

    def __init__(
        self,
        rules: Rules,
        turn: Turn,
        *,
        control: Callable[[str], Control] = Control,
        breaker: type[Breaker] = Breaker,
    ) -> None:
        self.rules = rules
        self.turn = turn
        self.id = room_id(rules, turn)
        self.log = RoomLog(turn.journal, rules.manager, rules.clock)
        self.turns = SeatTurns(self.id, turn, self.log, rules.manager)
        self.turns.forms = rules.protocol.form if rules.protocol is not None else None
        self.control = control(self.id)
        self.breaker = breaker
        self.floor = Floor(())
        self.names: frozenset[str] = frozenset()
        self.stop: StopReason | None = None
        self.next: list[tuple[Chair, Turn]] = []
        self.replacing: list[tuple[Chair, int]] = []
        self.owed = NO_USAGE
        self.is_taken_up = False
        self.began = 0
        self.meter = Meter(rules.budget, {})
        self._until = Checked(rules.until, rules.manager.name)
        self._judged = self._until.start()
        self._unshown: list[Entry] = []
        asks = {type(condition) for condition in rules.until.inner()}
        self._end_is_conditional = ManagerSays in asks
        self._finish_is_conditional = External in asks

    def sit(self, floor: Floor) -> None:
        """These have a seat from now on."""
        self.floor = floor
        self.control.names = tuple(floor.chairs)
        self.turns.peers = {chair.name: chair.original for chair in floor.chairs.values()}
        budgets = {chair.name: chair.budget for chair in floor.chairs.values() if chair.budget is not None}
        self.meter = Meter(self.rules.budget, budgets)
        if self.meter.counts:
            for entry in self.log.run:
                self.meter.add(entry)
        self.names = frozenset(fold_name(name) for name in (self.rules.manager.name, *floor.chairs, "human", "user"))

    def add(self, entry: Entry) -> Entry:
        """Put an entry into the log; it is kept, and may be shown, with the next `commit`."""
        self.log.add(entry)
        self._judged = self._until.step(self._judged, entry)
        if self.meter.counts:
            self.meter.add(entry)
        self._unshown.append(entry)
        return entry

    async def commit(self) -> list[Entry]:
        """Keep what was added; gives the entries that may be shown now."""
        await self.log.commit()
        shown, self._unshown = self._unshown, []
        return shown

    def cancel(self, error: CanceledError, spoke: Iterable[Chair] = ()) -> None:
        """The room was told to stop while these spoke. Those whose work a cancel does not stop are named."""
        self.next.clear()
        left = ", ".join(chair.name for chair in spoke if not chair.traits.stops_on_cancel)
        told = f"; could not be stopped at once: {left}" if left else ""
        detail = error.message.removesuffix(told) + told  # a replay is canceled with what stands in the log
        self.stop = StopReason("canceled", self.rules.manager.name, detail)

    def finish(self, reason: str) -> None:
        """Somebody outside asked for the end: it has come, unless the conditions say what that means."""
        self.control.finished = None
        if self._finish_is_conditional:
            said, manager = self.note(f"Somebody asks for the end: {reason}"), self.rules.manager
            self.add(self.log.make("noted", manager, said, detail=reason, flags=(EXTERNAL,)))
            return
        self.next.clear()
        self.stop = StopReason("terminated", "outside", reason)

    def replace(self, chair: Chair, attempt: int) -> None:
        """Another agent is to take this seat, beginning with this attempt at its turn."""
        self.replacing.append((chair, attempt))
        self.control.is_wanted = True

    def rejudge(self) -> None:
        """Look at the entries of this run once more: they were read, not added."""
        self._judged = self._until.start()
        for entry in self.log.run:
            self._judged = self._until.step(self._judged, entry)

    def stopped(self, message: Message | None, stop: StopReason, usage: Usage | None = None) -> Entry:
        """The entry that says why it ended."""
        log = self.log
        return Entry(log.next_seq, "stopped", log.turn, self.rules.manager, message, 1, usage, stop=stop, at=log.now)

    @property
    def now(self) -> int:
        """When the last entry was written, in milliseconds since 1970: a budget is judged by the log alone."""
        return self.log.entries[-1].at

    @property
    def stand_in(self) -> Speaker:
        """In whose name a person speaks and answers who gives none."""
        return self.rules.stand_in(chair.speaker for chair in self.floor.chairs.values())

    def chance(self) -> Random:
        """What is left to chance in the next turn; the same when the turn is decided again."""
        seed = self.log.head.seed if self.log.head is not None else 0
        return Random(f"{seed}:{self.log.turn}")

    @property
    def met(self) -> StopReason | None:
        """The condition that ends the conversation, if it holds."""
        return self._until.verdict(self._judged)

    @property
    def may_end(self) -> bool:
        """Whether a model that chooses speakers may end the conversation now: not before anybody has answered, and
        only if the conditions that mention its word would then hold."""
        log = self.log
        if not log.replies or not self._end_is_conditional:
            return log.replies > 0
        said = Entry(log.next_seq, "decided", log.turn, self.rules.manager, why=Decision((), END, "auto"), at=self.now)
        return self._until.verdict(self._until.step(self._judged, said)) is not None

    def note(self, text: str) -> Message:
        """A message of the manager, for the entry that comes next."""
        return self.turns.note(text)


def used(usage: Usage | None) -> Usage | None:
    """The usage, unless it is none at all."""
    return None if usage is None or usage is NO_USAGE or usage == NO_USAGE else usage
