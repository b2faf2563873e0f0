"""A server that does not speak the version its card names, and speaks the other one (R-COMPAT-22).

Cards leave the version of an interface out, or were never changed when the server was. The version of the card is
tried first. If the server refuses it by name, or knows none of its methods, the other one is tried; when that is
understood it is spoken from then on, and when not, the first refusal is the answer.
"""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from a2a_bridge.client.transport import R, Received, Transport
from a2a_bridge.errors import (
    A2AError,
    ClientError,
    InvalidAgentResponseError,
    MethodNotFoundError,
    VersionNotSupportedError,
)
from a2a_bridge.net import Deadline
from a2a_bridge.protocol.objects import WireObject

_log = logging.getLogger(__name__)
_BASIC = frozenset({"SendMessage", "SendStreamingMessage", "GetTask"})
"""What every server has: if it is not found, the server speaks another version."""


class EitherVersion:
    """See `Transport`; one wire until the server says that it means the other."""

    def __init__(self, wire: Transport, other: Transport, name: str) -> None:
        self._wire = wire
        self._other: Transport | None = other
        self._name = name

    async def call(
        self, operation: str, request: WireObject, result: type[R], headers: Mapping[str, str], deadline: Deadline
    ) -> R:
        """See `Transport`."""
        try:
            return await self._wire.call(operation, request, result, headers, deadline)
        except (VersionNotSupportedError, MethodNotFoundError) as refusal:
            other = self._alternative(operation, refusal)
            if other is None:
                raise
            try:
                found = await other.call(operation, request, result, headers, deadline)
            except (A2AError, ClientError) as error:
                self._judge(error, refusal, operation, other)
                raise
        self._settle(other)
        return found

    async def stream(
        self, operation: str, request: WireObject, headers: Mapping[str, str], deadline: Deadline
    ) -> AsyncGenerator[Received, None]:
        """See `Transport`. A refusal comes before the first event, so none is given twice."""
        has_begun, first = False, None
        try:
            async with aclosing(self._wire.stream(operation, request, headers, deadline)) as events:
                async for item in events:
                    has_begun = True
                    yield item
            return
        except (VersionNotSupportedError, MethodNotFoundError) as refusal:
            first = refusal
            other = None if has_begun else self._alternative(operation, refusal)
            if other is None:
                raise
        try:
            async with aclosing(other.stream(operation, request, headers, deadline)) as events:
                async for item in events:
                    has_begun = True
                    self._settle(other)
                    yield item
        except (A2AError, ClientError) as error:
            if not has_begun:
                self._judge(error, first, operation, other)
            raise

    def _judge(self, error: Exception, first: A2AError, operation: str, other: Transport) -> None:
        """What went wrong in the other version: raise the first refusal if it was not understood there either."""
        unclear = isinstance(error, ClientError | InvalidAgentResponseError)
        if unclear or _is_about_versions(error, operation):
            raise first from error
        self._settle(other)

    def _alternative(self, operation: str, refusal: A2AError) -> Transport | None:
        return self._other if _is_about_versions(refusal, operation) else None

    def _settle(self, other: Transport) -> None:
        if self._wire is not other:
            _log.info("%s speaks another version of A2A than its card says", self._name)
            self._wire, self._other = other, None


def _is_about_versions(error: Exception, operation: str) -> bool:
    return isinstance(error, VersionNotSupportedError) or (
        isinstance(error, MethodNotFoundError) and operation in _BASIC
    )
