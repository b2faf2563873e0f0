"""What may stand in a v1.0 card, member by member: one table, read off the model (A2A 1.0.1 §4.4, §4.5).

Signing needs it to tell a member that is absent from one that is merely empty (§8.4.1), lint to say what is missing,
unknown or misspelt. Our model has defaults for some members that the specification calls REQUIRED: they are named here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, get_args, get_origin

from a2a_bridge.protocol import card, security
from a2a_bridge.protocol.objects import WireObject

Kind = Literal["text", "flag", "object", "texts", "objects", "text map", "object map", "free"]

_REQUIRED: Mapping[type[WireObject], frozenset[str]] = {
    card.AgentCard: frozenset(
        {"supported_interfaces", "capabilities", "default_input_modes", "default_output_modes", "skills"}
    ),
    card.AgentInterface: frozenset({"protocol_version"}),
    security.AuthorizationCodeOAuthFlow: frozenset({"scopes"}),
    security.ClientCredentialsOAuthFlow: frozenset({"scopes"}),
    security.DeviceCodeOAuthFlow: frozenset({"scopes"}),
}
_EXPLICIT = frozenset({"streaming", "push_notifications", "extended_agent_card", "documentation_url", "icon_url"})
"""Members with presence of their own (`optional` in the proto file): false said aloud is not the same as nothing."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of an object: its name on the wire and in the proto file, what it holds, and whether it must be."""

    name: str
    snake: str
    kind: Kind
    model: type[WireObject] | None
    required: bool
    explicit: bool


@cache
def members(model: type[WireObject]) -> tuple[Member, ...]:
    """The members of an object of the card, in the order of the specification."""
    found = []
    for snake, field in model.model_fields.items():
        kind, inner = _kind(field.annotation)
        required = field.is_required() or snake in _REQUIRED.get(model, frozenset())
        found.append(Member(field.alias or snake, snake, kind, inner, required, explicit=snake in _EXPLICIT))
    return tuple(found)


def _kind(annotation: Any) -> tuple[Kind, type[WireObject] | None]:
    inner = [item for item in get_args(annotation) if item is not type(None)]
    origin = get_origin(annotation)
    if origin is None:
        if isinstance(annotation, type) and issubclass(annotation, WireObject):
            return "object", annotation
        return ("flag" if annotation is bool else "text"), None
    if origin is tuple:
        model = _kind(inner[0])[1]
        return ("objects" if model else "texts"), model
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if inner[1] is str:
            return "text map", None
        model = _kind(inner[1])[1]
        return ("object map" if model else "free"), model
    return _kind(inner[0])  # `X | None`, or X with a constraint
