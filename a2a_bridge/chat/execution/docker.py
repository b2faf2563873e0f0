"""A sandbox in a container: no network, a read-only root, nobody as user, no capabilities, limits of the kernel.

Concurrency, in prose. A run has a thread, which talks to the engine and is waited for. Cancelling kills the container,
which ends the thread's reading; the thread removes the container before it ends, and only then is the cancellation
passed on. If this process is killed, the container ends by itself when its time is over, and stays, stopped, until
`docker container prune --filter label=a2a-bridge`.
"""

import asyncio
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from a2a_bridge.agent import run_in_thread
from a2a_bridge.chat.execution.archive import SCRIPT, environment, pack, unpack
from a2a_bridge.chat.execution.contract import CodeBlock, CodeResult, Limits
from a2a_bridge.chat.execution.engine import Attached, Engine
from a2a_bridge.errors import CodeExecutionError

IMAGE = "python:3.12-slim"
_SOCKET = "/var/run/docker.sock"
_WORK = "/work"
_USER = "65534:65534"
_START = 30.0
"""Seconds that a container may take to start, on top of the time its code has."""

_WITHIN = 'if command -v timeout >/dev/null 2>&1; then exec timeout -s KILL "$0" sh -c "$@"; else exec sh -c "$@"; fi'
"""The container ends by itself, also when nobody is left to kill it."""


class DockerExecutor:
    """Runs code in a Docker container of its own: `DockerExecutor("python:3.12-slim@sha256:...")`.

    The image needs a POSIX shell, tar and, for Python, `python`; it is never fetched: pull it first, and name it by
    its digest. `runtime`: another one of the engine's, such as "runsc" (gVisor). `socket`: the engine's, by default
    that of DOCKER_HOST.
    """

    def __init__(
        self,
        image: str = IMAGE,
        *,
        limits: Limits = Limits(),
        cpus: float = 1.0,
        python: str = "python3",
        runtime: str | None = None,
        socket: str | None = None,
    ) -> None:
        self._image = image
        self._limits = limits
        self._cpus = cpus
        self._python = python
        self._runtime = runtime
        self._socket = socket

    def __repr__(self) -> str:
        return f"DockerExecutor({self._image!r})"

    @property
    def limits(self) -> Limits:
        return self._limits

    async def check(self) -> None:
        """CodeExecutionError if no engine answers."""
        engine = self._engine()
        await run_in_thread(engine.ping)

    async def execute(self, blocks: Sequence[CodeBlock], files: Mapping[str, bytes] = {}) -> CodeResult:
        """See the contract."""
        archive, arguments = pack(blocks, files, self._python)
        run = _Run(self._engine(), self.container(arguments), archive, self._limits)
        before = {**files, **{block.filename: block.code.encode() for block in blocks if block.filename}}
        work = asyncio.ensure_future(run_in_thread(run.work))
        try:
            code, reason = await asyncio.shield(work)
        except asyncio.CancelledError:
            await run_in_thread(run.cancel)
            await asyncio.wait({work})
            raise
        return CodeResult(
            exit_code=code,
            output=bytes(run.output).decode("utf-8", "replace"),
            files=unpack(bytes(run.archive), self._limits, before),
            stopped_by=reason,
            is_cut=run.is_cut,
        )

    def _engine(self) -> Engine:
        host = os.environ.get("DOCKER_HOST")
        if self._socket is None and host and not host.startswith("unix://"):
            raise CodeExecutionError(f"DOCKER_HOST={host}: only an engine at a unix socket is spoken to")
        return Engine(self._socket or (host or "").removeprefix("unix://") or _SOCKET)

    def container(self, arguments: Sequence[str]) -> dict[str, Any]:
        """What the engine is asked for."""
        limits = self._limits
        memory, disk = limits.memory_mb * 1024 * 1024, limits.disk_mb
        host: dict[str, Any] = {
            "NetworkMode": "none",
            "ReadonlyRootfs": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges:true"],
            "PidsLimit": limits.processes + 4,  # the wrapper's own
            "Memory": memory,
            "MemorySwap": memory,
            "NanoCpus": int(self._cpus * 1e9),
            "Tmpfs": {
                "/tmp": f"rw,noexec,nosuid,nodev,size={disk}m",
                # engines add noexec unless the options say exec
                _WORK: f"rw,exec,nosuid,nodev,size={disk}m,uid=65534,gid=65534,mode=0700",
            },
            "Init": True,
            "IpcMode": "none",
            "LogConfig": {"Type": "none"},
            "RestartPolicy": {"Name": "no"},
            "Ulimits": [{"Name": "nofile", "Soft": 256, "Hard": 256}, {"Name": "core", "Soft": 0, "Hard": 0}],
        }
        if self._runtime is not None:
            host["Runtime"] = self._runtime
        seconds = str(int(limits.timeout + 1))
        return {
            "Image": self._image,
            "Entrypoint": ["/bin/sh", "-c", _WITHIN, seconds, SCRIPT, "sh"],
            "Cmd": list(arguments),
            # processes are counted by the container: RLIMIT_NPROC would count those of all containers together
            "Env": [f"{name}={value}" for name, value in {**environment(limits, _WORK), "PROCESSES": ""}.items()],
            "User": _USER,
            "WorkingDir": _WORK,
            "NetworkDisabled": True,
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "OpenStdin": True,
            "StdinOnce": True,
            "Tty": False,
            "Labels": {"a2a-bridge": "sandbox"},
            "HostConfig": host,
        }


class _Run:
    """One container, from its making to its removal."""

    def __init__(self, engine: Engine, wanted: dict[str, Any], archive: bytes, limits: Limits) -> None:
        self._engine = engine
        self._wanted = wanted
        self._given = archive
        self._limits = limits
        self._lock = threading.Lock()
        self._container: str | None = None
        self._attached: Attached | None = None
        self._cancelled = False
        self.output = bytearray()
        self.archive = bytearray()
        self.is_cut = False

    def work(self) -> tuple[int, Any]:
        """The exit code, and what ended it early. CodeExecutionError if the engine does not do its part."""
        container = self._container = self._engine.create(self._wanted)
        try:
            deadline = time.monotonic() + _START + self._limits.timeout
            self._attached = attached = self._engine.attach(container, deadline)
            with self._lock:
                if self._cancelled:
                    return 137, None
                self._engine.start(container)
            return self._read(container, attached, deadline)
        finally:
            if self._attached is not None:
                self._attached.release()
            self._engine.remove(container)

    def _read(self, container: str, attached: Attached, deadline: float) -> tuple[int, Any]:
        try:
            attached.send(self._given)
            for is_archive, piece in attached.frames():
                self._keep(is_archive, piece)
        except TimeoutError:
            self._engine.kill(container)
            return 124, "timeout"
        if self._cancelled:
            return 137, None
        if not self._engine.wait(container, deadline):
            self._engine.kill(container)
            return 124, "timeout"
        state = self._engine.state(container)
        if state.get("OOMKilled"):
            return 137, "memory"
        code = int(state.get("ExitCode", 1))
        return (124, "timeout") if code == 137 else (code, None)

    def _keep(self, is_archive: bool, piece: bytes) -> None:
        held, limit = self.output, self._limits.output
        if is_archive:
            held, limit = self.archive, self._limits.disk_mb * 1024 * 1024 + 1024 * 1024
        room = limit - len(held)
        held += piece[:room]
        self.is_cut = self.is_cut or (not is_archive and len(piece) > room)

    def cancel(self) -> None:
        """Kill the container; `work` ends then."""
        with self._lock:
            self._cancelled = True
        if self._container is not None:
            with suppress(CodeExecutionError):  # `work` removes it in any case
                self._engine.kill(self._container)
        if self._attached is not None:
            self._attached.close()
