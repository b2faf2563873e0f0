"""OpenAI Agents at the edges: guardrails that come late, messages side by side, MCP servers that come and go."""

import asyncio
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    RawResponsesStreamEvent,
    RunItemStreamEvent,
    ToolGuardrailFunctionOutput,
    function_tool,
    input_guardrail,
    output_guardrail,
    tool_input_guardrail,
    tool_output_guardrail,
)
from agents import Usage as Used
from agents.items import MessageOutputItem, ToolCallItem
from agents.mcp import MCPServerStdio
from agents.stream_events import AgentUpdatedStreamEvent
from openai.types.responses import ResponseOutputMessage, ResponseOutputText, ResponseTextDeltaEvent
from openai.types.responses.response_output_item import ImageGenerationCall

from a2a_bridge.agent import Chunk, ToolCall, ToolResult, Usage, outcome
from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.adapter_case import said, within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk, make_turn, replies_of
from adapters.openai_agents.adapter import ADAPTER
from adapters.openai_agents.agent import OpenAIAgent
from adapters.openai_agents.reading import Reading
from tests.adapters.test_openai_agents_own import chat

SERVER = str(Path(__file__).parents[1] / "unit" / "chat" / "mcp_server.py")


# Guardrails


@pytest.mark.parametrize("trips", [False, True])
async def test_nothing_is_shown_before_the_input_guardrails_have_let_a_message_pass(
    model: FakeOpenAI, trips: bool
) -> None:
    """Ours: the SDK runs them beside the model, and what has been shown cannot be taken back; tokens are counted."""

    @input_guardrail
    async def late(context: Any, agent: Any, said: Any) -> GuardrailFunctionOutput:
        await model.until(lambda m: m.open == 0 and len(m.requests) == 1)  # the model has said it all
        return GuardrailFunctionOutput(output_info="", tripwire_triggered=trips)

    agent = ADAPTER.adapt(Agent(name="guarded", model=chat(model), input_guardrails=[late]))
    replies = await within(replies_of(agent, make_turn("SAY a dark secret")))
    assert len([reply for reply in replies if isinstance(reply, Usage)]) == 1
    if trips:
        assert "secret" not in repr(replies)
        assert "refused this message" in (outcome(replies).refused or "")
    else:
        assert outcome(replies).text == "a dark secret"


@pytest.mark.parametrize("before", [False, True])
async def test_a_tool_that_a_guardrail_stops_is_a_refusal(model: FakeOpenAI, before: bool) -> None:
    """Ours: REJECTED as for the other guardrails, and the conversation goes on."""

    def stop(data: Any) -> ToolGuardrailFunctionOutput:
        return ToolGuardrailFunctionOutput.raise_exception("a secret rule")

    guards: dict[str, Any] = (
        {"tool_input_guardrails": [tool_input_guardrail(stop)]}
        if before
        else {"tool_output_guardrails": [tool_output_guardrail(stop)]}
    )

    @function_tool(**guards)
    def erase() -> str:
        """Erase."""
        return "a secret result"

    talk = Talk(ADAPTER.adapt(Agent(name="guarded", model=chat(model), tools=[erase])))
    result = outcome(await within(talk.say("CALL erase {}")))
    assert "stopped one of its tools" in (result.refused or "")
    assert "secret" not in repr(result)
    assert outcome(await within(talk.say("SAY on"))).text == "on"


# Messages of one response


def delta(text: str, index: int) -> RawResponsesStreamEvent:
    """A word of the message at an index of the response."""
    data = ResponseTextDeltaEvent(
        type="response.output_text.delta",
        delta=text,
        item_id=f"msg_{index}",
        output_index=index,
        content_index=0,
        sequence_number=0,
        logprobs=[],
    )
    return RawResponsesStreamEvent(data=data)


def whole(text: str, index: int, agent: Agent[Any]) -> RunItemStreamEvent:
    """The message at an index of the response, whole."""
    content = ResponseOutputText(type="output_text", text=text, annotations=[])
    raw = ResponseOutputMessage(
        id=f"msg_{index}", type="message", role="assistant", status="completed", content=[content]
    )
    return RunItemStreamEvent(name="message_output_created", item=MessageOutputItem(agent=agent, raw_item=raw))


def test_two_messages_of_one_response_are_told_once_each() -> None:
    """Ours: newer models comment before they answer, and the SDK gives the messages when the response has ended."""
    agent = Agent(name="plain")
    reading = Reading(agent, Used(), set())
    events = [delta("Let me", 0), delta(" see.", 0), delta("It is", 1), delta(" 5.", 1)]
    events_then = [whole("Let me see.", 0, agent), whole("It is 5.", 1, agent)]
    told = [reply for event in [*events, *events_then] for reply in reading.take(event)]
    assert told == ["Let me", " see.", "\n\nIt is", " 5."]
    assert list(reading.result("It is 5.", Used())) == []
    assert list(reading.take(delta("More", 0))) == ["\n\nMore"]


def test_what_a_guarded_agent_said_before_it_handed_over_is_not_shown() -> None:
    """Ours: its guardrails look at its last words only, which it never spoke."""

    @output_guardrail
    async def look(context: Any, agent: Any, answer: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info="", tripwire_triggered=False)

    first, second = Agent(name="first", output_guardrails=[look]), Agent(name="second")
    reading = Reading(first, Used(), set())
    events = [delta("I hand over.", 0), whole("I hand over.", 0, first), AgentUpdatedStreamEvent(new_agent=second)]
    events += [delta("Hello.", 0), whole("Hello.", 0, second)]
    assert [reply for event in events for reply in reading.take(event)] == ["Hello."]
    assert list(reading.result("Hello.", Used())) == []


@pytest.mark.parametrize(("raw", "media_type"), [(b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg")])
def test_a_picture_that_the_model_made_is_a_part_of_the_answer(raw: bytes, media_type: str) -> None:
    """Ours: what the provider's own tool gives is no argument of a call."""
    agent = Agent(name="painter")
    call = ImageGenerationCall(
        id="ig_1", type="image_generation_call", status="completed", result=b64encode(raw).decode()
    )
    event = RunItemStreamEvent(name="tool_called", item=ToolCallItem(agent=agent, raw_item=call))
    told = list(Reading(agent, Used(), set()).take(event))
    assert [reply.name for reply in told if isinstance(reply, ToolCall)] == ["image_generation_call"]
    assert b64encode(raw).decode() not in repr(told)
    assert told[-1] == Chunk(parts=(Part(raw=raw, media_type=media_type),))


# Model calls


async def test_the_most_model_calls_of_a_turn_may_be_said(model: FakeOpenAI) -> None:
    """Ours: the SDK's ten are an option of each run of its own."""

    @function_tool
    def again() -> str:
        """Once more."""
        return "again"

    agent = Agent(name="loop", model=chat(model), tools=[again])
    text = " ".join(["CALL again {}"] * 12)
    assert "without coming to an end" in ((await said(ADAPTER.adapt(agent), make_turn(text))).failed or "")
    assert (await said(OpenAIAgent(agent, max_turns=13), make_turn(text))).failed is None


# MCP servers


def server(**options: Any) -> MCPServerStdio:
    """A real MCP server, not connected."""
    return MCPServerStdio(params={"command": sys.executable, "args": [SERVER, "stdio"]}, name="tests", **options)


@pytest.mark.parametrize("is_behind_a_tool", [False, True])
async def test_a_server_that_nobody_connected_is_connected_once_for_all_turns(
    model: FakeOpenAI, is_behind_a_tool: bool
) -> None:
    """Ours: `serve()` has no place to connect one; turns at the same time share it."""
    made = server(cache_tools_list=True)
    agent = Agent(name="host", model=chat(model), mcp_servers=[made])
    if is_behind_a_tool:
        agent = Agent(name="outer", model=chat(model), tools=[agent.as_tool("consult", "Ask.")])
    published = ADAPTER.adapt(agent)
    text = 'CALL consult {"input": "SAY 3"}' if is_behind_a_tool else 'CALL add {"a": 1, "b": 2}'
    results = await within(
        asyncio.gather(*(said(published, make_turn(text, context_id=f"context-{n}")) for n in range(3))), 30.0
    )
    assert [result.text for result in results] == ["Tool said: 3"] * 3
    session = made.session
    assert session is not None
    await said(published, make_turn(text))
    assert made.session is session


async def test_a_server_that_went_away_is_started_again_by_the_turn_after_the_one_that_noticed(
    model: FakeOpenAI,
) -> None:
    """Ours: a published agent outlives the processes it uses."""
    published = ADAPTER.adapt(Agent(name="host", model=chat(model), mcp_servers=[server()]))
    talk = Talk(published)
    first = outcome(await within(talk.say("CALL process {}"), 30.0)).text
    with pytest.raises(AdapterError):
        await within(talk.say("CALL die {}"), 30.0)
    second = outcome(await within(talk.say("CALL process {}"), 30.0)).text
    assert first.startswith("Tool said: ")
    assert second.startswith("Tool said: ")
    assert first != second


async def test_turns_that_find_a_server_gone_start_it_once_for_all_of_them(model: FakeOpenAI) -> None:
    """Ours: they wait for the same end, and nobody connects what another one has connected meanwhile."""
    connected: list[str] = []

    class Counted(MCPServerStdio):
        async def connect(self) -> None:
            connected.append(self.name)
            await super().connect()

    made = Counted(params={"command": sys.executable, "args": [SERVER, "stdio"]}, name="counted")
    published = ADAPTER.adapt(Agent(name="host", model=chat(model), mcp_servers=[made]))
    with pytest.raises(AdapterError):
        await within(replies_of(published, make_turn("CALL die {}")), 30.0)
    turns = (said(published, make_turn('CALL add {"a": 1, "b": 2}', context_id=f"context-{n}")) for n in range(3))
    results = await within(asyncio.gather(*turns), 30.0)
    assert [result.text for result in results] == ["Tool said: 3"] * 3
    assert connected == ["counted"] * 2


async def test_a_server_that_cannot_be_started_fails_the_turn_and_is_tried_again(model: FakeOpenAI) -> None:
    """Ours: the reason is for our log."""
    made = server()
    made.params.command = "/nowhere/at/all"
    published = ADAPTER.adapt(Agent(name="host", model=chat(model), mcp_servers=[made]))
    with pytest.raises(AdapterError, match="the MCP servers tests cannot be connected"):
        await within(replies_of(published, make_turn("SAY hello")), 30.0)
    made.params.command = sys.executable
    assert (await within(said(published, make_turn("SAY hello")), 30.0)).text == "hello"


async def test_a_server_that_somebody_connected_stays_theirs_and_its_tools_may_want_approval(
    model: FakeOpenAI,
) -> None:
    """Issue 5, part 1: an approval of an MCP tool is a question too."""
    async with server(require_approval="always") as made:
        session = made.session
        talk = Talk(ADAPTER.adapt(Agent(name="host", model=chat(model), mcp_servers=[made])))
        (ask,) = outcome(await within(talk.say('CALL add {"a": 1, "b": 2}'), 30.0)).asks
        assert ask.parts[0].data == {"tool": "add", "arguments": {"a": 1, "b": 2}}
        replies = await within(talk.say("yes"), 30.0)
        assert [reply.content for reply in replies if isinstance(reply, ToolResult)] == [{"type": "text", "text": "3"}]
        assert not [reply for reply in replies if isinstance(reply, Chunk)]
        assert made.session is session
