"""One stream of events as its reader sees it, over as many connections as it takes.

A connection that ends before the task ended or paused was cut, however politely it was closed (T-01). It is taken up
again: with `Last-Event-ID` if the server numbers its events, else by GetTask and SubscribeToTask. A snapshot that comes
then is turned into the updates that are missing, so nothing is delivered twice and nothing is left out: after the first
event the reader sees updates only. When the attempts are used up, StreamBrokenError says so; a cut stream never looks
like an answer.

Concurrency: a `Follower` is used by one reader, which owns the generator and closes it; that closes the connection.
There is no task of our own. A cancelled reader leaves the remote task alone: cancelling that is CancelTask's business.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing

from a2a_bridge.client.retry import Retries, is_transient
from a2a_bridge.client.seen import Seen
from a2a_bridge.client.sending import fits_header
from a2a_bridge.client.transport import Received, Transport
from a2a_bridge.errors import (
    BridgeError,
    ClientError,
    ConnectionFailedError,
    InvalidAgentResponseError,
    RemoteTimeoutError,
    StreamBrokenError,
    UnsupportedOperationError,
)  # fmt: skip
from a2a_bridge.net import Deadline
from a2a_bridge.protocol.extensions import TURN_EXTENSION, section
from a2a_bridge.protocol.objects import (
    Event,
    Message,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)  # fmt: skip
from a2a_bridge.protocol.requests import GetTaskRequest, SubscribeToTaskRequest

Opener = Callable[[], AsyncGenerator[Received, None]]

_log = logging.getLogger(__name__)

_LINGER = 1.0  # seconds that a server has for closing a stream after its last event, so that the connection is reused
_POLL = (0.25, 5.0)


class Follower:
    """What is known about one task while its events are read; see the module's text."""

    def __init__(
        self,
        wire: Transport,
        *,
        headers: Mapping[str, str],
        retries: Retries,
        deadline: Deadline,
        tenant: str | None = None,
        task_id: str | None = None,
        context_id: str | None = None,
    ) -> None:
        self.task_id = task_id
        self.context_id = context_id
        self.last_id: str | None = None
        self._wire = wire
        self._headers = headers
        self._retries = retries
        self._deadline = deadline
        self._tenant = tenant
        self._status: TaskStatus | None = None
        self._seen = Seen()
        self._count = 0  # events admitted
        self._answers = False  # the stream was opened by a send to a task that exists
        self._floor: int | None = None  # after a resumption by number: lower numbers are repeats
        self._answered = False  # by a bare message
        # The last interrupted state is no end: it is the one that this very send answers, or is met out of band.
        self._is_open_pause = False

    async def events(self, first: Opener, *, answers: bool = False) -> AsyncGenerator[Event, None]:
        """The events of the stream that `first` opens, and of those it takes to see it through.

        `answers`: it sends to a task that may wait; the snapshot at its beginning may still show the old pause.
        """
        opener, failed, self._answers = first, 0, answers
        while True:
            error: ClientError | None = None
            before = self._count
            try:
                async with aclosing(opener()) as received:
                    async for item in received:
                        for event in self._admitted(item):
                            yield event
                        if self._is_done:
                            await _linger(received)
                            return
            except (ConnectionFailedError, RemoteTimeoutError) as cut:
                error = cut
            if self._is_paused:
                return
            failed = 1 if self._count > before else failed + 1
            await self._pause_or_give_up(failed, error)
            if self._count:
                opener = self._again

    async def poll(self, event: Event) -> AsyncGenerator[Event, None]:
        """`event`, and the updates that GetTask shows after it, for an agent that cannot stream."""
        for found in self._admitted(Received(event, None)):
            yield found
        pause, longest = _POLL
        failed = 0
        self._is_open_pause = False
        while not self._is_done and not self._is_paused:
            await asyncio.sleep(self._deadline.cut(pause) or 0.0)
            pause = min(longest, pause * 2)
            try:
                task = await self._get()
            except (ConnectionFailedError, RemoteTimeoutError) as error:
                failed += 1
                await self._pause_or_give_up(failed, error)
                continue
            failed = 0
            for found in self._admitted(Received(task, None)):
                yield found

    async def subscription(self, last_event_id: str | None = None) -> AsyncGenerator[Received, None]:
        """Events of a task that exists; for one that has ended already, the task itself if nothing else is offered."""
        self.last_id = last_event_id
        try:
            async with aclosing(self._subscribe()) as received:
                async for item in received:
                    yield item
        except UnsupportedOperationError:
            task = await self._get()
            if not task.status.state.is_terminal:
                raise
            yield Received(task, None)

    # --- taking up again

    async def _again(self) -> AsyncGenerator[Received, None]:
        if self.task_id is None:
            raise StreamBrokenError("the stream ended before the agent named its task, so it cannot be taken up again")
        if self.last_id is not None:
            self._floor = int(self.last_id) if self.last_id.isdigit() else None
            try:
                async with aclosing(self._subscribe()) as received:
                    async for item in received:
                        yield item
                return
            except UnsupportedOperationError:  # ended meanwhile, and this server does not replay ended tasks
                pass
        task = await self._get()
        if self._answers:
            self._answers = self._is_open_pause = False  # if it waits now, it waits for the next answer
        yield Received(task, None)
        if not task.status.state.is_terminal and not self._is_paused:
            # It may end between the two calls: then this is refused, and the next attempt gets the finished task.
            with contextlib.suppress(UnsupportedOperationError):
                self.last_id = None
                async with aclosing(self._subscribe()) as received:
                    async for item in received:
                        yield item

    def _subscribe(self) -> AsyncGenerator[Received, None]:
        request = SubscribeToTaskRequest(id=self.task_id or "", tenant=self._tenant)
        headers = {} if self.last_id is None else {"last-event-id": self.last_id}
        return self._wire.stream("SubscribeToTask", request, {**self._headers, **headers}, self._deadline)

    async def _get(self) -> Task:
        request = GetTaskRequest(id=self.task_id or "", tenant=self._tenant)
        return await self._wire.call("GetTask", request, Task, self._headers, self._deadline)

    async def _pause_or_give_up(self, failed: int, error: ClientError | None) -> None:
        if isinstance(error, RemoteTimeoutError) and (self._count == 0 or self._deadline.is_over):
            raise error  # it may still be at work: sending again would not help
        hopeless = isinstance(error, ConnectionFailedError) and not is_transient(error)
        wait = None if hopeless else self._retries.wait_after(failed, error, self._deadline, resuming=self._count > 0)
        if wait is None:
            if error is not None and self._count == 0:
                raise error
            raise StreamBrokenError(
                f"the stream of task {self.task_id or '(unknown)'} ended before the task did, and"
                f" {failed} {'attempt' if failed == 1 else 'attempts'} did not bring it back; ask again with GetTask",
                last=int(self.last_id) if self.last_id is not None and self.last_id.isdigit() else 0,
            ) from error
        _log.info("the stream of task %s was cut (%s); attempt %d", self.task_id, error or "it just ended", failed)
        await asyncio.sleep(self._deadline.cut(wait) or 0.0)

    # --- what the reader gets to see

    @property
    def _state(self) -> TaskState | None:
        return None if self._status is None else self._status.state

    @property
    def _is_paused(self) -> bool:
        """The task waits for an answer: the end of the stream is in order (T-01)."""
        return self._state is not None and self._state.is_interrupted and not self._is_open_pause

    @property
    def _is_done(self) -> bool:
        return self._answered or (self._state is not None and self._state.is_terminal)

    def _admitted(self, item: Received) -> Iterator[Event]:
        """The events to hand on for one that came in: none for a repeat, several for a snapshot in mid-stream."""
        event = item.event
        if isinstance(event, Task):
            self._floor = None  # a snapshot: whatever numbers the server used before, it may start anew
        elif self._is_repeat(item.id):
            return
        if item.id is not None and fits_header(item.id):
            self.last_id = item.id
        if isinstance(event, Message):
            self._answered = self.task_id is None or self._count == 0
            found: Iterable[Event] = (event,) if self._answered else ()
        elif isinstance(event, Task):
            found = self._from_snapshot(event)
        else:
            found = (self._named(event),)
        for one in found:
            self._count += 1
            if not isinstance(one, Message):
                self._note(one)
            yield one

    def _is_repeat(self, event_id: str | None) -> bool:
        if self._floor is None or event_id is None or not event_id.isdigit():
            return False
        return int(event_id) <= self._floor

    def _from_snapshot(self, task: Task) -> Iterable[Event]:
        self._check(task.id)
        first = self._count == 0
        if task.context_id:
            self.context_id = task.context_id
        elif self.context_id:
            task = task.model_copy(update={"context_id": self.context_id})
        if first:
            return (task,)
        # From a copy: what is handed on is noted then, and an appended piece must not be counted twice.
        updates: list[Event] = list(Seen(self._seen.extents()).missing(task))
        if self._status is None or not _same(self._status, task.status):
            updates.append(
                TaskStatusUpdateEvent(
                    task_id=task.id, context_id=self.context_id, status=task.status, metadata=task.metadata
                )
            )
        return updates

    def _named(
        self, event: TaskStatusUpdateEvent | TaskArtifactUpdateEvent
    ) -> TaskStatusUpdateEvent | TaskArtifactUpdateEvent:
        """The event under the ids of its task: some servers leave them out or make up a new context (T-19)."""
        if event.task_id:
            self._check(event.task_id)
        if self.context_id is None:
            self.context_id = event.context_id
        if event.task_id != self.task_id or event.context_id != self.context_id:
            return event.model_copy(update={"task_id": self.task_id or "", "context_id": self.context_id})
        return event

    def _check(self, task_id: str) -> None:
        if self.task_id is None:
            self.task_id = task_id
        elif task_id != self.task_id:
            raise InvalidAgentResponseError(
                f"the agent sent an event of task {task_id!r} in the stream of task {self.task_id!r}"
            )

    def _note(self, event: Event) -> None:
        if isinstance(event, Task | TaskStatusUpdateEvent):
            self._status = event.status
            opens_answer = self._answers and self._count == 1 and isinstance(event, Task)
            self._is_open_pause = opens_answer or section(event.metadata, TURN_EXTENSION).get("goesOn") is True
        self._seen.add(event)


def _same(one: TaskStatus, other: TaskStatus) -> bool:
    said = one.message.message_id if one.message else None
    return one.state is other.state and said == (other.message.message_id if other.message else None)


async def _linger(received: AsyncGenerator[Received, None]) -> None:
    with contextlib.suppress(TimeoutError, BridgeError):
        async with asyncio.timeout(_LINGER):
            async for _ in received:
                pass
