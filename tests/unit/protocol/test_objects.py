"""The data model in Python: presence, times, bytes, parts, writing (`protocol/objects.py`, `protocol/lifecycle.py`)."""

import copy
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from a2a_bridge.protocol.card import AgentCapabilities, AgentExtension
from a2a_bridge.protocol.events import (
    EventWriter,
    bare_message_json,
    client_message_json,
    message_json,
    status_json,
    text_part,
)
from a2a_bridge.protocol.lifecycle import may_follow
from a2a_bridge.protocol.methods import OPERATIONS
from a2a_bridge.protocol.objects import (
    Artifact,
    Message,
    Part,
    Role,
    Task,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
    dump,
    format_timestamp,
    json_bytes,
    parse_timestamp,
    plain_part,
    to_json,
    user_message,
)
from a2a_bridge.protocol.requests import (
    SendMessageConfiguration,
    StreamResponse,
    TaskArtifactUpdateEvent,
    may_use_snake_case,
    parse,
)

# --- presence


def test_what_is_empty_or_a_default_is_left_out() -> None:
    """R-DM-09: and what is required stays, however empty."""
    task = Task(id="", context_id="", status=TaskStatus(state=TaskState.WORKING), artifacts=(), history=(), metadata={})
    assert dump(task) == {"id": "", "status": {"state": "TASK_STATE_WORKING"}}
    update = TaskArtifactUpdateEvent(task_id="t", artifact=Artifact(artifact_id="a", parts=()), append=False)
    assert dump(update) == {"taskId": "t", "artifact": {"artifactId": "a"}}


def test_false_and_zero_that_were_said_stay() -> None:
    """R-DM-09, R-SIGN-01: a capability that is denied differs from one that is not mentioned."""
    assert dump(AgentCapabilities(streaming=False)) == {"streaming": False}
    assert dump(AgentCapabilities()) == {}
    assert dump(SendMessageConfiguration(history_length=0)) == {"historyLength": 0}
    assert dump(AgentExtension(uri="u", required=False)) == {"uri": "u"}


def test_null_is_written_for_data_only() -> None:
    """R-DM-08, R-DM-10."""
    assert dump(Part(data=None)) == {"data": None}
    assert dump(Part(text="a")) == {"text": "a"}
    assert Part.model_validate({"data": None}).kind == "data"
    assert Part.model_validate({"text": "a", "data": None}).kind == "text"


def test_a_task_needs_no_history_to_be_read() -> None:
    """R-HIST-06, R-DM-10: nobody may rely on it being there, or complete."""
    task = Task.model_validate({"id": "t", "status": {"state": 3}, "history": None, "artifacts": [{"artifactId": "a"}]})
    assert (task.history, task.status.state, task.artifacts) == (
        None,
        TaskState.COMPLETED,
        (Artifact(artifact_id="a"),),
    )


def test_objects_cannot_be_changed() -> None:
    """House rule: wire objects are values."""
    with pytest.raises(ValidationError):
        Part(text="a").text = "b"  # type: ignore[misc]


@given(st.text(st.characters(exclude_categories=[])), st.text(min_size=1).filter(str.isascii))
def test_objects_that_are_put_together_unchecked_are_the_same_as_checked_ones(text: str, message_id: str) -> None:
    metadata = {"where": {"speaker": text}}
    made = user_message(message_id, (plain_part(text),), metadata)
    checked = Message(message_id=message_id, role=Role.USER, parts=(Part(text=text),), metadata=metadata)
    assert made == checked
    assert made.parts[0] == checked.parts[0]
    assert repr(made) == repr(checked)
    assert dump(made) == dump(checked)
    assert copy.deepcopy(made) == checked
    assert made.model_copy(update={"task_id": "t"}) == checked.model_copy(update={"task_id": "t"})
    assert made.metadata is not metadata
    assert made.model_fields_set == checked.model_fields_set
    assert made.parts[0].model_fields_set == checked.parts[0].model_fields_set


# --- times, bytes, numbers


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00.000Z"),
        ("2026-01-31T08:00:00.1Z", "2026-01-31T08:00:00.100Z"),
        ("2026-01-31T08:00:00.123456789Z", "2026-01-31T08:00:00.123Z"),
        ("2026-01-31T09:30:00.5+01:30", "2026-01-31T08:00:00.500Z"),
        ("2026-01-31T00:00:00-08:00", "2026-01-31T08:00:00.000Z"),
    ],
)
def test_a_time_is_read_with_any_fraction_and_written_in_milliseconds(text: str, shown: str) -> None:
    """R-DM-05."""
    assert format_timestamp(parse_timestamp(text)) == shown


def test_a_time_without_a_zone_is_no_time() -> None:
    """R-DM-05: also when it comes from a program."""
    with pytest.raises(ValueError, match="zone"):
        parse_timestamp(datetime(2026, 1, 1))
    moment = datetime(2026, 1, 1, 9, tzinfo=timezone(timedelta(hours=1)))
    assert parse_timestamp(moment) == datetime(2026, 1, 1, 8, tzinfo=UTC)


@given(st.binary(max_size=40))
def test_bytes_survive_the_wire(raw: bytes) -> None:
    """R-DM-06."""
    assert Part.model_validate(dump(Part(raw=raw))).raw == raw


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [float("-inf")]}, "\ud800"])
def test_what_is_not_json_is_never_written(value: Any) -> None:
    """R-DM-13, R-DM-14."""
    with pytest.raises(ValueError):
        json_bytes(value)
    with pytest.raises(ValueError):
        to_json(Part(data=value))


def test_only_json_values_and_wire_objects_are_written() -> None:
    """House rule: a mistake of ours must not become a string on the wire."""
    with pytest.raises(TypeError):
        dump({1, 2})


def test_json_is_compact_utf8() -> None:
    """R-DM-14: no needless escapes, no spaces."""
    assert (
        to_json(Part(text='ü"\n', metadata={"a": [1, None]})) == '{"text":"ü\\"\\n","metadata":{"a":[1,null]}}'.encode()
    )


# --- texts and states


def test_texts_of_a_message_stand_one_below_the_other_and_those_of_an_artifact_together() -> None:
    """Our decision: parts of a message are paragraphs, pieces of an artifact are a stream."""
    parts = (Part(text="a"), Part(data=1), Part(text="b"))
    assert Message(message_id="m", role=Role.USER, parts=parts).text == "a\nb"
    assert Artifact(artifact_id="a", parts=parts).text == "ab"


@pytest.mark.parametrize(
    ("part", "plain"),
    [
        (Part(text="a"), True),
        (Part(text="a", metadata=None, filename=None, media_type=None), True),
        (Part(text="a", metadata={}, filename="", media_type=""), True),
        (Part(text="a", metadata={"k": 1}), False),
        (Part(text="a", media_type="text/markdown"), False),
        (Part(text="a", filename="f"), False),
        (Part(data="a"), False),
    ],
)
def test_a_text_is_plain_if_nothing_stands_beside_it_on_the_wire(part: Part, plain: bool) -> None:
    """R-ART-02: only such neighbours can be joined; however the part was made."""
    assert part.is_plain_text is plain
    assert (dump(part).keys() == {"text"}) is plain


def test_states_fall_into_three_kinds() -> None:
    """A2A 1.0 §4.1.3, failure 8: one set of states ends a turn."""
    kinds = {state.name: (state.is_terminal, state.is_interrupted, state.ends_turn) for state in TaskState}
    assert kinds == {
        "UNSPECIFIED": (False, False, False), "SUBMITTED": (False, False, False), "WORKING": (False, False, False),
        "COMPLETED": (True, False, True), "FAILED": (True, False, True), "CANCELED": (True, False, True),
        "REJECTED": (True, False, True), "INPUT_REQUIRED": (False, True, True), "AUTH_REQUIRED": (False, True, True),
    }  # fmt: skip


def test_the_life_of_a_task_goes_one_way() -> None:
    """A2A 1.0 §4.1.3: nothing follows an end, nothing leads back to the beginning."""
    for before in (None, *TaskState):
        for after in TaskState:
            allowed = after is not TaskState.UNSPECIFIED and not (before is not None and before.is_terminal)
            if after is TaskState.SUBMITTED:
                allowed = before is None
            assert may_follow(before, after) is allowed, (before, after)


def test_every_operation_is_in_the_table_once() -> None:
    """R-BIND-01: eleven operations, with their routes for the binding to come."""
    assert len({operation.name for operation in OPERATIONS}) == 11
    assert len({(operation.verb, operation.path) for operation in OPERATIONS}) == 11
    assert {operation.name for operation in OPERATIONS if operation.streams} == {
        "SendStreamingMessage", "SubscribeToTask",
    }  # fmt: skip


# --- events as bytes are what the objects say

WRITER = EventWriter('t"1', "c\n1")
STAMP = "2026-01-01T00:00:00.000Z"


def read_event(raw: bytes) -> StreamResponse:
    assert b"\n" not in raw
    return parse(StreamResponse, json.loads(raw))


def test_a_status_event_is_what_the_data_model_says() -> None:
    """R-DM-01, R-CTX-10: bytes that are spliced together are the same as objects that are dumped."""
    message = message_json(
        message_id="m", parts=[text_part("hi")], context_id="c\n1", task_id='t"1', metadata={"k": [None]}
    )
    found = read_event(WRITER.status(status_json(TaskState.WORKING, STAMP, message), {"x": 1}))
    expected = TaskStatusUpdateEvent(
        task_id='t"1',
        context_id="c\n1",
        status=TaskStatus(
            state=TaskState.WORKING,
            timestamp=parse_timestamp(STAMP),
            message=Message(
                message_id="m", role=Role.AGENT, parts=(Part(text="hi"),), context_id="c\n1", task_id='t"1',
                metadata={"k": [None]},
            ),
        ),
        metadata={"x": 1},
    )  # fmt: skip
    assert found.status_update == expected
    assert to_json(StreamResponse(status_update=expected)) == WRITER.status(
        status_json(TaskState.WORKING, STAMP, message).replace(message, to_json(expected.status.message)), {"x": 1}
    )


def test_an_artifact_event_is_what_the_data_model_says() -> None:
    """R-DM-01, R-ART-02."""
    raw = WRITER.artifact('a"', [text_part("ü")], append=True, last=True, name="n", metadata={"m": 1})
    update = read_event(raw).artifact_update
    assert update == TaskArtifactUpdateEvent(
        task_id='t"1', context_id="c\n1", append=True, last_chunk=True,
        artifact=Artifact(artifact_id='a"', name="n", parts=(Part(text="ü"),), metadata={"m": 1}),
    )  # fmt: skip
    plain = read_event(WRITER.artifact("a", [text_part("")], append=False))
    assert plain.artifact_update is not None
    assert plain.artifact_update.append is False
    assert b"append" not in WRITER.artifact("a", [], append=False)


def test_a_clients_message_is_kept_with_the_ids_that_the_server_settled() -> None:
    """R-CTX-04, R-SEND-09: what it is compared by has none of them."""
    message = Message(
        message_id="m", role=Role.USER, parts=(Part(text="a"), Part(data={"k": None})), context_id="x", task_id="y",
        metadata={"m": 1}, extensions=("u",), reference_task_ids=("r",),
    )  # fmt: skip
    kept = json.loads(client_message_json(message, "c", "t"))
    assert kept == dump(message) | {"contextId": "c", "taskId": "t"}
    bare = json.loads(bare_message_json(message))
    assert bare == {key: value for key, value in dump(message).items() if key not in ("contextId", "taskId")}


@pytest.mark.parametrize(
    ("body", "maybe"),
    [
        (b'{"message_id":"x"}', True),
        (b'{"messageId":"x"}', False),
        (b'{"a":"task_id"}', False),
        (b'{"context_id" : 1}', True),
    ],
)
def test_only_bodies_that_may_hold_snake_case_are_looked_at_twice(body: bytes, maybe: bool) -> None:
    """R-DM-02: the look is cheap, and misses nothing that a field could be called."""
    assert may_use_snake_case(body) is maybe


def test_what_is_absent_is_not_shown() -> None:
    """Ours: an object in a notebook is for reading."""
    message = Message(message_id="1", role=Role.USER, parts=(Part(text="hi"),))
    assert repr(message) == "Message(message_id='1', role=<Role.USER: 'ROLE_USER'>, parts=(Part(text='hi'),))"
