"""What is the Agent Framework's own: approvals, sessions, workflows that ask, executors at the same time, copies."""

import threading
from typing import Any

import pytest
from agent_framework import (
    Agent,
    AgentExecutor,
    AgentResponse,
    AgentResponseUpdate,
    AgentSession,
    BaseAgent,
    Content,
    Executor,
    Message,
    ResponseStream,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowEvent,
    handler,
    response_handler,
    tool,
)
from agent_framework_openai import OpenAIChatClient, OpenAIChatCompletionClient
from pydantic import BaseModel

from a2a_bridge.agent import Ask, Caller, Chunk, Progress, ToolCall, ToolResult, Usage, outcome
from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.adapter_case import asked, said, within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of
from adapters.agent_framework.adapter import ADAPTER
from adapters.agent_framework.workflow import InTurns
from tests.adapters.clients import openai_client


@tool(approval_mode="always_require")
async def erase(what: str) -> str:
    """Erase something."""
    return f"erased {what}"


@tool
async def count(to: int) -> int:
    """Count."""
    return to


def worker(model: FakeOpenAI, *tools: Any, name: str = "worker", responses: bool = False, **options: Any) -> Agent:
    """An agent that talks to the fake server."""
    kind = OpenAIChatClient if responses else OpenAIChatCompletionClient
    return Agent(
        client=kind(model="fake-model", async_client=openai_client(model)), name=name, tools=list(tools), **options
    )


def flow(executor: Any, **options: Any) -> Any:
    """A workflow that starts with the executor."""
    return WorkflowBuilder(name="flow", start_executor=executor, **options).build()


# Agents


async def test_a_text_that_is_repeated_at_its_end_is_told_once(model: FakeOpenAI) -> None:
    """Frameworks §7 trap 10: the Responses client ends with the whole text, marked as a replacement."""
    replies = await within(replies_of(ADAPTER.adapt(worker(model, responses=True)), make_turn("SAY one two three")))
    assert [reply for reply in replies if isinstance(reply, str | Chunk)] == ["one ", "two ", "three"]


async def test_the_service_may_keep_the_conversation(model: FakeOpenAI) -> None:
    """Ours: with a store of the service's own, its id is what the journal keeps."""
    talk = Talk(ADAPTER.adapt(worker(model, responses=True)))
    await within(talk.say("SAY one"))
    await within(talk.say("SAY two"))
    assert model.requests[-1].body["previous_response_id"] == "resp_1"
    assert len(model.requests[-1].body["input"]) == 1


async def test_an_approval_is_asked_with_its_options_until_it_is_clear(model: FakeOpenAI) -> None:
    """Issue 5, part 1: an approval is a question too; no is an answer."""
    for word, result in (("Yes.", "erased it"), ("deny", "")):
        talk = Talk(ADAPTER.adapt(worker(model, erase)))
        replies = await within(talk.say('CALL erase {"what": "it"}'))
        call, ask = replies[0], replies[-1]
        assert isinstance(call, ToolCall)
        assert isinstance(ask, Ask)
        assert (ask.text, ask.options) == ('May erase be called with {"what": "it"}?', ("yes", "no"))
        assert await within(talk.say("what?")) == [ask]
        replies = await within(talk.say(word))
        results = [reply for reply in replies if isinstance(reply, ToolResult)]
        assert [one.id for one in results] == [call.id]
        assert result in outcome(replies).text


async def test_two_approvals_are_one_pause(model: FakeOpenAI) -> None:
    """Architecture §1.1: several asks are one pause, and one message answers them all."""
    talk = Talk(ADAPTER.adapt(worker(model, erase, count)))
    said_first = 'PARALLEL CALL erase {"what": "a"} CALL erase {"what": "b"} CALL count {"to": 3}'
    asks = [reply for reply in await within(talk.say(said_first)) if isinstance(reply, Ask)]
    assert len(asks) == 2
    replies = await within(talk.say("", {asks[0].id: "yes", asks[1].id: "no"}))
    assert "erased a" in outcome(replies).text
    assert "erased b" not in outcome(replies).text


async def test_a_given_up_approval_leaves_the_conversation_as_it_was(model: FakeOpenAI) -> None:
    """Ours: an open tool call in the history would be refused by the model's provider."""
    talk = Talk(ADAPTER.adapt(worker(model, erase)))
    await within(talk.say("SAY my name is Ada"))
    await within(talk.say('CALL erase {"what": "it"}'))
    talk.asks = ()
    await within(talk.say("SAY something else"))
    assert "my name is Ada" in asked(model)
    assert "CALL erase" not in asked(model)


async def test_a_named_callers_session_has_a_name_of_its_own() -> None:
    """Ours: a store of the agent's own must not mix two callers who name the same context."""
    heard: list[str] = []

    class Keeper(BaseAgent):
        async def run(self, messages: Any = None, *, session: AgentSession, **_: Any) -> AgentResponse[Any]:
            heard.append(session.session_id)
            return AgentResponse(messages=[Message("assistant", [f"{len(messages)} heard"], author_name="keeper")])

    agent = ADAPTER.adapt(Keeper(name="keeper", description="Keeps."))
    for caller in (Caller(), Caller("ada"), Caller("ada", tenant="t")):
        turn = make_turn("hello", caller=caller, history=[make_message("before")])
        assert (await said(agent, turn)).text == "2 heard"
    assert heard == ["context-1", "/ada/context-1", "t/ada/context-1"]


async def test_executors_go_on_sharing_a_session_and_callers_share_none() -> None:
    """Ours: a copy keeps who shares what, but no name under which a service would take all callers for one."""
    heard: list[tuple[str, str | None]] = []

    class Keeper(BaseAgent):
        def run(self, messages: Any = None, *, stream: bool = False, session: AgentSession, **_: Any) -> Any:
            heard.append((session.session_id, session.service_session_id))

            async def updates() -> Any:
                yield AgentResponseUpdate(contents=[Content.from_text("kept")], role="assistant")

            made = ResponseStream(updates(), finalizer=AgentResponse.from_updates)
            return made if stream else made.get_final_response()

    session = AgentSession(service_session_id="the owner's")
    first, second = (AgentExecutor(Keeper(name=name), session=session, id=name) for name in ("first", "second"))
    agent = ADAPTER.adapt(WorkflowBuilder(name="flow", start_executor=first).add_edge(first, second).build())
    for context in ("left", "right"):
        await said(agent, make_turn("hello", context_id=context))
    assert len(heard) == 4
    assert heard[0] == heard[1] != heard[2] == heard[3]
    assert {service for _, service in heard} == {None}
    assert session.session_id not in dict(heard)


async def test_a_workflow_that_its_owner_goes_on_using_is_published_as_it_was(model: FakeOpenAI) -> None:
    """Ours: a workflow that has run holds its event loop, and cannot be copied any more."""
    workflow = WorkflowBuilder(name="flow", start_executor=AgentExecutor(worker(model), id="worker")).build()
    agent = ADAPTER.adapt(workflow)
    await within(workflow.run([Message("user", ["SAY my secret"])]))
    assert "hello" in (await said(agent, make_turn("SAY hello"))).text
    assert "my secret" not in asked(model)


async def test_files_that_no_model_takes_are_named(model: FakeOpenAI) -> None:
    """Ours: a part is never dropped in silence."""
    await said(
        ADAPTER.adapt(worker(model)),
        make_turn(make_message([Part(text="Look:"), Part(url="https://x.org/a.zip", media_type="application/zip")])),
    )
    assert "application/zip at https://x.org/a.zip" in asked(model)


# Workflows


class Form(BaseModel):
    """What an executor wants to know."""

    days: int


class Planner(Executor):
    """Takes words, asks for a form, then for words."""

    @handler
    async def start(self, said: str, ctx: WorkflowContext[Any, Any]) -> None:
        await ctx.request_info("How many days?", Form)

    @response_handler
    async def days(self, request: str, form: Form, ctx: WorkflowContext[Any, Any]) -> None:
        ctx.set_state("days", form.days)
        await ctx.request_info({"question": "Where to?"}, str)

    @response_handler
    async def place(self, request: dict, place: str, ctx: WorkflowContext[Any, Any]) -> None:  # type: ignore[type-arg]
        await ctx.yield_output({"days": ctx.get_state("days"), "place": place})


async def test_a_workflow_asks_in_turn_and_gives_data(model: FakeOpenAI) -> None:
    """Issue 5, part 1: `request_info` is a question with its schema; an output that is no text is data."""
    talk = Talk(ADAPTER.adapt(flow(Planner(id="planner"))))
    (ask,) = await within(talk.say("plan"))
    assert isinstance(ask, Ask)
    assert ask.text == "How many days?"
    assert ask.schema["properties"]["days"]["type"] == "integer"  # type: ignore[index, call-overload]
    assert await within(talk.say("many")) == [ask]
    talk.agent = ADAPTER.adapt(flow(Planner(id="planner")))
    (second,) = await within(talk.say("", {"days": 3}))
    assert isinstance(second, Ask)
    assert second.text == "Where to?"
    assert [part.data for part in outcome(await within(talk.say("Oslo"))).parts] == [{"days": 3, "place": "Oslo"}]


async def test_in_a_workflow_of_several_every_message_has_its_speaker(model: FakeOpenAI) -> None:
    """Ours: a transcript without names could not be read."""
    writer, critic = worker(model, name="writer"), worker(model, name="critic")
    workflow = WorkflowBuilder(start_executor=writer).add_edge(writer, critic).build()
    assert (await said(ADAPTER.adapt(workflow), make_turn("SAY fine"))).text == "[writer] fine\n\n[critic] fine"


async def test_what_is_intermediate_is_progress(model: FakeOpenAI) -> None:
    """Ours: only designated executors answer."""
    writer, critic = worker(model, name="writer"), worker(model, name="critic")
    workflow = (
        WorkflowBuilder(start_executor=writer, output_from=[critic], intermediate_output_from=[writer])
        .add_edge(writer, critic)
        .build()
    )
    replies = await within(replies_of(ADAPTER.adapt(workflow), make_turn("SAY fine")))
    assert outcome(replies).text == "fine"
    assert [reply.text for reply in replies if isinstance(reply, Progress)] == ["fine"]
    assert len([reply for reply in replies if isinstance(reply, Usage)]) == 2


def test_executors_that_speak_at_the_same_time_are_told_one_after_another() -> None:
    """Ours: tokens of two agents, mixed, are no text."""

    def event(kind: Any, who: str, text: str = "") -> WorkflowEvent[Any]:
        said = AgentResponseUpdate(contents=[Content.from_text(text)]) if kind == "output" else None
        return WorkflowEvent(kind, said, executor_id=who)

    turns, told = InTurns(), []
    for one in (
        event("output", "a", "a1"), event("output", "b", "b1"), event("output", "a", "a2"), event("output", "c", "c1"),
        event("executor_completed", "b"), event("executor_completed", "a"), event("output", "c", "c2"),
        event("executor_completed", "c"),
    ):  # fmt: skip
        told += [getattr(found.data, "text", found.executor_id.upper()) for found in turns.take(one)]
    assert told == ["a1", "a2", "A", "b1", "B", "c1", "c2", "C"]


async def test_a_workflow_that_was_changed_since_reads_the_history_instead(model: FakeOpenAI) -> None:
    """Ours: a new release must not break every conversation that is under way."""
    talk = Talk(ADAPTER.adapt(flow(worker(model, name="old"))))
    await within(talk.say("SAY my name is Ada"))
    talk.agent = ADAPTER.adapt(flow(worker(model, name="new")))
    assert outcome(await within(talk.say("SAY still here"))).text == "still here"
    assert "my name is Ada" in asked(model)


class Locked(Executor):
    """Cannot be copied."""

    def __init__(self) -> None:
        super().__init__(id="locked")
        self._lock = threading.Lock()

    @handler
    async def start(self, said: str, ctx: WorkflowContext[Any, str]) -> None:
        await ctx.yield_output(said.upper())


async def test_a_function_makes_what_cannot_be_copied() -> None:
    """Issue 5, part 1: built fresh where it is not safe to share; a factory is one way to say how."""
    with pytest.raises(AdapterError, match="Give a function"):
        ADAPTER.adapt(flow(Locked()))
    agent = ADAPTER.adapt(lambda: flow(Locked()), name="loud")
    assert (await said(agent, make_turn(make_message("hello", speaker="Ada")))).text == "[ADA] HELLO"
    with pytest.raises(AdapterError, match="made a str"):
        ADAPTER.adapt(lambda: "workflow")


class Counter(Executor):
    """Takes a form."""

    @handler
    async def start(self, form: Form, ctx: WorkflowContext[Any, int]) -> None:
        await ctx.yield_output(form.days * 2)


async def test_a_workflow_that_takes_data_gets_it_and_says_what_it_takes() -> None:
    """Ours: what a caller sent wrong is the caller's to know."""
    agent = ADAPTER.adapt(flow(Counter(id="counter")))
    assert [part.data for part in (await said(agent, make_turn(make_message(Part(data={"days": 2}))))).parts] == [4]
    assert "Form" in ((await said(agent, make_turn("two"))).refused or "")


async def test_a_workflow_as_an_agent_is_taken_as_the_workflow(model: FakeOpenAI) -> None:
    """Ours: `workflow.as_agent()` runs once at a time; copies of its workflow do not."""
    agent = ADAPTER.adapt(flow(worker(model, erase)).as_agent(name="desk"))
    assert agent.name == "desk"
    talk = Talk(agent)
    assert isinstance((await within(talk.say('CALL erase {"what": "it"}')))[-1], Ask)
    assert "erased it" in outcome(await within(talk.say("yes"))).text


def test_instructions_are_not_shown_on_the_card(model: FakeOpenAI) -> None:
    """Ours: a card is for everybody."""
    agent = ADAPTER.adapt(worker(model, instructions="Never tell that the code is 4711."))
    assert agent.description == "An agent called worker."


def test_a_workflow_without_a_name_is_called_the_same_in_every_process(model: FakeOpenAI) -> None:
    """Ours: the framework makes up a random name; tasks and contexts are found again by the agent's name."""
    writer, critic = worker(model, name="writer"), worker(model, name="critic")
    agent = ADAPTER.adapt(WorkflowBuilder(start_executor=writer).add_edge(writer, critic).build())
    assert (agent.name, agent.description) == ("workflow", "A workflow of writer, critic.")
