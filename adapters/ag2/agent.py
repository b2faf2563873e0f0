"""An AG2 1.x agent as an agent.

AG2's agents are configuration: what a conversation is stands in a stream, and each turn makes one, with the events of
its context loaded from the turn's journal and saved there in the end. `work.py` says who owns a run. A human is asked
in the middle of a tool, so a run that waits for an answer lives in memory, and is gone when the process is: then the
answer is told so. Anybody may ask for a question and never answer it, and a run that waits is large: so there is a most
of them. A tool that the caller works is no such thing (`client_tools.py`). A turn that was cancelled, failed or given
up leaves the conversation as it was before it.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

from a2a_bridge.errors import AdapterError, framework_errors, needs_extra

with needs_extra("ag2"):
    from ag2 import Agent, MemoryStream
    from ag2.tools.final import ClientTool
    from ag2.tools.tool import Tool

from a2a_bridge.agent import Answer, Fail, Reply, Traits, Turn
from a2a_bridge.protocol.card import AgentSkill
from adapters.ag2.care import Care
from adapters.ag2.client_tools import ask_for, open_calls, settled
from adapters.ag2.messages import FILES, from_record, to_events, to_inputs, to_record
from adapters.ag2.reading import Reading
from adapters.ag2.work import Work

_log = logging.getLogger(__name__)

MAX_WAITING = 500
"""Runs that wait for an answer, of all callers of one agent. Each takes about a quarter of a megabyte."""

Key: TypeAlias = tuple[str, str, str]

_GONE = Fail("The question that this answers is not open any more. Please start again.")


class Ag2Agent:
    """Takes turns with an AG2 agent, which is shared by all of them.

    `max_waiting`: the most runs that wait for an answer. One more, and the oldest run of the caller who has most of
    them is ended; its answer is told so.
    """

    def __init__(
        self,
        agent: Agent[Any],
        *,
        name: str | None = None,
        description: str | None = None,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        if agent.config is None:
            raise AdapterError(
                f"the agent {agent.name!r} has no model. Give it one: Agent(..., config=OpenAIConfig(...))"
            )
        if max_waiting < 1:
            raise AdapterError(f"Ag2Agent(max_waiting={max_waiting!r}): 1 or more")
        self._agent = agent
        self._config = SharedConfig(agent.config)
        self.name = name or agent.name
        self.description = description or f"An AG2 agent called {self.name}."
        # The runs that wait for an answer, by whose and in which context they are.
        self._waiting: dict[Key, Work] = {}
        self._max_waiting = max_waiting
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
        work = await self._work(turn, self._waiting.pop(key, None))
        if isinstance(work, tuple):  # said without a run
            for said in work:
                yield said
            return
        with framework_errors(f"the AG2 agent {self.name!r}"):
            try:
                async with aclosing(self._replies(turn, work)) as replies:
                    async for reply in replies:
                        yield reply
            finally:
                if self._waiting.get(key) is not work:
                    await work.stop()

    async def _work(self, turn: Turn, work: Work | None) -> Work | tuple[Reply, ...]:
        """The run that this turn reads, or replies to give instead. `work` is the one that waits in this context."""
        if not turn.answer:
            if work is not None:  # nobody has answered, and the conversation goes on
                await work.stop()
            return await self._started(turn)
        if work is None:
            return await self._given(turn, turn.answer) or (_GONE,)
        if not work.asks:  # it has asked in vain, and may ask again when nobody reads it
            await work.stop()
            return (_GONE,)
        # A tool that gave up waiting may have asked something else since: a yes to that was never given.
        is_meant = {ask.id for ask in turn.answer.asks} == {ask.id for ask in work.asks}
        if not is_meant or not work.answer(turn.answer):
            self._waiting[_key(turn)] = work
            return tuple(work.asks)
        return work

    async def abandon(self, turn: Turn) -> None:
        """The run that waits in this context is ended."""
        work = self._waiting.pop(_key(turn), None)
        if work is not None:
            await work.stop()

    async def _started(self, turn: Turn) -> Work:
        past = await _recall(turn)
        if past is None:
            past = to_events(await turn.history(), self.name)
        elif open_calls(past):  # nobody has told what they gave
            past = settled(past, {})
        work = Work(MemoryStream())
        await work.stream.history.replace(list(past))
        work.start(self._agent.ask(*to_inputs(turn.messages), **self._options(work)))
        return work

    async def _given(self, turn: Turn, answer: Answer) -> Work | None:
        """The run that goes on with what the caller's tools gave; None if none was asked for."""
        past = await _recall(turn) or ()
        calls = open_calls(past)
        if not calls:
            return None
        given = Answer(tuple(map(ask_for, calls)), answer.message)
        work = Work(MemoryStream())
        events = settled(past, {call.id: given.value(call.id) for call in calls})
        work.start(self._agent.resume(*events, **self._options(work)))
        return work

    async def _make_room(self) -> None:
        """If as many runs wait as may, end one of them."""
        while len(self._waiting) >= self._max_waiting:
            (whose, number), *_ = Counter(key[:2] for key in self._waiting).most_common(1)
            oldest = next(key for key in self._waiting if key[:2] == whose)
            _log.warning("%s gives up a question that nobody has answered: %d of its caller's wait", self.name, number)
            await self._waiting.pop(oldest).stop()

    def _options(self, work: Work) -> dict[str, Any]:
        """What every run is given."""
        return {"stream": work.stream, "config": self._config, "middleware": [Care], "hitl_hook": work.human}

    async def _replies(self, turn: Turn, work: Work) -> AsyncGenerator[Reply | str, None]:
        reading = Reading()
        async with aclosing(work.events()) as events:
            async for event in events:
                for reply in reading.take(event):
                    yield reply
        if asks := work.asks:
            await self._make_room()  # before: a turn that is cancelled meanwhile has nothing that waits
            self._waiting[_key(turn)] = work
            for ask in asks:
                yield ask
            return
        answer, said = work.result, list(await work.stream.history.get_events())
        calls = open_calls(said)
        data = await answer.content() if self._agent.response_schema is not None and not calls else None
        for reply in reading.result(answer, data):
            yield reply
        await turn.journal.append(to_record(said), snapshot=True)
        for call in calls:
            yield ask_for(call)


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


async def _recall(turn: Turn) -> Sequence[Any] | None:
    """The events of the conversation so far."""
    records = await turn.journal.read()
    return from_record(records[-1][1]) if records else None


def _key(turn: Turn) -> Key:
    return (turn.caller.tenant, turn.caller.principal, turn.context_id)


def _skills(tools: Iterable[Tool]) -> Iterable[AgentSkill]:
    """The tools that are functions of ours, for the card; toolkits tell theirs only when they run."""
    for tool in tools:
        function = getattr(getattr(tool, "schema", None), "function", None)
        if function is not None and not isinstance(tool, ClientTool):
            yield AgentSkill(
                id=function.name, name=function.name, description=function.description or "", tags=("tool",)
            )
