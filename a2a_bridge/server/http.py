"""Reading bodies and writing answers, straight over ASGI: what both bindings share."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import NamedTuple, Protocol
from urllib.parse import parse_qs

from starlette.types import Receive, Scope, Send

from a2a_bridge.errors import A2AError, BusyError, ContentTypeNotSupportedError, InternalError, InvalidRequestError

JSON = b"application/json"
HeaderPairs = tuple[tuple[bytes, bytes], ...]
Headers = Mapping[bytes, bytes]
"""Headers of a request by their names in lower case; of one that was sent twice the first counts."""


class ClientGone(Exception):
    """The client hung up before its request was complete: there is nobody to answer."""


class Unauthenticated(InvalidRequestError):
    """The request needs credentials, or those that it has are not valid."""

    http_status, grpc_status, reason = 401, "UNAUTHENTICATED", "UNAUTHENTICATED"


class Forbidden(InvalidRequestError):
    """The caller may not do this."""

    http_status, grpc_status, reason = 403, "PERMISSION_DENIED", "PERMISSION_DENIED"


class TooManyRequests(InvalidRequestError):
    """Too many requests: try again later."""

    http_status, grpc_status, reason = 429, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"


class Unavailable(InternalError):
    """The server cannot keep anything at present: try again later."""

    http_status, grpc_status, reason = 503, "UNAVAILABLE", "UNAVAILABLE"


class Refused(Exception):
    """The request does not come in, for a reason of HTTP: each binding tells it in its own form of error body.

    `status` is that of `error` unless given; `headers` go with the answer (WWW-Authenticate, Retry-After).
    """

    def __init__(self, error: A2AError, status: int | None = None, headers: HeaderPairs = ()) -> None:
        super().__init__(error.message)
        self.error = error
        self.status = error.http_status if status is None else status
        self.headers = headers


def later(seconds: float) -> HeaderPairs:
    """Retry-After, in whole seconds, at least one."""
    return ((b"retry-after", b"%d" % max(1, ceil(seconds))),)


AGAIN: Mapping[str, int] = {Unavailable.reason: 503, BusyError.reason: 429}
"""Errors of an operation that HTTP has a status for whatever the binding, by their reason: try again later."""


class Responds(Protocol):
    """Anything that answers a request: ours or Starlette's."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


def headers_of(scope: Scope) -> Headers:
    """The headers, found faster than by looking through the list for each."""
    return dict(reversed(list(scope["headers"])))


def check_type(headers: Headers) -> None:
    """Refuse what is not JSON by its Content-Type, and what is compressed (R-JRPC-02, R-JRPC-03, R-REST-08).

    A missing type is taken for JSON, but not from a browser, which would send such a body to us from any site unasked.
    """
    sent = headers.get(b"content-type", b"")
    kind = sent if sent == JSON else sent.partition(b";")[0].strip().lower()
    if not (kind == JSON or kind.endswith(b"+json") if kind else b"origin" not in headers):
        raise Refused(ContentTypeNotSupportedError("Send the request as application/json."), 415)
    if b"content-encoding" in headers and headers[b"content-encoding"].lower() != b"identity":
        raise Refused(ContentTypeNotSupportedError("Send the request without Content-Encoding."), 415)


async def read_body(headers: Headers, receive: Receive, limit: int) -> bytes:
    """The whole body, at most `limit` bytes, told by its announced length before it is read (R-JRPC-13).

    The connection of a body that is refused stays open: closed on a client that still sends, it would be reset, and no
    client would see why. What comes is thrown away by the HTTP server as it comes.
    """
    announced = headers.get(b"content-length")
    if announced is not None and announced.isdigit() and int(announced) > limit:
        raise _too_large(limit)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise ClientGone
    if not message.get("more_body") and len(body) <= limit:
        return body
    chunks = [body]
    size = len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > limit:
            raise _too_large(limit)
    if size > limit:
        raise _too_large(limit)
    return b"".join(chunks)


def _too_large(limit: int) -> Refused:
    return Refused(InvalidRequestError(f"The body is larger than {limit} bytes."), 413)


class Answer(NamedTuple):
    """A complete response with a known body."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: HeaderPairs = ()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, status, content_type, more = self
        headers = [*more]
        if status != 204 and status != 304:  # those have no content, hence no length (RFC 9110 §8.6)
            headers.append((b"content-length", b"%d" % len(body)))
        if body:
            headers.append((b"content-type", content_type))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def header_list(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> list[str]:
    """The items of a comma-separated header that may be repeated."""
    lines = [value.decode("latin-1") for found, value in headers if found == name]
    return [item.strip() for line in lines for item in line.split(",") if item.strip()]


def text_of(headers: Headers, name: bytes) -> str | None:
    """A header as text, or None if it was not sent."""
    found = headers.get(name)
    return None if found is None else found.decode("latin-1")


def version_of(scope: Scope, headers: Headers) -> str | None:
    """The version that a request asks for, in its header or else in its query; None if it does not say (R-VER-02)."""
    found = text_of(headers, b"a2a-version")
    query = scope.get("query_string", b"")
    if found or not query:
        return found or None
    return next(iter(parse_qs(query.decode("latin-1")).get("A2A-Version", ())), None)


def raw(headers: Mapping[str, str]) -> HeaderPairs:
    """Headers as ASGI wants them."""
    return tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items())
