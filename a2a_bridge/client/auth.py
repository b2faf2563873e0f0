"""Who we are to an agent: credentials, sent by the schemes that its card declares (A2A 1.0.1 §7, R-SEC-13).

What is sent where. Credentials go to the interface that was chosen from the card and to nowhere else: no redirect is
followed, no other origin is asked unless the caller allowed it. A client secret goes to the token URL only: one that
the caller gave, or the card's if it is on the agent's own origin; by https, or to this machine. Nothing here is
logged, and `repr` of credentials does not show them.

Concurrency. A `Keyring` belongs to one client and may be used from several event loops. It fetches a token when there
is none that lasts: one task of each loop does, under that loop's lock, in the call that needs it; the others wait for
it. A call that is cancelled while it fetches gives the lock up, and the next one fetches. No task runs behind a call.
"""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit, urlunsplit
from weakref import WeakKeyDictionary

from a2a_bridge.client.interface import same_origin
from a2a_bridge.errors import CardError, ConfigError, ConnectionFailedError, InvalidAgentResponseError
from a2a_bridge.net import ClientCertificate, Deadline, Http, Timeouts, is_loopback, shown
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.lenient import json_value
from a2a_bridge.protocol.security import SecurityScheme

_MAX_TOKEN_ANSWER = 64 * 1024
_NO_EXPIRY = 300.0  # seconds that a token is kept whose server does not say how long it lasts
_EARLY = 60.0
_EARLY_PART = 0.2
CARD_KEY_HEADER = "x-api-key"
"""Where an API key goes when a card is asked for that would have said where it goes."""


def _check_sendable(what: str, value: str) -> None:
    """Refuse what no header can carry, without showing it: it may come from a file, line end and all."""
    if not value.isascii() or not value.isprintable() or value != value.strip():
        kind = "a line break" if "\n" in value or "\r" in value else "a character that cannot be sent"
        raise ConfigError(f"{what} holds {kind}: give the {what.split()[-1]} alone, in ASCII, without spaces around it")


@dataclass(frozen=True, slots=True)
class Bearer:
    """A token for `Authorization: Bearer`, got elsewhere; not renewed. ConfigError when no header can carry it."""

    token: str = field(repr=False)

    def __post_init__(self) -> None:
        _check_sendable("the bearer token", self.token)


@dataclass(frozen=True, slots=True)
class Basic:
    """User and password for `Authorization: Basic`."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key for the API key scheme of the card, which says whether it goes into a header, the query or a cookie.

    `scheme` is the scheme's name in the card, for cards that have several. ConfigError when no header can carry it.
    """

    key: str = field(repr=False)
    scheme: str | None = None

    def __post_init__(self) -> None:
        _check_sendable("the API key", self.key)


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """An OAuth 2 client that gets tokens for itself (RFC 6749 §4.4), renewed before they run out.

    `token_url` None means the one of the card, which must be on the agent's own origin. `scopes` None means those that
    the card asks for. `in_body`: id and secret go into the form and not into a Basic header.
    """

    client_id: str
    client_secret: str = field(repr=False)
    token_url: str | None = None
    scopes: tuple[str, ...] | None = None
    in_body: bool = False


Callback = Callable[[AgentCard], Awaitable[Mapping[str, str]]]
"""Headers for an agent, by its card; called for each request, and once more when they were refused."""

Credential = Bearer | Basic | ApiKey | ClientCredentials | ClientCertificate | Callback
Auth = Credential | Sequence[Credential]
"""One credential, or several that are sent together."""


@dataclass(frozen=True, slots=True)
class _Token:
    value: str
    renew_at: float  # time.monotonic


class Keyring:
    """The credentials of one client, and the tokens that were got with them."""

    def __init__(
        self, auth: Auth | None, http: Callable[[], Awaitable[Http]], timeouts: Timeouts, *, any_origin: bool
    ) -> None:
        given = () if auth is None else tuple(auth) if isinstance(auth, Sequence) else (auth,)
        self.given: tuple[Credential, ...] = given
        self.any_origin = any_origin
        self._http = http
        self._timeouts = timeouts
        self._tokens: dict[tuple[str, str], _Token] = {}
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    @property
    def certificate(self) -> ClientCertificate | None:
        """The certificate among the credentials."""
        return next((found for found in self.given if isinstance(found, ClientCertificate)), None)

    def plain(self) -> dict[str, str]:
        """Headers of the credentials that are sent in one way only."""
        return {name: value for credential in self.given for name, value in _plain(credential).items()}

    async def for_card(self, deadline: Deadline) -> dict[str, str]:
        """Headers for a card that is not public, which nobody has read yet: a key goes into `X-API-Key`, a token is got
        where the caller says."""
        found = self.plain()
        for credential in self.given:
            if isinstance(credential, ApiKey):
                found[CARD_KEY_HEADER] = credential.key
            elif isinstance(credential, ClientCredentials) and credential.token_url is not None:
                scope = " ".join(credential.scopes or ())
                token = await self.token(credential, _checked(credential.token_url), scope, deadline)
                found["authorization"] = f"Bearer {token}"
        return found

    def signer(self, card: AgentCard, url: str) -> "AgentSigner | None":
        """What signs requests to an interface of this card, or None if there is nothing to sign with."""
        return AgentSigner(self, card, url) if any(c != self.certificate for c in self.given) else None

    async def token(self, client: ClientCredentials, url: str, scope: str, deadline: Deadline) -> str:
        """A token that lasts a while yet."""
        key = (url, scope)
        lock = self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with lock:
            found = self._tokens.get(key)
            if found is None or time.monotonic() >= found.renew_at:
                found = self._tokens[key] = await self._fetch(client, url, scope, deadline)
        return found.value

    def forget(self, value: str) -> None:
        """Drop a token that was refused; one that another call has got meanwhile stays."""
        for key in [key for key, token in self._tokens.items() if token.value == value]:
            del self._tokens[key]

    async def _fetch(self, client: ClientCredentials, url: str, scope: str, deadline: Deadline) -> _Token:
        form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        if client.in_body:
            form |= {"client_id": client.client_id, "client_secret": client.client_secret}
        else:
            headers["authorization"] = _basic(quote(client.client_id, safe=""), quote(client.client_secret, safe=""))
        http = await self._http()
        answer = await http.request(
            "POST", url, headers=headers, body=urlencode(form).encode(), timeouts=self._timeouts, deadline=deadline
        )
        async with answer:
            body = await answer.read(_MAX_TOKEN_ANSWER)
            if answer.status != 200:
                # What the client itself did wrong is told as 401: credentials that are not good.
                status = 401 if answer.status in (400, 401, 403) else answer.status
                raise ConnectionFailedError(f"{shown(url)} gave no token: HTTP {answer.status}", status=status)
            found = json_value(body.decode("utf-8", "replace"))
        token = found.get("access_token") if isinstance(found, Mapping) else None
        if not isinstance(token, str) or not token or str(found.get("token_type", "bearer")).lower() != "bearer":
            raise InvalidAgentResponseError(f"the answer of {shown(url)} holds no bearer token")
        return _Token(token, time.monotonic() + _lasts(found.get("expires_in")))


def _lasts(expires_in: object) -> float:
    """Seconds after which a token is renewed: a fifth of its life early, at most a minute."""
    try:
        life = float(str(expires_in))
    except ValueError:
        life = _NO_EXPIRY
    life = life if 0 < life < 1e9 else _NO_EXPIRY
    return life - min(_EARLY, life * _EARLY_PART)


class AgentSigner:
    """Puts the credentials of a keyring on requests to one interface; see `Signer` in endpoint.py."""

    def __init__(self, keyring: Keyring, card: AgentCard, url: str) -> None:
        self._keyring = keyring
        self._card = card
        self._url = url

    async def signed(self, url: str, headers: Mapping[str, str], deadline: Deadline) -> tuple[str, Mapping[str, str]]:
        """The URL and the headers with all credentials. CardError when the card does not say how one is sent."""
        if not same_origin(url, self._url):
            return url, headers
        sent = dict(headers)
        for credential in self._keyring.given:
            if isinstance(credential, ApiKey):
                url = self._with_key(credential, url, sent)
            elif isinstance(credential, ClientCredentials):
                token_url, scope = self._where(credential)
                sent["authorization"] = f"Bearer {await self._keyring.token(credential, token_url, scope, deadline)}"
            elif callable(credential):
                sent |= {name.lower(): value for name, value in (await credential(self._card)).items()}
            else:
                sent |= _plain(credential)
        return url, sent

    def renew(self, refused: Mapping[str, str]) -> bool:
        """Whether asking again makes sense: for a token there may be a newer one, and a callback may know more."""
        if any(callable(credential) for credential in self._keyring.given):
            return True
        if not any(isinstance(credential, ClientCredentials) for credential in self._keyring.given):
            return False
        self._keyring.forget(refused.get("authorization", "").removeprefix("Bearer "))
        return True

    def _schemes(self) -> Iterator[tuple[str, SecurityScheme, tuple[str, ...]]]:
        """Name, scheme and scopes: those that the card requires first, then the others."""
        schemes = self._card.security_schemes or {}
        seen = set()
        for requirement in self._card.security_requirements or ():
            for name, scopes in requirement.schemes.items():
                if name in schemes and name not in seen:
                    seen.add(name)
                    yield name, schemes[name], scopes.list
        for name, scheme in schemes.items():
            if name not in seen:
                yield name, scheme, ()

    def _with_key(self, credential: ApiKey, url: str, sent: dict[str, str]) -> str:
        for name, scheme, _ in self._schemes():
            how = scheme.api_key_security_scheme
            if how is None or credential.scheme not in (None, name):
                continue
            location = how.location.lower()
            if location == "header":
                sent[how.name.lower()] = credential.key
                return url
            if location == "cookie":
                pair = f"{how.name}={credential.key}"
                sent["cookie"] = f"{sent['cookie']}; {pair}" if "cookie" in sent else pair
                return url
            if location == "query":
                parts = urlsplit(url)
                query = "&".join(part for part in (parts.query, urlencode({how.name: credential.key})) if part)
                return urlunsplit(parts._replace(query=query))
        wanted = f" called {credential.scheme!r}" if credential.scheme else ""
        raise CardError(
            f"the card of {self._card.name!r} declares no API key scheme{wanted} that can be followed, so the key was"
            " not sent; if you know the header, pass it as headers={...}"
        )

    def _where(self, client: ClientCredentials) -> tuple[str, str]:
        """Token URL and scope."""
        found = client.token_url
        asked: tuple[str, ...] = ()
        for _, scheme, scopes in self._schemes():
            oauth = scheme.oauth2_security_scheme
            flow = oauth.flows.client_credentials if oauth is not None else None
            if flow is not None:
                found, asked = found or flow.token_url, scopes
                break
        if found is None:
            raise CardError(
                f"the card of {self._card.name!r} declares no OAuth 2 client credentials flow; pass token_url=..."
            )
        _checked(found)
        is_foreign = client.token_url is None and not same_origin(found, self._url)
        if is_foreign and not self._keyring.any_origin:
            raise CardError(
                f"the card of {self._card.name!r} wants the client secret sent to {shown(found)}, which is another"
                " origin than the agent's. If you trust it, pass it as token_url=..."
            )
        return found, " ".join(client.scopes if client.scopes is not None else asked)


def _checked(token_url: str) -> str:
    parts = urlsplit(token_url)
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
        raise CardError(f"the token URL {shown(token_url)} is not https, so the client secret was not sent there")
    return token_url


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode("ascii")


def _plain(credential: Credential) -> dict[str, str]:
    """The header of a credential that is sent in one way only."""
    if isinstance(credential, Bearer):
        return {"authorization": f"Bearer {credential.token}"}
    if isinstance(credential, Basic):
        return {"authorization": _basic(credential.user, credential.password)}
    return {}
