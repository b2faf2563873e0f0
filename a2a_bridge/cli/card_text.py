"""The text of a card as it stands, from a file, from standard input or from a server, and how it was served.

`card get` shows what a client makes of a card; the commands that judge one need the very bytes.
"""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from a2a_bridge.cards.findings import Finding
from a2a_bridge.cli.credentials import credentials_of, headers_of, identifies
from a2a_bridge.cli.fault import CARD_NOT_FOUND, CommandError, Fault, fault_of
from a2a_bridge.cli.options import FetchOptions, agent_url, local_card
from a2a_bridge.client.auth import Keyring
from a2a_bridge.client.resolve import MAX_CARD_BYTES, card_url
from a2a_bridge.errors import ConnectionFailedError, RemoteTimeoutError
from a2a_bridge.net import Deadline, Http, Timeouts, shown
from a2a_bridge.protocol.card import PROTOCOL_VERSION

SECONDS = 30.0
"""How long a server gets to hand out a card, if nothing else is said."""


@dataclass(frozen=True, slots=True)
class CardText:
    """A card's bytes; the rest only if a server sent them: its address, the head of the answer, what became of asking
    for it again with the tag."""

    name: str
    body: bytes
    url: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    again: int | None = None


def read_card(reference: str, options: FetchOptions) -> CardText:
    """The text of the card that a reference names: `-`, a file, a host, a URL.

    A server is asked for the card of 1.0, with the credentials of the options. Raises CommandError when there is none,
    or it cannot be had.
    """
    if reference == "-":
        return CardText("standard input", sys.stdin.buffer.read(MAX_CARD_BYTES + 1))
    if (path := local_card(reference)) is not None:
        return CardText(reference, _file(path))
    try:
        return asyncio.run(_fetched(card_url(agent_url(reference)), options))
    except (ConnectionFailedError, RemoteTimeoutError) as error:
        raise CommandError(fault_of(error, agent=reference, authenticated=identifies(options))) from error


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandError(Fault(CARD_NOT_FOUND, f"{path}: {error.strerror or error}")) from error


async def _fetched(url: str, options: FetchOptions) -> CardText:
    seconds = options.timeout or SECONDS
    timeouts, deadline = Timeouts(total=seconds), Deadline(seconds)

    async def as_ourselves() -> Http:
        return http

    keyring = Keyring(credentials_of(options), as_ourselves, timeouts, any_origin=False)
    http = Http(certificate=keyring.certificate)
    headers = {"accept": "application/json", "a2a-version": PROTOCOL_VERSION, **keyring.plain(), **headers_of(options)}
    try:
        answer = await http.request("GET", url, headers=headers, timeouts=timeouts, deadline=deadline)
        if answer.status == 401 and keyring.given:
            await answer.aclose()
            headers = {**await keyring.for_card(deadline), **headers}
            answer = await http.request("GET", url, headers=headers, timeouts=timeouts, deadline=deadline)
        async with answer:
            if answer.status in (404, 405, 410):
                raise CommandError(Fault(CARD_NOT_FOUND, f"{shown(url)} answered HTTP {answer.status}: no card there"))
            if answer.status != 200:
                raise ConnectionFailedError(f"{shown(url)} answered HTTP {answer.status}", status=answer.status)
            found = CardText(shown(url), await answer.read(MAX_CARD_BYTES), url, dict(answer.headers))
        if "etag" not in found.headers:
            return found
        headers["if-none-match"] = found.headers["etag"]
        second = await http.request("GET", url, headers=headers, timeouts=timeouts, deadline=deadline)
        async with second:
            return CardText(found.name, found.body, url, found.headers, second.status)
    finally:
        await http.aclose()


def served_findings(card: CardText, body: Mapping[str, Any]) -> Iterator[Finding]:
    """What is wrong with the way a card is served (A2A 1.0.1 §8.2, §8.6)."""
    if card.url is None:
        return
    headers = {name.lower(): value for name, value in card.headers.items()}
    if not headers.get("content-type", "").partition(";")[0].strip().endswith("json"):
        yield Finding("C803", "", f"Content-Type is {headers.get('content-type')!r}", "send application/json")
    if "max-age" not in headers.get("cache-control", "").lower():
        yield Finding("C801", "", "no max-age", "send Cache-Control: public, max-age=300")
    if "etag" not in headers:
        yield Finding("C802", "", "no ETag", "send one, so that clients need not fetch the card again")
    elif card.again != 304:
        yield Finding("C804", "", f"If-None-Match was answered with {card.again}", "answer 304")
    listed = body.get("supportedInterfaces")
    for index, entry in enumerate(listed if isinstance(listed, list) else ()):
        url = entry.get("url") if isinstance(entry, Mapping) else None
        if isinstance(url, str) and "://" in url and _origin(url) != _origin(card.url):
            hint = "careful clients refuse it; serve the card where the agent is"
            yield Finding("C805", f"supportedInterfaces[{index}].url", f"{shown(url)}", hint)


def _origin(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ("", url)
    return (parts.scheme.lower(), parts.netloc.lower())
