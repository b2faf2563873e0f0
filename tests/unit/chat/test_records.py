"""The log as it is kept: what is read back is what was written, and so is everything a room knows."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from a2a_bridge.agent import Ask, Chunk, Fail, Say, Traits, Usage
from a2a_bridge.chat.entry import Decision, Entry, Speaker, StopReason, metadata_of
from a2a_bridge.chat.log import RoomLog
from a2a_bridge.chat.record import from_record, to_record
from a2a_bridge.chat.room import Room
from a2a_bridge.protocol.objects import Message, Part, Role
from a2a_bridge.store.journal import MemoryJournal
from a2a_bridge.testing.turns import make_turn

MANAGER = Speaker("chat_manager", "manager", "a2a_bridge")
KNOWN = {"a": Speaker("a", "local", "python"), MANAGER.name: MANAGER}

text = st.text(st.characters(codec="utf-8"), max_size=30)
speakers = st.sampled_from([KNOWN["a"], MANAGER, Speaker("zoe", "human"), Speaker("a", "human", "python")]) | st.builds(
    Speaker, text.filter(bool), st.just("remote"), text, text, st.booleans()
)
usages = st.none() | st.builds(
    Usage, st.integers(0, 9), st.integers(0, 9), st.none() | st.floats(0, 1), st.none() | text
)
parts = st.one_of(
    text.map(lambda words: Part(text=words)),
    st.dictionaries(text, st.integers() | st.none()).map(lambda data: Part(data=data)),
    st.binary(max_size=5).map(lambda raw: Part(raw=raw, media_type="x/y")),
)


@st.composite
def entries(draw: Any) -> Entry:
    speaker = draw(speakers)
    kind = draw(st.sampled_from(["said", "answered", "asked", "joined", "left", "stopped", "failed", "decided"]))
    message, why, asks, stop = None, None, (), None
    if kind in ("said", "answered", "failed"):
        author = MANAGER if kind == "failed" else speaker
        message = Message(
            message_id=draw(text.filter(bool)),
            role=Role.USER,
            parts=tuple(draw(st.lists(parts, min_size=1, max_size=3))),
            metadata=metadata_of(author),
        )
    if kind == "decided":
        why = draw(st.builds(Decision, st.lists(text).map(tuple), text, text, text, st.lists(text).map(tuple)))
    if kind == "asked":
        asks = tuple(draw(st.lists(st.builds(
            Ask, text, st.lists(parts, max_size=1).map(tuple), st.sampled_from(["input", "auth"]),
            st.none() | st.just({"type": "string"}), st.lists(text).map(tuple), text,
        ), min_size=1, max_size=2)))  # fmt: skip
    if kind == "stopped":
        stop = draw(st.builds(StopReason, text, text, text, st.lists(text, max_size=2).map(tuple)))
    return Entry(
        draw(st.integers(1, 99)), kind, draw(st.integers(0, 9)), speaker, message, draw(st.integers(1, 3)),
        draw(usages), why, asks, draw(text), draw(st.lists(text, max_size=2).map(tuple)), stop,
    )  # fmt: skip


@given(entries())
def test_every_entry_is_read_back_as_it_was_written(entry: Entry) -> None:
    """Ours: state is a fold of the log, so the log must hold all of it."""
    line = to_record(entry, KNOWN)
    assert "\n" not in line
    assert from_record(json.loads(line), KNOWN, MANAGER) == entry


def state_of(log: RoomLog) -> dict[str, Any]:
    return {name: getattr(log, name) for name in RoomLog.__slots__ if name not in ("_buffer", "_clock", "_journal")}


async def test_a_room_that_is_read_back_knows_what_it_knew(room: Any, puppet: Any, watch: Any) -> None:
    """Ours: after a restart everything follows from the journal."""
    flaky = puppet(
        "flaky", lambda turn: [Fail("x")] if len(flaky.turns) % 3 == 1 else ["ok", Usage(1, 2)],
        traits=Traits(after_crash="restartable"),
    )  # fmt: skip
    asker = puppet("asker", lambda turn: ["thanks"] if turn.answer else [Ask("what?")])
    parts = puppet("parts", [Chunk(parts=(Part(data=[1]),)), Say("see [a] data")])
    manager = room(puppet("bad", [Fail("y")]), flaky, parts, asker, max_round=20)
    journal = MemoryJournal()
    running = Room(manager.rules, make_turn("go", journal=journal), pauses=True)
    async for _ in running.play():
        pass
    assert running.log.asked
    read = RoomLog(journal, manager.rules.manager)
    await read.load()
    assert state_of(read) == state_of(running.log)
    assert "impersonation_suspected" not in str(read.entries), "a is not in this room"


async def test_a_turn_writes_one_record(room: Any, puppet: Any, watch: Any) -> None:
    """Ours: a reply and the decision that follows at once are one write."""
    journal = MemoryJournal()
    await watch(room(puppet("a"), puppet("b"), max_round=11), make_turn("go", journal=journal))
    records = [data for _, data in await journal.read()]
    assert len(records) == 1 + 10 + 1
    assert max(len(data) for data in records[1:]) < 700
