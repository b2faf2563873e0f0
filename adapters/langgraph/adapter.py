"""The adapter's entry point. Nothing of LangGraph is imported here until an object is adapted."""

from typing import Any

from a2a_bridge.agent import Adapter, Agent


def _adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The graph as an agent; a builder is compiled, without a checkpointer."""
    from adapters.langgraph.graph import GraphAgent

    return GraphAgent(obj, name=name, description=description)


ADAPTER = Adapter(
    name="langgraph",
    requires="a2a-agent-bridge[langgraph]",
    package="langgraph.graph",
    classes=frozenset(
        {("langgraph.graph.state", "CompiledStateGraph"), ("langgraph.graph.state", "StateGraph")},
    ),
    adapt=_adapt,
)
