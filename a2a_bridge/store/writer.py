"""One thread that writes, in groups: what is asked for while it writes is written together next.

Who owns what: `start` makes the thread and `stop` ends it; nobody else touches it. The thread alone uses the ledger
(the side of the store that writes). The event loop's thread makes jobs and hears of their end: once for each group,
through `call_soon_threadsafe`, so that a hundred waiting tasks cost one wake-up.

A caller that is cancelled cancels its future only: the job is done all the same, and its outcome is dropped. A loop
that has been closed hears nothing more; its jobs are still done. Whatever a job raises becomes its outcome: the thread
ends only with `stop`. It is a daemon, so a process that forgets `stop` still ends; what had been committed stays.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, Protocol, TypeVar

_T = TypeVar("_T")

GROUP = 256
"""At most so many jobs share a transaction."""


class Job(Generic[_T]):
    """Something to write, and who waits for it. `stream` names the stream that it appends to, if it does."""

    __slots__ = ("_call", "_error", "_future", "_result", "stream")

    def __init__(self, future: asyncio.Future[_T], call: Callable[[], _T], stream: str | None) -> None:
        self._future = future
        self._call = call
        self._result: _T | None = None
        self._error: Exception | None = None
        self.stream = stream

    def run(self) -> None:
        """Do it, in the writing thread; a job may be run again after its transaction has been rolled back."""
        self._result, self._error = self._call(), None

    def fail(self, error: Exception) -> None:
        """Make this its outcome."""
        self._error = error

    def settle(self) -> None:
        """Tell who waits, in the event loop's thread."""
        if self._future.done():
            return  # cancelled meanwhile
        if self._error is not None:
            self._future.set_exception(self._error)
        else:
            self._future.set_result(self._result)  # type: ignore[arg-type]  # `run` has set it


class Ledger(Protocol):
    """What the thread writes to. Only the thread calls it; it gives every job an outcome and never raises."""

    def commit(self, jobs: Sequence[Job[Any]]) -> None: ...
    def close(self) -> None: ...


class Writer:
    """The thread and its queue."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Future[None] | None = None

    async def start(self, make: Callable[[], Ledger]) -> None:
        """Start the thread, which makes the ledger first; what `make` raises is raised here and ends the thread."""
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        ready: asyncio.Future[None] = self._loop.create_future()
        opening = Job(ready, lambda: None, None)
        threading.Thread(target=self._work, args=(make, opening), name=self._name, daemon=True).start()
        try:
            await asyncio.shield(ready)
        except asyncio.CancelledError:
            self._queue.put(None)  # nobody is going to use it
            raise

    def submit(self, call: Callable[[], _T], stream: str | None = None) -> asyncio.Future[_T]:
        """Have `call` done in the thread, after everything submitted before; done means committed."""
        assert self._loop is not None  # the store checks that it is open
        future: asyncio.Future[_T] = self._loop.create_future()
        self._queue.put(Job(future, call, stream))
        return future

    async def stop(self) -> None:
        """End the thread when all that was submitted is done, and wait for it; it ends also if this is cancelled."""
        self._queue.put(None)
        if self._ended is not None:
            await asyncio.shield(self._ended)

    # Below: in the thread.

    def _work(self, make: Callable[[], Ledger], opening: Job[None]) -> None:
        try:
            ledger = make()
        except Exception as error:  # whatever it is, `start` waits for it and raises it
            opening.fail(error)
            self._tell([opening])
            return
        self._tell([opening])
        while jobs := self._next():
            ledger.commit(jobs)
            self._tell(jobs)
        ledger.close()
        self._tell([Job(self._ended, lambda: None, None)] if self._ended else [])

    def _next(self) -> list[Job[Any]]:
        """Wait for a job and take what stands behind it; nothing when the end has been reached."""
        job = self._queue.get()
        jobs: list[Job[Any]] = []
        while job is not None:
            jobs.append(job)
            if len(jobs) == GROUP or self._queue.empty():
                return jobs
            job = self._queue.get_nowait()
        if jobs:
            self._queue.put(None)  # the end: met again when these are done
        return jobs

    def _tell(self, jobs: Sequence[Job[Any]]) -> None:
        assert self._loop is not None
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            self._loop.call_soon_threadsafe(_settle, jobs)


def _settle(jobs: Sequence[Job[Any]]) -> None:
    for job in jobs:
        job.settle()
