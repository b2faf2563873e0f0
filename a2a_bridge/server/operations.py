"""What every operation goes through, whichever binding it came by (A2A 1.0.1 §3, §5.1; R-BIND-01).

A binding finds the operation, its parameters and the dialect in its own bytes, and makes bytes of what comes back. The
rest is here, once: who calls, the version, the parameters, the capability, the required extensions, in this order
(R-ERR-07), the call to the service, and what a stranger is told when something breaks.

Who does what. `admit` runs on the head of a request, before its body is read; without a gate it is not even called.
`perform` runs in the request's own task and raises nothing but A2AError: whatever else went wrong is in the log.
"""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from starlette.types import Scope

from a2a_bridge.agent import Caller
from a2a_bridge.errors import (
    A2AError,
    ExtendedAgentCardNotConfiguredError,
    ExtensionSupportRequiredError,
    InternalError,
    InvalidParamsError,
    PushNotificationNotSupportedError,
    StoppingError,
    StoreError,
    StoreUnavailableError,
    TaskNotFoundError,
    UnsupportedOperationError,
    VersionNotSupportedError,
    Violation,
)
from a2a_bridge.observe import requests, trace
from a2a_bridge.protocol import requests as r
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.dialect import Dialect
from a2a_bridge.protocol.methods import Operation
from a2a_bridge.protocol.objects import WireObject
from a2a_bridge.server.http import (
    HeaderPairs,
    Headers,
    Refused,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    header_list,
    later,
    version_of,
)
from a2a_bridge.server.identity import peer_of
from a2a_bridge.server.limits import Place, Places
from a2a_bridge.tasks.call import Call
from a2a_bridge.tasks.log import Row
from a2a_bridge.tasks.run import new_id
from a2a_bridge.tasks.service import TaskService

_log = logging.getLogger(__name__)

PLACE_RETRY = 5
"""What Retry-After says, in seconds, to whoever wants one stream too many."""

Rows = AsyncGenerator[list[Row], None]
Result = bytes | Rows
"""A result as JSON of 1.0, or the rows of a stream."""
ExtendedCard = Callable[[Caller], Awaitable[bytes | None]]
"""The extended card for a caller as JSON of 1.0, or None when there is none for this one."""


SPOKEN = ("0.3", "1.0")
"""The versions of the protocol that a server speaks unless it is told otherwise."""
EXTENSION_HEADERS = (b"a2a-extensions", b"x-a2a-extensions")
"""The second is how 0.3 spells it (R-EXT-01)."""


class Gate(Protocol):
    """Who may come in. `admit` looks at the head of a request and raises `Refused`; `enter` gives the caller in the
    tenant that a request names and raises TaskNotFoundError for one that is not the caller's."""

    async def admit(self, scope: Scope, agent: str) -> Caller: ...

    def enter(self, caller: Caller, tenant: str) -> Caller: ...


class Context(NamedTuple):
    """What an operation needs beside its parameters."""

    call: Call
    operation: Operation
    dialect: Dialect
    version: str | None
    last_event_id: int | None
    spelled: bool  # the parameters may hold snake_case names
    missing: frozenset[str]  # extensions that the card requires and the request does not name
    named_in: tuple[bytes, ...]  # the headers that named extensions: 0.3 spelled it with an X- in front
    binding: str = "JSONRPC"
    place: Place | None = None  # a stream's; whoever opens the stream gives it back

    def leave(self) -> None:
        """There will be no stream."""
        if self.place is not None:
            self.place.give_back()


class Spoken(NamedTuple):
    """The `versions` that are spoken, oldest first. `lenient`: a request that names no version means the one that its
    method or path belongs to, instead of 0.3 (R-VER-06)."""

    versions: tuple[str, ...] = SPOKEN
    lenient: bool = False


class Operations:
    """The operations of one agent. `gate` None: anybody may call, in the tenants that the card names."""

    def __init__(
        self,
        service: TaskService,
        agent: str,
        card: AgentCard,
        *,
        gate: Gate | None = None,
        extended_card: ExtendedCard | None = None,
        spoken: Spoken = Spoken(),
        max_parts: int = 256,
        places: Places | None = None,
    ) -> None:
        self.gate = gate
        self._max_parts = max_parts
        self._places = places
        self.card = card
        self.versions = spoken.versions
        self._lenient_version = spoken.lenient
        self._service = service
        self._agent = agent
        self._extended_card = extended_card
        self._tenants = frozenset(interface.tenant for interface in card.supported_interfaces if interface.tenant)
        extensions = card.capabilities.extensions or ()
        self._known = frozenset(extension.uri for extension in extensions)
        self._required = frozenset(extension.uri for extension in extensions if extension.required)
        self._handlers: dict[str, Callable[[Context, Any], Awaitable[Result]]] = {
            "SendMessage": self._send,
            "SendStreamingMessage": self._stream,
            "GetTask": self._get,
            "ListTasks": self._list,
            "CancelTask": self._cancel,
            "SubscribeToTask": self._subscribe,
            "CreateTaskPushNotificationConfig": self._create_webhook,
            "GetTaskPushNotificationConfig": self._get_webhook,
            "ListTaskPushNotificationConfigs": self._list_webhooks,
            "DeleteTaskPushNotificationConfig": self._delete_webhook,
            "GetExtendedAgentCard": self._show_extended_card,
        }

    # --- the head of a request

    async def admit(self, scope: Scope) -> Caller:
        """Who calls; `Refused` when nobody who may."""
        return ANYBODY if self.gate is None else await self.gate.admit(scope, self._agent)

    def context(
        self, scope: Scope, headers: Headers, caller: Caller, asked: tuple[Operation, Dialect], *, spelled: bool
    ) -> Context:
        """What the head says about a call of this operation in this dialect; `Refused` when a stream has no place."""
        operation, dialect = asked
        active, missing, named_in = _NONE, self._required, _NO_HEADERS
        if b"a2a-extensions" in headers or b"x-a2a-extensions" in headers:
            named_in = tuple(name for name in EXTENSION_HEADERS if name in headers)
            named = frozenset(uri for name in named_in for uri in header_list(scope["headers"], name))
            active, missing = named & self._known, missing - named
        version = version_of(scope, headers)
        if version is None and self._lenient_version:
            version = dialect.version
        last_event_id = _last_event_id(headers) if operation.streams else None
        call = Call(self._agent, caller, active, trace.current_traceparent(), dialect.version)
        place = self._place(scope, caller) if operation.streams and self._places is not None else None
        return Context(call, operation, dialect, version, last_event_id, spelled, missing, named_in, place=place)

    def _place(self, scope: Scope, caller: Caller) -> Place:
        assert self._places is not None
        key = caller.principal if caller.principal != ANYBODY.principal else f"address {peer_of(scope)}"
        place = self._places.take(key)
        if place is None:
            raise Refused(TooManyRequests("As many streams as may be are open: close one."), headers=later(PLACE_RETRY))
        return place

    def refused(self, error: A2AError, binding: str, operation: Operation | None = None) -> None:
        """Operators hear of what never came to `perform`, too."""
        if requests.is_watched():
            requests.refused("-" if operation is None else operation.name, binding, self._agent, error.reason)

    # --- the operation

    async def perform(self, context: Context, params: Any) -> Result:
        """The result, or the rows of a stream; raises A2AError and nothing else."""
        if not requests.is_watched():
            return await (self._perform(context, params) if context.place is None else self._placed(context, params))
        call = context.call
        request = requests.Watched(
            context.operation.name, context.binding, context.dialect.version, call.agent, call.caller, params
        )
        with request:  # from here on the trace is the request's own
            call = call._replace(traceparent=trace.current_traceparent())
            result = await self._placed(context._replace(call=call), params)
        if isinstance(result, bytes):
            request.saw(result)
            request.end()
            return result
        return request.rows(result)

    async def _placed(self, context: Context, params: Any) -> Result:
        try:
            return await self._perform(context, params)
        except BaseException:
            context.leave()
            raise

    async def _perform(self, context: Context, params: Any) -> Result:
        operation, dialect = context.operation, context.dialect
        try:
            self.check_version(context)
            if dialect.lift is not None:
                if context.spelled:
                    r.refuse_twice_spelled(params)
                params = dialect.lift(operation, params)
            request = r.parse(operation.request, params, check_spelling=context.spelled)
            self._check_capability(context, request)
            tenant = getattr(request, "tenant", None)
            if tenant:
                context = self._entered(context, tenant)
            result = await self._handlers[operation.name](context, request)
            if dialect.lower is not None and isinstance(result, bytes):
                return dialect.lower(operation, result)
            return result
        except A2AError:
            raise
        except StoppingError as stopping:  # nothing is wrong: every restart under load has some of these
            raise told(stopping) from None
        except StoreUnavailableError as outage:  # one short line: a full disk refuses every request
            _log.error("the store failed in %s: %s", operation.name, outage)
            raise told(outage) from None
        except StoreError as error:
            _log.exception("the store failed in %s", operation.name)
            raise told(error) from None
        except Exception:  # the request edge: a stranger gets an id, the log gets the rest (R-ERR-06)
            error_id = new_id()[-8:]
            _log.exception("%s failed (error %s)", operation.name, error_id)
            raise InternalError(f"Internal error {error_id}.") from None

    def check_version(self, context: Context) -> None:
        """R-VER-02 to R-VER-04; `perform` does it first of all."""
        if not context.dialect.speaks(context.version):
            raise self._other_version(context)

    def _other_version(self, context: Context) -> VersionNotSupportedError:
        """R-VER-02 to R-VER-04, R-VER-06: a missing version means 0.3."""
        asked, spoken = context.version, context.dialect.version
        if asked is None:
            text = f"The request has no A2A-Version header, which means 0.3: add the header A2A-Version: {spoken}."
        elif asked.rpartition(".")[0] in self.versions or asked in self.versions:
            text = f"This is a request of A2A {spoken}, but it says {asked[:20]!r}: send A2A-Version: {spoken}."
        else:
            text = f"Version {asked[:20]!r} is not supported here: send A2A-Version: {spoken}."
        told = {"supportedVersions": ",".join(self.versions), "requestedVersion": (asked or "0.3")[:20]}
        return VersionNotSupportedError(text, metadata=told)

    def _entered(self, context: Context, tenant: str) -> Context:
        caller = context.call.caller
        if self.gate is not None:
            caller = self.gate.enter(caller, tenant)
        elif tenant in self._tenants:
            caller = replace(caller, tenant=tenant)
        else:
            raise TaskNotFoundError(NO_TENANT)
        return context._replace(call=context.call._replace(caller=caller))

    def _check_capability(self, context: Context, request: WireObject) -> None:
        """R-CAP-01 to R-CAP-04."""
        needs, name = context.operation.needs, context.operation.name
        if needs is not None and not getattr(self.card.capabilities, needs):
            if needs == "push_notifications":
                raise PushNotificationNotSupportedError
            raise UnsupportedOperationError(f"This agent does not offer {name}: see capabilities in its card.")
        said = request.configuration if isinstance(request, r.SendMessageRequest) else None
        wants_push = said is not None and said.task_push_notification_config is not None
        if wants_push and not self.card.capabilities.push_notifications:
            raise PushNotificationNotSupportedError
        if context.missing and needs != "extended_agent_card":
            raise ExtensionSupportRequiredError(
                f"Name the required extensions in A2A-Extensions: {', '.join(sorted(context.missing))}"
            )

    def _check_parts(self, request: r.SendMessageRequest) -> None:
        count = len(request.message.parts)
        if 0 < self._max_parts < count:
            found = Violation("message.parts", f"{count} parts, and at most {self._max_parts} are taken")
            raise InvalidParamsError("The message has too many parts", violations=[found])

    async def _send(self, context: Context, request: r.SendMessageRequest) -> Result:
        self._check_parts(request)
        sent = await self._service.send(context.call, request)
        if request.configuration is not None and request.configuration.return_immediately:
            return await sent.opened()
        return await sent.ended()

    async def _stream(self, context: Context, request: r.SendMessageRequest) -> Result:
        self._check_parts(request)
        if context.last_event_id is not None:
            rows = await self._service.resume(context.call, request, context.last_event_id)
            if rows is not None:
                return rows
        sent = await self._service.send(context.call, request)
        return await sent.stream()

    async def _get(self, context: Context, request: r.GetTaskRequest) -> Result:
        return await self._service.get(context.call, request)

    async def _list(self, context: Context, request: r.ListTasksRequest) -> Result:
        return await self._service.list_tasks(context.call, request)

    async def _cancel(self, context: Context, request: r.CancelTaskRequest) -> Result:
        return await self._service.cancel(context.call, request)

    async def _subscribe(self, context: Context, request: r.SubscribeToTaskRequest) -> Result:
        return await self._service.subscribe(context.call, request, context.last_event_id)

    async def _create_webhook(self, context: Context, config: r.TaskPushNotificationConfig) -> Result:
        if not config.task_id:
            raise InvalidParamsError(violations=[Violation("taskId", "must name a task")])
        call = context.call
        hooks, who, live = await self._service.webhooks_of(call, config.task_id)
        return await hooks.create(who, live, await hooks.checked(config, call))

    async def _get_webhook(self, context: Context, request: r.GetTaskPushNotificationConfigRequest) -> Result:
        hooks, who, _ = await self._service.webhooks_of(context.call, request.task_id)
        return await hooks.get(who, request)

    async def _list_webhooks(self, context: Context, request: r.ListTaskPushNotificationConfigsRequest) -> Result:
        hooks, who, _ = await self._service.webhooks_of(context.call, request.task_id)
        return await hooks.list_configs(who, request)

    async def _delete_webhook(self, context: Context, request: r.GetTaskPushNotificationConfigRequest) -> Result:
        hooks, who, _ = await self._service.webhooks_of(context.call, request.task_id)
        return await hooks.delete(who, request)

    async def _show_extended_card(self, context: Context, request: r.GetExtendedAgentCardRequest) -> Result:
        caller = context.call.caller
        if caller.principal == ANYBODY.principal:
            raise Unauthenticated("The extended card is for callers who say who they are: see its security schemes.")
        card = None if self._extended_card is None else await self._extended_card(caller)
        if card is None:
            raise ExtendedAgentCardNotConfiguredError
        return card


NO_TENANT = "There is no such tenant here, or it is not yours."
ANYBODY = Caller()
_NONE: frozenset[str] = frozenset()
_NO_HEADERS: tuple[bytes, ...] = ()


def told(error: Exception) -> A2AError:
    """What a reader is told when a stream breaks: never more than the protocol has words for (R-ERR-06)."""
    if isinstance(error, StoppingError):
        return Unavailable(error.message)
    return error if isinstance(error, A2AError) else Unavailable() if isinstance(error, StoreError) else InternalError()


def answer_headers(context: Context) -> HeaderPairs:
    """What every answer to an operation says: the version spoken, and the extensions in use under the name that the
    client used (R-VER-07, R-EXT-02)."""
    active = context.call.extensions
    if not active:
        return _VERSION if context.dialect.version == "1.0" else _version(context.dialect)
    told = ", ".join(sorted(active)).encode("latin-1")
    return (*_version(context.dialect), *((name, told) for name in context.named_in))


def _version(dialect: Dialect) -> HeaderPairs:
    return ((b"a2a-version", dialect.version.encode("ascii")),)


_VERSION: HeaderPairs = ((b"a2a-version", b"1.0"),)


def _last_event_id(headers: Headers) -> int | None:
    found = headers.get(b"last-event-id")
    return int(found) if found is not None and found.isdigit() and len(found) < 16 else None
