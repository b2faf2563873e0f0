"""Tools: what an agent's model may call.

A typed Python function is a tool: its schema comes from the signature and the texts in `Annotated`, its arguments are
checked against it, and what goes wrong is told to the model in one line, without paths and without a traceback.

Concurrency, in prose. An async function runs in a task of its own, which `call` starts, waits for, and cancels when
the time is over or the turn is cancelled. A sync function runs in a daemon thread, which nobody can stop: when its
time is over it is left behind and the model is told; when the turn is cancelled it is waited for as long as it had
time anyway, so that its slot stays counted.
"""

import asyncio
import inspect
import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic_core import to_jsonable_python

from a2a_bridge.agent import ToolCall, ToolResult, Turn, run_in_thread
from a2a_bridge.chat.handoff import Handoff
from a2a_bridge.chat.variables import ContextVariables
from a2a_bridge.errors import BridgeError, ToolError
from a2a_bridge.protocol.objects import JSONValue

_log = logging.getLogger(__name__)

TIMEOUT = 60.0
"""Seconds that a tool has if it says nothing else."""

MAX_RESULT = 32_000
"""Characters of a result that the model is shown if the tool says nothing else."""

_LONGEST_ERROR = 300
_GRACE = 5.0
"""Seconds in which an async function may clean up when its time is over."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
_PATH = re.compile(r"(?<![\w:/.])(?:~|\.{1,2})?(?:/[^\s/'\":,;()<>]+)+/?|\b[A-Za-z]:\\[^\s'\"]+")


@dataclass(frozen=True, slots=True)
class Context:
    """What a call knows of the turn it is made in. `variables` are those of the conversation, for reading and writing;
    they are kept when the call has returned."""

    turn: Turn
    variables: ContextVariables
    call_id: str = ""


Approval = Literal["human"] | Callable[[ToolCall], bool | Awaitable[bool]]
"""Who says whether a call may be made: a person, who is asked in the conversation, or a function (sync or async)."""


@dataclass(frozen=True, slots=True)
class ReplyResult:
    """What a tool returns that does more than answer: `context_variables` are changed, `target`, an agent or its name,
    speaks next."""

    message: Any = ""
    target: Any = None
    context_variables: Mapping[str, JSONValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.target is not None:
            object.__setattr__(self, "target", Handoff(self.target).target)


@dataclass(frozen=True, slots=True)
class Tool:
    """Something to call. `parameters` is the JSON Schema of the arguments, `run` gets them as they came.

    `timeout`: seconds for one call. `max_result`: characters of the result that are passed on. `approval`: see there.
    `is_blocking`: it cannot be stopped once it runs.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    run: Callable[[JSONValue, Context], Awaitable[Any]] = field(repr=False)
    timeout: float = TIMEOUT
    max_result: int = MAX_RESULT
    approval: Approval | None = None
    is_blocking: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"a tool cannot be called {self.name!r}: letters, digits, _ and -, at most 64")
        if not self.timeout > 0:
            raise ValueError(f"tool {self.name!r}: timeout={self.timeout!r} must be seconds above 0")

    @property
    def offer(self) -> dict[str, Any]:
        """The tool as a chat completions endpoint is told of it."""
        told = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        return {"type": "function", "function": told}


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    function: None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float = TIMEOUT,
    max_result: int = MAX_RESULT,
    approval: Approval | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float = TIMEOUT,
    max_result: int = MAX_RESULT,
    approval: Approval | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a function: `@tool`, `@tool(timeout=5)`, or `tool(timeout=5)(function)`.

    A parameter annotated `ContextVariables`, `Context` or `Turn` is filled in and not shown to the model. The function
    may return a text, a JSON value, a pydantic model, a dataclass, or a `ReplyResult`.
    """

    def made(function: Callable[..., Any]) -> Tool:
        return from_function(
            function, name=name, description=description, timeout=timeout, max_result=max_result, approval=approval
        )

    return made if function is None else made(function)


def from_function(
    function: Callable[..., Any],
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float = TIMEOUT,
    max_result: int = MAX_RESULT,
    approval: Approval | None = None,
) -> Tool:
    """The tool that a function is. TypeError for a function whose parameters have no JSON Schema."""
    title = name or str(getattr(function, "__name__", type(function).__name__))
    signature = _Signature(function, title)
    return Tool(
        name=title,
        description=description or inspect.getdoc(function) or f"The function {title}.",
        parameters=signature.schema(),
        run=signature.run,
        timeout=timeout,
        max_result=max_result,
        approval=approval,
        is_blocking=not signature.is_async,
    )


_FILLED: Mapping[Any, Callable[[Context], Any]] = {
    ContextVariables: lambda context: context.variables,
    Context: lambda context: context,
    Turn: lambda context: context.turn,
}


class _Signature:
    """A function's parameters as a pydantic model, and how it is called with checked arguments."""

    def __init__(self, function: Callable[..., Any], name: str) -> None:
        self._function = function
        target = function if inspect.isroutine(function) else type(function).__call__
        self.is_async = inspect.iscoroutinefunction(target)
        try:
            hints = get_type_hints(target, include_extras=True)
        except NameError as error:
            raise TypeError(f"tool {name!r}: an annotation cannot be read ({error})") from None
        self._filled: dict[str, Callable[[Context], Any]] = {}
        fields: dict[str, Any] = {}
        for parameter in inspect.signature(function).parameters.values():
            hint = hints.get(parameter.name, Any if parameter.annotation is parameter.empty else parameter.annotation)
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
                raise TypeError(f"tool {name!r}: parameter {parameter} must be one that can be named in a call")
            if hint in _FILLED:
                self._filled[parameter.name] = _FILLED[hint]
            else:
                default = ... if parameter.default is parameter.empty else parameter.default
                fields[parameter.name] = (_described(hint), default)
        aliased = {f"field_{at}": _aliased(key, *pair) for at, (key, pair) in enumerate(fields.items())}
        self._names = dict(zip(aliased, fields, strict=True))
        self._model: type[BaseModel] = create_model(
            name, __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=False), **aliased
        )

    def schema(self) -> dict[str, Any]:
        found = self._model.model_json_schema(by_alias=True)
        plain: dict[str, Any] = _untitled(found)
        plain.setdefault("properties", {})
        return plain

    async def run(self, arguments: JSONValue, context: Context) -> Any:
        try:
            checked = self._model.model_validate(arguments if arguments is not None else {})
        except ValidationError as error:
            raise ToolError(f"the arguments are not valid: {_told(error)}") from None
        words = {self._names[key]: getattr(checked, key) for key in self._names}
        words |= {key: fill(context) for key, fill in self._filled.items()}
        if self.is_async:
            return await self._function(**words)
        returned = await run_in_thread(lambda: self._function(**words))
        return await returned if inspect.isawaitable(returned) else returned


def _described(hint: Any) -> Any:
    """`Annotated[int, "how many"]`, as AutoGen writes it: the text is the description."""
    if get_origin(hint) is not Annotated:
        return hint
    kind, *notes = get_args(hint)
    turned = tuple(Field(description=note) if isinstance(note, str) else note for note in notes)
    return Annotated[(kind, *turned)]


def _aliased(name: str, hint: Any, default: Any) -> Any:
    """Fields have names of their own, so that a parameter may be called `model_config`, `json` or `_x`."""
    return (hint, Field(default, alias=name))


def _untitled(schema: Any) -> Any:
    """Without the titles that pydantic makes of names: they tell the model nothing."""
    if isinstance(schema, list):
        return [_untitled(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _untitled(value) for key, value in schema.items() if key != "title" or not isinstance(value, str)}
    if isinstance(schema.get("properties"), dict):
        found["properties"] = {name: _untitled(value) for name, value in schema["properties"].items()}
    return found


def _told(error: ValidationError) -> str:
    said = []
    for problem in error.errors(include_url=False, include_input=False, include_context=False):
        where = ".".join(str(step) for step in problem["loc"])
        said.append(f"{where}: {problem['msg']}" if where else problem["msg"])
    return "; ".join(said[:5])


async def call(tool: Tool, asked: ToolCall, context: Context) -> tuple[ToolResult, Any]:
    """Make one call. Never raises but when cancelled: what goes wrong is a result with `is_error`.

    The second value is what the tool returned, for those who understand a `ReplyResult`; None after an error.
    """
    if isinstance(asked.arguments, str):  # a model that got its JSON wrong
        return failed(asked, "the arguments are not a JSON object"), None
    try:
        returned = await _within(tool, asked.arguments, context)
        message = returned.message if isinstance(returned, ReplyResult) else returned
        return ToolResult(asked.id, _cut(as_text(message), tool.max_result)), returned
    except TimeoutError:
        return failed(asked, f"no result within {tool.timeout:g} seconds"), None
    except BridgeError as error:
        return failed(asked, error.message), None
    except Exception as error:  # whatever a tool raises is told to the model, and kept in our log
        _log.warning("the tool %s raised", tool.name, exc_info=error)
        return failed(asked, f"{type(error).__name__}: {error}"), None


async def _within(tool: Tool, arguments: JSONValue, context: Context) -> Any:
    loop = asyncio.get_running_loop()
    began = loop.time()
    task = asyncio.ensure_future(tool.run(arguments, context))
    try:
        done, _ = await asyncio.wait({task}, timeout=tool.timeout)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task}, timeout=max(0.0, began + tool.timeout - loop.time()))
        _leave(task)
        raise
    if done:
        return task.result()
    task.cancel()
    await asyncio.wait({task}, timeout=0 if tool.is_blocking else _GRACE)
    _leave(task)
    raise TimeoutError


def _leave(task: "asyncio.Future[Any]") -> None:
    """Nobody waits for it any more; what it still comes to is not reported as never retrieved."""
    task.cancel()
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())


def failed(asked: ToolCall, why: str) -> ToolResult:
    """A result that says what went wrong: one line, no paths."""
    line = _PATH.sub("(a path)", " ".join(why.split()))
    return ToolResult(asked.id, f"Error: {_cut(line, _LONGEST_ERROR)}", is_error=True)


def as_text(value: Any) -> str:
    """What a tool returned, as the text that the model reads."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(to_jsonable_python(value), ensure_ascii=False, allow_nan=False)
    except ValueError:  # nothing that JSON has
        return str(value)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... (cut: {len(text)} characters)"
