"""Bearer tokens that are JWTs (RFC 7519), and all schemes together: `Auth`.

joserfc checks signatures and knows keys; what it is given is decided here, before it is asked: one algorithm out of
our list, and one key of the issuer's that fits it (RFC 8725). Nothing in a token names a place that is fetched, and
no key in a token is ever looked at. Every refusal has its reason in the log and none in the answer.
"""

import base64
import math
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from a2a_bridge.errors import ConfigError
from a2a_bridge.net import Http
from a2a_bridge.protocol.security import (
    ClientCredentialsOAuthFlow,
    HTTPAuthSecurityScheme,
    OAuth2SecurityScheme,
    OAuthFlows,
    OpenIdConnectSecurityScheme,
    SecurityScheme,
)
from a2a_bridge.protocol.strict import object_of
from a2a_bridge.server.identity import Denied, Head, Identity, Network, Scheme, authorization, is_principal
from a2a_bridge.server.jwks import Jwk, KeySource, Waits, check_address, discovered, fetch_json

ALGORITHMS = ("ES256", "Ed25519", "EdDSA", "RS256", "PS256")
"""What signs tokens if nothing else is said."""
SKEW = 60.0
"""Seconds by which the issuer's clock and ours may differ."""
MAX_TOKEN = 8192
MAX_HEADER = 1024
MIN_RSA_BITS = 2048
REMEMBERED = 10_000
"""So many tokens that were good are known again without checking their signature anew."""
_TYPES = ("jwt", "at+jwt", "application/at+jwt", "application/jwt")
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
_FITS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "RS256": ("RSA", ()), "RS384": ("RSA", ()), "RS512": ("RSA", ()),
    "PS256": ("RSA", ()), "PS384": ("RSA", ()), "PS512": ("RSA", ()),
    "ES256": ("EC", ("P-256",)), "ES384": ("EC", ("P-384",)), "ES512": ("EC", ("P-521",)),
    "EdDSA": ("OKP", ("Ed25519", "Ed448")), "Ed25519": ("OKP", ("Ed25519",)),
}  # fmt: skip
"""Which keys an algorithm may be used with; what is not here signs nothing: no `none`, no shared secrets."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who makes the tokens and where his public keys are: one of `jwks_url`, `jwks_file` and `discovery_url`.

    `url` is compared with `iss` letter by letter. `discovery_url` is the address of his OpenID Connect document.
    """

    url: str
    jwks_url: str | None = None
    jwks_file: Path | str | None = None
    discovery_url: str | None = None

    def source(self, waits: Waits, http: Http | None) -> KeySource:
        """Where his keys come from. ConfigError says what is wrong with it."""
        given = [self.jwks_url, self.jwks_file, self.discovery_url]
        if not self.url or sum(each is not None for each in given) != 1:
            raise ConfigError("an issuer needs its url and exactly one of jwks_url, jwks_file and discovery_url")
        if self.jwks_file is not None:
            try:
                return KeySource(None, jwks=object_of(Path(self.jwks_file).read_bytes()))
            except (OSError, ValueError) as error:
                raise ConfigError(f"jwks_file {self.jwks_file}: {error}") from None
        address = check_address(self.jwks_url or self.discovery_url or "")
        if self.jwks_url is not None:
            return KeySource(lambda: fetch_json(address, http), waits=waits)
        return KeySource(lambda: discovered(address, self.url, http), waits=waits)


@dataclass(frozen=True, slots=True)
class Claims:
    """Which claims say what. `scope` is text with spaces, or a list; `tenants` a text or a list, and without it the
    caller may name no tenant."""

    principal: str = "sub"
    scope: tuple[str, ...] = ("scope", "scp")
    tenants: str | None = None


class Tokens:
    """Bearer tokens: JWTs of one issuer, made for one audience.

    In the card it is HTTP bearer, or OpenID Connect if the issuer has a `discovery_url`, or OAuth 2 client credentials
    with `token_url` (`scopes` then says what each scope permits). A caller is `ISSUER#SUBJECT`, so that two issuers
    never mean the same one. `clock`: seconds since 1970. Raises ConfigError for what cannot work.
    """

    challenge: str | None = "Bearer"

    def __init__(
        self,
        issuer: Issuer,
        audience: str,
        *,
        algorithms: Iterable[str] = ALGORITHMS,
        claims: Claims = Claims(),
        token_url: str | None = None,
        scopes: Mapping[str, str] | None = None,
        waits: Waits = Waits(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._need_joserfc()
        self._algorithms = frozenset(algorithms)
        if unknown := self._algorithms - _FITS.keys():
            raise ConfigError(f"algorithms: {', '.join(sorted(unknown))} cannot sign tokens; known: {', '.join(_FITS)}")
        if not audience or not self._algorithms:
            raise ConfigError("tokens need an audience and an algorithm: without, any token of the issuer would do")
        self._issuer, self._audience, self._claims = issuer, audience, claims
        self._token_url, self._scopes = token_url, dict(scopes or {})
        self._source = issuer.source(waits, None)
        self._clock = clock
        self._seen: OrderedDict[bytes, tuple[Identity, float, int]] = OrderedDict()

    @staticmethod
    def _need_joserfc() -> None:
        try:
            import joserfc  # noqa: F401
        except ImportError:
            raise ConfigError('tokens need joserfc: pip install "a2a-agent-bridge[security]"') from None

    def card(self) -> SecurityScheme:
        """As it stands in a card."""
        if self._token_url is not None:
            flow = ClientCredentialsOAuthFlow(token_url=self._token_url, scopes=self._scopes)
            flows = OAuthFlows(client_credentials=flow)
            return SecurityScheme(oauth2_security_scheme=OAuth2SecurityScheme(flows=flows))
        if self._issuer.discovery_url is not None:
            told = OpenIdConnectSecurityScheme(open_id_connect_url=self._issuer.discovery_url)
            return SecurityScheme(open_id_connect_security_scheme=told)
        return SecurityScheme(http_auth_security_scheme=HTTPAuthSecurityScheme(scheme="Bearer", bearer_format="JWT"))

    async def identify(self, head: Head) -> Identity | None:
        """Whose token it is. KeysUnavailable when the issuer's keys cannot be had."""
        sent = authorization(head, "bearer")
        if sent is None:
            return None
        if len(sent) > MAX_TOKEN:
            raise Denied("the token is too large")
        # A token that was good is good until it expires, or the issuer's keys change: signatures cost more than the
        # rest of a request. The digest stands for the token, which is not kept.
        digest = sha256(sent.encode("latin-1")).digest()
        known = self._seen.get(digest)
        now = self._clock()
        if known is not None and known[1] > now and known[2] == self._source.version:
            self._seen.move_to_end(digest)
            return known[0]
        identity, until = await self._checked(sent, now)
        self._seen[digest] = identity, until, self._source.version
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return identity

    async def _checked(self, token: str, now: float) -> tuple[Identity, float]:
        header, claims = _opened(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise Denied("the algorithm of the token is not permitted")
        if "crit" in header or header.get("b64", True) is not True:
            raise Denied("the token has a header that must be understood, and is not")
        kind = header.get("typ", "jwt")
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise Denied("the token is of another type")
        if kid is not None and (not isinstance(kid, str) or not 0 < len(kid) <= 256):
            raise Denied("the key id is not a short text")
        key = _fitting(await self._source.find(kid), algorithm)
        _check_signature(token, key, algorithm)
        return self._identity(claims), self._times(claims, now)

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        if claims.get("iss") != self._issuer.url:
            raise Denied("the token is of another issuer")
        if not isinstance(audiences, list) or self._audience not in audiences:
            raise Denied("the token is for another audience")
        if "cnf" in claims:
            raise Denied("the token is bound to a key, which is not checked here")
        subject = claims.get(self._claims.principal)
        if not isinstance(subject, str) or not is_principal(subject):
            raise Denied("the token does not say whose it is")
        tenants = _words(claims.get(self._claims.tenants), split=False) if self._claims.tenants else ("",)
        if not tenants:
            raise Denied("the token names no tenant")
        scopes = frozenset(word for name in self._claims.scope for word in _words(claims.get(name), split=True))
        return Identity(f"{self._issuer.url}#{subject}", tenants, scopes)

    def _times(self, claims: Mapping[str, Any], now: float) -> float:
        """Until when the token is good."""
        expires = _number(claims, "exp")
        if expires is None or expires + SKEW <= now:
            raise Denied("the token has expired, or never would")
        for name in ("nbf", "iat"):
            at = _number(claims, name)
            if at is not None and at - SKEW > now:
                raise Denied(f"{name} of the token is in the future")
        return expires + SKEW


def _opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, not believed yet."""
    pieces = token.split(".")
    if len(pieces) != 3:
        raise Denied("not a signed token of three parts")
    try:
        found = [object_of(_decoded(piece)) for piece in pieces[:2]]
        _decoded(pieces[2])
    except ValueError as error:
        raise Denied(f"not a token: {error}") from None
    if len(pieces[0]) > MAX_HEADER:
        raise Denied("the header of the token is too large")
    return found[0], found[1]


def _decoded(piece: str) -> bytes:
    """Base64url as RFC 7515 §2 has it: no padding, and one spelling for the same bytes."""
    if not _BASE64URL.fullmatch(piece):
        raise ValueError("not base64url")
    found = base64.urlsafe_b64decode(piece + "=" * (-len(piece) % 4))
    if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != piece:
        raise ValueError("not the one spelling of base64url")
    return found


def _fitting(keys: Iterable[Jwk], algorithm: str) -> Jwk:
    """The one key that this algorithm may be checked with."""
    kind, curves = _FITS[algorithm]
    found = [
        key
        for key in keys
        if key.get("kty") == kind
        and (not curves or key.get("crv") in curves)
        and key.get("use", "sig") == "sig"
        and key.get("alg", algorithm) == algorithm
        and "verify" in key.get("key_ops", ["verify"])
        and (kind != "RSA" or len(str(key.get("n", ""))) * 6 >= MIN_RSA_BITS)
    ]
    if len(found) != 1:
        raise Denied("no key of the issuer fits the token" if not found else "several keys could be meant")
    return found[0]


@cache
def _registries() -> Any:
    """joserfc's registry, which takes exactly the algorithm that it is asked for, without its warnings: which
    algorithms are good is decided by our own list."""
    from joserfc.jws import JWSRegistry

    class Registry(JWSRegistry):
        max_header_length = MAX_HEADER

        def get_alg(self, name: str) -> Any:
            return self.algorithms[name] if self.allowed and name in self.allowed else super().get_alg(name)

    return Registry


def _check_signature(token: str, key: Jwk, algorithm: str) -> None:
    from joserfc.errors import JoseError
    from joserfc.jwk import import_key
    from joserfc.jws import deserialize_compact

    registry = _registries()(algorithms=[algorithm], strict_check_header=False)
    try:
        deserialize_compact(token, import_key(dict(key)), registry=registry)
    except (JoseError, ValueError) as error:
        raise Denied(f"the signature is not good: {type(error).__name__}") from None


def _number(claims: Mapping[str, Any], name: str) -> float | None:
    found = claims.get(name)
    if found is None and name not in claims:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        raise Denied(f"{name} of the token is not a time")
    return float(found) if abs(found) < 1e15 else math.copysign(1e15, found)


def _words(claim: Any, *, split: bool) -> tuple[str, ...]:
    if isinstance(claim, str):
        return tuple(claim.split(" ")) if split else (claim,)
    if isinstance(claim, list) and all(isinstance(word, str) for word in claim):
        return tuple(claim)
    return ()


@dataclass(frozen=True, slots=True)
class Auth:
    """Who may call, and how that is told.

    `schemes` by the names that stand in cards. `require`: alternatives, each of them schemes that are needed together,
    with the scopes that each must bring; if not given, any one scheme is enough. A card of one's own that says
    something else about its agent is obeyed. Without schemes there is nobody to recognise: then the server listens on
    loopback only, unless `allow_anonymous` says that everybody who reaches it may call. `tenants`: those that anonymous
    callers may name. `trusted_proxies`: whose X-Forwarded-For is believed when attempts are counted.
    """

    schemes: Mapping[str, Scheme] = field(default_factory=dict)
    require: Iterable[Mapping[str, Iterable[str]]] | None = None
    allow_anonymous: bool = False
    tenants: tuple[str, ...] = ("",)
    trusted_proxies: tuple[Network, ...] = ()

    def __post_init__(self) -> None:
        if self.schemes and self.allow_anonymous:
            raise ConfigError("allow_anonymous with schemes: a card that requires nothing ({}) is how to say that")
        if not self.alternatives and self.require is not None:  # also tells what is not there, before anybody is let in
            raise ConfigError("require is empty, which would let everybody in: name schemes, or leave it out")

    @property
    def is_asked(self) -> bool:
        """Whether there is anything to find out about a caller."""
        return bool(self.schemes) or self.tenants != ("",)

    @property
    def alternatives(self) -> tuple[tuple[tuple[str, frozenset[str]], ...], ...]:
        """`require` as it is used; ConfigError names what is not there."""
        said = [{name: ()} for name in self.schemes] if self.require is None else self.require
        found = tuple(tuple((name, frozenset(scopes)) for name, scopes in each.items()) for each in said)
        for name in (name for each in found for name, _ in each):
            if name not in self.schemes:
                known = ", ".join(self.schemes) or "none at all"
                raise ConfigError(f"require names {name!r}, and there is no such scheme: {known}")
        return found
