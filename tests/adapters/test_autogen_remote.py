"""A remote A2A agent as an AutoGen agent, over real HTTP."""

import asyncio
import json
from typing import Any

import pytest
from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.base import Response, TaskResult
from autogen_agentchat.conditions import HandoffTermination, MaxMessageTermination
from autogen_agentchat.messages import (
    HandoffMessage,
    ModelClientStreamingChunkEvent,
    MultiModalMessage,
    TextMessage,
    ThoughtEvent,
)
from autogen_agentchat.teams import RoundRobinGroupChat
from autogen_core import CancellationToken, Image
from PIL import Image as Pictures

from a2a_bridge.errors import AdapterError, AdapterFailedError
from a2a_bridge.testing.adapter_case import within
from a2a_bridge.testing.turns import Talk
from adapters.autogen.adapter import ADAPTER
from adapters.autogen.remote import A2AAgent
from tests.adapters.remote_agent import Remote

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # AutoGen uses what others have deprecated


class Echo(BaseChatAgent):
    """A local participant."""

    def __init__(self) -> None:
        super().__init__("writer", "Writes.")

    @property
    def produced_message_types(self) -> Any:
        return (TextMessage,)

    async def on_messages(self, messages: Any, cancellation_token: CancellationToken) -> Response:
        return Response(chat_message=TextMessage(content="a draft", source=self.name))

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        pass


def text(content: str, source: str = "user") -> TextMessage:
    """A message."""
    return TextMessage(content=content, source=source)


async def test_in_a_team_it_streams_and_knows_who_said_what(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: streaming where the host can show it; speakers by name."""
    _, url = remote
    team = RoundRobinGroupChat([Echo(), A2AAgent(url, name="critic")], max_turns=2)
    events = [event async for event in team.run_stream(task="go")]
    tokens = [event.content for event in events if isinstance(event, ModelClientStreamingChunkEvent)]
    assert len(tokens) > 1
    assert [event.content for event in events if isinstance(event, ThoughtEvent)] == ["thinking"]
    assert isinstance(events[-1], TaskResult)
    last = events[-1].messages[-1]
    assert last.to_text() == "".join(tokens) == "I heard: go\n[writer] a draft"
    assert (last.source, last.models_usage.prompt_tokens, last.models_usage.completion_tokens) == ("critic", 3, 4)


async def test_one_conversation_is_one_context_and_only_new_messages_are_sent(remote: tuple[Remote, str]) -> None:
    """Architecture §6: one stable contextId; conversation by delta."""
    agent, url = remote
    seat = A2AAgent(url, name="critic")
    for said in ("one", "two"):
        await within(seat.on_messages([text(said)], CancellationToken()))
    assert [turn.text for turn in agent.turns] == ["one", "two"]
    assert agent.turns[0].context_id == agent.turns[1].context_id
    await seat.on_reset(CancellationToken())
    await within(seat.on_messages([text("three")], CancellationToken()))
    assert agent.turns[2].context_id != agent.turns[0].context_id


async def test_a_step_that_is_run_again_after_a_restart_is_not_worked_twice(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: idempotent on a re-run, the same messageId from the host's state."""
    agent, url = remote
    seat = A2AAgent(url, name="critic")
    await within(seat.on_messages([text("one")], CancellationToken()))
    state = json.loads(json.dumps(await seat.save_state()))
    message = text("two")
    first = await within(seat.on_messages([message], CancellationToken()))
    again = A2AAgent(url, name="critic")
    await again.load_state(state)
    second = await within(again.on_messages([message], CancellationToken()))
    assert first.chat_message.to_text() == second.chat_message.to_text()
    assert len(agent.turns) == 2


async def test_a_question_is_a_message_and_the_next_message_its_answer(remote: tuple[Remote, str]) -> None:
    """Ours: INPUT_REQUIRED of the remote, in a framework that has no such state."""
    _, url = remote
    seat = A2AAgent(url, name="critic")
    asked = await within(seat.on_messages([text("ASK")], CancellationToken()))
    assert asked.chat_message.to_text() == "Shall I?"
    again = A2AAgent(url, name="critic")
    await again.load_state(json.loads(json.dumps(await seat.save_state())))
    told = await within(again.on_messages([text("yes")], CancellationToken()))
    assert told.chat_message.to_text() == "You said yes."


async def test_a_question_is_handed_to_the_user_of_a_team(remote: tuple[Remote, str]) -> None:
    """AutoGen's own way: a handoff ends the run, and a HandoffMessage takes it up."""
    _, url = remote
    ends = HandoffTermination(target="user") | MaxMessageTermination(2)
    team = RoundRobinGroupChat([A2AAgent(url, name="critic", asks="user")], termination_condition=ends)
    result = await within(team.run(task="ASK"))
    assert isinstance(result.messages[-1], HandoffMessage)
    assert result.messages[-1].content == "Shall I?"
    result = await within(team.run(task=HandoffMessage(source="user", target="critic", content="no")))
    assert result.messages[-1].to_text() == "You said no."


@pytest.mark.parametrize("by", ["token", "task", "team"])
async def test_what_the_host_cancels_is_cancelled_at_the_remote(remote: tuple[Remote, str], by: str) -> None:
    """Issue 5, part 2: cancelled when the host cancels."""
    agent, url = remote
    seat, token = A2AAgent(url, name="critic"), CancellationToken()
    host: Any = RoundRobinGroupChat([seat], max_turns=1) if by == "team" else seat
    task = asyncio.create_task(host.run(task="WAIT", cancellation_token=token))
    await within(agent.at_work.wait())
    task.cancel() if by == "task" else token.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task, 10)
    await within(agent.stopped.wait())


async def test_a_failure_of_the_remote_is_raised_without_its_words(remote: tuple[Remote, str]) -> None:
    """Ours: a host knows failures as exceptions; the remote keeps its secrets."""
    _, url = remote
    with pytest.raises(AdapterFailedError, match="critic") as failure:
        await within(A2AAgent(url, name="critic").on_messages([text("BREAK")], CancellationToken()))
    assert "secret" not in str(failure.value)


async def test_images_go_and_data_comes(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 1: files, images and structured output as parts, this way too."""
    agent, url = remote
    seat = A2AAgent(url, name="critic")
    picture = Image(Pictures.new("RGB", (1, 1)))
    shown = MultiModalMessage(content=["see SOME DATA", picture], source="user")
    answer = await within(seat.on_messages([shown], CancellationToken()))
    assert agent.turns[0].messages[0].parts[1].media_type == "image/png"
    assert answer.chat_message.to_text().endswith('{"a":1}')


async def test_any_agent_of_ours_takes_a_seat_too() -> None:
    """Issue 5, part 2: a URL, or whatever `adapt` takes."""
    seat = A2AAgent(lambda said: said.upper(), name="loud")
    answer = await within(seat.on_messages([text("hello")], CancellationToken()))
    assert answer.chat_message.to_text() == "HELLO"


async def test_a_team_with_it_is_written_down_and_read_again(remote: tuple[Remote, str]) -> None:
    """AutoGen's own way, for teams that are kept as JSON; what is no URL cannot be written down."""
    _, url = remote
    team = RoundRobinGroupChat([A2AAgent(url, name="critic", asks="user")], max_turns=1)
    again = RoundRobinGroupChat.load_component(json.loads(team.dump_component().model_dump_json()))
    result = await within(again.run(task="ASK"))
    assert isinstance(result.messages[-1], HandoffMessage)
    with pytest.raises(AdapterError, match="'loud' was not given by a URL"):
        A2AAgent(lambda said: said, name="loud").dump_component()


async def test_contexts_of_a_published_team_are_conversations_of_their_own(remote: tuple[Remote, str]) -> None:
    """Ours: what one caller says to the remote is nobody else's, nor what the owner has said before; a context goes
    on with its own."""
    agent, url = remote
    for target in (url, agent):
        agent.turns.clear()
        seat = A2AAgent(target, name="critic")
        await within(seat.run(task="the owner's words"))
        published = ADAPTER.adapt(RoundRobinGroupChat([seat], max_turns=1))
        talks = [Talk(published, name) for name in ("left", "right")]
        for words in ("hello", "hello", "goodbye"):
            for talk in talks:
                await within(talk.say(words))
        assert [turn.text for turn in agent.turns[1:]] == ["hello"] * 4 + ["goodbye"] * 2
        contexts = [turn.context_id for turn in agent.turns]
        assert len(set(contexts)) == 3
        assert contexts[1:3] == contexts[3:5] == contexts[5:]
