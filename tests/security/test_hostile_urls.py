"""URLs that must not be called: each row names the mechanism it tries, and no two try the same.

Every row is refused where it comes in (Create and a send) and where it goes out (the one HTTP client), without a
connection. Names that mean one thing when they are registered and another when they are called stand below the table.
"""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.errors import AddressRefusedError
from a2a_bridge.guard import Guard
from a2a_bridge.net import Deadline, Http, Timeouts, check_address
from a2a_bridge.tasks.push import REFUSED_URL, Push
from a2a_bridge.testing.agents import Gate, Scripted
from a2a_bridge.testing.receiver import Receiver
from a2a_bridge.testing.wire import Wire, eventually, fields_of, say

PUBLIC = ("93.184.216.34",)
HANGS = ("hangs",)


class Row(NamedTuple):
    mechanism: str
    url: str
    addresses: tuple[str, ...] = PUBLIC


ROWS = (
    # addresses of IPv4, as they are
    Row("loopback", "https://127.0.0.1/"),
    Row("loopback has sixteen million addresses", "https://127.99.3.4/"),
    Row("private, 10/8", "https://10.0.0.1/"),
    Row("private, the end of 172.16/12", "https://172.31.255.254/"),
    Row("private, 192.168/16", "https://192.168.1.1/"),
    Row("link-local: metadata of most clouds", "https://169.254.169.254/latest/meta-data/"),
    Row("carrier-grade NAT: metadata of Alibaba", "https://100.100.100.200/"),
    Row("unspecified, which connects to loopback", "https://0.0.0.0/"),
    Row("this network, 0/8", "https://0.1.2.3/"),
    Row("protocol assignments: metadata of Oracle, is_global in Python", "https://192.0.0.192/"),
    Row("benchmarking", "https://198.19.255.1/"),
    Row("documentation", "https://203.0.113.9/"),
    Row("relay anycast of 6to4", "https://192.88.99.1/"),
    Row("multicast, is_global in Python", "https://224.0.0.251/"),
    Row("reserved", "https://250.1.2.3/"),
    Row("broadcast", "https://255.255.255.255/"),
    Row("public by number: the host of an Azure machine", "https://168.63.129.16/"),
    # the same, in other spellings that some resolvers take
    Row("one decimal number", "https://2130706433/"),
    Row("one hexadecimal number", "https://0x7f000001/"),
    Row("an octal part", "https://0177.0.0.1/"),
    Row("a hexadecimal part", "https://0x7f.0.0.1/"),
    Row("missing parts", "https://127.1/"),
    Row("leading zeros", "https://127.000.000.001/"),
    Row("a dot at the end", "https://127.0.0.1./"),
    Row("a part that overflows", "https://383.0.0.1/"),
    Row("five parts", "https://127.0.0.1.1/"),
    Row("a bare 0x at the end", "https://127.0.0.0x/"),
    Row("ideographic full stops", "https://127。0。0。1/"),
    Row("digits of full width", "https://１２７.0.0.1/"),
    Row("circled letters", "https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/"),
    Row("a soft hyphen within the name", "https://local\u00adhost/"),
    Row("a host in percent encoding", "https://%31%32%37.0.0.1/"),
    # addresses of IPv6
    Row("loopback of IPv6", "https://[::1]/"),
    Row("loopback of IPv6, written out", "https://[0000:0000:0000:0000:0000:0000:0000:0001]/"),
    Row("unspecified of IPv6", "https://[::]/"),
    Row("unique local: metadata of AWS", "https://[fd00:ec2::254]/"),
    Row("link-local of IPv6", "https://[fe80::a9fe:a9fe]/"),
    Row("a zone id", "https://[fe80::1%25eth0]/"),
    Row("a zone id on a global address", "https://[2606:4700::1111%25lo]/"),
    Row("site-local, is_global in Python", "https://[fec0::1]/"),
    Row("multicast of IPv6", "https://[ff0e::1]/"),
    Row("documentation of IPv6", "https://[2001:db8::1]/"),
    Row("new documentation, is_global in Python", "https://[3fff::1]/"),
    Row("segment routing, is_global in Python", "https://[5f00::1]/"),
    Row("discard-only", "https://[100::1]/"),
    Row("identifiers that are no addresses (ORCHID)", "https://[2001:20::1]/"),
    # IPv4 inside IPv6
    Row("IPv4-mapped", "https://[::ffff:127.0.0.1]/"),
    Row("IPv4-translated", "https://[::ffff:0:7f00:1]/"),
    Row("IPv4-compatible", "https://[::7f00:1]/"),
    Row("NAT64", "https://[64:ff9b::a9fe:a9fe]/"),
    Row("NAT64 of local use", "https://[64:ff9b:1::7f00:1]/"),
    Row("6to4", "https://[2002:7f00:1::]/"),
    Row("Teredo, whose client is inverted", "https://[2001:0:5db8:d822::80ff:fffe]/"),
    Row("ISATAP behind a global prefix", "https://[2606:4700::5efe:10.0.0.1]/"),
    Row("ISATAP with the universal bit", "https://[2606:4700::200:5efe:a00:1]/"),
    # the URL around the host
    Row("no TLS, at the port of TLS", "http://hooks.example.com:443/"),
    Row("a scheme that is no network", "file:///etc/passwd"),
    Row("a scheme that smuggles bytes", "gopher://hooks.example.com:443/_GET"),
    Row("no scheme", "//hooks.example.com/"),
    Row("no host", "https:///hook"),
    Row("credentials", "https://user:pass@hooks.example.com/"),
    Row("a trusted name as credentials", "https://hooks.example.com@127.0.0.1/"),
    Row("a trusted name behind a backslash", "https://hooks.example.com\\@127.0.0.1/"),
    Row("a trusted name in the fragment", "https://127.0.0.1#@hooks.example.com/"),
    Row("a port of another service", "https://hooks.example.com:22/"),
    Row("port 0", "https://hooks.example.com:0/"),
    Row("a port that wraps around to 443", "https://hooks.example.com:65979/"),
    Row("a port that is no number", "https://hooks.example.com:443x/"),
    Row("a line break in the path: a header of one's own", "https://hooks.example.com/\r\nX-Admin: 1"),
    Row("a tab in the host", "https://hooks.exa\tmple.com/"),
    Row("a null byte", "https://hooks.example.com\x00.evil.example/"),
    Row("a space before it", " https://127.0.0.1/"),
    Row("a space in the host", "https://hooks.example.com 127.0.0.1/"),
    Row("an unclosed bracket", "https://[::1/"),
    # names
    Row("localhost", "https://localhost/"),
    Row("localhost in capitals with a dot", "https://LOCALHOST./"),
    Row("a name below localhost", "https://hooks.localhost/"),
    Row("a name of the local link", "https://printer.local/"),
    Row("a name of a cloud's inside: metadata of Google", "https://metadata.google.internal/"),
    Row("an empty label", "https://hooks..example.com/"),
    Row("a label that begins with a hyphen", "https://-hooks.example.com/"),
    Row("a label that is too long", f"https://{'a' * 64}.example.com/"),
    Row("a name that is too long", f"https://{'a.' * 130}example.com/"),
    # what names may mean
    Row("a name of loopback", "https://127-0-0-1.example.com/", ("127.0.0.1",)),
    Row("a name of a private address", "https://hooks.example.com/", ("10.0.0.1",)),
    Row("a public address and a private one", "https://hooks.example.com/", (*PUBLIC, "10.0.0.1")),
    Row("public by IPv4, private by IPv6", "https://hooks.example.com/", (*PUBLIC, "fd00::1")),
    Row("a name of an address within an address", "https://hooks.example.com/", ("64:ff9b::7f00:1",)),
    Row("a name of an address with a zone", "https://hooks.example.com/", ("fe80::1%eth0",)),
    Row("a one-label name that the search list completes", "https://db/", ("10.0.0.1",)),
    Row("a name that nobody knows", "https://hooks.example.com/", ()),
    Row("a look-up that never ends", "https://hooks.example.com/", HANGS),
    Row("a look-up that tells nonsense", "https://hooks.example.com/", (*PUBLIC, "nonsense")),
)  # fmt: skip


def guard_for(row: Row) -> Guard:
    async def resolve(host: str, port: int) -> list[str]:
        if row.addresses == HANGS:
            await asyncio.Event().wait()
        if not row.addresses:
            raise OSError("unknown")
        return list(row.addresses)

    return Guard(resolve=resolve, seconds=0.01 if row.addresses == HANGS else 3.0)


_connections: list[Any] = []


def _note(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        _connections.append(args[1])


sys.addaudithook(_note)  # never taken away: it only notes


@contextmanager
def no_connection() -> Iterator[None]:
    """Within it, nothing connects to anything."""
    _connections.clear()
    yield
    assert _connections == []


def test_each_row_tries_something_else() -> None:
    """The issue counts mechanisms, not rows."""
    assert len({row.mechanism for row in ROWS}) == len({(row.url, row.addresses) for row in ROWS}) == len(ROWS)
    assert len(ROWS) >= 60


async def test_the_hosts_of_the_table_are_fit_in_themselves() -> None:
    """So it is the mechanism of a row that is refused, and not everything."""
    await check_address("https://hooks.example.com/", guard_for(Row("none", "")))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.mechanism)
async def test_a_hostile_url_is_refused_wherever_it_comes_in(start: Any, row: Row) -> None:
    """R-SEC-07: by Create and with a send; nothing is kept, nothing runs, and the answer does not say why."""

    async def talks(turn: Any) -> Any:
        yield "hello"

    agent = Scripted(talks)
    bridge = Bridge(agent, options=Options(push=Push(guard_for(row))))
    wire = Wire(await start(bridge))
    task = await wire.send()
    with no_connection():
        errors = [
            await wire.error("CreateTaskPushNotificationConfig", {"taskId": task["id"], "url": row.url}),
            await wire.error(
                "SendMessage", say() | {"configuration": {"taskPushNotificationConfig": {"url": row.url}}}
            ),
        ]
    assert errors[0] == errors[1]
    assert (errors[0]["code"], errors[0]["message"], fields_of(errors[0])) == (-32602, REFUSED_URL, ["url"])
    assert "must be an https URL that may be called from here" in json.dumps(errors[0])
    assert len(agent.turns) == 1
    assert await wire.result("ListTaskPushNotificationConfigs", {"taskId": task["id"]}) == {}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.mechanism)
async def test_a_hostile_url_is_refused_on_the_way_out(row: Row) -> None:
    """R-SEC-07: whoever has let it in, no connection is made."""
    http = Http(guard=guard_for(row))
    try:
        with no_connection(), pytest.raises((AddressRefusedError, ValueError)):
            await http.request("POST", row.url, headers={}, body=b"{}", timeouts=Timeouts(), deadline=Deadline(5.0))
    finally:
        await http.aclose()


# --- what is one thing when it is registered and another when it is called

REBOUND = {
    "to loopback": ("127.0.0.1",),
    "to metadata": ("169.254.169.254",),
    "to a private address of IPv6": ("fd00::1",),
    "to the same and a private one": (*PUBLIC, "10.0.0.1"),
    "to loopback inside NAT64": ("64:ff9b::7f00:1",),
    "to nothing": (),
}


@pytest.mark.parametrize("how", REBOUND)
async def test_a_name_that_is_bound_anew_is_refused_when_it_is_called(start: Any, how: str) -> None:
    """Reliability: judged at each dispatch; the event waits for the next try, and then for the dead letters."""
    gate = Gate()
    answers: list[tuple[str, ...]] = [PUBLIC]

    async def resolve(host: str, port: int) -> list[str]:
        return list(answers[-1])

    async def waits(turn: Any) -> Any:
        yield "one"
        await gate()

    bridge = Bridge(Scripted(waits), options=Options(push=Push(Guard(resolve=resolve))))
    wire = Wire(await start(bridge))
    async with wire.stream("SendStreamingMessage", say()) as reader:
        opened = await reader.next()
        await reader.next()
        assert opened is not None
        await wire.result(
            "CreateTaskPushNotificationConfig", {"taskId": opened.value["id"], "url": "https://hooks.example.com/"}
        )
        answers.append(REBOUND[how])
        with no_connection():
            gate.open()
            await reader.rest()

            async def tried() -> bool:
                (entry,) = await bridge.store.page("delivery", "delivery")
                return json.loads(entry.value)["tries"] == 1

            await eventually(tried)


async def test_a_name_with_a_new_meaning_at_each_look_up_gains_nothing() -> None:
    """Reliability: the address that was judged is the one that is called: there is no second look-up to win."""
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) % 2 else ["10.0.0.1"]

    async with Receiver() as hook:
        http = Http(guard=Guard(loopback=True, resolve=resolve))
        for expected in (True, True, True):  # over one connection, which stays what it was
            answer = await http.request(
                "POST", f"http://rebound.example:{hook.port}/", headers={}, body=b"{}", timeouts=Timeouts(),
                deadline=Deadline(5.0),
            )  # fmt: skip
            async with answer:
                await answer.read(100)
                assert (answer.status == 200) is expected
        await http.aclose()
    assert asked == ["rebound.example"]
    with no_connection(), pytest.raises(AddressRefusedError):
        await http.request(
            "POST", f"http://rebound.example:{hook.port}/", headers={}, body=b"{}", timeouts=Timeouts(),
            deadline=Deadline(5.0),
        )  # fmt: skip


async def test_a_redirect_to_the_inside_is_not_followed(start: Any) -> None:
    """R-PUSH-16: it is an answer that does not take the event."""

    async def talks(turn: Any) -> Any:
        yield "hello"

    async with Receiver() as inside:
        moved = f"HTTP/1.1 307 .\r\nLocation: {inside.url}\r\nContent-Length: 0\r\n\r\n".encode()
        async with Receiver(default=moved) as hook:
            bridge = Bridge(Scripted(talks), options=Options(push=Push(Guard(loopback=True))))
            wire = Wire(await start(bridge))
            await wire.result(
                "SendMessage", say() | {"configuration": {"taskPushNotificationConfig": {"url": hook.url}}}
            )
            await hook.until_state("COMPLETED")
        assert inside.got == []
