"""LangGraph's functional API: the contract with the real framework, and what a function is given and gives."""

import asyncio
import dataclasses
from typing import Any, Literal, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, AnyMessage, BaseMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.func import entrypoint, task
from langgraph.graph.message import add_messages
from langgraph.pregel import NodeBuilder, Pregel
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import BaseModel

from a2a_bridge.agent import Agent, Ask, Caller, Chunk, Progress, ToolCall, ToolResult, outcome, traits_of
from a2a_bridge.cards.build import build_card
from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.adapter_case import SECRET, STOPS, said, within
from a2a_bridge.testing.adapter_contract import AdapterContract
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of
from adapters.langgraph.adapter import ADAPTER
from adapters.langgraph.entrypoint import EntrypointAgent
from tests.adapters.langchain_model import chat
from tests.adapters.test_langgraph import Weather, add, broken, erase


def agent_with(model: FakeOpenAI, *tools: Any, memory: Any = None) -> Any:
    """The agent of LangGraph's guide to the functional API: it calls its model until that calls no tool."""
    by_name = {one.name: one for one in tools}
    llm = chat(model).bind_tools(tools) if tools else chat(model)

    @task
    async def call_model(messages: list[BaseMessage]) -> Any:
        """Ask the model."""
        return await llm.ainvoke(messages)

    @task
    async def call_tool(call: Any) -> Any:
        """Run one tool."""
        return await by_name[call["name"]].ainvoke(call)

    @entrypoint(checkpointer=memory)
    async def agent(messages: list[BaseMessage], *, previous: Any = None) -> Any:
        """Answers, with tools.

        It asks its model, as long as that calls tools.
        """
        said = add_messages(previous or [], messages)
        answer = await call_model(said)
        while answer.tool_calls:
            results = await asyncio.gather(*[call_tool(call) for call in answer.tool_calls])
            said = add_messages(said, [answer, *results])
            answer = await call_model(said)
        return entrypoint.final(value=answer, save=add_messages(said, [answer]))

    return agent


def structured(model: FakeOpenAI, memory: Any = None) -> Any:
    """A function that returns a model of pydantic's."""

    @entrypoint(checkpointer=memory)
    async def weather(messages: list[AnyMessage]) -> Weather:
        answer = await chat(model).with_structured_output(Weather, method="function_calling").ainvoke(messages)
        assert isinstance(answer, Weather)
        return answer

    return weather


class TestFunctionWithCheckpointer(AdapterContract):
    """An `@entrypoint` with a checkpointer: the thread keeps what it returned."""

    module = "adapters.langgraph.adapter"
    ask = 'CALL erase {"what": "the disk"}'
    done = "erase the disk: yes"

    def plain(self, model: FakeOpenAI) -> Any:
        return agent_with(model, memory=InMemorySaver())

    def with_tools(self, model: FakeOpenAI) -> Any:
        return agent_with(model, add, broken, memory=InMemorySaver())

    def structured(self, model: FakeOpenAI) -> Any:
        return structured(model, InMemorySaver())

    def memory(self) -> Any:
        return InMemorySaver()

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        return agent_with(model, erase, memory=memory)


class TestFunctionWithoutCheckpointer(AdapterContract):
    """An `@entrypoint` without one: the history is handed over each time."""

    module = "adapters.langgraph.adapter"
    limits = {
        "pauses": "a graph without a checkpointer cannot wait",
        "restarts": "a graph without a checkpointer cannot wait",
    }

    def plain(self, model: FakeOpenAI) -> Any:
        return agent_with(model)

    def with_tools(self, model: FakeOpenAI) -> Any:
        return agent_with(model, add, broken)

    def structured(self, model: FakeOpenAI) -> Any:
        return structured(model)


# What a function is given


async def given(function: Any, *sent: str | Part) -> Any:
    """What the function is called with for a message of these parts; its questions if it is not called."""
    calls: list[Any] = []

    def noted(value: Any) -> None:
        calls.append(value)

    noted.__annotations__ = dict(getattr(function, "__annotations__", {}))
    agent = ADAPTER.adapt(entrypoint()(noted))
    parts = [Part(text=one) if isinstance(one, str) else one for one in sent]
    result = await said(agent, make_turn(make_message(parts)))
    return calls[0] if calls else result.asks


class Plan(TypedDict):
    """Two fields."""

    topic: str
    days: int


class Topic(TypedDict):
    """One field."""

    topic: str


@dataclasses.dataclass
class Trip:
    """One field that is needed."""

    topic: str
    days: int = 3


class State(TypedDict):
    """A state with messages."""

    messages: list[AnyMessage]
    topic: str


class Talked(BaseModel):
    """A model with messages."""

    messages: list[AnyMessage]
    topic: str = "rivers"


HINTS: list[tuple[Any, tuple[str | Part, ...], Any]] = [
    (str, ("rivers",), "rivers"),
    (str, ("see", Part(data={"a": 1})), 'see\n{"a":1}'),
    (None, ("rivers",), "rivers"),
    (None, (Part(data={"a": 1}),), {"a": 1}),
    (Any, ("rivers",), "rivers"),
    (int, ("42",), 42),
    (int, (Part(data=42),), 42),
    (list[int], (Part(data=[1, 2]),), [1, 2]),
    (Literal["red", "blue"], ("blue",), "blue"),
    (Topic, ("rivers",), {"topic": "rivers"}),
    (Plan, (Part(data={"topic": "rivers", "days": 2}),), {"topic": "rivers", "days": 2}),
    (Plan, ('{"topic": "rivers", "days": 2}',), {"topic": "rivers", "days": 2}),
    (Trip, ("rivers",), Trip("rivers")),
    (Weather, (Part(data={"city": "Oslo", "degrees": 3}),), Weather(city="Oslo", degrees=3)),
    (dict[str, Any], (Part(data={"a": 1}),), {"a": 1}),
]


@pytest.mark.parametrize(("hint", "sent", "value"), HINTS)
async def test_a_function_is_given_what_its_annotation_says(hint: Any, sent: Any, value: Any) -> None:
    """Ours: an entrypoint takes any one value; words become it where words can mean one."""

    def function(value: Any) -> None: ...

    function.__annotations__ = {} if hint is None else {"value": hint}
    assert await given(function, *sent) == value


@pytest.mark.parametrize(
    "hint", [list[AnyMessage], list[BaseMessage], list[BaseMessage] | BaseMessage, tuple[BaseMessage, ...] | None]
)
async def test_a_function_that_takes_messages_is_given_the_conversation(hint: Any) -> None:
    """Ours: with its history, when nothing of it is kept."""
    seen: list[Any] = []

    @entrypoint()
    async def function(heard: hint) -> str:
        seen.extend(heard)
        return "yes"

    talk = Talk(ADAPTER.adapt(function))
    await within(talk.say("one"))
    seen.clear()
    await within(talk.say("two"))
    assert [(type(one).__name__, one.content) for one in seen] == [
        ("HumanMessage", "one"),
        ("AIMessage", "yes"),
        ("HumanMessage", "two"),
    ]


async def test_a_parameter_called_messages_needs_no_annotation() -> None:
    """Ours: LangGraph's own guide writes `def agent(messages)`."""

    @entrypoint()
    def function(messages):  # type: ignore[no-untyped-def]
        return f"{len(messages)} {messages[-1].content}"

    assert (await said(ADAPTER.adapt(function), make_turn("hello"))).text == "1 hello"


async def test_a_state_with_messages_is_given_them_and_data_fills_in_the_rest() -> None:
    """Ours: a `dict` is taken for what graphs take."""
    words = await given(_taking(dict), "hello")
    assert [one.content for one in words["messages"]] == ["hello"]
    both = await given(_taking(dict), "hello", Part(data={"topic": "lakes"}))
    assert both["topic"] == "lakes"
    assert both["messages"][0].content.startswith("hello")
    assert (await given(_taking(State), "hello", Part(data={"topic": "lakes"})))["topic"] == "lakes"
    talked = await given(_taking(Talked), "hello")
    assert isinstance(talked, Talked)
    assert (talked.topic, talked.messages[0].content) == ("rivers", "hello")
    one = await given(_taking(HumanMessage), "hello")
    assert (type(one), one.content) == (HumanMessage, "hello")


def _taking(hint: Any) -> Any:
    def function(value: Any) -> None: ...

    function.__annotations__ = {"value": hint}
    return function


@pytest.mark.parametrize("keeps", [True, False])
async def test_words_that_cannot_be_what_a_function_takes_are_asked_for_again(keeps: bool) -> None:
    """Ours: the question has the JSON Schema, and its answer starts the run, with and without a checkpointer."""

    @entrypoint(checkpointer=InMemorySaver() if keeps else None)
    async def function(plan: Plan) -> str:
        return f"{plan['days']} days of {plan['topic']}"

    talk = Talk(ADAPTER.adapt(function))
    (ask,) = outcome(await within(talk.say("somewhere warm"))).asks
    assert ask.text == "This agent takes data with topic, days."
    assert isinstance(ask.schema, dict)
    assert set(ask.schema["properties"]) == {"topic", "days"}
    assert outcome(await within(talk.say("", {"topic": "lakes"}))).asks == (ask,)
    assert outcome(await within(talk.say("", {"topic": "lakes", "days": 2}))).text == "2 days of lakes"


# What a function gives


async def test_what_a_function_returns_is_its_answer(model: FakeOpenAI) -> None:
    """Ours: words replace what models said on the way; what has been heard is not said twice; data is a data part."""

    @task
    async def draft(topic: str) -> str:
        return str((await chat(model).ainvoke([HumanMessage(f"SAY a draft of {topic}")])).content)

    async def result(give: Any) -> list[Any]:
        @entrypoint()
        async def essay(topic: str) -> Any:
            return give(await draft(topic))

        return await within(replies_of(ADAPTER.adapt(essay), make_turn("rivers")))

    same = await result(lambda text: text)
    assert outcome(same).text == "a draft of rivers"
    assert not [one for one in same if isinstance(one, Chunk)]
    assert outcome(await result(lambda text: text.upper())).text == "A DRAFT OF RIVERS"
    assert outcome(await result(lambda text: None)).text == "a draft of rivers"
    assert [part.data for part in outcome(await result(lambda text: {"draft": text})).parts] == [
        {"draft": "a draft of rivers"}
    ]
    assert outcome(await result(lambda text: 3)).parts[0].data == 3
    told = [HumanMessage("?"), AIMessage("old"), HumanMessage("!"), AIMessage("new")]
    assert outcome(await result(lambda text: told)).text == "new"
    assert outcome(await result(lambda text: {"messages": told})).text == "new"
    both = outcome(await result(lambda text: {"messages": told, "structured_response": Weather(city="A", degrees=1)}))
    assert [part.data for part in both.parts if part.kind == "data"] == [{"city": "A", "degrees": 1.0}]


async def test_what_was_returned_before_is_not_heard_or_counted_again(model: FakeOpenAI) -> None:
    """Ours: LangGraph hands out every message that is returned, and functions return whole conversations."""

    @entrypoint(checkpointer=InMemorySaver())
    async def agent(messages: list[AnyMessage], *, previous: Any = None) -> Any:
        said = add_messages(previous or [], messages)
        return add_messages(said, [await chat(model).ainvoke(said)])

    talk = Talk(ADAPTER.adapt(agent))
    first = await within(talk.say("SAY one"))
    second = await within(talk.say("SAY two"))
    assert [one for one in second if isinstance(one, str | Chunk)] == ["two"]
    assert outcome(second).usage.output_tokens == outcome(first).usage.output_tokens == 1


async def test_a_writer_and_the_tools_of_tasks_and_of_agents_inside_are_told(model: FakeOpenAI) -> None:
    """Issue 2, part 7: progress and tool activity, of a graph inside a function too."""
    inner = create_agent(chat(model), [add], name="inner")

    @entrypoint()
    async def outer(text: str) -> Any:
        get_stream_writer()({"status": "asking"})
        return (await inner.ainvoke({"messages": [HumanMessage(text)]}))["messages"][-1]

    agent = ADAPTER.adapt(outer)
    replies = await within(replies_of(agent, make_turn('CALL add {"a": 2, "b": 3}')))
    assert Progress("asking") in replies
    assert [one.name for one in replies if isinstance(one, ToolCall)] == ["add"]
    assert [one.content for one in replies if isinstance(one, ToolResult)] == ["5"]
    assert outcome(replies).text == "Tool said: 5"
    assert [skill.id for skill in traits_of(agent).skills] == ["add"]


# Memory, pauses, threads


@pytest.mark.parametrize("takes", ["parameter", "runtime", "not at all"])
async def test_who_asks_for_what_it_returned_before_is_told_what_is_new(model: FakeOpenAI, takes: str) -> None:
    """Ours: nobody is told anything twice, and nobody forgets."""

    @entrypoint(checkpointer=InMemorySaver())
    async def by_parameter(messages: list[AnyMessage], *, previous: Any = None) -> Any:
        return entrypoint.final(value=f"heard {len(messages)}", save=messages)

    @entrypoint(checkpointer=InMemorySaver())
    async def by_runtime(messages: list[AnyMessage], runtime: Runtime[None]) -> Any:
        return entrypoint.final(value=f"heard {len(messages)}", save=[*(runtime.previous or []), *messages])

    @entrypoint(checkpointer=InMemorySaver())
    async def without(messages: list[AnyMessage]) -> str:
        return f"heard {len(messages)}"

    function = {"parameter": by_parameter, "runtime": by_runtime, "not at all": without}[takes]
    talk = Talk(ADAPTER.adapt(function))
    await within(talk.say("one"))
    assert outcome(await within(talk.say("two"))).text == ("heard 3" if takes == "not at all" else "heard 1")
    forgotten = Talk(ADAPTER.adapt(function), "elsewhere")
    forgotten.history = list(talk.history)
    assert outcome(await within(forgotten.say("three"))).text == "heard 5"


def asking(memory: Any) -> Agent:
    """A function that asks twice, and whose task must not be run again."""

    @task
    def number() -> int:
        RUNS.append(1)
        return len(RUNS)

    @entrypoint(checkpointer=memory)
    def careful(text: str) -> str:
        first = number().result()
        name = interrupt({"question": "Who?"})
        sure = interrupt({"question": f"Really {name}?", "options": ["yes", "no"]})
        return f"{text} {name} {sure} {first}"

    return ADAPTER.adapt(careful)


RUNS: list[int] = []


async def test_a_function_is_run_again_after_each_answer_and_its_tasks_are_not() -> None:
    """Issue 2, part 7: two questions one after another, answered in a new object; an unclear answer is asked again."""
    RUNS.clear()
    memory = InMemorySaver()
    talk = Talk(asking(memory))
    assert [ask.text for ask in outcome(await within(talk.say("erase"))).asks] == ["Who?"]
    talk.agent = asking(memory)
    assert [ask.text for ask in outcome(await within(talk.say("Ada"))).asks] == ["Really Ada?"]
    assert [ask.text for ask in outcome(await within(talk.say("hm"))).asks] == ["Really Ada?"]
    talk.agent = asking(memory)
    assert outcome(await within(talk.say("Yes!"))).text == "erase Ada yes 1"


async def test_a_new_message_drops_an_open_question() -> None:
    """Ours: a task that was given up leaves the thread free."""
    RUNS.clear()
    talk = Talk(asking(InMemorySaver()))
    await within(talk.say("erase"))
    talk.asks = ()
    assert [ask.text for ask in outcome(await within(talk.say("burn"))).asks] == ["Who?"]
    await within(talk.say("Bob"))
    assert outcome(await within(talk.say("no"))).text == "burn Bob no 2"


async def test_an_interrupt_without_a_checkpointer_fails_with_the_reason() -> None:
    """Frameworks §7 trap 6: it could never be resumed."""

    @entrypoint()
    def careful(text: str) -> str:
        return str(interrupt("Who?"))

    assert "checkpointer" in ((await said(ADAPTER.adapt(careful), make_turn("go"))).failed or "")


async def test_after_a_failure_an_old_question_is_not_open_and_the_thread_goes_on() -> None:
    """Ours: an answer that comes too late is told so."""

    @entrypoint(checkpointer=InMemorySaver())
    async def fragile(text: str, *, previous: Any = None) -> str:
        if text == "break":
            raise RuntimeError(SECRET)
        return f"{previous} {text}"

    talk = Talk(ADAPTER.adapt(fragile))
    await within(talk.say("one"))
    with pytest.raises(Exception, match="fragile"):
        await within(talk.say("break"))
    talk.asks = (Ask(text="still there?"),)
    assert "not open any more" in (outcome(await within(talk.say("yes"))).failed or "")
    assert outcome(await within(talk.say("two"))).text == "None one two"


# What is known before a run


def test_a_function_is_published_with_its_name_and_its_docstring(model: FakeOpenAI) -> None:
    """Ours: the card needs no further words."""
    card = build_card(ADAPTER.adapt(agent_with(model)), url="http://127.0.0.1/")
    assert card.name == "agent"
    assert card.description == "Answers, with tools.\n\nIt asks its model, as long as that calls tools."
    assert [skill.name for skill in card.skills] == ["agent"]


def test_a_function_with_sync_code_says_that_it_cannot_be_stopped(model: FakeOpenAI) -> None:
    """Architecture §1.1: sync functions and sync tasks run in threads."""
    assert not traits_of(asking(None)).stops_on_cancel

    @task
    def slow() -> None: ...

    @entrypoint()
    async def mixed(text: str) -> None:
        await slow()

    assert not traits_of(ADAPTER.adapt(mixed)).stops_on_cancel


async def test_a_cancelled_sync_function_waits_for_its_model_call(model: FakeOpenAI) -> None:
    """Architecture §1.1: what cannot be stopped keeps its slot."""

    @entrypoint()
    def sync(messages: list[AnyMessage]) -> Any:
        return chat(model).invoke(messages)

    turn = asyncio.create_task(replies_of(ADAPTER.adapt(sync), make_turn("SLOW")))
    await model.until(lambda m: m.open == 1)
    turn.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(turn)
    await model.until(lambda m: m.open == 0, STOPS)
    assert model.aborted == 1


async def test_a_function_gets_a_context_that_was_made_for_the_turn() -> None:
    """Ours: as nodes of a graph do."""

    @entrypoint(context_schema=str)
    async def who(text: str, runtime: Runtime[str]) -> str:
        return f"You are {runtime.context}."

    agent = EntrypointAgent(who, context=lambda turn: turn.caller.principal)
    assert (await said(agent, make_turn("go", caller=Caller("ada")))).text == "You are ada."


def test_a_pregel_made_by_hand_is_refused_with_a_way_out() -> None:
    """Ours: nothing says what a message would be in it."""
    from langgraph.channels import EphemeralValue

    node = NodeBuilder().subscribe_only("a").do(lambda x: x).write_to("b")
    made = Pregel(
        nodes={"one": node},
        channels={"a": EphemeralValue(str), "b": EphemeralValue(str)},
        input_channels="a",
        output_channels="b",
    )
    with pytest.raises(AdapterError, match="@entrypoint"):
        ADAPTER.adapt(made)
