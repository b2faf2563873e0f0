"""One request as operators see it: a span, a log line and metrics, whatever the binding.

Nothing is looked at until traces, metrics or the request log are switched on. A line tells the method, the agent, the
task and context, how long it took, what came of it, and a hash of the caller that changes with each process; never
words, names of callers or headers. A request that opened a stream is over when the stream is.
"""

import asyncio
import logging
import re
import secrets
import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import lru_cache
from hashlib import blake2b
from time import perf_counter
from types import TracebackType
from typing import Any, Protocol

from a2a_bridge.errors import A2AError
from a2a_bridge.observe import metrics, names, spans
from a2a_bridge.observe.spans import span

_log = logging.getLogger("a2a_bridge.requests")
_SALT = secrets.token_bytes(16)
_IDS = re.compile(rb'"(id|taskId|contextId)":"([^"\\]{1,200})"')
_KINDS = (b"statusUpdate", b"artifactUpdate", b"task", b"message")

_is_logged = False


def code_of(error: BaseException | None) -> str:
    """What came of a request in one word: OK, the reason of an A2A error, or the class of whatever was raised."""
    if error is None:
        return "OK"
    if isinstance(error, A2AError):
        return error.reason
    return "CLIENT_GONE" if isinstance(error, GeneratorExit | asyncio.CancelledError) else type(error).__name__


class Calls(Protocol):
    """Who calls: all that is read of an `agent.Caller`."""

    @property
    def principal(self) -> str: ...
    @property
    def tenant(self) -> str: ...


Row = tuple[int, bytes]


def switch_log(*, on: bool) -> None:
    """Write a log line for each request from now on, or no more."""
    global _is_logged
    _is_logged = on


def is_watched() -> bool:
    """Whether anybody wants to know about requests."""
    return _is_logged or metrics.active is not None or spans.is_on()


@lru_cache(maxsize=1024)
def caller_hash(tenant: str, principal: str) -> str:
    """Tells callers apart in a log without naming them; another one in each process."""
    return blake2b(f"{tenant}\n{principal}".encode(), digest_size=6, key=_SALT).hexdigest()


class Watched:
    """One request from its parameters to its end. Enter it once, around the work; then `end` it, or read `rows`."""

    def __init__(self, method: str, binding: str, agent: str, caller: Calls, params: Any) -> None:
        self._method, self._binding, self._agent = method, binding, agent
        self._caller = caller
        self._began = perf_counter()
        message = params.get("message") if isinstance(params, Mapping) else None
        self._ids: dict[str, str] = {}
        for source in (params, message):
            if isinstance(source, Mapping):
                self._note(source)
        attributes = {
            names.METHOD: method,
            names.BINDING: binding,
            names.AGENT: agent,
            names.TENANT: caller.tenant or None,
            names.MESSAGE_ID: self._ids.get("messageId"),
        }
        self._span = span(method, "server", attributes)

    def _note(self, source: Mapping[str, Any]) -> None:
        for name in ("id", "taskId", "contextId", "messageId"):
            value = source.get(name)
            if isinstance(value, str) and value:
                self._ids[name] = value[:200]

    def __enter__(self) -> "Watched":
        self._span.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self._span.leave()
        if error is not None:
            self.end(code_of(error))

    def saw(self, answer: bytes) -> None:
        """Learn the ids of the task from the beginning of an answer or event."""
        for name, value in _IDS.findall(answer[:400]):
            self._ids.setdefault(name.decode(), value.decode("utf-8", "replace"))

    async def rows(self, rows: AsyncGenerator[list[Any], None]) -> AsyncGenerator[list[Any], None]:
        """The rows of the stream that the request opened; it is over when they are."""
        counted = metrics.active
        if counted is not None:
            counted.streams.labels(self._agent).inc()
            counted.request_seconds.labels(self._method, self._binding).observe(perf_counter() - self._began)
        try:
            async with aclosing(rows):
                is_first = True
                async for batch in rows:
                    if is_first and batch:
                        is_first = False
                        self.saw(batch[0][1])
                    if counted is not None:
                        _count(counted, self._agent, batch)
                    yield batch
        finally:
            if counted is not None:
                counted.streams.labels(self._agent).dec()
            self.end(code_of(sys.exception()), is_stream=True)

    def end(self, code: str = "OK", *, is_stream: bool = False) -> None:
        """It has been answered; `code` is OK or the reason of an error."""
        seconds = perf_counter() - self._began
        task = self._ids.get("taskId") or self._ids.get("id")
        context = self._ids.get("contextId")
        made = self._span
        made.set(names.TASK_ID, task)
        made.set(names.CONVERSATION, context)
        made.set(names.SESSION, context)
        if code not in ("OK", "CLIENT_GONE"):
            made.fail(code)
        made.end()
        if (counted := metrics.active) is not None:
            counted.requests.labels(self._method, self._binding, code).inc()
            if not is_stream:
                counted.request_seconds.labels(self._method, self._binding).observe(seconds)
        if _is_logged and _log.isEnabledFor(logging.INFO):
            caller = self._caller
            fields = {
                names.METHOD: self._method,
                names.BINDING: self._binding,
                "code": code,
                "duration_ms": round(seconds * 1000, 2),
                "caller": caller_hash(caller.tenant, caller.principal),
                names.AGENT: self._agent,
                names.TASK_ID: task,
                names.CONVERSATION: context,
                "trace_id": made.trace_id,
            }
            _log.info("request", extra={"fields": {name: value for name, value in fields.items() if value is not None}})


def _count(counted: metrics.Metrics, agent: str, batch: list[Any]) -> None:
    for _, row in batch:
        head = row[:24]
        kind = next((kind for kind in _KINDS if kind in head), b"turn")
        counted.stream_events.labels(agent, kind.decode()).inc()
