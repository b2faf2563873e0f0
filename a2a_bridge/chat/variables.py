"""Context variables: what a conversation knows besides its words, kept in the journal and never sent to a model.

All seats of a room share them. The values an agent is configured with are the beginning; each change is a record, so
that state is a fold of the journal and a restart loses nothing. A room's records say at which entry of its log they
were made, so that one that is forked from it has them as they were there. Replaying asks no seat, and needs none.
"""

import json
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

from a2a_bridge.agent import Journal, Turn
from a2a_bridge.protocol.objects import JSONValue

_PLACE = "context-variables"
_GONE = "gone"


class ContextVariables(MutableMapping[str, JSONValue]):
    """A dict of JSON values that notes what has been changed in it. As an agent's word: where it begins."""

    def __init__(self, data: Mapping[str, JSONValue] | None = None) -> None:
        self._values: dict[str, JSONValue] = dict(data or {})
        self._changed: dict[str, JSONValue] = {}
        self._gone: set[str] = set()

    def __repr__(self) -> str:
        return f"ContextVariables({self._values!r})"

    def __getitem__(self, key: str) -> JSONValue:
        return self._values[key]

    def __setitem__(self, key: str, value: JSONValue) -> None:
        json.dumps(value, allow_nan=False)  # raises here, where it is set
        self._values[key] = self._changed[key] = value
        self._gone.discard(key)

    def __delitem__(self, key: str) -> None:
        del self._values[key]
        self._changed.pop(key, None)
        self._gone.add(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def to_dict(self) -> dict[str, JSONValue]:
        """A copy as a plain dict."""
        return dict(self._values)

    async def keep(self, turn: Turn) -> None:
        """Write down what has been changed since the last time."""
        if not self._changed and not self._gone:
            return
        record: dict[str, Any] = {"set": self._changed, _GONE: sorted(self._gone)}
        if (seq := getattr(turn, "seq", None)) is not None:
            record["seq"] = seq
        self._changed, self._gone = {}, set()
        await _journal(turn).append(json.dumps(record).encode())


async def variables_of(turn: Turn, beginning: Mapping[str, JSONValue]) -> ContextVariables:
    """The variables as they are when the turn begins."""
    values = dict(beginning)
    for _, data in await _journal(turn).read():
        record: dict[str, Any] = json.loads(data)
        values |= record["set"]
        for key in record[_GONE]:
            values.pop(key, None)
    return ContextVariables(values)


async def copy_variables(before: Journal, to: Journal, at: int) -> None:
    """Give a room that is forked from another one the variables as they were at entry `at` of its log."""
    for _, data in await before.child(_PLACE).read():
        if json.loads(data).get("seq", 0) <= at:
            await to.child(_PLACE).append(data)


def _journal(turn: Turn) -> Journal:
    shared: Journal = getattr(turn, "shared", None) or turn.journal
    return shared.child(_PLACE)
