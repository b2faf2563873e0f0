"""From a URL to an agent: the card, its cache, and where it may send us."""

import json
from typing import Any

import pytest

from a2a_bridge.client.client import Client
from a2a_bridge.client.interface import ANY, Wanted, choose_interface
from a2a_bridge.client.resolve import card_url
from a2a_bridge.errors import CardError, ConnectionFailedError, InvalidAgentResponseError
from a2a_bridge.protocol.card import AgentCard, AgentInterface
from a2a_bridge.protocol.objects import TaskState

CARD_URL = "http://127.0.0.1:8080/.well-known/agent-card.json"
OLD_DONE = {"id": "t1", "contextId": "c1", "status": {"state": "completed"}}
DONE = {"id": "t1", "contextId": "c1", "status": {"state": "TASK_STATE_COMPLETED"}}


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h", "https://h/.well-known/agent-card.json"),
        ("https://h/a2a/", "https://h/a2a/.well-known/agent-card.json"),
        ("https://h/a2a?key=1", "https://h/a2a/.well-known/agent-card.json?key=1"),
        ("https://h/cards/mine.json", "https://h/cards/mine.json"),
        ("https://h/cards/mine.json?v=1", "https://h/cards/mine.json?v=1"),
    ],
)
def test_the_card_is_below_the_url_or_at_it(url: str, expected: str) -> None:
    """R-CARD-14: the path is kept, and an explicit address of a card is one that ends in .json."""
    assert card_url(url) == expected


def card_with(*interfaces: tuple[str, str, str]) -> AgentCard:
    entries = tuple(AgentInterface(url=u, protocol_binding=b, protocol_version=v) for u, b, v in interfaces)
    return AgentCard(name="n", description="d", version="1", supported_interfaces=entries)


BASE = "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("offered", "wanted", "chosen"),
    [
        ([("/a", "GRPC", "1.0"), ("/b", "HTTP+JSON", "1.0"), ("/c", "JSONRPC", "1.0")], ANY, "/b HTTP+JSON 1.0"),
        ([("/a", "JSONRPC", "0.3"), ("/b", "HTTP+JSON", "1.0")], ANY, "/a JSONRPC 0.3"),
        ([("/a", "jsonrpc", "0.3.0"), ("/a", "JSONRPC", "1.0.1")], ANY, "/a JSONRPC 1.0.1"),
        ([("/a", "JSONRPC", "0.3"), ("/b", "HTTP+JSON", "0.3"), ("/a", "JSONRPC", "1.0")], ANY, "/a JSONRPC 1.0"),
        ([("/a", "JSONRPC", "1.4"), ("/b", "http+json", "0.3")], ANY, "/b http+json 0.3"),
        ([("/a", "JSONRPC", "1.4")], ANY, "/a JSONRPC 1.4"),
        ([("/a", "JSONRPC", "0.2.5"), ("/b", "JSONRPC", "1.0")], ANY, "/b JSONRPC 1.0"),
        ([("/a", "JSONRPC", "1.0"), ("/b", "HTTP+JSON", "1.0")], Wanted(binding="http+json"), "/b HTTP+JSON 1.0"),
        ([("/a", "JSONRPC", "1.0"), ("/a", "JSONRPC", "0.3")], Wanted(version="0.3"), "/a JSONRPC 0.3"),
    ],
)
def test_the_first_interface_that_we_speak_is_chosen(
    offered: list[tuple[str, str, str]], wanted: Wanted, chosen: str
) -> None:
    """R-CARD-06, R-BIND-03, R-VER-08: the order of the card, bindings in any case, relative URLs completed. Of one
    address in two versions the better one counts; a later 1.x is spoken to only when nothing else is left."""
    found = choose_interface(card_with(*offered), CARD_URL, wanted=wanted)
    assert f"{found.url.removeprefix(BASE)} {found.protocol_binding} {found.protocol_version}" == chosen


def test_an_agent_that_we_cannot_speak_to_is_described() -> None:
    """The message names what the agent offers and what we speak."""
    card = card_with(("http://x", "GRPC", "1.0"), ("http://x", "JSONRPC", "0.2"))
    with pytest.raises(
        CardError, match=r"offers GRPC 1\.0, JSONRPC 0\.2; this client speaks JSONRPC or HTTP\+JSON 1\.0"
    ):
        choose_interface(card, CARD_URL)


def test_a_version_that_is_asked_for_is_not_exchanged_for_another() -> None:
    """R-VER-08: no silent downgrade; and what nobody speaks cannot be asked for."""
    with pytest.raises(CardError, match=r"offers JSONRPC 0\.3; what was asked for is JSONRPC or HTTP\+JSON 1\.0"):
        choose_interface(card_with((BASE, "JSONRPC", "0.3")), CARD_URL, wanted=Wanted(version="1.0"))
    with pytest.raises(ValueError, match=r"there are 1\.0, 0\.3"):
        Wanted(version="2.0")
    with pytest.raises(ValueError, match="GRPC"):
        Wanted(binding="GRPC")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("http://127.0.0.1:8080/rpc", True),
        ("http://localhost:8080/rpc", True),
        ("http://[::1]:8080/rpc", True),
        ("http://127.0.0.1:8081/rpc", False),
        ("https://127.0.0.1:8080/rpc", False),
        ("http://elsewhere.example:8080/rpc", False),
        ("http://127.0.0.1@elsewhere.example:8080/rpc", False),
        ("http://elsewhere.example:99999/rpc", False),
    ],
)
def test_a_card_may_not_send_us_to_another_origin(url: str, allowed: bool) -> None:
    """Agent in the middle: the caller's headers would go there. The names of this machine are one origin."""
    card = card_with((url, "JSONRPC", "1.0"))
    if allowed:
        assert choose_interface(card, CARD_URL).url == url
        return
    with pytest.raises(CardError, match="allow_other_origin=True"):
        choose_interface(card, CARD_URL)
    assert choose_interface(card, CARD_URL, allow_other_origin=True).url == url


async def test_a_foreign_origin_is_refused_by_the_client_unless_allowed(raw: Any) -> None:
    """The same through `Client`, before anything is sent."""
    raw.card["supportedInterfaces"][0]["url"] = "http://elsewhere.example/rpc"
    with pytest.raises(CardError, match="elsewhere"):
        await raw.client().send("hi")
    assert len(raw.requests) == 1


async def test_a_card_is_kept_while_it_is_fresh_and_then_asked_for_with_its_etag(raw: Any) -> None:
    """R-CARD-10, R-CARD-09: no request while fresh, a conditional one after, and 304 keeps the card."""

    async def tagged(exchange: Any) -> None:
        if exchange.headers.get("if-none-match") == '"v1"':
            await exchange.answer(b"", status=304)
        else:
            headers = {"ETag": '"v1"', "Cache-Control": "max-age=100"}
            await exchange.answer(json.dumps(raw.card).encode(), headers=headers)

    raw.on("card", tagged)
    client = raw.client()
    card = await client.card()
    assert await client.card() is card
    assert len(raw.requests) == 1
    assert await client.card(refresh=True) is card
    assert raw.requests[1].headers["if-none-match"] == '"v1"'


async def test_a_card_that_may_not_be_kept_is_asked_for_each_time(raw: Any) -> None:
    """RFC 9111: no-store."""
    body = json.dumps(raw.card).encode()
    raw.on("card", lambda exchange: exchange.answer(body, headers={"Cache-Control": "no-store"}))
    client = raw.client()
    await client.card()
    await client.card()
    assert len(raw.requests) == 2


async def test_calls_go_on_while_the_card_cannot_be_had(raw: Any) -> None:
    """A card server that is down does not take the agent with it, once the card is known."""
    body = json.dumps(raw.card).encode()
    raw.on(
        "card",
        lambda exchange: exchange.answer(body, headers={"Cache-Control": "no-cache"}),
        lambda exchange: exchange.answer(b"", status=500),
    )
    raw.on("GetTask", lambda exchange: exchange.result(DONE))
    client = raw.client()
    await client.card()
    assert (await client.get("t1")).id == "t1"
    with pytest.raises(ConnectionFailedError, match="HTTP 500"):
        await client.card(refresh=True)


async def test_a_card_that_changes_is_followed(raw: Any) -> None:
    """Calls go where the newest card says."""
    raw.on("GetTask", lambda exchange: exchange.result(DONE))
    client = raw.client()
    await client.get("t1")
    raw.card["supportedInterfaces"][0]["url"] = f"{raw.url}/moved"
    await client.card(refresh=True)
    await client.get("t1")
    assert [call.path for call in raw.calls("GetTask")] == ["/rpc", "/moved"]


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (404, b"", "there is no agent card"),
        (200, b"<html>", "not JSON"),
        (200, b"[]", "JSON object"),
        (200, b'{"name":"x"}', "supportedInterfaces"),
        (200, b'{"description":"x"}', "name"),
    ],
)
async def test_a_card_that_is_none_says_why(raw: Any, status: int, body: bytes, says: str) -> None:
    """CardError names the address and the reason."""
    raw.on("card", lambda exchange: exchange.answer(body, status=status))
    with pytest.raises(CardError, match=says) as caught:
        await raw.client().card()
    assert "/.well-known/agent-card.json" in str(caught.value)


async def test_a_huge_card_is_not_read(raw: Any) -> None:
    """One megabyte is enough for any card."""
    raw.on("card", lambda exchange: exchange.answer(b" " * (1024 * 1024 + 1)))
    with pytest.raises(InvalidAgentResponseError, match="bytes"):
        await raw.client().card()


async def test_a_card_at_an_address_of_its_own_is_read_there(raw: Any) -> None:
    """A URL that ends in .json is the card's."""
    card = await Client(f"{raw.url}/cards/mine.json").card()
    assert card.name == "raw"
    assert raw.requests[0].path == "/cards/mine.json"


async def test_an_agent_with_a_v03_card_is_spoken_to_in_0_3(raw: Any) -> None:
    """R-CARD-12, R-COMPAT-22: the card decides the version, and every request says it."""
    raw.card = {"name": "old", "url": f"{raw.url}/rpc", "protocolVersion": "0.3.0", "skills": []}
    raw.on("tasks/get", lambda exchange: exchange.result({"kind": "task", **OLD_DONE}))
    task = await raw.client().get("t1")
    assert task.status.state is TaskState.COMPLETED
    assert raw.requests[-1].headers["a2a-version"] == "0.3"
    assert raw.requests[-1].path == "/rpc"
