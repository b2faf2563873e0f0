"""A remote A2A agent as an agent of the Agent Framework, over real HTTP."""

import asyncio
import json

import pytest
from agent_framework import (
    AgentExecutor,
    AgentSession,
    Content,
    InMemoryCheckpointStorage,
    Message,
    WorkflowBuilder,
    WorkflowExecutor,
)

from a2a_bridge.errors import AdapterFailedError
from a2a_bridge.testing.adapter_case import within
from a2a_bridge.testing.turns import Talk
from adapters.agent_framework.adapter import ADAPTER
from adapters.agent_framework.remote import A2AAgent
from tests.adapters.remote_agent import Remote


def saved(session: AgentSession) -> AgentSession:
    """The session after a restart of the host."""
    return AgentSession.from_dict(json.loads(json.dumps(session.to_dict())))


async def test_it_streams_and_the_response_is_whole(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: streaming where the host can show it; usage is the framework's own."""
    _, url = remote
    stream = A2AAgent(url, name="critic").run("hello", stream=True)
    tokens = [update.text async for update in stream if update.text]
    response = await stream.get_final_response()
    assert len(tokens) > 1
    assert response.text == "".join(tokens) == "I heard: hello"
    assert response.messages[0].author_name == "critic"
    assert response.usage_details["input_token_count"] == 3
    assert (await within(A2AAgent(url, name="critic").run("hello"))).text == "I heard: hello"


async def test_a_session_is_one_context_and_only_new_messages_are_sent(remote: tuple[Remote, str]) -> None:
    """Architecture §6: one stable contextId; conversation by delta, also where a host tells everything each time."""
    agent, url = remote
    seat, session = A2AAgent(url, name="critic"), AgentSession()
    told = [Message("user", ["one"])]
    for said in ("two", "three"):
        response = await within(seat.run(told, session=session))
        told = [*told, *response.messages, Message("user", [said])]
    session = saved(session)
    await within(seat.run(told, session=session))
    await within(seat.run("four", session=session))
    assert [turn.text for turn in agent.turns] == ["one", "two", "three", "four"]
    assert len({turn.context_id for turn in agent.turns}) == 1
    await within(seat.run("five", session=AgentSession()))
    assert agent.turns[-1].context_id != agent.turns[0].context_id


async def test_a_step_that_is_run_again_after_a_restart_is_not_worked_twice(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: idempotent on a re-run, the same messageId from the host's state."""
    agent, url = remote
    session = AgentSession()
    await within(A2AAgent(url, name="critic").run("one", session=session))
    again = saved(session)
    first = await within(A2AAgent(url, name="critic").run("two", session=session))
    second = await within(A2AAgent(url, name="critic").run("two", session=again))
    assert first.text == second.text
    assert len(agent.turns) == 2


async def test_a_question_is_the_response_and_the_next_run_its_answer(remote: tuple[Remote, str]) -> None:
    """Ours: INPUT_REQUIRED of the remote, in a framework whose agents ask with words."""
    _, url = remote
    session = AgentSession()
    asked = await within(A2AAgent(url, name="critic").run("ASK", session=session))
    assert asked.text == "Shall I?"
    told = await within(A2AAgent(url, name="critic").run("yes", session=saved(session)))
    assert told.text == "You said yes."


async def test_in_a_workflow_it_hears_the_others_and_is_in_the_checkpoint(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: what it knows goes where the host's state goes."""
    agent, url = remote
    storage = InMemoryCheckpointStorage()

    def build() -> object:
        writer = AgentExecutor(A2AAgent(lambda said: f"draft of {said}", name="writer"))
        critic = AgentExecutor(A2AAgent(url, name="critic"))
        return (
            WorkflowBuilder(name="desk", start_executor=writer, checkpoint_storage=storage)
            .add_edge(writer, critic)
            .build()
        )

    events = [event async for event in build().run("a poem", stream=True)]  # type: ignore[attr-defined]
    said = [event.data.text for event in events if event.type == "output" and event.executor_id == "critic"]
    assert len([text for text in said if text]) > 1
    assert "".join(said) == "I heard: a poem\n[writer] draft of a poem"
    checkpoint = await storage.get_latest(workflow_name="desk")
    assert checkpoint is not None
    kept = checkpoint.state["_executor_state"]["critic"]["agent_session"]["state"]["a2a:critic"]
    assert kept["hosted"]["turns"] == 1
    assert len(agent.turns) == 1


@pytest.mark.parametrize("streams", [True, False])
async def test_what_the_host_cancels_is_cancelled_at_the_remote(remote: tuple[Remote, str], streams: bool) -> None:
    """Issue 5, part 2: cancelled when the host cancels."""
    agent, url = remote
    seat = A2AAgent(url, name="critic")

    async def read() -> None:
        if streams:
            async for _ in seat.run("WAIT", stream=True):
                pass
        else:
            await seat.run("WAIT")

    task = asyncio.create_task(read())
    await within(agent.at_work.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task, 10)
    await within(agent.stopped.wait())


async def test_a_failure_of_the_remote_is_raised_without_its_words(remote: tuple[Remote, str]) -> None:
    """Ours: a host knows failures as exceptions; the remote keeps its secrets."""
    _, url = remote
    with pytest.raises(AdapterFailedError, match="critic") as failure:
        await within(A2AAgent(url, name="critic").run("BREAK"))
    assert "secret" not in str(failure.value)


async def test_files_go_and_data_and_files_come(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 1: files, images and structured output as parts, this way too."""
    agent, url = remote
    picture = Content.from_data(b"picture", media_type="image/png")
    response = await within(A2AAgent(url, name="critic").run(Message("user", ["see SOME DATA and PAPER", picture])))
    part = agent.turns[0].messages[0].parts[1]
    assert (part.raw, part.media_type) == (b"picture", "image/png")
    assert response.text == 'I heard: see SOME DATA and PAPER\n{"a":1}'
    assert [content.media_type for content in response.messages[0].contents if content.type == "data"] == [
        "application/pdf"
    ]


async def test_agents_that_share_a_session_are_conversations_of_their_own(remote: tuple[Remote, str]) -> None:
    """Ours: what one remote is asked and answered is not the other's."""
    agent, url = remote
    one, other = A2AAgent(url, name="one"), A2AAgent(url, name="other")
    session = one.create_session()
    await within(one.run("ASK", session=session))
    assert (await within(other.run("yes", session=session))).text == "I heard: yes"
    assert (await within(one.run("no", session=session))).text == "You said no."
    first, second, third = (turn.context_id for turn in agent.turns)
    assert first == third != second


async def test_contexts_of_a_published_workflow_are_conversations_of_their_own(remote: tuple[Remote, str]) -> None:
    """Ours: a workflow's executor names the conversation with its agent when it is made, for all callers; inner
    workflows too. What is said twice is heard twice."""
    agent, url = remote
    for is_inner in (False, True):
        agent.turns.clear()
        workflow = WorkflowBuilder(name="flow", start_executor=A2AAgent(url, name="critic")).build()
        if is_inner:
            workflow = WorkflowBuilder(name="outer", start_executor=WorkflowExecutor(workflow, id="inner")).build()
        talks = [Talk(ADAPTER.adapt(workflow), name) for name in ("left", "right")]
        for words in ("hello", "hello", "goodbye"):
            for talk in talks:
                await within(talk.say(words))
        assert [turn.text for turn in agent.turns] == ["hello"] * 4 + ["goodbye"] * 2
        contexts = [turn.context_id for turn in agent.turns]
        assert len(set(contexts)) == 2
        assert contexts[:2] == contexts[2:4] == contexts[4:]
