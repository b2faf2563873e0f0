"""The JSON-RPC binding (A2A 1.0.1 §9): bytes in, bytes or a stream out.

jsonrpcserver calls the method with its parameters and holds it to giving a result or an error. What it would add
beyond that is replaced: the deserializer and the envelope check are ours (`protocol/jsonrpc.py`), there is one request
and so no `gather`, and arguments are not matched with a signature first, because methods are `(context, /, **params)`
and take any. Methods never raise: the library would send the exception's text. A streaming method gives a stream as
its result, so that its refusals are ordinary answers (R-STRM-09).

The library is imported when the first app is built; `warm` runs in a thread after start.
"""

import warnings
from collections.abc import Mapping
from typing import Any

from starlette.types import Receive, Scope, Send

from a2a_bridge.agent import Caller
from a2a_bridge.errors import (
    A2AError,
    InvalidParamsError,
    InvalidRequestError,
    JSONParseError,
    MethodNotFoundError,
)
from a2a_bridge.observe import trace
from a2a_bridge.protocol import requests as r
from a2a_bridge.protocol import v03
from a2a_bridge.protocol.dialect import V1, Dialect
from a2a_bridge.protocol.extensions import TURN_EXTENSION
from a2a_bridge.protocol.jsonrpc import (
    RequestId,
    check_envelope,
    error_object,
    error_response,
    parse_body,
    request_id,
    result_head,
)
from a2a_bridge.protocol.methods import OPERATIONS, Operation
from a2a_bridge.server.http import (
    AGAIN,
    Answer,
    ClientGone,
    HeaderPairs,
    Headers,
    Refused,
    Responds,
    check_type,
    headers_of,
    later,
    read_body,
    text_of,
)
from a2a_bridge.server.operations import ANYBODY, Context, Operations, answer_headers, told
from a2a_bridge.server.sse import EventStream, Streams, framer

_HERE = "An agent is here: POST JSON-RPC 2.0 to it; its card is at .well-known/agent-card.json below."
_POST_HERE = error_response(error_object(InvalidRequestError(_HERE)), None)
_OLD_NAMES = ": it is one of A2A 0.3, and this server speaks 1.0 (SendMessage, with the header A2A-Version: 1.0)"
METHODS: Mapping[str, tuple[Operation, Dialect]] = {operation.name: (operation, V1) for operation in OPERATIONS}
"""Every method of 1.0: its operation, and the version of the protocol that it belongs to."""


BINDING = "JSONRPC"
EVENT_STREAM = b"text/event-stream; charset=utf-8"


class JsonRpcEndpoint:
    """One agent's JSON-RPC URL."""

    def __init__(
        self, operations: Operations, streams: Streams, *, max_body: int = 4 << 20, max_depth: int = 64
    ) -> None:
        with warnings.catch_warnings():  # it reads a file of its own in a way that newer Pythons deprecate
            warnings.simplefilter("ignore", DeprecationWarning)
            from jsonrpcserver.async_dispatcher import call as call_method
            from jsonrpcserver.request import Request
            from jsonrpcserver.result import Error, Success

        self._operations = operations
        self._streams = streams
        self._max_body = max_body
        self._max_depth = max_depth
        self._call_method = call_method
        self._request, self._error, self._success = Request, Error, Success

    # --- HTTP

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except ClientGone:
            return
        except Refused as refused:
            self._operations.refused(refused.error, BINDING)
            body = error_response(error_object(refused.error), None)
            answer = Answer(body, refused.status, headers=refused.headers)
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Responds:
        headers = headers_of(scope)
        if scope["method"] != "POST":
            return Answer(_POST_HERE, 405, headers=((b"allow", b"POST"),))
        operations = self._operations
        caller = ANYBODY if operations.gate is None else await operations.admit(scope)
        check_type(headers)
        body = await read_body(headers, receive, self._max_body)
        envelope: Any = None
        try:
            envelope = parse_body(body, self._max_depth)
            check_envelope(envelope)
        except A2AError as error:
            operations.refused(error, BINDING)
            found = None if isinstance(error, JSONParseError) else request_id(envelope)
            return Answer(error_response(error_object(error), found))
        spelled = r.may_use_snake_case(body)
        if (traceparent := text_of(headers, b"traceparent")) is None:
            return await self._execute(scope, headers, caller, envelope, spelled=spelled)
        with trace.continue_trace(traceparent):
            return await self._execute(scope, headers, caller, envelope, spelled=spelled)

    async def _execute(
        self, scope: Scope, headers: Headers, caller: Caller, envelope: Mapping[str, Any], *, spelled: bool
    ) -> Responds:
        name, params, found = envelope["method"], envelope.get("params"), envelope.get("id")
        asked = METHODS.get(name)
        speaks_old = v03.VERSION in self._operations.versions
        if asked is None and speaks_old:
            asked = v03.asked_by(name, params)
        refusal: A2AError | None = None
        if asked is None:
            hint = _OLD_NAMES if "/" in name and not speaks_old else ""
            refusal = MethodNotFoundError(f"There is no method {name[:100]!r}{hint}.")
        elif params is not None and not isinstance(params, dict):
            refusal = InvalidParamsError("The member params must be an object.")
        elif "id" not in envelope and asked[0].streams:
            refusal = InvalidRequestError("A streaming method needs a request id.")
        if refusal is not None or asked is None:
            dialect, refusal = V1 if asked is None else asked[1], refusal or MethodNotFoundError()
            self._operations.refused(refusal, BINDING, None if asked is None else asked[0])
            return Answer(error_response(_error_of(refusal, dialect), found))
        context = self._operations.context(scope, headers, caller, asked, spelled=spelled)
        answer = await self._call_method(self._request(name, params or {}, found), context, self._method)
        if "id" not in envelope:  # a notification: done, and nothing to say (R-JRPC-09)
            return Answer(b"", 204)
        return self._respond(answer, found, context)

    def _respond(self, answer: Any, found: RequestId, context: Context) -> Responds:
        headers = answer_headers(context)
        # `Left` and `Right` of the library keep their value in a private member and offer no other way to it.
        kept = vars(answer)
        error = kept.get("_error")
        if error is not None:
            return _refuse(error.data, found, context, headers)
        result = kept["_value"].result
        if isinstance(result, bytes):
            return Answer(result_head(found) + result + b"}", headers=headers)
        shows_turns = TURN_EXTENSION in context.call.extensions
        return EventStream(
            self._streams,
            result,
            framer(b"data: " + result_head(found), b"}", context.dialect.lower_row, shows_turns=shows_turns),
            failed=lambda error: _error_frame(told(error), found, context.dialect),
            headers={name.decode(): value.decode("latin-1") for name, value in headers},
            pings=context.dialect.pings,
            place=context.place,
        )

    async def _method(self, context: Context, /, **params: Any) -> Any:
        """The one method of the library's table: what was asked for stands in the context."""
        try:
            return self._success(await self._operations.perform(context, params))
        except A2AError as error:
            return self._error(error.code, error.message, error)


def _error_of(error: A2AError, dialect: Dialect) -> Mapping[str, Any]:
    return error_object(error) if dialect.lower_error is None else dialect.lower_error(error)


def _refuse(error: A2AError, found: RequestId, context: Context, headers: HeaderPairs) -> Answer:
    """An error as an answer; of a stream of 0.3 as its only event, so that its clients see the code (R-COMPAT-12)."""
    dialect = context.dialect
    if context.operation.streams and dialect.streams_refusals and not isinstance(error, InvalidParamsError):
        frame = _error_frame(error, found, dialect)
        return Answer(frame, content_type=EVENT_STREAM, headers=(*headers, (b"cache-control", b"no-store")))
    status = AGAIN.get(error.reason, 200)
    if status != 200:
        headers += later(1)
    return Answer(error_response(_error_of(error, dialect), found), status, headers=headers)


def _error_frame(error: A2AError, found: RequestId, dialect: Dialect) -> bytes:
    name = b"" if dialect.streams_refusals else b"event: error\n"
    return name + b"data: " + error_response(_error_of(error, dialect), found) + b"\n\n"
