"""`Client`: talk to one A2A agent.

Concurrency: a client may be used by any number of tasks and from any event loop; it holds no connection of its own
(they are pooled per loop in `net.py`) and starts no task. Cancelling a call closes that call's connection and leaves
the remote task running; `cancel` ends it.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from a2a_bridge.client.follow import Follower
from a2a_bridge.client.jsonrpc import JsonRpcTransport
from a2a_bridge.client.resolve import FetchedCard, card_url, choose_interface, fetch_card
from a2a_bridge.client.retry import Retries, with_retries
from a2a_bridge.client.sending import SendOptions, answer_in, headers_of, message_of, request_of
from a2a_bridge.client.transport import R
from a2a_bridge.client.transport import Transport as Wire
from a2a_bridge.client.watch import watched
from a2a_bridge.errors import ClientError
from a2a_bridge.net import Deadline, Http, Timeouts, Transport, shared
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.objects import Event, Message, Struct, Task, TaskState, WireObject
from a2a_bridge.protocol.requests import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    ListTasksResponse,
    SendMessageResponse,
)  # fmt: skip
from a2a_bridge.protocol.sse import MAX_EVENT_BYTES

__all__ = ["Client", "Retries", "SendOptions", "Timeouts"]


_PLAIN = SendOptions()


@dataclass(frozen=True, slots=True)
class _Target:
    """Where calls go: made from a card, replaced when the card changes."""

    fetched: FetchedCard
    wire: Wire
    tenant: str | None

    @property
    def streams(self) -> bool:
        return self.fetched.card.capabilities.streaming is True

    @property
    def watched(self) -> Wire:
        """The wire, told about to whoever has switched traces or metrics on."""
        return watched(self.wire, self.fetched.card.name, self.fetched.url)


class Client:
    """One A2A agent, by its base URL or the URL of its card.

        client = Client("http://localhost:8080")
        answer = await client.send("hello")

    Nothing is fetched until the first call. Errors that the agent reports are the A2AError classes it raised; others
    are CardError and ClientError. No connection, 429, 502 and 503 are tried again as `retries` says, always with the
    same messageId. `headers` go with every request to the agent, its card included. A card that points to another
    origin is refused unless `allow_other_origin`. `transport` carries the requests instead of the network and stays
    the caller's. `max_answer_bytes` limits one answer and one event.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts = Timeouts(),
        retries: Retries = Retries(),
        allow_other_origin: bool = False,
        max_answer_bytes: int = MAX_EVENT_BYTES,
        transport: Transport | None = None,
    ) -> None:
        self.url = url
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}
        self._timeouts = timeouts
        self._retries = retries
        self._allow_other_origin = allow_other_origin
        self._limit = max_answer_bytes
        self._own_http = None if transport is None else Http(transport)
        self._target: _Target | None = None

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Forget the card. Connections belong to the event loop's pool, or to the transport that was given."""
        self._target = None

    # --- the agent

    async def card(self, *, refresh: bool = False) -> AgentCard:
        """The agent's card: the one at hand while it is fresh, else fetched, or asked for again with its ETag."""
        return (await self._resolved(refresh=refresh)).fetched.card

    @property
    def known_card(self) -> AgentCard | None:
        """The card if it has been fetched, however old."""
        return None if self._target is None else self._target.fetched.card

    async def _http(self) -> Http:
        return self._own_http or await shared()

    async def _resolved(self, *, refresh: bool = False) -> _Target:
        known = self._target
        if known is not None and known.fetched.is_fresh and not refresh:
            return known
        try:
            fetched = await with_retries(
                lambda: self._fetch(known.fetched if known else None), self._retries, Deadline(self._timeouts.total)
            )
        except ClientError:
            if known is None or refresh:
                raise
            return known  # the agent may well answer calls while its card cannot be had
        if known is not None and fetched.card is known.fetched.card:
            target = _Target(fetched, known.wire, known.tenant)
        else:
            interface = choose_interface(fetched.card, fetched.url, allow_other_origin=self._allow_other_origin)
            wire = JsonRpcTransport(
                interface.url, self._http, headers=self._headers, timeouts=self._timeouts, max_answer_bytes=self._limit
            )
            target = _Target(fetched, wire, interface.tenant or None)
        self._target = target
        return target

    async def _fetch(self, known: FetchedCard | None) -> FetchedCard:
        http = await self._http()
        return await fetch_card(http, card_url(self.url), headers=self._headers, timeouts=self._timeouts, known=known)

    # --- sending

    async def send(
        self,
        message: str | Message,
        *,
        context_id: str | None = None,
        task_id: str | None = None,
        options: SendOptions = _PLAIN,
    ) -> Task | Message:
        """Send a message and wait for the answer: a task that has ended or wants something, or a bare message.

        `context_id` continues a conversation, `task_id` answers a task that asked. A task that has failed is an
        answer too: look at `task.status.state`.
        """
        target = await self._resolved()
        said = message_of(message, context_id, task_id, options)
        request = request_of(said, target.tenant, options)
        answer = await self._call(
            target, "SendMessage", request, SendMessageResponse, headers_of(said, options, self._headers)
        )
        return answer_in(answer)

    async def stream(
        self,
        message: str | Message,
        *,
        context_id: str | None = None,
        task_id: str | None = None,
        options: SendOptions = _PLAIN,
    ) -> AsyncGenerator[Event, None]:
        """Send a message and get what happens, as it happens: one bare message, or a task and then its updates.

        The stream ends when the task has ended or wants something. One that is cut is taken up again, without gaps
        and without repeats; StreamBrokenError if that fails. Read it inside `contextlib.aclosing`. With an agent that
        cannot stream, what comes is the answer to a plain send.
        """
        target = await self._resolved()
        said = message_of(message, context_id, task_id, options)
        request = request_of(said, target.tenant, options)
        headers = headers_of(said, options, self._headers)
        follower = self._follower(target, said.task_id, said.context_id)
        deadline = Deadline(self._timeouts.total)
        if target.streams:
            events = follower.events(
                lambda: target.watched.stream("SendStreamingMessage", request, headers, deadline),
                answers=said.task_id is not None,
            )
        else:
            answer = await self._call(target, "SendMessage", request, SendMessageResponse, headers)
            events = follower.poll(answer_in(answer))
        async with aclosing(events):
            async for event in events:
                yield event

    def _follower(self, target: _Target, task_id: str | None, context_id: str | None) -> Follower:
        return Follower(
            target.watched,
            retries=self._retries,
            deadline=Deadline(self._timeouts.total),
            tenant=target.tenant,
            task_id=task_id,
            context_id=context_id,
        )

    # --- tasks

    async def get(self, task_id: str, *, history_length: int | None = None) -> Task:
        """The task as it stands now. TaskNotFoundError if there is none, or it is somebody else's."""
        target = await self._resolved()
        request = GetTaskRequest(id=task_id, tenant=target.tenant, history_length=history_length)
        return await self._call(target, "GetTask", request, Task)

    async def list(
        self,
        *,
        context_id: str | None = None,
        status: TaskState | None = None,
        page_size: int | None = None,
        page_token: str | None = None,
        history_length: int | None = None,
        status_timestamp_after: datetime | None = None,
        include_artifacts: bool | None = None,
    ) -> ListTasksResponse:
        """One page of the caller's tasks, the newest status first; `next_page_token` is "" on the last one."""
        target = await self._resolved()
        request = ListTasksRequest(
            tenant=target.tenant,
            context_id=context_id,
            status=status,
            page_size=page_size,
            page_token=page_token,
            history_length=history_length,
            status_timestamp_after=status_timestamp_after,
            include_artifacts=include_artifacts,
        )
        return await self._call(target, "ListTasks", request, ListTasksResponse)

    async def cancel(self, task_id: str, *, metadata: Struct | None = None) -> Task:
        """End a task. TaskNotCancelableError if it has ended already."""
        target = await self._resolved()
        request = CancelTaskRequest(id=task_id, tenant=target.tenant, metadata=metadata)
        return await self._call(target, "CancelTask", request, Task)

    async def subscribe(self, task_id: str, *, last_event_id: str | None = None) -> AsyncGenerator[Event, None]:
        """What happens to a task from now on: the task as it stands, then its updates, until it has ended.

        With `last_event_id` a server that numbers its events starts right after that one instead. A cut stream is
        taken up again as in `stream`. A task that has ended already comes as it is.
        """
        target = await self._resolved()
        follower = self._follower(target, task_id, None)
        if target.streams:
            opened = follower.events(lambda: follower.subscription(last_event_id))
        else:
            opened = follower.poll(await self.get(task_id))
        async with aclosing(opened) as events:
            async for event in events:
                yield event

    async def _call(
        self,
        target: _Target,
        operation: str,
        request: WireObject,
        result: type[R],
        headers: Mapping[str, str] | None = None,
    ) -> R:
        deadline = Deadline(self._timeouts.total)
        return await with_retries(
            lambda: target.watched.call(operation, request, result, headers or {}, deadline), self._retries, deadline
        )
