"""What AG2 leaves open: what a broken tool tells the model, and a stream of the model that is left half read."""

import contextlib
import inspect
import sys
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from pydantic import ValidationError

from ag2.events import ToolErrorEvent, ToolResult, ToolResultsEvent
from ag2.middleware import BaseMiddleware


class Care(BaseMiddleware):  # type: ignore[misc]  # checked without the framework's types
    """The innermost middleware of every model call of a turn."""

    async def on_llm_call(self, call_next: Any, events: Sequence[Any], context: Any) -> Any:
        """The model is told that a tool failed, not where: AG2 would give it the traceback, paths included.

        AG2 reads OpenAI's stream in a loop that never closes it: a call that was cancelled would go on until the
        garbage collector comes by. The stream is then found in the frames that were left, and closed.
        """
        is_complete = False
        try:
            answer = await call_next([_redacted(event) for event in events], context)
            is_complete = True
        finally:
            if not is_complete:
                for response in _responses(sys.exc_info()[2]):
                    with contextlib.suppress(Exception):  # a connection that is closed already
                        await response.close()
        return answer


def _redacted(event: Any) -> Any:
    if isinstance(event, ToolResultsEvent) and any(isinstance(one, ToolErrorEvent) for one in event.results):
        return ToolResultsEvent([_without_traceback(one) for one in event.results])
    return event


def _without_traceback(result: Any) -> Any:
    if not isinstance(result, ToolErrorEvent):
        return result
    told = ToolResult(f"The tool failed: {_reason(result.error)}")
    return type(result)(parent_id=result.parent_id, name=result.name, error=result.error, result=told)


def _reason(error: Exception) -> str:
    """What helps a model to call the tool better; of other errors only their kind."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return type(error).__name__


def _responses(trace: TracebackType | None) -> Iterator[Any]:
    while trace is not None:
        for value in list(trace.tb_frame.f_locals.values()):
            close = getattr(type(value), "close", None)
            if "response" in getattr(value, "__dict__", ()) and inspect.iscoroutinefunction(close):
                yield value
        trace = trace.tb_next
