"""A function of LangGraph's functional API (`@entrypoint`) as an agent.

What it returns is its answer; the tokens of the model calls it makes are shown until then. It is run again from its
top after a pause, so what it does outside of its tasks happens twice. A function that asks for what it returned before
(`previous`) is told the new messages only, any other one the whole conversation, if it takes messages. What it takes:
`inputs.py`. A turn: `pregel.py`.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from a2a_bridge.errors import AdapterError, needs_extra

with needs_extra("langgraph"):
    from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
    from langchain_core.runnables import RunnableConfig
    from langchain_core.tools import BaseTool

    from langgraph.func import task
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import StateSnapshot

from a2a_bridge.agent import Answer, Chunk, Reply, Traits, Turn
from a2a_bridge.protocol.card import AgentSkill
from a2a_bridge.protocol.objects import Part
from adapters.langgraph.graph import runs_in_threads, skills
from adapters.langgraph.inputs import INPUT, Input
from adapters.langgraph.messages import data_part, to_langchain, to_parts
from adapters.langgraph.pregel import FILE_MODES, TEXT_MODES, PregelAgent, Runs
from adapters.langgraph.stream import BETWEEN_MESSAGES, Reading, is_json

_NOTHING: Final = object()
_PREVIOUS: Final = "__previous__"
"""The channel that an `@entrypoint` keeps its last result in; only such a Pregel has one."""


async def _anything() -> None: ...


_Task: Final[type[Any]] = type(task(_anything))  # LangGraph has no public name for it


class EntrypointAgent(PregelAgent):
    """Takes turns with an `@entrypoint`. `context`: makes its `runtime.context`, for each turn."""

    def __init__(
        self,
        entrypoint: Runs,
        *,
        name: str | None = None,
        description: str | None = None,
        context: Callable[[Turn], Any] | None = None,
    ) -> None:
        super().__init__(entrypoint, context)
        if _PREVIOUS not in entrypoint.channels:
            raise AdapterError(
                "a Pregel that was put together by hand has no input that a message can be put into. Publish a"
                " StateGraph, or a function with @entrypoint, which may call it"
            )
        self._step = next(iter(entrypoint.nodes))
        function = _function(entrypoint.nodes[self._step].bound)
        self._input = Input(function)
        self._takes_previous = _takes_previous(function)
        used = list(_used(function, set()))
        self.name = name or self._step
        self.description = description or inspect.getdoc(function) or f"A LangGraph agent called {self.name}."
        self.traits = Traits(
            framework="langgraph",
            skills=tuple(_skills(used)),
            input_modes=(*TEXT_MODES, *FILE_MODES) if self._input.takes_messages else TEXT_MODES,
            stops_on_cancel=not any(map(_in_a_thread, [function, *used])),
            keeps_context=self._keeps,
        )

    def _resumes(self, answer: Answer) -> bool:
        return all(ask.id != INPUT for ask in answer.asks)

    async def _new_input(self, turn: Turn, state: StateSnapshot | None, config: RunnableConfig) -> Any:
        known = self._input.takes_history and self._takes_previous and await self._remembers(state, config)
        past = await turn.history() if self._input.takes_history and not known else ()
        return self._input.value(to_langchain([*past, *turn.messages], self.name), turn.messages)

    async def _remembers(self, state: StateSnapshot | None, config: RunnableConfig) -> bool:
        """Whether the thread has a `previous`: a new one has none, nor has one that its checkpointer forgot."""
        if state is None or state.created_at is None:
            return False
        saved = await self._runs.checkpointer.aget_tuple(config)
        return saved is not None and saved.checkpoint["channel_values"].get(_PREVIOUS) is not None

    def _reading(self) -> Reading:
        return EntrypointReading(self._step)


class EntrypointReading(Reading):
    """One run of the function that is called `step`."""

    def __init__(self, step: str) -> None:
        super().__init__(frozenset())
        self._step = step
        self._returned: Any = _NOTHING

    def _updates(self, namespace: tuple[str, ...], data: Any) -> Iterator[Reply | str]:
        if not namespace and isinstance(data, Mapping) and self._step in data:
            self._returned = data[self._step]
            return
        yield from super()._updates(namespace, data)

    def _message(self, message: BaseMessage, metadata: Mapping[str, Any]) -> Iterator[Reply | str]:
        # What the function returns comes as a message too; a model that it called says which it is.
        if metadata.get("langgraph_node") != self._step or "ls_model_type" in metadata:
            yield from super()._message(message, metadata)

    def result(self) -> Iterator[Reply]:
        """What the function returned, unless it has been heard already."""
        if self._returned is _NOTHING or self._returned is None:
            return
        parts, texts = _answer(self._returned)
        if parts or (texts and sorted(texts) != sorted(self._words.shown.values())):
            yield Chunk(BETWEEN_MESSAGES.join(texts), parts=tuple(parts), append=False)


def _answer(value: Any) -> tuple[list[Part], list[str]]:
    """What a returned value says: parts that are no text, and texts."""
    if isinstance(value, str):
        return [], [value] if value else []
    if isinstance(value, BaseMessage):
        return _said([value])
    if isinstance(value, list | tuple) and value and all(isinstance(one, BaseMessage) for one in value):
        return _said(_newest(list(value)))
    held = value.get("messages") if isinstance(value, Mapping) else getattr(value, "messages", None)
    if not isinstance(held, list) or not held or not all(isinstance(one, BaseMessage) for one in held):
        return [data_part(value)], []
    parts, texts = _said(_newest(held))
    structured = value.get("structured_response") if isinstance(value, Mapping) else None
    if structured is None:
        return parts, texts
    part = data_part(structured)
    return [*parts, part], [text for text in texts if not is_json(text, part.data)]


def _newest(messages: list[BaseMessage]) -> list[BaseMessage]:
    """What was said after the last word of a human."""
    begin = next((at for at in range(len(messages), 0, -1) if isinstance(messages[at - 1], HumanMessage)), 0)
    return [message for message in messages[begin:] if isinstance(message, AIMessage)]


def _said(messages: list[BaseMessage]) -> tuple[list[Part], list[str]]:
    files = [part for message in messages for part in to_parts(message) if part.text is None]
    return files, [str(message.text) for message in messages if str(message.text)]


def _function(bound: Any) -> Callable[..., Any]:
    """The function that was decorated: LangGraph holds an async one as the double of none."""
    return bound.func or bound.afunc  # type: ignore[no-any-return]


def _takes_previous(function: Callable[..., Any]) -> bool:
    """Whether it asks for what it returned before: as a parameter, or of its runtime."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return "previous" in inspect.signature(function).parameters or (code is not None and "previous" in code.co_names)


def _used(function: Callable[..., Any], seen: set[int]) -> Iterator[Any]:
    """What a function and its tasks name: tasks, tools, graphs, and lists or dicts of them."""
    try:
        found = inspect.getclosurevars(inspect.unwrap(function))
    except (TypeError, ValueError):  # no Python function, or one whose variables are not bound yet
        return
    held = [*found.nonlocals.values(), *found.globals.values()]
    for one in held:
        held.extend(one if isinstance(one, list | tuple) else one.values() if isinstance(one, dict) else ())
        if not isinstance(one, _Task | BaseTool | CompiledStateGraph) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, _Task):
            yield from _used(one.func, seen)


def _skills(used: list[Any]) -> Iterator[AgentSkill]:
    """The tools that are named, for the card."""
    told: dict[str, AgentSkill] = {}
    for one in used:
        if isinstance(one, CompiledStateGraph):
            told.update((skill.id, skill) for skill in skills(one))
        elif isinstance(one, BaseTool):
            told[one.name] = AgentSkill(id=one.name, name=one.name, description=one.description, tags=("tool",))
    yield from told.values()


def _in_a_thread(part: Any) -> bool:
    """Sync code, which LangGraph runs in a thread."""
    if isinstance(part, CompiledStateGraph):
        return runs_in_threads(part)
    if isinstance(part, BaseTool):
        return False  # whoever calls it decides
    return not inspect.iscoroutinefunction(part.func if isinstance(part, _Task) else part)
