"""JSON objects in which nothing can be read in two ways, for what signatures and credentials depend on."""

import json
from typing import Any, NoReturn


def object_of(data: bytes | str) -> dict[str, Any]:
    """The object that this text is; ValueError for anything else, and for a member that stands twice, text that is not
    UTF-8, numbers that are none and what is nested too deeply."""
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(f"a JSON object is expected, not {type(found).__name__}")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the member {next(name for name in names if names.count(name) > 1)[:100]!r} stands twice")
    return found


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")
