"""One process, from its start to its end, with what it may say and how long it may take.

Concurrency, in prose. A run has a thread of its own, which feeds and reads the pipes and waits; the event loop only
waits for the thread. `run` is cancelled by killing the process, whereupon the thread ends, and only then is the
cancellation passed on: when `run` has returned, or raised, nothing of the process is left. If this process is killed,
the sandbox ends with it (bubblewrap's --die-with-parent).
"""

import asyncio
import os
import re
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from a2a_bridge.agent import run_in_thread

_LAST_WORDS = 5.0
"""Seconds in which the pipes of a killed process must be closed."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What came of a process. `archive` is its stdout, `output` its stderr, as far as they were kept."""

    exit_code: int
    output: bytes
    archive: bytes
    timed_out: bool
    is_cut: bool


@dataclass(slots=True)
class Process:
    """One run. `identity`: what `subprocess.Popen` is told about users and groups. `info_fd`: a pipe on which
    bubblewrap tells the process that all others of the sandbox end with; the run is over when that one is.
    """

    argv: Sequence[str]
    given: bytes
    timeout: float
    keep_output: int
    keep_archive: int
    pass_fds: tuple[int, ...] = ()
    info_fd: int | None = None
    identity: dict[str, Any] = field(default_factory=dict)
    _started: subprocess.Popen[bytes] | None = None
    _killed: bool = False
    _innermost: int | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    async def run(self) -> Ran:
        """To its end, or until its time is over. OSError if it cannot be started."""
        work = asyncio.ensure_future(run_in_thread(self._work))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            self.kill()
            await asyncio.wait({work})
            raise

    def kill(self) -> None:
        """Kill it with all that it has started; from any thread."""
        with self._lock:
            self._killed = True
            if self._started is not None and self._started.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(self._started.pid, signal.SIGKILL)

    def _work(self) -> Ran:
        with self._lock:
            if self._killed:
                return Ran(-signal.SIGKILL, b"", b"", False, False)
            pipe = subprocess.PIPE
            self._started = process = subprocess.Popen(
                self.argv, stdin=pipe, stdout=pipe, stderr=pipe, pass_fds=self.pass_fds, start_new_session=True, env={},
                cwd="/", **self.identity,
            )  # fmt: skip
        try:
            return self._talk(process)
        finally:
            self.kill()
            process.wait()
            self._await_innermost()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()

    def _talk(self, process: subprocess.Popen[bytes]) -> Ran:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        archive, output = _Kept(self.keep_archive), _Kept(self.keep_output)
        deadline = time.monotonic() + self.timeout
        timed_out = False
        left = memoryview(self.given)
        with selectors.DefaultSelector() as selector:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
            selector.register(process.stdout, selectors.EVENT_READ, archive)
            selector.register(process.stderr, selectors.EVENT_READ, output)
            if self.info_fd is not None:
                selector.register(self.info_fd, selectors.EVENT_READ, self)
            while any(key.data is not self for key in selector.get_map().values()):
                wait = deadline - time.monotonic()
                if wait <= 0:
                    if timed_out:  # somebody holds the pipes, and is not ours any more
                        break
                    timed_out, deadline = True, time.monotonic() + _LAST_WORDS
                    self.kill()
                    continue
                for key, _ in selector.select(wait):
                    if key.data is None:
                        left = _write(selector, process, left)
                    elif not key.data.read(key.fd):
                        selector.unregister(key.fileobj)
        self._reap(process)
        return Ran(process.returncode, bytes(output.data), bytes(archive.data), timed_out, output.is_cut)

    def read(self, fd: int) -> bool:
        """What bubblewrap tells; false, as there is nothing more to read."""
        told = re.search(rb'"child-pid":\s*(\d+)', os.read(fd, 4096))
        if told is not None:
            with suppress(OSError):  # it has ended already, or this kernel has no pidfd
                self._innermost = os.pidfd_open(int(told[1]))
        return False

    def _await_innermost(self) -> None:
        """The kernel has ended every process of the sandbox once this one is gone."""
        if self._innermost is None:
            return
        with selectors.DefaultSelector() as selector:
            selector.register(self._innermost, selectors.EVENT_READ)
            selector.select(_LAST_WORDS)
        os.close(self._innermost)

    def _reap(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            self.kill()
            process.wait()


def _write(selector: selectors.BaseSelector, process: subprocess.Popen[bytes], left: memoryview) -> memoryview:
    stdin = process.stdin
    assert stdin is not None
    try:
        if left:
            left = left[os.write(stdin.fileno(), left[:65536]) :]
    except BlockingIOError:
        return left
    except BrokenPipeError:
        left = left[:0]
    if not left:
        selector.unregister(stdin)
        stdin.close()
    return left


class _Kept:
    """The first bytes of a pipe; the rest is read and dropped."""

    def __init__(self, limit: int) -> None:
        self.data = bytearray()
        self.is_cut = False
        self._limit = limit

    def read(self, fd: int) -> bool:
        piece = os.read(fd, 65536)
        room = self._limit - len(self.data)
        self.data += piece[:room]
        self.is_cut = self.is_cut or len(piece) > room
        return bool(piece)
