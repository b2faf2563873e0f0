"""What changed between two cards of an agent, and whether callers of the old one can go on (`D1`: no, `D2`: yes).

The question is always the same: does everything still work that a client did by the old card? More ways in, more
skills, more modes are compatible; fewer, or more conditions, are not.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from a2a_bridge.protocol.card import AgentCard, AgentInterface, AgentSkill
from a2a_bridge.protocol.objects import JSONValue, dump

CHANGES: Mapping[str, str] = {
    "D101": "an interface is gone",
    "D102": "a skill is gone",
    "D103": "an input mode is no longer taken",
    "D104": "an output mode is no longer given",
    "D105": "a capability is withdrawn",
    "D106": "an extension is gone",
    "D107": "an extension is required now",
    "D108": "a way to authenticate is gone, or asks for more",
    "D109": "a security scheme works differently",
    "D110": "the agent has another name",
    "D201": "an interface is new",
    "D202": "a skill is new",
    "D203": "an input mode is new",
    "D204": "an output mode is new",
    "D205": "a capability is new",
    "D206": "an extension is new",
    "D207": "an extension is no longer required",
    "D208": "a way to authenticate is new, or asks for less",
    "D209": "a security scheme is new, or gone unused",
    "D210": "another interface is preferred",
    "D211": "words changed",
}
"""What each code says. A code never changes its meaning."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: its code, where it is, and the two values as text; None where there was or is nothing."""

    code: str
    field: str
    before: str | None = None
    after: str | None = None

    @property
    def is_breaking(self) -> bool:
        """A client that did what the old card says can fail now."""
        return self.code.startswith("D1")

    def as_json(self) -> dict[str, JSONValue]:
        """The change for programs."""
        found: dict[str, JSONValue] = {"code": self.code, "breaking": self.is_breaking, "field": self.field}
        found["message"] = CHANGES[self.code]
        values: dict[str, JSONValue] = {"before": self.before, "after": self.after}
        return found | {name: value for name, value in values.items() if value is not None}


def compare(before: AgentCard, after: AgentCard) -> list[Change]:
    """What is different, what breaks first."""
    found = [
        *_interfaces(before, after),
        *_skills(before, after),
        *_modes("", before.default_input_modes, after.default_input_modes, is_input=True),
        *_modes("", before.default_output_modes, after.default_output_modes, is_input=False),
        *_capabilities(before, after),
        *_extensions(before, after),
        *_requirements(before, after),
        *_schemes(before, after),
        *_words(before, after),
    ]
    return sorted(found, key=lambda change: not change.is_breaking)


def _interfaces(before: AgentCard, after: AgentCard) -> Iterator[Change]:
    old, new = (
        [_address(entry) for entry in before.supported_interfaces],
        [_address(entry) for entry in after.supported_interfaces],
    )
    yield from _lost_and_won("supportedInterfaces", "D101", "D201", old, new)
    if old and new and old[0] != new[0] and old[0] in new:
        yield Change("D210", "supportedInterfaces", old[0], new[0])


def _address(entry: AgentInterface) -> str:
    tenant = f" tenant {entry.tenant}" if entry.tenant else ""
    return f"{entry.protocol_binding.upper()} {entry.protocol_version} {entry.url}{tenant}"


def _lost_and_won(field: str, lost: str, won: str, old: Iterable[str], new: Iterable[str]) -> Iterator[Change]:
    before, after = dict.fromkeys(old), dict.fromkeys(new)
    yield from (Change(lost, field, item, None) for item in before if item not in after)
    yield from (Change(won, field, None, item) for item in after if item not in before)


def _skills(before: AgentCard, after: AgentCard) -> Iterator[Change]:
    old = {skill.id: skill for skill in before.skills}
    new = {skill.id: skill for skill in after.skills}
    yield from _lost_and_won("skills", "D102", "D202", old, new)
    for key in old.keys() & new.keys():
        yield from _skill(f"skills.{key}", (old[key], before), (new[key], after))


def _skill(where: str, old: tuple[AgentSkill, AgentCard], new: tuple[AgentSkill, AgentCard]) -> Iterator[Change]:
    (skill, card), (skill_now, card_now) = old, new
    if skill.input_modes or skill_now.input_modes:
        modes = (skill.input_modes or card.default_input_modes, skill_now.input_modes or card_now.default_input_modes)
        yield from _modes(where, *modes, is_input=True)
    if skill.output_modes or skill_now.output_modes:
        modes = (
            skill.output_modes or card.default_output_modes, skill_now.output_modes or card_now.default_output_modes
        )  # fmt: skip
        yield from _modes(where, *modes, is_input=False)
    if (skill.name, skill.description, skill.tags, skill.examples) != (
        skill_now.name, skill_now.description, skill_now.tags, skill_now.examples
    ):  # fmt: skip
        yield Change("D211", where)
    if dump(skill.security_requirements or ()) != dump(skill_now.security_requirements or ()):
        yield from _alternatives(where, skill.security_requirements, skill_now.security_requirements)


def _modes(where: str, old: Iterable[str], new: Iterable[str], *, is_input: bool) -> Iterator[Change]:
    name = (
        ("inputModes" if is_input else "outputModes")
        if where
        else ("defaultInputModes" if is_input else "defaultOutputModes")
    )
    lost, won = ("D103", "D203") if is_input else ("D104", "D204")
    yield from _lost_and_won(f"{where}.{name}" if where else name, lost, won, map(str.lower, old), map(str.lower, new))


def _capabilities(before: AgentCard, after: AgentCard) -> Iterator[Change]:
    for snake, name in (
        ("streaming", "streaming"),
        ("push_notifications", "pushNotifications"),
        ("extended_agent_card", "extendedAgentCard"),
    ):
        old, new = bool(getattr(before.capabilities, snake)), bool(getattr(after.capabilities, snake))
        if old != new:
            yield Change("D105" if old else "D205", f"capabilities.{name}")


def _extensions(before: AgentCard, after: AgentCard) -> Iterator[Change]:
    old = {entry.uri: entry for entry in before.capabilities.extensions or ()}
    new = {entry.uri: entry for entry in after.capabilities.extensions or ()}
    field = "capabilities.extensions"
    for uri in dict.fromkeys([*old, *new]):
        required = uri in old and old[uri].required
        required_now = uri in new and new[uri].required
        if uri not in new:
            yield Change("D106", field, uri, None)
        elif required_now and not required:
            yield Change("D107", field, None, uri)
        elif uri not in old:
            yield Change("D206", field, None, uri)
        elif required and not required_now:
            yield Change("D207", field, uri, uri)
        elif dump(old[uri].params) != dump(new[uri].params) or old[uri].description != new[uri].description:
            yield Change("D211", f"{field}.{uri}")


def _requirements(before: AgentCard, after: AgentCard) -> Iterator[Change]:
    yield from _alternatives("", before.security_requirements, after.security_requirements)


def _alternatives(where: str, before: Iterable[Any] | None, after: Iterable[Any] | None) -> Iterator[Change]:
    """Each alternative of old must be met by a new one that asks for no more; no list at all asks for nothing."""
    field = f"{where}.securityRequirements" if where else "securityRequirements"
    old, new = _asked(before), _asked(after)
    for asked in old:
        if not any(now <= asked for now in new):
            yield Change("D108", field, _said(asked), None if len(new) != 1 else _said(new[0]))
    for asked in new:
        if asked not in old and not any(asked >= before for before in old):
            yield Change("D208", field, None, _said(asked))


def _asked(requirements: Iterable[Any] | None) -> list[frozenset[tuple[str, str]]]:
    """What each alternative asks for: pairs of scheme and scope, and of scheme and nothing for the scheme itself."""
    found = []
    for requirement in requirements or ():
        asked = {(name, "") for name in requirement.schemes}
        asked |= {(name, scope) for name, scopes in requirement.schemes.items() for scope in scopes.list}
        found.append(frozenset(asked))
    return found or [frozenset()]


def _said(asked: frozenset[tuple[str, str]]) -> str:
    schemes = sorted({name for name, _ in asked})
    said = []
    for name in schemes:
        scopes = sorted(scope for of, scope in asked if of == name and scope)
        said.append(f"{name} ({', '.join(scopes)})" if scopes else name)
    return " and ".join(said) or "nothing"


def _schemes(before: AgentCard, after: AgentCard) -> Iterator[Change]:
    old: Mapping[str, Any] = dump(before.security_schemes or {})
    new: Mapping[str, Any] = dump(after.security_schemes or {})
    used = {name for asked in _asked(before.security_requirements) for name, _ in asked}
    for name in sorted(old.keys() | new.keys()):
        field = f"securitySchemes.{name}"
        if name not in new or name not in old:
            if not (name in used and name not in new):  # a requirement that is gone says so itself
                yield Change("D209", field)
        elif _mechanics(old[name]) != _mechanics(new[name]):
            yield Change("D109" if name in used else "D209", field, ", ".join(old[name]), ", ".join(new[name]))


def _mechanics(scheme: Any) -> Any:
    """A scheme without its words."""
    if isinstance(scheme, Mapping):
        return {name: _mechanics(item) for name, item in scheme.items() if name != "description"}
    return scheme


def _words(before: AgentCard, after: AgentCard) -> Iterator[Change]:
    if before.name != after.name:
        yield Change("D110", "name", before.name, after.name)
    for snake, name in (
        ("description", "description"), ("version", "version"), ("documentation_url", "documentationUrl"),
        ("icon_url", "iconUrl"),
    ):  # fmt: skip
        old, new = getattr(before, snake), getattr(after, snake)
        if old != new:
            yield Change("D211", name, old, new)
    if dump(before.provider) != dump(after.provider):
        yield Change("D211", "provider")
