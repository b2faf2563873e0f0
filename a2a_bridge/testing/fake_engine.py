"""A fake Docker engine on a real unix socket: it runs what a container would run, as a plain process of this machine.

It isolates nothing, so a test gives it harmless code only; what it proves is the protocol: which calls are made in
which order, what was asked for, and how streams, exit codes, kills and removals come through. Threads: one for each
connection, all of them daemons; `close` kills what still runs.
"""

import json
import os
import re
import shutil
import signal
import socketserver
import subprocess
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, BinaryIO, Self


@dataclass
class Container:
    """One container as the fake keeps it."""

    wanted: dict[str, Any]
    work: str
    started: threading.Event = field(default_factory=threading.Event)
    process: subprocess.Popen[bytes] | None = None
    waited: bool = False
    out_of_memory: bool = False

    def start(self) -> None:
        """Run its command, in a folder of its own."""
        environment = dict(each.split("=", 1) for each in self.wanted["Env"])
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [*self.wanted["Entrypoint"], *self.wanted["Cmd"]], stdin=pipe, stdout=pipe, stderr=pipe,
            env={**environment, "WORK": self.work, "HOME": self.work}, cwd=self.work, start_new_session=True,
        )  # fmt: skip
        self.started.set()

    def kill(self) -> None:
        """All its processes."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


class FakeEngine:
    """`with FakeEngine(folder) as engine: DockerExecutor(socket=engine.path)`.

    `images`: the ones it has. `versions`: the oldest and the newest of the API that it speaks, others are refused as
    Docker does. `calls`: "METHOD path" of each request, ids replaced by ID. `refuse`: a path's end and the status that
    is answered to it. `wanted`: what each container was asked to be. Before somebody has waited for a container its
    state says that it runs, as that of an engine may in the moment in which its streams end.
    """

    def __init__(self, folder: Path, *, images: tuple[str, ...] = ("python:3.12-slim",)) -> None:
        self.path = str(folder / "engine.sock")
        self.images = images
        self.versions = (1, 44), (1, 52)
        self.calls: list[str] = []
        self.wanted: list[dict[str, Any]] = []
        self.refuse: dict[str, int] = {}
        self.out_of_memory = False
        self._containers: dict[str, Container] = {}
        self._changed = threading.Condition()
        self._server = _Server(self.path, _Handler)
        self._server.owner = self
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(0.02), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for name in list(self._containers):
            self.remove(name)

    @property
    def left(self) -> int:
        """How many containers there are."""
        with self._changed:
            return len(self._containers)

    def wait_until_started(self, timeout: float = 5.0) -> None:
        """Block until a container runs; TimeoutError otherwise."""
        with self._changed:
            if not self._changed.wait_for(lambda: any(c.started.is_set() for c in self._containers.values()), timeout):
                raise TimeoutError("no container was started")

    def create(self, wanted: dict[str, Any]) -> str:
        """A new one; its id."""
        with self._changed:
            self.wanted.append(wanted)
            name = f"c{len(self.wanted)}"
            self._containers[name] = Container(wanted, tempfile.mkdtemp(), out_of_memory=self.out_of_memory)
            return name

    def start(self, name: str) -> None:
        """Run it."""
        with self._changed:
            self._containers[name].start()
            self._changed.notify_all()

    def find(self, name: str) -> Container | None:
        """The container, if it is there."""
        with self._changed:
            return self._containers.get(name)

    def remove(self, name: str) -> None:
        """Kill it and forget it."""
        with self._changed:
            container = self._containers.pop(name, None)
        if container is not None:
            container.kill()
            if container.process is not None:
                container.process.wait()
            shutil.rmtree(container.work, ignore_errors=True)


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    owner: FakeEngine

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is not worth a traceback."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def address_string(self) -> str:
        return "unix"

    def _answer(self, status: int, body: Any = None) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if self.server.owner.versions[1] != (0, 0):
            self.send_header("Api-Version", ".".join(map(str, self.server.owner.versions[1])))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self._handle("GET")

    def do_POST(self) -> None:
        self._handle("POST")

    def do_DELETE(self) -> None:
        self._handle("DELETE")

    def _handle(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        version = re.match(r"/v(\d+)\.(\d+)(?=/)", path)
        path = path[version.end() :] if version else path
        parts = path.strip("/").split("/")
        name = parts[1] if len(parts) > 1 and parts[1] != "create" else ""
        owner = self.server.owner
        owner.calls.append(f"{method} {path.replace(name, 'ID') if name else path}")
        refused = next((status for end, status in owner.refuse.items() if path.endswith(end)), None)
        if refused is not None:
            self._answer(refused, {"message": "the test asked for this"})
        elif path == "/_ping":
            self._answer(200)
        elif version is None or not self._speaks((int(version[1]), int(version[2]))):
            self._answer(400, {"message": "this version of the API is not spoken here"})
        elif path == "/containers/create":
            self._create(json.loads(body))
        else:
            self._to_container(method, parts, name)

    def _speaks(self, version: tuple[int, int]) -> bool:
        oldest, newest = self.server.owner.versions
        return oldest <= version <= newest

    def _create(self, wanted: dict[str, Any]) -> None:
        if wanted["Image"] not in self.server.owner.images:
            self._answer(404, {"message": f"No such image: {wanted['Image']}"})
        else:
            self._answer(201, {"Id": self.server.owner.create(wanted), "Warnings": []})

    def _to_container(self, method: str, parts: list[str], name: str) -> None:
        owner = self.server.owner
        container = owner.find(name)
        action = parts[2] if len(parts) > 2 else method
        if container is None:
            self._answer(404, {"message": f"No such container: {name}"})
        elif action == "DELETE":
            owner.remove(name)
            self._answer(204)
        elif action == "start":
            owner.start(name)
            self._answer(204)
        elif action == "kill":
            container.kill()
            self._answer(204)
        elif action == "attach":
            self._attach(container)
        elif action == "wait" and container.process is not None:
            container.process.wait()
            container.waited = True
            self._answer(200, {"StatusCode": 0})
        elif action == "json" and container.process is not None:
            code = container.process.wait() if container.waited else 0
            state = {"Running": not container.waited, "ExitCode": 128 - code if code < 0 else code}
            self._answer(200, {"State": {**state, "OOMKilled": container.out_of_memory}})

    def _attach(self, container: Container) -> None:
        self.close_connection = True
        self.wfile.write(
            b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\n"
            b"Upgrade: tcp\r\n\r\n"
        )
        if not container.started.wait(10) or container.process is None:
            return
        process = container.process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        lock = threading.Lock()
        pumps = [
            threading.Thread(target=self._pump, args=(stream, kind, lock), daemon=True)
            for kind, stream in ((1, process.stdout), (2, process.stderr))
        ]
        for pump in pumps:
            pump.start()
        with suppress(OSError):
            while piece := self.rfile.read1(65536):
                process.stdin.write(piece)
        with suppress(OSError):
            process.stdin.close()
        for pump in pumps:
            pump.join()

    def _pump(self, stream: Any, kind: int, lock: threading.Lock) -> None:
        readable: BinaryIO = stream
        with suppress(OSError):
            while piece := os.read(readable.fileno(), 65536):
                with lock:
                    self.wfile.write(bytes((kind, 0, 0, 0)) + len(piece).to_bytes(4, "big") + piece)
        readable.close()
