"""Refuses and records every connection and name look-up of this process that leaves loopback.

It listens to the interpreter's own audit events, so code that has already imported `socket.getaddrinfo` is covered,
and so are threads. Not covered: child processes, and C libraries with sockets of their own (uvloop, gRPC). An audit
hook cannot be removed; it costs a look at a list while no guard is on.
"""

import contextlib
import ipaddress
import socket
import sys
import threading
from collections.abc import Iterator
from typing import Any

_guards: list[list[str]] = []
_lock = threading.Lock()
_installed = False

_LOOK_UPS = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})
_SENDS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})


def _name(host: object) -> object:
    return host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else host


def _is_local(host: object) -> bool:
    if host is None or host in ("", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _outside(event: str, args: tuple[Any, ...]) -> str | None:
    """The host that an audited call wants to reach, if that is not this machine."""
    if event in _LOOK_UPS:
        host = _name(args[0])
        return None if _is_local(host) else str(host)
    if event in _SENDS:
        sock, address = args[0], args[1]
        if sock.family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
            return None
        return None if _is_local(address[0]) else f"{address[0]}:{address[1]}"
    return None


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _guards or not event.startswith("socket."):
        return
    host = _outside(event, args)
    if host is None:
        return
    for attempts in list(_guards):
        attempts.append(host)
    if event in _LOOK_UPS:
        raise socket.gaierror(socket.EAI_NONAME, f"the network guard refuses to look up {host}")
    raise ConnectionRefusedError(f"the network guard refuses a connection to {host}")


@contextlib.contextmanager
def network_guard() -> Iterator[list[str]]:
    """While it is on, whatever wants to leave this machine fails as if there were no network.

    Gives the list of hosts that were tried, which grows as they are tried: `assert not attempts` at the end.
    """
    global _installed
    attempts: list[str] = []
    with _lock:
        if not _installed:
            sys.addaudithook(_hook)
            _installed = True
        _guards.append(attempts)
    try:
        yield attempts
    finally:
        with _lock:
            # By identity: two guards with equal lists are still two guards.
            _guards[:] = [guard for guard in _guards if guard is not attempts]
