"""The AI Catalog of a server (AI Catalog 1.0, `/.well-known/ai-catalog.json`): where the card of each agent is.

Names, descriptions and versions stand in the cards and are not repeated here, as that specification asks.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from a2a_bridge.protocol.card import WELL_KNOWN_PATH, AgentCard
from a2a_bridge.protocol.objects import JSONValue

CATALOG_PATH = "/.well-known/ai-catalog.json"
CATALOG_TYPE = "application/ai-catalog+json"
CARD_TYPE = "application/a2a-agent-card+json"
SPEC_VERSION = "1.0"

_DOMAIN = re.compile(r"(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}")
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")


def catalog(cards: Mapping[str, AgentCard], base_url: str) -> dict[str, JSONValue]:
    """The catalogue of agents by their names in URLs; each has its card below `base_url`."""
    return {"specVersion": SPEC_VERSION, "entries": [_entry(name, card, base_url) for name, card in cards.items()]}


def _entry(name: str, card: AgentCard, base_url: str) -> dict[str, JSONValue]:
    url = f"{base_url}/{name}{WELL_KNOWN_PATH}"
    found: dict[str, JSONValue] = {"identifier": _identifier(name, base_url) or url, "type": CARD_TYPE, "url": url}
    tags: list[JSONValue] = list(dict.fromkeys(tag for skill in card.skills for tag in skill.tags))
    if tags:
        found["tags"] = tags
    provider = card.provider
    domain = _domain(provider.url) if provider is not None else None
    if provider is not None and domain is not None:
        found["publisher"] = {"identifier": domain, "displayName": provider.organization, "identityType": "dns"}
    return found


def _identifier(name: str, base_url: str) -> str | None:
    """`urn:air:{domain}:{namespace}:{name}`, the path of the server being part of the namespace; None where there is no
    domain that could vouch for it."""
    domain = _domain(base_url)
    path = [segment for segment in urlsplit(base_url).path.split("/") if segment]
    if domain is None or not all(_PLAIN.fullmatch(segment) for segment in path):
        return None
    return ":".join(("urn:air", domain, *path, "agent", name))


def _domain(url: str) -> str | None:
    host = (urlsplit(url).hostname or "").lower()
    return host if _DOMAIN.fullmatch(host) else None
