"""A remote A2A agent as an AG2 agent, over real HTTP."""

import asyncio
from typing import Any

import httpx2
import pytest
from ag2 import Agent, BinaryInput, DataInput, MemoryStream
from ag2.config import OpenAIConfig
from ag2.events import ModelMessageChunk
from ag2.knowledge import MemoryKnowledgeStore
from ag2.network import HubClient
from ag2.network.hub import Hub
from ag2.network.transport import LocalLink
from pydantic import BaseModel

from a2a_bridge.errors import AdapterError, AdapterFailedError
from a2a_bridge.testing.adapter_case import within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from adapters.ag2.remote import a2a_agent
from tests.adapters.remote_agent import Remote


async def test_it_is_asked_like_any_agent_and_streams(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: streaming where the host can show it; usage is counted."""
    _, url = remote
    stream, tokens = MemoryStream(), []

    async def hear(event: ModelMessageChunk) -> None:
        tokens.append(event.content)

    stream.where(ModelMessageChunk).subscribe(hear)
    reply = await within(a2a_agent(url, name="critic").ask("hello", stream=stream))
    assert reply.body == "".join(tokens) == "I heard: hello"
    used = (await reply.usage()).total
    assert (used.prompt_tokens, used.completion_tokens) == (3, 4)


async def test_a_stream_is_a_context_and_only_new_messages_are_sent(remote: tuple[Remote, str]) -> None:
    """Architecture §6: one stable contextId; conversation by delta."""
    agent, url = remote
    critic = a2a_agent(url, name="critic")
    reply = await within(critic.ask("one"))
    await within(reply.ask("two"))
    await within(critic.ask("three"))
    assert [turn.text for turn in agent.turns] == ["one", "two", "three"]
    contexts = [turn.context_id for turn in agent.turns]
    assert contexts[0] == contexts[1] != contexts[2]


async def test_a_step_that_is_run_again_is_not_worked_twice(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: idempotent on a re-run, the same messageId from the host's state: stream and messages."""
    agent, url = remote
    stream = MemoryStream()
    before = list(await stream.history.get_events())
    bodies = []
    for _ in range(2):
        await stream.history.replace(before)
        bodies.append((await within(a2a_agent(url, name="critic").ask("hello", stream=stream))).body)
    assert bodies == ["I heard: hello"] * 2
    assert len(agent.turns) == 1


async def test_a_remote_that_was_forgotten_is_told_everything(remote: tuple[Remote, str]) -> None:
    """Ours: another process, which has the stream but not what the remote knows of it."""
    agent, url = remote
    stream = MemoryStream()
    await within(a2a_agent(url, name="critic").ask("one", stream=stream))
    again = a2a_agent(url, name="critic")
    await within(again.ask("two", stream=stream))
    await within(again.ask("three", stream=stream))
    assert [turn.text for turn in agent.turns] == ["one", "one\n[critic] I heard: one\ntwo", "three"]
    first, second, third = (turn.context_id for turn in agent.turns)
    assert first != second == third  # the remote may well remember the first, and would hear it twice


async def test_a_question_is_the_reply_and_the_next_ask_its_answer(remote: tuple[Remote, str]) -> None:
    """Ours: INPUT_REQUIRED of the remote."""
    _, url = remote
    reply = await within(a2a_agent(url, name="critic").ask("ASK"))
    assert reply.body == "Shall I?"
    assert (await within(reply.ask("yes"))).body == "You said yes."


async def test_what_the_host_cancels_is_cancelled_at_the_remote(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: cancelled when the host cancels."""
    agent, url = remote
    task = asyncio.create_task(a2a_agent(url, name="critic").ask("WAIT"))
    await within(agent.at_work.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task, 10)
    await within(agent.stopped.wait())


async def test_a_failure_of_the_remote_is_raised_without_its_words(remote: tuple[Remote, str]) -> None:
    """Ours: a host knows failures as exceptions; the remote keeps its secrets."""
    _, url = remote
    with pytest.raises(AdapterFailedError, match="critic") as failure:
        await within(a2a_agent(url, name="critic").ask("BREAK"))
    assert "secret" not in str(failure.value)


async def test_files_and_data_go_and_files_come(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 1: files and structured output as parts, this way too."""
    agent, url = remote
    picture = BinaryInput(b"\x89PNG", media_type="image/png")
    reply = await within(a2a_agent(url, name="critic").ask("DRAW", picture, DataInput({"a": 1})))
    assert [part.kind for part in agent.turns[0].messages[0].parts] == ["text", "raw", "data"]
    assert [made.data for made in reply.files] == [b"\x89PNG"]


async def test_a_tool_of_another_agent(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: a remote agent as a tool, called by a model."""
    agent, url = remote
    with FakeOpenAI() as model:
        async with httpx2.AsyncClient() as http:
            config = OpenAIConfig(model="fake-model", base_url=model.base_url, api_key="x", http_client=http)
            tool = a2a_agent(url, name="critic").as_tool(description="Criticises.")
            name = (await tool.schemas(None))[0].function.name  # type: ignore[arg-type]
            writer: Agent[Any] = Agent("writer", config=config, tools=[tool])
            reply = await within(writer.ask(f'CALL {name} {{"objective": "my draft"}}'))
    assert "my draft" in agent.turns[0].text
    assert "I heard:" in str(reply.body)


async def test_what_a_remote_agent_cannot_be_given_is_refused(remote: tuple[Remote, str]) -> None:
    """Ours: nothing is left out in silence."""

    class Form(BaseModel):
        a: int

    _, url = remote
    with pytest.raises(AdapterError, match="response schema"):
        await within(a2a_agent(url, name="critic").ask("hello", response_schema=Form))


async def test_in_a_network_it_answers_on_its_channel(remote: tuple[Remote, str]) -> None:
    """AG2's own way for several agents; its tools are for models, and left out if that is wanted."""
    agent, url = remote
    hub = await Hub.open(MemoryKnowledgeStore(), expectation_sweep_interval=0)
    client = HubClient(LocalLink(hub))
    await client.open()
    try:
        writer = await client.register(a2a_agent(lambda said: "", name="writer", leaves_out_tools=True))
        await client.register(a2a_agent(url, name="critic", leaves_out_tools=True))
        channel = await writer.open(type="conversation", target="critic")
        writer.ensure_channel_inbox(channel.channel_id)
        await channel.send("hello")
        heard = writer.wait_for_channel_event(
            channel_id=channel.channel_id, predicate=lambda envelope: "text" in envelope.event_data
        )
        assert "I heard: " in (await within(heard)).event_data["text"]
        assert "hello" in agent.turns[0].text
    finally:
        await client.close()
        await hub.close()
