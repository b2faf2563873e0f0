"""An httpx transport that calls an ASGI app in process and streams its answer as it comes.

httpx's own `ASGITransport` collects the whole body before it returns, so it cannot show a stream. Here the app runs
in a task of its own, which the response owns: closing the response (also before its end) tells the app that the
client has gone away and waits for it to finish.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
from starlette.types import ASGIApp


class AppTransport(httpx.AsyncBaseTransport):
    """Requests to any host go to `app`. `raise_app_errors`: an exception of the app is raised in the test."""

    def __init__(self, app: ASGIApp, *, raise_app_errors: bool = True) -> None:
        self._app = app
        self._raise = raise_app_errors

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        exchange = _Exchange(await request.aread())
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "headers": [(name.lower(), value) for name, value in request.headers.raw],
            "scheme": request.url.scheme,
            "path": request.url.path,
            "raw_path": request.url.raw_path.split(b"?")[0],
            "query_string": request.url.query,
            "server": (request.url.host, request.url.port),
            "client": ("127.0.0.1", 1234),
            "root_path": "",
        }
        exchange.task = asyncio.get_running_loop().create_task(self._run(scope, exchange))
        try:
            await exchange.started.wait()
        except asyncio.CancelledError:
            await exchange.aclose()
            raise
        if exchange.error is not None and self._raise:
            raise exchange.error
        return httpx.Response(exchange.status, headers=exchange.headers, stream=exchange)

    async def _run(self, scope: dict[str, Any], exchange: "_Exchange") -> None:
        try:
            await self._app(scope, exchange.receive, exchange.send)
        except Exception as error:  # shown to the test by whoever waits for the response
            exchange.error = error
            exchange.status = 500
        finally:
            exchange.started.set()
            exchange.chunks.put_nowait(None)


class _Exchange(httpx.AsyncByteStream):
    """One request and its response."""

    def __init__(self, body: bytes) -> None:
        self.task: asyncio.Task[None] | None = None
        self.status = 500
        self.headers: list[tuple[bytes, bytes]] = []
        self.error: Exception | None = None
        self.started = asyncio.Event()
        self.chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._body: bytes | None = body
        self._gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = list(message.get("headers", []))
            self.started.set()
        elif message.get("body"):
            self.chunks.put_nowait(message["body"])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (chunk := await self.chunks.get()) is not None:
            yield chunk

    async def aclose(self) -> None:
        self._gone.set()
        if self.task is not None:
            await asyncio.wait([self.task])
