"""The AI Catalog of a server."""

import pytest

from a2a_bridge.cards.build import build_card
from a2a_bridge.cards.catalog import catalog
from a2a_bridge.protocol.card import AgentCard, AgentProvider
from a2a_bridge.testing.agents import Obedient


def card(name: str, provider: AgentProvider | None = None) -> AgentCard:
    return build_card(Obedient(name=name), url=f"https://agents.example.org/{name}/", provider=provider)


def test_each_agent_is_an_entry_that_leads_to_its_card() -> None:
    """AI Catalog 1.0: identifier, type, and exactly one of url and data; a card says its name and version itself."""
    found = catalog({"one": card("one"), "two": card("two")}, "https://agents.example.org")
    assert found["specVersion"] == "1.0"
    assert found["entries"] == [
        {
            "identifier": f"urn:air:agents.example.org:agent:{name}",
            "type": "application/a2a-agent-card+json",
            "url": f"https://agents.example.org/{name}/.well-known/agent-card.json",
            "tags": ["agent"],
        }
        for name in ("one", "two")
    ]


@pytest.mark.parametrize(
    ("base", "identifier"),
    [
        ("https://Agents.Example.org:8443/a2a/v2", "urn:air:agents.example.org:a2a:v2:agent:one"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/one/.well-known/agent-card.json"),
        ("http://[::1]:8080", "http://[::1]:8080/one/.well-known/agent-card.json"),
        ("http://localhost:8080", "http://localhost:8080/one/.well-known/agent-card.json"),
        ("https://example.org/a%20b", "https://example.org/a%20b/one/.well-known/agent-card.json"),
    ],
)
def test_an_identifier_is_a_urn_where_a_domain_vouches_for_it(base: str, identifier: str) -> None:
    """AI Catalog 1.0: `urn:air` with the publisher's domain; elsewhere any URI that is unique."""
    [entry] = catalog({"one": card("one")}, base)["entries"]  # type: ignore[misc, union-attr]
    assert entry["identifier"] == identifier  # type: ignore[index, call-overload]


def test_the_provider_of_a_card_is_the_publisher() -> None:
    """AI Catalog 1.0, publisher object: only with a domain."""
    by_domain = AgentProvider(url="https://example.org/about", organization="Example")
    [entry] = catalog({"one": card("one", by_domain)}, "https://a.example.org")["entries"]  # type: ignore[misc, union-attr]
    assert entry["publisher"] == {  # type: ignore[index, call-overload]
        "identifier": "example.org", "displayName": "Example", "identityType": "dns",
    }  # fmt: skip
    nowhere = AgentProvider(url="http://localhost/", organization="Example")
    [entry] = catalog({"one": card("one", nowhere)}, "https://a.example.org")["entries"]  # type: ignore[misc, union-attr]
    assert "publisher" not in entry  # type: ignore[operator]
