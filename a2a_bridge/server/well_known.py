"""What stands below `/.well-known/`: cards, and the catalogue of them, ready to be sent (A2A 1.0.1 §8.2, §8.6)."""

from collections.abc import Mapping

from starlette.types import Receive, Scope, Send

from a2a_bridge.cards.build import card_etag
from a2a_bridge.cards.catalog import CATALOG_TYPE, catalog
from a2a_bridge.cards.modes import Versions, card_bodies
from a2a_bridge.cards.sign import Signer
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.objects import json_bytes
from a2a_bridge.server.http import JSON, Answer, HeaderPairs, Headers, headers_of, text_of, version_of
from a2a_bridge.server.refusal import refusal, wrong_verb

OLD_WELL_KNOWN_PATH = "/.well-known/agent.json"
"""The name of before 0.3; some clients still ask for it (R-CARD-02)."""
CARD_SECONDS = 300

_PUBLIC: HeaderPairs = (
    (b"cache-control", f"public, max-age={CARD_SECONDS}".encode("ascii")),
    (b"access-control-allow-origin", b"*"),
)
_CARD: HeaderPairs = (*_PUBLIC, (b"vary", b"A2A-Version"))


class CardEndpoint:
    """One agent's public card in the body that a reader's version asks for, each signed by itself and with its own
    entity tag, and 304 (R-CARD-01, R-CARD-03, R-CARD-08, R-CARD-09, R-CARD-11)."""

    def __init__(self, card: AgentCard, versions: Versions, signer: Signer | None = None) -> None:
        self._bodies = card_bodies(card, versions, signer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = self._bodies.wanted(version_of(scope, headers_of(scope)))
        await document(scope, body.json, body.etag, _CARD)(scope, receive, send)


class CatalogEndpoint:
    """The AI Catalog of all agents of the server."""

    def __init__(self, cards: Mapping[str, AgentCard], base_url: str) -> None:
        self._body = json_bytes(catalog(cards, base_url))
        self._etag = card_etag(self._body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = document(scope, self._body, self._etag, _PUBLIC, content_type=CATALOG_TYPE.encode("ascii"))
        await answer(scope, receive, send)


def document(scope: Scope, body: bytes, etag: str, headers: HeaderPairs, *, content_type: bytes = JSON) -> Answer:
    """The answer to whoever asks for this document: all of it, or that it has not changed (R-CARD-09)."""
    if scope["method"] not in ("GET", "HEAD"):
        return refusal(wrong_verb("GET, HEAD"), headers_of(scope))
    tagged = ((b"etag", etag.encode("ascii")), *headers)
    if is_known(headers_of(scope), etag):
        return Answer(b"", 304, headers=tagged)
    return Answer(body, content_type=content_type, headers=tagged)


def is_known(headers: Headers, etag: str) -> bool:
    """Whether the reader has what this tag stands for; by weak comparison, as RFC 9110 §13.1.2 has it."""
    tags = [tag.strip().removeprefix("W/") for tag in (text_of(headers, b"if-none-match") or "").split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags
