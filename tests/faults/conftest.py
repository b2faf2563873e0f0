"""Real server processes for the fault tests; each test ends those it started."""

import asyncio
import json
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from a2a_bridge.testing.wire import Wire, eventually

SERVED = Path(__file__).with_name("served.py")
ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


class Server:
    """One server on one file and one port; it may be killed and started again. `script` is what runs."""

    def __init__(self, path: Path, script: Path = SERVED, *, ready: float = 10.0) -> None:
        self.path = path
        self.ready = ready
        self.script = script
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: asyncio.subprocess.Process | None = None
        self.http = httpx.AsyncClient(base_url=self.url, headers={"A2A-Version": "1.0"}, timeout=20.0)

    async def __aenter__(self) -> "Server":
        """Started, and killed at the end if it still runs."""
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def wire(self, agent: str) -> Wire:
        """A rude client of one agent."""
        return Wire(self.http, f"/{agent}/")

    async def start(self) -> None:
        """Return when it is ready; `ready` seconds at most."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, str(self.script), str(self.path), str(self.port), cwd=ROOT,
            env={"PYTHONPATH": str(ROOT), "PATH": ""}, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        await eventually(self._is_ready, within=self.ready)

    async def _is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, await self.log()
        try:
            return (await self.http.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def log(self) -> str:
        """What a process that has ended wrote to standard error."""
        assert self.process is not None
        assert self.process.stderr is not None
        return (await self.process.stderr.read()).decode()

    def signal(self, number: signal.Signals) -> None:
        """Ask it to end, or not ask."""
        assert self.process is not None
        self.process.send_signal(number)

    async def ended(self, within: float = 10.0) -> int:
        """Its exit code."""
        assert self.process is not None
        async with asyncio.timeout(within):
            return await self.process.wait()

    async def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        assert await self.ended() == -signal.SIGKILL

    async def close(self) -> None:
        """At the end of the test."""
        if self.process is not None and self.process.returncode is None:
            await self.kill()
        await self.http.aclose()

    def open_raw(self, agent: str, method: str, params: Any) -> socket.socket:
        """A connection with a small receive buffer on which a stream was asked for, and that nobody reads."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", self.port))
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
        head = f"POST /{agent}/ HTTP/1.1\r\nHost: 127.0.0.1\r\nA2A-Version: 1.0\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall((head + body).encode())
        connection.setblocking(False)
        return connection


@pytest.fixture
async def pushing(tmp_path: Path) -> AsyncIterator[Server]:
    """A server with webhooks."""
    async with Server(tmp_path / "p.sqlite", SERVED.with_name("pushing.py")) as found:
        yield found


@pytest.fixture
async def eraser(tmp_path: Path) -> AsyncIterator[Server]:
    """A server of a LangGraph graph; it has the framework to load."""
    async with Server(tmp_path / "tasks.sqlite", SERVED.with_name("asking_graph.py"), ready=30.0) as found:
        yield found


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[Server]:
    """A server that would wait a minute for a running turn."""
    async with Server(tmp_path / "s.sqlite", SERVED.with_name("patient.py")) as found:
        yield found


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server of the agents in `served.py`."""
    async with Server(tmp_path / "s.sqlite") as found:
        yield found


@pytest.fixture
def process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The demo is a program: what it changes in its process is put back."""
    handlers = list(logging.getLogger().handlers)
    yield
    for handler in set(logging.getLogger().handlers) - set(handlers):
        handler.close()
    logging.getLogger().handlers[:] = handlers
    logging.disable(logging.NOTSET)
