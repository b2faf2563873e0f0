"""Versions, capabilities, extensions and the order of checks (A2A 1.0.1 §3.3.4, §3.6, §4.6)."""

from typing import Any

import httpx
import pytest

from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.cards.build import build_card
from a2a_bridge.observe import trace
from a2a_bridge.protocol.card import AgentCapabilities, AgentExtension
from a2a_bridge.protocol.extensions import TURN_EXTENSION
from a2a_bridge.protocol.methods import OPERATIONS
from a2a_bridge.testing.agents import Obedient, Scripted
from a2a_bridge.testing.wire import Wire, reason_of, say


def metadata_of(error: Any) -> dict[str, str]:
    return error["data"][0].get("metadata", {})


@pytest.fixture
def plain(wire: Wire) -> Wire:
    """Says nothing of versions by itself."""
    del wire.http.headers["a2a-version"]
    return wire


# --- versions


@pytest.mark.parametrize("version", ["1.0", "1.0.0", "1.0.1", "1.0.99"])
async def test_versions_of_1_0_are_spoken(plain: Wire, version: str) -> None:
    """R-VER-02, R-VER-03: the patch number does not matter; R-VER-07: what is spoken is told."""
    response = await plain.post({"jsonrpc": "2.0", "id": 1, "method": "ListTasks"}, {"a2a-version": version})
    assert response.json()["result"]["totalSize"] == 0
    assert response.headers["a2a-version"] == "1.0"


@pytest.mark.parametrize(
    "version",
    [
        "0.3",
        "0.3.0",
        "1",
        "1.1",
        "1.7",
        "2.0",
        "99.0",
        "junk",
        "1.0.0.0",
        "v1.0",
        "1.0-beta",
        "01.0",
        "1,0",
        "x" * 5000,
    ],
)
@pytest.mark.parametrize("method", ["ListTasks", "SendMessage", "SendStreamingMessage", "GetExtendedAgentCard"])
async def test_other_versions_are_refused(plain: Wire, version: str, method: str) -> None:
    """R-VER-03, R-VER-04: by every operation, told which would do; R-ERR-07: before the parameters are looked at."""
    error = await plain.error(method, {"nonsense": 1}, headers={"a2a-version": version})
    assert (error["code"], reason_of(error)) == (-32009, "VERSION_NOT_SUPPORTED")
    assert metadata_of(error) == {"supportedVersions": "0.3,1.0", "requestedVersion": version[:20]}
    assert "A2A-Version: 1.0" in error["message"]


@pytest.mark.parametrize("headers", [{}, {"a2a-version": ""}])
async def test_no_version_means_0_3_and_the_error_names_the_header_to_add(plain: Wire, headers: Any) -> None:
    """R-VER-02, R-VER-06: strict, but helpful."""
    error = await plain.error("SendMessage", say(), headers=headers)
    assert error["code"] == -32009
    assert "add the header A2A-Version: 1.0" in error["message"]
    assert metadata_of(error)["requestedVersion"] == "0.3"


@pytest.mark.parametrize(
    ("query", "headers", "works"),
    [
        ("A2A-Version=1.0", {}, True),
        ("a=b&A2A-Version=1.0.1", {}, True),
        ("A2A-Version=0.3", {}, False),
        ("A2A-Version=1.0", {"a2a-version": "0.3"}, False),
        ("A2A-Version=0.3", {"a2a-version": "1.0"}, True),
        ("A2A-Version=1.0", {"a2a-version": ""}, True),
        ("a2a-version=1.0", {}, False),
        ("A2A-Version", {}, False),
        ("%ff=1&A2A-Version=%", {}, False),
    ],
)
async def test_the_version_may_stand_in_the_query(plain: Wire, query: str, headers: Any, works: bool) -> None:
    """R-VER-01, R-VER-02: the header wins."""
    plain.path = f"/?{query}"
    found = await plain.call("ListTasks", headers=headers)
    assert ("result" in found) is works
    assert works or found["error"]["code"] == -32009


async def test_an_unknown_method_is_told_before_the_version(plain: Wire) -> None:
    """R-ERR-07: envelope, then method, then version, then parameters."""
    assert (await plain.error("tasks/list", {}))["code"] == -32601
    assert (await plain.error("GetTask", {}))["code"] == -32009
    assert (await plain.error("GetTask", {}, headers={"a2a-version": "1.0"}))["code"] == -32602


# --- capabilities


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.needs == "push_notifications"], ids=lambda o: o.name)
async def test_webhooks_are_not_offered(start: Any, agent: Obedient, binding: type[Wire], operation: Any) -> None:
    """R-CAP-01: each of the four says so; R-ERR-07: after the parameters, before the task is looked for."""
    wire = binding(await start(Bridge(agent, options=Options(push=None))))
    params = {"taskId": "no", "id": "c", "url": "https://example.org"}
    error = await wire.error(operation.name, params)
    assert (error["code"], reason_of(error)) == (-32003, "PUSH_NOTIFICATION_NOT_SUPPORTED")
    if operation.name.startswith("Create"):
        assert (await wire.error(operation.name, {"taskId": "no"}))["code"] == -32602


async def test_an_extended_card_is_not_offered(wire: Wire) -> None:
    """R-CAP-03."""
    error = await wire.error("GetExtendedAgentCard")
    assert (error["code"], reason_of(error)) == (-32004, "UNSUPPORTED_OPERATION")


# --- extensions


async def served_with(start: Any, *extensions: AgentExtension) -> tuple[Wire, Obedient]:
    agent = Obedient()
    card = build_card(agent, url="http://test/")
    card = card.model_copy(update={"capabilities": AgentCapabilities(streaming=True, extensions=extensions)})
    return Wire(await start(Bridge(agent, cards={"obedient": card}))), agent


@pytest.mark.parametrize(
    ("value", "active"),
    [
        ("urn:a", "urn:a"), ("urn:b, urn:a", "urn:a, urn:b"), (" urn:a ,,urn:unknown,", "urn:a"), ("URN:A", None),
        ("urn:a/2", None), ("", None),
    ],
)  # fmt: skip
async def test_activated_extensions_are_echoed(start: Any, value: str, active: str | None) -> None:
    """R-EXT-01, R-EXT-02, R-EXT-03: those the card has, exactly as they are spelled; others are ignored."""
    wire, agent = await served_with(start, AgentExtension(uri="urn:a"), AgentExtension(uri="urn:b"))
    request = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": say()}
    response = await wire.post(request, {"a2a-extensions": value})
    assert response.headers.get("a2a-extensions") == active
    assert agent.turns[0].extensions == frozenset(active.split(", ") if active else ())


async def test_the_header_may_be_repeated_and_streams_echo_it_too(start: Any) -> None:
    """R-EXT-01, R-EXT-02."""
    wire, _ = await served_with(start, AgentExtension(uri="urn:a"), AgentExtension(uri="urn:b"))
    wire.http.headers = httpx.Headers([*wire.http.headers.multi_items(), ("a2a-extensions", "urn:a")])
    wire.http.headers = httpx.Headers([*wire.http.headers.multi_items(), ("a2a-extensions", "urn:b")])
    async with wire.stream("SendStreamingMessage", say()) as reader:
        assert reader.headers["a2a-extensions"] == "urn:a, urn:b"
        await reader.rest()


@pytest.mark.parametrize(
    "method", ["SendMessage", "SendStreamingMessage", "GetTask", "ListTasks", "CancelTask", "SubscribeToTask"]
)
async def test_a_required_extension_must_be_named(start: Any, method: str) -> None:
    """R-CAP-04, R-EXT-04: by everything that is about messages and tasks."""
    required = AgentExtension(uri="urn:must", required=True)
    wire, agent = await served_with(start, required, AgentExtension(uri="urn:may"))
    params = say() if "Send" in method else {} if method == "ListTasks" else {"id": "x"}
    error = await wire.error(method, params, headers={"a2a-extensions": "urn:may"})
    assert (error["code"], reason_of(error)) == (-32008, "EXTENSION_SUPPORT_REQUIRED")
    assert "urn:must" in error["message"]
    assert agent.turns == []


async def test_a_required_extension_that_is_named_is_satisfied(start: Any) -> None:
    """R-CAP-04; discovery and the extended card do not need it."""
    wire, _ = await served_with(start, AgentExtension(uri="urn:must", required=True))
    headers = {"a2a-extensions": "urn:must"}
    assert (await wire.result("SendMessage", say(), headers=headers))["task"]
    assert (await wire.http.get("/.well-known/agent-card.json")).status_code == 200
    assert (await wire.error("GetExtendedAgentCard"))["code"] == -32004


async def test_our_own_extension_is_on_every_built_card(wire: Wire) -> None:
    """R-EXT-02, R-CARD-05: it is offered, and never required."""
    card = (await wire.http.get("/.well-known/agent-card.json")).json()
    (turn,) = [found for found in card["capabilities"]["extensions"] if found["uri"] == TURN_EXTENSION]
    assert not turn.get("required")


# --- traces


@pytest.mark.parametrize(
    "value", ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "junk", "00-0-0-0", "", "ff-" + "1" * 52]
)
async def test_any_traceparent_is_taken(wire: Wire, value: str) -> None:
    """Our decision: a trace is continued if it is one, and never a reason to refuse."""
    task = await wire.result("SendMessage", say(), headers={"traceparent": value})
    assert task["task"]["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_the_trace_of_a_request_goes_on_in_its_turn(start: Any) -> None:
    """Our decision: what the agent calls belongs to the same trace."""

    async def tells(turn: Any) -> Any:
        yield trace.current_trace_id() or "none"

    wire = Wire(await start(Bridge(Scripted(tells))))
    header = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    task = (await wire.result("SendMessage", say(), headers=header))["task"]
    assert task["artifacts"][0]["parts"] == [{"text": "4bf92f3577b34da6a3ce929d0e0e4736"}]
    assert (await wire.send())["artifacts"][0]["parts"] == [{"text": "none"}]
