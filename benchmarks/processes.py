"""Servers and workers as processes of their own, pinned to their core, gone when we are.

Who does what: `Process` owns a child; leaving its `with` block ends it, by asking first. A child watches its standard
input and ends when that closes, so that a killed benchmark leaves nothing behind.
"""

import gc
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from benchmarks.machine import SERVER_CORE, cpu_seconds, pin

START_SECONDS = 60.0
ROOT = Path(__file__).resolve().parent.parent


class Process:
    """`python -m benchmarks.peers.<module>` with arguments; its standard output is ours to read if `talks`.

    `python`: the interpreter of another environment; None: ours.
    """

    def __init__(self, module: str, *arguments: str, talks: bool = False, python: Path | None = None) -> None:
        self.module = module
        self._child = subprocess.Popen(
            [str(python or sys.executable), "-m", f"benchmarks.peers.{module}", *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if talks else subprocess.DEVNULL,
            stderr=None if os.environ.get("BENCHMARKS_SHOW_LOG") else subprocess.DEVNULL,
            text=True,
        )

    def __enter__(self) -> "Process":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._child.terminate()
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            self._child.wait(5.0)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()

    def cpu(self) -> float:
        """CPU seconds used so far."""
        return cpu_seconds(self._child.pid)

    def ask(self, question: Any) -> Any:
        """One line of JSON there, one line of JSON back."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(question) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.module} ended without an answer: set BENCHMARKS_SHOW_LOG=1 to see why")
        return json.loads(line)

    def wait_for_port(self, port: int) -> None:
        """Return when something listens there."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._child.poll() is not None:
                raise RuntimeError(f"{self.module} ended at once: set BENCHMARKS_SHOW_LOG=1 to see why")
            try:
                socket.create_connection(("127.0.0.1", port), 1.0).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"{self.module} did not listen on port {port} within {START_SECONDS:g} seconds")


def free_port() -> int:
    """A port that nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def serve_until_told(main: Callable[[], None]) -> None:
    """In the child: run a server on its core until it is asked to stop or our standard input closes."""
    pin(SERVER_CORE)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    main()


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(0)


def answer_until_told(answer: Callable[[Any], Any]) -> None:
    """In the child: answer each line of JSON with one, on the server's core, until standard input closes."""
    pin(SERVER_CORE)
    # What was imported is no part of a turn: for every peer alike the collector leaves it alone, as in our server.
    gc.collect()
    gc.freeze()
    # What the measured library prints must not stand between our lines.
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=out, flush=True)
