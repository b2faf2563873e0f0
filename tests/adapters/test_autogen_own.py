"""What is AutoGen's own: teams of several, humans in them, copies and factories, state in the journal."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from autogen_agentchat.agents import AssistantAgent, BaseChatAgent, SocietyOfMindAgent, UserProxyAgent
from autogen_agentchat.base import Response
from autogen_agentchat.conditions import MaxMessageTermination
from autogen_agentchat.messages import BaseChatMessage, TextMessage
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken
from autogen_core.models import ModelInfo
from autogen_ext.models.openai import OpenAIChatCompletionClient

from a2a_bridge.agent import Ask, ToolResult, outcome, traits_of
from a2a_bridge.errors import AdapterError, AdapterFailedError
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.adapter_case import SECRET, asked, said, within
from a2a_bridge.testing.adapter_contract import PICTURE
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of
from adapters.autogen.adapter import ADAPTER
from tests.adapters.clients import kept

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # AutoGen uses what others have deprecated

INFO = ModelInfo(vision=True, function_calling=True, json_output=True, family="unknown", structured_output=True)


def assistant(model: FakeOpenAI, name: str = "worker", **options: Any) -> AssistantAgent:
    """An AutoGen agent."""
    made = OpenAIChatCompletionClient(
        model="fake-model", base_url=model.base_url, api_key="x", model_info=INFO, max_retries=0
    )
    kept(made)
    return AssistantAgent(name, made, **options)


class Greeter(BaseChatAgent):
    """An agent that says nothing about its state, and cannot be copied."""

    def __init__(self, lock: Any = None) -> None:
        super().__init__("greeter", "Greets.")
        self._lock = lock

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        return (TextMessage,)

    async def on_messages(self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken) -> Response:
        heard = " ".join(message.to_text() for message in messages)
        return Response(chat_message=TextMessage(content=f"I heard: {heard}", source=self.name))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        pass


async def test_in_a_team_of_several_every_message_has_its_speaker(model: FakeOpenAI) -> None:
    """Ours: a transcript without names could not be read."""
    team = RoundRobinGroupChat([assistant(model, "writer"), assistant(model, "critic")], max_turns=2)
    assert (await said(ADAPTER.adapt(team), make_turn("SAY fine"))).text == "[writer] fine\n\n[critic] Echo: fine"


async def test_tokens_of_a_team_of_several_are_told_once(model: FakeOpenAI) -> None:
    """Ours: streamed words and the message that sums them up are the same words."""
    members = [assistant(model, name, model_client_stream=True) for name in ("writer", "critic")]
    replies = await within(
        replies_of(ADAPTER.adapt(RoundRobinGroupChat(members, max_turns=2)), make_turn("SAY all is fine"))
    )
    assert all(not hasattr(reply, "append") for reply in replies)
    assert outcome(replies).text == "[writer] all is fine\n\n[critic] Echo: all is fine"


async def test_a_human_in_a_team_is_asked_and_the_others_hear_the_answer(model: FakeOpenAI) -> None:
    """Frameworks §7: a UserProxyAgent would read the server's terminal."""
    team = RoundRobinGroupChat(
        [assistant(model), UserProxyAgent("boss")], termination_condition=MaxMessageTermination(4)
    )
    talk = Talk(ADAPTER.adapt(team))
    replies = await within(talk.say("SAY a plan"))
    assert replies[-1] == Ask(text="What does boss say?")
    replies = await within(talk.say("SAY make it shorter"))
    assert "make it shorter" in outcome(replies).text
    last = [(one.get("name"), one["content"]) for one in model.requests[-1].body["messages"] if one["role"] == "user"]
    assert ("boss", "SAY make it shorter") in last


@pytest.mark.parametrize(("turns", "after"), [(2, ()), (3, ("critic",)), (4, ("critic", "writer"))])
async def test_the_answer_of_a_human_is_one_of_the_turns_of_the_team(
    model: FakeOpenAI, turns: int, after: tuple[str, ...]
) -> None:
    """Ours: as many turns as AutoGen itself takes; the next message of the caller begins to count anew."""
    seats = [assistant(model, "writer"), UserProxyAgent("boss"), assistant(model, "critic")]
    talk = Talk(ADAPTER.adapt(RoundRobinGroupChat(seats, max_turns=turns)))
    assert (await within(talk.say("SAY a plan")))[-1] == Ask(text="What does boss say?")
    before = len(model.requests)
    replies = await within(talk.say("SAY good"))
    assert outcome(replies).failed is None
    assert len(model.requests) - before == len(after)
    assert [name for name in ("critic", "writer") if f"[{name}]" in outcome(replies).text] == list(after)


@pytest.mark.parametrize("inside", [False, True])
async def test_a_team_that_was_run_before_it_was_published_is_as_good_as_new(model: FakeOpenAI, inside: bool) -> None:
    """Ours: a copy has a runtime of its own, in which everybody is registered again."""
    worker = assistant(model)
    team = RoundRobinGroupChat([worker], max_turns=1)
    await within(team.run(task="SAY hello"))
    around = SocietyOfMindAgent("society", team, vars(worker)["_model_client"])
    agent = ADAPTER.adapt(around if inside else team)
    assert "again" in (await said(agent, make_turn("SAY again"))).text
    assert "elsewhere" in (await said(agent, make_turn("SAY elsewhere", context_id="other"))).text


@pytest.mark.parametrize("in_team", [False, True])
async def test_who_goes_on_using_the_original_is_not_overheard(model: FakeOpenAI, in_team: bool) -> None:
    """Ours: what is published is the agent as it was then; what its owner says to it later is nobody else's to know."""
    worker = assistant(model, model_client_stream=True)
    published = RoundRobinGroupChat([worker], max_turns=1) if in_team else worker
    agent = ADAPTER.adapt(published)
    await within(worker.run(task="SAY the code is 4711"))
    assert "4711" in asked(model)
    await said(agent, make_turn("SAY hello"))
    assert "4711" not in asked(model)


async def test_what_an_agent_knew_when_it_was_published_it_knows_in_every_conversation(model: FakeOpenAI) -> None:
    """Ours: a copy is whole, and one conversation leaves nothing in the next one's copy."""
    worker = assistant(model)
    await within(worker.run(task="SAY we close at six"))
    agent = ADAPTER.adapt(worker)
    for said_here in ("SAY one", "SAY two"):
        await said(agent, make_turn(said_here, context_id=said_here))
        told = [one["content"] for one in model.requests[-1].body["messages"] if one["role"] == "user"]
        assert told == ["SAY we close at six", said_here]


async def test_a_tool_that_failed_is_not_quoted_in_the_summary(model: FakeOpenAI) -> None:
    """Frameworks §7 trap 11: without reflection the summary of the tools is the answer."""

    async def broken() -> str:
        """Break."""
        raise RuntimeError(SECRET)

    replies = await within(replies_of(ADAPTER.adapt(assistant(model, tools=[broken])), make_turn("CALL broken {}")))
    assert [reply.is_error for reply in replies if isinstance(reply, ToolResult)] == [True]
    assert SECRET not in repr(replies)
    assert "The tool failed." in outcome(replies).text


async def test_a_function_makes_what_cannot_be_copied(model: FakeOpenAI) -> None:
    """Issue 5, part 1: built fresh where it is not safe to share; a factory is one way to say how."""
    with pytest.raises(AdapterError, match="Give a function"):
        ADAPTER.adapt(Greeter(threading.Lock()))
    agent = ADAPTER.adapt(lambda: Greeter(threading.Lock()), name="host")
    assert (agent.name, agent.description) == ("host", "Greets.")
    assert (await said(agent, make_turn("hello"))).text == "I heard: hello"


async def test_what_a_function_makes_counts_the_tokens_of_its_streams(model: FakeOpenAI) -> None:
    """Ours: it has the same clients as a copy, once."""
    agent = ADAPTER.adapt(lambda: assistant(model, model_client_stream=True))
    assert (await said(agent, make_turn("SAY it"))).usage.output_tokens > 0
    only = assistant(model, model_client_stream=True)
    agent = ADAPTER.adapt(lambda: only)
    clients = []
    for _ in range(2):
        await said(agent, make_turn("SAY it"))
        clients.append(vars(only)["_model_client"])
    assert clients[0] is clients[1]


async def test_an_agent_without_a_state_is_told_the_history() -> None:
    """Ours: what it does not keep itself is handed over each time."""
    agent = ADAPTER.adapt(Greeter())
    assert not traits_of(agent).keeps_context
    turn = make_turn("and now", history=[make_message("first this")])
    assert (await said(agent, turn)).text == "I heard: first this and now"


async def test_a_team_that_was_changed_since_reads_the_history_instead(model: FakeOpenAI) -> None:
    """Ours: a new release must not break every conversation that is under way."""
    talk = Talk(ADAPTER.adapt(RoundRobinGroupChat([assistant(model, "old")], max_turns=1)))
    await within(talk.say("SAY my name is Ada"))
    talk.agent = ADAPTER.adapt(RoundRobinGroupChat([assistant(model, "new")], max_turns=1))
    assert outcome(await within(talk.say("SAY still here"))).text == "still here"
    assert "my name is Ada" in asked(model)


async def test_an_image_that_cannot_be_read_is_refused(model: FakeOpenAI) -> None:
    """Ours: what a caller sent wrong is the caller's to know."""
    picture = Part(raw=b"no picture", media_type="image/png")
    result = await said(ADAPTER.adapt(assistant(model)), make_turn(make_message(picture)))
    assert "cannot be read" in (result.refused or "")


async def test_names_that_a_source_cannot_hold_are_still_told(model: FakeOpenAI) -> None:
    """Architecture §6: the framework's own name field, as far as it goes."""
    await said(ADAPTER.adapt(assistant(model)), make_turn(make_message("Hi.", speaker="Zoë the host")))
    message = model.requests[-1].body["messages"][-1]
    assert (message["name"], message["content"]) == ("Zo_the_host", "[Zoë the host] Hi.")


@pytest.mark.parametrize("nested", [False, True])
def test_a_human_who_cannot_be_asked_is_refused(model: FakeOpenAI, nested: bool) -> None:
    """Ours: said when it is published, not when the server's terminal is read."""
    human: Any = UserProxyAgent("boss")
    if nested:
        human = RoundRobinGroupChat([RoundRobinGroupChat([human], name="inner", max_turns=1)], max_turns=1)
    with pytest.raises(AdapterError, match="UserProxyAgent"):
        ADAPTER.adapt(human)


def test_a_function_that_makes_something_else_is_refused() -> None:
    """Ours: told when it is published."""
    with pytest.raises(AdapterError, match="made a str"):
        ADAPTER.adapt(lambda: "agent")


async def test_a_team_that_is_cancelled_or_fails_is_no_noise_in_the_log(
    model: FakeOpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    """Frameworks §7 trap 4: AutoGen logs a traceback for every cancel, and for everybody who hears of a failure."""
    agent = ADAPTER.adapt(RoundRobinGroupChat([assistant(model, "writer"), assistant(model, "critic")], max_turns=2))
    assert agent.description == "A team of writer, critic."
    task = asyncio.create_task(replies_of(agent, make_turn("SLOW")))
    await model.until(lambda m: m.open == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task)
    assert caplog.records == []
    with pytest.raises(AdapterFailedError):
        await within(replies_of(agent, make_turn("FAIL500")))
    assert "Unhandled message" not in caplog.text


async def test_what_a_team_has_missed_is_one_message_to_it(model: FakeOpenAI) -> None:
    """Ours: in a room it is told what all others said since, which its limit of messages would count as its own."""
    limit = MaxMessageTermination(2)
    agent = ADAPTER.adapt(RoundRobinGroupChat([assistant(model, "writer")], termination_condition=limit))
    missed = [make_message(f"line {number}", speaker="ada" if number % 2 else None) for number in range(5)]
    picture = make_message([Part(text="SAY seen"), Part(raw=PICTURE, media_type="image/png")], speaker="bob")
    assert (await said(agent, make_turn(*missed, picture))).text.startswith("seen")
    seen = asked(model)
    assert all(words in seen for words in ("[user] line 0", "[ada] line 1", "[user] line 4", "[bob] SAY seen"))
    assert "data:image/png" in seen
    assert (await said(agent, make_turn(*missed, "SAY words", context_id="other"))).text == "words"
