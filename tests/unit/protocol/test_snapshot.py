"""A task as pieces of bytes: the fold of its rows, packed and unpacked (`protocol/snapshot.py`)."""

import itertools
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from a2a_bridge.protocol.events import EventWriter, message_json, quoted, task_event, text_part
from a2a_bridge.protocol.extensions import TURN_EXTENSION, usage_json
from a2a_bridge.protocol.objects import Part, Task, TaskState, json_bytes
from a2a_bridge.protocol.snapshot import MESSAGE_ROW, TURN_ROW, ArtifactPieces, TaskPieces, parts_json

TEXT = st.text(st.sampled_from('ab ü\n"\\\x00\u2028😀'), max_size=5)
JSON = st.sampled_from([None, True, 0, -1.5, 2**60, "", "ü\n", [], {}, [None, [1]], {"a": {"b": [""]}, "": "x"}])
METADATA = st.sampled_from([None, {}, {"k": 1}, {"k": {"a": [None]}, "ü": ""}])
PARTS = st.one_of(
    TEXT.map(lambda text: Part(text=text)),
    st.builds(lambda text, metadata: Part(text=text, metadata=metadata), TEXT, METADATA),
    JSON.map(lambda data: Part(data=data)),
    st.binary(max_size=6).map(lambda raw: Part(raw=raw, filename="f")),
    TEXT.map(lambda url: Part(url=url, media_type="a/b")),
)
STATES = st.sampled_from([TaskState.WORKING, TaskState.INPUT_REQUIRED, TaskState.AUTH_REQUIRED])
ENDS = st.sampled_from([TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELED, TaskState.REJECTED])
CHUNK = st.tuples(
    st.just("chunk"), st.sampled_from(["answer", "b", 'q"\n']), st.lists(PARTS, min_size=1, max_size=3),
    st.booleans(), st.none() | TEXT, METADATA,
)  # fmt: skip
STEPS = st.lists(
    st.one_of(
        CHUNK,
        st.tuples(st.just("status"), STATES, st.none() | TEXT, st.booleans()),
        st.tuples(st.just("heard"), TEXT),
        st.tuples(st.just("usage"), st.integers(0, 9), st.none() | st.floats(0, 9), st.none() | TEXT),
        st.tuples(st.just("tool"), JSON),
    ),
    max_size=12,
)


class Live:
    """What a running task does to its pieces and its log, without a clock and a store."""

    def __init__(self) -> None:
        self.pieces = TaskPieces("t", "c")
        self.pieces.history.append(b'{"messageId":"m","role":"ROLE_USER","parts":[{"text":"hi"}]}')
        self.writer = EventWriter("t", "c")
        self.pieces.set_status(TaskState.WORKING, "2026-01-01T00:00:00.000Z")
        self.rows = [task_event(self.pieces.json())]

    def step(self, kind: str, *details: Any) -> None:
        getattr(self, kind)(*details)

    def chunk(self, name: str, parts: list[Part], append: bool, title: str | None, metadata: Any) -> None:
        append = append and name in self.pieces.artifacts
        piece = self.pieces.artifact(name, append=append)
        piece.describe(title, metadata)
        raw = parts_json(parts)
        piece.parts += [
            part.text if part.is_plain_text and part.text is not None else data
            for part, data in zip(parts, raw, strict=True)
        ]
        self.rows.append(self.writer.artifact(name, raw, append=append, name=title, metadata=metadata))

    def status(self, state: TaskState, words: str | None, goes_on: bool) -> None:
        message = None
        if words is not None:
            message = message_json(message_id="a", parts=[text_part(words)], context_id="c", task_id="t")
        status = self.pieces.set_status(state, f"2026-01-01T00:00:{len(self.rows):02d}.000Z", message)
        metadata = {TURN_EXTENSION: {"goesOn": True}} if goes_on else None
        self.rows.append(self.writer.status(status, metadata))
        if state.ends_turn and not goes_on:
            self.pieces.ends.append(len(self.rows))

    def heard(self, words: str) -> None:
        row = b'{"messageId":"u","role":"ROLE_USER","parts":[%b]}' % text_part(words)
        self.pieces.history.append(row)
        self.rows.append(MESSAGE_ROW + row)

    def usage(self, tokens: int, cost: float | None, model: str | None) -> None:
        used = usage_json(tokens, tokens, cost, model)
        self.pieces.add_usage(used)
        self.rows.append(TURN_ROW + self.writer.status(self.pieces.status, {TURN_EXTENSION: {"usage": used}}))

    def tool(self, arguments: Any) -> None:
        section = {"toolCall": {"id": "1", "name": "n", "arguments": arguments}}
        self.rows.append(TURN_ROW + self.writer.status(self.pieces.status, {TURN_EXTENSION: section}))


def folded(rows: list[bytes]) -> TaskPieces:
    pieces = TaskPieces("t", "c")
    for seq, row in enumerate(rows, 1):
        pieces.apply(row, seq)
    return pieces


def same(one: TaskPieces, other: TaskPieces) -> None:
    assert json.loads(one.json()) == json.loads(other.json())
    assert (one.state, one.timestamp, one.ends, one.usage) == (other.state, other.timestamp, other.ends, other.usage)
    assert (one.id, one.context_id) == (other.id, other.context_id)
    assert [json.loads(row) for row in one.history] == [json.loads(row) for row in other.history]


@given(STEPS, st.none() | ENDS)
@settings(max_examples=60, deadline=None)
def test_a_task_is_the_fold_of_its_rows(steps: Any, end: TaskState | None) -> None:
    """The event log is the truth: what is rebuilt after a crash is what was there (R-ART-02, R-ART-04, R-HIST-05)."""
    live = Live()
    for step in steps:
        live.step(*step)
        same(folded(live.rows), live.pieces)
    if end is not None:
        live.status(end, "over", False)
    same(folded(live.rows), live.pieces)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_a_packed_task_is_the_same_task(steps: Any) -> None:
    """Kept in the store and read again, at any time; also twice."""
    live = Live()
    for step in steps:
        live.step(*step)
    once = TaskPieces.unpack(live.pieces.pack())
    same(once, live.pieces)
    assert once.pack() == TaskPieces.unpack(once.pack()).pack()
    live.chunk("answer", [Part(text="more")], True, None, None)
    once.artifact("answer", append=True).parts.append("more")
    assert json.loads(once.json())["artifacts"] == json.loads(live.pieces.json())["artifacts"]


@given(STEPS, st.integers(0, 20))
@settings(max_examples=60, deadline=None)
def test_every_answer_is_a_valid_task_and_limits_its_history(steps: Any, limit: int) -> None:
    """R-HIST-02, R-HIST-03, R-DM-09, R-LIST-06: valid for the data model, and one line of UTF-8 JSON."""
    live = Live()
    for step in steps:
        live.step(*step)
    raw = live.pieces.json(limit, artifacts=False)
    assert b"\n" not in raw
    task = json.loads(raw)
    Task.model_validate(task)
    assert "artifacts" not in task
    assert task.get("history", []) == json.loads(live.pieces.json()).get("history", [])[-limit:][: limit or 0]
    assert ("history" in task) == (limit > 0)


@given(st.lists(PARTS, max_size=6))
@settings(deadline=None)
def test_neighbouring_texts_are_one_part_and_others_stay(parts: list[Part]) -> None:
    """R-ART-02."""
    piece = ArtifactPieces("a")
    piece.parts += [
        part.text if part.is_plain_text and part.text is not None else json_bytes(json.loads(parts_json([part])[0]))
        for part in parts
    ]
    written = json.loads(piece.json())["parts"]
    plain = [set(part) == {"text"} for part in written]
    assert not any(one and other for one, other in itertools.pairwise(plain))
    assert "".join(part.get("text", "") for part in written) == "".join(part.text or "" for part in parts)
    assert [part for part in written if set(part) != {"text"}] == [
        json.loads(raw) for part, raw in zip(parts, parts_json(parts), strict=True) if not part.is_plain_text
    ]


@given(st.text(max_size=50))
def test_any_python_string_becomes_a_json_string(text: str) -> None:
    """R-DM-14: also one with halves of surrogate pairs, which become replacement characters."""
    raw = quoted(text)
    assert b"\n" not in raw
    assert b"\r" not in raw
    found = json.loads(raw.decode("utf-8"))
    assert found == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
