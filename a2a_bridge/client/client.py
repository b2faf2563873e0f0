"""`Client`: talk to one A2A agent.

Concurrency: a client may be used by any number of tasks and from any event loop; it holds no connection of its own
(they are pooled per loop in `net.py`) and starts no task. Cancelling a call closes that call's connection and leaves
the remote task running; `cancel` ends it.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import Self

from a2a_bridge.cards.sign import TrustedKeys
from a2a_bridge.client.auth import Auth, Keyring
from a2a_bridge.client.endpoint import Endpoint
from a2a_bridge.client.follow import Follower
from a2a_bridge.client.interface import ANY, Wanted, usable_interfaces, wire_to
from a2a_bridge.client.reachable import Reachable, Way
from a2a_bridge.client.resolve import FetchedCard, card_url, fetch_card, read_card
from a2a_bridge.client.retry import Retries, with_retries
from a2a_bridge.client.sending import SendOptions, answer_in, extension_headers, headers_of, message_of, request_of
from a2a_bridge.client.transport import CardBody, Nothing, R
from a2a_bridge.client.transport import Transport as Wire
from a2a_bridge.client.watch import watched
from a2a_bridge.errors import CardError, ClientError, ConnectionFailedError, InvalidAgentResponseError
from a2a_bridge.net import Deadline, Http, Timeouts, Transport, shared
from a2a_bridge.protocol.card import PROTOCOL_VERSION, AgentCard
from a2a_bridge.protocol.objects import Event, Message, Struct, Task, TaskState, WireObject
from a2a_bridge.protocol.requests import (
    CancelTaskRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    ListTaskPushNotificationConfigsResponse,
    ListTasksRequest,
    ListTasksResponse,
    SendMessageResponse,
    TaskPushNotificationConfig,
)
from a2a_bridge.protocol.sse import MAX_EVENT_BYTES

__all__ = ["Client", "Retries", "SendOptions", "Timeouts", "Trust", "Wanted"]


_PLAIN = SendOptions()


@dataclass(frozen=True, slots=True)
class Trust:
    """How far an agent is trusted.

    A card that points to another origin than its own is refused unless `allow_other_origin`: credentials would go
    there. `keys`: cards, the extended one too, are believed only as far as a signature of one of these keys covers
    them; unsigned and altered ones are a CardError. `max_answer_bytes` limits one answer and one event.
    """

    allow_other_origin: bool = False
    keys: TrustedKeys | None = None
    max_answer_bytes: int = MAX_EVENT_BYTES


@dataclass(frozen=True, slots=True)
class _Target:
    """Where calls go: made from a card, replaced when the card changes."""

    fetched: FetchedCard
    wire: Wire
    tenant: str | None
    named: tuple[str, ...] = ()  # extensions that every call activates

    @property
    def streams(self) -> bool:
        return self.fetched.card.capabilities.streaming is True

    @property
    def watched(self) -> Wire:
        """The wire, told about to whoever has switched traces or metrics on."""
        return watched(self.wire, self.fetched.card.name, self.fetched.url)

    def headers(self, extensions: tuple[str, ...] = ()) -> dict[str, str]:
        return extension_headers(self.fetched.card, (*self.named, *extensions))


class Client:
    """One A2A agent, by its base URL or the URL of its card.

        client = Client("http://localhost:8080")
        answer = await client.send("hello")

    Nothing is fetched until the first call; the card says which binding and version are spoken, among those that
    `interface` wants. Errors that the agent reports are the A2AError classes it raised; others are CardError and
    ClientError. No connection, 429, 502 and 503 are tried again as `retries` says, always with the same messageId; an
    interface that cannot be reached is exchanged for the next one of the card, see reachable.py.
    `auth` goes to the agent's interface: keys and OAuth as its card declares, others in any case; see auth.py.
    `headers` go with every request, the card's included. `transport` carries the requests instead of the network and
    stays the caller's.
    """

    def __init__(
        self,
        url: str,
        *,
        auth: Auth | None = None,
        headers: Mapping[str, str] | None = None,
        interface: Wanted = ANY,
        trust: Trust = Trust(),
        timeouts: Timeouts = Timeouts(),
        retries: Retries = Retries(),
        transport: Transport | None = None,
    ) -> None:
        self.url = url
        self._headers = {name.lower(): value for name, value in (headers or {}).items()}
        named = self._headers.pop("a2a-extensions", "").split(",")
        self._named = tuple(uri for found in named if (uri := found.strip()))
        self._wanted = interface
        self._trust = trust
        self._timeouts = timeouts
        self._retries = retries
        self._own_http = None if transport is None else Http(transport)
        self._keyring = Keyring(auth, self._plain_http, timeouts, any_origin=trust.allow_other_origin)
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
        return self._own_http or await shared(self._keyring.certificate)

    async def _plain_http(self) -> Http:
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
            self._target = replace(known, fetched=fetched)
        else:
            self._target = self._aimed(fetched)
        return self._target

    def _aimed(self, fetched: FetchedCard) -> _Target:
        """Where calls go by this card."""

        def endpoint(url: str) -> Endpoint:
            return Endpoint(
                url,
                self._http,
                headers=self._headers,
                timeouts=self._timeouts,
                max_answer_bytes=self._trust.max_answer_bytes,
                signer=self._keyring.signer(fetched.card, url),
            )

        allow = self._trust.allow_other_origin
        found = usable_interfaces(fetched.card, fetched.url, wanted=self._wanted, allow_other_origin=allow)
        ways = [Way(one, wire_to(one, endpoint(one.url), self._wanted)) for one in found]
        known = self._target.wire if self._target else None
        if isinstance(known, Reachable):
            ways.sort(key=lambda way: way.interface != known.interface)  # what could be reached stays the first choice
        wire = ways[0].wire if len(ways) == 1 else Reachable(ways)
        return _Target(fetched, wire, ways[0].interface.tenant or None, self._named)

    async def _fetch(self, known: FetchedCard | None) -> FetchedCard:
        http, url, keys = await self._http(), card_url(self.url), self._trust.keys
        headers = {**self._headers, "a2a-version": self._wanted.version or PROTOCOL_VERSION}
        try:
            return await fetch_card(http, url, headers=headers, timeouts=self._timeouts, known=known, keys=keys)
        except ConnectionFailedError as error:
            if error.status != 401 or not self._keyring.given:
                raise
        credentials = await self._keyring.for_card(Deadline(self._timeouts.total))
        headers |= credentials
        return await fetch_card(http, url, headers=headers, timeouts=self._timeouts, known=known, keys=keys)

    async def extended_card(self) -> AgentCard:
        """The card for those who are known to the agent, in place of the public one until `aclose` (R-EXTC-03); the
        public one when the agent has no other."""
        target = await self._resolved()
        if not target.fetched.card.capabilities.extended_agent_card:
            return target.fetched.card
        request = GetExtendedAgentCardRequest(tenant=target.tenant)
        found = await self._call(target, "GetExtendedAgentCard", request, CardBody)
        try:
            card = read_card(found.body, "the agent's extended card", self._trust.keys)
        except CardError as error:
            if self._trust.keys is not None:
                raise
            raise InvalidAgentResponseError(error.message) from None
        self._target = self._aimed(FetchedCard(card, target.fetched.url, float("inf")))
        return card

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
        headers = headers_of(said) | target.headers(options.extensions)
        return answer_in(await self._call(target, "SendMessage", request, SendMessageResponse, headers))

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
        extensions = target.headers(options.extensions)
        headers = headers_of(said) | extensions
        follower = self._follower(target, extensions, said.task_id, said.context_id)
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

    def _follower(
        self, target: _Target, headers: Mapping[str, str], task_id: str | None, context_id: str | None
    ) -> Follower:
        return Follower(
            target.watched,
            headers=headers,
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
        follower = self._follower(target, target.headers(), task_id, None)
        if target.streams:
            opened = follower.events(lambda: follower.subscription(last_event_id))
        else:
            opened = follower.poll(await self.get(task_id))
        async with aclosing(opened) as events:
            async for event in events:
                yield event

    # --- webhooks

    async def create_push_config(self, config: TaskPushNotificationConfig) -> TaskPushNotificationConfig:
        """Have a webhook told what happens to the task `config.task_id`; the answer has the id of the configuration."""
        target = await self._resolved()
        request = config.model_copy(update={"tenant": target.tenant})
        return await self._call(target, "CreateTaskPushNotificationConfig", request, TaskPushNotificationConfig)

    async def get_push_config(self, task_id: str, config_id: str) -> TaskPushNotificationConfig:
        """One webhook of a task. TaskNotFoundError if there is none."""
        target = await self._resolved()
        request = GetTaskPushNotificationConfigRequest(task_id=task_id, id=config_id, tenant=target.tenant)
        return await self._call(target, "GetTaskPushNotificationConfig", request, TaskPushNotificationConfig)

    async def list_push_configs(
        self, task_id: str, *, page_size: int | None = None, page_token: str | None = None
    ) -> ListTaskPushNotificationConfigsResponse:
        """The webhooks of a task; most agents give them all on one page."""
        target = await self._resolved()
        request = ListTaskPushNotificationConfigsRequest(
            task_id=task_id, tenant=target.tenant, page_size=page_size, page_token=page_token
        )
        return await self._call(
            target, "ListTaskPushNotificationConfigs", request, ListTaskPushNotificationConfigsResponse
        )

    async def delete_push_config(self, task_id: str, config_id: str) -> None:
        """Have a webhook told no more. A configuration that does not exist is deleted already."""
        target = await self._resolved()
        request = GetTaskPushNotificationConfigRequest(task_id=task_id, id=config_id, tenant=target.tenant)
        await self._call(target, "DeleteTaskPushNotificationConfig", request, Nothing)

    async def _call(
        self,
        target: _Target,
        operation: str,
        request: WireObject,
        result: type[R],
        headers: Mapping[str, str] | None = None,
    ) -> R:
        deadline = Deadline(self._timeouts.total)
        sent = target.headers() if headers is None else headers
        return await with_retries(
            lambda: target.watched.call(operation, request, result, sent, deadline), self._retries, deadline
        )
