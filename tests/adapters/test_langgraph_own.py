"""What is LangGraph's own: graphs of other shapes, interrupts of other kinds, threads, limits."""

import asyncio
import contextlib
import operator
from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.config import get_stream_writer
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt
from pydantic import BaseModel
from typing_extensions import TypedDict

from a2a_bridge.agent import Agent, Ask, Caller, Chunk, Progress, Reply, Say, ToolCall, ToolResult, outcome, traits_of
from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.objects import Part, Role
from a2a_bridge.testing.adapter_case import STOPS, asked, said, within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of
from adapters.langgraph.adapter import ADAPTER
from adapters.langgraph.graph import GraphAgent
from tests.adapters.langchain_model import chat


def graph_of(*steps: Any, state: Any = MessagesState, memory: Any = None, **options: Any) -> Agent:
    """A graph whose steps come one after another, adapted."""
    builder = StateGraph(state)
    names = [step.__name__ for step in steps]
    for name, step in zip(names, steps, strict=True):
        builder.add_node(name, step)
    for before, after in zip([START, *names], [*names, END], strict=True):
        builder.add_edge(before, after)
    return ADAPTER.adapt(builder.compile(checkpointer=memory, **options))


@tool
def erase(what: str) -> str:
    """Erase something, if a human agrees."""
    return f"erase {what}: {interrupt({'question': f'Erase {what}?', 'options': ['yes', 'no']})}"


def asks_in(replies: list[Reply | str]) -> list[Ask]:
    """The questions of a turn."""
    return [reply for reply in replies if isinstance(reply, Ask)]


async def streamed(agent: Agent, text: str) -> str:
    """What a reader sees of an answer while it comes; nothing of it is replaced afterwards."""
    replies = await within(replies_of(agent, make_turn(text)))
    assert not [reply for reply in replies if isinstance(reply, Chunk)]
    return "".join(reply for reply in replies if isinstance(reply, str))


class Topic(TypedDict):
    """A state without messages."""

    topic: str
    log: Annotated[list[str], operator.add]


class OnlyTopic(TypedDict):
    """An input of one key."""

    topic: str


def write(state: Topic) -> dict[str, Any]:
    """A step without a model."""
    get_stream_writer()({"status": "writing"})
    return {"log": [f"about {state['topic']}"]}


# Shapes of graphs


async def test_a_builder_is_compiled() -> None:
    """Ours: `serve(StateGraph(...))` needs no compile()."""
    builder = StateGraph(MessagesState)
    builder.add_node("reply", lambda state: {"messages": [AIMessage("compiled")]})
    builder.add_edge(START, "reply")
    assert (await said(ADAPTER.adapt(builder), make_turn("hello"))).text == "compiled"


async def test_a_graph_without_messages_takes_its_one_input_and_answers_with_data() -> None:
    """Ours: the text is the one key of the input schema, what the graph holds in the end is the answer."""
    builder = StateGraph(Topic, input_schema=OnlyTopic)
    builder.add_node("write", write)
    builder.add_edge(START, "write")
    agent = ADAPTER.adapt(builder)
    replies = await within(replies_of(agent, make_turn("rivers")))
    assert Progress("writing") in replies
    assert [part.data for part in outcome(replies).parts] == [{"log": ["about rivers"]}]
    assert (await said(agent, make_turn(make_message(Part(data={"topic": "lakes"}))))).parts[0].data == {
        "log": ["about lakes"]
    }


def test_a_graph_with_several_inputs_is_refused_with_a_way_out() -> None:
    """Ours: a message cannot be spread over keys, and says so when the graph is adapted."""
    builder = StateGraph(Topic)
    builder.add_node("write", write)
    builder.add_edge(START, "write")
    with pytest.raises(AdapterError, match="input_schema"):
        ADAPTER.adapt(builder)


async def test_a_node_that_copies_what_its_model_streamed_is_heard_once(model: FakeOpenAI) -> None:
    """Ours: LangGraph hands out both, the tokens and the new message."""

    async def writer(state: MessagesState) -> dict[str, Any]:
        answer = await chat(model).ainvoke(state["messages"])
        return {"messages": [AIMessage(answer.content, name="writer")]}

    assert await streamed(graph_of(writer), "SAY just once") == "just once"


async def test_a_guard_that_takes_words_out_has_the_last_word(model: FakeOpenAI) -> None:
    """Ours: what the graph put into its state is the answer, even when other tokens were streamed."""

    async def answer(state: MessagesState) -> dict[str, Any]:
        return {"messages": [await chat(model).ainvoke(state["messages"])]}

    def guard(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("It is ***.", id=state["messages"][-1].id)]}

    assert (await said(graph_of(answer, guard), make_turn("SAY It is 1234."))).text == "It is ***."


async def test_two_models_at_the_same_time_are_not_mixed_up(model: FakeOpenAI) -> None:
    """Ours: tokens of parallel nodes are shown a message at a time."""
    builder = StateGraph(MessagesState)
    for name in ("left", "right"):

        async def speak(state: MessagesState, name: str = name) -> dict[str, Any]:
            return {"messages": [await chat(model).ainvoke([HumanMessage(f"SAY {name} one two three SLOW")])]}

        builder.add_node(name, speak)
        builder.add_edge(START, name)
    model.release()
    text = (await said(ADAPTER.adapt(builder), make_turn("go"))).text
    assert len(text.split("\n\n")) == 2
    for name in ("left", "right"):
        assert f"{name} one two three" in text


async def test_a_model_inside_a_tool_does_not_speak_for_the_agent(model: FakeOpenAI) -> None:
    """Ours: what a tool's own model says is the tool's result, not the answer."""

    @tool
    async def consult(question: str) -> str:
        """Ask somebody else."""
        return str((await chat(model).ainvoke([HumanMessage(question)])).content)

    agent = ADAPTER.adapt(create_agent(chat(model), [consult]))
    assert await streamed(agent, 'CALL consult {"question": "SAY secret"}') == "Tool said: secret"


async def test_an_agent_inside_a_graph_speaks_for_it(model: FakeOpenAI) -> None:
    """Issue 2, part 7: subgraphs are included, tool activity too."""
    builder = StateGraph(MessagesState)
    builder.add_node("inner", create_agent(chat(model), [erase], name="inner"))
    builder.add_edge(START, "inner")
    agent = ADAPTER.adapt(builder.compile(checkpointer=InMemorySaver()))
    talk = Talk(agent)
    assert outcome(await within(talk.say("SAY from inside"))).text == "from inside"
    replies = await within(talk.say('CALL erase {"what": "it"}'))
    assert [ask.text for ask in asks_in(replies)] == ["Erase it?"]
    replies = await within(talk.say("no"))
    assert outcome(replies).text == "Tool said: erase it: no"
    assert len([reply for reply in replies if isinstance(reply, ToolCall)]) == 0


async def test_a_structured_response_is_a_data_part(model: FakeOpenAI) -> None:
    """Ours: `response_format` gives data, not JSON in words."""

    class Weather(BaseModel):
        city: str
        degrees: float

    agent = ADAPTER.adapt(create_agent(chat(model), response_format=Weather))
    result = await said(agent, make_turn('JSON {"city": "Oslo", "degrees": 3.5}'))
    assert [part.data for part in result.parts] == [{"city": "Oslo", "degrees": 3.5}]


async def test_a_step_that_never_ends_is_stopped_with_a_reason() -> None:
    """Frameworks §7 trap 6: the framework's own limit is ten thousand steps."""

    async def again(state: MessagesState) -> dict[str, Any]:
        return {}

    builder = StateGraph(MessagesState)
    builder.add_node("again", again)
    builder.add_edge(START, "again")
    builder.add_edge("again", "again")
    assert "100 steps" in ((await said(ADAPTER.adapt(builder), make_turn("go"))).failed or "")


async def test_nodes_get_a_context_that_was_made_for_the_turn() -> None:
    """Ours: made for each turn, with its caller at hand."""

    def who(state: MessagesState, runtime: Runtime[str]) -> dict[str, Any]:
        return {"messages": [AIMessage(f"You are {runtime.context}.")]}

    builder = StateGraph(MessagesState, context_schema=str)
    builder.add_node("who", who)
    builder.add_edge(START, "who")
    agent = GraphAgent(builder, context=lambda turn: turn.caller.principal)
    assert (await said(agent, make_turn("go", caller=Caller("ada")))).text == "You are ada."


def test_a_graph_that_misses_its_context_is_pointed_out(caplog: pytest.LogCaptureFixture) -> None:
    """Ours: its nodes would fail in every turn, and a caller cannot say why."""
    builder = StateGraph(MessagesState, context_schema=str)
    builder.add_node("reply", lambda state: {"messages": [AIMessage("hello")]})
    builder.add_edge(START, "reply")
    ADAPTER.adapt(builder)
    assert "GraphAgent(graph, context=...)" in caplog.text
    caplog.clear()
    GraphAgent(builder, context=lambda turn: "context")
    assert caplog.records == []


# What goes in


async def test_files_and_images_reach_the_model(model: FakeOpenAI) -> None:
    """Issue 2, part 7: parts become content blocks."""
    agent = ADAPTER.adapt(create_agent(chat(model)))
    image = Part(raw=b"\x89PNG", media_type="image/png")
    link = Part(url="https://pictures.invalid/a.png", media_type="image/png")
    await said(agent, make_turn(make_message([Part(text="What is this?"), image, link, Part(data={"a": 1})])))
    content = model.requests[-1].body["messages"][-1]["content"]
    assert [block["type"] for block in content] == ["text", "image_url", "image_url", "text"]
    assert content[1]["image_url"]["url"] == "data:image/png;base64,iVBORw=="
    assert content[3]["text"] == '{"a":1}'


async def test_speakers_are_named_and_the_agents_own_words_are_its_own(model: FakeOpenAI) -> None:
    """Architecture §6: adapters use `speaker_of` and the framework's own name field."""
    agent = ADAPTER.adapt(create_agent(chat(model)), name="planner")
    history = [
        make_message("Hello all.", speaker="the host"),
        make_message("I plan.", role=Role.AGENT, speaker="planner"),
    ]
    await said(agent, make_turn(make_message("[critic] Really?", speaker="critic"), history=history))
    messages = model.requests[-1].body["messages"]
    assert [(one["role"], one.get("name"), one["content"]) for one in messages] == [
        ("user", "the_host", "[the host] Hello all."),
        ("assistant", None, "I plan."),
        ("user", "critic", "[critic] Really?"),
    ]


async def test_the_same_turn_again_does_not_say_its_message_twice(model: FakeOpenAI) -> None:
    """Architecture §1.1: a turn's messages keep their ids over attempts."""
    agent = ADAPTER.adapt(create_agent(chat(model), checkpointer=InMemorySaver()))
    turn = make_turn("SAY once only")
    await said(agent, turn)
    await said(agent, turn)
    assert asked(model).count("SAY once only") == 1


async def test_a_checkpointer_that_forgot_is_told_the_history(model: FakeOpenAI) -> None:
    """Ours: an in-memory checkpointer is empty after a restart, the context is not."""
    talk = Talk(ADAPTER.adapt(create_agent(chat(model), checkpointer=InMemorySaver())))
    await within(talk.say("SAY my name is Ada"))
    talk.agent = ADAPTER.adapt(create_agent(chat(model), checkpointer=InMemorySaver()))
    await within(talk.say("What is it?"))
    assert "my name is Ada" in asked(model)


async def test_callers_with_the_same_context_id_have_threads_of_their_own(model: FakeOpenAI) -> None:
    """Architecture §4: keys are (tenant, owner, agent), whatever a client calls its context."""
    agent = ADAPTER.adapt(create_agent(chat(model), checkpointer=InMemorySaver()))
    for principal in ("anonymous", "ada", "bob"):
        for tenant in ("", "acme"):
            await said(agent, make_turn(f"I am {principal} of {tenant}", caller=Caller(principal, tenant)))
            assert asked(model).count("I am ") == 1
    await said(agent, make_turn("I am a trickster", context_id="acme/ada/context-1"))
    assert asked(model).count("I am ") == 1


# Interrupts


async def test_several_interrupts_are_asked_together_and_answered_apart(model: FakeOpenAI) -> None:
    """Issue 2, part 7: one pause, several asks, each with its id."""
    talk = Talk(ADAPTER.adapt(create_agent(chat(model), [erase], checkpointer=InMemorySaver())))
    asks = asks_in(await within(talk.say('PARALLEL CALL erase {"what": "A"} CALL erase {"what": "B"}')))
    assert [(ask.text, ask.options) for ask in asks] == [("Erase A?", ("yes", "no")), ("Erase B?", ("yes", "no"))]
    answer = {asks[0].id: "no", asks[1].id: "yes"}
    assert outcome(await within(talk.say("", answer))).text == "Tool said: erase A: no | erase B: yes"


async def test_an_unclear_answer_is_asked_for_again(model: FakeOpenAI) -> None:
    """Architecture §1.1: `option()` gives None when it is unclear, and the agent asks again."""
    talk = Talk(ADAPTER.adapt(create_agent(chat(model), [erase], checkpointer=InMemorySaver())))
    first = asks_in(await within(talk.say('CALL erase {"what": "A"}')))
    assert asks_in(await within(talk.say("what do you mean?"))) == first
    assert outcome(await within(talk.say("Yes."))).text == "Tool said: erase A: yes"


@pytest.mark.parametrize("mode", ["batched", "per_call"])
@pytest.mark.parametrize(("word", "result"), [("approve", "done"), ("no", "rejected")])
async def test_the_review_middleware_takes_a_word_as_its_decision(
    model: FakeOpenAI, mode: Any, word: str, result: str
) -> None:
    """Frameworks §3: langchain's review resumes with decisions, people answer with words."""

    @tool
    def send(to: str) -> str:
        """Send a mail."""
        return "done"

    review = HumanInTheLoopMiddleware(interrupt_on={"send": True}, interrupt_mode=mode)
    agent = create_agent(chat(model), [send], middleware=[review], checkpointer=InMemorySaver())
    talk = Talk(ADAPTER.adapt(agent))
    (ask,) = asks_in(await within(talk.say('CALL send {"to": "Ada"}')))
    assert ask.options == ("approve", "reject")
    assert "send" in ask.text
    replies = await within(talk.say(word))
    assert result in str([reply.content for reply in replies if isinstance(reply, ToolResult)]).lower()


@pytest.mark.parametrize("mode", ["batched", "per_call"])
async def test_a_description_of_the_authors_does_not_hide_what_is_to_be_approved(model: FakeOpenAI, mode: Any) -> None:
    """Ours: who approves a call reads its arguments in the sentence, and reads them once."""

    @tool
    def send(to: str) -> str:
        """Send a mail."""
        return "done"

    async def asked(on: Any) -> str:
        review = HumanInTheLoopMiddleware(interrupt_on={"send": on}, interrupt_mode=mode)
        agent = create_agent(chat(model), [send], middleware=[review], checkpointer=InMemorySaver())
        (ask,) = asks_in(await within(Talk(ADAPTER.adapt(agent)).say('CALL send {"to": "Ada"}')))
        return ask.text

    own = {"allowed_decisions": ["approve", "reject"], "description": "Shall it go out?"}
    assert await asked(own) == 'Shall it go out?\nMay send be called with {"to": "Ada"}?'
    assert (await asked(True)).count("Ada") == 1


async def test_a_value_with_a_schema_is_read_as_what_it_asks_for() -> None:
    """Ours: a schema in the interrupt's value travels with the ask, and a text is read by it."""

    def count(state: MessagesState) -> dict[str, Any]:
        number = interrupt({"question": "How many?", "schema": {"type": "integer"}})
        return {"messages": [AIMessage(f"{number + 1}")]}

    talk = Talk(graph_of(count, memory=InMemorySaver()))
    (ask,) = asks_in(await within(talk.say("count")))
    assert ask.schema == {"type": "integer"}
    assert asks_in(await within(talk.say("a few"))) == [ask]
    assert outcome(await within(talk.say("41"))).text == "42"


async def test_a_pause_between_steps_asks_whether_to_go_on() -> None:
    """Ours: `interrupt_before` is a pause too, with no question of its own."""

    def first(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("first")]}

    def second(state: MessagesState) -> dict[str, Any]:
        return {"messages": [AIMessage("second")]}

    talk = Talk(graph_of(first, second, memory=InMemorySaver(), interrupt_before=["second"]))
    (ask,) = asks_in(await within(talk.say("go")))
    assert "second" in ask.text
    assert outcome(await within(talk.say("yes"))).text == "second"
    await within(talk.say("go"))
    assert await within(talk.say("no")) == [Say("Stopped.")]
    await within(talk.say("go"))
    assert outcome(await within(talk.say("yes"))).text == "second"


async def test_a_question_that_cannot_wait_fails_with_a_reason(model: FakeOpenAI) -> None:
    """Frameworks §7 trap 6: without a checkpointer an interrupt can never be resumed."""
    result = await said(ADAPTER.adapt(create_agent(chat(model), [erase])), make_turn('CALL erase {"what": "A"}'))
    assert "checkpointer" in (result.failed or "")
    assert result.asks == ()


def test_a_graph_that_stops_between_steps_needs_a_checkpointer() -> None:
    """Frameworks §7 trap 6: what can be seen beforehand is refused beforehand."""

    def step(state: MessagesState) -> dict[str, Any]:
        return {}

    with pytest.raises(AdapterError, match="checkpointer"):
        graph_of(step, interrupt_before=["step"])


async def test_a_new_message_instead_of_an_answer_leaves_no_open_tool_call(model: FakeOpenAI) -> None:
    """Frameworks §7 trap 5: providers refuse a conversation with a tool call that has no result."""
    talk = Talk(ADAPTER.adapt(create_agent(chat(model), [erase], checkpointer=InMemorySaver())))
    await within(talk.say('CALL erase {"what": "A"}'))
    talk.asks = ()  # the waiting task was cancelled
    assert outcome(await within(talk.say("SAY something else"))).text == "something else"


# Cancelling


async def test_a_turn_cancelled_inside_a_tool_leaves_a_thread_that_goes_on(model: FakeOpenAI) -> None:
    """Ours: the open tool call gets a result before the conversation continues."""
    begun = asyncio.Event()

    @tool
    async def wait() -> str:
        """Wait for ever."""
        begun.set()
        await asyncio.Event().wait()
        return ""

    talk = Talk(ADAPTER.adapt(create_agent(chat(model), [wait], checkpointer=InMemorySaver())))
    task = asyncio.create_task(talk.say("CALL wait {}"))
    await within(begun.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)
    assert outcome(await within(talk.say("SAY never mind"))).text == "never mind"


async def test_a_cancel_that_a_node_did_not_hear_ends_the_model_at_its_next_token(model: FakeOpenAI) -> None:
    """Ours: before Python 3.12 `asyncio.wait_for`, which langchain-openai uses, can lose a cancel."""
    begun = asyncio.Event()

    async def deaf(state: MessagesState) -> dict[str, Any]:
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return {"messages": [await chat(model).ainvoke([HumanMessage("SLOW")])]}

    task = asyncio.create_task(replies_of(graph_of(deaf), make_turn("go")))
    await within(begun.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)
    await model.until(lambda m: m.open == 0, STOPS)
    assert model.aborted == 1


async def test_a_cancelled_turn_waits_for_a_model_call_in_a_thread(model: FakeOpenAI) -> None:
    """Architecture §1.1: what cannot be stopped keeps its slot, and the agent says so."""

    def sync(state: MessagesState) -> dict[str, list[AnyMessage]]:
        return {"messages": [chat(model).invoke(state["messages"])]}

    agent = graph_of(sync)
    assert not traits_of(agent).stops_on_cancel
    task = asyncio.create_task(replies_of(agent, make_turn("SLOW")))
    await model.until(lambda m: m.open == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)
    await model.until(lambda m: m.open == 0, STOPS)
    assert model.aborted == 1
