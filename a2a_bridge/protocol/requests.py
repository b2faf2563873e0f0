"""The parameters and results of the operations (A2A 1.0.1 §3.1), checked on the way in.

`parse` turns JSON into one of these or raises InvalidParamsError with every violation (R-ERR-03, R-ERR-05).
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, StrictBool, ValidationError
from pydantic.alias_generators import to_camel

from a2a_bridge.errors import InvalidParamsError, Violation
from a2a_bridge.protocol.objects import (
    AnyTaskState,
    Message,
    Struct,
    Task,
    TaskArtifactUpdateEvent,
    TaskStatusUpdateEvent,
    Texts,
    Timestamp,
    WireObject,
)
from a2a_bridge.protocol.problems import problems_in


def _int32(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError("must be an integer")
    return value


Int32 = Annotated[int, BeforeValidator(_int32), Field(ge=-(2**31), lt=2**31)]
Identifier = Annotated[str, Field(min_length=1)]


class AuthenticationInfo(WireObject):
    """How a webhook wants to be authenticated to: an IANA HTTP scheme and its credentials."""

    scheme: str
    credentials: str | None = None


class TaskPushNotificationConfig(WireObject):
    """A webhook of a task (§4.3.1); also the request that creates it."""

    url: Identifier
    tenant: str | None = None
    id: str | None = None
    task_id: str | None = None
    token: str | None = None
    authentication: AuthenticationInfo | None = None


class SendMessageConfiguration(WireObject):
    """What the caller wants of a send (§3.2.2)."""

    accepted_output_modes: Texts | None = None
    task_push_notification_config: TaskPushNotificationConfig | None = None
    history_length: Annotated[Int32, Field(ge=0)] | None = None
    return_immediately: StrictBool | None = None


class SendMessageRequest(WireObject):
    """Parameters of SendMessage and SendStreamingMessage (§3.1.1)."""

    message: Message
    tenant: str | None = None
    configuration: SendMessageConfiguration | None = None
    metadata: Struct | None = None


class GetTaskRequest(WireObject):
    """Parameters of GetTask (§3.1.3)."""

    id: Identifier
    tenant: str | None = None
    history_length: Annotated[Int32, Field(ge=0)] | None = None


class ListTasksRequest(WireObject):
    """Parameters of ListTasks (§3.1.4)."""

    tenant: str | None = None
    context_id: str | None = None
    status: AnyTaskState | None = None
    page_size: Annotated[Int32, Field(ge=1, le=100)] | None = None
    page_token: str | None = None
    history_length: Annotated[Int32, Field(ge=0)] | None = None
    status_timestamp_after: Timestamp | None = None
    include_artifacts: StrictBool | None = None


class ListTasksResponse(WireObject):
    """Result of ListTasks; all four members are always present (R-LIST-05)."""

    tasks: Annotated[tuple[Task, ...], Field(fail_fast=True)]
    next_page_token: str
    page_size: int
    total_size: int


class CancelTaskRequest(WireObject):
    """Parameters of CancelTask (§3.1.5)."""

    id: Identifier
    tenant: str | None = None
    metadata: Struct | None = None


class SubscribeToTaskRequest(WireObject):
    """Parameters of SubscribeToTask (§3.1.6)."""

    id: Identifier
    tenant: str | None = None


class GetTaskPushNotificationConfigRequest(WireObject):
    """Parameters of GetTaskPushNotificationConfig and its Delete twin (§3.1.8, §3.1.10)."""

    task_id: Identifier
    id: Identifier
    tenant: str | None = None


class ListTaskPushNotificationConfigsRequest(WireObject):
    """Parameters of ListTaskPushNotificationConfigs (§3.1.9)."""

    task_id: Identifier
    tenant: str | None = None
    page_size: Int32 | None = None
    page_token: str | None = None


class ListTaskPushNotificationConfigsResponse(WireObject):
    """Result of ListTaskPushNotificationConfigs; neither member is required."""

    configs: Annotated[tuple[TaskPushNotificationConfig, ...], Field(fail_fast=True)] = ()
    next_page_token: str = ""


class GetExtendedAgentCardRequest(WireObject):
    """Parameters of GetExtendedAgentCard (§3.1.11)."""

    tenant: str | None = None


class SendMessageResponse(WireObject):
    """Result of SendMessage: exactly one of the two (R-SEND-01)."""

    task: Task | None = None
    message: Message | None = None


class StreamResponse(WireObject):
    """One event of a stream: exactly one of the four (§4.2.3)."""

    task: Task | None = None
    message: Message | None = None
    status_update: TaskStatusUpdateEvent | None = None
    artifact_update: TaskArtifactUpdateEvent | None = None


_SNAKE_NAME = re.compile(rb'_[a-z]+"\s*:')
FREE_FORM = frozenset({"metadata", "data", "params", "header"})
"""Members whose names inside are the caller's own."""

R = TypeVar("R", bound=WireObject)


def may_use_snake_case(body: bytes) -> bool:
    """Whether a request body holds a proto-style name at all: the cheap look before `parse(check_spelling=True)`."""
    return _SNAKE_NAME.search(body) is not None


def _twice_spelled(value: object, path: str = "") -> list[Violation]:
    found: list[Violation] = []
    if isinstance(value, Mapping):
        for name, item in value.items():
            here = f"{path}.{name}" if path else name
            if "_" in name and to_camel(name) in value:
                found.append(Violation(here, "given in both spellings, camelCase and snake_case"))
            if name not in FREE_FORM:
                found += _twice_spelled(item, here)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += _twice_spelled(item, f"{path}[{index}]")
    return found


def refuse_twice_spelled(params: object) -> None:
    """InvalidParamsError if a member is given in both spellings (R-DM-02)."""
    if twice := _twice_spelled(params):
        raise InvalidParamsError(violations=twice)


def _path(location: tuple[int | str, ...]) -> str:
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            path += f".{to_camel(step)}" if path else to_camel(step)
    return path


_WORDS = {"too_short": "must not be empty"}


def violations_of(error: ValidationError) -> list[Violation]:
    """What pydantic found, as field paths in camelCase; never the values that were sent."""
    return [
        Violation(_path(found["loc"]), _WORDS.get(found["type"]) or str(found["msg"]).removeprefix("Value error, "))
        for found in problems_in(error)
    ]


def parse(model: type[R], params: Any, *, check_spelling: bool = False) -> R:
    """The request that `params` is; InvalidParamsError names every field that is wrong (of a list the first)
    and why."""
    if check_spelling:
        refuse_twice_spelled(params)
    try:
        return model.model_validate(params)
    except ValidationError as error:
        found = violations_of(error)
    except RecursionError:
        found = [Violation("", "nested too deeply")]
    named = ", ".join(sorted({violation.field for violation in found if violation.field})[:5])
    raise InvalidParamsError(f"Invalid parameters: {named}" if named else None, violations=found)
