"""Version 0.3 over HTTP+JSON, below /v1 of the same URL (A2A 0.3 §3.5.6): its bodies are those of protobuf."""

import json
from typing import Any

import httpx
import pytest
from a2a.compat.v0_3 import a2a_v0_3_pb2 as pb
from google.protobuf.json_format import ParseDict

from a2a_bridge.bridge import Bridge
from a2a_bridge.cards.build import build_card
from a2a_bridge.protocol.sse import SSEParser
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.wire import Wire, eventually


def old(text: str = "hello", id: str = "m", **members: Any) -> dict[str, Any]:
    """A body of message:send."""
    return {"message": {"messageId": id, "role": "ROLE_USER", "content": [{"text": text}], **members}}


@pytest.fixture
def http(wire: Wire) -> httpx.AsyncClient:
    """Says nothing of versions by itself."""
    del wire.http.headers["a2a-version"]
    return wire.http


async def events(http: httpx.AsyncClient, verb: str, path: str, body: Any = None) -> list[Any]:
    """The data of a whole stream; the strict definition of 0.3 reads each."""
    response = await http.request(verb, path, json=body) if body is not None else await http.request(verb, path)
    assert response.headers["content-type"].startswith("text/event-stream"), response.text
    found = [json.loads(event.data) for event in SSEParser().feed(response.content)]
    for event in found:
        ParseDict(event, pb.StreamResponse())
    return found


# --- operations


async def test_a_message_is_sent_and_its_task_found(http: httpx.AsyncClient) -> None:
    """R-COMPAT-02, R-COMPAT-14, R-VER-07: what comes back is what the strict definition of 0.3 reads."""
    response = await http.post("/v1/message:send", json=old("files"))
    assert response.headers["content-type"] == "application/json"
    assert response.headers["a2a-version"] == "0.3"
    task = ParseDict(response.json(), pb.SendMessageResponse()).task
    assert task.status.state == pb.TASK_STATE_COMPLETED
    assert [part.WhichOneof("part") for part in task.artifacts[0].parts] == ["text", "data", "file", "file"]
    assert task.artifacts[0].parts[2].file.file_with_bytes == b"AP8="
    again = await http.get(f"/v1/tasks/{task.id}?historyLength=0")
    assert ParseDict(again.json(), pb.Task()) == task


async def test_a_message_that_is_the_whole_answer(http: httpx.AsyncClient) -> None:
    """R-SEND-01."""
    found = ParseDict((await http.post("/v1/message:send", json=old("direct"))).json(), pb.SendMessageResponse())
    assert found.msg.content[0].text == "directly"


async def test_a_stream_and_its_last_event(http: httpx.AsyncClient) -> None:
    """R-COMPAT-10: the task, its pieces, the end; at a pause, too, the last event is final."""
    found = await events(http, "POST", "/v1/message:stream", old("tokens"))
    assert [next(iter(event)) for event in found] == ["task", *["artifactUpdate"] * 3, "statusUpdate"]
    assert found[-1]["statusUpdate"]["final"] is True
    asked = await events(http, "POST", "/v1/message:stream", old("ask", "m2"))
    assert asked[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert asked[-1]["statusUpdate"]["final"] is True


@pytest.mark.parametrize("verb", ["GET", "POST"])
async def test_a_task_is_subscribed_to_and_canceled(http: httpx.AsyncClient, agent: Obedient, verb: str) -> None:
    """R-REST-01, R-COMPAT-10, T-15: by either verb; CANCELLED has two L there."""
    body = old("wait") | {"configuration": {"blocking": False}}
    task = (await http.post("/v1/message:send", json=body)).json()["task"]
    await agent.gate.reached()
    async with http.stream(verb, f"/v1/tasks/{task['id']}:subscribe") as response:
        chunks = response.aiter_bytes()
        parser = SSEParser()
        first = await anext(chunks)
        done = await http.post(f"/v1/tasks/{task['id']}:cancel", json={"name": f"tasks/{task['id']}"})
        rest = b"".join([chunk async for chunk in chunks])
    assert done.json()["status"]["state"] == "TASK_STATE_CANCELLED"
    found = [json.loads(event.data) for event in parser.feed(first + rest)]
    assert found[0]["task"]["id"] == task["id"]
    assert found[-1]["statusUpdate"] == found[-1]["statusUpdate"] | {"final": True}


async def test_a_task_of_0_3_over_rest_is_there_for_1_0_over_json_rpc(wire: Wire, http: httpx.AsyncClient) -> None:
    """R-COMPAT-05, R-BIND-01."""
    task = (await http.post("/v1/message:send", json=old("ask"))).json()["task"]
    v1 = {"a2a-version": "1.0"}
    assert (await wire.result("GetTask", {"id": task["id"]}, headers=v1))["status"][
        "state"
    ] == "TASK_STATE_INPUT_REQUIRED"
    answer = old("blue", "m2", taskId=task["id"], contextId=task["contextId"])
    assert (await http.post("/v1/message:send", json=answer)).json()["task"]["status"][
        "state"
    ] == "TASK_STATE_COMPLETED"

    async def is_ended() -> bool:
        found = await wire.result("tasks/get", {"id": task["id"]})
        return bool(found["status"]["state"] == "completed")

    await eventually(is_ended)


async def test_the_words_of_the_sdk_are_understood(http: httpx.AsyncClient) -> None:
    """R-DM-02: `request` and snake_case, which one SDK sends; empty members are none."""
    body = {
        "request": {
            "message_id": "m",
            "role": "ROLE_USER",
            "content": [{"text": "hello"}],
            "context_id": "",
            "task_id": "",
        },
        "configuration": {"accepted_output_modes": [], "history_length": 0, "blocking": True},
        "metadata": {},
    }
    assert (await http.post("/v1/message:send", json=body)).json()["task"]["status"]["state"] == "TASK_STATE_COMPLETED"


# --- refusals

CONFIGS = "/v1/tasks/t/pushNotificationConfigs"


@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "type_"),
    [
        ("GET", "/v1/tasks/nothing", None, 404, "TaskNotFoundError"),
        ("POST", "/v1/tasks/nothing:cancel", {}, 404, "TaskNotFoundError"),
        ("GET", "/v1/tasks/nothing:subscribe", None, 404, "TaskNotFoundError"),
        ("POST", "/v1/message:send", old(taskId="nothing"), 404, "TaskNotFoundError"),
        ("POST", "/v1/message:stream", old(taskId="nothing"), 404, "TaskNotFoundError"),
        ("POST", "/v1/message:send", {}, 400, "InvalidParamsError"),
        ("POST", "/v1/message:send", {"message": {"messageId": "m", "role": "ROLE_USER", "content": [{}]}}, 400,
         "InvalidParamsError"),
        ("POST", "/v1/message:send", [], 400, "InvalidRequestError"),
        ("GET", "/v1/tasks/x?historyLength=-1", None, 400, "InvalidParamsError"),
        ("POST", CONFIGS, {"config": {"pushNotificationConfig": {"url": "https://93.184.216.34/"}}}, 404,
         "TaskNotFoundError"),
        ("GET", "/v1/tasks/t/pushNotificationConfigs/c", None, 404, "TaskNotFoundError"),
        ("GET", "/v1/tasks/t/pushNotificationConfigs", None, 404, "TaskNotFoundError"),
        ("DELETE", "/v1/tasks/t/pushNotificationConfigs/c", None, 404, "TaskNotFoundError"),
        ("GET", "/v1/card", None, 400, "UnsupportedOperationError"),
        ("GET", "/agent/authenticatedExtendedCard", None, 400, "UnsupportedOperationError"),
        ("PUT", "/v1/message:send", {}, 405, "MethodNotFoundError"),
    ],
)  # fmt: skip
async def test_refusals_say_what_clients_of_0_3_look_for(
    http: httpx.AsyncClient, verb: str, path: str, body: Any, status: int, type_: str
) -> None:
    """R-REST-09: the type and the message beside the body of 1.0, the statuses of 1.0, as JSON."""
    response = await http.request(verb, path, json=body)
    found = response.json()
    assert (response.status_code, found["type"]) == (status, type_)
    assert found["message"] == found["error"]["message"]
    assert found["error"]["code"] == status
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/nothing", "/v1", "/tenant/v1/tasks/x", "/v1/v1/tasks/x"])
async def test_what_0_3_did_not_have_is_not_found(http: httpx.AsyncClient, path: str) -> None:
    """R-COMPAT-02, R-TEN-05: no list of tasks, no tenants."""
    response = await http.get(path)
    assert response.status_code == 404
    assert response.json()["error"]["details"][0]["reason"] == "METHOD_NOT_FOUND"


VERSIONS = {
    None: "0.3", "": "0.3", "0.3": "0.3", "0.3.0": "0.3", "1.0": "1.0", "1.0.1": "1.0", "1.7": None, "99.0": None,
    "junk": None,
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS, ids=repr)
@pytest.mark.parametrize("way", ["header", "query"])
@pytest.mark.parametrize(("path", "belongs"), [("/tasks/nothing", "1.0"), ("/v1/tasks/nothing", "0.3")])
async def test_the_path_and_the_version_must_agree(
    http: httpx.AsyncClient, version: Any, way: str, path: str, belongs: str
) -> None:
    """R-VER-02 to R-VER-04, R-COMPAT-02, T-07: every version, in the header or the query, on both paths."""
    headers = {"a2a-version": version} if way == "header" and version is not None else {}
    query = f"?A2A-Version={version}" if way == "query" and version is not None else ""
    found = (await http.get(path + query, headers=headers)).json()["error"]
    if VERSIONS[version] == belongs:
        assert found["details"][0]["reason"] == "TASK_NOT_FOUND"
        return
    assert (found["code"], found["details"][0]["reason"]) == (400, "VERSION_NOT_SUPPORTED")
    assert found["details"][0]["metadata"] == {"supportedVersions": "0.3,1.0", "requestedVersion": version or "0.3"}


async def test_each_agent_has_its_own_routes(start: Any) -> None:
    """R-COMPAT-02: below its name, and at the root for the first."""
    http = await start(Bridge([Obedient(name="one"), Obedient(name="two")]))
    del http.headers["a2a-version"]
    task = (await http.post("/two/v1/message:send", json=old())).json()["task"]
    assert (await http.get(f"/two/v1/tasks/{task['id']}")).status_code == 200
    assert (await http.get(f"/one/v1/tasks/{task['id']}")).status_code == 404
    assert (await http.get(f"/v1/tasks/{task['id']}")).status_code == 404


async def test_the_interface_in_the_card_is_what_stands_before_v1(start: Any) -> None:
    """R-CARD-05, R-BIND-02: the address of an interface of 0.3 leads to its routes."""
    http = await start(Bridge(Obedient(), public_url="http://test"))
    card = (await http.get("/obedient/.well-known/agent-card.json", headers={"a2a-version": "0.3"})).json()
    (url,) = [entry["url"] for entry in card["additionalInterfaces"] if entry["transport"] == "HTTP+JSON"]
    response = await http.post(url + "/v1/message:send", json=old(), headers={"a2a-version": "0.3"})
    assert response.status_code == 200
    assert build_card(Obedient(), url=url + "/").supported_interfaces[1].url == url
