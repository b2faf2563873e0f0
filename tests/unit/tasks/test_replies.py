"""What an agent may say and what becomes of it: good replies, wrong ones, and ends of every kind (`tasks/run.py`)."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from a2a_bridge.agent import Ask, Chunk, Fail, Progress, Refuse, Say, ToolCall, ToolResult, Usage
from a2a_bridge.protocol.extensions import TURN_EXTENSION
from a2a_bridge.protocol.objects import Part
from a2a_bridge.server.limits import Limits
from a2a_bridge.tasks import run
from a2a_bridge.testing.agents import Scripted
from a2a_bridge.testing.wire import Wire, say


def saying(*replies: Any) -> Scripted:
    async def behaviour(turn: Any) -> AsyncGenerator[Any, None]:
        for reply in replies:
            yield reply

    return Scripted(behaviour)


def words_of(task: dict[str, Any]) -> str | None:
    message = task["status"].get("message")
    return None if message is None else "".join(part.get("text", "") for part in message["parts"])


def artifacts_of(task: dict[str, Any]) -> dict[str, list[Any]]:
    return {artifact["artifactId"]: artifact["parts"] for artifact in task.get("artifacts", ())}


# --- good replies


@pytest.mark.parametrize(
    ("replies", "artifacts"),
    [
        (("a", "b"), {"answer": [{"text": "ab"}]}),
        (("", "a", ""), {"answer": [{"text": "a"}]}),
        ((Chunk("a"), "b", Chunk("c")), {"answer": [{"text": "abc"}]}),
        ((Chunk("a", append=False), Chunk("b", append=False)), {"answer": [{"text": "b"}]}),
        (("a", Chunk("b", artifact="other"), "c"), {"answer": [{"text": "ac"}], "other": [{"text": "b"}]}),
        ((Chunk(parts=(Part(text="a"),)), "b"), {"answer": [{"text": "ab"}]}),
        (("a", Chunk(parts=(Part(data=None),)), "b"), {"answer": [{"text": "a"}, {"data": None}, {"text": "b"}]}),
        ((Chunk(parts=(Part(text="a", metadata={"k": 1}),)), "b"),
         {"answer": [{"text": "a", "metadata": {"k": 1}}, {"text": "b"}]}),
        ((Chunk(), Chunk(parts=())), {}),
        ((), {}),
    ],
)  # fmt: skip
async def test_pieces_add_up_to_artifacts(serve: Any, store: Any, replies: Any, artifacts: Any) -> None:
    """R-ART-02, R-ART-04: neighbouring texts are one, everything else stays as it came; empty pieces are none."""
    wire: Wire = await serve(saying(*replies), store=store)
    task = await wire.send()
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert artifacts_of(task) == artifacts
    assert await wire.get(task["id"]) == task


async def test_names_and_metadata_of_an_artifact_are_merged(serve: Any) -> None:
    """R-ART-02: later names win, later keys are added."""
    wire = await serve(saying(Chunk("a", name="n1", metadata={"x": 1}), Chunk("b", name="n2", metadata={"y": 2}), "c"))
    (artifact,) = (await wire.send())["artifacts"]
    assert artifact == {"artifactId": "answer", "name": "n2", "parts": [{"text": "abc"}], "metadata": {"x": 1, "y": 2}}


async def test_a_subclass_of_str_is_text(serve: Any) -> None:
    """Our decision: frameworks have such classes."""

    class Markup(str):
        pass

    task = await (await serve(saying(Markup("a"), Markup("b")))).send()
    assert artifacts_of(task) == {"answer": [{"text": "ab"}]}


@pytest.mark.parametrize("as_chunk", [False, True])
async def test_a_very_long_text_goes_out_as_several_events(serve: Any, as_chunk: bool) -> None:
    """Our decision: an event holds at most 256 K of text; nothing is lost or doubled."""
    text = "".join(f"{n:07d} " for n in range(90_000))
    reply = Chunk(text, (Part(data=1),), name="long", last=True) if as_chunk else text
    wire = await serve(saying("first ", reply))
    frames = await wire.frames("SendStreamingMessage", say())
    pieces = [frame for frame in frames if frame.kind == "artifactUpdate"]
    assert "".join(frame.text for frame in pieces) == "first " + text
    assert all(len(frame.text) <= run.MAX_TEXT for frame in pieces)
    assert [frame.value.get("lastChunk", False) for frame in pieces].count(True) == as_chunk
    assert pieces[-1].value.get("lastChunk", False) is as_chunk
    task = await wire.get(frames[0].value["id"])
    assert task["artifacts"][0]["parts"] == [{"text": "first " + text}, *([{"data": 1}] if as_chunk else [])]


async def test_text_that_is_not_unicode_is_mended(serve: Any) -> None:
    """R-DM-14: half a surrogate pair becomes a replacement character rather than a failure."""
    task = await (await serve(saying("a\ud83d", "b", Say("c\udc00")))).send()
    assert artifacts_of(task) == {"answer": [{"text": "a\ufffdb"}]}
    assert words_of(task) == "c\ufffd"


async def test_closing_words_are_the_status_message(serve: Any) -> None:
    """R-SEND-13, R-CTX-10: the last ones, with ids."""
    task = await (await serve(saying("x", Say("no"), Say("done", parts=(Part(data=[1]),))))).send()
    assert task["status"]["message"]["parts"] == [{"text": "done"}, {"data": [1]}]
    assert task["status"]["message"]["contextId"] == task["contextId"]


@pytest.mark.parametrize("before", [("text",), (Progress("p"),), (ToolCall("c", "t", {}),), (Chunk("x"),)], ids=repr)
async def test_direct_words_after_anything_else_are_closing_words(serve: Any, before: Any) -> None:
    """R-STRM-02: a task that has been shown cannot turn into a message."""
    task = await (await serve(saying(*before, Say("done", direct=True)))).send()
    assert (task["status"]["state"], words_of(task)) == ("TASK_STATE_COMPLETED", "done")


async def test_an_empty_direct_answer_is_still_a_message(serve: Any) -> None:
    """R-SEND-01: with one part, as a message must have."""
    message = await (await serve(saying(Say(direct=True)))).send()
    assert message["parts"] == [{"text": ""}]


async def test_usage_is_summed_over_a_task(serve: Any) -> None:
    """Our decision: tokens and costs add up, the first model's name stays."""
    replies = (Usage(1, 2, model="m"), Usage(10, 20, 0.5, "n"), Usage(cost_usd=0.25))
    task = await (await serve(saying(*replies))).send()
    usage = {"inputTokens": 11, "outputTokens": 22, "costUsd": 0.75, "model": "m"}
    assert task["metadata"] == {TURN_EXTENSION: {"usage": usage}}


@pytest.mark.parametrize(("end", "state"), [(Fail("no"), "TASK_STATE_FAILED"), (Refuse("no"), "TASK_STATE_REJECTED")])
async def test_nothing_is_heard_after_the_end(serve: Any, end: Any, state: str) -> None:
    """R-STRM-03, failure 21: the reason is the status message; the agent is stopped, not run on."""
    went_on = False

    async def behaviour(turn: Any) -> Any:
        nonlocal went_on
        yield "before "
        yield end
        went_on = True
        yield "after"

    task = await (await serve(Scripted(behaviour))).send()
    assert (task["status"]["state"], words_of(task)) == (state, "no")
    assert artifacts_of(task) == {"answer": [{"text": "before "}]}
    assert not went_on


# --- wrong replies

CYCLE: list[Any] = []
CYCLE.append(CYCLE)
WRONG = {
    "none": None,
    "a number": 5,
    "bytes": b"text",
    "a dict": {"text": "x"},
    "an exception": ValueError("secret"),
    "an object": object(),
    "a class": Chunk,
    "metadata that are no JSON": Chunk("x", metadata={"a": object()}),
    "metadata with a set": Chunk("x", metadata={"a": {1}}),
    "metadata with half a character": Chunk("x", metadata={"a": "\ud800"}),
    "metadata without end": Chunk("x", metadata={"a": CYCLE}),
    "an artifact without a name": Chunk("x", artifact=5),  # type: ignore[arg-type]
    "a name that is none": Chunk("x", name=5),  # type: ignore[arg-type]
    "text that is none": Chunk(5),  # type: ignore[arg-type]
    "parts that are none": Chunk(parts=("x",)),  # type: ignore[arg-type]
    "data that are not finite": Chunk(parts=(Part(data=float("nan")),)),
    "costs that are not finite": Usage(cost_usd=float("inf")),
    "tokens that are none": Usage(input_tokens=object()),  # type: ignore[arg-type]
    "arguments that are no JSON": ToolCall("c", "t", object()),  # type: ignore[arg-type]
    "a result that is no JSON": ToolResult("c", {1, 2}),  # type: ignore[arg-type]
    "progress without words": Progress(None),  # type: ignore[arg-type]
    "an ask with wrong options": Ask("?", options=(object(),)),  # type: ignore[arg-type]
    "an ask with a wrong schema": Ask("?", schema=object()),  # type: ignore[arg-type]
    "an ask with wrong parts": Ask("?", parts=(5,)),  # type: ignore[arg-type]
    "words with wrong parts": Say("x", parts=(5,)),  # type: ignore[arg-type]
    "direct words with wrong parts": Say("x", parts=(5,), direct=True),  # type: ignore[arg-type]
    "a failure without a reason": Fail(None),  # type: ignore[arg-type]
    "a part that is too large": Chunk(parts=(Part(data="x" * (5 << 20)),)),
}


@pytest.mark.parametrize("first", [(), ("before",)], ids=["at once", "later"])
@pytest.mark.parametrize("reply", WRONG.values(), ids=WRONG.keys())
async def test_an_agent_that_gives_garbage_fails_its_task(serve: Any, store: Any, first: Any, reply: Any) -> None:
    """R-SEND-12, failure 12: a clear end, no words of exceptions (R-ERR-06), and the task can be read afterwards."""
    wire: Wire = await serve(saying(*first, reply), store=store)
    frames = await wire.frames("SendStreamingMessage", say())
    assert frames[-1].state == "TASK_STATE_FAILED"
    task = await wire.get(frames[0].value["id"])
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert artifacts_of(task) == ({"answer": [{"text": "before"}]} if first else {})
    assert "secret" not in (words_of(task) or "")
    assert (await wire.result("ListTasks", {"includeArtifacts": True}))["tasks"][0]["id"] == task["id"]


@pytest.mark.parametrize(
    ("replies", "words"),
    [
        ((Ask("?"), "more"), "went on after it had asked"),
        ((Ask("?"), Say("x")), "went on after it had asked"),
        ((Say("x", direct=True), "more"), "went on after a direct answer"),
        ((Say("x", direct=True), Say("y", direct=True)), "went on after a direct answer"),
    ],
)
async def test_a_breach_of_the_contract_fails_the_task_and_says_why(serve: Any, replies: Any, words: str) -> None:
    """Our decision: after an ask only further asks may follow; a direct answer is the only reply."""
    task = await (await serve(saying(*replies))).send()
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert words in (words_of(task) or "")


# --- ends


@pytest.mark.parametrize("at", ["start", "middle"])
@pytest.mark.parametrize(
    "error",
    [ValueError("secret"), asyncio.CancelledError("secret"), SystemExit("secret"), StopAsyncIteration("secret"),
     RecursionError("secret"), TimeoutError("secret"), ExceptionGroup("secret", [ValueError("secret")])],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
async def test_whatever_an_agent_raises_fails_its_task(serve: Any, at: str, error: BaseException) -> None:
    """R-SEND-12, R-STRM-10, failure 12: the server goes on, the task ends, a stranger gets an id (R-ERR-06)."""

    async def behaviour(turn: Any) -> Any:
        if at == "middle":
            yield "so far"
        raise error
        yield

    wire: Wire = await serve(Scripted(behaviour))
    response = await wire.post({"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say()})
    task = response.json()["result"]["task"]
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert (words_of(task) or "").startswith("The agent failed (error ")
    assert "secret" not in response.text
    assert (await wire.get(task["id"]))["status"] == task["status"]


async def test_an_agent_that_awaits_a_cancelled_task_fails_and_does_not_hang(serve: Any) -> None:
    """Failure 12: the CancelledError is the agent's own, nobody cancelled the turn."""

    async def behaviour(turn: Any) -> Any:
        inner = asyncio.ensure_future(asyncio.Event().wait())
        inner.cancel()
        await inner
        yield "never"

    assert (await (await serve(Scripted(behaviour))).send())["status"]["state"] == "TASK_STATE_FAILED"


async def test_an_agent_that_is_no_generator_fails_its_task(serve: Any) -> None:
    """Failure 12: `run` may be broken in any way."""
    agent = saying("x")
    wire: Wire = await serve(agent)

    def broken(turn: Any) -> Any:
        raise ValueError("secret")

    agent._behaviour = broken
    assert (await wire.send())["status"]["state"] == "TASK_STATE_FAILED"
    agent._behaviour = lambda turn: None  # type: ignore[assignment,return-value]
    assert (await wire.send())["status"]["state"] == "TASK_STATE_FAILED"


async def test_an_agent_that_never_answers_is_stopped_at_the_limit(serve: Any) -> None:
    """Bad input of the issue: a turn has a longest time; the task FAILS and says how long that was."""
    stopped = asyncio.Event()

    async def behaviour(turn: Any) -> Any:
        yield "working"
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    wire: Wire = await serve(Scripted(behaviour), limits=Limits(turn=0.05))
    frames = await wire.frames("SendStreamingMessage", say())
    assert frames[-1].state == "TASK_STATE_FAILED"
    assert "within 0.05 seconds" in (words_of(frames[-1].value) or "")
    async with asyncio.timeout(5):
        await stopped.wait()


async def test_an_agent_that_never_stops_talking_is_stopped_too(serve: Any) -> None:
    """The same limit; and meanwhile others are served: such an agent yields to the event loop (failure 13)."""

    async def behaviour(turn: Any) -> Any:
        if turn.text == "short":
            yield "quick"
            return
        while True:
            yield "x"

    wire: Wire = await serve(Scripted(behaviour), limits=Limits(turn=0.2))
    endless = asyncio.create_task(wire.send("endless"))
    async with asyncio.timeout(5):
        assert (await wire.send("short"))["status"]["state"] == "TASK_STATE_COMPLETED"
        assert not endless.done()
        assert (await endless)["status"]["state"] == "TASK_STATE_FAILED"


async def test_the_first_words_of_a_blocking_function_arrive_while_it_works(serve: Any) -> None:
    """Failure 13: a sync agent runs in a thread, so its events leave when they are made."""
    go_on = threading.Event()

    def blocks(text: str) -> Any:
        """Says one word, works, says another."""
        yield "first "
        assert go_on.wait(5)
        yield "second"

    wire: Wire = await serve(blocks)
    async with wire.stream("SendStreamingMessage", say()) as reader:
        await reader.next()
        first = await reader.next()
        assert first is not None
        assert first.text == "first "
        go_on.set()
        assert (await reader.rest())[-1].state == "TASK_STATE_COMPLETED"


async def test_a_generator_is_closed_when_its_turn_is_over(serve: Any) -> None:
    """House rule: replies are read inside aclosing; clean-up has run when the slot is free."""
    closed: list[str] = []

    def ending(name: str, *replies: Any) -> Callable[[Any], AsyncGenerator[Any, None]]:
        async def behaviour(turn: Any) -> AsyncGenerator[Any, None]:
            try:
                for reply in replies:
                    yield reply
            finally:
                await asyncio.sleep(0)
                closed.append(name)

        return behaviour

    for name, replies in {"refuse": (Refuse("no"), "x"), "wrong": (5, "x"), "done": ("x",)}.items():
        await (await serve(Scripted(ending(name, *replies)))).send()
    assert closed == ["refuse", "wrong", "done"]
