"""Agent cards from files and from the network, checked; a CardError names the source, the field and the reason.

Our own cards are held to the specification (`load_card`, R-CARD-07). Cards of others are taken as they are as long as
they can be used at all (`card_from_json(..., lenient=True)`, R-CARD-12).
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from a2a_bridge.cards.legacy import lifted, without_nulls
from a2a_bridge.errors import CardError, InvalidParamsError, Violation
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.requests import parse

CARD_FOLDER = "agent_cards"
_SHIPPED = Path(__file__).resolve().parents[2] / CARD_FOLDER
_SHOWN = 5
_OPTIONAL = frozenset(
    {"provider", "documentationUrl", "iconUrl", "securitySchemes", "securityRequirements", "signatures"}
)


def load_card(source: str | Path | bytes) -> AgentCard:
    """The card in a JSON file, or in the bytes of one; v1.0 wire form, complete but for the interfaces.

    A file without `supportedInterfaces` is right: the server fills them in. A relative path `agent_cards/NAME.json`
    that does not exist here means the card of that name that comes with this package. Raises CardError.
    """
    if isinstance(source, bytes):
        return card_from_json(source)
    path = _found(Path(source))
    try:
        body = path.read_bytes()
    except OSError as error:
        raise CardError(f"{source}: the agent card cannot be read: {error.strerror or error}") from error
    return card_from_json(body, source=str(source))


def shipped_cards() -> list[str]:
    """Names of the cards that come with this package, for `load_card("agent_cards/NAME.json")`."""
    return sorted(path.stem for path in _SHIPPED.glob("*.json"))


def card_from_json(
    data: bytes | str | Mapping[str, Any], *, lenient: bool = False, source: str = "agent card"
) -> AgentCard:
    """The card that JSON text, or a parsed JSON object, describes; `source` stands in front of error messages.

    Strict: v1.0 only, and every REQUIRED member present and not empty; interfaces are checked if there are any.
    Lenient, for cards of others: v0.3 shapes are lifted, empty lists are accepted, optional members that make no
    sense are dropped; what is left must have a name and an interface. Raises CardError.
    """
    found = without_nulls(_object(data, source))
    if lenient:
        return _lenient(lifted(found), source)
    problems = list(_missing(found))
    card = None
    try:
        card = parse(AgentCard, found)
    except InvalidParamsError as error:
        known = {problem.field for problem in problems}
        problems += [problem for problem in error.violations if problem.field not in known]
    if card is not None:
        problems += _violations(card)
    if card is None or problems:
        _refuse(source, problems)
    return card


def _found(path: Path) -> Path:
    if not path.is_absolute() and not path.exists() and path.parent == Path(CARD_FOLDER):
        return _SHIPPED / path.name
    return path


def _refuse(source: str, problems: list[Violation]) -> NoReturn:
    shown = "; ".join(f"{problem.field or 'card'}: {problem.description}" for problem in problems[:_SHOWN])
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    raise CardError(f"{source}: not a valid agent card: {shown}{more}")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _object(data: bytes | str | Mapping[str, Any], source: str) -> Mapping[str, Any]:
    found: Any = data
    if isinstance(data, bytes | str):
        try:
            text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
            found = json.loads(text, parse_constant=_no_constant)
        except json.JSONDecodeError as error:
            raise CardError(f"{source}: not JSON: {error.msg} at line {error.lineno}, column {error.colno}") from error
        except UnicodeDecodeError as error:
            raise CardError(f"{source}: not UTF-8 text (byte {error.start})") from error
        except (ValueError, RecursionError) as error:
            raise CardError(f"{source}: not JSON: {error}") from error
    if not isinstance(found, Mapping):
        raise CardError(f"{source}: an agent card is a JSON object, not {type(found).__name__}")
    return found


def _top(field: str) -> str:
    """The member of the card that a field path starts with."""
    return field.partition(".")[0].partition("[")[0]


def _lenient(found: dict[str, Any], source: str) -> AgentCard:
    try:
        card = parse(AgentCard, found)
    except InvalidParamsError as error:
        problems = {violation: _top(violation.field) for violation in error.violations}
        broken = set(problems.values())
        if not broken <= _OPTIONAL:
            _refuse(source, [problem for problem, top in problems.items() if top not in _OPTIONAL])
        return _lenient({name: item for name, item in found.items() if name not in broken}, source)
    if not card.name.strip():
        _refuse(source, [Violation("name", "is empty")])
    if not any(interface.url.strip() for interface in card.supported_interfaces):
        _refuse(source, [Violation("supportedInterfaces", "names no URL, nor does a v0.3 member `url`")])
    return card


_REQUIRED_LISTS = (
    ("capabilities", "capabilities"),
    ("defaultInputModes", "default_input_modes"),
    ("defaultOutputModes", "default_output_modes"),
    ("skills", "skills"),
)


def _missing(found: Mapping[str, Any]) -> Iterator[Violation]:
    """Members that the specification requires and our model has a default for."""
    for name, snake in _REQUIRED_LISTS:
        if name not in found and snake not in found:
            yield Violation(name, "is required")
    if "url" in found and not (found.get("supportedInterfaces") or found.get("supported_interfaces")):
        yield Violation(
            "url", "belongs to the v0.3 card; write supportedInterfaces, or nothing: the server fills it in"
        )
    interfaces = found.get("supportedInterfaces")
    for index, entry in enumerate(interfaces if isinstance(interfaces, list) else ()):
        if isinstance(entry, Mapping) and not (entry.get("protocolVersion") or entry.get("protocol_version")):
            yield Violation(f"supportedInterfaces[{index}].protocolVersion", 'is required, such as "1.0"')


def _violations(card: AgentCard) -> Iterator[Violation]:
    """REQUIRED members that are present and empty, and references that lead nowhere."""
    for name, text in (("name", card.name), ("description", card.description), ("version", card.version)):
        yield from _empty(name, text)
    for name, modes in (
        ("defaultInputModes", card.default_input_modes),
        ("defaultOutputModes", card.default_output_modes),
        ("skills", card.skills),
    ):
        if not modes:
            yield Violation(name, "needs at least one element")
    yield from _skill_violations(card)
    for index, interface in enumerate(card.supported_interfaces):
        yield from _empty(f"supportedInterfaces[{index}].url", interface.url)
        yield from _empty(f"supportedInterfaces[{index}].protocolBinding", interface.protocol_binding)
    for index, extension in enumerate(card.capabilities.extensions or ()):
        yield from _empty(f"capabilities.extensions[{index}].uri", extension.uri)
    for index, requirement in enumerate(card.security_requirements or ()):
        for scheme in requirement.schemes:
            if scheme not in (card.security_schemes or {}):
                yield Violation(f"securityRequirements[{index}]", f"names {scheme!r}, which securitySchemes lacks")


def _skill_violations(card: AgentCard) -> Iterator[Violation]:
    seen: set[str] = set()
    for index, skill in enumerate(card.skills):
        for name, text in (("id", skill.id), ("name", skill.name), ("description", skill.description)):
            yield from _empty(f"skills[{index}].{name}", text)
        if not any(tag.strip() for tag in skill.tags):
            yield Violation(f"skills[{index}].tags", "needs at least one element")
        if skill.id in seen:
            yield Violation(f"skills[{index}].id", f"{skill.id!r} is used twice")
        seen.add(skill.id)


def _empty(field: str, text: str) -> Iterator[Violation]:
    if not text.strip():
        yield Violation(field, "is empty")
