"""What a run of the OpenAI Agents SDK says, as replies.

The messages of all model calls are the answer, one after another. Two kinds of words are held back until the run has
ended: JSON that becomes data then, and whatever an output guardrail has still to look at.
"""

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

from agents import Agent, ItemHelpers
from agents import Usage as Used
from agents.items import HandoffOutputItem, MessageOutputItem, ToolCallItem, ToolCallOutputItem
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from a2a_bridge.agent import Chunk, Progress, Reply, ToolCall, ToolResult, Usage
from a2a_bridge.protocol.objects import JSONValue, Part

BETWEEN_MESSAGES = "\n\n"
_PICTURE = "image_generation_call"
_KINDS = {b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp"}
_WORDS = ("response.output_text.delta", "response.refusal.delta")


class Reading:
    """One run, fed event by event. `failed`: the ids of tool calls that failed, filled in while the run goes on."""

    def __init__(self, agent: Agent[Any], used: Used, failed: set[str]) -> None:
        self._holds = _holds(agent)
        self._failed = failed
        self._told: list[str] = []
        self._held: list[str] = []
        self._open: dict[tuple[str, int], str] = {}  # what has been shown of the messages of one response
        self._used = (used.input_tokens, used.output_tokens)
        self._model: str | None = None

    def take(self, event: Any) -> Iterator[Reply | str]:
        """The replies that one event amounts to."""
        if event.type == "raw_response_event":
            yield from self._raw(event.data)
        elif event.type == "agent_updated_stream_event":
            self._holds = _holds(event.new_agent)
            self._held.clear()  # what was said before a handoff is no answer, and no guardrail has looked at it
        elif isinstance(event.item, MessageOutputItem):
            yield from self._message(_text(event.item))
        elif isinstance(event.item, ToolCallItem):
            yield ToolCall(event.item.call_id or "", *_called(event.item))
            yield from _pictures(event.item.raw_item)
        elif isinstance(event.item, ToolCallOutputItem):
            call_id = event.item.call_id or ""
            yield ToolResult(call_id, _jsonable(event.item.output), is_error=call_id in self._failed)
        elif isinstance(event.item, HandoffOutputItem):
            yield Progress(f"{event.item.source_agent.name} hands over to {event.item.target_agent.name}.")

    def _raw(self, data: Any) -> Iterator[Reply | str]:
        if data.type in _WORDS and data.delta and not self._holds:
            message = (data.item_id, data.output_index)
            gap = BETWEEN_MESSAGES if message not in self._open and (self._open or self._told) else ""
            self._open[message] = self._open.get(message, "") + gap + data.delta
            yield gap + data.delta
        elif data.type == "response.completed":
            used = data.response.usage
            self._model = data.response.model or self._model
            if used is not None and (used.input_tokens or used.output_tokens):
                self._used = (self._used[0] + used.input_tokens, self._used[1] + used.output_tokens)
                yield Usage(used.input_tokens, used.output_tokens, model=self._model)

    def _message(self, text: str) -> Iterator[Reply | str]:
        """A whole message, of which nothing or all has been shown."""
        shown = self._open.pop(next(iter(self._open))) if self._open else ""  # they come in the order of their words
        if self._holds:
            self._held.append(text)
        elif shown:
            self._told.append(shown)
        elif text:
            self._told.append(BETWEEN_MESSAGES + text if self._told else text)
            yield self._told[-1]

    def result(self, final: Any, used: Used) -> Iterator[Reply]:
        """What is left to say when the run has come to its end: held words, data, and tokens that others used."""
        rest = (used.input_tokens - self._used[0], used.output_tokens - self._used[1])
        if max(rest) > 0:  # an agent that is a tool of this one
            yield Usage(max(rest[0], 0), max(rest[1], 0), model=self._model)
        if isinstance(final, str):
            words = self._held if not self._held or self._held[-1] == final else [*self._held[:-1], final]
            if not words and final and not "".join(self._told).endswith(final):
                words = [final]  # the result of a tool is the answer
            if words:
                yield Chunk((BETWEEN_MESSAGES if self._told else "") + BETWEEN_MESSAGES.join(words))
        elif final is not None:
            yield Chunk(parts=(Part(data=_jsonable(final), media_type="application/json"),))


def _holds(agent: Agent[Any]) -> bool:
    return agent.output_type not in (None, str) or bool(agent.output_guardrails)


def _text(item: MessageOutputItem) -> str:
    return ItemHelpers.text_message_output(item) or ItemHelpers.extract_refusal(item.raw_item) or ""


def _called(item: ToolCallItem) -> tuple[str, JSONValue]:
    """The name of a tool and what it is called with; of the model provider's own tools, all that is known."""
    raw = item.raw_item
    arguments = raw.get("arguments") if isinstance(raw, dict) else getattr(raw, "arguments", None)
    if isinstance(arguments, str):
        return item.tool_name or "tool", arguments_of(arguments)
    told = raw.model_dump(mode="json", exclude_none=True) if isinstance(raw, BaseModel) else raw
    if getattr(raw, "type", "") == _PICTURE:
        told.pop("result", None)
    return item.tool_name or str(getattr(raw, "type", "tool")), _jsonable(told)


def _pictures(raw: Any) -> Iterator[Reply]:
    """A picture that the model provider's own tool has made."""
    if getattr(raw, "type", "") == _PICTURE and raw.result:
        made = b64decode(raw.result)
        kind = next((kind for start, kind in _KINDS.items() if made.startswith(start)), "image/png")
        yield Chunk(parts=(Part(raw=made, media_type=kind),))


def arguments_of(text: str | None) -> JSONValue:
    """A model's arguments: JSON, or what it said instead."""
    try:
        found: JSONValue = json.loads(text or "{}")
    except ValueError:
        return text
    return found


def _jsonable(value: object) -> JSONValue:
    found: JSONValue = to_jsonable_python(value, fallback=str, bytes_mode="base64", serialize_unknown=True)
    return found
