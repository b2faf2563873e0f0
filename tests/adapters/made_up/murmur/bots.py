"""A framework in the way that frameworks are: it knows nothing of A2A.

A bot is told the whole conversation as OpenAI's messages, and says what it does as events. It keeps nothing. With
`careful=True` it stops before it calls a tool: the last event is then a `Question`, and the conversation in it is what
`talk` goes on with, once it is `allowed` or not.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from openai import AsyncOpenAI


class Word(NamedTuple):
    """A piece of the answer."""

    text: str


class Value(NamedTuple):
    """The whole answer of a bot whose answers have a form."""

    value: Any


class Called(NamedTuple):
    """A tool is about to run."""

    id: str
    name: str
    arguments: dict[str, Any]


class Returned(NamedTuple):
    """A tool has run."""

    id: str
    value: Any
    failed: bool


class Spent(NamedTuple):
    """Tokens of one model call."""

    read: int
    written: int
    model: str


class Question(NamedTuple):
    """May these tools be called? The end of this talk."""

    text: str
    lines: list[dict[str, Any]]


@dataclass(frozen=True)
class Bot:
    """Who speaks, with which model and tools; `form` is a JSON Schema of its answers."""

    name: str
    client: AsyncOpenAI
    about: str = "A bot."
    tools: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    form: dict[str, Any] | None = None
    careful: bool = False

    async def talk(self, lines: Sequence[dict[str, Any]], allowed: bool | None = None) -> AsyncIterator[Any]:
        lines = list(lines)
        while True:
            calls = lines[-1].get("tool_calls") if lines else None
            if calls and self.careful and allowed is None:
                yield Question(f"May I call {', '.join(call['function']['name'] for call in calls)}?", lines)
                return
            if calls:
                for call in calls:
                    event = self._call(call, allowed)
                    yield Called(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
                    yield event
                    lines.append({"role": "tool", "tool_call_id": call["id"], "content": str(event.value)})
                continue
            async for event in self._model(lines):
                yield event
            if not lines[-1].get("tool_calls"):
                return

    def _call(self, call: dict[str, Any], allowed: bool | None) -> Returned:
        if allowed is False:
            return Returned(call["id"], "not allowed", True)
        try:
            value = self.tools[call["function"]["name"]](**json.loads(call["function"]["arguments"]))
        except Exception:
            return Returned(call["id"], "the tool failed", True)
        return Returned(call["id"], value, False)

    async def _model(self, lines: list[dict[str, Any]]) -> AsyncIterator[Any]:
        """One model call; its message is added to the lines."""
        words, calls = "", dict[int, dict[str, Any]]()
        async with await self.client.chat.completions.create(**self._question(lines)) as stream:
            async for chunk in stream:
                if chunk.usage:
                    yield Spent(chunk.usage.prompt_tokens, chunk.usage.completion_tokens, chunk.model)
                for choice in chunk.choices:
                    if choice.delta.content:
                        words += choice.delta.content
                        if not self.form:
                            yield Word(choice.delta.content)
                    for piece in choice.delta.tool_calls or ():
                        _put(calls, piece)
        if self.form and not calls:
            yield Value(json.loads(words))
        message: dict[str, Any] = {"role": "assistant", "content": words}
        lines.append({**message, "tool_calls": list(calls.values())} if calls else message)

    def _question(self, lines: list[dict[str, Any]]) -> dict[str, Any]:
        asked: dict[str, Any] = {
            "model": "fake-model", "messages": lines, "stream": True, "stream_options": {"include_usage": True},
        }  # fmt: skip
        if self.tools:
            names = {name: {"name": name, "parameters": {"type": "object"}} for name in self.tools}
            asked["tools"] = [{"type": "function", "function": function} for function in names.values()]
        if self.form:
            asked["response_format"] = {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": self.form},
            }
        return asked


def _put(calls: dict[int, dict[str, Any]], piece: Any) -> None:
    call = calls.setdefault(piece.index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    call["id"] += piece.id or ""
    call["function"]["name"] += piece.function.name or ""
    call["function"]["arguments"] += piece.function.arguments or ""
