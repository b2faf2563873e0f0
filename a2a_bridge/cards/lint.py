"""Everything that a reader can hold against a card, as findings with stable codes; nothing is fetched.

A card of 1.0 and a hybrid are read by the table of the specification, member by member, then for sense. A card of 0.3
is held to what 0.3 requires, then lifted, and the same questions are asked; fields are named as they stand in it.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from a2a_bridge.cards.canonical import is_v1, strict_json
from a2a_bridge.cards.checks import checks, signature_checks
from a2a_bridge.cards.findings import Finding
from a2a_bridge.cards.legacy import lifted, without_nulls
from a2a_bridge.cards.schema import Member, members
from a2a_bridge.errors import CardError
from a2a_bridge.protocol.card import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from a2a_bridge.protocol.objects import WireObject
from a2a_bridge.protocol.security import SecurityScheme

OLD_MEMBERS = (
    "url", "preferredTransport", "protocolVersion", "additionalInterfaces", "security",
    "supportsAuthenticatedExtendedCard",
)  # fmt: skip
"""What 0.3 has at the top of a card and 1.0 has not."""

_OLD: Mapping[type[WireObject], frozenset[str]] = {
    AgentCard: frozenset(OLD_MEMBERS),
    AgentCapabilities: frozenset({"stateTransitionHistory"}),
    AgentSkill: frozenset({"security"}),
    AgentInterface: frozenset({"transport"}),
    SecurityScheme: frozenset(
        {
            "type",
            "in",
            "name",
            "scheme",
            "bearerFormat",
            "flows",
            "openIdConnectUrl",
            "oauth2MetadataUrl",
            "description",
        }
    ),
}
_REQUIRED_IN_0_3 = (
    "name", "description", "url", "version", "capabilities", "defaultInputModes", "defaultOutputModes", "skills",
)  # fmt: skip
_INTERFACE = re.compile(r"^supportedInterfaces\[(\d+)\](?:\.(\w+))?")


def shape_of(body: Mapping[str, Any]) -> str:
    """`1.0`, `0.3`, or `hybrid` for a card that has members of both."""
    old = any(name in body for name in OLD_MEMBERS)
    return ("hybrid" if old else "1.0") if is_v1(body) or not old else "0.3"


def lint_text(text: bytes, *, served: bool) -> tuple[str, list[Finding]]:
    """The shape of the card in these bytes, and what is wrong with it. `served`: it came from a server, so that its
    interfaces have to be there."""
    try:
        body = strict_json(text.removeprefix(b"\xef\xbb\xbf"), "card")
    except CardError as error:
        message = error.message.removeprefix("card: ")
        code = "C002" if "twice" in message else "C001"
        return "unknown", [Finding(code, "", message, "write one JSON object in UTF-8, every member once")]
    return shape_of(body), lint(body, served=served)


def lint(body: Mapping[str, Any], *, served: bool = True) -> list[Finding]:
    """What is wrong with a card, errors first, else in the order of the specification."""
    shape = shape_of(body)
    found = list(_of_0_3(body) if shape == "0.3" else _of_1_0(body, shape == "hybrid", served))
    found += signature_checks(body)
    order = ("error", "warning", "note")
    return sorted(dict.fromkeys(found), key=lambda finding: order.index(finding.severity))


def _of_1_0(body: Mapping[str, Any], is_hybrid: bool, served: bool) -> Iterator[Finding]:
    for finding in _shape(AgentCard, body, "", is_hybrid):
        if finding.field == "supportedInterfaces" and finding.code in ("C101", "C103") and not served:
            yield Finding("C209", finding.field, "no interfaces: right for a file that a2a-bridge serves")
        else:
            yield finding
    yield from checks(_canonical_names(AgentCard, body))
    if is_hybrid:
        yield from _contradictions(body)


def _of_0_3(body: Mapping[str, Any]) -> Iterator[Finding]:
    hint = 'serve supportedInterfaces too; here: card = "hybrid" in [versions]'
    yield Finding("C301", "", "clients of 1.0 cannot read this card", hint)
    for name in _REQUIRED_IN_0_3:
        if body.get(name) in (None, ""):
            yield Finding("C304", name, "0.3 requires it")
    for finding in checks(lifted(without_nulls(body))):
        if finding.code not in ("C210", "C505"):  # 0.3 is what it speaks, and allows several flows
            field = _INTERFACE.sub(_in_0_3, finding.field).replace("securityRequirements", "security")
            yield Finding(finding.code, field, finding.message, finding.hint)


def _in_0_3(match: re.Match[str]) -> str:
    """Where 0.3 says what 1.0 says of an interface."""
    index, member = int(match.group(1)), match.group(2)
    if member == "protocolVersion":
        return member
    if index == 0:
        return "preferredTransport" if member == "protocolBinding" else "url"
    return f"additionalInterfaces[{index - 1}]." + ("transport" if member == "protocolBinding" else "url")


def _shape(model: type[WireObject], value: Mapping[str, Any], path: str, is_hybrid: bool) -> Iterator[Finding]:
    known = members(model)
    spelled = {member.name for member in known} | {member.snake for member in known}
    for name in value:
        if name not in spelled and not (is_hybrid and name in _OLD.get(model, frozenset())):
            yield _unknown(name, model, _at(path, name))
    for member in known:
        yield from _member(member, value, _at(path, member.name), is_hybrid)


def _unknown(name: str, model: type[WireObject], where: str) -> Finding:
    names = [member.name for member in members(model)]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
    if name in _OLD.get(model, frozenset()):
        return Finding("C104", where, "is a member of 0.3", "1.0 has supportedInterfaces and wrapped security schemes")
    return Finding("C104", where, "is not a member of 1.0", f"did you mean {close[0]}?" if close else "remove it")


def _member(member: Member, value: Mapping[str, Any], where: str, is_hybrid: bool) -> Iterator[Finding]:
    has_both = member.snake != member.name and member.name in value and member.snake in value
    if has_both:
        yield Finding("C107", where, f"is given as {member.snake} too", "keep the lowerCamelCase one")
        return
    name = member.name if member.name in value else member.snake
    if name != member.name and name in value:
        yield Finding("C105", where, f"is spelled {name}", f"write {member.name}")
    item = value.get(name)
    if item is None:
        if name in value:
            yield Finding("C106", where, "is null, which means absent", "leave it out")
        if member.required:
            yield Finding("C101", where, "is required")
    elif not _has_type(item, member):
        yield Finding("C102", where, f"must be {_WORDS[member.kind]}")
    else:
        yield from _emptiness(member, item, where)
        yield from _within(member, item, where, is_hybrid)


def _emptiness(member: Member, item: Any, where: str) -> Iterator[Finding]:
    is_empty = item in ("", []) or (isinstance(item, str) and not item.strip())
    if is_empty and member.required:
        yield Finding("C103", where, "is required and empty")
    elif is_empty or (item == {} and member.kind in ("object map", "free")):
        yield Finding("C108", where, "is empty", "leave it out: verifiers read empty members differently")
    if member.kind == "texts":
        for index, text in enumerate(item):
            if isinstance(text, str) and not text.strip():
                yield Finding("C103", f"{where}[{index}]", "is empty")


_WORDS: Mapping[str, str] = {
    "text": "text", "flag": "true or false", "object": "an object", "texts": "a list of texts",
    "objects": "a list of objects", "text map": "an object of texts", "object map": "an object of objects",
    "free": "an object",
}  # fmt: skip


def _has_type(item: Any, member: Member) -> bool:
    if member.kind == "text":
        return isinstance(item, str)
    if member.kind == "flag":
        return isinstance(item, bool)
    if member.kind in ("object", "free"):
        return isinstance(item, Mapping)
    inner = str if member.model is None else Mapping
    if member.kind in ("texts", "objects"):
        return isinstance(item, list) and all(isinstance(part, inner) for part in item)
    return isinstance(item, Mapping) and all(isinstance(part, inner) for part in item.values())


def _within(member: Member, item: Any, where: str, is_hybrid: bool) -> Iterator[Finding]:
    if member.model is None:
        return
    if member.kind == "object":
        yield from _shape(member.model, item, where, is_hybrid)
    elif member.kind == "objects":
        for index, part in enumerate(item):
            yield from _shape(member.model, part, f"{where}[{index}]", is_hybrid)
    else:
        for name, part in item.items():
            yield from _shape(member.model, part, f"{where}.{name}", is_hybrid)


def _canonical_names(model: type[WireObject], value: Mapping[str, Any]) -> dict[str, Any]:
    """The top of the card with lowerCamelCase names, so that the checks ask once."""
    renamed = {member.snake: member.name for member in members(model)}
    return {renamed.get(name, name): item for name, item in value.items() if item is not None}


def _contradictions(body: Mapping[str, Any]) -> Iterator[Finding]:
    """R-CARD-05, R-CARD-12: what a client of 0.3 reads in a hybrid must be among what 1.0 offers as 0.3."""
    listed = body.get("supportedInterfaces")
    entries = [entry for entry in listed if isinstance(entry, Mapping)] if isinstance(listed, list) else []
    old = [entry for entry in entries if str(entry.get("protocolVersion", "")).startswith("0.")]
    if not old:
        yield Finding(
            "C303", "supportedInterfaces", "has no interface of 0.3, but there are members of 0.3",
            "list the 0.3 interface, or remove url, preferredTransport, protocolVersion",
        )  # fmt: skip
        return
    offered = {(str(entry.get("url")), str(entry.get("protocolBinding", "")).upper()) for entry in old}
    more = body.get("additionalInterfaces")
    named = [("url", body.get("url"), body.get("preferredTransport") or "JSONRPC")] + [
        (f"additionalInterfaces[{index}]", entry.get("url"), entry.get("transport"))
        for index, entry in enumerate(more if isinstance(more, list) else ())
        if isinstance(entry, Mapping)
    ]
    for where, url, transport in named:
        if url is None and where == "url":
            yield Finding("C304", "url", "0.3 requires it", "clients of 0.3 look for url first")
        elif (str(url), str(transport).upper()) not in offered:
            yield Finding(
                "C302", where, f"{transport} at {url} is not among the 0.3 interfaces of supportedInterfaces",
                "make them agree: clients of the two versions would call different servers",
            )  # fmt: skip


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
