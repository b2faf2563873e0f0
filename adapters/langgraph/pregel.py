"""One turn of anything that LangGraph runs: a compiled graph, or a function of its functional API.

Who owns what: one turn is one `astream`, read here inside `aclosing`. Cancelling the turn closes it; LangGraph then
cancels its node tasks and waits for them, and an async model call ends at once. Two things are beyond a cancel, and
`ModelCalls` sees to both. Sync code runs in a thread: the agent then says `stops_on_cancel=False`, and the turn waits,
in its `finally`, until the model calls made from such threads have returned. And before Python 3.12 a cancel that meets
a token can be lost inside `asyncio.wait_for`, which langchain-openai uses: the next token then ends the call. A client
that goes away does not touch the run. What a thread of LangGraph's holds is kept by its checkpointer, also when the
process is killed; a run that was killed is not taken up again by itself (`at_most_once`).
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias
from urllib.parse import quote

from langchain_core.runnables import RunnableConfig
from pydantic import ValidationError

from a2a_bridge.agent import Answer, Ask, Fail, Reply, Say, Traits, Turn
from a2a_bridge.errors import framework_errors
from adapters.langgraph.calls import ModelCalls
from adapters.langgraph.interrupts import UNCLEAR, ask_of, breakpoint_ask, resume_value
from adapters.langgraph.savers import usable
from adapters.langgraph.stream import STREAM_MODES, Reading
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.pregel import Pregel
from langgraph.types import Command, Interrupt, StateSnapshot

_log = logging.getLogger(__name__)

MAX_STEPS = 100
"""Steps of one turn, unless the graph was given a limit of its own; LangGraph's own default is about ten thousand."""

TEXT_MODES = ("text/plain", "application/json")
FILE_MODES = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")

Runs: TypeAlias = Pregel[Any, Any, Any, Any]


class PregelAgent(ABC):
    """Takes turns with what LangGraph runs. With a checkpointer its thread is the A2A context.

    `context`: makes what nodes, tasks and tools get as `runtime.context`, for each turn.
    """

    name: str
    description: str
    traits: Traits

    def __init__(self, graph: Runs, context: Callable[[Turn], Any] | None) -> None:
        saver = usable(graph.checkpointer)
        self._runs = graph if saver is graph.checkpointer else graph.copy({"checkpointer": saver})
        self._context = context
        if context is None and (wanted := getattr(graph, "context_schema", None)) is not None:
            _log.warning(
                "%r asks for a context (%s) and is given none. If it needs one, publish it as"
                " adapters.langgraph.graph.GraphAgent(graph, context=...) or .entrypoint.EntrypointAgent",
                graph.get_name(),
                getattr(wanted, "__name__", wanted),
            )
        if isinstance(saver, InMemorySaver):
            _log.warning(
                "the checkpointer of %r is in memory: its threads, and the questions that wait for an answer, end with"
                " this process. To keep them over a restart compile it with a durable one, such as SqliteSaver of"
                " langgraph-checkpoint-sqlite",
                graph.get_name(),
            )
        # True means "that of the graph around this one", and there is none.
        self._keeps = graph.checkpointer not in (None, False, True)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @abstractmethod
    async def _new_input(self, turn: Turn, state: StateSnapshot | None, config: RunnableConfig) -> Any:
        """What a run starts with, or a tuple of replies to give instead."""

    @abstractmethod
    def _reading(self) -> Reading:
        """What reads one run."""

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """One run of the graph, new or resumed. Whatever the graph raises becomes an AdapterFailedError."""
        calls = ModelCalls()
        config = self._config(turn, calls)
        state: StateSnapshot | None = None
        with framework_errors(f"the LangGraph agent {self.name!r}"):
            try:
                state = await self._runs.aget_state(config) if self._keeps else None
                if turn.answer and state and self._resumes(turn.answer):
                    start = self._continuation(turn.answer, state)
                else:
                    start = await self._new_input(turn, state, config)
                async with aclosing(self._replies(turn, start, config, calls)) as replies:
                    async for reply in replies:
                        yield reply
            except GraphRecursionError:
                yield Fail(f"The agent was stopped after {config['recursion_limit']} steps without coming to an end.")
            except ValidationError:
                asks = await self._still_asked(config, state) if turn.answer else None
                if not asks:
                    raise
                for ask in asks:
                    yield ask
            finally:
                await calls.returned()

    async def _replies(
        self, turn: Turn, start: Any, config: RunnableConfig, calls: ModelCalls
    ) -> AsyncGenerator[Reply | str, None]:
        if isinstance(start, tuple):  # said without running the graph
            for said in start:
                yield said
            return
        reading = self._reading()
        reading.raised = calls.raised
        context = self._context(turn) if self._context else None
        events = self._runs.astream(start, config, context=context, stream_mode=list(STREAM_MODES), subgraphs=True)
        async with aclosing(events) as stream:
            try:
                async for namespace, mode, data in stream:
                    for reply in reading.take(namespace, mode, data):
                        yield reply
            finally:
                calls.stop()
        for word in reading.pending():
            yield word
        pauses = await self._pauses(reading, config)
        for said in pauses or reading.result():
            yield said

    def _config(self, turn: Turn, calls: ModelCalls) -> RunnableConfig:
        limit = (self._runs.config or {}).get("recursion_limit", MAX_STEPS)
        return {
            "configurable": {"thread_id": thread_id(turn)},
            # Frameworks set limits of about ten thousand as their "none"; such a one is not somebody's choice.
            "recursion_limit": limit if limit <= 1000 else MAX_STEPS,
            "callbacks": [calls],
        }

    def _resumes(self, answer: Answer) -> bool:
        """Whether the answer goes to the pause of a run."""
        return True

    def _continuation(self, answer: Answer, state: StateSnapshot) -> Any:
        """What the graph goes on with after a pause, or a tuple of replies to give instead."""
        if not state.interrupts:
            return _after_breakpoint(answer, state)
        asks = tuple(ask_of(interrupt) for interrupt in state.interrupts)
        answer = Answer(asks, answer.message)
        values = {}
        for interrupt, ask in zip(state.interrupts, asks, strict=True):
            value = resume_value(interrupt, ask, answer)
            if value is UNCLEAR:
                return asks
            values[interrupt.id] = value
        return Command(resume=values)

    async def _pauses(self, reading: Reading, config: RunnableConfig) -> list[Reply]:
        if not self._keeps:
            if reading.interrupts:
                return [
                    Fail("This agent asked a question, but it was published without a checkpointer: it cannot wait.")
                ]
            return []
        state = await self._runs.aget_state(config)
        return _asks(state.interrupts) or ([breakpoint_ask(state.next)] if state.next else [])

    async def _still_asked(self, config: RunnableConfig, before: StateSnapshot | None) -> list[Reply]:
        """The asks of a pause whose answer the graph refused as malformed: they are as open as before."""
        state = await self._runs.aget_state(config) if before else None
        if state is None or before is None or not state.interrupts:
            return []
        same = {one.id for one in state.interrupts} == {one.id for one in before.interrupts}
        return _asks(state.interrupts) if same else []


def thread_id(turn: Turn) -> str:
    """The thread of a turn: its context; for a caller with a name, one that no other caller can name."""
    caller = turn.caller
    context = quote(turn.context_id, safe="")
    if caller.tenant or caller.principal != "anonymous":
        return f"{quote(caller.tenant, safe='')}/{quote(caller.principal, safe='')}/{context}"
    return context


def _asks(interrupts: Sequence[Interrupt[Any]]) -> list[Reply]:
    return [ask_of(interrupt) for interrupt in interrupts]


def _after_breakpoint(answer: Answer, state: StateSnapshot) -> Any:
    if not state.next or any(task.error for task in state.tasks):  # it has ended, or failed
        return (
            Fail(
                "The question that this answers is not open any more: it has been settled, or the server was restarted"
                " and its checkpointer forgot it. Please start again."
            ),
        )
    ask: Ask = breakpoint_ask(state.next)
    option = Answer((ask,), answer.message).option()
    if option is None:
        return (ask,)
    return None if option == "yes" else (Say("Stopped."),)  # None: from where the thread stands
