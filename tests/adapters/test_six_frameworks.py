"""One room with seats from six frameworks, each behind A2A on a server of its own, the room behind one more."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from a2a_bridge import Client, GroupChat, GroupChatManager, Seat, Task, TaskState
from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import traits_of
from a2a_bridge.bridge import Bridge
from a2a_bridge.chat import control
from a2a_bridge.testing.adapter_case import within
from a2a_bridge.testing.fake_model import Call, Conversation, Said
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.server import running
from tests.adapters import (
    test_ag2,
    test_ag2_classic,
    test_autogen,
    test_langgraph,
    test_openai_agents,
    test_pydantic_ai,
)

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # the frameworks use what others, and they themselves, have deprecated
    pytest.mark.timeout(120),
]

CASES = {
    "langgraph": test_langgraph.TestLangGraphAgentWithCheckpointer,
    "ag2": test_ag2.TestAg2Agent,
    "ag2_classic": test_ag2_classic.TestClassicAgent,
    "autogen": test_autogen.TestAutoGenAgent,
    "openai_agents": test_openai_agents.TestOpenAIAgentsOnChatCompletions,
    "pydantic_ai": test_pydantic_ai.TestPydanticAIOnChatCompletions,
}
ROUNDS, TURNS = 4, 24
TWO_ROUNDS = 11
"""Lines in two rounds; what LangGraph says about its tool is not one."""

STOP_SECONDS = 2.0
CANCEL_WAIT = 20.0
"""Whoever cancels waits five seconds for work that does not end."""


class Script:
    """What the model of all six says; it can be told to fall silent from some call on."""

    def __init__(self) -> None:
        self.calls = 0
        self.silent_after: int | None = None

    def __call__(self, asked: Conversation) -> Said:
        if asked.tools and not any(line.called for line in asked.lines):
            return Said(calls=(Call("erase", '{"what": "the disk"}'),))  # only the LangGraph agent has a tool
        if asked.results:
            return Said(text=f"I was told: {asked.results[-1]}")
        self.calls += 1
        is_silent = self.silent_after is not None and self.calls > self.silent_after
        return Said(text=f"Line {self.calls}.", slow=is_silent)


class Table:
    """The six, served; `bridges` and `urls` by framework."""

    def __init__(self, model: FakeOpenAI, script: Script) -> None:
        self.model = model
        self.script = script
        self.bridges: dict[str, Bridge] = {}
        self.urls: dict[str, str] = {}
        self.stops: dict[str, bool] = {}

    async def sit(self, stack: AsyncExitStack, framework: str) -> None:
        """Publish the framework's agent."""
        case: Any = CASES[framework]()
        stack.push_async_callback(case.close)
        obj = case.asking(self.model, case.memory()) if framework == "langgraph" else case.plain(self.model)
        agent = adapt(obj, name=framework)
        self.stops[framework] = traits_of(agent).stops_on_cancel

        def bridge(url: str) -> Bridge:
            self.bridges[framework] = Bridge(agent, public_url=url)
            return self.bridges[framework]

        self.urls[framework] = await stack.enter_async_context(running(bridge))

    @property
    def busy(self) -> set[str]:
        """The frameworks whose server counts a turn."""
        return {name for name, bridge in self.bridges.items() if bridge.service.running}

    @property
    def stubborn(self) -> set[str]:
        """The frameworks whose model calls a cancel cannot stop."""
        return {name for name, stops in self.stops.items() if not stops}

    def room(self, human: Any = None) -> GroupChatManager:
        """All six speak in each round, at once."""
        seats = [Seat(url, name=name) for name, url in self.urls.items()]
        return GroupChatManager(GroupChat(seats, max_round=ROUNDS + 1, speaker_selection_method="all"), human=human)

    async def until_all_speak(self) -> None:
        """In the third round all six have a model call open, which says nothing."""
        await self.model.until(lambda model: model.open == len(CASES), 30)
        assert self.busy == set(CASES)

    async def until_idle(self) -> None:
        """No server counts a turn any more."""
        while self.busy:
            await asyncio.sleep(0)


@pytest.fixture
async def table() -> AsyncIterator[Table]:
    """Six servers and their model, which is silent for a minute when it is slow."""
    script = Script()
    with FakeOpenAI(script, pace=60.0) as model:
        async with AsyncExitStack() as stack:
            table = Table(model, script)
            for framework in CASES:
                await table.sit(stack, framework)
            stack.callback(model.release)  # before the servers are stopped
            yield table


async def test_six_frameworks_take_24_turns_and_ask_a_human_in_between(table: Table) -> None:
    """Issue 5: over real HTTP, with a human question from inside LangGraph."""
    room = table.room()
    async with running(lambda url: Bridge(room, public_url=url)) as url, Client(url) as client:
        waiting = await within(client.send("Shall the disk be erased?"), 30)
        assert isinstance(waiting, Task)
        assert waiting.status.state is TaskState.INPUT_REQUIRED
        assert waiting.status.message is not None
        assert "[langgraph] Erase the disk?" in waiting.status.message.text
        done = await within(client.send("yes", task_id=waiting.id, context_id=waiting.context_id), 60)
    assert isinstance(done, Task)
    assert done.status.state is TaskState.COMPLETED
    said = {name: [] for name in CASES}
    for artifact in done.artifacts or ():
        if artifact.name in CASES:
            said[artifact.name].append("".join(part.text or "" for part in artifact.parts))
    assert {name: len(lines) for name, lines in said.items()} == dict.fromkeys(CASES, ROUNDS)
    assert sum(map(len, said.values())) == TURNS
    assert "I was told: erase the disk: yes" in said["langgraph"]


async def test_a_cancel_in_the_middle_stops_every_model_call_that_can_be_stopped(table: Table) -> None:
    """Issue 5: within 2 s; the others are named in the room's log and stay counted until they end."""
    table.script.silent_after = TWO_ROUNDS
    room = table.room(human=lambda question: "yes")
    talk = asyncio.create_task(room.chat("Shall the disk be erased?"))
    await table.until_all_speak()
    [room_id] = control._running
    room.cancel(room_id, "enough")
    await table.model.until(lambda model: model.open == len(table.stubborn), STOP_SECONDS)
    result = await within(talk, CANCEL_WAIT)
    assert table.stubborn == {"ag2_classic"}
    assert result.stop.kind == "canceled"
    assert result.stop.detail == "enough; could not be stopped at once: ag2_classic"
    assert result.entries[-1].stop == result.stop
    assert sum(entry.kind == "said" and entry.turn > 0 for entry in result.entries) == TURNS / 2
    assert table.model.open == 1
    assert table.busy == {"ag2_classic"}
    table.model.release()
    await within(table.until_idle())
    await table.model.until(lambda model: model.open == 0)


async def test_a_cancel_of_the_published_rooms_task_reaches_all_six(table: Table) -> None:
    """Architecture §1.1: the service cancels the room, the room its seats, each seat its remote task."""
    table.script.silent_after = TWO_ROUNDS
    room = table.room()
    async with running(lambda url: Bridge(room, public_url=url)) as url, Client(url) as client:
        waiting = await within(client.send("Shall the disk be erased?"), 30)
        assert isinstance(waiting, Task)
        answer = client.send("yes", task_id=waiting.id, context_id=waiting.context_id)
        going_on = asyncio.create_task(answer)
        await table.until_all_speak()
        canceled = await within(client.cancel(waiting.id), CANCEL_WAIT)
        assert canceled.status.state is TaskState.CANCELED
        await table.model.until(lambda model: model.open == len(table.stubborn), STOP_SECONDS)
        assert table.busy == table.stubborn
        ended = await within(going_on)
        assert isinstance(ended, Task)
        assert ended.status.state is TaskState.CANCELED
        table.model.release()
        await within(table.until_idle())
