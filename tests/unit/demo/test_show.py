"""What a reader of the demo sees."""

import io
import json

import pytest

from a2a_bridge.agent import Chunk, Usage
from a2a_bridge.chat.entry import Decision, Entry, Speaker, StopReason
from a2a_bridge.demo.show import JsonShow, TextShow, Wrapped, place, tokens_table
from a2a_bridge.testing.turns import make_message

HUMAN = Speaker("human", "human")
MANAGER = Speaker("room", "manager")
PLANNER = Speaker("planner", "remote", "langgraph", "http://127.0.0.1:9")
WHY = Decision(("planner", "critic"), "planner", "auto", "plans are due")


def shown(*said: Entry | Chunk) -> str:
    """What a terminal shows of a conversation in which the planner sits."""
    out = io.StringIO()
    show = TextShow(out)
    for each in (Entry(1, "joined", 0, PLANNER), *said):
        show.take(each)
    return out.getvalue()


def test_a_turn_says_who_speaks_in_which_framework_and_why() -> None:
    """Demanded by the issue."""
    text = shown(
        Entry(2, "said", 0, HUMAN, make_message("What now?")),
        Entry(3, "decided", 1, MANAGER, why=WHY),
        Chunk("Call "),
        Chunk("a bank."),
        Entry(4, "said", 1, PLANNER, make_message("Call a bank."), why=WHY),
    )
    assert text == (
        "\nhuman\n  What now?\n"
        "\n1 planner  [langgraph, A2A at http://127.0.0.1:9]\n"
        "  chosen by auto: plans are due; candidates planner, critic\n"
        "  Call a bank.\n"
    )


def test_words_that_were_taken_back_are_marked() -> None:
    """Our decision: what was streamed stays on the terminal."""
    text = shown(
        Entry(2, "decided", 1, MANAGER, why=WHY),
        Chunk("Call a bank. And th"),
        Chunk("Call a bank.", append=False),
        Entry(3, "said", 1, PLANNER, make_message("Call a bank."), why=WHY),
    )
    assert text.endswith("\n  Call a bank. And th [...]\n")


def test_words_that_were_replaced_are_shown_anew() -> None:
    """Our decision."""
    text = shown(
        Entry(2, "decided", 1, MANAGER, why=WHY),
        Chunk("Nonsense."),
        Chunk("Sense.", append=False),
        Entry(3, "said", 1, PLANNER, make_message("Sense."), why=WHY),
    )
    assert text.endswith("\n  Nonsense. [replaced:]\n  Sense.\n")


def test_an_answer_that_did_not_stream_is_shown_whole() -> None:
    """Our decision: a seat may answer in one piece."""
    text = shown(
        Entry(2, "decided", 1, MANAGER, why=WHY), Entry(3, "said", 1, PLANNER, make_message("Call a bank."), why=WHY)
    )
    assert text.endswith("\n  Call a bank.\n")


def test_a_seat_that_fails_is_shown_with_the_reason() -> None:
    """Our decision."""
    failed = Entry(3, "failed", 1, PLANNER, make_message("planner said nothing."))
    assert shown(Entry(2, "decided", 1, MANAGER, why=WHY), failed).endswith("  planner: planner said nothing.\n")


def test_the_stop_is_shown_with_its_reason_and_the_summary() -> None:
    """Demanded by the issue: at the end why it stopped, and the summary."""
    stop = StopReason("converged", "room", "nothing is open")
    text = shown(
        Entry(2, "decided", 1, MANAGER, why=Decision(("planner",), "END", "auto", "nothing is open")),
        Entry(3, "stopped", 1, MANAGER, make_message("A bank was called."), stop=stop),
    )
    assert text == "\nStopped: converged (by room, nothing is open)\nSummary:\n  A bank was called.\n"


def test_json_lines_hold_the_entries_and_nothing_else() -> None:
    """Demanded by the issue: every line is an entry of the room's log."""
    out, notes = io.StringIO(), io.StringIO()
    show = JsonShow(out, notes)
    show.note("starting")
    show.take(Chunk("streamed"))
    show.take(Entry(4, "said", 1, PLANNER, make_message("é"), usage=Usage(3, 4), why=WHY))
    (line,) = out.getvalue().splitlines()
    entry = json.loads(line)
    assert set(entry) == {"seq", "kind", "turn", "speaker", "text", "why", "usage"}
    assert entry["speaker"] == {
        "name": "planner", "kind": "remote", "framework": "langgraph", "endpoint": "http://127.0.0.1:9",
    }  # fmt: skip
    assert notes.getvalue() == "starting\n"


@pytest.mark.parametrize("cuts", [[], [1], [3, 5], [2, 4, 6, 8, 10, 12]])
def test_words_are_wrapped_the_same_however_they_come(cuts: list[int]) -> None:
    """Our decision: a token may be half a word."""
    text, out = "one three  five\nseven", io.StringIO()
    wrapped = Wrapped(lambda piece: out.write(piece) and None, width=12)
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        wrapped.feed(text[start:end])
    wrapped.end()
    assert out.getvalue() == "  one three\n  five seven\n"


def test_a_seat_without_a_framework_is_placed_all_the_same() -> None:
    """Our decision: a remote agent need not say what it is made of."""
    assert place(Speaker("x", "remote", None, "http://h")) == "[unknown framework, A2A at http://h]"
    assert place(Speaker("x", "local", None)) == "[a2a_bridge, in this process]"


def test_tokens_are_summed_per_speaker() -> None:
    """Demanded by the issue: tokens per speaker."""
    lines = tokens_table([("room", Usage(10, 1)), ("planner", Usage(5, 2))]).splitlines()
    assert [line.split() for line in lines] == [
        ["Tokens", "read", "written"], ["room", "10", "1"], ["planner", "5", "2"], ["all", "15", "3"],
    ]  # fmt: skip


def test_code_keeps_its_lines_however_it_comes() -> None:
    """Our decision: code that is wrapped cannot be read."""
    text, shown = "See: ```python\nfor a in b:\n    print(a)\n```\nThat is all.", set()
    for size in (1, 3, len(text)):
        out = io.StringIO()
        wrapped = Wrapped(lambda piece, out=out: out.write(piece) and None, width=12)  # type: ignore[misc]
        for start in range(0, len(text), size):
            wrapped.feed(text[start : start + size])
        wrapped.end()
        shown.add(out.getvalue())
    assert shown == {"  See:\n  ```python\n  for a in b:\n      print(a)\n  ```\n  That is\n  all.\n"}


def test_a_turn_that_is_broken_off_by_a_note_is_shown_anew_when_it_goes_on() -> None:
    """Our decision: the process of a room may be killed in the middle of a turn."""
    out = io.StringIO()
    show = TextShow(out)
    show.take(Entry(1, "joined", 0, PLANNER))
    show.take(Entry(2, "decided", 1, MANAGER, why=WHY))
    show.take(Chunk("Call a b"))
    show.note("killed")
    show.take(Entry(3, "said", 1, PLANNER, make_message("Call a bank."), why=WHY))
    assert out.getvalue().endswith("\n  Call a b [...]\nkilled\n  Call a bank.\n")


def test_what_tools_did_in_a_turn_is_shown_below_it() -> None:
    """Demanded by the issue."""
    heard = {"activity": [["call", "1", "add", {"a": 1}], ["call", "2", "wait", None], ["result", "1", "2", False]]}
    text = shown(
        Entry(2, "decided", 1, MANAGER, why=WHY),
        Entry(3, "said", 1, PLANNER, make_message("Two."), why=WHY, heard=heard),
    )
    assert text.endswith('\n  Two.\n  called add with {"a": 1}: 2\n  called wait with null: None\n')
