"""An httpx transport over aiohttp, whose calls cost half as much; used for calls to other agents where it is installed.

Import this module only where the import, a third of a second, holds nobody up: `net.warm()` does it in a thread. The
pool belongs to the `Http` that made it. A body that was read to its end gives the connection back; any other close
drops it, cancelling a call too.
"""

import os
import select
import ssl
from collections.abc import AsyncGenerator
from typing import Any
from weakref import WeakSet

import aiohttp
import httpx
from yarl import URL

LONGEST_LINE = 64 << 10
"""Bytes of one line in the head of an answer."""


class AiohttpTransport(httpx.AsyncBaseTransport):
    """Pooled connections; `tls` None: plain http only. Redirects, cookies, proxies and decoding are left alone."""

    def __init__(self, tls: ssl.SSLContext | None, keepalive: float) -> None:
        self._tls = tls
        self._keepalive = keepalive
        self._session: aiohttp.ClientSession | None = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(self._tls, self._keepalive),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                max_line_size=LONGEST_LINE,
                max_field_size=LONGEST_LINE,
            )
        return self._session

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request and wait for the head of the answer; raises what httpx's own transport raises."""
        try:
            answer = await self._sent(request)
        except aiohttp.ServerTimeoutError as error:
            raise httpx.ConnectTimeout(str(error)) from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise httpx.ConnectError(str(error.certificate_error)) from error
        except aiohttp.ClientConnectorSSLError as error:
            raise httpx.ConnectError(str(error.os_error)) from error
        except aiohttp.ClientConnectorError as error:
            reason = os.strerror(error.os_error.errno) if error.os_error.errno else "connection failed"
            raise httpx.ConnectError(reason) from error  # without the address, which others may read
        except aiohttp.ClientError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        except ValueError as error:
            raise httpx.LocalProtocolError(str(error)) from error
        return httpx.Response(answer.status, headers=answer.raw_headers, stream=_Body(answer), request=request)

    async def _sent(self, request: httpx.Request) -> aiohttp.ClientResponse:
        """A pooled connection may turn out to be closed when the first byte is to be written: then nothing has been
        sent, and another one is taken."""
        connect = request.extensions.get("timeout", {}).get("connect")
        while True:
            try:
                return await self._opened().request(
                    request.method,
                    URL(str(request.url), encoded=True),
                    headers=request.headers.multi_items(),
                    data=request.content or None,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, connect=connect, sock_read=None),
                )
            except aiohttp.ClientOSError as error:
                if not isinstance(error.__cause__, aiohttp.ClientConnectionResetError):
                    raise

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()


class _Connector(aiohttp.TCPConnector):  # type: ignore[misc]  # checked without its types
    """A pool that looks at the socket before it gives a connection a second time.

    Servers close what was idle, some after each answer and without saying so. The event loop may not have read that
    yet, and a request that is written all the same is lost without a word about whether it was served.
    """

    def __init__(self, tls: ssl.SSLContext | None, keepalive: float) -> None:
        super().__init__(limit=0, keepalive_timeout=keepalive, ssl=True if tls is None else tls)
        self._given: WeakSet[Any] = WeakSet()

    async def connect(self, req: aiohttp.ClientRequest, traces: list[Any], timeout: aiohttp.ClientTimeout) -> Any:
        """A new connection is taken as it is."""
        while True:
            connection = await super().connect(req, traces, timeout)
            if connection.protocol not in self._given:
                self._given.add(connection.protocol)
                return connection
            if not _is_readable(connection.transport):
                return connection
            connection.close()


def _is_readable(transport: Any) -> bool:
    """Something came on a connection that waits for no answer: most likely its end."""
    socket = transport.get_extra_info("socket")
    if not hasattr(select, "poll"):  # Windows; elsewhere `select` fails on large numbers
        return bool(select.select([socket], [], [], 0)[0])
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))


class _Body(httpx.AsyncByteStream):
    """The body of one answer, piece by piece as it comes."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        try:
            async for piece in self._answer.content.iter_any():
                yield piece
        except aiohttp.ClientError as error:
            raise httpx.ReadError(str(error)) from error

    async def aclose(self) -> None:
        if self._answer.content.at_eof():
            self._answer.release()
        else:
            self._answer.close()
