"""The adapter's entry point. Nothing of LangGraph is imported here until an object is adapted."""

import importlib.util
from typing import Any

from a2a_bridge.agent import Adapter, Agent
from a2a_bridge.errors import AdapterNotInstalledError


def _adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The graph as an agent; a builder is compiled, without a checkpointer."""
    _require()
    from adapters.langgraph.graph import GraphAgent

    return GraphAgent(obj, name=name, description=description)


def _require() -> None:
    """AdapterNotInstalledError says what to type, or which package stands where LangGraph should be."""
    found = importlib.util.find_spec("langgraph")
    if found is None:
        raise AdapterNotInstalledError(
            "the langgraph adapter needs langgraph, which is not installed. Install it with:"
            ' pip install "a2a-agent-bridge[langgraph]"'
        )
    if importlib.util.find_spec("langgraph.graph") is None:
        where = found.origin or ", ".join(found.submodule_search_locations or ())
        raise AdapterNotInstalledError(
            f"the langgraph adapter needs langgraph, but the package found under that name ({where}) is another one."
            ' Rename or remove it, then: pip install "a2a-agent-bridge[langgraph]"'
        )


ADAPTER = Adapter(
    name="langgraph",
    requires="langgraph",
    package="langgraph",
    classes=frozenset(
        {("langgraph.graph.state", "CompiledStateGraph"), ("langgraph.graph.state", "StateGraph")},
    ),
    adapt=_adapt,
)
