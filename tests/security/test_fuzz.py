"""Thousands of requests that nobody would write, the same ones every time: no fault of ours, no hang, no growth.

Over HTTP+JSON they are made from the OpenAPI document, by its rules and against them; over JSON-RPC from the shape of
an envelope, with members and parts of any kind. What was sent is sent again afterwards, when nothing new may be kept.
"""

import asyncio
import gc
import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from a2a_bridge.bridge import Bridge
from a2a_bridge.protocol.methods import OPERATIONS
from a2a_bridge.protocol.openapi import openapi_document
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.rest_wire import opened
from a2a_bridge.testing.transport import AppTransport
from a2a_bridge.testing.wire import say

REQUESTS = 2000
HANG_SECONDS = 2.0
SETTINGS = settings(
    max_examples=REQUESTS,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Target:
    """A bridge in a loop of its own, and every request that it got."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._run = runner.run
        self.agent = Obedient()
        self.agent.gate.open()
        self.bridge = Bridge(self.agent)
        self.sent: list[httpx.Request] = []
        self.answers: dict[int, int] = {}
        self._run(self.bridge.start())
        self.http = httpx.AsyncClient(transport=AppTransport(self.bridge.app), base_url="http://test")
        self.http.headers["a2a-version"] = "1.0"
        self.task_id = self._run(self.http.post("/message:send", json=say())).json()["task"]["id"]

    def send(self, request: httpx.Request) -> httpx.Response:
        """The whole answer, within two seconds."""

        async def ask() -> httpx.Response:
            async with asyncio.timeout(HANG_SECONDS):
                return await self.http.send(request)

        response = self._run(ask())
        assert response.status_code < 500, response.text
        self.answers[response.status_code] = self.answers.get(response.status_code, 0) + 1
        return response

    def first(self, request: httpx.Request) -> httpx.Response:
        """`send`, and remember the request."""
        self.sent.append(request)
        return self.send(request)

    def grows_by(self) -> float:
        """Blocks of memory that a request leaves behind when it has been seen before."""
        sizes = []
        for _ in range(2):
            for request in self.sent:
                again = httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
                self.send(again)
            gc.collect()
            sizes.append(sys.getallocatedblocks())
        assert self._run(others()) <= 2  # the housekeeping of the bridge and the ticker of its streams
        assert self.bridge.service.running == 0
        return (sizes[1] - sizes[0]) / len(self.sent)

    def close(self) -> None:
        self._run(self.http.aclose())
        self._run(self.bridge.stop())


async def others() -> int:
    """How many tasks of asyncio there are beside this one."""
    return len(asyncio.all_tasks()) - 1


@pytest.fixture
def target() -> Iterator[Target]:
    with asyncio.Runner() as runner:
        found = Target(runner)
        yield found
        found.close()


def cases(bridge: Bridge) -> st.SearchStrategy[Any]:
    """Requests by the document and against it, for each operation."""
    schema = schemathesis.openapi.from_dict(openapi_document(bridge.cards["obedient"]))
    operations = [found.ok() for found in schema.get_all_operations()]
    return st.one_of([o.as_strategy(generation_mode=mode) for o in operations for mode in GenerationMode])


@pytest.mark.timeout(180)
def test_requests_of_the_openapi_document(target: Target) -> None:
    """Issue: 2,000 of them; an answer is a result, an error in the binding's form, or a stream that ends."""

    @SETTINGS
    @given(case=cases(target.bridge), known=st.booleans())
    def run(case: Any, known: bool) -> None:
        if known and "id" in case.path_parameters:
            case.path_parameters["id"] = target.task_id
        sent = case.as_transport_kwargs(base_url="http://test")
        try:
            request = httpx.Request(
                sent["method"], sent["url"], params=sent.get("params"), headers=sent["headers"],
                json=sent.get("json"), content=sent.get("data"),
            )  # fmt: skip
        except (UnicodeEncodeError, ValueError):
            return  # it cannot be written as HTTP at all
        response = target.first(request)
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            assert b"event: error" not in response.content
        elif response.content:
            opened(response)

    run()
    assert len(target.sent) > REQUESTS * 0.8
    assert target.answers.keys() >= {200, 400, 404}
    assert target.grows_by() < 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def near(usual: Any) -> st.SearchStrategy[Any]:
    """What is usual three times out of four, and anything otherwise."""
    return st.one_of(*[st.just(usual)] * 3, VALUES)


def some(members: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """An object with some of these members, and now and then another one."""
    known = st.fixed_dictionaries({}, optional=members)
    return st.builds(
        lambda one, other: {**other, **one}, known, st.dictionaries(st.text(max_size=5), VALUES, max_size=1)
    )


PARTS = st.lists(
    st.one_of(
        some({"text": st.text(max_size=50)}),
        some({"raw": st.binary(max_size=20).map(lambda value: value.hex()), "mediaType": near("text/plain")}),
        some({"data": VALUES, "metadata": near({})}),
        some({"url": st.text(max_size=20), "filename": VALUES}),
        some(dict.fromkeys(("text", "raw", "url", "data", "kind", "media_type", "mediaType"), VALUES)),
    ),
    max_size=4,
)
MESSAGES = some(
    {
        "messageId": st.text(min_size=1, max_size=8) | VALUES,
        "role": near("ROLE_USER"),
        "parts": PARTS,
        "contextId": near(None),
        "taskId": near(None),
        "metadata": near({}),
        "extensions": near([]),
        "referenceTaskIds": near([]),
    }
)
VALID = st.builds(
    lambda text, number: {"message": {"messageId": f"m{number}", "role": "ROLE_USER", "parts": [{"text": text}]}},
    st.text(max_size=50),
    st.integers(0, 500),
)
PARAMS = st.one_of(
    VALID,
    some({"message": MESSAGES, "configuration": some({"historyLength": near(1), "returnImmediately": near(True)})}),
    some({"id": st.just("ID") | VALUES, "historyLength": near(0), "tenant": near("")}),
    some({"pageSize": near(5), "status": near("TASK_STATE_COMPLETED"), "pageToken": VALUES, "contextId": VALUES}),
    VALUES,
)
ENVELOPES = some(
    {
        "jsonrpc": near("2.0"),
        "id": near(1),
        "method": st.sampled_from([operation.name for operation in OPERATIONS]) | st.text(max_size=12),
        "params": PARAMS,
    }
)
USUAL = st.builds(
    lambda method, params: {"jsonrpc": "2.0", "id": 1, "method": method, "params": params},
    st.sampled_from([operation.name for operation in OPERATIONS]),
    PARAMS,
)


@st.composite
def bodies(draw: Callable[[st.SearchStrategy[Any]], Any]) -> bytes:
    """An envelope as JSON, and one in eight with some bytes of it changed."""
    body = bytearray(json.dumps(draw(ENVELOPES | USUAL)).encode())
    if draw(st.integers(0, 7)) == 0:
        for _ in range(draw(st.integers(1, 5))):
            body[draw(st.integers(0, len(body) - 1))] = draw(st.integers(0, 255))
    return bytes(body)


@pytest.mark.timeout(180)
def test_envelopes_and_parts(target: Target) -> None:
    """Issue: 2,000 of them; R-JRPC-04, R-JRPC-16: 200 with a result or an error, or nothing for a notification."""

    @SETTINGS
    @given(body=bodies())
    def run(body: bytes) -> None:
        content = body.replace(b'"ID"', json.dumps(target.task_id).encode())
        response = target.first(target.http.build_request("POST", "/", content=content))
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            assert b"event: error" not in response.content
        elif response.status_code == 204:
            assert response.content == b""
        else:
            assert response.status_code == 200
            answer = response.json()
            assert answer.keys() == {"jsonrpc", "id", "result" if "result" in answer else "error"}

    run()
    assert len(target.sent) >= REQUESTS
    assert target.grows_by() < 1
