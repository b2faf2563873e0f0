"""Who calls, told by what is on the request's head: API keys, HTTP basic, certificates.

A scheme looks at a `Head` and gives an `Identity`, or None if the request carries nothing for it, or raises `Denied`
if what it carries is not good. The words of a `Denied` are for our log only; they never hold what was sent.

Secrets are kept as SHA-256 digests. That is enough because they are long and made by a machine, which `Key` insists
on; what people choose for passwords is no secret of this kind.
"""

import base64
import binascii
import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import Any, Literal, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlsplit

from starlette.types import Scope

from a2a_bridge.protocol.security import (
    APIKeySecurityScheme,
    HTTPAuthSecurityScheme,
    MutualTlsSecurityScheme,
    SecurityScheme,
)

MIN_SECRET = 20
"""Characters that a key must have: less can be guessed."""
MAX_NAME = 512
"""Characters of a principal."""


class Denied(Exception):
    """Credentials were sent, and they are not good."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who has been recognised. `tenants`: which ones it may name; the first is meant when a request names none."""

    principal: str
    tenants: tuple[str, ...] = ("",)
    scopes: frozenset[str] = frozenset()


class Head(NamedTuple):
    """What may tell who calls. `peer`: the address at the other end of the connection, "" if there is none."""

    scope: Scope
    peer: str

    def only(self, name: bytes) -> bytes | None:
        """A header that may come once; two of it could be read differently by whoever stands before us."""
        found = [value for key, value in self.scope["headers"] if key == name]
        if len(found) > 1:
            raise Denied(f"header {name.decode('latin-1')} was sent more than once")
        return found[0] if found else None


class Scheme(Protocol):
    """One way to tell who calls."""

    def card(self) -> SecurityScheme:
        """As it stands in a card."""

    @property
    def challenge(self) -> str | None:
        """For WWW-Authenticate; None where HTTP has no word for it."""

    async def identify(self, head: Head) -> Identity | None:
        """Who calls; None if the request says nothing in this scheme's way. Raises Denied."""


def digest_of(secret: str) -> str:
    """The form in which a secret is kept: `sha256:` and 64 hexadecimal digits."""
    return "sha256:" + sha256(secret.encode()).hexdigest()


def is_principal(name: str) -> bool:
    """Whether this can name a caller: printable, not too long, not what nobody is called."""
    return 0 < len(name) <= MAX_NAME and name.isprintable() and name != "anonymous"


@dataclass(frozen=True, slots=True)
class Key:
    """One caller's secret: an API key, or a password made by a machine. Give `digest` (see `digest_of`)."""

    principal: str
    digest: str = field(repr=False)
    tenants: tuple[str, ...] = ("",)
    scopes: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not is_principal(self.principal):
            raise ValueError("a key needs a principal of 1 to 512 printable characters, and not 'anonymous'")
        algorithm, _, digits = self.digest.partition(":")
        if algorithm != "sha256" or len(digits) != 64 or set(digits) - set("0123456789abcdef"):
            raise ValueError(f"the digest of {self.principal}'s key must be 'sha256:' and 64 hexadecimal digits")

    @classmethod
    def of(cls, principal: str, secret: str, *, tenants: Iterable[str] = ("",), scopes: Iterable[str] = ()) -> "Key":
        """The key of a caller, from the secret itself, which is not kept."""
        if len(secret) < MIN_SECRET:
            raise ValueError(f"the key of {principal} has less than {MIN_SECRET} characters: let a machine make it")
        return cls(principal, digest_of(secret), tuple(tenants), frozenset(scopes))

    @property
    def identity(self) -> Identity:
        """Whom it stands for."""
        return Identity(self.principal, self.tenants, self.scopes)


_NOBODY = bytes(32), Identity("nobody")


class _Secrets:
    """Keys by their digest. Whether there is one takes the same time for any secret that is sent."""

    def __init__(self, keys: Iterable[Key]) -> None:
        digests = ((bytes.fromhex(key.digest.partition(":")[2]), key) for key in keys)
        self._known = {digest: (digest, key.identity) for digest, key in digests}

    def find(self, secret: bytes) -> Identity | None:
        sent = sha256(secret).digest()
        digest, identity = self._known.get(sent, _NOBODY)
        return identity if compare_digest(sent, digest) else None


class ApiKeys:
    """A key in a header, a query parameter or a cookie, under a name.

    Prefer a header: URLs are written down by proxies. A key in a cookie is refused on a request that a page of another
    origin made (R-SEC-15).
    """

    challenge: str | None = None

    def __init__(
        self,
        keys: Iterable[Key],
        *,
        name: str = "X-API-Key",
        location: Literal["header", "query", "cookie"] = "header",
        description: str | None = None,
    ) -> None:
        self._secrets = _Secrets(keys)
        self.name, self.location, self._description = name, location, description
        self._header = name.lower().encode("latin-1")
        self.challenge = f'ApiKey name="{name}", in="{location}"'

    def card(self) -> SecurityScheme:
        """As it stands in a card."""
        told = APIKeySecurityScheme(location=self.location, name=self.name, description=self._description)
        return SecurityScheme(api_key_security_scheme=told)

    async def identify(self, head: Head) -> Identity | None:
        """Whose key was sent."""
        sent = self._sent(head)
        if not sent:
            return None
        found = self._secrets.find(sent)
        if found is None:
            raise Denied("unknown API key")
        return found

    def _sent(self, head: Head) -> bytes | None:
        if self.location == "header":
            return head.only(self._header)
        if self.location == "query":
            query = head.scope.get("query_string", b"").decode("latin-1")
            found = [value for name, value in parse_qsl(query) if name == self.name]
        else:
            cookies = (head.only(b"cookie") or b"").decode("latin-1").split(";")
            found = [value for name, _, value in (c.strip().partition("=") for c in cookies) if name == self.name]
            if found:
                _check_origin(head)
        if len(found) > 1:
            raise Denied(f"{self.location} {self.name} was sent more than once")
        return found[0].encode("latin-1", "replace") if found else None


def _check_origin(head: Head) -> None:
    """Browsers send cookies for any page that asks: only pages of our own may."""
    origin = head.only(b"origin")
    host = head.only(b"host") or b""
    if origin is not None and urlsplit(origin.decode("latin-1")).netloc.encode("latin-1") != host:
        raise Denied("a cookie came with a request of another origin")
    if head.only(b"sec-fetch-site") in (b"cross-site", b"same-site"):
        raise Denied("a cookie came with a request of another site")


def authorization(head: Head, scheme: str) -> str | None:
    """What stands behind this scheme in the Authorization header; None if there is no such header or another."""
    sent = head.only(b"authorization")
    if sent is None:
        return None
    said, _, rest = sent.decode("latin-1").partition(" ")
    return rest.strip(" ") if said.lower() == scheme else None


class Basic:
    """HTTP basic (RFC 7617), for machines: a name and a password that a machine made, kept as `Key`s."""

    challenge: str | None = 'Basic realm="a2a", charset="UTF-8"'

    def __init__(self, keys: Iterable[Key], *, description: str | None = None) -> None:
        self._secrets = _Secrets(keys)
        self._description = description

    def card(self) -> SecurityScheme:
        """As it stands in a card."""
        return SecurityScheme(
            http_auth_security_scheme=HTTPAuthSecurityScheme(scheme="Basic", description=self._description)
        )

    async def identify(self, head: Head) -> Identity | None:
        """Who has sent his name and password."""
        sent = authorization(head, "basic")
        if sent is None:
            return None
        try:
            name, colon, password = base64.b64decode(sent, validate=True).partition(b":")
            user = name.decode()
        except (binascii.Error, ValueError):
            raise Denied("HTTP basic that cannot be read") from None
        found = self._secrets.find(password)
        if not colon or found is None or found.principal != user:
            raise Denied("unknown name or password")
        return found


class Certificates:
    """Mutual TLS: the client's certificate, checked by our own TLS or by a proxy that we trust.

    Without `header` the certificate is the one of the connection itself (the `tls` extension of ASGI, which our server
    fills in when it runs TLS with `ssl_ca_certs`). With `header` a proxy says who it was; only the addresses of
    `proxies` are believed, from all others the header means nothing. The proxy must remove that header from what
    clients send. `names`: who may call, under which name and with which scopes; None: whoever has a certificate that
    the TLS side accepted, under the name in it.
    """

    challenge: str | None = None

    def __init__(
        self,
        *,
        names: Mapping[str, Identity] | None = None,
        header: str | None = None,
        proxies: Iterable[str] = (),
        description: str | None = None,
    ) -> None:
        self._names = names
        self._header = None if header is None else header.lower().encode("latin-1")
        self._proxies = networks(proxies)
        self._description = description
        if (header is None) != (not self._proxies):
            raise ValueError("certificates: header and proxies go together: from whom is the header to be believed?")

    @property
    def needs_tls(self) -> bool:
        """No proxy names the caller: it is our own TLS that must ask for certificates."""
        return self._header is None

    def card(self) -> SecurityScheme:
        """As it stands in a card."""
        return SecurityScheme(mtls_security_scheme=MutualTlsSecurityScheme(description=self._description))

    async def identify(self, head: Head) -> Identity | None:
        """Whose certificate it was."""
        if self._header is None:
            tls: Mapping[str, Any] = head.scope.get("extensions", {}).get("tls", {})
            name = tls.get("client_cert_name")
        elif is_in(head.peer, self._proxies):
            sent = head.only(self._header)
            name = None if sent is None else sent.decode("latin-1").strip()
        else:
            return None
        if not name:
            return None
        if not is_principal(name):
            raise Denied("the name in the certificate cannot be used")
        if self._names is None:
            return Identity(f"cert:{name}")
        if name not in self._names:
            raise Denied("the certificate is nobody's who may call")
        return self._names[name]


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(said: Iterable[str]) -> tuple[Network, ...]:
    """Addresses and networks; ValueError says which one is none."""
    return tuple(ipaddress.ip_network(each, strict=False) for each in said)


def is_in(address: str, known: tuple[Network, ...]) -> bool:
    """Whether an address belongs to one of the networks."""
    try:
        found: Any = ipaddress.ip_address(address)
    except ValueError:
        return False
    found = getattr(found, "ipv4_mapped", None) or found
    return any(found.version == network.version and found in network for network in known)


def address_of(scope: Scope, proxies: tuple[Network, ...]) -> str:
    """Where a request comes from, as far as that can be believed: the peer of the connection, or if that is one of our
    proxies the last address in X-Forwarded-For that is none of them. An IPv6 address counts as its /64."""
    found = peer_of(scope)
    if proxies and is_in(found, proxies):
        lines = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        for hop in reversed(",".join(lines).split(",")):
            if not (hop := hop.strip()):
                break
            found = hop[:64]
            if not is_in(found, proxies):
                break
    if ":" not in found:
        return found
    try:
        address = ipaddress.IPv6Address(found)
    except ValueError:
        return "?"
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


def peer_of(scope: Scope) -> str:
    """The other end of the connection; "" if the server does not say."""
    client = scope.get("client")
    return client[0] if client else ""
