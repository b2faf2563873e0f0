"""Tools that the caller works (`ClientTool`): their calls end AG2's run, and what they gave begins another one.

The calls that are open stand at the end of the conversation's events, so the journal keeps them without more.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from a2a_bridge.agent import Ask
from a2a_bridge.protocol.objects import Part
from ag2.events import ModelResponse, ToolCallsEvent, ToolResultEvent, ToolResultsEvent

UNFINISHED = "Not finished: the conversation went on without it."


def open_calls(events: Sequence[Any]) -> list[Any]:
    """The calls that the caller is waited for."""
    last = events[-1] if events else None
    if not isinstance(last, ModelResponse) or not last.response_force:
        return []
    return list(last.tool_calls.calls)


def ask_for(call: Any) -> Ask:
    """The question what a call gives."""
    told = Part(data={"tool": call.name, "arguments": _arguments(call.arguments)}, media_type="application/json")
    return Ask(f"What does {call.name} give for {call.arguments}?", parts=(told,), id=call.id)


def settled(events: Sequence[Any], given: Mapping[str, Any]) -> list[Any]:
    """The events with a result for every call that the model made last: those of our own tools, and what was given."""
    before = list(events[:-1])
    calls: list[Any] = next((event.calls for event in reversed(before) if isinstance(event, ToolCallsEvent)), [])
    done = {event.parent_id: event for event in before if isinstance(event, ToolResultEvent)}
    results = [done.get(call.id) or ToolResultEvent.from_call(call, given.get(call.id, UNFINISHED)) for call in calls]
    return [*before, ToolResultsEvent(results)]


def _arguments(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
