"""One card for readers of 1.0 and of 0.3: which versions a server speaks, and which body of its card a reader gets.

There are three bodies. That of 1.0 lists the interfaces of both versions. That of 0.3 has only what 0.3 knows. The
hybrid is that of 1.0 with the members of 0.3 beside them, so that either reader finds its own: readers of 1.0 look at
`supportedInterfaces`, readers of 0.3 at `url` (T-08). A reader that says its version gets the pure body of it whatever
the mode; the mode is about those that say nothing (R-CARD-03). Pure functions.
"""

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from a2a_bridge.cards.build import card_etag, card_json
from a2a_bridge.cards.sign import Signer
from a2a_bridge.errors import ConfigError
from a2a_bridge.protocol import v03
from a2a_bridge.protocol.card import PROTOCOL_VERSION, AgentCard
from a2a_bridge.protocol.objects import json_bytes

CardMode = Literal["v1", "hybrid", "negotiated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Versions:
    """Which versions of A2A a server speaks, and what a request gets that does not say which one it means.

    `v03`: 0.3 is spoken beside 1.0, on the same URLs. `card`: what a reader of the card gets without an A2A-Version:
    "v1" (pure 1.0), "hybrid" (1.0 with the members of 0.3) or "negotiated" (pure 0.3, which is what no version means);
    None: "hybrid", or "v1" where 0.3 is not spoken. `lenient`: a call without an A2A-Version means the version that
    its method or path belongs to, instead of 0.3 (R-VER-06).
    """

    v03: bool = True
    card: CardMode | None = None
    lenient: bool = False

    def __post_init__(self) -> None:
        if not self.v03 and self.card not in (None, "v1"):
            raise ConfigError(f"a card that is {self.card!r} is for servers that speak 0.3: set v03, or card to 'v1'")

    @property
    def spoken(self) -> tuple[str, ...]:
        """Oldest first."""
        return (v03.VERSION, PROTOCOL_VERSION) if self.v03 else (PROTOCOL_VERSION,)

    @property
    def card_mode(self) -> CardMode:
        """`card`, or what it is when nothing was chosen."""
        return self.card or ("hybrid" if self.v03 else "v1")


class CardBody(NamedTuple):
    """A card as it is served, and its entity tag."""

    json: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class CardBodies:
    """The bodies of one card: of each version, and for a reader that does not say which it wants."""

    v1: CardBody
    v03: CardBody
    unsaid: CardBody

    def wanted(self, version: str | None) -> CardBody:
        """The body for an A2A-Version; one that is no version says nothing."""
        major, dot, _ = (version or "").partition(".")
        if not dot or not major.isdecimal():
            return self.unsaid
        return self.v1 if major.strip("0") else self.v03


def card_bodies(card: AgentCard, versions: Versions, signer: Signer | None = None) -> CardBodies:
    """What to serve, for each reader, each body signed by itself. Without 0.3 all get the card of 1.0."""
    whole = card_json(card)
    v1 = _body(whole, signer)
    if not versions.v03:
        return CardBodies(v1, v1, v1)
    lowered = v03.lower_card(whole)
    old = _body(lowered, signer if "url" in lowered else None)  # without one nobody of 0.3 can call anyway
    unsaid = {"v1": v1, "negotiated": old}.get(versions.card_mode)
    return CardBodies(v1, old, _body(hybrid(whole), signer) if unsaid is None else unsaid)


def _body(card: dict[str, Any], signer: Signer | None) -> CardBody:
    """The tag of a signed card is made of its words and the ids of its keys, and weak: signatures differ each time they
    are made, and several processes that serve the card must agree."""
    plain = json_bytes(card)
    if signer is None:
        return CardBody(plain, card_etag(plain))
    return CardBody(json_bytes(signer(card)), "W/" + card_etag(plain + signer.ids))


def hybrid(card: dict[str, Any]) -> dict[str, Any]:
    """The JSON of a card of 1.0 with what readers of 0.3 look for, where an interface speaks 0.3.

    Signatures cover its members of 1.0 only, and whoever checks them looks at nothing else (R-SIGN-08).
    """
    members = v03.old_members(card)
    if not members:
        return card
    schemes = v03.lower_schemes(card)
    found = card | members
    if schemes:
        found["securitySchemes"] = {
            name: scheme | schemes.get(name, {}) for name, scheme in card["securitySchemes"].items()
        }
    found["skills"] = [
        skill | v03.lower_skill(skill, schemes) if "securityRequirements" in skill else skill
        for skill in card["skills"]
    ]
    return found


def with_old_interfaces(card: AgentCard, url: str) -> AgentCard:
    """The card with each of our interfaces of 1.0, those at `url`, a second time at its end as one of 0.3 (R-CARD-04).

    Not so for tenants, which 0.3 does not know.
    """
    here = [i for i in card.supported_interfaces if i.url.rstrip("/") == url.rstrip("/") and not i.tenant]
    ours = [
        interface.model_copy(update={"protocol_version": v03.VERSION})
        for interface in here
        if interface.protocol_version == PROTOCOL_VERSION
    ]
    return card.model_copy(update={"supported_interfaces": (*card.supported_interfaces, *ours)})
