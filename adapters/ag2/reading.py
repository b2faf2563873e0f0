"""AG2's events as replies."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic_core import to_jsonable_python

from a2a_bridge.agent import Chunk, Reply, ToolCall, ToolResult, Usage
from a2a_bridge.protocol.objects import JSONValue, Part
from adapters.ag2.messages import file_part
from ag2.events import (
    ModelMessage,
    ModelMessageChunk,
    TextInput,
    ToolCallsEvent,
    ToolErrorEvent,
    ToolResultsEvent,
    UsageEvent,
)

BETWEEN_MESSAGES = "\n\n"
TOOL_FAILED = "The tool failed."


class Reading:
    """One run, fed event by event: the messages of its model calls are the answer, one after another."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._open = ""

    def take(self, event: Any) -> Iterator[Reply | str]:
        """The replies that one event amounts to."""
        if isinstance(event, ModelMessageChunk):
            if event.content:
                token = event.content if self._open or not self._told else BETWEEN_MESSAGES + event.content
                self._open += token
                yield token
        elif isinstance(event, ModelMessage):
            yield from self._message(event.content)
        elif isinstance(event, UsageEvent):
            usage = event.usage
            yield Usage(int(usage.prompt_tokens or 0), int(usage.completion_tokens or 0), model=event.model)
        elif isinstance(event, ToolCallsEvent):
            for call in event.calls:
                yield ToolCall(call.id, call.name, _arguments(call.arguments))
        elif isinstance(event, ToolResultsEvent):
            for result in event.results:
                failed = isinstance(result, ToolErrorEvent)
                # The text of a tool's exception is for nobody who watches.
                content = TOOL_FAILED if failed else _content(result.result.parts)
                yield ToolResult(result.parent_id, content, is_error=failed)

    def _message(self, text: str) -> Iterator[Reply | str]:
        """A whole message, of which nothing, a part or all has been shown."""
        gap = BETWEEN_MESSAGES if self._told else ""
        shown, self._open = self._open, ""
        self._told.append(gap + text)
        if not shown and text:
            yield gap + text
        elif shown != gap + text:
            yield Chunk("".join(self._told), append=False)

    def result(self, reply: Any, data: Any) -> Iterator[Reply]:
        """What is left to say when AG2 is done: the answer as data, and files. `data` None: it is words."""
        if data is not None:
            part = Part(data=to_jsonable_python(data, fallback=str), media_type="application/json")
            yield Chunk("".join(self._told[:-1]), parts=(part,), append=False)
        files = tuple(file_part(made) for made in reply.files)
        if files:
            yield Chunk(parts=files)


def _content(parts: Any) -> JSONValue:
    """A tool's result: its value, if it is one; several, or what has no JSON form, as texts."""
    told = [part.content if isinstance(part, TextInput) else getattr(part, "data", None) for part in parts]
    found: list[JSONValue] = to_jsonable_python(told, fallback=str, bytes_mode="base64")
    return found[0] if len(found) == 1 else found


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
