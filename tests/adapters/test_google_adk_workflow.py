"""Roots of ADK 2 that are nodes, and agents that are no models': the contract for a workflow, and what is their own."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from fastapi.openapi.models import APIKey, APIKeyIn
from google.adk.agents import BaseAgent, LlmAgent, LoopAgent
from google.adk.apps.app import App
from google.adk.auth.auth_credential import AuthCredential, AuthCredentialTypes
from google.adk.auth.auth_handler import AuthHandler
from google.adk.auth.auth_tool import AuthConfig
from google.adk.events import Event
from google.adk.events.request_input import RequestInput
from google.adk.models.llm_response import LlmResponse
from google.adk.runners import Runner
from google.adk.sessions import InMemorySessionService
from google.adk.tools import FunctionTool, LongRunningFunctionTool
from google.adk.workflow import JoinNode, Node, RetryConfig, Workflow, node
from google.genai import types
from pydantic import BaseModel

from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import Ask, Chunk, Progress, ToolCall, ToolResult, outcome
from a2a_bridge.errors import AdapterError, AdapterFailedError
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.adapter_case import SECRET, asked, said, within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of
from adapters.google_adk.adapter import ADAPTER
from tests.adapters.adk_model import FakeLlm
from tests.adapters.test_google_adk import AdkContract, Weather, erase, worker

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # ADK's own


class TestAdkWorkflow(AdkContract):
    """A workflow of one agent in chat mode."""

    def agent_with(self, model: FakeOpenAI, **options: Any) -> Any:
        options = {"mode": "chat", **options}
        return Workflow(name="flow", edges=[("START", worker(model, **options))])


class TestAdkLoop(AdkContract):
    """A loop of one agent."""

    def agent_with(self, model: FakeOpenAI, **options: Any) -> Any:
        return LoopAgent(name="loop", max_iterations=1, sub_agents=[worker(model, **options)])


def flow(*steps: Any, name: str = "flow") -> Workflow:
    """A workflow of steps in a row."""
    return Workflow(name=name, edges=[("START", *steps)])


def shout(node_input: str) -> str:
    """A step that is a function."""
    return node_input.upper()


def tell(node_input: Any) -> str:
    """A step that says what it was given."""
    return f"given {node_input!r}"


def asking(**options: Any) -> Any:
    """A step that asks a human; the answer is what it gives."""

    def ask(node_input: Any) -> Any:
        yield RequestInput(**options)

    return ask


def artifact(replies: list[Any], name: str) -> str:
    """The text of one artifact."""
    return "".join(one.text for one in replies if isinstance(one, Chunk) and one.artifact == name)


class Order(BaseModel):
    """What a clerk wants to know."""

    what: str
    count: int


# What is said


async def test_the_output_of_a_workflow_is_its_answer_and_its_steps_are_told(model: FakeOpenAI) -> None:
    """Ours: a workflow's last node answers; who watches sees where it is."""
    replies = await within(replies_of(adapt(flow(shout, tell)), make_turn("hello")))
    assert outcome(replies).text == "given 'HELLO'"
    assert [reply.text for reply in replies if isinstance(reply, Progress)] == ["Step shout", "Step tell"]


async def test_an_output_that_is_no_text_is_data(model: FakeOpenAI) -> None:
    """Issue 5, part 1: structured output is data."""

    def measure(node_input: str) -> Weather:
        return Weather(city=node_input, degrees=1.5)

    assert (await said(adapt(flow(measure)), make_turn("Oslo"))).parts == (
        Part(data={"city": "Oslo", "degrees": 1.5}, media_type="application/json"),
    )


async def test_the_words_of_an_earlier_model_are_streamed_under_its_name_and_are_not_the_answer(
    model: FakeOpenAI,
) -> None:
    """Ours: what leads to the answer is shown, and nobody takes it for the answer."""
    replies = await within(replies_of(adapt(flow(worker(model, "writer"), shout)), make_turn("SAY one two")))
    assert [reply.text for reply in replies if isinstance(reply, Chunk)] == ["one ", "two"]
    assert artifact(replies, "writer") == "one two"
    assert outcome(replies).text == "ONE TWO"


async def test_models_at_the_same_time_are_streamed_side_by_side_until_they_are_joined(model: FakeOpenAI) -> None:
    """Ours: each has an artifact of its own, so nobody waits for the other."""
    both = (worker(model, "left"), worker(model, "right"))
    replies = await within(replies_of(adapt(flow(both, JoinNode(name="join"), tell)), make_turn("SAY a b")))
    assert (artifact(replies, "left"), artifact(replies, "right")) == ("a b", "a b")
    assert outcome(replies).text == "given {'left': 'a b', 'right': 'a b'}" or (
        outcome(replies).text == "given {'right': 'a b', 'left': 'a b'}"
    )


async def test_the_last_step_of_a_workflow_in_a_workflow_answers(model: FakeOpenAI) -> None:
    """Ours: workflows may be steps of workflows."""
    inner = flow(worker(model, "writer"), worker(model, "critic"), name="inner")
    replies = await within(replies_of(adapt(flow(inner)), make_turn("SAY fine")))
    assert artifact(replies, "writer") == "fine"
    assert outcome(replies).text == "Echo: fine"
    replies = await within(replies_of(adapt(flow(inner, shout, name="outer")), make_turn("SAY fine")))
    assert (artifact(replies, "writer"), artifact(replies, "critic")) == ("fine", "Echo: fine")
    assert outcome(replies).text == "ECHO: FINE"


async def test_of_several_ends_the_one_that_was_chosen_speaks_with_its_name(model: FakeOpenAI) -> None:
    """Ours: as in a team, a reader must see who it is."""

    def choose(node_input: str) -> Any:
        yield Event(output=node_input, route="loud" if node_input.endswith("!") else "soft")

    routes = {"loud": worker(model, "shouter"), "soft": worker(model, "whisperer")}
    agent = adapt(Workflow(name="flow", edges=[("START", choose, routes)]))
    assert (await said(agent, make_turn("SAY hi!"))).text == "[shouter] hi!"
    assert (await said(agent, make_turn("SAY hi"))).text == "[whisperer] hi"


async def test_a_node_is_a_root_and_what_it_calls_speaks_under_its_own_name(model: FakeOpenAI) -> None:
    """ADK's Runner runs any node."""
    helper = worker(model, "helper")

    @node(rerun_on_resume=True)
    async def boss(ctx: Any, node_input: str) -> dict[str, Any]:
        return {"heard": await ctx.run_node(helper, node_input=node_input)}

    replies = await within(replies_of(adapt(boss), make_turn("SAY yes")))
    assert artifact(replies, "helper") == "yes"
    assert [part.data for part in outcome(replies).parts] == [{"heard": "yes"}]


async def test_a_node_says_and_gives_something(model: FakeOpenAI) -> None:
    """Ours: what is said to the user is not lost beside the value."""

    class Clerk(Node):
        async def run_node_impl(self, *, ctx: Any, node_input: Any) -> AsyncGenerator[Any, None]:
            yield Event(message="Looking it up.")
            yield {"found": 3}

    result = await said(adapt(Clerk(name="clerk")), make_turn("go"))
    assert (result.text, result.parts[-1].data) == ("Looking it up.", {"found": 3})


async def test_a_model_that_works_on_a_list_gives_a_list(model: FakeOpenAI) -> None:
    """Ours: parallel workers have one output."""

    def split(node_input: str) -> list[str]:
        return [f"SAY {word}" for word in node_input.split()]

    reader = node(worker(model, "reader"), parallel_worker=True)
    replies = await within(replies_of(adapt(flow(split, reader)), make_turn("a b")))
    assert [part.data for part in outcome(replies).parts] == [["a", "b"]]
    assert sorted(artifact(replies, "reader").split()) == ["a", "b"]


async def test_an_agent_in_task_mode_asks_until_it_is_done_and_gives_its_result(model: FakeOpenAI) -> None:
    """ADK: a task goes on over several messages, and ends with a value."""
    talk = Talk(adapt(worker(model, mode="task", output_schema=Weather)))
    assert outcome(await within(talk.say("SAY Which city?"))).text == "Which city?"
    replies = await within(talk.say('CALL finish_task {"city": "Oslo", "degrees": 1.5}'))
    assert [part.data for part in outcome(replies).parts] == [{"city": "Oslo", "degrees": 1.5}]
    assert not [reply for reply in replies if isinstance(reply, ToolCall | ToolResult)]


def test_an_agent_that_adk_does_not_run_alone_is_refused(model: FakeOpenAI) -> None:
    """Ours: told when it is published, not at the first message."""
    with pytest.raises(AdapterError, match="put it in a Workflow"):
        ADAPTER.adapt(LlmAgent(name="worker", model="none", mode="single_turn"))


async def test_an_agent_of_the_developers_own_speaks(model: FakeOpenAI) -> None:
    """ADK: whatever is a BaseAgent runs."""

    class Clock(BaseAgent):
        async def _run_async_impl(self, ctx: Any) -> AsyncGenerator[Event, None]:
            yield Event(author=self.name, content=types.Content(role="model", parts=[types.Part(text="It is noon.")]))

    assert (await said(adapt(Clock(name="clock")), make_turn("What time is it?"))).text == "It is noon."


async def test_a_loop_is_told_round_by_round(model: FakeOpenAI) -> None:
    """Ours: each round is a message of its own."""
    loop = LoopAgent(name="loop", max_iterations=2, sub_agents=[worker(model)])
    assert (await said(adapt(loop), make_turn("SAY again"))).text == "again\n\nagain"


@pytest.mark.parametrize("part", [Part(data={"what": "tea", "count": 2}), Part(text='{"what": "tea", "count": 2}')])
async def test_json_reaches_a_node_as_what_it_takes_whoever_says_it(model: FakeOpenAI, part: Part) -> None:
    """Ours: a data part is never dropped in silence, and a speaker's name does not break it."""

    def order(node_input: Order) -> str:
        return f"{node_input.count} x {node_input.what}"

    turn = make_turn(make_message([part], speaker="host"))
    assert (await said(adapt(flow(order)), turn)).text == "2 x tea"


# What it is


async def test_an_app_and_a_runner_of_a_workflow_are_published(model: FakeOpenAI) -> None:
    """Ours: every way to hand it over."""
    for root in (
        App(name="desk", root_agent=flow(shout)),
        Runner(app_name="desk", node=flow(shout), session_service=InMemorySessionService()),
    ):
        agent = adapt(root)
        assert (agent.name, agent.description) == ("flow", "A workflow of shout.")
        assert (await said(agent, make_turn("hello"))).text == "HELLO"


def test_the_card_tells_the_tools_of_all_nodes(model: FakeOpenAI) -> None:
    """Issue 5, part 1: a card with skills filled in from the object."""
    agent = adapt(flow(FunctionTool(erase), flow(worker(model, tools=[erase_all]), name="inner")))
    assert {skill.id: skill.description for skill in agent.traits.skills} == {  # type: ignore[attr-defined]
        "erase": "Erase something.",
        "erase_all": "Erase everything.",
    }


def erase_all() -> str:
    """Erase everything."""
    return "erased all"


# What is asked


async def test_a_node_asks_and_its_answer_is_in_the_form_it_wants(model: FakeOpenAI) -> None:
    """Issue 2, part 7: a pause is a question; ADK would break on an answer of another form."""
    question = asking(message="How many?", response_schema=int, payload={"in": "stock"})
    talk = Talk(adapt(flow(question, tell)))
    replies = await within(talk.say("order"))
    ask = replies[-1]
    assert isinstance(ask, Ask)
    assert (ask.text, ask.schema, ask.parts[0].data) == ("How many?", {"type": "integer"}, {"in": "stock"})
    assert await within(talk.say("many")) == [ask]
    talk.agent = adapt(flow(question, tell))
    assert outcome(await within(talk.say("3"))).text == "given 3"
    assert talk.asks == ()


@pytest.mark.parametrize(
    ("schema", "unclear", "clear", "given"),
    [
        (str, None, "0150", "'0150'"),
        (str, None, "150", "'150'"),
        (None, None, "anything", "'anything'"),
        (bool, "maybe", "Yes.", "True"),
        (float, "[1]", "1.5", "1.5"),
        (int, "true", "2", "2"),
        (list[str], '{"a": 1}', '["a"]', "['a']"),
        ({"type": "string", "enum": ["tea", "milk"]}, "water", "Tea", "'tea'"),
        (Order, {"what": "tea"}, {"what": "tea", "count": 2}, "{'what': 'tea', 'count': 2}"),
        (Order, {"what": "tea", "count": "two"}, '{"what": "tea", "count": 2}', "{'what': 'tea', 'count': 2}"),
    ],
)
async def test_answers_of_every_form(schema: Any, unclear: Any, clear: Any, given: str) -> None:
    """Ours: an answer that does not fit is asked for again, and no text becomes a number by chance."""
    talk = Talk(adapt(flow(asking(message="What?", response_schema=schema), tell)))
    ask = (await within(talk.say("go")))[-1]
    if unclear is not None:
        assert await within(talk.say(*message(unclear))) == [ask]
    assert outcome(await within(talk.say(*message(clear)))).text == f"given {given}"


def message(value: Any) -> tuple[Any, ...]:
    """Words, or data without words."""
    return (value,) if isinstance(value, str) else ("", value)


async def test_two_branches_ask_at_once_and_one_message_answers_both(model: FakeOpenAI) -> None:
    """Architecture §1.1: several asks are one pause."""

    def left(node_input: Any) -> Any:
        yield RequestInput(message="Left?")

    def right(node_input: Any) -> Any:
        yield RequestInput(message="Right?")

    talk = Talk(adapt(flow((left, right), JoinNode(name="join"), tell)))
    asks = {one.text: one.id for one in await within(talk.say("go")) if isinstance(one, Ask)}
    assert set(asks) == {"Left?", "Right?"}
    text = outcome(await within(talk.say("", {asks["Left?"]: "L", asks["Right?"]: "R"}))).text
    assert "'left': 'L'" in text
    assert "'right': 'R'" in text


async def test_a_node_that_wants_a_confirmation_runs_after_a_yes_in_every_turn(model: FakeOpenAI) -> None:
    """Issue 2, part 7; the question has the same id each time."""

    @node(require_confirmation=True)
    def remove(node_input: str) -> str:
        return f"removed {node_input}"

    talk = Talk(adapt(flow(remove)))
    for word, result in (("yes", "removed it"), ("no", "This tool call is rejected."), ("yes", "removed it")):
        ask = (await within(talk.say("it")))[-1]
        assert isinstance(ask, Ask)
        assert (ask.text, ask.options) == ('May remove be called with {"node_input":"it"}?', ("yes", "no"))
        assert await within(talk.say("perhaps")) == [ask]
        assert result in str(outcome(await within(talk.say(word))).parts)


async def test_tools_of_a_model_in_a_workflow_ask_and_the_workflow_goes_on(model: FakeOpenAI) -> None:
    """Issue 2, part 7: confirmations and long-running tools, at any depth."""

    def ticket(what: str) -> None:
        """Open a ticket, which somebody else closes."""

    tools = [FunctionTool(erase, require_confirmation=True), LongRunningFunctionTool(ticket)]
    talk = Talk(adapt(flow(worker(model, tools=tools), shout)))
    assert isinstance((await within(talk.say('CALL erase {"what": "it"}')))[-1], Ask)
    assert outcome(await within(talk.say("yes"))).text == "TOOL SAID: ERASED IT"
    assert isinstance((await within(talk.say('CALL ticket {"what": "it"}')))[-1], Ask)
    assert outcome(await within(talk.say("T-1"))).text == "TOOL SAID: T-1"


async def test_a_node_that_wants_a_key_gets_it(model: FakeOpenAI) -> None:
    """Architecture §1.1: AUTH_REQUIRED."""
    config = AuthConfig(
        auth_scheme=APIKey(**{"in": APIKeyIn.header, "name": "X-Key"}),
        raw_auth_credential=AuthCredential(auth_type=AuthCredentialTypes.API_KEY),
        credential_key="key",
    )

    @node(auth_config=config, rerun_on_resume=True)
    def use(ctx: Any) -> str:
        credential = AuthHandler(config).get_auth_response(ctx.state)
        return f"used {credential.api_key}"

    talk = Talk(adapt(flow(use)))
    ask = (await within(talk.say("go")))[-1]
    assert isinstance(ask, Ask)
    assert (ask.kind, ask.text) == ("auth", "Please provide your API key for X-Key.")
    assert outcome(await within(talk.say("k-1"))).text == "used k-1"


# What fails


async def test_a_node_that_breaks_fails_the_turn_without_its_words(model: FakeOpenAI) -> None:
    """Architecture §7: no exception text to a stranger."""

    def broken(node_input: Any) -> None:
        raise RuntimeError(SECRET)

    with pytest.raises(AdapterFailedError) as failure:
        await within(replies_of(adapt(flow(broken)), make_turn("go")))
    assert SECRET not in str(failure.value)


async def test_a_node_that_is_tried_again_answers(model: FakeOpenAI) -> None:
    """Ours: a failure that was mended is none."""
    tries: list[int] = []

    @node(retry_config=RetryConfig(max_attempts=2, initial_delay=0.0, jitter=0.0))
    def flaky(node_input: Any) -> dict[str, int]:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError(SECRET)
        return {"tries": len(tries)}

    result = await said(adapt(flow(flaky)), make_turn("go"))
    assert result.failed is None
    assert [part.data for part in result.parts] == [{"tries": 2}]


async def test_a_node_that_is_tried_again_and_gives_nothing_has_not_failed(model: FakeOpenAI) -> None:
    """Ours: the same, for a step that has only an effect."""
    tries: list[int] = []

    @node(retry_config=RetryConfig(max_attempts=2, initial_delay=0.0, jitter=0.0))
    def flaky(node_input: Any) -> None:
        tries.append(1)
        if len(tries) == 1:
            raise RuntimeError(SECRET)

    assert (await said(adapt(flow(flaky)), make_turn("go"))).failed is None


async def test_a_workflow_whose_last_model_gives_no_answer_has_none_of_its_earlier_words_for_one(
    model: FakeOpenAI,
) -> None:
    """Ours: a refused prompt is told as what it is, whatever was said on the way."""

    class Refuses(FakeLlm):
        async def generate_content_async(self, llm_request: Any, stream: bool = False) -> Any:
            yield LlmResponse(error_code="SAFETY", error_message="inner words")

    steps = flow(worker(model, "writer"), LlmAgent(name="critic", model=Refuses()))
    assert (await said(adapt(steps), make_turn("SAY hi"))).failed == "The model gave no answer (SAFETY)."


async def test_a_model_in_a_workflow_is_told_what_its_step_is_given(model: FakeOpenAI) -> None:
    """ADK's rule: without a mode it sees no more than that; README says so."""
    talk = Talk(adapt(flow(shout, worker(model))))
    await within(talk.say("my name is Ada"))
    await within(talk.say(make_message("who am I?", speaker="host")))
    assert "[HOST] WHO AM I?" in asked(model)
    assert "ADA" not in asked(model)
