"""The JSON-RPC binding (A2A 1.0.1 §9): bytes in, bytes or a stream out.

jsonrpcserver calls the method with its parameters and holds it to giving a result or an error. What it would add
beyond that is replaced: the deserializer and the envelope check are ours (`protocol/jsonrpc.py`), there is one request
and so no `gather`, and arguments are not matched with a signature first, because methods are `(context, /, **params)`
and take any. Methods never raise: the library would send the exception's text. A streaming method gives a stream as
its result, so that its refusals are ordinary answers (R-STRM-09).

The library is imported when the first app is built; `warm` runs in a thread after start.
"""

import logging
import re
import warnings
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from a2a_bridge.agent import Caller
from a2a_bridge.errors import (
    A2AError,
    ContentTypeNotSupportedError,
    ExtensionSupportRequiredError,
    InternalError,
    InvalidParamsError,
    InvalidRequestError,
    JSONParseError,
    MethodNotFoundError,
    PushNotificationNotSupportedError,
    StoreError,
    UnsupportedOperationError,
    VersionNotSupportedError,
)
from a2a_bridge.observe import trace
from a2a_bridge.protocol import requests as r
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.extensions import TURN_EXTENSION
from a2a_bridge.protocol.jsonrpc import (
    RequestId,
    check_envelope,
    error_details,
    error_object,
    error_response,
    parse_body,
    request_id,
    result_head,
)
from a2a_bridge.protocol.methods import OPERATIONS, Operation
from a2a_bridge.protocol.objects import WireObject
from a2a_bridge.protocol.snapshot import SHOWN, TURN_ROW
from a2a_bridge.server.http import (
    Answer,
    ClientGone,
    Headers,
    Responds,
    TooLarge,
    header_list,
    headers_of,
    read_body,
    text_of,
)
from a2a_bridge.server.sse import EventStream, Streams
from a2a_bridge.tasks.log import Row
from a2a_bridge.tasks.run import new_id
from a2a_bridge.tasks.service import Call, TaskService

_log = logging.getLogger(__name__)

_POST_HERE = b'{"error":"An agent is here: POST JSON-RPC 2.0 to it; its card is at .well-known/agent-card.json below."}'
_OLD_NAMES = ": it is one of A2A 0.3, and this server speaks 1.0 (SendMessage, with the header A2A-Version: 1.0)"
SUPPORTED_VERSIONS = ("1.0",)


class Unavailable(InternalError):
    """The server cannot keep anything at present: try again later."""

    reason = "UNAVAILABLE"


class Context(NamedTuple):
    """What a method needs beside its parameters."""

    call: Call
    operation: Operation
    version: str | None
    last_event_id: int | None
    spelled: bool
    missing: frozenset[str]


Rows = AsyncGenerator[list[Row], None]
Method = Callable[..., Awaitable[Any]]


class JsonRpcEndpoint:
    """One agent's JSON-RPC URL."""

    def __init__(
        self,
        service: TaskService,
        agent: str,
        card: AgentCard,
        streams: Streams,
        *,
        max_body: int = 4 << 20,
        max_depth: int = 64,
        authenticate: Callable[[Scope], Caller] | None = None,
    ) -> None:
        with warnings.catch_warnings():  # it reads a file of its own in a way that newer Pythons deprecate
            warnings.simplefilter("ignore", DeprecationWarning)
            from jsonrpcserver.async_dispatcher import call as call_method
            from jsonrpcserver.request import Request
            from jsonrpcserver.result import Error, Success

        self._service = service
        self._agent = agent
        self._card = card
        self._streams = streams
        self._max_body = max_body
        self._max_depth = max_depth
        self._authenticate = authenticate
        self._call_method = call_method
        self._request, self._error, self._success = Request, Error, Success
        self._operations = {operation.name: operation for operation in OPERATIONS}
        self._methods = {operation.name: self._method(operation) for operation in OPERATIONS}
        extensions = card.capabilities.extensions or ()
        self._known = frozenset(extension.uri for extension in extensions)
        self._required = frozenset(extension.uri for extension in extensions if extension.required)

    # --- HTTP

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except ClientGone:
            return
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Responds:
        headers = headers_of(scope)
        if scope["method"] != "POST":
            return Answer(_POST_HERE, 405, headers=((b"allow", b"POST"),))
        refused = _wrong_type(headers)
        if refused is not None:
            return refused
        try:
            body = await read_body(headers, receive, self._max_body)
        except TooLarge:
            return _refusal(413, InvalidRequestError(f"The body is larger than {self._max_body} bytes."))
        envelope: Any = None
        try:
            envelope = parse_body(body, self._max_depth)
            check_envelope(envelope)
        except A2AError as error:
            found = None if isinstance(error, JSONParseError) else request_id(envelope)
            return Answer(error_response(error_object(error), found))
        spelled = r.may_use_snake_case(body)
        if (traceparent := text_of(headers, b"traceparent")) is None:
            return await self._execute(scope, headers, envelope, spelled)
        with trace.continue_trace(traceparent):
            return await self._execute(scope, headers, envelope, spelled)

    async def _execute(self, scope: Scope, headers: Headers, envelope: Mapping[str, Any], spelled: bool) -> Responds:
        name, params, found = envelope["method"], envelope.get("params"), envelope.get("id")
        operation = self._operations.get(name)
        refusal: A2AError | None = None
        if operation is None:
            refusal = MethodNotFoundError(f"There is no method {name[:100]!r}{_OLD_NAMES if '/' in name else ''}.")
        elif params is not None and not isinstance(params, dict):
            refusal = InvalidParamsError("The member params must be an object.")
        elif "id" not in envelope and operation.streams:
            refusal = InvalidRequestError("A streaming method needs a request id.")
        if refusal is not None or operation is None:
            return Answer(error_response(error_object(refusal or MethodNotFoundError()), found))
        active, missing = _NONE, self._required
        if b"a2a-extensions" in headers:
            asked = frozenset(header_list(scope["headers"], b"a2a-extensions"))
            active, missing = asked & self._known, missing - asked
        caller = self._authenticate(scope) if self._authenticate else _ANYBODY
        call = Call(self._agent, caller, active, trace.current_traceparent())
        version = text_of(headers, b"a2a-version") or _query_version(scope)
        last_event_id = _last_event_id(headers) if operation.streams else None
        context = Context(call, operation, version, last_event_id, spelled, missing)
        answer = await self._call_method(self._request(name, params or {}, found), context, self._methods[name])
        if "id" not in envelope:  # a notification: done, and nothing to say (R-JRPC-09)
            return Answer(b"", 204)
        return self._respond(answer, found, call)

    def _respond(self, answer: Any, found: RequestId, call: Call) -> Responds:
        headers: tuple[tuple[bytes, bytes], ...] = ((b"a2a-version", b"1.0"),)
        if call.extensions:
            headers += ((b"a2a-extensions", ", ".join(sorted(call.extensions)).encode("latin-1")),)
        # `Left` and `Right` of the library keep their value in a private member and offer no other way to it.
        kept = vars(answer)
        error = kept.get("_error")
        if error is not None:
            object_ = {"code": error.code, "message": error.message, "data": error.data}
            status = 503 if error.data[0]["reason"] == Unavailable.reason else 200
            return Answer(error_response(object_, found), status, headers=headers)
        result = kept["_value"].result
        if isinstance(result, bytes):
            return Answer(result_head(found) + result + b"}", headers=headers)
        shows_turns = TURN_EXTENSION in call.extensions
        return EventStream(
            self._streams,
            result,
            _framer(b"data: " + result_head(found), shows_turns),
            failed=lambda error: _error_frame(error, found),
            headers={name.decode(): value.decode("latin-1") for name, value in headers},
        )

    # --- methods

    def _method(self, operation: Operation) -> Method:
        handle = getattr(self, f"_{_snake(operation.name)}", self._not_supported)

        async def method(context: Context, /, **params: Any) -> Any:
            try:
                self._check_version(context.version)
                request = r.parse(operation.request, params, check_spelling=context.spelled)
                self._check_capability(context)
                return self._success(await handle(context, request))
            except A2AError as error:
                return self._refuse(error)
            except StoreError:
                _log.exception("the store failed in %s", operation.name)
                return self._refuse(Unavailable())
            except Exception:  # the request edge: a stranger gets an id, the log gets the rest (R-ERR-06)
                error_id = new_id()[-8:]
                _log.exception("%s failed (error %s)", operation.name, error_id)
                return self._refuse(InternalError(f"Internal error {error_id}."))

        return method

    def _refuse(self, error: A2AError) -> Any:
        return self._error(error.code, error.message, error_details(error))

    def _check_version(self, version: str | None) -> None:
        """R-VER-02 to R-VER-04: a missing version means 0.3."""
        if version == "1.0" or (
            version is not None and version.count(".") <= 2 and version.split(".")[:2] == ["1", "0"]
        ):
            return
        if version is None:
            text = "The request has no A2A-Version header, which means 0.3: add the header A2A-Version: 1.0."
        else:
            text = f"Version {version[:20]!r} is not supported here: send A2A-Version: 1.0."
        told = {"supportedVersions": ",".join(SUPPORTED_VERSIONS), "requestedVersion": (version or "0.3")[:20]}
        raise VersionNotSupportedError(text, metadata=told)

    def _check_capability(self, context: Context) -> None:
        """R-CAP-01 to R-CAP-04."""
        needs, name = context.operation.needs, context.operation.name
        if needs is not None and not getattr(self._card.capabilities, needs):
            if needs == "push_notifications":
                raise PushNotificationNotSupportedError
            raise UnsupportedOperationError(f"This agent does not offer {name}: see capabilities in its card.")
        if context.missing and needs != "extended_agent_card":
            raise ExtensionSupportRequiredError(
                f"Name the required extensions in A2A-Extensions: {', '.join(sorted(context.missing))}"
            )

    async def _send_message(self, context: Context, request: r.SendMessageRequest) -> bytes:
        sent = await self._service.send(context.call, request)
        if request.configuration is not None and request.configuration.return_immediately:
            return await sent.opened()
        return await sent.ended()

    async def _send_streaming_message(self, context: Context, request: r.SendMessageRequest) -> Rows:
        if context.last_event_id is not None:
            rows = await self._service.resume(context.call, request, context.last_event_id)
            if rows is not None:
                return rows
        sent = await self._service.send(context.call, request)
        return await sent.stream()

    async def _get_task(self, context: Context, request: r.GetTaskRequest) -> bytes:
        return await self._service.get(context.call, request)

    async def _list_tasks(self, context: Context, request: r.ListTasksRequest) -> bytes:
        return await self._service.list_tasks(context.call, request)

    async def _cancel_task(self, context: Context, request: r.CancelTaskRequest) -> bytes:
        return await self._service.cancel(context.call, request)

    async def _subscribe_to_task(self, context: Context, request: r.SubscribeToTaskRequest) -> Rows:
        return await self._service.subscribe(context.call, request, context.last_event_id)

    async def _not_supported(self, context: Context, request: WireObject) -> bytes:
        raise UnsupportedOperationError(f"{context.operation.name} is not available yet.")


_ANYBODY = Caller()
_NONE: frozenset[str] = frozenset()


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _wrong_type(headers: Headers) -> Answer | None:
    """R-JRPC-02, R-JRPC-03: told before the body is read. Compressed bodies are refused."""
    sent = headers.get(b"content-type", b"application/json")
    kind = b"" if sent == b"application/json" else sent.partition(b";")[0].strip().lower()
    if kind not in (b"application/json", b"") and not kind.endswith(b"+json"):
        return _refusal(415, ContentTypeNotSupportedError("Send the request as application/json."))
    if b"content-encoding" in headers and headers[b"content-encoding"].lower() != b"identity":
        return _refusal(415, ContentTypeNotSupportedError("Send the request without Content-Encoding."))
    return None


def _refusal(status: int, error: A2AError) -> Answer:
    """The connection stays open: closed on a client that still sends its body, it would be reset, and no client would
    see why. What comes is thrown away by the HTTP server as it comes."""
    return Answer(error_response(error_object(error), None), status)


def _query_version(scope: Scope) -> str | None:
    query = scope.get("query_string", b"")
    if not query:
        return None
    found = parse_qs(query.decode("latin-1")).get("A2A-Version")
    return found[0] if found else None


def _last_event_id(headers: Headers) -> int | None:
    found = headers.get(b"last-event-id")
    return int(found) if found is not None and found.isdigit() and len(found) < 16 else None


def _framer(prefix: bytes, shows_turns: bool) -> Callable[[list[Row]], bytes]:
    def frame(rows: list[Row]) -> bytes:
        pieces = []
        for seq, row in rows:
            if row[0] != SHOWN:
                if not shows_turns or row[:1] != TURN_ROW:
                    continue
                row = row[1:]
            pieces.append(b"%b%b}\nid: %d\n\n" % (prefix, row, seq) if seq else b"%b%b}\n\n" % (prefix, row))
        return b"".join(pieces)

    return frame


def _error_frame(error: Exception, found: RequestId) -> bytes:
    told = error if isinstance(error, A2AError) else Unavailable() if isinstance(error, StoreError) else InternalError()
    return b"event: error\ndata: " + error_response(error_object(told), found) + b"\n\n"
