"""What stands at the root of an ADK app: an agent, or a node of ADK 2, a `Workflow` say. Who is in it, and who answers.

An agent's words are its answer, and so are those of the agents that it hands over to. A workflow's answer is what its
last nodes say or give; what the nodes before them say is their own, and so is what a node says that another one calls.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from google.adk.agents import BaseAgent, LlmAgent
from google.adk.workflow import BaseNode, Workflow

from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.card import AgentSkill


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is said: by which step of a workflow (None: it is the answer), and whether several speak."""

    step: str | None
    names_speakers: bool


class Root:
    """The object that is published, and all that is declared below it."""

    def __init__(self, node: Any) -> None:
        if not isinstance(node, BaseNode):
            raise AdapterError(f"ADK runs agents and nodes, and this is a {type(node).__name__}")
        self.node = node
        nodes = list(_walk(node))
        models = [one for one in nodes if isinstance(one, LlmAgent)]
        if node in models and node.mode not in (None, "chat", "task"):
            raise AdapterError(
                f"ADK does not run the agent {node.name!r} by itself in mode={node.mode!r}: leave the mode out, or put"
                " it in a Workflow"
            )
        self.models = {agent.name: _model_name(agent) for agent in models}
        self.structured = {agent.name for agent in models if agent.output_schema is not None}
        self.careful = {agent.name for agent in models if agent.on_tool_error_callback is not None}
        self.skills = tuple(_skills(nodes))
        self.is_agent = isinstance(node, BaseAgent)

    @property
    def description(self) -> str:
        """What it says of itself; for a workflow its steps."""
        if not self.node.description and isinstance(self.node, Workflow):
            return f"A workflow of {', '.join(step.name for step in _children(self.node))}."
        return str(self.node.description)

    def place(self, path: str) -> Place:
        """`path`: of the node that speaks, as in the events; empty for agents that know no nodes."""
        names = [segment.partition("@")[0] for segment in path.split("/")][1:]
        node, is_answer = self.node, True
        for name in names:
            child = next((one for one in _children(node) if one.name == name), None)
            if isinstance(node, Workflow) and child is not None:
                is_answer = is_answer and all(edge.from_node.name != name for edge in node.graph.edges)
            elif not isinstance(node, BaseAgent) or (child is not None and not isinstance(child, BaseAgent)):
                is_answer = False  # a node that another one calls, or that a model has for a tool
            if child is None:
                break
            node = child
        return Place(None if is_answer else names[-1], len(_speakers(self.node if is_answer else node)) > 1)


def _children(node: Any) -> list[Any]:
    return list(node._iter_static_children())  # noqa: SLF001  # as ADK's Runner finds them: there is no public way


def _walk(root: Any) -> Iterator[Any]:
    """All nodes, each once: graphs may go in circles."""
    seen: set[int] = set()
    left = [root]
    while left:
        node = left.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            left += reversed(_children(node))


def _speakers(node: Any) -> set[str]:
    """Whose words may be the answer of a node."""
    if isinstance(node, Workflow):
        inner = {edge.from_node.name for edge in node.graph.edges} if node.graph else set()
        return {name for child in _children(node) if child.name not in inner for name in _speakers(child)}
    below = {name for agent in getattr(node, "sub_agents", ()) for name in _speakers(agent)}
    return below | ({node.name} if isinstance(node, LlmAgent) or not below else set())


def _model_name(agent: Any) -> str:
    return agent.model if isinstance(agent.model, str) else str(getattr(agent.model, "model", ""))


def _skills(nodes: Iterable[Any]) -> Iterator[AgentSkill]:
    """The tools of all agents and the nodes that are tools, for the card; toolsets tell theirs only when they run."""
    tools: dict[str, str] = {}
    for node in nodes:
        for tool in node.tools if isinstance(node, LlmAgent) else [getattr(node, "tool", None)]:
            name = getattr(tool, "name", None) or getattr(tool, "__name__", None)
            if name and not hasattr(tool, "get_tools"):
                tools.setdefault(name, getattr(tool, "description", None) or getattr(tool, "__doc__", None) or name)
    for name, text in tools.items():
        yield AgentSkill(id=name, name=name, description=text.strip(), tags=("tool",))
