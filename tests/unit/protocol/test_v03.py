"""A2A 0.3 lifted and lowered, checked against the official SDK's own models and protobuf definition of 0.3."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from a2a.compat.v0_3 import a2a_v0_3_pb2 as pb
from a2a.compat.v0_3 import types as models
from google.protobuf.json_format import ParseDict
from hypothesis import given, settings
from hypothesis import strategies as st

from a2a_bridge import errors
from a2a_bridge.errors import A2AError, InvalidParamsError, TaskNotFoundError, Violation
from a2a_bridge.protocol import v03
from a2a_bridge.protocol.dialect import Dialect
from a2a_bridge.protocol.events import TEXT_CHUNK_END, EventWriter, part_json, quoted
from a2a_bridge.protocol.methods import OPERATIONS
from a2a_bridge.protocol.objects import Part, TaskState, json_bytes
from a2a_bridge.protocol.requests import parse

OPERATION = {operation.name: operation for operation in OPERATIONS}


def lift(method: str, params: Any) -> tuple[str, Any]:
    """The operation and the request, held against the model of 1.0."""
    asked = v03.asked_by(method, params)
    assert asked is not None
    operation, dialect = asked
    assert dialect.lift is not None
    lifted = dialect.lift(operation, params)
    parse(operation.request, lifted)
    return operation.name, lifted


def lift_rest(name: str, params: Any) -> Any:
    assert v03.REST.lift is not None
    lifted = v03.REST.lift(OPERATION[name], params)
    parse(OPERATION[name].request, lifted)
    return lifted


def refused(method: str, params: Any) -> list[str]:
    """The fields that make a request invalid."""
    with pytest.raises(InvalidParamsError) as caught:
        lift(method, params)
    return [violation.field for violation in caught.value.violations]


def said(*parts: Any, **members: Any) -> dict[str, Any]:
    return {"message": {"kind": "message", "messageId": "m1", "role": "user", "parts": list(parts)} | members}


def lifted_part(part: Any) -> Any:
    return lift("message/send", said(part))[1]["message"]["parts"][0]


# --- lifting


def test_every_method_of_0_3_is_an_operation_of_1_0() -> None:
    """R-COMPAT-01: and what 0.3 did not have is none of its methods."""
    asked = {method: v03.asked_by(method, {"id": "t", "pushNotificationConfigId": "c"}) for method in v03.OPERATION_OF}
    assert all(asked.values())
    assert {entry[0].name for entry in asked.values() if entry} == OPERATION.keys() - {"ListTasks"}
    assert all(v03.asked_by(name, {}) is None for name in ("tasks/list", "tasks/send", "SendMessage", "", "/"))


def test_a_send_is_lifted_whole() -> None:
    """R-HIST-07: message, configuration and metadata, each member where 1.0 has it."""
    params = said(
        {"kind": "text", "text": "hi", "metadata": {"a": 1}},
        contextId="c",
        taskId="t",
        extensions=["urn:x"],
        referenceTaskIds=["r"],
        metadata={"snake_name": {"b_c": 1}},
    ) | {
        "configuration": {
            "acceptedOutputModes": ["text/plain"],
            "blocking": False,
            "historyLength": 3,
            "pushNotificationConfig": {
                "id": "p",
                "url": "https://example.org/",
                "token": "s",
                "authentication": {"schemes": ["Bearer", "Basic"], "credentials": "x"},
            },
        },
        "metadata": {"m": None},
    }
    assert lift("message/send", params) == (
        "SendMessage",
        {
            "message": {
                "messageId": "m1",
                "contextId": "c",
                "taskId": "t",
                "role": "ROLE_USER",
                "parts": [{"text": "hi", "metadata": {"a": 1}}],
                "extensions": ["urn:x"],
                "referenceTaskIds": ["r"],
                "metadata": {"snake_name": {"b_c": 1}},
            },
            "configuration": {
                "acceptedOutputModes": ["text/plain"],
                "returnImmediately": True,
                "historyLength": 3,
                "taskPushNotificationConfig": {
                    "id": "p",
                    "url": "https://example.org/",
                    "token": "s",
                    "authentication": {"scheme": "Bearer", "credentials": "x"},
                },
            },
            "metadata": {"m": None},
        },
    )


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"kind": "text", "text": ""}, {"text": ""}),
        ({"text": "no kind"}, {"text": "no kind"}),
        ({"kind": "file", "file": {"bytes": "AP8="}}, {"raw": "AP8="}),
        ({"kind": "file", "file": {"fileWithBytes": "AP8="}}, {"raw": "AP8="}),
        (
            {"file": {"bytes": "aGk=", "mimeType": "a/b", "name": "n"}},
            {"raw": "aGk=", "mediaType": "a/b", "filename": "n"},
        ),
        ({"kind": "file", "file": {"bytes": "YUdrPQ=="}}, {"raw": "YUdrPQ=="}),
        ({"kind": "file", "file": {"uri": "https://e/"}}, {"url": "https://e/"}),
        ({"file": {"fileWithUri": "https://e/", "bytes": None}}, {"url": "https://e/"}),
        ({"kind": "data", "data": {"data": {"x": 1}}}, {"data": {"data": {"x": 1}}}),
        ({"kind": "data", "data": {}}, {"data": {}}),
        ({"data": {"value": [1]}, "metadata": {"data_part_compat": True}}, {"data": [1]}),
        (
            {"data": {"value": None}, "metadata": {"data_part_compat": True, "k": 1}},
            {"data": None, "metadata": {"k": 1}},
        ),
        (
            {"data": {"value": 1, "x": 2}, "metadata": {"data_part_compat": True}},
            {"data": {"value": 1, "x": 2}, "metadata": {"data_part_compat": True}},
        ),
        ({"kind": "text", "text": "x", "file": None, "metadata": None}, {"text": "x"}),
    ],
)
def test_parts_are_lifted(part: Any, expected: Any) -> None:
    """R-DM-12, R-COMPAT-14: by `kind` or by their members, files under either name, wrapped data unwrapped."""
    assert lifted_part(part) == expected


@pytest.mark.parametrize(
    "part",
    [
        {},
        {"kind": "text"},
        {"kind": "file", "text": "x"},
        {"kind": "video", "text": "x"},
        {"text": "a", "data": {}},
        {"kind": "data", "data": [1]},
        {"file": "x"},
        {"file": {}},
        {"file": {"uri": "u", "bytes": "aGk="}},
        {"text": "x", "metadata": 5},
    ],
)
def test_what_is_no_part_of_0_3_is_refused_by_its_place(part: Any) -> None:
    """R-DM-11, R-ERR-03."""
    (field,) = refused("message/send", said({"kind": "text", "text": "fine"}, part))
    assert field.startswith("message.parts[1]")


def test_names_in_snake_case_are_lifted_too_but_not_inside_metadata() -> None:
    """R-DM-02."""
    message = {"message_id": "m", "context_id": "c", "role": "user", "metadata": {"my_key": {"in_it": 1}}}
    message["parts"] = [{"kind": "file", "file": {"bytes": "aGk=", "mime_type": "a/b"}}]
    _, lifted = lift("message/send", {"message": message, "configuration": {"history_length": 2}})
    assert lifted["message"]["contextId"] == "c"
    assert lifted["message"]["metadata"] == {"my_key": {"in_it": 1}}
    assert lifted["message"]["parts"] == [{"raw": "aGk=", "mediaType": "a/b"}]
    assert lifted["configuration"] == {"historyLength": 2}


@pytest.mark.parametrize(
    ("blocking", "expected"), [(True, {"returnImmediately": False}), (None, {}), (False, {"returnImmediately": True})]
)
def test_blocking_is_the_opposite_of_return_immediately(blocking: Any, expected: Any) -> None:
    """0.3 §7.1: and a client that says nothing waits."""
    assert (
        lift("message/send", said({"text": "x"}) | {"configuration": {"blocking": blocking}})[1]["configuration"]
        == expected
    )


@pytest.mark.parametrize("length", [0, None, "0"])
def test_a_history_length_of_0_is_not_said(length: Any) -> None:
    """R-HIST-07: in the send, in the get, and as a query parameter."""
    assert lift("tasks/get", {"id": "t", "historyLength": length})[1] == {"id": "t"}
    assert (
        lift("message/send", said({"text": "x"}) | {"configuration": {"historyLength": length}})[1]["configuration"]
        == {}
    )
    assert lift_rest("GetTask", {"id": "t", "historyLength": length}) == {"id": "t"}


@pytest.mark.parametrize("length", [-1, False, "x", 1.5])
def test_a_history_length_that_is_none_is_refused(length: Any) -> None:
    """R-HIST-04."""
    assert refused("tasks/get", {"id": "t", "historyLength": length}) == ["historyLength"]


@pytest.mark.parametrize(
    ("authentication", "expected"),
    [
        ({}, None),
        ({"schemes": []}, None),
        ({"schemes": [""]}, None),
        ({"schemes": [], "credentials": ""}, None),
        (None, None),
        ({"schemes": ["Bearer"]}, {"scheme": "Bearer"}),
        ({"scheme": "Basic", "credentials": "x"}, {"scheme": "Basic", "credentials": "x"}),
        ({"schemes": ["", "Basic"], "credentials": "x"}, {"scheme": "Basic", "credentials": "x"}),
    ],
)
def test_the_authentication_of_a_webhook(authentication: Any, expected: Any) -> None:
    """R-COMPAT-20: one that says nothing is none; of several schemes the first counts."""
    held = {"url": "https://e/", "id": "", "token": "", "authentication": authentication}
    lifted = lift("tasks/pushNotificationConfig/set", {"taskId": "t", "pushNotificationConfig": held})[1]
    assert lifted == {"url": "https://e/", "taskId": "t"} | ({"authentication": expected} if expected else {})


def test_webhooks_are_asked_for_by_task_and_config() -> None:
    """R-COMPAT-20: `id` is the task there; as 1.0 has it is understood; without a config the first is meant."""
    key = {"taskId": "t", "id": "c"}
    for name in ("get", "delete"):
        for params in (
            {"id": "t", "pushNotificationConfigId": "c"},
            {"taskId": "t", "id": "c"},
            {"id": "t", "push_notification_config_id": "c"},
        ):
            assert lift(f"tasks/pushNotificationConfig/{name}", params)[1] == key
    for params in ({"id": "t"}, {"taskId": "t"}):
        assert lift("tasks/pushNotificationConfig/list", params)[1] == {"taskId": "t"}
        assert lift("tasks/pushNotificationConfig/get", params) == ("ListTaskPushNotificationConfigs", {"taskId": "t"})
        assert refused("tasks/pushNotificationConfig/delete", params) == ["pushNotificationConfigId"]
    for name in ("get", "list", "delete"):
        assert refused(f"tasks/pushNotificationConfig/{name}", {}) == ["id"]
    assert refused("tasks/pushNotificationConfig/set", {"pushNotificationConfig": {"url": "u"}}) == ["id"]
    assert refused("tasks/pushNotificationConfig/set", {"taskId": "t"}) == ["pushNotificationConfig"]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "message"),
        ({"message": 5}, "message"),
        (said({"text": "x"}, role="boss"), "message.role"),
        (said({"text": "x"}, messageId=None), "message.messageId"),
        (said(), "message.parts"),
        (said("x"), "message.parts[0]"),
        ({"message": said({"text": "x"})["message"] | {"parts": 5}}, "message.parts"),
        (said({"text": "x"}) | {"configuration": 5}, "configuration"),
        (said({"text": "x"}) | {"configuration": {"blocking": "yes"}}, "configuration.blocking"),
        (
            said({"text": "x"}) | {"configuration": {"pushNotificationConfig": 5}},
            "configuration.pushNotificationConfig",
        ),
        (
            said({"text": "x"}) | {"configuration": {"pushNotificationConfig": {"url": "u", "authentication": 5}}},
            "configuration.pushNotificationConfig.authentication",
        ),
        (
            said({"text": "x"})
            | {"configuration": {"pushNotificationConfig": {"url": "u", "authentication": {"credentials": "x"}}}},
            "configuration.pushNotificationConfig.authentication.schemes",
        ),
    ],
)
def test_what_is_wrong_with_a_send_is_named(params: Any, field: str) -> None:
    """R-DM-11, R-ERR-03."""
    assert refused("message/send", params)[0] == field


WORDS_OF_0_3 = st.sampled_from(
    [
        *("message", "request", "parts", "content", "kind", "text", "file", "data", "bytes", "uri", "fileWithBytes"),
        *("metadata", "role", "messageId", "message_id", "configuration", "blocking", "historyLength", "config"),
        *("pushNotificationConfig", "authentication", "schemes", "credentials", "url", "id", "taskId", "task_id"),
        *("configId", "data_part_compat", "value", "parent", "name"),
    ]
)
NONSENSE = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "user", "text", "data", "file", "aGk=", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS_OF_0_3, inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(v03.OPERATION_OF)), st.dictionaries(WORDS_OF_0_3, NONSENSE, max_size=5))
def test_nonsense_is_lifted_or_refused_and_nothing_else(method: str, params: Any) -> None:
    """R-ERR-05, R-ERR-06: whatever is sent, the answer is a request that 1.0 takes or the fields that are wrong."""
    asked = v03.asked_by(method, params)
    assert asked is not None
    operation = asked[0]
    for dialect in (asked[1], v03.REST):
        assert dialect.lift is not None
        with suppress(InvalidParamsError):
            parse(operation.request, dialect.lift(operation, params))


# --- lifting: REST


def test_a_send_over_rest_is_in_the_words_of_protobuf() -> None:
    """R-COMPAT-02, 0.3 §3.5.6: `content`, names of enumerations, wrapped data, either name of the message."""
    data = {"data": {"data": {"a": 1}}}
    message = {"messageId": "m", "role": "ROLE_USER", "content": [{"text": "x"}, data, {"file": {"fileWithUri": "u"}}]}
    expected = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}, {"data": {"a": 1}}, {"url": "u"}]}
    for name in ("message", "request"):
        assert lift_rest("SendMessage", {name: message, "configuration": {}})["message"] == expected
    shouted = {"request": {"message_id": "m", "role": "ROLE_USER", "content": [{"file": {"file_with_uri": "u"}}]}}
    assert lift_rest("SendStreamingMessage", shouted)["message"]["parts"] == [{"url": "u"}]


def test_the_shape_of_json_rpc_is_understood_over_rest_too() -> None:
    """Servers and clients of the field mix them up."""
    params = said({"kind": "data", "data": {"data": {"a": 1}}}, {"kind": "text", "text": "x"})
    assert lift_rest("SendMessage", params)["message"]["parts"] == [{"data": {"data": {"a": 1}}}, {"text": "x"}]


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("YUdrPQ==", b"hi"),
        ("aGk=", b"hi"),
        (base64.b64encode(base64.b64encode(b"\x00\xff\xfe")).decode(), b"\x00\xff\xfe"),
        (base64.b64encode(b"\x00\xff\xfe\xfd").decode(), b"\x00\xff\xfe\xfd"),
        (base64.b64encode(b"five!").decode(), b"five!"),
        (base64.b64encode(b"not base64 !").decode(), b"not base64 !"),
        ("", b""),
        ("YUdrPQ", b"hi"),
    ],
)
def test_bytes_over_rest_are_encoded_twice_or_once(sent: str, kept: bytes) -> None:
    """T-09: what every Python SDK of 0.3 sends, and what the definition says."""
    params = {"message": {"messageId": "m", "role": "ROLE_USER", "content": [{"file": {"fileWithBytes": sent}}]}}
    request = parse(OPERATION["SendMessage"].request, lift_rest("SendMessage", params))
    assert request.message.parts[0].raw == kept  # type: ignore[attr-defined]


def test_a_new_webhook_over_rest_in_each_form_of_the_body() -> None:
    """R-COMPAT-20: the whole request, its `config` alone, and a bare one; the path says which task."""
    held = {"url": "https://e/", "authentication": {"schemes": ["Bearer"], "credentials": "x"}}
    expected = {"url": "https://e/", "authentication": {"scheme": "Bearer", "credentials": "x"}, "taskId": "t"}
    name = "tasks/t/pushNotificationConfigs/c"
    whole = {"parent": "tasks/t", "configId": "c", "config": {"name": name, "pushNotificationConfig": held}}
    create = "CreateTaskPushNotificationConfig"
    assert lift_rest(create, {"taskId": "t"} | whole) == expected | {"id": "c"}
    assert lift_rest(create, {"task_id": "t", "config": {"push_notification_config": held}}) == expected
    assert lift_rest(create, {"taskId": "t", "name": name, "pushNotificationConfig": held}) == expected
    assert lift_rest(create, {"taskId": "t"} | held) == expected


def test_the_routes_of_0_3_are_below_v1() -> None:
    """R-COMPAT-02: those of 1.0 with a prefix, but for the card; tasks could not be listed."""
    routes = {path: asked[0].name for path, asked in v03.ROUTES}
    assert routes["/v1/card"] == routes["/agent/authenticatedExtendedCard"] == "GetExtendedAgentCard"
    assert routes["/v1/tasks/{id}:cancel"] == "CancelTask"
    assert {asked[0].name for _, asked in v03.ROUTES} == OPERATION.keys() - {"ListTasks"}


# --- lowering

TEXTS = st.text(max_size=12)
NAMES = st.text(alphabet="abcXYZ_-.:/", min_size=1, max_size=8)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=3)
RAW = st.binary(max_size=9).map(lambda found: base64.b64encode(found).decode())
CONTENTS = st.one_of(
    st.fixed_dictionaries({"text": TEXTS}),
    st.fixed_dictionaries({"data": VALUES}),
    st.fixed_dictionaries({"raw": RAW}, optional={"filename": NAMES, "mediaType": NAMES}),
    st.fixed_dictionaries({"url": NAMES}, optional={"filename": NAMES, "mediaType": NAMES}),
)
METADATA = OBJECTS.filter(bool)
PARTS = st.tuples(CONTENTS, st.none() | METADATA).map(
    lambda found: found[0] | ({"metadata": found[1]} if found[1] else {})
)
SHARED = {"metadata": METADATA, "extensions": st.lists(NAMES, min_size=1, max_size=2)}
MESSAGES = st.fixed_dictionaries(
    {
        "messageId": NAMES,
        "role": st.sampled_from(["ROLE_USER", "ROLE_AGENT"]),
        "parts": st.lists(PARTS, min_size=1, max_size=3),
    },
    optional={"contextId": NAMES, "taskId": NAMES, **SHARED},
)
STATUSES = st.fixed_dictionaries(
    {"state": st.sampled_from([state.value for state in TaskState]), "timestamp": st.just("2026-01-31T08:00:00.123Z")},
    optional={"message": MESSAGES},
)
ARTIFACTS = st.fixed_dictionaries(
    {"artifactId": NAMES, "parts": st.lists(PARTS, max_size=3)},
    optional={"name": NAMES, "description": NAMES, **SHARED},
)
TASKS = st.fixed_dictionaries(
    {"id": NAMES, "contextId": NAMES, "status": STATUSES},
    optional={
        "artifacts": st.lists(ARTIFACTS, max_size=2),
        "history": st.lists(MESSAGES, max_size=2),
        "metadata": METADATA,
    },
)
IDS = {"taskId": NAMES, "contextId": NAMES}
EVENTS = st.one_of(
    st.fixed_dictionaries({"task": TASKS}),
    st.fixed_dictionaries({"message": MESSAGES}),
    st.fixed_dictionaries(
        {"statusUpdate": st.fixed_dictionaries({**IDS, "status": STATUSES}, optional={"metadata": METADATA})}
    ),
    st.fixed_dictionaries(
        {
            "artifactUpdate": st.fixed_dictionaries(
                {**IDS, "artifact": ARTIFACTS},
                optional={"append": st.just(True), "lastChunk": st.just(True), "metadata": METADATA},
            )
        }
    ),
)


@settings(max_examples=300, deadline=None)
@given(EVENTS)
def test_the_sdk_of_0_3_reads_every_event(event: Any) -> None:
    """R-COMPAT-14: its pydantic models over JSON-RPC, its protobuf definition, unknown fields forbidden, over REST."""
    row = json_bytes(event)
    plain = json.loads(v03.lower_row(row))
    models.SendStreamingMessageSuccessResponse.model_validate({"jsonrpc": "2.0", "id": 1, "result": plain})
    rest = json.loads(v03.lower_row(row, rest=True))
    ParseDict(rest, pb.StreamResponse())


@settings(max_examples=300, deadline=None)
@given(MESSAGES)
def test_a_message_that_goes_down_and_up_again_is_the_same(message: Any) -> None:
    """What 0.3 cannot say is not in these: in both dialects nothing else is lost."""
    if any("data_part_compat" in part.get("metadata", {}) for part in message["parts"]):
        return
    assert v03.lift_message(v03.lower_message(message)) == message
    over_rest = v03.lift_message(v03.lower_message(message, rest=True), rest=True)
    assert over_rest == message


def lowered(event: Any, **how: Any) -> Any:
    return json.loads(v03.lower_row(json_bytes(event), **how))


@pytest.mark.parametrize("state", list(TaskState), ids=str)
@pytest.mark.parametrize("closes", [True, False])
def test_the_states_of_0_3_and_what_is_final(state: TaskState, closes: bool) -> None:
    """R-COMPAT-10: terminal states, and interrupted ones where the stream closes at them."""
    update = {"taskId": "t", "contextId": "c", "status": {"state": state.value}}
    found = lowered({"statusUpdate": update}, closes=closes)
    assert found["final"] is (state.is_terminal or (closes and state.is_interrupted))
    assert models.TaskState(found["status"]["state"]).name == found["status"]["state"].replace("-", "_")
    rest = lowered({"statusUpdate": update}, rest=True, closes=closes)["statusUpdate"]
    assert rest["final"] is found["final"]
    assert pb.TaskState.Value(rest["status"]["state"]) == list(TaskState).index(state)


def test_a_pause_that_goes_on_by_itself_is_not_final() -> None:
    """R-STRM-04: the stream does not close there."""
    status = {"state": "TASK_STATE_AUTH_REQUIRED"}
    update = {
        "taskId": "t",
        "contextId": "c",
        "status": status,
        "metadata": {"urn:a2a-bridge:turn:1": {"goesOn": True}},
    }
    assert lowered({"statusUpdate": update}, closes=True)["final"] is False


def test_what_0_3_cannot_say_is_left_out() -> None:
    """The loss list: media type and name of text and data, tasks a message refers to over REST."""
    message = {
        "messageId": "m",
        "role": "ROLE_AGENT",
        "referenceTaskIds": ["r"],
        "parts": [{"text": "x", "mediaType": "text/markdown", "filename": "f"}, {"data": 5, "mediaType": "a/b"}],
    }
    assert v03.lower_message(message) == {
        "kind": "message",
        "messageId": "m",
        "role": "agent",
        "referenceTaskIds": ["r"],
        "parts": [
            {"kind": "text", "text": "x"},
            {"kind": "data", "data": {"value": 5}, "metadata": {"data_part_compat": True}},
        ],
    }
    assert v03.lower_message(message, rest=True) == {
        "messageId": "m",
        "role": "ROLE_AGENT",
        "content": [{"text": "x"}, {"data": {"data": {"value": 5}}, "metadata": {"data_part_compat": True}}],
    }


def test_file_bytes_are_encoded_twice_over_rest() -> None:
    """T-09: as clients of 0.3 decode them."""
    part = {"raw": "aGk=", "mediaType": "a/b", "filename": "n"}
    message = {"messageId": "m", "role": "ROLE_USER", "parts": [part, {"url": "u"}]}
    assert v03.lower_message(message)["parts"] == [
        {"kind": "file", "file": {"bytes": "aGk=", "mimeType": "a/b", "name": "n"}},
        {"kind": "file", "file": {"uri": "u"}},
    ]
    assert v03.lower_message(message, rest=True)["content"] == [
        {"file": {"fileWithBytes": "YUdrPQ==", "mimeType": "a/b", "name": "n"}},
        {"file": {"fileWithUri": "u"}},
    ]


WORDS = st.text(max_size=20) | st.sampled_from(
    ['"parts":[{"text":', '"}]},"append":true}}', "\\", '\\"', "\n", "\u2028"]
)


@settings(max_examples=300, deadline=None)
@given(WORDS, WORDS, st.booleans())
def test_a_piece_of_text_is_spliced_as_it_would_be_parsed(text: str, artifact_id: str, first: bool) -> None:
    """Ours: the quick way and the slow way give the same, whatever the words are."""
    writer = EventWriter("t", 'c"1')
    head = writer.chunk_head(artifact_id)
    row = writer.first_text(artifact_id, text) if first else head + quoted(text) + TEXT_CHUNK_END
    assert b'"kind":"text"' in v03.lower_row(row)
    assert json.loads(v03.lower_row(row)) == v03.lower_stream_response(json.loads(row))
    assert v03.lower_row(row, rest=True) == row
    assert json.loads(row) == v03.lower_stream_response(json.loads(row), rest=True)


def test_the_splice_leaves_other_artifact_updates_alone() -> None:
    """Ours: metadata that looks like parts, several parts, other flags."""
    writer = EventWriter("t", "c")
    trap = {"x": {"parts": [{"text": "not this one"}]}}
    for row in (
        writer.artifact("a", [part_json(Part(text="x"))], append=True, metadata=trap),
        writer.artifact("a", [part_json(Part(text="x")), part_json(Part(data=1))], append=True),
        writer.artifact("a", [part_json(Part(text="x", metadata=trap))], append=True),
        writer.artifact("a", [part_json(Part(text="x"))], append=True, last=True, name="n"),
    ):
        found = json.loads(v03.lower_row(row))
        assert found == v03.lower_stream_response(json.loads(row))
        assert all("kind" in part for part in found["artifact"]["parts"])


def test_a_live_event_is_lowered_once_for_all_its_readers() -> None:
    """Ours: the bytes are the same object for the second reader; large ones are not kept."""
    row = json_bytes({"message": {"messageId": "once", "role": "ROLE_AGENT", "parts": [{"data": 1}]}})
    assert v03.lower_row(row) is v03.lower_row(row)
    large = json_bytes({"message": {"messageId": "once", "role": "ROLE_AGENT", "parts": [{"text": "x" * 20_000}]}})
    assert v03.lower_row(large) is not v03.lower_row(large)


def lower(name: str, result: Any, dialect: Dialect = v03.RPC) -> Any:
    assert dialect.lower is not None
    return json.loads(dialect.lower(OPERATION[name], json_bytes(result)))


CONFIG = {
    "taskId": "t",
    "id": "c",
    "url": "https://e/",
    "token": "s",
    "authentication": {"scheme": "Bearer", "credentials": "x"},
}
HELD = {"id": "c", "url": "https://e/", "token": "s", "authentication": {"schemes": ["Bearer"], "credentials": "x"}}


def test_webhooks_are_lowered() -> None:
    """R-COMPAT-14: one, a list (bare over JSON-RPC), none, and what a delete gives."""
    one = lower("GetTaskPushNotificationConfig", CONFIG)
    assert one == {"taskId": "t", "pushNotificationConfig": HELD}
    models.TaskPushNotificationConfig.model_validate(one)
    assert lower("ListTaskPushNotificationConfigs", {"configs": [CONFIG]}) == [one]
    assert lower("ListTaskPushNotificationConfigs", {}) == []
    assert lower("DeleteTaskPushNotificationConfig", None) is None
    rest = lower("CreateTaskPushNotificationConfig", CONFIG, v03.REST)
    assert rest == {"name": "tasks/t/pushNotificationConfigs/c", "pushNotificationConfig": HELD}
    ParseDict(rest, pb.TaskPushNotificationConfig())
    several = lower("ListTaskPushNotificationConfigs", {"configs": [CONFIG], "nextPageToken": "n"}, v03.REST)
    assert several == {"configs": [rest], "nextPageToken": "n"}
    ParseDict(several, pb.ListTaskPushNotificationConfigResponse())
    assert lower("DeleteTaskPushNotificationConfig", None, v03.REST) == {}


def test_the_first_webhook_of_a_task_is_found_in_its_list() -> None:
    """R-COMPAT-20: no webhook is a task that is not found, as for one that does not exist."""
    asked = v03.asked_by("tasks/pushNotificationConfig/get", {"id": "t"})
    assert asked is not None
    operation, dialect = asked
    found = lower(operation.name, {"configs": [CONFIG, CONFIG | {"id": "d"}]}, dialect)
    assert found["pushNotificationConfig"]["id"] == "c"
    with pytest.raises(TaskNotFoundError):
        lower(operation.name, {"configs": []}, dialect)


# --- errors


def all_errors() -> list[type[A2AError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, A2AError)]


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_the_sdk_of_0_3_reads_every_error(kind: type[A2AError]) -> None:
    """R-ERR-01: a closed set of codes there, but for the version; `data` is an object."""
    found = v03.lower_error(
        kind(metadata={"a": "b"}, violations=[Violation("configuration.taskPushNotificationConfig.url", "bad")])
    )
    assert found["code"] in {*range(-32009, -32000), -32600, -32601, -32602, -32603, -32700} - {-32008}
    assert found["data"]["reason"] == kind.reason
    assert found["data"]["a"] == "b"
    assert found["data"]["fieldViolations"] == [
        {"field": "configuration.pushNotificationConfig.url", "description": "bad"}
    ]
    if found["code"] != -32009:
        models.JSONRPCErrorResponse.model_validate({"jsonrpc": "2.0", "id": 1, "error": found})


def test_plain_errors_of_json_rpc_have_no_data() -> None:
    """R-ERR-06: there is nothing to say about them."""
    assert v03.lower_error(errors.InternalError()) == {"code": -32603, "message": "Internal error."}
    assert v03.lower_error(errors.MethodNotFoundError()).keys() == {"code", "message"}
    assert v03.lower_error(errors.TaskNotFoundError())["data"] == {"reason": "TASK_NOT_FOUND"}


def test_errors_over_rest_say_what_clients_of_0_3_look_for() -> None:
    """R-ERR-02: the type's name and the message beside the body of 1.0."""
    found = v03.lower_rest_error(errors.TaskNotFoundError())
    assert found == {"code": -32001, "type": "TaskNotFoundError", "message": errors.TaskNotFoundError().message}
    old = v03.lower_rest_error(errors.ExtendedAgentCardNotConfiguredError())
    assert old["type"] == "AuthenticatedExtendedCardNotConfiguredError"


# --- versions


@pytest.mark.parametrize(
    ("version", "spoken"),
    [
        (None, True),
        ("0.3", True),
        ("0.3.0", True),
        ("0.3.99", True),
        ("0.30", False),
        ("0.2", False),
        ("1.0", False),
        ("0.3.0.0", False),
        ("00.3", False),
        ("junk", False),
        ("", False),
        ("0", False),
        ("v0.3", False),
    ],
)
def test_which_versions_are_0_3(version: str | None, spoken: bool) -> None:
    """R-VER-02, R-VER-03. (An empty header never gets this far: it is none.)"""
    assert v03.RPC.speaks(version) is spoken
