"""The seam between operations and wires: `client.py` knows operations, a transport knows how they travel."""

from collections.abc import AsyncGenerator, Mapping
from typing import Any, NamedTuple, Protocol, TypeVar, cast

from a2a_bridge.errors import InvalidAgentResponseError
from a2a_bridge.net import Deadline
from a2a_bridge.protocol.lenient import read_value
from a2a_bridge.protocol.methods import OPERATIONS, Operation
from a2a_bridge.protocol.objects import Event, WireObject
from a2a_bridge.protocol.requests import StreamResponse

BY_NAME: Mapping[str, Operation] = {operation.name: operation for operation in OPERATIONS}

R = TypeVar("R", bound=WireObject)


class Nothing(WireObject):
    """The result of an operation that has none: null, `{}` and an empty body are all right."""


class CardBody(WireObject):
    """A card as it came, in the shape of any version; whoever asked for it says whether it is believed."""

    body: Mapping[str, Any]


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


def read_result(result: type[R], value: Any) -> R:
    """The result that a JSON value is."""
    if result is Nothing:
        return cast(R, Nothing())
    if result is CardBody:
        if not isinstance(value, Mapping):
            raise InvalidAgentResponseError("the agent's card is not a JSON object")
        return cast(R, CardBody(body=value))
    return read_value(result, value)


def received(answer: StreamResponse, event_id: str | None) -> Received:
    """One event of a stream out of its wrapper."""
    event = answer.task or answer.message or answer.status_update or answer.artifact_update
    if event is None:
        raise InvalidAgentResponseError(
            "the agent sent an event that is neither task, message, statusUpdate nor artifactUpdate"
        )
    return Received(event, event_id)
