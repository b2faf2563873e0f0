"""The JSON-RPC wire as our client speaks it, against a server that misbehaves."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest

from a2a_bridge.client.client import Retries, SendOptions, Timeouts, Trust
from a2a_bridge.client.refusal import error_from
from a2a_bridge.errors import (
    A2AError,
    ConnectionFailedError,
    ContentTypeNotSupportedError,
    ExtensionSupportRequiredError,
    InternalError,
    InvalidAgentResponseError,
    InvalidParamsError,
    InvalidRequestError,
    MethodNotFoundError,
    RemoteTimeoutError,
    TaskNotFoundError,
    Violation,
)
from a2a_bridge.observe.trace import continue_trace
from a2a_bridge.protocol.objects import Message, Part, Role, Task

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
DONE = {"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_COMPLETED"}}


async def read_all(events: Any, into: list[Any] | None = None) -> list[Any]:
    found = [] if into is None else into
    async with asyncio.timeout(5), aclosing(events):
        async for event in events:
            found.append(event)
    return found


async def test_a_request_carries_version_trace_extensions_and_its_message_id(raw: Any) -> None:
    """R-VER-01, R-EXT-01, R-TEN-02, `traceparent` out; configuration only when something is wanted."""
    raw.card["supportedInterfaces"][0]["tenant"] = "acme"
    raw.on("SendMessage", lambda exchange: exchange.result({"task": DONE}))
    client = raw.client(headers={"Authorization": "Bearer x"})
    with continue_trace(TRACE):
        await client.send("hi", context_id="c1", options=SendOptions(message_id="m1", extensions=("urn:a", "urn:b")))
    await client.send("hi", options=SendOptions(history_length=0, return_immediately=True, metadata={"k": 1}))
    card, first, second = raw.requests
    assert card.headers["a2a-version"] == "1.0"
    assert card.headers["authorization"] == "Bearer x"
    assert first.path == "/rpc"
    expected = {
        "a2a-version": "1.0",
        "a2a-extensions": "urn:a, urn:b",
        "traceparent": TRACE,
        "idempotency-key": "m1",
        "content-type": "application/json",
        "authorization": "Bearer x",
    }
    assert expected.items() <= first.headers.items()
    message = {"messageId": "m1", "role": "ROLE_USER", "parts": [{"text": "hi"}], "contextId": "c1"}
    assert first.params == {"message": message, "tenant": "acme"}
    assert "traceparent" not in second.headers
    assert second.params["configuration"] == {"historyLength": 0, "returnImmediately": True}
    assert second.params["metadata"] == {"k": 1}
    assert first.rpc["id"] != second.rpc["id"]


async def test_a_message_of_ones_own_is_sent_as_it_is(raw: Any) -> None:
    """A `Message` keeps its ids; arguments fill in what they say."""
    raw.on("SendMessage", lambda exchange: exchange.result({"task": DONE}))
    message = Message(message_id="m9", role=Role.USER, parts=(Part(data={"a": [1]}),), context_id="c9")
    await raw.client().send(message, task_id="t9")
    assert raw.requests[-1].params["message"] == {
        "messageId": "m9",
        "role": "ROLE_USER",
        "parts": [{"data": {"a": [1]}}],
        "contextId": "c9",
        "taskId": "t9",
    }


async def test_extensions_of_the_client_and_of_a_send_are_both_activated(raw: Any) -> None:
    """No option is silently ignored; an id that fits no header still sends its message."""
    raw.on("SendMessage", lambda exchange: exchange.result({"task": DONE}))
    client = raw.client(headers={"A2A-Extensions": "urn:mine"})
    await client.send("hi", options=SendOptions(message_id="é\n", extensions=("urn:a",)))
    assert raw.requests[-1].headers["a2a-extensions"] == "urn:mine, urn:a"
    assert "idempotency-key" not in raw.requests[-1].headers
    assert raw.requests[-1].params["message"]["messageId"] == "é\n"


INFO = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "domain": "a2a-protocol.org"}
BAD = {
    "@type": "type.googleapis.com/google.rpc.BadRequest",
    "fieldViolations": [{"field": "message.parts", "description": "is required"}],
}


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        ({"code": -32001, "message": "gone"}, TaskNotFoundError, "gone"),
        ({"code": -32005, "message": ""}, ContentTypeNotSupportedError, "does not accept content"),
        ({"code": -32008}, ExtensionSupportRequiredError, "requires an extension"),
        ({"code": -32600, "message": "x"}, InvalidRequestError, "x"),
        ({"code": -32603, "message": "x"}, InternalError, "x"),
        ({"code": -1, "message": "x", "data": [{**INFO, "reason": "TASK_NOT_FOUND"}]}, TaskNotFoundError, "x"),
        ({"code": -1, "message": "x", "data": [{**INFO, "reason": "INVALID_REQUEST"}]}, InvalidRequestError, "x"),
        ({"code": -32050, "message": "odd", "data": {"a": 1}}, A2AError, r"odd \(code -32050\)"),
        ({"code": "odd"}, A2AError, "code odd"),
        ("broken", A2AError, "cannot be read"),
    ],
)
def test_an_error_object_becomes_the_class_that_the_server_raised(error: Any, kind: type, text: str) -> None:
    """One tree for both ends: by code, else by the reason in ErrorInfo."""
    found = error_from(error)
    assert type(found) is kind
    with pytest.raises(A2AError, match=text):
        raise found


def test_violations_and_metadata_of_an_error_are_kept() -> None:
    """R-ERR-03; T-20: the SDK puts lists where strings belong."""
    info = {**INFO, "reason": "INVALID_PARAMS", "metadata": {"errors": [{"field": "x"}], "a": "b"}}
    found = error_from({"code": -32602, "message": "bad", "data": [info, BAD, "junk"]})
    assert isinstance(found, InvalidParamsError)
    assert found.violations == (Violation("message.parts", "is required"),)
    assert found.metadata["a"] == "b"


async def test_errors_raise_from_calls_and_from_streams(raw: Any) -> None:
    """R-STRM-09, T-17: an error before the first event comes as plain JSON, and is not tried again."""
    raw.on("GetTask", lambda exchange: exchange.error(-32001))
    raw.on("SendStreamingMessage", lambda exchange: exchange.error(-32005, data=[INFO]))
    client = raw.client()
    with pytest.raises(TaskNotFoundError):
        await client.get("t1")
    with pytest.raises(ContentTypeNotSupportedError):
        await read_all(client.stream("hi"))
    assert len(raw.requests) == 3


async def test_an_error_within_a_stream_raises(raw: Any) -> None:
    """R-JRPC-24: with `event: error`, or as plain data; the events before it are delivered."""

    async def fails(exchange: Any) -> None:
        await exchange.stream({"task": {**DONE, "status": {"state": "TASK_STATE_WORKING"}}})
        error = {"jsonrpc": "2.0", "id": exchange.rpc["id"], "error": {"code": -32603, "message": "broke"}}
        await exchange.raw(b"event: error\ndata: " + json.dumps(error).encode() + b"\n\n")

    raw.on("SendStreamingMessage", fails)
    seen: list[Any] = []
    with pytest.raises(InternalError, match="broke"):
        await read_all(raw.client().stream("hi"), seen)
    assert len(seen) == 1


async def test_words_about_errors_are_not_errors(raw: Any) -> None:
    """The member `error` counts in the envelope only."""
    message = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"data": {"error": "none", "empty": ""}}]}
    raw.on("SendStreamingMessage", lambda exchange: exchange.stream({"message": message}))
    raw.on("SendMessage", lambda exchange: exchange.result({"message": message}))
    (found,) = await read_all(raw.client().stream("hi"))
    assert found.parts[0].data == {"error": "none", "empty": ""}
    assert (await raw.client().send("hi")).parts == found.parts


async def test_a_streaming_call_answered_with_one_result_gives_that(raw: Any) -> None:
    """R-JRPC-25: not SSE on a 2xx is read as a plain response."""
    raw.on("SendStreamingMessage", lambda exchange: exchange.result({"task": DONE}))
    (task,) = await read_all(raw.client().stream("hi"))
    assert isinstance(task, Task)


async def wrong_id(exchange: Any) -> None:
    await exchange.answer(json.dumps({"jsonrpc": "2.0", "id": "other", "result": DONE}).encode())


async def wrong_id_in_stream(exchange: Any) -> None:
    exchange.rpc["id"] = "other"
    await exchange.stream({"task": DONE})


@pytest.mark.parametrize(
    ("handler", "says"),
    [
        (wrong_id, "answered request"),
        (lambda exchange: exchange.answer(b"<html>", media="text/html"), "is this the URL of an A2A endpoint"),
        (lambda exchange: exchange.answer(b"not json"), "not JSON"),
        (lambda exchange: exchange.answer(b"[" * 100_000), "not JSON"),
        (lambda exchange: exchange.answer(b"[]"), "not a JSON-RPC response"),
        (lambda exchange: exchange.answer(b'{"jsonrpc":"2.0"}'), "neither `result` nor `error`"),
        (lambda exchange: exchange.result({"status": {"state": "completed"}, "id": "t"}), "status.state"),
        (lambda exchange: exchange.result(None), "cannot be read"),
        (lambda exchange: exchange.result("text"), "cannot be read"),
    ],
)
async def test_nonsense_is_an_invalid_answer(raw: Any, handler: Any, says: str) -> None:
    """R-JRPC-16, R-JRPC-20: whatever comes back, the caller gets one kind of error that says what was wrong."""
    raw.on("GetTask", handler)
    with pytest.raises(InvalidAgentResponseError, match=says):
        await raw.client().get("t")
    assert len(raw.calls("GetTask")) == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"data: {broken\n\n", "not JSON"),
        (b'data: {"jsonrpc":"2.0","id":"%ID%","result":{}}\n\n', "neither task, message"),
        (b'data: {"jsonrpc":"2.0","id":"x","result":{"task":{"id":"t","status":{"state":1}}}}\n\n', "answered request"),
        (b'data: {"jsonrpc":"2.0","id":"%ID%","result":{"task":{"id":7}}}\n\n', "cannot be read"),
        (b'data: {"jsonrpc":"2.0","id":"%ID%"}\n\n', "neither `result` nor `error`"),
    ],
)
async def test_nonsense_in_a_stream_is_an_invalid_answer(raw: Any, data: bytes, says: str) -> None:
    """The same within a stream; it is no cut, so it is not tried again."""

    async def garbage(exchange: Any) -> None:
        await exchange.stream()
        await exchange.raw(data.replace(b"%ID%", exchange.rpc["id"].encode()))

    raw.on("SendStreamingMessage", garbage)
    with pytest.raises(InvalidAgentResponseError, match=says):
        await read_all(raw.client().stream("hi"))
    assert len(raw.calls("SendStreamingMessage")) == 1


async def test_an_event_without_end_is_cut_at_the_limit(raw: Any) -> None:
    """R-JRPC-26: a hundred megabytes in one event do not get into memory."""
    sent = 0

    async def endless(exchange: Any) -> None:
        nonlocal sent
        await exchange.stream()
        await exchange.raw(b"data: ")
        for _ in range(100):
            await exchange.raw(b"x" * 1024 * 1024)
            sent += 1

    raw.on("SendStreamingMessage", endless)
    with pytest.raises(InvalidAgentResponseError, match="more than 1000000 bytes"):
        await read_all(raw.client(trust=Trust(max_answer_bytes=1_000_000)).stream("hi"))
    assert sent < 50


async def test_an_answer_above_the_limit_is_refused(raw: Any) -> None:
    """The same for a plain answer."""
    raw.on("GetTask", lambda exchange: exchange.answer(b" " * 2000))
    with pytest.raises(InvalidAgentResponseError, match="more than 1000 bytes"):
        await raw.client(trust=Trust(max_answer_bytes=1000)).get("t")


@pytest.mark.parametrize(
    ("status", "says"),
    [(500, "HTTP 500"), (404, "check the URL"), (401, "headers="), (403, "headers="), (415, "HTTP 415")],
)
async def test_an_http_error_without_json_says_what_to_do(raw: Any, status: int, says: str) -> None:
    """A page of HTML is never shown, and only what may pass is tried again."""
    raw.on("GetTask", lambda exchange: exchange.answer(b"<h1>oops</h1>", status=status, media="text/html"))
    with pytest.raises(ConnectionFailedError, match=says) as caught:
        await raw.client().get("t")
    assert caught.value.status == status
    assert "oops" not in str(caught.value)
    assert len(raw.calls("GetTask")) == 1


async def test_an_http_error_with_a_jsonrpc_error_is_that_error(raw: Any) -> None:
    """R-JRPC-04: some servers send an HTTP status with it."""
    raw.on("GetTask", lambda exchange: exchange.error(-32601, "no such method", status=404))
    with pytest.raises(MethodNotFoundError, match="no such method"):
        await raw.client().get("t")
    raw.on("ListTasks", lambda exchange: exchange.answer(b'{"detail":"no"}', status=500))
    with pytest.raises(ConnectionFailedError, match="HTTP 500"):
        await raw.client().list()


async def test_a_redirect_is_named_and_not_followed(raw: Any) -> None:
    """The caller's headers stay here."""
    headers = {"Location": "http://user:pw@elsewhere.example/rpc?secret=1"}
    raw.on("GetTask", lambda exchange: exchange.answer(b"", status=307, headers=headers))
    with pytest.raises(ConnectionFailedError, match=r"points to http://elsewhere\.example/rpc: use that URL"):
        await raw.client().get("t")


async def test_what_may_pass_is_tried_again_with_the_same_message(raw: Any) -> None:
    """R-SEND-09: a cut, 503, 429; one messageId, a new JSON-RPC id each time."""

    async def cut(exchange: Any) -> None:
        exchange.cut()

    raw.on(
        "SendMessage",
        cut,
        lambda exchange: exchange.answer(b"", status=503),
        lambda exchange: exchange.answer(b"", status=429, headers={"Retry-After": "0"}),
        lambda exchange: exchange.result({"task": DONE}),
    )
    task = await raw.client(retries=Retries(times=3, pause=0.001)).send("hi")
    assert isinstance(task, Task)
    calls = raw.calls("SendMessage")
    assert len({call.params["message"]["messageId"] for call in calls}) == 1
    assert len({call.rpc["id"] for call in calls}) == 4


async def test_a_long_retry_after_is_told_and_not_waited_for(raw: Any) -> None:
    """The caller knows better what to do with a minute."""
    raw.on("GetTask", lambda exchange: exchange.answer(b"", status=429, headers={"Retry-After": "60"}))
    with pytest.raises(ConnectionFailedError) as caught:
        await raw.client().get("t")
    assert caught.value.retry_after == 60.0
    assert len(raw.calls("GetTask")) == 1


async def test_a_silent_agent_is_not_asked_twice(raw: Any, pass_time: Any) -> None:
    """It may still be at work: sending again would not help."""

    async def silent(exchange: Any) -> None:
        pass_time(1)
        await exchange.gone.wait()

    raw.on("SendMessage", silent)
    raw.on("SendStreamingMessage", silent)
    client = raw.client(timeouts=Timeouts(first_byte=1))
    with pytest.raises(RemoteTimeoutError, match="first_byte"):
        await client.send("hi")
    with pytest.raises(RemoteTimeoutError, match="first_byte"):
        await read_all(client.stream("hi"))
    assert len(raw.requests) == 3


async def test_many_calls_share_one_connection(raw: Any) -> None:
    """One pool per loop; a stream that was read to its end leaves its connection usable."""
    raw.keep_alive = True
    raw.on("GetTask", lambda exchange: exchange.result(DONE))
    client = raw.client()
    for _ in range(3):
        await client.get("t1")
    assert raw.connections == 1
