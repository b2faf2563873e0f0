"""A2A 0.3 as a client speaks it: requests lowered from v1.0, answers lifted to v1.0 JSON. Plain data, pure functions.

0.3 has two JSON shapes. JSON-RPC carries `kind`, lower-case states and roles, and `parts`; HTTP+JSON carries the JSON
of the proto file: wrapper members, `ROLE_USER`, `content`, and file bytes that are base64 twice over, as the servers of
the field have it. Requests are written in the shape of their binding; answers are read in either, since servers mix
them up.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic.alias_generators import to_camel

from a2a_bridge.errors import InvalidAgentResponseError, UnsupportedOperationError
from a2a_bridge.protocol.objects import dump
from a2a_bridge.protocol.requests import (
    CancelTaskRequest,
    GetTaskPushNotificationConfigRequest,
    GetTaskRequest,
    ListTaskPushNotificationConfigsRequest,
    SendMessageRequest,
    SubscribeToTaskRequest,
    TaskPushNotificationConfig,
)
from a2a_bridge.protocol.v03 import (
    COMPAT_DATA,
    OPERATION_OF,
    ROLE_NAMES,
    STATE_NAMES,
    decoded_once,
    lower_message,
    lower_webhook,
)

JSONObject = dict[str, Any]

_METHODS: Final[Mapping[str, str]] = {operation: method for method, operation in OPERATION_OF.items()}

_NO_ZONE = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?$")
_KINDS = {
    "task": "task",
    "message": "message",
    "status-update": "statusUpdate",
    "artifact-update": "artifactUpdate",
    "msg": "message",
}
_RESOURCE = re.compile(r"^tasks/(.+)/pushNotificationConfigs/(.+)$")


def method_of(operation: str) -> str:
    """The 0.3 method of an operation; UnsupportedOperationError when 0.3 has none."""
    found = _METHODS.get(operation)
    if found is None:
        raise UnsupportedOperationError(f"this agent speaks A2A 0.3, which has no {operation}")
    return found


# --- requests


def lower_params(request: Any) -> JSONObject | None:
    """The `params` of a JSON-RPC request; None when the method takes none."""
    return _LOWER[type(request)](request) if type(request) in _LOWER else None


def _without_none(**members: Any) -> JSONObject:
    return {to_camel(name): value for name, value in members.items() if value is not None}


def _lower_send(request: SendMessageRequest) -> JSONObject:
    return _without_none(
        message=lower_message(dump(request.message)),
        configuration=_lower_configuration(request, rest=False),
        metadata=request.metadata or None,
    )


def _lower_configuration(request: SendMessageRequest, *, rest: bool) -> JSONObject:
    """`blocking` is always said: servers disagree about what its absence means."""
    wanted = request.configuration
    found: JSONObject = {"blocking": not (wanted and wanted.return_immediately)}
    if wanted is None:
        return found
    if wanted.accepted_output_modes:
        found["acceptedOutputModes"] = list(wanted.accepted_output_modes)
    if wanted.history_length:  # in 0.3, 0 means all of it (R-HIST-07); `lift_result` cuts
        found["historyLength"] = wanted.history_length
    if wanted.task_push_notification_config is not None:
        member = "pushNotification" if rest else "pushNotificationConfig"
        found[member] = lower_webhook(dump(wanted.task_push_notification_config))["pushNotificationConfig"]
    return found


def _lower_get_config(request: GetTaskPushNotificationConfigRequest) -> JSONObject:
    return {"id": request.task_id, "pushNotificationConfigId": request.id}


_LOWER: Final[Mapping[type, Callable[[Any], JSONObject]]] = {
    SendMessageRequest: _lower_send,
    GetTaskRequest: lambda r: _without_none(id=r.id, history_length=r.history_length or None),
    CancelTaskRequest: lambda r: _without_none(id=r.id, metadata=r.metadata or None),
    SubscribeToTaskRequest: lambda r: {"id": r.id},
    TaskPushNotificationConfig: lambda r: lower_webhook(dump(r)),
    GetTaskPushNotificationConfigRequest: _lower_get_config,
    ListTaskPushNotificationConfigsRequest: lambda r: {"id": r.task_id},
}


def lower_body(request: Any) -> JSONObject:
    """The body of a POST in the HTTP+JSON shape of 0.3; empty when the operation has none."""
    if isinstance(request, SendMessageRequest):
        return _without_none(
            message=lower_message(dump(request.message), rest=True),
            configuration=_lower_configuration(request, rest=True),
            metadata=request.metadata or None,
        )
    if isinstance(request, TaskPushNotificationConfig):
        # The name of the resource needs an id: that of the task where none is given, as the official SDK has it.
        config = {**dump(request), "id": request.id or request.task_id}
        return {
            "parent": f"tasks/{request.task_id}",
            "configId": config["id"],
            "config": lower_webhook(config, rest=True),
        }
    return {}


# --- answers


def lift_result(operation: str, request: Any, value: Any) -> Any:
    """The result of a call as v1.0 JSON, in the history that was asked for."""
    if operation == "SendMessage":
        found = lift_event(value)
        wanted = request.configuration.history_length if request.configuration else None
        return {name: _cut(item, wanted) if name == "task" else item for name, item in found.items()}
    if operation in ("GetTask", "CancelTask"):
        task = lift_task(value)
        return _cut(task, request.history_length) if isinstance(request, GetTaskRequest) else task
    if operation in ("CreateTaskPushNotificationConfig", "GetTaskPushNotificationConfig"):
        return _lift_config(value)
    if operation == "ListTaskPushNotificationConfigs":
        configs = value if isinstance(value, list) else _named(value).get("configs") or []
        return {"configs": [_lift_config(config) for config in configs]}
    return value


def _cut(task: JSONObject, wanted: int | None) -> JSONObject:
    history = task.get("history")
    if wanted is None or not isinstance(history, list):
        return task
    return {**task, "history": history[len(history) - wanted :] if 0 < wanted < len(history) else history[:wanted]}


def lift_event(value: Any) -> JSONObject:
    """A result or an event of a stream as a StreamResponse: told apart by `kind`, by its wrapper, or by its members."""
    found = _named(value)
    kind = _KINDS.get(str(found.get("kind")))
    if kind is None:
        for name in ("task", "message", "msg", "statusUpdate", "artifactUpdate"):
            if isinstance(found.get(name), Mapping) and "messageId" not in found and "status" not in found:
                return lift_event({"kind": name, **found[name]} if name in _KINDS else found[name])
        kind = _guessed(found)
    return {kind: _LIFT[kind](found)}


def _guessed(found: JSONObject) -> str:
    if "artifact" in found:
        return "artifactUpdate"
    if "status" in found:
        return "task" if "id" in found else "statusUpdate"
    if "parts" in found or "content" in found:
        return "message"
    raise InvalidAgentResponseError("the agent answered with neither a task, a message nor an update of one")


def _named(value: Any) -> JSONObject:
    """The members of an object that are not null, under their camelCase names."""
    if not isinstance(value, Mapping):
        raise InvalidAgentResponseError("the agent answered with something that is no JSON object")
    return {to_camel(name) if "_" in name else name: item for name, item in value.items() if item is not None}


def lift_task(value: Any) -> JSONObject:
    """A task."""
    found = _named(value)
    if isinstance(found.get("task"), Mapping) and "id" not in found:
        return lift_task(found["task"])
    found.pop("kind", None)
    _each(found, "history", _lift_message)
    _each(found, "artifacts", _lift_artifact)
    return _with_status(found)


def _each(found: JSONObject, member: str, lift: Callable[[Any], JSONObject]) -> None:
    if isinstance(found.get(member), list):
        found[member] = [lift(item) for item in found[member]]


def _with_status(found: JSONObject) -> JSONObject:
    if isinstance(found.get("status"), Mapping):
        found["status"] = _lift_status(found["status"])
    return found


def _lift_status(value: Any) -> JSONObject:
    found = _named(value)
    said = found.pop("update", None) or found.get("message")
    if isinstance(said, Mapping):
        found["message"] = _lift_message(said)
    state = found.get("state", "unknown")
    found["state"] = STATE_NAMES.get(state, state) if isinstance(state, str) else state
    if isinstance(found.get("timestamp"), str) and _NO_ZONE.match(found["timestamp"]):
        found["timestamp"] += "Z"
    return found


def _lift_message(value: Any) -> JSONObject:
    found = _named(value)
    found.pop("kind", None)
    if "content" in found:
        found.setdefault("parts", found.pop("content"))
    if isinstance(found.get("role"), str):
        found["role"] = ROLE_NAMES.get(found["role"], found["role"])
    _each(found, "parts", _lift_part)
    return found


def _lift_artifact(value: Any) -> JSONObject:
    found = _named(value)
    _each(found, "parts", _lift_part)
    return found


def _lift_part(value: Any) -> JSONObject:
    found = _named(value)
    kind = found.pop("kind", None)
    metadata = found.get("metadata")
    if isinstance(found.get("file"), Mapping):
        found |= _lift_file(_named(found.pop("file")))
    elif "data" in found:
        # The proto form holds `{"data": {"data": {...}}}`; with a `kind` it is the plain one.
        inner = found["data"]
        if kind is None and isinstance(inner, Mapping) and inner.keys() == {"data"}:
            inner = inner["data"]
        if isinstance(metadata, Mapping) and metadata.get(COMPAT_DATA) is True and isinstance(inner, Mapping):
            inner = inner.get("value")
            found["metadata"] = {name: item for name, item in metadata.items() if name != COMPAT_DATA}
        found["data"] = inner
    return found


def _lift_file(file: JSONObject) -> JSONObject:
    content: JSONObject = {}
    if isinstance(file.get("fileWithBytes"), str):
        content["raw"] = decoded_once(file["fileWithBytes"])
    elif isinstance(file.get("bytes"), str):
        content["raw"] = file["bytes"]
    else:
        content["url"] = file.get("uri") or file.get("fileWithUri") or ""
    return content | _without_none(media_type=file.get("mimeType"), filename=file.get("name"))


def _lift_update(value: JSONObject) -> JSONObject:
    found = {name: item for name, item in value.items() if name not in ("kind", "final")}
    if isinstance(found.get("artifact"), Mapping):
        found["artifact"] = _lift_artifact(found["artifact"])
    return _with_status(found)


_LIFT: Final[Mapping[str, Callable[[JSONObject], JSONObject]]] = {
    "task": lift_task,
    "message": _lift_message,
    "statusUpdate": _lift_update,
    "artifactUpdate": _lift_update,
}


def _lift_config(value: Any) -> JSONObject:
    found = _named(value)
    inner = found.get("pushNotificationConfig")
    config = _named(inner) if isinstance(inner, Mapping) else dict(found)
    name = _RESOURCE.match(str(found.get("name", "")))
    if name is not None:
        config["id"] = config.get("id") or name.group(2)
    config["taskId"] = found.get("taskId") or (name.group(1) if name else None)
    how = config.get("authentication")
    if isinstance(how, Mapping):
        schemes = how.get("schemes") or []
        first = schemes[0] if isinstance(schemes, list) and schemes else how.get("scheme")
        credentials = how.get("credentials")
        config["authentication"] = _without_none(scheme=first, credentials=credentials) if first else None
    return {name: item for name, item in config.items() if item not in (None, "")}
