"""What is ADK's own: confirmations, long-running tools, pipelines, agents at the same time, state, apps and runners."""

from typing import Any

import pytest
from google.adk.agents import LlmAgent, ParallelAgent, SequentialAgent
from google.adk.apps.app import App
from google.adk.artifacts import InMemoryArtifactService
from google.adk.events import Event
from google.adk.plugins.base_plugin import BasePlugin
from google.adk.runners import Runner
from google.adk.sessions import InMemorySessionService
from google.adk.tools import AgentTool, FunctionTool, LongRunningFunctionTool, ToolContext
from google.adk.tools._request_input_tool import request_input
from google.genai import types

from a2a_bridge.agent import Ask, Caller, Chunk, Progress, ToolCall, ToolResult, Usage, outcome
from a2a_bridge.protocol.objects import Part, Role
from a2a_bridge.testing.adapter_case import SECRET, asked, said, within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of
from adapters.google_adk.adapter import ADAPTER
from adapters.google_adk.roots import Place
from adapters.google_adk.words import Words
from tests.adapters.adk_model import FakeLlm
from tests.adapters.clients import openai_client

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # ADK's own


def erase(what: str) -> str:
    """Erase something."""
    return f"erased {what}"


def ticket(what: str) -> None:
    """Open a ticket, which somebody else closes."""


def broken() -> str:
    """Break."""
    raise RuntimeError(SECRET)


def remember(what: str, tool_context: ToolContext) -> str:
    """Keep something in the session's state."""
    before = tool_context.state.get("kept", [])
    tool_context.state["kept"] = [*before, what]
    return f"{len(before)} before"


async def attach(tool_context: ToolContext) -> str:
    """Save a file."""
    made = types.Part(inline_data=types.Blob(data=b"file", mime_type="text/plain"))
    return f"version {await tool_context.save_artifact('a.txt', made)}"


def worker(model: FakeOpenAI, name: str = "worker", **options: Any) -> LlmAgent:
    """An ADK agent that talks to the fake server."""
    return LlmAgent(name=name, model=FakeLlm(connection=openai_client(model)), **options)


async def test_a_confirmation_is_asked_with_its_options_until_it_is_clear(model: FakeOpenAI) -> None:
    """Issue 5, part 1: a confirmation is a question too; no is an answer."""
    for word, result in (("Yes.", "erased it"), ("deny", "rejected")):
        talk = Talk(ADAPTER.adapt(worker(model, tools=[FunctionTool(erase, require_confirmation=True)])))
        replies = await within(talk.say('CALL erase {"what": "it"}'))
        ask = replies[-1]
        assert isinstance(ask, Ask)
        assert (ask.text, ask.options) == ('May erase be called with {"what":"it"}?', ("yes", "no"))
        assert not [reply for reply in replies if isinstance(reply, ToolResult)]
        assert await within(talk.say("what?")) == [ask]
        assert result in outcome(await within(talk.say(word))).text


async def test_two_confirmations_are_one_pause(model: FakeOpenAI) -> None:
    """Architecture §1.1: several asks are one pause, and one message answers them all."""
    talk = Talk(ADAPTER.adapt(worker(model, tools=[FunctionTool(erase, require_confirmation=True)])))
    replies = await within(talk.say('PARALLEL CALL erase {"what": "a"} CALL erase {"what": "b"}'))
    asks = [reply for reply in replies if isinstance(reply, Ask)]
    assert len(asks) == 2
    text = outcome(await within(talk.say("", {asks[0].id: "yes", asks[1].id: "no"}))).text
    assert "erased a" in text
    assert "erased b" not in text


async def test_a_given_up_confirmation_leaves_the_conversation_as_it_was(model: FakeOpenAI) -> None:
    """Ours: an open tool call in the history would be refused by the model's provider."""
    talk = Talk(ADAPTER.adapt(worker(model, tools=[FunctionTool(erase, require_confirmation=True)])))
    await within(talk.say("SAY my name is Ada"))
    await within(talk.say('CALL erase {"what": "it"}'))
    talk.asks = ()
    await within(talk.say("SAY something else"))
    await within(talk.say("SAY and more"))
    assert "my name is Ada" in asked(model)
    assert "something else" in asked(model)
    assert "CALL erase" not in asked(model)


@pytest.mark.parametrize(
    ("tool", "call", "question"),
    [
        (LongRunningFunctionTool(ticket), 'CALL ticket {"what": "it"}', 'What does ticket give for {"what":"it"}?'),
        (request_input, 'CALL adk_request_input {"message": "Which city?"}', "Which city?"),
    ],
)
async def test_what_takes_long_is_a_question_and_its_result_the_answer(
    model: FakeOpenAI, tool: Any, call: str, question: str
) -> None:
    """Issue 5, part 1: whatever ADK waits for is a pause."""
    talk = Talk(ADAPTER.adapt(worker(model, tools=[tool])))
    replies = await within(talk.say(call))
    assert isinstance(replies[-1], Ask)
    assert replies[-1].text == question
    assert outcome(await within(talk.say("T-1"))).text == "Tool said: T-1"


async def test_a_tool_that_breaks_does_not_end_the_run(model: FakeOpenAI) -> None:
    """Frameworks §7 trap 8: ADK lets tool exceptions out; here the model is told of what kind it was."""
    replies = await within(replies_of(ADAPTER.adapt(worker(model, tools=[broken])), make_turn("CALL broken {}")))
    assert [(reply.content, reply.is_error) for reply in replies if isinstance(reply, ToolResult)] == [
        ("The tool failed.", True)
    ]
    assert "The tool failed: RuntimeError" in outcome(replies).text
    assert SECRET not in repr(replies)


async def test_an_agent_that_sees_to_its_own_broken_tools_keeps_doing_so(model: FakeOpenAI) -> None:
    """Ours: what the developer has said wins."""

    def recover(tool: Any, args: Any, tool_context: Any, error: Exception) -> dict[str, Any]:
        return {"result": "recovered"}

    agent = ADAPTER.adapt(worker(model, tools=[broken], on_tool_error_callback=recover))
    assert (await said(agent, make_turn("CALL broken {}"))).text == "Tool said: recovered"


async def test_in_a_pipeline_every_message_has_its_speaker(model: FakeOpenAI) -> None:
    """Ours: a transcript without names could not be read."""
    pipeline = SequentialAgent(name="pipeline", sub_agents=[worker(model, "writer"), worker(model, "critic")])
    assert (await said(ADAPTER.adapt(pipeline), make_turn("SAY fine"))).text.startswith("[writer] fine\n\n[critic] ")


async def test_agents_that_speak_at_the_same_time_are_told_one_after_another(model: FakeOpenAI) -> None:
    """Ours: tokens of two agents, mixed, are no text."""
    both = ParallelAgent(name="both", sub_agents=[worker(model, "left"), worker(model, "right")])
    replies = await within(replies_of(ADAPTER.adapt(both), make_turn("SAY one two three")))
    assert not [reply for reply in replies if isinstance(reply, Chunk)]
    text = outcome(replies).text
    assert sorted(text.split("\n\n")) == ["[left] one two three", "[right] one two three"]


def test_tokens_of_agents_at_the_same_time_in_any_order_make_whole_messages() -> None:
    """The same, event by event: whoever comes late is told when all of it is there."""

    def event(who: str, text: str, partial: bool = False) -> Event:
        content = types.Content(role="model", parts=[types.Part(text=text)])
        return Event(author=who, branch=who, content=content, partial=partial)

    words = Words(Place(step=None, names_speakers=True), structured=frozenset())
    told: list[Any] = []
    for one in (
        event("a", "a1", True), event("b", "b1", True), event("c", "c1c2"), event("a", "a2", True),
        event("a", "a1a2"), event("b", "b2", True), event("b", "b1b2"), event("b", "b3", True), event("b", "b3"),
    ):  # fmt: skip
        told += words.take(one)
    told += words.end()
    assert told == ["[a] a1", "a2", "\n\n[c] c1c2", "\n\n[b] b1b2", "\n\n[b] b3"]


async def test_a_hand_over_is_progress(model: FakeOpenAI) -> None:
    """Ours: who is asked is told to whoever watches."""
    boss = worker(model, "boss", sub_agents=[worker(model, "helper", description="Helps.")])
    talk = Talk(ADAPTER.adapt(boss))
    replies = await within(talk.say('CALL transfer_to_agent {"agent_name": "helper"}'))
    assert Progress("Handed over to helper.") in replies
    assert not [reply for reply in replies if isinstance(reply, ToolCall | ToolResult)]
    assert outcome(await within(talk.say("SAY still me"))).text == "[helper] still me"


async def test_the_sessions_state_is_kept_between_turns_and_callers_do_not_share_it(model: FakeOpenAI) -> None:
    """Architecture §1.1: state per context, in the turn's journal."""
    agent = ADAPTER.adapt(worker(model, tools=[remember]))
    talk = Talk(agent)
    for number in range(2):
        replies = await within(talk.say('CALL remember {"what": "it"}'))
        assert outcome(replies).text == f"Tool said: {number} before"
    assert outcome(await within(Talk(agent).say('CALL remember {"what": "it"}'))).text == "Tool said: 0 before"


async def test_a_past_that_adk_has_not_seen_is_told_with_its_speakers(model: FakeOpenAI) -> None:
    """Architecture §6: ADK shows models no names, so they stand before the text."""
    history = [make_message("Hello.", speaker="host"), make_message("I am here.", role=Role.AGENT)]
    turn = make_turn(make_message("Really?", speaker="critic"), history=history)
    await said(ADAPTER.adapt(worker(model)), turn)
    messages = [(one["role"], one["content"]) for one in model.requests[-1].body["messages"]]
    told = [(role, text if isinstance(text, str) else text[-1]["text"]) for role, text in messages]
    assert told == [("user", "[host] Hello."), ("assistant", "I am here."), ("user", "[critic] Really?")]


async def test_a_model_that_gives_no_answer_fails_the_turn_with_the_code() -> None:
    """Ours: a refused prompt is told as what it is."""

    class Refuses(FakeLlm):
        async def generate_content_async(self, llm_request: Any, stream: bool = False) -> Any:
            from google.adk.models.llm_response import LlmResponse

            yield LlmResponse(error_code="SAFETY", error_message="inner words")

    agent = ADAPTER.adapt(LlmAgent(name="worker", model=Refuses()))
    assert (await said(agent, make_turn("hello"))).failed == "The model gave no answer (SAFETY)."


async def test_an_app_brings_its_plugins(model: FakeOpenAI) -> None:
    """Ours: what the developer has put around the agent stays around it."""
    seen: list[str] = []

    class Watch(BasePlugin):
        async def on_user_message_callback(self, *, invocation_context: Any, user_message: Any) -> None:
            seen.append(user_message.parts[0].text)

    app = App(name="desk", root_agent=worker(model), plugins=[Watch(name="watch")])
    agent = ADAPTER.adapt(app)
    assert agent.name == "worker"
    assert (await said(agent, make_turn("SAY hello"))).text == "hello"
    assert seen == ["SAY hello"]


async def test_a_runner_brings_its_stores_and_a_named_caller_a_place_in_them(model: FakeOpenAI) -> None:
    """Ours: artifacts are the developer's to keep; two callers who name the same context do not share them."""
    files = InMemoryArtifactService()
    runner = Runner(
        app=App(name="desk", root_agent=worker(model, tools=[attach])),
        session_service=InMemorySessionService(),
        artifact_service=files,
    )
    agent = ADAPTER.adapt(runner)
    for caller in (Caller(), Caller("ada")):
        turn = make_turn("CALL attach {}", caller=caller)
        assert (await said(agent, turn)).text == "Tool said: version 0"
    assert (await said(agent, make_turn("CALL attach {}"))).text == "Tool said: version 1"


async def test_a_file_that_an_agent_makes_is_a_part(model: FakeOpenAI) -> None:
    """Issue 5, part 1: files as parts, out of the framework too."""

    class Paints(FakeLlm):
        async def generate_content_async(self, llm_request: Any, stream: bool = False) -> Any:
            from google.adk.models.llm_response import LlmResponse

            picture = types.Part(inline_data=types.Blob(data=b"picture", mime_type="image/png"))
            yield LlmResponse(content=types.Content(role="model", parts=[types.Part(text="Here:"), picture]))

    result = await said(ADAPTER.adapt(LlmAgent(name="worker", model=Paints())), make_turn("paint"))
    assert result.parts == (Part(text="Here:"), Part(raw=b"picture", media_type="image/png"))


def test_instructions_are_not_shown_on_the_card(model: FakeOpenAI) -> None:
    """Ours: a card is for everybody."""
    agent = ADAPTER.adapt(worker(model, instruction="Never tell that the code is 4711."))
    assert agent.description == "An agent called worker."


async def test_what_an_agent_behind_a_tool_uses_is_counted(model: FakeOpenAI) -> None:
    """Issue 5, part 1: it runs in a session of its own."""
    expert = worker(model, "expert", description="Knows.")
    agent = ADAPTER.adapt(worker(model, tools=[AgentTool(agent=expert)]))
    replies = await within(replies_of(agent, make_turn('CALL expert {"request": "SAY forty two"}')))
    assert outcome(replies).text == "Tool said: forty two"
    assert len([reply for reply in replies if isinstance(reply, Usage)]) == len(model.requests) == 3
