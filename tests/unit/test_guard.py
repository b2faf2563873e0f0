"""Which addresses may be called: what is let through, the switches, and that a connection goes where the check looked.

What is refused stands as a table in tests/security.
"""

import asyncio
import ipaddress
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from a2a_bridge.errors import AddressRefusedError, ConfigError, ConnectionFailedError
from a2a_bridge.guard import Guard, inside, is_public
from a2a_bridge.net import Deadline, Http, Timeouts, check_address


def answering(*addresses: str) -> Callable[[str, int], Awaitable[list[str]]]:
    """A look-up that knows one answer."""

    async def resolve(host: str, port: int) -> list[str]:
        return list(addresses)

    return resolve


@asynccontextmanager
async def listening(seen: list[bytes]) -> AsyncIterator[int]:
    """A server on loopback that notes what it is sent; gives its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            seen.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def post(guard: Guard, url: str) -> int:
    http = Http(guard=guard)
    try:
        answer = await http.request("POST", url, headers={}, body=b"{}", timeouts=Timeouts(), deadline=Deadline(5.0))
        async with answer:
            return answer.status
    finally:
        await http.aclose()


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("https://hooks.example.com/a?b=c", ["93.184.216.34"]),
        ("https://hooks.example.com:443/", ["93.184.216.34", "2606:2800:220:1::1"]),
        ("https://bücher.example/", ["93.184.216.34"]),
        ("https://hooks.example.com./", ["93.184.216.34"]),
        ("https://93.184.216.34/", []),
        ("https://[2606:4700::1111]/", []),
        ("https://[::ffff:93.184.216.34]/", []),
        ("https://a_b.example.com/", ["64:ff9b::5db8:d822"]),
    ],
)
async def test_public_hosts_are_let_through(url: str, addresses: list[str]) -> None:
    """R-SEC-07: what a webhook usually looks like, and what IPv6-only networks make of it."""
    await check_address(url, Guard(resolve=answering(*addresses)))


async def test_the_switch_for_development_opens_loopback_and_nothing_else() -> None:
    """Issue: a development switch for loopback, by http and at any port."""
    guard = Guard(loopback=True, resolve=answering("127.0.0.1", "::1"))
    for url in ("http://127.0.0.1:9000/", "http://[::1]:9000/", "http://localhost:80/", "https://localhost:9/"):
        await check_address(url, guard)
    for url in ("http://10.0.0.1/", "http://169.254.169.254/", "http://93.184.216.34/", "http://0.0.0.0:9000/"):
        with pytest.raises(AddressRefusedError):
            await check_address(url, guard)
    with pytest.raises(AddressRefusedError):
        await check_address("http://localhost:9000/", Guard(loopback=True, resolve=answering("127.0.0.1", "10.0.0.1")))


async def test_hosts_of_ones_own_are_let_through_when_they_are_named() -> None:
    """Our decision: `allow` takes names, names below a name, addresses and networks."""
    guard = Guard(allow=("hooks.internal", "*.corp.example", "10.1.0.0/16", "::1"), resolve=answering("192.168.0.1"))
    for url in ("http://hooks.internal:8080/", "https://a.corp.example/", "http://10.1.2.3:1/", "http://[::1]:1/"):
        await check_address(url, guard)
    for url in ("http://other.internal/", "https://corp.example/", "https://10.2.0.1/", "https://evilcorp.example/"):
        with pytest.raises(AddressRefusedError):
            await check_address(url, guard)


async def test_a_list_of_the_only_hosts_leaves_out_all_others() -> None:
    """Our decision: `only` narrows; what is on it must be fit all the same."""
    guard = Guard(only=("hooks.example.com", "10.0.0.0/8"), resolve=answering("93.184.216.34"))
    await check_address("https://hooks.example.com/", guard)
    for url in ("https://example.com/", "https://93.184.216.34/", "https://10.0.0.1/"):
        with pytest.raises(AddressRefusedError):
            await check_address(url, guard)


@pytest.mark.parametrize("entry", ["10.1.0.0/99", "http://hooks.example.com", "", "*", "a..b", "10.1.2.3/16"])
def test_an_entry_that_means_nothing_is_an_error(entry: str) -> None:
    """No option is silently ignored."""
    with pytest.raises(ConfigError, match="neither a host name nor an address nor a network"):
        Guard(allow=(entry,))


async def test_more_ports_may_be_opened() -> None:
    """R-SEC-07: a list of ports."""
    guard = Guard(ports=frozenset({443, 8443}), resolve=answering("93.184.216.34"))
    await check_address("https://hooks.example.com:8443/", guard)
    with pytest.raises(AddressRefusedError, match="port 8444"):
        await check_address("https://hooks.example.com:8444/", guard)


async def test_a_look_up_that_takes_too_long_or_finds_nothing_is_a_refusal() -> None:
    """R-SEC-07: what cannot be looked up is refused; waiting is bounded."""
    never = asyncio.Event()

    async def hangs(host: str, port: int) -> list[str]:
        await never.wait()
        return []

    for guard in (Guard(resolve=hangs, seconds=0.01), Guard(resolve=answering()), Guard(resolve=answering("nonsense"))):
        with pytest.raises(AddressRefusedError, match="no address that can be used"):
            await check_address("https://hooks.example.com/", guard)


def test_addresses_within_addresses_are_taken_out() -> None:
    """R-SEC-07: each way to wrap 127.0.0.1, and each once more around a public address."""
    for text in (
        "::ffff:7f00:1", "::ffff:0:7f00:1", "::7f00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "2606:4700::5efe:7f00:1",
        "2606:4700::200:5efe:7f00:1",
    ):  # fmt: skip
        address = ipaddress.ip_address(text)
        assert ipaddress.IPv4Address("127.0.0.1") in list(inside(address)), text
        assert not is_public(address), text
    teredo = ipaddress.ip_address("2001:0:5db8:d822::80ff:fffe")
    assert list(inside(teredo)) == [ipaddress.IPv4Address("93.184.216.34"), ipaddress.IPv4Address("127.0.0.1")]
    for text in ("::ffff:5db8:d822", "64:ff9b::5db8:d822", "2002:5db8:d822::", "2606:4700::5efe:5db8:d822"):
        assert is_public(ipaddress.ip_address(text)), text


async def test_the_connection_goes_to_the_address_that_was_checked() -> None:
    """Reliability: no second look-up, so a name cannot be bound anew in between; Host stays the name."""
    seen: list[bytes] = []
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    async with listening(seen) as port:
        # A redirect is an answer like any other: R-PUSH-16.
        assert await post(Guard(loopback=True, resolve=resolve), f"http://nowhere.example:{port}/hook") == 302
    assert asked == ["nowhere.example"]
    assert b"POST /hook " in seen[0]
    assert f"host: nowhere.example:{port}".encode() in seen[0].lower()


async def test_the_next_address_is_tried_when_the_first_does_not_answer() -> None:
    """A host with two addresses is not lost with the first."""
    seen: list[bytes] = []
    async with listening(seen) as port:
        guard = Guard(loopback=True, resolve=answering("127.0.0.2", "127.0.0.1"))
        assert await post(guard, f"http://two.example:{port}/") == 302
        none = Guard(loopback=True, resolve=answering("127.0.0.2", "127.0.0.3"))
        with pytest.raises(ConnectionFailedError, match="cannot connect"):
            await post(none, f"http://two.example:{port}/")


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reliability: a proxy would look the name up itself, unguarded."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    seen: list[bytes] = []
    async with listening(seen) as port:
        guard = Guard(loopback=True, resolve=answering("127.0.0.1"))
        assert await post(guard, f"http://nowhere.example:{port}/") == 302


async def test_tls_is_held_to_the_name_in_the_url() -> None:
    """Reliability: the connection is pinned to an address; the name that TLS asks for and checks is the URL's."""
    greeting: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting.set_result(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(ConnectionFailedError):
        await post(Guard(loopback=True, resolve=answering("127.0.0.1")), f"https://nowhere.example:{port}/")
    server.close()
    assert b"nowhere.example" in await greeting


async def test_an_httpx_that_keeps_its_pool_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Our decision: rather no webhook than an unguarded one. (httpx offers no way to say this but its own insides.)"""
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "__init__", lambda self, **options: None)
    with pytest.raises(RuntimeError, match="httpx"):
        await post(Guard(), "https://93.184.216.34/")
