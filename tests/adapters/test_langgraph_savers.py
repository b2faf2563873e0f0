"""Checkpointers without async methods, as LangGraph's own for SQLite and Postgres are, behind a served agent."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.func import entrypoint
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

from a2a_bridge.agent import Ask, outcome
from a2a_bridge.testing.adapter_case import within
from a2a_bridge.testing.turns import Talk
from adapters.langgraph.adapter import ADAPTER


class Kept(BaseCheckpointSaver[Any]):
    """One that inherits async methods which raise. `threads`: where it was called."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = InMemorySaver()
        self.threads: set[int] = set()

    def get_tuple(self, config: Any) -> Any:
        self.threads.add(threading.get_ident())
        return self.inner.get_tuple(config)

    def list(self, config: Any, **options: Any) -> Iterator[Any]:
        return self.inner.list(config, **options)

    def put(self, *args: Any) -> Any:
        self.threads.add(threading.get_ident())
        return self.inner.put(*args)

    def put_writes(self, *args: Any) -> None:
        self.inner.put_writes(*args)

    def get_next_version(self, current: Any, channel: None) -> Any:
        return self.inner.get_next_version(current, channel)


class Refusing(Kept):
    """One that has async methods which raise, as `SqliteSaver` does."""

    async def aget_tuple(self, config: Any) -> Any:
        raise NotImplementedError("use another saver")

    async def alist(self, config: Any, **options: Any) -> AsyncIterator[Any]:
        raise NotImplementedError("use another saver")
        yield

    async def aput(self, *args: Any) -> Any:
        raise NotImplementedError("use another saver")


def ask(state: MessagesState) -> dict[str, Any]:
    """A step that stops for an answer."""
    return {"messages": [AIMessage(f"The answer was {interrupt('Which colour?')}.")]}


def asking(saver: Any) -> Any:
    """A graph that asks."""
    builder = StateGraph(MessagesState)
    builder.add_node("ask", ask)
    builder.add_edge(START, "ask")
    return ADAPTER.adapt(builder.compile(checkpointer=saver))


async def test_a_question_is_kept_and_answered_by_another_object_and_off_the_loop() -> None:
    """Issue 5, part 1: an answer after a restart needs a store, and LangGraph's own ones on disk are sync."""
    for kind in (Kept, Refusing):
        saver = kind()
        talk = Talk(asking(saver), kind.__name__)
        assert isinstance((await within(talk.say("go")))[-1], Ask)
        talk.agent = asking(saver)
        assert outcome(await within(talk.say("blue"))).text == "The answer was blue."
        assert saver.threads
        assert threading.get_ident() not in saver.threads


async def test_a_checkpointer_in_memory_is_warned_about_and_its_forgotten_question_is_explained(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Ours: the store keeps the task over a restart, the graph's thread is gone."""
    talk = Talk(asking(Kept()))
    assert "is in memory" not in caplog.text
    talk.agent = asking(InMemorySaver())
    assert "the checkpointer of 'LangGraph' is in memory" in caplog.text
    assert isinstance((await within(talk.say("go")))[-1], Ask)
    talk.agent = asking(InMemorySaver())
    assert "the server was restarted" in (outcome(await within(talk.say("blue"))).failed or "")


async def test_functions_have_them_too() -> None:
    """Ours: the functional API keeps its threads in the same way."""

    @entrypoint(checkpointer=Kept())
    async def remember(text: str, *, previous: Any = None) -> str:
        return f"{previous or ''}{text}"

    talk = Talk(ADAPTER.adapt(remember))
    await within(talk.say("one"))
    assert outcome(await within(talk.say("two"))).text == "onetwo"


async def test_the_history_of_a_thread_can_be_read() -> None:
    """Ours: nodes may look at their own past."""
    agent = asking(Refusing())
    await within(Talk(agent, "context").say("go"))
    saver = agent._runs.checkpointer
    found = [one async for one in saver.alist({"configurable": {"thread_id": "context"}})]
    assert found
    await asyncio.wait_for(saver.aput_writes(found[0].config, [], "task"), 5)
