"""Raw JSON-RPC for tests: what is sent is what was said, nothing is checked, retried or hidden on the way.

`Client` is polite; a test of the server must be able to be rude. A `Wire` posts any bytes to one URL and reads streams
event by event. Whoever opens a stream closes it: that closes its connection.
"""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from a2a_bridge.protocol.sse import SSEParser

WAIT = 30.0
"""Seconds after which a test takes a wait for a hang: long, because a busy machine is slow and nothing else."""

_ids = itertools.count(1)
T = TypeVar("T")


async def eventually(check: Callable[[], Awaitable[T] | T], within: float = WAIT) -> T:
    """The first answer of `check` that is true; it is asked again and again, for so many seconds at most."""
    async with asyncio.timeout(within):
        while True:
            answer = check()
            found = await answer if isinstance(answer, Awaitable) else answer
            if found:
                return found
            await asyncio.sleep(0.005)


def say(text: str = "hello", **members: Any) -> dict[str, Any]:
    """Parameters of a send: one text under a fresh messageId; `members` are further ones of the message."""
    message = {"messageId": f"m-{next(_ids)}", "role": "ROLE_USER", "parts": [{"text": text}], **members}
    return {"message": message}


@dataclass(frozen=True, slots=True)
class Frame:
    """One server-sent event: its id as a number (None: it has none), its event name, its JSON."""

    id: int | None
    event: str
    data: Any

    @property
    def kind(self) -> str:
        """Which of the members of StreamResponse came: task, message, statusUpdate, artifactUpdate."""
        return str(next(iter(self.data["result"])))

    @property
    def value(self) -> Any:
        """What came under that name."""
        return self.data["result"][self.kind]

    @property
    def state(self) -> str | None:
        """The state of the task, if this event tells it."""
        status = self.value.get("status")
        return None if status is None else status["state"]

    @property
    def text(self) -> str:
        """The text of an artifact update."""
        return "".join(part.get("text", "") for part in self.value["artifact"]["parts"])


class Reader:
    """A stream as it comes in. `headers` are those of the response; `raw` collects every byte."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.headers = response.headers
        self.raw = b""
        self._chunks = response.aiter_bytes()
        self._parser = SSEParser()
        self._ready: list[Frame] = []

    async def next(self) -> Frame | None:
        """The next event within five seconds; None when the stream has ended."""
        while not self._ready:
            try:
                async with asyncio.timeout(WAIT):
                    chunk = await anext(self._chunks)
            except StopAsyncIteration:
                return None
            self.raw += chunk
            for found in self._parser.feed(chunk):
                number = int(found.id) if found.id else None
                self._ready.append(Frame(number, found.event, json.loads(found.data)))
        return self._ready.pop(0)

    async def until(self, state: str) -> list[Frame]:
        """Events up to the first one that tells this state."""
        found = []
        while (frame := await self.next()) is not None:
            found.append(frame)
            if frame.state == state:
                return found
        raise AssertionError(f"the stream ended before {state}")

    async def rest(self) -> list[Frame]:
        """All events to the end of the stream."""
        found = []
        while (frame := await self.next()) is not None:
            found.append(frame)
        return found


class Wire:
    """One JSON-RPC URL."""

    def __init__(self, http: httpx.AsyncClient, path: str = "/") -> None:
        self.http = http
        self.path = path

    async def post(self, body: bytes | str | Any, headers: Mapping[str, str] | None = None) -> httpx.Response:
        """Any body: bytes and strings go as they are, anything else as JSON."""
        content = body if isinstance(body, bytes | str) else json.dumps(body)
        async with asyncio.timeout(WAIT):
            return await self.http.post(
                self.path, content=content, headers={"content-type": "application/json", **(headers or {})}
            )

    async def call(
        self, method: str, params: Any = None, *, id: Any = 1, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """The response object of a request."""
        envelope = {"jsonrpc": "2.0", "id": id, "method": method} | ({} if params is None else {"params": params})
        response = await self.post(envelope, headers)
        found: dict[str, Any] = response.json()
        assert found.get("id") == id, found
        return found

    async def result(self, method: str, params: Any = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """What the call gave; an error fails the test."""
        found = await self.call(method, params, headers=headers)
        assert "error" not in found, found
        return found["result"]

    async def error(self, method: str, params: Any = None, *, headers: Mapping[str, str] | None = None) -> Any:
        """How the call was refused; a result fails the test."""
        found = await self.call(method, params, headers=headers)
        assert "result" not in found, found
        return found["error"]

    async def send(self, text: str = "hello", **members: Any) -> Any:
        """SendMessage; gives the task or the message."""
        params = say(text)
        params["message"].update(members)
        found = await self.result("SendMessage", params)
        return found.get("task") or found["message"]

    async def tasks(self, **filters: Any) -> list[Any]:
        """The first page of ListTasks."""
        return list((await self.result("ListTasks", filters))["tasks"])

    async def get(self, task_id: str, **params: Any) -> Any:
        """GetTask."""
        return await self.result("GetTask", {"id": task_id, **params})

    @contextlib.asynccontextmanager
    async def stream(self, method: str, params: Any, headers: Mapping[str, str] | None = None) -> AsyncIterator[Reader]:
        """Open a stream; a plain answer instead of one fails the test."""
        body = json.dumps({"jsonrpc": "2.0", "id": "s", "method": method, "params": params})
        more = {"content-type": "application/json", "accept": "text/event-stream", **(headers or {})}
        async with self.http.stream("POST", self.path, content=body, headers=more) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise AssertionError(f"no stream: {(await response.aread()).decode('utf-8', 'replace')}")
            yield Reader(response)

    async def frames(self, method: str, params: Any, headers: Mapping[str, str] | None = None) -> list[Frame]:
        """A whole stream, which must end by itself."""
        async with self.stream(method, params, headers) as reader:
            return await reader.rest()


def reason_of(error: Mapping[str, Any]) -> str:
    """The machine-readable reason of an error object."""
    return next(str(detail["reason"]) for detail in error["data"] if "reason" in detail)


def fields_of(error: Mapping[str, Any]) -> list[str]:
    """The fields that an error object complains about."""
    return [found["field"] for detail in error["data"] for found in detail.get("fieldViolations", ())]
