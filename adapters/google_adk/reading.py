"""ADK's events as replies."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import to_jsonable_python

from a2a_bridge.agent import Progress, Reply, ToolCall, ToolResult, Usage
from adapters.google_adk.questions import OWN
from adapters.google_adk.roots import Root
from adapters.google_adk.words import Words

TOOL_FAILED = "The tool failed."
TRANSFER = "transfer_to_agent"
FINISH = "finish_task"


class Reading:
    """One run, fed event by event. `failed`: ids of calls that failed.

    `waiting`: the calls that wait for an answer. `error`: a code of the model's service, when it gave no answer.
    """

    def __init__(self, root: Root) -> None:
        self.failed: set[str] = set()
        self.error: str | None = None
        self._root = root
        self._words: dict[str | None, Words] = {}  # by the artifact, which is a step's or the answer
        self._paths: dict[str, Words] = {}
        self._calls: dict[str, Any] = {}
        self._step: str | None = None  # of a workflow, the newest that has been told

    @property
    def waiting(self) -> list[Any]:
        """The calls that wait for an answer, in their order."""
        return list(self._calls.values())

    def take(self, event: Any) -> Iterator[Reply | str]:
        """The replies that one event amounts to."""
        path = event.node_info.path
        words = self._paths.get(path)
        if words is None:
            words = self._paths[path] = self._words_at(path)
            if not self._root.is_agent and "/" in path and self._step != (step := event.node_info.name):
                self._step = step
                yield Progress(f"Step {step}")
        if event.partial:
            yield from words.take(event)
            return
        if used := event.usage_metadata:
            model = event.model_version or self._root.models.get(event.author)
            yield Usage(used.prompt_token_count or 0, used.candidates_token_count or 0, model=model)
        if event.author == "user":
            return
        if event.error_code and (self._root.is_agent or event.author in self._root.models):
            self.error = str(event.error_code)
        yield from words.take(event)
        if event.output is not None and any("/" not in one for one in event.node_info.output_for or ()):
            self.error = None
            if not event.node_info.message_as_output:
                yield from self._words_at("").give(event.output)
        for part in (event.content.parts if event.content else None) or []:
            yield from self._part(part, event.long_running_tool_ids or ())

    def end(self) -> Iterator[Reply | str]:
        """What is left when the run is over."""
        for words in self._words.values():
            yield from words.end()

    def _words_at(self, path: str) -> Words:
        place = self._root.place(path)
        return self._words.setdefault(place.step, Words(place, self._root.structured))

    def _part(self, part: Any, long_running: Any) -> Iterator[Reply]:
        if call := part.function_call:
            if call.name == TRANSFER:
                yield Progress(f"Handed over to {(call.args or {}).get('agent_name', 'another agent')}.")
                return
            if call.id in long_running:
                self._calls[call.id] = call
            if call.name not in OWN and call.name != FINISH:
                yield ToolCall(call.id, call.name, _jsonable(call.args or {}))
        elif response := part.function_response:
            if response.id in self.failed:
                yield ToolResult(response.id, TOOL_FAILED, is_error=True)
            elif response.name not in (*OWN, TRANSFER, FINISH) and not self._is_asked(response):
                yield ToolResult(response.id, _result(response.response))
            self._calls.pop(response.id, None)

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
