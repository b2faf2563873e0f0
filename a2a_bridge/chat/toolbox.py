"""The tools of one agent: which its model is told of, and which are run here.

Most tools are both. AutoGen's split, one agent that proposes calls and another that runs them, is the same box with
`offered` on one side and `runs` on the other.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from a2a_bridge.adaptation import adapt, find_adapter
from a2a_bridge.chat.agent_tool import agent_tool
from a2a_bridge.chat.tools import Tool, from_function


@runtime_checkable
class ToolSource(Protocol):
    """Something that has tools, and must be asked for them: an MCP server."""

    async def tools(self) -> Sequence[Tool]:
        """Its tools as they are now. Raises ToolError when it cannot be reached."""


@dataclass(slots=True)
class Toolbox:
    """Filled while an agent is configured, only read while it runs."""

    offered: dict[str, Tool] = field(default_factory=dict)
    runs: dict[str, Tool] = field(default_factory=dict)
    sources: list[ToolSource] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.offered or self.runs or self.sources)

    @property
    def asks_people(self) -> bool:
        """A person may be asked before a call: the turn can pause, and what it was about is kept in the journal."""
        return any(tool.approval == "human" for tool in self.runs.values()) or any(
            getattr(source, "approval", None) == "human" for source in self.sources
        )

    @property
    def is_blocking(self) -> bool:
        """A call may be one that cannot be stopped."""
        return any(tool.is_blocking for tool in self.runs.values())

    def add(self, given: Any) -> None:
        """A tool for the model that is run here: a function, a `Tool`, an MCP server, an agent or its URL."""
        if isinstance(given, ToolSource) and not isinstance(given, Tool):
            self.sources.append(given)
            return
        made = as_tool(given)
        self.offer(made)
        self.run(made)

    def offer(self, made: Tool) -> None:
        """Tell the model of it."""
        _put(self.offered, made)

    def run(self, made: Tool) -> None:
        """Run it here."""
        _put(self.runs, made)

    async def open(self) -> tuple[Mapping[str, Tool], Mapping[str, Tool]]:
        """What is offered and what is run in one turn, those of the sources included."""
        if not self.sources:
            return self.offered, self.runs
        offered, runs = dict(self.offered), dict(self.runs)
        for source in self.sources:
            for made in await source.tools():
                _put(offered, made)
                _put(runs, made)
        return offered, runs


def _put(box: dict[str, Tool], made: Tool) -> None:
    if made.name in box and box[made.name] is not made:
        raise ValueError(f"two tools are called {made.name!r}: give one another name with tool(name=...)")
    box[made.name] = made


def as_tool(given: Any) -> Tool:
    """The tool that something is. TypeError says what can be one."""
    if isinstance(given, Tool):
        return given
    if isinstance(given, str) or hasattr(type(given), "run") or find_adapter(given) is not None:
        return agent_tool(adapt(given))
    if callable(given):
        return from_function(given)
    raise TypeError(
        f"a tool is a function with type hints, a Tool, an MCP server, an agent or its URL, not {type(given).__name__}"
    )


def filled(tools: Iterable[Any], function_map: Mapping[str, Callable[..., Any]] | None) -> Toolbox:
    """The box of an agent as its constructor describes it. `function_map`: run here, not offered, as in AutoGen."""
    box = Toolbox()
    for given in tools:
        box.add(given)
    for name, function in (function_map or {}).items():
        box.run(function if isinstance(function, Tool) else from_function(function, name=name))
    return box
