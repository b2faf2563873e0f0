"""The public keys of whoever issues tokens: from a file, from a URL, or found by OpenID Connect discovery.

Who does what. There is no task in the background. The request that finds the keys too old, or a key id that is not
among them, fetches; others that come meanwhile wait for the same fetch. A request that is cancelled does not cancel
the fetch of the others. A key id that nobody knows makes us ask at most once in `unknown_seconds`, whatever callers
send. When the issuer cannot be reached the old keys are used for `stale_seconds` longer, then nobody can be
recognised and callers get 503.

The addresses come from the configuration, never from a token.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from a2a_bridge.errors import A2AError, ClientError, ConfigError
from a2a_bridge.net import Deadline, Http, Timeouts, is_loopback, shared, shown
from a2a_bridge.protocol.strict import object_of

_log = logging.getLogger(__name__)

MAX_BYTES = 256 * 1024
MAX_KEYS = 100
_TIMEOUTS = Timeouts(connect=3.0, first_byte=5.0, idle=5.0, total=10.0)

Jwk = Mapping[str, Any]


class KeysUnavailable(Exception):
    """The issuer's keys cannot be had at present."""


class Waits(NamedTuple):
    """When keys are asked for again, in seconds: at the latest, for an unknown key id, and how long old ones are used
    beyond that when the issuer does not answer."""

    fresh: float = 300.0
    unknown: float = 30.0
    stale: float = 3600.0


class KeySource:
    """Keys of one issuer, by key id. `version` changes whenever they do."""

    def __init__(
        self,
        fetch: Callable[[], Awaitable[Any]] | None,
        *,
        jwks: Any = None,
        waits: Waits = Waits(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._waits = waits
        self._clock = clock
        self._keys: tuple[Jwk, ...] | None = None if jwks is None else keys_in(jwks)
        self._fetched = self._asked = float("-inf")
        self._fetching: asyncio.Task[None] | None = None
        self.version = 0

    async def find(self, kid: str | None) -> tuple[Jwk, ...]:
        """The keys with this id, all of them for None; KeysUnavailable when there are none to look in."""
        if self._fetch is None:
            return self._named(kid)
        age = self._clock() - self._fetched
        if age > self._waits.fresh and self._may_ask():
            await self._refresh()
            age = self._clock() - self._fetched
        if self._keys is None or age > self._waits.fresh + self._waits.stale:
            raise KeysUnavailable
        found = self._named(kid)
        if not found and self._may_ask():
            await self._refresh()
            found = self._named(kid)
        return found

    def _named(self, kid: str | None) -> tuple[Jwk, ...]:
        keys = self._keys or ()
        return keys if kid is None else tuple(key for key in keys if key.get("kid") == kid)

    def _may_ask(self) -> bool:
        """Another fetch is due, or one is running that we can wait for."""
        return self._is_fetching or self._clock() - self._asked >= self._waits.unknown

    async def _refresh(self) -> None:
        if self._fetching is None or not self._is_fetching:
            self._asked = self._clock()
            self._fetching = asyncio.get_running_loop().create_task(self._ask())
        await asyncio.shield(self._fetching)

    @property
    def _is_fetching(self) -> bool:
        return self._fetching is not None and not self._fetching.done()

    async def _ask(self) -> None:
        assert self._fetch is not None
        try:
            keys = keys_in(await self._fetch())
        except (ClientError, A2AError, ValueError) as error:
            _log.warning("the keys of an issuer cannot be had: %s", error)
        else:
            if keys != self._keys:
                self._keys = keys
                self.version += 1
            self._fetched = self._clock()


def keys_in(jwks: Any) -> tuple[Jwk, ...]:
    """The keys of a JSON Web Key Set (RFC 7517 §5); ValueError if it is none. Symmetric keys are left out: whoever
    could read one there could make tokens. Whether a key can be used is seen when a token names it."""
    keys = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(keys, list) or len(keys) > MAX_KEYS or not all(isinstance(key, Mapping) for key in keys):
        raise ValueError(f"not a JSON Web Key Set with at most {MAX_KEYS} keys")
    return tuple(key for key in keys if key.get("kty") in ("RSA", "EC", "OKP"))


def check_address(url: str) -> str:
    """The URL, if keys may be fetched from it: over TLS, or from this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise ConfigError("an address of keys cannot be read") from None
    safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))
    if not host or "@" in parts.netloc or not safe:
        raise ConfigError(f"{shown(url)!r} must be an https:// address without credentials, or one of this machine")
    return url


async def fetch_json(url: str, http: Http | None = None) -> Any:
    """A JSON object from an address; ClientError, A2AError or ValueError say why not. Redirects are not followed."""
    asked = {"accept": "application/json"}
    client = http or await shared()
    deadline = Deadline(_TIMEOUTS.total)
    answer = await client.request("GET", url, headers=asked, timeouts=_TIMEOUTS, deadline=deadline)
    async with answer:
        if answer.status != 200:
            raise ValueError(f"{shown(url)} answered with status {answer.status}")
        return object_of(await answer.read(MAX_BYTES))


async def discovered(url: str, issuer: str, http: Http | None = None) -> Any:
    """The keys that an OpenID Connect discovery document leads to (OpenID Connect Discovery 1.0 §4).

    The document must be about the issuer that was configured: whoever else is named in it gets no say.
    """
    found = await fetch_json(url, http)
    if found.get("issuer") != issuer:
        raise ValueError(f"{shown(url)} speaks for another issuer than the configured one")
    address = found.get("jwks_uri")
    try:
        return await fetch_json(check_address(address if isinstance(address, str) else ""), http)
    except ConfigError as error:
        raise ValueError(f"jwks_uri in {shown(url)}: {error}") from None
