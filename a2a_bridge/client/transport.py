"""The seam between operations and wires: `client.py` knows operations, a transport knows how they travel."""

from collections.abc import AsyncGenerator, Mapping
from typing import NamedTuple, Protocol, TypeVar

from a2a_bridge.net import Deadline
from a2a_bridge.protocol.methods import OPERATIONS, Operation
from a2a_bridge.protocol.objects import Event, WireObject

BY_NAME: Mapping[str, Operation] = {operation.name: operation for operation in OPERATIONS}

R = TypeVar("R", bound=WireObject)


class Received(NamedTuple):
    """One event of a stream, with the id its server gave it, or None."""

    event: Event
    id: str | None


class Transport(Protocol):
    """One agent over one wire. Raises the A2AError that the agent answered with, or a ClientError."""

    async def call(
        self, operation: str, request: WireObject, result: type[R], headers: Mapping[str, str], deadline: Deadline
    ) -> R:
        """One request and its result."""
        ...

    def stream(
        self, operation: str, request: WireObject, headers: Mapping[str, str], deadline: Deadline
    ) -> AsyncGenerator[Received, None]:
        """One request and the events it is answered with; ends when the connection does, whatever came last."""
        ...
