"""The card for callers who have said who they are."""

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwk

from a2a_bridge.agent import Caller
from a2a_bridge.cards.build import build_card, card_json
from a2a_bridge.cards.extended import ExtendedCard
from a2a_bridge.cards.sign import Signer, TrustedKeys, load_signing_key, verify_card
from a2a_bridge.errors import CardError, ConfigError
from a2a_bridge.protocol.card import AgentCapabilities, AgentCard, AgentInterface, AgentSkill
from a2a_bridge.testing.agents import Obedient

PUBLIC = build_card(Obedient(name="one"), url="https://agents.example.org/one/")
ANN = Caller("ann", "t", frozenset({"admin"}))
SECRET = AgentSkill(id="secret", name="Secret", description="For friends.", tags=("x",))


def with_skill(card: AgentCard = PUBLIC, **more: Any) -> AgentCard:
    return card.model_copy(update={"skills": (*card.skills, SECRET), **more})


async def shown(card: ExtendedCard, caller: Caller = ANN) -> dict[str, Any]:
    body = await card(caller)
    assert body is not None
    found: dict[str, Any] = json.loads(body)
    return found


async def test_a_card_or_its_file_is_the_same_for_all(tmp_path: Path) -> None:
    """R-EXTC-01: made once, at start."""
    (tmp_path / "card.json").write_text(json.dumps(card_json(with_skill())))
    for source in (with_skill(), tmp_path / "card.json", str(tmp_path / "card.json")):
        card = ExtendedCard(source, PUBLIC, None)
        assert (await shown(card))["skills"][-1]["id"] == "secret"
        assert await card(ANN) is await card(Caller("bob"))


async def test_a_function_makes_the_card_of_its_caller() -> None:
    """R-EXTC-02, R-EXTC-04: plain and coroutine functions; they get the public card; None is none."""

    def make(caller: Caller, card: AgentCard) -> AgentCard | None:
        return with_skill(card) if "admin" in caller.scopes else None

    async def later(caller: Caller, card: AgentCard) -> AgentCard:
        return card.model_copy(update={"description": f"For {caller.principal} in {caller.tenant}."})

    card = ExtendedCard(make, PUBLIC, None)
    assert (await shown(card))["skills"][-1]["id"] == "secret"
    assert await card(Caller("bob")) is None
    assert (await shown(ExtendedCard(later, PUBLIC, None)))["description"] == "For ann in t."


async def test_what_is_true_of_the_server_is_the_public_cards() -> None:
    """R-CARD-05: interfaces, capabilities and how to authenticate; old signatures go."""
    lies = with_skill(
        supported_interfaces=(AgentInterface(url="https://else.example/", protocol_binding="GRPC"),),
        capabilities=AgentCapabilities(streaming=False),
        security_requirements=(),
    )
    found = await shown(ExtendedCard(lies, PUBLIC, None))
    public = card_json(PUBLIC)
    for name in ("supportedInterfaces", "capabilities"):
        assert found[name] == public[name]
    assert not found.keys() & {"securityRequirements", "signatures"}


async def test_it_is_signed_as_the_public_one_is() -> None:
    """R-SIGN-04: each caller's card by itself."""
    key = jwk.ECKey.generate_key("P-256")
    signing = load_signing_key(key.as_dict(private=True))

    def make(caller: Caller, public: AgentCard) -> AgentCard:
        return with_skill(public, description=caller.principal)

    card = ExtendedCard(make, PUBLIC, Signer([signing]))
    for name in ("ann", "bob"):
        body = await card(Caller(name))
        assert body is not None
        assert verify_card(body, TrustedKeys(key.as_dict(private=False))).body["description"] == name


async def test_what_is_wrong_with_it_is_told_at_the_start_or_raised() -> None:
    """Ours: a card that the specification does not allow, modes that are not taken, things that are no card."""
    with pytest.raises(CardError, match="skills"):
        ExtendedCard(PUBLIC.model_copy(update={"skills": ()}), PUBLIC, None)
    with pytest.raises(CardError, match="image/png"):
        ExtendedCard(PUBLIC.model_copy(update={"default_input_modes": ("image/png",)}), PUBLIC, None)
    with pytest.raises(CardError, match="cannot be read"):
        ExtendedCard("missing.json", PUBLIC, None)
    with pytest.raises(ConfigError, match="a card, a file or a function"):
        ExtendedCard(7, PUBLIC, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="gave dict"):
        await ExtendedCard(lambda caller, public: {}, PUBLIC, None)(ANN)  # type: ignore[arg-type, return-value]
