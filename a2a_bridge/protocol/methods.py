"""The operations of A2A 1.0.1 (§3.1), one row each; both HTTP bindings read this table (R-BIND-01)."""

from dataclasses import dataclass
from typing import Final

from a2a_bridge.protocol import requests as r
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.objects import Task, WireObject


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: its JSON-RPC method name, its HTTP route, what goes in and what comes out.

    `response` None means an empty result. `streams`: the answer is a stream of StreamResponse. `needs` names the
    capability of the card without which the operation is refused (R-CAP-01 to R-CAP-03). `also`: another verb of the
    route, with the same meaning.
    """

    name: str
    verb: str
    path: str
    request: type[WireObject]
    response: type[WireObject] | None
    streams: bool = False
    needs: str | None = None
    also: str | None = None

    @property
    def verbs(self) -> tuple[str, ...]:
        """The verbs of its route."""
        return (self.verb,) if self.also is None else (self.verb, self.also)


OPERATIONS: Final = (
    Operation("SendMessage", "POST", "/message:send", r.SendMessageRequest, r.SendMessageResponse),
    Operation(
        "SendStreamingMessage", "POST", "/message:stream", r.SendMessageRequest, r.StreamResponse,
        streams=True, needs="streaming",
    ),
    Operation("GetTask", "GET", "/tasks/{id}", r.GetTaskRequest, Task),
    Operation("ListTasks", "GET", "/tasks", r.ListTasksRequest, r.ListTasksResponse),
    Operation("CancelTask", "POST", "/tasks/{id}:cancel", r.CancelTaskRequest, Task),
    Operation(
        "SubscribeToTask", "POST", "/tasks/{id}:subscribe", r.SubscribeToTaskRequest, r.StreamResponse,
        streams=True, needs="streaming", also="GET",
    ),
    Operation(
        "CreateTaskPushNotificationConfig", "POST", "/tasks/{task_id}/pushNotificationConfigs",
        r.TaskPushNotificationConfig, r.TaskPushNotificationConfig, needs="push_notifications",
    ),
    Operation(
        "GetTaskPushNotificationConfig", "GET", "/tasks/{task_id}/pushNotificationConfigs/{id}",
        r.GetTaskPushNotificationConfigRequest, r.TaskPushNotificationConfig, needs="push_notifications",
    ),
    Operation(
        "ListTaskPushNotificationConfigs", "GET", "/tasks/{task_id}/pushNotificationConfigs",
        r.ListTaskPushNotificationConfigsRequest, r.ListTaskPushNotificationConfigsResponse, needs="push_notifications",
    ),
    Operation(
        "DeleteTaskPushNotificationConfig", "DELETE", "/tasks/{task_id}/pushNotificationConfigs/{id}",
        r.GetTaskPushNotificationConfigRequest, None, needs="push_notifications",
    ),
    Operation(
        "GetExtendedAgentCard", "GET", "/extendedAgentCard", r.GetExtendedAgentCardRequest, AgentCard,
        needs="extended_agent_card",
    ),
)  # fmt: skip
