"""Streams that are cut, in every way, and taken up again: nothing twice, nothing left out, no cut looks like an end."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from a2a_bridge.client.client import Retries, Timeouts, Trust
from a2a_bridge.errors import (
    ConnectionFailedError,
    InvalidAgentResponseError,
    RemoteTimeoutError,
    StreamBrokenError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a_bridge.protocol.objects import Message, Task, TaskArtifactUpdateEvent, TaskState, TaskStatusUpdateEvent

IDS = {"taskId": "t1", "contextId": "c1"}
MESSAGE = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "hi"}]}


def status(state: str, text: str = "", message_id: str = "s") -> dict[str, Any]:
    found: dict[str, Any] = {"state": f"TASK_STATE_{state}"}
    if text:
        found["message"] = {"messageId": message_id, "role": "ROLE_AGENT", "parts": [{"text": text}]}
    return found


def task(state: str = "WORKING", text: str = "", words: str = "") -> dict[str, Any]:
    artifacts = {"artifacts": [{"artifactId": "answer", "parts": [{"text": text}]}]} if text else {}
    return {"id": "t1", "contextId": "c1", "status": status(state, words), **artifacts}


def chunk(text: str, *, append: bool = True) -> dict[str, Any]:
    return {
        "artifactUpdate": {**IDS, "artifact": {"artifactId": "answer", "parts": [{"text": text}]}, "append": append}
    }


def update(state: str, words: str = "") -> dict[str, Any]:
    return {"statusUpdate": {**IDS, "status": status(state, words)}}


OPENING = ({"task": task()}, chunk("one ", append=False), chunk("two "))
CLOSING = (chunk("three"), update("COMPLETED"))


async def read_all(events: Any, into: list[Any] | None = None) -> list[Any]:
    found = [] if into is None else into
    async with asyncio.timeout(5), aclosing(events):
        async for event in events:
            found.append(event)
    return found


def text_of(events: Sequence[Any]) -> str:
    """What a reader that follows the protocol has at the end."""
    text = ""
    for event in events:
        if isinstance(event, Task):
            text = event.text
        elif isinstance(event, TaskArtifactUpdateEvent):
            text = (text if event.append else "") + event.artifact.text
    return text


def state_of(events: Sequence[Any]) -> TaskState:
    return [event.status.state for event in events if isinstance(event, Task | TaskStatusUpdateEvent)][-1]


def streams(*events: Any, ids: int | None = None, cut: bool = True) -> Any:
    """A stream of these events; then the connection is cut, or closed politely."""

    async def handle(exchange: Any) -> None:
        await exchange.stream(*events, ids=ids)
        if cut:
            exchange.cut()

    return handle


def gives(result: Any) -> Any:
    return lambda exchange: exchange.result(result)


@pytest.mark.parametrize("cut", [True, False])
async def test_a_numbered_stream_goes_on_after_its_last_event(raw: Any, cut: bool) -> None:
    """Failures 1, 2 and 19: `Last-Event-ID`, whether the connection broke or was closed politely."""
    raw.on("SendStreamingMessage", streams(*OPENING, ids=1, cut=cut))
    raw.on("SubscribeToTask", streams(*CLOSING, ids=4))
    events = await read_all(raw.client().stream("hi"))
    assert text_of(events) == "one two three"
    assert state_of(events) is TaskState.COMPLETED
    assert len(events) == 5
    (again,) = raw.calls("SubscribeToTask")
    assert again.headers["last-event-id"] == "3"
    assert again.params == {"id": "t1"}
    assert raw.calls("GetTask") == []


async def test_events_that_come_twice_are_shown_once(raw: Any) -> None:
    """Failure 20: de-duplication by (task, number)."""
    raw.on("SendStreamingMessage", streams(*OPENING, ids=1))
    raw.on("SubscribeToTask", streams(chunk("two "), *CLOSING, ids=3))
    events = await read_all(raw.client().stream("hi"))
    assert text_of(events) == "one two three"


async def test_a_snapshot_in_answer_to_a_number_is_turned_into_updates(raw: Any) -> None:
    """A server that no longer has the events, or ignores the number and counts anew, gives a snapshot."""
    raw.on("SendStreamingMessage", streams(*OPENING, ids=7))
    raw.on("SubscribeToTask", streams({"task": task(text="one two thr")}, chunk("ee"), update("COMPLETED"), ids=1))
    events = await read_all(raw.client().stream("hi"))
    assert [type(event) for event in events[1:]] == [TaskArtifactUpdateEvent] * 4 + [TaskStatusUpdateEvent]
    assert text_of(events) == "one two three"


async def test_a_stream_without_numbers_is_taken_up_by_get_and_subscribe(raw: Any) -> None:
    """T-01, failures 19 and 20: the snapshot fills the gap, and no text comes twice."""
    raw.on("SendStreamingMessage", streams(*OPENING))
    raw.on("GetTask", gives(task(text="one two th")))
    raw.on("SubscribeToTask", streams({"task": task(text="one two thre")}, chunk("e"), update("COMPLETED"), cut=False))
    events = await read_all(raw.client().stream("hi"))
    assert text_of(events) == "one two three"
    assert state_of(events) is TaskState.COMPLETED
    assert "last-event-id" not in raw.calls("SubscribeToTask")[0].headers


async def test_a_task_that_ended_meanwhile_is_fetched(raw: Any) -> None:
    """Failure 6: no subscription to a task that has ended."""
    raw.on("SendStreamingMessage", streams(*OPENING))
    raw.on("GetTask", gives(task("COMPLETED", "one two three", words="bye")))
    events = await read_all(raw.client().stream("hi"))
    assert text_of(events) == "one two three"
    assert isinstance(events[-1], TaskStatusUpdateEvent)
    assert events[-1].status.message is not None
    assert events[-1].status.message.text == "bye"
    assert raw.calls("SubscribeToTask") == []


async def test_a_refused_subscription_by_number_falls_back_to_the_task(raw: Any) -> None:
    """R-SUB-02: a server that numbers its events but does not replay a task that has ended."""
    raw.on("SendStreamingMessage", streams(*OPENING, ids=1))
    raw.on("SubscribeToTask", lambda exchange: exchange.error(-32004))
    raw.on("GetTask", gives(task("FAILED", "one two three", words="broke")))
    events = await read_all(raw.client().stream("hi"))
    assert text_of(events) == "one two three"
    assert state_of(events) is TaskState.FAILED


async def test_a_task_that_ends_between_get_and_subscribe_is_not_lost(raw: Any) -> None:
    """The race of the two calls: the refusal leads to another look."""
    raw.on("SendStreamingMessage", streams(*OPENING))
    raw.on("GetTask", gives(task(text="one two ")), gives(task("COMPLETED", "one two three")))
    raw.on("SubscribeToTask", lambda exchange: exchange.error(-32004))
    events = await read_all(raw.client().stream("hi"))
    assert text_of(events) == "one two three"


async def test_a_stream_that_ends_while_the_task_waits_has_ended(raw: Any) -> None:
    """T-01, R-STRM-04: EOF after an interrupted state is normal."""
    raw.on("SendStreamingMessage", streams(*OPENING, update("INPUT_REQUIRED", "which?")))
    events = await read_all(raw.client().stream("hi"))
    assert state_of(events) is TaskState.INPUT_REQUIRED
    assert len(raw.requests) == 2


async def test_a_stream_that_stays_open_while_the_task_waits_is_read_on(raw: Any) -> None:
    """T-01, R-SUB-03: some servers keep it open over the answer."""
    raw.on("SendStreamingMessage", streams(*OPENING, update("INPUT_REQUIRED", "which?"), *CLOSING))
    events = await read_all(raw.client().stream("hi"))
    assert text_of(events) == "one two three"
    assert state_of(events) is TaskState.COMPLETED


async def test_the_old_pause_at_the_beginning_of_an_answer_is_no_end(raw: Any) -> None:
    """The snapshot that opens a follow-up may be older than the answer: a cut right after it is a cut."""
    raw.on("SendStreamingMessage", streams({"task": task("INPUT_REQUIRED", "so far", words="which?")}))
    raw.on("GetTask", gives(task(text="so far")))
    raw.on("SubscribeToTask", streams({"task": task(text="so far")}, chunk(", done"), update("COMPLETED")))
    events = await read_all(raw.client().stream("blue", task_id="t1"))
    assert text_of(events) == "so far, done"
    assert state_of(events) is TaskState.COMPLETED


async def test_a_cut_while_a_task_goes_on_by_itself_is_taken_up(raw: Any) -> None:
    """AUTH_REQUIRED met out of band (§7.6.1): our servers say `goesOn`, and then the end of a stream is a cut."""
    waiting = update("AUTH_REQUIRED", "log in")
    waiting["statusUpdate"]["metadata"] = {"urn:a2a-bridge:turn:1": {"goesOn": True}}
    raw.on("SendStreamingMessage", streams(*OPENING, waiting, ids=1))
    raw.on("SubscribeToTask", streams(update("WORKING"), *CLOSING, ids=5))
    events = await read_all(raw.client().stream("hi"))
    assert text_of(events) == "one two three"


async def test_a_stream_that_cannot_be_brought_back_is_an_error(raw: Any) -> None:
    """Failure 19: a cut stream never looks like an answer; the error knows the last number."""
    raw.on("SendStreamingMessage", streams(*OPENING, ids=1))
    raw.on("SubscribeToTask", streams())
    seen: list[Any] = []
    with pytest.raises(StreamBrokenError, match="task t1 ended before the task did") as caught:
        await read_all(raw.client().stream("hi"), seen)
    assert caught.value.last == 3
    assert len(seen) == 3
    assert len(raw.calls("SubscribeToTask")) == 2


async def test_an_id_that_fits_no_header_is_not_sent_back(raw: Any) -> None:
    """Whatever a server writes there: the way without numbers is taken."""

    async def odd(exchange: Any) -> None:
        await exchange.stream()
        for event in OPENING:
            await exchange.raw("id: nümber\n".encode())
            await exchange.events(event)

    raw.on("SendStreamingMessage", odd)
    raw.on("GetTask", gives(task("COMPLETED", "one two three")))
    assert text_of(await read_all(raw.client().stream("hi"))) == "one two three"


async def test_each_new_event_gives_new_attempts(raw: Any) -> None:
    """A long stream over a bad line survives any number of cuts, as long as it moves."""
    cuts = [streams(chunk(f"{n}"), ids=n) for n in range(4, 14)]
    raw.on("SendStreamingMessage", streams(*OPENING, ids=1))
    raw.on("SubscribeToTask", *cuts, streams(update("COMPLETED"), ids=14))
    events = await read_all(raw.client().stream("hi"))
    assert text_of(events) == "one two " + "".join(map(str, range(4, 14)))


async def test_a_silent_stream_is_taken_for_cut(raw: Any, pass_time: Any) -> None:
    """R-JRPC-26: idle timeout; the server may have gone without a word."""

    async def silent(exchange: Any) -> None:
        await exchange.stream(*OPENING, ids=1)
        await exchange.gone.wait()

    raw.on("SendStreamingMessage", silent)
    raw.on("SubscribeToTask", streams(*CLOSING, ids=4))
    events = []
    async with asyncio.timeout(5), aclosing(raw.client(timeouts=Timeouts(idle=1)).stream("hi")) as stream:
        async for event in stream:
            events.append(event)
            if len(events) == len(OPENING):
                asyncio.get_running_loop().call_soon(pass_time, 1)  # when the next one is waited for
    assert text_of(events) == "one two three"


async def test_the_total_time_is_not_prolonged_by_resuming(raw: Any) -> None:
    """`total` bounds the whole stream."""

    async def silent(exchange: Any) -> None:
        await exchange.stream(*OPENING, ids=1)
        await exchange.gone.wait()

    raw.on("SendStreamingMessage", silent)
    with pytest.raises(RemoteTimeoutError, match="total"):
        await read_all(raw.client(timeouts=Timeouts(total=0.1)).stream("hi"))
    assert raw.calls("SubscribeToTask") == []


async def test_a_stream_cut_before_its_first_event_is_sent_again_as_it_was(raw: Any) -> None:
    """Failure 22: the same messageId, so that the server can tell."""
    raw.on(
        "SendStreamingMessage",
        streams(),
        lambda exchange: exchange.answer(b"", status=503),
        streams(*OPENING, *CLOSING),
    )
    events = await read_all(raw.client().stream("hi"))
    assert text_of(events) == "one two three"
    assert len({call.params["message"]["messageId"] for call in raw.calls("SendStreamingMessage")}) == 1


async def test_a_stream_that_never_begins_is_an_error(raw: Any) -> None:
    """Bounded attempts also before the first event."""
    raw.on("SendStreamingMessage", streams(cut=False))
    with pytest.raises(StreamBrokenError):
        await read_all(raw.client().stream("hi"))
    assert len(raw.calls("SendStreamingMessage")) == 3


async def test_an_agent_that_is_gone_is_a_failed_connection(raw: Any) -> None:
    """Nothing came, so nothing is broken: ConnectionFailedError."""
    client = raw.client()
    await client.card()
    raw.card["supportedInterfaces"][0]["url"] = "http://127.0.0.1:1/rpc"
    client = raw.client(trust=Trust(allow_other_origin=True))
    with pytest.raises(ConnectionFailedError, match="cannot connect"):
        await read_all(client.stream("hi"))


async def test_a_task_that_vanished_is_the_error_of_that_name(raw: Any) -> None:
    """The server was restarted without its memory."""
    raw.on("SendStreamingMessage", streams(*OPENING))
    raw.on("GetTask", lambda exchange: exchange.error(-32001))
    with pytest.raises(TaskNotFoundError):
        await read_all(raw.client().stream("hi"))


async def test_events_of_another_task_are_refused(raw: Any) -> None:
    """R-SUB-01: one stream, one task."""
    other = {"statusUpdate": {"taskId": "t2", "contextId": "c1", "status": status("WORKING")}}
    raw.on("SendStreamingMessage", streams({"task": task()}, other))
    with pytest.raises(InvalidAgentResponseError, match="'t2' in the stream of task 't1'"):
        await read_all(raw.client().stream("hi"))


async def test_events_keep_the_ids_of_their_task(raw: Any) -> None:
    """T-19: made-up contexts and missing ids in updates; the task's own count."""
    stray = {"statusUpdate": {"contextId": "made-up", "status": status("WORKING")}}
    bare = {"artifactUpdate": {"artifact": {"parts": [{"text": "x"}]}, "append": True}}
    raw.on("SendStreamingMessage", streams({"task": task()}, stray, bare, update("COMPLETED")))
    _, *updates = await read_all(raw.client().stream("hi"))
    assert {(event.task_id, event.context_id) for event in updates} == {("t1", "c1")}


async def test_a_bare_message_ends_the_stream(raw: Any) -> None:
    """R-STRM-01."""
    raw.on("SendStreamingMessage", streams({"message": MESSAGE}, {"message": MESSAGE}))
    (message,) = await read_all(raw.client().stream("hi"))
    assert isinstance(message, Message)


async def test_a_message_within_a_task_is_left_out(raw: Any) -> None:
    """R-STRM-02: it must not be there."""
    raw.on("SendStreamingMessage", streams(*OPENING, {"message": MESSAGE}, *CLOSING))
    events = await read_all(raw.client().stream("hi"))
    assert not any(isinstance(event, Message) for event in events)
    assert text_of(events) == "one two three"


async def test_a_repeated_snapshot_adds_nothing(raw: Any) -> None:
    """R-STRM-07: a final snapshot may be repeated."""
    final = {"task": task("COMPLETED", "one two three")}
    raw.on("SendStreamingMessage", streams(*OPENING, CLOSING[0], final, final))
    events = await read_all(raw.client().stream("hi"))
    assert text_of(events) == "one two three"
    assert sum(isinstance(event, Task) for event in events) == 1


async def test_the_reader_can_leave_at_any_time(raw: Any) -> None:
    """Closing the generator closes the connection and does not cancel the task (R-STRM-11)."""
    gone = asyncio.Event()

    async def goes_on(exchange: Any) -> None:
        await exchange.stream(*OPENING)
        try:
            while True:
                await exchange.events(chunk("more"))
                await asyncio.sleep(0)
        finally:
            gone.set()

    raw.on("SendStreamingMessage", goes_on)
    async with asyncio.timeout(5), aclosing(raw.client().stream("hi")) as events:
        await anext(events)
    await asyncio.wait_for(gone.wait(), 5)
    assert raw.calls("CancelTask") == []


async def test_subscribing_starts_after_a_number(raw: Any) -> None:
    """Our own extension of SubscribeToTask."""
    raw.on("SubscribeToTask", streams(*CLOSING, ids=4))
    events = await read_all(raw.client().subscribe("t1", last_event_id="3"))
    assert raw.calls("SubscribeToTask")[0].headers["last-event-id"] == "3"
    assert [type(event) for event in events] == [TaskArtifactUpdateEvent, TaskStatusUpdateEvent]


async def test_an_agent_that_cannot_stream_is_polled_until_it_is_done(raw: Any) -> None:
    """R-SEND-11: a send may be answered before the task ends."""
    raw.card["capabilities"] = {}
    raw.on("SendMessage", gives({"task": task(text="one ")}))
    raw.on("GetTask", gives(task(text="one two ")), gives(task("COMPLETED", "one two three")))
    events = await read_all(raw.client().stream("hi"))
    assert text_of(events) == "one two three"
    assert state_of(events) is TaskState.COMPLETED
    events = await read_all(raw.client().subscribe("t1"))
    assert text_of(events) == "one two three"


SCRIPT = (
    {"task": task()},
    chunk("one ", append=False),
    update("WORKING", "thinking"),
    chunk("two "),
    chunk("three"),
    update("COMPLETED"),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 3), max_size=5), numbered=st.booleans())
async def test_any_cuts_give_the_same_text(raw: Any, cuts: list[int], numbered: bool) -> None:
    """Failures 1, 2, 19, 20 at once: wherever the stream is cut, numbered or not, the reader has the whole answer."""
    raw.reset()
    done = 0

    async def serve(exchange: Any) -> None:
        nonlocal done
        last = exchange.headers.get("last-event-id")
        size = cuts.pop(0) if cuts else len(SCRIPT)
        if last is not None:
            start = int(last)
        elif exchange.rpc["method"] == "SubscribeToTask":
            await exchange.stream({"task": snapshot(done)})
            start = done
            await exchange.events(*SCRIPT[start : start + size])
            done = min(len(SCRIPT), start + size)
            exchange.cut()
            return
        else:
            start = 0
        await exchange.stream(*SCRIPT[start : start + size], ids=start + 1 if numbered else None)
        done = min(len(SCRIPT), start + size)
        exchange.cut()

    def snapshot(count: int) -> dict[str, Any]:
        texts = [
            event["artifactUpdate"]["artifact"]["parts"][0]["text"]  # type: ignore[index]
            for event in SCRIPT[:count]
            if "artifactUpdate" in event
        ]
        return task("COMPLETED" if count == len(SCRIPT) else "WORKING", "".join(texts))

    raw.on("SendStreamingMessage", serve)
    raw.on("SubscribeToTask", serve)
    raw.on("GetTask", lambda exchange: exchange.result(snapshot(done)))
    client = raw.client(retries=Retries(times=9, resumes=9, pause=0.0))
    events = await read_all(client.stream("hi"))
    assert text_of(events) == "one two three"
    assert state_of(events) is TaskState.COMPLETED


async def test_each_snapshot_adds_only_what_is_new(raw: Any) -> None:
    """Three in a row: what the second one added is not counted twice."""
    raw.card["capabilities"] = {}
    raw.on("SendMessage", gives({"task": task("WORKING", "a")}))
    raw.on("GetTask", gives(task("WORKING", "ab")), gives(task("COMPLETED", "abc")))
    events = await read_all(raw.client().stream("hi"))
    chunks = [event for event in events if isinstance(event, TaskArtifactUpdateEvent)]
    assert [(chunk.artifact.text, chunk.append) for chunk in chunks] == [("b", True), ("c", True)]


async def test_polling_goes_on_over_a_lost_connection(raw: Any) -> None:
    """An agent without streams is asked again as often as one with them."""
    raw.card["capabilities"] = {}
    raw.on("SendMessage", gives({"task": task()}))
    raw.on("GetTask", lambda exchange: exchange.answer(b"", status=503), gives(task("COMPLETED", "done")))
    assert text_of(await read_all(raw.client().stream("hi"))) == "done"


async def test_a_refused_subscription_to_a_running_task_is_that_refusal(raw: Any) -> None:
    """Only an ended task is given instead of its events: a running one must not look like all there is."""
    raw.on("SubscribeToTask", lambda exchange: exchange.error(-32004))
    raw.on("GetTask", gives(task()))
    with pytest.raises(UnsupportedOperationError):
        await read_all(raw.client().subscribe("t1"))


async def test_a_task_without_a_context_keeps_the_one_it_was_sent(raw: Any) -> None:
    """T-29: some servers leave it out."""
    bare = {"id": "t1", "status": status("COMPLETED")}
    raw.on("SendStreamingMessage", streams({"task": bare}))
    (found,) = await read_all(raw.client().stream("hi", context_id="c7"))
    assert found.context_id == "c7"
