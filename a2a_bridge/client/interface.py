"""Which interface of a card is spoken, and the wire to it (R-CARD-06, R-CARD-14).

A card may say where its agent lives, but not send us somewhere else: an interface on another origin is refused unless
that is allowed, because the caller's credentials would go there too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from a2a_bridge.client.either import EitherVersion
from a2a_bridge.client.endpoint import Endpoint
from a2a_bridge.client.jsonrpc import JsonRpcTransport
from a2a_bridge.client.rest import RestTransport
from a2a_bridge.client.resubscribe import Resubscribing
from a2a_bridge.client.transport import Transport
from a2a_bridge.errors import CardError
from a2a_bridge.net import is_loopback, shown
from a2a_bridge.protocol.card import PROTOCOL_VERSION, AgentCard, AgentInterface

OLD_VERSION = "0.3"
SPOKEN_VERSIONS = (PROTOCOL_VERSION, OLD_VERSION)
"""Versions of the protocol that our client speaks, the better one first."""

_BINDINGS: Mapping[str, type[JsonRpcTransport] | type[RestTransport]] = {
    "JSONRPC": JsonRpcTransport,
    "HTTP+JSON": RestTransport,
}
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which interfaces may be used: a binding (`JSONRPC` or `HTTP+JSON`), a version (`1.0` or `0.3`); None is any.

    A version that is asked for is never exchanged for another one (R-VER-08). ValueError for one that is not spoken.
    """

    binding: str | None = None
    version: str | None = None

    def __post_init__(self) -> None:
        if self.binding is not None and self.binding.upper() not in _BINDINGS:
            raise ValueError(f"the binding {self.binding!r} is not spoken here; there are {', '.join(_BINDINGS)}")
        if self.version is not None and self.version not in SPOKEN_VERSIONS:
            raise ValueError(f"the version {self.version!r} is not spoken here; there are {', '.join(SPOKEN_VERSIONS)}")

    def accepts(self, entry: AgentInterface) -> bool:
        """Whether an interface is one of these, and one that we speak."""
        binding, dialect = entry.protocol_binding.upper(), dialect_of(entry.protocol_version)
        if binding not in _BINDINGS or dialect is None:
            return False
        return (self.binding or binding).upper() == binding and self.version in (None, dialect)

    def __str__(self) -> str:
        bindings = [self.binding.upper()] if self.binding else list(_BINDINGS)
        versions = [self.version] if self.version else list(SPOKEN_VERSIONS)
        return f"{' or '.join(bindings)} {' or '.join(versions)}"


ANY = Wanted()


def dialect_of(version: str) -> str | None:
    """The version of ours in which an interface of this version is spoken to, or None."""
    major, _, rest = version.strip().partition(".")
    if major == "1":
        return PROTOCOL_VERSION
    return OLD_VERSION if major == "0" and rest.partition(".")[0] == "3" else None


def spoken(card: AgentCard, wanted: Wanted = ANY) -> list[AgentInterface]:
    """The interfaces of a card that are wanted and that we speak, the one to use first.

    They come in the order of the card, but for two things: of one address in two versions the better version counts,
    and a later 1.x than ours is spoken to, as 1.0, only when nothing else is left.
    """
    fitting = [entry for entry in card.supported_interfaces if wanted.accepts(entry)]
    exact = [entry for entry in fitting if ".".join(entry.protocol_version.split(".")[:2]) in SPOKEN_VERSIONS]
    best: dict[tuple[str, str], AgentInterface] = {}
    for entry in exact:
        address = (entry.url, entry.protocol_binding.upper())
        if address not in best or dialect_of(best[address].protocol_version) == OLD_VERSION:
            best[address] = entry  # keeps the place of the address
    return [*best.values(), *(entry for entry in fitting if entry not in exact)]


def choose_interface(
    card: AgentCard, url: str, *, wanted: Wanted = ANY, allow_other_origin: bool = False
) -> AgentInterface:
    """The interface of the card to speak to, with an absolute URL; `url` is the card's own address.

    CardError when there is none, or when it is on another origin than the card and that is not allowed.
    """
    return usable_interfaces(card, url, wanted=wanted, allow_other_origin=allow_other_origin)[0]


def usable_interfaces(
    card: AgentCard, url: str, *, wanted: Wanted = ANY, allow_other_origin: bool = False
) -> list[AgentInterface]:
    """The interface to speak to, see `choose_interface`, and those to fall back to when it cannot be reached.

    One for each server, since it is the server that cannot be reached; and none over http in place of one over https,
    because whoever can cut a connection must not get credentials to read by that.
    """
    found: dict[tuple[str, str], AgentInterface] = {}
    for entry in spoken(card, wanted):
        one = entry.model_copy(update={"url": urljoin(url, entry.url.strip())})
        if allow_other_origin or same_origin(one.url, url):
            found.setdefault(_server(one.url), one)
        elif not found:
            raise CardError(
                f"the agent card at {shown(url)} points to {shown(one.url)}, which is another origin. If you trust it,"
                " pass trust=Trust(allow_other_origin=True); if the agent is yours, set its public URL"
            )
    if not found:
        offered = ", ".join(f"{entry.protocol_binding} {entry.protocol_version}" for entry in card.supported_interfaces)
        speaks = "this client speaks" if wanted == ANY else "what was asked for is"
        raise CardError(
            f"the agent {card.name!r} at {shown(url)} offers {offered or 'no interface'}; {speaks} {wanted}"
        )
    chosen, *others = found.values()
    is_safe = _server(chosen.url)[0] == "https"
    return [chosen, *(one for one in others if not is_safe or _server(one.url)[0] == "https")]


def _server(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2].lower()


def wire_to(interface: AgentInterface, endpoint: Endpoint, wanted: Wanted = ANY) -> Transport:
    """The wire that an interface is spoken to by; unless a version is wanted, the other one is tried when need be."""
    binding = interface.protocol_binding.upper()
    version = dialect_of(interface.protocol_version) or PROTOCOL_VERSION
    wire = _wire(binding, version, endpoint)
    if wanted.version is not None:
        return wire
    other = OLD_VERSION if version == PROTOCOL_VERSION else PROTOCOL_VERSION
    return EitherVersion(wire, _wire(binding, other, endpoint), shown(interface.url))


def _wire(binding: str, version: str, endpoint: Endpoint) -> Transport:
    wire = _BINDINGS[binding](endpoint, version=version)
    return wire if version == PROTOCOL_VERSION else Resubscribing(wire)


def same_origin(one: str, other: str) -> bool:
    """Whether two URLs have one scheme, host and port; the names of this machine are one host."""
    return _origin(one) == _origin(other)


def _origin(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return (url, "", None)
    # A server on 127.0.0.1 often calls itself localhost.
    return (parts.scheme, "loopback" if is_loopback(host) else host, port or _PORTS.get(parts.scheme))
