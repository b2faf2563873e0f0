"""The model calls of one run, seen through LangChain's callbacks: what is open, and a brake for what a cancel misses.

Callbacks of async calls come in the event loop, those of sync calls in the thread that makes them; only the latter are
counted, because LangGraph itself waits for the former.
"""

import asyncio
import contextlib
import threading
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler


class ModelCalls(BaseCallbackHandler):  # type: ignore[misc]  # checked without the framework's types
    """To be given to one run as a callback. Made in the task that runs it."""

    run_inline = True

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._task = asyncio.current_task()
        self._cancels = self._cancelled()
        self.raised: set[str] = set()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._open: set[UUID] = set()
        self._waiter: asyncio.Future[None] | None = None

    def stop(self) -> None:
        """From now on a model call ends at its next token."""
        self._stopped.set()

    def _cancelled(self) -> int:
        """How often the run's task was cancelled: LangGraph waits for its nodes before it lets the turn hear of it."""
        return self._task.cancelling() if self._task is not None else 0

    async def returned(self) -> None:
        """Wait until no call made from a thread is open."""
        while True:
            with self._lock:
                if not self._open:
                    return
                waiter = self._waiter = self._loop.create_future()
            await waiter

    def _started(self, *_: Any, run_id: UUID, **__: Any) -> None:
        if threading.get_ident() != self._thread:
            with self._lock:
                self._open.add(run_id)

    def _ended(self, *_: Any, run_id: UUID, **__: Any) -> None:
        with self._lock:
            self._open.discard(run_id)
            waiter, self._waiter = (None, self._waiter) if self._open else (self._waiter, None)
        if waiter is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_settle, waiter)

    def on_tool_error(self, error: BaseException, *, tool_call_id: str | None = None, **_: Any) -> None:
        """LangChain's name: a tool has raised. What its node makes of that does not tell."""
        if tool_call_id is not None:
            self.raised.add(tool_call_id)

    def _token(self, *_: Any, **__: Any) -> None:
        """The place to stop a call that has not heard of its cancellation."""
        if self._stopped.is_set() or self._cancelled() > self._cancels:
            raise asyncio.CancelledError

    # LangChain's names; it passes more than is needed here, and more with every release.
    on_chat_model_start = on_llm_start = _started
    on_llm_end = on_llm_error = _ended
    on_llm_new_token = _token


def _settle(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
