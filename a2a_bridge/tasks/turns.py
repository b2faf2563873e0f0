"""Turns: what was accepted becomes a running asyncio task, now or after a restart.

Who does what. `Turns` owns the asyncio task of every running turn: it starts them, waits for them when the process
stops, and cancels what is left. A turn of an agent that keeps context first waits for the lock of its context; it may
be cancelled while it waits, as at any other time.

After a crash every accepted message that had not ended is found under the record kind `open`. Its stream says how far
it came: at a pause it goes on waiting; else an `at_most_once` task FAILS with a reason, and the others run again as
the next attempt of the same turn, three attempts at most.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from a2a_bridge.agent import Agent, Answer, Ask, Caller, Journal, Turn, abandon, traits_of
from a2a_bridge.errors import StoppingError, StoreError, StoreUnavailableError
from a2a_bridge.observe import metrics, spans, trace
from a2a_bridge.protocol.events import message_json, quoted, text_part
from a2a_bridge.protocol.extensions import TURN_EXTENSION, hops_in, section
from a2a_bridge.protocol.objects import JSONValue, Message, Part, Struct, TaskState, json_bytes
from a2a_bridge.protocol.requests import SendMessageRequest
from a2a_bridge.protocol.snapshot import TaskPieces
from a2a_bridge.store.contract import Change, Entry, Store
from a2a_bridge.store.journal import StreamJournal
from a2a_bridge.tasks.alarms import Alarms
from a2a_bridge.tasks.context import Contexts, ServedTurn, take_queued
from a2a_bridge.tasks.live import Bounds, Identity, Keeping, LiveTask
from a2a_bridge.tasks.log import TaskLog, hold_to
from a2a_bridge.tasks.push import Registration
from a2a_bridge.tasks.run import drive, new_id
from a2a_bridge.tasks.watch import watched

_log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
_LEVELS = {
    TaskState.FAILED: logging.WARNING,
    TaskState.CANCELED: logging.INFO,
    TaskState.REJECTED: logging.INFO,
    TaskState.INPUT_REQUIRED: logging.INFO,
    TaskState.AUTH_REQUIRED: logging.INFO,
}
"""How loudly the end of a turn is logged; a completed one only at debug: it costs as much as a fifth of the turn."""
NOT_KEPT = "(not kept: credentials)"
INTERRUPTED = "The server was stopped while the agent was working; the work may have been done in part."


class Acceptance(NamedTuple):
    """One accepted message with all it takes to start its turn, also in another process.

    `is_secret`: it answers an ask for credentials, so its words are held in memory for its turn only; after a crash
    that turn cannot be run again. `wanted`: a webhook that came with it, which has records of its own.
    """

    message: Message
    caller: Caller
    hops: int = 0
    modes: tuple[str, ...] = ()
    extensions: frozenset[str] = frozenset()
    metadata: Struct = MappingProxyType({})
    traceparent: str | None = None
    attempt: int = 1
    is_secret: bool = False
    wanted: Registration | None = None

    @property
    def kept(self) -> Message:
        """The message as it is written down: without its words if they are secret."""
        if not self.is_secret:
            return self.message
        return self.message.model_copy(update={"parts": (Part(text=NOT_KEPT),), "metadata": None})

    @classmethod
    def of(
        cls, request: SendMessageRequest, caller: Caller, extensions: frozenset[str], traceparent: str | None
    ) -> "Acceptance":
        """What a request asks for."""
        configuration = request.configuration
        modes = (configuration.accepted_output_modes if configuration else None) or ()
        metadata = request.metadata or {}
        hops = hops_in(metadata) if metadata else 0
        return cls(request.message, caller, hops, modes, extensions, metadata, traceparent)

    def pack(self, live: LiveTask, row: bytes) -> bytes:
        """Two lines: what is around the message, and the message as it stands in the history, which is `row`."""
        who = live.who
        return b'{"task":%b,"context":%b,"turn":%d,"attempt":%d,"caller":%b%b\n%b' % (
            quoted(who.task_id), quoted(who.context_id), live.turn, self.attempt, _caller_json(self.caller),
            self._more(), row,
        )  # fmt: skip

    def _more(self) -> bytes:
        """The members that most messages do not have, up to the closing brace."""
        head: dict[str, JSONValue] = {}
        if self.hops:
            head["hops"] = self.hops
        if self.modes:
            head["modes"] = list(self.modes)
        if self.extensions:
            head["extensions"] = list[JSONValue](sorted(self.extensions))
        if self.is_secret:
            head["secret"] = True
        elif self.metadata:
            head["metadata"] = dict(self.metadata)
        if self.traceparent:
            head["trace"] = self.traceparent
        return b"," + json_bytes(head)[1:] if head else b"}"

    @classmethod
    def unpack(cls, packed: bytes) -> tuple["Acceptance", dict[str, JSONValue], bytes]:
        """The acceptance, its head and the message's row."""
        first, row = packed.split(b"\n", 1)
        head = json.loads(first)
        principal, tenant, *scopes = head["caller"]
        accepted = cls(
            Message.model_validate(json.loads(row)),
            Caller(principal, tenant, frozenset(scopes)),
            head.get("hops", 0),
            tuple(head.get("modes", ())),
            frozenset(head.get("extensions", ())),
            head.get("metadata", {}),
            head.get("trace"),
            head["attempt"],
            head.get("secret", False),
        )
        return accepted, head, row


@lru_cache(maxsize=1024)
def _caller_json(caller: Caller) -> bytes:
    return json_bytes([caller.principal, caller.tenant, *sorted(caller.scopes)])


def asks_in(status_message: bytes | None) -> tuple[Ask, ...]:
    """The asks of a pause, from the message that showed them."""
    if status_message is None:
        return ()
    asks = section(json.loads(status_message).get("metadata"), TURN_EXTENSION).get("asks", ())
    return tuple(
        Ask(
            ask.get("text", ""),
            kind="auth" if ask["kind"] == "auth" else "input",
            schema=ask.get("schema"),
            options=tuple(ask.get("options", ())),
            id=ask["id"],
        )
        for ask in asks
    )


class Turns:
    """See the module's text. `forget` is called when a turn's slot is free again.

    `cut_off` are the keys of tasks whose end could not be kept: they are taken up when the store works again.
    """

    def __init__(
        self,
        agents: Mapping[str, Agent],
        store: Store,
        contexts: Contexts,
        forget: Callable[[LiveTask], None],
        *,
        bounds: Bounds,
        durable: bool,
    ) -> None:
        self._agents = agents
        self._traits = {name: traits_of(agent) for name, agent in agents.items()}
        self._store = store
        self._contexts = contexts
        self._forget = forget
        self._bells = Alarms(bounds.turn)
        self._most_bytes = bounds.log
        self._durable = durable
        self._running: dict[asyncio.Task[None], LiveTask] = {}
        self.cut_off: set[str] = set()

    @property
    def running(self) -> int:
        """Turns whose slot is not free yet."""
        return len(self._running)

    def begin(self, live: LiveTask, acceptance: Acceptance, row: bytes) -> None:
        """Start the accepted turn; `row` is its message as it stands in the history."""
        live.attempt = acceptance.attempt
        live.traceparent = acceptance.traceparent
        hold_to(live.log, self._most_bytes)
        # Not by the loop's task factory: an eager one would run the turn before its acceptance is known to anybody.
        task = asyncio.Task(self._take(live, acceptance, row), loop=asyncio.get_running_loop())
        live.run = task
        self._running[task] = live
        task.add_done_callback(self._over)

    def _over(self, task: "asyncio.Task[None]") -> None:
        live = self._running.pop(task)
        live.run = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a turn of task %s ended with an error of our own", live.who.task_id, exc_info=error)
            with contextlib.suppress(StoreError):
                live.status(TaskState.FAILED, _words(live, "Internal error."))
        if live.is_left:
            live.refuse_queued(StoppingError())
        level = _LEVELS.get(live.pieces.state, logging.DEBUG)
        if _log.isEnabledFor(level):
            _log.log(level, "turn ended", extra={"fields": _described(live)})
        live.log.flush()  # a turn that was stopped without a last word still keeps what it said
        live.log.wake()
        self._forget(live)

    async def _take(self, live: LiveTask, acceptance: Acceptance, row: bytes) -> None:
        if acceptance.traceparent is None and not self._traits[live.who.agent].keeps_context:
            await self._run(live, acceptance, row, None)
            return
        with trace.continue_trace(acceptance.traceparent):
            if self._traits[live.who.agent].keeps_context:
                await self._take_in_order(live, acceptance, row)
            else:
                await self._run(live, acceptance, row, None)

    async def _take_in_order(self, live: LiveTask, acceptance: Acceptance, row: bytes) -> None:
        context = f"{live.who.scope}/{live.who.context_id}"
        try:
            async with self._contexts.turn_of(context):
                await self._take_alone(live, acceptance, row, context)
        finally:  # however it ended: a task that was cancelled must not block its context
            self._contexts.settle(context, live.who.task_id, waits=live.is_paused)

    async def _take_alone(self, live: LiveTask, acceptance: Acceptance, row: bytes, context: str) -> None:
        waiting = self._contexts.waiting.get(context)
        if waiting not in (None, live.who.task_id):
            text = f"Task {waiting} of this context waits for an answer: send the message with that taskId."
            live.status(TaskState.REJECTED, _words(live, text))
            return
        try:
            journal = await self._journal(live)
        except StoreError:
            _log.exception("the journal of context %s cannot be opened", live.who.context_id)
            live.status(TaskState.FAILED, _words(live, "What the agent remembers cannot be read at present."))
            return
        try:
            await self._run(live, acceptance, row, journal)
        finally:
            if not self._durable and not live.pieces.state.is_interrupted:
                await self._store.put(_kept_journal(live, held=False))

    async def _journal(self, live: LiveTask) -> Journal:
        """What the agent remembers of this context; ours alone from now on."""
        return await StreamJournal.claim(self._store, _journal_of(live), (_kept_journal(live, held=True),))

    async def _run(self, live: LiveTask, acceptance: Acceptance, row: bytes, journal: Journal | None) -> None:
        messages = [acceptance.message]
        answer = None
        live.begin_work()  # first: it moves the question into the history, where the answer follows it
        if live.turn > 1:
            messages = self._heard(live, acceptance, row)
            answer = Answer(live.asks, acceptance.message)
            live.asks = ()
        live.is_answered = False
        who = live.who
        turn = Turn(
            id=f"{who.task_id}.{live.turn}",
            messages=tuple(messages),
            context_id=who.context_id,
            task_id=who.task_id,
            caller=acceptance.caller,
            answer=answer,
            attempt=live.attempt,
            hops=acceptance.hops,
            accepted_output_modes=acceptance.modes,
            extensions=acceptance.extensions,
            metadata=acceptance.metadata,
            _source=ServedTurn(live, self._store, new=len(messages)),
        )
        if journal is not None:
            turn = replace(turn, journal=journal)
        agent = self._agents[who.agent]
        if spans.is_on() or metrics.active is not None:
            async with watched(live, agent.name):
                await drive(live, agent, turn, bells=self._bells)
        else:
            await drive(live, agent, turn, bells=self._bells)

    def _heard(self, live: LiveTask, acceptance: Acceptance, row: bytes) -> list[Message]:
        """What was sent while the task worked, then the answer: all part of the history from now on."""
        messages = []
        while live.queued:
            messages.append(take_queued(live))
        if live.attempt == 1 or not _has_message(live.pieces, acceptance.message.message_id):
            live.hear(row, acceptance.message.message_id)
        return [*messages, acceptance.message]

    # --- stopping

    async def stop(self, grace: float, hurried: asyncio.Event) -> None:
        """Wait for running turns, `grace` seconds or until `hurried` is set, then end what is left: `at_most_once` work
        FAILS, other work is left to the next start if the store is durable. Returns when every slot is free, or after
        five more seconds, and what was said is kept."""
        if self._running:
            await _all_or(list(self._running), hurried, within=grace)
        ended = list(self._running.items())
        for task, live in ended:
            left_for_later = self._durable and self._traits[live.who.agent].after_crash != "at_most_once"
            live.is_left = left_for_later
            if not left_for_later and live.log.broken is None:
                live.status(TaskState.FAILED, _words(live, INTERRUPTED))
            task.cancel()
        if self._running:
            await asyncio.wait(list(self._running), timeout=5.0)
        for _, live in ended:
            with contextlib.suppress(StoreError):  # what is not kept now is found by the next start
                await live.log.until(live.log.appended)

    # --- tasks that wait

    def end_waiting(self, live: LiveTask, state: TaskState, reason: str | None, metadata: Struct | None = None) -> None:
        """The terminal status of a task that nobody will answer."""
        live.status(state, None if reason is None else _words(live, reason), metadata)
        self._contexts.settle(f"{live.who.scope}/{live.who.context_id}", live.who.task_id, waits=False)

    async def abandon(self, live: LiveTask) -> None:
        """Tell the agent that a turn which waited gets no answer."""
        who = live.who
        turn = Turn(id=f"{who.task_id}.{live.turn}", messages=(), context_id=who.context_id, task_id=who.task_id)
        if self._traits[who.agent].keeps_context:
            turn = replace(turn, journal=await self._journal(live))
        await abandon(self._agents[who.agent], turn)

    async def expired(self, before: str) -> list[Identity]:
        """Accepted before this time (wire form), not ended, and not running here: they wait."""
        running = {live.who.key for live in self._running.values()}
        found = []
        for entry in await self._open_tasks():
            if entry.sort < before and entry.key not in running:
                found.append(_identity(entry, *Acceptance.unpack(entry.value)[:2]))
        return found

    # --- after a restart

    async def _open_tasks(self) -> list[Entry]:
        found: list[Entry] = []
        before = None
        while page := await self._store.page("open", "open", before=before, limit=500):
            found += [entry for entry in page if entry.labels[0] in self._agents]
            before = (page[-1].sort, page[-1].key)
        return found

    async def recover(self, clock: Callable[[], float], keeping: Keeping, adopt: Callable[[LiveTask], None]) -> None:
        """Take up every accepted message that has not ended; oldest first."""
        found = await self._open_tasks()
        if found:
            _log.info("unfinished tasks of an earlier run of this server, taken up now: %d", len(found))
        for entry in reversed(found):
            await self._recover(entry, clock, keeping, adopt)

    def give_up(self, live: LiveTask, error: StoreError) -> None:
        """The task's log is broken: it is taken up again later, unless somebody else has taken it over."""
        if isinstance(error, StoreUnavailableError):
            self.cut_off.add(live.who.key)
        live.refuse_queued(error)

    async def mend(
        self, keys: Collection[str], clock: Callable[[], float], keeping: Keeping, adopt: Callable[[LiveTask], None]
    ) -> None:
        """Take up those of these tasks that a failing store has cut off; StoreError if it does not work yet."""
        for key in self.cut_off.intersection(keys):
            self.cut_off.discard(key)
            try:
                entry = await self._store.get("open", key)
                if entry is not None and entry.value:
                    await self._recover(entry, clock, keeping, adopt)
            except StoreError:
                self.cut_off.add(key)
                raise

    async def _recover(
        self, entry: Entry, clock: Callable[[], float], keeping: Keeping, adopt: Callable[[LiveTask], None]
    ) -> None:
        accepted, head, row = Acceptance.unpack(entry.value)
        who = _identity(entry, accepted, head)
        pieces, last = await self.folded(who)
        if pieces.state.is_interrupted and len(pieces.ends) >= int(str(head["turn"])):
            if self._traits[who.agent].keeps_context:
                self._contexts.waiting[f"{who.scope}/{who.context_id}"] = who.task_id
            return
        log = TaskLog(self._store, who.stream, epoch=0, last=last)
        live = LiveTask(who, pieces, log, clock, keeping)
        live.is_shown = last > 0
        live.turn = int(str(head["turn"]))
        live.turn_starts = pieces.ends[-1] if pieces.ends else 0
        await self._take_up(live, accepted, row, adopt)

    async def folded(self, who: Identity) -> tuple[TaskPieces, int]:
        """The task as its log tells it, and the number of the last row."""
        pieces, last = TaskPieces(who.task_id, who.context_id), 0
        while rows := await self._store.read(who.stream, last):
            for seq, row in rows:
                pieces.apply(row, seq)
            last = rows[-1].seq
        return pieces, last

    async def _take_up(
        self, live: LiveTask, accepted: Acceptance, row: bytes, adopt: Callable[[LiveTask], None]
    ) -> None:
        again = accepted._replace(attempt=accepted.attempt + 1)
        may_run = self._traits[live.who.agent].after_crash != "at_most_once" and again.attempt <= MAX_ATTEMPTS
        may_run = may_run and not accepted.is_secret
        changes: tuple[Change, ...] = ()
        if may_run:
            opened = again.pack(live, row)
            changes = (
                Change("open", live.who.key, opened, group="open", sort=live.now(), labels=(live.who.agent, "")),
            )
        live.log.take_over(await self._store.claim(live.who.stream, changes))
        if not live.pieces.history:
            live.pieces.history.append(row)
        live.asks = _last_asks(live.pieces)
        live.attempt = again.attempt
        if may_run:
            adopt(live)
            self.begin(live, again, row)
            return
        if live.turn > 1:  # an accepted answer belongs to the history also when nobody has read it
            live.begin_work()
            self._heard(live, accepted, row)
        live.status(TaskState.FAILED, _words(live, INTERRUPTED))
        await live.log.until(live.log.appended)
        self._forget(live)


def _described(live: LiveTask) -> dict[str, object]:
    """What a log line says about a task: ids and figures, never words."""
    found: dict[str, object] = {
        "a2a.task.id": live.who.task_id,
        "a2a.task.state": live.pieces.state.value,
        "gen_ai.conversation.id": live.who.context_id,
        "gen_ai.agent.name": live.who.agent,
        "turn": live.turn,
    }
    if live.traceparent:
        found["trace_id"] = live.traceparent[3:35]
    return found


def _identity(entry: Entry, accepted: Acceptance, head: Mapping[str, JSONValue]) -> Identity:
    scope = entry.key.rsplit("/", 1)[0]
    return Identity(scope, str(head["task"]), str(head["context"]), accepted.caller, entry.labels[0])


def _last_asks(pieces: TaskPieces) -> tuple[Ask, ...]:
    """The asks of the last pause, whether its status is still there or has moved into the history."""
    for said in (pieces.status_message, *reversed(pieces.history)):
        if asks := asks_in(said):
            return asks
    return ()


def _journal_of(live: LiveTask) -> str:
    return f"journal/{live.who.scope}/{live.who.context_id}"


def _kept_journal(live: LiveTask, *, held: bool) -> Change:
    """The record that a journal's stream goes with: kept as long as a task from the context's last turn on. While it
    is held, by a turn or by a task that waits, a store with limited room must not drop it."""
    return Change(
        "journal",
        _journal_of(live),
        b"",
        expires=live.clock() + live.keeping.tasks,
        stream=_journal_of(live),
        evictable=not held,
    )


def _has_message(pieces: TaskPieces, message_id: str) -> bool:
    return any(json.loads(raw).get("messageId") == message_id for raw in pieces.history)


def _words(live: LiveTask, text: str) -> bytes:
    return message_json(
        message_id=new_id(), parts=[text_part(text)], context_id=live.who.context_id, task_id=live.who.task_id
    )


async def _all_or(tasks: "list[asyncio.Task[None]]", event: asyncio.Event, *, within: float) -> None:
    """Until all tasks have ended, or the event is set, or the time is up."""
    waits = asyncio.create_task(asyncio.wait(tasks)), asyncio.create_task(event.wait())
    try:
        await asyncio.wait(waits, timeout=within, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
