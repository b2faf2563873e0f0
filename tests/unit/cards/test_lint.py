"""What lint finds in a card, code by code."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwk

from a2a_bridge.cards.canonical import MAX_BYTES
from a2a_bridge.cards.findings import CODES
from a2a_bridge.cards.lint import lint, lint_text, shape_of
from a2a_bridge.cards.load import shipped_cards
from a2a_bridge.cards.sign import load_signing_key, sign_card

URL = "https://agents.example.org/a"
CARD: dict[str, Any] = {
    "name": "a",
    "description": "Does it.",
    "version": "1.0.0",
    "supportedInterfaces": [{"url": URL, "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
    "capabilities": {"streaming": True, "extensions": [{"uri": "urn:x:1"}]},
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain; charset=utf-8", "image/*"],
    "securitySchemes": {
        "bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer"}},
        "oauth": {
            "oauth2SecurityScheme": {
                "flows": {"clientCredentials": {"tokenUrl": "https://id.example.org/t", "scopes": {"ask": "Ask."}}}
            }
        },
    },
    "securityRequirements": [{"schemes": {"bearer": {}}}, {"schemes": {"oauth": {"list": ["ask"]}}}],
    "skills": [{"id": "s", "name": "S", "description": "Does it.", "tags": ["t"]}],
}
OLD: dict[str, Any] = {
    "name": "old", "description": "d", "url": URL, "version": "1", "protocolVersion": "0.3.0", "capabilities": {},
    "defaultInputModes": ["text/plain"], "defaultOutputModes": ["text/plain"],
    "skills": [{"id": "s", "name": "S", "description": "d", "tags": ["t"]}],
    "securitySchemes": {"b": {"type": "http", "scheme": "Bearer"}}, "security": [{"b": []}],
    "additionalInterfaces": [{"url": URL, "transport": "HTTP+JSON"}],
}  # fmt: skip

Change = Callable[[dict[str, Any]], object]


def interface(card: dict[str, Any]) -> dict[str, Any]:
    return card["supportedInterfaces"][0]


def scheme(kind: str, **members: Any) -> Change:
    def change(card: dict[str, Any]) -> None:
        card["securitySchemes"]["new"] = {kind: members}
        card["securityRequirements"].append({"schemes": {"new": {}}})

    return change


def flows(**found: Any) -> Change:
    return scheme("oauth2SecurityScheme", flows=found)


def hybrid(card: dict[str, Any], **more: Any) -> None:
    card["supportedInterfaces"].append({**interface(card), "protocolVersion": "0.3"})
    card |= {"url": URL, "preferredTransport": "JSONRPC", "protocolVersion": "0.3.0", **more}


def signature(**header: Any) -> Change:
    import base64

    text = base64.urlsafe_b64encode(json.dumps(header).encode()).decode().rstrip("=")
    return lambda card: card.update(signatures=[{"protected": text, "signature": "x"}])


PLAIN = {"tokenUrl": "https://id.example.org/t", "scopes": {"a": "A."}}
ROWS: list[tuple[str, str, Change]] = [
    ("C101", "version", lambda c: c.pop("version")),
    ("C101", "supportedInterfaces", lambda c: c.pop("supportedInterfaces")),
    ("C101", "supportedInterfaces[0].protocolVersion", lambda c: interface(c).pop("protocolVersion")),
    ("C101", "skills[0].tags", lambda c: c["skills"][0].pop("tags")),
    ("C102", "name", lambda c: c.update(name=7)),
    ("C102", "capabilities.streaming", lambda c: c["capabilities"].update(streaming="true")),
    ("C102", "defaultInputModes", lambda c: c.update(defaultInputModes="text/plain")),
    ("C102", "skills", lambda c: c.update(skills=["s"])),
    ("C103", "description", lambda c: c.update(description=" ")),
    ("C103", "skills", lambda c: c.update(skills=[])),
    ("C103", "skills[0].tags[0]", lambda c: c["skills"][0].update(tags=[""])),
    ("C104", "protocolVersions", lambda c: c.update(protocolVersions=["1.0"])),
    ("C104", "skills[0].inputMode", lambda c: c["skills"][0].update(inputMode=["text/plain"])),
    ("C105", "defaultInputModes", lambda c: c.update(default_input_modes=c.pop("defaultInputModes"))),
    ("C106", "iconUrl", lambda c: c.update(iconUrl=None)),
    ("C107", "defaultInputModes", lambda c: c.update(default_input_modes=["text/plain"])),
    ("C108", "skills[0].examples", lambda c: c["skills"][0].update(examples=[])),
    ("C201", "supportedInterfaces[0].url", lambda c: interface(c).update(url="/a")),
    ("C201", "documentationUrl", lambda c: c.update(documentationUrl="http://[broken")),
    ("C202", "provider.url", lambda c: c.update(provider={"url": "http://example.org", "organization": "E"})),
    ("C203", "supportedInterfaces[0].url", lambda c: interface(c).update(url="http://0.0.0.0:8080/")),
    ("C204", "supportedInterfaces[0].url", lambda c: interface(c).update(url="https://me:pw@example.org/")),
    ("C205", "supportedInterfaces[0].protocolVersion", lambda c: interface(c).update(protocolVersion="1.0.0")),
    ("C206", "supportedInterfaces[0].protocolBinding", lambda c: interface(c).update(protocolBinding="SOAP")),
    ("C207", "supportedInterfaces[1]",
     lambda c: c["supportedInterfaces"].insert(0, {**interface(c), "protocolVersion": "0.3"})),
    ("C208", "supportedInterfaces[1]", lambda c: c["supportedInterfaces"].append(interface(c))),
    ("C210", "supportedInterfaces", lambda c: interface(c).update(protocolVersion="0.3")),
    ("C302", "url", lambda c: hybrid(c, url="https://other.example.org/")),
    ("C302", "additionalInterfaces[0]", lambda c: hybrid(c, additionalInterfaces=[{"url": URL, "transport": "GRPC"}])),
    ("C303", "supportedInterfaces", lambda c: c.update(url=URL)),
    ("C304", "url", lambda c: (hybrid(c), c.pop("url"))),
    ("C401", "skills[1].id", lambda c: c["skills"].append(c["skills"][0])),
    ("C402", "defaultInputModes[0]", lambda c: c.update(defaultInputModes=["text"])),
    ("C402", "skills[0].outputModes[0]", lambda c: c["skills"][0].update(outputModes=["json/"])),
    ("C501", "securityRequirements[0]", lambda c: c["securitySchemes"].pop("bearer")),
    ("C502", "securitySchemes.new", scheme("unknownScheme")),
    ("C503", "securitySchemes.new.apiKeySecurityScheme.location",
     scheme("apiKeySecurityScheme", location="body", name="k")),
    ("C504", "securitySchemes.new.apiKeySecurityScheme.location",
     scheme("apiKeySecurityScheme", location="query", name="k")),
    ("C505", "securitySchemes.new.oauth2SecurityScheme.flows", flows()),
    ("C505", "securitySchemes.new.oauth2SecurityScheme.flows", flows(clientCredentials=PLAIN, password=PLAIN)),
    ("C506", "securitySchemes.new.oauth2SecurityScheme.flows.password", flows(password=PLAIN)),
    ("C201", "securitySchemes.new.oauth2SecurityScheme.flows.clientCredentials.tokenUrl",
     flows(clientCredentials={**PLAIN, "tokenUrl": "id.example.org"})),
    ("C202", "securitySchemes.new.openIdConnectSecurityScheme.openIdConnectUrl",
     scheme("openIdConnectSecurityScheme", openIdConnectUrl="http://id.example.org/")),
    ("C507", "securityRequirements[1]", lambda c: c["securityRequirements"][1]["schemes"]["oauth"]["list"].append("x")),
    ("C508", "capabilities.extendedAgentCard",
     lambda c: (c.pop("securitySchemes"), c.pop("securityRequirements"),
                c["capabilities"].update(extendedAgentCard=True))),
    ("C509", "securitySchemes.oauth", lambda c: c["securityRequirements"].pop()),
    ("C510", "securityRequirements[2]", lambda c: c["securityRequirements"].append({"schemes": {}})),
    ("C511", "skills[0].examples[0]", lambda c: c["skills"][0].update(examples=["use sk-abcdefghijklmnop1234"])),
    ("C511", "capabilities.extensions[0].params.auth",
     lambda c: c["capabilities"]["extensions"][0].update(params={"auth": "Bearer " + "a" * 24})),
    ("C601", "capabilities.extensions[1].uri", lambda c: c["capabilities"]["extensions"].append({"uri": "urn:x:1"})),
    ("C602", "capabilities.extensions[0].uri", lambda c: c["capabilities"]["extensions"][0].update(uri="my ext")),
    ("C701", "signatures", lambda c: None),
    ("C702", "signatures[0].protected", lambda c: c.update(signatures=[{"protected": "%", "signature": "x"}])),
    ("C703", "signatures[0].protected", signature(alg="none", kid="k")),
    ("C703", "signatures[0].protected", signature(alg="HS256", kid="k")),
    ("C704", "signatures[0].protected", signature(alg="ES256")),
    ("C705", "capabilities.extensions[0].params",
     lambda c: c["capabilities"]["extensions"][0].update(params={"a": ""})),
    ("C706", "signatures[0].protected", signature(alg="ES256", kid="k", crit=["exp"])),
    ("C707", "signatures[0].protected", signature(alg="ES256", kid="k", jku="https://example.org/k")),
    ("C708", "x", lambda c: (signature(alg="ES256", kid="k")(c), c.update(x=1))),
]  # fmt: skip
ELSEWHERE = {"C001", "C002", "C209", "C301", "C801", "C802", "C803", "C804", "C805"}


@pytest.mark.parametrize(("code", "field", "change"), ROWS, ids=[f"{code} {field}" for code, field, _ in ROWS])
def test_each_fault_is_found_with_its_code_and_its_place(code: str, field: str, change: Change) -> None:
    """R-CARD-05, R-CARD-07, R-SEC-05, R-EXTC-01: one fault, that finding, at that field; a right card has no such."""
    card = copy.deepcopy(CARD)
    if code != "C701":
        assert code not in {finding.code for finding in lint(card)}
    change(card)
    assert (code, field) in {(finding.code, finding.field) for finding in lint(card)}


def test_every_code_has_a_row() -> None:
    """Ours: a code that nothing finds is a lie."""
    assert {code for code, _, _ in ROWS} | ELSEWHERE == CODES.keys()


def test_a_right_card_has_nothing_against_it() -> None:
    """R-CARD-07: only that nobody signed it; with a signature not even that."""
    assert [finding.code for finding in lint(CARD)] == ["C701"]
    key = load_signing_key(jwk.ECKey.generate_key("P-256").as_dict(private=True))
    assert lint(sign_card(CARD, [key])) == []


def test_a_right_hybrid_is_right() -> None:
    """R-CARD-03, R-CARD-04: members of both versions that agree, schemes in both forms."""
    card = copy.deepcopy(CARD)
    hybrid(card, security=[{"bearer": []}], supportsAuthenticatedExtendedCard=False)
    card["securitySchemes"]["bearer"] |= {"type": "http", "scheme": "Bearer"}
    assert shape_of(card) == "hybrid"
    assert [finding.code for finding in lint(card)] == ["C701"]


def test_a_card_of_0_3_is_read_as_one() -> None:
    """R-CARD-12: its own requirements, then the same questions, with the names that stand in it."""
    assert shape_of(OLD) == "0.3"
    assert [finding.code for finding in lint(OLD)] == ["C301", "C701"]
    broken = copy.deepcopy(OLD)
    broken.pop("description")
    broken["url"] = "http://localhost:9/"
    broken["security"].append({"missing": []})
    broken["additionalInterfaces"][0]["transport"] = "SOAP"
    found = {(finding.code, finding.field) for finding in lint(broken)}
    assert found >= {
        ("C304", "description"), ("C203", "url"), ("C501", "security[1]"),
        ("C206", "additionalInterfaces[0].transport"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (b"[]", "C001"), (b"{", "C001"), (b"\xff{}", "C001"), (b'{"name": NaN}', "C001"),
        (b'{"name": "a", "name": "b"}', "C002"), (b'{"x": "' + b"x" * MAX_BYTES + b'"}', "C001"),
    ],
    ids=lambda value: str(value)[:24],
)  # fmt: skip
def test_a_text_that_is_no_card_is_one_finding(text: bytes, code: str) -> None:
    """R-DM-13, R-DM-14."""
    shape, findings = lint_text(text, served=False)
    assert (shape, [finding.code for finding in findings]) == ("unknown", [code])


@pytest.mark.parametrize("name", shipped_cards())
def test_the_cards_that_come_with_us_are_right(name: str) -> None:
    """R-CARD-07: errors and warnings there are none; the server fills the interfaces in, and signs."""
    text = (Path(__file__).parents[3] / "agent_cards" / f"{name}.json").read_bytes()
    assert {finding.severity for finding in lint_text(text, served=False)[1]} == {"note"}
    assert "C101" in {finding.code for finding in lint_text(text, served=True)[1]}


JUNK: tuple[Any, ...] = (None, 0, "", "x", [], [1], [[]], {}, {"a": 1}, {"a": [None]}, [{"url": []}], True)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a card, with each of its keys."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


def test_no_card_breaks_lint() -> None:
    """Ours: whatever stands wherever in a card of either version, there are findings and no exception."""
    both = copy.deepcopy(CARD)
    hybrid(both, security=[{"bearer": []}], signatures=[{"protected": "e30", "signature": "x", "header": {}}])
    for card in (both, copy.deepcopy(OLD)):
        for owner, key in list(places(card)):
            before = owner[key]
            for junk in JUNK:
                owner[key] = junk
                assert lint(card)
            owner[key] = before


def test_a_secret_is_found_and_not_repeated() -> None:
    """R-SEC-05."""
    secret = "sk-" + "a1" * 12
    [finding] = [f for f in lint({**CARD, "description": f"key {secret}"}) if f.code == "C511"]
    assert secret not in str(finding.as_json())
