"""One server with the obedient agent, and a rude client for it."""

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from a2a_bridge.bridge import Bridge
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.rest_wire import RestWire
from a2a_bridge.testing.wire import Wire


@pytest.fixture
async def agent() -> AsyncIterator[Obedient]:
    """Its gate is opened at the end, so that no turn is left waiting."""
    found = Obedient()
    yield found
    found.gate.open()


BINDINGS = {"JSONRPC": Wire, "HTTP+JSON": RestWire}


BOTH = ("test_send", "test_streams", "test_tasks", "test_negotiation", "test_push")
"""Modules whose tests run on both bindings: what they ask for has no envelope in it (R-BIND-01)."""
OF_JSON_RPC = {
    "test_a_task_needs_an_id",  # it is in the path: without it, it is another path
    "test_an_unknown_method_is_told_before_the_version",
    "test_a_stream_is_server_sent_events_of_whole_responses",
    "test_the_version_may_stand_in_the_query",
}
"""Tests of those modules that look at the envelope after all; test_rest.py has their counterparts."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "binding" in metafunc.fixturenames:
        both = metafunc.module.__name__.rpartition(".")[2] in BOTH and metafunc.function.__name__ not in OF_JSON_RPC
        metafunc.parametrize("binding", list(BINDINGS) if both else ["JSONRPC"], indirect=True)


@pytest.fixture
def binding(request: pytest.FixtureRequest) -> type[Wire]:
    """Who calls: the `Wire` of one binding."""
    return BINDINGS[request.param]


@pytest.fixture
async def wire(start: Callable[[Bridge], Awaitable[httpx.AsyncClient]], agent: Obedient, binding: type[Wire]) -> Wire:
    """Version 1.0 goes with every request unless a test says otherwise."""
    return binding(await start(Bridge(agent)))
