"""One running turn of one task: the agent's replies become rows of the log.

Who does what. The service starts one asyncio task per turn and owns it; `drive` is its body. It steps the agent's
generator, writes what comes, and yields to the event loop every 64 replies or 1 ms, so that a turn that never waits
starves nobody; when the first reply has opened the task, it yields once, so that the opening events leave first. If
the log is too far ahead of the store it waits for room: that is all the back-pressure there is, readers never hold a
run up.

Ends. The generator ends: COMPLETED, or the pause that it asked for. It raises: FAILED, the text of the exception stays
in our log under an id that the caller is told. The task is cancelled: the service has appended CANCELED already and
cancels this asyncio task; CancelledError reaches the agent at its `await`, `aclosing` finishes the generator, and only
then is the slot free. The client's going away is not seen here at all. When the store breaks, the log raises and the
turn ends; the row that says so cannot be kept, and the next start of the server finds the task interrupted.
"""

import asyncio
import logging
import os
import struct
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import aclosing
from functools import lru_cache, partial
from time import perf_counter, time
from typing import Any, ClassVar

from a2a_bridge.agent import (
    Agent,
    Answer,
    Ask,
    Chunk,
    Fail,
    Progress,
    Refuse,
    Reply,
    Say,
    ToolCall,
    ToolResult,
    Turn,
    Usage,
    parts_of,
)  # fmt: skip
from a2a_bridge.errors import StoreError
from a2a_bridge.protocol.events import TEXT_CHUNK_END, message_json, quoted, status_json, text_part
from a2a_bridge.protocol.extensions import TURN_EXTENSION, ask_json, usage_json
from a2a_bridge.protocol.objects import JSONValue, Struct, TaskState
from a2a_bridge.protocol.snapshot import TURN_ROW, ArtifactPieces, parts_json
from a2a_bridge.tasks.alarms import Alarms
from a2a_bridge.tasks.live import LiveTask

_log = logging.getLogger(__name__)

MAX_TEXT = 256 * 1024
"""Characters of text in one event; longer text goes out as several events."""
MAX_PART = 4 * 1024 * 1024
"""Bytes of any other part as JSON; a larger one is the agent's fault and fails the turn."""
REPLIES_PER_STEP = 64
SECONDS_PER_STEP = 0.001


class AgentFault(Exception):
    """The agent broke the contract; the text may be shown to the caller."""


_unused: list[tuple[bytes, ...]] = []  # random digits for the next ids: the system is asked for many at a time
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unused.clear)


@lru_cache(maxsize=8)
def _moment(milliseconds: int) -> bytes:
    digits = b"%012x" % milliseconds
    return digits[:8] + b"-" + digits[8:]


def new_id() -> str:
    """A UUID of version 7: the time, then 72 random bits, which nobody can guess.

    The time comes first so that a store writes what belongs together to one place: with random ids, each task of a
    large SQLite file costs twice as much.
    """
    if not _unused:
        _unused.extend(struct.iter_unpack("3s3s12s", os.urandom(9 * 64).hex().encode()))
    return (b"%b-7%b-a%b-%b" % (_moment(int(time() * 1000)), *_unused.pop())).decode()


class TurnWriter:
    """Writes the replies of one turn. The run settles `append` and artifact ids, not the agent.

    The first chunk of an artifact in a turn replaces; its id is the agent's own name for it in the first turn of the
    task, NAME.2, NAME.3 in later ones.
    """

    __slots__ = (
        "_answer",
        "_answer_head",
        "_asks",
        "_direct",
        "_given",
        "_live",
        "_open",
        "_over",
        "_say",
        "_waits",
    )

    def __init__(self, live: LiveTask, given: Answer | None = None) -> None:
        self._live = live
        self._given = given  # what the turn goes on with
        self._open: dict[str, ArtifactPieces] = {}
        self._answer: ArtifactPieces | None = None
        self._answer_head = b""
        self._asks: list[Ask] = []
        self._say: Say | None = None
        self._direct: Say | None = None
        self._over: Fail | Refuse | None = None
        self._waits = False

    def take(self, reply: Reply | str) -> bool:
        """Write one reply; False after Fail or Refuse: nothing more is read. AgentFault if the contract does not allow
        it here."""
        handler = self._HANDLERS.get(type(reply))
        if handler is None:
            if not isinstance(reply, str):
                raise AgentFault(f"The agent gave a {type(reply).__name__}, which is not a reply.")
            handler = self._HANDLERS[str]  # a subclass of str is a str
        if self._asks and type(reply) is not Ask:
            raise AgentFault("The agent went on after it had asked.")
        if self._direct is not None:
            raise AgentFault("The agent went on after a direct answer.")
        if self._waits and type(reply) is not Ask:
            self._waits = False
            self._live.status(TaskState.WORKING)
        handler(self, reply)
        return self._over is None

    # --- content

    def _text(self, text: str) -> None:
        live = self._live
        if len(text) > MAX_TEXT:
            for start in range(0, len(text), MAX_TEXT):
                self._text(text[start : start + MAX_TEXT])
        elif self._answer is not None:
            self._answer.parts.append(text)
            head = self._answer_head
            if not head:
                head = self._answer_head = live.writer.chunk_head(self._answer.id)
            live.log.append(head + quoted(text) + TEXT_CHUNK_END)
        elif text:
            self._first_text(text)

    def _first_text(self, text: str) -> None:
        """What `_chunk(Chunk(text))` does, for the shape that nearly every answer begins with."""
        live = self._live
        live.show()
        artifact_id = "answer" if live.turn == 1 else f"answer.{live.turn}"
        row = live.writer.first_text(artifact_id, text)
        piece = self._answer = self._open["answer"] = live.pieces.artifact(artifact_id, append=False)
        piece.parts.append(text)
        live.log.append(row)

    def _chunk(self, chunk: Chunk) -> None:
        if len(chunk.text) > MAX_TEXT:
            self._long_chunk(chunk)
            return
        parts = parts_json(parts_of(chunk))
        if not parts:
            return
        if chunk.parts and any(len(part) > MAX_PART for part in parts):
            raise AgentFault(f"The agent gave a part of more than {MAX_PART} bytes.")
        live, piece = self._live, self._open.get(chunk.artifact)
        live.show()
        append = piece is not None and chunk.append
        artifact_id = chunk.artifact if live.turn == 1 else f"{chunk.artifact}.{live.turn}"
        # Written before anything is changed: what cannot be written must not get into the task either.
        row = live.writer.artifact(
            artifact_id, parts, append=append, last=chunk.last, name=chunk.name, metadata=chunk.metadata
        )
        piece = live.pieces.artifact(artifact_id, append=append)
        self._open[chunk.artifact] = piece
        piece.describe(chunk.name, chunk.metadata)
        if chunk.text:
            piece.parts.append(chunk.text)
        piece.parts += [
            part.text if part.is_plain_text and part.text is not None else data
            for part, data in zip(chunk.parts, parts[len(parts) - len(chunk.parts) :], strict=True)
        ]
        live.log.append(row)
        if chunk.artifact == "answer":
            self._answer = piece

    def _long_chunk(self, chunk: Chunk) -> None:
        text, artifact = chunk.text, chunk.artifact
        for start in range(0, len(text), MAX_TEXT):
            piece = text[start : start + MAX_TEXT]
            self._chunk(Chunk(piece, artifact=artifact, append=chunk.append or start > 0, name=chunk.name))
        if chunk.parts or chunk.last or chunk.metadata:
            self._chunk(Chunk("", chunk.parts, artifact=artifact, last=chunk.last, metadata=chunk.metadata))

    def _progress(self, progress: Progress) -> None:
        self._live.progress(self._message([text_part(progress.text[:MAX_TEXT])]))

    # --- activity

    def _turn_row(self, section: dict[str, JSONValue]) -> None:
        live = self._live
        live.show()
        status = status_json(live.pieces.state, live.pieces.timestamp)  # without words: they have been said
        live.log.append(TURN_ROW + live.writer.status(status, {TURN_EXTENSION: section}))

    def _tool_call(self, call: ToolCall) -> None:
        self._turn_row({"toolCall": {"id": call.id, "name": call.name, "arguments": call.arguments}})

    def _tool_result(self, result: ToolResult) -> None:
        self._turn_row({"toolResult": {"id": result.id, "content": result.content, "isError": result.is_error}})

    def _usage(self, usage: Usage) -> None:
        used = usage_json(usage.input_tokens, usage.output_tokens, usage.cost_usd, usage.model)
        self._turn_row({"usage": used})
        self._live.pieces.add_usage(used)

    # --- pauses and ends

    def _ask(self, ask: Ask) -> None:
        if ask.ends_turn:
            self._asks.append(ask)
            return
        self._waits = True
        self._live.status(_paused([ask]), self._asking([ask]), goes_on=True)

    def _closing(self, say: Say) -> None:
        if say.direct and not self._open and not self._live.is_shown and self._live.turn == 1:
            self._direct = say
        else:
            self._say = say

    def _end(self, reply: Fail | Refuse) -> None:
        self._over = reply

    def _message(self, parts: Sequence[bytes], metadata: Struct | None = None) -> bytes:
        who = self._live.who
        return message_json(
            message_id=new_id(), parts=parts, context_id=who.context_id, task_id=who.task_id, metadata=metadata
        )

    def _asking(self, asks: Sequence[Ask]) -> bytes:
        told: list[JSONValue] = [
            ask_json(id=ask.id, kind=ask.kind, text=ask.text, schema=ask.schema, options=ask.options) for ask in asks
        ]
        parts = [part for ask in asks for part in parts_json(parts_of(ask))]
        parts = parts or [text_part("The agent needs an answer to go on.")]
        notes = [text_part(f"Please answer with one of: {', '.join(options)}") for options in self._missed(asks)]
        parts += [note for note in notes if note not in parts]  # a remote agent's question may bring it along
        return self._message(parts, {TURN_EXTENSION: {"asks": told}})

    def _missed(self, asks: Sequence[Ask]) -> Iterable[tuple[str, ...]]:
        """The options of asks that are put again because the answer to them was none of these.

        A single option is no choice: other words are an answer as well.
        """
        given = self._given
        if given is None:
            return ()
        unclear = [ask for ask in given.asks if len(ask.options) > 1 and given.option(ask.id) is None]
        before = {(ask.id, ask.text, ask.options) for ask in unclear}
        return dict.fromkeys(ask.options for ask in asks if (ask.id, ask.text, ask.options) in before)

    def finish(self) -> None:
        """The generator has ended: write what the turn came to."""
        live, over = self._live, self._over
        if over is not None:
            state = TaskState.FAILED if isinstance(over, Fail) else TaskState.REJECTED
            live.status(state, self._message([text_part(over.reason[:MAX_TEXT])]))
        elif self._asks:
            live.asks = tuple(self._asks)
            live.status(_paused(self._asks), self._asking(self._asks))
        elif self._direct is not None:
            parts = parts_json(parts_of(self._direct)) or [text_part("")]
            message = message_json(message_id=new_id(), parts=parts, context_id=live.who.context_id)
            live.answer_directly(message)
        else:
            said = parts_json(parts_of(self._say)) if self._say else []
            proposed = self._say.next if self._say else None
            following: Struct | None = {TURN_EXTENSION: {"next": proposed}} if proposed else None
            live.status(TaskState.COMPLETED, self._message(said, following) if said else None)

    def fail(self, reason: str) -> None:
        """The turn is lost: FAILED, with a reason that a stranger may read (R-SEND-12)."""
        self._live.status(TaskState.FAILED, self._message([text_part(reason)]))

    _HANDLERS: ClassVar[Mapping[type, Callable[..., None]]] = {
        str: _text, Chunk: _chunk, Progress: _progress, ToolCall: _tool_call, ToolResult: _tool_result,
        Usage: _usage, Ask: _ask, Say: _closing, Fail: _end, Refuse: _end,
    }  # fmt: skip


def _paused(asks: Sequence[Ask]) -> TaskState:
    return TaskState.AUTH_REQUIRED if asks[0].kind == "auth" else TaskState.INPUT_REQUIRED


async def drive(live: LiveTask, agent: Agent, turn: Turn, *, bells: Alarms) -> None:
    """Run one turn to its end, whatever that is. `bells` bounds the whole turn; at the bound the task FAILS.

    Raises nothing but CancelledError, after the agent's generator has been finished.
    """
    writer = TurnWriter(live, turn.answer)
    bells.set(live, partial(_time_is_up, live, writer, asyncio.current_task(), bells.seconds))
    try:
        await _step_through(live, writer, agent.run(turn))
        writer.finish()
    except AgentFault as fault:
        _log.error("agent %s broke the contract in task %s: %s", live.who.agent, live.who.task_id, fault)
        writer.fail(str(fault))
    except asyncio.CancelledError:
        if (task := asyncio.current_task()) is None or task.cancelling():
            raise
        _agent_failed(live, writer)  # nobody cancelled the turn: the agent awaited something that was cancelled
    except (Exception, SystemExit):  # whatever an agent raises: the task must end, and strangers must not see why
        _agent_failed(live, writer)
    finally:
        bells.clear(live)


def _agent_failed(live: LiveTask, writer: TurnWriter) -> None:
    if live.log.broken is not None:
        _log.exception("task %s was cut off: its events cannot be kept", live.who.task_id)
        return
    error_id = new_id()[-8:]
    _log.exception("agent %s failed in task %s (error %s)", live.who.agent, live.who.task_id, error_id)
    _write_last(lambda: writer.fail(f"The agent failed (error {error_id})."))


def _write_last(write: Callable[[], None]) -> None:
    try:
        write()
    except StoreError:
        _log.exception("the end of a task cannot be kept")


def _time_is_up(live: LiveTask, writer: TurnWriter, task: "asyncio.Task[Any] | None", seconds: float) -> None:
    _write_last(lambda: writer.fail(f"The agent did not finish within {seconds:g} seconds."))
    if task is not None:
        task.cancel()


async def _step_through(live: LiveTask, writer: TurnWriter, replies: AsyncGenerator[Reply | str, None]) -> None:
    log, take = live.log, writer.take
    count, since, shown = 0, perf_counter(), live.is_shown
    async with aclosing(replies):
        async for reply in replies:
            if log.is_closing or not take(reply):
                return
            count += 1
            if log.is_ahead:
                if not await log.room():
                    raise AgentFault("The task has become too large: its agent has said more than may be kept.")
            elif not shown and live.is_shown:
                shown = True
                if log.is_awaited:  # a stream that waits to be opened
                    log.flush()
                    await asyncio.sleep(0)
            elif count & 7 == 0 and (count >= REPLIES_PER_STEP or perf_counter() - since > SECONDS_PER_STEP):
                count, since = 0, perf_counter()
                await asyncio.sleep(0)
