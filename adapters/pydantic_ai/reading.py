"""Pydantic AI's events as replies.

The texts of all model calls are the answer, one after another. Where something else is made of a text (JSON becomes
data, a function or a validator has the last word) only what comes out is told.
"""

from collections.abc import Iterator
from typing import Any

from pydantic_core import to_jsonable_python

from a2a_bridge.agent import Chunk, Reply, ToolCall, ToolResult, Usage
from a2a_bridge.protocol.objects import JSONValue, Part
from adapters.pydantic_ai.messages import file_part
from pydantic_ai import (
    AgentRunResult,
    BinaryContent,
    FilePart,
    FunctionToolCallEvent,
    FunctionToolResultEvent,
    NativeToolCallPart,
    NativeToolReturnPart,
    PartDeltaEvent,
    PartEndEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
)

BETWEEN_MESSAGES = "\n\n"


class Reading:
    """One run, fed event by event. `known`: ids of calls that were told in an earlier turn."""

    def __init__(self, *, holds: bool, known: frozenset[str]) -> None:
        self._holds = holds
        self._known = known
        self._is_begun = False
        self._last = ""  # the text of the last model call that said anything
        self._files: list[bytes] = []

    def take(self, event: Any) -> Iterator[Reply | str]:
        """The replies that one event amounts to."""
        if isinstance(event, PartStartEvent):
            if event.index == 0:
                self._is_begun = False
            yield from self._begin(event.part)
        elif isinstance(event, PartDeltaEvent):
            if isinstance(event.delta, TextPartDelta):
                yield from self._text(event.delta.content_delta)
        elif isinstance(event, PartEndEvent):
            if isinstance(event.part, NativeToolCallPart):  # its arguments are complete now
                yield ToolCall(event.part.tool_call_id, event.part.tool_name, arguments_of(event.part))
        elif isinstance(event, FunctionToolCallEvent):
            if event.tool_call_id not in self._known:
                yield ToolCall(event.tool_call_id, event.part.tool_name, arguments_of(event.part))
        elif isinstance(event, FunctionToolResultEvent):
            failed = event.part.outcome != "success"
            yield ToolResult(event.tool_call_id, jsonable(event.part.content), is_error=failed)

    def _text(self, text: str) -> Iterator[str]:
        if not text or self._holds:
            return
        if self._is_begun:
            self._last += text
            yield text
        else:
            gap = BETWEEN_MESSAGES if self._last else ""
            self._is_begun, self._last = True, text
            yield gap + text

    def _begin(self, part: Any) -> Iterator[Reply | str]:
        """A part of a response, which is all there, unless it is a text or a call."""
        if isinstance(part, TextPart):
            yield from self._text(part.content)
        elif isinstance(part, FilePart):
            self._files.append(part.content.data)
            yield Chunk(parts=(file_part(part.content),))
        elif isinstance(part, NativeToolReturnPart):
            yield ToolResult(part.tool_call_id, jsonable(part.content), is_error=part.outcome != "success")

    def result(self, result: AgentRunResult[Any], *, is_pause: bool) -> Iterator[Reply]:
        """What is left to say when the run has come to its end."""
        used = result.usage
        if used.input_tokens or used.output_tokens:
            yield Usage(used.input_tokens, used.output_tokens, model=result.response.model_name)
        output = None if is_pause else result.output
        if isinstance(output, str):
            if output != self._last:
                yield Chunk((BETWEEN_MESSAGES if self._last else "") + output)
        elif isinstance(output, BinaryContent):
            if output.data not in self._files:
                yield Chunk(parts=(file_part(output),))
        elif output is not None:
            yield Chunk(parts=(Part(data=jsonable(output), media_type="application/json"),))


def arguments_of(call: Any) -> JSONValue:
    """What a tool is called with; the model's own text, if that is no JSON."""
    try:
        return jsonable(call.args_as_dict())
    except (ValueError, AssertionError):
        return jsonable(call.args)


def jsonable(value: object) -> JSONValue:
    """Any value as JSON; what has no JSON form becomes its text."""
    found: JSONValue = to_jsonable_python(value, fallback=str, bytes_mode="base64", serialize_unknown=True)
    return found
