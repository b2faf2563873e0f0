"""Pins the public types: checked by mypy, never run."""

from collections.abc import AsyncGenerator
from typing import assert_type

from a2a_bridge import (
    Agent,
    Artifact,
    Ask,
    Chunk,
    Client,
    Message,
    Part,
    RemoteAgent,
    Reply,
    Say,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatusUpdateEvent,
    Turn,
    adapt,
    load_card,
    serve,
)
from a2a_bridge.agent import Outcome, Traits, outcome
from a2a_bridge.bridge import Bridge
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.store.memory import MemoryStore


class Echo:
    """The least that is an agent."""

    name = "echo"
    description = "Says it again."
    traits = Traits(framework="none")

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        if turn.answer is None:
            yield Ask("Sure?", options=("yes", "no"))
            return
        assert_type(turn.answer.option(), str | None)
        yield turn.text
        yield Chunk(parts=(Part(data={"n": 1}),))
        yield Say("done")


an_agent: Agent = Echo()
assert_type(adapt(Echo()), Agent)
assert_type(outcome(["a", Chunk("b")]), Outcome)
assert_type(Bridge([Echo()], store=MemoryStore()).cards, dict[str, AgentCard])
assert_type(load_card("card.json"), AgentCard)
serve(Echo(), name="echo", description="Says it again.", port=8080)
a_seat: Agent = RemoteAgent("https://agents.example.org/planner")


async def calls() -> None:
    async with Client("http://127.0.0.1:8080") as client:
        assert_type(await client.card(), AgentCard)
        answer = await client.send("hello")
        assert_type(answer, Task | Message)
        if isinstance(answer, Task):
            assert_type(answer.status.state, TaskState)
            assert_type(answer.artifacts, tuple[Artifact, ...] | None)
        async for event in client.stream("hello"):
            assert_type(event, Task | Message | TaskStatusUpdateEvent | TaskArtifactUpdateEvent)
