"""OpenAI's two wires for the fake model: request bodies in, JSON bodies and stream events out. Pure functions.

Like OpenAI, and unlike many local servers, it refuses a conversation in which an assistant's tool call has no result.
"""

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from a2a_bridge.testing.fake_model import Conversation, Line, Said

Body = Mapping[str, Any]


class WireError(ValueError):
    """The request is not one that OpenAI would accept."""


class Event(NamedTuple):
    """One event of a stream; `waits` tells the server to pause before it, if the model is slow."""

    data: str
    name: str | None = None
    waits: bool = False


class Wire(Protocol):
    """One of the two ways to ask the model."""

    def read(self, body: Body) -> Conversation: ...
    def answer(self, body: Body, said: Said, number: int) -> Body: ...
    def stream(self, body: Body, said: Said, number: int) -> Iterator[Event]: ...


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    texts = []
    for piece in content or ():
        text = piece if isinstance(piece, str) else piece.get("text")
        texts.append(text if isinstance(text, str) else f"<{piece.get('type')}>")
    return " ".join(texts)


def _tokens(value: Any) -> int:
    text = value if isinstance(value, str) else json.dumps(value)
    return max(1, len(text) // 4)


def _pieces(text: str) -> list[str]:
    return re.findall(r".{1,8}", text, re.DOTALL)


def _call_id(number: int, index: int) -> str:
    return f"call_{number}_{index}"


def _forced(choice: Any, tools: tuple[str, ...]) -> str | None:
    if choice in ("required", "any"):
        return tools[-1] if tools else None
    if isinstance(choice, Mapping):
        name = (choice.get("function") or choice).get("name")
        return name if name in tools else None
    return None


class ChatWire:
    """POST /v1/chat/completions."""

    def read(self, body: Body) -> Conversation:
        """The conversation of a request; WireError if tool calls and results do not pair up."""
        lines: list[Line] = []
        pending: set[str] = set()
        for message in body.get("messages", ()):
            role, text = message.get("role"), _text(message.get("content"))
            if role in ("tool", "function"):
                if message.get("tool_call_id") not in pending:
                    raise WireError("messages with role 'tool' must answer a preceding tool call")
                pending.discard(message["tool_call_id"])
                lines.append(Line("tool", text))
                continue
            if pending:
                raise WireError(f"tool calls without a result: {', '.join(sorted(pending))}")
            calls = message.get("tool_calls") or ()
            pending = {call["id"] for call in calls}
            role = "system" if role == "developer" else str(role)
            lines.append(Line(role, text, tuple(call["function"]["name"] for call in calls)))
        if pending:
            raise WireError(f"tool calls without a result: {', '.join(sorted(pending))}")
        functions = [tool["function"] for tool in body.get("tools") or () if tool.get("type") == "function"]
        names = tuple(function["name"] for function in functions)
        wanted = body.get("response_format") or {}
        return Conversation(
            lines=tuple(lines),
            tools=names,
            schema=(wanted.get("json_schema") or {}).get("schema"),
            wants_json=wanted.get("type") == "json_object",
            forced_tool=_forced(body.get("tool_choice"), names),
            tool_schemas={function["name"]: function.get("parameters") or {} for function in functions},
        )

    def _usage(self, body: Body, said: Said) -> dict[str, int]:
        asked, spoken = _tokens(body.get("messages", [])), _tokens(said.text + "".join(c.arguments for c in said.calls))
        return {"prompt_tokens": asked, "completion_tokens": spoken, "total_tokens": asked + spoken}

    def answer(self, body: Body, said: Said, number: int) -> Body:
        """The body of an answer that is not streamed."""
        message: dict[str, Any] = {"role": "assistant", "content": said.text or None}
        if said.calls:
            message["tool_calls"] = [
                {
                    "id": _call_id(number, index),
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for index, call in enumerate(said.calls)
            ]
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if said.calls else "stop"}
        return {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 0,
            "model": body.get("model", "fake-model"),
            "choices": [choice],
            "usage": self._usage(body, said),
        }

    def stream(self, body: Body, said: Said, number: int) -> Iterator[Event]:
        """The events of a streamed answer; usage only if the request asks for it."""
        head = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 0}
        head["model"] = body.get("model", "fake-model")

        def chunk(delta: Body, finish: str | None = None, *, waits: bool = False) -> Event:
            choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
            return Event(json.dumps({**head, "choices": choices}), waits=waits)

        yield chunk({"role": "assistant", "content": ""})
        for index, call in enumerate(said.calls):
            opening = {"index": index, "id": _call_id(number, index), "type": "function"}
            yield chunk({"tool_calls": [{**opening, "function": {"name": call.name, "arguments": ""}}]})
            for piece in _pieces(call.arguments):
                yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        for word in said.words:
            yield chunk({"content": word}, waits=True)
        yield chunk({}, "tool_calls" if said.calls else "stop")
        if (body.get("stream_options") or {}).get("include_usage"):
            yield Event(json.dumps({**head, "choices": [], "usage": self._usage(body, said)}))
        yield Event("[DONE]")


class ResponsesWire:
    """POST /v1/responses."""

    def read(self, body: Body) -> Conversation:
        """The conversation of a request."""
        lines = [Line("system", body["instructions"])] if body.get("instructions") else []
        items = body.get("input", "")
        for item in [{"role": "user", "content": items}] if isinstance(items, str) else items:
            kind = item.get("type", "message")
            if kind == "message":
                role = "system" if item.get("role") == "developer" else str(item.get("role"))
                lines.append(Line(role, _text(item.get("content"))))
            elif kind == "function_call":
                lines.append(Line("assistant", "", (item.get("name", ""),)))
            elif kind == "function_call_output":
                lines.append(Line("tool", _text(item.get("output"))))
        functions = [tool for tool in body.get("tools") or () if tool.get("type") == "function"]
        names = tuple(function["name"] for function in functions)
        wanted = (body.get("text") or {}).get("format") or {}
        return Conversation(
            lines=tuple(lines),
            tools=names,
            schema=wanted.get("schema") if wanted.get("type") == "json_schema" else None,
            wants_json=wanted.get("type") == "json_object",
            forced_tool=_forced(body.get("tool_choice"), names),
            tool_schemas={function["name"]: function.get("parameters") or {} for function in functions},
        )

    def _items(self, said: Said, number: int) -> list[dict[str, Any]]:
        if not said.calls:
            content = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
            message = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed"}
            return [{**message, "content": [content]}]
        return [
            {
                "type": "function_call",
                "id": f"fc_{number}_{index}",
                "call_id": _call_id(number, index),
                "name": call.name,
                "arguments": call.arguments,
                "status": "completed",
            }
            for index, call in enumerate(said.calls)
        ]

    def answer(self, body: Body, said: Said, number: int) -> Body:
        """The body of an answer that is not streamed."""
        asked, spoken = _tokens(body.get("input", "")), _tokens(said.text + "".join(c.arguments for c in said.calls))
        usage = {
            "input_tokens": asked,
            "output_tokens": spoken,
            "total_tokens": asked + spoken,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }
        fixed = {"object": "response", "created_at": 0, "status": "completed", "error": None, "instructions": None}
        unused: Body = {"incomplete_details": None, "metadata": {}, "temperature": 1.0, "top_p": 1.0, "tools": []}
        said_now = {"model": body.get("model", "fake-model"), "output": self._items(said, number), "usage": usage}
        choice = {"parallel_tool_calls": True, "tool_choice": "auto"}
        return {"id": f"resp_{number}", **fixed, **unused, **choice, **said_now}

    def stream(self, body: Body, said: Said, number: int) -> Iterator[Event]:
        """The events of a streamed answer."""
        whole = self.answer(body, said, number)
        count = itertools.count()

        def event(name: str, members: Body, *, waits: bool = False) -> Event:
            return Event(json.dumps({"type": name, "sequence_number": next(count), **members}), name, waits)

        begun = {**whole, "status": "in_progress", "output": [], "usage": None}
        yield event("response.created", {"response": begun})
        for index, item in enumerate(whole["output"]):
            at: dict[str, Any] = {"output_index": index, "item_id": item["id"]}
            if item["type"] == "function_call":
                opening = {**item, "arguments": "", "status": "in_progress"}
                yield event("response.output_item.added", {"output_index": index, "item": opening})
                for piece in _pieces(item["arguments"]):
                    yield event("response.function_call_arguments.delta", {**at, "delta": piece})
                yield event("response.function_call_arguments.done", {**at, "arguments": item["arguments"]})
            else:
                at["content_index"] = 0
                opening = {**item, "content": [], "status": "in_progress"}
                yield event("response.output_item.added", {"output_index": index, "item": opening})
                empty = {"type": "output_text", "text": "", "annotations": []}
                yield event("response.content_part.added", {**at, "part": empty})
                for word in said.words:
                    yield event("response.output_text.delta", {**at, "delta": word, "logprobs": []}, waits=True)
                yield event("response.output_text.done", {**at, "text": said.text, "logprobs": []})
                yield event("response.content_part.done", {**at, "part": item["content"][0]})
            yield event("response.output_item.done", {"output_index": index, "item": item})
        yield event("response.completed", {"response": whole})
