"""What a run of classic AutoGen tells, as replies.

What agents say is the answer, one message after another; in a chat of several each message starts with its speaker,
`[name] `. A message whose tokens were shown is not told again, unless it came out otherwise.
"""

import json
from collections.abc import Iterator, Set
from typing import Any

from pydantic_core import to_jsonable_python

from a2a_bridge.agent import Chunk, Reply, ToolCall, ToolResult, Usage
from a2a_bridge.protocol.objects import Part
from adapters.ag2_classic.work import Said, Token

BETWEEN_MESSAGES = "\n\n"
TOOL_FAILED = "The tool failed."


class Reading:
    """One run, fed event by event. `forms`: names of the agents whose answers are JSON of a given form.

    `names_speakers`: the answer tells who says what.
    """

    def __init__(self, forms: Set[str], *, names_speakers: bool) -> None:
        self._forms = forms
        self._names_speakers = names_speakers
        self._told: list[str | Part] = []
        self._open = ""
        self._speaker = ""

    def take(self, event: Any) -> Iterator[Reply | str]:
        """The replies that one event amounts to."""
        if isinstance(event, Token):
            yield from self._token(event)
        elif isinstance(event, Said):
            yield from self._said(event.name, event.reply)
        else:  # an executed function
            failed = not event.is_exec_success
            # The text of a tool's exception is for its model, not for whoever watches.
            content = TOOL_FAILED if failed else to_jsonable_python(event.content, fallback=str)
            yield ToolResult(str(event.call_id or event.func_name), content, is_error=failed)

    def _token(self, token: Token) -> Iterator[str]:
        if not token.text:
            return
        text = token.text
        if not self._open:
            text = self._opening(token.name) + text
            self._speaker = token.name
        self._open += text
        yield text

    def _opening(self, name: str) -> str:
        """What stands before a message's first words."""
        gap = BETWEEN_MESSAGES if self._told else ""
        return f"{gap}[{name}] " if self._names_speakers else gap

    def _said(self, name: str, reply: Any) -> Iterator[Reply | str]:
        line = reply if isinstance(reply, dict) else {"content": reply}
        if line.get("role") == "tool":
            return
        shown, self._open = self._open, ""
        for call in line.get("tool_calls") or ():
            function = call["function"]
            yield ToolCall(str(call.get("id") or function["name"]), function["name"], _arguments(function["arguments"]))
        said = self._content(name, line.get("content"))
        if said is None:
            self._told += [shown] if shown else []
            return
        whole: str | Part = self._opening(name) + said if isinstance(said, str) else said
        self._told.append(whole)
        if shown and shown != whole:
            yield Chunk(parts=tuple(_part(piece) for piece in self._told), append=False)
        elif not shown:
            yield whole if isinstance(whole, str) else Chunk(parts=(whole,))

    def _content(self, name: str, content: Any) -> str | Part | None:
        """The words or the data of a message; None if it says nothing."""
        if isinstance(content, list):
            content = "\n".join(piece["text"] for piece in content if piece.get("type") == "text")
        if not content:
            return None
        text = str(content)
        if name in self._forms:
            data = _arguments(text)
            if not isinstance(data, str):
                return Part(data=data, media_type="application/json")
        return text


def usage_of(agent: Any) -> Iterator[Usage]:
    """What an agent's model calls have used; it is a copy that was made for this turn."""
    summary = getattr(agent.client, "actual_usage_summary", None) or {}
    for model, used in summary.items():
        if isinstance(used, dict):
            yield Usage(used["prompt_tokens"], used["completion_tokens"], used.get("cost") or None, model)


def _part(piece: str | Part) -> Part:
    return Part(text=piece) if isinstance(piece, str) else piece


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
