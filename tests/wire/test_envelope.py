"""JSON-RPC envelopes (A2A 1.0.1 §9.1): what is a request, what is not, and what the answer to each looks like."""

import gzip
import json
from typing import Any

import httpx
import pytest

from a2a_bridge.bridge import Bridge
from a2a_bridge.server.limits import Limits
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.wire import Wire, reason_of, say


def request(method: Any = "GetTask", **members: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": {"id": "nothing"}, **members}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"jsonrpc":"2.0","id":1,"method":"GetTask"',
        b"nonsense",
        b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"\xff"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":NaN}}',
        b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":-Infinity}}',
        b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"\\ud800"}}',
        b'{"jsonrpc":"2.0","id":1,"method":"GetTask"} {}',
        b'\xef\xbb\xbf{"jsonrpc":"2.0","id":1,"method":"GetTask","params":{"id":"x"}}',
    ],
    ids=["empty", "cut", "unclosed", "word", "not-utf8", "nan", "infinity", "surrogate", "trailing", "byte-order-mark"],
)
async def test_what_is_not_json_in_utf8_is_a_parse_error(wire: Wire, body: bytes) -> None:
    """R-JRPC-12, R-DM-13, R-DM-14; R-JRPC-04: still HTTP 200, and R-JRPC-08: the id is null."""
    response = await wire.post(body)
    found = response.json()
    assert response.status_code == 200
    assert (found["id"], found["error"]["code"]) == (None, -32700)
    assert reason_of(found["error"]) == "INVALID_REQUEST"


@pytest.mark.parametrize(
    ("body", "expected_id"),
    [
        (request(jsonrpc="1.0"), 7),
        (request(jsonrpc=2.0), 7),
        ({"id": 7, "method": "GetTask"}, 7),
        (request(method=""), 7),
        (request(method=5), 7),
        ({"jsonrpc": "2.0", "id": 7}, 7),
        ({"jsonrpc": "2.0"}, None),
        (request(id=True), None),
        (request(id=1.5), None),
        (request(id={}), None),
        (request(id=[1]), None),
        ("text", None),
        (5, None),
        ([], None),
        ([request(), request()], None),
    ],
    ids=[
        "version-1", "version-a-number", "no-version", "empty-method", "method-a-number", "no-method", "nothing",
        "id-a-boolean", "id-a-fraction", "id-an-object", "id-an-array", "a-string", "a-number", "no-batch", "batch",
    ],
)  # fmt: skip
async def test_what_is_not_one_request_object_is_an_invalid_request(wire: Wire, body: Any, expected_id: Any) -> None:
    """R-JRPC-05, R-JRPC-06, R-JRPC-07, R-JRPC-10; R-JRPC-08: the id comes back whenever it could be read."""
    response = await wire.post(json.dumps(body))
    found = response.json()
    assert response.status_code == 200
    assert found["error"]["code"] == -32600
    assert found["id"] == expected_id
    assert found.keys() == {"jsonrpc", "id", "error"}


async def test_a_batch_is_told_to_send_one_request_at_a_time(wire: Wire) -> None:
    """R-JRPC-10: a batch runs nothing and says why."""
    found = (await wire.post([request("SendMessage", params=say())])).json()
    assert "one request object at a time" in found["error"]["message"]
    assert (await wire.result("ListTasks", {}))["totalSize"] == 0


@pytest.mark.parametrize("method", ["Nonsense", "sendMessage", "tasks/send", "tasks/list", "__init__", "GetTask "])
async def test_an_unknown_method_is_not_found(wire: Wire, method: str) -> None:
    """R-JRPC-06; names are exact."""
    error = await wire.error(method, {})
    assert (error["code"], reason_of(error)) == (-32601, "METHOD_NOT_FOUND")


@pytest.mark.parametrize("found", [0, 12, -5, "", "a", "ü", 2**60, None], ids=repr)
async def test_the_id_comes_back_as_it_was_sent(wire: Wire, found: Any) -> None:
    """R-JRPC-08: the same JSON type; null is an ordinary id (R-JRPC-09)."""
    body = (await wire.post(request(id=found))).json()
    assert body["id"] == found
    assert type(body["id"]) is type(found)
    assert body["error"]["code"] == -32001


@pytest.mark.parametrize("params", [[], [{"id": "x"}], "x", 5, True], ids=repr)
async def test_params_that_are_no_object_are_invalid(wire: Wire, params: Any) -> None:
    """R-JRPC-11."""
    assert (await wire.error("GetTask", params))["code"] == -32602


async def test_absent_and_null_params_are_an_empty_object(wire: Wire) -> None:
    """R-JRPC-11: the operation then says what it misses, or works without."""
    assert (await wire.error("GetTask"))["code"] == -32602
    body = (await wire.post({"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": None})).json()
    assert body["result"]["tasks"] == []


async def test_members_that_nobody_knows_are_ignored(wire: Wire) -> None:
    """R-JRPC-15, R-DM-03: neither refused nor echoed."""
    body = request("SendMessage", params=say("hi", novel="x") | {"also": [1]}, more={"a": 1})
    text = (await wire.post(body)).text
    assert "TASK_STATE_COMPLETED" in text
    assert "novel" not in text


async def test_result_and_error_exclude_each_other(wire: Wire) -> None:
    """R-JRPC-16: exactly one of the two, whatever was asked."""
    good = await wire.call("ListTasks", {})
    bad = await wire.call("GetTask", {"id": "nothing"})
    assert good.keys() == {"jsonrpc", "id", "result"}
    assert bad.keys() == {"jsonrpc", "id", "error"}
    assert bad["error"].keys() == {"code", "message", "data"}


async def test_the_same_request_id_twice_is_two_requests(wire: Wire) -> None:
    """R-JRPC-18: an id pairs an answer with its request and is no idempotency key."""
    one = await wire.call("SendMessage", say(), id="same")
    other = await wire.call("SendMessage", say(), id="same")
    assert one["result"]["task"]["id"] != other["result"]["task"]["id"]


async def test_a_notification_is_done_and_not_answered(wire: Wire) -> None:
    """R-JRPC-09 (our decision): 204 and no body, but the message was sent."""
    response = await wire.post({"jsonrpc": "2.0", "method": "SendMessage", "params": say()})
    assert (response.status_code, response.content) == (204, b"")
    assert "content-length" not in response.headers
    assert (await wire.result("ListTasks", {}))["totalSize"] == 1


async def test_a_stream_needs_a_request_id(wire: Wire) -> None:
    """R-JRPC-09: nobody could tell its events apart."""
    response = await wire.post({"jsonrpc": "2.0", "method": "SendStreamingMessage", "params": say()})
    assert response.json()["error"]["code"] == -32600
    assert (await wire.result("ListTasks", {}))["totalSize"] == 0


# --- HTTP around it


@pytest.mark.parametrize("verb", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_only_post_is_allowed(wire: Wire, verb: str) -> None:
    """R-JRPC-01, R-JRPC-04: told as everything is told at this URL."""
    response = await wire.http.request(verb, "/")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    if verb != "HEAD":
        told = response.json()
        assert (told["jsonrpc"], told["id"], told["error"]["code"]) == ("2.0", None, -32600)
        assert "agent-card.json" in told["error"]["message"]


@pytest.mark.parametrize(
    ("verb", "path", "status", "allow"),
    [
        ("POST", "/.well-known/agent-card.json", 405, "GET, HEAD"),
        ("POST", "/.well-known/ai-catalog.json", 405, "GET, HEAD"),
        ("DELETE", "/openapi.json", 405, "GET, HEAD"),
        ("POST", "/healthz", 405, "GET, HEAD"),
        ("PUT", "/tasks", 405, "GET, HEAD"),
        ("GET", "/nothing/here", 404, None),
        ("GET", "/metrics", 404, None),
    ],
)
async def test_whatever_is_no_json_rpc_is_refused_in_one_form(
    wire: Wire, verb: str, path: str, status: int, allow: str | None
) -> None:
    """R-REST-09, R-REST-10: google.rpc.Status with the verbs that would do, in the type that is accepted."""
    for accept in ("application/json", "application/a2a+json"):
        response = await wire.http.request(verb, path, headers={"accept": accept})
        assert (response.status_code, response.headers.get("allow")) == (status, allow)
        assert response.headers["content-type"] == accept
        error = response.json()["error"]
        assert error["code"] == status
        assert error["details"][0]["reason"] == "METHOD_NOT_FOUND"


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "code"),
    [
        ("/", {"content-type": "text/plain"}, b"x", 415, -32005),
        ("/message:send", {"content-type": "text/plain"}, b"x", 415, None),
        ("/", {"content-type": "application/json"}, b" " * (5 << 20), 413, -32600),
        ("/message:send", {"content-type": "application/json"}, b" " * (5 << 20), 413, None),
    ],
)
async def test_a_body_that_is_not_taken_is_refused_in_the_form_of_its_binding(
    wire: Wire, path: str, headers: dict[str, str], body: bytes, status: int, code: int | None
) -> None:
    """R-JRPC-03, R-JRPC-04, R-JRPC-13, R-REST-08."""
    response = await wire.http.post(path, headers=headers, content=body)
    assert response.status_code == status
    error = response.json()["error"]
    assert error["code"] == (status if code is None else code)
    assert ("jsonrpc" in response.json()) == (code is not None)
    assert len(error["details" if code is None else "data"]) >= 1


@pytest.mark.parametrize("path", ["/", "/obedient", "/obedient/"])
async def test_the_url_works_with_and_without_a_slash(wire: Wire, path: str) -> None:
    """R-JRPC-01: both directly, nobody is redirected."""
    task = await Wire(wire.http, path).send()
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"


@pytest.mark.parametrize(
    "kind",
    ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/a2a+json", "a/b+json", ""],
)
async def test_json_content_types_are_taken(wire: Wire, kind: str) -> None:
    """R-JRPC-02; a missing type is read as JSON (R-JRPC-03)."""
    response = await wire.http.post("/", content=json.dumps(request()), headers={"content-type": kind} if kind else {})
    assert response.json()["error"]["code"] == -32001
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "json"])
async def test_other_content_types_are_refused_before_parsing(wire: Wire, kind: str) -> None:
    """R-JRPC-03: 415 with a JSON-RPC error, although the body is no JSON."""
    response = await wire.post(b"not json", {"content-type": kind})
    found = response.json()
    assert (response.status_code, found["id"], found["error"]["code"]) == (415, None, -32005)


async def test_a_compressed_body_is_refused(wire: Wire) -> None:
    """Our decision: a small body could otherwise become a huge one (R-JRPC-17)."""
    body = gzip.compress(json.dumps(request()).encode())
    response = await wire.post(body, {"content-encoding": "gzip"})
    assert (response.status_code, response.json()["error"]["code"]) == (415, -32005)


async def limited(start: Any, **limits: Any) -> Wire:
    return Wire(await start(Bridge(Obedient(), limits=Limits(**limits))))


async def test_a_body_over_the_limit_is_refused_before_it_is_read(start: Any) -> None:
    """R-JRPC-13: 413 and -32600, told by the announced length; one byte less is fine."""
    wire = await limited(start, body=1000)
    body = json.dumps(request(pad="")).encode()
    exact = body.replace(b'"pad": ""', b'"pad": "%b"' % (b"x" * (1000 - len(body))))
    assert len(exact) == 1000
    assert (await wire.post(exact)).json()["error"]["code"] == -32001
    response = await wire.post(exact + b" ")
    assert (response.status_code, response.json()["error"]["code"]) == (413, -32600)
    assert "1000 bytes" in response.json()["error"]["message"]
    lying = await wire.post(b"{}", {"content-length": "99999999"})
    assert lying.status_code == 413


async def test_a_body_that_does_not_say_how_long_it_is_is_cut_off_at_the_limit(start: Any) -> None:
    """R-JRPC-13: chunked bodies have no length to refuse by."""
    bridge = Bridge(Obedient(), limits=Limits(body=1000))
    await start(bridge)
    status, taken = await _post_in_chunks(bridge, b"x" * 400, count=100)
    assert status == 413
    assert taken <= 4


@pytest.mark.parametrize(("chunk", "count", "expected"), [(1000, 1, 200), (1001, 1, 413), (250, 4, 200), (143, 7, 413)])
async def test_a_body_in_chunks_may_be_as_long_as_any_other(start: Any, chunk: int, count: int, expected: int) -> None:
    """R-JRPC-13: n bytes are taken and n + 1 are not, in one chunk or several."""
    bridge = Bridge(Obedient(), limits=Limits(body=1000))
    await start(bridge)
    assert await _post_in_chunks(bridge, b" " * chunk, count=count) == (expected, count)


async def _post_in_chunks(app: Any, chunk: bytes, *, count: int) -> tuple[int, int]:
    taken = 0
    status = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": chunk, "more_body": taken < count}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)

    scope = {
        "type": "http", "method": "POST", "path": "/", "query_string": b"", "root_path": "",
        "headers": [(b"content-type", b"application/json"), (b"a2a-version", b"1.0")],
    }  # fmt: skip
    await app(scope, receive, send)
    return status, taken


@pytest.mark.parametrize("levels", [65, 100, 199, 1000, 100_000])
async def test_a_body_that_is_nested_too_deeply_is_refused(wire: Wire, levels: int) -> None:
    """R-JRPC-17: -32600 at any depth beyond the limit, also beyond the parser's own."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"GetTask","params":%b1%b}' % (b'{"a":[' * levels, b"]}" * levels)
    found = (await wire.post(body)).json()
    assert found["error"]["code"] == -32600
    assert "64 levels" in found["error"]["message"]


async def test_a_body_at_the_depth_limit_is_taken(start: Any) -> None:
    """R-JRPC-17: at the limit is within it. The envelope, params, message, parts, the part are five levels."""
    wire = await limited(start, depth=20)
    for levels, code in ((15, None), (16, -32600)):
        data: Any = 1
        for _ in range(levels):
            data = [data]
        found = await wire.post(request("SendMessage", params=say(parts=[{"data": data}])))
        assert found.json().get("error", {}).get("code") == code, levels


@pytest.mark.parametrize("number", [b"1e999", b"-1e400", b"1" * 400 + b".0", b"9" * 250 + b"e99"])
async def test_a_number_that_no_float_holds_is_refused(wire: Wire, number: bytes) -> None:
    """R-DM-13: it would become infinity, which we could not write again."""
    params = json.dumps(say(parts=[{"data": 0.5}])).encode().replace(b"0.5", number)
    found = (await wire.post(b'{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":%b}' % params)).json()
    assert found["error"]["code"] == -32600
    assert (await wire.result("ListTasks", {}))["totalSize"] == 0


async def test_large_numbers_that_fit_are_kept(wire: Wire) -> None:
    """R-DM-08: numbers come back as they were sent."""
    data = [1e308, 2**80, -0.1, 0, 1.5e-300]
    task = await wire.send(parts=[{"data": data}])
    assert task["history"][0]["parts"] == [{"data": data}]


async def test_an_unknown_path_is_not_found(wire: Wire) -> None:
    """R-REST-10: no agent is there, and the answer says where they are."""
    response = await wire.http.post("/nobody/", content="{}")
    assert response.status_code == 404
    assert "/NAME/" in response.json()["error"]["message"]


async def test_a_client_that_hangs_up_while_sending_leaves_nothing(start: Any) -> None:
    """Nobody is answered, nothing is kept (R-JRPC-12 does not apply: there was no request)."""
    bridge = Bridge(Obedient())
    http: httpx.AsyncClient = await start(bridge)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "root_path": "", "headers": []}
    await bridge(scope, receive, send)
    assert sent == []
    assert (await Wire(http).result("ListTasks", {}))["totalSize"] == 0
