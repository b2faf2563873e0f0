"""What a running agent or team says, as replies.

Everything that is said to the end is the answer, one message after another; in a team of several each message starts
with its speaker, `[name] `. A message whose tokens were shown is not told again.
"""

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autogen_agentchat.base import TaskResult
from autogen_agentchat.messages import (
    CodeExecutionEvent,
    CodeGenerationEvent,
    HandoffMessage,
    ModelClientStreamingChunkEvent,
    MultiModalMessage,
    StopMessage,
    StructuredMessage,
    TextMessage,
    ThoughtEvent,
    ToolCallExecutionEvent,
    ToolCallRequestEvent,
    ToolCallSummaryMessage,
)
from autogen_core import Image
from pydantic_core import to_jsonable_python

from a2a_bridge.agent import Chunk, Progress, Reply, ToolCall, ToolResult, Usage
from a2a_bridge.protocol.objects import Part

BETWEEN_MESSAGES = "\n\n"
TOOL_FAILED = "The tool failed."


class Reading:
    """One run, fed event by event. `models`: an agent's name -> its model's. `names_speakers`: the answer does."""

    def __init__(self, models: Mapping[str, str], *, names_speakers: bool) -> None:
        self.handoff: HandoffMessage | None = None
        self.result: TaskResult | None = None
        self._models = models
        self._names_speakers = names_speakers
        self._told: list[str | Part] = []  # whole messages
        self._open = ""  # the tokens of the message that is being said
        self._speaker: str | None = None

    def take(self, event: Any) -> Iterator[Reply | str]:
        """The replies that one event amounts to."""
        if isinstance(event, ModelClientStreamingChunkEvent):
            yield from self._token(event.source, event.content)
            return
        if isinstance(event, TaskResult):
            self.result = event
            return
        if usage := getattr(event, "models_usage", None):
            yield Usage(usage.prompt_tokens, usage.completion_tokens, model=self._models.get(event.source))
        if isinstance(event, ToolCallRequestEvent):
            yield from self._calls(event)
        elif isinstance(event, ToolCallExecutionEvent):
            yield from _results(event)
        elif isinstance(event, ThoughtEvent | CodeGenerationEvent):
            yield Progress(event.content)
        elif isinstance(event, CodeExecutionEvent):
            yield Progress(event.result.output)
        else:
            yield from self._message(event)

    def _token(self, source: str, token: str) -> Iterator[str]:
        if not token:
            return
        if self._speaker != source or not self._open:
            token = self._opening(source) + token
            self._speaker = source
        self._open += token
        yield token

    def _opening(self, source: str) -> str:
        """What stands before a message's first words."""
        gap = BETWEEN_MESSAGES if self._told or self._open else ""
        return f"{gap}[{source}] " if self._names_speakers else gap

    def _message(self, event: Any) -> Iterator[Reply | str]:
        if isinstance(event, HandoffMessage):
            self.handoff = event
            yield Progress(event.content)
            return
        said = _said(event)
        if not said:
            return
        shown, self._open = self._open, ""
        opening = self._opening(event.source)
        if shown:
            opening = shown[: len(opening)] if shown.startswith(opening) else opening
        whole = [opening + said[0], *said[1:]] if isinstance(said[0], str) else said
        self._told += whole
        if not shown:
            texts = [piece for piece in whole if isinstance(piece, str)]
            if len(texts) == len(whole):
                yield "".join(texts)
            else:
                yield Chunk(parts=_parts(whole))
        elif [shown] != whole:
            yield Chunk(parts=_parts(self._told), append=False)

    def _calls(self, event: ToolCallRequestEvent) -> Iterator[Reply]:
        self._told += [self._open] if self._open else []
        self._open = ""
        for call in event.content:
            yield ToolCall(call.id, call.name, _arguments(call.arguments))


def _results(event: ToolCallExecutionEvent) -> Iterator[Reply]:
    for result in event.content:
        failed = bool(result.is_error)
        # The text of a tool's exception is for its model, not for whoever watches.
        yield ToolResult(result.call_id, TOOL_FAILED if failed else result.content, is_error=failed)


def _said(event: Any) -> Sequence[str | Part]:
    """The content of a message; nothing for what is no message."""
    if isinstance(event, StructuredMessage):
        return (Part(data=to_jsonable_python(event.content, fallback=str), media_type="application/json"),)
    if isinstance(event, MultiModalMessage):
        return [_image(piece) if isinstance(piece, Image) else piece for piece in event.content]
    if isinstance(event, ToolCallSummaryMessage):
        text = event.content
        for result in event.results:
            if result.is_error:
                text = text.replace(result.content, TOOL_FAILED)
        return (text,)
    if isinstance(event, TextMessage | StopMessage):
        return (event.content,) if event.content else ()
    return ()


def _image(image: Image) -> Part:
    return Part(raw=base64.b64decode(image.to_base64()), media_type="image/png")


def _parts(said: Sequence[str | Part]) -> tuple[Part, ...]:
    return tuple(Part(text=piece) if isinstance(piece, str) else piece for piece in said)


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
