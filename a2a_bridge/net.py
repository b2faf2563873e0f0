"""The one way out: pooled HTTP connections, timeouts that say what they mean, answers read piece by piece.

Who owns what. Each event loop has one `Http`, and one more for each client certificate, made on first use by
`shared()` and closed when the loop's runner closes its async generators (`asyncio.run`, uvicorn and pytest do); nobody
else closes it. An `Http` around a transport of one's own belongs to whoever made it. An `Answer` belongs to the caller
of `request`, who must close it: a body that was read to its end gives the connection back, any other close drops the
connection. Cancelling a call, or closing an answer early, closes that connection and nothing else. No task runs in the
background.

Requests go through httpx transports and not through `httpx.AsyncClient`: no cookies, no redirects, no credentials
taken from URLs or the environment, so callers who share the pool share nothing else. Proxies of the environment
(`HTTPS_PROXY`, `NO_PROXY`, ...) are used, but never for loopback.

With a guard, a request goes to the addresses that the guard lets pass and to no other, and never through a proxy. Names
are looked up once for each connection and the connection goes to what was checked, under the name in the URL (Host and
TLS), so a name that changes its meaning in between reaches nothing else; connections of different names are never
shared, also where the address is the same.
"""

import asyncio
import ipaddress
import ssl
import time
import urllib.request
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.util import find_spec
from types import TracebackType
from typing import Any, Self, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import httpcore
import httpx

from a2a_bridge.errors import (
    AddressRefusedError,
    ConfigError,
    ConnectionFailedError,
    InvalidAgentResponseError,
    RemoteTimeoutError,
)
from a2a_bridge.guard import Guard

Transport = httpx.AsyncBaseTransport
"""What carries requests; one of one's own replaces the network, as the in-process transport for tests does."""

SERVES = "a2a-bridge-serves"
"""The name of a task that an event loop has as long as a server of ours runs in it: blocked, it would answer nobody."""

_KEEPALIVE = 30.0
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=200, keepalive_expiry=_KEEPALIVE)
_KNOWN_ORIGINS = 1000


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for another agent, in seconds; None waits for ever.

    `connect`: until the connection stands, TLS included. `first_byte`: from then until the answer begins; an agent
    that is asked without streaming begins only when it is done. `idle`: silence within an answer, after which a
    stream counts as cut; servers send pings every 15 s or so. `total`: a whole operation, retries and resumed
    streams included.
    """

    connect: float | None = 5.0
    first_byte: float | None = 300.0
    idle: float | None = 60.0
    total: float | None = None


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What we show to servers that ask for a certificate (mutual TLS): files in PEM form.

    `key` None means that the key is in `cert` too. `ca` is a file of certificate authorities to trust beside the usual
    ones, for servers of one's own; with `ca` and without `cert` nothing is shown.
    """

    cert: str | None = None
    key: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: str | None = None


class Deadline:
    """When an operation must be over."""

    __slots__ = ("_at",)

    def __init__(self, total: float | None) -> None:
        self._at = None if total is None else time.monotonic() + total

    def cut(self, wait: float | None) -> float | None:
        """`wait`, or what is left until the deadline if that is less; never below 0."""
        if self._at is None:
            return wait
        left = max(0.0, self._at - time.monotonic())
        return left if wait is None else min(wait, left)

    @property
    def is_over(self) -> bool:
        """Nothing is left."""
        return self._at is not None and time.monotonic() >= self._at


def _unsendable(url: str, headers: Mapping[str, str]) -> str:
    """Why a request cannot be sent, without a value of a header: it may be a credential."""
    for name, value in headers.items():
        if not (name + value).isascii() or not value.isprintable():
            return f"the request to {shown(url)} cannot be sent: the header {name!r} holds a line break or no ASCII"
    return f"the request to {shown(url)} cannot be sent: a header of it is none of HTTP"


@lru_cache(maxsize=256)
def _parsed(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"{shown(url)!r} is not a URL: {error}") from None
    if (parsed.port or 0) > 65535:
        raise ValueError(f"{shown(url)!r} is not a URL: there is no such port")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"{shown(url)!r} is not a URL of an agent: it must start with http:// or https://")
    return parsed


def check_url(url: str) -> None:
    """ValueError says why nothing can be sent there."""
    _parsed(url)


def shown(url: str) -> str:
    """A URL as it may stand in a message or a log: without credentials, query and fragment."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "(unreadable URL)"
    return f"{parts.scheme}://{host}{parts.path}" if host else parts.path


def is_loopback(host: str) -> bool:
    """Whether a host name or address literal means this machine."""
    if host.rstrip(".").lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Answer:
    """An HTTP answer whose head has come; its body is read in pieces, or whole up to a limit."""

    def __init__(self, response: httpx.Response, url: str, timeouts: Timeouts, deadline: Deadline) -> None:
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers  # names in any case
        self._response = response
        self._url = url
        self._timeouts = timeouts
        self._deadline = deadline

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Let the connection go."""
        await self._response.aclose()

    @property
    def media_type(self) -> str:
        """The Content-Type in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The body as it comes. Raises RemoteTimeoutError after `idle` seconds of silence, or at the deadline, and
        ConnectionFailedError when the connection breaks before the body ends."""
        plain = self.headers.get("content-encoding", "identity").lower() == "identity"
        # A plain body is taken past httpx's own re-chunking, which costs more than the rest of a small event.
        body = self._response.stream if plain else self._response.aiter_bytes()
        pieces = cast(AsyncGenerator[bytes, None], aiter(cast(AsyncIterator[bytes], body)))
        async with aclosing(pieces):
            while (piece := await self._next(pieces)) is not None:
                if piece:
                    yield piece

    async def _next(self, pieces: AsyncGenerator[bytes, None]) -> bytes | None:
        try:
            async with asyncio.timeout(self._deadline.cut(self._timeouts.idle)):
                return await anext(pieces, None)
        except (TimeoutError, httpx.TimeoutException):
            raise self._silent() from None
        except (httpx.TransportError, httpx.DecodingError, httpx.StreamError) as error:
            raise ConnectionFailedError(
                f"the connection to {shown(self._url)} broke before its answer was complete"
            ) from error

    def _silent(self) -> RemoteTimeoutError:
        if self._deadline.is_over:
            return RemoteTimeoutError(
                f"{shown(self._url)} was not done in time; raise Timeouts(total=...) to wait longer"
            )
        return RemoteTimeoutError(
            f"{shown(self._url)} has been silent for {self._timeouts.idle:g} s within its answer; raise"
            " Timeouts(idle=...) to wait longer"
        )

    async def read(self, limit: int) -> bytes:
        """The whole body. InvalidAgentResponseError when it has more than `limit` bytes."""
        pieces: list[bytes] = []
        size = 0
        async with aclosing(self.chunks()) as chunks:
            async for piece in chunks:
                size += len(piece)
                if size > limit:
                    raise InvalidAgentResponseError(f"the answer of {shown(self._url)} has more than {limit} bytes")
                pieces.append(piece)
        return b"".join(pieces)


async def check_address(url: str, guard: Guard) -> None:
    """AddressRefusedError unless a request to this URL could be sent now: for URLs that are kept for later."""
    try:
        target = _parsed(url)
    except ValueError:
        raise AddressRefusedError("that is not an http or https URL") from None
    await guard.addresses(*_judged(target))


def _judged(url: httpx.URL) -> tuple[str, str, int | None]:
    """What a guard judges of a URL."""
    if url.userinfo:
        raise AddressRefusedError("a URL must not carry credentials")
    return url.scheme, url.raw_host.decode("ascii"), url.port


class _GuardedBackend(httpcore.AnyIOBackend):
    """Connects to what the guard has checked, whatever the name means by then."""

    def __init__(self, guard: Guard, scheme: str) -> None:
        self._guard = guard
        self._scheme = scheme

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failed: httpcore.ConnectError | None = None
        for address in await self._guard.addresses(self._scheme, host, port):
            try:
                return await super().connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                failed = error
        raise failed or httpcore.ConnectError("no address")


class _GuardedTransport(httpx.AsyncHTTPTransport):
    """httpx's transport, with connections made by the guard's backend. httpx has no setting for that, so its pool is
    replaced; should it keep its pool in another place one day, this refuses to work rather than work unguarded."""

    def __init__(self, guard: Guard, scheme: str) -> None:
        context = _tls(None)
        super().__init__(verify=context, trust_env=False)
        if not isinstance(vars(self).get("_pool"), httpcore.AsyncConnectionPool):
            raise RuntimeError("this version of httpx keeps its connections in another way: use httpx 0.28")
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=_LIMITS.max_connections,
            max_keepalive_connections=_LIMITS.max_keepalive_connections,
            keepalive_expiry=_LIMITS.keepalive_expiry,
            network_backend=_GuardedBackend(guard, scheme),
        )


class Http:
    """Pools of connections, one pool for each way out; see the module's text for who closes it.

    `guard` judges every address that is called; without one, callers vouch for their URLs. `certificate` is shown to
    servers that ask for one.
    """

    def __init__(
        self,
        transport: Transport | None = None,
        *,
        guard: Guard | None = None,
        certificate: ClientCertificate | None = None,
    ) -> None:
        self._given = transport
        self._guard = guard
        self._certificate = certificate
        self._pools: dict[tuple[str, str | None], Transport] = {}
        self._of_origin: dict[tuple[str, str], Transport] = {}

    async def aclose(self) -> None:
        """Close every connection. A transport that was given stays open: it is not ours."""
        pools = list(self._pools.values())
        self._pools.clear()
        self._of_origin.clear()
        for pool in pools:
            await pool.aclose()

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeouts: Timeouts,
        deadline: Deadline,
    ) -> Answer:
        """Send a request and wait for the head of its answer, whatever its status.

        Raises ConnectionFailedError when there is no connection or it breaks before the head has come,
        RemoteTimeoutError when nothing comes in time, AddressRefusedError when the guard does not let it out,
        ValueError for what is not an http(s) URL or not a header.
        """
        target = _parsed(url)
        if self._guard is not None:
            self._guard.check(*_judged(target))
        try:
            request = httpx.Request(
                method,
                target,
                headers={"user-agent": "a2a-bridge", "accept-encoding": "identity", **headers},
                content=body,
                # Reading is timed here and not in the transport, so that first byte and silence can differ.
                extensions={
                    "timeout": {"connect": timeouts.connect, "write": timeouts.idle, "read": None, "pool": None}
                },
            )
        except UnicodeEncodeError:
            raise ValueError(_unsendable(url, headers)) from None
        transport = self._given or self._transport(target)
        try:
            async with asyncio.timeout(deadline.cut(timeouts.first_byte)):
                response = await transport.handle_async_request(request)
        except httpx.ConnectTimeout as error:
            text = f"no connection to {shown(url)} within {timeouts.connect:g} s"
            raise ConnectionFailedError(text, unreachable=True) from error
        except (httpx.TimeoutException, TimeoutError):
            setting = "total" if deadline.is_over else "first_byte"
            raise RemoteTimeoutError(
                f"{shown(url)} did not begin to answer in time; raise Timeouts({setting}=...) to wait longer"
            ) from None
        except httpx.ConnectError as error:
            raise ConnectionFailedError(
                f"cannot connect to {shown(url)}: {error or 'connection failed'}. Is the agent running there?",
                unreachable=True,
            ) from error
        except httpx.LocalProtocolError:  # its text shows the header, which may hold a credential
            raise ValueError(_unsendable(url, headers)) from None
        except httpx.TransportError as error:
            raise ConnectionFailedError(f"{shown(url)} closed the connection before it answered") from error
        return Answer(response, url, timeouts, deadline)

    def _transport(self, url: httpx.URL) -> Transport:
        """The pool for a URL."""
        if self._guard is not None:
            return self._pool(url.scheme, None)
        origin = (url.scheme, url.netloc.decode("ascii"))
        found = self._of_origin.get(origin)
        if found is None:
            if len(self._of_origin) >= _KNOWN_ORIGINS:
                self._of_origin.clear()
            found = self._of_origin[origin] = self._pool(url.scheme, _proxy_for(url))
        return found

    def _pool(self, scheme: str, proxy: str | None) -> Transport:
        key = (scheme, proxy)
        if key not in self._pools and self._guard is not None:
            self._pools[key] = _GuardedTransport(self._guard, scheme)
        elif key not in self._pools:
            secure = scheme == "https" or proxy is not None
            tls = _tls(self._certificate) if secure else None
            if _quick is not None and proxy is None:
                self._pools[key] = _quick(tls, _KEEPALIVE)
            else:
                self._pools[key] = httpx.AsyncHTTPTransport(
                    verify=tls or False, proxy=proxy, limits=_LIMITS, trust_env=False
                )
        return self._pools[key]


_quick: Callable[[ssl.SSLContext | None, float], Transport] | None = None
"""Makes pools that cost less than httpx's own; None until somebody has called `warm`, or without aiohttp."""


async def warm() -> None:
    """Get ready for many calls: with aiohttp, the extra `aiohttp`, they cost half as much, and pools that are made from
    now on use it. Importing it takes a third of a second, in a thread, which is not worth it for one call."""
    if _quick is None and find_spec("aiohttp") is not None:
        await asyncio.to_thread(prepare)


def prepare() -> None:
    """The same, in whatever thread this is called in."""
    global _quick
    if find_spec("aiohttp") is not None:
        from a2a_bridge.aio import AiohttpTransport

        _quick = AiohttpTransport


@cache
def _tls(certificate: ClientCertificate | None) -> ssl.SSLContext:
    """One TLS context for the process and certificate: loading the certificates takes 30 ms."""
    context = httpx.create_ssl_context()
    if certificate is not None:
        try:
            if certificate.ca is not None:
                context.load_verify_locations(certificate.ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"the certificate authorities {certificate.ca} cannot be used: {error}") from error
        try:
            if certificate.cert is not None:
                context.load_cert_chain(certificate.cert, certificate.key, lambda: certificate.password or "")
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"the client certificate {certificate.cert} cannot be used: {error}") from error
    return context


def _proxy_for(url: httpx.URL) -> str | None:
    if is_loopback(url.host) or urllib.request.proxy_bypass(url.host):
        return None
    proxies = urllib.request.getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


_Kept = tuple[dict[ClientCertificate | None, Http], AsyncGenerator[None, None]]
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, _Kept] = WeakKeyDictionary()


async def shared(certificate: ClientCertificate | None = None) -> Http:
    """The `Http` of the running event loop; one more for each client certificate."""
    loop = asyncio.get_running_loop()
    found = _shared.get(loop)
    if found is None:
        pools: dict[ClientCertificate | None, Http] = {}
        keeper = _closing_with_the_loop(pools)
        found = _shared[loop] = (pools, keeper)
        await anext(keeper)  # from here on the loop knows the generator, and closes it when it shuts down
    http = found[0].get(certificate)
    if http is None:
        http = found[0][certificate] = Http(certificate=certificate)
    return http


async def _closing_with_the_loop(pools: dict[ClientCertificate | None, Http]) -> AsyncGenerator[None, None]:
    try:
        yield
    finally:
        # The entry goes first: its connections refer to the loop and would keep it alive in the dictionary.
        _shared.pop(asyncio.get_running_loop(), None)
        for http in pools.values():
            await http.aclose()
