"""ADK's events as replies.

With streaming, a model's words come as partial events, and then once more as a whole; here they are told once. Agents
that speak at the same time are told one after another: the words of one are streamed, the others' come as a whole.
"""

import json
from collections.abc import Iterator, Mapping, Set
from typing import Any

from pydantic_core import to_jsonable_python

from a2a_bridge.agent import Chunk, Progress, Reply, ToolCall, ToolResult, Usage
from a2a_bridge.protocol.objects import Part
from adapters.google_adk.messages import file_part
from adapters.google_adk.questions import OWN

BETWEEN_MESSAGES = "\n\n"
TOOL_FAILED = "The tool failed."
TRANSFER = "transfer_to_agent"


class Reading:
    """One run, fed event by event. `structured`: agents whose answer is JSON; `failed`: ids of calls that failed.

    `waiting`: the calls that wait for an answer. `error`: a code of the model's service, when it gave no answer.
    """

    def __init__(self, *, models: Mapping[str, str], structured: Set[str], names_speakers: bool) -> None:
        self.failed: set[str] = set()
        self.error: str | None = None
        self._models = models
        self._structured = structured
        self._names_speakers = names_speakers
        self._told: list[str | Part] = []
        self._streams: tuple[str, str | None] | None = None  # the agent whose words are being streamed, its branch
        self._open = ""
        self._held: list[Any] = []  # whole events of other agents meanwhile
        self._late: set[tuple[str, str | None]] = set()
        self._calls: dict[str, Any] = {}

    @property
    def waiting(self) -> list[Any]:
        """The calls that wait for an answer, in their order."""
        return list(self._calls.values())

    def take(self, event: Any) -> Iterator[Reply | str]:
        """The replies that one event amounts to."""
        key = (event.author, event.branch)
        if self._streams not in (None, key):
            if event.partial:
                self._late.add(key)  # the beginning is missed: its words are told as a whole
            else:
                self._held.append(event)
            return
        if event.partial and key in self._late:
            return
        self._late.discard(key)
        yield from self._event(event)
        while self._held and self._streams is None:
            held = self._held.pop(0)
            self._late.discard((held.author, held.branch))
            yield from self._event(held)

    def end(self) -> Iterator[Reply | str]:
        """What is left when the run is over: an agent was stopped in the middle of its words."""
        for event in self._held:
            yield from self._event(event)
        self._held = []

    def _event(self, event: Any) -> Iterator[Reply | str]:
        parts = (event.content.parts if event.content else None) or []
        text = "".join(part.text for part in parts if part.text and not part.thought)
        if event.partial:
            yield from self._token(event, text)
            return
        if used := event.usage_metadata:
            model = event.model_version or self._models.get(event.author)
            yield Usage(used.prompt_token_count or 0, used.candidates_token_count or 0, model=model)
        if event.author == "user":
            return
        if event.error_code:
            self.error = str(event.error_code)
        yield from self._message(event, text)
        for part in parts:
            yield from self._part(part, event.long_running_tool_ids or ())

    def _token(self, event: Any, text: str) -> Iterator[str]:
        if text:
            token = text if self._open else self._opening(event.author) + text
            self._streams = (event.author, event.branch)
            self._open += token
            yield token

    def _message(self, event: Any, text: str) -> Iterator[Reply | str]:
        """A whole message, of which nothing, a part or all has been shown."""
        shown = ""
        if self._streams == (event.author, event.branch):
            shown, self._open, self._streams = self._open, "", None
        if not text and not shown:
            return
        opening = self._opening(event.author)
        if event.author in self._structured and (data := _parsed(text)) is not None:
            self._told += [*([opening] if opening.strip() else ()), data]
        else:
            self._told.append(opening + text if text else shown)
            if not shown:
                yield opening + text
                return
        if [shown] != self._told[-1:]:
            yield Chunk(parts=_parts(self._told), append=False)

    def _opening(self, author: str) -> str:
        gap = BETWEEN_MESSAGES if self._told else ""
        return f"{gap}[{author}] " if self._names_speakers else gap

    def _part(self, part: Any, long_running: Any) -> Iterator[Reply]:
        if call := part.function_call:
            if call.name == TRANSFER:
                yield Progress(f"Handed over to {(call.args or {}).get('agent_name', 'another agent')}.")
                return
            if call.id in long_running:
                self._calls[call.id] = call
            if call.name not in OWN:
                yield ToolCall(call.id, call.name, _jsonable(call.args or {}))
        elif response := part.function_response:
            if response.id in self.failed:
                yield ToolResult(response.id, TOOL_FAILED, is_error=True)
            elif response.name not in OWN and response.name != TRANSFER and not self._is_asked(response):
                yield ToolResult(response.id, _result(response.response))
            self._calls.pop(response.id, None)
        elif (made := file_part(part)) is not None:
            self._told.append(made)
            yield Chunk(parts=(made,))

    def _is_asked(self, response: Any) -> bool:
        """The result of a tool that has not run yet: a human is to confirm it."""
        asked = ((call.args or {}).get("originalFunctionCall") or {} for call in self._calls.values())
        return any(call.get("id") == response.id for call in asked)


def _result(response: Any) -> Any:
    """What a tool gave: ADK wraps what is no object as `result`."""
    found = _jsonable(response)
    return found["result"] if isinstance(found, dict) and set(found) == {"result"} else found


def _jsonable(value: Any) -> Any:
    return to_jsonable_python(value, fallback=str, bytes_mode="base64")


def _parsed(text: str) -> Part | None:
    try:
        return Part(data=json.loads(text), media_type="application/json")
    except ValueError:
        return None


def _parts(said: list[str | Part]) -> tuple[Part, ...]:
    return tuple(Part(text=piece) if isinstance(piece, str) else piece for piece in said)
