"""A served process, a server of fixed answers, and two ways to run a command line."""

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.cli.main import main

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
AGENTS = ("echo", "asks", "decides", "slow", "direct", "fails", "parts", "metadata")

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def environment(**more: str) -> dict[str, str]:
    """An environment without settings of ours, in which the checkout can be imported."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("A2ACLI_", "A2A_BRIDGE_"))}
    for name in ("PORT", "HOST", "LOG_LEVEL"):
        kept.pop(name, None)
    return {**kept, "PYTHONPATH": str(ROOT), **more}


def read_until(pipe: Any, wanted: str, seconds: float = 20.0) -> str:
    """What a pipe says up to and with the line that holds `wanted`."""
    heard = ""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while wanted not in heard:
            if not selector.select(seconds):
                raise AssertionError(f"{wanted!r} did not come within {seconds} s; heard: {heard!r}")
            chunk = os.read(pipe.fileno(), 65536).decode("utf-8", "replace")
            if not chunk:
                raise AssertionError(f"the process ended without saying {wanted!r}; heard: {heard!r}")
            heard += chunk
    return heard


@dataclass
class Served:
    """A running `a2a-bridge serve`."""

    process: subprocess.Popen[bytes]
    url: str
    heard: str

    def agent(self, name: str) -> str:
        return f"{self.url}/{name}"


def start_server(*arguments: str, cwd: Path, **env: str) -> Served:
    """Start `serve` on a free port and wait until it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "a2a_bridge", "serve", "--port", "0", *arguments],
        cwd=cwd,
        env=environment(**{"A2A_BRIDGE_SERVER__LIMITS__GRACE": "0.2", **env}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        heard = read_until(process.stderr, "Tasks are kept")
    except AssertionError:
        process.kill()
        process.communicate(timeout=5)
        raise
    found = re.search(r"Uvicorn running on (http://[^ ]+)", heard)
    assert found is not None
    return Served(process, found.group(1).replace("0.0.0.0", "127.0.0.1"), heard)


def stop_server(served: Served) -> int:
    """Ask it to stop, if it still runs; its exit code."""
    served.process.send_signal(signal.SIGTERM)
    try:
        served.process.communicate(timeout=10)  # reads on: a server with much to say must not stop at a full pipe
    finally:
        served.process.kill()
        served.process.wait(5)
    return served.process.returncode


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """One process with all agents of `served_agents.py`."""
    found = start_server(*(f"served_agents:{name}" for name in AGENTS), "--store", "memory", cwd=HERE)
    yield found
    stop_server(found)


@dataclass
class Run:
    """What a command line came to. Ids and times in `golden` are placeholders."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def golden(self) -> str:
        return golden(self.out)


def golden(text: str) -> str:
    """The text with its ids numbered in the order in which they come, and its times taken out."""
    numbers: dict[str, str] = {}
    text = _ID.sub(lambda match: numbers.setdefault(match.group(), f"<id {len(numbers) + 1}>"), text)
    return _TIME.sub("<time>", text)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Run]:
    """Run a command line in this process, in an empty folder and without settings from outside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in list(os.environ):
        if name.startswith(("A2ACLI_", "A2A_BRIDGE_")):
            monkeypatch.delenv(name)

    def run(*arguments: str) -> Run:
        code = main(arguments)
        said = capsys.readouterr()
        return Run(code, said.out, said.err)

    return run


def run_process(*arguments: str, cwd: Path, stdin: str | None = None, **env: str) -> Run:
    """Run a command line as users do, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "a2a_bridge", *arguments],
        cwd=cwd,
        env=environment(XDG_CONFIG_HOME=str(cwd / "config"), **env),
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., Run]:
    """`run_process` in an empty folder."""
    return lambda *arguments, **more: run_process(*arguments, cwd=tmp_path, **more)


@pytest.fixture
def start() -> Iterator[Callable[..., Served]]:
    """`start_server`; what a test starts is stopped after it."""
    running: list[Served] = []

    def start(*arguments: str, cwd: Path, **env: str) -> Served:
        running.append(start_server(*arguments, cwd=cwd, **env))
        return running[-1]

    yield start
    for served in running:
        stop_server(served)


Answer = tuple[int, bytes] | Callable[[dict[str, str]], tuple[int, bytes]]


@dataclass
class Fixed:
    """A server of fixed answers: path -> (status, body), or what makes them of the headers. Asks for what is not named
    get 404."""

    url: str
    answers: dict[str, Answer]
    seen: list[dict[str, str]]


@pytest.fixture
def fixed() -> Iterator[Fixed]:
    """See `Fixed`."""
    answers: dict[str, Answer] = {}
    seen: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            self.rfile.read(length)
            seen.append({name.lower(): value for name, value in self.headers.items()})
            found = answers.get(self.path, (404, b"{}"))
            status, body = found(seen[-1]) if callable(found) else found
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield Fixed(f"http://127.0.0.1:{server.server_port}", answers, seen)
    server.shutdown()
    server.server_close()
    thread.join(5)
