"""Which addresses may be called when somebody else has named them: webhooks, cards, key sets.

Pure rules and one look-up, no connections: `net.Http(guard=...)` asks them when it makes a connection, and connects to
the very address that was checked, so a name cannot mean one thing to the check and another to the connection. What is
refused is refused by what the packets would reach, not by how it is written: every address that a name has must be
fit, after addresses inside addresses have been taken out (IPv4-mapped, IPv4-compatible and translated, 6to4, Teredo,
NAT64, ISATAP). The tables are the special-purpose registries of IANA (RFC 6890); Python's `is_global` alone lets 6to4
of loopback, multicast and 192.0.0.192 pass.
"""

import asyncio
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property, partial

from a2a_bridge.errors import AddressRefusedError, ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[list[str]]]
"""All addresses of a name, as text."""

LOOK_UPS_AT_ONCE = 16

_V4_REFUSED = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        "168.63.129.16/32",  # public by its number, but what answers there is the host of an Azure machine
    )
)  # fmt: skip
_V6_GLOBAL = ipaddress.IPv6Network("2000::/3")
_V6_REFUSED = tuple(
    ipaddress.IPv6Network(network)
    for network in ("2001::/23", "2001:db8::/32", "3fff::/20")  # what is special within the global range
)
_TEREDO = ipaddress.IPv6Network("2001::/32")
_SIX_TO_FOUR = ipaddress.IPv6Network("2002::/16")
_LAST_32_BITS = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "64:ff9b::/96",  # NAT64
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated
        "::/96",  # IPv4-compatible
    )
)
_CARRIERS = (*_LAST_32_BITS[:2], _SIX_TO_FOUR)
"""Prefixes that are fit to be called if the address inside is: nothing else is behind them."""
_ISATAP = (0x00005EFE, 0x02005EFE)

_LOCAL_NAMES = ("localhost", "local", "internal", "intranet", "lan", "arpa")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


def inside(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, ipaddress.IPv4Address):
        return
    number = int(address)
    if any(address in network for network in _LAST_32_BITS) or (number >> 32) & 0xFFFFFFFF in _ISATAP:
        yield ipaddress.IPv4Address(number & 0xFFFFFFFF)
    if address in _SIX_TO_FOUR:
        yield ipaddress.IPv4Address((number >> 80) & 0xFFFFFFFF)
    if address in _TEREDO:
        yield ipaddress.IPv4Address((number >> 64) & 0xFFFFFFFF)
        yield ipaddress.IPv4Address((number & 0xFFFFFFFF) ^ 0xFFFFFFFF)


def is_public(address: Address) -> bool:
    """Whether packets to it leave for the public internet, whatever they are wrapped in."""
    if isinstance(address, ipaddress.IPv4Address):
        return address.is_global and not any(address in network for network in _V4_REFUSED)
    if not all(is_public(found) for found in inside(address)):
        return False
    if any(address in network for network in _CARRIERS):
        return True
    return address in _V6_GLOBAL and address.is_global and not any(address in network for network in _V6_REFUSED)


def _is_loopback(address: Address) -> bool:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


@cache
def _threads() -> ThreadPoolExecutor:
    """For look-ups, which cannot be cut off: hostile name servers must not hold the threads that agents run in."""
    return ThreadPoolExecutor(LOOK_UPS_AT_ONCE, "a2a-bridge-look-up")


async def look_up(host: str, port: int) -> list[str]:
    """The system's own look-up; every address, in its order. OSError if there is none."""
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_threads(), ask)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


@dataclass(frozen=True)
class Guard:
    """The rules for addresses that others name.

    Without more, only https to port 443 (or `ports`) of public hosts. `loopback` is the switch for development:
    addresses of this machine, by http too, at any port. `allow`: names (`hooks.example.org`, `*.example.org`),
    addresses and networks (`10.1.0.0/16`) of one's own, for which the address, the scheme and the port are not judged.
    `only`: the same kinds of entries; if there are any, nothing else may be called. `seconds` bounds one look-up.
    """

    ports: frozenset[int] = frozenset({443})
    loopback: bool = False
    allow: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    resolve: Resolve = look_up
    seconds: float = 3.0

    def __post_init__(self) -> None:
        for entry in (*self.allow, *self.only):
            if _network(entry) is None and not _is_name(entry.lower().removeprefix("*.")):
                raise ConfigError(f"{entry!r} is neither a host name nor an address nor a network such as 10.1.0.0/16")

    @cached_property
    def _allowed(self) -> "_Listed":
        return _Listed(self.allow)

    @cached_property
    def _only(self) -> "_Listed":
        return _Listed(self.only)

    def check(self, scheme: str, host: str, port: int | None) -> Address | None:
        """Judge what can be judged without a look-up; the address if the host is one. AddressRefusedError if not fit.

        `host` is in ASCII, without brackets.
        """
        if scheme not in ("http", "https"):
            raise AddressRefusedError("only http and https can be called")
        port = _port(scheme, port)
        if not 0 < port < 65536:
            raise AddressRefusedError(f"there is no port {port}")
        address = _literal(host)
        if address is not None:
            self._judge(scheme, host, port, (address,))
            return address
        name = host.lower().removesuffix(".")
        if not _is_name(name):
            raise AddressRefusedError("the host is neither a name nor an address in its usual form")
        known = self._allowed.has_name(name) or (self.loopback and _under(name, ("localhost",)))
        if _under(name, _LOCAL_NAMES) and not known:
            raise AddressRefusedError("the host name means something of this network only")
        return None

    async def addresses(self, scheme: str, host: str, port: int | None) -> list[str]:
        """Where a connection may go, in the order of the look-up. AddressRefusedError if any address is not fit, or
        if there is none."""
        address = self.check(scheme, host, port)
        if address is not None:
            return [str(address)]
        number = _port(scheme, port)
        try:
            async with asyncio.timeout(self.seconds):
                found = await self.resolve(host, number)
        except (OSError, UnicodeError):  # TimeoutError is an OSError
            found = []
        known = [_literal(text) for text in found]
        fit = [address for address in known if address is not None]
        if not fit or len(fit) < len(known):
            raise AddressRefusedError("the host name has no address that can be used")
        self._judge(scheme, host, number, tuple(fit))
        return [str(address) for address in fit]

    def _judge(self, scheme: str, host: str, port: int, addresses: tuple[Address, ...]) -> None:
        name = host.lower().removesuffix(".")
        if self.only and not self._only.has(name, addresses):
            raise AddressRefusedError("the host is not on the list of those that may be called")
        if self._allowed.has(name, addresses):
            return
        if self.loopback and all(_is_loopback(address) for address in addresses):
            return
        if not all(is_public(address) for address in addresses):
            raise AddressRefusedError("the host is not on the public internet")
        if scheme != "https":
            raise AddressRefusedError("only https may be called")
        if port not in self.ports:
            raise AddressRefusedError(f"port {port} may not be called")


class _Listed:
    """Names and networks of a list."""

    def __init__(self, entries: tuple[str, ...]) -> None:
        self._networks = [network for network in map(_network, entries) if network is not None]
        names = [entry.lower() for entry in entries if _network(entry) is None]
        self._names = frozenset(name for name in names if not name.startswith("*."))
        self._parents = tuple(name[2:] for name in names if name.startswith("*."))

    def has_name(self, name: str) -> bool:
        return name in self._names or (_under(name, self._parents) and name not in self._parents)

    def has(self, name: str, addresses: tuple[Address, ...]) -> bool:
        return self.has_name(name) or all(any(a in network for network in self._networks) for a in addresses)


def _port(scheme: str, port: int | None) -> int:
    return {"http": 80, "https": 443}[scheme] if port is None else port


def _literal(host: str) -> Address | None:
    """An address in its one usual form; other ways to write one are no names either. A zone id is refused."""
    if "%" in host:
        raise AddressRefusedError("an address with a zone can be meant for this network only")
    try:
        return ipaddress.ip_address(host.removesuffix("."))
    except ValueError:
        return None


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry)
    except ValueError:
        return None


def _is_name(name: str) -> bool:
    """A host name of the DNS; one whose last label could be read as a number is none (WHATWG URL §3.5)."""
    labels = name.split(".")
    last = labels[-1]
    if last.isdigit() or re.fullmatch(r"0x[0-9a-f]*", last):
        return False
    return len(name) <= 253 and all(_LABEL.fullmatch(label) for label in labels)


def _under(name: str, parents: tuple[str, ...]) -> bool:
    return any(name == parent or name.endswith("." + parent) for parent in parents)
