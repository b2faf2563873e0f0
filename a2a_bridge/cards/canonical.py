"""What exactly a card's signature covers (A2A 1.0.1 §8.4.1): plain JSON in, plain JSON out, no cryptography.

The signed text is the card without `signatures`, in canonical form. Which members belong to it is read in two ways.
The specification keeps members that are required, or explicit, and empty; the official SDKs for Python and JavaScript
drop everything that is empty, wherever it stands, free-form parameters included. The two agree for cards that have no
such member, so a card that would say something by being empty is not signed at all (R-SIGN-02); where a legal card
must differ (an alternative that asks for a scheme with no scopes), it gets a signature of each kind.

Members that v1.0 does not know are outside the signature, as they are for the SDKs, whose cards are protobuf messages;
others sign the JSON as it stands. The SDK for JavaScript loses `securitySchemes` when it is handed a card of its own
class (a2a-js#663). `readings` therefore gives, for each way of reading, what would have been signed and what the reader
may then believe: never a member that the signature does not cover (R-SIGN-08).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from a2a_bridge.cards.schema import Member, members
from a2a_bridge.errors import CardError, Violation
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.objects import WireObject
from a2a_bridge.protocol.strict import MAX_DEPTH, deeper_than, object_of

MAX_BYTES = 1 << 20

JSONObject = dict[str, Any]
_NOTHING: tuple[Any, ...] = ("", [], {})


def strict_json(data: bytes | str, source: str) -> JSONObject:
    """JSON text as an object; CardError for what two readers could read differently: a member that stands twice, text
    that is not UTF-8, numbers that are none, and for what is too large or too deep."""
    if len(data) > MAX_BYTES:
        raise CardError(f"{source}: larger than {MAX_BYTES} bytes")
    try:
        return object_of(data)
    except ValueError as error:
        raise CardError(f"{source}: not JSON that can be signed: {error}") from None


def is_v1(body: Mapping[str, Any]) -> bool:
    """Whether the card says where its agent is in the way of 1.0; a hybrid does, a pure 0.3 card does not."""
    return body.get("supportedInterfaces") is not None or body.get("supported_interfaces") is not None


def readings(body: Mapping[str, Any]) -> Iterator[tuple[JSONObject, JSONObject]]:
    """For each way of reading a card: what was signed if it is the signer's way, and what may be believed then."""
    raw = _without(body, "signatures")
    if is_v1(body):
        try:
            known = projected(raw)
        except CardError:
            pass  # not a card that protobuf could hold; somebody may have signed it as it stands
        else:
            yield known, known
            full = without_empties(known)
            if full != known:
                yield full, known
            if "securitySchemes" in full:
                yield _without(full, "securitySchemes"), _without(known, "securitySchemes")
    yield raw, raw


def _without(body: Mapping[str, Any], name: str) -> JSONObject:
    return {other: value for other, value in body.items() if other != name}


def to_be_signed(body: Mapping[str, Any]) -> list[JSONObject]:
    """What to sign of a card: one object, or one for each way of reading it where they differ.

    Raises CardError for a card that says something by being empty.
    """
    raw = _without(body, "signatures")
    if deeper_than(MAX_DEPTH, raw):
        raise CardError(f"the card cannot be signed: it is nested deeper than {MAX_DEPTH}")
    if not is_v1(body):
        if "url" not in body:
            raise CardError(
                "the card cannot be signed: it says nowhere where its agent is, so a server still fills it in"
            )
        return [raw]
    known = projected(raw)
    if problems := list(_unsignable(AgentCard, known, "")):
        shown = "; ".join(f"{problem.field}: {problem.description}" for problem in problems[:5])
        raise CardError(f"the card cannot be signed, because verifiers read what is empty differently: {shown}")
    full = without_empties(known)
    return [known] if full == known else [known, full]


def unsignable(body: Mapping[str, Any]) -> list[Violation]:
    """What keeps a card of 1.0 from being signed, by its place; nothing for a card that has not the shape of one."""
    raw = _without(body, "signatures")
    if deeper_than(MAX_DEPTH, raw):
        return [Violation("", f"it is nested deeper than {MAX_DEPTH}")]
    try:
        return list(_unsignable(AgentCard, projected(raw), "")) if is_v1(body) else []
    except CardError:
        return []


def projected(value: Mapping[str, Any], model: type[WireObject] = AgentCard, path: str = "") -> JSONObject:
    """The members of v1.0 that the object has, with the presence rules of §8.4.1; CardError if it has not their shape.

    Left out: unknown members, null, and what equals its default unless it is required or explicit.
    """
    found: JSONObject = {}
    for member in members(model):
        item = _given(value, member, path)
        if item is None:
            continue
        item = _shaped(item, member, f"{path}.{member.name}" if path else member.name)
        is_default = item is False or (item in _NOTHING and member.kind != "object")
        if not is_default or member.required or member.explicit:
            found[member.name] = item
    return found


def _given(value: Mapping[str, Any], member: Member, path: str) -> Any:
    """The member under either spelling; under both it is ambiguous."""
    if member.snake == member.name or member.snake not in value:
        return value.get(member.name)
    if member.name in value:
        raise CardError(f"{path or 'card'}: {member.name} is given twice, also as {member.snake}")
    return value[member.snake]


def _shaped(item: Any, member: Member, path: str) -> Any:
    many = member.kind in ("objects", "texts")
    mapped = member.kind in ("object map", "text map")
    wanted: type[Any] | Any = (
        str if member.kind == "text" else bool if member.kind == "flag" else list if many else Mapping
    )
    if not isinstance(item, wanted):
        raise CardError(f"{path}: not a {member.kind}")
    if member.kind in ("text", "flag", "free"):
        return item
    if mapped:
        return {name: _inner(part, member, f"{path}.{name}") for name, part in item.items()}
    if many:
        return [_inner(part, member, f"{path}[{index}]") for index, part in enumerate(item)]
    return _inner(item, member, path)


def _inner(item: Any, member: Member, path: str) -> Any:
    if member.model is None:
        if not isinstance(item, str):
            raise CardError(f"{path}: not a text")
        return item
    if not isinstance(item, Mapping):
        raise CardError(f"{path}: not an object")
    return projected(item, member.model, path)


def without_empties(value: Any) -> Any:
    """The value as both official SDKs sign it: no empty text, list or object, and no null, at any depth."""
    if isinstance(value, Mapping):
        inner = {name: without_empties(item) for name, item in value.items()}
        return {name: item for name, item in inner.items() if not _is_nothing(item)}
    if isinstance(value, list | tuple):
        return [item for item in map(without_empties, value) if not _is_nothing(item)]
    return value


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | Mapping) and not value)


def _unsignable(model: type[WireObject], value: Mapping[str, Any], path: str) -> Iterator[Violation]:
    """Members that mean something by being empty: a required text or list, anything in free-form parameters."""
    for member in members(model):
        item = value.get(member.name)
        where = f"{path}.{member.name}" if path else member.name
        if item is None:
            continue
        if item in ("", []):
            yield Violation(where, "is empty")
        elif member.kind == "free" and without_empties(item) != item:
            yield Violation(where, "holds something empty or null")
        elif member.kind == "texts" and "" in item:
            yield Violation(where, "holds an empty text")
        elif member.model is not None:
            yield from _inside(member, member.model, item, where)


def _inside(member: Member, model: type[WireObject], item: Any, where: str) -> Iterator[Violation]:
    if member.kind == "objects":
        for index, part in enumerate(item):
            yield from _unsignable(model, part, f"{where}[{index}]")
    elif member.kind == "object map":
        for name, part in item.items():
            yield from _unsignable(model, part, f"{where}.{name}")
    else:
        yield from _unsignable(model, item, where)
