"""JSON objects in which nothing can be read in two ways, for what signatures and credentials depend on."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

MAX_DEPTH = 128
"""Containers inside each other: the limit of the official SDKs for a card. Python's own depends on its version."""

_PLAIN = (str, int, float, type(None))  # told at once, which asking for a Mapping is not


def object_of(data: bytes | str) -> dict[str, Any]:
    """The object that this text is; ValueError for anything else, and for a member that stands twice, text that is not
    UTF-8, numbers that are none and what is nested deeper than MAX_DEPTH."""
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(f"a JSON object is expected, not {type(found).__name__}")
    if deeper_than(MAX_DEPTH, found):
        raise ValueError("nested too deeply")
    return found


def deeper_than(limit: int, value: Any) -> bool:
    """Whether more than `limit` containers, `value` being the first, stand inside each other. Not recursive: it is
    asked before recursion."""
    level = [value]
    for _ in range(limit):
        level = [
            item
            for held in level
            for item in (held.values() if isinstance(held, Mapping) else held)
            if not isinstance(item, _PLAIN) and isinstance(item, Mapping | list | tuple)
        ]
        if not level:
            return False
    return True


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the member {next(name for name in names if names.count(name) > 1)[:100]!r} stands twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")
