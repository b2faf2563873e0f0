"""Cases about 0.3, over both bindings (A2A 0.3.0 §7; what changed since is in 1.0's appendix A)."""

import json

from a2a_bridge.check.case import ADVICE, Cases, expect, skip
from a2a_bridge.check.line import Line
from a2a_bridge.check.of_operations import NOBODY
from a2a_bridge.errors import (
    A2AError,
    InvalidParamsError,
    MethodNotFoundError,
    TaskNotCancelableError,
    TaskNotFoundError,
)
from a2a_bridge.protocol import v03_client
from a2a_bridge.protocol.objects import TaskState

CASES = Cases(version="0.3")
RPC = Cases(binding="JSONRPC", version="0.3")
REST = Cases(binding="HTTP+JSON", version="0.3")

_STATES = {state.value.removeprefix("TASK_STATE_").lower().replace("_", "-") for state in TaskState} | {"unknown"}


@CASES.add("R-SEND-01", about="a send is answered with a task or a message")
async def old_send(line: Line) -> None:
    found = await line.sent()
    expect(len(found.keys() & {"task", "message"}) == 1, f"members {sorted(found)}")
    line.readable("SendMessage", found)


@CASES.add("R-SEND-02", about="a blocking send is answered when the task has ended or waits")
async def old_sends_wait(line: Line) -> None:
    state = line.state_of(await line.task())
    expect(state.ends_turn, f"the task is {state.value}")


@CASES.add("R-GET-01", about="a task is got as it was answered")
async def old_get(line: Line) -> None:
    task = await line.task()
    found = v03_client.lift_task(line.result(await line.ask("GetTask", {"id": task["id"]})))
    expect(found.get("id") == task["id"] and found.get("contextId") == task.get("contextId"), "another task came")
    line.readable("GetTask", found)


@CASES.add("R-GET-02", about="a task that does not exist is not found")
async def old_get_of_nobody(line: Line) -> None:
    line.refused(await line.ask("GetTask", {"id": NOBODY}), TaskNotFoundError)


@CASES.add("R-CANC-02", about="a task that has ended cannot be canceled")
async def old_cancel_of_an_ended_task(line: Line) -> None:
    task = await line.ended()
    line.refused(await line.ask("CancelTask", {"id": task["id"]}), TaskNotCancelableError)


@CASES.add("R-CANC-03", about="a task that does not exist cannot be canceled")
async def old_cancel_of_nobody(line: Line) -> None:
    line.refused(await line.ask("CancelTask", {"id": NOBODY}), TaskNotFoundError)


@CASES.add("R-SEND-06", about="a message to a task that has ended is refused")
async def old_send_to_an_ended_task(line: Line) -> None:
    task = await line.ended()
    reply = await line.ask("SendMessage", {"message": line.message(taskId=task["id"])})
    expect(isinstance(line.refusal(reply), A2AError), f"{reply}")


@CASES.add("R-STRM-01", "R-STRM-02", about="a stream begins with a message or with something of the task")
async def old_stream(line: Line) -> None:
    first, *rest = line.payloads(await line.streamed())
    expect("message" not in first or not rest, f"{len(rest)} events after a message")


@CASES.add("R-COMPAT-10", about="the last event of a stream says `final`")
async def old_stream_end(line: Line) -> None:
    reply = await line.streamed()
    if "message" in line.payloads(reply)[0]:
        skip("the agent answers with messages, not with tasks")
    last = json.loads(reply.events[-1].data)
    last = last.get("statusUpdate") if line.is_rest else last["result"]
    expect(isinstance(last, dict) and last.get("final") is True, "the last event is no final status update")


@CASES.add("R-CTX-04", about="all events of a stream name the same task")
async def old_stream_ids(line: Line) -> None:
    events = line.payloads(await line.streamed())
    held = [event.get("task") or event.get("statusUpdate") or event.get("artifactUpdate") or {} for event in events]
    ids = {item.get("taskId") or item.get("id") for item in held if item}
    expect(len(ids) <= 1, f"tasks {sorted(map(str, ids))}")


@RPC.add("R-COMPAT-14", about="objects say their kind, states and roles are lower-case words")
async def old_kinds(line: Line) -> None:
    task = await line.task()
    found = line.result(await line.ask("GetTask", {"id": task["id"]}))
    expect(found.get("kind") == "task", f"kind {found.get('kind')!r}")
    expect(found.get("status", {}).get("state") in _STATES, f"state {found.get('status', {}).get('state')!r}")
    said = [message for message in [*(found.get("history") or ()), found["status"].get("message")] if message]
    wrong = [message.get("role") for message in said if message.get("role") not in ("user", "agent")]
    expect(not wrong, f"roles {wrong}")
    parts = [part for holder in [*said, *(found.get("artifacts") or ())] for part in holder.get("parts") or ()]
    kinds = {part.get("kind") for part in parts}
    expect(kinds <= {"text", "file", "data"}, f"kinds of parts {sorted(map(str, kinds))}")


@RPC.add("R-COMPAT-14", about="events of a stream say their kind, and name task and context")
async def old_event_kinds(line: Line) -> None:
    results = [json.loads(event.data)["result"] for event in (await line.streamed()).events]
    kinds = {result.get("kind") for result in results}
    expect(kinds <= {"task", "message", "status-update", "artifact-update"}, f"kinds {sorted(map(str, kinds))}")
    updates = [result for result in results if str(result.get("kind")).endswith("update")]
    expect(all(update.get("taskId") and update.get("contextId") for update in updates), "an update without ids")
    statuses = [update for update in updates if update["kind"] == "status-update"]
    expect(all(isinstance(update.get("final"), bool) for update in statuses), "a status update without `final`")


@RPC.add("R-COMPAT-01", about="a method of 0.3 works without a version header")
async def old_without_a_version(line: Line) -> None:
    line.refused(await line.ask("GetTask", {"id": NOBODY}, headers={"a2a-version": None}), TaskNotFoundError)


@RPC.add("R-JRPC-06", about="a method that 0.3 lacks is not found")
async def old_list(line: Line) -> None:
    line.refused(await line.rpc("tasks/list", {}), MethodNotFoundError)


@RPC.add("R-JRPC-14", about="params that are wrong are invalid")
async def old_wrong_params(line: Line) -> None:
    line.refused(await line.rpc("tasks/get", {}), InvalidParamsError)
    line.refused(await line.rpc("message/send", {"message": {"role": "user"}}), InvalidParamsError)


@RPC.add("R-COMPAT-12", level=ADVICE, about="the error of a streaming method is an event, which 0.3 clients can read")
async def old_stream_errors(line: Line) -> None:
    if not line.streams:
        skip("the card does not offer streaming")
    reply = await line.ask("SubscribeToTask", {"id": NOBODY})
    line.refused(reply, TaskNotFoundError)
    expect(reply.events, "the error is plain JSON")


@RPC.add("R-COMPAT-20", level=ADVICE, about="a webhook is got without naming it")
async def old_webhook_without_an_id(line: Line) -> None:
    if line.card.capabilities.push_notifications is not True:
        skip("the card does not offer webhooks")
    task = await line.task()
    asked = {"taskId": task["id"], "pushNotificationConfig": {"url": line.webhook}}
    made = await line.rpc("tasks/pushNotificationConfig/set", asked)
    if isinstance(line.refusal(made), InvalidParamsError):
        skip("the server refuses the webhook")
    found = line.result(await line.rpc("tasks/pushNotificationConfig/get", {"id": task["id"]}))
    expect(found.get("taskId") == task["id"], f"taskId {found.get('taskId')!r}")


@RPC.add("R-JRPC-16", about="the answer to deleting a webhook has a result")
async def old_webhook_deleted(line: Line) -> None:
    if line.card.capabilities.push_notifications is not True:
        skip("the card does not offer webhooks")
    task = await line.task()
    asked = {"id": task["id"], "pushNotificationConfigId": "check-2"}
    reply = await line.rpc("tasks/pushNotificationConfig/delete", asked)
    expect("result" in reply.object, f"{reply}")


@REST.add("R-COMPAT-02", about="messages hold their parts in `content`, roles and states have their proto names")
async def old_rest_names(line: Line) -> None:
    task = await line.task()
    found = line.result(await line.ask("GetTask", {"id": task["id"]}))
    expect(str(found.get("status", {}).get("state")).startswith("TASK_STATE_"), f"state {found.get('status')}")
    for message in [*(found.get("history") or ()), found["status"].get("message") or found["status"].get("update")]:
        if message:
            expect("content" in message, f"a message with {sorted(message)}")
            expect(str(message.get("role")).startswith("ROLE_"), f"role {message.get('role')!r}")


@REST.add("R-COMPAT-02", about="routes of 0.3 work without a version header")
async def old_rest_without_a_version(line: Line) -> None:
    line.refused(await line.ask("GetTask", {"id": NOBODY}, headers={"a2a-version": None}), TaskNotFoundError)


@CASES.add("R-COMPAT-05", "R-BIND-01", about="a task is the same over every interface")
async def old_the_same_everywhere(line: Line) -> None:
    if not line.others:
        skip("there is one interface only")
    task = await line.task()
    for other in line.others:
        found = other.result(await other.ask("GetTask", {"id": task["id"]}))
        expect(found.get("id") == task["id"], f"not over {other.binding} {other.version}")
