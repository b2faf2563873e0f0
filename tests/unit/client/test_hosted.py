"""An agent inside a framework of somebody else."""

import asyncio
import json
import threading
from contextlib import aclosing
from typing import Any

import pytest

from a2a_bridge import adapt
from a2a_bridge.agent import Ask, Fail, Say, Turn
from a2a_bridge.client import hosted as hosting
from a2a_bridge.client.hosted import Conversations, Hosted, HostJournal, Tool, hosted_message
from a2a_bridge.client.loop_thread import blocking
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.client.retry import Retries
from a2a_bridge.errors import AdapterFailedError, ConnectionFailedError
from a2a_bridge.protocol.media import words_of
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.adapter_case import within


async def taken(hosted: Hosted, said: str, key: str) -> list[Any]:
    """One turn's replies."""
    message = hosted_message([Part(text=said)], key=key)
    return [reply async for reply in hosted.take([message], key=key)]


async def test_a_step_that_is_run_again_is_the_same_turn() -> None:
    """Issue 5, part 2: idempotent on a re-run."""
    seen: list[str] = []

    async def agent(turn: Turn) -> str:
        seen.append(turn.id)
        return "done"

    hosted = Hosted(adapt(agent), "context")
    await within(taken(hosted, "go", "1"))
    again = Hosted(adapt(agent))
    again.load(json.loads(json.dumps(hosted.state)))
    await within(taken(again, "go", "1"))
    await within(taken(again, "go", "2"))
    assert seen[0] == seen[1] != seen[2]


async def test_a_question_travels_in_the_state_and_is_answered_by_the_next_turn() -> None:
    """Ours: a host that is restored goes on where it was."""

    async def agent(turn: Turn) -> Any:
        yield Say(f"You said {turn.answer.option()}") if turn.answer else Ask("Sure?", options=("yes", "no"), id="q")

    hosted = Hosted(adapt(agent))
    await within(taken(hosted, "go", "1"))
    assert [part.text for part in hosted.parts] == ["Sure?"]
    again = Hosted(adapt(agent))
    again.load(json.loads(json.dumps(hosted.state)))
    await within(taken(again, "Yes!", "2"))
    assert (again.outcome.text, again.asks) == ("You said yes", ())


async def test_a_turn_that_failed_raises_with_its_reason() -> None:
    """Ours: a host knows failures as exceptions."""

    async def agent(turn: Turn) -> Any:
        yield Fail("no paper")

    with pytest.raises(AdapterFailedError, match="no paper"):
        await within(taken(Hosted(adapt(agent)), "go", "1"))


async def test_a_journal_in_a_hosts_state_is_a_journal() -> None:
    """Architecture §1.1: order, snapshots, children."""
    journal = HostJournal()
    await journal.append(b"1")
    await journal.append(b"2", snapshot=True)
    await journal.append(b"\xff")
    await journal.child("seat").append(b"inside")
    again = HostJournal(json.loads(json.dumps(journal.state())))
    assert await again.read() == [(2, b"2"), (3, b"\xff")]
    assert await again.read(after=2) == [(3, b"\xff")]
    assert await again.child("seat").read() == [(1, b"inside")]
    await again.append(b"4")
    assert (await again.read())[-1] == (4, b"4")


async def test_an_agent_is_cancelled_once_however_often_its_host_cancels() -> None:
    """Ours: LangGraph and AnyIO cancel more than once, and what an agent does about it is seen through."""
    at_work, ending, may_end = asyncio.Event(), asyncio.Event(), asyncio.Event()
    ended: list[str] = []

    async def agent(turn: Turn) -> Any:
        yield "begun"
        at_work.set()
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await may_end.wait()
            ended.append("in order")

    task = asyncio.create_task(taken(Hosted(adapt(agent)), "go", "1"))
    await within(at_work.wait())
    task.cancel()
    await within(ending.wait())
    task.cancel()
    await within(asyncio.sleep(0))
    task.cancel()
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await within(task)
    assert ended == ["in order"]


async def test_a_reader_that_leaves_ends_the_agent() -> None:
    """Architecture §1.1: closing the generator ends the turn."""
    ended = asyncio.Event()

    async def agent(turn: Turn) -> Any:
        try:
            yield "begun"
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with aclosing(Hosted(adapt(agent)).take([hosted_message([Part(text="go")], key="1")], key="1")) as replies:
        assert await within(anext(replies)) == "begun"
    assert ended.is_set()


async def test_turns_at_the_same_time_are_taken_one_after_another() -> None:
    """Ours: a host may call twice; an agent's turns of one context never overlap."""
    running: list[str] = []

    async def agent(turn: Turn) -> str:
        running.append(turn.text)
        assert len(running) == 1
        await asyncio.sleep(0)
        running.remove(turn.text)
        return turn.text

    hosted = Hosted(adapt(agent))
    said = await within(asyncio.gather(*(taken(hosted, str(number), str(number)) for number in range(3))))
    assert ["".join(map(str, replies)) for replies in said] == ["0", "1", "2"]
    assert hosted.turns == 3


async def test_turns_of_several_threads_are_taken_one_after_another() -> None:
    """Ours: CrewAI and classic AutoGen call from threads of theirs, each with an event loop of its own."""
    running: list[str] = []
    at_work, go_on, waits = asyncio.Event(), asyncio.Event(), threading.Event()

    async def agent(turn: Turn) -> str:
        running.append(turn.text)
        assert len(running) == 1
        if turn.text == "first":
            at_work.set()
            await go_on.wait()
        running.remove(turn.text)
        return turn.text

    hosted = Hosted(adapt(agent))

    async def second() -> list[Any]:
        asyncio.get_running_loop().call_soon(waits.set)  # runs when this task waits
        return await taken(hosted, "second", "2")

    first = asyncio.create_task(taken(hosted, "first", "1"))
    await within(at_work.wait())
    other = asyncio.create_task(asyncio.to_thread(blocking, second()))
    assert await asyncio.to_thread(waits.wait, 5)
    go_on.set()
    assert (await within(first), await within(other)) == (["first"], ["second"])


async def test_an_agent_that_cannot_be_reached_is_a_failure_with_its_cause() -> None:
    """Ours: whatever keeps a remote from answering is one error for hosts, told so that a model may read it."""
    hosted = Hosted(RemoteAgent("http://127.0.0.1:9", name="far", retries=Retries(times=0)))
    with pytest.raises(AdapterFailedError, match=r"the agent 'far' did not answer: cannot connect to") as failure:
        await within(taken(hosted, "go", "1"))
    assert isinstance(failure.value.__cause__, ConnectionFailedError)
    assert hosted.turns == 0


def test_the_newest_conversations_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a host's conversations do not fill the memory."""
    monkeypatch.setattr(hosting, "MAX_CONVERSATIONS", 2)
    talks = Conversations(adapt(str.upper, name="loud"))
    first = talks.named("first")
    talks.named("second")
    assert talks.named("first") is first
    talks.named("third")
    assert ("first" in talks, "second" in talks, "third" in talks) == (True, False, True)


async def test_a_tool_names_its_conversation_and_knows_a_call_that_is_made_again() -> None:
    """Issue 5, part 2: a question is a result; the same call is the same turn, one without a name is a new one."""
    turns: list[Turn] = []

    async def agent(turn: Turn) -> Any:
        turns.append(turn)
        yield f"{turn.text}, {turn.answer.option()}" if turn.answer else Ask("Sure?", options=("yes", "no"))

    tool = Tool(adapt(agent, name="careful"))
    asked = json.loads(await within(tool.call("go")))
    assert asked["question"] == "Sure?"
    told = json.loads(await within(tool.call("YES", asked["conversation"])))
    assert told == {"conversation": asked["conversation"], "answer": "YES, yes"}
    for made in (tool, Tool(adapt(agent, name="careful"))):
        await within(made.call("go", unique="call-1"))
    assert turns[-1].id == turns[-2].id
    assert turns[-1].context_id == turns[-2].context_id != turns[0].context_id
    with pytest.raises(AdapterFailedError, match="begin a new one"):
        await within(tool.call("go", "somebody else's"))


def test_parts_as_words() -> None:
    """Ours: a host that takes only texts is told what else there is."""
    parts = [Part(text="Look:"), Part(data={"a": 1}), Part(raw=b"x", media_type="image/png"), Part(url="http://a/b")]
    assert words_of(parts) == 'Look:\n{"a":1}\n[file: image/png]\n[http://a/b: a file]'
