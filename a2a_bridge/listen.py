"""uvicorn as we run it: who may be let in from where, TLS, and the order in which things stop.

Who does what. `run_server` blocks until the process is asked to stop; its shutdown drains what is served before uvicorn
closes connections.
"""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol
from urllib.parse import urlsplit

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from a2a_bridge.connection import HTTP
from a2a_bridge.errors import ConfigError, InvalidRequestError
from a2a_bridge.net import is_loopback
from a2a_bridge.observe import log
from a2a_bridge.server.app import PROBES
from a2a_bridge.server.auth import Auth
from a2a_bridge.server.http import Refused, headers_of
from a2a_bridge.server.identity import Certificates
from a2a_bridge.server.refusal import refusal

if sys.platform != "win32":
    import resource

_log = logging.getLogger(__name__)

ANY_HOST = "*"
OPEN_FILES = 65_536
FEW_FILES = 1024


class Served(Protocol):
    """What can be served: a bridge."""

    app: ASGIApp
    auth: Auth
    public_url: str

    async def open(self) -> None: ...

    async def drain(self) -> None: ...

    def hurry(self) -> None: ...

    def waits(self) -> str: ...


@dataclass(frozen=True, slots=True)
class TLS:
    """Our certificate and its key, in PEM files. With `ca_certs`, clients may show certificates that these authorities
    signed, and must with `client_required`; TLS 1.2 and later."""

    certfile: Path | str
    keyfile: Path | str | None = None
    ca_certs: Path | str | None = None
    client_required: bool = False


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen. `allowed_hosts`: names in the Host header that are ours, beside loopback and `public_url`;
    they are checked on loopback, elsewhere if any are given; "*" switches that off. `keep_alive`: seconds that a
    connection may wait for its next request. A proxy in front must give up sooner, or it sends a request into a
    connection that is being closed."""

    host: str = "127.0.0.1"
    port: int = 8080
    log_level: str = "info"
    tls: TLS | None = None
    allowed_hosts: tuple[str, ...] = ()
    keep_alive: int = 75


def check_bind(host: str, auth: Auth) -> None:
    """Without anybody to recognise, loopback only, unless that was said in so many words."""
    if not auth.schemes and not auth.allow_anonymous and not is_loopback(host):
        raise ConfigError(
            f"host {host!r} can be reached from elsewhere, and nothing says who may call: configure a scheme in"
            " [auth.schemes], or say that anybody may: allow_anonymous = true in [auth], --allow-anonymous, or"
            " Auth(allow_anonymous=True)"
        )


def check_certificates(auth: Auth, tls: TLS | None) -> None:
    """Certificates that nobody asks for would be a door that never opens."""
    for name, scheme in auth.schemes.items():
        if isinstance(scheme, Certificates) and scheme.needs_tls and (tls is None or tls.ca_certs is None):
            raise ConfigError(
                f"the scheme {name!r} wants client certificates, and nothing here asks for them: set ca_certs, certfile"
                " and keyfile in [server.tls], or header and proxies of the scheme for a proxy that names the caller"
            )


class HostGuard:
    """Refuses requests for another name than ours: a strange page whose name was made to point here (DNS rebinding)
    sends its own. Probes are let through: they use addresses."""

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app = app
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_ours(scope) and scope["path"] not in PROBES:
            error = InvalidRequestError("This server is not known by that name: add it to allowed_hosts in [server].")
            await refusal(Refused(error, 421), headers_of(scope))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        found = [value for name, value in scope["headers"] if name == b"host"]
        if len(found) != 1:
            return False
        name = _host_name(found[0].decode("latin-1"))
        return name in self._names or is_loopback(name)


def _host_name(host: str) -> str:
    """Without the port, in lower case."""
    head = host.strip().lower()
    return head.partition("]")[0].lstrip("[") if head.startswith("[") else head.partition(":")[0].rstrip(".")


def guarded(served: Served, listening: Listening) -> ASGIApp:
    """The app, behind the check of names where one is due."""
    given = listening.allowed_hosts
    if ANY_HOST in given or not (given or is_loopback(listening.host)):
        return served.app
    public = urlsplit(served.public_url).hostname or ""
    return HostGuard(served.app, frozenset(map(_host_name, (*given, public, listening.host))))


class _Server(uvicorn.Server):
    """uvicorn, draining what is served before it closes connections. Ctrl-C while it drains ends the wait, and nothing
    else: turns are cut in order, and the store is closed. uvicorn's own second Ctrl-C would leave it open."""

    def __init__(self, config: uvicorn.Config, served: Served, ready: Callable[[], None] | None) -> None:
        super().__init__(config)
        self._served = served
        self._ready = ready
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_interrupted = False
        self._is_ending = False

    async def serve(self, sockets: Any = None) -> None:
        self._loop = asyncio.get_running_loop()
        # Before uvicorn: a store that cannot be had is an error of ours, not a failed lifespan in its log.
        await self._served.open()
        try:
            await super().serve(sockets)
        except asyncio.CancelledError:  # to uvicorn this is no reason to close anything
            if not self.started:
                await self.lifespan.shutdown()
            elif not self._is_ending:
                await self.shutdown(sockets)
            raise

    async def startup(self, sockets: Any = None) -> None:
        starting = asyncio.get_running_loop().create_task(self._start(sockets))
        try:
            failed = await asyncio.shield(starting)
        except asyncio.CancelledError:
            await starting  # cancelled in the middle, asyncio would leave an open port that is nobody's
            raise
        if failed is not None:
            raise failed
        # This process is ours: keep the collector away from what lives for ever, and make it come less often.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        if self.started and self._ready is not None:
            self._ready()

    async def _start(self, sockets: Any) -> SystemExit | None:
        try:
            await super().startup(sockets)
        except SystemExit as failed:  # uvicorn's way to say so; out of a task it would end the event loop
            return failed
        return None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called between two steps of whatever runs."""
        if not self.should_exit:
            self._is_interrupted = sig == signal.SIGINT
            super().handle_exit(sig, frame)
        elif sig == signal.SIGINT and self._loop is not None:
            # Not uvicorn's: it raises every signal it has seen once more in the end, and two are a KeyboardInterrupt.
            self._loop.call_soon_threadsafe(self._served.hurry)

    async def shutdown(self, sockets: Any = None) -> None:
        self._is_ending = True
        if waits := self._served.waits():
            more = "; Ctrl-C again stops now" if self._is_interrupted else ""
            _log.info("Shutting down: %s%s", waits, more)
        await self._served.drain()
        await super().shutdown(sockets)


def run_server(served: Served, listening: Listening = Listening(), *, ready: Callable[[], None] | None = None) -> None:
    """Serve until the process is asked to stop; blocks. Ends within the grace and a few seconds. `ready` is called once
    the store is open and the port is bound.

    StoreUnavailableError and ConfigError say why it cannot start: the store or the port belongs to somebody else, or
    strangers could reach it and nothing says who may call.
    """
    take_open_files()
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn has ended in good order by then, and raises it once more
        server_for(served, listening, ready=ready).run()


def take_open_files() -> None:
    """Let this process have as many open files as the system permits, up to `OPEN_FILES`: each connection is one, and
    what comes beyond the limit is dropped without a word, to us too."""
    if sys.platform == "win32":
        return
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(most, OPEN_FILES)
    if few != resource.RLIM_INFINITY and few < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
            few = wanted
    if 0 <= few < FEW_FILES:
        _log.warning("only %d files may be open here, and each connection is one: raise the limit (ulimit -n)", few)


def server_for(served: Served, listening: Listening, *, ready: Callable[[], None] | None = None) -> uvicorn.Server:
    """The server that `run_server` runs. ConfigError says why it cannot start."""
    check_bind(listening.host, served.auth)
    check_certificates(served.auth, listening.tls)
    check_port(listening.host, listening.port)
    log.configure(listening.log_level)
    tls = listening.tls
    config = uvicorn.Config(
        guarded(served, listening),
        host=listening.host,
        port=listening.port,
        http=HTTP,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
        timeout_keep_alive=listening.keep_alive,
        ws="none",
        proxy_headers=False,  # who is believed about addresses is said in `auth`
        server_header=False,
        ssl_context_factory=None if tls is None else context_of(tls),
    )
    return _Server(config, served, ready)


def context_of(tls: TLS) -> Callable[..., ssl.SSLContext]:
    """What makes uvicorn's TLS context. ConfigError says which file is no good."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.client_required and tls.ca_certs is None:
        raise ConfigError("tls.client_required needs ca_certs: whose certificates are good?")
    used = f"certfile {tls.certfile}" if tls.keyfile is None else f"certfile {tls.certfile} with keyfile {tls.keyfile}"
    try:
        for file in (tls.certfile, tls.keyfile, tls.ca_certs):
            if file is not None:
                Path(file).read_bytes()  # an error of the system names the file, one of TLS does not
        context.load_cert_chain(tls.certfile, tls.keyfile)
        if tls.ca_certs is not None:
            used = f"ca_certs {tls.ca_certs}"
            context.load_verify_locations(tls.ca_certs)
            context.verify_mode = ssl.CERT_REQUIRED if tls.client_required else ssl.CERT_OPTIONAL
    except ssl.SSLError as error:
        said = str(error).partition(" (_ssl.c:")[0]
        is_alone = used == f"certfile {tls.certfile}"
        more = ". If the private key is in a file of its own, set keyfile" if is_alone else ""
        raise ConfigError(f"tls: {used} cannot be used: {said}{more}") from None
    except OSError as error:
        raise ConfigError(f"tls: {error.filename} cannot be used: {error.strerror or error}") from None
    return lambda *_: context


def check_port(host: str, port: int) -> None:
    """Look before uvicorn does, whose answer is a line in the log and an exit."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        if os.name == "posix":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port}: {error.strerror or error}. Choose another port"
            ) from None
