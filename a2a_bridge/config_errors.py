"""What is wrong with a setting, in our own words: which one, what was found, what may stand there.

pydantic finds the mistakes. It says where each is and of what kind; what may stand there is read off the model, so a
new setting needs no words of its own. Values of settings that may be secrets are never repeated.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from a2a_bridge.protocol.problems import problems_in

_LONGEST = 60
_UNSHOWN = "auth"
"""A table whose values are never repeated: a secret may have got into the wrong one of its settings."""
_KINDS: Mapping[Any, tuple[str, str]] = {
    bool: ("true or false", "trues and falses"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    Path: ("the name of a file", "names of files"),
}


class _Place(NamedTuple):
    """A setting in the model: what may stand there, its bounds, whether it may be shown, and how it is called."""

    annotation: Any
    bounds: tuple[Any, ...]
    is_secret: bool
    key: str
    advice: str | None = None


def sentences(error: ValidationError, root: type[BaseModel]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Where each problem is that pydantic found with `root`, and `key: what is wrong`."""
    for problem in problems_in(error, with_values=True):
        yield tuple(map(str, problem["loc"])), _sentence(problem, root)


def _sentence(problem: ErrorDetails, root: type[BaseModel]) -> str:
    where = tuple(problem["loc"])
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        parent = _place(root, where[:-1])
        return f"{_joined(parent.key, where[-1])}: there is no such setting{_nearest(root, parent, str(where[-1]))}"
    place = _place(root, where)
    start = f"{place.key}: " if place.key else ""
    if kind == "value_error":
        return f"{start}{context['error']}"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        kinds = _quoted(_tags(place.annotation))
        return f"{_joined(place.key, 'kind')}: must be {kinds}"
    if kind == "missing":
        return f"{start}is missing: it must be {_allowed(place)}"
    if not problem["input"] and kind in ("too_short", "string_too_short"):
        return f"{start}must not be empty"
    found = "" if place.is_secret else _found(problem["input"]) + _meant(place, problem["input"])
    return f"{start}must be {_allowed(place)}{found}"


def _place(root: type[BaseModel], where: tuple[Any, ...]) -> _Place:
    """What the model says of a place; steps that only say which of several models is meant are not part of its key."""
    place = _Place(root, (), False, "")
    for step in where:
        annotation = _plain(place.annotation)
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            field = annotation.model_fields.get(str(step))
            if field is None:
                return _Place(Any, (), True, _joined(place.key, step))
            is_secret = place.is_secret or not field.repr or step == _UNSHOWN
            key = _joined(place.key, step)
            place = _Place(field.annotation, tuple(field.metadata), is_secret, key, field.description)
        elif tags := {tag: model for model in _models(annotation) for tag in _tag(model)}:
            place = place._replace(annotation=tags.get(str(step), Any))
        elif get_origin(annotation) is tuple:
            inner, bounds = _unwrapped(get_args(annotation)[0])
            place = place._replace(annotation=inner, bounds=bounds, key=f"{place.key}[{step}]", advice=None)
        elif _is_mapping(annotation):
            inner, bounds = _unwrapped(get_args(annotation)[1])
            place = place._replace(annotation=inner, bounds=bounds, key=_joined(place.key, step), advice=None)
    return place


def _joined(key: str, step: Any) -> str:
    return f"{key}.{step}" if key else str(step)


def _unwrapped(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    """An annotation without what is written around it, and that."""
    if get_origin(annotation) is not Annotated:
        return annotation, ()
    inner, *around = get_args(annotation)
    return inner, tuple(one for found in around for one in (*getattr(found, "metadata", ()), found))


def _plain(annotation: Any) -> Any:
    """An annotation without None, and without what is written around it."""
    inner, _ = _unwrapped(annotation)
    if get_origin(inner) in (Union, UnionType):
        others = [one for one in get_args(inner) if one is not NoneType]
        if len(others) == 1:
            return _plain(others[0])
    return inner


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models of which one is meant, as its `kind` says."""
    if get_origin(annotation) in (Union, UnionType):
        yield from (one for one in get_args(annotation) if isinstance(one, type) and issubclass(one, BaseModel))


def _tag(model: type[BaseModel]) -> tuple[str, ...]:
    field = model.model_fields.get("kind")
    return get_args(field.annotation) if field is not None else ()


def _tags(annotation: Any) -> list[str]:
    return [tag for model in _models(_plain(annotation)) for tag in _tag(model)]


def _is_mapping(annotation: Any) -> bool:
    origin = get_origin(annotation)
    return isinstance(origin, type) and issubclass(origin, Mapping)


def _allowed(place: _Place) -> str:
    """What may stand in a place."""
    if place.advice is not None:
        return place.advice
    annotation = _plain(place.annotation)
    if get_origin(annotation) is Literal:
        return _quoted(get_args(annotation))
    if get_origin(annotation) is tuple:
        inner = _plain(get_args(annotation)[0])
        many = _KINDS[inner][1] if inner in _KINDS else "tables"
        return f"a list of {many}"
    if annotation not in _KINDS:
        inner = _plain(get_args(annotation)[1]) if _is_mapping(annotation) else None
        return f"a table of {_KINDS[inner][1]}" if inner in _KINDS else "a table"
    return _KINDS[annotation][0] + _range(place)


def _bound(place: _Place, name: str) -> Any:
    return next((found for one in place.bounds if (found := getattr(one, name, None)) is not None), None)


def _range(place: _Place) -> str:
    least, most, above, length = (_bound(place, name) for name in ("ge", "le", "gt", "min_length"))
    if least is not None and most is not None:
        return f" from {least:g} to {most:g}"
    if least is not None:
        return f", {least:g} or more"
    if above is not None:
        return f" above {above:g}"
    return f" of {length} characters or more" if length is not None and length > 1 else ""


def _quoted(words: Any) -> str:
    *most, last = [f'"{word}"' for word in words]
    return f"{', '.join(most)} or {last}" if most else last


def _found(value: Any) -> str:
    """What stands there instead."""
    if isinstance(value, str):
        return f", not {json.dumps(value if len(value) <= _LONGEST else value[:_LONGEST] + '...', ensure_ascii=False)}"
    if isinstance(value, bool | int | float):
        return f", not {json.dumps(value)}"
    return f", not {'a table' if isinstance(value, Mapping) else 'a list'}"


def _meant(place: _Place, value: Any) -> str:
    words = get_args(_plain(place.annotation)) if get_origin(_plain(place.annotation)) is Literal else ()
    close = difflib.get_close_matches(value, words, n=1) if isinstance(value, str) else []
    return f'. Did you mean "{close[0]}"?' if close else ""


def _nearest(root: type[BaseModel], parent: _Place, name: str) -> str:
    """The setting that was probably meant: of this table, or of the one that has a setting of that name."""
    model = _plain(parent.annotation)
    known = list(model.model_fields)
    if close := difflib.get_close_matches(name, known, n=1, cutoff=0.6):
        return f'. Did you mean "{close[0]}"?'
    if others := [where for where, table in _tables(root) if name in table.model_fields and table is not model]:
        return f". It belongs to {' or '.join(f'[{where}]' for where in others)}"
    return f"; known: {', '.join(known)}"


def setting_spelled(name: str, root: type[BaseModel]) -> tuple[str, ...] | None:
    """The table or setting whose steps, joined with single underscores, are this name."""
    for where, table in _tables(root):
        steps = tuple(where.split("."))
        for found in (steps, *((*steps, key) for key in table.model_fields)):
            if "_".join(found) == name:
                return found
    return None


def _tables(model: type[BaseModel], at: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """The tables of the settings by their names, but for those that users name."""
    for name, field in model.model_fields.items():
        inner = _plain(field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            where = _joined(at, name)
            yield where, inner
            yield from _tables(inner, where)
