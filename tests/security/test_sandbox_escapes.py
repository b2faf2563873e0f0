"""Ways out of a sandbox, each by another mechanism: all are blocked, and each does work without the sandbox.

What is not shown to work outside would harm the machine that runs the tests; the docstring says so.
"""

import asyncio
import ctypes
import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from sandbox import boxed, plainly, without_its_word

from a2a_bridge.chat.execution.contract import Limits

LIBC = "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"


WAIT = "import signal; signal.alarm(60); signal.pause()"
"""For a minute, unless it is killed."""


async def blocked(code: str, **more: object) -> str:
    """The output of an attempt in the sandbox, which did not succeed."""
    result = await boxed(without_its_word(code), **more)  # type: ignore[arg-type]
    assert "ESCAPED" not in result.output, result.output
    return result.output


async def test_a_file_of_the_host_cannot_be_read(tmp_path: Path) -> None:
    """Demand 22. 1: the file system. Issue 4."""
    secret = tmp_path / "secret"
    secret.write_text("ESCAPED")
    code = f"print(open({str(secret)!r}).read())"
    assert "ESCAPED" in plainly(code)
    assert "FileNotFoundError" in await blocked(code)
    assert "FileNotFoundError" in await blocked("print('ESCAPED', open('/etc/passwd').read())")


async def test_the_system_cannot_be_written_to(tmp_path: Path) -> None:
    """2: a file that outlives the run, a changed program. Only the harmless one is tried outside."""
    mark = tmp_path / "mark"
    code = "open({0!r}, 'w').write('x'); print('ESCAPED')"
    assert "ESCAPED" in plainly(code.format(str(mark)))
    mark.unlink()
    assert "Error" in await blocked(code.format(str(mark)))
    assert not mark.exists()
    for path in ("/usr/bin/python3", "/usr/lib/evil", "/evil", "/bin/sh", "/proc/sys/kernel/core_pattern"):
        assert "Error" in await blocked(code.format(path))


async def test_the_loopback_of_the_host_cannot_be_reached() -> None:
    """3: the network."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5); print('ESCAPED')"
        assert "ESCAPED" in await asyncio.to_thread(plainly, code)
        assert "refused" in await blocked(code)
    assert "Error" in await blocked("import socket; socket.create_connection(('1.1.1.1', 53), 5); print('ESCAPED')")


async def test_an_abstract_socket_of_the_host_cannot_be_reached() -> None:
    """4: sockets that have no file."""
    name = f"\0a2a-bridge-{uuid.uuid4()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        code = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({name!r}); print('ESCAPED')"
        assert "ESCAPED" in await asyncio.to_thread(plainly, code)
        assert "refused" in await blocked(code)


async def test_the_environment_of_the_host_cannot_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """5: keys in the environment, its own or another process's."""
    monkeypatch.setenv("OPENAI_API_KEY", "ESCAPED")
    code = (
        "import glob, os\nprint(os.environ)\n"
        "for path in glob.glob('/proc/[0-9]*/environ'):\n"
        "    try: print(path, open(path, 'rb').read())\n"
        "    except OSError: pass\n"
    )
    assert "ESCAPED" in plainly(code)
    await blocked(code)


async def test_a_process_of_the_host_cannot_be_killed() -> None:
    """6: signals, and the list of processes."""
    code = "import os; os.kill({0}, 9); print('ESCAPED')"
    victim = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=subprocess.PIPE)
    assert "ProcessLookupError" in await blocked(code.format(victim.pid))
    assert victim.returncode is None
    assert "ESCAPED" in plainly(code.format(victim.pid))
    assert await asyncio.wait_for(victim.wait(), 5) == -signal.SIGKILL
    seen = await blocked("import os; print([int(n) for n in os.listdir('/proc') if n.isdigit()])")
    assert len(seen.split(",")) < 6, "only its own"


async def test_another_process_cannot_be_traced() -> None:
    """7: ptrace, and reading another process's memory."""
    code = LIBC + "print('ESCAPED' if libc.ptrace(0, 0, 0, 0) == 0 else os.strerror(ctypes.get_errno()))"
    assert "ESCAPED" in plainly(code)
    assert "not permitted" in await blocked(code)
    read = LIBC + (
        "r = libc.process_vm_readv(os.getpid(), None, 0, None, 0, 0)\n"
        "print('ESCAPED' if r == 0 else os.strerror(ctypes.get_errno()))"
    )
    assert "ESCAPED" in plainly(read)
    assert "not permitted" in await blocked(read)


async def test_new_namespaces_cannot_be_made() -> None:
    """8: becoming root in a user namespace of one's own, by each of the three calls."""
    for call in ("libc.unshare(0x10000000)", "libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)"):
        code = LIBC + (
            f"r = {call}\nif r == 0: print('ESCAPED', flush=True)\n"
            "elif r < 0: print(os.strerror(ctypes.get_errno()), flush=True)\nos._exit(0)"
        )
        assert "ESCAPED" in plainly(code)
        assert "not permitted" in await blocked(code)
    third = LIBC + "print(libc.syscall(435, 0, 0), os.strerror(ctypes.get_errno()))"
    assert "not implemented" in await blocked(third)


async def test_nothing_can_be_mounted() -> None:
    """9: making the system writable again. Not tried outside: as root it would be the tests' machine."""
    for arguments in ("b'none', b'/', None, 0x1020, None", "b'tmpfs', b'/usr', b'tmpfs', 0, None"):
        code = LIBC + f"print('ESCAPED' if libc.mount({arguments}) == 0 else os.strerror(ctypes.get_errno()))"
        assert "not permitted" in await blocked(code)


async def test_privileges_cannot_be_gained() -> None:
    """10: setuid programs, capabilities, becoming root."""
    status = await blocked("print(open('/proc/self/status').read())")
    for line in ("CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"):
        assert line in status
    assert "Error" in await blocked("import os; os.setuid(0); print('ESCAPED')")
    assert "Uid:\t0" not in status


async def test_processes_cannot_be_multiplied() -> None:
    """11: a fork bomb; outside, 150 forks."""
    code = (
        "import os, signal\nn = 0\n"
        "try:\n"
        "    for n in range(150):\n"
        "        if os.fork() == 0: signal.alarm(30); signal.pause()\n"
        "    print('ESCAPED', flush=True)\n"
        "except OSError as e: print(n, e, flush=True)\n"
        "finally:\n"
        "    import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.killpg(0, signal.SIGTERM); os._exit(0)\n"
    )
    assert "ESCAPED" in plainly(f"import os; os.setsid()\n{code}")
    assert "temporarily unavailable" in await blocked(code.replace("os.killpg(0, signal.SIGTERM)", "pass"))


async def test_memory_is_limited() -> None:
    """12: memory. Nothing is touched, so outside it costs nothing."""
    code = "b = bytearray(900 * 1024 * 1024); print('ESCAPED')"
    assert "ESCAPED" in plainly(code)
    assert "MemoryError" in await blocked(code)


async def test_nothing_lives_on_when_the_run_is_over() -> None:
    """13: a daemon in a session of its own, which keeps the pipes closed."""
    tag = f"a2a-bridge-{uuid.uuid4()}"
    code = (
        "import os, subprocess, sys\n"
        f"subprocess.Popen([sys.executable, '-c', {WAIT!r}, {tag!r}], start_new_session=True,"
        " stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\nprint('started')"
    )
    assert "started" in plainly(code)
    alive = with_tag(tag)
    assert len(alive) == 1, "outside it goes on"
    os.kill(alive[0], signal.SIGKILL)
    assert "started" in await blocked(code)
    assert [pid for pid in with_tag(tag) if pid not in alive] == []


def with_tag(tag: str) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if tag.encode() in path.read_bytes() and path.parent.name != str(os.getpid()):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


async def test_the_disk_cannot_be_filled(tmp_path: Path) -> None:
    """14: files without end: one large one, and many small ones."""
    limits = Limits(timeout=20, disk_mb=8)
    code = (
        "for n in range(40):\n    with open(f'{0}/part{{n}}', 'wb') as file: file.write(bytes(1024 * 1024))\n"
        "print('ESCAPED')"
    )
    assert "ESCAPED" in plainly(code.format(tmp_path))
    assert "No space left" in await blocked(code.format("/work"), limits=limits)
    assert "No space left" in await blocked(code.format("/tmp"), limits=limits)
    assert "No such file" in await blocked(code.format("/dev/shm/x"), limits=limits)
    large = "open('x', 'wb').write(bytes(20 * 1024 * 1024)); print('ESCAPED')"
    assert "Error" in await blocked(large, limits=limits)


async def test_a_link_among_the_files_that_come_back_leads_nowhere() -> None:
    """15: a symbolic link, a hard link and a name that leads out, read by the host afterwards."""
    result = await boxed(
        "import os\nos.symlink('/etc/passwd', 'link')\nos.symlink('/', 'root')\nos.mkfifo('pipe')\n"
        "open('good', 'w').write('good')\nos.link('good', 'hard')\n"
    )
    assert result.files.get("good", result.files.get("hard")) == b"good"
    assert set(result.files) <= {"good", "hard"}


async def test_kernel_interfaces_with_a_history_are_refused() -> None:
    """16: keys of the kernel, netlink, io_uring, BPF."""
    key = LIBC + (
        "r = libc.syscall(248, b'user', b'a2a', b'x', 1, -2)\n"
        "print('ESCAPED' if r >= 0 else os.strerror(ctypes.get_errno()))"
    )
    assert "not permitted" in await blocked(key)
    netlink = "import socket; socket.socket(16, 3, 0); print('ESCAPED')"
    assert "ESCAPED" in plainly(netlink)
    assert "not supported" in await blocked(netlink)
    for number in (425, 321, 298, 323):
        told = await blocked(LIBC + f"r = libc.syscall({number}, 0, 0, 0, 0, 0)\nprint(r, ctypes.get_errno())")
        assert told.strip() == "-1 1"


async def test_shared_memory_of_the_host_cannot_be_attached() -> None:
    """17: System V shared memory."""
    libc = ctypes.CDLL(None, use_errno=True)
    segment = libc.shmget(0, 4096, 0o1666)
    assert segment >= 0
    try:
        code = LIBC + (
            "libc.shmat.restype = ctypes.c_void_p\n"
            f"print('ESCAPED' if libc.shmat({segment}, None, 0o10000) not in (None, 2**64 - 1) else 'nothing there')"
        )
        assert "ESCAPED" in plainly(code)
        assert "nothing there" in await blocked(code)
    finally:
        libc.shmctl(segment, 0, None)


async def test_output_without_end_is_cut_and_time_is_limited() -> None:
    """18: a flood of words, and a loop without an end."""
    result = await boxed("while True: print('x' * 1000)", limits=Limits(timeout=1))
    assert (result.stopped_by, result.exit_code, result.is_cut) == ("timeout", 124, True)
    assert len(result.output) == 64 * 1024
