"""The chain of a room log: each commit seals what stands before it."""

import itertools
import json
from contextlib import aclosing
from typing import Any

import pytest

from a2a_bridge.agent import Caller, ToolCall, ToolResult
from a2a_bridge.chat.entry import Entry
from a2a_bridge.chat.log import RoomLog
from a2a_bridge.chat.room import Room
from a2a_bridge.chat.seal import NO_SEAL, is_seal, seal_in, sealed
from a2a_bridge.store.journal import MemoryJournal
from a2a_bridge.testing.turns import make_turn


async def test_each_commit_ends_with_a_seal_of_all_that_stands_before_it(room: Any, puppet: Any, watch: Any) -> None:
    """Semantics 17: hash-chained, over the runs of a room and over restarts."""
    journal = MemoryJournal()
    for text in ("go", "again"):
        await watch(room(puppet("a"), puppet("b"), max_round=3), make_turn(text, journal=journal))
    seal = NO_SEAL
    records = [data for _, data in await journal.read()]
    assert len(records) > 4
    for record in records:
        data, _, last = record.rpartition(b"\n")
        assert is_seal(last)
        again, seal = sealed(seal, data)
        assert again == record
        assert seal_in(last) == seal


async def test_the_head_of_a_run_says_on_whose_behalf(room: Any, puppet: Any, watch: Any) -> None:
    """Conversation §4.17: the principal."""
    journal = MemoryJournal()
    turn = make_turn("go", journal=journal, caller=Caller("ann", "acme"))
    await watch(room(puppet("a"), max_round=2), turn)
    head = json.loads((await journal.read())[0].data.split(b"\n")[0])["head"]
    assert head[0] == turn.id
    assert head[2:] == [turn.context_id, "acme", "ann"]


async def test_the_tools_of_a_turn_are_in_its_entry_and_long_values_are_cut(room: Any, puppet: Any) -> None:
    """Issue 4, part 6: tool calls and code runs; NaN cannot be written as JSON and is kept as text."""
    call = ToolCall("1", "search", {"q": "x"})
    results = [ToolResult("1", "y" * 5000), ToolResult("1", float("nan"), is_error=True)]
    result = await room(puppet("a", [[call, *results, "found"]]), max_round=2).chat("go")
    said = next(entry for entry in result.entries if entry.kind == "said" and entry.turn)
    assert said.heard is not None
    assert said.heard["activity"] == [
        ["call", "1", "search", {"q": "x"}],
        ["result", "1", "y" * 1997 + "...", False],
        ["result", "1", "NaN", True],
    ]


async def test_what_was_heard_is_read_again_as_it_was(room: Any, puppet: Any, watch: Any) -> None:
    """Ours: a fold of what is kept is the room as it was."""
    journal = MemoryJournal()
    manager = room(puppet("a", [RuntimeError("no")]), puppet("b"), max_round=3)
    await watch(manager, make_turn("go", journal=journal))
    log = RoomLog(journal, manager.rules.manager)
    await log.load()
    failed: Entry = next(entry for entry in log.entries if entry.kind == "failed")
    assert failed.heard == {"reason": "could not answer"}


async def test_a_long_log_is_not_read_again_by_the_next_run_and_is_the_same(
    room: Any, puppet: Any, watch: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours: the start of a run costs the same after ten turns and after ten thousand."""
    journal, numbers = MemoryJournal(), itertools.count()
    manager = room(*(puppet(name, lambda turn: [f"point {next(numbers)}"]) for name in "ab"), max_round=250)
    await watch(manager, make_turn("go", journal=journal))
    read: list[Any] = []
    monkeypatch.setattr(RoomLog, "take", lambda log, line: read.append(line))
    second = Room(manager.rules, make_turn("again", journal=journal))
    async with aclosing(second.play()) as shown:
        await anext(shown)
    assert read == []
    monkeypatch.undo()
    again = RoomLog(journal, manager.rules.manager)
    await again.load()
    assert again.entries == second.log.entries
    fresh = RoomLog(MemoryJournal(), manager.rules.manager)
    for record in await journal.read():
        for line in record.data.split(b"\n"):
            if not is_seal(line):
                fresh.take(json.loads(line))
    for name in ("messages", "authors", "seen", "spoke", "floor", "turn", "rounds", "speakers", "since"):
        assert getattr(fresh, name) == getattr(second.log, name), name
