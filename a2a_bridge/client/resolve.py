"""From a URL to a card: fetched, kept while it is fresh, asked for again with its ETag (R-CARD-10, R-CARD-14)."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from a2a_bridge.cards.load import card_from_json
from a2a_bridge.cards.sign import TrustedKeys, verify_card
from a2a_bridge.client.refusal import http_error
from a2a_bridge.errors import CardError
from a2a_bridge.net import Answer, Deadline, Http, Timeouts, shown
from a2a_bridge.observe.trace import outgoing_headers
from a2a_bridge.protocol.card import PROTOCOL_VERSION, WELL_KNOWN_PATH, AgentCard

MAX_CARD_BYTES = 1024 * 1024
DEFAULT_MAX_AGE = 300.0
_MAX_AGE = re.compile(r"max-age\s*=\s*\"?(\d{1,9})")


@dataclass(frozen=True, slots=True)
class FetchedCard:
    """A card, where it came from, and until when it may be used without asking (`time.monotonic`)."""

    card: AgentCard
    url: str
    fresh_until: float
    etag: str | None = None
    signed: bytes | None = None  # as it came, if its signature was asked for: keys go out of date while it is kept

    @property
    def is_fresh(self) -> bool:
        """It need not be asked for again yet."""
        return time.monotonic() < self.fresh_until


def card_url(url: str) -> str:
    """Where the card of an agent at this URL is: below it at the well-known path, or at the URL if it ends in .json.

    The path of the URL is kept: `https://h/a2a` has its card at `https://h/a2a/.well-known/agent-card.json`.
    """
    path, mark, query = url.partition("?")
    if path.endswith(".json"):
        return url
    return path.rstrip("/") + WELL_KNOWN_PATH + mark + query


def read_card(body: bytes | Mapping[str, Any], source: str, keys: TrustedKeys | None) -> AgentCard:
    """The card in a body. With keys: what their signature covers of it, or CardError (R-SIGN-05, R-SIGN-08)."""
    trusted = body if keys is None else verify_card(body, keys, source=source).body
    return card_from_json(trusted, lenient=True, source=source)


async def fetch_card(
    http: Http,
    url: str,
    *,
    headers: Mapping[str, str],
    timeouts: Timeouts,
    known: FetchedCard | None = None,
    keys: TrustedKeys | None = None,
) -> FetchedCard:
    """The card at this address; `known` is asked for again with its ETag and kept when it has not changed.

    Servers may have a card for each version: that of 1.0 is asked for, unless `headers` have another A2A-Version.
    With `keys` only a card that one of them has signed is taken. Raises CardError when there is none or it cannot be
    used, ConnectionFailedError and RemoteTimeoutError.
    """
    asked = {"accept": "application/json", "a2a-version": PROTOCOL_VERSION, **headers, **outgoing_headers()}
    if known is not None and known.etag is not None:
        asked["if-none-match"] = known.etag
    deadline = Deadline(timeouts.total)
    answer = await http.request("GET", url, headers=asked, timeouts=timeouts, deadline=deadline)
    async with answer:
        fresh_until = time.monotonic() + _lifetime(answer)
        if answer.status == 304 and known is not None:
            if keys is not None and known.signed is not None:
                verify_card(known.signed, keys, source=shown(url))
            return replace(known, fresh_until=fresh_until)
        if answer.status in (404, 405, 410):
            raise CardError(
                f"{shown(url)} answered HTTP {answer.status}: there is no agent card. Give the base URL of the agent,"
                " or the URL of its card if that ends in .json"
            )
        if answer.status != 200:
            raise http_error(url, answer)
        body = await answer.read(MAX_CARD_BYTES)
        etag = answer.headers.get("etag")
    return FetchedCard(read_card(body, shown(url), keys), url, fresh_until, etag, None if keys is None else body)


def _lifetime(answer: Answer) -> float:
    control = answer.headers.get("cache-control", "").lower()
    if "no-store" in control or "no-cache" in control:
        return 0.0
    found = _MAX_AGE.search(control)
    return float(found.group(1)) if found else DEFAULT_MAX_AGE
