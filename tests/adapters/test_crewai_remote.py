"""A remote A2A agent as a CrewAI tool, and as the model of a CrewAI agent, over real HTTP."""

import asyncio
import threading
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

import adapters.crewai.adapter
from a2a_bridge.agent import outcome
from a2a_bridge.bridge import Bridge
from a2a_bridge.errors import AdapterError, AdapterFailedError
from a2a_bridge.testing.adapter_case import within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.server import running
from a2a_bridge.testing.turns import make_turn, replies_of
from tests.adapters.remote_agent import Remote

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # CrewAI's own modules warn while they are imported
    from crewai import LLM, Agent, Crew, Task

    from adapters.crewai.remote import A2ALLM, A2ATool

pytestmark = pytest.mark.filterwarnings("ignore")  # CrewAI uses what it has deprecated itself

ADAPTER = adapters.crewai.adapter.ADAPTER


@pytest.fixture
async def remote() -> AsyncIterator[tuple[Remote, str]]:
    """The agent and its URL. It is served by an event loop of its own: CrewAI may block the one it runs in."""
    agent, found, done = Remote(), asyncio.get_running_loop().create_future(), asyncio.Event()
    here = asyncio.get_running_loop()

    async def serve() -> None:
        loop, stop = asyncio.get_running_loop(), asyncio.Event()
        agent.at_work = Bell(here)  # type: ignore[assignment]
        agent.stopped = Bell(here)  # type: ignore[assignment]
        async with running(lambda url: Bridge(agent, public_url=url)) as url:
            here.call_soon_threadsafe(found.set_result, (url, loop, stop))
            await stop.wait()
        here.call_soon_threadsafe(done.set)

    threading.Thread(target=asyncio.run, args=(serve(),), daemon=True).start()
    url, loop, stop = await within(found, 30)
    yield agent, url
    loop.call_soon_threadsafe(stop.set)
    await within(done.wait(), 30)


class Bell:
    """An event that is set in one loop and waited for in another."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._event = asyncio.Event()

    def set(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        await self._event.wait()


def boss(model: FakeOpenAI, *tools: Any) -> Agent:
    """An agent with tools."""
    llm = LLM(model="openai/fake-model", base_url=model.base_url, api_key="x", max_retries=0)
    return Agent(role="Boss", goal="to ask", backstory="b", llm=llm, tools=list(tools), max_retry_limit=0)


def crew(agent: Agent, description: str) -> Crew:
    """A crew of one."""
    return Crew(agents=[agent], tasks=[Task(description=description, expected_output="x", agent=agent)])


@pytest.mark.parametrize("way", ["kickoff", "akickoff", "published"])
async def test_a_crew_uses_it_as_a_tool_in_all_its_ways(remote: tuple[Remote, str], way: str) -> None:
    """Frameworks §5: `_run` must work in sync code, also under akickoff."""
    agent, url = remote
    with FakeOpenAI() as model:
        team = crew(boss(model, A2ATool(url, name="ask_critic")), 'CALL ask_critic {"message": "a draft"}')
        if way == "kickoff":
            said = (await within(asyncio.to_thread(team.kickoff), 30)).raw
        elif way == "akickoff":
            said = (await within(team.akickoff(), 30)).raw
        else:
            said = outcome(await within(replies_of(ADAPTER.adapt(team), make_turn("go")), 30)).text
    assert said == "Tool said: I heard: a draft"
    assert [turn.text for turn in agent.turns] == ["a draft"]


async def test_each_call_is_a_conversation_and_a_question_is_answered_in_its_own(remote: tuple[Remote, str]) -> None:
    """Architecture §1.1: crews that share a tool never see each other's conversation."""
    agent, url = remote
    tool = A2ATool(url, name="ask_critic")
    await within(tool.arun(message="one"))
    asked = await within(tool.arun(message="ASK"))
    other = await within(tool.arun(message="ASK"))
    assert asked.startswith("Shall I?\n[To answer, call this tool again with the conversation ")
    conversation = asked.removesuffix(".]").rpartition(" ")[2]
    assert await within(tool.arun(message="yes", conversation=conversation)) == "You said yes."
    assert other != asked
    contexts = [turn.context_id for turn in agent.turns]
    assert len(set(contexts)) == 3
    assert contexts[3] == contexts[1]


async def test_a_named_conversation_goes_on_and_the_same_call_is_not_worked_twice(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: idempotent on a re-run, the same messageId."""
    agent, url = remote
    tool = A2ATool(url, name="ask_critic", context="desk-7")
    first = await within(tool.arun(message="one"))
    await within(tool.arun(message="two"))
    assert agent.turns[0].context_id == agent.turns[1].context_id
    again = A2ATool(url, name="ask_critic", context="desk-7")
    assert await within(again.arun(message="one")) == first
    assert len(agent.turns) == 2


async def test_a_call_that_failed_and_is_made_again_is_the_same_message() -> None:
    """Issue 5, part 2: CrewAI calls a tool that failed again, up to three times."""
    ids: list[str] = []

    class Flaky(Remote):
        async def run(self, turn: Any) -> AsyncIterator[Any]:
            ids.append(turn.id)
            if len(ids) == 1:
                raise ConnectionError("the line is down")
            yield "here"

    tool = A2ATool(Flaky(), name="ask_critic")
    with pytest.raises(ConnectionError):
        await within(tool.arun(message="one"))
    assert await within(tool.arun(message="one")) == "here"
    await within(tool.arun(message="one"))
    assert ids[0] == ids[1] != ids[2]


async def test_it_is_the_model_of_an_agent_and_streams(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: behind an ordinary agent of CrewAI's; its words come as they are said."""
    agent, url = remote
    critic = Agent(role="Critic", goal="to judge", backstory="b", llm=A2ALLM(url), max_retry_limit=0)
    replies = await within(replies_of(ADAPTER.adapt(critic), make_turn("a draft")), 30)
    assert len([reply for reply in replies if isinstance(reply, str)]) > 1
    result = outcome(replies)
    assert "a draft" in result.text
    assert (result.usage.input_tokens, result.usage.output_tokens, result.usage.model) == (3, 4, "remote")
    assert "to judge" in agent.turns[0].text
    said = await within(critic.akickoff("a poem"), 30)
    assert "a poem" in said.raw


async def test_an_agent_with_tools_of_its_own_understands_its_answers() -> None:
    """Ours: CrewAI asks for a form of its own then, and takes plain words too, without asking again."""
    heard: list[str] = []

    def judge(said: str) -> str:
        heard.append(said)
        return "all is fine"

    tools = [A2ATool(judge, name="other")]
    critic = Agent(role="Critic", goal="g", backstory="b", llm=A2ALLM(judge), tools=tools)
    assert (await within(critic.akickoff("a draft"), 30)).raw == "all is fine"
    assert len(heard) == 1
    assert "Final Answer:" in heard[0]


@pytest.mark.parametrize("way", ["tool", "model"])
async def test_what_is_awaited_and_cancelled_is_cancelled_at_the_remote(remote: tuple[Remote, str], way: str) -> None:
    """Issue 5, part 2: cancelled when the host cancels."""
    agent, url = remote
    work = A2ATool(url, name="critic").arun(message="WAIT") if way == "tool" else A2ALLM(url).acall("WAIT")
    task = asyncio.create_task(work)
    await within(agent.at_work.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task, 10)
    await within(agent.stopped.wait())


async def test_a_failure_of_the_remote_is_raised_without_its_words(remote: tuple[Remote, str]) -> None:
    """Ours: a host knows failures as exceptions; the remote keeps its secrets."""
    _, url = remote
    for work in (A2ATool(url, name="critic").arun(message="BREAK"), A2ALLM(url).acall("BREAK")):
        with pytest.raises(AdapterFailedError) as failure:
            await within(work)
        assert "secret" not in str(failure.value)


async def test_data_and_files_are_told_in_words(remote: tuple[Remote, str]) -> None:
    """Ours: a tool of CrewAI's gives text; nothing is dropped in silence."""
    _, url = remote
    said = await within(A2ATool(url, name="critic").arun(message="see SOME DATA and PAPER"))
    assert said == 'I heard: see SOME DATA and PAPER\n{"a":1}\n[file: application/pdf]'


async def test_a_response_model_is_refused(remote: tuple[Remote, str]) -> None:
    """Ours: no option is silently ignored."""
    _, url = remote
    with pytest.raises(AdapterError, match="response model"):
        await within(A2ALLM(url).acall("hello", response_model=Remote))
