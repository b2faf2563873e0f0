"""What one connection may send, and how slowly: uvicorn's httptools protocol, with bounds.

uvicorn collects the head of a request whatever its size, and waits for the rest of a request however long. Here a head
has `MAX_HEAD` bytes and `MAX_HEADERS` lines, or the answer is 400; it comes within `HEAD_SECONDS`, and the body within
`BODY_SECONDS` after that, or the connection is cut. (The size of bodies is bounded by whoever reads them.) uvicorn's
other protocol, for Pythons without httptools, has a bound for heads of its own.

The timer belongs to the connection: it runs while a new connection has sent nothing and while a request has come in
part; a request that comes in one piece costs no timer. A connection that waits for its next request is uvicorn's, which
closes it after a while (`Listening.keep_alive`).

The head of an answer waits for its body, which is there in the same step as a rule: one packet for both. What does not
come in that step is not waited for (`Joining`).

What a client's certificate says who it is goes into the scope, as the `tls` extension of ASGI has it.
"""

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.auto import AutoHTTPProtocol

MAX_HEAD: Final = 64 << 10
MAX_HEADERS: Final = 200
HEAD_SECONDS = 20.0
BODY_SECONDS = 60.0
JOINED: Final = 64 << 10  # larger bodies are not copied to stand behind their heads


def certificate_name(certificate: Any) -> str:
    """Whose certificate it is: its first URI (a SPIFFE id), else its first DNS name, else its common name."""
    names = certificate.get("subjectAltName", ())
    for kind in ("URI", "DNS"):
        for found, value in names:
            if found == kind:
                return str(value)
    common = (value for part in certificate.get("subject", ()) for key, value in part if key == "commonName")
    return str(next(common, ""))


class Joining:
    """A transport that sends the head of an answer with the first bytes of its body.

    A head that is written alone is held until the next write, or else until the loop comes round, so a stream's head
    goes out before its first event. To write is what a small answer costs most for, whoever reads it.
    """

    __slots__ = ("_call_soon", "_head", "_held", "_transport", "get_extra_info", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._head = b""
        self._held: asyncio.Handle | None = None
        self.is_closing = transport.is_closing
        self.get_extra_info = transport.get_extra_info

    def write(self, data: bytes) -> None:
        if self._held is not None:
            self._held.cancel()
            head, self._head, self._held = self._head, b"", None
            if len(data) <= JOINED:
                self._transport.write(head + data)
                return
            self._transport.write(head)
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._held = self._call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._held is not None:
            self._held.cancel()
            head, self._head, self._held = self._head, b"", None
            if not self.is_closing():  # the client may have gone since: uvloop raises then
                self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


HTTP: type[asyncio.Protocol] = AutoHTTPProtocol
"""What uvicorn is to use."""

if AutoHTTPProtocol.__name__ == "HttpToolsProtocol":
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class BoundedHttp(HttpToolsProtocol):
        """One connection."""

        _awaits_head = False
        _awaits_body = False
        _received = 0  # bytes since this head began, counted in whole packets
        _packet = 0
        _timer: asyncio.TimerHandle | None = None
        _tls: dict[str, Any] | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.transport = cast(asyncio.Transport, Joining(transport, self.loop))
            self._timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)
            tls = transport.get_extra_info("ssl_object")
            if tls is not None and (certificate := tls.getpeercert()):
                self._tls = {"tls": {"client_cert_name": certificate_name(certificate)}}

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._packet = len(data)
            if self._awaits_head:
                self._received += self._packet
            super().data_received(data)
            if self._awaits_head:
                if self._received > MAX_HEAD and not self.transport.is_closing():
                    self.send_400_response("The head of the request is too large.")
                self._start_timer(HEAD_SECONDS)
            elif self._awaits_body:
                self._start_timer(BODY_SECONDS)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._tls is not None:
                self.scope["extensions"] = self._tls
            self._awaits_head = True
            self._received = self._packet

        def on_headers_complete(self) -> None:
            self._stop_timer()
            self._awaits_head, self._awaits_body = False, True
            if self._received > MAX_HEAD or len(self.headers) > MAX_HEADERS:
                size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
                if size > MAX_HEAD or len(self.headers) > MAX_HEADERS:
                    raise ValueError("the head of a request is too large")  # the parser's caller answers 400
            super().on_headers_complete()

        def on_message_complete(self) -> None:
            self._stop_timer()
            self._awaits_body = False
            super().on_message_complete()

        def _start_timer(self, seconds: float) -> None:
            if self._timer is None and not self.transport.is_closing():
                self._timer = self.loop.call_later(seconds, self._too_slow)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _too_slow(self) -> None:
            self._timer = None
            if not self.transport.is_closing():
                self.transport.abort()

    HTTP = BoundedHttp
