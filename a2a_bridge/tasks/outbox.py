"""What is on its way to webhooks: at least once, in order for each webhook, over restarts (A2A 1.0.1 §4.3.3).

The log of a task is its outbox. An event and what must be pushed are one row of one commit, so neither can be lost
without the other, and a task that nobody wants to hear about pays nothing. A webhook is one more reader of that log:
one whose cursor is a record in the store (`delivery`), put when the webhook is registered and after each event that
was taken, and deleted after the last. Killed in between, the next process sends the event after the cursor once more.

Who does what. A `Delivery` stands in the index for as long as its task may say more. It has an asyncio task of its own
only while there is something to send: `wake`, called by the log at each commit and by the service when a task ends,
starts it; it sends one event after the other and ends when it has caught up, or when it must wait for the next try. A
timer of the event loop then wakes it, and so does `wake_due`. The outbox owns these asyncio tasks: `withdraw` cancels
one and waits for it, so nothing is sent after a delete has returned; `stop` gives those that are not waiting for a
retry a few seconds, cancels them and closes the connections. Nobody else waits for them: a webhook that is slow, dead
or hostile holds up its own events and nothing else. A slot is held during an attempt only, and first attempts have
slots of their own, so a caller's dead webhooks wait behind each other, and other callers do not notice.

Giving up. An event is tried 8 times within 24 h. Then, and at once when the answer says that trying again is useless,
it is a dead letter: logged, counted in the record `undelivered`, and the next event's turn has come. Until one is taken
again, each gets one try.

A store that fails: what cannot be read is tried again soon; a cursor that cannot be written is kept in memory, so a
crash before the next write repeats events. Events that the store no longer has are replaced by the task as it stands.
"""

import asyncio
import json
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from functools import partial

from a2a_bridge.errors import (
    AddressRefusedError,
    BridgeError,
    ClientError,
    ConnectionFailedError,
    RemoteTimeoutError,
    StoreError,
)
from a2a_bridge.net import Deadline, Http, Timeouts
from a2a_bridge.observe import metrics, names, trace
from a2a_bridge.observe.spans import span
from a2a_bridge.protocol import v03
from a2a_bridge.protocol.events import task_event
from a2a_bridge.protocol.snapshot import SHOWN, TaskPieces
from a2a_bridge.store.contract import Change, Entry, Store
from a2a_bridge.tasks.delivery import (
    Delivery,
    Failure,
    Slots,
    Webhook,
    dead_letter,
    lowered,
    seconds_asked,
    task_id_of,
    task_key_of,
    webhook_record,
)
from a2a_bridge.tasks.live import DIRECT_ROW, TERMINAL, LiveTask
from a2a_bridge.tasks.log import at_once

_log = logging.getLogger(__name__)

TRIES = 8
GIVE_UP_AFTER = 24 * 3600.0
"""Seconds from the first try of an event to its last."""
FIRST_RETRY = 2.0
GROWTH = 5.0
JITTER = 0.25
"""Retries come after 2 s, 10 s, 50 s, ... about 8.7 h, each a quarter more or less: 11 h in all, 14 h at most."""
STORE_RETRY = 5.0
FAULT_RETRY = 300.0
TIMEOUTS = Timeouts(connect=5.0, first_byte=15.0, idle=5.0, total=15.0)
MAX_ANSWER = 64 * 1024
"""Bytes of an answer that are read (and thrown away) to keep its connection; a longer one costs the connection."""
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429})
_AT_ONCE = 16


class Outbox:
    """See the module's text. `read_hook` makes a webhook from its record, which may be sealed; `forget_after` is how
    long, in seconds, what has ended is kept."""

    def __init__(
        self,
        store: Store,
        http: Http,
        read_hook: Callable[[Entry], Webhook],
        *,
        clock: Callable[[], float],
        forget_after: float,
    ) -> None:
        self._store = store
        self._http = http
        self._read_hook = read_hook
        self._clock = clock
        self._forget_after = forget_after
        self._of_task: dict[str, dict[str, Delivery]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._slots = Slots()
        self._stopping = False

    # --- life of the outbox

    async def start(self) -> None:
        """Take up what an earlier process left, each delivery where it was."""
        self._stopping = False
        before = None
        while page := await self._store.page("delivery", "delivery", before=before, limit=500):
            for entry in page:
                await self._load(entry)
            before = (page[-1].sort, page[-1].key)
        for task_key in list(self._of_task):
            self.wake(task_key)

    async def _load(self, entry: Entry) -> None:
        kept = await self._store.get("webhook", entry.key)
        if kept is None:
            await self._store.put(Change("delivery", entry.key, None))
            return
        try:
            hook = self._read_hook(kept)
        except StoreError as error:  # another key: said for each, and kept for when the key is back
            _log.error("a webhook of task %s gets nothing: %s", task_id_of(task_key_of(entry.key)), error)
            return
        head = json.loads(entry.value)
        delivery = Delivery(entry.key, hook, head["cursor"], head["tries"], head["since"], head["due"], head["failing"])
        self._of_task.setdefault(delivery.task_key, {})[entry.key] = delivery
        self._arm(delivery)

    async def stop(self, grace: float) -> None:
        """Let what is being sent end within `grace` seconds; the rest is for the next process. Then nothing is sent any
        more."""
        if self._running:
            await asyncio.wait(list(self._running), timeout=grace)
        self._stopping = True
        for deliveries in self._of_task.values():
            for delivery in deliveries.values():
                delivery.disarm()
        for run in self._running:
            run.cancel()
        if self._running:
            await asyncio.wait(list(self._running))
        await self._http.aclose()

    # --- the index

    def add(self, delivery: Delivery) -> None:
        """Its record is in the store: from now on what the task says is sent, here and to no earlier address."""
        if (old := self.find(delivery.key)) is not None:
            self._drop(old)
            if old.run is not None:
                old.run.cancel()
        self._of_task.setdefault(delivery.task_key, {})[delivery.key] = delivery
        self._arm(delivery)
        self._start(delivery)

    def find(self, key: str) -> Delivery | None:
        """The delivery to this webhook, while the task may say more."""
        return self._of_task.get(task_key_of(key), {}).get(key)

    async def withdraw(self, key: str) -> Delivery | None:
        """Send nothing more: also what is being sent at this moment has ended, or was cut, when this returns."""
        delivery = self.find(key)
        if delivery is None:
            return None
        self._drop(delivery)
        if delivery.run is not None:
            delivery.run.cancel()
            await asyncio.wait([delivery.run])
        return delivery

    def _drop(self, delivery: Delivery) -> None:
        delivery.is_over = True
        delivery.disarm()
        of_task = self._of_task.get(delivery.task_key, {})
        of_task.pop(delivery.key, None)
        if not of_task:
            self._of_task.pop(delivery.task_key, None)

    # --- waking

    def watch(self, live: LiveTask) -> None:
        """Hear of what this task says, if anybody wants to."""
        if live.who.key in self._of_task:
            live.log.watch = partial(self.wake, live.who.key)

    def wake(self, task_key: str) -> None:
        """The task may have said something."""
        for delivery in self._of_task.get(task_key, {}).values():
            self._start(delivery)

    def wake_due(self) -> None:
        """Try again what is due; call it every minute or so, in case the clock was set or a timer came too early."""
        for deliveries in list(self._of_task.values()):
            for delivery in list(deliveries.values()):
                if delivery.due:
                    self._start(delivery)

    def _start(self, delivery: Delivery) -> None:
        if delivery.run is not None:
            delivery.again = True
        elif not self._stopping and not delivery.is_over and delivery.due <= self._clock():
            delivery.disarm()
            # In a context of its own: what the task says is not part of whatever request was the last to wake it.
            # Not by the loop's task factory: an eager one could be through before `run` is known here.
            run = asyncio.Task(self._deliver(delivery), loop=asyncio.get_running_loop(), context=Context())
            delivery.run = run
            self._running.add(run)
            run.add_done_callback(partial(self._ended, delivery))

    def _arm(self, delivery: Delivery) -> None:
        wait = delivery.due - self._clock()
        if wait > 0 and not self._stopping:
            delivery.timer = asyncio.get_running_loop().call_later(wait, self._ring, delivery)

    def _ring(self, delivery: Delivery) -> None:
        delivery.timer = None
        if delivery.due > self._clock():
            self._arm(delivery)
        else:
            self._start(delivery)

    # --- sending

    async def _deliver(self, delivery: Delivery) -> None:
        """The body of a delivery's asyncio task: `run` is cleared in the same step as the last look."""
        try:
            with trace.continue_trace(delivery.hook.traceparent):
                while await self._send_more(delivery) or delivery.again:
                    if delivery.is_over or delivery.due > self._clock():
                        break
        except StoreError as error:
            _log.warning("the webhooks of a task wait for the store: %s", error)
            self._wait(delivery, STORE_RETRY)
        finally:
            delivery.run = None

    def _ended(self, delivery: Delivery, run: "asyncio.Task[None]") -> None:
        self._running.discard(run)
        if not run.cancelled() and (error := run.exception()) is not None:  # a fault of our own: it is tried again
            _log.error("the deliveries to %s have stopped for a while", delivery.hook.host, exc_info=error)
            self._wait(delivery, FAULT_RETRY)

    def _wait(self, delivery: Delivery, seconds: float) -> None:
        delivery.due = self._clock() + seconds
        self._arm(delivery)

    async def _send_more(self, delivery: Delivery) -> bool:
        """Send some of what there is; False when there is nothing left, or the next try is not due yet."""
        delivery.again, delivery.due = False, 0.0
        rows = at_once(await self._store.read(f"task/{delivery.task_key}", delivery.cursor, _AT_ONCE))
        if not rows:
            return await self._caught_up(delivery)
        if rows[0].seq > delivery.cursor + 1 and not await self._catch_up(delivery, rows[0].seq - 1):
            return False
        if delivery.hook.version == v03.VERSION and delivery.fold is None:
            await self._fold(delivery)
        for seq, row in rows:
            if row[:1] == DIRECT_ROW:  # it was no task after all (R-PUSH-15)
                self._drop(delivery)
                return False
            delivery.take(seq, row)
            if row[0] != SHOWN:
                delivery.cursor = seq
            elif not await self._send(delivery, seq, delivery.body(row)):
                return False
        return True

    async def _fold(self, delivery: Delivery) -> None:
        """The task as of the cursor, for a version that tells the whole task each time."""
        entry = await self._store.get("task", delivery.task_key)
        known = None if entry is None else TaskPieces.unpack(entry.value)
        delivery.fold = TaskPieces("", "") if known is None else TaskPieces(known.id, known.context_id)
        delivery.folded = 0
        while rows := await self._store.read(f"task/{delivery.task_key}", delivery.folded, _AT_ONCE):
            for seq, row in rows:
                if seq > delivery.cursor:
                    return
                delivery.take(seq, row)

    async def _catch_up(self, delivery: Delivery, seq: int) -> bool:
        """In place of events up to `seq` that are gone, the task as it stands."""
        entry = await self._store.get("task", delivery.task_key)
        if entry is None:
            delivery.cursor = seq
            return True
        task = TaskPieces.unpack(entry.value)
        old = delivery.hook.version == v03.VERSION
        return await self._send(delivery, seq, lowered(task) if old else task_event(task.json()))

    async def _caught_up(self, delivery: Delivery) -> bool:
        """There is nothing above the cursor: for now, or for ever. True when there is more after all."""
        entry = await self._store.get("task", delivery.task_key)
        if entry is None:
            if delivery.cursor or delivery.tries:  # forgotten by the store; else it has not been shown yet
                await self._finish(delivery)
            return False
        if entry.labels[0] not in TERMINAL:
            return False
        last = TaskPieces.unpack(entry.value).ends[-1]
        if last <= delivery.cursor:
            await self._finish(delivery)
            return False
        if not await self._store.read(f"task/{delivery.task_key}", delivery.cursor, 1):
            return await self._catch_up(delivery, last)
        return True

    async def _finish(self, delivery: Delivery) -> None:
        """Everything has been sent, or given up, and nothing comes: the webhook goes with its task."""
        kept = await self._store.get("webhook", delivery.key)
        changes = [Change("delivery", delivery.key, None)]
        if kept is not None:
            changes.append(webhook_record(kept, group=delivery.task_key, expires=self._clock() + self._forget_after))
        await self._store.put(*changes)
        self._drop(delivery)

    async def _send(self, delivery: Delivery, seq: int, event: bytes) -> bool:
        """Try one event; False when it must be tried again later."""
        told = {names.TASK_ID: task_id_of(delivery.task_key), names.ADDRESS: delivery.hook.host}
        with span(names.PUSH, "client", told) as made:
            failure = await self._attempt(delivery, event)
            if failure is not None:
                made.fail(failure.reason)
        if failure is None:
            _count("delivered")
            delivery.cursor, delivery.is_failing = seq, False
            delivery.reset()
            await self._keep(delivery)
            return True
        now = self._clock()
        delivery.tries += 1
        delivery.since = delivery.since or now
        spread = random.uniform(1 - JITTER, 1 + JITTER)
        due = now + max(failure.retry_after, FIRST_RETRY * GROWTH ** (delivery.tries - 1) * spread)
        gives_up = delivery.is_failing or delivery.tries >= TRIES or due > delivery.since + GIVE_UP_AFTER
        if failure.may_retry and not gives_up:
            delivery.due = due
            _count("retried")
            _log.info("webhook not reached", extra={"fields": delivery.described(seq, failure)})
            await self._keep(delivery)
            self._arm(delivery)
            return False
        _count("given_up")
        _log.warning("webhook event given up", extra={"fields": delivery.described(seq, failure)})
        known = await self._store.get("undelivered", delivery.key)
        dead = dead_letter(known, delivery.described(seq, failure), delivery.key, now=now, keep=self._forget_after)
        delivery.cursor, delivery.is_failing = seq, delivery.is_failing or failure.may_retry
        delivery.reset()
        await self._keep(delivery, dead)
        return True

    async def _attempt(self, delivery: Delivery, event: bytes) -> Failure | None:
        """One POST (R-PUSH-12, R-PUSH-13, R-PUSH-16); None when it was taken."""
        hook = delivery.hook
        async with self._slots.take(delivery.owner, again=delivery.tries > 0 or delivery.is_failing):
            try:
                async with await self._http.request(
                    "POST", hook.url, headers=hook.headers(), body=event, timeouts=TIMEOUTS,
                    deadline=Deadline(TIMEOUTS.total),
                ) as answer:  # fmt: skip
                    status, retry_after = answer.status, answer.headers.get("retry-after", "")
                    length = answer.headers.get("content-length", "")
                    if length.isdigit() and len(length) < 8 and int(length) <= MAX_ANSWER:
                        with suppress(BridgeError):  # the answer has been given, whatever becomes of its body
                            await answer.read(MAX_ANSWER)
            except AddressRefusedError:
                return Failure("address refused")
            except RemoteTimeoutError:
                return Failure("no answer in time")
            except ConnectionFailedError:
                return Failure("no connection")
            except (ClientError, ValueError):
                return Failure("cannot be sent", may_retry=False)
            except Exception:  # the webhook sender: what nobody thought of counts as a try, and the log has the rest
                _log.exception("a delivery to %s failed", hook.host)
                return Failure("internal error")
        if 200 <= status < 300:
            return None
        may_retry = status in _WORTH_ANOTHER_TRY or status >= 500
        return Failure(f"HTTP {status}", may_retry, seconds_asked(retry_after, self._clock()) if may_retry else 0.0)

    async def _keep(self, delivery: Delivery, *more: Change) -> None:
        try:
            await self._store.put(delivery.record(), *more)
        except StoreError as error:  # the event has been taken: after a crash it is sent once more
            _log.warning("how far a webhook of a task has come cannot be kept: %s", error)


def _count(outcome: str) -> None:
    if metrics.active is not None:
        metrics.active.push.labels(outcome).inc()
