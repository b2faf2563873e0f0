"""One task that has not ended, as it stands in memory: its pieces, its log, and what waits for its next turn.

Only two parties write to it: the run of the turn that is going on, and the service when it opens, answers or cancels
the task. All writing is synchronous: a row is folded into the pieces and appended to the log in one step, so that a
snapshot taken between two steps of the event loop is exact. The first terminal status wins; what comes later is
ignored.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from a2a_bridge.agent import Ask, Caller
from a2a_bridge.errors import StoppingError, StoreError
from a2a_bridge.protocol.events import EventWriter, task_event
from a2a_bridge.protocol.extensions import TURN_EXTENSION
from a2a_bridge.protocol.lifecycle import may_follow
from a2a_bridge.protocol.objects import Message, Struct, TaskState, format_timestamp
from a2a_bridge.protocol.snapshot import MESSAGE_ROW, TaskPieces
from a2a_bridge.store.contract import Change, Streams
from a2a_bridge.tasks.log import URGENT_ONLY, TaskLog

TERMINAL = frozenset(state.value for state in TaskState if state.is_terminal)
DIRECT_ROW = b"d"
"""What the one row begins with that the log of a bare message has; nobody follows it."""


@lru_cache(maxsize=4096)
def scope_of(tenant: str, owner: str, agent: str) -> str:
    """The prefix of every key: no two different triples give the same one."""
    return "/".join(part.replace("%", "%25").replace("/", "%2F") for part in (tenant, owner, agent))


@lru_cache(maxsize=8)
def _second(second: int) -> str:
    """A time in wire form, up to its milliseconds."""
    return format_timestamp(datetime.fromtimestamp(second, UTC))[:-4]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What tasks may come to. 0: no limit.

    `turn`: seconds of one turn. `runs`: turns at a time, of all tasks. `queue`: messages that wait for one task.
    `history`: messages of one task, after which it takes no more. `log`: bytes of a task's events.
    """

    turn: float = 1800.0
    runs: int = 1000
    queue: int = 100
    history: int = 1000
    log: int = 64 << 20


@dataclass(frozen=True, slots=True)
class Keeping:
    """For how long what is kept, in seconds; see `bridge.Bridge`."""

    events: float = 24 * 3600.0
    tasks: float = 30 * 24 * 3600.0
    waiting: float = 7 * 24 * 3600.0
    sent: float = 600.0


@dataclass(eq=False, slots=True)
class Queued:
    """A message sent to a task while a turn of it was running. Its fate: taken (True), or refused because the task
    ended first (False)."""

    message: Message
    row: bytes
    sent: Change
    fate: "asyncio.Future[bool]"


class Identity:
    """Whose task this is, and what it is called: `key` in its records, `stream` in the log. Nobody writes to it."""

    __slots__ = ("agent", "caller", "context_id", "key", "scope", "stream", "task_id")

    def __init__(self, scope: str, task_id: str, context_id: str, caller: Caller, agent: str) -> None:
        self.scope = scope
        self.task_id = task_id
        self.context_id = context_id
        self.caller = caller
        self.agent = agent
        self.key = f"{scope}/{task_id}"
        self.stream = f"task/{scope}/{task_id}"


@dataclass(eq=False)
class LiveTask:
    """See the module's text. `turn` counts the turns from 1; `turn_starts` is the number of the last row before it.

    `outlives`: the store outlives the process, so the acceptance is kept for the next one until the task ends.
    `is_answered`: an answer is being accepted. `is_left`: the server stops, and the turn is run again by the next one.
    `withdrawn`: changes that go with a bare message, which leaves nothing of what came with the task.
    """

    who: Identity
    pieces: TaskPieces
    log: TaskLog
    clock: Callable[[], float]
    keeping: Keeping = Keeping()
    outlives: bool = True
    queued: deque[Queued] = field(default_factory=deque, init=False)
    sent: dict[str, bytes] = field(default_factory=dict, init=False)
    writer: EventWriter = field(init=False)
    turn: int = field(default=0, init=False)
    turn_starts: int = field(default=0, init=False)
    attempt: int = field(default=1, init=False)
    asks: tuple[Ask, ...] = field(default=(), init=False)
    run: "asyncio.Task[None] | None" = field(default=None, init=False)
    traceparent: str | None = field(default=None, init=False)
    is_shown: bool = field(default=False, init=False)
    is_answered: bool = field(default=False, init=False)
    is_left: bool = field(default=False, init=False)
    direct: bytes | None = field(default=None, init=False)
    withdrawn: tuple[Change, ...] = field(default=(), init=False)

    def __post_init__(self) -> None:
        self.writer = EventWriter(self.who.task_id, self.who.context_id)

    @property
    def is_ended(self) -> bool:
        """A terminal status has been appended, or the turn was answered with a bare message."""
        return self.pieces.state.is_terminal or self.direct is not None

    @property
    def is_paused(self) -> bool:
        """The last turn has ended with a question, and nobody's answer has begun the next one. Not so after an Ask
        that does not end the turn: then the state is the same, and the turn goes on."""
        ends = self.pieces.ends
        return self.pieces.state.is_interrupted and bool(ends) and ends[-1] > self.turn_starts

    def now(self) -> str:
        """The present time in wire form."""
        milliseconds = int(self.clock() * 1000)
        return f"{_second(milliseconds // 1000)}{milliseconds % 1000:03d}Z"

    # --- writing

    def show(self) -> None:
        """Let the world see the task: its first row, and its record in lists. Does nothing a second time. Whoever
        appends nothing after it flushes the log."""
        if self.is_shown or self.direct is not None:
            return
        self.is_shown = True
        if not self.pieces.status:
            self.pieces.set_status(self.pieces.state, self.now())
        self.log.begin(task_event(self.pieces.json()), self._task_record)

    def begin_work(self) -> None:
        """The turn starts: WORKING, from now on. The first turn says so in the task's first row."""
        if self.is_shown:
            self.status(TaskState.WORKING)
        else:
            self.pieces.state = TaskState.WORKING

    def status(
        self, state: TaskState, message: bytes | None = None, metadata: Struct | None = None, *, goes_on: bool = False
    ) -> None:
        """Append a status. Ignored when the task has ended already: the first terminal state wins (failure 17).

        An interrupted or terminal state ends the turn, unless `goes_on` (an Ask that is met out of band).
        """
        if self.direct is not None or not may_follow(self.pieces.state, state):
            return
        self.show()
        changed = state is not self.pieces.state
        status = self.pieces.set_status(state, self.now(), message)
        if goes_on:
            metadata = {**(metadata or {}), TURN_EXTENSION: {"goesOn": True}}
        row = self.writer.status(status, metadata)
        ends = state.ends_turn and not goes_on
        if ends:
            self.pieces.ends.append(self.log.appended + 1)
        if ends and state.is_terminal:
            self.log.close(row, self._closing_records(), also=self._task_record)
            self.refuse_queued()
        else:
            self.log.append(row, also=self._task_record if changed else None, urgent=ends)

    def progress(self, message: bytes) -> None:
        """WORKING with words; cheaper than `status`, as no record changes."""
        self.status(TaskState.WORKING, message)

    def hear(self, row: bytes, message_id: str, sent: Change | None = None) -> None:
        """A message of the client becomes part of the history of a task that exists already."""
        self.pieces.history.append(row)
        if sent is not None and sent.value is not None:
            self.sent[message_id] = sent.value
        self.log.append(MESSAGE_ROW + row, () if sent is None else (sent,))

    def answer_directly(self, message: bytes) -> None:
        """The whole turn was one bare message: the task was never shown and is forgotten (R-STRM-01)."""
        self.direct = message
        until = self.clock() + self.keeping.sent
        records = [Change("open", self.who.key, None), *self.withdrawn]
        records += [self._sent_record(mid, value + b"\n" + message, until) for mid, value in self.sent.items()]
        history = b"\n".join([*self.pieces.history, message])
        kept = self.clock() + self.keeping.tasks
        records.append(
            Change(
                "direct", self.who.key, history, group=self.who.scope, sort=self.now(),
                labels=("", self.who.context_id), expires=kept, evictable=True, stream=self.who.stream,
            )
        )  # fmt: skip
        self.log.close(DIRECT_ROW + message, records)
        self.refuse_queued()

    def refuse_queued(self, error: StoreError | None = None) -> None:
        """Tell who waits for a next turn that there will be none: the task has ended, or `error`."""
        while self.queued:
            fate = self.queued.popleft().fate
            if fate.done():
                continue
            if error is None:
                fate.set_result(False)
            else:
                fate.set_exception(error)

    # --- records

    def _task_record(self) -> Change:
        """The task as it stands, made once for each commit; one that has ended may go when its time has come."""
        pieces, who = self.pieces, self.who
        ended = pieces.state.is_terminal
        return Change(
            "task", who.key, pieces.pack(), group=who.scope, sort=pieces.timestamp,
            labels=(pieces.state.value, who.context_id), unless=TERMINAL,
            expires=self.clock() + self.keeping.tasks if ended else None,
            evictable=ended, stream=who.stream if ended else None,
        )  # fmt: skip

    def _sent_record(self, message_id: str, value: bytes, expires: float | None) -> Change:
        return Change("sent", f"{self.who.scope}/{message_id}", value, expires=expires, evictable=expires is not None)

    def _closing_records(self) -> list[Change]:
        now = self.clock()
        over = now + self.keeping.events
        records = [Change("open", self.who.key, b"", expires=over, stream=self.who.stream, evictable=True)]
        records += [self._sent_record(mid, value, now + self.keeping.sent) for mid, value in self.sent.items()]
        return records

    # --- reading

    async def snapshot(self, history_length: int | None = None) -> tuple[bytes, int]:
        """The task as JSON and the number of the last row it includes; both committed (R-SUB-01)."""
        if self.log.broken is not None:
            raise self.log.broken  # the pieces are ahead of what was kept
        task, seq = self.pieces.json(history_length), self.log.appended
        await self.log.until(seq)
        return task, seq

    async def shown(self) -> None:
        """Return when the first row is visible, or the turn was answered directly."""
        while not (self.direct is not None and self.log.is_closed) and self.log.visible == 0:
            self._check_going_on()
            await self.log.wait()

    async def turn_ended(self, after: int) -> None:
        """Return when an end of a turn above row `after` is visible; a bare message counts."""
        while True:
            log, ends = self.log, self.pieces.ends
            if self.direct is not None:
                await log.until(log.appended)
                return
            if ends and ends[-1] > after:
                end = ends[-1] if len(ends) == 1 else next(end for end in ends if end > after)
                if log.visible >= end:
                    return
            self._check_going_on()
            await log.wait(URGENT_ONLY)

    def _check_going_on(self) -> None:
        if self.log.broken is not None:
            raise self.log.broken
        if self.is_left and self.run is None:
            raise StoppingError


def stored_task(who: Identity, packed: bytes, store: Streams, clock: Callable[[], float], keeping: Keeping) -> LiveTask:
    """A task that waits for an answer, as the store has it; its log is claimed by whoever writes next."""
    pieces = TaskPieces.unpack(packed)
    last = pieces.ends[-1] if pieces.ends else 0
    live = LiveTask(who, pieces, TaskLog(store, who.stream, epoch=0, last=last), clock, keeping)
    live.is_shown = True
    live.turn = len(pieces.ends)
    return live
