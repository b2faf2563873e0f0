"""Log lines of a server: one JSON object a line where a machine reads them, `key=value` on a terminal.

The library itself never configures logging; `configure` is called by whoever runs a process. Fields beside the usual
ones come with `extra={"fields": {...}}` or are the trace of the running task. Values of headers, tokens and message
texts are never logged; what looks like a credential in a text that others made is scrubbed.
"""

import json
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from a2a_bridge.observe.cause import cause_of
from a2a_bridge.observe.scrub import scrub
from a2a_bridge.observe.trace import current_trace_id

_OWN = frozenset({"timestamp", "level", "event", "logger", "cause", "exception"})
"""Members that are the line's own: a field of the same name gets an underscore."""


_TALKATIVE = ("httpx", "httpx2", "sse_starlette")
"""Loggers of libraries that say a line, at INFO, for every request they make or serve."""


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found: dict[str, Any] = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "level": record.levelname.lower(),
        "event": scrub(record.getMessage()),
        "logger": record.name,
    }
    trace_id = current_trace_id()
    if trace_id is not None:
        found["trace_id"] = trace_id
    more = getattr(record, "fields", None)
    if isinstance(more, Mapping):
        found.update((f"{name}_" if name in _OWN else name, value) for name, value in more.items())
    return found


def _cause(record: logging.LogRecord) -> str | None:
    error = record.exc_info[1] if record.exc_info else None
    return None if error is None else cause_of(error)


class JsonLines(logging.Formatter):
    """One JSON object a line; a traceback is one member of it, and its `cause` in one line another, before it."""

    def format(self, record: logging.LogRecord) -> str:
        found = _fields(record)
        if record.exc_info:
            if (cause := _cause(record)) is not None:
                found["cause"] = cause
            found["exception"] = scrub(self.formatException(record.exc_info))
        return json.dumps(found, ensure_ascii=False, default=str)


class KeyValues(logging.Formatter):
    """`time level event key=value ...`, for people; the cause of a traceback has a line of its own before it."""

    def format(self, record: logging.LogRecord) -> str:
        found = _fields(record)
        head = f"{found.pop('timestamp')} {found.pop('level'):<7} {found.pop('event')}"
        line = " ".join([head, *(f"{key}={value}" for key, value in found.items())])
        if not record.exc_info:
            return line
        cause = _cause(record)
        head = line if cause is None else f"{line}\n  cause: {cause}"
        return f"{head}\n{scrub(self.formatException(record.exc_info))}"


def configure(level: str = "info", *, json_lines: bool | None = None) -> None:
    """Send the log of this process to standard error, at this level and above.

    `json_lines` None: JSON unless standard error is a terminal; Python's warnings, which frameworks like to give, are
    lines of it then. Replaces handlers that were there before.
    """
    if json_lines is None:
        json_lines = not sys.stderr.isatty()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if json_lines else KeyValues())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(json_lines)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
