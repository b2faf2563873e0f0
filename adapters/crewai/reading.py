"""CrewAI's events as replies.

Tokens are the answer when they belong to the crew's last task; earlier tasks are told as progress. What CrewAI gives
as its result decides in the end: if the tokens said something else, the result replaces them.
"""

from collections.abc import Iterator
from typing import Any

from pydantic_core import to_jsonable_python

from a2a_bridge.agent import Chunk, Progress, Reply, ToolCall, ToolResult, Usage
from a2a_bridge.protocol.objects import Part

BETWEEN_CALLS = "\n\n"
_MARK = "Final Answer:"
_THOUGHTS = ("Thought:", "Action:", "```")


class Words:
    """The words of one model call, without the thinking aloud of models that have no native tools.

    Such a call starts with `Thought:` and says its answer, if it has one, after `Final Answer:`.
    """

    def __init__(self) -> None:
        self._held = ""
        self._is_plain = False

    def add(self, text: str) -> str:
        """What of the words so far can be shown now."""
        if self._is_plain:
            return text
        self._held += text
        start = self._held.lstrip()
        if _MARK in start:
            self._is_plain = True
            return start.partition(_MARK)[2].lstrip()
        if any(start.startswith(word[: len(start)]) for word in _THOUGHTS):
            return ""  # thinking aloud, or still too short to tell
        self._is_plain = True
        return start


class Reading:
    """One run as replies, fed event by event.

    `answer_task` is the id of the task that answers; None: everything does.
    """

    def __init__(self) -> None:
        self.answer_task: str | None = None
        self.tasks = 1
        self._begun = 0
        self._call: str | None = None
        self._words = Words()
        self._shown = ""

    def take(self, event: Any) -> Iterator[Reply | str]:
        """The replies that one event amounts to."""
        if event.type == "llm_stream_chunk":
            yield from self._chunk(event)
        elif event.type == "llm_call_completed":
            yield from _usage(event)
        elif event.type == "task_started":
            self._begun += 1
            if self.tasks > 1:
                yield Progress(f"Task {self._begun} of {self.tasks}")
        elif event.type == "method_execution_started":
            yield Progress(f"Step {event.method_name}")
        elif event.type == "tool_usage_started":
            yield ToolCall(event.event_id, event.tool_name, to_jsonable_python(event.tool_args, fallback=str))
        elif event.type == "tool_usage_finished":
            content = to_jsonable_python(event.output, fallback=str)
            yield ToolResult(event.started_event_id or event.event_id, content, is_error=event.failure is not None)
        elif event.type == "tool_usage_error":
            yield ToolResult(event.started_event_id or event.event_id, "The tool failed.", is_error=True)

    def _chunk(self, event: Any) -> Iterator[Reply | str]:
        if event.tool_call is not None or not event.chunk:
            return
        if self.answer_task is not None and event.task_id != self.answer_task:
            return
        if event.call_id != self._call:
            self._call, self._words = event.call_id, Words()
            between = BETWEEN_CALLS if self._shown else ""
        else:
            between = ""
        text = self._words.add(event.chunk)
        if text:
            # The gap to an earlier call's words is made when there are words to put after it.
            self._shown += between + text
            yield between + text

    def result(self, output: Any) -> Iterator[Reply]:
        """What is left to say when CrewAI is done: a correction, or the answer as data."""
        raw = str(output.raw or "")
        data = output.pydantic if output.pydantic is not None else getattr(output, "json_dict", None)
        if data is not None:
            part = Part(data=to_jsonable_python(data, fallback=str), media_type="application/json")
            yield Chunk(parts=(part,), append=False)
        elif raw.strip() != self._shown.strip():
            yield Chunk(raw, append=False)

    def whole(self, output: Any) -> Iterator[Reply]:
        """What is left to say when a flow is done, whose output may be anything."""
        if hasattr(output, "raw") and hasattr(output, "pydantic"):
            yield from self.result(output)
        elif isinstance(output, str):
            if output.strip() != self._shown.strip():
                yield Chunk(output, append=False)
        elif output is not None:
            part = Part(data=to_jsonable_python(output, fallback=str), media_type="application/json")
            yield Chunk(parts=(part,), append=False)


def _usage(event: Any) -> Iterator[Reply]:
    usage = event.usage or {}
    spent = usage.get("prompt_tokens", usage.get("input_tokens", 0))
    made = usage.get("completion_tokens", usage.get("output_tokens", 0))
    if spent or made:
        yield Usage(int(spent or 0), int(made or 0), model=event.model)
