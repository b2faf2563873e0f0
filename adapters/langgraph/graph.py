"""A LangGraph graph as an agent: what it is told, and what is known of it before it runs. A turn: `pregel.py`.

Tool calls that a run left open get a result before their thread goes on.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias, get_type_hints

from a2a_bridge.errors import AdapterError, needs_extra

with needs_extra("langgraph"):
    from langchain_core.runnables import RunnableConfig

    from langgraph.graph.state import CompiledStateGraph, StateGraph
    from langgraph.types import StateSnapshot

from a2a_bridge.agent import Traits, Turn
from a2a_bridge.protocol.card import AgentSkill
from a2a_bridge.protocol.objects import Message
from adapters.langgraph.messages import input_value, refused_files, to_langchain, unanswered_calls
from adapters.langgraph.pregel import FILE_MODES, TEXT_MODES, PregelAgent
from adapters.langgraph.stream import Reading

Graph: TypeAlias = CompiledStateGraph[Any, Any, Any, Any]


class GraphAgent(PregelAgent):
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
        self._graph: Graph = graph.compile() if isinstance(graph, StateGraph) else graph
        super().__init__(self._graph, context)
        self.name = name or self._graph.get_name()
        self.description = description or f"A LangGraph agent called {self.name}."
        self._input_key = _input_key(self._graph)
        self._outputs = _outputs(self._graph, self._input_key)
        self._tool_nodes = frozenset(_tool_nodes(self._graph))
        if not self._keeps and (self._graph.interrupt_before_nodes or self._graph.interrupt_after_nodes):
            raise AdapterError(
                f"the graph {self.name!r} stops before or after some of its nodes, but has no checkpointer to go on"
                " from. Compile it with one: graph.compile(checkpointer=..., interrupt_before=...)"
            )
        self.traits = Traits(
            framework="langgraph",
            skills=tuple(skills(self._graph)),
            input_modes=TEXT_MODES if self._input_key else (*TEXT_MODES, *FILE_MODES),
            stops_on_cancel=not runs_in_threads(self._graph),
            keeps_context=self._keeps,
        )

    async def _new_input(self, turn: Turn, state: StateSnapshot | None, config: RunnableConfig) -> Any:
        if self._input_key is not None:
            return {self._input_key: input_value(turn.messages, self._input_key)}
        held = (state.values or {}).get("messages", []) if state else []
        # A thread that holds nothing (a new one, or one whose checkpointer forgot it) is told what was said before.
        past: Sequence[Message] = () if held else await turn.history()
        failed = state is not None and any(task.error for task in state.tasks)
        mended = [*(refused_files(held) if failed else ()), *unanswered_calls(held)]
        return {"messages": [*mended, *to_langchain([*past, *turn.messages], self.name)]}

    def _reading(self) -> Reading:
        return Reading(self._tool_nodes, self._outputs)


def is_graph(obj: object) -> bool:
    """Whether it is a graph, compiled or not."""
    return isinstance(obj, CompiledStateGraph | StateGraph)


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


def _outputs(graph: Graph, input_key: str | None) -> frozenset[str] | None:
    """The members of the state that are the result; None if its messages are."""
    channels = graph.output_channels
    found = frozenset([channels] if isinstance(channels, str) else channels)
    if input_key is None and "messages" in found:
        return None
    return found - {input_key} or found


def steps(graph: Graph) -> Iterator[tuple[str, Any]]:
    """The nodes of a graph and of the graphs inside it, by name."""
    for name, spec in graph.builder.nodes.items():
        if isinstance(spec.runnable, CompiledStateGraph):
            yield from steps(spec.runnable)
        else:
            yield name, spec.runnable


def _tool_nodes(graph: Graph) -> Iterator[str]:
    for name, step in steps(graph):
        if any(cls.__name__ == "ToolNode" for cls in type(step).__mro__):
            yield name


def skills(graph: Graph) -> Iterator[AgentSkill]:
    """The tools of the graph's tool nodes, for the card."""
    for _, step in steps(graph):
        tools: Mapping[str, Any] = getattr(step, "tools_by_name", {})
        for tool in tools.values():
            yield AgentSkill(id=tool.name, name=tool.name, description=tool.description, tags=("tool",))


def runs_in_threads(graph: Graph) -> bool:
    """Some node is a sync function, which LangGraph runs in a thread."""
    # LangGraph gives a sync function an async double, which wraps it.
    return any(
        getattr(getattr(step, "afunc", None), "__wrapped__", None) is step.func
        for _, step in steps(graph)
        if getattr(step, "func", None)
    )
