"""W3C trace context in and out."""

import asyncio

import pytest

from a2a_bridge.observe.trace import (
    continue_trace,
    current_trace_id,
    current_traceparent,
    new_traceparent,
    outgoing_headers,
    valid_traceparent,
)

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_trace_goes_out_as_it_came_in() -> None:
    """The issue: `traceparent` in and out."""
    assert outgoing_headers() == {}
    with continue_trace(TRACE):
        assert outgoing_headers() == {"traceparent": TRACE}
        assert current_trace_id() == "0af7651916cd43dd8448eb211c80319c"
        with continue_trace(None):
            assert current_traceparent() == TRACE
    assert current_traceparent() is None


@pytest.mark.parametrize(
    "header",
    [
        "",
        "nonsense",
        TRACE.upper(),
        TRACE + "-more",
        "ff" + TRACE[2:],
        TRACE[:2] + "-" + "0" * 32 + TRACE[35:],
        TRACE[:36] + "0" * 16 + TRACE[52:],
    ],
)
def test_a_broken_header_is_no_trace(header: str) -> None:
    """W3C Trace Context §3.2.2."""
    assert valid_traceparent(header) is None
    with continue_trace(header):
        assert current_traceparent() is None


def test_a_later_version_is_read_as_far_as_we_know_it() -> None:
    """W3C Trace Context §3.2.4."""
    assert valid_traceparent("01" + TRACE[2:] + "-more") == TRACE


def test_a_new_trace_is_valid() -> None:
    """Ours looks like everybody's."""
    assert valid_traceparent(new_traceparent()) is not None
    assert new_traceparent() != new_traceparent()


async def test_a_task_started_inside_keeps_its_trace() -> None:
    """A run outlives the request that started it."""

    async def look() -> str | None:
        await asyncio.sleep(0)
        return current_traceparent()

    with continue_trace(TRACE):
        task = asyncio.create_task(look())
    assert await task == TRACE
