"""The data model of A2A 1.0.1 (§4): frozen values in snake_case, camelCase on the wire.

pydantic checks what comes in; what goes out is written by `dump` and `to_json`, which know the presence rules of
ProtoJSON (rules R-DM-01 to R-DM-14). Nothing here does I/O or reads a clock.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    StrictBool,
    model_validator,
)
from pydantic.alias_generators import to_camel

JSONValue = JsonValue
Struct = Mapping[str, JSONValue]
Texts = Annotated[tuple[str, ...], Field(fail_fast=True)]

_FRACTION = re.compile(r"(\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")


class WireObject(BaseModel):
    """What every object of the protocol has in common.

    Frozen; unknown members are ignored (R-DM-03); both spellings of a name are accepted (R-DM-02). The value None,
    and JSON null, mean "absent" (R-DM-10).
    """

    model_config = ConfigDict(
        frozen=True,
        extra="ignore",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        ser_json_inf_nan="null",
    )

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """What is absent is not shown: a task in a terminal or a notebook is for reading."""
        return ((name, value) for name, value in super().__repr_args__() if value is not None)


def _enum(value: object, members: tuple[str, ...]) -> object:
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value < len(members):
            return members[value]
        raise ValueError("not a known number of this enumeration")
    return value


class TaskState(StrEnum):
    """Where a task is in its life (§4.1.3); the values are the wire names."""

    UNSPECIFIED = "TASK_STATE_UNSPECIFIED"
    SUBMITTED = "TASK_STATE_SUBMITTED"
    WORKING = "TASK_STATE_WORKING"
    COMPLETED = "TASK_STATE_COMPLETED"
    FAILED = "TASK_STATE_FAILED"
    CANCELED = "TASK_STATE_CANCELED"
    INPUT_REQUIRED = "TASK_STATE_INPUT_REQUIRED"
    REJECTED = "TASK_STATE_REJECTED"
    AUTH_REQUIRED = "TASK_STATE_AUTH_REQUIRED"

    @property
    def is_terminal(self) -> bool:
        """Nothing comes after such a state."""
        return self in _TERMINAL

    @property
    def is_interrupted(self) -> bool:
        """The task waits for an answer from outside."""
        return self in _INTERRUPTED

    @property
    def ends_turn(self) -> bool:
        """The one set of states at which a unary call is answered and a sent stream closes (R-SEND-02, R-STRM-04)."""
        return self in _TERMINAL or self in _INTERRUPTED


_TERMINAL = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED, TaskState.REJECTED})
_INTERRUPTED = frozenset({TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED})


class Role(StrEnum):
    """Who sent a message; the values are the wire names."""

    UNSPECIFIED = "ROLE_UNSPECIFIED"
    USER = "ROLE_USER"
    AGENT = "ROLE_AGENT"


_STATES = tuple(TaskState)
_ROLES = tuple(Role)
AnyTaskState = Annotated[TaskState, BeforeValidator(lambda v: _enum(v, _STATES))]
AnyRole = Annotated[Role, BeforeValidator(lambda v: _enum(v, _ROLES))]


def parse_timestamp(value: object) -> datetime:
    """A UTC time from a ProtoJSON timestamp of 0 to 9 fractional digits; digits below microseconds are cut (R-DM-05).

    Raises ValueError for anything else, also for a datetime without a zone.
    """
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a timestamp needs a time zone")
        return value.astimezone(UTC)
    match = _FRACTION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("not an RFC 3339 timestamp such as 2026-01-31T08:00:00.000Z")
    base, fraction, zone = match.groups()
    moment = datetime.fromisoformat(f"{base}.{(fraction or '0')[:6].ljust(6, '0')}{zone}")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("in UTC it is outside the years 1 to 9999") from None


def format_timestamp(moment: datetime) -> str:
    """The wire form: UTC, milliseconds, suffix Z (R-DM-05)."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


Timestamp = Annotated[datetime, BeforeValidator(parse_timestamp), PlainSerializer(format_timestamp, return_type=str)]


def _from_base64(value: object) -> object:
    if not isinstance(value, str):
        return value
    text = value.translate({45: 43, 95: 47}).rstrip("=")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64") from None


def _to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


Base64 = Annotated[bytes, BeforeValidator(_from_base64), PlainSerializer(_to_base64, return_type=str)]


class Part(WireObject):
    """One piece of content (§4.1.6): exactly one of `text`, `raw`, `url`, `data` (R-DM-12).

    `raw` is bytes here and base64 on the wire. `data` may be any JSON value, None included, so its presence is told
    by `kind`, never by comparing with None.
    """

    text: str | None = None
    raw: Base64 | None = None
    url: str | None = None
    data: JSONValue = None
    metadata: Struct | None = None
    filename: str | None = None
    media_type: str | None = None

    @property
    def kind(self) -> str:
        """The name of the one member that carries the content."""
        for name in ("text", "raw", "url"):
            if getattr(self, name) is not None:
                return name
        return "data"

    @property
    def is_plain_text(self) -> bool:
        """Text with nothing beside it: such neighbours can be joined."""
        return self.text is not None and not (self.metadata or self.filename or self.media_type)

    @model_validator(mode="after")
    def _one_content(self) -> Self:
        given = (self.text is not None) + (self.raw is not None) + (self.url is not None)
        given += "data" in self.model_fields_set and (self.data is not None or given == 0)
        if given != 1:
            raise ValueError("exactly one of text, raw, url and data must be given")
        return self


Parts = Annotated[tuple[Part, ...], Field(fail_fast=True)]
"""Of a list that strangers send, the first mistake is told: telling the million that fit into a body takes the event
loop half a minute."""


class Message(WireObject):
    """What one side says to the other (§4.1.4): ROLE_USER is the client's side, ROLE_AGENT the agent's."""

    message_id: str = Field(min_length=1)
    role: AnyRole
    parts: Parts = Field(min_length=1)
    context_id: str | None = None
    task_id: str | None = None
    metadata: Struct | None = None
    extensions: Texts | None = None
    reference_task_ids: Texts | None = None

    @model_validator(mode="after")
    def _has_role(self) -> Self:
        if self.role is Role.UNSPECIFIED:
            raise ValueError("role must be ROLE_USER or ROLE_AGENT")
        return self

    @property
    def text(self) -> str:
        """The text parts, one below the other; other parts are left out."""
        if len(self.parts) == 1:
            return self.parts[0].text or ""
        return "\n".join(part.text for part in self.parts if part.text is not None)


_NO_PART = dict.fromkeys(Part.model_fields)
_NO_MESSAGE = dict.fromkeys(Message.model_fields)
_set = object.__setattr__


def plain_part(text: str) -> Part:
    """`Part(text=text)` for what is known to be a str: put together without being checked, which costs half."""
    made = Part.__new__(Part)
    _set(made, "__dict__", {**_NO_PART, "text": text})
    _set(made, "__pydantic_fields_set__", {"text"})
    _set(made, "__pydantic_extra__", None)
    _set(made, "__pydantic_private__", None)
    return made


def user_message(message_id: str, parts: tuple[Part, ...], metadata: Struct) -> Message:
    """A message of ROLE_USER whose members are known to be right, an id that is not empty and one part at least: put
    together without being checked, which costs a third."""
    made = Message.__new__(Message)
    content = {"message_id": message_id, "role": Role.USER, "parts": parts, "metadata": {**metadata}}
    _set(made, "__dict__", {**_NO_MESSAGE, **content})
    _set(made, "__pydantic_fields_set__", {*content})
    _set(made, "__pydantic_extra__", None)
    _set(made, "__pydantic_private__", None)
    return made


class Artifact(WireObject):
    """A result of a task (§4.1.7); `artifact_id` is unique within the task."""

    artifact_id: str
    name: str | None = None
    description: str | None = None
    parts: Parts = ()
    metadata: Struct | None = None
    extensions: Texts | None = None

    @property
    def text(self) -> str:
        """The text parts joined as they came, without anything between them."""
        return "".join(part.text for part in self.parts if part.text is not None)


class TaskStatus(WireObject):
    """The state of a task, since when, and what the agent said about it (§4.1.2)."""

    state: AnyTaskState
    message: Message | None = None
    timestamp: Timestamp | None = None


class Task(WireObject):
    """A unit of work (§4.1.1). Servers may leave `context_id` out; ours always sets it."""

    id: str
    status: TaskStatus
    context_id: str | None = None
    artifacts: Annotated[tuple[Artifact, ...], Field(fail_fast=True)] | None = None
    history: Annotated[tuple[Message, ...], Field(fail_fast=True)] | None = None
    metadata: Struct | None = None

    @property
    def text(self) -> str:
        """What the task says to a reader: its artifact `answer`, else all artifacts, else its status message.

        In later turns of a task ours are called `answer.2` and so on: the newest one counts.
        """
        answers = [a.text for a in self.artifacts or () if a.artifact_id.partition(".")[0] == "answer"]
        said = answers[-1] if answers else "\n".join(a.text for a in self.artifacts or () if a.text)
        return said or (self.status.message.text if self.status.message else "")


class TaskStatusUpdateEvent(WireObject):
    """The state of a task has changed, or it tells of its progress (§4.2.1)."""

    task_id: str
    context_id: str | None = None
    status: TaskStatus
    metadata: Struct | None = None


class TaskArtifactUpdateEvent(WireObject):
    """A piece of an artifact (§4.2.2): `append` false replaces what was there, true extends it."""

    task_id: str
    context_id: str | None = None
    artifact: Artifact
    append: StrictBool = False
    last_chunk: StrictBool = False
    metadata: Struct | None = None


Event = Task | Message | TaskStatusUpdateEvent | TaskArtifactUpdateEvent


class _Member:
    """How one member of an object is written: under which name, and when it is left out."""

    __slots__ = ("default", "field", "is_content", "name", "required", "to_json")

    def __init__(self, owner: type[WireObject], field: str) -> None:
        info = owner.model_fields[field]
        self.field = field
        self.name = info.alias or field
        self.required = info.is_required()
        self.default = info.default
        self.is_content = owner is Part and field in ("text", "raw", "url", "data")
        self.to_json = {"raw": _to_base64}.get(field) if owner is Part else None


@cache
def _members(owner: type[WireObject]) -> tuple[_Member, ...]:
    return tuple(_Member(owner, field) for field in owner.model_fields)


def _dump_object(value: WireObject) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for member in _members(type(value)):
        item = getattr(value, member.field)
        if member.is_content:
            # The one member that carries the content is written whatever it is: an empty text is a text, null is data.
            if isinstance(value, Part) and value.kind == member.field:
                found[member.name] = member.to_json(item) if member.to_json else item
            continue
        if item is None:
            continue
        if not member.required and (item == member.default or item in ("", (), [], {})):
            continue
        found[member.name] = member.to_json(item) if member.to_json else dump(item)
    return found


def dump(value: Any) -> Any:
    """The JSON form of a wire object, or of a container of them, by the presence rules (R-DM-01, R-DM-09).

    Left out: what is None, equal to its default, or an empty string or container, unless the member is required.
    A boolean or number whose default is None stays when it was set, be it false or 0.
    """
    if isinstance(value, WireObject):
        return _dump_object(value)
    if isinstance(value, str | int | float | None):
        return value.value if isinstance(value, StrEnum) else value
    if isinstance(value, datetime):
        return format_timestamp(value)
    if isinstance(value, Mapping):
        return {key: dump(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [dump(item) for item in value]
    raise TypeError(f"cannot be written as JSON: {type(value).__name__}")


_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def json_bytes(value: Any) -> bytes:
    """Compact UTF-8 JSON of a plain value; ValueError for NaN, infinity and lone surrogates (R-DM-13, R-DM-14)."""
    return _encode(value).encode("utf-8")


def to_json(value: Any) -> bytes:
    """`dump` as compact UTF-8 bytes."""
    return json_bytes(dump(value))
