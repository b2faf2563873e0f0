"""Cases about streams, webhooks, the extended card, extensions and credentials in 1.0, over both bindings."""

from collections.abc import Mapping
from typing import Any

from a2a_bridge.check.case import ADVICE, SHOULD, Cases, expect, skip
from a2a_bridge.check.line import Line
from a2a_bridge.check.of_operations import NOBODY
from a2a_bridge.client.seen import Seen
from a2a_bridge.errors import (
    ExtendedAgentCardNotConfiguredError,
    ExtensionSupportRequiredError,
    InvalidParamsError,
    PushNotificationNotSupportedError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a_bridge.protocol.lenient import read_value
from a2a_bridge.protocol.objects import Task
from a2a_bridge.protocol.requests import StreamResponse

CASES = Cases(version="1.0")


# --- streams


@CASES.add("R-STRM-01", "R-STRM-02", about="a stream is one message, or a task and then its updates")
async def stream_order(line: Line) -> None:
    first, *rest = line.payloads(await line.streamed())
    if "message" in first:
        expect(not rest, f"{len(rest)} events after a message")
        return
    expect("task" in first, f"the first event is {sorted(first)}")
    wrong = [sorted(event) for event in rest if not event.keys() & {"statusUpdate", "artifactUpdate", "task"}]
    expect(not wrong, f"events {wrong[:3]} in the stream of a task")


@CASES.add("R-STRM-03", about="a stream ends when its task has ended or waits, with that state in its last event")
async def stream_end(line: Line) -> None:
    events = line.payloads(await line.streamed())
    if "message" in events[0]:
        skip("the agent answers with messages, not with tasks")
    last = events[-1].get("statusUpdate") or events[-1].get("task")
    expect(isinstance(last, Mapping), f"the last event is {sorted(events[-1])}")
    state = line.state_of(last or {})
    expect(state.ends_turn, f"the last event says {state.value}")


@CASES.add("R-CTX-04", about="all events of a stream name the same task and context")
async def stream_ids(line: Line) -> None:
    first, *rest = line.payloads(await line.streamed())
    if "task" not in first:
        skip("the agent answers with messages, not with tasks")
    wanted = (first["task"].get("id"), first["task"].get("contextId"))
    updates = [event.get("statusUpdate") or event.get("artifactUpdate") or {} for event in rest if "task" not in event]
    found = {(update.get("taskId"), update.get("contextId")) for update in updates}
    expect(found <= {wanted}, f"{sorted(map(str, found - {wanted}))[:2]} in the stream of {wanted}")


@CASES.add("R-CTX-03", about="a context that the client names is kept")
async def stream_context(line: Line) -> None:
    first = line.payloads(await line.streamed())[0]
    held = first.get("task") or first.get("message") or {}
    expect(held.get("contextId") == line.known["context"], f"contextId {held.get('contextId')!r}")


@CASES.add("R-ART-04", about="the task holds what its stream has brought")
async def stream_artifacts(line: Line) -> None:
    events = [read_value(StreamResponse, event) for event in line.payloads(await line.streamed())]
    if events[0].task is None:
        skip("the agent answers with messages, not with tasks")
    seen = Seen()
    for event in events:
        if (one := event.task or event.artifact_update) is not None:
            seen.add(one)
    found = read_value(Task, line.result(await line.ask("GetTask", {"id": events[0].task.id})))
    missing = [update.artifact.artifact_id for update in seen.missing(found)]
    lost = seen.extents().keys() - {artifact.artifact_id for artifact in found.artifacts or ()}
    expect(not missing and not lost, f"artifacts {sorted({*missing, *lost})} differ")


@CASES.add("R-REST-20", "R-JRPC-20", about="a stream is text/event-stream with HTTP 200")
async def stream_type(line: Line) -> None:
    reply = await line.streamed()
    expect((reply.status, reply.media_type) == (200, "text/event-stream"), f"HTTP {reply.status} {reply.media_type}")


@CASES.add("R-SUB-02", "R-STRM-09", about="a task that has ended is not followed: an ordinary error says so")
async def subscribes_to_an_ended_task(line: Line) -> None:
    if not line.streams:
        skip("the card does not offer streaming")
    task = await line.ended()
    reply = await line.ask("SubscribeToTask", {"id": task["id"]})
    line.refused(reply, UnsupportedOperationError)
    expect(not reply.events, "the error is an event of a stream")


@CASES.add("R-SUB-02", about="a task that does not exist is not followed")
async def subscribes_to_nobody(line: Line) -> None:
    if not line.streams:
        skip("the card does not offer streaming")
    line.refused(await line.ask("SubscribeToTask", {"id": NOBODY}), TaskNotFoundError)


@CASES.add("R-CAP-02", about="an agent without streaming refuses to stream")
async def streams_that_are_not_offered(line: Line) -> None:
    if line.streams:
        skip("the card offers streaming")
    line.refused(await line.ask("SubscribeToTask", {"id": NOBODY}), UnsupportedOperationError)


# --- webhooks


def _offered(line: Line) -> None:
    if line.card.capabilities.push_notifications is not True:
        skip("the card does not offer webhooks")


async def _config(line: Line) -> Mapping[str, Any]:
    """A webhook that was made once; servers may refuse its address, which nobody is to call."""
    _offered(line)
    if "config" not in line.known:
        task = await line.task()
        asked = {"taskId": task["id"], "id": "check-1", "url": line.webhook, "token": "check"}
        reply = await line.ask("CreateTaskPushNotificationConfig", asked)
        if isinstance(line.refusal(reply), InvalidParamsError):
            skip(f"the server refuses the webhook {line.webhook}")
        line.known["config"] = line.result(reply)
    found: Mapping[str, Any] = line.known["config"]
    return found


@CASES.add("R-CAP-01", about="an agent without webhooks refuses all that is about them")
async def webhooks_that_are_not_offered(line: Line) -> None:
    if line.card.capabilities.push_notifications is True:
        skip("the card offers webhooks")
    one = {"taskId": NOBODY, "id": "x"}
    for operation, params in (
        ("CreateTaskPushNotificationConfig", {"taskId": NOBODY, "url": line.webhook}),
        ("GetTaskPushNotificationConfig", one),
        ("ListTaskPushNotificationConfigs", {"taskId": NOBODY}),
        ("DeleteTaskPushNotificationConfig", one),
    ):
        line.refused(await line.ask(operation, params), PushNotificationNotSupportedError)


@CASES.add("R-PUSH-01", about="a webhook is made for a task, and the answer has its id and task")
async def webhook_is_made(line: Line) -> None:
    made, task = await _config(line), await line.task()
    found = (made.get("taskId"), made.get("id"), made.get("url"))
    expect(found == (task["id"], "check-1", line.webhook), f"taskId, id and url {found}")


@CASES.add("R-PUSH-01", about="a webhook for a task that does not exist is refused")
async def webhook_for_nobody(line: Line) -> None:
    _offered(line)
    asked = {"taskId": NOBODY, "url": line.webhook}
    line.refused(await line.ask("CreateTaskPushNotificationConfig", asked), TaskNotFoundError, InvalidParamsError)


@CASES.add("R-PUSH-05", about="a webhook is got by its id, and another is not found")
async def webhook_is_got(line: Line) -> None:
    made = await _config(line)
    asked = {"taskId": made["taskId"], "id": made["id"]}
    found = line.result(await line.ask("GetTaskPushNotificationConfig", asked))
    expect(found.get("url") == line.webhook, f"url {found.get('url')!r}")
    reply = await line.ask("GetTaskPushNotificationConfig", {**asked, "id": "check-2"})
    line.refused(reply, TaskNotFoundError)


@CASES.add("R-PUSH-06", about="webhooks are listed by task")
async def webhooks_are_listed(line: Line) -> None:
    made = await _config(line)
    found = line.result(await line.ask("ListTaskPushNotificationConfigs", {"taskId": made["taskId"]}))
    expect(made["id"] in [item.get("id") for item in found.get("configs") or ()], f"configs {found.get('configs')}")


@CASES.add("R-PUSH-07", about="deleting a webhook succeeds, also when it is not there any more")
async def webhook_is_deleted(line: Line) -> None:
    made = await _config(line)
    asked = {"taskId": made["taskId"], "id": made["id"]}
    for _ in range(2):
        reply = await line.ask("DeleteTaskPushNotificationConfig", asked)
        expect(reply.status == 200 and line.refusal(reply) is None, f"{reply}")
    listed = line.result(await line.ask("ListTaskPushNotificationConfigs", {"taskId": made["taskId"]}))
    expect(made["id"] not in [item.get("id") for item in listed.get("configs") or ()], "it is still listed")


@CASES.add("R-PUSH-07", level=SHOULD, about="webhooks of a task that does not exist are not found")
async def webhooks_of_nobody(line: Line) -> None:
    _offered(line)
    line.refused(await line.ask("ListTaskPushNotificationConfigs", {"taskId": NOBODY}), TaskNotFoundError)


# --- the extended card, extensions, credentials


@CASES.add("R-CAP-03", about="an agent without an extended card refuses to give one")
async def extended_card_that_is_not_offered(line: Line) -> None:
    if line.card.capabilities.extended_agent_card:
        skip("the card offers an extended one")
    line.refused(await line.ask("GetExtendedAgentCard", {}), UnsupportedOperationError)


@CASES.add("R-CAP-03", "R-EXTC-03", about="an extended card that is offered is given, or said to be missing")
async def extended_card_is_given(line: Line) -> None:
    if not line.card.capabilities.extended_agent_card:
        skip("the card offers no extended one")
    reply = await line.ask("GetExtendedAgentCard", {})
    if line.refusal(reply) is not None:
        line.refused(reply, ExtendedAgentCardNotConfiguredError)
        return
    expect(line.result(reply).get("name"), "it has no name")


@CASES.add("R-EXTC-01", "R-SEC-05", about="the extended card is given to those who are known only")
async def extended_card_is_guarded(line: Line) -> None:
    if not line.card.capabilities.extended_agent_card:
        skip("the card offers no extended one")
    verb, url, body = "POST", line.endpoint.url, b'{"jsonrpc":"2.0","id":"check","method":"GetExtendedAgentCard"}'
    if line.is_rest:
        verb, url, body = "GET", line.path("/extendedAgentCard"), b""
    reply = await line.http(verb, url, body=body or None, known=False)
    expect(reply.status in (401, 403) or line.refusal(reply) is not None, "it was given without credentials")


@CASES.add("R-EXT-03", level=SHOULD, about="extensions that nobody knows are skipped")
async def unknown_extensions(line: Line) -> None:
    reply = await line.ask("GetTask", {"id": NOBODY}, headers={"a2a-extensions": "urn:check:nothing, urn:check:more"})
    line.refused(reply, TaskNotFoundError, ExtensionSupportRequiredError)


@CASES.add("R-EXT-04", "R-CAP-04", about="a required extension that is not named is asked for")
async def required_extensions(line: Line) -> None:
    if not any(extension.required for extension in line.card.capabilities.extensions or ()):
        skip("the card requires no extension")
    reply = await line.ask("GetTask", {"id": NOBODY}, headers={"a2a-extensions": None})
    line.refused(reply, ExtensionSupportRequiredError)


@CASES.add("R-EXT-02", level=SHOULD, about="the answer names the extensions that were activated")
async def activated_extensions(line: Line) -> None:
    offered = [extension.uri for extension in line.card.capabilities.extensions or ()]
    if not offered:
        skip("the card offers no extension")
    task = await line.task()
    reply = await line.ask("GetTask", {"id": task["id"]}, headers={"a2a-extensions": ", ".join(offered)})
    expect(reply.headers.get("a2a-extensions"), "no header A2A-Extensions")


@CASES.add("R-SEC-02", about="whoever does not authenticate is not served, if the card says so")
async def credentials_are_asked_for(line: Line) -> None:
    required = line.card.security_requirements
    if not required or any(not requirement.schemes for requirement in required):
        skip("the card requires no credentials")
    url = line.path(f"/tasks/{NOBODY}") if line.is_rest else line.endpoint.url
    body = None if line.is_rest else b'{"jsonrpc":"2.0","id":"check","method":"GetTask","params":{"id":"x"}}'
    reply = await line.http("GET" if line.is_rest else "POST", url, body=body, known=False)
    expect(reply.status in (401, 403), f"HTTP {reply.status} without credentials")


@CASES.add("R-SEC-02", level=ADVICE, about="the refusal says how to authenticate: WWW-Authenticate")
async def challenge(line: Line) -> None:
    url = line.path(f"/tasks/{NOBODY}") if line.is_rest else line.endpoint.url
    reply = await line.http("GET" if line.is_rest else "POST", url, body=None if line.is_rest else b"{}", known=False)
    if reply.status != 401:
        skip("nobody is refused")
    expect(reply.headers.get("www-authenticate"), "401 without WWW-Authenticate")
