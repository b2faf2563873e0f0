"""Calls to other agents as operators see them: a span and metrics for each, when somebody has switched them on.

The trace goes out with the request, so what the other agent does is part of it.
"""

import sys
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from time import perf_counter
from urllib.parse import urlsplit

from a2a_bridge.client.transport import R, Received, Transport
from a2a_bridge.net import Deadline
from a2a_bridge.observe import metrics, names, spans
from a2a_bridge.observe.requests import code_of
from a2a_bridge.observe.spans import span
from a2a_bridge.protocol.objects import WireObject


def watched(wire: Transport, agent: str, url: str) -> Transport:
    """The wire itself while nobody wants to know, else one that tells. `agent` is the name on the card."""
    if metrics.active is None and not spans.is_on():
        return wire
    return _Watched(wire, agent, urlsplit(url).netloc.rpartition("@")[2])


class _Watched:
    """See `Transport`."""

    def __init__(self, wire: Transport, agent: str, peer: str) -> None:
        self._wire = wire
        self._agent = agent
        self._peer = peer

    def _span(self, operation: str, request: WireObject) -> span:
        message = getattr(request, "message", None)
        task_id = getattr(message, "task_id", None) or getattr(request, "task_id", None) or getattr(request, "id", None)
        attributes = {
            names.METHOD: operation,
            names.AGENT: self._agent,
            names.ADDRESS: self._peer,
            names.MESSAGE_ID: getattr(message, "message_id", None),
            names.CONVERSATION: getattr(message, "context_id", None),
            names.TASK_ID: task_id,
        }
        return span(operation, "client", attributes)

    def _count(self, operation: str, began: float) -> None:
        """Called while a call ends, by whatever it ends."""
        if (counted := metrics.active) is not None:
            code = code_of(sys.exception())
            counted.client_requests.labels(self._peer, operation, code).inc()
            counted.client_seconds.labels(self._peer, operation).observe(perf_counter() - began)

    async def call(
        self, operation: str, request: WireObject, result: type[R], headers: Mapping[str, str], deadline: Deadline
    ) -> R:
        """See `Transport`."""
        began = perf_counter()
        try:
            with self._span(operation, request):
                return await self._wire.call(operation, request, result, headers, deadline)
        finally:
            self._count(operation, began)

    async def stream(
        self, operation: str, request: WireObject, headers: Mapping[str, str], deadline: Deadline
    ) -> AsyncGenerator[Received, None]:
        """See `Transport`."""
        began = perf_counter()
        try:
            with self._span(operation, request) as made:
                async with aclosing(self._wire.stream(operation, request, headers, deadline)) as events:
                    is_first = True
                    async for event in events:
                        if is_first:  # the request is out: what the reader does now is not part of the call
                            is_first = False
                            made.leave()
                        yield event
        finally:
            self._count(operation, began)
