"""What only the HTTP+JSON binding has: routes, queries, statuses, types (A2A 1.0.1 §11)."""

import json
from typing import Any

import httpx
import pytest

from a2a_bridge.agent import Caller
from a2a_bridge.bridge import Bridge
from a2a_bridge.cards.build import build_card
from a2a_bridge.protocol.card import AgentInterface
from a2a_bridge.protocol.sse import SSEParser
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.rest_wire import RestWire, opened
from a2a_bridge.testing.wire import reason_of, say

A2A = "application/a2a+json"


@pytest.fixture
async def rest(start: Any, agent: Obedient) -> httpx.AsyncClient:
    http: httpx.AsyncClient = await start(Bridge(agent))
    return http


@pytest.fixture
async def task(rest: httpx.AsyncClient) -> dict[str, Any]:
    """A task that waits for an answer."""
    found: dict[str, Any] = (await rest.post("/message:send", json=say("ask"))).json()["task"]
    return found


def error_of(response: httpx.Response) -> dict[str, Any]:
    found: dict[str, Any] = opened(response)["error"]
    return found


def fields_of(response: httpx.Response) -> list[str]:
    details = response.json()["error"]["details"]
    return [found["field"] for detail in details for found in detail.get("fieldViolations", ())]


# --- routes


@pytest.mark.parametrize("prefix", ["", "/obedient"])
async def test_every_route_is_at_the_root_and_under_the_name(rest: httpx.AsyncClient, prefix: str) -> None:
    """R-BIND-01, R-BIND-02: what the card names as HTTP+JSON is where the routes are."""
    card = (await rest.get(f"{prefix}/.well-known/agent-card.json")).json()
    url = next(i["url"] for i in card["supportedInterfaces"] if i["protocolBinding"] == "HTTP+JSON")
    assert httpx.URL(url).path.rstrip("/") == prefix
    task = (await rest.post(f"{prefix}/message:send", json=say("ask"))).json()["task"]
    assert (await rest.get(f"{prefix}/tasks/{task['id']}")).json() == task
    assert (await rest.get(f"{prefix}/tasks")).json()["totalSize"] == 1
    canceled = (await rest.post(f"{prefix}/tasks/{task['id']}:cancel")).json()
    assert canceled["status"]["state"] == "TASK_STATE_CANCELED"


@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_subscribing_takes_both_verbs(rest: httpx.AsyncClient, task: Any, agent: Obedient, verb: str) -> None:
    """R-REST-01: with or without a body."""
    async with rest.stream(verb, f"/tasks/{task['id']}:subscribe") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        (first,) = SSEParser().feed(await anext(response.aiter_bytes()))
        assert json.loads(first.data)["task"]["id"] == task["id"]


@pytest.mark.parametrize(
    ("verb", "path", "allow"),
    [
        ("GET", "/message:send", "POST"),
        ("HEAD", "/message:stream", "POST"),
        ("PUT", "/tasks", "GET, HEAD"),
        ("POST", "/tasks", "GET, HEAD"),
        ("DELETE", "/tasks/x", "GET, HEAD"),
        ("OPTIONS", "/tasks/x", "GET, HEAD"),
        ("GET", "/tasks/x:cancel", "POST"),
        ("HEAD", "/tasks/x:subscribe", "GET, POST"),
        ("PATCH", "/tasks/x:subscribe", "GET, POST"),
        ("PATCH", "/tasks/x/pushNotificationConfigs", "GET, HEAD, POST"),
        ("POST", "/tasks/x/pushNotificationConfigs/y", "DELETE, GET, HEAD"),
        ("POST", "/extendedAgentCard", "GET, HEAD"),
    ],
)
async def test_a_verb_that_a_route_does_not_have(rest: httpx.AsyncClient, verb: str, path: str, allow: str) -> None:
    """R-REST-02, R-REST-10: 405 with the verbs that would do; a verb after a colon never becomes a task's name."""
    response = await rest.request(verb, path)
    assert (response.status_code, response.headers["allow"]) == (405, allow)
    if verb != "HEAD":
        assert reason_of(error_of(response)) == "METHOD_NOT_FOUND"


@pytest.mark.parametrize(
    "path",
    [
        "/message", "/message:other", "/message:send/", "/message:send/x", "/tasks/x/y", "/tasks//", "//tasks",
        "/tasks/x/pushNotificationConfigs/y/z", "/tasks//pushNotificationConfigs", "/tasks/:cancel", "/TASKS",
        "/v1/tasks", "/tasks/tasks/x", "/message:send/tasks", "/.well-known/tasks", "/%2e%2e/tasks", "/%2e/tasks",
        "/a%2fb/tasks", "/tasks/%ff", "/x/y/tasks", "/extendedAgentCard/x", "/obedient/obedient",
    ],
)  # fmt: skip
async def test_a_path_that_is_none_is_not_found(rest: httpx.AsyncClient, path: str) -> None:
    """R-REST-02, R-REST-10: in the binding's own error form, whatever the verb."""
    for verb in ("GET", "POST", "DELETE"):
        response = await rest.send(raw_request(rest, verb, path))
        assert response.status_code == 404, (verb, path)
        assert reason_of(error_of(response)) == "METHOD_NOT_FOUND"


def raw_request(http: httpx.AsyncClient, verb: str, path: str) -> httpx.Request:
    """A request whose path is sent as it is."""
    request = http.build_request(verb, "/")
    request.url = request.url.copy_with(raw_path=path.encode())
    return request


@pytest.mark.parametrize("path", ["/tasks/", "/obedient/tasks/", "/tasks?", "/tasks/?pageSize=1"])
async def test_a_slash_at_the_end_of_a_collection_is_no_other_place(rest: httpx.AsyncClient, path: str) -> None:
    """R-REST-23: and no redirect."""
    assert (await rest.get(path)).json()["tasks"] == []


@pytest.mark.parametrize("found", ["a:b", "a%3Acancel", "%2e%2e", "%2E", "a%2Fb", "%25", "%C3%BC", "x%00", "x" * 5000])
async def test_an_id_is_decoded_once_and_opaque(rest: httpx.AsyncClient, found: str) -> None:
    """R-REST-02, R-REST-03: there is no such task, and that is all there is to say."""
    response = await rest.send(raw_request(rest, "GET", f"/tasks/{found}"))
    assert (response.status_code, reason_of(error_of(response))) == (404, "TASK_NOT_FOUND")


async def test_fixed_words_may_be_encoded(rest: httpx.AsyncClient) -> None:
    """R-REST-03: some proxies write colons that way."""
    response = await rest.send(raw_request(rest, "GET", "/%74asks"))
    assert response.json()["totalSize"] == 0
    request = rest.build_request("POST", "/message%3Asend", json=say())
    assert (await rest.send(request)).json()["task"]


async def test_a_get_has_a_head(rest: httpx.AsyncClient, task: Any) -> None:
    """R-REST-10: HTTP's own rule, as far as no stream is opened for it."""
    response = await rest.head(f"/tasks/{task['id']}")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"] == A2A


# --- parameters


async def test_queries_are_read_in_both_spellings_and_coerced(rest: httpx.AsyncClient, task: Any) -> None:
    """R-REST-04: numbers, truth, times, names of states; what nobody knows is skipped, and an empty value is none."""
    second = (await rest.post("/message:send", json=say("files"))).json()["task"]

    async def listed(query: str) -> list[str]:
        response = await rest.get(f"/tasks?{query}")
        assert response.status_code == 200, response.text
        return [found["id"] for found in response.json()["tasks"]]

    both = [second["id"], task["id"]]
    assert await listed("pageSize=1") == await listed("page_size=1&unknown=x&pageToken=") == both[:1]
    assert await listed("status=TASK_STATE_INPUT_REQUIRED") == [task["id"]]
    assert await listed(f"contextId={second['contextId']}") == await listed(f"context_id={second['contextId']}")
    assert await listed("statusTimestampAfter=2999-01-01T00:00:00Z") == []
    assert await listed("status_timestamp_after=2020-01-01T00:00:00%2B01:00") == both
    assert await listed("pageSize=2&pageSize=2") == both
    with_artifacts = (await rest.get("/tasks?includeArtifacts=true&historyLength=0")).json()["tasks"][0]
    assert with_artifacts["artifacts"] == second["artifacts"]
    assert "history" not in with_artifacts
    assert "artifacts" not in (await rest.get("/tasks?include_artifacts=false")).json()["tasks"][0]
    one = (await rest.get(f"/tasks/{second['id']}?history_length=0")).json()
    assert "history" not in one
    assert one["artifacts"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("status=completed", "status"), ("status=99", "status"), ("pageSize=0", "pageSize"),
        ("pageSize=many", "pageSize"), ("page_size=101", "pageSize"), ("historyLength=-1", "historyLength"),
        ("historyLength=1.5", "historyLength"), ("includeArtifacts=yes", "includeArtifacts"),
        ("includeArtifacts=True", "includeArtifacts"), ("statusTimestampAfter=yesterday", "statusTimestampAfter"),
        ("pageSize=1&pageSize=2", "pageSize"), ("pageSize=1&page_size=1", "pageSize"),
        ("pageSize=99999999999", "pageSize"),
        ("status=TASK_STATE_WORKING&status=TASK_STATE_FAILED", "status"), ("pageToken=x", "pageToken"),
    ],
)  # fmt: skip
async def test_a_query_that_does_not_fit_is_refused(rest: httpx.AsyncClient, query: str, field: str) -> None:
    """R-REST-04, R-ERR-03: never "everything", and the field is named."""
    response = await rest.get(f"/tasks?{query}")
    assert (response.status_code, response.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert reason_of(error_of(response)) == "INVALID_PARAMS"
    assert fields_of(response) == [field]


async def test_what_is_in_the_path_may_be_said_again_but_not_differently(rest: httpx.AsyncClient, task: Any) -> None:
    """R-REST-04, T-37: in the body and in the query, in either spelling."""
    path, found = f"/tasks/{task['id']}", task["id"]
    for body in ({"id": "other"}, {"id": 5}, {"id": found, "tenant": "x"}):
        assert (await rest.post(f"{path}:cancel", json=body)).status_code in (400, 404)
    response = await rest.post(
        f"{path}/pushNotificationConfigs", json={"taskId": "other", "url": "https://example.org"}
    )
    assert fields_of(response) == ["taskId"]
    response = await rest.post(
        f"{path}/pushNotificationConfigs", json={"task_id": "other", "url": "https://example.org"}
    )
    assert fields_of(response) == ["taskId"]
    assert (await rest.get(f"{path}?id=other")).status_code == 400
    created = await rest.post(f"{path}/pushNotificationConfigs", json={"taskId": "", "task_id": None})
    assert fields_of(created) == ["url"]  # an empty one is none
    assert (await rest.get(f"{path}?id={found}")).json() == task
    assert (await rest.post(f"{path}:cancel", json={"id": found, "metadata": {"why": "x"}})).status_code == 200


@pytest.mark.parametrize(
    ("query", "headers", "works"),
    [
        ("A2A-Version=1.0", {}, True),
        ("a=b&A2A-Version=1.0.1", {}, True),
        ("A2A-Version=1.0", {"a2a-version": "0.3"}, False),
        ("A2A-Version=0.3", {"a2a-version": "1.0"}, True),
        ("a2a-version=1.0", {}, False),
        ("", {}, False),
        ("", {"a2a-version": "1.7"}, False),
    ],
)
async def test_the_version_stands_in_header_or_query(
    rest: httpx.AsyncClient, query: str, headers: Any, works: bool
) -> None:
    """R-REST-05: and R-ERR-07: it is looked at before parameters, after route and JSON."""
    del rest.headers["a2a-version"]
    response = await rest.get(f"/tasks?{query}", headers=headers)
    assert (response.status_code == 200) is works
    if works:
        assert response.headers["a2a-version"] == "1.0"
        return
    assert reason_of(error_of(response)) == "VERSION_NOT_SUPPORTED"
    late = await rest.get(f"/tasks?pageSize=x&pageSize=y&{query}", headers=headers)
    assert reason_of(error_of(late)) == "VERSION_NOT_SUPPORTED"
    assert reason_of(error_of(await rest.post("/message:send", content="{", headers=headers))) == "INVALID_REQUEST"
    assert reason_of(error_of(await rest.get("/nothing", headers=headers))) == "METHOD_NOT_FOUND"


# --- types and bodies


@pytest.mark.parametrize(
    ("sent", "accept", "answered"),
    [
        (A2A, "*/*", A2A),
        ("application/json", "*/*", "application/json"),
        ("application/json; charset=utf-8", None, "application/json"),
        (None, None, A2A),
        ("application/json", A2A, A2A),
        (A2A, "application/json", "application/json"),
        (A2A, f"application/json, {A2A}", A2A),
        ("application/json", f"{A2A}, application/json;q=0.5", "application/json"),
        ("application/vnd.x+json", "text/html", A2A),
    ],
)
async def test_the_type_of_an_answer(
    rest: httpx.AsyncClient, sent: str | None, accept: str | None, answered: str
) -> None:
    """R-REST-06, R-REST-07: of a result and of an error."""
    headers = {"accept": accept or "", **({"content-type": sent} if sent else {})}
    for body in (say(), {}):
        response = await rest.post("/message:send", content=json.dumps(body), headers=headers)
        assert response.headers["content-type"] == answered, body


@pytest.mark.parametrize(
    "headers",
    [{"content-type": "text/plain"}, {"content-type": "multipart/form-data"}, {"content-encoding": "gzip"}],
    ids=str,
)
async def test_a_body_of_another_type_is_refused(rest: httpx.AsyncClient, headers: Any) -> None:
    """R-REST-08: 415 before the body is looked at; a body that is not there has no type."""
    response = await rest.post("/message:send", content=b"\xff", headers=headers)
    assert response.status_code == 415
    assert reason_of(error_of(response)) == "CONTENT_TYPE_NOT_SUPPORTED"
    response = await rest.post("/tasks/x:cancel", headers=headers)
    assert response.status_code == 404


@pytest.mark.parametrize("path", ["/", "/message:send"])
async def test_a_page_of_another_site_cannot_send_unasked(rest: httpx.AsyncClient, path: str, agent: Obedient) -> None:
    """R-JRPC-03, R-REST-08: browsers send a body without a type from any page, and say from which one."""
    del rest.headers["a2a-version"]
    call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say()} if path == "/" else say()
    url, content = f"{path}?A2A-Version=1.0", json.dumps(call).encode()
    for headers in ({"origin": "https://evil.example"}, {"origin": "null", "content-type": "text/plain"}):
        assert (await rest.post(url, content=content, headers=headers)).status_code == 415
    assert agent.turns == []
    assert (await rest.post(url, content=content)).status_code == 200
    asked = {"origin": "https://good.example", "content-type": "application/json"}  # it had to ask first
    assert (await rest.post(url, content=content, headers=asked)).status_code == 200
    assert len(agent.turns) == 1  # the same message


@pytest.mark.parametrize("body", [b"{", b"\xff", b"nonsense", b"{'a':1}", b'{"a":NaN}'])
async def test_a_body_that_is_not_json(rest: httpx.AsyncClient, body: bytes) -> None:
    """R-REST-11."""
    response = await rest.post("/message:send", content=body)
    assert (response.status_code, response.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"x"', b"[" * 100 + b"]" * 100])
async def test_a_body_that_is_no_object_or_too_deep(rest: httpx.AsyncClient, body: bytes) -> None:
    """R-REST-11, R-ERR-05."""
    response = await rest.post("/message:send", content=body)
    assert (response.status_code, reason_of(error_of(response))) == (400, "INVALID_REQUEST")


async def test_a_large_body_is_413(rest: httpx.AsyncClient) -> None:
    """R-REST-12: told by its announced length."""
    response = await rest.post("/message:send", content=b" " * ((4 << 20) + 1))
    assert response.status_code == 413
    assert response.json()["error"]["code"] == 413


async def test_an_empty_body_is_an_empty_object(rest: httpx.AsyncClient, task: Any) -> None:
    """R-REST-08: cancelling needs none; sending needs a message."""
    assert (await rest.post("/message:send")).status_code == 400

    async def pieces() -> Any:
        yield json.dumps(say()).encode()

    assert (await rest.post("/message:send", content=pieces())).status_code == 200  # without a length
    assert (await rest.post(f"/tasks/{task['id']}:cancel", content=b"")).status_code == 200


# --- errors


async def test_an_error_is_a_status_of_google_rpc(rest: httpx.AsyncClient) -> None:
    """R-REST-09: closed, with the reason and the wrong fields."""
    response = await rest.post("/message:send", json={"message": {"messageId": "", "role": "ROLE_USER", "parts": []}})
    assert response.json().keys() == {"error"}
    error = response.json()["error"]
    assert error.keys() == {"code", "status", "message", "details"}
    assert [detail["@type"] for detail in error["details"]] == [
        "type.googleapis.com/google.rpc.ErrorInfo",
        "type.googleapis.com/google.rpc.BadRequest",
    ]
    assert error["details"][0]["domain"] == "a2a-protocol.org"
    assert fields_of(response) == ["message.messageId", "message.parts"]


async def test_a_stream_is_bare_events(rest: httpx.AsyncClient) -> None:
    """R-REST-20: no envelope; ids and headers as on the other binding."""
    response = await rest.post("/message:stream", json=say("tokens"))
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["a2a-version"] == "1.0"
    events = SSEParser().feed(response.content)
    kinds = [next(iter(json.loads(event.data))) for event in events]
    assert kinds[0] == "task"
    assert set(kinds[1:]) == {"statusUpdate", "artifactUpdate"}
    assert [int(event.id) for event in events] == sorted({int(event.id) for event in events})
    assert b"jsonrpc" not in response.content


async def test_a_stream_that_is_refused_is_an_ordinary_error(rest: httpx.AsyncClient) -> None:
    """R-REST-21: with its own status."""
    response = await rest.post("/message:stream", json=say(taskId="no"))
    assert (response.status_code, response.headers["content-type"]) == (404, "application/json")
    assert (await rest.get("/tasks/no:subscribe")).status_code == 404


async def test_a_task_of_another_agent_looks_like_one_that_never_was(start: Any) -> None:
    """R-ERR-04: letter for letter, by every route that names a task."""
    http: httpx.AsyncClient = await start(Bridge([Obedient(name="one"), Obedient(name="two")]))
    task = (await http.post("/one/message:send", json=say("ask"))).json()["task"]["id"]
    for verb, route in (("GET", ""), ("POST", ":cancel"), ("GET", ":subscribe"), ("POST", ":subscribe")):
        foreign = await http.request(verb, f"/two/tasks/{task}{route}")
        missing = await http.request(verb, f"/two/tasks/nothing{route}")
        assert foreign.status_code == 404
        assert foreign.content == missing.content
        assert foreign.headers == missing.headers
    sent = [await http.post("/two/message:send", json=say(taskId=name)) for name in (task, "nothing")]
    assert sent[0].content == sent[1].content
    assert (await http.get("/one/tasks")).json()["totalSize"] == 1


# --- tenants


async def test_a_tenant_stands_before_the_route(start: Any) -> None:
    """R-TEN-03: in the path or in the parameters, the same; two that differ are refused, unknown ones not found."""
    agent = Obedient()
    acme = AgentInterface(url="grpc.example:443", protocol_binding="GRPC", tenant="acme")
    card = build_card(agent, url="").model_copy(update={"supported_interfaces": (acme,)})
    http = await start(Bridge(agent, cards={"obedient": card}))
    task = (await http.post("/acme/message:send", json=say("ask"))).json()["task"]
    assert (await http.get(f"/obedient/acme/tasks/{task['id']}")).json() == task
    assert (await http.get(f"/tasks/{task['id']}?tenant=acme")).json() == task
    assert await RestWire(http).result("GetTask", {"id": task["id"], "tenant": "acme"}) == task
    assert (await http.get(f"/tasks/{task['id']}")).status_code == 404
    assert (await http.get("/acme/tasks")).json()["totalSize"] == 1
    assert (await http.get("/tasks")).json()["totalSize"] == 0
    assert agent.turns[0].caller == Caller(tenant="acme")
    differs = await http.post("/acme/message:send", json=say() | {"tenant": "other"})
    assert fields_of(differs) == ["tenant"]
    assert (await http.get("/acme/tasks?tenant=other")).status_code == 400
    for path in ("/other/tasks", "/other/tasks/x", f"/other/tasks/{task['id']}"):
        response = await http.get(path)
        assert (response.status_code, reason_of(error_of(response))) == (404, "TASK_NOT_FOUND"), path
