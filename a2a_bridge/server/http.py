"""Reading bodies and writing answers, straight over ASGI: what both bindings share."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from starlette.types import Receive, Scope, Send

JSON = b"application/json"
RawHeaders = Iterable[tuple[bytes, bytes]]
Headers = Mapping[bytes, bytes]
"""Headers of a request by their names in lower case; of one that was sent twice the first counts."""


class ClientGone(Exception):
    """The client hung up before its request was complete: there is nobody to answer."""


class TooLarge(Exception):
    """The body is larger than the limit."""


class Responds(Protocol):
    """Anything that answers a request: ours or Starlette's."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


def headers_of(scope: Scope) -> Headers:
    """The headers, found faster than by looking through the list for each."""
    return dict(reversed(list(scope["headers"])))


async def read_body(headers: Headers, receive: Receive, limit: int) -> bytes:
    """The whole body, at most `limit` bytes, told by its announced length before it is read (R-JRPC-13)."""
    announced = headers.get(b"content-length")
    if announced is not None and announced.isdigit() and int(announced) > limit:
        raise TooLarge
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
            raise TooLarge
    if size > limit:
        raise TooLarge
    return b"".join(chunks)


class Answer(NamedTuple):
    """A complete response with a known body."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()

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


def raw(headers: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    """Headers as ASGI wants them."""
    return tuple((name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items())
