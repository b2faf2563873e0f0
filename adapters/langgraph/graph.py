"""A LangGraph graph as an agent.

Who owns what: one turn is one `astream` of the graph, read here inside `aclosing`. Cancelling the turn closes it;
LangGraph then cancels its node tasks and waits for them, and an async model call ends at once. Two things are beyond
a cancel, and `ModelCalls` sees to both. A sync node runs in a thread: the agent then says `stops_on_cancel=False`, and
the turn waits, in its `finally`, until the model calls made from such threads have returned. And before Python 3.12 a
cancel that meets a token can be lost inside `asyncio.wait_for`, which langchain-openai uses: the next token then ends
the call. A client that goes away does not touch the run. What a thread of the graph holds is kept by its
checkpointer, also when the process is killed; a run that was killed is not taken up again by itself
(`at_most_once`), and tool calls it left open get a result before the thread goes on.
"""

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, TypeAlias, get_type_hints
from urllib.parse import quote

from langchain_core.runnables import RunnableConfig
from pydantic import ValidationError

from a2a_bridge.agent import Answer, Ask, Fail, Reply, Say, Traits, Turn
from a2a_bridge.errors import AdapterError, framework_errors
from a2a_bridge.protocol.card import AgentSkill
from a2a_bridge.protocol.objects import Message
from adapters.langgraph.calls import ModelCalls
from adapters.langgraph.interrupts import UNCLEAR, ask_of, breakpoint_ask, resume_value
from adapters.langgraph.messages import input_value, to_langchain, unanswered_calls
from adapters.langgraph.stream import STREAM_MODES, Reading
from langgraph.errors import GraphRecursionError
from langgraph.graph.state import CompiledStateGraph, StateGraph
from langgraph.types import Command, Interrupt, StateSnapshot

MAX_STEPS = 100
"""Steps of one turn, unless the graph was given a limit of its own; LangGraph's own default is about ten thousand."""

_TEXT_MODES = ("text/plain", "application/json")
_FILE_MODES = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")

Graph: TypeAlias = CompiledStateGraph[Any, Any, Any, Any]


class GraphAgent:
    """Takes turns with a compiled graph; a `StateGraph` is compiled first.

    With a checkpointer the graph's thread is the A2A context; without one it is handed the history each time.
    `context`: makes what nodes and tools get as `runtime.context`, for each turn.
    """

    def __init__(
        self,
        graph: Graph | StateGraph[Any, Any, Any, Any],
        *,
        name: str | None = None,
        description: str | None = None,
        context: Callable[[Turn], Any] | None = None,
    ) -> None:
        self._context = context
        self._graph: Graph = graph.compile() if isinstance(graph, StateGraph) else graph
        self.name = name or self._graph.get_name()
        self.description = description or f"A LangGraph agent called {self.name}."
        # True means "that of the graph around this one", and there is none.
        self._keeps = self._graph.checkpointer not in (None, False, True)
        self._input_key = _input_key(self._graph)
        self._tool_nodes = frozenset(_tool_nodes(self._graph))
        if not self._keeps and (self._graph.interrupt_before_nodes or self._graph.interrupt_after_nodes):
            raise AdapterError(
                f"the graph {self.name!r} stops before or after some of its nodes, but has no checkpointer to go on"
                " from. Compile it with one: graph.compile(checkpointer=..., interrupt_before=...)"
            )
        self.traits = Traits(
            framework="langgraph",
            skills=tuple(_skills(self._graph)),
            input_modes=_TEXT_MODES if self._input_key else (*_TEXT_MODES, *_FILE_MODES),
            stops_on_cancel=not _runs_in_threads(self._graph),
            keeps_context=self._keeps,
        )

    def __repr__(self) -> str:
        return f"GraphAgent({self.name!r})"

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """One run of the graph, new or resumed. Whatever the graph raises becomes an AdapterFailedError."""
        calls = ModelCalls()
        config = self._config(turn, calls)
        state: StateSnapshot | None = None
        with framework_errors(f"the LangGraph agent {self.name!r}"):
            try:
                state = await self._graph.aget_state(config) if self._keeps else None
                if turn.answer and state:
                    start = self._continuation(turn.answer, state)
                else:
                    start = await self._new_input(turn, state)
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
        reading = Reading(self._tool_nodes, self._input_key)
        context = self._context(turn) if self._context else None
        events = self._graph.astream(start, config, context=context, stream_mode=list(STREAM_MODES), subgraphs=True)
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
        limit = (self._graph.config or {}).get("recursion_limit", MAX_STEPS)
        return {
            "configurable": {"thread_id": thread_id(turn)},
            # Frameworks set limits of about ten thousand as their "none"; such a one is not somebody's choice.
            "recursion_limit": limit if limit <= 1000 else MAX_STEPS,
            "callbacks": [calls],
        }

    async def _new_input(self, turn: Turn, state: StateSnapshot | None) -> Any:
        if self._input_key is not None:
            return {self._input_key: input_value(turn.messages, self._input_key)}
        held = (state.values or {}).get("messages", []) if state else []
        # A thread that holds nothing (a new one, or one whose checkpointer forgot it) is told what was said before.
        past: Sequence[Message] = () if held else await turn.history()
        return {"messages": [*unanswered_calls(held), *to_langchain([*past, *turn.messages], self.name)]}

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
        state = await self._graph.aget_state(config)
        return _asks(state.interrupts) or ([breakpoint_ask(state.next)] if state.next else [])

    async def _still_asked(self, config: RunnableConfig, before: StateSnapshot | None) -> list[Reply]:
        """The asks of a pause whose answer the graph refused as malformed: they are as open as before."""
        state = await self._graph.aget_state(config) if before else None
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
    if not state.next:
        return (Fail("The question that this answers is not open any more. Please start again."),)
    ask: Ask = breakpoint_ask(state.next)
    option = Answer((ask,), answer.message).option()
    if option is None:
        return (ask,)
    return None if option == "yes" else (Say("Stopped."),)  # None: from where the thread stands


def _input_key(graph: Graph) -> str | None:
    """None for a graph that takes messages, else the one key of its input; AdapterError if there are several."""
    try:
        keys = list(get_type_hints(graph.builder.input_schema))
    except (NameError, TypeError):
        keys = list(graph.builder.schemas.get(graph.builder.input_schema, ()))
    if "messages" in keys:
        return None
    if len(keys) == 1:
        return keys[0]
    raise AdapterError(
        f"the graph {graph.get_name()!r} takes no `messages` and its input has {len(keys)} keys ({', '.join(keys)}):"
        " a message cannot be spread over them. Give it an input schema with `messages` or with one key:"
        " StateGraph(State, input_schema=...)"
    )


def _steps(graph: Graph) -> Iterator[tuple[str, Any]]:
    """The nodes of a graph and of the graphs inside it, by name."""
    for name, spec in graph.builder.nodes.items():
        if isinstance(spec.runnable, CompiledStateGraph):
            yield from _steps(spec.runnable)
        else:
            yield name, spec.runnable


def _tool_nodes(graph: Graph) -> Iterator[str]:
    for name, step in _steps(graph):
        if any(cls.__name__ == "ToolNode" for cls in type(step).__mro__):
            yield name


def _skills(graph: Graph) -> Iterator[AgentSkill]:
    """The tools of the graph's tool nodes, for the card."""
    for _, step in _steps(graph):
        tools: Mapping[str, Any] = getattr(step, "tools_by_name", {})
        for tool in tools.values():
            yield AgentSkill(id=tool.name, name=tool.name, description=tool.description, tags=("tool",))


def _runs_in_threads(graph: Graph) -> bool:
    """Some node is a sync function, which LangGraph runs in a thread."""
    # LangGraph gives a sync function an async double, which wraps it.
    return any(
        getattr(getattr(step, "afunc", None), "__wrapped__", None) is step.func
        for _, step in _steps(graph)
        if getattr(step, "func", None)
    )
