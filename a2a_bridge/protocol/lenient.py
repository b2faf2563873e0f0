"""Answers of other servers as our objects: strict where it matters, patient with the rest (T-13, T-29).

Servers print defaults (`"filename":""`), leave required members out of answers (a task without `contextId`, a message
without `messageId`) and send empty parts. The fast way is pydantic on the bytes as they came; only what it refuses,
or what looks like printed defaults, is cleaned first. Pure functions.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar
from zlib import crc32

from pydantic import ValidationError

from a2a_bridge.errors import InvalidAgentResponseError
from a2a_bridge.protocol.objects import WireObject
from a2a_bridge.protocol.requests import FREE_FORM, ListTasksResponse, violations_of

R = TypeVar("R", bound=WireObject)

_MAY_BE_EMPTY = frozenset({"text", "raw", "nextPageToken", "tasks"})
_NOTHING: tuple[Any, ...] = (None, "", [], {})


def quick(model: type[R], body: str) -> R | None:
    """The object that a JSON text is, the fast way; None when it needs a closer look."""
    if '""' in body or "[]" in body:
        return None
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return None


def read_value(model: type[R], value: Any) -> R:
    """The object that a JSON value is, or nearly is. InvalidAgentResponseError says where it is not one."""
    try:
        cleaned = _cleaned(value)
        if model is ListTasksResponse and isinstance(cleaned, dict):
            _fill_list(cleaned)
        return model.model_validate(cleaned)
    except ValidationError as error:
        first = violations_of(error)[0]
        where = f"{first.field}: " if first.field else ""
        raise InvalidAgentResponseError(f"the agent's answer cannot be read: {where}{first.description}") from None
    except RecursionError:
        raise InvalidAgentResponseError("the agent's answer is nested too deeply") from None


def json_value(body: str) -> Any:
    """JSON text as Python values."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise InvalidAgentResponseError("the agent's answer is not JSON") from None


def _cleaned(value: Any) -> Any:
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, item in value.items():
        if name not in FREE_FORM:
            item = _cleaned(item)
        if name == "data" or name in _MAY_BE_EMPTY or item not in _NOTHING:
            found[name] = item
    for member, fill in _FILLED.items():
        if isinstance(found.get(member), dict | list):
            fill(found, member)
    return found


def _fill_message(owner: dict[str, Any], member: str) -> None:
    message = owner[member]
    if not isinstance(message, dict):
        return
    message.setdefault("role", "ROLE_AGENT")
    if not message.get("parts"):
        message["parts"] = [{"text": ""}]
    if "message_id" not in message and "messageId" not in message:
        # The same message gets the same id again, so that a repeated one is known.
        message["messageId"] = f"unnamed-{crc32(json.dumps(message, sort_keys=True).encode()):08x}"


def _fill_history(owner: dict[str, Any], member: str) -> None:
    owner[member] = [item for item in owner[member] if isinstance(item, dict) and item.get("parts")]
    for item in owner[member]:
        _fill_message({"message": item}, "message")


def _fill_artifact(owner: dict[str, Any], member: str) -> None:
    if isinstance(owner[member], dict):
        owner[member].setdefault("artifactId", owner[member].pop("artifact_id", "artifact"))


def _fill_artifacts(owner: dict[str, Any], member: str) -> None:
    for number, item in enumerate(owner[member]):
        if isinstance(item, dict):
            item.setdefault("artifactId", item.pop("artifact_id", f"artifact-{number}"))


def _fill_parts(owner: dict[str, Any], member: str) -> None:
    owner[member] = [part for part in owner[member] if not isinstance(part, dict) or part.keys() & _CONTENT]


def _fill_update(owner: dict[str, Any], member: str) -> None:
    update = owner[member]
    if isinstance(update, dict) and "task_id" not in update:
        update.setdefault("taskId", "")  # the stream knows which task it is about


_CONTENT = frozenset({"text", "raw", "url", "data"})
_FILLED: dict[str, Callable[[dict[str, Any], str], None]] = {
    "message": _fill_message,
    "history": _fill_history,
    "artifact": _fill_artifact,
    "artifacts": _fill_artifacts,
    "parts": _fill_parts,
    "statusUpdate": _fill_update,
    "artifactUpdate": _fill_update,
}


def _fill_list(found: dict[str, Any]) -> None:
    tasks = found.setdefault("tasks", [])
    found.setdefault("nextPageToken", "")
    found.setdefault("pageSize", len(tasks) if isinstance(tasks, list) else 0)
    found.setdefault("totalSize", len(tasks) if isinstance(tasks, list) else 0)
