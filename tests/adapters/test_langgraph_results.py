"""What comes out of a graph: what its output schema names, and nothing of what tools said when they broke."""

from langchain_core.messages import AIMessage
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from typing_extensions import TypedDict

from a2a_bridge.agent import ToolCall, ToolResult, outcome
from a2a_bridge.testing.adapter_case import SECRET, said, within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import make_turn, replies_of
from adapters.langgraph.adapter import ADAPTER
from tests.adapters.langchain_model import chat
from tests.adapters.test_langgraph import TestLangGraphAgentWithoutCheckpointer as Case


class OnlyTopic(TypedDict):
    """An input of one key."""

    topic: str


class OnlyText(TypedDict):
    """An output of one key."""

    text: str


class Draft(OnlyTopic, OnlyText):
    """A state with something of its own."""

    notes: str


class Asked(MessagesState, OnlyText):
    """A state with messages."""


async def test_what_a_graph_keeps_to_itself_is_not_told() -> None:
    """Ours: an output schema says what the result is; the rest of the state is the graph's own."""
    builder = StateGraph(Draft, input_schema=OnlyTopic, output_schema=OnlyText)
    builder.add_node("think", lambda state: {"notes": f"private notes on {state['topic']}"})
    builder.add_node("write", lambda state: {"text": f"about {state['topic']}"})
    builder.add_edge(START, "think")
    builder.add_edge("think", "write")
    result = await said(ADAPTER.adapt(builder), make_turn("rivers"))
    assert (result.text, len(result.parts)) == ("about rivers", 1)


async def test_a_graph_that_takes_messages_may_give_something_else() -> None:
    """Ours: what its output schema names is the answer, not the messages that it keeps."""
    builder = StateGraph(Asked, output_schema=OnlyText)
    builder.add_node("write", lambda state: {"text": "42", "messages": [AIMessage("thinking")]})
    builder.add_edge(START, "write")
    assert (await said(ADAPTER.adapt(builder), make_turn("what?"))).text == "42"


async def test_what_a_broken_tool_said_is_for_its_model_only() -> None:
    """Architecture §7: a tool node that handles errors tells the exception's words."""

    with FakeOpenAI() as model:

        @tool
        def broken() -> str:
            """Break."""
            raise RuntimeError(SECRET)

        builder = StateGraph(MessagesState)
        builder.add_node(
            "model", lambda state: {"messages": [chat(model).bind_tools([broken]).invoke(state["messages"])]}
        )
        builder.add_node("tools", ToolNode([broken], handle_tool_errors=True))
        builder.add_edge(START, "model")
        builder.add_conditional_edges("model", tools_condition)
        builder.add_edge("tools", END)
        replies = await within(replies_of(ADAPTER.adapt(builder), make_turn("CALL broken {}")))
        (result,) = [reply for reply in replies if isinstance(reply, ToolResult)]
        assert (result.content, result.is_error) == ("The tool failed.", True)
        assert SECRET not in repr(replies)


async def test_the_call_of_a_structured_answer_is_told_before_its_result() -> None:
    """Ours: langchain has the model call a tool for it, in one node with the result."""
    with FakeOpenAI() as model:
        agent = ADAPTER.adapt(Case().structured(model))
        replies = await within(replies_of(agent, make_turn('JSON {"city": "Oslo", "degrees": 3.5}')))
    assert [part.data for part in outcome(replies).parts] == [{"city": "Oslo", "degrees": 3.5}]
    assert [type(reply) for reply in replies if isinstance(reply, ToolCall | ToolResult)] == [ToolCall, ToolResult]
