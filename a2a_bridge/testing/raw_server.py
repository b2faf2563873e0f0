"""An A2A server that does exactly what a test tells it to, and nothing right by itself.

It speaks HTTP by hand over real sockets, so it can cut a connection after any byte, send what no library would send,
and never answer.
"""

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from a2a_bridge.client.client import Client, Retries

Handler = Callable[["Exchange"], Awaitable[None]]

QUICK = Retries(times=2, resumes=2, pause=0.001)


class Exchange:
    """One request, and the hand that writes its answer."""

    def __init__(
        self, verb: str, path: str, headers: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        self.verb = verb
        self.path = path
        self.headers = headers
        self.body = body
        self.writer = writer
        self.json: Any = json.loads(body) if body[:1] in (b"{", b"[") else None
        self.rpc: dict[str, Any] = self.json if isinstance(self.json, dict) else {}
        self.gone = asyncio.Event()

    @property
    def params(self) -> dict[str, Any]:
        found: dict[str, Any] = self.rpc["params"]
        return found

    async def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(
        self, body: bytes, *, status: int = 200, media: str = "application/json", headers: dict[str, str] | None = None
    ) -> None:
        """A whole HTTP answer."""
        more = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        media_type = f"Content-Type: {media}\r\n" if media else ""
        head = f"HTTP/1.1 {status} Whatever\r\n{media_type}Content-Length: {len(body)}\r\n{more}\r\n"
        await self.raw(head.encode() + body)

    async def result(self, result: Any, *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        """A JSON-RPC result under the id of the request."""
        await self.answer(
            json.dumps({"jsonrpc": "2.0", "id": self.rpc["id"], "result": result}).encode(),
            status=status,
            headers=headers,
        )

    async def error(
        self,
        code: int,
        message: str = "no",
        data: Any = None,
        *,
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> None:
        """A JSON-RPC error."""
        error = {"code": code, "message": message} | ({} if data is None else {"data": data})
        await self.answer(
            json.dumps({"jsonrpc": "2.0", "id": self.rpc.get("id"), "error": error}).encode(),
            status=status,
            headers=headers,
        )

    async def stream(self, *events: Any, ids: int | None = None) -> None:
        """The head of a stream that ends with its connection, and events; `ids`: the number of the first one."""
        await self.raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        await self.events(*events, ids=ids)

    async def bare(self, *events: Any) -> None:
        """A stream of bare JSON, as HTTP+JSON has it."""
        await self.stream()
        for event in events:
            await self.raw(f"data: {json.dumps(event)}\n\n".encode())

    async def events(self, *events: Any, ids: int | None = None) -> None:
        """More events, each a StreamResponse."""
        for number, event in enumerate(events):
            if ids is not None:
                await self.raw(f"id: {ids + number}\n".encode())
            envelope = json.dumps({"jsonrpc": "2.0", "id": self.rpc["id"], "result": event})
            await self.raw(f"data: {envelope}\n\n".encode())

    def cut(self) -> None:
        """Break the connection without a goodbye."""
        self.writer.transport.abort()


class RawServer:
    """`on("SendMessage", handler, ...)`: the handlers answer one request each, in order; the last one all others.

    A handler that returns has its connection closed. The card is served unless `on("card", ...)` says otherwise.
    """

    def __init__(self) -> None:
        self.requests: list[Exchange] = []
        self.came = asyncio.Event()
        self.card: dict[str, Any] = {}
        self.url = ""
        self.connections = 0
        self.keep_alive = False
        self._handlers: dict[str, deque[Handler]] = defaultdict(deque)

    def on(self, what: str, *handlers: Handler) -> None:
        """What to do for a method, for "card", or for a verb and path such as "GET /tasks/t1"."""
        self._handlers[what].extend(handlers)

    def reset(self) -> None:
        """Forget handlers and requests."""
        self._handlers.clear()
        self.requests.clear()

    def calls(self, method: str) -> list[Exchange]:
        """Requests of one method so far."""
        return [request for request in self.requests if request.rpc.get("method") == method]

    def client(self, **more: Any) -> Client:
        """A client that tries again soon."""
        return Client(self.url, **{"retries": QUICK, **more})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while (exchange := await self._read(reader, writer)) is not None:
                self.requests.append(exchange)
                self.came.set()
                await self._handle(exchange)
                if not self.keep_alive:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Exchange | None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.strip().split("\r\n")
        verb, path, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Exchange(verb, path, headers, body, writer)

    async def _handle(self, exchange: Exchange) -> None:
        route = f"{exchange.verb} {exchange.path}"
        what = "card" if exchange.verb == "GET" else exchange.rpc.get("method", route)
        handlers = self._handlers[route if route in self._handlers else what]
        if handlers:
            await (handlers.popleft() if len(handlers) > 1 else handlers[0])(exchange)
        elif what == "card":
            await exchange.answer(json.dumps(self.card).encode())
        else:
            await exchange.error(-32601, "Method not found")


def make_card(url: str, **more: Any) -> dict[str, Any]:
    """A v1.0 card."""
    return {
        "name": "raw",
        "description": "Does what it is told.",
        "version": "1",
        "supportedInterfaces": [{"url": f"{url}/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "capabilities": {"streaming": True},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [],
        **more,
    }


@asynccontextmanager
async def raw_server() -> AsyncIterator[RawServer]:
    """A server on a free port of loopback, in this event loop."""
    server = RawServer()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    server.card = make_card(server.url)
    try:
        yield server
    finally:
        listening.close()
