"""W3C trace context: taken in with a request, sent out with every call. One context variable, nothing else.

Without a `traceparent` nothing is kept and nothing is sent; asking costs one look at a context variable.
"""

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType

_FORM = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NONE: Mapping[str, str] = MappingProxyType({})

_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def valid_traceparent(header: str | None) -> str | None:
    """The header in version 00 form, or None if it is missing or no trace context (W3C Trace Context §3.2)."""
    match = _FORM.fullmatch(header.strip()) if header else None
    if match is None:
        return None
    version, trace, span, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or not trace.strip("0") or not span.strip("0"):
        return None
    return f"00-{trace}-{span}-{flags}"


def new_traceparent() -> str:
    """The beginning of a trace of our own, not sampled."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"


def current_traceparent() -> str | None:
    """The trace that the running task belongs to."""
    return _current.get()


def set_current(traceparent: str | None) -> None:
    """Make this the trace of the running task, or none; for spans, which know what was there before."""
    _current.set(traceparent)


def current_trace_id() -> str | None:
    """The 32 hexadecimal digits that all of a trace share, for log lines."""
    found = _current.get()
    return None if found is None else found[3:35]


def outgoing_headers() -> Mapping[str, str]:
    """What to add to the headers of a request; empty outside a trace."""
    found = _current.get()
    return _NONE if found is None else {"traceparent": found}


class continue_trace:
    """Within `with continue_trace(header):` calls carry that trace. A missing or broken header changes nothing.

    A task that is started inside keeps the trace, also after the block has ended.
    """

    __slots__ = ("_header", "_token")

    def __init__(self, header: str | None) -> None:
        self._header = header
        self._token: Token[str | None] | None = None

    def __enter__(self) -> None:
        if self._header is not None and (found := valid_traceparent(self._header)) is not None:
            self._token = _current.set(found)

    def __exit__(self, *error: object) -> None:
        if self._token is not None:
            _current.reset(self._token)
            self._token = None
