"""The operations on tasks, one method each; the only door to them for a server.

Who does what. A send opens or finds its task and starts one asyncio task for the turn; the service owns it until it
ends, also when every client has gone away. `cancel` appends CANCELED and then cancels that asyncio task. `stop` (the
process is asked to end) takes no new sends, gives running turns a grace, and fails what is left: an `at_most_once`
task with a reason, the others stay as they are in a durable store and are run again by the next start. `kill -9` at
any point: what was committed is there, and `start` finds every task that had been accepted and not ended.

A full disk: the acceptance of a send is a commit, so the send is refused with StoreUnavailableError and nothing has
run; later commits break the log of that task alone.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime
from functools import partial

from a2a_bridge.agent import MAX_HOPS, Agent, traits_of
from a2a_bridge.errors import (
    BusyError,
    InvalidParamsError,
    PushNotificationNotSupportedError,
    StoppingError,
    StoreConflictError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
    Violation,
)
from a2a_bridge.protocol.events import bare_message_json, task_event, with_ids
from a2a_bridge.protocol.extensions import hops_in, without_ours
from a2a_bridge.protocol.objects import Message, Struct, TaskState, format_timestamp
from a2a_bridge.protocol.requests import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    SendMessageRequest,
    SubscribeToTaskRequest,
)
from a2a_bridge.protocol.snapshot import TaskPieces
from a2a_bridge.store.contract import Change, Numbered, Store
from a2a_bridge.tasks.accepting import asks_for_auth, check_modes, digest_of
from a2a_bridge.tasks.alarms import Alarms
from a2a_bridge.tasks.call import Call
from a2a_bridge.tasks.context import Contexts
from a2a_bridge.tasks.listing import task_page
from a2a_bridge.tasks.live import Bounds, Identity, Keeping, LiveTask, Queued, stored_task
from a2a_bridge.tasks.log import LINGER, URGENT_ONLY, TaskLog
from a2a_bridge.tasks.push import Registration, Webhooks
from a2a_bridge.tasks.run import new_id
from a2a_bridge.tasks.sent import Sent, ended_task, follow, one_row, replay, until_turn_ends
from a2a_bridge.tasks.turns import INTERRUPTED, Acceptance, Turns, asks_in

_log = logging.getLogger(__name__)

SHOW_AFTER = 0.5
"""Seconds after which an accepted task is shown although its agent has not said anything yet."""
ABANDON_SECONDS = 5.0
CANCEL_SECONDS = 3.0
"""How long CancelTask waits for the agent to let go before it answers all the same: less than a RemoteAgent waits for
that answer."""
PUSH_SECONDS = 2.0
"""What webhooks get, when the server stops, to take what is being sent."""


class TaskService:
    """Tasks of the agents of one process.

    `agents` by the name in their URLs. `clock` gives seconds since 1970. `durable`:
    the store outlives the process, so unfinished work of restartable agents may be left to the next start.
    `input_modes`: the media types that an agent's card promises to take; those of its traits if not given. `webhooks`:
    None: nobody is told anything without asking.
    """

    def __init__(
        self,
        agents: Mapping[str, Agent],
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        keeping: Keeping = Keeping(),
        bounds: Bounds = Bounds(),
        durable: bool = False,
        input_modes: Mapping[str, tuple[str, ...]] | None = None,
        webhooks: Webhooks | None = None,
    ) -> None:
        self._agents = dict(agents)
        modes = input_modes or {}
        self._modes = {name: modes.get(name, traits_of(agent).input_modes) for name, agent in self._agents.items()}
        self._store = store
        self._clock = clock
        self._keeping = keeping
        self._live: dict[str, LiveTask] = {}
        self._sent: dict[str, LiveTask] = {}
        self._accepting: dict[str, asyncio.Future[None] | None] = {}
        self._unshown = Alarms(SHOW_AFTER)
        self._lingering = Alarms(LINGER)
        self._contexts = Contexts()
        self._turns = Turns(self._agents, store, self._contexts, self._forget, bounds=bounds, durable=durable)
        self._mend = partial(self._turns.mend, clock=clock, keeping=keeping, adopt=self._adopt)
        self._bounds = bounds
        self._durable = durable
        self._stopping = False
        self._webhooks = webhooks

    # --- life of the service

    async def start(self) -> None:
        """Take up what an earlier process left: fail, run again or keep waiting, as each agent's traits say."""
        self._stopping = False
        if self._webhooks is not None:  # first: what recovery has to say is to be told as well
            await self._webhooks.outbox.start()
        await self._turns.recover(self._clock, self._keeping, self._adopt)

    async def stop(self, grace: float, hurried: asyncio.Event) -> None:
        """Refuse new sends, wait `grace` seconds for running turns, then end the rest as the module's text says.
        `hurried` set: the grace is over."""
        self._stopping = True
        await self._turns.stop(grace, hurried)
        if self._webhooks is not None:
            await self._webhooks.outbox.stop(0 if hurried.is_set() else min(grace, PUSH_SECONDS))

    async def sweep(self) -> None:
        """Forget what has been kept long enough, and expire tasks that nobody answered; call it every minute or so."""
        await self._mend(self._turns.cut_off)
        if self._webhooks is not None:
            self._webhooks.outbox.wake_due()
        await self._store.expire(self._clock())
        before = format_timestamp(datetime.fromtimestamp(self._clock() - self._keeping.waiting, UTC))
        if self._durable:
            waiting = await self._turns.expired(before)
        else:  # without a next process nothing was kept for it: all that wait are here
            waiting = [live.who for live in self._live.values() if live.is_paused and live.pieces.timestamp < before]
        for who in waiting:
            with contextlib.suppress(TaskNotFoundError):  # forgotten meanwhile
                found = await self._find(Call(who.agent, who.caller), who.task_id)
                if isinstance(found, LiveTask) and found.is_paused and not found.is_answered:
                    await self._end_waiting(found, TaskState.FAILED, "Nobody answered in time.", None)

    @property
    def running(self) -> int:
        """Turns whose slot is not free yet."""
        return self._turns.running

    def _adopt(self, live: LiveTask) -> None:
        self._live[live.who.key] = live
        if self._webhooks is not None:
            self._webhooks.outbox.watch(live)

    def _forget(self, live: LiveTask) -> None:
        """A turn is over: what has ended is read from the store as soon as its end is there."""
        log = live.log
        self._unshown.clear(live)
        if self._webhooks is not None:
            self._webhooks.outbox.wake(live.who.key)
        if live.is_ended and not log.is_closed and log.broken is None:
            log.wait(URGENT_ONLY).add_done_callback(lambda _: self._forget(live))
        elif live.is_ended or log.broken is not None:
            if log.broken is not None:
                self._turns.give_up(live, log.broken)
            self._live.pop(live.who.key, None)
            for message_id in live.sent:
                self._sent.pop(f"{live.who.scope}/{message_id}", None)

    # --- operations

    async def send(self, call: Call, request: SendMessageRequest) -> Sent:
        """SendMessage and SendStreamingMessage: accept the message, durably, and start its turn (§3.1.1, §3.1.2)."""
        message, configuration = request.message, request.configuration
        limit = None if configuration is None else configuration.history_length
        if request.metadata and hops_in(request.metadata) > MAX_HOPS:
            raise UnsupportedOperationError(f"The message has come through more than {MAX_HOPS} rooms: a loop?")
        check_modes(self._modes[call.agent], message)
        hook = None if configuration is None else configuration.task_push_notification_config
        wanted = None if hook is None else await self._hooks.checked(hook, call)
        key = f"{call.scope}/{message.message_id}"
        while key in self._accepting:  # the same message, in another request
            other = self._accepting[key]
            if other is None:
                other = self._accepting[key] = asyncio.get_running_loop().create_future()
            await asyncio.wait([other])
        self._accepting[key] = None
        try:
            live, starts = await self._sent_once(call, request, key, wanted)
        finally:
            if (waiting := self._accepting.pop(key)) is not None:
                waiting.set_result(None)
        return Sent(live, starts, limit)

    async def _sent_once(
        self, call: Call, request: SendMessageRequest, key: str, wanted: Registration | None
    ) -> tuple[LiveTask, int]:
        message = request.message
        bare = bare_message_json(message)
        digest = digest_of(message, bare)
        if message.task_id or key in self._sent or self._stopping or not self._durable:
            repeated = await self._repeated(call, message, digest, key)
            if repeated is not None:
                return repeated
        if self._stopping:
            raise StoppingError
        if 0 < self._bounds.runs <= self._turns.running:
            raise BusyError
        acceptance = Acceptance.of(request, call.caller, call.extensions, call.traceparent)
        if wanted is not None:
            acceptance = acceptance._replace(wanted=wanted)
        if message.task_id:
            live = await self._continue(call, acceptance, bare, digest)
            return live, live.turn_starts
        try:
            live = await self._open(call, acceptance, bare, digest)
        except StoreConflictError:  # sent before: the store refuses it, which costs less than asking it each time
            repeated = await self._repeated(call, message, digest, key)
            if repeated is None:
                raise
            return repeated
        return live, live.turn_starts

    async def get(self, call: Call, request: GetTaskRequest) -> bytes:
        """GetTask (§3.1.3): the task as JSON."""
        live = await self._find(call, request.id)
        if isinstance(live, TaskPieces):
            return live.json(request.history_length)
        return (await live.snapshot(request.history_length))[0]

    async def list_tasks(self, call: Call, request: ListTasksRequest) -> bytes:
        """ListTasks (§3.1.4): the response as JSON."""
        return await task_page(self._store, call.scope, request, self._live.get)

    async def cancel(self, call: Call, request: CancelTaskRequest) -> bytes:
        """CancelTask (§3.1.5): CANCELED is committed first, with the request's metadata, then the agent is stopped, for
        at most three seconds."""
        live = await self._find(call, request.id)
        if isinstance(live, TaskPieces) or live.is_ended:
            raise TaskNotCancelableError
        run = live.run
        if run is None:
            await self._end_waiting(live, TaskState.CANCELED, None, without_ours(request.metadata))
        else:
            live.show()
            live.status(TaskState.CANCELED, None, without_ours(request.metadata))
            seq = live.log.appended
            run.cancel()
            await live.log.until(seq)
            await asyncio.wait([run], timeout=CANCEL_SECONDS)
        return (await live.snapshot())[0]

    async def subscribe(
        self, call: Call, request: SubscribeToTaskRequest, after: int | None = None
    ) -> AsyncGenerator[list[Numbered], None]:
        """SubscribeToTask (§3.1.6): a snapshot and what follows, to the end of the task.

        `after` is a Last-Event-ID: the rows above it instead of the snapshot, of an ended task too. A number that the
        log never reached, or no longer has, gives the snapshot.
        """
        found = await self._find(call, request.id)
        if isinstance(found, LiveTask):
            return follow(found, after)
        if after is None:
            raise UnsupportedOperationError("The task has ended: use GetTask.")
        stream = f"task/{call.scope}/{request.id}"
        if after > 0 and not await self._store.read(stream, after - 1, 1):
            return one_row(task_event(found.json()), found.ends[-1])
        return replay(self._store, stream, after)

    async def resume(
        self, call: Call, request: SendMessageRequest, after: int
    ) -> AsyncGenerator[list[Numbered], None] | None:
        """A repeated stream send with Last-Event-ID: rows above `after`, to the end of its turn. None: none."""
        message = request.message
        digest = digest_of(message, bare_message_json(message))
        repeated = await self._repeated(call, message, digest, f"{call.scope}/{message.message_id}")
        if repeated is None or repeated[0].direct is not None:
            return None
        live, starts = repeated
        if live.log.visible < after:
            return None
        return until_turn_ends(live, after, starts)

    # --- finding

    @property
    def _hooks(self) -> Webhooks:
        if self._webhooks is None:
            raise PushNotificationNotSupportedError
        return self._webhooks

    async def webhooks_of(self, call: Call, task_id: str) -> tuple[Webhooks, Identity, LiveTask | None]:
        """The door to the webhooks of a task that the caller may see (R-PUSH-08), and the task if it has not ended."""
        hooks, found = self._hooks, await self._find(call, task_id)
        if isinstance(found, LiveTask):
            return hooks, found.who, found
        return hooks, Identity(call.scope, task_id, found.context_id, call.caller, call.agent), None

    async def _find(self, call: Call, task_id: str) -> LiveTask | TaskPieces:
        """The task, if the caller may see it; not visible and not existing are the same (R-ERR-04)."""
        key = f"{call.scope}/{task_id}"
        live = self._live.get(key)
        if live is not None and live.is_shown:
            return live
        if key in self._turns.cut_off:
            await self._mend({key})
            live = self._live.get(key)
            if live is not None:
                await live.shown()
                return live
        entry = await self._store.get("task", key)
        if entry is None:
            raise TaskNotFoundError
        live = self._live.get(key)
        if live is not None:
            return live
        pieces = TaskPieces.unpack(entry.value)
        if pieces.state.is_terminal:
            return pieces
        who = Identity(call.scope, task_id, pieces.context_id, call.caller, call.agent)
        live = stored_task(who, entry.value, self._store, self._clock, self._keeping)
        live.asks = asks_in(pieces.status_message)
        if not pieces.state.is_interrupted:
            return await self._orphan(live)
        self._live[key] = live
        return live

    async def _orphan(self, live: LiveTask) -> TaskPieces:
        """A task that says it works, and no turn of it runs here: the store had failed in the middle of it."""
        live.pieces, _ = await self._turns.folded(live.who)  # the record knows the state only, not what was said since
        live.log.take_over(await self._store.claim(live.who.stream))
        self._turns.end_waiting(live, TaskState.FAILED, INTERRUPTED)
        await live.log.until(live.log.appended)
        self._forget(live)
        return live.pieces

    async def _repeated(self, call: Call, message: Message, digest: bytes, key: str) -> tuple[LiveTask, int] | None:
        """The task that this very message went to before, and where its turn starts (R-SEND-09)."""
        live = self._sent.get(key)
        if live is not None:
            value = live.sent.get(message.message_id, b"")
        else:
            entry = await self._store.get("sent", key)
            if entry is None:
                return None
            value = entry.value
        known, task_id, starts, *direct = value.split(b"\n", 3)
        if known != digest:
            raise InvalidParamsError(
                "message.messageId has been used for another message",
                violations=[Violation("message.messageId", "used before, for a message with other content")],
            )
        if live is None:
            live = await self._sent_before(call, task_id.decode(), direct)
        return live, int(starts)

    async def _sent_before(self, call: Call, task_id: str, direct: list[bytes]) -> LiveTask:
        if direct:
            who = Identity(call.scope, task_id, "", call.caller, call.agent)
            live = LiveTask(who, TaskPieces(task_id, ""), TaskLog(self._store, "", epoch=0, closed=True), self._clock)
            live.direct = direct[0]
            return live
        found = await self._find(call, task_id)
        if isinstance(found, LiveTask):
            return found
        who = Identity(call.scope, task_id, found.context_id, call.caller, call.agent)
        return ended_task(who, found, self._store, self._clock)

    # --- opening and continuing

    async def _open(self, call: Call, acceptance: Acceptance, bare: bytes, digest: bytes) -> LiveTask:
        message = acceptance.message
        task_id, context_id = new_id(), message.context_id or new_id()
        who = Identity(call.scope, task_id, context_id, call.caller, call.agent)
        live = LiveTask(
            who,
            TaskPieces(task_id, context_id),
            TaskLog(self._store, who.stream, epoch=0, alarms=self._lingering),
            self._clock,
            self._keeping,
            outlives=self._durable,
        )
        row = with_ids(bare, context_id, task_id)
        live.pieces.history.append(row)
        live.turn = 1
        await self._accept(live, acceptance, digest, row)
        self._unshown.set(live, partial(_show, live))
        return live

    async def _continue(self, call: Call, acceptance: Acceptance, bare: bytes, digest: bytes) -> LiveTask:
        message = acceptance.message
        found = await self._find(call, message.task_id or "")
        context_id = found.context_id if isinstance(found, TaskPieces) else found.who.context_id
        if message.context_id and message.context_id != context_id:
            raise InvalidParamsError(
                "message.contextId is not the context of this task",
                violations=[Violation("message.contextId", "the task belongs to another context")],
            )
        if isinstance(found, TaskPieces) or found.is_ended:
            raise UnsupportedOperationError("The task has ended: send the message without taskId to start another.")
        if 0 < self._bounds.history <= len(found.pieces.history):
            raise UnsupportedOperationError("The task has as many messages as it may: start another without taskId.")
        acceptance = acceptance._replace(is_secret=asks_for_auth(found))
        if acceptance.is_secret:
            bare = bare_message_json(acceptance.kept)
        row = with_ids(bare, context_id, found.who.task_id)
        if acceptance.wanted is not None:
            await self._hooks.has_room(found.who, acceptance.wanted)
        if not found.is_paused or found.is_answered:
            if acceptance.wanted is not None:
                await self._hooks.create(found.who, found, acceptance.wanted)
            await self._queue(found, message, row, digest)
            return found
        found.is_answered = True
        before = found.turn_starts
        found.turn_starts, found.turn = found.log.appended, found.turn + 1
        try:
            await self._accept(found, acceptance, digest, row)
        except BaseException:  # nothing has been accepted: the task waits as before
            found.turn_starts, found.turn = before, found.turn - 1
            found.is_answered = False
            raise
        return found

    async def _accept(self, live: LiveTask, acceptance: Acceptance, digest: bytes, row: bytes) -> None:
        """Write the acceptance before anything runs (`at_most_once` needs that), then start the turn."""
        who, message_id = live.who, acceptance.message.message_id
        key, value = f"{who.scope}/{message_id}", b"%b\n%b\n%d" % (digest, who.task_id.encode(), live.turn_starts)
        records: tuple[Change, ...] = ()
        if live.outlives:
            forgotten = self._clock() + self._keeping.tasks  # sooner when the task ends
            accepted = acceptance.pack(live, row)
            records = (
                Change("sent", key, value, absent=True, expires=forgotten),
                Change("open", who.key, accepted, group="open", sort=live.now(), labels=(who.agent, "")),
            )
        delivery = None
        if acceptance.wanted is not None:
            delivery, more = self._hooks.with_send(live, acceptance.wanted)
            records += more
        live.log.take_over(await self._store.claim(who.stream, records))
        live.sent[message_id] = value
        self._live[who.key] = live
        self._sent[key] = live
        if delivery is not None:
            self._hooks.outbox.add(delivery)
        if self._webhooks is not None:
            self._webhooks.outbox.watch(live)
        self._turns.begin(live, acceptance, row)

    async def _queue(self, live: LiveTask, message: Message, row: bytes, digest: bytes) -> None:
        """A message to a running task: returns when it has been taken (its fate must be known)."""
        if 0 < self._bounds.queue <= len(live.queued):
            raise BusyError("As many messages as may wait for this task already: try again later.")
        key = f"{live.who.scope}/{message.message_id}"
        value = b"\n".join((digest, live.who.task_id.encode(), str(live.log.appended).encode()))
        sent = Change("sent", key, value, expires=self._clock() + self._keeping.tasks)
        queued = Queued(message, row, sent, asyncio.get_running_loop().create_future())
        live.queued.append(queued)
        live.log.wake()
        taken = await asyncio.shield(queued.fate)  # a client that goes away does not take its message back
        if not taken:
            raise UnsupportedOperationError("The task ended before the message could be taken.")
        if not live.is_ended:
            self._sent[key] = live

    async def _end_waiting(self, live: LiveTask, state: TaskState, reason: str | None, why: Struct | None) -> None:
        """End a task that waits for an answer, then tell its agent, which has five seconds to free what it holds."""
        if live.is_answered:
            raise TaskNotCancelableError("The task is being answered at this moment: try again.")
        live.is_answered = True
        live.log.take_over(await self._store.claim(live.who.stream))
        self._turns.end_waiting(live, state, reason, why)
        await live.log.until(live.log.appended)
        self._forget(live)
        try:
            async with asyncio.timeout(ABANDON_SECONDS):
                await self._turns.abandon(live)
        except Exception:  # the agent's own clean-up: the task has ended whatever comes of it
            _log.exception("agent %s could not abandon task %s", live.who.agent, live.who.task_id)


def _show(live: LiveTask) -> None:
    if not live.is_ended and live.log.broken is None:
        live.show()
        live.log.flush()
