"""Handing over: who speaks next, decided by an agent and not by the manager.

A room follows where its method of choosing speakers leaves room for it ("auto"), and only to one of its candidates.
Where it does not, it goes on by its rule, and the reason of that choice says why the handover was not followed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from a2a_bridge.protocol.objects import JSONValue

_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]+")
_PARAMETERS = {"type": "object", "properties": {}, "additionalProperties": False}


@dataclass(frozen=True, slots=True)
class Handoff:
    """To whom, and when.

    `to`: an agent of the room, or its name. `when`: in words, for the model, which then calls it like a tool.
    `condition`: a function of the context variables, or the name of one that must be true; looked at before the model
    is asked, which then is not. With neither: after every reply of this agent.
    """

    to: Any
    when: str | None = None
    condition: Callable[[Mapping[str, JSONValue]], bool] | str | None = None

    def __post_init__(self) -> None:
        if self.when is not None and self.condition is not None:
            raise ValueError("Handoff: either when=... for the model, or condition=... of the context variables")
        if not isinstance(self.target, str):
            raise TypeError(f"Handoff(to={self.to!r}): an agent, or its name")
        if not self.target.strip():
            raise ValueError("Handoff(to=''): an agent, or its name; nobody has an empty one")

    @property
    def target(self) -> str:
        """The name of whoever speaks next."""
        return self.to if isinstance(self.to, str) else getattr(self.to, "name", None)  # type: ignore[return-value]

    def seat_among(self, peers: Mapping[str, Any]) -> str:
        """The name under which whoever speaks next sits in a room: an agent may have another one there than its own."""
        if isinstance(self.to, str):
            return self.to
        return next((name for name, peer in peers.items() if peer is self.to), self.target)

    @property
    def tool_name(self) -> str:
        """What the model calls."""
        return f"transfer_to_{_NOT_IN_A_NAME.sub('_', self.target)}"[:64]

    @property
    def offer(self) -> dict[str, Any]:
        """As a chat completions endpoint is told of it."""
        told = {"name": self.tool_name, "description": f"Hand over to {self.target}: {self.when}"}
        return {"type": "function", "function": {**told, "parameters": _PARAMETERS}}

    def holds(self, variables: Mapping[str, JSONValue]) -> bool:
        """Whether its condition is met."""
        if isinstance(self.condition, str):
            return bool(variables.get(self.condition))
        return self.condition is not None and bool(self.condition(variables))


def for_model(handoffs: Sequence[Handoff]) -> dict[str, Handoff]:
    """Those that the model decides on, by the name it calls."""
    return {each.tool_name: each for each in handoffs if each.when is not None}


def by_condition(handoffs: Sequence[Handoff], variables: Mapping[str, JSONValue]) -> Handoff | None:
    """The first whose condition is met."""
    return next((each for each in handoffs if each.holds(variables)), None)


def after_work(handoffs: Sequence[Handoff]) -> Handoff | None:
    """The one that always follows."""
    return next((each for each in handoffs if each.when is None and each.condition is None), None)


def checked(handoffs: Sequence[Any]) -> tuple[Handoff, ...]:
    """TypeError for anything else, ValueError for two that a model could not tell apart."""
    for each in handoffs:
        if not isinstance(each, Handoff):
            raise TypeError(f"handoffs=[...] takes Handoff(to, when=... or condition=...), not {type(each).__name__}")
    names = [each.tool_name for each in handoffs if each.when is not None]
    if len(names) != len(set(names)):
        raise ValueError("two handoffs lead to the same agent: say both occasions in one `when`")
    return tuple(handoffs)
