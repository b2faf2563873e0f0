"""Our two extensions: what is written into metadata and read out of anybody's (`protocol/extensions.py`)."""

from fractions import Fraction
from typing import Any

import pytest

from a2a_bridge.protocol.extensions import (
    ROOM_EXTENSION,
    TURN_EXTENSION,
    ask_json,
    hops_in,
    hops_metadata,
    may_call,
    section,
    speaker_in,
    speaker_metadata,
    speaker_of,
    usage_json,
)
from a2a_bridge.protocol.objects import Message, Part, Role

NONSENSE: list[Any] = [
    None,
    {},
    {TURN_EXTENSION: None},
    {TURN_EXTENSION: "x"},
    {TURN_EXTENSION: [1]},
    {ROOM_EXTENSION: 5},
]


@pytest.mark.parametrize("metadata", NONSENSE)
def test_nonsense_in_metadata_is_nothing(metadata: Any) -> None:
    """R-EXT-05: metadata of others may hold anything."""
    assert section(metadata, TURN_EXTENSION) == {}
    assert hops_in(metadata) == 0
    assert speaker_in(metadata) == {}


@pytest.mark.parametrize(
    ("hops", "found"), [(0, 0), (3, 3), (8.0, 8), (-1, 0), (1000, 0), (True, 0), ("3", 0), (None, 0), ([], 0)]
)
def test_hops_are_a_small_number_or_none(hops: Any, found: int) -> None:
    """Our decision: through how many rooms a message has come; numbers of protobuf peers are floats."""
    assert hops_in({TURN_EXTENSION: {"hops": hops}}) == found


def test_hops_are_read_as_they_were_written() -> None:
    """Our decision."""
    assert hops_in(hops_metadata(5)) == 5


def message(*speakers: str | None, of_message: str | None = None) -> Message:
    parts = tuple(Part(text="x", metadata=None if name is None else speaker_metadata(name)) for name in speakers)
    metadata = None if of_message is None else speaker_metadata(of_message)
    return Message(message_id="m", role=Role.AGENT, parts=parts, metadata=metadata)


@pytest.mark.parametrize(
    ("said", "speaker"),
    [
        (message("a"), "a"),
        (message("a", "a"), "a"),
        (message("a", "b"), None),
        (message("a", None), None),
        (message(None), None),
        (message("a", of_message="m"), "m"),
        (Part(text="x", metadata=speaker_metadata("p", kind="remote", framework="f", endpoint="e")), "p"),
        (Part(text="x", metadata={ROOM_EXTENSION: {"speaker": {"name": 5}}}), None),
    ],
)
def test_who_spoke_is_told_by_the_message_or_by_all_its_parts(said: Message | Part, speaker: str | None) -> None:
    """Our decision: one name, or none."""
    assert speaker_of(said) == speaker


def test_what_is_not_known_is_not_written() -> None:
    """R-DM-09: usage and asks have only the members that say something."""
    assert usage_json(1, 2, None, None) == {"inputTokens": 1, "outputTokens": 2}
    assert usage_json(1, 2, 0.0, "m") == {"inputTokens": 1, "outputTokens": 2, "costUsd": 0.0, "model": "m"}
    assert ask_json(id="", kind="input", text="", schema=None, options=()) == {"id": "", "kind": "input"}
    assert speaker_metadata("n") == {ROOM_EXTENSION: {"speaker": {"name": "n"}}}


def test_who_approves_a_call_reads_its_arguments() -> None:
    """Ours: in words, for many clients show no data; JSON of a model's that is none is told as it is."""
    assert may_call("pay", {"cents": 99999}) == 'May pay be called with {"cents": 99999}?'
    assert may_call("pay", '{"cents": ') == 'May pay be called with {"cents": ?'
    assert may_call("pay", {"to": Fraction(1, 2)}) == 'May pay be called with {"to": "1/2"}?'


def test_very_long_arguments_are_cut_and_the_question_says_so() -> None:
    """Ours: a question has a bounded length, and who reads it knows that something is missing."""
    asked = may_call("say", "x" * 4000 + "yyy")
    assert asked == f"May say be called with {'x' * 4000}... (3 more characters)?"
