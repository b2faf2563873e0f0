"""What a function of the functional API is given: LangGraph lets it take any one value, and its annotation says which.

In this order: messages (`list[AnyMessage]`, or a parameter called `messages` that says nothing more); a state that has
them (a `dict`, or a TypedDict, dataclass or model with `messages`); words (`str`); anything that pydantic can check.
"""

import dataclasses
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import Parameter, signature
from types import UnionType
from typing import Annotated, Any, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import typing_extensions
from langchain_core.messages import BaseMessage
from pydantic import BaseModel, PydanticSchemaGenerationError, TypeAdapter, ValidationError
from pydantic.errors import PydanticInvalidForJsonSchema

from a2a_bridge.agent import Ask, Reply
from a2a_bridge.protocol.objects import Message, Part, json_bytes

INPUT = "input"
"""The id of the question for data of the right form: its answer starts a run."""

_MESSAGES = "messages"


class Input:
    """The first parameter of a function, and how a message becomes its value."""

    def __init__(self, function: Callable[..., Any]) -> None:
        parameter = next(iter(signature(function).parameters.values()))
        self._hint = _hint(function, parameter)
        self._fields = _fields(self._hint)
        loose = self._hint in (Any, object, list)
        self._is_one = _is_message(self._hint)
        self._is_list = _is_list(self._hint) or (loose and parameter.name == _MESSAGES)
        self._is_state = _MESSAGES in self._fields or (get_origin(self._hint) or self._hint) in (dict, Mapping)
        self._check = None if loose or self.takes_messages or self._hint is str else _adapter(self._hint)

    @property
    def takes_messages(self) -> bool:
        """Whether the function can be told a conversation, and what it shows."""
        return self._is_list or self._is_state or self._is_one

    @property
    def takes_history(self) -> bool:
        """Whether it takes more than the newest message."""
        return self._is_list or self._is_state

    def value(self, said: Sequence[BaseMessage], new: Sequence[Message]) -> Any:
        """The value: `said` are the messages as LangChain's, `new` are those of the turn. A tuple of one question
        if what was sent has not the form that the function takes."""
        if self._is_list:
            return list(said)
        if self._is_one:
            return said[-1]
        if self._is_state:
            return self._state(said, new)
        data = _data(new)
        if self._hint is str or self._check is None:
            return data.data if data and self._hint is not str else _words(new)
        for candidate in [data.data] if data else self._read(_words(new)):
            try:
                return self._check.validate_python(candidate)
            except ValidationError:
                continue
        return (self._question(),)

    def _state(self, said: Sequence[BaseMessage], new: Sequence[Message]) -> Any:
        """A state with the messages, and what data fills in; in a `dict`, data without words stands alone."""
        data = _data(new)
        own = data.data if data and isinstance(data.data, Mapping) else {}
        if self._fields and not set(own) <= set(self._fields):
            own = {}
        if own and not self._fields and not any(message.text for message in new):
            return own
        state = {_MESSAGES: list(said), **own}
        if not dataclasses.is_dataclass(self._hint) and not _is_model(self._hint):
            return state
        try:
            return TypeAdapter(self._hint).validate_python(state)
        except ValidationError:
            return (self._question(),)

    def _read(self, text: str) -> Iterable[Any]:
        """What a text may mean: JSON, itself, or the one thing that the function asks for."""
        try:
            yield typing.cast(TypeAdapter[Any], self._check).validate_json(text)
        except ValidationError:
            yield text
        needed = self._needed()
        if len(needed) == 1:
            yield {needed[0]: text}

    def _needed(self) -> list[str]:
        """The fields without which there is no value; all of them if none is needed."""
        schema = self._schema()
        required = schema.get("required") if isinstance(schema, Mapping) else None
        return [name for name in required or self._fields if name != _MESSAGES]

    def _schema(self) -> Any:
        try:
            return (self._check or TypeAdapter(self._hint)).json_schema()
        except (PydanticSchemaGenerationError, PydanticInvalidForJsonSchema):
            return None

    def _question(self) -> Reply:
        needed = ", ".join(self._needed())
        form = f"data with {needed}" if needed else "data of another form"
        return Ask(text=f"This agent takes {form}.", schema=None if self._is_state else self._schema(), id=INPUT)


def _hint(function: Callable[..., Any], parameter: Parameter) -> Any:
    """What the parameter says it is; Any if it says nothing, or names what cannot be found."""
    try:
        return get_type_hints(function).get(parameter.name, Any)
    except (NameError, TypeError):
        return Any if isinstance(parameter.annotation, str) else parameter.annotation


def _is_model(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, BaseModel)


def _fields(hint: Any) -> Mapping[str, Any]:
    if not (is_typeddict(hint) or typing_extensions.is_typeddict(hint) or dataclasses.is_dataclass(hint)):
        return hint.model_fields if _is_model(hint) else {}
    try:
        return get_type_hints(hint)
    except (NameError, TypeError):
        return dict(getattr(hint, "__annotations__", {}))


def _is_message(hint: Any) -> bool:
    """A message of LangChain's, or a choice that has one."""
    if get_origin(hint) in (Annotated, Union, UnionType):
        return any(_is_message(one) for one in get_args(hint))
    return isinstance(hint, type) and issubclass(hint, BaseMessage)


def _is_list(hint: Any) -> bool:
    origin = get_origin(hint)
    if origin in (Annotated, Union, UnionType):
        return any(_is_list(one) for one in get_args(hint))
    listed = isinstance(origin, type) and issubclass(origin, Iterable) and not issubclass(origin, Mapping)
    return listed and any(_is_message(one) for one in get_args(hint))


def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    """What checks a value; None for what pydantic does not know."""
    if is_typeddict(hint):  # before Python 3.12 pydantic takes only those of typing_extensions
        needed, make = hint.__required_keys__, typing.cast(Any, typing_extensions.TypedDict)
        fields = _fields(hint).items()
        hint = make(hint.__name__, {name: kind if name in needed else NotRequired[kind] for name, kind in fields})
    try:
        return TypeAdapter(hint)
    except PydanticSchemaGenerationError:
        return None


def _data(messages: Sequence[Message]) -> Part | None:
    """The newest data part."""
    return next((part for said in reversed(messages) for part in reversed(said.parts) if part.kind == "data"), None)


def _words(messages: Sequence[Message]) -> str:
    """The messages for a function that takes words: data as JSON."""
    parts = (part for message in messages for part in message.parts)
    return "\n".join(
        part.text if part.text is not None else json_bytes(part.data).decode()
        for part in parts
        if part.kind in ("text", "data")
    )
