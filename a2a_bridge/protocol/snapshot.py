"""A task as pieces of JSON bytes: the fold of its events, joined on demand, never an object graph.

The log of a task holds rows. A row that begins with `{` is a StreamResponse, shown to every reader. A row that
begins with a letter is one of ours: `m` and a message that the client sent to a task that existed already (it belongs
to the history and is not shown again), `t` and a StreamResponse about tools or usage, for readers that activated
TURN_EXTENSION.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from a2a_bridge.protocol.events import part_json, quoted, quoted_id, status_json, text_part
from a2a_bridge.protocol.extensions import TURN_EXTENSION
from a2a_bridge.protocol.objects import Part, Struct, TaskState, json_bytes

SHOWN = 0x7B  # ord("{")
MESSAGE_ROW = b"m"
TURN_ROW = b"t"


class ArtifactPieces:
    """One artifact: its parts as they came, neighbouring plain texts joined when it is written (R-ART-02, R-ART-04)."""

    __slots__ = ("_json", "_written", "id", "metadata", "name", "parts")

    def __init__(self, artifact_id: str) -> None:
        self.id = artifact_id
        self.name: str | None = None
        self.metadata: dict[str, Any] | None = None
        self.parts: list[str | bytes] = []  # it only grows
        self._json = b""
        self._written = -1  # how many parts `_json` has

    def describe(self, name: str | None, metadata: Struct | None) -> None:
        """Take over what a later chunk says beside its parts: new names win, metadata keys are merged."""
        if name is None and not metadata:
            return
        self._written = -1
        if name is not None:
            self.name = name
        if metadata:
            self.metadata = {**(self.metadata or {}), **metadata}

    def json(self) -> bytes:
        """The artifact as wire JSON, made once for as long as it stays the same."""
        if self._written == len(self.parts):
            return self._json
        name = b"" if self.name is None else b',"name":' + quoted(self.name)
        metadata = b"" if not self.metadata else b',"metadata":' + json_bytes(self.metadata)
        parts = b",".join(_joined(self.parts) if len(self.parts) > 1 else _written(self.parts))
        self._json = b'{"artifactId":%b%b,"parts":[%b]%b}' % (quoted(self.id), name, parts, metadata)
        self._written = len(self.parts)
        return self._json


def _written(parts: Iterable[str | bytes]) -> list[bytes]:
    return [text_part(part) if isinstance(part, str) else part for part in parts]


def _joined(parts: Iterable[str | bytes]) -> list[bytes]:
    found: list[bytes] = []
    words: list[str] = []
    for part in parts:
        if isinstance(part, str):
            words.append(part)
            continue
        if words:
            found.append(text_part("".join(words)))
            words = []
        found.append(part)
    if words:
        found.append(text_part("".join(words)))
    return found


class TaskPieces:
    """The state of one task. Whoever appends an event to the log applies it here too, in the same step.

    `ends` are the numbers of the events that ended a turn: where a stream that was opened by a send stops.
    """

    __slots__ = (
        "_ids", "artifacts", "context_id", "ends", "history", "id", "state", "status", "status_message", "timestamp",
        "usage",
    )  # fmt: skip

    def __init__(self, task_id: str, context_id: str) -> None:
        self.id = task_id
        self.context_id = context_id
        self._ids = b'{"id":%b,"contextId":%b' % (quoted_id(task_id), quoted_id(context_id))
        self.state = TaskState.SUBMITTED
        self.status = b""
        self.status_message: bytes | None = None
        self.timestamp = ""
        self.history: list[bytes] = []
        self.artifacts: dict[str, ArtifactPieces] = {}
        self.usage: dict[str, Any] | None = None
        self.ends: list[int] = []

    def set_status(self, state: TaskState, timestamp: str, message: bytes | None = None) -> bytes:
        """Take on a new status and return its JSON.

        The words of an interrupted state move into the history when they are superseded; progress does not (R-HIST-05,
        R-HIST-06: what an agent was doing is no part of what was said).
        """
        if self.status_message is not None and self.state.is_interrupted:
            self.history.append(self.status_message)
        self.state = state
        self.timestamp = timestamp
        self.status_message = message
        self.status = status_json(state, timestamp, message)
        return self.status

    def artifact(self, artifact_id: str, *, append: bool) -> ArtifactPieces:
        """The artifact to add parts to; emptied first unless `append` (R-ART-01: an unknown one is created)."""
        found = self.artifacts.get(artifact_id)
        if found is None or not append:
            found = self.artifacts[artifact_id] = ArtifactPieces(artifact_id)
        return found

    def add_usage(self, usage: Mapping[str, Any]) -> None:
        """Sum up what was used; a model's name stays the first one given."""
        total = self.usage = dict(self.usage or {})
        for key, value in usage.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            total[key] = total.get(key, 0) + value if number else total.get(key, value)

    def json(self, history_length: int | None = None, *, artifacts: bool = True) -> bytes:
        """The task as wire JSON; at most the newest `history_length` messages, 0 for none (R-HIST-01 to R-HIST-03)."""
        more = b""
        if artifacts and self.artifacts:
            more = b',"artifacts":[%b]' % b",".join([piece.json() for piece in self.artifacts.values()])
        history = self.history
        if history_length is not None and history_length < len(history):
            history = history[len(history) - history_length :]
        if history:
            more += b',"history":[%b]' % b",".join(history)
        if self.usage:
            more += b',"metadata":{"%b":{"usage":%b}}' % (TURN_EXTENSION.encode(), json_bytes(self.usage))
        return b'%b,"status":%b%b}' % (self._ids, self.status, more)

    # --- kept in the store, and rebuilt from it

    def pack(self) -> bytes:
        """One line of JSON for what is not wire JSON already, then history and artifacts, a line each."""
        usage = b"" if self.usage is None else b',"usage":' + json_bytes(self.usage)
        head = b'%b,"state":"%b","timestamp":"%b","ends":%a,"history":%d%b}' % (
            self._ids, self.state.encode(), self.timestamp.encode(), self.ends, len(self.history), usage,
        )  # fmt: skip
        lines = [head, self.status, self.status_message or b"", *self.history]
        lines += [piece.json() for piece in self.artifacts.values()]
        return b"\n".join(lines)

    @classmethod
    def unpack(cls, packed: bytes) -> "TaskPieces":
        """The inverse of `pack`."""
        first, status, message, *rest = packed.split(b"\n")
        head = json.loads(first)
        pieces = cls(head["id"], head["contextId"])
        pieces.state = TaskState(head["state"])
        pieces.timestamp = head["timestamp"]
        pieces.ends = head["ends"]
        pieces.usage = head.get("usage")
        pieces.status = status
        pieces.status_message = message or None
        pieces.history = rest[: head["history"]]
        for line in rest[head["history"] :]:
            pieces._load_artifact(json.loads(line), append=False)
        return pieces

    def _load_artifact(self, artifact: Mapping[str, Any], *, append: bool) -> None:
        piece = self.artifact(artifact["artifactId"], append=append)
        piece.describe(artifact.get("name"), artifact.get("metadata"))
        for part in artifact["parts"]:
            piece.parts.append(part["text"] if part.keys() == {"text"} else json_bytes(part))

    def apply(self, row: bytes, seq: int) -> None:
        """Fold one row of the log in: how a task that was cut off by a crash is rebuilt."""
        if row[:1] == MESSAGE_ROW:
            self.history.append(row[1:])
            return
        if row[:1] == TURN_ROW:
            update = json.loads(row[1:])["statusUpdate"]
            if usage := update.get("metadata", {}).get(TURN_EXTENSION, {}).get("usage"):
                self.add_usage(usage)
            return
        event = json.loads(row)
        if (task := event.get("task")) is not None:
            self._load_status(task["status"], seq)
            self.history += [json_bytes(message) for message in task.get("history", ())]
        elif (update := event.get("statusUpdate")) is not None:
            goes_on = update.get("metadata", {}).get(TURN_EXTENSION, {}).get("goesOn", False)
            self._load_status(update["status"], seq, goes_on=goes_on)
        elif (update := event.get("artifactUpdate")) is not None:
            self._load_artifact(update["artifact"], append=update.get("append", False))

    def _load_status(self, status: Mapping[str, Any], seq: int, *, goes_on: bool = False) -> None:
        message = status.get("message")
        state = TaskState(status["state"])
        self.set_status(state, status["timestamp"], None if message is None else json_bytes(message))
        if state.ends_turn and not goes_on:
            self.ends.append(seq)


def parts_json(parts: Iterable[Part]) -> list[bytes]:
    """Parts as wire JSON, each serialised once."""
    return [part_json(part) for part in parts]
