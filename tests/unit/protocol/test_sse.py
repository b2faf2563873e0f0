"""The parser of server-sent events: WHATWG HTML §9.2.6, R-JRPC-25, R-JRPC-26."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from a2a_bridge.errors import InvalidAgentResponseError
from a2a_bridge.protocol.sse import ServerSentEvent, SSEParser

MIXED = (
    b"\xef\xbb\xbf: a comment\r\n"
    b"id: 1\r\n"
    b'data: {"one":\r\n'
    b"data:1}\r\n"
    b"\r\n"
    b"event: error\rdata: two\r\r"
    b"data\n\n"  # no data but a name: dropped
    b"id: 3\nunknown: x\ndata:  three \xc3\xa9\n\n"
    b"retry: 1500\nid\n\n"  # an empty id resets it
    b"data: four\n\n"
    b"data: lost, as nothing ends it"
)
EXPECTED = [
    ServerSentEvent('{"one":\n1}', "message", "1"),
    ServerSentEvent("two", "error", "1"),
    ServerSentEvent(" three é", "message", "3"),
    ServerSentEvent("four", "message", ""),
]


def parse(*chunks: bytes, limit: int = 1000) -> list[ServerSentEvent]:
    parser = SSEParser(limit)
    return [event for chunk in chunks for event in parser.feed(chunk)]


def test_all_line_ends_comments_names_and_a_byte_order_mark_are_understood() -> None:
    """WHATWG §9.2.5, §9.2.6; R-JRPC-25."""
    assert parse(MIXED) == EXPECTED


def test_a_byte_order_mark_does_not_hide_the_first_field() -> None:
    """WHATWG §9.2.4: one is skipped at the start, and only there."""
    assert parse(b"\xef\xbb", b"\xbfdata: x\n\n\xef\xbb\xbfdata: y\n\n") == [ServerSentEvent("x")]


def test_it_does_not_matter_where_the_bytes_are_cut() -> None:
    """Every single byte a chunk of its own: CR LF, UTF-8 and the byte order mark are cut in two."""
    assert parse(*(MIXED[n : n + 1] for n in range(len(MIXED)))) == EXPECTED


@given(st.lists(st.integers(0, len(MIXED)), max_size=8))
def test_any_cuts_give_the_same_events(cuts: list[int]) -> None:
    """The same, for any set of cuts."""
    points = [0, *sorted(cuts), len(MIXED)]
    assert parse(*(MIXED[a:b] for a, b in pairwise(points))) == EXPECTED


@given(st.text(alphabet=st.sampled_from("a:\r\n d\ufeff"), max_size=40), st.integers(0, 40))
def test_no_bytes_confuse_it(text: str, cut: int) -> None:
    """Garbage never raises, and cutting it changes nothing."""
    data = text.encode() + b"\n\n"
    assert parse(data[:cut], data[cut:]) == parse(data)


def test_an_event_comes_as_soon_as_its_blank_line_does() -> None:
    """A line may end with a CR whose LF has not come yet: the event must not wait for it."""
    parser = SSEParser()
    assert parser.feed(b"data: now\r\n\r") == [ServerSentEvent("now")]
    assert parser.feed(b"\ndata: next\n\n") == [ServerSentEvent("next")]


def test_an_event_may_be_as_large_as_the_limit_and_no_larger() -> None:
    """R-JRPC-26: the data of one event is bounded, in one line or in many."""
    assert parse(b"data: " + b"x" * 98 + b"\n\n", limit=99 + len("data: ")) != []
    with pytest.raises(InvalidAgentResponseError, match="more than 99 bytes"):
        parse(b"data: " + b"x" * 99 + b"\n\n", limit=99)
    with pytest.raises(InvalidAgentResponseError):
        parse(*[b"data: " + b"x" * 40 + b"\n"] * 3, limit=99)


def test_a_line_that_never_ends_is_not_collected_for_ever() -> None:
    """Memory stays bounded also when no line end comes, and the limit starts anew with each event."""
    with pytest.raises(InvalidAgentResponseError):
        parse(*[b": ping " * 100] * 1000, limit=1000)
    assert len(parse(*[b"data: " + b"x" * 600 + b"\n\n"] * 20, limit=1000)) == 20


def test_an_id_with_a_null_is_ignored_and_broken_utf8_is_replaced() -> None:
    """WHATWG §9.2.6."""
    (event,) = parse(b"id: 7\nid: a\x00b\ndata: \xff\n\n")
    assert event == ServerSentEvent("\ufffd", "message", "7")
