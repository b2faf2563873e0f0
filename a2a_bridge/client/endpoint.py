"""One address of an agent, and what goes with every request to it: headers, credentials, timeouts.

Holds no connection: each request takes one from the pool of the running loop. Credentials are fetched when the first
request needs them; an answer 401 makes them be renewed, and the request be sent once more (never twice).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from a2a_bridge.net import Answer, Deadline, Http, Timeouts
from a2a_bridge.observe.trace import outgoing_headers

EVENT_STREAM = "text/event-stream"
TRANSPORT_STATUSES = frozenset({401, 403, 429, 503})
"""Statuses that are about the way and not about the request, whatever the body says."""


class Signer(Protocol):
    """Puts credentials on requests to one agent."""

    async def signed(self, url: str, headers: Mapping[str, str], deadline: Deadline) -> tuple[str, Mapping[str, str]]:
        """The URL and the headers with what authenticates them."""
        ...

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Forget what was refused under these headers; False when nothing better can be had."""
        ...


class Endpoint:
    """An interface of a card, as requests are sent to it."""

    def __init__(
        self,
        url: str,
        http: Callable[[], Awaitable[Http]],
        *,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        max_answer_bytes: int,
        signer: Signer | None = None,
    ) -> None:
        self.url = url
        self.limit = max_answer_bytes
        self._http = http
        self._headers = dict(headers)
        self._timeouts = timeouts
        self._signer = signer

    def below(self, path: str, query: str = "") -> str:
        """The URL of a path below this one; a query that the interface has itself stays."""
        parts = urlsplit(self.url)
        joined = "&".join(part for part in (parts.query, query) if part)
        return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path, query=joined))

    async def request(
        self, verb: str, url: str, *, headers: Mapping[str, str], body: bytes | None, deadline: Deadline
    ) -> Answer:
        """Send it and wait for the head of the answer, whatever its status; see `Http.request`."""
        plain = {**self._headers, **headers, **outgoing_headers()}
        if self._signer is None:
            return await self._send(verb, url, plain, body, deadline)
        there, signed = await self._signer.signed(url, plain, deadline)
        answer = await self._send(verb, there, signed, body, deadline)
        if answer.status == 401 and self._signer.renew(signed):
            await answer.aclose()
            there, signed = await self._signer.signed(url, plain, deadline)
            answer = await self._send(verb, there, signed, body, deadline)
        return answer

    async def _send(
        self, verb: str, url: str, headers: Mapping[str, str], body: bytes | None, deadline: Deadline
    ) -> Answer:
        http = await self._http()
        return await http.request(verb, url, headers=headers, body=body, timeouts=self._timeouts, deadline=deadline)


def segment(value: str) -> str:
    """An id as one segment of a path, whatever is in it (R-REST-03)."""
    return quote(value, safe="")


def old_names(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Headers for a server of 0.3, which knows extensions by another name; both are sent."""
    found = headers.get("a2a-extensions")
    return headers if found is None else {**headers, "x-a2a-extensions": found}
