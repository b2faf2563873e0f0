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
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any, Final

from pydantic.alias_generators import to_camel

from a2a_bridge.errors import A2AError, InvalidParamsError, TaskNotFoundError, Violation
from a2a_bridge.protocol.dialect import Dialect, is_version
from a2a_bridge.protocol.events import TEXT_CHUNK_END
from a2a_bridge.protocol.extensions import TURN_EXTENSION, section
from a2a_bridge.protocol.methods import OPERATIONS, Operation
from a2a_bridge.protocol.objects import TaskState, json_bytes
from a2a_bridge.protocol.requests import FREE_FORM

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

COMPAT_DATA = "data_part_compat"
_CACHED_BYTES = 16 * 1024


# --- words


def _word_of(name: str) -> str:
    word = name.removeprefix("TASK_STATE_").lower().replace("_", "-")
    return "unknown" if word == "unspecified" else word


_STATE_WORDS = {state.value: _word_of(state.value) for state in TaskState}
STATE_NAMES = {word: name for name, word in _STATE_WORDS.items()} | {"TASK_STATE_CANCELLED": "TASK_STATE_CANCELED"}
_ROLE_WORDS = {"ROLE_USER": "user", "ROLE_AGENT": "agent", "ROLE_UNSPECIFIED": "user"}
ROLE_NAMES = {"user": "ROLE_USER", "agent": "ROLE_AGENT"}
_ENDS = frozenset(state.value for state in TaskState if state.is_terminal)
_INTERRUPTS = frozenset(state.value for state in TaskState if state.is_interrupted)


# --- lifting: pieces


def _camel(value: Any) -> Any:
    """JSON with every name in camelCase, but not inside free-form members."""
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        to_camel(name) if "_" in name else name: item if name in FREE_FORM else _camel(item)
        for name, item in value.items()
    }


def _refusal(field: str, why: str) -> InvalidParamsError:
    return InvalidParamsError(f"Invalid parameters: {field}", violations=[Violation(field, why)])


def _given(value: Mapping[str, Any], *names: str) -> JSONObject:
    """The members of these names that are there and not null (R-DM-10)."""
    return {name: value[name] for name in names if value.get(name) is not None}


def _first(value: Mapping[str, Any], *names: str) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)


def decoded_once(text: str) -> str:
    """Bytes that were encoded twice, encoded once; others as they are (see the module's text)."""
    plain = text.translate({45: 43, 95: 47})
    try:
        once = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
        if once:
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
        found["raw"] = decoded_once(content)
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
    if metadata.get(COMPAT_DATA) is True and data.keys() == {"value"}:
        del metadata[COMPAT_DATA]
        return {"data": data["value"]}
    return {"data": dict(data)}


def _lift_part(part: Any, where: str, *, rest: bool) -> Any:
    if not isinstance(part, Mapping):
        return part  # the check of 1.0 says so
    held = [name for name in ("text", "file", "data") if part.get(name) is not None]
    kind = part.get("kind", held[0] if held else None)
    if kind not in ("text", "file", "data") or held != [kind]:
        raise _refusal(where, "must be a part with text, file or data, and a kind that says which")
    metadata = {} if part.get("metadata") is None else part["metadata"]
    if not isinstance(metadata, Mapping):
        raise _refusal(f"{where}.metadata", "must be an object")
    metadata = dict(metadata)
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
    return ROLE_NAMES.get(role, role) if isinstance(role, str) else role


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


def lift_send(params: Mapping[str, Any], rest: bool = False) -> JSONObject:
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


def _lift(operation: Operation, params: Any, *, rest: bool = False) -> JSONObject:
    """The parameters of a request of 0.3 as 1.0 has them; of HTTP+JSON those of the path, the query and the body."""
    return _LIFT[operation.name](_camel(params), rest)


def _lift_get(params: Mapping[str, Any], _: bool) -> JSONObject:
    return _given(params, "id") | _lift_history_length(params)


def _lift_new_webhook(params: Mapping[str, Any], rest: bool) -> JSONObject:
    """`{taskId, pushNotificationConfig}`; over HTTP+JSON `{parent, configId, config: {name, pushNotificationConfig}}`,
    or only what stands under `config`: the annotation of the protobuf definition says that is the body."""
    where = "pushNotificationConfig"
    held = params
    if rest and isinstance(params.get("config"), Mapping):
        held, where = params["config"], f"config.{where}"
    found = lift_webhook(held if rest and held.get("url") else held.get("pushNotificationConfig"), where)
    if "id" not in found and rest and params.get("configId"):
        found["id"] = params["configId"]
    return found | _task_of(params, "taskId" if "taskId" in params else "id")


def _task_of(params: Mapping[str, Any], name: str) -> JSONObject:
    if params.get(name) is None:
        raise _refusal(name, "Field required")
    return {"taskId": params[name]}


def _config_of(params: Mapping[str, Any]) -> Any:
    """The id of a webhook: beside `taskId`, which 0.3 calls `id`, it may be called as 1.0 calls it."""
    return params.get("pushNotificationConfigId") or (params.get("id") if params.get("taskId") else None)


def _lift_webhook_task(params: Mapping[str, Any], _: bool) -> JSONObject:
    return _task_of(params, "taskId" if params.get("taskId") else "id")


def _lift_webhook_key(params: Mapping[str, Any], rest: bool) -> JSONObject:
    found, config_id = _lift_webhook_task(params, rest), _config_of(params)
    if config_id is None:
        raise _refusal("pushNotificationConfigId", "Field required")
    return found | {"id": config_id}


_LIFT: Mapping[str, Callable[[Any, bool], JSONObject]] = {
    "SendMessage": lift_send,
    "SendStreamingMessage": lift_send,
    "GetTask": _lift_get,
    "CancelTask": lambda params, _: _given(params, "id", "metadata"),
    "SubscribeToTask": lambda params, _: _given(params, "id"),
    "CreateTaskPushNotificationConfig": _lift_new_webhook,
    "GetTaskPushNotificationConfig": _lift_webhook_key,
    "ListTaskPushNotificationConfigs": _lift_webhook_task,
    "DeleteTaskPushNotificationConfig": _lift_webhook_key,
    "GetExtendedAgentCard": lambda params, _: {},
}


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
            metadata[COMPAT_DATA] = True
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
    # A piece of plain text, of which there are many: spliced, not parsed. Over HTTP+JSON it is the same as in 1.0.
    if row.endswith((TEXT_CHUNK_END, b'"}]}}}')) and (chunk := _TEXT_CHUNK.fullmatch(row)):
        head, tail = chunk.groups()
        return row if rest else b'{"kind":"artifact-update",' + head[1:] + b'"kind":"text",' + tail
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


def lower_rest_error(error: A2AError) -> JSONObject:
    """What clients of 0.3 look at in the body of an HTTP+JSON error, beside that of 1.0: the code of JSON-RPC (the
    JavaScript SDK), the name of the class (the Python one), the message."""
    name = type(error).__name__
    code = _OLD_CODES.get(error.code, error.code)
    return {"code": code, "message": error.message, "type": _OLD_TYPES.get(name, name)}


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


def lower_skill(skill: Mapping[str, Any], schemes: Mapping[str, Any]) -> JSONObject:
    """A skill, with the security that it needs in the form of 0.3."""
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
    found["skills"] = [lower_skill(skill, schemes) for skill in card.get("skills", ())]
    if schemes:
        found["securitySchemes"] = schemes
    return found | old_members(card)


# --- the two dialects


def _lower(operation: Operation, result: bytes, *, rest: bool = False) -> bytes:
    """The result of an operation, as JSON of 1.0, in the words of 0.3."""
    if operation.name == "DeleteTaskPushNotificationConfig":
        return b"{}" if rest else b"null"
    found = json.loads(result)
    if operation.name == "GetExtendedAgentCard":
        return json_bytes(lower_card(found))
    return json_bytes(_LOWER[operation.name](found, rest=rest))


_LOWER: Mapping[str, Callable[..., Any]] = {
    "SendMessage": lower_stream_response,
    "GetTask": lower_task,
    "CancelTask": lower_task,
    "CreateTaskPushNotificationConfig": lower_webhook,
    "GetTaskPushNotificationConfig": lower_webhook,
    "ListTaskPushNotificationConfigs": lower_webhooks,
}


def _lower_first(operation: Operation, result: bytes) -> bytes:
    configs = json.loads(result).get("configs") or ()
    if not configs:
        raise TaskNotFoundError
    return json_bytes(lower_webhook(configs[0]))


def _speaks(version: str | None) -> bool:
    """A missing version means 0.3 (R-VER-02)."""
    return version is None or is_version(version, VERSION)


RPC: Final = Dialect(
    VERSION,
    _speaks,
    lift=_lift,
    lower=_lower,
    lower_row=lower_row,
    lower_error=lower_error,
    streams_refusals=True,
    pings=False,
)
_RPC_SENT = replace(RPC, lower_row=partial(lower_row, closes=True))
_RPC_FIRST = replace(RPC, lower=_lower_first)
REST: Final = replace(
    RPC,
    lift=partial(_lift, rest=True),
    lower=partial(_lower, rest=True),
    lower_row=partial(lower_row, rest=True),
    lower_error=lower_rest_error,
    streams_refusals=False,
)
_REST_SENT = replace(REST, lower_row=partial(lower_row, rest=True, closes=True))

_BY_NAME = {operation.name: operation for operation in OPERATIONS}
Asked = tuple[Operation, Dialect]
"""An operation, and the dialect in which it was asked for."""
_ASKED: Mapping[str, Asked] = {
    method: (_BY_NAME[name], _RPC_SENT if name == "SendStreamingMessage" else RPC)
    for method, name in OPERATION_OF.items()
}
_FIRST_WEBHOOK: Asked = (_BY_NAME["ListTaskPushNotificationConfigs"], _RPC_FIRST)


def asked_by(method: str, params: Any) -> Asked | None:
    """What a method of 0.3 over JSON-RPC asks for; None for a name that is none.

    The get of a webhook that does not say which asks for the task's first one (R-COMPAT-20).
    """
    if method == "tasks/pushNotificationConfig/get" and isinstance(params, Mapping) and not _config_of(_camel(params)):
        return _FIRST_WEBHOOK
    return _ASKED.get(method)


def _rest(operation: Operation) -> Asked:
    return operation, _REST_SENT if operation.name == "SendStreamingMessage" else REST


ROUTES: Final[tuple[tuple[str, Asked], ...]] = (
    *(
        ("/v1/card" if operation.name == "GetExtendedAgentCard" else "/v1" + operation.path, _rest(operation))
        for operation in OPERATIONS
        if operation.name in OPERATION_OF.values()
    ),
    ("/agent/authenticatedExtendedCard", _rest(_BY_NAME["GetExtendedAgentCard"])),
)
"""The path of each operation over HTTP+JSON (0.3 §3.5.6), and the old one of the extended card (R-CARD-02)."""
