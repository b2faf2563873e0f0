"""Child processes that never outlive the process that started them.

Who ends what, and when:

- `Children.stop`, in the `finally` of the one `with` block, ends every child: SIGTERM to each one's group, three
  seconds for all together, then SIGKILL. It is the only place that decides.
- INT, TERM and HUP become SystemExit in the main thread, so that this `finally` runs. The first one makes the process
  deaf to the rest: a second Ctrl-C must not cut the clean-up short. A signal that arrives while a child is being born
  waits until it is on the list.
- A child is the leader of a session of its own, so the terminal's Ctrl-C does not reach it past us.
- When this process is killed, nothing of the above runs. Then the death watch does: each child holds the reading end
  of a pipe whose only writing end is here, and ends itself when the kernel closes that. The watch is the first thing a
  child starts, before its slow imports.
- If the clean-up itself hangs, the kernel's alarm clock ends this process after ten seconds, and the death watch the
  children.

Standard library only, because a child imports this first.
"""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, TracebackType

from a2a_bridge.errors import BridgeError

PARENT_FD = "DEMO_PARENT_FD"
ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE = 3.0
LAST_RESORT = 10


class ChildFailedError(BridgeError):
    """A process of the demo ended, or was not ready in time; what it logged last is in the text."""


@dataclass(frozen=True, slots=True)
class Child:
    """A running agent: where it listens, and where its output goes."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def last_words(self, lines: int = 15) -> str:
        """The end of its log, indented."""
        return "\n".join(f"    {line}" for line in self.log.read_text(errors="replace").splitlines()[-lines:])


def free_port() -> int:
    """A port on loopback that was free a moment ago; whoever loses the race for it says so in its log."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Signals:
    """Turns INT, TERM and HUP into SystemExit(128 + number), once, while the `with` block runs."""

    def __init__(self) -> None:
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}
        self._held = False
        self._waiting = 0

    def __enter__(self) -> "Signals":
        for number in ENDINGS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # started by nohup
            self._before[number] = signal.signal(number, self._end)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.alarm(0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A signal that arrives inside takes effect at the end."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._waiting:
            raise SystemExit(128 + self._waiting)

    def _end(self, number: int, frame: FrameType | None) -> None:
        for other in ENDINGS:
            signal.signal(other, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(LAST_RESORT)
        if self._held:
            self._waiting = number
        else:
            raise SystemExit(128 + number)


class Children:
    """The processes of the demo; use it in a `with` statement, which ends them all."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals
        self._children: list[Child] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        self._folder = tempfile.TemporaryDirectory(prefix="a2a-demo-", ignore_cleanup_errors=True)
        self._pipe: tuple[int, ...] = os.pipe()

    def __enter__(self) -> "Children":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def running(self) -> tuple[Child, ...]:
        """The children that were started, in that order."""
        return tuple(self._children)

    @property
    def folder(self) -> Path:
        """A temporary folder that goes when the children do."""
        return Path(self._folder.name)

    def start(self, name: str, command: Sequence[str], port: int, environ: Mapping[str, str]) -> Child:
        """Starts a server that will listen on `port` of loopback; its output goes to a file."""
        log = self.folder / f"{name}.log"
        try:
            with log.open("wb") as output:
                process = self._spawn(command, environ, output.fileno(), subprocess.STDOUT)
        except OSError as error:
            raise ChildFailedError(f"{name} cannot be started with {command[0]}: {error.strerror}") from error
        child = Child(name, f"http://127.0.0.1:{port}", process, log)
        self._children.append(child)
        return child

    def run(self, command: Sequence[str], environ: Mapping[str, str], on_line: Callable[[str], bool | None]) -> int:
        """Runs a program to its end, hands on each line that it writes, and returns its exit code. When `on_line`
        returns True the program is killed on the spot, with all that belongs to it."""
        process = self._spawn(command, environ, subprocess.PIPE, subprocess.STDOUT)
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                if on_line(line.decode(errors="replace").rstrip("\n")):
                    _signal_group(process, signal.SIGKILL)
        code = process.wait()
        self._processes.remove(process)
        return code

    def _spawn(
        self, command: Sequence[str], environ: Mapping[str, str], output: int, errors: int
    ) -> subprocess.Popen[bytes]:
        with self._signals.held():
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env={**environ, PARENT_FD: str(self._pipe[0])},
                start_new_session=True,
                pass_fds=self._pipe[:1],
            )
            self._processes.append(process)
        return process

    def wait_until_ready(self, timeout: float = 60.0, on_ready: Callable[[Child], None] = lambda child: None) -> None:
        """Returns when every child answers /readyz; raises ChildFailedError with the log of one that does not."""
        waiting = list(self._children)
        deadline = time.monotonic() + timeout
        while waiting:
            for child in list(waiting):
                if child.process.poll() is not None:
                    raise ChildFailedError(
                        f"{child.name} ended with code {child.process.returncode}:\n{child.last_words()}"
                    )
                if is_ready(child.url):
                    waiting.remove(child)
                    on_ready(child)
                elif time.monotonic() > deadline:
                    raise ChildFailedError(f"{child.name} was not ready in {timeout:g} s:\n{child.last_words()}")
            time.sleep(0.1 if waiting else 0)

    def stop(self, grace: float = GRACE) -> None:
        """Ends all children, `grace` seconds at most together before they are killed. Calling it again is harmless."""
        for process in self._processes:
            _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + grace
        for process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in self._processes:
            _signal_group(process, signal.SIGKILL)  # also what it left behind in its session
            process.wait()
        self._children.clear()
        self._processes.clear()
        self._folder.cleanup()
        for end in self._pipe:
            os.close(end)
        self._pipe = ()


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def is_ready(url: str) -> bool:
    """Whether the server at this URL says that it takes requests."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def watch_parent() -> None:
    """The first thing a child does: end with its parent, however that ends. Does nothing when there is none."""
    told = os.environ.get(PARENT_FD)
    if told:
        threading.Thread(target=_end_with_parent, args=(int(told),), daemon=True, name="parent watch").start()


def _end_with_parent(descriptor: int) -> None:
    os.read(descriptor, 1)  # returns when the writing end is closed, and nobody ever writes
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    os._exit(1)
