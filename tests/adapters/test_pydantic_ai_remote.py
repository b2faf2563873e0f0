"""A remote A2A agent as an agent, a model and a tool of Pydantic AI, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI
from pydantic_ai import (
    Agent,
    BinaryContent,
    DeferredToolRequests,
    DeferredToolResults,
    DocumentUrl,
    ImageUrl,
    ModelAPIError,
    ModelMessagesTypeAdapter,
)
from pydantic_ai.messages import TextContent, UploadedFile
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.fallback import FallbackModel
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from a2a_bridge.agent import outcome
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.client.retry import Retries
from a2a_bridge.errors import AdapterError, AdapterFailedError
from a2a_bridge.testing.adapter_case import within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk
from adapters.pydantic_ai.adapter import ADAPTER
from adapters.pydantic_ai.remote import A2AModel, a2a_agent, a2a_tool
from tests.adapters.remote_agent import Remote


@pytest.fixture
async def chat() -> AsyncIterator[OpenAIChatModel]:
    """The host's own model, a fake one."""
    with FakeOpenAI() as model:
        async with AsyncOpenAI(base_url=model.base_url, api_key="x", max_retries=0) as client:
            yield OpenAIChatModel("fake-model", provider=OpenAIProvider(openai_client=client))


# An agent of the host


async def test_it_is_run_like_any_agent(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: usage is counted; data is text, files are files."""
    _, url = remote
    result = await within(a2a_agent(url, name="critic").run("hello SOME DATA DRAW"))
    assert result.output == 'I heard: hello SOME DATA DRAW\n{"a":1}'
    assert (result.usage.input_tokens, result.usage.output_tokens) == (3, 4)
    assert [file.data for file in result.response.files] == [b"\x89PNG"]


async def test_it_streams(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: streaming where the host can show it."""
    _, url = remote
    async with a2a_agent(url, name="critic").run_stream("hello SOME DATA DRAW") as result:
        tokens = [token async for token in result.stream_text(delta=True, debounce_by=None)]
    assert len(tokens) > 2
    assert "".join(tokens) == 'I heard: hello SOME DATA DRAW\n{"a":1}'
    assert (result.usage.input_tokens, result.usage.output_tokens) == (3, 4)
    assert [file.data for file in result.response.files] == [b"\x89PNG"]


async def test_a_correction_is_what_counts(remote: tuple[Remote, str]) -> None:
    """Ours: what has been streamed cannot be taken back, but it is not the result."""
    _, url = remote
    async with a2a_agent(url, name="critic").run_stream("CORRECT yourself") as result:
        assert await result.get_output() == "something else"


async def test_one_conversation_is_one_context_and_only_what_is_new_is_sent(remote: tuple[Remote, str]) -> None:
    """Architecture §6: one stable contextId, conversation by delta; two of one host never mix."""
    agent, url = remote
    critic = a2a_agent(url, name="critic")
    talks: list[list[Any]] = [[], []]
    for said in ("one", "two"):
        for talk in talks:
            talk[:] = (await within(critic.run(said, message_history=list(talk)))).all_messages()
    assert [turn.text for turn in agent.turns] == ["one", "one", "two", "two"]
    left, right = agent.turns[0].context_id, agent.turns[1].context_id
    assert left != right
    assert [turn.context_id for turn in agent.turns[2:]] == [left, right]


async def test_a_host_that_has_forgotten_tells_the_conversation_from_its_start(remote: tuple[Remote, str]) -> None:
    """Ours: what the remote knows is kept in memory, what was said by the host."""
    agent, url = remote
    past = (await within(a2a_agent(url, name="critic").run("one"))).all_messages_json()
    history = ModelMessagesTypeAdapter.validate_json(past)
    again = a2a_agent(url, name="critic")
    history = (await within(again.run("two", message_history=history))).all_messages()
    await within(again.run("three", message_history=history))
    assert [turn.text for turn in agent.turns] == ["one", "one\n[critic] I heard: one\ntwo", "three"]
    first, second, third = (turn.context_id for turn in agent.turns)
    assert first != second == third  # the remote may well remember the first, and would hear it twice


async def test_a_conversation_that_others_have_begun_is_told_with_their_words(
    remote: tuple[Remote, str], chat: OpenAIChatModel
) -> None:
    """Ours: what was said, not what the host's tools were called with and gave."""
    agent, url = remote
    host = Agent(chat)
    host.tool_plain(lambda: "a secret", name="look")
    past = (await within(host.run("CALL look {}"))).all_messages()
    await within(a2a_agent(url, name="critic").run("and you?", message_history=past))
    (turn,) = agent.turns
    assert turn.text == "CALL look {}\n[assistant] Tool said: a secret\nand you?"


async def test_a_question_is_the_output_and_the_next_run_its_answer(remote: tuple[Remote, str]) -> None:
    """Ours: INPUT_REQUIRED of the remote, in a framework whose models cannot ask."""
    _, url = remote
    critic = a2a_agent(url, name="critic")
    asked = await within(critic.run("ASK"))
    assert asked.output == "Shall I?"
    told = await within(critic.run("yes", message_history=asked.all_messages()))
    assert told.output == "You said yes."


async def test_a_request_that_is_made_again_is_not_worked_twice(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: idempotent on a re-run, whatever runs it again: the messages are the same."""
    agent, url = remote
    result = await within(a2a_agent(url, name="critic").run("review this"))
    request = result.all_messages()[:1]
    again = A2AModel(url, name="critic")
    said = await within(again.request(request, None, again.customize_request_parameters(PARAMETERS)))
    assert said.parts[0].content == "I heard: review this"
    assert len(agent.turns) == 1


PARAMETERS = ModelRequestParameters()


async def test_images_and_files_go_to_it(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 1: files and images as parts, this way too."""
    agent, url = remote
    pieces = [
        "see",
        TextContent("this"),
        BinaryContent(b"\x89PNG", media_type="image/png"),
        ImageUrl("https://pictures.invalid/c.png"),
        DocumentUrl("https://papers.invalid/no-name"),
    ]
    critic = a2a_agent(url, name="critic")
    await within(critic.run(pieces))
    parts = agent.turns[0].messages[0].parts
    assert [(part.text, part.raw, part.url, part.media_type) for part in parts] == [
        ("see", None, None, None),
        ("this", None, None, None),
        (None, b"\x89PNG", None, "image/png"),
        (None, None, "https://pictures.invalid/c.png", "image/png"),
        (None, None, "https://papers.invalid/no-name", None),
    ]
    with pytest.raises(AdapterError, match="UploadedFile"):
        await within(critic.run([UploadedFile("file-1", provider_name="openai")]))


@pytest.mark.parametrize("way", ["run", "stream", "events", "tool"])
async def test_what_the_host_cancels_is_cancelled_at_the_remote(
    remote: tuple[Remote, str], chat: OpenAIChatModel, way: str
) -> None:
    """Issue 5, part 2: cancelled when the host cancels."""
    agent, url = remote

    async def run() -> None:
        critic = a2a_agent(url, name="critic")
        if way == "stream":
            async with critic.run_stream("WAIT") as result:
                await result.get_output()
        elif way == "events":
            async with critic.run_stream_events("WAIT") as events:
                async for _ in events:
                    pass
        elif way == "tool":
            await Agent(chat, tools=[a2a_tool(url, name="critic")]).run('CALL critic {"message": "WAIT"}')
        else:
            await critic.run("WAIT")

    task = asyncio.create_task(run())
    await within(agent.at_work.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task, 10)
    await within(agent.stopped.wait())


async def test_a_stream_that_is_left_is_cancelled_at_the_remote(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: leaving a stream is cancelling it."""
    agent, url = remote
    async with a2a_agent(url, name="critic").run_stream("words, then WAIT") as result:
        async for _ in result.stream_text(delta=True, debounce_by=None):
            break
        await within(result.cancel())
    await within(agent.stopped.wait())


async def test_a_failure_of_the_remote_is_raised_without_its_words(remote: tuple[Remote, str]) -> None:
    """Ours: a host knows failures as exceptions; the remote keeps its secrets."""
    _, url = remote
    with pytest.raises(AdapterFailedError, match="critic") as failure:
        await within(a2a_agent(url, name="critic").run("BREAK"))
    assert "secret" not in str(failure.value)


async def test_a_failure_is_one_of_a_model_and_another_model_takes_its_place(remote: tuple[Remote, str]) -> None:
    """Pydantic AI's own way: a FallbackModel looks for a ModelAPIError."""
    _, url = remote
    gone = RemoteAgent("http://127.0.0.1:9", retries=Retries(times=0))
    both = FallbackModel(A2AModel(gone, name="gone"), A2AModel(url, name="critic"))
    assert (await within(Agent(both).run("hello"))).output == "I heard: hello"
    with pytest.raises(ModelAPIError, match="the agent 'gone' did not answer: cannot connect to"):
        await within(Agent(A2AModel(gone, name="gone")).run("hello"))


@pytest.mark.parametrize("options", [{"output_type": list[int]}, {"instructions": "Be brief."}, {"tools": [len]}])
async def test_what_is_the_hosts_and_not_the_remotes_is_refused(remote: tuple[Remote, str], options: Any) -> None:
    """Ours: nothing is silently ignored."""
    _, url = remote
    with pytest.raises(AdapterError, match="takes no instructions"):
        await within(Agent(A2AModel(url, name="critic"), **options).run("hello"))


async def test_it_can_be_published_again(remote: tuple[Remote, str]) -> None:
    """Ours: both ways at once, and the conversation holds together."""
    agent, url = remote
    talk = Talk(ADAPTER.adapt(a2a_agent(url, name="critic", description="Second hand.")))
    assert talk.agent.description == "Second hand."
    for said in ("one", "two"):
        assert outcome(await within(talk.say(said))).text == f"I heard: {said}"
    assert [turn.text for turn in agent.turns] == ["one", "two"]


# A tool


def results_of(result: Any) -> list[Any]:
    """What the tools of a run gave, read as JSON if it is that."""
    parts = [part for message in result.all_messages() for part in message.parts if part.part_kind == "tool-return"]
    return [json.loads(part.content) if part.content.startswith("{") else part.content for part in parts]


async def test_it_is_a_tool_of_an_agent(remote: tuple[Remote, str], chat: OpenAIChatModel) -> None:
    """Issue 5, part 2: two calls are two conversations."""
    agent, url = remote
    writer = Agent(chat, tools=[a2a_tool(url, name="critic", description="Criticises a draft.")])
    result = await within(writer.run("PARALLEL" + ' CALL critic {"message": "hello"}' * 2))
    assert result.output.count("I heard: hello") == 2
    assert len({turn.context_id for turn in agent.turns}) == 2


async def test_a_question_is_told_to_the_model_and_answered_in_the_same_conversation(
    remote: tuple[Remote, str], chat: OpenAIChatModel
) -> None:
    """Ours: a tool has no other way to ask."""
    _, url = remote
    writer = Agent(chat, tools=[a2a_tool(url, name="critic")])
    asked = await within(writer.run('CALL critic {"message": "ASK"}'))
    (result,) = results_of(asked)
    assert result["question"] == "Shall I?"
    call = json.dumps({"message": "no", "conversation": result["conversation"]})
    told = await within(writer.run(f"CALL critic {call}", message_history=asked.all_messages()))
    assert results_of(told)[-1] == {"conversation": result["conversation"], "answer": "You said no."}
    unknown = await within(writer.run('CALL critic {"message": "no", "conversation": "somebody else\'s"}'))
    assert "begin a new one" in results_of(unknown)[0]


@pytest.mark.parametrize(("call_id", "times"), [("call_0123456789abcdefghijklmn", 1), ("call_1", 2)])
async def test_a_call_that_is_run_again_is_not_worked_twice(
    remote: tuple[Remote, str], chat: OpenAIChatModel, call_id: str, times: int
) -> None:
    """Issue 5, part 2: an approved call that is taken up twice; an id that is only counted is not believed."""
    agent, url = remote
    tool = a2a_tool(url, name="critic")
    tool.requires_approval = True
    writer = Agent(chat, tools=[tool], output_type=[str, DeferredToolRequests])
    asked = await within(writer.run('CALL critic {"message": "hello"}'))
    assert isinstance(asked.output, DeferredToolRequests)
    past = asked.all_messages_json().replace(asked.output.approvals[0].tool_call_id.encode(), call_id.encode())
    for _ in range(2):
        history = ModelMessagesTypeAdapter.validate_json(past)
        approved = DeferredToolResults(approvals={call_id: True})
        told = await within(writer.run(message_history=history, deferred_tool_results=approved))
        assert "I heard: hello" in told.output
    assert len(agent.turns) == times


async def test_a_failure_of_the_remote_is_told_to_the_model_without_its_words(
    remote: tuple[Remote, str], chat: OpenAIChatModel
) -> None:
    """Ours: the model may try something else."""
    _, url = remote
    result = await within(Agent(chat, tools=[a2a_tool(url, name="critic")]).run('CALL critic {"message": "BREAK"}'))
    assert "'critic' did not answer" in result.output
    assert "secret" not in result.output


async def test_any_agent_of_ours_is_a_tool_too(chat: OpenAIChatModel) -> None:
    """Issue 5, part 2: a URL, or whatever `adapt` takes."""

    def shout(said: str) -> str:
        """Says it louder."""
        return said.upper()

    tool = a2a_tool(shout, name="loud")
    assert tool.description == "Says it louder."
    assert "HELLO" in (await within(Agent(chat, tools=[tool]).run('CALL loud {"message": "hello"}'))).output
