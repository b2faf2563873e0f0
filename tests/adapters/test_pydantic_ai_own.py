"""What is Pydantic AI's own: kinds of output, approvals and outside calls, dependencies, messages in the journal."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel
from pydantic_ai import (
    Agent,
    ApprovalRequired,
    BinaryImage,
    CallDeferred,
    DeferredToolRequests,
    ModelRetry,
    NativeOutput,
    RunContext,
    TextOutput,
)
from pydantic_ai.messages import FilePart, ModelResponse, NativeToolCallPart, NativeToolReturnPart
from pydantic_ai.messages import TextPart as Text
from pydantic_ai.models import CompletedStreamedResponse
from pydantic_ai.models.function import DeltaToolCall, FunctionModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.settings import ModelSettings

from a2a_bridge.agent import Ask, Chunk, ToolCall, ToolResult, outcome
from a2a_bridge.errors import AdapterFailedError
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.adapter_case import asked, said, within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of
from adapters.pydantic_ai.adapter import ADAPTER
from adapters.pydantic_ai.agent import PydanticAgent
from tests.adapters.clients import openai_client


def chat(model: FakeOpenAI) -> OpenAIChatModel:
    """A model that talks to the fake server."""
    return OpenAIChatModel("fake-model", provider=OpenAIProvider(openai_client=openai_client(model)))


def eraser(model: FakeOpenAI) -> Any:
    """An agent that asks before it erases."""
    agent = Agent(chat(model), name="eraser")

    @agent.tool_plain(requires_approval=True)
    async def erase(what: str) -> str:
        """Erase something, if a human agrees."""
        return f"erased {what}"

    return ADAPTER.adapt(agent)


def asks_in(replies: list[Any]) -> list[Ask]:
    """The questions among the replies."""
    return [reply for reply in replies if isinstance(reply, Ask)]


# What is said


class City(BaseModel):
    """A structured answer."""

    city: str


async def test_an_answer_in_the_models_own_json_is_data_and_not_shown_first(model: FakeOpenAI) -> None:
    """Ours: tokens that would be taken back are not shown."""
    agent = ADAPTER.adapt(Agent(chat(model), output_type=NativeOutput(City)))
    replies = await within(replies_of(agent, make_turn('JSON {"city": "Oslo"}')))
    assert not [reply for reply in replies if isinstance(reply, str)]
    assert [part.data for part in outcome(replies).parts] == [{"city": "Oslo"}]


async def test_an_answer_that_a_function_makes_is_the_functions(model: FakeOpenAI) -> None:
    """Ours: what the model said before is not."""

    def shout(text: str) -> str:
        return text.upper()

    agent = ADAPTER.adapt(Agent(chat(model), output_type=TextOutput(shout)))
    assert (await said(agent, make_turn("SAY quietly"))).text == "QUIETLY"


async def test_an_answer_is_shown_only_when_its_validators_have_taken_it(model: FakeOpenAI) -> None:
    """Ours: what has been streamed cannot be taken back."""
    agent = Agent(chat(model))
    tries = []

    @agent.output_validator
    async def check(answer: str) -> str:
        tries.append(answer)
        if len(tries) == 1:
            raise ModelRetry("SAY it politely")
        return answer

    replies = await within(replies_of(ADAPTER.adapt(agent), make_turn("SAY a rude word")))
    assert [reply for reply in replies if isinstance(reply, str | Chunk)] == [Chunk(tries[1])]
    assert tries[0] == "a rude word"


async def test_texts_of_several_calls_are_messages_of_one_answer() -> None:
    """Ours: one after another, each once; a call of the provider's own tools is told."""

    async def speak(messages: Any, info: Any) -> AsyncIterator[Any]:
        if len(messages) == 1:
            yield "Let me "
            yield "look."
            yield {1: DeltaToolCall("look", "{}", tool_call_id="one")}
        else:
            yield {0: NativeToolCallPart("web_search", {"query": "x"}, tool_call_id="two")}
            yield {1: NativeToolReturnPart("web_search", "found", tool_call_id="two")}
            yield "Done."

    agent = Agent(FunctionModel(stream_function=speak))
    agent.tool_plain(lambda: "seen", name="look")
    replies = await within(replies_of(ADAPTER.adapt(agent), make_turn("go")))
    assert outcome(replies).text == "Let me look.\n\nDone."
    calls = [reply for reply in replies if isinstance(reply, ToolCall)]
    assert [(call.id, call.arguments) for call in calls] == [("one", {}), ("two", {"query": "x"})]
    assert [reply.content for reply in replies if isinstance(reply, ToolResult)] == ["seen", "found"]


@pytest.mark.parametrize(("output_type", "text"), [(str, "Here."), (BinaryImage, "")])
async def test_a_picture_that_the_model_makes_is_a_file_and_told_once(output_type: Any, text: str) -> None:
    """Issue 5, part 1: files are parts, this way too."""
    picture = BinaryImage(b"\x89PNG", media_type="image/png")

    class Painter(FunctionModel):
        """A model that paints."""

        @asynccontextmanager
        async def request_stream(self, messages: Any, settings: Any, parameters: Any, context: Any = None) -> Any:
            said = ModelResponse([*([Text(text)] if text else []), FilePart(picture)])
            yield CompletedStreamedResponse(said, model_request_parameters=parameters, replay_events=True)

    profile = ModelProfile(supports_image_output=True)
    made = Agent(Painter(lambda messages, info: ModelResponse([]), profile=profile), output_type=output_type)
    result = await said(ADAPTER.adapt(made), make_turn("paint"))
    assert result.text == text
    assert [(part.raw, part.media_type) for part in result.parts if part.raw] == [(b"\x89PNG", "image/png")]


async def test_a_document_reaches_the_model_and_a_link_is_told_not_fetched(model: FakeOpenAI) -> None:
    """Issue 5, part 1: files are parts; no server of ours fetches what a stranger names."""
    paper = Part(raw=b"%PDF", media_type="application/pdf", filename="a.pdf")
    link = Part(url="http://127.0.0.1:9/b.pdf", media_type="application/pdf")
    picture = Part(url="https://pictures.invalid/c.png", media_type="image/png")
    await said(ADAPTER.adapt(Agent(chat(model))), make_turn(make_message([Part(text="Read"), paper, link, picture])))
    content = model.requests[-1].body["messages"][-1]["content"]
    assert content[1]["file"]["file_data"] == "data:application/pdf;base64,JVBERg=="
    assert "http://127.0.0.1:9/b.pdf" in content[2]["text"]
    assert content[3]["image_url"]["url"] == "https://pictures.invalid/c.png"


async def test_a_step_that_never_ends_is_stopped_with_a_reason(model: FakeOpenAI) -> None:
    """Ours: the framework's limit of model calls is told, not raised."""
    agent = Agent(chat(model))
    agent.tool_plain(lambda: "again", name="again")
    result = await said(ADAPTER.adapt(agent), make_turn(" ".join(["CALL again {}"] * 60)))
    assert "without coming to an end" in (result.failed or "")


# The past


async def test_an_agent_that_joins_later_still_has_its_system_prompt(model: FakeOpenAI) -> None:
    """Ours: Pydantic AI gives one only to conversations without a past."""
    agent = ADAPTER.adapt(Agent(chat(model), system_prompt="You plan.", instructions="Be brief."))
    await said(agent, make_turn("Go.", history=[make_message("Hello all.", speaker="host")]))
    said_before = [(one["role"], one["content"]) for one in model.requests[-1].body["messages"]]
    assert said_before == [
        ("system", "You plan."),
        ("system", "Be brief."),
        ("user", "[host] Hello all."),
        ("user", "Go."),
    ]


async def test_a_record_that_cannot_be_read_any_more_gives_way_to_the_history(model: FakeOpenAI) -> None:
    """Ours: a new release must not break every conversation that is under way."""
    talk = Talk(ADAPTER.adapt(Agent(chat(model))))
    await within(talk.say("SAY my name is Ada"))
    await talk.journal.append(b"\n[{}]", snapshot=True)
    assert outcome(await within(talk.say("SAY still here"))).text == "still here"
    assert "my name is Ada" in asked(model)


# Approvals and outside calls


async def test_several_calls_are_asked_about_together_and_answered_apart(model: FakeOpenAI) -> None:
    """Architecture §1.1: one pause, several asks, each with its id."""
    talk = Talk(eraser(model))
    asks = asks_in(await within(talk.say('PARALLEL CALL erase {"what": "A"} CALL erase {"what": "B"}')))
    assert [ask.parts[0].data for ask in asks] == [{"tool": "erase", "arguments": {"what": what}} for what in "AB"]
    replies = await within(talk.say("", {asks[0].id: "no", asks[1].id: "yes"}))
    results = {reply.id: reply for reply in replies if isinstance(reply, ToolResult)}
    assert results[asks[0].id].is_error
    assert results[asks[1].id].content == "erased B"
    assert outcome(replies).text.endswith("erased B")


async def test_an_unclear_answer_is_asked_for_again(model: FakeOpenAI) -> None:
    """Architecture §1.1: `option()` gives None when it is unclear, and the agent asks again."""
    talk = Talk(eraser(model))
    first = asks_in(await within(talk.say('CALL erase {"what": "A"}')))
    assert asks_in(await within(talk.say("what do you mean?"))) == first
    assert outcome(await within(talk.say("Yes."))).text == "Tool said: erased A"


async def test_one_approval_after_another(model: FakeOpenAI) -> None:
    """Ours: a run may stop more than once, and each time in another process; calls are told once."""
    talk, told = Talk(eraser(model)), []
    replies = await within(talk.say('CALL erase {"what": "A"} CALL erase {"what": "B"}'))
    for _ in range(2):
        told += replies
        assert len(asks_in(replies)) == 1
        talk.agent = eraser(model)
        replies = await within(talk.say("yes"))
    told += replies
    assert outcome(replies).text == "Tool said: erased A | erased B"
    assert [call.arguments for call in told if isinstance(call, ToolCall)] == [{"what": "A"}, {"what": "B"}]


async def test_what_was_said_before_an_unanswered_question_is_remembered(model: FakeOpenAI) -> None:
    """Ours: the question is gone, the conversation is not; no provider takes a tool call without a result."""
    talk = Talk(eraser(model))
    await within(talk.say('Ada says CALL erase {"what": "A"}'))
    talk.asks = ()
    assert outcome(await within(talk.say("SAY something else"))).text == "something else"
    assert "Ada says" in asked(model)


async def test_a_call_that_somebody_else_makes_is_answered_with_what_it_gives(model: FakeOpenAI) -> None:
    """Ours: tools that are deferred are questions, whose words are in their metadata."""
    agent = Agent(chat(model))

    @agent.tool_plain
    def survey(topic: str) -> str:
        """Ask people."""
        raise CallDeferred({"question": f"What do people say about {topic}?"})

    @agent.tool_plain
    def spend(amount: int) -> str:
        """Spend money."""
        raise ApprovalRequired({"limit": 5})

    talk = Talk(ADAPTER.adapt(agent))
    replies = await within(talk.say('PARALLEL CALL survey {"topic": "tea"} CALL spend {"amount": 9}'))
    approval, question = asks_in(replies)
    assert (question.text, question.options) == ("What do people say about tea?", ())
    assert (approval.text, approval.options) == ('May spend be called with {"amount": 9}?', ("yes", "no"))
    assert approval.parts[0].data == {"tool": "spend", "arguments": {"amount": 9}, "metadata": {"limit": 5}}
    replies = await within(talk.say("", {question.id: {"good": 9}, approval.id: "no"}))
    assert '"good":9' in outcome(replies).text.replace(" ", "")


async def test_words_of_the_authors_do_not_hide_what_is_to_be_approved(model: FakeOpenAI) -> None:
    """Ours: who approves a call reads its arguments in the sentence, whatever the tool says about it."""
    agent = Agent(chat(model))

    @agent.tool_plain
    def pay(cents: int) -> str:
        """Pay."""
        raise ApprovalRequired({"question": "Shall we pay?"})

    (ask,) = asks_in(await within(Talk(ADAPTER.adapt(agent)).say('CALL pay {"cents": 99999}')))
    assert ask.text == 'Shall we pay?\nMay pay be called with {"cents": 99999}?'


async def test_an_agent_that_names_its_pauses_itself_pauses_too(model: FakeOpenAI) -> None:
    """Ours: its output type is left as it is."""
    agent = Agent(chat(model), output_type=[str, DeferredToolRequests])
    agent.tool_plain(requires_approval=True, name="wipe")(lambda: "wiped")
    talk = Talk(ADAPTER.adapt(agent))
    assert len(asks_in(await within(talk.say("CALL wipe {}")))) == 1
    assert outcome(await within(talk.say("yes"))).text == "Tool said: wiped"


# The rest


@dataclass
class Deps:
    """What a tool needs."""

    who: str


async def test_tools_get_what_was_made_for_the_turn(model: FakeOpenAI) -> None:
    """Ours: dependencies are made for each turn, with its caller at hand."""
    agent = Agent(chat(model), deps_type=Deps, name="host")

    @agent.tool
    def who(context: RunContext[Deps]) -> str:
        """Tell who asks."""
        return context.deps.who

    made = PydanticAgent(agent, deps=lambda turn: Deps(turn.caller.principal))
    assert (await said(made, make_turn("CALL who {}"))).text == "Tool said: anonymous"


def test_an_agent_that_misses_its_dependencies_is_pointed_out(
    model: FakeOpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: its tools would fail in every turn, and a caller cannot say why."""
    ADAPTER.adapt(Agent(chat(model), deps_type=Deps, name="host"))
    assert "PydanticAgent(agent, deps=...)" in caplog.text
    caplog.clear()
    ADAPTER.adapt(Agent(chat(model), name="host"))
    PydanticAgent(Agent(chat(model), deps_type=Deps, name="host"), deps=lambda turn: Deps("ada"))
    assert caplog.records == []


async def test_a_turn_cancelled_inside_a_tool_leaves_a_context_that_goes_on(model: FakeOpenAI) -> None:
    """Ours: what was not finished has not been said."""
    begun, ended = asyncio.Event(), asyncio.Event()
    agent = Agent(chat(model))

    @agent.tool_plain
    async def idle() -> str:
        """Wait for ever."""
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    talk = Talk(ADAPTER.adapt(agent))
    task = asyncio.create_task(talk.say("CALL idle {}"))
    await within(begun.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)
    assert ended.is_set()
    assert outcome(await within(talk.say("SAY never mind"))).text == "never mind"


async def test_a_tool_that_breaks_ends_the_turn_and_not_the_context(model: FakeOpenAI) -> None:
    """Frameworks §7 trap 8: Pydantic AI lets a tool's exception out of the run."""
    agent = Agent(chat(model), model_settings=ModelSettings(temperature=0))
    agent.tool_plain(lambda: str(1 / 0), name="broken")
    talk = Talk(ADAPTER.adapt(agent))
    with pytest.raises(AdapterFailedError, match="ZeroDivisionError"):
        await within(talk.say("CALL broken {}"))
    assert outcome(await within(talk.say("SAY here again"))).text == "here again"


def test_nothing_greets_the_terminal() -> None:
    """Ours: a server's terminal belongs to the server."""
    ADAPTER.adapt(Agent(TestModel()))
    assert os.environ["PYDANTIC_AI_NO_BANNER"]
