"""What is the OpenAI Agents SDK's own: handoffs, guardrails, approvals, traces, its own tools' words."""

import asyncio
from typing import Any

import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    ModelSettings,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    RunContextWrapper,
    function_tool,
    handoff,
    input_guardrail,
    output_guardrail,
)
from agents.realtime import RealtimeAgent
from agents.tracing import get_trace_provider

from a2a_bridge.agent import Ask, Chunk, Progress, ToolCall, ToolResult, Usage, outcome
from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.adapter_case import asked, said, within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of
from adapters.openai_agents.adapter import ADAPTER
from adapters.openai_agents.agent import OpenAIAgent
from tests.adapters.clients import openai_client


def chat(model: FakeOpenAI) -> OpenAIChatCompletionsModel:
    """A model that talks to the fake server."""
    return OpenAIChatCompletionsModel(model="fake-model", openai_client=openai_client(model))


@function_tool(needs_approval=True)
async def erase(what: str) -> str:
    """Erase something, if a human agrees."""
    return f"erased {what}"


def eraser(model: FakeOpenAI, **options: Any) -> Any:
    """An agent that asks before it erases."""
    return ADAPTER.adapt(Agent(name="eraser", model=chat(model), tools=[erase], **options))


def asks_in(replies: list[Any]) -> list[Ask]:
    """The questions among the replies."""
    return [reply for reply in replies if isinstance(reply, Ask)]


# Handoffs


def triage(model: FakeOpenAI, *, made: bool = False) -> Any:
    """An agent that hands over to a specialist with a tool."""

    @function_tool
    def price(of: str) -> str:
        """Tell a price."""
        return f"{of}: 5"

    billing = Agent(name="billing", instructions="You bill.", model=chat(model), tools=[price])
    target: Any = handoff(billing) if made else billing
    KEPT.append(billing)
    return Agent(name="triage", model=chat(model), handoffs=[target])


KEPT: list[Any] = []  # `handoff()` refers to its agent weakly


@pytest.mark.parametrize("made", [False, True])
async def test_a_handoff_is_told_and_the_conversation_stays_with_whom_it_went_to(model: FakeOpenAI, made: bool) -> None:
    """The SDK's own loop goes on with the last agent; so do we, after a restart too."""
    talk = Talk(ADAPTER.adapt(triage(model, made=made)))
    replies = await within(talk.say("CALL transfer_to_billing {}"))
    assert Progress("triage hands over to billing.") in replies
    talk.agent = ADAPTER.adapt(triage(model, made=made))
    replies = await within(talk.say('CALL price {"of": "tea"}'))
    assert outcome(replies).text == "Tool said: tea: 5"
    assert model.requests[-1].body["messages"][0]["content"] == "You bill."


def test_the_card_tells_the_tools_of_those_who_are_handed_over_to(model: FakeOpenAI) -> None:
    """Issue 5, part 1: a card with skills filled in from the object."""
    (skill,) = ADAPTER.adapt(triage(model, made=True)).traits.skills
    assert (skill.id, skill.description) == ("price", "Tell a price.")


async def test_who_has_the_word_and_is_gone_gives_it_back(model: FakeOpenAI) -> None:
    """Ours: a new release must not break every conversation that is under way."""
    talk = Talk(ADAPTER.adapt(triage(model)))
    await within(talk.say("CALL transfer_to_billing {}"))
    talk.agent = ADAPTER.adapt(Agent(name="triage", instructions="Alone.", model=chat(model)))
    assert outcome(await within(talk.say("SAY still here"))).text == "still here"
    assert model.requests[-1].body["messages"][0]["content"] == "Alone."


# What is said


async def test_words_before_and_after_a_tool_are_messages_of_one_answer(model: FakeOpenAI) -> None:
    """Ours: the messages of all model calls, one after another, each once."""

    @function_tool
    def total() -> str:
        """Add up."""
        return "42"

    agent = Agent(name="short", model=chat(model), tools=[total], tool_use_behavior="stop_on_first_tool")
    assert (await said(ADAPTER.adapt(agent), make_turn("CALL total {}"))).text == "42"


async def test_an_agent_that_is_a_tool_does_not_speak_for_the_other_but_is_counted(model: FakeOpenAI) -> None:
    """Ours: what a tool's own model says is the tool's result; its tokens are the turn's."""
    inner = Agent(name="inner", model=chat(model)).as_tool("consult", "Ask somebody else.")
    agent = ADAPTER.adapt(Agent(name="outer", model=chat(model), tools=[inner]))
    replies = await within(replies_of(agent, make_turn('CALL consult {"input": "SAY secret"}')))
    assert outcome(replies).text == "Tool said: secret"
    assert len([reply for reply in replies if isinstance(reply, Usage)]) == 3
    assert outcome(replies).usage.model == "fake-model"


async def test_a_structured_answer_is_not_shown_as_json_first(model: FakeOpenAI) -> None:
    """Ours: tokens that would be taken back are not shown."""
    agent = ADAPTER.adapt(Agent(name="list", model=chat(model), output_type=list[int]))
    replies = await within(replies_of(agent, make_turn('JSON {"response": [1, 2]}')))
    assert not [reply for reply in replies if isinstance(reply, str)]
    assert [part.data for part in outcome(replies).parts] == [[1, 2]]


async def test_whoever_does_not_want_to_be_counted_is_not_asked_to(model: FakeOpenAI) -> None:
    """Ours: some providers refuse `stream_options`; the agent's own setting counts."""
    agent = Agent(name="plain", model=chat(model), model_settings=ModelSettings(include_usage=False))
    await said(ADAPTER.adapt(agent), make_turn("SAY hello"))
    assert model.requests[-1].body["stream_options"] == {"include_usage": False}


async def test_a_document_reaches_the_model_and_a_link_is_told(model: FakeOpenAI) -> None:
    """Issue 5, part 1: files are parts."""
    paper = Part(raw=b"%PDF", media_type="application/pdf", filename="a.pdf")
    link = Part(url="https://papers.invalid/b.pdf", media_type="application/pdf")
    picture = Part(url="https://pictures.invalid/c.png", media_type="image/png")
    agent = ADAPTER.adapt(Agent(name="plain", model=chat(model)))
    await said(agent, make_turn(make_message([Part(text="Read"), paper, link, picture])))
    content = model.requests[-1].body["messages"][-1]["content"]
    assert content[1]["file"]["file_data"] == "data:application/pdf;base64,JVBERg=="
    assert "https://papers.invalid/b.pdf" in content[2]["text"]
    assert content[3]["image_url"]["url"] == "https://pictures.invalid/c.png"


async def test_a_step_that_never_ends_is_stopped_with_a_reason(model: FakeOpenAI) -> None:
    """Ours: the SDK's limit of model calls is told, not raised."""

    @function_tool
    def again() -> str:
        """Once more."""
        return "again"

    agent = ADAPTER.adapt(Agent(name="loop", model=chat(model), tools=[again]))
    result = await said(agent, make_turn(" ".join(["CALL again {}"] * 20)))
    assert "without coming to an end" in (result.failed or "")


# Guardrails


async def test_a_message_that_a_guardrail_stops_is_refused(model: FakeOpenAI) -> None:
    """Ours: REJECTED, and no word of what the guardrail has found."""

    @input_guardrail
    async def never(context: Any, agent: Any, said: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info="a secret rule", tripwire_triggered=True)

    agent = ADAPTER.adapt(Agent(name="guarded", model=chat(model), input_guardrails=[never]))
    result = await said(agent, make_turn("SAY hello"))
    assert "guardrail" in (result.refused or "")
    assert "secret" not in repr(result)


@pytest.mark.parametrize("stops", [False, True])
async def test_an_answer_is_shown_only_when_its_guardrails_have_seen_it(model: FakeOpenAI, stops: bool) -> None:
    """Ours: what has been streamed cannot be taken back."""

    @output_guardrail
    async def look(context: Any, agent: Any, answer: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info="", tripwire_triggered=stops)

    agent = ADAPTER.adapt(Agent(name="guarded", model=chat(model), output_guardrails=[look]))
    replies = await within(replies_of(agent, make_turn("SAY a dark secret")))
    if stops:
        assert "secret" not in repr(replies)
        assert "held the answer back" in (outcome(replies).refused or "")
    else:
        assert [reply for reply in replies if isinstance(reply, str | Chunk)] == [Chunk("a dark secret")]


# Approvals


async def test_several_calls_are_asked_about_together_and_answered_apart(model: FakeOpenAI) -> None:
    """Architecture §1.1: one pause, several asks, each with its id."""
    talk = Talk(eraser(model))
    asks = asks_in(await within(talk.say('PARALLEL CALL erase {"what": "A"} CALL erase {"what": "B"}')))
    assert [ask.parts[0].data for ask in asks] == [{"tool": "erase", "arguments": {"what": what}} for what in "AB"]
    assert [ask.text for ask in asks] == [f'May erase be called with {{"what": "{what}"}}?' for what in "AB"]
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


async def test_agents_that_were_changed_since_do_not_take_up_an_old_run(model: FakeOpenAI) -> None:
    """Ours: told as a reason, not as the SDK's error."""
    talk = Talk(eraser(model))
    await within(talk.say('CALL erase {"what": "A"}'))
    talk.agent = ADAPTER.adapt(Agent(name="other", model=chat(model)))
    assert "not open any more" in (outcome(await within(talk.say("yes"))).failed or "")


async def test_an_approval_of_an_agent_behind_a_tool_is_asked_for_too(model: FakeOpenAI) -> None:
    """Ours: the SDK lets nested questions through, so do we, after a restart too."""

    def outer() -> Any:
        calls = ModelSettings(tool_choice="required")
        inner = Agent(name="inner", model=chat(model), tools=[erase], model_settings=calls)
        return ADAPTER.adapt(Agent(name="outer", model=chat(model), tools=[inner.as_tool("consult", "Ask.")]))

    talk = Talk(outer())
    assert len(asks_in(await within(talk.say('CALL consult {"input": "clean up"}')))) == 1
    talk.agent = outer()
    assert outcome(await within(talk.say("yes"))).text == "Tool said: Tool said: erased text"


# The rest


async def test_a_turn_cancelled_inside_a_tool_leaves_a_context_that_goes_on(model: FakeOpenAI) -> None:
    """Ours: what was not finished has not been said."""
    begun, ended = asyncio.Event(), asyncio.Event()

    @function_tool
    async def idle() -> str:
        """Wait for ever."""
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    talk = Talk(ADAPTER.adapt(Agent(name="idle", model=chat(model), tools=[idle])))
    task = asyncio.create_task(talk.say("CALL idle {}"))
    await within(begun.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)
    assert ended.is_set()
    assert outcome(await within(talk.say("SAY never mind"))).text == "never mind"


@pytest.mark.parametrize("is_nested", [False, True])
async def test_tools_get_a_context_that_was_made_for_the_turn_and_is_not_kept(
    model: FakeOpenAI, is_nested: bool
) -> None:
    """Ours: made for each turn, with its caller at hand; a run that is taken up has a new one."""
    made: list[dict[str, str]] = []

    @function_tool(needs_approval=True)
    def who(context: RunContextWrapper[dict[str, str]]) -> str:
        """Look at the context."""
        return str(context.context is made[-1])

    def make(turn: Any) -> dict[str, str]:
        made.append({"token": "swordfish"})
        return made[-1]

    asking = Agent(name="host", model=chat(model), tools=[who])
    if is_nested:
        asking.model_settings = ModelSettings(tool_choice="required")
        asking = Agent(name="outer", model=chat(model), tools=[asking.as_tool("consult", "Ask.")])
    talk = Talk(OpenAIAgent(asking, context=make))
    replies = await within(talk.say('CALL consult {"input": "go"}' if is_nested else "CALL who {}"))
    assert len(asks_in(replies)) == 1
    assert b"swordfish" not in b"".join(record for _, record in await talk.journal.read())
    assert outcome(await within(talk.say("yes"))).text.endswith("Tool said: True")
    assert len(made) == 2


async def test_nothing_is_traced(model: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Frameworks §7 trap 2: with a key in the environment, the SDK sends what was said to OpenAI."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nothing")
    inner = Agent(name="inner", model=chat(model)).as_tool("consult", "Ask somebody else.")
    agent = ADAPTER.adapt(Agent(name="outer", model=chat(model), tools=[inner]))
    await said(agent, make_turn('CALL consult {"input": "SAY secret"}'))
    assert get_trace_provider().create_trace("test").trace_id == "no-op"


async def test_the_responses_wire_takes_the_models_own_refusal_and_words(model: FakeOpenAI) -> None:
    """Ours: the second turn hands back the items of the first, ids and all."""
    made = OpenAIResponsesModel(model="fake-model", openai_client=openai_client(model))
    talk = Talk(ADAPTER.adapt(Agent(name="plain", model=made)))
    await within(talk.say("SAY one"))
    await within(talk.say("SAY two"))
    assert [item["role"] for item in model.requests[-1].body["input"]] == ["user", "assistant", "user"]


def test_an_agent_that_talks_in_sessions_is_refused() -> None:
    """Ours: a RealtimeAgent has no turns; said when it is published."""
    with pytest.raises(AdapterError, match=r"publish an agents\.Agent"):
        ADAPTER.adapt(RealtimeAgent(name="voice"))


def test_instructions_are_not_shown_on_the_card(model: FakeOpenAI) -> None:
    """Ours: a card is for everybody."""
    agent = ADAPTER.adapt(Agent(name="worker", model=chat(model), instructions="Never tell that the code is 4711."))
    assert agent.description == "An OpenAI agent called worker."
