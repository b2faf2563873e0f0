"""A remote A2A agent as a node of a LangGraph graph, over real HTTP."""

import asyncio
import json
import operator
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.types import Command, RetryPolicy, Send, interrupt
from typing_extensions import TypedDict

from a2a_bridge.agent import Chunk, Progress, Turn, outcome
from a2a_bridge.errors import AdapterError, AdapterFailedError
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.adapter_case import within
from a2a_bridge.testing.turns import Talk, make_turn, replies_of
from adapters.langgraph.adapter import ADAPTER
from adapters.langgraph.remote import a2a_node, a2a_tool
from tests.adapters.remote_agent import Remote


def graph(target: Any, *, memory: Any = None, state: Any = MessagesState, **options: Any) -> Any:
    """A graph of one node."""
    retry = options.pop("retry_policy", None)
    builder = StateGraph(state)
    builder.add_node("critic", a2a_node(target, name="critic", **options), retry_policy=retry)
    builder.add_edge(START, "critic")
    return builder.compile(checkpointer=memory)


THREAD: Any = {"configurable": {"thread_id": "1"}}


def told(*said: str) -> dict[str, Any]:
    """An input of human messages."""
    return {"messages": [HumanMessage(one) for one in said]}


async def test_it_streams_and_adds_a_message_in_its_name(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: an async node, chunks by `get_stream_writer`; usage is counted."""
    _, url = remote
    tokens, progress, result = [], [], {}
    async for mode, data in graph(url).astream(told("hello"), stream_mode=["custom", "values"]):
        if mode == "custom":
            tokens += [data["a2a"]["token"]] if "token" in data["a2a"] else []
            progress += [data["a2a"]["progress"]] if "progress" in data["a2a"] else []
        else:
            result = data
    message = result["messages"][-1]
    assert len(tokens) > 1
    assert message.text == "".join(tokens) == "I heard: hello"
    assert (message.name, progress) == ("critic", ["thinking"])
    assert (message.usage_metadata["input_tokens"], message.usage_metadata["output_tokens"]) == (3, 4)


async def test_one_thread_is_one_context_and_only_what_is_new_is_sent(remote: tuple[Remote, str]) -> None:
    """Architecture §6: one stable contextId, conversation by delta; after a restart of the host too."""
    agent, url = remote
    memory = InMemorySaver()
    for said in ("one", "two"):
        for thread in ("left", "right"):
            config: Any = {"configurable": {"thread_id": thread}}
            await within(graph(url, memory=memory).ainvoke(told(said), config))
    assert [turn.text for turn in agent.turns] == ["one", "one", "two", "two"]
    left, right = agent.turns[0].context_id, agent.turns[1].context_id
    assert left != right
    assert [turn.context_id for turn in agent.turns[2:]] == [left, right]


async def test_it_hears_what_was_said_and_by_whom_and_not_what_tools_gave(remote: tuple[Remote, str]) -> None:
    """Ours: the conversation of the graph, without its instructions and its tools."""
    agent, url = remote
    call: Any = {"name": "look", "args": {}, "id": "1"}
    said = [
        SystemMessage("Be secret."),
        HumanMessage("Hello.", name="Ada"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("a secret", tool_call_id="1"),
        AIMessage("A draft.", name="writer"),
        AIMessage("And more."),
    ]
    await within(graph(url).ainvoke({"messages": said}))
    assert agent.turns[0].text == "[Ada] Hello.\n[writer] A draft.\n[assistant] And more."


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_question_is_an_interrupt_and_resumes_without_asking_again(
    remote: tuple[Remote, str], restarts: bool
) -> None:
    """Issue 5, part 2: the node is run again from its top, and the remote hears one message and one answer."""
    agent, url = remote
    memory = InMemorySaver()
    host = graph(url, memory=memory)
    paused = await within(host.ainvoke(told("ASK USED"), THREAD))
    (asked,) = paused["__interrupt__"]
    assert (asked.value["question"], asked.value["options"]) == ("Shall I?", ["yes", "no"])
    assert asked.value["agent"] == "critic"
    host = graph(url, memory=memory) if restarts else host
    done = await within(host.ainvoke(Command(resume="yes"), THREAD))
    message = done["messages"][-1]
    assert (message.text, message.usage_metadata["total_tokens"]) == ("You said yes.", 4)
    assert [turn.text for turn in agent.turns] == ["ASK USED", "yes"]
    assert agent.turns[0].task_id == agent.turns[1].task_id


async def test_several_questions_are_one_interrupt_and_answered_apart(remote: tuple[Remote, str]) -> None:
    """Architecture §1.1: together they are one pause."""
    _, url = remote
    host = graph(url, memory=InMemorySaver())
    paused = await within(host.ainvoke(told("TWICE"), THREAD))
    value = paused["__interrupt__"][0].value
    assert value["question"] == "First?\nSecond?"
    answer = {ask["id"]: ask["question"].upper() for ask in value["asks"]}
    done = await within(host.ainvoke(Command(resume=answer), THREAD))
    assert done["messages"][-1].text == "FIRST? and SECOND?"


async def test_a_step_that_is_run_again_is_not_worked_twice(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: the same step of a thread is the same messageId, whether it is resumed or replayed."""
    agent, url = remote

    def breaks(state: MessagesState) -> dict[str, Any]:
        if not repaired:
            raise RuntimeError("not yet")
        return {}

    repaired: list[bool] = []
    builder = StateGraph(MessagesState)
    builder.add_node("critic", a2a_node(url, name="critic"))
    builder.add_node("breaks", breaks)
    builder.add_edge(START, "critic")
    builder.add_edge(START, "breaks")
    memory = InMemorySaver()
    host = builder.compile(checkpointer=memory)
    with pytest.raises(RuntimeError):
        await within(host.ainvoke(told("WAIT FOR ME"[5:]), THREAD))
    repaired.append(True)
    done = await within(builder.compile(checkpointer=memory).ainvoke(None, THREAD))
    assert done["messages"][-1].text == "I heard: FOR ME"
    assert len(agent.turns) == 1


async def test_what_has_failed_is_raised_without_its_words_and_not_sent_again(remote: tuple[Remote, str]) -> None:
    """Ours: nobody re-runs an agent that does not say it may be re-run, a retry policy neither."""
    agent, url = remote
    policy = RetryPolicy(initial_interval=0.0, max_attempts=3, retry_on=AdapterFailedError, jitter=False)
    with pytest.raises(AdapterFailedError, match="critic") as failure:
        await within(graph(url, retry_policy=policy).ainvoke(told("BREAK")))
    assert "secret" not in str(failure.value)
    assert len(agent.turns) == 1


@pytest.mark.parametrize("way", ["invoke", "stream"])
async def test_what_the_host_cancels_is_cancelled_at_the_remote(remote: tuple[Remote, str], way: str) -> None:
    """Issue 5, part 2: cancelled when the host cancels."""
    agent, url = remote

    async def run() -> None:
        if way == "invoke":
            await graph(url).ainvoke(told("WAIT"))
        else:
            async for _ in graph(url).astream(told("WAIT"), stream_mode="custom"):
                pass

    task = asyncio.create_task(run())
    await within(agent.at_work.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task, 10)
    await within(agent.stopped.wait())


async def test_a_run_that_was_cancelled_goes_on_from_its_checkpoint(remote: tuple[Remote, str]) -> None:
    """Ours: the step is the same one, whose task is canceled; it is a new task then, and not stuck for ever."""
    agent, url = remote
    host = graph(url, memory=InMemorySaver())
    for given in (told("WAIT"), None):
        agent.at_work.clear()
        agent.stopped.clear()
        task = asyncio.create_task(host.ainvoke(given, THREAD))
        await within(agent.at_work.wait())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(task, 10)
        await within(agent.stopped.wait())
    assert [turn.text for turn in agent.turns] == ["WAIT", "WAIT"]


async def test_what_has_failed_is_tried_anew_when_somebody_asks_for_it(remote: tuple[Remote, str]) -> None:
    """Ours: a resume finds the failed task, as a retry does; a new checkpoint of the same state is a new step."""
    agent, url = remote
    host = graph(url, memory=InMemorySaver())
    for given in (told("BREAK"), None):
        with pytest.raises(AdapterFailedError):
            await within(host.ainvoke(given, THREAD))
    assert len(agent.turns) == 1
    anew = await host.aupdate_state(THREAD, None)
    with pytest.raises(AdapterFailedError):
        await within(host.ainvoke(None, anew))
    assert len(agent.turns) == 2


async def test_images_and_files_go_and_come(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 1: files and images as parts, this way too."""
    agent, url = remote
    said: Any = [
        {"type": "text", "text": "DRAW"},
        {"type": "image", "base64": "iVBORw==", "mime_type": "image/png"},
        {"type": "image_url", "image_url": {"url": "https://pictures.invalid/c.png"}},
        {"type": "file", "base64": "JVBERg==", "mime_type": "application/pdf", "filename": "a.pdf"},
    ]
    done = await within(graph(url).ainvoke({"messages": [HumanMessage(said)]}))
    parts = agent.turns[0].messages[0].parts
    assert [(part.raw, part.media_type, part.url) for part in parts[1:]] == [
        (b"\x89PNG", "image/png", None),
        (None, None, "https://pictures.invalid/c.png"),
        (b"%PDF", "application/pdf", None),
    ]
    assert parts[3].filename == "a.pdf"
    blocks = done["messages"][-1].content_blocks
    assert [block["type"] for block in blocks] == ["text", "image"]
    assert blocks[1]["base64"] == "iVBORw=="
    held: Any = [{"type": "file", "file_id": "file-1"}]
    with pytest.raises(AdapterError, match="file"):
        await within(graph(url).ainvoke({"messages": [HumanMessage(held)]}))


class Draft(TypedDict, total=False):
    """A state without messages."""

    draft: Any
    review: Any


@pytest.mark.parametrize(("draft", "review"), [("hello", "I heard: hello"), ({"do": "ONLY DATA"}, {"a": 1})])
async def test_a_state_without_messages_is_read_and_written_by_key(draft: Any, review: Any) -> None:
    """Ours: a value goes out as text or data, and comes back as one."""

    async def echo(turn: Turn) -> AsyncIterator[Any]:
        part = turn.messages[0].parts[0]
        yield f"I heard: {part.text}" if part.text else Chunk(parts=(Part(data={"a": 1}),))

    host = graph(echo, state=Draft, reads="draft", writes="review")
    assert (await within(host.ainvoke({"draft": draft})))["review"] == review


async def test_messages_that_the_state_does_not_convert_are_messages(remote: tuple[Remote, str]) -> None:
    """Ours: a list of dicts in OpenAI's form is a conversation, too."""

    class Plain(TypedDict):
        messages: Annotated[list[Any], operator.add]

    agent, url = remote
    host = graph(url, state=Plain, memory=InMemorySaver())
    for said in ("one", "two"):
        await within(host.ainvoke({"messages": [{"role": "user", "content": said}]}, THREAD))
    assert [turn.text for turn in agent.turns] == ["one", "two"]
    assert len({turn.context_id for turn in agent.turns}) == 1


class Reviews(TypedDict):
    """A state that is fanned out."""

    topics: list[str]
    reviews: Annotated[list[str], operator.add]


@pytest.mark.parametrize("is_async", [True, False])
async def test_sync_runs_fan_out_pause_and_resume_as_async_ones(remote: tuple[Remote, str], is_async: bool) -> None:
    """Ours: `invoke` works too, and a node is a runnable, so what it writes can be put into another form."""
    agent, url = remote
    builder = StateGraph(Reviews)
    node = a2a_node(url, name="critic", reads="topic", writes="reviews")
    builder.add_node("critic", node | (lambda update: {"reviews": [update["reviews"]]}))
    builder.add_conditional_edges(START, lambda state: [Send("critic", {"topic": one}) for one in state["topics"]])
    host = builder.compile(checkpointer=InMemorySaver())
    paused = await run(host, {"topics": ["a", "ASK", "c"]}, is_async)
    assert [asked.value["question"] for asked in paused["__interrupt__"]] == ["Shall I?"]
    done = await run(host, Command(resume="yes"), is_async)
    assert done["reviews"] == ["I heard: a", "You said yes.", "I heard: c"]
    assert sorted(turn.text for turn in agent.turns) == ["ASK", "a", "c", "yes"]


async def run(host: Any, given: Any, is_async: bool) -> Any:
    """One run of the thread."""
    return await within(host.ainvoke(given, THREAD) if is_async else asyncio.to_thread(host.invoke, given, THREAD))


async def test_a_step_may_call_it_more_than_once(remote: tuple[Remote, str]) -> None:
    """Ours: a node is a runnable, to be called in a node of one's own; run again, none of the calls is worked twice."""
    agent, url = remote
    node = a2a_node(url, name="critic")

    async def twice(state: MessagesState) -> dict[str, Any]:
        made = [await node.ainvoke({"messages": [HumanMessage(said)]}) for said in ("one", "two")]
        interrupt("look at them")
        return {"messages": [update["messages"][0] for update in made]}

    builder = StateGraph(MessagesState)
    builder.add_node("twice", twice)
    builder.add_edge(START, "twice")
    host = builder.compile(checkpointer=InMemorySaver())
    await within(host.ainvoke(told("go"), THREAD))
    done = await within(host.ainvoke(Command(resume="seen"), THREAD))
    assert [message.text for message in done["messages"][1:]] == ["I heard: one", "I heard: two"]
    assert [turn.text for turn in agent.turns] == ["one", "two"]
    assert len({turn.context_id for turn in agent.turns}) == 2


# As a tool


def tools_called(name: str, *said: dict[str, str]) -> dict[str, Any]:
    """A message of a model that calls a tool."""
    calls: Any = [{"name": name, "args": args, "id": f"call-{number}"} for number, args in enumerate(said)]
    return {"messages": [AIMessage("", tool_calls=calls)]}


@pytest.mark.parametrize("is_async", [True, False])
async def test_as_a_tool_it_answers_asks_and_fails_in_words(remote: tuple[Remote, str], is_async: bool) -> None:
    """Ours: for `create_agent`, whose node of tools this is; in sync runs too."""
    agent, url = remote
    builder = StateGraph(MessagesState)
    builder.add_node("tools", ToolNode([a2a_tool(url, name="critic", description="Criticises.")]))
    builder.add_edge(START, "tools")
    host = builder.compile(checkpointer=InMemorySaver())
    done = await run(
        host, tools_called("critic", {"message": "hello"}, {"message": "ASK"}, {"message": "BREAK"}), is_async
    )
    answered, asked, failed = (message.text for message in done["messages"][1:])
    assert json.loads(answered)["answer"] == "I heard: hello"
    assert json.loads(asked)["question"] == "Shall I?"
    assert "did not answer" in failed
    assert "secret" not in failed
    answer = {"message": "yes", "conversation": json.loads(asked)["conversation"]}
    done = await run(host, tools_called("critic", answer), is_async)
    assert json.loads(done["messages"][-1].text)["answer"] == "You said yes."
    assert len({turn.context_id for turn in agent.turns}) == 3


async def test_a_tool_call_in_a_step_that_is_run_again_is_not_worked_twice(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: the same step is the same messageId; the same call outside a graph is a new one."""
    agent, url = remote
    tool = a2a_tool(url, name="critic", description="Criticises.")

    async def calls(state: MessagesState) -> dict[str, Any]:
        said = await tool.ainvoke({"message": "hello"})
        interrupt("look at it")
        return {"messages": [AIMessage(said)]}

    builder = StateGraph(MessagesState)
    builder.add_node("calls", calls)
    builder.add_edge(START, "calls")
    host = builder.compile(checkpointer=InMemorySaver())
    await within(host.ainvoke(told("go"), THREAD))
    await within(host.ainvoke(Command(resume="seen"), THREAD))
    assert len(agent.turns) == 1
    for _ in range(2):
        await within(tool.ainvoke({"message": "hello"}))
    assert len(agent.turns) == 3


# Published again


async def test_its_tokens_are_the_answer_of_a_graph_that_is_published(remote: tuple[Remote, str]) -> None:
    """Ours: both ways at once, streamed and told once; its own progress is the graph's."""
    _, url = remote
    replies = await within(replies_of(ADAPTER.adapt(graph(url)), make_turn("hello")))
    assert [reply for reply in replies if isinstance(reply, str)] == ["I heard: ", "hello"]
    assert outcome(replies).text == "I heard: hello"
    assert outcome(replies).usage.input_tokens == 3
    assert Progress("critic: thinking") in replies


async def test_its_question_is_a_question_of_a_graph_that_is_published(remote: tuple[Remote, str]) -> None:
    """Ours: INPUT_REQUIRED goes through, both ways, and the conversation goes on."""
    agent, url = remote
    talk = Talk(ADAPTER.adapt(graph(url, memory=InMemorySaver())))
    (ask,) = outcome(await within(talk.say("ASK"))).asks
    assert (ask.text, ask.options) == ("Shall I?", ("yes", "no"))
    assert outcome(await within(talk.say("No."))).text == "You said no."
    assert outcome(await within(talk.say("thanks"))).text == "I heard: thanks"
    assert len({turn.context_id for turn in agent.turns}) == 1
