"""What our client says to servers of A2A 0.3, and how it reads them."""

import base64
from typing import Any

import pytest

from a2a_bridge.errors import InvalidAgentResponseError, UnsupportedOperationError
from a2a_bridge.protocol.objects import Message, Part, Role, Task, TaskState
from a2a_bridge.protocol.requests import (
    AuthenticationInfo,
    CancelTaskRequest,
    GetExtendedAgentCardRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
)
from a2a_bridge.protocol.v03_client import lift_event, lift_result, lift_task, lower_body, lower_params, method_of

PARTS = (
    Part(text="hi", metadata={"k": 1}, media_type="text/plain"),
    Part(raw=b"\x00\x01", filename="a.bin", media_type="application/x"),
    Part(url="https://h/x", media_type="image/png"),
    Part(data={"a": 1}),
    Part(data=[1, None], metadata={"k": 2}),
)
MESSAGE = Message(
    message_id="m1", role=Role.USER, parts=PARTS, context_id="c1", task_id="t1", metadata={"m": True},
    extensions=("urn:a",), reference_task_ids=("t0",),
)  # fmt: skip
PUSH = TaskPushNotificationConfig(
    task_id="t1",
    id="p1",
    url="https://h/x",
    token="t",
    authentication=AuthenticationInfo(scheme="Bearer", credentials="c"),
)
OLD_PUSH = {
    "id": "p1",
    "url": "https://h/x",
    "token": "t",
    "authentication": {"schemes": ["Bearer"], "credentials": "c"},
}
COMPAT = {"data_part_compat": True}
SEND = SendMessageRequest(
    message=MESSAGE,
    tenant="gone",
    configuration=SendMessageConfiguration(
        accepted_output_modes=("text/plain",), history_length=3, return_immediately=True,
        task_push_notification_config=PUSH,
    ),
    metadata={"r": 1},
)  # fmt: skip


def test_a_send_over_json_rpc() -> None:
    """R-COMPAT-01: kinds, lower-case roles, `blocking`, no tenant; data that is no object is wrapped."""
    assert lower_params(SEND) == {
        "message": {
            "kind": "message", "messageId": "m1", "role": "user", "contextId": "c1", "taskId": "t1",
            "parts": [
                {"kind": "text", "text": "hi", "metadata": {"k": 1}},
                {"kind": "file", "file": {"bytes": "AAE=", "mimeType": "application/x", "name": "a.bin"}},
                {"kind": "file", "file": {"uri": "https://h/x", "mimeType": "image/png"}},
                {"kind": "data", "data": {"a": 1}},
                {"kind": "data", "data": {"value": [1, None]}, "metadata": {"k": 2, **COMPAT}},
            ],
            "metadata": {"m": True}, "extensions": ["urn:a"], "referenceTaskIds": ["t0"],
        },
        "configuration": {
            "blocking": False, "acceptedOutputModes": ["text/plain"], "historyLength": 3,
            "pushNotificationConfig": OLD_PUSH,
        },
        "metadata": {"r": 1},
    }  # fmt: skip


def test_a_send_over_http() -> None:
    """R-COMPAT-02: the proto form, bytes twice over, no references."""
    twice = base64.b64encode(b"AAE=").decode()
    assert lower_body(SEND) == {
        "message": {
            "messageId": "m1", "role": "ROLE_USER", "contextId": "c1", "taskId": "t1",
            "content": [
                {"text": "hi", "metadata": {"k": 1}},
                {"file": {"fileWithBytes": twice, "mimeType": "application/x", "name": "a.bin"}},
                {"file": {"fileWithUri": "https://h/x", "mimeType": "image/png"}},
                {"data": {"data": {"a": 1}}},
                {"data": {"data": {"value": [1, None]}}, "metadata": {"k": 2, **COMPAT}},
            ],
            "metadata": {"m": True}, "extensions": ["urn:a"],
        },
        "configuration": {
            "blocking": False, "acceptedOutputModes": ["text/plain"], "historyLength": 3, "pushNotification": OLD_PUSH,
        },
        "metadata": {"r": 1},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("operation", "request_", "method", "params"),
    [
        ("GetTask", GetTaskRequest(id="t1", history_length=0), "tasks/get", {"id": "t1"}),
        ("GetTask", GetTaskRequest(id="t1", history_length=2), "tasks/get", {"id": "t1", "historyLength": 2}),
        (
            "CancelTask",
            CancelTaskRequest(id="t1", metadata={"k": 1}),
            "tasks/cancel",
            {"id": "t1", "metadata": {"k": 1}},
        ),
        ("SubscribeToTask", SubscribeToTaskRequest(id="t1"), "tasks/resubscribe", {"id": "t1"}),
        (
            "CreateTaskPushNotificationConfig",
            PUSH,
            "tasks/pushNotificationConfig/set",
            {"taskId": "t1", "pushNotificationConfig": OLD_PUSH},
        ),
        (
            "GetTaskPushNotificationConfig",
            GetTaskPushNotificationConfigRequest(task_id="t1", id="p1"),
            "tasks/pushNotificationConfig/get",
            {"id": "t1", "pushNotificationConfigId": "p1"},
        ),
        (
            "ListTaskPushNotificationConfigs",
            ListTaskPushNotificationConfigsRequest(task_id="t1"),
            "tasks/pushNotificationConfig/list",
            {"id": "t1"},
        ),
        ("GetExtendedAgentCard", GetExtendedAgentCardRequest(), "agent/getAuthenticatedExtendedCard", None),
    ],
)
def test_the_other_methods_over_json_rpc(operation: str, request_: Any, method: str, params: Any) -> None:
    """R-COMPAT-01, R-HIST-07: a history length of 0 would mean all of it, so it is not said."""
    assert method_of(operation) == method
    assert lower_params(request_) == params


def test_a_method_that_0_3_lacks_is_named() -> None:
    """No equivalent: it is refused before anything is sent."""
    with pytest.raises(UnsupportedOperationError, match="has no ListTasks"):
        method_of("ListTasks")


def test_a_webhook_over_http_is_a_resource() -> None:
    """R-COMPAT-02: its name needs an id; the task's own where none is given."""
    name = "tasks/t1/pushNotificationConfigs/p1"
    assert lower_body(PUSH) == {
        "parent": "tasks/t1", "configId": "p1", "config": {"name": name, "pushNotificationConfig": OLD_PUSH},
    }  # fmt: skip
    bare = lower_body(TaskPushNotificationConfig(task_id="t1", url="u"))
    assert bare["config"]["pushNotificationConfig"] == {"url": "u", "id": "t1"}


RPC_PARTS = [
    {"kind": "text", "text": "hi"},
    {"kind": "file", "file": {"bytes": "AAE=", "mimeType": "application/x", "name": "a.bin"}},
    {"kind": "file", "file": {"fileWithBytes": "AAE="}},
    {"kind": "file", "file": {"uri": "https://h/x"}},
    {"kind": "data", "data": {"data": {"a": 1}}},
    {"kind": "data", "data": {"value": [1, None]}, "metadata": COMPAT},
]
PROTO_PARTS = [
    {"text": "hi"},
    {"file": {"fileWithBytes": base64.b64encode(b"AAE=").decode(), "mimeType": "application/x", "name": "a.bin"}},
    {"file": {"fileWithBytes": "AAE="}},
    {"file": {"fileWithUri": "https://h/x"}},
    {"data": {"data": {"data": {"a": 1}}}},
    {"data": {"data": {"value": [1, None]}}, "metadata": COMPAT},
]
READ_PARTS = (
    Part(text="hi"),
    Part(raw=b"\x00\x01", media_type="application/x", filename="a.bin"),
    Part(raw=b"\x00\x01"),
    Part(url="https://h/x"),
    Part(data={"data": {"a": 1}}),
    Part(data=[1, None], metadata={}),
)


def read(value: Any) -> StreamResponse:
    return StreamResponse.model_validate(lift_event(value))


@pytest.mark.parametrize(
    "message",
    [
        {"kind": "message", "messageId": "m", "role": "agent", "parts": RPC_PARTS, "taskId": None},
        {"messageId": "m", "role": "agent", "parts": RPC_PARTS},
        {"message": {"messageId": "m", "role": "ROLE_AGENT", "content": PROTO_PARTS}},
        {"msg": {"message_id": "m", "role": "ROLE_AGENT", "content": PROTO_PARTS}},
    ],
)
def test_a_message_is_read_in_every_shape(message: Any) -> None:
    """With and without kind, proto form, snake_case; file bytes in either form, once or twice base64."""
    found = read(message).message
    assert found is not None
    assert (found.message_id, found.role, found.parts) == ("m", Role.AGENT, READ_PARTS)


TASK = {
    "id": "t1", "contextId": "c1", "status": {"state": "input-required", "timestamp": "2026-01-01T00:00:00.5",
    "message": {"kind": "message", "messageId": "m", "role": "agent", "parts": [{"kind": "text", "text": "?"}]}},
    "artifacts": [{"artifactId": "a", "parts": [{"kind": "text", "text": "x"}]}],
    "history": [{"kind": "message", "messageId": "u", "role": "user", "parts": [{"kind": "text", "text": "hi"}]}],
}  # fmt: skip
PROTO_TASK = {
    "id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_INPUT_REQUIRED",
    "timestamp": "2026-01-01T00:00:00.500Z",
    "update": {"messageId": "m", "role": "ROLE_AGENT", "content": [{"text": "?"}]}},
    "artifacts": [{"artifactId": "a", "parts": [{"text": "x"}]}],
    "history": [{"messageId": "u", "role": "ROLE_USER", "content": [{"text": "hi"}]}],
}  # fmt: skip


@pytest.mark.parametrize("value", [{"kind": "task", **TASK}, TASK, {"task": PROTO_TASK}, PROTO_TASK, {"task": TASK}])
def test_a_task_is_read_in_every_shape(value: Any) -> None:
    """States in either spelling, timestamps without a zone, the status message under its proto name."""
    found = read(value).task
    assert found is not None
    assert found == Task.model_validate(lift_task(value))
    assert found.status.state is TaskState.INPUT_REQUIRED
    assert found.status.timestamp is not None
    assert found.status.timestamp.isoformat() == "2026-01-01T00:00:00.500000+00:00"
    assert found.status.message is not None
    assert [found.status.message.text, found.text, (found.history or ())[0].text] == ["?", "x", "hi"]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("canceled", TaskState.CANCELED),
        ("TASK_STATE_CANCELLED", TaskState.CANCELED),
        ("TASK_STATE_CANCELED", TaskState.CANCELED),
        ("auth-required", TaskState.AUTH_REQUIRED),
        ("unknown", TaskState.UNSPECIFIED),
        ("TASK_STATE_WORKING", TaskState.WORKING),
    ],
)
def test_states_are_read_in_either_spelling(said: str, meant: TaskState) -> None:
    """The one of JSON-RPC and the one of the proto file, which has two L."""
    found = read({"kind": "status-update", "taskId": "t", "contextId": "c", "status": {"state": said}, "final": True})
    assert found.status_update is not None
    assert found.status_update.status.state is meant


def test_updates_are_told_apart_by_their_members() -> None:
    """Without a kind."""
    artifact = {"artifactId": "a", "parts": RPC_PARTS[:1]}
    assert read({"taskId": "t", "contextId": "c", "artifact": artifact, "lastChunk": True}).artifact_update
    assert read({"artifactUpdate": {"taskId": "t", "contextId": "c", "artifact": artifact}}).artifact_update
    assert read({"taskId": "t", "contextId": "c", "status": {"state": "working"}}).status_update
    with pytest.raises(InvalidAgentResponseError, match="neither a task"):
        read({"ok": True})
    with pytest.raises(InvalidAgentResponseError, match="no JSON object"):
        read("ok")


@pytest.mark.parametrize(
    "value",
    [
        {"taskId": "t1", "pushNotificationConfig": OLD_PUSH},
        {"name": "tasks/t1/pushNotificationConfigs/p1", "pushNotificationConfig": {**OLD_PUSH, "id": ""}},
        {"task_id": "t1", "push_notification_config": OLD_PUSH},
        {"taskId": "t1", **OLD_PUSH, "authentication": {"schemes": "x", "scheme": "Bearer", "credentials": "c"}},
    ],
)
def test_webhooks_are_read_in_both_shapes(value: Any) -> None:
    """The pair of JSON-RPC, the resource of the proto file, in either spelling; one or a list of them."""
    found = lift_result("GetTaskPushNotificationConfig", None, value)
    assert TaskPushNotificationConfig.model_validate(found) == PUSH
    for many in ([value], {"configs": [value]}):
        assert lift_result("ListTaskPushNotificationConfigs", None, many) == {"configs": [found]}


def test_the_history_is_cut_to_what_was_asked_for() -> None:
    """R-HIST-02, R-HIST-03, R-HIST-07: 0.3 cannot be asked for none of it."""
    task = {**TASK, "history": [{"messageId": str(n), "role": "user", "parts": RPC_PARTS[:1]} for n in range(3)]}
    for wanted, ids in ((None, ["0", "1", "2"]), (0, []), (2, ["1", "2"]), (5, ["0", "1", "2"])):
        found = lift_result("GetTask", GetTaskRequest(id="t1", history_length=wanted), task)
        assert [message["messageId"] for message in found["history"]] == ids
        configuration = SendMessageConfiguration(history_length=wanted)
        sent = lift_result("SendMessage", SendMessageRequest(message=MESSAGE, configuration=configuration), task)
        assert [message["messageId"] for message in sent["task"]["history"]] == ids
