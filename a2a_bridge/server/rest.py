"""The HTTP+JSON binding (A2A 1.0.1 §11): routes, queries and statuses around the same operations.

The app finds the route (`protocol/routes.py`); here its parameters are put together from path, query and body, and
the result is told as this binding tells it.
"""

from typing import Any

from starlette.types import Receive, Scope, Send

from a2a_bridge.agent import Caller
from a2a_bridge.cards.build import card_etag
from a2a_bridge.errors import A2AError, InvalidRequestError
from a2a_bridge.observe import trace
from a2a_bridge.protocol import requests as r
from a2a_bridge.protocol.extensions import TURN_EXTENSION
from a2a_bridge.protocol.jsonrpc import parse_body
from a2a_bridge.protocol.rest import query_params, status_body, with_path
from a2a_bridge.protocol.routes import Asked, Found
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
from a2a_bridge.server.operations import ANYBODY, Context, Operations, Result, answer_headers, told
from a2a_bridge.server.refusal import answer_type, refusal, wrong_verb
from a2a_bridge.server.sse import EventStream, Streams, framer
from a2a_bridge.server.well_known import is_known

BINDING = "HTTP+JSON"


class RestEndpoint:
    """One agent's HTTP+JSON routes."""

    def __init__(
        self, operations: Operations, streams: Streams, *, max_body: int = 4 << 20, max_depth: int = 64
    ) -> None:
        self._operations = operations
        self._streams = streams
        self._max_body = max_body
        self._max_depth = max_depth

    async def answer(self, found: Found, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request to this route, or to a verb that it does not have."""
        headers = headers_of(scope)
        try:
            answer = await self._answer(found, scope, headers, receive)
        except ClientGone:
            return
        except Refused as refused:
            self._operations.refused(refused.error, BINDING)
            answer = refusal(refused, headers, found.dialect)
        await answer(scope, receive, send)

    async def _answer(self, found: Found, scope: Scope, headers: Headers, receive: Receive) -> Responds:
        asked = found.verbs.get(scope["method"])
        if asked is None:
            raise wrong_verb(found.allow)
        operations = self._operations
        caller = ANYBODY if operations.gate is None else await operations.admit(scope)
        body = b""
        if scope["method"] == "POST" and _has_body(headers):
            check_type(headers)
            body = await read_body(headers, receive, self._max_body)
        if (traceparent := text_of(headers, b"traceparent")) is None:
            return await self._execute(asked, found, scope, headers, caller, body)
        with trace.continue_trace(traceparent):
            return await self._execute(asked, found, scope, headers, caller, body)

    async def _execute(
        self, asked: Asked, found: Found, scope: Scope, headers: Headers, caller: Caller, body: bytes
    ) -> Responds:
        spelled = bool(body) and r.may_use_snake_case(body)
        context = self._operations.context(scope, headers, caller, asked, spelled=spelled)
        context = context._replace(binding=BINDING)
        try:
            params = self._params(context, found, scope, body)
        except A2AError as error:
            context.leave()
            self._operations.refused(error, BINDING, context.operation)
            return _refusal(error, context, headers)
        try:
            result = await self._operations.perform(context, params)
        except A2AError as error:
            return _refusal(error, context, headers)
        return self._respond(result, context, headers)

    def _params(self, context: Context, found: Found, scope: Scope, body: bytes) -> dict[str, Any]:
        params = {} if not body else self._object(body)
        self._operations.check_version(context)  # before what is wrong with parameters (R-ERR-07)
        if scope["method"] != "POST":
            params = query_params(context.operation.request, scope["query_string"].decode("latin-1"))
        values = {**found.values, "tenant": found.tenant} if found.tenant else found.values
        return with_path(params, values) if values else params

    def _object(self, body: bytes) -> dict[str, Any]:
        found = parse_body(body, self._max_depth)
        if not isinstance(found, dict):
            raise InvalidRequestError("The body must be a JSON object.")
        return found

    def _respond(self, result: Result, context: Context, headers: Headers) -> Responds:
        more = answer_headers(context)
        if isinstance(result, bytes):
            content_type = answer_type(headers, context.dialect)
            if context.operation.name == "GetExtendedAgentCard":
                return _private(result, more, headers, content_type)
            body = b"{}" if context.operation.response is None else result
            return Answer(body, content_type=content_type, headers=more)
        shows_turns = TURN_EXTENSION in context.call.extensions
        return EventStream(
            self._streams,
            result,
            framer(b"data: ", b"", context.dialect.lower_row, shows_turns=shows_turns),
            failed=lambda error: b"event: error\ndata: " + status_body(told(error), dialect=context.dialect) + b"\n\n",
            headers={name.decode(): value.decode("latin-1") for name, value in more},
            pings=context.dialect.pings,
            place=context.place,
        )


def _private(body: bytes, more: HeaderPairs, headers: Headers, content_type: bytes) -> Answer:
    """A caller's own card: kept by nobody else, and by the caller to be asked about (R-EXTC-05)."""
    etag = card_etag(body)
    tagged = (*more, *_PRIVATE, (b"etag", etag.encode("ascii")))
    if is_known(headers, etag):
        return Answer(b"", 304, headers=tagged)
    return Answer(body, content_type=content_type, headers=tagged)


_PRIVATE: HeaderPairs = ((b"cache-control", b"private, no-cache"), (b"vary", b"Authorization, A2A-Version"))


def _refusal(error: A2AError, context: Context, headers: Headers) -> Answer:
    """The same of an operation: with its headers, and when to come again where that helps."""
    more = later(1) if error.reason in AGAIN else ()
    return refusal(Refused(error, headers=(*answer_headers(context), *more)), headers, context.dialect)


def _has_body(headers: Headers) -> bool:
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers
