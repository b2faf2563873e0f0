"""One card for readers of both versions: three bodies, and who gets which."""

import json
from typing import Any

import pytest
from a2a.client.card_resolver import parse_agent_card
from a2a.compat.v0_3 import types as models
from a2a.types.a2a_pb2 import AgentCard as OfficialCard
from google.protobuf.json_format import Parse

from a2a_bridge.cards.build import build_card, card_bytes
from a2a_bridge.cards.load import card_from_json
from a2a_bridge.cards.modes import CardMode, Versions, card_bodies, with_old_interfaces
from a2a_bridge.errors import ConfigError
from a2a_bridge.protocol.card import AgentCapabilities, AgentCard, AgentCardSignature, AgentInterface, AgentSkill
from a2a_bridge.protocol.security import SecurityRequirement, SecurityScheme
from a2a_bridge.testing.agents import Obedient

URL = "https://agents.example.org/a/"
OLD_MEMBERS = {
    "url",
    "protocolVersion",
    "preferredTransport",
    "additionalInterfaces",
    "security",
    "supportsAuthenticatedExtendedCard",
}
FLOW = {
    "authorizationUrl": "https://e/a",
    "tokenUrl": "https://e/t",
    "scopes": {"read": "to read"},
    "pkceRequired": True,
}
SCHEMES = {
    "key": {"apiKeySecurityScheme": {"location": "header", "name": "X-Key", "description": "A key."}},
    "bearer": {"httpAuthSecurityScheme": {"scheme": "Bearer", "bearerFormat": "JWT"}},
    "oauth": {"oauth2SecurityScheme": {"flows": {"authorizationCode": FLOW}}},
    "oidc": {"openIdConnectSecurityScheme": {"openIdConnectUrl": "https://e/.well-known/openid-configuration"}},
    "tls": {"mtlsSecurityScheme": {}},
    "device": {
        "oauth2SecurityScheme": {
            "flows": {"deviceCode": {"deviceAuthorizationUrl": "u", "tokenUrl": "t", "scopes": {}}}
        }
    },
}


def requirement(*names: str) -> SecurityRequirement:
    return SecurityRequirement.model_validate({"schemes": {name: {"list": ["read"]} for name in names}})


def full_card() -> AgentCard:
    """Everything that differs between the versions."""
    skill = AgentSkill(
        id="s", name="S", description="Does.", tags=("t",), security_requirements=(requirement("bearer"),)
    )
    card = build_card(Obedient(), url=URL, skills=[skill]).model_copy(
        update={
            "capabilities": AgentCapabilities(streaming=True, push_notifications=False, extended_agent_card=True),
            "security_schemes": {name: SecurityScheme.model_validate(scheme) for name, scheme in SCHEMES.items()},
            "security_requirements": (requirement("key", "bearer"), requirement("device"), SecurityRequirement()),
            "signatures": (AgentCardSignature(protected="p", signature="s"),),
        }
    )
    return with_old_interfaces(card, URL)


def body(mode: CardMode | None = None, card: AgentCard | None = None, version: str | None = None) -> Any:
    return json.loads(card_bodies(card or full_card(), Versions(card=mode)).wanted(version).json)


def test_interfaces_of_1_0_come_first_and_the_same_again_with_0_3() -> None:
    """R-CARD-04, R-CARD-05, R-VER-05: at the same URLs; not those of others, and not for tenants."""
    grpc = AgentInterface(url="agents.example:443", protocol_binding="GRPC", protocol_version="1.0")
    tenant = AgentInterface(url=URL, protocol_binding="JSONRPC", protocol_version="1.0", tenant="t")
    card = build_card(Obedient(), url=URL)
    ours = [(i.url, i.protocol_binding) for i in card.supported_interfaces]
    card = card.model_copy(update={"supported_interfaces": (*card.supported_interfaces, grpc, tenant)})
    found = with_old_interfaces(card, URL).supported_interfaces
    assert [(i.url, i.protocol_binding) for i in found if i.protocol_version == "0.3"] == ours
    assert found[: len(ours) + 2] == card.supported_interfaces
    assert not any(i.tenant for i in found[len(ours) + 2 :])


def test_the_card_of_1_0_is_pure() -> None:
    """R-CARD-03, T-38: nothing of 0.3 but its interfaces; the official SDK reads it with unknown fields forbidden."""
    for found in (body("v1"), body("hybrid", version="1.0"), body("negotiated", version="1.0")):
        assert not found.keys() & OLD_MEMBERS
        assert found == json.loads(card_bytes(full_card()))
        Parse(json.dumps(found), OfficialCard())


def test_the_hybrid_card_has_both() -> None:
    """R-CARD-03, T-08: the members of 0.3 beside those of 1.0, which stay as they are."""
    found, pure = body("hybrid"), body("v1")
    assert found.keys() - pure.keys() == OLD_MEMBERS
    unchanged = pure.keys() - {"securitySchemes", "skills"}
    assert {name: found[name] for name in unchanged} == {name: pure[name] for name in unchanged}
    assert found["securitySchemes"]["bearer"] == SCHEMES["bearer"] | {
        "type": "http",
        "scheme": "Bearer",
        "bearerFormat": "JWT",
    }
    assert found["securitySchemes"]["device"] == pure["securitySchemes"]["device"]
    assert found["skills"][0]["security"] == [{"bearer": ["read"]}]
    assert found["skills"][0]["securityRequirements"] == pure["skills"][0]["securityRequirements"]


@pytest.mark.parametrize(
    "found", [body("hybrid"), body("negotiated"), body("v1", version="0.3")], ids=["hybrid", "unsaid", "said"]
)
def test_readers_of_0_3_find_what_they_look_for(found: Any) -> None:
    """R-CARD-03: the models of the SDK of 0.3 read it; only interfaces and schemes that 0.3 knows."""
    card = models.AgentCard.model_validate(found)
    assert (card.url, card.preferred_transport, card.protocol_version) == (URL, "JSONRPC", "0.3.0")
    assert card.additional_interfaces is not None
    assert next((i.url, i.transport) for i in card.additional_interfaces) == (URL, "JSONRPC")
    assert card.supports_authenticated_extended_card is True
    assert card.security == [{"key": ["read"], "bearer": ["read"]}, {}]
    schemes = card.security_schemes or {}
    assert schemes["key"].root.in_ == models.In.header  # type: ignore[union-attr]
    assert schemes["oauth"].root.flows.authorization_code.token_url == "https://e/t"  # type: ignore[union-attr]
    assert schemes["tls"].root.type == "mutualTLS"
    assert card.skills[0].security == [{"bearer": ["read"]}]


def test_the_card_of_0_3_is_pure() -> None:
    """R-CARD-03: no member of 1.0, no signature, which covered other words, and no scheme that 0.3 has no word for."""
    found = body("negotiated")
    assert not found.keys() & {"supportedInterfaces", "securityRequirements", "signatures"}
    assert found["securitySchemes"].keys() == SCHEMES.keys() - {"device"}
    assert "extendedAgentCard" not in found["capabilities"]
    assert "pkceRequired" not in found["securitySchemes"]["oauth"]["flows"]["authorizationCode"]
    assert found["securitySchemes"]["key"] == {
        "type": "apiKey",
        "in": "header",
        "name": "X-Key",
        "description": "A key.",
    }


@pytest.mark.parametrize("mode", ["v1", "hybrid", "negotiated"])
def test_ours_and_the_official_client_stay_on_1_0(mode: CardMode) -> None:
    """T-08, R-CARD-12: where the members of 1.0 are there, they are looked at."""
    for found in (body(mode, version="1.0"), body("hybrid")):
        assert card_from_json(found, lenient=True).supported_interfaces[0].protocol_version == "1.0"
        assert parse_agent_card(found).supported_interfaces[0].protocol_version == "1.0"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (None, "unsaid"),
        ("", "unsaid"),
        ("junk", "unsaid"),
        ("1", "unsaid"),
        ("-1.0", "unsaid"),
        ("1.0", "v1"),
        ("1.0.1", "v1"),
        ("2.7", "v1"),
        ("0.3", "v03"),
        ("0.3.0", "v03"),
        ("0.2", "v03"),
    ],
)
def test_who_says_a_version_gets_its_body(version: str | None, expected: str) -> None:
    """R-CARD-03: whatever the mode; what is no version says nothing."""
    bodies = card_bodies(full_card(), Versions())
    assert bodies.wanted(version) is getattr(bodies, expected)


def test_what_the_mode_says() -> None:
    """R-CARD-03: about readers that say nothing; hybrid unless told otherwise."""
    assert body() == body("hybrid")
    assert body("negotiated") == body("v1", version="0.3")
    only = card_bodies(build_card(Obedient(), url=URL), Versions(v03=False))
    assert only.v1 == only.v03 == only.unsaid
    assert (Versions().spoken, Versions(v03=False).spoken) == (("0.3", "1.0"), ("1.0",))


@pytest.mark.parametrize("mode", ["hybrid", "negotiated"])
def test_a_card_of_0_3_needs_a_server_that_speaks_it(mode: CardMode) -> None:
    """Ours: no option is silently ignored."""
    with pytest.raises(ConfigError, match=r"speak 0\.3"):
        Versions(v03=False, card=mode)


def test_a_hybrid_needs_an_interface_of_0_3() -> None:
    """R-CARD-05: a card that lists none promises none."""
    card = build_card(Obedient(), url=URL)
    assert body("hybrid", card) == body("v1", card)
