"""JSON objects in which nothing can be read in two ways: what security depends on is parsed like this."""

import json
from typing import Any


def object_of(data: bytes) -> dict[str, Any]:
    """The object that these bytes are; ValueError for anything else: a name that stands twice, NaN, too much depth."""
    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a member stands there twice")
    return found


def _no(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")
