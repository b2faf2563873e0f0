"""What one connection may send before there is a request: uvicorn's httptools protocol, with bounds.

uvicorn collects the head of a request whatever its size and waits for it however long. Here a head has `MAX_HEAD` bytes
and `MAX_HEADERS` lines and comes within `HEAD_SECONDS`, or the connection is closed, the first two with 400. (Bodies
are bounded by whoever reads them.) uvicorn's other protocol, for Pythons without httptools, has a bound of its own.

The timer belongs to the connection: it runs while a head is awaited on a new connection or has begun to come, and ends
with the head or the connection. A connection that waits for its next request is uvicorn's, which closes it after five
seconds.
"""

import asyncio
from typing import Final

from uvicorn.protocols.http.auto import AutoHTTPProtocol

MAX_HEAD: Final = 64 << 10
MAX_HEADERS: Final = 200
HEAD_SECONDS: Final = 20.0

HTTP: type[asyncio.Protocol] = AutoHTTPProtocol
"""What uvicorn is to use."""

if AutoHTTPProtocol.__name__ == "HttpToolsProtocol":
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

    class BoundedHttp(HttpToolsProtocol):
        """One connection."""

        _received = 0  # bytes since this head began, counted in whole packets
        _packet = 0
        _head_timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_is_there()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            self._packet = len(data)
            if self._head_timer is None:
                super().data_received(data)
                return
            self._received += self._packet
            super().data_received(data)
            if self._received > MAX_HEAD and self._head_timer is not None and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._head_timer is None:
                self._expect_head()
                self._received = self._packet

        def on_headers_complete(self) -> None:
            self._head_is_there()
            if self._received > MAX_HEAD or len(self.headers) > MAX_HEADERS:
                size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
                if size > MAX_HEAD or len(self.headers) > MAX_HEADERS:
                    raise ValueError("the head of a request is too large")  # the parser's caller answers 400
            super().on_headers_complete()

        def _expect_head(self) -> None:
            self._received = 0
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

        def _head_is_there(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

        def _too_slow(self) -> None:
            if not self.transport.is_closing():
                self.transport.abort()

    HTTP = BoundedHttp
