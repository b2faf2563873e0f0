"""The adapter's entry point. Nothing of LangGraph is imported here until an object is adapted."""

from typing import Any

from a2a_bridge.agent import Adapter, Agent


def _adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The graph, or the function with `@entrypoint`, as an agent; a builder is compiled, without a checkpointer."""
    from adapters.langgraph.entrypoint import EntrypointAgent
    from adapters.langgraph.graph import GraphAgent, is_graph

    made = GraphAgent if is_graph(obj) else EntrypointAgent
    return made(obj, name=name, description=description)


ADAPTER = Adapter(
    name="langgraph",
    requires="a2a-agent-bridge[langgraph]",
    package="langgraph.graph",
    classes=frozenset(
        {
            ("langgraph.graph.state", "CompiledStateGraph"),
            ("langgraph.graph.state", "StateGraph"),
            ("langgraph.pregel.main", "Pregel"),  # what @entrypoint makes
        }
    ),
    adapt=_adapt,
)
