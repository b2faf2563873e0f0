"""The HTTP+JSON wire as our client speaks it, against a server that misbehaves."""

import json
from contextlib import aclosing
from typing import Any

import pytest

from a2a_bridge.client.client import SendOptions, Wanted
from a2a_bridge.errors import (
    A2AError,
    ConnectionFailedError,
    ContentTypeNotSupportedError,
    InternalError,
    InvalidAgentResponseError,
    InvalidParamsError,
    MethodNotFoundError,
    PushNotificationNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
    Violation,
)
from a2a_bridge.protocol.objects import Message, Task, TaskState
from a2a_bridge.protocol.requests import TaskPushNotificationConfig

DONE = {"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_COMPLETED"}}
WORKING = {"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_WORKING"}}
OLD_DONE = {"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_COMPLETED"}}


@pytest.fixture
def rest(raw: Any) -> Any:
    """A raw server whose card offers HTTP+JSON."""
    offer(raw)
    return raw


def offer(raw: Any, version: str = "1.0", **more: Any) -> None:
    """Have the card offer HTTP+JSON in a version."""
    interface = {"url": f"{raw.url}/api/", "protocolBinding": "HTTP+JSON", "protocolVersion": version, **more}
    raw.card["supportedInterfaces"] = [interface]


def answers(value: Any, **more: Any) -> Any:
    """A handler that answers with JSON."""
    return lambda exchange: exchange.answer(json.dumps(value).encode(), **{"media": "application/a2a+json", **more})


async def test_each_operation_has_its_verb_path_query_and_body(rest: Any) -> None:
    """R-REST-03 to R-REST-05, R-VER-01: ids are one segment, what is in the path is nowhere else."""
    rest.on("POST /api/message:send", answers({"task": DONE}))
    rest.on("GET /api/tasks/a%2Fb%3Fc?historyLength=0", answers(DONE))
    rest.on("GET /api/tasks?contextId=c+1&status=TASK_STATE_WORKING&pageSize=5&includeArtifacts=false", answers({}))
    rest.on("POST /api/tasks/t1:cancel", answers(DONE))
    client = rest.client()
    await client.send("hi", options=SendOptions(return_immediately=True, message_id="m1"))
    await client.get("a/b?c", history_length=0)
    page = await client.list(context_id="c 1", status=TaskState.WORKING, page_size=5, include_artifacts=False)
    assert page.tasks == ()
    await client.cancel("t1", metadata={"why": "late"})
    _, send, get, _, cancel = rest.requests
    message = {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "hi"}]}
    assert send.json == {"message": message, "configuration": {"returnImmediately": True}}
    assert send.headers["content-type"] == "application/json"
    assert send.headers["a2a-version"] == get.headers["a2a-version"] == "1.0"
    assert "content-type" not in get.headers
    assert cancel.json == {"metadata": {"why": "late"}}


async def test_push_configs_have_their_routes(rest: Any) -> None:
    """R-PUSH-01, R-PUSH-05 to R-PUSH-07."""
    config = {"taskId": "t1", "id": "p1", "url": "https://h/x"}
    below = "/api/tasks/t1/pushNotificationConfigs"
    rest.on(f"POST {below}", answers(config))
    rest.on(f"GET {below}/p1", answers(config))
    rest.on(f"GET {below}", answers({"configs": [config]}))
    rest.on(f"DELETE {below}/p1", lambda exchange: exchange.answer(b"", status=204, media=""))
    client = rest.client()
    made = await client.create_push_config(TaskPushNotificationConfig(task_id="t1", url="https://h/x"))
    assert made.id == "p1"
    assert rest.requests[-1].json == {"url": "https://h/x"}
    assert await client.get_push_config("t1", "p1") == made
    assert (await client.list_push_configs("t1")).configs == (made,)
    await client.delete_push_config("t1", "p1")


async def test_the_tenant_stands_in_front_of_the_path(rest: Any) -> None:
    """R-TEN-02, R-TEN-03: exactly as the card says it, as one segment."""
    offer(rest, tenant="a/c me")
    rest.on("GET /api/a%2Fc%20me/tasks/t1", answers(DONE))
    rest.on("POST /api/a%2Fc%20me/message:send", answers({"task": DONE}))
    client = rest.client()
    await client.get("t1")
    await client.send("hi")
    assert "tenant" not in rest.requests[-1].json


async def test_a_query_of_the_interface_stays(rest: Any) -> None:
    """R-CARD-06: its exact URL."""
    rest.card["supportedInterfaces"][0]["url"] = f"{rest.url}/api?k=1"
    rest.on("GET /api/tasks/t1?k=1&historyLength=2", answers(DONE))
    assert (await rest.client().get("t1", history_length=2)).id == "t1"


async def test_a_stream_is_bare_events(rest: Any) -> None:
    """R-REST-20."""
    update = {"statusUpdate": {"taskId": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_COMPLETED"}}}
    said = {"taskId": "t1", "contextId": "c1", "artifact": {"artifactId": "a", "parts": [{"text": 'an "error"'}]}}
    rest.on(
        "POST /api/message:stream",
        lambda exchange: exchange.bare({"task": WORKING}, {"artifactUpdate": said}, update),
    )
    async with aclosing(rest.client().stream("hi")) as events:
        found = [event async for event in events]
    assert [type(event).__name__ for event in found] == ["Task", "TaskArtifactUpdateEvent", "TaskStatusUpdateEvent"]
    assert rest.requests[-1].headers["accept"].startswith("text/event-stream")


async def test_an_error_within_a_stream_is_raised(rest: Any) -> None:
    """R-REST-22."""
    error = {"error": {"code": 500, "status": "INTERNAL", "message": "oh", "details": []}}

    async def break_off(exchange: Any) -> None:
        await exchange.bare({"task": WORKING})
        await exchange.raw(f"event: error\ndata: {json.dumps(error)}\n\n".encode())

    rest.on("POST /api/message:stream", break_off)
    async with aclosing(rest.client().stream("hi")) as events:
        assert isinstance(await anext(events), Task)
        with pytest.raises(InternalError, match="oh"):
            await anext(events)


async def test_a_plain_answer_to_a_stream_is_its_only_event(rest: Any) -> None:
    """R-REST-21, and servers that do not stream although they say so."""
    message = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "hi"}]}
    rest.on("POST /api/message:stream", answers({"message": message}, media="application/json"))
    async with aclosing(rest.client().stream("hi")) as events:
        (found,) = [event async for event in events]
    assert isinstance(found, Message)


async def test_subscribing_falls_back_to_the_other_verb(rest: Any) -> None:
    """R-REST-01: POST, and GET where that is refused; the next time GET at once."""
    rest.on("POST /api/tasks/t1:subscribe", lambda exchange: exchange.answer(b"", status=405, media=""))
    rest.on("GET /api/tasks/t1:subscribe", lambda exchange: exchange.bare({"task": DONE}))
    client = rest.client()
    for _ in range(2):
        async with aclosing(client.subscribe("t1")) as events:
            assert [type(event) async for event in events] == [Task]
    assert [request.verb for request in rest.requests[1:]] == ["POST", "GET", "GET"]
    assert rest.requests[1].body == b""


def status_body(reason: str | None, *, status: str = "NOT_FOUND", **more: Any) -> Any:
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": "a2a-protocol.org"}
    return {"error": {"code": 400, "status": status, "message": "no", "details": [info] if reason else [], **more}}


BAD = {
    "@type": "type.googleapis.com/google.rpc.BadRequest",
    "fieldViolations": [{"field": "id", "description": "is bad"}],
}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (404, status_body("TASK_NOT_FOUND"), TaskNotFoundError),
        (400, status_body("TASK_NOT_CANCELABLE"), TaskNotCancelableError),
        (400, status_body("INVALID_PARAMS", details=[BAD]), A2AError),
        (404, status_body("METHOD_NOT_FOUND"), MethodNotFoundError),
        (415, status_body("CONTENT_TYPE_NOT_SUPPORTED"), ContentTypeNotSupportedError),
        (500, status_body(None), InternalError),
        (404, status_body(None), TaskNotFoundError),
        (404, {"message": "Task not found"}, TaskNotFoundError),
        (404, {"message": "Method not found"}, MethodNotFoundError),
        (409, {"message": "Task cannot be canceled"}, TaskNotCancelableError),
        (422, {"message": "Invalid parameters"}, InvalidParamsError),
        (501, {"message": "Push Notification is not supported"}, PushNotificationNotSupportedError),
        (501, {"message": "This operation is not supported"}, UnsupportedOperationError),
        (502, {"message": "Invalid agent response"}, InvalidAgentResponseError),
        (400, {"message": "x", "type": "TaskNotFoundError"}, TaskNotFoundError),
        (418, {"message": "x"}, A2AError),
    ],
)
async def test_an_error_body_becomes_the_class_that_the_server_raised(
    rest: Any, status: int, body: Any, kind: type
) -> None:
    """R-REST-09, and what servers of 0.3 send in its place."""
    rest.on("GET /api/tasks/t1", answers(body, status=status, media="application/json"))
    with pytest.raises(A2AError) as caught:
        await rest.client().get("t1")
    assert isinstance(caught.value, kind)
    assert type(caught.value) is kind or kind is A2AError


async def test_field_violations_come_through(rest: Any) -> None:
    """R-ERR-03."""
    info = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "INVALID_PARAMS"}
    body = {"error": {"code": 400, "message": "bad", "details": [info, BAD]}}
    rest.on("GET /api/tasks/t1", answers(body, status=400))
    with pytest.raises(InvalidParamsError) as caught:
        await rest.client().get("t1")
    assert caught.value.violations == (Violation("id", "is bad"),)


@pytest.mark.parametrize(
    ("status", "media", "body", "says"),
    [
        (404, "text/plain", b"Not Found", "no A2A endpoint there"),
        (403, "application/json", b'{"error":{"code":403,"message":"no"}}', "wants credentials"),
        (307, "", b"", "points to"),
        (500, "application/json", b"[]", "HTTP 500"),
        (500, "application/json", b"{", "HTTP 500"),
    ],
)
async def test_a_status_that_says_no_more_is_told_as_it_is(
    rest: Any, status: int, media: str, body: bytes, says: str
) -> None:
    """R-REST-12: what is about the way, and not about the request."""
    rest.on("GET /api/tasks/t1", lambda exchange: exchange.answer(body, status=status, media=media))
    with pytest.raises(ConnectionFailedError, match=says):
        await rest.client().get("t1")


async def test_a_busy_agent_is_asked_again(rest: Any) -> None:
    """429 and 503, with the same messageId."""
    busy = lambda exchange: exchange.answer(b"{}", status=503)  # noqa: E731
    rest.on("POST /api/message:send", busy, answers({"task": DONE}))
    await rest.client().send("hi")
    _, first, second = rest.requests
    assert first.json["message"]["messageId"] == second.json["message"]["messageId"]


async def test_an_answer_that_is_no_json_is_named(rest: Any) -> None:
    """A web page behind the URL."""
    rest.on("GET /api/tasks/t1", lambda exchange: exchange.answer(b"<html>", media="text/html"))
    with pytest.raises(InvalidAgentResponseError, match="text/html where JSON was expected"):
        await rest.client().get("t1")


# --- 0.3


async def test_a_0_3_server_is_spoken_to_in_the_json_of_its_proto_file(rest: Any) -> None:
    """R-COMPAT-02, R-VER-01: routes below /v1, `content`, `blocking` always said; 0 is no history length there."""
    offer(rest, "0.3", tenant="x")
    rest.on("POST /api/v1/message:send", answers({"task": OLD_DONE}))
    rest.on("GET /api/v1/tasks/t1", answers({**OLD_DONE, "history": [{"messageId": "m", "role": "ROLE_USER"}]}))
    rest.on("GET /api/v1/card", answers({"name": "known", "url": rest.url}))
    rest.card["capabilities"]["extendedAgentCard"] = True
    client = rest.client()
    await client.send("hi", options=SendOptions(message_id="m1", extensions=("urn:a",)))
    sent = rest.requests[-1]
    message = {"messageId": "m1", "role": "ROLE_USER", "content": [{"text": "hi"}]}
    assert sent.json == {"message": message, "configuration": {"blocking": True}}
    assert sent.headers["a2a-version"] == "0.3"
    assert sent.headers["a2a-extensions"] == sent.headers["x-a2a-extensions"] == "urn:a"
    assert not (await client.get("t1", history_length=0)).history
    with pytest.raises(UnsupportedOperationError, match="has no ListTasks"):
        await client.list()
    assert (await client.extended_card()).name == "known"


async def test_a_binding_that_is_wanted_is_taken(raw: Any) -> None:
    """R-BIND-01: the card offers both."""
    raw.card["supportedInterfaces"].append(
        {"url": f"{raw.url}/api", "protocolBinding": "http+json", "protocolVersion": "1.0"}
    )
    raw.on("GET /api/tasks/t1", answers(DONE))
    assert (await raw.client(interface=Wanted("HTTP+JSON")).get("t1")).id == "t1"
