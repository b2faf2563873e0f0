"""An AG2 1.x agent as an agent.

AG2's agents are configuration: what a conversation is stands in a stream, and each turn makes one, with the events of
its context loaded from the turn's journal and saved there in the end. `work.py` says who owns a run. A human is asked
in the middle of a tool, so a run that waits for an answer lives in memory, and is gone when the process is: then the
answer is told so. A turn that was cancelled, failed or given up leaves the conversation as it was before it.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from a2a_bridge.agent import Fail, Reply, Traits, Turn
from a2a_bridge.errors import AdapterError, framework_errors
from a2a_bridge.protocol.card import AgentSkill
from adapters.ag2.care import Care
from adapters.ag2.messages import FILES, from_record, to_events, to_inputs, to_record
from adapters.ag2.reading import Reading
from adapters.ag2.work import Work
from ag2 import Agent, MemoryStream
from ag2.tools.tool import Tool

Key: TypeAlias = tuple[str, str, str]

_GONE = Fail("The question that this answers is not open any more. Please start again.")


class Ag2Agent:
    """Takes turns with an AG2 agent, which is shared by all of them."""

    def __init__(self, agent: Agent[Any], *, name: str | None = None, description: str | None = None) -> None:
        if agent.config is None:
            raise AdapterError(
                f"the agent {agent.name!r} has no model. Give it one: Agent(..., config=OpenAIConfig(...))"
            )
        self._agent = agent
        self._config = SharedConfig(agent.config)
        self.name = name or agent.name
        self.description = description or f"An AG2 agent called {self.name}."
        # The runs that wait for an answer, by whose and in which context they are.
        self._waiting: dict[Key, Work] = {}
        self.traits = Traits(
            framework="ag2",
            skills=tuple(_skills(agent.tools)),
            input_modes=("text/plain", "application/json", *FILES),
            keeps_context=True,
        )

    def __repr__(self) -> str:
        return f"Ag2Agent({self.name!r})"

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """One run, new or taken up. Whatever AG2 raises becomes an AdapterFailedError."""
        key = _key(turn)
        work = self._waiting.pop(key, None)
        if turn.answer:
            if work is None or not work.asks:
                yield _GONE
                return
            if not work.answer(turn.answer):
                self._waiting[key] = work
                for ask in work.asks:
                    yield ask
                return
        else:
            if work is not None:  # nobody has answered, and the conversation goes on
                await work.stop()
            work = await self._started(turn)
        with framework_errors(f"the AG2 agent {self.name!r}"):
            try:
                async with aclosing(self._replies(turn, work)) as replies:
                    async for reply in replies:
                        yield reply
            finally:
                if self._waiting.get(key) is not work:
                    await work.stop()

    async def abandon(self, turn: Turn) -> None:
        """The run that waits in this context is ended."""
        work = self._waiting.pop(_key(turn), None)
        if work is not None:
            await work.stop()

    async def _started(self, turn: Turn) -> Work:
        stream = MemoryStream()
        records = await turn.journal.read()
        past = from_record(records[-1][1]) if records else to_events(await turn.history(), self.name)
        await stream.history.replace(list(past))
        work = Work(stream)
        inputs = to_inputs(turn.messages)
        work.start(
            self._agent.ask(*inputs, stream=stream, config=self._config, middleware=[Care], hitl_hook=work.human)
        )
        return work

    async def _replies(self, turn: Turn, work: Work) -> AsyncGenerator[Reply | str, None]:
        reading = Reading()
        async with aclosing(work.events()) as events:
            async for event in events:
                for reply in reading.take(event):
                    yield reply
        if asks := work.asks:
            self._waiting[_key(turn)] = work
            for ask in asks:
                yield ask
            return
        answer = work.result
        data = await answer.content() if self._agent.response_schema is not None else None
        for reply in reading.result(answer, data):
            yield reply
        await turn.journal.append(to_record(await work.stream.history.get_events()), snapshot=True)


class SharedConfig:
    """A model configuration whose client is made once for each event loop: AG2 makes one for each turn, and leaves its
    connections to the garbage collector."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Any] = WeakKeyDictionary()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)

    def create(self) -> Any:
        """The client of the running loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._clients:
            self._clients[loop] = self._config.create()
        return self._clients[loop]


def _key(turn: Turn) -> Key:
    return (turn.caller.tenant, turn.caller.principal, turn.context_id)


def _skills(tools: Iterable[Tool]) -> Iterable[AgentSkill]:
    """The tools that are functions, for the card; toolkits tell theirs only when they run."""
    for tool in tools:
        function = getattr(getattr(tool, "schema", None), "function", None)
        if function is not None:
            yield AgentSkill(
                id=function.name, name=function.name, description=function.description or "", tags=("tool",)
            )
