"""What the framework streams, as replies.

Its clients repeat what they have said: the Responses client ends each text with the whole of it (`merge_mode`
"replace"), and function calls come in pieces. Here each is told once.
"""

import json
import logging
from collections.abc import Iterator
from typing import Any

from pydantic_core import to_jsonable_python

from a2a_bridge.agent import Chunk, Progress, Reply, ToolCall, ToolResult, Usage
from a2a_bridge.protocol.objects import JSONValue, Part
from adapters.agent_framework.messages import file_part

BETWEEN_MESSAGES = "\n\n"
TOOL_FAILED = "The tool failed."

_log = logging.getLogger(__name__)


class Reading:
    """One run, fed piece by piece. `model`: its model's name, where the pieces do not tell it."""

    def __init__(self, *, model: str | None = None, names_speakers: bool = False) -> None:
        self.model = model
        self._names_speakers = names_speakers
        self._told: list[str | Part] = []  # what is complete
        self._open = ""  # the text that is being said
        self._opening = ""  # what of it is ours: a gap, the speaker
        self._key: tuple[str | None, str | None] = (None, None)
        self._calls: dict[str, Any] = {}
        self._used: dict[str, int] = {}
        self._response: str | None = None

    def update(self, update: Any, speaker: str | None = None) -> Iterator[Reply | str]:
        """The replies that a streamed update amounts to."""
        if update.response_id and update.response_id != self._response:
            yield from self._usage()
            self._response = update.response_id
        self.model = getattr(update.raw_representation, "model", None) or self.model
        for content in update.contents:
            yield from self.content(content, speaker or update.author_name, update.message_id)

    def response(self, response: Any, speaker: str | None = None) -> Iterator[Reply | str]:
        """The replies that a response which was not streamed, or a message, amounts to."""
        for message in getattr(response, "messages", None) or [response]:
            for content in message.contents:
                yield from self.content(content, speaker or message.author_name, message.message_id or str(id(message)))
        self._count(getattr(response, "usage_details", None), replaces=False)

    def content(self, content: Any, speaker: str | None, message_id: str | None) -> Iterator[Reply | str]:
        """The replies that one content amounts to."""
        if content.type == "text":
            yield from self._text(content, (speaker, message_id))
        elif content.type == "usage":
            self._count(content.usage_details, replaces=content.merge_mode == "replace")
        elif content.type == "function_call":
            self._close()
            held = self._calls.get(content.call_id)
            self._calls[content.call_id] = content if held is None else held + content
        elif content.type == "function_result":
            self._close()
            yield from self._asked()
            yield from self._usage()
            failed = content.exception is not None
            # The text of a tool's exception is for nobody who watches.
            yield ToolResult(content.call_id, TOOL_FAILED if failed else jsonable(content.result), is_error=failed)
        elif content.type == "mcp_server_tool_call":
            yield ToolCall(content.call_id, content.tool_name or "tool", _arguments(content.arguments))
        elif content.type == "mcp_server_tool_result":
            yield ToolResult(content.call_id, jsonable(content.output))
        elif content.type == "error":
            _log.warning("the model's service reports: %s", content.message)
        elif (part := file_part(content)) is not None:
            self._close()
            self._told.append(part)
            yield Chunk(parts=(part,))

    def progress(self, update: Any) -> Iterator[Reply | str]:
        """What is said on the way to the answer: its calls, its usage, and words that are not the answer's."""
        for content in getattr(update, "contents", ()):
            if content.type == "text":
                if content.text and content.merge_mode != "replace":
                    yield Progress(content.text)
            elif file_part(content) is None:
                yield from self.content(content, None, None)

    def activity(self, response: Any) -> Iterator[Reply | str]:
        """The calls and the usage of a response whose words are told elsewhere, or to nobody."""
        for content in (one for message in response.messages for one in message.contents):
            if content.type not in ("text", "usage") and file_part(content) is None:
                yield from self.content(content, None, None)
        self._count(response.usage_details, replaces=False)

    def value(self, value: Any, speaker: str | None = None) -> Iterator[Reply | str]:
        """Something that is said whole: text, or any value as data."""
        self._close()
        if isinstance(value, str):
            if value:
                said = self._begin((speaker, None)) + value
                self._open = said
                self._close()
                yield said
        elif value is not None:
            part = Part(data=jsonable(value), media_type="application/json")
            self._told.append(part)
            yield Chunk(parts=(part,))

    def as_data(self, value: Any) -> Iterator[Reply]:
        """The last text was the JSON of this value: told as data instead."""
        self._close()
        if self._told and isinstance(self._told[-1], str):
            self._told.pop()
        self._told.append(Part(data=jsonable(value), media_type="application/json"))
        yield Chunk(parts=_parts(self._told), append=False)

    @property
    def last_text(self) -> str:
        """The newest text, without its speaker."""
        if self._open:
            return self._open[len(self._opening) :]
        last = self._told[-1] if self._told else ""
        return last.removeprefix(self._opening) if isinstance(last, str) else ""

    def end(self) -> Iterator[Reply]:
        """What is left to be told when the run is over."""
        self._close()
        yield from self._asked()
        yield from self._usage()

    def _text(self, content: Any, key: tuple[str | None, str | None]) -> Iterator[Reply | str]:
        if content.merge_mode == "replace":
            if not self._open and content.text:
                self._open = self._begin(key)
            whole = self._opening + content.text if self._open else ""
            if whole != self._open:
                self._told.append(whole)
                self._open = ""
                yield Chunk(parts=_parts(self._told), append=False)
            self._close()
        elif content.text:
            if self._open and key != self._key:
                self._close()
            token = content.text if self._open else self._begin(key) + content.text
            self._open += token
            yield token

    def _begin(self, key: tuple[str | None, str | None]) -> str:
        """What stands before the first words of a text."""
        gap = BETWEEN_MESSAGES if self._told else ""
        self._key = key
        self._opening = f"{gap}[{key[0]}] " if self._names_speakers and key[0] else gap
        return self._opening

    def _close(self) -> None:
        if self._open:
            self._told.append(self._open)
            self._open = ""

    def _asked(self) -> Iterator[Reply]:
        calls, self._calls = self._calls, {}
        for call_id, call in calls.items():
            yield ToolCall(call_id, call.name, _arguments(call.arguments))

    def _count(self, details: Any, *, replaces: bool) -> None:
        for name in ("input_token_count", "output_token_count"):
            before = 0 if replaces else self._used.get(name, 0)
            self._used[name] = before + int((details or {}).get(name) or 0)

    def _usage(self) -> Iterator[Reply]:
        used, self._used = self._used, {}
        if any(used.values()):
            yield Usage(used.get("input_token_count", 0), used.get("output_token_count", 0), model=self.model)


def jsonable(value: Any) -> JSONValue:
    """A value as JSON, what has no such form as text."""
    told: JSONValue = to_jsonable_python(value, fallback=str, bytes_mode="base64")
    return told


def _parts(said: list[str | Part]) -> tuple[Part, ...]:
    return tuple(Part(text=piece) if isinstance(piece, str) else piece for piece in said)


def _arguments(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return jsonable(arguments or {})
    try:
        return json.loads(arguments)
    except ValueError:
        return arguments
