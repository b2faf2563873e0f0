"""A fake OpenAI-compatible server on loopback: real HTTP, real streams, and words that a test can foresee.

Threads: the server runs in daemon threads of its own, one per connection, so that it answers whatever the test's
event loop does, sync clients included. `close` stops them and is called by the `with` block. All counters are behind
one condition, which every change notifies; waiting on it is how a test waits.
A slow answer watches its connection while it waits, so a client that hangs up is noticed within moments and its
request is marked `aborted`. `release` lets all slow answers run to their end at once.
"""

import asyncio
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from a2a_bridge.testing.fake_model import Conversation, Said, directed
from a2a_bridge.testing.fake_wire import ChatWire, Event, ResponsesWire, Wire, WireError

_WIRES: Mapping[str, Wire] = {"/v1/chat/completions": ChatWire(), "/v1/responses": ResponsesWire()}
_SLOW_WORDS = " ".join(f"w{number}" for number in range(60))


@dataclass(slots=True)
class Seen:
    """One request to the model; `aborted`: the client hung up before it had the whole answer."""

    path: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    open: bool = True
    aborted: bool = False


class FakeOpenAI:
    """`with FakeOpenAI() as model:` and point a client at `model.base_url`; any key does.

    `model`: what it says, by default `fake_model.directed`. `pace`: seconds before each word of a slow answer.
    """

    def __init__(self, model: Callable[[Conversation], Said] = directed, *, pace: float = 0.1) -> None:
        self._model = model
        self._pace = pace
        self._changed = threading.Condition()
        self._released = threading.Event()
        self._seen: list[Seen] = []
        self._failed: set[int] = set()
        self._server = _Server(self)
        self._thread = threading.Thread(
            target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True, name="fake-openai"
        )

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let slow answers run out, then stop."""
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def requests(self) -> list[Seen]:
        """All requests so far, oldest first."""
        with self._changed:
            return list(self._seen)

    @property
    def open(self) -> int:
        """How many requests are being answered now."""
        return sum(seen.open for seen in self.requests)

    @property
    def aborted(self) -> int:
        """How many clients hung up before they had their answer."""
        return sum(seen.aborted for seen in self.requests)

    def release(self) -> None:
        """From now on nothing is slow; answers that are on their way finish at once."""
        self._released.set()

    def hold(self) -> None:
        """Slow answers are slow again."""
        self._released.clear()

    def wait_until(self, holds: Callable[["FakeOpenAI"], bool], timeout: float = 15.0) -> None:
        """Block until `holds(self)`; TimeoutError after `timeout` seconds: the first call loads much of a framework."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while not holds(self):
                if not self._changed.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"the fake model: {self.open} open, {self.aborted} aborted")

    async def until(self, holds: Callable[["FakeOpenAI"], bool], timeout: float = 15.0) -> None:
        """`wait_until` for a test that runs in an event loop."""
        await asyncio.to_thread(self.wait_until, holds, timeout)

    def started(self, seen: Seen) -> int:
        """The server's side: a request has come in; its number."""
        with self._changed:
            self._seen.append(seen)
            self._changed.notify_all()
            return len(self._seen)

    def ended(self, seen: Seen, *, aborted: bool) -> None:
        """The server's side: a request has been answered, or its client is gone."""
        with self._changed:
            seen.open, seen.aborted = False, aborted
            self._changed.notify_all()

    def decide(self, asked: Conversation) -> Said:
        """The server's side: what to answer."""
        said = self._model(asked)
        if said.failure and said.once:
            with self._changed:
                if said.failure in self._failed:
                    return Said(text="Recovered.")
                self._failed.add(said.failure)
        if said.slow and not said.calls:
            return Said(text=f"{said.text} {_SLOW_WORDS}", slow=True)
        return said

    def pause(self, connection: socket.socket) -> None:
        """One pause of a slow answer; ConnectionError as soon as the client hangs up."""
        until = time.monotonic() + self._pace
        while not self._released.is_set() and (left := until - time.monotonic()) > 0:
            readable, _, _ = select.select([connection], [], [], min(left, 0.05))
            if readable and connection.recv(1, socket.MSG_PEEK) == b"":
                raise ConnectionResetError("the client hung up")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128  # of connections that wait to be accepted; the system resets those beyond

    def __init__(self, owner: FakeOpenAI) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.owner = owner

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is not worth a traceback on stderr."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else an answer is held back until its client has acknowledged the head of it
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _send(self, body: Any, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, status: int, message: str) -> None:
        self._send({"error": {"message": message, "type": "invalid_request_error", "code": status}}, status)

    def do_GET(self) -> None:
        if self.path.rstrip("/") == "/v1/models":
            model = {"id": "fake-model", "object": "model", "created": 0, "owned_by": "tests"}
            self._send({"object": "list", "data": [model]})
        else:
            self._refuse(404, f"no such path: {self.path}")

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        path = self.path.partition("?")[0]
        wire = _WIRES.get(path)
        if wire is None:
            self._refuse(404, f"no such path: {path}")
            return
        body = json.loads(raw or b"{}")
        seen = Seen(path, body, dict(self.headers))
        number = self.server.owner.started(seen)
        aborted = False
        try:
            self._answer(wire, body, number)
        except ConnectionError:
            aborted = self.close_connection = True
        finally:
            self.server.owner.ended(seen, aborted=aborted)

    def _answer(self, wire: Wire, body: Mapping[str, Any], number: int) -> None:
        owner = self.server.owner
        try:
            said = owner.decide(wire.read(body))
        except WireError as error:
            self._refuse(400, str(error))
            return
        if said.failure:
            self._refuse(said.failure, f"the test asked for {said.failure}")
        elif body.get("stream"):
            self._stream(wire.stream(body, said, number), slow=said.slow)
        else:
            for _ in said.words if said.slow else ():
                owner.pause(self.connection)
            self._send(wire.answer(body, said, number))

    def _stream(self, events: Iterable[Event], *, slow: bool) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in events:
            if slow and event.waits:
                self.server.owner.pause(self.connection)
            name = f"event: {event.name}\n" if event.name else ""
            data = f"{name}data: {event.data}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.write(b"0\r\n\r\n")
