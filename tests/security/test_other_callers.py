"""Somebody else's things are not there: every operation, by every way in, for every kind of stranger.

The measure is bytes. A stranger asks for a task that is there and for one that is not; what comes back must be the
same, status, headers and body, and the owner's task must be as it was.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.guard import Guard
from a2a_bridge.protocol.methods import OPERATIONS
from a2a_bridge.protocol.v03 import OPERATION_OF
from a2a_bridge.server.auth import Auth
from a2a_bridge.server.identity import ApiKeys, Key
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.tasks.push import Push
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.rest_wire import request_of
from a2a_bridge.testing.wire import say

ANN, ANN_GREEN, BOB = "ann-key-of-this-test", "ann-key-of-the-green", "bob-key-of-this-test"
KEYS = (
    Key.of("ann", ANN, tenants=("", "blue")),
    Key.of("ann", ANN_GREEN, tenants=("green",)),
    Key.of("bob", BOB, tenants=("", "blue")),
)
NAMED = {operation.name: operation for operation in OPERATIONS}
OLD = {name: old for old, name in OPERATION_OF.items()}
OF_TASKS = [name for name in NAMED if name != "GetExtendedAgentCard"]
WAYS = ("JSON-RPC 1.0", "HTTP+JSON 1.0", "JSON-RPC 0.3", "HTTP+JSON 0.3")
NOWHERE = "019ac000-0000-7000-a000-000000000000"


class Stranger(NamedTuple):
    """Who is not the owner of ann's task of the agent `one` in her first tenant."""

    key: str
    agent: str = "one"
    tenant: str = ""


STRANGERS = {
    "another user": Stranger(BOB),
    "another user in another tenant": Stranger(BOB, tenant="blue"),
    "the same name in another tenant": Stranger(ANN_GREEN),
    "the owner in another tenant of hers": Stranger(ANN, tenant="blue"),
    "the owner at another agent": Stranger(ANN, agent="two"),
}


class Task(NamedTuple):
    id: str
    context_id: str


@pytest.fixture(params=["memory", "file"])
async def http(start: Any, request: pytest.FixtureRequest, tmp_path: Path) -> httpx.AsyncClient:
    store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "tasks.sqlite")
    agents = {"one": Obedient(), "two": Obedient()}
    auth, options = Auth(schemes={"key": ApiKeys(KEYS)}), Options(push=Push(guard=Guard(loopback=True)))
    client: httpx.AsyncClient = await start(Bridge(agents, store=store, auth=auth, options=options))
    return client


def params_of(operation: str, task: Task, tenant: str) -> dict[str, Any]:
    """Parameters in which this task, or its context, is meant."""
    if operation in ("SendMessage", "SendStreamingMessage"):
        found = say("answer", taskId=task.id)
    elif operation == "ListTasks":
        found = {"contextId": task.context_id}
    elif "PushNotification" not in operation:
        found = {"id": task.id}
    else:
        found = {"taskId": task.id}
        if operation.startswith("Create"):
            found |= {"url": "http://127.0.0.1:9/x", "id": "first"}
        elif not operation.startswith("List"):
            found["id"] = "first"
    return found | ({"tenant": tenant} if tenant else {})


def old_params(operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The same in the words of 0.3, which has no tenants."""
    found = {name: value for name, value in params.items() if name != "tenant"}
    if "message" in found:
        message = dict(found["message"], kind="message", role="user", parts=[{"kind": "text", "text": "answer"}])
        return {"message": message}
    if "PushNotification" in operation:
        told: dict[str, Any] = {"id": found["taskId"]}
        if "url" in found:
            return {"taskId": found["taskId"], "pushNotificationConfig": {"url": found["url"], "id": found["id"]}}
        return told | ({"pushNotificationConfigId": found["id"]} if "id" in found else {})
    return found


async def ask(http: httpx.AsyncClient, way: str, operation: str, who: Stranger, task: Task) -> tuple[Any, ...]:
    """Status, headers and body of one call, with what must differ between two calls taken out."""
    params = params_of(operation, task, who.tenant)
    headers = {"x-api-key": who.key, "a2a-version": way[-3:]}
    if operation == "SubscribeToTask":
        headers["last-event-id"] = "1"  # of a task that has ended too, so that the stream ends
    binding = way[:-4]
    if binding == "JSON-RPC":
        old = way.endswith("0.3")
        method = OLD[operation] if old else operation
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": old_params(operation, params) if old else params}
        answer = await http.post(f"/{who.agent}/", json=call, headers=headers)
    else:
        verb, url, body = request_of(NAMED[operation], params, f"/{who.agent}")
        if way.endswith("0.3"):
            url = url.replace(f"/{who.agent}/", f"/{who.agent}/v1/", 1)
            body = None if body is None else old_params(operation, params) if "message" in body else body
        answer = await http.request(verb, url, json=body, headers=headers)
    told = answer.content
    for word in (task.id, task.context_id):
        told = told.replace(word.encode(), b"THE ONE ASKED FOR")
    return answer.status_code, sorted(answer.headers.items()), re.sub(rb"\bm-\d+", b"m-", told)


async def make(http: httpx.AsyncClient, text: str) -> Task:
    """A task of ann's."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say(text)}
    answer = await http.post("/one/", json=call, headers={"x-api-key": ANN, "a2a-version": "1.0"})
    found = answer.json()["result"]["task"]
    return Task(found["id"], found["contextId"])


async def as_owner(http: httpx.AsyncClient, task: Task) -> bytes:
    call = {"jsonrpc": "2.0", "id": 1, "method": "GetTask", "params": {"id": task.id}}
    answer = await http.post("/one/", json=call, headers={"x-api-key": ANN, "a2a-version": "1.0"})
    assert "result" in answer.json()
    return answer.content


@pytest.mark.parametrize("text", ["ask", "hello"], ids=["a task that waits", "a task that has ended"])
@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("way", WAYS)
async def test_what_is_not_the_callers_is_not_there(
    http: httpx.AsyncClient, way: str, stranger: str, text: str
) -> None:
    """R-SEC-03, R-SEC-04, R-ERR-04, R-TEN-04, R-CTX-07, R-PUSH-08: every operation at once, byte for byte."""
    who = STRANGERS[stranger]
    if who.tenant and way.endswith("0.3") and way.startswith("JSON-RPC"):
        who = who._replace(tenant="")  # 0.3 has no tenants (R-TEN-05): there, she can only be somebody else
        if who.key == ANN:
            return
    theirs, nowhere = await make(http, text), Task(NOWHERE, NOWHERE)
    await ask(http, WAYS[0], "CreateTaskPushNotificationConfig", Stranger(ANN), theirs)
    before = await as_owner(http, theirs)
    for operation in OF_TASKS:
        if way.endswith("0.3") and operation not in OLD:
            continue  # it could not list tasks
        there = await ask(http, way, operation, who, theirs)
        missing = await ask(http, way, operation, who, nowhere)
        assert there == missing, operation
        if operation != "ListTasks":
            assert b'"result":{' not in there[2], operation
    assert await as_owner(http, theirs) == before


@pytest.mark.parametrize("way", WAYS)
async def test_the_owner_is_told_something_else(http: httpx.AsyncClient, way: str) -> None:
    """Without this, the table above would pass where a way leads nowhere."""
    for operation in OF_TASKS:
        if way.endswith("0.3") and operation not in OLD:
            continue
        theirs = await make(http, "hello" if operation == "SubscribeToTask" else "ask")
        if "PushNotification" in operation:
            await ask(http, WAYS[0], "CreateTaskPushNotificationConfig", Stranger(ANN), theirs)
        there = await ask(http, way, operation, Stranger(ANN), theirs)
        assert there != await ask(http, way, operation, Stranger(ANN), Task(NOWHERE, NOWHERE)), operation
        assert there[0] == 200, operation


@pytest.mark.parametrize("operation", OF_TASKS)
async def test_a_strange_tenant_is_like_one_that_does_not_exist(http: httpx.AsyncClient, operation: str) -> None:
    """R-TEN-04: nobody learns which tenants there are; not even the owner of the task, who may not name that one."""
    task = await make(http, "ask")
    for way in WAYS[:2]:
        there, nowhere = [
            await ask(http, way, operation, Stranger(ANN, tenant=tenant), task) for tenant in ("green", "grexn")
        ]
        assert there == nowhere
        assert json.loads(there[2])["error"]["message"].startswith("There is no such task")


async def test_a_context_of_the_same_name_is_another_one(http: httpx.AsyncClient) -> None:
    """R-CTX-07: what bob says in a context called like ann's is no part of hers, and hers no part of his."""
    context = {"contextId": "the-context"}
    for key, text in ((ANN, "history"), (BOB, "history"), (ANN, "history")):
        call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say(text, **context)}
        await http.post("/one/", json=call, headers={"x-api-key": key, "a2a-version": "1.0"})
    for key, expected in ((ANN, 2), (BOB, 1), (ANN_GREEN, 0)):
        call = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": context}
        answer = await http.post("/one/", json=call, headers={"x-api-key": key, "a2a-version": "1.0"})
        assert answer.json()["result"]["totalSize"] == expected


async def test_a_page_token_of_another_caller_shows_nothing_of_his(http: httpx.AsyncClient) -> None:
    """R-SEC-04: a token only says where to go on, within what is one's own."""
    for _ in range(3):
        await make(http, "hello")
    ask_for = {"jsonrpc": "2.0", "id": 1, "method": "ListTasks", "params": {"pageSize": 1}}
    page = await http.post("/one/", json=ask_for, headers={"x-api-key": ANN, "a2a-version": "1.0"})
    ask_for["params"] = {"pageSize": 1, "pageToken": page.json()["result"]["nextPageToken"]}
    answer = await http.post("/one/", json=ask_for, headers={"x-api-key": BOB, "a2a-version": "1.0"})
    assert answer.json().get("result", {}).get("tasks", []) == []


async def test_a_message_id_of_another_caller_is_no_message_sent_before(http: httpx.AsyncClient) -> None:
    """R-SEC-04: the same messageId from bob is a message of its own, with the same words or with others."""
    params = say("hello")
    call = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": params}
    made = [
        (await http.post("/one/", json=call, headers={"x-api-key": key, "a2a-version": "1.0"})).json()["result"]["task"]
        for key in (ANN, BOB, ANN)
    ]
    assert made[0]["id"] == made[2]["id"] != made[1]["id"]
