"""What the turns of one context share: their order, their history, and what a turn reads beside its messages.

Turns of one context run one after another only for agents with `keeps_context`; their order is that of arrival. The
lock of a context lives as long as somebody holds or awaits it. A task of such an agent that waits for an answer is
noted here, so that a message of its context without a taskId can be refused.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from a2a_bridge.protocol.objects import Message, Part, Role, TaskState
from a2a_bridge.protocol.snapshot import TaskPieces
from a2a_bridge.store.contract import Entry, Store
from a2a_bridge.tasks.live import LiveTask, Queued


class Contexts:
    """One lock per context in use, and the task that waits in it."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, list[None]]] = {}
        self.waiting: dict[str, str] = {}

    def settle(self, context: str, task_id: str, *, waits: bool) -> None:
        """Note whether this task now waits for an answer in its context."""
        if waits:
            self.waiting[context] = task_id
        elif self.waiting.get(context) == task_id:
            del self.waiting[context]

    @asynccontextmanager
    async def turn_of(self, context: str) -> AsyncIterator[None]:
        """Hold the context; cancelling while waiting is fine."""
        lock, users = self._locks.setdefault(context, (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                self._locks.pop(context, None)


class ServedTurn:
    """The source of a turn that a server runs."""

    def __init__(self, live: LiveTask, store: Store, *, new: int) -> None:
        """`new`: how many messages at the end of the task's history are this turn's own."""
        self._live = live
        self._store = store
        self._before = live.pieces.history[: len(live.pieces.history) - new]

    async def history(self, limit: int | None) -> Sequence[Message]:
        """The context's messages before this turn: earlier turns of the task last, earlier tasks before them."""
        if limit is not None and limit <= 0:
            return ()
        found, _ = _talk(self._live.pieces, self._before)
        if limit is None or len(found) < limit:
            found = await self._earlier_tasks(len(found), limit) + found
        return tuple(found if limit is None else found[-limit:])

    async def _earlier_tasks(self, have: int, limit: int | None) -> list[Message]:
        who = self._live.who
        entries: list[tuple[str, str, Entry]] = []
        for kind in ("task", "direct"):
            before: tuple[str, str] | None = None
            while page := await self._store.page(
                kind, who.scope, labels=(None, who.context_id), before=before, limit=100
            ):
                entries += [(entry.sort, kind, entry) for entry in page if entry.key != who.key]
                before = (page[-1].sort, page[-1].key)
                if len(page) < 100 or (limit is not None and have + len(entries) >= limit):
                    break
        entries.sort(key=lambda found: found[0])
        return [message for _, kind, entry in entries for message in _said(kind, entry.value)]

    async def interjections(self) -> AsyncGenerator[Message, None]:
        """Messages sent to the task while this turn runs; each is part of the history once it is taken."""
        live, turn = self._live, self._live.turn
        while not live.is_ended and live.turn == turn and not live.is_paused:
            if live.queued:
                yield take_queued(live)
            else:
                await live.log.wait()


def take_queued(live: LiveTask) -> Message:
    """The oldest queued message, from now on part of the history."""
    queued: Queued = live.queued.popleft()
    live.hear(queued.row, queued.message.message_id, queued.sent)
    if not queued.fate.done():
        queued.fate.set_result(True)
    return queued.message


def _message(raw: bytes) -> Message:
    return Message.model_validate(json.loads(raw))


def _said(kind: str, value: bytes) -> list[Message]:
    """What an earlier task, or a bare reply, adds to the history of its context."""
    if kind == "direct":
        return [_message(line) for line in value.split(b"\n")]
    pieces = TaskPieces.unpack(value)
    said, turn = _talk(pieces, pieces.history)
    if pieces.state is TaskState.FAILED:
        said = [_without_files(message) for message in said]
    if not pieces.state.is_interrupted:
        said += _outcome(pieces, turn, closing=True)
    return said


def _without_files(message: Message) -> Message:
    """Files of a task that failed are named only: one that no model takes would fail every turn of the context."""
    parts = (part if part.kind in ("text", "data") else _named(part) for part in message.parts)
    return message.model_copy(update={"parts": tuple(parts)})


def _named(file: Part) -> Part:
    return Part(text=f"[{file.filename or 'file'}: {file.media_type or 'a file'}, not shown again]")


def _talk(pieces: TaskPieces, history: Sequence[bytes]) -> tuple[list[Message], int]:
    """The messages of a task with what came of each turn before the question it ended with; and the turn after."""
    said: list[Message] = []
    turn = 1
    for raw in history:
        message = _message(raw)
        if message.role is Role.AGENT:
            said += _outcome(pieces, turn)
            turn += 1
        said.append(message)
    return said, turn


def _outcome(pieces: TaskPieces, turn: int, *, closing: bool = False) -> list[Message]:
    """What came of one turn: the artifact `answer` if there is one, else all of the turn's, then the closing words.

    The artifacts of later turns end in .2, .3 and so on, see `TurnWriter`.
    """
    of_turn = [piece for piece in pieces.artifacts.values() if _turn_of(piece.id) == turn]
    answers = [piece for piece in of_turn if piece.id.partition(".")[0] == "answer"]
    parts = [part for piece in answers or of_turn for part in json.loads(piece.json())["parts"]]
    if closing and pieces.status_message is not None and pieces.state is TaskState.COMPLETED:
        parts += json.loads(pieces.status_message)["parts"]
    if not parts:
        return []
    found = tuple(Part.model_validate(part) for part in parts)
    return [Message(message_id=f"{pieces.id}.{turn}.outcome", role=Role.AGENT, parts=found, task_id=pieces.id)]


def _turn_of(artifact_id: str) -> int:
    _, dot, number = artifact_id.rpartition(".")
    return int(number) if dot and number.isdigit() and len(number) < 9 else 1
