"""Messages as a model takes them: who said what, pictures as pictures, tool calls with their results.

Own words are the assistant's, everybody else's the user's under their name. Tool calls that an agent only proposes,
and that another one runs, travel between the two as data parts: `tool_calls` and `tool_responses`, AutoGen's names.
Endpoints refuse a call without its result, so calls that nobody has answered are shown as text.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from a2a_bridge.agent import ToolCall, ToolResult, speaker_of
from a2a_bridge.chat.classic import data_url
from a2a_bridge.chat.entry import words_of
from a2a_bridge.chat.model import ModelMessage
from a2a_bridge.protocol.objects import Message, Part, Role

CALLS, RESPONSES = "tool_calls", "tool_responses"

_NAME = re.compile(r"[^a-zA-Z0-9_-]+")
_AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}


def calls_part(calls: Iterable[ToolCall]) -> Part:
    """Proposed calls, as one agent says them to the one that runs them."""
    return Part(data={CALLS: [call_json(call) for call in calls]})


def responses_part(results: Iterable[ToolResult]) -> Part:
    """What came of the calls."""
    told = [{"tool_call_id": result.id, "role": "tool", "content": str(result.content)} for result in results]
    return Part(data={RESPONSES: told})


def call_json(call: ToolCall) -> dict[str, Any]:
    """A call as chat completions write it."""
    arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(call.arguments, ensure_ascii=False)
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def calls_in(message: Message) -> list[ToolCall]:
    """The calls that a message proposes."""
    found = []
    for said in _listed(message, CALLS):
        function = said.get("function")
        if isinstance(function, Mapping) and isinstance(said.get("id"), str):
            name, text = str(function.get("name")), str(function.get("arguments") or "{}")
            try:
                arguments = json.loads(text)
            except ValueError:
                arguments = text
            found.append(ToolCall(said["id"], name, arguments))
    return found


def responses_in(message: Message) -> dict[str, str]:
    """The results that a message brings, by the id of the call."""
    return {str(said.get("tool_call_id")): str(said.get("content")) for said in _listed(message, RESPONSES)}


def _listed(message: Message, key: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for part in message.parts:
        listed = part.data.get(key) if isinstance(part.data, dict) else None
        if isinstance(listed, list):
            found += [said for said in listed if isinstance(said, Mapping)]
    return found


def model_messages(messages: Sequence[Message], own_name: str) -> list[ModelMessage]:
    """A conversation as a model takes it."""
    found: list[ModelMessage] = []
    at = 0
    while at < len(messages):
        message = messages[at]
        calls = calls_in(message) if message.role is Role.AGENT else []
        results = responses_in(messages[at + 1]) if calls and at + 1 < len(messages) else {}
        if calls and all(call.id in results for call in calls):
            found.append(_calling(message, calls))
            found += [{"role": "tool", "tool_call_id": call.id, "content": results[call.id]} for call in calls]
            rest = tuple(part for part in messages[at + 1].parts if not _is(part, RESPONSES))
            if rest:
                found.append(model_message(messages[at + 1].model_copy(update={"parts": rest}), own_name))
            at += 2
            continue
        found.append(model_message(message, own_name))
        at += 1
    return found


def calling(words: str, calls: Sequence[ToolCall]) -> ModelMessage:
    """What the model said when it called tools, to be told to it again."""
    return {"role": "assistant", "content": words or None, CALLS: [call_json(call) for call in calls]}


def result_message(result: ToolResult) -> ModelMessage:
    """What came of a call."""
    return {"role": "tool", "tool_call_id": result.id, "content": str(result.content)}


def _calling(message: Message, calls: Sequence[ToolCall]) -> ModelMessage:
    return calling(words_of(part for part in message.parts if not _is(part, CALLS)), calls)


def _is(part: Part, key: str) -> bool:
    return part.kind == "data" and isinstance(part.data, dict) and key in part.data


def model_message(message: Message, own_name: str) -> ModelMessage:
    """A message as a model takes it: own words as the assistant's, everybody else's under their name."""
    own = message.role is Role.AGENT
    name = speaker_of(message) or (own_name if own else None)
    content: Any = words_of(message.parts)
    if not own and any(part.text is None and part.kind != "data" for part in message.parts):
        content = [piece for part in message.parts for piece in _pieces(part)]
    found: dict[str, Any] = {"role": "assistant" if own else "user", "content": content}
    if name is not None:
        found["name"] = _NAME.sub("_", name)[:64]
    return found


def _pieces(part: Part) -> list[dict[str, Any]]:
    """A part as content parts of chat completions; what a model cannot take is named."""
    kind = (part.media_type or "").partition(";")[0].strip().lower()
    if kind.startswith("image/") and (part.url is not None or part.raw is not None):
        return [{"type": "image_url", "image_url": {"url": part.url or data_url(part)}}]
    if part.raw is not None and kind in _AUDIO:
        data = base64.b64encode(part.raw).decode()
        return [{"type": "input_audio", "input_audio": {"data": data, "format": _AUDIO[kind]}}]
    if part.raw is not None and kind == "application/pdf":
        told = {"filename": part.filename or "file.pdf", "file_data": data_url(part)}
        return [{"type": "file", "file": told}]
    if part.raw is not None and (kind.startswith("text/") or kind == "application/json"):
        text = part.raw.decode("utf-8", "replace")
        return [{"type": "text", "text": f"{part.filename or 'a file'}:\n{text}"}]
    return [{"type": "text", "text": words_of((part,))}]
