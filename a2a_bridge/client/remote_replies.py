"""What a remote agent's events mean as replies of a turn. No I/O: events in, replies out."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from a2a_bridge.agent import Ask, Chunk, Fail, Progress, Refuse, Reply, Say, ToolCall, ToolResult, Usage
from a2a_bridge.client.remote_state import RemoteState
from a2a_bridge.client.seen import Extent, Seen
from a2a_bridge.protocol.extensions import TURN_EXTENSION, section
from a2a_bridge.protocol.objects import (
    Event,
    Message,
    Part,
    Struct,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
)

_LATER_TURN = re.compile(r"^(.+)\.[1-9][0-9]*$")


class Interpreter:
    """Reads the events of one turn, in order.

    `is_over`: the turn has ended or paused, nothing more is to be read. `paused_by` is then the status of the pause.
    `numbers_artifacts`: the remote is one of ours, which call an artifact of a later turn NAME.2.
    """

    def __init__(self, state: RemoteState, *, numbers_artifacts: bool = False) -> None:
        self.seen = Seen(state.before)
        self.is_over = False
        self.paused_by: TaskStatus | None = None
        self.used = state.used
        self._answered = state.asked
        self._is_first = True
        self._told: set[str] = set()
        self._numbers_artifacts = numbers_artifacts and state.turns > 1
        self._continues = state.turns > 1

    def replies(self, event: Event) -> Iterator[Reply]:
        """The replies that an event means."""
        is_first, self._is_first = self._is_first, False
        if isinstance(event, Message):
            self.is_over = True
            yield Say(parts=event.parts)
        elif isinstance(event, Task):
            for missing in self.seen.missing(event):
                yield self._chunk(missing)
            if event.status.state.is_terminal:
                yield from self._unreported(event.metadata)
            if not (is_first and self._is_old_pause(event.status)):
                yield from self._status(event.status, event.metadata)
        elif isinstance(event, TaskArtifactUpdateEvent):
            self.seen.add(event)
            yield self._chunk(event)
        else:
            if event.status.state.is_terminal:
                yield from self._unreported(event.metadata)
            else:
                yield from self._activity(section(event.metadata, TURN_EXTENSION))
            yield from self._status(event.status, event.metadata)

    # --- content

    def _chunk(self, event: TaskArtifactUpdateEvent) -> Chunk:
        artifact, parts = event.artifact, event.artifact.parts
        text = parts[0].text if len(parts) == 1 and parts[0].is_plain_text else None
        return Chunk(
            text or "",
            () if text is not None else parts,
            artifact=self._name(artifact.artifact_id),
            append=event.append,
            last=event.last_chunk,
            name=artifact.name,
            metadata=artifact.metadata,
        )

    def _name(self, artifact_id: str) -> str:
        numbered = _LATER_TURN.match(artifact_id) if self._numbers_artifacts else None
        return numbered.group(1) if numbered else artifact_id

    # --- tools and usage

    def _activity(self, found: Mapping[str, Any]) -> Iterator[Reply]:
        if isinstance(call := found.get("toolCall"), Mapping):
            yield ToolCall(str(call.get("id", "")), str(call.get("name", "")), call.get("arguments"))
        if isinstance(result := found.get("toolResult"), Mapping):
            yield ToolResult(str(result.get("id", "")), result.get("content"), result.get("isError") is True)
        if isinstance(used := found.get("usage"), Mapping):
            usage = _usage(used)
            self.used += usage
            yield usage

    def _unreported(self, metadata: Struct | None) -> Iterator[Usage]:
        """What a finished task says it used in all, less what was reported on the way."""
        total = section(metadata, TURN_EXTENSION).get("usage") or (metadata or {}).get("usage")
        if not isinstance(total, Mapping):
            return
        usage, before = _usage(total), self.used
        tokens_in = max(0, usage.input_tokens - before.input_tokens)
        tokens_out = max(0, usage.output_tokens - before.output_tokens)
        if tokens_in or tokens_out:
            cost = None if usage.cost_usd is None else max(0.0, usage.cost_usd - (before.cost_usd or 0.0))
            self.used = usage
            yield Usage(tokens_in, tokens_out, cost, usage.model)

    # --- states

    def _status(self, status: TaskStatus, metadata: Struct | None) -> Iterator[Reply]:
        state, message = status.state, status.message
        if state.is_interrupted:
            yield from self._asks(status, section(metadata, TURN_EXTENSION).get("goesOn") is True)
        elif state.is_terminal:
            self.is_over = True
            yield from self._end(state, message)
        elif state is TaskState.WORKING and message is not None and message.message_id not in self._told:
            self._told.add(message.message_id)
            if message.text:
                yield Progress(message.text)

    def _end(self, state: TaskState, message: Message | None) -> Iterator[Reply]:
        words = message.text if message is not None else ""
        if state is TaskState.FAILED:
            yield Fail(words or "the remote agent failed and did not say why")
        elif state is TaskState.REJECTED:
            yield Refuse(words or "the remote agent refused and did not say why")
        elif state is TaskState.CANCELED:
            yield Fail(f"canceled by the remote agent: {words}" if words else "canceled by the remote agent")
        elif message is not None and any(part.text != "" for part in message.parts) and not self._repeats(message):
            proposed = section(message.metadata, TURN_EXTENSION).get("next")
            yield Say(parts=message.parts, next=proposed if isinstance(proposed, str) else None)

    def _repeats(self, message: Message) -> bool:
        """Some agents close with the same words that an artifact holds; they are one answer, not two (failure 20)."""
        return Extent().plus(message.parts) in self.seen.extents().values()

    def _asks(self, status: TaskStatus, goes_on: bool) -> Iterator[Ask]:
        message = status.message
        message_id = message.message_id if message is not None else None
        if message_id is not None and message_id in self._told:
            return  # it has been shown, and goes on
        if goes_on:
            self._told.add(message_id or "")
        else:
            self.is_over = True
            self.paused_by = status
        for ask in _asks_of(status):
            yield replace(ask, ends_turn=False) if goes_on else ask

    def _is_old_pause(self, status: TaskStatus) -> bool:
        """Whether the snapshot that opens a later turn still shows the pause that this turn answers."""
        said = status.message.message_id if status.message is not None else None
        return self._continues and status.state.is_interrupted and said == self._answered


def _asks_of(status: TaskStatus) -> Iterator[Ask]:
    kind = "auth" if status.state is TaskState.AUTH_REQUIRED else "input"
    message = status.message
    parts: tuple[Part, ...] = message.parts if message is not None else ()
    told = section(message.metadata if message is not None else None, TURN_EXTENSION).get("asks")
    asks = [ask for ask in told if isinstance(ask, Mapping)] if isinstance(told, list | tuple) else []
    if not asks:
        only_words = all(part.is_plain_text for part in parts)
        yield Ask(message.text if message and only_words else "", () if only_words else parts, kind=kind)  # type: ignore[arg-type]
        return
    texts = {str(ask.get("text", "")) for ask in asks}
    others = tuple(part for part in parts if not (part.is_plain_text and part.text in texts))
    for number, ask in enumerate(asks):
        options = ask.get("options")
        yield Ask(
            str(ask.get("text", "")),
            others if number == 0 else (),
            kind="auth" if ask.get("kind", kind) == "auth" else "input",
            schema=ask.get("schema"),
            options=tuple(str(option) for option in options) if isinstance(options, list | tuple) else (),
            id=str(ask.get("id", "")),
        )


def _usage(found: Mapping[str, Any]) -> Usage:
    cost, model = found.get("costUsd"), found.get("model")
    return Usage(
        _count(found.get("inputTokens", found.get("input_tokens"))),
        _count(found.get("outputTokens", found.get("output_tokens"))),
        float(cost) if isinstance(cost, int | float) and not isinstance(cost, bool) else None,
        model if isinstance(model, str) else None,
    )


def _count(value: Any) -> int:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value < 1e15 else 0
