"""Functional workflows of the Agent Framework: the contract with the real framework, and what a function does."""

import asyncio
import warnings
from typing import Any

import pytest
from agent_framework import (
    Agent,
    AgentSession,
    Content,
    FunctionalWorkflowDefinition,
    Message,
    RunContext,
    WorkflowEvent,
    step,
    tool,
    workflow,
)
from agent_framework_openai import OpenAIChatCompletionClient
from pydantic import BaseModel

from a2a_bridge.agent import Ask, Chunk, Progress, Reply, ToolCall, ToolResult, Usage, outcome, traits_of
from a2a_bridge.cards.build import build_card
from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.adapter_case import SECRET, said, within
from a2a_bridge.testing.adapter_contract import AdapterContract
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of
from adapters.agent_framework.adapter import ADAPTER
from tests.adapters.clients import openai_client
from tests.adapters.test_agent_framework import Weather, add, broken

with warnings.catch_warnings():  # the framework says once that this part of it is experimental
    warnings.simplefilter("ignore")
    FunctionalWorkflowDefinition(lambda message: None)


def worker(model: FakeOpenAI, *tools: Any, name: str = "worker", **options: Any) -> Agent:
    """An agent that talks to the fake server."""
    client = OpenAIChatCompletionClient(model="fake-model", async_client=openai_client(model))
    return Agent(client=client, name=name, tools=list(tools), default_options=options)


class TestFunction(AdapterContract):
    """A function (`@workflow`) that passes on what its agent streams."""

    module = "adapters.agent_framework.adapter"
    ask = "ASK"
    done = "allowed: True"

    def function(self, agent: Agent) -> Any:
        @workflow(name="flow")
        async def flow(messages: list[Message], ctx: RunContext) -> Any:
            if "ASK" in messages[-1].text:
                return f"allowed: {await ctx.request_info({'question': 'May I?'}, bool)}"
            stream = agent.run(messages, stream=True)
            async for update in stream:
                await ctx.add_event(WorkflowEvent("output", update, executor_id="worker"))
            return await stream.get_final_response()

        return flow

    def plain(self, model: FakeOpenAI) -> Any:
        return self.function(worker(model))

    def with_tools(self, model: FakeOpenAI) -> Any:
        return self.function(worker(model, add, broken))

    def structured(self, model: FakeOpenAI) -> Any:
        return self.function(worker(model, response_format=Weather))

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        return self.function(worker(model))


# What is known before a run, and what goes in


async def test_a_function_is_published_with_its_name_its_docstring_and_the_tools_it_names(model: FakeOpenAI) -> None:
    """Ours: the card needs no further words."""
    calculator = worker(model, add)

    @step(replay_key=lambda text: text)
    async def calculate(text: str) -> str:
        return (await calculator.run(text)).text

    @workflow
    async def desk(text: str) -> str:
        """Calculates."""
        return await calculate(text)

    card = build_card(ADAPTER.adapt(desk), url="http://127.0.0.1/")
    assert (card.name, card.description, [skill.id for skill in card.skills]) == ("desk", "Calculates.", ["add"])
    named = ADAPTER.adapt(desk.build().as_agent(name="other", description="Counts."))
    assert (named.name, named.description) == ("other", "Counts.")
    assert (await said(named, make_turn("SAY 5"))).text == "5"


async def given(kind: Any, *sent: str | Part, name: str = "value") -> Any:
    """What a function is called with for a message of these parts; the reason if it is not called."""
    calls: list[Any] = []

    async def function(value: Any) -> None:
        calls.append(value)

    async def talk(messages: Any) -> None:
        calls.append(messages)

    chosen = talk if name == "messages" else function
    chosen.__annotations__ = {} if kind is None else {name: kind}
    parts = [Part(text=one) if isinstance(one, str) else one for one in sent]
    turn = make_turn(make_message(parts), history=[make_message("before")])
    result = await said(ADAPTER.adapt(workflow(chosen)), turn)
    return calls[0] if calls else result.refused


async def test_a_function_is_given_what_its_annotation_says() -> None:
    """Ours: a workflow function takes any one value; words become it where words can mean one."""
    assert await given(str, "rivers") == "rivers"
    assert await given(None, "rivers") == "rivers"
    assert await given(None, Part(data={"a": 1})) == {"a": 1}
    assert await given(int, "42") == 42
    assert await given(Weather, Part(data={"city": "Oslo", "degrees": 3})) == Weather(city="Oslo", degrees=3)
    assert await given(Weather, '{"city": "Oslo", "degrees": 3}') == Weather(city="Oslo", degrees=3)
    assert (await given(Message, "rivers")).text == "rivers"
    for kind, name in ((list[Message], "value"), (str | list[Message], "value"), (None, "messages")):
        assert [message.text for message in await given(kind, "rivers", name=name)] == ["before", "rivers"]
    assert "Weather" in await given(Weather, "fine")


def test_a_function_that_takes_nothing_is_refused() -> None:
    """Ours: a message would have no place in it."""

    @workflow
    async def alone(ctx: RunContext) -> None: ...

    with pytest.raises(AdapterError, match="parameter"):
        ADAPTER.adapt(alone)


# What comes out


async def test_what_a_function_tells_is_told_as_it_happens(model: FakeOpenAI) -> None:
    """Ours: the framework itself tells the events when the run has ended."""
    go = asyncio.Event()

    @workflow
    async def slow(text: str, ctx: RunContext) -> str:
        await ctx.add_event(WorkflowEvent("intermediate", "half way", executor_id="slow"))
        await go.wait()
        return text

    told: list[Reply | str] = []
    async for reply in ADAPTER.adapt(slow).run(make_turn("done")):
        told.append(reply)
        go.set()
    assert told == [Progress("half way"), "done"]


async def test_what_was_streamed_is_not_told_again_when_it_is_returned(model: FakeOpenAI) -> None:
    """Ours: the words of a stream are often what the function returns; its tokens are counted once."""

    def returning(how: Any) -> Any:
        agent = worker(model)

        @workflow
        async def flow(text: str, ctx: RunContext) -> Any:
            stream = agent.run(text, stream=True)
            async for update in stream:
                await ctx.add_event(WorkflowEvent("output", update, executor_id="worker"))
            return how(await stream.get_final_response())

        return ADAPTER.adapt(flow)

    for how in (lambda response: response, lambda response: response.text, lambda response: response.messages[-1]):
        replies = await within(replies_of(returning(how), make_turn("SAY one two")))
        assert [one for one in replies if isinstance(one, str | Chunk)] == ["one ", "two"]
        assert len([one for one in replies if isinstance(one, Usage)]) == 1
    both = await within(replies_of(returning(lambda response: response.text.upper()), make_turn("SAY one two")))
    assert outcome(both).text == "one two\n\nONE TWO"
    data = await within(replies_of(returning(lambda response: Weather(city="A", degrees=1)), make_turn("SAY one")))
    assert [part.data for part in outcome(data).parts if part.kind == "data"] == [{"city": "A", "degrees": 1.0}]


async def test_the_calls_and_the_tokens_of_steps_are_told(model: FakeOpenAI) -> None:
    """Issue 5, part 1: a step that returns its agent's response is seen through."""
    agent = worker(model, add)

    @step
    async def calculate(text: str) -> Any:  # names what the framework could not keep, which no pause asks of it
        return await agent.run(text)

    @workflow
    async def flow(text: str) -> Any:
        response = await calculate(text)
        return {"answer": response.text}

    replies = await within(replies_of(ADAPTER.adapt(flow), make_turn('CALL add {"a": 2, "b": 3}')))
    assert [(one.name, one.arguments) for one in replies if isinstance(one, ToolCall)] == [("add", {"a": 2, "b": 3})]
    assert [one.content for one in replies if isinstance(one, ToolResult)] == ["5"]
    assert outcome(replies).usage.input_tokens > 0
    assert [part.data for part in outcome(replies).parts] == [{"answer": "Tool said: 5"}]


# Pauses


RUNS: list[str] = []


class Form(BaseModel):
    """What the planner wants to know."""

    days: int


def made(place: str) -> Any:
    """Hides a class from who reads the step's words: its annotation tells it."""
    return Weather(city=place, degrees=len(place))


@step
async def look_up(place: str) -> Weather:
    """Is run once."""
    RUNS.append(place)
    return made(place)  # type: ignore[no-any-return]


async def plan(text: str, ctx: RunContext) -> Any:
    """Plans."""
    known = await look_up(text)
    form = await ctx.request_info("How many days?", Form)
    ctx.set_state("days", form.days)
    sure = await ctx.request_info({"question": f"Really {form.days}?"}, bool)
    return {"place": text, "known": known.city, "days": form.days, "sure": sure}


async def test_a_function_asks_in_turn_and_every_answer_may_come_after_a_restart() -> None:
    """Issue 5, part 1: finished steps are not run again, earlier answers are given again, unclear ones asked again."""
    RUNS.clear()
    talk = Talk(ADAPTER.adapt(workflow(plan)))
    (ask,) = await within(talk.say("Oslo"))
    assert isinstance(ask, Ask)
    assert ask.text == "How many days?"
    assert ask.schema["properties"]["days"]["type"] == "integer"  # type: ignore[index, call-overload]
    assert await within(talk.say("many")) == [ask]
    talk.agent = ADAPTER.adapt(workflow(plan))
    (second,) = await within(talk.say("", {"days": 3}))
    assert isinstance(second, Ask)
    assert second.text == "Really 3?"
    talk.agent = ADAPTER.adapt(workflow(plan))
    result = outcome(await within(talk.say("yes")))
    assert [part.data for part in result.parts] == [{"place": "Oslo", "known": "Oslo", "days": 3, "sure": True}]
    assert RUNS == ["Oslo"]
    talk.asks = (ask,)
    assert "not open any more" in (outcome(await within(talk.say("yes"))).failed or "")


@pytest.mark.parametrize("kind", [Form, str])
async def test_a_function_that_was_changed_since_it_asked_says_that_its_question_is_gone(kind: Any) -> None:
    """Ours: the framework would not take the old checkpoint, nor classes that the function does not name any more."""
    forms = [kind, Weather]
    talk = Talk(ADAPTER.adapt(workflow(plan)))
    await within(talk.say("Oslo"))

    @step
    async def another(place: str) -> str:
        return place

    async def plan_again(text: str, ctx: RunContext) -> str:
        return await another(text if forms else "")

    talk.agent = ADAPTER.adapt(workflow(name="plan")(plan_again))
    assert "not open any more" in (outcome(await within(talk.say("", {"days": 3}))).failed or "")
    talk.asks = ()
    assert outcome(await within(talk.say("here"))).text == "here"


async def test_questions_at_the_same_time_are_asked_one_after_another() -> None:
    """Ours: the framework lets a run pause for one of them."""

    @workflow
    async def both(text: str, ctx: RunContext) -> str:
        async def ask(name: str) -> bool:
            return bool(await ctx.request_info(name, bool, request_id=name))

        first, second = await asyncio.gather(ask("a"), ask("b"))
        return f"{text} {first} {second}"

    talk = Talk(ADAPTER.adapt(both))
    assert [ask.id for ask in outcome(await within(talk.say("go"))).asks] == ["a"]
    assert [ask.id for ask in outcome(await within(talk.say("yes"))).asks] == ["b"]
    assert outcome(await within(talk.say("no"))).text == "go True False"


async def test_an_approval_that_an_agent_asks_for_is_passed_on(model: FakeOpenAI) -> None:
    """Issue 5, part 1: a function hands the requests of its agents to the outside."""

    @tool(approval_mode="always_require")
    async def erase(what: str) -> str:
        """Erase something."""
        return f"erased {what}"

    agent = worker(model, erase)

    @step(replay_key=lambda messages: messages[-1].text)
    async def begin(messages: list[Message]) -> Any:
        session = agent.create_session()
        response = await agent.run(messages, session=session)
        return {"session": session.to_dict(), "response": response}

    @workflow
    async def careful(messages: list[Message], ctx: RunContext) -> Any:
        begun = await begin(messages)  # a step: run again, the model would ask for another approval
        answers = [await ctx.request_info(one, Content) for one in begun["response"].user_input_requests]
        return await agent.run(Message("user", answers), session=AgentSession.from_dict(begun["session"]))

    talk = Talk(ADAPTER.adapt(careful))
    (ask,) = outcome(await within(talk.say('CALL erase {"what": "it"}'))).asks
    assert (ask.text, ask.options) == ('May erase be called with {"what": "it"}?', ("yes", "no"))
    assert "erased it" in outcome(await within(talk.say("yes"))).text


# One run after another, and at the same time


async def test_two_contexts_run_at_the_same_time_and_neither_sees_the_other() -> None:
    """Issue 5, part 1: a workflow runs once at a time, so each turn has its own."""
    begun, go = asyncio.Semaphore(0), asyncio.Event()

    @workflow
    async def flow(text: str, ctx: RunContext) -> str:
        ctx.set_state("text", text)
        begun.release()
        await go.wait()
        return str(ctx.get_state("text"))

    agent = ADAPTER.adapt(flow.build())
    turns = [asyncio.create_task(said(agent, make_turn(text, context_id=text))) for text in ("left", "right")]
    for _ in turns:
        await within(begun.acquire())
    go.set()
    assert [(await turn).text for turn in turns] == ["left", "right"]


async def test_a_function_that_fails_says_nothing_of_why_and_leaves_no_task(model: FakeOpenAI) -> None:
    """Ours: what was told before is told, the reason is not."""

    @workflow
    async def flow(text: str, ctx: RunContext) -> str:
        await ctx.add_event(WorkflowEvent("intermediate", "half way", executor_id="flow"))
        raise RuntimeError(SECRET)

    before = asyncio.all_tasks()
    replies = ADAPTER.adapt(flow).run(make_turn("go"))
    told = [await anext(replies)]
    with pytest.raises(AdapterError, match="RuntimeError"):
        await anext(replies)
    assert told == [Progress("half way")]
    assert asyncio.all_tasks() == before


async def test_a_function_that_takes_words_says_so_on_its_card() -> None:
    """Ours: files would have no place."""

    @workflow
    async def words(text: str) -> str:
        return text

    assert traits_of(ADAPTER.adapt(words)).input_modes == ("text/plain", "application/json")
