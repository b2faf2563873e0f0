"""Objects on the wire (A2A 1.0.1 §5.5 to §5.7): spellings, presence, enumerations, times, bytes, values."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from a2a_bridge.testing.wire import Wire, fields_of, say


def members_of(value: Any) -> Iterator[tuple[str, Any]]:
    """All members, but not those inside what users put there."""
    if isinstance(value, list):
        for item in value:
            yield from members_of(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key, item
            if key not in ("metadata", "data"):
                yield from members_of(item)


async def test_members_are_written_in_camel_case_only(wire: Wire) -> None:
    """R-DM-01, R-DM-09: no snake_case, no null, nothing empty."""
    for text in ("files", "ask", "tools", "fail", "direct", "hello"):
        members = list(members_of(await wire.result("SendMessage", say(text))))
        assert not [key for key, _ in members if "_" in key], text
        assert not [key for key, value in members if value in (None, "", [], {})], text


async def test_snake_case_names_are_accepted(wire: Wire) -> None:
    """R-DM-02: the names of the proto file mean the same."""
    params = {
        "message": {
            "message_id": "snake-1", "role": "ROLE_USER", "context_id": "c-1",
            "parts": [{"text": "hi", "media_type": "text/plain"}], "reference_task_ids": ["t-0"],
        },
        "configuration": {"history_length": 0, "return_immediately": False, "accepted_output_modes": ["text/plain"]},
    }  # fmt: skip
    task = (await wire.result("SendMessage", params))["task"]
    assert task["contextId"] == "c-1"
    assert "history" not in task
    kept = (await wire.get(task["id"], history_length=1))["history"][0]
    assert kept["parts"] == [{"text": "hi", "mediaType": "text/plain"}]
    assert kept["referenceTaskIds"] == ["t-0"]
    listed = await wire.result("ListTasks", {"context_id": "c-1", "page_size": 1, "include_artifacts": True})
    assert (listed["pageSize"], len(listed["tasks"][0]["artifacts"])) == (1, 1)


@pytest.mark.parametrize(
    ("params", "field"),
    [
        (say(message_id="other"), "message.message_id"),
        (say(contextId="a", context_id="a"), "message.context_id"),
        (say(parts=[{"text": "x", "mediaType": "a/b", "media_type": "a/b"}]), "message.parts[0].media_type"),
    ],
    ids=["messageId", "same-value", "in-a-part"],
)  # fmt: skip
async def test_both_spellings_of_a_field_are_refused(wire: Wire, params: Any, field: str) -> None:
    """R-DM-02: which one was meant cannot be told, even if the values agree."""
    error = await wire.error("SendMessage", params)
    assert error["code"] == -32602
    assert fields_of(error) == [field]


async def test_names_that_users_chose_are_left_alone(wire: Wire) -> None:
    """R-DM-02 is about fields of the protocol: inside metadata and data any names may stand side by side."""
    free = {"some_name": 1, "someName": 2, "nested": {"a_b": None, "aB": []}}
    task = await wire.send(parts=[{"data": free, "metadata": free}], metadata=free)
    kept = task["history"][0]
    assert kept["metadata"] == kept["parts"][0]["metadata"] == kept["parts"][0]["data"] == free


@pytest.mark.parametrize("role", ["ROLE_USER", 1, "ROLE_AGENT", 2])
async def test_enumerations_are_read_by_name_and_number(wire: Wire, role: Any) -> None:
    """R-DM-04, and R-CTX-11: a client that calls itself an agent is a client all the same."""
    task = await wire.send(role=role)
    assert task["history"][0]["role"] == {1: "ROLE_USER", 2: "ROLE_AGENT"}.get(role, role)


@pytest.mark.parametrize("role", ["user", "ROLE_NOBODY", "", 0, "ROLE_UNSPECIFIED", 3, -1, 1.5, True, None, [], {}])
async def test_an_unknown_role_is_invalid(wire: Wire, role: Any) -> None:
    """R-DM-04, R-CTX-11, R-DM-11: unset counts as missing."""
    error = await wire.error("SendMessage", say(role=role))
    assert error["code"] == -32602
    assert any(field.startswith("message") for field in fields_of(error))


@pytest.mark.parametrize("status", ["completed", "TASK_STATE_DONE", 9, -1, True, 1.5, ["TASK_STATE_WORKING"]])
async def test_an_unknown_state_in_a_filter_is_invalid(wire: Wire, status: Any) -> None:
    """R-DM-04, R-LIST-08: it must not silently mean everything."""
    assert (await wire.error("ListTasks", {"status": status}))["code"] == -32602


async def test_times_are_utc_in_milliseconds(wire: Wire) -> None:
    """R-DM-05."""
    task = await wire.send()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", task["status"]["timestamp"])


@pytest.mark.parametrize(
    ("moment", "count"),
    [
        ("2026-01-01T00:00:00Z", 1),
        ("2026-01-01T00:00:00.123456789Z", 1),
        ("2026-01-01T05:30:00.5+05:30", 1),
        ("2999-01-01T00:00:00Z", 0),
        ("2999-01-01T00:00:00-12:00", 0),
    ],
)
async def test_times_are_read_with_any_fraction_and_offset(wire: Wire, moment: str, count: int) -> None:
    """R-DM-05: nine digits at most; an offset is turned into UTC."""
    await wire.send()
    assert (await wire.result("ListTasks", {"statusTimestampAfter": moment}))["totalSize"] == count


@pytest.mark.parametrize(
    "moment",
    ["yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-13-01T00:00:00Z",
     "2026-01-01T00:00:00.0123456789Z", "0000-00-00T00:00:00Z", 1767225600, True],
)  # fmt: skip
async def test_what_is_no_timestamp_is_invalid(wire: Wire, moment: Any) -> None:
    """R-DM-05."""
    error = await wire.error("ListTasks", {"statusTimestampAfter": moment})
    assert (error["code"], fields_of(error)) == (-32602, ["statusTimestampAfter"])


@pytest.mark.parametrize("raw", ["AP/+", "AP_-", "AP8=", "AP8", "", "AAAAAAA="])
async def test_bytes_are_read_from_every_kind_of_base64(wire: Wire, raw: str) -> None:
    """R-DM-06: standard and URL-safe, padded or not; written in standard form with padding."""
    task = await wire.send(parts=[{"raw": raw, "filename": "a"}])
    kept = task["history"][0]["parts"][0]["raw"]
    assert kept.rstrip("=") == raw.translate({45: 43, 95: 47}).rstrip("=")
    assert len(kept) % 4 == 0


@pytest.mark.parametrize("raw", ["!", "AP8*", "A", "AP 8", "ÄÖ", 5])
async def test_what_is_no_base64_is_invalid(wire: Wire, raw: Any) -> None:
    """R-DM-06."""
    assert (await wire.error("SendMessage", say(parts=[{"raw": raw}])))["code"] == -32602


@pytest.mark.parametrize("size", [5, "5", 5.0])
async def test_integers_may_be_written_as_numeric_strings(wire: Wire, size: Any) -> None:
    """R-DM-07."""
    assert (await wire.result("ListTasks", {"pageSize": size}))["pageSize"] == 5


@pytest.mark.parametrize("length", [-1, 1.5, "x", True, 2**31, [], {}])
async def test_a_history_length_that_is_no_count_is_invalid(wire: Wire, length: Any) -> None:
    """R-HIST-04, R-DM-07."""
    error = await wire.error("GetTask", {"id": "x", "historyLength": length})
    assert (error["code"], fields_of(error)) == (-32602, ["historyLength"])


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "", "text", [], {}, [None], {"a": None, "b": [1, {"c": ""}]}])
async def test_data_may_be_any_json_value(wire: Wire, value: Any) -> None:
    """R-DM-08, R-DM-10: null is a value here, and the only member that may be."""
    task = await wire.send(parts=[{"data": value}])
    part = task["history"][0]["parts"][0]
    assert part == {"data": value}
    assert type(part["data"]) is type(value)


async def test_null_means_absent(wire: Wire) -> None:
    """R-DM-10: everywhere but in data and metadata."""
    task = await wire.send(
        contextId=None, taskId=None, metadata=None, extensions=None, parts=[{"text": "a", "raw": None}]
    )
    assert task["history"][0].keys() == {"messageId", "role", "parts", "contextId", "taskId"}
    assert (await wire.result("ListTasks", {"status": None, "pageSize": None, "contextId": None}))["totalSize"] == 1
    assert (await wire.error("GetTask", {"id": None}))["code"] == -32602


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({}, "no content"),
        ({"metadata": {"a": 1}}, "no content"),
        ({"text": "a", "url": "b"}, "two"),
        ({"text": "a", "data": 1}, "two"),
        ({"raw": "", "url": "b"}, "two"),
        ({"text": 5}, "a number"),
        ({"text": None}, "only null"),
        ("text", "a string"),
        (None, "null"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
async def test_a_part_has_exactly_one_content(wire: Wire, part: Any, why: str) -> None:
    """R-DM-12, R-ERR-03: one violation for one mistake; that nothing is left of the parts is not another one."""
    error = await wire.error("SendMessage", say(parts=[part]))
    assert error["code"] == -32602, why
    [field] = fields_of(error)
    assert field.startswith("message.parts[0]")


async def test_all_that_is_wrong_is_told_at_once(wire: Wire) -> None:
    """R-DM-11, R-ERR-03, R-ERR-05, R-JRPC-14: each field by its path, with a reason, never with what was sent."""
    params = {"message": {"role": "x", "parts": [], "contextId": 5}, "configuration": {"historyLength": -1}}
    error = await wire.error("SendMessage", params)
    assert set(fields_of(error)) == {
        "message.messageId", "message.role", "message.parts", "message.contextId", "configuration.historyLength",
    }  # fmt: skip
    assert all(found["description"] for detail in error["data"] for found in detail.get("fieldViolations", ()))
    assert error["data"][1]["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert (await wire.result("ListTasks", {}))["totalSize"] == 0


@pytest.mark.parametrize(
    "params",
    [
        {}, {"message": None}, {"message": {}}, {"message": []}, {"message": "hi"}, say(parts=[]), say(parts="hi"),
        say(messageId=""), say(messageId=5), say(parts=[{"text": "x"}] * 0), say(metadata=[]), say(extensions="urn:x"),
        say(referenceTaskIds=[1]), say() | {"configuration": {"returnImmediately": "true"}},
        say() | {"configuration": []}, say() | {"metadata": "x"}, say() | {"tenant": 5},
    ],
)  # fmt: skip
async def test_a_send_of_the_wrong_shape_is_invalid(wire: Wire, params: Any) -> None:
    """R-DM-11, R-ERR-05: nothing is begun."""
    assert (await wire.error("SendMessage", params))["code"] == -32602
    assert (await wire.error("SendStreamingMessage", params))["code"] == -32602
    assert (await wire.result("ListTasks", {}))["totalSize"] == 0


async def test_text_of_every_script_comes_back_as_it_was_sent(wire: Wire) -> None:
    """R-DM-14: raw UTF-8, also of characters beyond the first plane, and of control characters."""
    text = 'grüße 你好 🏳️‍🌈 \u2028 \x00 \x7f \t \\ " </script> \ud7ff \ue000 \U0010ffff'
    body = await wire.post({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say(text)})
    task = body.json()["result"]["task"]
    assert task["artifacts"][0]["parts"] == [{"text": f"echo: {text}"}]
    assert "你好".encode() in body.content
    assert (await wire.get(task["id"]))["artifacts"] == task["artifacts"]
