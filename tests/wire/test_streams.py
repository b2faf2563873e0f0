"""Streams (A2A 1.0.1 §3.1.2, §3.1.6, §9.4): framing, order, ends, resumption, subscriptions."""

import asyncio
import json
from typing import Any

import pytest

from a2a_bridge.agent import Ask
from a2a_bridge.bridge import Bridge
from a2a_bridge.cards.build import build_card
from a2a_bridge.protocol.extensions import TURN_EXTENSION
from a2a_bridge.testing.agents import Gate, Obedient, Scripted
from a2a_bridge.testing.wire import Frame, Reader, Wire, reason_of, say


def kinds(frames: list[Frame]) -> list[str]:
    return [frame.kind for frame in frames]


async def sent(wire: Wire, text: str, **headers: str) -> list[Frame]:
    return await wire.frames("SendStreamingMessage", say(text), headers)


# --- framing


async def test_a_stream_is_server_sent_events_of_whole_responses(wire: Wire) -> None:
    """R-JRPC-20, R-JRPC-21, R-JRPC-23: one line of data each, the request's id in it, our number as the event's id."""
    async with wire.stream("SendStreamingMessage", say("tokens")) as reader:
        await reader.rest()
        headers, raw = reader.headers, reader.raw
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-store"
    assert headers["x-accel-buffering"] == "no"
    events = raw.decode().removesuffix("\n\n").split("\n\n")
    for number, event in enumerate(events, 1):
        data, found = event.split("\n")
        assert found == f"id: {number}"
        body = json.loads(data.removeprefix("data: "))
        assert body.keys() == {"jsonrpc", "id", "result"}
        assert body["id"] == "s"
        assert len(body["result"]) == 1


@pytest.mark.parametrize("found", [1, "x", 2**53, None], ids=repr)
async def test_each_event_carries_the_id_of_its_request(wire: Wire, found: Any) -> None:
    """R-JRPC-20, R-JRPC-08."""
    body = {"jsonrpc": "2.0", "id": found, "method": "SendStreamingMessage", "params": say("tokens")}
    text = (await wire.post(body)).text
    ids = [json.loads(line[6:])["id"] for line in text.splitlines() if line.startswith("data: ")]
    assert len(ids) > 3
    assert all(one == found and type(one) is type(found) for one in ids)


async def test_text_with_line_ends_stays_on_one_line(wire: Wire) -> None:
    """R-JRPC-20: line separators of every kind are inside the JSON string."""
    text = "a\r\nb\rc\nd\u2028e\u0085f"
    frames = await sent(wire, text)
    assert frames[1].text == f"echo: {text}"


# --- what is in it


async def test_a_stream_begins_with_the_task_and_ends_with_its_last_state(wire: Wire) -> None:
    """R-STRM-02, R-STRM-03, R-STRM-05, R-STRM-07: pieces in the order they were made, then COMPLETED, then nothing."""
    frames = await sent(wire, "tokens")
    assert kinds(frames) == ["task", *["artifactUpdate"] * 3, "statusUpdate"]
    assert frames[0].state in ("TASK_STATE_SUBMITTED", "TASK_STATE_WORKING")
    assert frames[0].value["history"][0]["parts"] == [{"text": "tokens"}]
    assert [frame.text for frame in frames[1:4]] == ["one ", "two ", "three"]
    assert frames[-1].state == "TASK_STATE_COMPLETED"
    assert "final" not in frames[-1].value


async def test_the_first_piece_replaces_and_the_others_append(wire: Wire) -> None:
    """R-ART-01, R-ART-04: whatever the agent says; the task then holds all of it, as one text (R-ART-02)."""
    frames = await sent(wire, "tokens")
    assert [frame.value.get("append", False) for frame in frames[1:4]] == [False, True, True]
    assert not any("lastChunk" in frame.value for frame in frames)
    task = await wire.get(frames[0].value["id"])
    assert task["artifacts"] == [{"artifactId": "answer", "parts": [{"text": "one two three"}]}]


async def test_parts_of_every_kind_come_through(wire: Wire) -> None:
    """R-ART-02, R-ART-03: names and last chunks too; what comes later is added to what was there."""
    frames = await sent(wire, "files")
    first, second = frames[1].value, frames[2].value
    parts = [{"text": "words"}, {"data": {"n": 1, "list": [True, None]}}]
    parts.append({"raw": "AP8=", "filename": "a.bin", "mediaType": "image/png"})
    assert first["artifact"] == {"artifactId": "files", "parts": parts}
    assert (second["append"], second["lastChunk"], second["artifact"]["name"]) == (True, True, "Files")
    task = await wire.get(frames[0].value["id"])
    assert task["artifacts"] == [
        {"artifactId": "files", "name": "Files", "parts": [*parts, {"url": "https://example.org/b"}]}
    ]


async def test_a_direct_answer_is_the_one_event_of_its_stream(wire: Wire) -> None:
    """R-STRM-01."""
    frames = await sent(wire, "direct")
    assert kinds(frames) == ["message"]
    assert frames[0].value["parts"] == [{"text": "directly"}]
    assert frames[0].id is None


@pytest.mark.parametrize(("word", "state"), [
    ("ask", "TASK_STATE_INPUT_REQUIRED"), ("auth", "TASK_STATE_AUTH_REQUIRED"), ("fail", "TASK_STATE_FAILED"),
    ("refuse", "TASK_STATE_REJECTED"), ("crash", "TASK_STATE_FAILED"),
])  # fmt: skip
async def test_a_stream_closes_when_its_turn_ends(wire: Wire, word: str, state: str) -> None:
    """R-STRM-03, R-STRM-04, R-STRM-10, failures 8 and 23: one set of states ends a turn, for everybody."""
    frames = await sent(wire, word)
    assert frames[-1].state == state
    assert [frame.state for frame in frames].count(state) == 1


async def test_the_answer_to_a_question_is_a_stream_of_its_own(wire: Wire) -> None:
    """R-STRM-02, R-CTX-09: it begins with the task as it stands and shows the new turn only."""
    first = await sent(wire, "ask")
    task_id = first[0].value["id"]
    frames = await wire.frames("SendStreamingMessage", say("blue", taskId=task_id))
    assert frames[0].kind == "task"
    assert frames[0].value["artifacts"][0]["parts"] == [{"text": "so far"}]
    assert [frame.state for frame in frames if frame.state][-1] == "TASK_STATE_COMPLETED"
    assert frames[-2].value["artifact"]["artifactId"] == "answer.2"
    numbers = [frame.id for frame in [*first, *frames[1:]]]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) == len(numbers)


async def test_a_refusal_before_the_first_event_is_an_ordinary_answer(wire: Wire) -> None:
    """R-STRM-09, R-CAP-02."""
    for method, params in (("SendStreamingMessage", say(taskId="no")), ("SubscribeToTask", {"id": "no"})):
        response = await wire.post({"jsonrpc": "2.0", "id": 4, "method": method, "params": params})
        assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
        assert response.json()["error"]["code"] == -32001


async def test_a_silent_agent_is_shown_after_half_a_second(start: Any) -> None:
    """Our decision: a stream opens then, so that proxies and people see that something happens."""
    gate = Gate()

    async def silent(turn: Any) -> Any:
        await gate()
        yield "at last"

    wire = Wire(await start(Bridge(Scripted(silent))))
    async with wire.stream("SendStreamingMessage", say()) as reader:
        first = await reader.next()
        assert first is not None
        assert first.state == "TASK_STATE_WORKING"
        gate.open()
        assert (await reader.rest())[-1].state == "TASK_STATE_COMPLETED"


# --- several readers


async def test_a_second_reader_sees_events_from_the_start(wire: Wire, agent: Obedient) -> None:
    """R-STRM-06, R-SUB-01, failures 1, 2 and 5: the snapshot and what follows, no gap and no repeat."""
    async with wire.stream("SendStreamingMessage", say("wait")) as one:
        begun = await begin(one)
        task_id = begun[0].value["id"]
        async with wire.stream("SubscribeToTask", {"id": task_id}) as other:
            snapshot = await other.next()
            assert snapshot is not None
            assert snapshot.value["artifacts"][0]["parts"] == [{"text": "before "}]
            assert snapshot.id == begun[-1].id
            agent.gate.open()
            rest, follows = await one.rest(), await other.rest()
    assert [frame.data for frame in rest] == [frame.data for frame in follows]
    assert [frame.id for frame in rest] == [frame.id for frame in follows]


async def begin(reader: Reader) -> list[Frame]:
    """The opening task and "before "."""
    found = [await reader.next(), await reader.next()]
    assert [frame and frame.kind for frame in found] == ["task", "artifactUpdate"]
    return [frame for frame in found if frame is not None]


async def test_closing_one_stream_harms_no_other(wire: Wire, agent: Obedient) -> None:
    """R-STRM-06, R-STRM-11, failures 3, 4 and 10: neither the task nor another reader notices."""
    async with wire.stream("SendStreamingMessage", say("wait")) as one:
        task_id = (await begin(one))[0].value["id"]
        async with wire.stream("SubscribeToTask", {"id": task_id}) as other:
            await other.next()
            await one.response.aclose()
            agent.gate.open()
            assert (await other.rest())[-1].state == "TASK_STATE_COMPLETED"
    task = await wire.get(task_id)
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_a_run_goes_on_when_every_reader_has_gone(wire: Wire, agent: Obedient) -> None:
    """R-STRM-11, R-SEND-03, failures 3 and 4: going away never cancels, and the end is kept."""
    async with wire.stream("SendStreamingMessage", say("wait")) as reader:
        task_id = (await begin(reader))[0].value["id"]
    agent.gate.open()
    async with asyncio.timeout(5):
        while (await wire.get(task_id))["status"]["state"] != "TASK_STATE_COMPLETED":
            await asyncio.sleep(0)
    assert (await wire.get(task_id))["artifacts"][0]["parts"] == [{"text": "before after"}]


# --- subscribing


async def test_a_subscription_stays_open_through_a_pause(wire: Wire) -> None:
    """R-SUB-03, failures 7 and 8: to the end of the task, over turns."""
    task = await wire.send("ask")
    async with wire.stream("SubscribeToTask", {"id": task["id"]}) as reader:
        first = await reader.next()
        assert first is not None
        assert (first.kind, first.state) == ("task", "TASK_STATE_INPUT_REQUIRED")
        await wire.send("ask", taskId=task["id"])
        await wire.send("blue", taskId=task["id"])
        states = [frame.state for frame in await reader.rest() if frame.state]
    assert states == [
        "TASK_STATE_WORKING", "TASK_STATE_INPUT_REQUIRED", "TASK_STATE_WORKING", "TASK_STATE_COMPLETED",
    ]  # fmt: skip


async def test_a_task_that_has_ended_cannot_be_subscribed_to(wire: Wire) -> None:
    """R-SUB-02, failure 6: an ordinary error that names the way out."""
    task = await wire.send()
    error = await wire.error("SubscribeToTask", {"id": task["id"]})
    assert (error["code"], reason_of(error)) == (-32004, "UNSUPPORTED_OPERATION")
    assert "GetTask" in error["message"]


async def test_an_unknown_task_cannot_be_subscribed_to(wire: Wire) -> None:
    """R-SUB-02, R-ERR-04."""
    assert (await wire.error("SubscribeToTask", {"id": "nothing"}))["code"] == -32001


# --- Last-Event-ID


async def test_a_live_stream_resumes_after_the_last_event_seen(wire: Wire, agent: Obedient) -> None:
    """R-SUB-04 and our decision, failures 1 and 2: no snapshot, no gap, no repeat."""
    async with wire.stream("SendStreamingMessage", say("wait")) as one:
        begun = await begin(one)
        task_id, last = begun[0].value["id"], begun[0].id
    async with wire.stream("SubscribeToTask", {"id": task_id}, {"last-event-id": str(last)}) as again:
        second = await again.next()
        assert second is not None
        assert (second.id, second.data["result"]) == (begun[1].id, begun[1].data["result"])
        agent.gate.open()
        rest = await again.rest()
    assert [frame.id for frame in rest] == list(range(begun[1].id + 1, rest[-1].id + 1))  # type: ignore[operator]
    assert rest[-1].state == "TASK_STATE_COMPLETED"


@pytest.mark.parametrize("method", ["SubscribeToTask", "SendStreamingMessage"])
async def test_an_ended_stream_is_replayed_from_any_event(wire: Wire, method: str) -> None:
    """Our decision: also after the end, by subscribing or by sending the same message again (failure 20)."""
    params = say("tokens")
    frames = await wire.frames("SendStreamingMessage", params)
    if method == "SubscribeToTask":
        params = {"id": frames[0].value["id"]}
    for after in range(len(frames) + 1):
        again = await wire.frames(method, params, {"last-event-id": str(after)})
        assert [(frame.id, frame.data["result"]) for frame in again] == [
            (frame.id, frame.data["result"]) for frame in frames[after:]
        ]


@pytest.mark.parametrize("number", ["9999", "999999999999999"])
async def test_a_number_the_log_never_reached_gives_the_task_as_it_stands(
    wire: Wire, agent: Obedient, number: str
) -> None:
    """Our decision: rather a snapshot than silence; on a live task, on an ended one, and for a repeated send."""
    params = say("wait")
    async with wire.stream("SendStreamingMessage", params) as reader:
        task_id = (await begin(reader))[0].value["id"]
        async with wire.stream("SubscribeToTask", {"id": task_id}, {"last-event-id": number}) as other:
            first = await other.next()
            assert first is not None
            assert first.kind == "task"
            agent.gate.open()
            assert (await other.rest())[-1].state == "TASK_STATE_COMPLETED"
    for method, again in (("SubscribeToTask", {"id": task_id}), ("SendStreamingMessage", params)):
        frames = await wire.frames(method, again, {"last-event-id": number})
        assert [frame.state for frame in frames] == ["TASK_STATE_COMPLETED"]
        assert frames[0].kind == "task"


@pytest.mark.parametrize("number", ["x", "-1", "1.5", "", "1e3", "9" * 400])
async def test_an_event_id_that_is_no_number_of_ours_is_none(wire: Wire, agent: Obedient, number: str) -> None:
    """Our decision: an event id of somebody else's server is not an error."""
    async with wire.stream("SendStreamingMessage", say("wait")) as reader:
        task_id = (await begin(reader))[0].value["id"]
        async with wire.stream("SubscribeToTask", {"id": task_id}, {"last-event-id": number}) as other:
            first = await other.next()
            assert first is not None
            assert first.kind == "task"
        agent.gate.open()
        await reader.rest()


async def test_a_message_that_was_never_sent_cannot_be_resumed(wire: Wire) -> None:
    """Our decision: a stream with Last-Event-ID and a new message is a new send."""
    frames = await wire.frames("SendStreamingMessage", say("tokens"), {"last-event-id": "3"})
    assert frames[0].kind == "task"
    assert frames[-1].state == "TASK_STATE_COMPLETED"


async def test_each_turn_of_a_task_is_replayed_by_its_own_message(wire: Wire) -> None:
    """Our decision: a repeated send with Last-Event-ID ends where its turn ended."""
    ask = say("ask")
    first = await wire.frames("SendStreamingMessage", ask)
    answer = say("blue", taskId=first[0].value["id"])
    second = await wire.frames("SendStreamingMessage", answer)
    again = await wire.frames("SendStreamingMessage", ask, {"last-event-id": "1"})
    assert [frame.id for frame in again] == [frame.id for frame in first[1:]]
    again = await wire.frames("SendStreamingMessage", answer, {"last-event-id": str(second[1].id)})
    assert [frame.id for frame in again] == [frame.id for frame in second[2:]]


# --- tool activity, extensions, asks that do not end the turn


async def test_tool_activity_is_for_readers_that_activated_it(wire: Wire) -> None:
    """R-EXT-01, R-EXT-03, R-EXT-05: others see neither the rows nor that there are any."""
    plain = await sent(wire, "tools")
    rich = await sent(wire, "tools", **{"a2a-extensions": f"urn:other, {TURN_EXTENSION}"})
    assert kinds(plain) == ["task", "statusUpdate", "artifactUpdate", "statusUpdate"]
    told = [frame.value.get("metadata", {}).get(TURN_EXTENSION) for frame in rich]
    assert [next(iter(section)) for section in told if section] == ["toolCall", "toolResult", "usage"]
    assert kinds(rich) == ["task", *["statusUpdate"] * 4, "artifactUpdate", "statusUpdate"]
    assert len(plain) == len(rich) - 3
    called, result, usage = (section for section in told if section)
    assert called["toolCall"] == {"id": "c1", "name": "look_up", "arguments": {"word": "x"}}
    assert result["toolResult"] == {"id": "c1", "content": ["y"], "isError": False}
    assert usage["usage"] == {"inputTokens": 10, "outputTokens": 5, "costUsd": 0.25, "model": "m-1"}


async def test_usage_is_summed_in_the_task(wire: Wire) -> None:
    """Our decision: in the task's metadata, for everybody."""
    task = await wire.send("tools")
    assert task["metadata"][TURN_EXTENSION]["usage"]["inputTokens"] == 10


async def test_progress_is_a_working_state_with_words(wire: Wire) -> None:
    """R-STRM-05, R-HIST-05: shown while it happens, no part of what was said."""
    frames = await sent(wire, "tools")
    assert frames[1].state == "TASK_STATE_WORKING"
    assert frames[1].value["status"]["message"]["parts"] == [{"text": "looking it up"}]
    task = await wire.get(frames[0].value["id"])
    assert len(task["history"]) == 1
    assert "message" not in task["status"]


async def test_an_ask_tells_machines_what_it_wants(wire: Wire) -> None:
    """Our decision: its words are the message, its options are in the metadata of the turn extension."""
    task = await wire.send("ask")
    asks = task["status"]["message"]["metadata"][TURN_EXTENSION]["asks"]
    assert asks == [{"id": "", "kind": "input", "text": "Which colour?", "options": ["red", "blue"]}]


async def test_a_stream_stays_open_while_credentials_come_another_way(start: Any) -> None:
    """R-STRM-04, R-AUTHREQ-02, R-AUTHREQ-03: an ask that does not end its turn shows the state, and the
    agent goes on by itself."""
    gate = Gate()

    async def out_of_band(turn: Any) -> Any:
        yield Ask("Open the link.", kind="auth", ends_turn=False)
        await gate()
        yield "logged in"

    wire = Wire(await start(Bridge(Scripted(out_of_band))))
    async with wire.stream("SendStreamingMessage", say()) as reader:
        await reader.until("TASK_STATE_AUTH_REQUIRED")
        gate.open()
        rest = await reader.rest()
    assert [frame.state for frame in rest] == ["TASK_STATE_WORKING", None, "TASK_STATE_COMPLETED"]


async def test_without_streaming_in_the_card_streams_are_refused(start: Any) -> None:
    """R-CAP-02: as an ordinary answer."""
    agent = Obedient()
    card = build_card(agent, url="http://test/", streaming=False)
    wire = Wire(await start(Bridge(agent, cards={"obedient": card})))
    for method, params in (("SendStreamingMessage", say()), ("SubscribeToTask", {"id": "x"})):
        assert (await wire.error(method, params))["code"] == -32004
