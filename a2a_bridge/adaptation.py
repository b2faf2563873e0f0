"""`adapt(obj)`: what becomes an agent, and how. Everything that takes agents calls it."""

import importlib.util
import inspect
import json
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast, get_type_hints

from a2a_bridge.agent import (
    Adapter,
    Agent,
    Ask,
    Chunk,
    Fail,
    Progress,
    Refuse,
    Reply,
    Say,
    ToolCall,
    ToolResult,
    Traits,
    Turn,
    Usage,
    run_in_thread,
)
from a2a_bridge.errors import AdapterNotFoundError, AdapterNotInstalledError
from a2a_bridge.protocol.objects import Message, Part

ENTRY_POINTS = "a2a_bridge.adapters"

_log = logging.getLogger(__name__)
_REPLIES = (Chunk, Progress, ToolCall, ToolResult, Usage, Ask, Say, Fail, Refuse)


def adapt(obj: Any, *, name: str | None = None, description: str | None = None) -> Agent:
    """The agent that `obj` is, or becomes.

    Tried in this order: our own agents; installed adapters, by the classes of the object, nothing imported; a URL (an
    A2A endpoint, not contacted yet); a function; anything else with `name`, `description` and an async generator
    function `run`. Raises AdapterNotFoundError, which lists what was tried, and AdapterNotInstalledError, whose text
    is the `pip install` line.
    """
    if _is_ours(obj):
        return _named(obj, name, description)
    adapter = find_adapter(obj)
    if adapter is not None:
        require(adapter)
        return adapter.adapt(obj, name=name, description=description)
    if isinstance(obj, str):
        return _remote(obj, name, description)
    if inspect.isfunction(obj) or inspect.ismethod(obj) or inspect.isbuiltin(obj):
        return FunctionAgent(obj, name=name, description=description)
    if _has_structure(obj):
        return _named(obj, name, description)
    if callable(obj) and not isinstance(obj, type):
        return FunctionAgent(obj, name=name, description=description)
    raise AdapterNotFoundError(_tried(obj))


def _is_ours(obj: Any) -> bool:
    return any(cls.__module__.startswith("a2a_bridge.") for cls in type(obj).__mro__) and _has_structure(obj)


def _has_structure(obj: Any) -> bool:
    run = getattr(obj, "run", None)
    return inspect.isasyncgenfunction(run) and all(_is_text(obj, member) for member in ("name", "description"))


def _is_text(obj: Any, member: str) -> bool:
    return isinstance(getattr(obj, member, None), str)


def _remote(url: str, name: str | None, description: str | None) -> Agent:
    if not url.startswith(("http://", "https://")):
        raise AdapterNotFoundError(f"{url!r} is not the URL of an agent: it must start with http:// or https://")
    from a2a_bridge.client.remote import RemoteAgent

    return RemoteAgent(url, name=name, description=description)


def _tried(obj: Any) -> str:
    kind = f"{type(obj).__module__}.{type(obj).__qualname__}"
    found, lost = _loaded()
    known = ", ".join(sorted(adapter.name for adapter in found)) or "none"
    missing = [f"`{member}` (a str)" for member in ("name", "description") if not _is_text(obj, member)]
    if not inspect.isasyncgenfunction(getattr(obj, "run", None)):
        missing.append("`run` (an async generator function)")
    text = (
        f"{kind} is not an agent: it is none of ours, no installed adapter knows its class (adapters: {known}), it is"
        f" neither a URL nor a function, and it lacks {', '.join(missing)}"
    )
    return f"{text}. Not loaded: {'; '.join(lost)}" if lost else text


def adapters() -> tuple[Adapter, ...]:
    """The installed adapters. One that cannot be loaded is left out, with a warning in the log."""
    return _loaded()[0]


@cache
def _loaded() -> tuple[tuple[Adapter, ...], tuple[str, ...]]:
    """The adapters, and what kept the others from being loaded."""
    found: list[Adapter] = []
    lost: list[str] = []
    for point in entry_points(group=ENTRY_POINTS):
        try:
            found.append(_load(point))
        except Exception as error:  # a broken package of somebody else must not keep ours from working
            lost.append(f"{point.name}: {_why_lost(point, error)}")
            _log.warning("the adapter %s", lost[-1])
    return tuple(found), tuple(lost)


def _load(point: EntryPoint) -> Adapter:
    adapter = point.load()
    if not isinstance(adapter, Adapter):
        raise TypeError(f"{point.value} is not an a2a_bridge.agent.Adapter")
    return adapter


def _why_lost(point: EntryPoint, error: Exception) -> str:
    """Another top-level package of the same name hides ours: then a sentence about it, else the error."""
    package = point.value.partition(".")[0]
    hiding = getattr(sys.modules.get(package), "__file__", None)
    if isinstance(error, ImportError) and hiding is not None:
        return f"cannot be loaded, because {hiding} hides the package {package!r} it is in; rename that one"
    return f"cannot be loaded ({type(error).__name__}: {error})"


def find_adapter(obj: Any) -> Adapter | None:
    """The adapter that knows a class of this object, by (module, qualified name); nothing is imported."""
    classes = {(cls.__module__, cls.__qualname__) for cls in type(obj).__mro__}
    return next((adapter for adapter in adapters() if adapter.classes & classes), None)


def require(adapter: Adapter) -> None:
    """AdapterNotInstalledError says what to type, or which package stands where the framework's should be."""
    top = adapter.package.partition(".")[0]
    found = importlib.util.find_spec(top)
    if found is None:
        raise AdapterNotInstalledError(
            f"the {adapter.name} adapter needs {top}, which is not installed. Install it with:"
            f' pip install "{adapter.requires}"'
        )
    if not _has_module(adapter.package):
        where = found.origin or ", ".join(found.submodule_search_locations or ())
        raise AdapterNotInstalledError(
            f"the {adapter.name} adapter needs {top}, but the package found under that name ({where}) is another one."
            f' Rename or remove it, then: pip install "{adapter.requires}"'
        )


def _has_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # a parent of it is missing, or is no package
        return False


class _Named:
    """An agent under another name or description."""

    def __init__(self, agent: Agent, name: str | None, description: str | None) -> None:
        self._agent = agent
        self.name = name if name is not None else agent.name
        self.description = description if description is not None else agent.description
        self.run = agent.run

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)


def _named(agent: Any, name: str | None, description: str | None) -> Agent:
    if name is None and description is None:
        return cast(Agent, agent)
    return _Named(agent, name, description)


def _words(turn: Turn) -> str:
    return "\n".join("\n".join(map(_part_words, message.parts)) for message in turn.messages)


def _part_words(part: Part) -> str:
    """A part for whoever reads text: nothing that was sent is lost without a word."""
    if part.text is not None:
        return part.text
    if part.kind == "data":
        return json.dumps(part.data, ensure_ascii=False)
    return f"[{part.filename or part.url or part.media_type or 'a file'}]"


class FunctionAgent:
    """A plain Python function as an agent.

    With one positional parameter annotated `Turn` it gets the turn, otherwise the new messages as text: data as JSON,
    files by name. It may return or yield `str`, a reply, a Part, a Message, a pydantic model, a JSON value or None. A
    sync function runs in a thread, which cannot be stopped: it says `stops_on_cancel=False`.
    """

    def __init__(
        self, function: Callable[..., Any], *, name: str | None = None, description: str | None = None
    ) -> None:
        self._function = function
        target = function if inspect.isroutine(function) else type(function).__call__
        self.name: str = name or str(getattr(function, "__name__", type(function).__name__))
        self.description = description or inspect.getdoc(function) or f"The function {self.name}."
        _check_signature(function, self.name)
        self._takes_turn = _takes_turn(target)
        self._yields_async = inspect.isasyncgenfunction(target)
        self._is_async = inspect.iscoroutinefunction(target)
        self._yields = inspect.isgeneratorfunction(target)
        self.traits = Traits(framework="python", stops_on_cancel=self._yields_async or self._is_async)

    def __repr__(self) -> str:
        return f"FunctionAgent({self.name!r})"

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        argument = turn if self._takes_turn else _words(turn)
        if self._yields_async or self._yields:
            said = self._function(argument)
            async with aclosing(said if self._yields_async else _from_thread(said)) as values:
                async for value in values:
                    if type(value) is str:  # what `as_replies` would give, for each token of a model
                        yield value
                        continue
                    for reply in as_replies(value):
                        yield reply
            return
        if self._is_async:
            value = await self._function(argument)
        else:
            value = await run_in_thread(lambda: self._function(argument))
            if inspect.isawaitable(value):  # a lambda around an async function
                value = await value
        if type(value) is str:
            yield value
            return
        for reply in as_replies(value):
            yield reply


def _check_signature(function: Callable[..., Any], name: str) -> None:
    """A function that cannot be called with one argument is refused now, not at its first turn."""
    try:
        inspect.signature(function).bind("a text")
    except ValueError:  # a built-in function that does not tell its parameters
        return
    except TypeError:
        raise AdapterNotFoundError(
            f"the function {name!r} cannot be an agent: it is called with one argument, the text or the Turn, and its"
            f" parameters are {inspect.signature(function)}"
        ) from None


def _takes_turn(function: Any) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    try:
        hints = get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        hints = {}
    for parameter in parameters:
        if parameter.name == "self":
            continue
        hint = hints.get(parameter.name, parameter.annotation)
        return hint is Turn or hint in ("Turn", "a2a_bridge.Turn")
    return False


_END = object()


async def _from_thread(values: Iterator[Any]) -> AsyncGenerator[Any, None]:
    """The items of a sync generator, each computed in a thread; the generator is closed at the end."""
    try:
        while (value := await run_in_thread(lambda: next(values, _END))) is not _END:
            yield value
    finally:
        close = getattr(values, "close", None)
        if close is not None:
            close()


def as_replies(value: Any) -> Iterator[Reply | str]:
    """What a function returned or yielded, as replies."""
    if value is None:
        return
    if isinstance(value, str) or isinstance(value, _REPLIES):  # noqa: SIM101  # no tuple is made each time
        yield value
    elif isinstance(value, Part):
        yield Chunk(parts=(value,))
    elif isinstance(value, Message):
        yield Chunk(parts=value.parts)
    elif hasattr(value, "model_dump"):
        yield Chunk(parts=(Part(data=value.model_dump(mode="json"), media_type="application/json"),))
    elif isinstance(value, list | tuple) and value and all(isinstance(one, Part) for one in value):
        yield Chunk(parts=tuple(value))
    elif isinstance(value, dict | list | tuple | int | float | bool):
        yield Chunk(parts=(Part(data=list(value) if isinstance(value, tuple) else value),))
    else:
        raise TypeError(
            f"an agent function may give str, replies, Part, several, Message, a pydantic model or a JSON value, not"
            f" {type(value).__name__}"
        )
