"""A model that says what it is told to: for tests, and for trying a room out without one.

`ScriptedModel` goes wherever an `llm_config` goes. It streams word by word, counts tokens as words, and keeps what it
was asked. Any number of turns may use it at once; replies of a list are handed out in the order of the calls.
"""

import re
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from a2a_bridge.agent import ToolCall, Usage
from a2a_bridge.chat.model import ModelMessage, ModelTool, Piece
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import JSONValue

Scripted = str | ToolCall | Sequence[str | ToolCall] | Exception
Script = Sequence[Scripted] | Callable[[Sequence[ModelMessage]], Scripted]


def _sequence(reply: ToolCall | Sequence[str | ToolCall]) -> Sequence[str | ToolCall]:
    return (reply,) if isinstance(reply, ToolCall) else reply


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of the model."""

    messages: tuple[ModelMessage, ...]
    schema: JSONValue
    tools: tuple[ModelTool, ...] = ()

    @property
    def text(self) -> str:
        """All that it was told, one message below the other."""
        return "\n".join(str(message["content"]) for message in self.messages)


class ScriptedModel:
    """`replies`: texts, `ToolCall`s or lists of both (or exceptions, which are raised) in the order of the calls, or a
    function of the messages that gives one.

    After the last of a list, ChatError says so. `calls` is what it was asked.
    """

    def __init__(self, replies: Script, *, name: str = "scripted", cost_usd: float | None = None) -> None:
        self._replies: Any = replies
        self._cost = cost_usd
        self.name = name
        self.calls: list[Asked] = []

    async def stream(
        self, messages: Sequence[ModelMessage], *, schema: JSONValue = None, tools: Sequence[ModelTool] = ()
    ) -> AsyncGenerator[Piece, None]:
        """Word by word, or call by call, then the usage."""
        number = len(self.calls)
        self.calls.append(Asked(tuple(dict(message) for message in messages), schema, tuple(tools)))
        reply = self._replies(messages) if callable(self._replies) else self._reply(number)
        if isinstance(reply, Exception):
            raise reply
        words: list[Any] = re.findall(r"\S+\s*|\s+", reply) if isinstance(reply, str) else [*_sequence(reply)]
        for word in words:
            yield word
        read = sum(len(str(message["content"]).split()) for message in messages)
        yield Usage(read, len(words), self._cost, self.name)

    def _reply(self, number: int) -> Scripted:
        if number >= len(self._replies):
            raise ChatError(f"the script of {self.name!r} has {len(self._replies)} replies, and one more was wanted")
        found: Scripted = self._replies[number]
        return found
