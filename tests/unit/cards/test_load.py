"""Cards from files and of others: what is refused, and with which words."""

import json
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.cards.build import card_json, with_url
from a2a_bridge.cards.load import card_from_json, load_card, shipped_cards
from a2a_bridge.errors import CardError


def valid(**changes: Any) -> dict[str, Any]:
    """A valid v1.0 card; a change to None removes the member."""
    card = {
        "name": "planner",
        "description": "Plans trips.",
        "version": "1.0.0",
        "supportedInterfaces": [{"url": "https://a.example/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "capabilities": {"streaming": True},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "skills": [{"id": "plan", "name": "Plan", "description": "Plans.", "tags": ["travel"]}],
    }
    return {name: item for name, item in (card | changes).items() if item is not None}


@pytest.mark.parametrize("name", ["planner", "market_crew", "researcher", "critic", "room"])
def test_every_card_that_comes_with_the_package_is_valid_and_free_of_urls(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 2, part 8: found from any folder; the server fills in the URL."""
    monkeypatch.chdir(tmp_path)
    card = load_card(f"agent_cards/{name}.json")
    assert card.name == name
    assert card.supported_interfaces == ()
    served = with_url(card, "https://a.example/")
    assert card_from_json(card_json(served)) == served


def test_the_shipped_cards_are_the_five_of_the_demo() -> None:
    """Issue 2, part 8."""
    assert shipped_cards() == ["critic", "market_crew", "planner", "researcher", "room"]


def test_a_file_in_this_folder_wins_over_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our decision: what the user wrote comes first."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agent_cards").mkdir()
    (tmp_path / "agent_cards" / "planner.json").write_text(json.dumps(valid(name="mine")))
    assert load_card("agent_cards/planner.json").name == "mine"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Our decision: the message says which file, and what the system said."""
    with pytest.raises(CardError, match=r"nothing\.json: the agent card cannot be read: No such file"):
        load_card(tmp_path / "nothing.json")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON: .* line 1, column"),
        (b'{"name": NaN}', "not JSON: NaN"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "JSON object, not list"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_what_is_not_a_json_object_is_refused_with_the_reason(body: bytes, said: str) -> None:
    """R-DM-13, R-DM-14."""
    with pytest.raises(CardError, match=said):
        load_card(body)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": None}, "name"),
        ({"description": " "}, "description: is empty"),
        ({"version": None}, "version"),
        ({"capabilities": None}, "capabilities: is required"),
        ({"defaultInputModes": None}, "defaultInputModes: is required"),
        ({"defaultOutputModes": []}, "defaultOutputModes: needs at least one"),
        ({"skills": []}, "skills: needs at least one"),
        ({"skills": [{"id": "a", "name": "a", "description": "a", "tags": []}]}, r"skills\[0\]\.tags: needs"),
        ({"skills": [{"id": "a", "name": "a", "tags": ["a"]}]}, r"skills\[0\]\.description"),
        ({"skills": 7}, "skills"),
        ({"supportedInterfaces": [{"url": "", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}]}, r"\.url"),
        ({"supportedInterfaces": [{"url": "https://a", "protocolBinding": "JSONRPC"}]}, r"\[0\]\.protocolVersion"),
        ({"capabilities": {"streaming": "yes"}}, "capabilities.streaming"),
        ({"capabilities": {"extensions": [{"uri": ""}]}}, r"capabilities\.extensions\[0\]\.uri"),
        ({"supportedInterfaces": None, "url": "https://a"}, "url: belongs to the v0.3 card"),
        ({"securityRequirements": [{"schemes": {"key": {}}}]}, "names 'key', which securitySchemes lacks"),
    ],
)
def test_a_card_of_ours_that_breaks_a_rule_names_the_field(change: dict[str, Any], field: str) -> None:
    """R-CARD-07: every REQUIRED member is there and not empty."""
    with pytest.raises(CardError, match=f"mine.json: not a valid agent card: .*{field}"):
        card_from_json(valid(**change), source="mine.json")


def test_two_skills_of_one_id_are_refused() -> None:
    """A2A 1.0 §4.4.5: the id of a skill is unique."""
    skill = valid()["skills"][0]
    with pytest.raises(CardError, match=r"skills\[1\]\.id: 'plan' is used twice"):
        card_from_json(valid(skills=[skill, skill]))


def test_both_spellings_and_nulls_are_read() -> None:
    """R-DM-02, R-DM-10."""
    card = valid(iconUrl=None, defaultInputModes=None, default_input_modes=["image/png"]) | {"provider": None}
    assert card_from_json(card).default_input_modes == ("image/png",)


def test_a_foreign_card_without_skills_and_modes_can_be_used() -> None:
    """R-CARD-07: empty arrays are not held against others."""
    card = card_from_json(valid(skills=None, description=None, version=None, defaultInputModes=[]), lenient=True)
    assert card.supported_interfaces[0].url == "https://a.example/"
    assert card.skills == ()


OLD = {
    "name": "old",
    "description": "Speaks 0.3.",
    "version": "2",
    "protocolVersion": "0.3.0",
    "url": "https://old.example/rpc",
    "preferredTransport": "JSONRPC",
    "additionalInterfaces": [
        {"url": "https://old.example/rpc", "transport": "JSONRPC"},
        {"url": "https://old.example/rest", "transport": "HTTP+JSON"},
    ],
    "capabilities": {"streaming": True, "stateTransitionHistory": False},
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain"],
    "skills": [{"id": "s", "name": "s", "description": "s", "tags": ["t"], "security": [{"key": []}]}],
    "security": [{"key": [], "oauth": ["read"]}],
    "securitySchemes": {
        "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
        "oauth": {
            "type": "oauth2",
            "flows": {"clientCredentials": {"tokenUrl": "https://old.example/token", "scopes": {"read": "Read"}}},
        },
    },
    "supportsAuthenticatedExtendedCard": True,
}


def test_a_v03_card_is_lifted_to_v1() -> None:
    """R-CARD-12: addresses, security, the flag of the extended card."""
    card = card_from_json(OLD, lenient=True)
    assert [(i.url, i.protocol_binding, i.protocol_version) for i in card.supported_interfaces] == [
        ("https://old.example/rpc", "JSONRPC", "0.3"),
        ("https://old.example/rest", "HTTP+JSON", "0.3"),
    ]
    assert card.capabilities.extended_agent_card is True
    schemes = card.security_schemes or {}
    assert schemes["key"].api_key_security_scheme.location == "header"  # type: ignore[union-attr]
    assert schemes["oauth"].oauth2_security_scheme.flows.client_credentials is not None  # type: ignore[union-attr]
    [requirement] = card.security_requirements or ()
    assert requirement.schemes["oauth"].list == ("read",)
    assert card.skills[0].security_requirements


def test_in_a_hybrid_card_the_v1_members_win() -> None:
    """R-CARD-12, trap T-08: the top-level protocolVersion says nothing about v1 interfaces."""
    both = OLD | valid(securityRequirements=[{"schemes": {"key": {"list": []}}}])
    both["securitySchemes"] = {
        "key": {"httpAuthSecurityScheme": {"scheme": "Bearer"}, "type": "http", "scheme": "Bearer"}
    }
    card = card_from_json(both, lenient=True)
    assert [(i.url, i.protocol_version) for i in card.supported_interfaces] == [("https://a.example/", "1.0")]
    [requirement] = card.security_requirements or ()
    assert list(requirement.schemes) == ["key"]
    assert card.security_schemes["key"].http_auth_security_scheme.scheme == "Bearer"  # type: ignore[index,union-attr]


def test_old_security_in_proto_json_is_understood() -> None:
    """R-CARD-12: the third form, which the JavaScript SDK knows."""
    card = card_from_json(OLD | {"security": [{"schemes": {"key": {"list": ["x"]}}}]}, lenient=True)
    assert (card.security_requirements or ())[0].schemes["key"].list == ("x",)


def test_a_patch_version_of_the_protocol_is_cut() -> None:
    """R-CARD-05: 1.0.0 is 1.0; only v1 knows lists of interfaces, so an entry without a version is 1.0."""
    entries = [{"url": "https://a", "protocolBinding": "JSONRPC", "protocolVersion": "1.0.0"}, {"url": "https://b"}]
    card = card_from_json(valid(supportedInterfaces=entries), lenient=True)
    assert [i.protocol_version for i in card.supported_interfaces] == ["1.0", "1.0"]
    assert card.supported_interfaces[1].protocol_binding == "JSONRPC"


def test_broken_extras_of_a_foreign_card_are_dropped() -> None:
    """Our decision: a bad icon must not keep two agents apart."""
    card = card_from_json(valid(iconUrl=7, provider="me", signatures=[{}], securitySchemes=3), lenient=True)
    assert (card.icon_url, card.provider, card.signatures, card.security_schemes) == (None, None, None, None)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": None}, "name"),
        ({"supportedInterfaces": None}, "names no URL"),
        ({"supportedInterfaces": [{"url": 7}]}, "supportedInterfaces"),
        ({"capabilities": {"streaming": "yes"}}, "capabilities.streaming"),
    ],
)
def test_a_foreign_card_that_cannot_be_used_is_refused(change: dict[str, Any], said: str) -> None:
    """R-CARD-12: a name and an address are the least."""
    with pytest.raises(CardError, match=f"https://x: not a valid agent card: .*{said}"):
        card_from_json(valid(**change), lenient=True, source="https://x")
