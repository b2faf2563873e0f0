"""`RemoteAgent`: turns of a remote endpoint, its pauses, its cancellation, what it remembers."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from a2a_bridge.agent import (
    Answer,
    Ask,
    Chunk,
    Fail,
    Journal,
    Progress,
    Refuse,
    Reply,
    Say,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
    outcome,
    speaker_metadata,
    traits_of,
)
from a2a_bridge.client import remote as remoting
from a2a_bridge.client.client import Retries, Timeouts
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.errors import ConnectionFailedError, StoreConflictError, StreamBrokenError
from a2a_bridge.protocol.extensions import ROOM_EXTENSION, TURN_EXTENSION
from a2a_bridge.protocol.objects import Message, Part, Role
from a2a_bridge.store.journal import MemoryJournal
from a2a_bridge.tasks.service import CANCEL_SECONDS
from a2a_bridge.testing.turns import make_answer, make_message, make_turn

NUMBER = {"count": 0}


def said(state: str, text: str = "", *, message_id: str = "", asks: Any = None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"state": f"TASK_STATE_{state}"}
    if text or asks:
        NUMBER["count"] += 1
        message_id = message_id or f"s{NUMBER['count']}"
        found["message"] = {"messageId": message_id, "role": "ROLE_AGENT", "parts": [{"text": text}]}
        if asks:
            found["message"]["metadata"] = {TURN_EXTENSION: {"asks": asks}}
    return found


def task(
    state: str = "WORKING", text: str = "", words: str = "", *, id: str = "t1", context: str = "", **more: Any
) -> Any:
    """A snapshot; without `context` it keeps the one it was sent, see `plays`."""
    artifacts = {"artifacts": [{"artifactId": "answer", "parts": [{"text": text}]}]} if text else {}
    status = said(state, words, message_id=more.pop("message_id", ""), asks=more.pop("asks", None))
    return {"task": {"id": id, "contextId": context, "status": status, **artifacts, **more}}


def chunk(text: str, *, append: bool = True, artifact: str = "answer") -> dict[str, Any]:
    body = {"artifactId": artifact, "parts": [{"text": text}]}
    return {"artifactUpdate": {"taskId": "t1", "contextId": "x", "artifact": body, "append": append}}


def update(state: str, text: str = "", metadata: Any = None, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"taskId": "t1", "contextId": "x", "status": said(state, text, **more)}
    if metadata is not None:
        found["metadata"] = {TURN_EXTENSION: metadata}
    return {"statusUpdate": found}


def plays(*events: Any) -> Any:
    """A stream of these events, and then its end."""

    async def handle(exchange: Any) -> None:
        sent = exchange.params.get("message", {})
        for event in events:
            if "task" in event and not event["task"]["contextId"]:
                event["task"]["contextId"] = sent.get("contextId", "")
        await exchange.stream(*events)

    return handle


def waits(*events: Any) -> Any:
    """A stream of these events that then stays open."""

    async def handle(exchange: Any) -> None:
        await plays(*events)(exchange)
        await exchange.gone.wait()

    return handle


async def take(agent: RemoteAgent, turn: Turn) -> list[Reply | str]:
    async with asyncio.timeout(5), aclosing(agent.run(turn)) as replies:
        return [reply async for reply in replies]


@pytest.fixture
def agent(raw: Any) -> RemoteAgent:
    return RemoteAgent(raw.url, retries=Retries(times=1, resumes=1, pause=0.001))


def sent(raw: Any) -> list[dict[str, Any]]:
    return [call.params["message"] for call in raw.calls("SendStreamingMessage")]


# --- what is sent


async def test_everything_new_goes_in_one_message_with_its_speakers(raw: Any, agent: RemoteAgent) -> None:
    """Attribution twice: a prefix on the first text of each message, metadata on every part."""
    raw.on("SendStreamingMessage", plays(task("COMPLETED", "ok")))
    pictured = Message(
        message_id="p",
        role=Role.USER,
        parts=(Part(data={"n": 1}), Part(text="see"), Part(text="more")),
        metadata=speaker_metadata("critic", kind="local", framework="langgraph"),
    )
    turn = make_turn(make_message("the task"), make_message("a claim", speaker="researcher"), pictured)
    await take(agent, turn)
    (message,) = sent(raw)
    assert message["messageId"] == turn.id
    assert message["contextId"] == turn.context_id
    assert message["role"] == "ROLE_USER"
    assert message["extensions"] == [ROOM_EXTENSION]
    assert "taskId" not in message
    plain, claim, data, see, more = message["parts"]
    assert plain == {"text": "the task"}
    assert claim == {"text": "[researcher] a claim", "metadata": speaker_metadata("researcher")}
    critic = speaker_metadata("critic", kind="local", framework="langgraph")
    assert data == {"data": {"n": 1}, "metadata": critic}
    assert see == {"text": "[critic] see", "metadata": critic}
    assert more == {"text": "more", "metadata": critic}


async def test_extensions_hops_and_modes_go_along(raw: Any, agent: RemoteAgent) -> None:
    """Hops in request metadata; our extensions activated by header."""
    raw.on("SendStreamingMessage", plays(task("COMPLETED", "ok")))
    turn = Turn(
        id="turn-x",
        messages=(make_message("hi"),),
        context_id="c",
        journal=MemoryJournal(),
        hops=3,
        accepted_output_modes=("text/plain",),
    )
    await take(agent, turn)
    (call,) = raw.calls("SendStreamingMessage")
    assert call.headers["a2a-extensions"] == f"{TURN_EXTENSION}, {ROOM_EXTENSION}"
    assert call.params["metadata"] == {TURN_EXTENSION: {"hops": 3}}
    assert call.params["configuration"] == {"acceptedOutputModes": ["text/plain"]}


async def test_a_message_that_went_through_too_many_rooms_is_refused(raw: Any, agent: RemoteAgent) -> None:
    """Cascading loops: nothing is sent."""
    turn = Turn(id="t", messages=(make_message("hi"),), context_id="c", journal=MemoryJournal(), hops=9)
    (refused,) = await take(agent, turn)
    assert isinstance(refused, Refuse)
    assert raw.requests == []


async def test_a_turn_with_nothing_new_is_a_mistake_of_the_caller(raw: Any, agent: RemoteAgent) -> None:
    """No "please continue" is made up."""
    with pytest.raises(ValueError, match="nothing to send"):
        await take(agent, make_turn())


# --- what comes back


async def test_tools_usage_and_progress_come_through(raw: Any, agent: RemoteAgent) -> None:
    """TURN_EXTENSION in status metadata. A status that is repeated around it is not told again."""
    working = update("WORKING", "searching", message_id="same")
    call = {"toolCall": {"id": "1", "name": "search", "arguments": {"q": "x"}}}
    result = {"toolResult": {"id": "1", "content": ["hit"], "isError": True}}
    used = {"usage": {"inputTokens": 3, "outputTokens": 4, "costUsd": 0.5, "model": "m"}}
    raw.on(
        "SendStreamingMessage",
        plays(
            task(),
            working,
            update("WORKING", "searching", call, message_id="same"),
            update("WORKING", "searching", result, message_id="same"),
            update("WORKING", "", used),
            chunk("found", append=False),
            update("COMPLETED"),
        ),
    )
    assert await take(agent, make_turn("hi")) == [
        Progress("searching"),
        ToolCall("1", "search", {"q": "x"}),
        ToolResult("1", ["hit"], True),
        Usage(3, 4, 0.5, "m"),
        Chunk("found", append=False),
    ]


async def test_nonsense_in_our_extension_is_ignored(raw: Any, agent: RemoteAgent) -> None:
    """A peer may write anything under our URI."""
    odd = {"toolCall": "x", "toolResult": [], "usage": {"inputTokens": -1, "outputTokens": "many", "costUsd": True}}
    raw.on("SendStreamingMessage", plays(task(), update("WORKING", "", odd), update("COMPLETED", "ok")))
    assert await take(agent, make_turn("hi")) == [Usage(0, 0, None, None), Say(parts=(Part(text="ok"),))]


async def test_usage_in_the_metadata_of_a_finished_task_is_reported(raw: Any, agent: RemoteAgent) -> None:
    """Without our extension, under `usage`; with it, only what was not reported on the way."""
    plain = task("COMPLETED", "ok", metadata={"usage": {"input_tokens": 5, "output_tokens": 6}})
    raw.on(
        "SendStreamingMessage",
        plays(plain),
        plays(
            task(),
            update("WORKING", "", {"usage": {"inputTokens": 3, "outputTokens": 4}}),
            task("COMPLETED", "ok", metadata={TURN_EXTENSION: {"usage": {"inputTokens": 5, "outputTokens": 4}}}),
        ),
    )
    assert outcome(await take(agent, make_turn("hi"))).usage == Usage(5, 6)
    assert outcome(await take(agent, make_turn("hi"))).usage == Usage(5, 4)


async def test_a_snapshot_alone_is_the_whole_answer(raw: Any, agent: RemoteAgent) -> None:
    """AG2 1.2 makes an empty answer of it."""
    raw.on("SendStreamingMessage", plays(task("COMPLETED", "all of it", words="bye")))
    assert outcome(await take(agent, make_turn("hi"))).text == "all of it\nbye"


async def test_words_that_repeat_the_artifact_are_said_once(raw: Any, agent: RemoteAgent) -> None:
    """Failure 20: duplicated final text."""
    raw.on(
        "SendStreamingMessage",
        plays(task(), chunk("the ", append=False), chunk("answer"), update("COMPLETED", "the answer")),
    )
    assert outcome(await take(agent, make_turn("hi"))).text == "the answer"


async def test_an_empty_answer_is_empty(raw: Any, agent: RemoteAgent) -> None:
    """The room treats it as a failure; nothing is invented here."""
    raw.on("SendStreamingMessage", plays(task(), update("COMPLETED")))
    assert outcome(await take(agent, make_turn("hi"))).is_empty


@pytest.mark.parametrize(
    ("state", "text", "reply"),
    [
        ("FAILED", "no paint", Fail("no paint")),
        ("FAILED", "", Fail("the remote agent failed and did not say why")),
        ("REJECTED", "not me", Refuse("not me")),
        ("CANCELED", "", Fail("canceled by the remote agent")),
        ("CANCELED", "by admin", Fail("canceled by the remote agent: by admin")),
    ],
)
async def test_ends_that_are_no_answers(raw: Any, agent: RemoteAgent, state: str, text: str, reply: Reply) -> None:
    """Failure 21: typed, never chat content; canceled is a failure."""
    raw.on("SendStreamingMessage", plays(task(), update(state, text)))
    assert await take(agent, make_turn("hi")) == [reply]


async def test_a_direct_message_keeps_its_parts(raw: Any, agent: RemoteAgent) -> None:
    """R-STRM-01."""
    message = {"messageId": "m", "role": "ROLE_AGENT", "parts": [{"text": "hi"}, {"data": 1}], "contextId": "c2"}
    raw.on("SendStreamingMessage", plays({"message": message}))
    assert await take(agent, make_turn("x")) == [Say(parts=(Part(text="hi"), Part(data=1)))]


async def test_parts_that_are_not_text_come_as_parts(raw: Any, agent: RemoteAgent) -> None:
    """Name and metadata of an artifact are kept."""
    artifact = {"artifactId": "report", "name": "Report", "parts": [{"url": "http://x/y", "mediaType": "image/png"}]}
    event = {"artifactUpdate": {"taskId": "t1", "contextId": "x", "artifact": {**artifact, "metadata": {"k": 1}}}}
    event["artifactUpdate"]["lastChunk"] = True
    raw.on("SendStreamingMessage", plays(task(), event, update("COMPLETED")))
    (reply,) = await take(agent, make_turn("x"))
    part = Part(url="http://x/y", media_type="image/png")
    assert reply == Chunk("", (part,), "report", append=False, last=True, name="Report", metadata={"k": 1})


async def test_a_proposal_of_the_next_speaker_comes_through(raw: Any, agent: RemoteAgent) -> None:
    """`Say.next`, in the metadata of the closing message."""
    end = update("COMPLETED", "over to you")
    end["statusUpdate"]["status"]["message"]["metadata"] = {TURN_EXTENSION: {"next": "critic"}}
    raw.on("SendStreamingMessage", plays(task(), end))
    assert outcome(await take(agent, make_turn("x"))).next == "critic"


# --- pauses


async def test_asks_come_with_their_options_and_schema(raw: Any, agent: RemoteAgent) -> None:
    """Several asks of one pause; parts that are not words stay with the first."""
    asks = [
        {"id": "a", "kind": "input", "text": "Colour?", "options": ["red", "blue"]},
        {"id": "b", "kind": "auth", "text": "Login?", "schema": {"type": "object"}},
    ]
    pause = update("INPUT_REQUIRED", asks=asks)
    pause["statusUpdate"]["status"]["message"]["parts"] = [{"text": "Colour?"}, {"data": 1}, {"text": "Login?"}]
    raw.on("SendStreamingMessage", plays(task(), pause))
    assert await take(agent, make_turn("x")) == [
        Ask("Colour?", (Part(data=1),), options=("red", "blue"), id="a"),
        Ask("Login?", kind="auth", schema={"type": "object"}, id="b"),
    ]


async def test_a_pause_for_credentials_is_an_auth_ask(raw: Any, agent: RemoteAgent) -> None:
    """R-AUTHREQ-01: never polled."""
    raw.on("SendStreamingMessage", waits(task(), update("AUTH_REQUIRED", "log in at x")))
    assert await take(agent, make_turn("x")) == [Ask("log in at x", kind="auth")]


async def test_an_agent_that_goes_on_by_itself_does_not_end_the_turn(raw: Any, agent: RemoteAgent) -> None:
    """`ends_turn=False`: shown once, then the stream goes on (§7.6.1)."""
    waiting = update("AUTH_REQUIRED", "log in", {"goesOn": True}, message_id="w")
    raw.on(
        "SendStreamingMessage",
        plays(task(), waiting, waiting, update("WORKING"), chunk("done", append=False), update("COMPLETED")),
    )
    assert await take(agent, make_turn("x")) == [
        Ask("log in", kind="auth", ends_turn=False),
        Chunk("done", append=False),
    ]


async def test_an_answer_goes_to_the_task_that_asked(raw: Any, agent: RemoteAgent) -> None:
    """R-CTX-09: same task, same context, no prefix; what the first turn delivered is not said again."""
    journal = MemoryJournal()
    raw.on(
        "SendStreamingMessage",
        plays(task(), chunk("so far", append=False), update("INPUT_REQUIRED", "which?", message_id="q")),
        plays(task("INPUT_REQUIRED", "so far", words="which?", message_id="q"), chunk(", blue"), update("COMPLETED")),
    )
    first = make_turn("paint", journal=journal)
    assert await take(agent, first) == [Chunk("so far", append=False), Ask("which?")]
    answer = Answer((Ask("which?"),), make_message("blue", speaker="human"))
    second = make_turn(make_message("meanwhile", speaker="critic"), answer.message, answer=answer, journal=journal)
    assert await take(agent, second) == [Chunk(", blue")]
    message = sent(raw)[1]
    assert message["taskId"] == "t1"
    assert message["contextId"] == first.context_id
    assert [part["text"] for part in message["parts"]] == ["[critic] meanwhile", "blue"]


async def test_asking_again_is_a_new_pause(raw: Any, agent: RemoteAgent) -> None:
    """The old question in the opening snapshot is not the new one."""
    journal = MemoryJournal()
    raw.on(
        "SendStreamingMessage",
        plays(task(), update("INPUT_REQUIRED", "which?", message_id="q1")),
        plays(
            task("INPUT_REQUIRED", words="which?", message_id="q1"),
            update("INPUT_REQUIRED", "really?", message_id="q2"),
        ),
        plays(task("COMPLETED", "done")),
    )
    await take(agent, make_turn("paint", journal=journal))
    assert await take(agent, make_turn(answer=make_answer("blue"), journal=journal)) == [Ask("really?")]
    assert outcome(await take(agent, make_turn(answer=make_answer("yes"), journal=journal))).text == "done"
    assert [message.get("taskId") for message in sent(raw)] == [None, "t1", "t1"]


async def test_artifacts_of_a_later_turn_of_ours_get_their_names_back(raw: Any, agent: RemoteAgent) -> None:
    """Our servers call them NAME.2; an outcome looks for `answer`."""
    raw.card["capabilities"]["extensions"] = [{"uri": TURN_EXTENSION}]
    journal = MemoryJournal()
    raw.on(
        "SendStreamingMessage",
        plays(task(), update("INPUT_REQUIRED", "which?")),
        plays(
            task(),
            chunk("notes", append=False, artifact="critic.2"),
            chunk("blue", append=False, artifact="answer.2"),
            update("COMPLETED"),
        ),
    )
    await take(agent, make_turn("paint", journal=journal))
    replies = await take(agent, make_turn(answer=make_answer("blue"), journal=journal))
    assert [reply.artifact for reply in replies if isinstance(reply, Chunk)] == ["critic", "answer"]
    assert outcome(replies).text == "blue"


async def test_a_message_that_answers_nothing_starts_a_new_task(raw: Any, agent: RemoteAgent) -> None:
    """The same taskId only while an input is pending and answered; earlier tasks become references."""
    journal = MemoryJournal()
    raw.on(
        "SendStreamingMessage",
        plays(task(), update("INPUT_REQUIRED", "which?")),
        plays(task("COMPLETED", "ok", id="t2")),
        plays(task("COMPLETED", "ok", id="t3")),
    )
    for _ in range(3):
        await take(agent, make_turn("paint", journal=journal))
    assert [message.get("taskId") for message in sent(raw)] == [None, None, None]
    assert [message.get("referenceTaskIds") for message in sent(raw)] == [None, ["t1"], ["t1", "t2"]]


# --- contexts


async def test_a_context_that_the_server_issues_wins(raw: Any, agent: RemoteAgent) -> None:
    """One context per seat, the server's from its first answer on."""
    journal = MemoryJournal()
    raw.on("SendStreamingMessage", plays(task("COMPLETED", "ok", context="theirs")))
    first = make_turn("one", journal=journal)
    assert await take(agent, first) == [Chunk("ok", append=False)]
    await take(agent, make_turn("two", journal=journal))
    assert [message["contextId"] for message in sent(raw)] == [first.context_id, "theirs"]


async def test_a_remote_that_forgot_is_told_everything_once(raw: Any, agent: RemoteAgent) -> None:
    """The context comes back changed: said as progress, and the next message brings the history, once."""
    journal = MemoryJournal()
    raw.on(
        "SendStreamingMessage",
        plays(task("COMPLETED", "ok", context="a")),
        plays(task("COMPLETED", "ok", context="b", id="t2")),
    )
    past = [make_message("long ago", speaker="critic"), make_message("my own words", role=Role.AGENT)]
    await take(agent, make_turn("one", journal=journal))
    progress, _ = await take(agent, make_turn("two", journal=journal))
    assert isinstance(progress, Progress)
    await take(agent, make_turn("three", journal=journal, history=past))
    await take(agent, make_turn("four", journal=journal, history=past))
    texts = [[part["text"] for part in message["parts"]] for message in sent(raw)]
    assert texts == [["one"], ["two"], ["[critic] long ago", "[raw] my own words", "three"], ["four"]]


# --- crashes and lost connections


async def test_the_same_turn_finds_its_task_and_sends_nothing(raw: Any, agent: RemoteAgent) -> None:
    """`after_crash="resumable"`: the journal knows the task, the whole answer comes from the start."""
    assert traits_of(agent).after_crash == "resumable"
    raw.on("SendStreamingMessage", waits(task(), chunk("one ", append=False)))
    raw.on("SubscribeToTask", plays(task(text="one "), chunk("two"), update("COMPLETED")))
    turn = make_turn("x", journal=MemoryJournal())
    lost = agent.run(turn)
    assert await asyncio.wait_for(anext(lost), 5) == Chunk("one ", append=False)
    replies = await take(RemoteAgent(raw.url), turn)
    assert outcome(replies).text == "one two"
    assert len(sent(raw)) == 1
    await lost.aclose()


async def test_the_same_turn_finds_its_pause(raw: Any, agent: RemoteAgent) -> None:
    """Killed after the pause was written down and before it was shown: the question is asked, not lost."""
    raw.on(
        "SendStreamingMessage",
        plays(task(), chunk("hm", append=False), update("INPUT_REQUIRED", "which?", message_id="q")),
    )
    raw.on("SubscribeToTask", waits(task("INPUT_REQUIRED", "hm", words="which?", message_id="q")))
    turn = make_turn("x", journal=MemoryJournal())
    expected = await take(agent, turn)
    assert expected == [Chunk("hm", append=False), Ask("which?")]
    assert await take(RemoteAgent(raw.url), turn) == expected


async def test_the_same_answer_finds_the_pause_it_led_to(raw: Any, agent: RemoteAgent) -> None:
    """The same for a later turn of the task: the question is not taken for the one that was answered."""
    journal = MemoryJournal()
    raw.on(
        "SendStreamingMessage",
        plays(task(), update("INPUT_REQUIRED", "which?", message_id="q1")),
        plays(task(), update("INPUT_REQUIRED", "really?", message_id="q2")),
    )
    raw.on("SubscribeToTask", waits(task("INPUT_REQUIRED", words="really?", message_id="q2", context="c")))
    await take(agent, make_turn("x", journal=journal))
    turn = make_turn(answer=make_answer("blue"), journal=journal)
    assert await take(agent, turn) == [Ask("really?")]
    assert await take(RemoteAgent(raw.url), turn) == [Ask("really?")]


async def test_a_turn_that_lost_its_connection_can_be_tried_again(raw: Any, agent: RemoteAgent) -> None:
    """A transport retry by the room: the remote task is not cancelled, and is found again."""

    async def cut(exchange: Any) -> None:
        await plays(task(), chunk("one ", append=False))(exchange)
        exchange.cut()

    raw.on("SendStreamingMessage", cut)
    raw.on("GetTask", lambda exchange: exchange.answer(b"", status=503))
    raw.on("SubscribeToTask", plays(task("COMPLETED", "one two")))
    turn = make_turn("x", journal=MemoryJournal())
    with pytest.raises(StreamBrokenError):
        await take(agent, turn)
    assert outcome(await take(agent, turn)).text == "one two"
    assert raw.calls("CancelTask") == []


async def test_a_stream_that_says_nothing_of_its_end_is_no_answer(raw: Any, agent: RemoteAgent) -> None:
    """The snapshot still shows the answered pause, and so does GetTask: the turn must not look complete."""
    journal = MemoryJournal()
    old = task("INPUT_REQUIRED", words="which?", message_id="q")
    raw.on("SendStreamingMessage", plays(task(), update("INPUT_REQUIRED", "which?", message_id="q")), plays(old))
    raw.on("GetTask", lambda exchange: exchange.result(old["task"]))
    await take(agent, make_turn("x", journal=journal))
    with pytest.raises(StreamBrokenError, match="neither ended its task nor asked"):
        await take(agent, make_turn(answer=make_answer("blue"), journal=journal))


class FullDisk(MemoryJournal):
    """A journal that cannot be written."""

    async def append(self, record: bytes, snapshot: bool = False) -> None:
        raise StoreConflictError("a newer run owns this context")

    def child(self, key: str) -> Journal:
        return self


async def test_a_turn_that_cannot_be_written_down_fails(raw: Any, agent: RemoteAgent) -> None:
    """An unrecorded task could neither be answered nor cancelled."""
    raw.on("SendStreamingMessage", plays(task(), chunk("x", append=False), update("COMPLETED")))
    with pytest.raises(StoreConflictError):
        await take(agent, make_turn("x", journal=FullDisk()))


# --- cancelling


async def cancelled(agent: RemoteAgent, turn: Turn, raw: Any, *, when: asyncio.Event) -> None:
    running = asyncio.create_task(take(agent, turn))
    await asyncio.wait_for(when.wait(), 5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 5)


async def test_a_cancelled_turn_cancels_its_remote_task(raw: Any, agent: RemoteAgent) -> None:
    """At an `await`: CancelTask with the id from the stream, then CancelledError goes on."""
    named = asyncio.Event()

    class Noting(MemoryJournal):
        async def append(self, record: bytes, snapshot: bool = False) -> None:
            await super().append(record, snapshot)
            named.set()

    raw.on("SendStreamingMessage", waits(task()))
    raw.on("CancelTask", lambda exchange: exchange.result(task("CANCELED")["task"]))
    await cancelled(agent, make_turn("x", journal=Noting()), raw, when=named)
    (call,) = raw.calls("CancelTask")
    assert call.params == {"id": "t1"}


async def test_cancelling_before_the_task_has_a_name_finds_it_out(raw: Any, agent: RemoteAgent) -> None:
    """Our servers know a message by its id: the same one, sent again, tells the task to cancel."""
    raw.card["capabilities"]["extensions"] = [{"uri": TURN_EXTENSION}]
    came = asyncio.Event()

    async def silent(exchange: Any) -> None:
        came.set()
        await exchange.gone.wait()

    raw.on("SendStreamingMessage", silent)
    raw.on("SendMessage", lambda exchange: exchange.result(task(context="c")))
    raw.on("CancelTask", lambda exchange: exchange.result(task("CANCELED")["task"]))
    await cancelled(agent, make_turn("x"), raw, when=came)
    (again,) = raw.calls("SendMessage")
    assert again.params["message"] == sent(raw)[0]
    assert again.params["configuration"] == {"returnImmediately": True}
    assert len(raw.calls("CancelTask")) == 1


async def test_a_stranger_is_not_sent_the_message_twice_to_cancel_it(raw: Any, agent: RemoteAgent) -> None:
    """Without our extension on its card it might start a second task."""
    came = asyncio.Event()

    async def silent(exchange: Any) -> None:
        came.set()
        await exchange.gone.wait()

    raw.on("SendStreamingMessage", silent)
    await cancelled(agent, make_turn("x"), raw, when=came)
    assert raw.calls("SendMessage") == []


async def test_a_turn_that_was_canceled_and_is_taken_again_is_a_new_task(raw: Any, agent: RemoteAgent) -> None:
    """Ours: a host that goes on after a cancel runs the step again, and the remote knows its messageId as canceled."""
    over = task("CANCELED")
    over["task"]["artifacts"] = [{"artifactId": "answer", "parts": [{"text": "half"}]}]
    raw.on("SendStreamingMessage", plays(over), plays(over), plays(task(), chunk("whole"), update("COMPLETED")))
    turn = make_turn("x")
    assert outcome(await take(agent, turn)).text == "whole"
    first = [message["messageId"] for message in sent(raw)]
    assert len(set(first)) == 3
    raw.reset()
    raw.on("SendStreamingMessage", plays(over))
    restored = replace(turn, journal=MemoryJournal())
    assert outcome(await take(agent, restored)).failed == "canceled by the remote agent"
    again = [message["messageId"] for message in sent(raw)]
    assert again[:3] == first
    assert len(set(again)) == len(again) == 11


async def test_however_often_it_is_cancelled_the_remote_is_told(raw: Any, agent: RemoteAgent) -> None:
    """Ours: hosts cancel more than once; the remote's answer is waited for, and no task of ours is left behind."""
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def slow(exchange: Any) -> None:
        asked.set()
        await may_answer.wait()
        await exchange.result(task("CANCELED")["task"])

    raw.on("SendStreamingMessage", waits(task(), chunk("x", append=False)))
    raw.on("CancelTask", slow)
    started = asyncio.Event()

    async def read() -> None:
        async with aclosing(agent.run(make_turn("x"))) as replies:
            async for _ in replies:
                started.set()

    before = asyncio.all_tasks()
    running = asyncio.create_task(read())
    await asyncio.wait_for(started.wait(), 5)
    running.cancel()
    await asyncio.wait_for(asked.wait(), 5)
    for _ in range(3):
        running.cancel()
        await asyncio.sleep(0)
    assert not running.done()
    may_answer.set()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 5)
    ours = [task for task in asyncio.all_tasks() - before if "RawServer" not in repr(task)]
    assert ours == []


async def test_a_remote_that_does_not_answer_a_cancel_is_given_up(
    raw: Any, agent: RemoteAgent, pass_time: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: bounded, and said in the log; a server of ours answers before that, whatever its agent does."""
    assert CANCEL_SECONDS < remoting.CANCEL_WITHIN

    async def silent(exchange: Any) -> None:
        pass_time(remoting.CANCEL_WITHIN)
        await exchange.gone.wait()

    raw.on("SendStreamingMessage", waits(task(), chunk("x", append=False)))
    raw.on("CancelTask", silent)
    async with asyncio.timeout(60), aclosing(agent.run(make_turn("x"))) as replies:
        await anext(replies)
    assert len(raw.calls("CancelTask")) == 1
    assert "a remote task may go on running: no answer in time" in caplog.text


async def test_a_finished_turn_that_is_closed_cancels_nothing(raw: Any, agent: RemoteAgent) -> None:
    """Whoever reads stops at the last reply; the task is over."""
    raw.on("SendStreamingMessage", plays(task(), update("FAILED", "no")))
    async with aclosing(agent.run(make_turn("x"))) as replies:
        assert await asyncio.wait_for(anext(replies), 5) == Fail("no")
    assert raw.calls("CancelTask") == []


async def test_abandoning_frees_the_remote_task_and_never_fails(raw: Any, agent: RemoteAgent) -> None:
    """Called when nobody will answer: a task that has ended meanwhile, or an agent that is gone, is no error."""
    raw.on("SendStreamingMessage", plays(task(), update("INPUT_REQUIRED", "which?")))
    raw.on(
        "CancelTask",
        lambda exchange: exchange.result(task("CANCELED")["task"]),
        lambda exchange: exchange.error(-32002),
        lambda exchange: exchange.answer(b"", status=500),
    )
    turn = make_turn("x")
    await agent.abandon(turn)
    assert raw.calls("CancelTask") == []
    await take(agent, turn)
    for _ in range(3):
        await asyncio.wait_for(agent.abandon(turn), 5)
    assert len(raw.calls("CancelTask")) == 3


# --- names


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://localhost:8080/planner", "planner"),
        ("http://localhost:8080/planner/", "planner"),
        ("https://planner.example", "planner.example"),
        ("http://user:pw@h:1/", "h:1"),
        ("https://h/x/.well-known/agent-card.json", "x"),
        ("https://h/cards/mine.json", "mine"),
    ],
)
def test_the_provisional_name_comes_from_the_url(url: str, name: str) -> None:
    """Nothing is fetched to make the object."""
    agent = RemoteAgent(url)
    assert agent.name == name
    assert "pw" not in agent.description + repr(agent)


async def test_the_card_tells_framework_modes_and_skills(raw: Any, agent: RemoteAgent) -> None:
    """Traits before and after the card is known."""
    raw.card["capabilities"]["extensions"] = [{"uri": TURN_EXTENSION, "params": {"framework": "langgraph"}}]
    raw.card["defaultInputModes"] = ["image/png"]
    assert agent.traits.framework is None
    assert agent.traits.keeps_context
    await agent.describe()
    assert agent.traits.framework == "langgraph"
    assert agent.traits.stops_on_cancel
    assert agent.traits.input_modes == ("image/png",)


async def test_the_card_tells_that_a_cancel_leaves_work_behind(raw: Any, agent: RemoteAgent) -> None:
    """Issue 5: a room names the seats that it could not stop at once, remote ones too."""
    raw.card["capabilities"]["extensions"] = [{"uri": TURN_EXTENSION, "params": {"stopsOnCancel": False}}]
    await agent.describe()
    assert not agent.traits.stops_on_cancel
    assert agent.traits.framework is None


async def test_an_agent_that_is_not_there_fails_its_turn(raw: Any) -> None:
    """ConnectionFailedError reaches whoever runs the turn."""
    agent = RemoteAgent("http://127.0.0.1:1", timeouts=Timeouts(connect=1), retries=Retries(times=0))
    with pytest.raises(ConnectionFailedError, match=r"Is the agent running there\?"):
        await take(agent, make_turn("x"))
