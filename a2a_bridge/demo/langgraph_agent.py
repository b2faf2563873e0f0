"""The demo's LangGraph agent: a graph of one node that calls a model. The only file of the demo that imports LangGraph.

`python -m a2a_bridge.demo.langgraph_agent --port PORT` publishes it.
"""

# ruff: noqa: E402
from a2a_bridge.demo.processes import watch_parent

watch_parent()  # before the slow imports

import os
from typing import Any

from langchain_core.messages import SystemMessage
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph

from a2a_bridge.adaptation import adapt
from a2a_bridge.demo.endpoint import Endpoint, endpoint_in
from a2a_bridge.demo.prompt import Quoting
from a2a_bridge.demo.publish import publish
from a2a_bridge.demo.roles import PLANNER


def build_graph(endpoint: Endpoint) -> Any:
    """The compiled graph. A very small model hears only the last message."""
    model = ChatOpenAI(
        model=endpoint.model, base_url=endpoint.base_url, api_key=endpoint.api_key, streaming=True, stream_usage=True
    )

    async def plan(state: MessagesState) -> dict[str, Any]:
        heard = state["messages"][-1:] if endpoint.is_embedded else state["messages"]
        return {"messages": [await model.ainvoke([SystemMessage(PLANNER.system), *heard])]}

    graph = StateGraph(MessagesState)
    graph.add_node("plan", plan)
    graph.add_edge(START, "plan")
    graph.add_edge("plan", END)
    return graph.compile(name=PLANNER.name)


def main() -> None:
    endpoint = endpoint_in(os.environ)
    if endpoint is None:
        raise SystemExit("set OPENAI_BASE_URL or OPENAI_API_KEY, and OPENAI_MODEL")
    agent = adapt(build_graph(endpoint), name=PLANNER.name, description=PLANNER.description)
    publish(Quoting(agent, PLANNER) if endpoint.is_embedded else agent)


if __name__ == "__main__":
    main()
