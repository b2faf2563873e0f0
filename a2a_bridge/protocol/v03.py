"""A2A 0.3 in terms of 1.0: what comes in is lifted, what goes out is lowered. Pure functions.

Inside there is only 1.0. Version 0.3 has two dialects. Over JSON-RPC (0.3 §6, §7) objects carry `kind`, states and
roles are lower-case words, and results stand bare. Over HTTP+JSON (0.3 §3.5.6) they are the JSON of its protobuf
definition: enumerations by their names (CANCELLED with two L), the parts of a message under `content`, results in a
member that says what they are, file bytes encoded twice as every Python SDK of 0.3 does. `rest=True` means the second.

What 0.3 cannot say is lost on the way down: `mediaType` and `filename` of text and data, tenants, device code flows,
PKCE; data that is no object travels as `{"value": …}` under a mark (the convention of a2a-sdk) and is restored on the
way up. What 1.0 cannot say is lost on the way up: further schemes of a webhook's authentication, further flows of an
OAuth scheme.

We are patient with what comes in: either spelling of a name, a missing `kind`, file bytes and URIs under the names of
either dialect, an empty `authentication`, `historyLength: 0` for "all", and null for what is absent.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from typing import Any, Final, NamedTuple

from pydantic.alias_generators import to_camel

from a2a_bridge.errors import A2AError, InvalidParamsError, TaskNotFoundError, Violation
from a2a_bridge.protocol.events import TEXT_CHUNK_END
from a2a_bridge.protocol.extensions import TURN_EXTENSION, section
from a2a_bridge.protocol.objects import TaskState, json_bytes
from a2a_bridge.protocol.requests import FREE_FORM, refuse_twice_spelled

VERSION: Final = "0.3"
FULL_VERSION: Final = "0.3.0"
"""As cards of 0.3 spell it."""
OPERATION_OF: Final = {
    "message/send": "SendMessage",
    "message/stream": "SendStreamingMessage",
    "tasks/get": "GetTask",
    "tasks/cancel": "CancelTask",
    "tasks/resubscribe": "SubscribeToTask",
    "tasks/pushNotificationConfig/set": "CreateTaskPushNotificationConfig",
    "tasks/pushNotificationConfig/get": "GetTaskPushNotificationConfig",
    "tasks/pushNotificationConfig/list": "ListTaskPushNotificationConfigs",
    "tasks/pushNotificationConfig/delete": "DeleteTaskPushNotificationConfig",
    "agent/getAuthenticatedExtendedCard": "GetExtendedAgentCard",
}
"""The methods of 0.3 over JSON-RPC (0.3 §7), and what they are called now. It could not list tasks."""

JSONObject = dict[str, Any]

_COMPAT = "data_part_compat"
_CACHED_BYTES = 16 * 1024


class Lifted(NamedTuple):
    """A request of 0.3 as one of 1.0: the operation, its parameters, and what makes its result one of 0.3 again."""

    operation: str
    params: JSONObject
    lower: Callable[[bytes], bytes]


# --- words


def _word_of(name: str) -> str:
    word = name.removeprefix("TASK_STATE_").lower().replace("_", "-")
    return "unknown" if word == "unspecified" else word


_STATE_WORDS = {state.value: _word_of(state.value) for state in TaskState}
_STATE_NAMES = {word: name for name, word in _STATE_WORDS.items()} | {"TASK_STATE_CANCELLED": "TASK_STATE_CANCELED"}
_ROLE_WORDS = {"ROLE_USER": "user", "ROLE_AGENT": "agent", "ROLE_UNSPECIFIED": "user"}
_ROLE_NAMES = {"user": "ROLE_USER", "agent": "ROLE_AGENT"}
_ENDS = frozenset(state.value for state in TaskState if state.is_terminal)
_INTERRUPTS = frozenset(state.value for state in TaskState if state.is_interrupted)


# --- lifting: pieces


def _camel(value: Any) -> Any:
    """JSON with every name in camelCase, but not inside free-form members."""
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {to_camel(name): item if name in FREE_FORM else _camel(item) for name, item in value.items()}


def _spelled(params: Any, *, check_spelling: bool) -> JSONObject:
    """The parameters as an object in camelCase; refused if a name is there in both spellings (R-DM-02)."""
    if not check_spelling:
        return dict(params)
    refuse_twice_spelled(params)
    found: JSONObject = _camel(params)
    return found


def _refusal(field: str, why: str) -> InvalidParamsError:
    return InvalidParamsError(f"Invalid parameters: {field}", violations=[Violation(field, why)])


def _given(value: Mapping[str, Any], *names: str) -> JSONObject:
    """The members of these names that are there and not null (R-DM-10)."""
    return {name: value[name] for name in names if value.get(name) is not None}


def _first(value: Mapping[str, Any], *names: str) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)


def _decoded_once(text: str) -> str:
    """Bytes that were encoded twice, encoded once; others as they are (see the module's text)."""
    plain = text.translate({45: 43, 95: 47})
    try:
        once = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        if once and len(once) % 4 == 0:
            base64.b64decode(once, validate=True)
            return once.decode("ascii")
    except (binascii.Error, ValueError):
        pass
    return text


def _lift_file(file: Any, where: str, *, rest: bool) -> JSONObject:
    if not isinstance(file, Mapping):
        raise _refusal(where, "must be an object with bytes or a uri")
    uri = _first(file, "uri", "fileWithUri")
    content = _first(file, "bytes", "fileWithBytes")
    if (uri is None) == (content is None):
        raise _refusal(where, "exactly one of bytes and uri must be given")
    found = {"url": uri} if content is None else {"raw": content}
    if rest and isinstance(content, str):
        found["raw"] = _decoded_once(content)
    for old, new in (("mimeType", "mediaType"), ("name", "filename")):
        if file.get(old):
            found[new] = file[old]
    return found


def _lift_data(part: Mapping[str, Any], metadata: JSONObject, where: str, *, rest: bool) -> JSONObject:
    data = part.get("data")
    if rest and "kind" not in part and isinstance(data, Mapping):
        data = data.get("data", {})
    if not isinstance(data, Mapping):
        raise _refusal(f"{where}.data", "must be an object")
    if metadata.get(_COMPAT) is True and data.keys() == {"value"}:
        del metadata[_COMPAT]
        return {"data": data["value"]}
    return {"data": dict(data)}


def _lift_part(part: Any, where: str, *, rest: bool) -> Any:
    if not isinstance(part, Mapping):
        return part  # the check of 1.0 says so
    held = [name for name in ("text", "file", "data") if part.get(name) is not None]
    kind = part.get("kind", held[0] if held else None)
    if kind not in ("text", "file", "data") or held != [kind]:
        raise _refusal(where, "must be a part with text, file or data, and a kind that says which")
    metadata = dict(part["metadata"]) if isinstance(part.get("metadata"), Mapping) else {}
    if kind == "file":
        found = _lift_file(part["file"], f"{where}.file", rest=rest)
    elif kind == "data":
        found = _lift_data(part, metadata, where, rest=rest)
    else:
        found = {"text": part["text"]}
    return found | {"metadata": metadata} if metadata else found


def _lift_parts(parts: Any, where: str, *, rest: bool) -> Any:
    if not isinstance(parts, list):
        return parts
    return [_lift_part(part, f"{where}[{index}]", rest=rest) for index, part in enumerate(parts)]


def _lift_role(role: Any) -> Any:
    return _ROLE_NAMES.get(role, role) if isinstance(role, str) else role


def lift_message(message: Mapping[str, Any], where: str = "message", *, rest: bool = False) -> JSONObject:
    """A message of 0.3 in either dialect as one of 1.0. InvalidParamsError names the part that is none."""
    found = _given(message, "messageId", "contextId", "taskId", "metadata", "extensions", "referenceTaskIds")
    if message.get("role") is not None:
        found["role"] = _lift_role(message["role"])
    name = "parts" if message.get("parts") is not None else "content"
    if message.get(name) is not None:
        found["parts"] = _lift_parts(message[name], f"{where}.{name}", rest=rest)
    return found


def _lift_authentication(authentication: Any, where: str) -> JSONObject | None:
    """The first scheme with its credentials; None for one that says nothing."""
    if not isinstance(authentication, Mapping):
        raise _refusal(where, "must be an object with schemes")
    schemes = _first(authentication, "schemes", "scheme")
    named = [schemes] if isinstance(schemes, str) else schemes if isinstance(schemes, list) else []
    credentials = authentication.get("credentials")
    if not any(named):
        if credentials:
            raise _refusal(f"{where}.schemes", "must name the scheme that the credentials are for")
        return None
    found: JSONObject = {"scheme": next(filter(None, named))}
    return found | {"credentials": credentials} if credentials else found


def lift_webhook(config: Any, where: str = "pushNotificationConfig") -> JSONObject:
    """A PushNotificationConfig of 0.3 as the flat one of 1.0, without its task (§8.2 of our reading, R-COMPAT-20)."""
    if not isinstance(config, Mapping):
        raise _refusal(where, "must be an object with a url")
    found = {name: config[name] for name in ("id", "url", "token") if config.get(name)}
    if config.get("authentication") is not None:
        authentication = _lift_authentication(config["authentication"], f"{where}.authentication")
        if authentication is not None:
            found["authentication"] = authentication
    return found


def _lift_history_length(params: Mapping[str, Any]) -> JSONObject:
    """`historyLength`, unless it is absent or 0, which means "all" in 0.3 (R-HIST-07)."""
    length = params.get("historyLength")
    return {} if length is None or str(length) == "0" else {"historyLength": length}


def _lift_configuration(configuration: Any) -> JSONObject:
    where = "configuration"
    if not isinstance(configuration, Mapping):
        raise _refusal(where, "must be an object")
    found = _given(configuration, "acceptedOutputModes") | _lift_history_length(configuration)
    blocking = configuration.get("blocking")
    if blocking is not None:
        if not isinstance(blocking, bool):
            raise _refusal(f"{where}.blocking", "must be true or false")
        found["returnImmediately"] = not blocking
    for name in ("pushNotificationConfig", "pushNotification"):
        if configuration.get(name) is not None:
            found["taskPushNotificationConfig"] = lift_webhook(configuration[name], f"{where}.{name}")
    return found


# --- lifting: requests


def lift_send(params: Mapping[str, Any], *, rest: bool = False) -> JSONObject:
    """MessageSendParams of 0.3, or its SendMessageRequest, as a SendMessageRequest of 1.0."""
    found = _given(params, "metadata")
    message = _first(params, "message", "request") if rest else params.get("message")
    if isinstance(message, Mapping):
        found["message"] = lift_message(message, rest=rest)
    elif message is not None:
        found["message"] = message
    if params.get("configuration") is not None:
        found["configuration"] = _lift_configuration(params["configuration"])
    return found


def lift_rpc(method: str, params: Mapping[str, Any], *, check_spelling: bool = False) -> Lifted:
    """The request that a method of `OPERATION_OF` with these parameters is; InvalidParamsError says what is wrong.

    `check_spelling`: the body may hold names in snake_case.
    """
    found = _spelled(params, check_spelling=check_spelling)
    operation = OPERATION_OF[method]
    if operation in ("SendMessage", "SendStreamingMessage"):
        return Lifted(operation, lift_send(found), _lower_with(lower_stream_response))
    if operation == "GetTask":
        return Lifted(operation, _given(found, "id") | _lift_history_length(found), _lower_with(lower_task))
    if operation == "CancelTask":
        return Lifted(operation, _given(found, "id", "metadata"), _lower_with(lower_task))
    if operation == "SubscribeToTask":
        return Lifted(operation, _given(found, "id"), bytes)
    if operation == "GetExtendedAgentCard":
        return Lifted(operation, {}, _lower_with(lower_card))
    if operation == "CreateTaskPushNotificationConfig":
        config = lift_webhook(found.get("pushNotificationConfig"))
        return Lifted(operation, config | _task_id(found, "taskId", "id"), _lower_with(lower_webhook))
    return lift_webhook_question(operation, found)


def _task_id(params: Mapping[str, Any], *names: str) -> JSONObject:
    task_id = _first(params, *names)
    if task_id is None:
        raise _refusal(names[0], "Field required")
    return {"taskId": task_id}


def lift_webhook_question(operation: str, params: Mapping[str, Any], *, rest: bool = False) -> Lifted:
    """The get, list or delete of a webhook: `id` is the task, `pushNotificationConfigId` the config.

    `taskId` beside `id` is understood as 1.0 means it. A get that names no config asks for the first one of the task
    (R-COMPAT-20).
    """
    task = _task_id(params, "taskId", "id") if params.get("taskId") else _task_id(params, "id")
    config_id = params.get("pushNotificationConfigId") or (params.get("id") if params.get("taskId") else None)
    lower_one = _lower_with(partial(lower_webhook, rest=rest))
    if operation == "ListTaskPushNotificationConfigs":
        return Lifted(operation, task, _lower_with(partial(lower_webhooks, rest=rest)))
    if operation == "DeleteTaskPushNotificationConfig":
        if config_id is None:
            raise _refusal("pushNotificationConfigId", "Field required")
        return Lifted(operation, task | {"id": config_id}, _nothing)
    if config_id is None:
        return Lifted("ListTaskPushNotificationConfigs", task, lambda body: lower_one(_first_config(body)))
    return Lifted(operation, task | {"id": config_id}, lower_one)


def _nothing(_: bytes) -> bytes:
    return b"null"


def _first_config(body: bytes) -> bytes:
    configs = json.loads(body).get("configs") or ()
    if not configs:
        raise TaskNotFoundError
    return json_bytes(configs[0])


def _lower_with(lower: Callable[[Any], Any]) -> Callable[[bytes], bytes]:
    """`lower` from bytes to bytes."""
    return lambda body: json_bytes(lower(json.loads(body)))


# --- lifting: REST


def lift_rest(
    operation: str, path: Mapping[str, str], query: Mapping[str, Any], body: Any, *, check_spelling: bool = False
) -> Lifted:
    """A request of 0.3 over HTTP+JSON (0.3 §3.5.6): `path` holds `id` of the task and `config_id`, `body` is JSON.

    The path wins over what stands in the body: `parent` and `name` say the same there.
    """
    if not isinstance(body, Mapping | None):
        raise _refusal("", "the body must be a JSON object")
    found = _spelled(body or {}, check_spelling=check_spelling)
    if operation in ("SendMessage", "SendStreamingMessage"):
        params = lift_send(found, rest=True)
        return Lifted(operation, params, _lower_with(partial(lower_stream_response, rest=True)))
    if operation == "GetExtendedAgentCard":
        return Lifted(operation, {}, _lower_with(lower_card))
    task = {"id": path["id"]}
    lower = _lower_with(partial(lower_task, rest=True))
    if operation == "GetTask":
        return Lifted(operation, task | _lift_history_length(_spelled(query, check_spelling=True)), lower)
    if operation == "CancelTask":
        return Lifted(operation, task | _given(found, "metadata"), lower)
    if operation == "SubscribeToTask":
        return Lifted(operation, task, bytes)
    if operation == "CreateTaskPushNotificationConfig":
        params = _lift_rest_webhook(found) | {"taskId": path["id"]}
        return Lifted(operation, params, _lower_with(partial(lower_webhook, rest=True)))
    asked = {"id": path["id"], "pushNotificationConfigId": path.get("config_id")}
    lifted = lift_webhook_question(operation, asked, rest=True)
    return lifted._replace(lower=_empty_object) if lifted.lower is _nothing else lifted


def _empty_object(_: bytes) -> bytes:
    return b"{}"


def _lift_rest_webhook(body: Mapping[str, Any]) -> JSONObject:
    """`{parent, configId, config: {name, pushNotificationConfig}}`, or only what stands under `config`: the annotation
    of the protobuf definition says that is the body."""
    config = body["config"] if isinstance(body.get("config"), Mapping) else body
    held = config["pushNotificationConfig"] if config.get("pushNotificationConfig") is not None else config
    found = lift_webhook(held, "config.pushNotificationConfig")
    if "id" not in found and body.get("configId"):
        found["id"] = body["configId"]
    return found


# --- lifting: results, for a client


def _lift_status(status: Any, *, rest: bool) -> JSONObject:
    if not isinstance(status, Mapping):
        raise _refusal("status", "must be an object")
    state = status.get("state", "unknown")
    found: JSONObject = {"state": _STATE_NAMES.get(state, state), **_given(status, "timestamp")}
    said = _first(status, "message", "update")
    if isinstance(said, Mapping):
        found["message"] = lift_message(said, "status.message", rest=rest)
    return found


def _lift_artifact(artifact: Any, *, rest: bool) -> JSONObject:
    if not isinstance(artifact, Mapping):
        raise _refusal("artifact", "must be an object")
    found = _given(artifact, "artifactId", "name", "description", "metadata", "extensions")
    return found | {"parts": _lift_parts(artifact.get("parts") or [], "artifact.parts", rest=rest)}


def lift_task(task: Mapping[str, Any], *, rest: bool = False) -> JSONObject:
    """A task of 0.3 as one of 1.0."""
    found = _given(task, "id", "contextId", "metadata")
    found["status"] = _lift_status(task.get("status"), rest=rest)
    if artifacts := task.get("artifacts"):
        found["artifacts"] = [_lift_artifact(artifact, rest=rest) for artifact in artifacts]
    if history := task.get("history"):
        found["history"] = [lift_message(message, "history", rest=rest) for message in history]
    return found


_KINDS = {"task": "task", "message": "message", "status-update": "statusUpdate", "artifact-update": "artifactUpdate"}


def lift_stream_response(result: Mapping[str, Any], *, rest: bool = False) -> JSONObject:
    """What a send or a stream of 0.3 gave, as a StreamResponse. InvalidParamsError for what is none of the four."""
    if rest:
        found = _camel(result)
        kind = next((name for name in (*_KINDS.values(), "msg") if isinstance(found.get(name), Mapping)), "")
        value = found.get(kind)
        kind = "message" if kind == "msg" else kind
    else:
        kind, value = _KINDS.get(str(result.get("kind")), ""), result
    if not kind:
        raise _refusal("kind", "must be task, message, status-update or artifact-update")
    if kind == "task":
        return {kind: lift_task(value, rest=rest)}
    if kind == "message":
        return {kind: lift_message(value, rest=rest)}
    update = _given(value, "taskId", "contextId", "append", "lastChunk", "metadata")
    if kind == "statusUpdate":
        update["status"] = _lift_status(value.get("status"), rest=rest)
    else:
        update["artifact"] = _lift_artifact(value.get("artifact"), rest=rest)
    return {kind: update}


# --- lowering: objects


def _lower_file(part: Mapping[str, Any], *, rest: bool) -> JSONObject:
    if "url" in part:
        found = {"fileWithUri" if rest else "uri": part["url"]}
    elif rest:
        found = {"fileWithBytes": base64.b64encode(part["raw"].encode("ascii")).decode("ascii")}
    else:
        found = {"bytes": part["raw"]}
    for old, new in (("mimeType", "mediaType"), ("name", "filename")):
        if part.get(new):
            found[old] = part[new]
    return found


def _lower_part(part: Mapping[str, Any], *, rest: bool) -> JSONObject:
    metadata = dict(part.get("metadata") or {})
    if "text" in part:
        kind, content = "text", part["text"]
    elif "data" in part:
        kind, content = "data", part["data"]
        if not isinstance(content, Mapping):
            content = {"value": content}
            metadata[_COMPAT] = True
        content = {"data": content} if rest else content
    else:
        kind, content = "file", _lower_file(part, rest=rest)
    found = {kind: content} if rest else {"kind": kind, kind: content}
    return found | {"metadata": metadata} if metadata else found


def _lower_parts(parts: Iterable[Mapping[str, Any]], *, rest: bool) -> list[JSONObject]:
    return [_lower_part(part, rest=rest) for part in parts]


def lower_message(message: Mapping[str, Any], *, rest: bool = False) -> JSONObject:
    """A message of 1.0 as one of 0.3."""
    found: JSONObject = {} if rest else {"kind": "message"}
    found |= _given(message, "messageId", "contextId", "taskId")
    found["role"] = message["role"] if rest else _ROLE_WORDS[message["role"]]
    found["content" if rest else "parts"] = _lower_parts(message["parts"], rest=rest)
    found |= _given(message, "metadata", "extensions")
    return found if rest else found | _given(message, "referenceTaskIds")  # their protobuf definition has no such field


def _lower_status(status: Mapping[str, Any], *, rest: bool) -> JSONObject:
    state = status["state"]
    if rest:
        found: JSONObject = {"state": "TASK_STATE_CANCELLED" if state == "TASK_STATE_CANCELED" else state}
    else:
        found = {"state": _STATE_WORDS[state]}
    if status.get("message") is not None:
        found["message"] = lower_message(status["message"], rest=rest)
    return found | _given(status, "timestamp")


def _lower_artifact(artifact: Mapping[str, Any], *, rest: bool) -> JSONObject:
    found = dict(artifact)
    found["parts"] = _lower_parts(artifact.get("parts") or (), rest=rest)
    return found


def lower_task(task: Mapping[str, Any], *, rest: bool = False) -> JSONObject:
    """A task of 1.0 as one of 0.3."""
    found: JSONObject = {} if rest else {"kind": "task"}
    found |= {"id": task["id"], "contextId": task.get("contextId", "")}
    found["status"] = _lower_status(task["status"], rest=rest)
    if task.get("artifacts"):
        found["artifacts"] = [_lower_artifact(artifact, rest=rest) for artifact in task["artifacts"]]
    if task.get("history"):
        found["history"] = [lower_message(message, rest=rest) for message in task["history"]]
    return found | _given(task, "metadata")


def _lower_update(kind: str, update: Mapping[str, Any], *, rest: bool, closes: bool) -> JSONObject:
    found = _given(update, "taskId", "contextId", "append", "lastChunk", "metadata")
    if kind == "artifactUpdate":
        found["artifact"] = _lower_artifact(update["artifact"], rest=rest)
        return found if rest else {"kind": "artifact-update"} | found
    state = update["status"]["state"]
    goes_on = section(update.get("metadata"), TURN_EXTENSION).get("goesOn") is True
    found["status"] = _lower_status(update["status"], rest=rest)
    found["final"] = state in _ENDS or (closes and state in _INTERRUPTS and not goes_on)
    return found if rest else {"kind": "status-update"} | found


def lower_stream_response(response: Mapping[str, Any], *, rest: bool = False, closes: bool = False) -> JSONObject:
    """A StreamResponse of 1.0, or a SendMessageResponse, as what 0.3 says instead.

    `closes`: the stream ends when the task is interrupted, so that this event is its last: `final` says so. Without
    it only a terminal state is final.
    """
    kind, value = next(iter(response.items()))
    if kind == "task":
        found = lower_task(value, rest=rest)
    elif kind == "message":
        found = lower_message(value, rest=rest)
    else:
        found = _lower_update(kind, value, rest=rest, closes=closes)
    return {kind: found} if rest else found


_STRING = rb'"[^"\\]*(?:\\.[^"\\]*)*"'
_TEXT_CHUNK = re.compile(
    rb'\{"artifactUpdate":(\{"taskId":%b,"contextId":%b,"artifact":\{"artifactId":%b,"parts":\[\{)("text":%b\}\]\}'
    rb'(?:,"append":true)?\})\}' % (_STRING, _STRING, _STRING, _STRING)
)


def _lower_row(row: bytes, rest: bool, closes: bool) -> bytes:
    # A piece of plain text, of which there are many: spliced, not parsed.
    if not rest and row.endswith((TEXT_CHUNK_END, b'"}]}}}')) and (chunk := _TEXT_CHUNK.fullmatch(row)):
        head, tail = chunk.groups()
        return b'{"kind":"artifact-update",' + head[1:] + b'"kind":"text",' + tail
    return json_bytes(lower_stream_response(json.loads(row), rest=rest, closes=closes))


_lower_small_row = lru_cache(maxsize=256)(_lower_row)


def lower_row(row: bytes, *, rest: bool = False, closes: bool = False) -> bytes:
    """`lower_stream_response` for the bytes of an event, which are the same for all readers of a live task.

    What small ones became is kept for a while (4 MiB at most), so that a second reader costs nothing.
    """
    return (_lower_small_row if len(row) <= _CACHED_BYTES else _lower_row)(row, rest, closes)


def lower_webhook(config: Mapping[str, Any], *, rest: bool = False) -> JSONObject:
    """A TaskPushNotificationConfig of 1.0 as one of 0.3."""
    held = _given(config, "id", "url", "token")
    if authentication := config.get("authentication"):
        held["authentication"] = {"schemes": [authentication["scheme"]], **_given(authentication, "credentials")}
    if rest:
        name = f"tasks/{config.get('taskId', '')}/pushNotificationConfigs/{config.get('id', '')}"
        return {"name": name, "pushNotificationConfig": held}
    return {"taskId": config.get("taskId", ""), "pushNotificationConfig": held}


def lower_webhooks(found: Mapping[str, Any], *, rest: bool = False) -> Any:
    """A list of webhooks: bare over JSON-RPC."""
    configs = [lower_webhook(config, rest=rest) for config in found.get("configs") or ()]
    return {"configs": configs, **_given(found, "nextPageToken")} if rest else configs


# --- lowering: errors

_OLD_CODES = {-32008: -32600}
"""Codes that 0.3 does not have; -32009 is sent all the same, for it is the answer to a version it names."""
_OLD_TYPES = {
    "ExtendedAgentCardNotConfiguredError": "AuthenticatedExtendedCardNotConfiguredError",
    "ExtensionSupportRequiredError": "InvalidRequestError",
}
_SPEAKS_FOR_ITSELF = frozenset({-32700, -32601, -32603})


def lower_error(error: A2AError) -> JSONObject:
    """The error object of JSON-RPC in 0.3: its `data` is an object, and absent where there is nothing to say."""
    found: JSONObject = {"code": _OLD_CODES.get(error.code, error.code), "message": error.message}
    data: JSONObject = {**error.metadata}
    if error.violations:
        data["fieldViolations"] = [
            {"field": _old_path(violation.field), "description": violation.description}
            for violation in error.violations[:50]
        ]
    if data or error.code not in _SPEAKS_FOR_ITSELF:
        found["data"] = {"reason": error.reason, **data}
    return found


def _old_path(field: str) -> str:
    return field.replace("taskPushNotificationConfig", "pushNotificationConfig")


def lower_rest_error(error: A2AError, body: Mapping[str, Any]) -> JSONObject:
    """The body of an HTTP+JSON error: that of 1.0, and beside it what clients of 0.3 look at."""
    name = type(error).__name__
    return {**body, "message": error.message, "type": _OLD_TYPES.get(name, name)}


# --- lowering: cards

_SCHEME_TYPES = {
    "apiKeySecurityScheme": "apiKey",
    "httpAuthSecurityScheme": "http",
    "oauth2SecurityScheme": "oauth2",
    "openIdConnectSecurityScheme": "openIdConnect",
    "mtlsSecurityScheme": "mutualTLS",
}
_NEW_MEMBERS = frozenset({"supportedInterfaces", "securityRequirements", "securitySchemes", "signatures", "skills"})


def lower_scheme(scheme: Mapping[str, Any]) -> JSONObject | None:
    """A security scheme of 1.0 in the flat form of 0.3; None for one that 0.3 has no word for."""
    for member, kind in _SCHEME_TYPES.items():
        if not isinstance(scheme.get(member), Mapping):
            continue
        found: JSONObject = {"type": kind, **scheme[member]}
        if "location" in found:
            found["in"] = found.pop("location")
        if kind == "oauth2":
            flows = {name: dict(flow) for name, flow in found.get("flows", {}).items() if name != "deviceCode"}
            for flow in flows.values():
                flow.pop("pkceRequired", None)
                flow.setdefault("scopes", {})
            if not flows:
                return None
            found["flows"] = flows
        return found
    return None


def _lower_requirement(requirement: Mapping[str, Any]) -> JSONObject:
    return {name: list(scopes.get("list", ())) for name, scopes in requirement.get("schemes", {}).items()}


def _lower_requirements(requirements: Any, known: Mapping[str, Any]) -> list[JSONObject]:
    """Those of which every scheme is `known` to the reader: the others it could not meet."""
    found = [_lower_requirement(requirement) for requirement in requirements or ()]
    return [requirement for requirement in found if requirement.keys() <= known.keys()]


def old_members(card: Mapping[str, Any]) -> JSONObject:
    """What a reader of 0.3 looks for beside the members that both versions have; empty if no interface speaks 0.3."""
    spoken = [entry for entry in card.get("supportedInterfaces", ()) if entry.get("protocolVersion") == VERSION]
    if not spoken:
        return {}
    found: JSONObject = {
        "protocolVersion": FULL_VERSION,
        "url": spoken[0]["url"],
        "preferredTransport": spoken[0]["protocolBinding"],
        "additionalInterfaces": [{"url": entry["url"], "transport": entry["protocolBinding"]} for entry in spoken],
    }
    if card.get("capabilities", {}).get("extendedAgentCard") is not None:
        found["supportsAuthenticatedExtendedCard"] = card["capabilities"]["extendedAgentCard"]
    schemes = lower_schemes(card)
    if security := _lower_requirements(card.get("securityRequirements"), schemes):
        found["security"] = security
    return found


def lower_schemes(card: Mapping[str, Any]) -> JSONObject:
    """The security schemes of a card in the form of 0.3."""
    lowered = {name: lower_scheme(scheme) for name, scheme in (card.get("securitySchemes") or {}).items()}
    return {name: scheme for name, scheme in lowered.items() if scheme is not None}


def _lower_skill(skill: Mapping[str, Any], schemes: Mapping[str, Any]) -> JSONObject:
    found = {name: value for name, value in skill.items() if name != "securityRequirements"}
    if security := _lower_requirements(skill.get("securityRequirements"), schemes):
        found["security"] = security
    return found


def lower_card(card: Mapping[str, Any]) -> JSONObject:
    """A card of 1.0 as one of 0.3: only interfaces that speak 0.3, and no signatures, which covered other words."""
    schemes = lower_schemes(card)
    found = {name: value for name, value in card.items() if name not in _NEW_MEMBERS}
    found["capabilities"] = {
        name: value for name, value in card.get("capabilities", {}).items() if name != "extendedAgentCard"
    }
    found["skills"] = [_lower_skill(skill, schemes) for skill in card.get("skills", ())]
    if schemes:
        found["securitySchemes"] = schemes
    return found | old_members(card)
