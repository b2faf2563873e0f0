"""A lock beside a file, so that one process writes to it.

The lock is the operating system's (`flock`), so it goes with the process, however that ends; the file `<file>.lock`
stays and says who held it last. Where there is no `flock` (Windows) nothing is locked, and running two writers on one
file is the operator's mistake to avoid.
"""

import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

from a2a_bridge.errors import StoreUnavailableError

if sys.platform == "win32":

    def _lock(descriptor: int) -> None:
        return

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock:
    """Held from `acquire` to `release`, or until the process ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.with_name(path.name + ".lock")
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock at once, or raise StoreUnavailableError that says who has it."""
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._refused(error) from error
        try:
            _lock(descriptor)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise StoreUnavailableError(
                f"the store {self._path} belongs to {holder}. Stop that first, or give this process a file of its own:"
                " --store FILE on the command line, store= in Python"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise self._refused(error) from error
        with suppress(OSError):  # a full disk: the lock is held all the same
            os.ftruncate(descriptor, 0)
            told = f"{os.getpid()} {socket.gethostname()} {Path(sys.argv[0]).name}\n"
            os.pwrite(descriptor, told.encode(errors="replace"), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go; nothing happens if it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _refused(self, error: OSError) -> StoreUnavailableError:
        said = f"the store {self._path} cannot be locked: {self._file}: {error.strerror}"
        return StoreUnavailableError(said + (who_we_are() if isinstance(error, PermissionError) else ""))


def who_we_are() -> str:
    """What to do about a file or folder that may not be written to: it is somebody else's, as volumes of containers
    often are."""
    user = "This user" if sys.platform == "win32" else f"This process is user {os.getuid()}"
    return f". {user}: let it write to the file and to its folder"


def _holder(descriptor: int) -> str:
    text = ""
    with suppress(OSError):
        text = os.read(descriptor, 300).decode(errors="replace")
    number, _, more = text.strip().partition(" ")
    host, _, program = more.partition(" ")
    if not number.isdigit():
        return "another process"
    where = f" on {host}" if host and host != socket.gethostname() else ""  # in containers every number is 1
    return f"process {number}{where} ({program})" if program else f"process {number}{where}"
