"""A remote A2A agent as an agent of Google's ADK, over real HTTP."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import pytest
from google.adk.agents import BaseAgent, LlmAgent, SequentialAgent
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.apps.app import App
from google.adk.runners import Runner
from google.adk.sessions import InMemorySessionService, Session
from google.adk.tools.agent_tool import AgentTool
from google.genai import types
from openai import AsyncOpenAI

from a2a_bridge.errors import AdapterFailedError
from a2a_bridge.testing.adapter_case import within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from adapters.google_adk.remote import A2AAgent
from tests.adapters.adk_model import FakeLlm
from tests.adapters.remote_agent import Remote

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # ADK's own


class Desk:
    """An app with a session, as a host has it."""

    def __init__(self, root: BaseAgent, session: Session | None = None, user: str = "u") -> None:
        self.user = user
        self.sessions = InMemorySessionService()
        self.runner = Runner(app=App(name="desk", root_agent=root), session_service=self.sessions)
        self.given = session

    async def say(self, *parts: str | types.Part, streams: bool = False) -> list[Any]:
        """The events of one run."""
        known = {"app_name": "desk", "user_id": self.user, "session_id": "s"}
        session = await self.sessions.get_session(**known)
        if session is None:
            session = await self.sessions.create_session(**known)
            for event in self.given.events if self.given else []:
                await self.sessions.append_event(session, event)
        found = [types.Part(text=part) if isinstance(part, str) else part for part in parts]
        run = self.runner.run_async(
            user_id=self.user,
            session_id="s",
            new_message=types.Content(role="user", parts=found),
            run_config=RunConfig(streaming_mode=StreamingMode.SSE if streams else StreamingMode.NONE),
        )
        async with aclosing(run) as events:
            return [event async for event in events]

    async def saved(self) -> Session:
        """The session as a store would keep it."""
        session = await self.sessions.get_session(app_name="desk", user_id=self.user, session_id="s")
        assert session is not None
        return Session.model_validate(json.loads(session.model_dump_json(by_alias=True)))


def text_of(event: Any) -> str:
    """The words of an event."""
    return "\n".join(part.text for part in event.content.parts if part.text)


async def test_it_streams_and_the_last_event_is_whole(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: streaming where the host can show it; usage is ADK's own."""
    _, url = remote
    *partial, last = await within(Desk(A2AAgent(url, name="critic")).say("hello", streams=True))
    assert [event.partial for event in partial] == [True, True]
    assert text_of(last) == "".join(text_of(event) for event in partial) == "I heard: hello"
    assert (last.author, last.usage_metadata.prompt_token_count) == ("critic", 3)
    assert len(await within(Desk(A2AAgent(url, name="critic")).say("hello"))) == 1


async def test_a_session_is_one_context_and_only_new_messages_are_sent(remote: tuple[Remote, str]) -> None:
    """Architecture §6: one stable contextId; conversation by delta, also after a restart."""
    agent, url = remote
    desk = Desk(A2AAgent(url, name="critic"))
    await within(desk.say("one"))
    await within(desk.say("two"))
    await within(Desk(A2AAgent(url, name="critic"), await desk.saved()).say("three"))
    assert [turn.text for turn in agent.turns] == ["one", "two", "three"]
    assert len({turn.context_id for turn in agent.turns}) == 1


async def test_a_step_that_is_run_again_after_a_restart_is_not_worked_twice(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: idempotent on a re-run, the same messageId from the host's state."""
    agent, url = remote
    desk = Desk(A2AAgent(url, name="critic"))
    await within(desk.say("one"))
    saved = await desk.saved()
    first = await within(desk.say("two"))
    second = await within(Desk(A2AAgent(url, name="critic"), saved).say("two"))
    assert text_of(first[-1]) == text_of(second[-1])
    assert len(agent.turns) == 2


async def test_sessions_of_the_same_id_are_not_the_same_conversation(remote: tuple[Remote, str]) -> None:
    """Ours: an id is a user's, and a program with its sessions in memory uses it anew each time it is started; nobody
    is given the answer of another."""
    agent, url = remote
    for user in ("olga", "olga", "ivo"):
        await within(Desk(A2AAgent(url, name="critic"), user=user).say("hello"))
    assert len({turn.context_id for turn in agent.turns}) == 3
    assert not any("olga" in turn.context_id or "ivo" in turn.context_id for turn in agent.turns)


async def test_a_question_is_an_answer_and_the_next_words_its_answer(remote: tuple[Remote, str]) -> None:
    """Ours: INPUT_REQUIRED of the remote, in a conversation with a user."""
    _, url = remote
    desk = Desk(A2AAgent(url, name="critic"))
    assert text_of((await within(desk.say("ASK")))[-1]) == "Shall I?"
    again = Desk(A2AAgent(url, name="critic"), await desk.saved())
    assert text_of((await within(again.say("yes")))[-1]) == "You said yes."


async def test_in_a_pipeline_it_hears_the_others(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: who said what is known to it."""
    _, url = remote
    writer = A2AAgent(lambda said: f"draft of {said}", name="writer")
    desk = Desk(SequentialAgent(name="pipeline", sub_agents=[writer, A2AAgent(url, name="critic")]))
    events = await within(desk.say("a poem"))
    assert text_of(events[-1]) == "I heard: a poem\n[writer] draft of a poem"
    events = await within(desk.say("a song"))
    assert text_of(events[-1]).startswith("I heard: a song\n[writer] draft of")


async def test_a_model_hands_over_to_it_and_uses_it_as_a_tool(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: a sub-agent and a tool, as any agent of ADK's."""
    agent, url = remote
    with FakeOpenAI() as model:
        connection = AsyncOpenAI(base_url=model.base_url, api_key="x", max_retries=0)
        try:
            llm = FakeLlm(connection=connection)
            boss = LlmAgent(name="boss", model=llm, sub_agents=[A2AAgent(url, name="critic")])
            events = await within(Desk(boss).say('CALL transfer_to_agent {"agent_name": "critic"}'))
            assert events[-1].author == "critic"
            boss = LlmAgent(name="boss", model=llm, tools=[AgentTool(A2AAgent(url, name="critic"))])
            events = await within(Desk(boss).say('CALL critic {"request": "a draft"}'))
            assert text_of(events[-1]) == "Tool said: I heard: a draft"
        finally:
            await connection.close()
    assert len(agent.turns) == 2


async def test_what_the_host_cancels_is_cancelled_at_the_remote(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: cancelled when the host cancels."""
    agent, url = remote
    task = asyncio.create_task(Desk(A2AAgent(url, name="critic")).say("WAIT"))
    await within(agent.at_work.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task, 10)
    await within(agent.stopped.wait())


async def test_a_failure_of_the_remote_is_raised_without_its_words(remote: tuple[Remote, str]) -> None:
    """Ours: a host knows failures as exceptions; the remote keeps its secrets."""
    _, url = remote
    with pytest.raises(AdapterFailedError, match="critic") as failure:
        await within(Desk(A2AAgent(url, name="critic")).say("BREAK"))
    assert "secret" not in str(failure.value)


async def test_files_go_and_data_and_files_come(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 1: files, images and structured output as parts, this way too."""
    agent, url = remote
    picture = types.Part(inline_data=types.Blob(data=b"picture", mime_type="image/png"))
    events = await within(Desk(A2AAgent(url, name="critic")).say("see SOME DATA and PAPER", picture))
    part = agent.turns[0].messages[0].parts[1]
    assert (part.raw, part.media_type) == (b"picture", "image/png")
    assert text_of(events[-1]) == 'I heard: see SOME DATA and PAPER\n{"a":1}'
    assert [part.inline_data.data for part in events[-1].content.parts if part.inline_data] == [b"file"]
