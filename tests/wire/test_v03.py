"""Version 0.3 over JSON-RPC, on the same URL as 1.0 (A2A 0.3 §6, §7)."""

import json
from typing import Any

import pytest

from a2a_bridge.agent import Chunk
from a2a_bridge.bridge import Bridge, Limits, Options
from a2a_bridge.cards.modes import Versions
from a2a_bridge.protocol.sse import SSEParser
from a2a_bridge.testing.agents import Obedient, Scripted
from a2a_bridge.testing.receiver import Receiver
from a2a_bridge.testing.wire import Reader, Wire, eventually, fields_of, say


def old(text: str = "hello", **members: Any) -> dict[str, Any]:
    """Parameters of message/send."""
    message = say(text)["message"]
    return {
        "message": message | {"kind": "message", "role": "user", "parts": [{"kind": "text", "text": text}]} | members
    }


@pytest.fixture
def wire(wire: Wire) -> Wire:
    """Says nothing of versions by itself: that is what clients of 0.3 do."""
    del wire.http.headers["a2a-version"]
    return wire


# --- which version is meant

VERSIONS = {
    None: "0.3", "": "0.3", "0.3": "0.3", "0.3.0": "0.3", "1.0": "1.0", "1.0.1": "1.0", "1.7": None, "99.0": None,
    "junk": None, "1.0.x": None, "1.0.": None, "1.0.1.2": None, "1.0.-1": None, "1.00": None,
    "0.3.": None, "0.30": None, "0.3-1": None, "1,0": None,
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS, ids=repr)
@pytest.mark.parametrize("way", ["header", "query"])
@pytest.mark.parametrize(
    ("method", "belongs"), [("GetTask", "1.0"), ("tasks/get", "0.3"), ("tasks/resubscribe", "0.3")]
)
async def test_the_method_and_the_version_must_agree(
    wire: Wire, version: Any, way: str, method: str, belongs: str
) -> None:
    """R-VER-01 to R-VER-07, R-COMPAT-01, T-02, T-07: every version, in the header or the query, with both methods."""
    if way == "query" and version is not None:
        wire.path = f"/?A2A-Version={version}"
    headers = {"a2a-version": version} if way == "header" and version is not None else {}
    response = await wire.post({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"id": "nothing"}}, headers)
    body = (
        json.loads(response.text.partition("data: ")[2])
        if "event-stream" in response.headers["content-type"]
        else response.json()
    )
    assert response.headers["a2a-version"] == belongs
    if VERSIONS[version] == belongs:
        assert body["error"]["code"] == -32001
        return
    assert body["error"]["code"] == -32009
    data = body["error"]["data"]
    told = data if belongs == "0.3" else data[0]["metadata"]
    assert told["supportedVersions"] == "0.3,1.0"
    assert told["requestedVersion"] == (version or "0.3")
    assert f"A2A-Version: {belongs}" in body["error"]["message"]


async def test_the_header_wins_over_the_query(wire: Wire) -> None:
    """R-VER-02."""
    wire.path = "/?A2A-Version=1.0"
    assert (await wire.error("tasks/get", {"id": "x"}, headers={"a2a-version": "0.3"}))["code"] == -32001
    assert (await wire.error("tasks/get", {"id": "x"}))["code"] == -32009


# --- one set of tasks


async def test_a_task_of_one_version_is_there_for_the_other(wire: Wire) -> None:
    """R-COMPAT-05, R-VER-05: got, answered, listed and canceled across."""
    v1 = {"a2a-version": "1.0"}
    asked = await wire.result("message/send", old("ask"))
    assert (asked["kind"], asked["status"]["state"]) == ("task", "input-required")
    done = await wire.result("SendMessage", say("blue", taskId=asked["id"]), headers=v1)
    assert done["task"]["contextId"] == asked["contextId"]
    shown = await wire.result("tasks/get", {"id": asked["id"]})
    assert shown["status"]["state"] == "completed"
    assert [message["role"] for message in shown["history"]] == ["user", "agent", "user"]
    again = (await wire.result("SendMessage", say("ask"), headers=v1))["task"]
    assert (await wire.result("tasks/cancel", {"id": again["id"]}))["status"]["state"] == "canceled"
    assert (await wire.result("ListTasks", {}, headers=v1))["totalSize"] == 2


async def test_a_running_task_is_followed_by_both_versions_at_once(wire: Wire, agent: Obedient) -> None:
    """R-COMPAT-05, R-COMPAT-10, R-STRM-06, R-SUB-01: the same events, each in its own words."""
    async with wire.stream("message/stream", old("wait")) as first:
        opened = await first.next()
        assert opened is not None
        task_id = opened.data["result"]["id"]
        await agent.gate.reached()
        v1 = {"a2a-version": "1.0"}
        async with (
            wire.stream("tasks/resubscribe", {"id": task_id}) as second,
            wire.stream("SubscribeToTask", {"id": task_id}, v1) as third,
        ):
            snapshot = await second.next()
            assert snapshot is not None
            assert snapshot.data["result"]["kind"] == "task"
            assert (await third.next()) is not None
            agent.gate.open()
            rests = [[frame.data["result"] for frame in await reader.rest()] for reader in (first, second, third)]
    assert rests[0][-2:] == rests[1]
    assert [found["kind"] for found in rests[1]] == ["artifact-update", "status-update"]
    assert rests[1][-1]["final"] is True
    assert rests[2][0]["artifactUpdate"]["artifact"]["parts"] == [{"text": "after"}]


async def test_a_send_that_does_not_block_is_answered_at_once(wire: Wire, agent: Obedient) -> None:
    """R-SEND-03: `blocking: false` is what 1.0 calls returnImmediately."""
    task = await wire.result("message/send", old("wait") | {"configuration": {"blocking": False}})
    assert task["status"]["state"] == "working"
    agent.gate.open()

    async def completed() -> bool:
        found = await wire.result("tasks/get", {"id": task["id"]})
        return bool(found["status"]["state"] == "completed")

    await eventually(completed)


async def test_a_message_to_a_task_that_has_ended_is_refused(wire: Wire) -> None:
    """R-COMPAT-11, R-SEND-06."""
    task = await wire.result("message/send", old())
    assert (await wire.error("message/send", old("more", taskId=task["id"])))["code"] == -32004


@pytest.mark.parametrize("found", [7, "seven", 0, ""], ids=repr)
async def test_every_answer_carries_the_id_of_its_request(wire: Wire, found: Any) -> None:
    """R-COMPAT-13, R-JRPC-08: results, refusals and each event; models of 0.3 do without no id."""
    for method, params in (("message/send", old()), ("tasks/get", {"id": "nothing"}), ("tasks/get", {})):
        assert (await wire.call(method, params, id=found))["id"] == found
    for method, params in (("message/stream", old("tokens")), ("tasks/resubscribe", {"id": "nothing"})):
        response = await wire.post({"jsonrpc": "2.0", "id": found, "method": method, "params": params})
        events = [json.loads(event.data) for event in SSEParser().feed(response.content)]
        assert [event["id"] for event in events] == [found] * len(events)
        assert events


async def test_both_versions_tell_the_same_time(wire: Wire) -> None:
    """R-COMPAT-15, R-DM-05."""
    task = await wire.result("message/send", old())
    shown = await wire.result("GetTask", {"id": task["id"]}, headers={"a2a-version": "1.0"})
    assert task["status"]["timestamp"] == shown["status"]["timestamp"]
    assert task["status"]["timestamp"].endswith("Z")


async def test_what_a_body_looks_like_does_not_decide_its_version(wire: Wire, agent: Obedient) -> None:
    """R-COMPAT-04: the method does, so a message of 0.3 in a call of 1.0 is told which members are wrong."""
    error = await wire.error("SendMessage", old(), headers={"a2a-version": "1.0"})
    assert error["code"] == -32602
    assert "message.role" in fields_of(error)
    assert (await wire.error("message/send", say(), headers={"a2a-version": "1.0"}))["code"] == -32009
    assert agent.turns == []


async def test_the_url_of_a_file_is_not_fetched(wire: Wire, agent: Obedient) -> None:
    """R-SEC-08."""
    async with Receiver() as elsewhere:
        await wire.result("message/send", old(parts=[{"kind": "file", "file": {"uri": elsewhere.url}}]))
        assert agent.turns[0].messages[-1].parts[0].url == elsewhere.url
        assert elsewhere.got == []


# --- streams


async def raw(wire: Wire, method: str, params: Any) -> tuple[str, str]:
    """The content type and the body of an answer, whole."""
    response = await wire.post({"jsonrpc": "2.0", "id": "s", "method": method, "params": params})
    return response.headers["content-type"].partition(";")[0], response.text


async def test_a_refused_stream_is_a_stream_of_one_error(wire: Wire) -> None:
    """R-COMPAT-12, R-JRPC-24: with no name of the event, and closed after it; bad parameters are a plain answer."""
    kind, text = await raw(wire, "tasks/resubscribe", {"id": "nothing"})
    assert (kind, text.startswith("data: {"), text.count("data:")) == ("text/event-stream", True, 1)
    assert json.loads(text[6:])["error"]["code"] == -32001
    kind, text = await raw(wire, "message/stream", {})
    assert (kind, json.loads(text)["error"]["code"]) == ("application/json", -32602)


async def test_a_stream_of_0_3_gets_no_pings(start: Any) -> None:
    """R-JRPC-22: early clients stumble over comments. The same silence brings one to a reader of 1.0."""
    agent = Obedient()
    wire = Wire(await start(Bridge(agent, limits=Limits(ping=0.02))))

    async def pinged(reader: Reader) -> None:
        while b": ping" not in reader.raw:
            reader.raw += await anext(reader._chunks)

    async with wire.stream("message/stream", old("wait"), {"a2a-version": "0.3"}) as quiet:
        opened = await quiet.next()
        assert opened is not None
        async with wire.stream("SubscribeToTask", {"id": opened.data["result"]["id"]}) as pinged_reader:
            await pinged(pinged_reader)
            await pinged(pinged_reader)
        agent.gate.open()
        await quiet.rest()
    assert b": ping" not in quiet.raw


# --- what is said of it


async def test_a_server_without_0_3_says_what_it_speaks(start: Any) -> None:
    """R-COMPAT-01, R-COMPAT-02, R-VER-04: the old names and paths are unknown, and the answer says what to use."""
    http = await start(Bridge(Obedient(), options=Options(versions=Versions(v03=False))))
    wire = Wire(http)
    error = await wire.error("message/send", old())
    assert error["code"] == -32601
    assert "A2A-Version: 1.0" in error["message"]
    error = await wire.error("GetTask", {"id": "x"}, headers={"a2a-version": "0.3"})
    assert error["data"][0]["metadata"]["supportedVersions"] == "1.0"
    assert (await http.post("/v1/message:send", json=old())).status_code == 404
    assert (await http.get("/agent/authenticatedExtendedCard")).status_code == 404


@pytest.mark.parametrize(("method", "params"), [("ListTasks", {}), ("message/send", old())])
async def test_a_lenient_server_takes_the_version_from_the_method(start: Any, method: str, params: Any) -> None:
    """R-VER-06, T-02: only where none is said; a wrong one is wrong."""
    wire = Wire(await start(Bridge(Obedient(), options=Options(versions=Versions(lenient=True)))))
    del wire.http.headers["a2a-version"]
    assert await wire.result(method, params)
    assert (await wire.error(method, params, headers={"a2a-version": "1.7"}))["code"] == -32009


async def test_pieces_of_text_arrive_in_order(start: Any) -> None:
    """R-STRM-05: through the quick way of lowering and the slow one."""

    async def talks(turn: Any) -> Any:
        for number in range(40):
            yield Chunk(f'"{number}\\', metadata={"n": number} if number % 7 == 3 else None)

    http = await start(Bridge(Scripted(talks)))
    frames = await Wire(http).frames("message/stream", old(), {"a2a-version": "0.3"})
    updates = [frame.data["result"] for frame in frames if frame.data["result"]["kind"] == "artifact-update"]
    assert "".join(update["artifact"]["parts"][0]["text"] for update in updates) == "".join(
        f'"{n}\\' for n in range(40)
    )
    assert {update["artifact"]["parts"][0]["kind"] for update in updates} == {"text"}
