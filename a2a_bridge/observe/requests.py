"""One request as operators see it: a span, a log line and metrics, whatever the binding.

Nothing is looked at until traces, metrics or the request log are switched on. A line tells the method, the agent, the
task and context, how long it took, what came of it, and a hash of the caller that changes with each process; never
words, names of callers or headers. A request that opened a stream is over when the stream is.
"""

import asyncio
import json
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
_HEAD = re.compile(rb'\{(?:"(?:task|statusUpdate|artifactUpdate)":\{)?')
_MEMBER = re.compile(rb'"(\w+)":"([^"\\]{0,200})",?')
"""The members of text that an answer begins with: its ids are among them, and what an agent said is not."""
_LONGEST_MESSAGE = 64 << 10
_IDS = frozenset({b"id", b"taskId", b"contextId"})
_TELLS_TASK = frozenset({"SendMessage", "SendStreamingMessage", "GetTask", "CancelTask", "SubscribeToTask"})
"""Operations whose answer is a task, or about one; answers of others have ids of other things."""
_NAMES_TASK = re.compile(r"(?:Get|Cancel|SubscribeTo)Task|\w+TaskPushNotificationConfigs?")
"""Operations whose parameter `id` is a task's; of webhooks only in 0.3, but there is a `taskId` in 1.0."""
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

    def __init__(self, method: str, binding: str, version: str, agent: str, caller: Calls, params: Any) -> None:
        self._method, self._binding, self._version, self._agent = method, binding, version, agent
        self._caller = caller
        self._began = perf_counter()
        self._ids: dict[str, str] = {}
        if isinstance(params, Mapping):
            self._note(params, "taskId", "contextId", *(["id"] if _NAMES_TASK.fullmatch(method) else ()))
            if isinstance(message := params.get("message"), Mapping):
                self._note(message, "taskId", "contextId", "messageId")
        attributes = {
            names.METHOD: method,
            names.BINDING: binding,
            names.VERSION: version,
            names.AGENT: agent,
            names.TENANT: caller.tenant or None,
            names.MESSAGE_ID: self._ids.get("messageId"),
        }
        self._span = span(method, "server", attributes)

    def _note(self, source: Mapping[str, Any], *members: str) -> None:
        for name in members:
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
        """Learn the ids of the task from the beginning of an answer or event, if that is about a task."""
        if self._method not in _TELLS_TASK:
            return
        if b'"message' in answer[:24]:  # a message has its ids behind its parts
            message = json.loads(answer) if len(answer) <= _LONGEST_MESSAGE else {}
            self._note(message.get("message", message), "taskId", "contextId")
            return
        head = _HEAD.match(answer)
        found = None if head is None else _MEMBER.match(answer, head.end())
        while found is not None:
            name, value = found.groups()
            if name in _IDS and value:
                self._ids.setdefault(name.decode(), value.decode("utf-8", "replace"))
            found = _MEMBER.match(answer, found.end())

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
                names.VERSION: self._version,
                "code": code,
                "duration_ms": round(seconds * 1000, 2),
                "caller": caller_hash(caller.tenant, caller.principal),
                names.AGENT: self._agent,
                names.TASK_ID: task,
                names.CONVERSATION: context,
                "trace_id": made.trace_id,
            }
            _log.info("request", extra={"fields": {name: value for name, value in fields.items() if value is not None}})


def refused(method: str, binding: str, agent: str, code: str) -> None:
    """Count and log a request that was refused before its operation began; `method` is "-" where it was not read."""
    if (counted := metrics.active) is not None:
        counted.requests.labels(method, binding, code).inc()
    if _is_logged:
        fields = {names.METHOD: method, names.BINDING: binding, "code": code, names.AGENT: agent}
        _log.info("request", extra={"fields": fields})


def _count(counted: metrics.Metrics, agent: str, batch: list[Any]) -> None:
    for _, row in batch:
        head = row[:24]
        kind = next((kind for kind in _KINDS if kind in head), b"turn")
        counted.stream_events.labels(agent, kind.decode()).inc()
