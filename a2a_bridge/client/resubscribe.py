"""Subscribing in 0.3, where nobody promises a snapshot: `tasks/resubscribe` may begin anywhere (R-COMPAT-10).

The task is asked for first, so the reader knows at once how it stands. If the stream then begins with a snapshot of its
own, it is read as it comes. If not, what happened in between cannot be told from what the snapshot holds already, so
each event is only a sign that something is new, and the task is asked for again: whoever reads turns snapshots into
the updates that are missing. Nothing is lost and nothing comes twice.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from a2a_bridge.client.transport import R, Received, Transport
from a2a_bridge.errors import A2AError, ConnectionFailedError
from a2a_bridge.net import Deadline
from a2a_bridge.protocol.objects import Task, WireObject
from a2a_bridge.protocol.requests import GetTaskRequest, SubscribeToTaskRequest


class Resubscribing:
    """A 0.3 transport whose subscriptions begin with the task, as those of 1.0 do (R-SUB-01)."""

    def __init__(self, wire: Transport) -> None:
        self._wire = wire

    async def call(
        self, operation: str, request: WireObject, result: type[R], headers: Mapping[str, str], deadline: Deadline
    ) -> R:
        """See `Transport`."""
        return await self._wire.call(operation, request, result, headers, deadline)

    async def stream(
        self, operation: str, request: WireObject, headers: Mapping[str, str], deadline: Deadline
    ) -> AsyncGenerator[Received, None]:
        """See `Transport`. A subscription that names the last event it had is left to the server that numbers them."""
        events = self._wire.stream(operation, request, headers, deadline)
        if isinstance(request, SubscribeToTaskRequest) and "last-event-id" not in headers:
            events = self._subscription(events, request.id, headers, deadline)
        async with aclosing(events) as received:
            async for item in received:
                yield item

    async def _subscription(
        self,
        events: AsyncGenerator[Received, None],
        task_id: str,
        headers: Mapping[str, str],
        deadline: Deadline,
    ) -> AsyncGenerator[Received, None]:
        asked = GetTaskRequest(id=task_id)
        async with aclosing(events):
            task = await self._wire.call("GetTask", asked, Task, headers, deadline)
            yield Received(task, None)
            if task.status.state.is_terminal:
                return  # some servers refuse to follow it, each in its own way
            tells_all: bool | None = None
            try:
                async for item in events:
                    if tells_all is None:
                        tells_all = isinstance(item.event, Task)
                    yield item if tells_all else await self._snapshot(asked, headers, deadline)
            except (A2AError, ConnectionFailedError):
                # It may have ended between the two calls.
                now = await self._snapshot(asked, headers, deadline) if tells_all is None else None
                if now is None or not (isinstance(now.event, Task) and now.event.status.state.is_terminal):
                    raise
                yield now

    async def _snapshot(self, asked: GetTaskRequest, headers: Mapping[str, str], deadline: Deadline) -> Received:
        return Received(await self._wire.call("GetTask", asked, Task, headers, deadline), None)
