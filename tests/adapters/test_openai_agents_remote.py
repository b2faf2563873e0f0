"""A remote A2A agent as a tool and as a handoff target of the OpenAI Agents SDK, over real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import Agent, FunctionTool, OpenAIChatCompletionsModel, Runner, RunState
from agents.tool_context import ToolContext
from openai import AsyncOpenAI

from a2a_bridge.agent import outcome
from a2a_bridge.errors import AdapterError, AdapterFailedError
from a2a_bridge.testing.adapter_case import within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk
from adapters.openai_agents.adapter import ADAPTER
from adapters.openai_agents.remote import A2AModel, a2a_agent, a2a_tool
from tests.adapters.remote_agent import Remote


@pytest.fixture
async def chat() -> AsyncIterator[OpenAIChatCompletionsModel]:
    """The host's own model, a fake one."""
    with FakeOpenAI() as model:
        async with AsyncOpenAI(base_url=model.base_url, api_key="x", max_retries=0) as client:
            yield OpenAIChatCompletionsModel(model="fake-model", openai_client=client)


CALL_ID = "call_0123456789abcdefghijklmn"


async def called(tool: FunctionTool, *, call_id: str = CALL_ID, **arguments: str) -> Any:
    """What the tool tells the model, read as JSON if it is that."""
    text = json.dumps(arguments)
    context: Any = ToolContext(None, tool_name=tool.name, tool_call_id=call_id, tool_arguments=text)
    said = await within(tool.on_invoke_tool(context, text))
    return json.loads(said) if said.startswith("{") else said


# An agent of the host


async def test_it_is_run_like_any_agent_and_streams(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: streaming where the host can show it; usage is counted."""
    _, url = remote
    result = Runner.run_streamed(a2a_agent(url, name="critic"), "hello")
    tokens = [
        event.data.delta
        async for event in result.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert len(tokens) > 1
    assert result.final_output == "".join(tokens) == "I heard: hello"
    used = result.context_wrapper.usage
    assert (used.requests, used.input_tokens, used.output_tokens) == (1, 3, 4)
    result = await within(Runner.run(a2a_agent(url, name="critic"), "hello SOME DATA"))
    assert result.final_output == 'I heard: hello SOME DATA\n{"a":1}'
    assert result.context_wrapper.usage.total_tokens == 7


async def test_it_is_handed_over_to(remote: tuple[Remote, str], chat: OpenAIChatCompletionsModel) -> None:
    """Issue 5, part 2: a handoff target; it hears what was said, not how it came to it."""
    agent, url = remote
    triage = Agent(name="triage", model=chat, handoffs=[a2a_agent(url, name="critic")])
    result = await within(Runner.run(triage, "CALL transfer_to_critic {}"))
    assert result.last_agent.name == "critic"
    assert result.final_output == "I heard: CALL transfer_to_critic {}"
    assert [len(message.parts) for turn in agent.turns for message in turn.messages] == [1]


async def test_one_conversation_is_one_context_and_only_what_is_new_is_sent(remote: tuple[Remote, str]) -> None:
    """Architecture §6: one stable contextId, conversation by delta; two of one host never mix."""
    agent, url = remote
    critic = a2a_agent(url, name="critic")
    talks: list[list[Any]] = [[], []]
    for said in ("one", "two"):
        for talk in talks:
            talk.append({"role": "user", "content": said})
            talk[:] = (await within(Runner.run(critic, list(talk)))).to_input_list()
    assert [turn.text for turn in agent.turns] == ["one", "one", "two", "two"]
    left, right = agent.turns[0].context_id, agent.turns[1].context_id
    assert left != right
    assert [turn.context_id for turn in agent.turns[2:]] == [left, right]


async def test_a_host_that_has_forgotten_tells_the_conversation_from_its_start(remote: tuple[Remote, str]) -> None:
    """Ours: what the remote knows is kept in memory, what was said by the host."""
    agent, url = remote
    said = (await within(Runner.run(a2a_agent(url, name="critic"), "one"))).to_input_list()
    said.append({"role": "user", "content": "two"})
    for _ in range(2):
        again = a2a_agent(url, name="critic")
        said_then = (await within(Runner.run(again, said))).to_input_list()
    await within(Runner.run(again, [*said_then, {"role": "user", "content": "three"}]))
    assert [turn.text for turn in agent.turns] == ["one", "one\n[critic] I heard: one\ntwo", "three"]
    first, second, third = (turn.context_id for turn in agent.turns)
    assert first != second == third  # the remote may well remember the first, and would hear it twice


async def test_two_remotes_in_one_conversation_keep_their_own(remote: tuple[Remote, str]) -> None:
    """Ours: a host that hands over to one and then to another; each goes on where it was, and hears the other."""
    agent, url = remote
    one, other = a2a_agent(url, name="one"), a2a_agent(url, name="other")
    said: list[Any] = []
    for asked, words in ((one, "first"), (other, "second"), (one, "third")):
        said.append({"role": "user", "content": words})
        said = (await within(Runner.run(asked, said))).to_input_list()
    first, second, third = agent.turns
    assert second.text == "first\n[assistant] I heard: first\nsecond"
    assert third.text.startswith("second\n[assistant] I heard: first\n")
    assert third.text.endswith("\nthird")
    assert first.context_id == third.context_id != second.context_id


async def test_a_question_is_the_reply_and_what_is_said_next_its_answer(remote: tuple[Remote, str]) -> None:
    """Ours: INPUT_REQUIRED of the remote, in a framework whose agents cannot ask."""
    _, url = remote
    critic = a2a_agent(url, name="critic")
    asked = await within(Runner.run(critic, "ASK"))
    assert asked.final_output == "Shall I?"
    answer: list[Any] = [*asked.to_input_list(), {"role": "user", "content": "yes"}]
    assert (await within(Runner.run(critic, answer))).final_output == "You said yes."


async def test_a_run_that_is_taken_up_again_is_not_worked_twice(
    remote: tuple[Remote, str], chat: OpenAIChatCompletionsModel
) -> None:
    """Issue 5, part 2: idempotent on a re-run, as far as the host's ids are the only ones in the world."""
    agent, url = remote
    said: list[Any] = [
        {"role": "user", "content": "review this"},
        {"type": "function_call", "call_id": CALL_ID, "name": "transfer_to_critic", "arguments": "{}"},
        {"type": "function_call_output", "call_id": CALL_ID, "output": "{}"},
    ]
    for _ in range(2):
        result = await within(Runner.run(a2a_agent(url, name="critic"), list(said)))
        assert result.final_output == "I heard: review this"
    assert len(agent.turns) == 1


async def test_images_and_files_go_to_it(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 1: files and images as parts, this way too."""
    agent, url = remote
    said: Any = [
        {"type": "input_text", "text": "see"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw==", "detail": "auto"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,JVBERg==", "filename": "a.pdf"},
        {"type": "input_image", "image_url": "https://pictures.invalid/c.png", "detail": "auto"},
    ]
    critic = a2a_agent(url, name="critic")
    await within(Runner.run(critic, [{"role": "user", "content": said}]))
    parts = agent.turns[0].messages[0].parts
    assert [(part.media_type, part.raw, part.filename) for part in parts[1:3]] == [
        ("image/png", b"\x89PNG", None),
        ("application/pdf", b"%PDF", "a.pdf"),
    ]
    assert (parts[3].url, parts[3].media_type) == ("https://pictures.invalid/c.png", "image/png")
    held: Any = [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]
    with pytest.raises(AdapterError, match="input_file"):
        await within(Runner.run(critic, held))


@pytest.mark.parametrize("streams", [False, True])
async def test_what_the_host_cancels_is_cancelled_at_the_remote(remote: tuple[Remote, str], streams: bool) -> None:
    """Issue 5, part 2: cancelled when the host cancels."""
    agent, url = remote

    async def run() -> None:
        if streams:
            async for _ in Runner.run_streamed(a2a_agent(url, name="critic"), "WAIT").stream_events():
                pass
        else:
            await Runner.run(a2a_agent(url, name="critic"), "WAIT")

    task = asyncio.create_task(run())
    await within(agent.at_work.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task, 10)
    await within(agent.stopped.wait())


async def test_a_failure_of_the_remote_is_raised_without_its_words(remote: tuple[Remote, str]) -> None:
    """Ours: a host knows failures as exceptions; the remote keeps its secrets."""
    _, url = remote
    with pytest.raises(AdapterFailedError, match="critic") as failure:
        await within(Runner.run(a2a_agent(url, name="critic"), "BREAK"))
    assert "secret" not in str(failure.value)


async def test_tools_and_output_types_of_the_host_are_refused(remote: tuple[Remote, str]) -> None:
    """Ours: nothing is silently ignored."""
    _, url = remote
    agent = Agent(name="critic", model=A2AModel(url, name="critic"), output_type=list[int])
    with pytest.raises(AdapterError, match="no instructions, tools"):
        await within(Runner.run(agent, "hello"))


async def test_it_can_be_published_again(remote: tuple[Remote, str]) -> None:
    """Ours: both ways at once, and the conversation holds together."""
    agent, url = remote
    talk = Talk(ADAPTER.adapt(a2a_agent(url, name="critic", description="Second hand.")))
    assert talk.agent.description == "Second hand."
    for said in ("one", "two"):
        assert outcome(await within(talk.say(said))).text == f"I heard: {said}"
    assert [turn.text for turn in agent.turns] == ["one", "two"]


# A tool


async def test_it_is_a_tool_of_an_agent(remote: tuple[Remote, str], chat: OpenAIChatCompletionsModel) -> None:
    """Issue 5, part 2: a function tool; two calls are two conversations."""
    agent, url = remote
    writer = Agent(name="writer", model=chat, tools=[a2a_tool(url, name="critic", description="Criticises a draft.")])
    two = ' CALL critic {"message": "hello", "conversation": ""}' * 2
    result = await within(Runner.run(writer, two))
    assert result.final_output.count("I heard: hello") == 2
    assert len({turn.context_id for turn in agent.turns}) == 2


async def test_a_question_is_told_to_the_model_and_answered_in_the_same_conversation(
    remote: tuple[Remote, str],
) -> None:
    """Ours: a tool has no other way to ask."""
    _, url = remote
    tool = a2a_tool(url, name="critic")
    asked = await called(tool, message="ASK")
    assert asked["question"] == "Shall I?"
    told = await called(tool, call_id="call_2", message="no", conversation=asked["conversation"])
    assert told == {"conversation": asked["conversation"], "answer": "You said no."}
    unknown = await called(tool, message="no", conversation="somebody else's")
    assert "begin a new one" in unknown


async def test_a_call_that_is_run_again_is_not_worked_twice(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: the same call id is the same messageId; one that may not be the only one is not believed."""
    agent, url = remote
    first = await called(a2a_tool(url, name="critic"), message="hello")
    assert await called(a2a_tool(url, name="critic"), message="hello") == first
    assert len(agent.turns) == 1
    for _ in range(2):
        await called(a2a_tool(url, name="critic"), call_id="call_1", message="hello")
    assert len({turn.context_id for turn in agent.turns}) == 3


async def test_an_approved_call_goes_out_after_a_restart_of_the_host(
    remote: tuple[Remote, str], chat: OpenAIChatCompletionsModel
) -> None:
    """Ours: the host's own pauses and the remote's do not get in each other's way."""
    agent, url = remote
    tool = a2a_tool(url, name="critic")
    tool.needs_approval = True
    writer = Agent(name="writer", model=chat, tools=[tool])
    result = await within(Runner.run(writer, 'CALL critic {"message": "hello", "conversation": ""}'))
    assert agent.turns == []
    state: Any = await RunState.from_string(writer, result.to_state().to_string())
    state.approve(state.get_interruptions()[0])
    assert "I heard: hello" in (await within(Runner.run(writer, state))).final_output


async def test_a_failure_of_the_remote_is_told_to_the_model_without_its_words(remote: tuple[Remote, str]) -> None:
    """Ours: the model may try something else."""
    _, url = remote
    told = await called(a2a_tool(url, name="critic"), message="BREAK")
    assert "'critic' did not answer" in told
    assert "secret" not in told


async def test_any_agent_of_ours_is_a_tool_too(chat: OpenAIChatCompletionsModel) -> None:
    """Issue 5, part 2: a URL, or whatever `adapt` takes."""

    def shout(said: str) -> str:
        """Says it louder."""
        return said.upper()

    tool = a2a_tool(shout, name="loud")
    assert tool.description == "Says it louder."
    assert (await called(tool, message="hello"))["answer"] == "HELLO"

    broken: Any = a2a_tool(lambda said: 1 / 0, name="broken")
    assert "ZeroDivisionError" not in await called(broken, message="hello")
