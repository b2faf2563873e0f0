"""One run of CrewAI in a thread, and its events on the way into the event loop.

CrewAI calls models and tools from sync code, and a run cannot be cancelled from outside. So each run gets a thread of
its own, started and awaited by `Work.events`, which never leaves before the thread has ended: the slot of a cancelled
turn stays taken as long as the work goes on. What can be done is done: once nobody listens any more, the next event
that CrewAI emits (a token, a tool call) raises `Stopped` in the middle of its work, which closes the model's stream.
The events of a run come through CrewAI's own context-scoped sink, so runs at the same time never see each other's.
The thread is a daemon: a process that is told to end does not wait for it.
"""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import AsyncGenerator, Callable
from types import TracebackType
from typing import Any

from a2a_bridge.agent import run_in_thread
from crewai.core.providers.human_input import HumanInputProvider, set_provider
from crewai.events.event_bus import crewai_event_bus
from crewai.events.listeners.tracing.utils import set_suppress_tracing_messages
from crewai.events.stream_context import add_stream_sink
from crewai.events.utils.console_formatter import set_suppress_console_output

HEARD = frozenset(
    {
        "llm_stream_chunk",
        "llm_call_completed",
        "task_started",
        "method_execution_started",
        "tool_usage_started",
        "tool_usage_finished",
        "tool_usage_error",
    }
)


class Stopped(BaseException):
    """Nobody waits for this run any more. Not an Exception: CrewAI would try the task again."""


class Work:
    """`async for event in work.events(call)`, then `work.result`. `call` is sync and runs once."""

    def __init__(self, human: HumanInputProvider) -> None:
        self.result: Any = None
        self._human = human
        self._loop = asyncio.get_running_loop()
        self._heard: asyncio.Queue[Any] = asyncio.Queue()
        self._stopped = threading.Event()

    async def events(self, call: Callable[[], Any]) -> AsyncGenerator[Any, None]:
        """The run's events as they come; raises what the call raised."""
        context = contextvars.copy_context()
        running = asyncio.create_task(run_in_thread(lambda: context.run(self._run, call)))
        running.add_done_callback(lambda _: self._heard.put_nowait(None))
        try:
            while (event := await self._heard.get()) is not None:
                yield event
            self.result = running.result()
        finally:
            self._stopped.set()
            await asyncio.wait([running])
            if not running.cancelled():
                running.exception()  # looked at: whoever stopped the run does not want to hear of it

    def _run(self, call: Callable[[], Any]) -> Any:
        """In the thread, in a context of its own: what is set here is seen by this run alone.

        CrewAI notes everybody who works, and all their events, for its checkpoints. What it has noted in the context
        that the object was published in would be shared by all runs, and grow: a run begins with nothing noted.
        """
        crewai_event_bus.reset_runtime_state()
        set_provider(self._human)
        set_suppress_tracing_messages(True)
        set_suppress_console_output(True)
        add_stream_sink(self._sink)
        try:
            return call()
        except Stopped as stopped:
            _close_streams(stopped.__traceback__)
            raise

    def _sink(self, source: object, event: Any) -> None:
        if self._stopped.is_set():
            raise Stopped
        if event.type in HEARD:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process is about to end
                self._loop.call_soon_threadsafe(self._heard.put_nowait, event)


def _close_streams(trace: TracebackType | None) -> None:
    """Close the model's stream that `Stopped` has left half read.

    It is a local of one of the frames, and in a cycle with its own generator: left alone, the connection, and the
    model's work, would go on until the garbage collector comes by. OpenAI's and Anthropic's streams look the same.
    """
    while trace is not None:
        for value in trace.tb_frame.f_locals.values():
            if "response" in getattr(value, "__dict__", ()) and hasattr(type(value), "close"):
                with contextlib.suppress(Exception):  # a connection that is closed already
                    value.close()
        trace = trace.tb_next
