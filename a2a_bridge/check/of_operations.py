"""Cases about the operations of 1.0, the same over both bindings (A2A 1.0.1 §3, R-BIND-01).

The agent itself is asked as seldom as possible: once for a task, once for a stream, once for an immediate answer. All
else looks at what came of those, or is refused before an agent would see it.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from a2a_bridge.check.case import ADVICE, SHOULD, Cases, expect, skip
from a2a_bridge.check.line import Line
from a2a_bridge.errors import (
    ContentTypeNotSupportedError,
    InvalidParamsError,
    InvalidRequestError,
    MethodNotFoundError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
    VersionNotSupportedError,
)

CASES = Cases(version="1.0")

NOBODY = "check-no-such-task"
_FREE_FORM = frozenset({"metadata", "data", "params", "header"})
_UTC = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$")


# --- versions


@CASES.add("R-VER-02", about="the version may stand in the query")
async def version_in_the_query(line: Line) -> None:
    url = line.path(f"/tasks/{NOBODY}", {"A2A-Version": "1.0"}) if line.is_rest else line.endpoint.below("")
    if line.is_rest:
        reply = await line.http("GET", url, headers={"a2a-version": None})
    else:
        url += ("&" if "?" in url else "?") + "A2A-Version=1.0"
        body = b'{"jsonrpc":"2.0","id":"check","method":"GetTask","params":{"id":"check-no-such-task"}}'
        reply = await line.http("POST", url, body=body, headers={"a2a-version": None})
    line.refused(reply, TaskNotFoundError)


@CASES.add("R-VER-03", about="a patch number of the version does not matter")
async def patch_numbers(line: Line) -> None:
    line.refused(await line.ask("GetTask", {"id": NOBODY}, headers={"a2a-version": "1.0.1"}), TaskNotFoundError)


@CASES.add("R-VER-03", about="a version that does not exist is refused")
async def unknown_versions(line: Line) -> None:
    for version in ("99.0", "junk"):
        reply = await line.ask("GetTask", {"id": NOBODY}, headers={"a2a-version": version})
        line.refused(reply, VersionNotSupportedError)


@CASES.add("R-VER-03", about="a later minor version is refused")
async def later_minor_versions(line: Line) -> None:
    reply = await line.ask("GetTask", {"id": NOBODY}, headers={"a2a-version": "1.7"})
    line.refused(reply, VersionNotSupportedError)


@CASES.add("R-VER-06", level=ADVICE, about="a request of 1.0 without a version is taken for 0.3")
async def missing_version(line: Line) -> None:
    reply = await line.ask("GetTask", {"id": NOBODY}, headers={"a2a-version": None})
    line.refused(reply, VersionNotSupportedError, MethodNotFoundError)


# --- fields


@CASES.add("R-DM-03", level=SHOULD, about="members that nobody knows are skipped")
async def unknown_members(line: Line) -> None:
    message = line.message(taskId=NOBODY, colour="blue")
    line.refused(await line.ask("SendMessage", {"message": message, "shape": {}}), TaskNotFoundError)


@CASES.add("R-DM-02", about="names are read in snake_case too")
async def snake_case(line: Line) -> None:
    message = {"message_id": str(uuid4()), "role": "ROLE_USER", "parts": [{"text": "x"}], "task_id": NOBODY}
    line.refused(await line.ask("SendMessage", {"message": message}), TaskNotFoundError)


@CASES.add("R-DM-04", about="a value of an enumeration that does not exist is invalid")
async def unknown_roles(line: Line) -> None:
    message = line.message(role="ROLE_KING", taskId=NOBODY)
    line.refused(await line.ask("SendMessage", {"message": message}), InvalidParamsError)


@CASES.add("R-DM-04", level=SHOULD, about="values of enumerations are read by number too")
async def roles_by_number(line: Line) -> None:
    line.refused(await line.ask("SendMessage", {"message": line.message(role=1, taskId=NOBODY)}), TaskNotFoundError)


@CASES.add("R-DM-10", about="null means that a member is not given")
async def nulls(line: Line) -> None:
    message = line.message(taskId=NOBODY, metadata=None, contextId=None, extensions=None)
    line.refused(await line.ask("SendMessage", {"message": message, "configuration": None}), TaskNotFoundError)


@CASES.add("R-DM-12", about="a part with two contents is invalid")
async def two_contents(line: Line) -> None:
    message = line.message(parts=[{"text": "x", "url": "https://h/x"}], taskId=NOBODY)
    line.refused(await line.ask("SendMessage", {"message": message}), InvalidParamsError, InvalidRequestError)


@CASES.add("R-DM-11", level=SHOULD, about="a message without parts, role or id is invalid")
async def missing_members(line: Line) -> None:
    whole = line.message(taskId=NOBODY)
    for name in ("parts", "role", "messageId"):
        message = {member: value for member, value in whole.items() if member != name}
        line.refused(await line.ask("SendMessage", {"message": message}), InvalidParamsError, InvalidRequestError)
    line.refused(await line.ask("SendMessage", {}), InvalidParamsError, InvalidRequestError)


@CASES.add("R-ERR-03", level=SHOULD, about="a refusal says which fields are wrong")
async def violations(line: Line) -> None:
    error = line.refused(
        await line.ask("SendMessage", {"message": line.message(parts=[])}), InvalidParamsError, InvalidRequestError
    )
    expect(error.violations, "no BadRequest with fieldViolations")


@CASES.add("R-ERR-06", level=ADVICE, about="errors do not show the insides of the server")
async def no_leaks(line: Line) -> None:
    for params in ({"message": 5}, {"message": {"parts": "x"}}):
        reply = await line.ask("SendMessage", params)
        if line.refusal(reply) is None:
            skip("no error came")
        for trace in (b"Traceback", b'File "', b".py", b"pydantic", b"google.protobuf", b"at Object."):
            expect(trace not in reply.body, f"{trace.decode()!r} in {reply}")


def _members(value: Any) -> Iterator[tuple[str, Any]]:
    """Names and values at every depth, but not inside free-form members."""
    if isinstance(value, list):
        for item in value:
            yield from _members(item)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield name, item
            if name not in _FREE_FORM:
                yield from _members(item)


@CASES.add("R-DM-01", about="names are written in camelCase")
async def camel_case(line: Line) -> None:
    wrong = {name for name, _ in _members(await line.sent()) if "_" in name}
    expect(not wrong, f"members {sorted(wrong)}")


@CASES.add("R-DM-09", about="what is not given is left out, and not written as null")
async def no_nulls(line: Line) -> None:
    wrong = {name for name, value in _members(await line.sent()) if value is None and name != "data"}
    expect(not wrong, f"null in {sorted(wrong)}")


@CASES.add("R-DM-05", about="timestamps are UTC with the suffix Z")
async def timestamps(line: Line) -> None:
    task = await line.task()
    status = task.get("status", {})
    expect("timestamp" in status, "the status has no timestamp")
    expect(_UTC.match(str(status["timestamp"])), f"timestamp {status['timestamp']!r}")


# --- send


@CASES.add("R-SEND-01", about="a send is answered with one task or one message")
async def task_or_message(line: Line) -> None:
    found = await line.sent()
    expect(isinstance(found, Mapping) and len(found.keys() & {"task", "message"}) == 1, f"members {sorted(found)}")
    line.readable("SendMessage", found)


@CASES.add("R-SEND-02", about="a send is answered when the task has ended or waits")
async def sends_wait(line: Line) -> None:
    state = line.state_of(await line.task())
    expect(state.ends_turn, f"the task is {state.value}")


@CASES.add("R-CTX-02", about="the answer says in which context it is")
async def answers_have_a_context(line: Line) -> None:
    found = await line.sent()
    held = found.get("task") or found.get("message") or {}
    expect(held.get("contextId"), "no contextId")


@CASES.add("R-SEND-03", about="with returnImmediately a send is answered with a task")
async def immediate_answers(line: Line) -> None:
    await line.task()
    asked = {"message": line.message(), "configuration": {"returnImmediately": True}}
    found = line.result(await line.ask("SendMessage", asked))
    expect("task" in found, f"members {sorted(found)}")
    line.state_of(found["task"])


@CASES.add("R-SEND-05", about="a message to a task that does not exist is refused")
async def sends_to_nobody(line: Line) -> None:
    line.refused(await line.ask("SendMessage", {"message": line.message(taskId=NOBODY)}), TaskNotFoundError)


@CASES.add("R-SEND-06", about="a message to a task that has ended is refused")
async def sends_to_an_ended_task(line: Line) -> None:
    task = await line.ended()
    line.refused(await line.ask("SendMessage", {"message": line.message(taskId=task["id"])}), UnsupportedOperationError)


@CASES.add("R-SEND-07", about="a part of a media type that the agent does not take is refused")
async def unknown_media_types(line: Line) -> None:
    modes = {*line.card.default_input_modes, *(m for skill in line.card.skills for m in skill.input_modes or ())}
    if any(mode.startswith("*/") or mode == "application/*" for mode in modes):
        skip("the agent takes every media type")
    parts = [{"text": "x", "mediaType": "application/x-check-of-nothing"}]
    reply = await line.ask("SendMessage", {"message": line.message(parts=parts)})
    line.refused(reply, ContentTypeNotSupportedError)


@CASES.add("R-CTX-05", about="a context that is not that of the task is refused")
async def other_contexts(line: Line) -> None:
    task = await line.task()
    message = line.message(taskId=task["id"], contextId="check-another-context")
    refusal = line.refusal(await line.ask("SendMessage", {"message": message}))
    expect(refusal is not None, "it was accepted")


@CASES.add("R-HIST-04", level=ADVICE, about="a history length below 0 is invalid")
async def negative_history(line: Line) -> None:
    task = await line.task()
    line.refused(await line.ask("GetTask", {"id": task["id"], "historyLength": -1}), InvalidParamsError)


@CASES.add("R-HIST-02", level=SHOULD, about="a history length of 0 leaves the history out")
async def no_history(line: Line) -> None:
    task = await line.task()
    found = line.result(await line.ask("GetTask", {"id": task["id"], "historyLength": 0}))
    expect("history" not in found, "there is a member history")


@CASES.add("R-HIST-03", about="a history length is the most that comes, the newest")
async def short_history(line: Line) -> None:
    task = await line.task()
    whole = line.result(await line.ask("GetTask", {"id": task["id"]})).get("history") or []
    found = line.result(await line.ask("GetTask", {"id": task["id"], "historyLength": 1})).get("history") or []
    expect(len(found) <= 1, f"{len(found)} messages")
    expect(not found or not whole or found[-1].get("messageId") == whole[-1].get("messageId"), "not the newest message")


# --- get, list, cancel


@CASES.add("R-GET-01", about="a task is got as it was answered")
async def gets_the_task(line: Line) -> None:
    task = await line.task()
    found = line.result(await line.ask("GetTask", {"id": task["id"]}))
    expect(found.get("id") == task["id"] and found.get("contextId") == task.get("contextId"), "another task came")
    expect(len(found.get("artifacts") or ()) >= len(task.get("artifacts") or ()), "artifacts are missing")
    line.readable("GetTask", found)


@CASES.add("R-GET-02", "R-ERR-04", about="a task that does not exist is not found")
async def gets_nobody(line: Line) -> None:
    line.refused(await line.ask("GetTask", {"id": NOBODY}), TaskNotFoundError)


@CASES.add("R-LIST-05", about="a list has its four members, always")
async def list_members(line: Line) -> None:
    for params in ({}, {"contextId": "check-no-such-context"}):
        found = line.result(await line.ask("ListTasks", params))
        missing = {"tasks", "nextPageToken", "pageSize", "totalSize"} - found.keys()
        expect(not missing, f"without {sorted(missing)}")


@CASES.add("R-LIST-01", about="a list by context holds the tasks of that context and no others")
async def list_by_context(line: Line) -> None:
    task = await line.task()
    found = line.result(await line.ask("ListTasks", {"contextId": task.get("contextId")}))
    expect(task["id"] in [item.get("id") for item in found["tasks"]], "the task is not in it")
    others = {item.get("contextId") for item in found["tasks"]} - {task.get("contextId")}
    expect(not others, f"other contexts: {sorted(map(str, others))[:3]}")


@CASES.add("R-LIST-02", about="a list begins with the newest status")
async def list_order(line: Line) -> None:
    found = line.result(await line.ask("ListTasks", {"pageSize": 20}))["tasks"]
    times = [str(item.get("status", {}).get("timestamp", "")) for item in found]
    seconds = [time[:19] for time in times]  # fractions may be written in several lengths
    expect(seconds == sorted(seconds, reverse=True), f"times {times[:4]}")


@CASES.add("R-LIST-03", about="a page token that was never given out is invalid")
async def list_with_a_wrong_token(line: Line) -> None:
    line.refused(await line.ask("ListTasks", {"pageToken": "check!"}), InvalidParamsError)


@CASES.add("R-LIST-04", about="a page size outside 1 to 100 is invalid")
async def list_page_sizes(line: Line) -> None:
    for size in (0, 101, -1):
        line.refused(await line.ask("ListTasks", {"pageSize": size}), InvalidParamsError)


@CASES.add("R-LIST-06", about="artifacts are left out of lists unless they are asked for")
async def list_without_artifacts(line: Line) -> None:
    task = await line.task()
    found = line.result(await line.ask("ListTasks", {"contextId": task.get("contextId")}))["tasks"]
    expect(not any("artifacts" in item for item in found), "there is a member artifacts")


@CASES.add("R-LIST-08", "R-DM-04", level=ADVICE, about="a status that does not exist is invalid in a filter")
async def list_by_a_wrong_status(line: Line) -> None:
    line.refused(await line.ask("ListTasks", {"status": "completed"}), InvalidParamsError)


@CASES.add("R-CANC-02", about="a task that has ended cannot be canceled")
async def cancels_an_ended_task(line: Line) -> None:
    task = await line.ended()
    line.refused(await line.ask("CancelTask", {"id": task["id"]}), TaskNotCancelableError)


@CASES.add("R-CANC-03", about="a task that does not exist cannot be canceled")
async def cancels_nobody(line: Line) -> None:
    line.refused(await line.ask("CancelTask", {"id": NOBODY}), TaskNotFoundError)


@CASES.add("R-BIND-01", about="a task is the same over every interface")
async def the_same_everywhere(line: Line) -> None:
    if not line.others:
        skip("there is one interface only")
    task = await line.task()
    for other in line.others:
        found = other.result(await other.ask("GetTask", {"id": task["id"]}))
        expect(found.get("id") == task["id"], f"not over {other.binding} {other.version}")
