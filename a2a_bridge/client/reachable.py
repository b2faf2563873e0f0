"""An agent that offers several interfaces, of which one cannot be reached (R-BIND-03).

When no connection to the interface of choice can be made, the next one of the card is tried, and the one that could be
reached is used from then on; when none can, the first failure is the answer, and the usual attempts follow. Nothing
has been sent to an interface that cannot be reached, so a send is not made twice; it carries the same messageId in any
case. An answer, whatever it says, is an answer: no other interface is asked for a better one.
"""

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from a2a_bridge.client.transport import R, Received, Transport
from a2a_bridge.errors import BridgeError, ConnectionFailedError
from a2a_bridge.net import Deadline, shown
from a2a_bridge.protocol.card import AgentInterface
from a2a_bridge.protocol.objects import WireObject

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Way:
    """An interface and the wire to it."""

    interface: AgentInterface
    wire: Transport

    def addressed(self, request: WireObject) -> WireObject:
        """The request under the tenant of this interface."""
        tenant = self.interface.tenant or None
        if getattr(request, "tenant", None) == tenant:
            return request
        return request.model_copy(update={"tenant": tenant})


class Reachable:
    """See `Transport`; the ways are in the order in which they are to be tried.

    Concurrency: calls may overlap; the last one that had to look for another way decides where the next begins.
    """

    def __init__(self, ways: Sequence[Way]) -> None:
        self._ways = list(ways)

    @property
    def interface(self) -> AgentInterface:
        """The interface that is used."""
        return self._ways[0].interface

    async def call(
        self, operation: str, request: WireObject, result: type[R], headers: Mapping[str, str], deadline: Deadline
    ) -> R:
        """See `Transport`."""
        first: BridgeError | None = None
        for way in tuple(self._ways):
            try:
                found = await way.wire.call(operation, way.addressed(request), result, headers, deadline)
            except BridgeError as error:
                if not _is_out_of_reach(error):
                    self._use(way)
                    raise
                first = first or error
            else:
                self._use(way)
                return found
        raise first or ConnectionFailedError()

    async def stream(
        self, operation: str, request: WireObject, headers: Mapping[str, str], deadline: Deadline
    ) -> AsyncGenerator[Received, None]:
        """See `Transport`. What cannot be reached gives no event, so none is given twice."""
        has_begun, first = False, None
        for way in tuple(self._ways):
            try:
                async with aclosing(way.wire.stream(operation, way.addressed(request), headers, deadline)) as events:
                    async for item in events:
                        if not has_begun:
                            has_begun = True
                            self._use(way)
                        yield item
                return
            except BridgeError as error:
                if has_begun or not _is_out_of_reach(error):
                    self._use(way)
                    raise
                first = first or error
        raise first or ConnectionFailedError()

    def _use(self, way: Way) -> None:
        if self._ways[0] is not way:
            was, now = shown(self.interface.url), shown(way.interface.url)
            _log.warning("%s cannot be reached: from now on %s is used, which the card lists as well", was, now)
            self._ways.remove(way)
            self._ways.insert(0, way)


def _is_out_of_reach(error: BridgeError) -> bool:
    return isinstance(error, ConnectionFailedError) and error.unreachable
