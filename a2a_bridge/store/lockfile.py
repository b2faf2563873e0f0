"""A lock beside a file, so that one process writes to it.

The lock is the operating system's (`flock`), so it goes with the process, however that ends; the file `<file>.lock`
stays and says who held it last. Where there is no `flock` (Windows) nothing is locked, and running two writers on one
file is the operator's mistake to avoid.
"""

import os
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
            raise StoreUnavailableError(
                f"the store {self._path} cannot be locked: {self._file}: {error.strerror}"
            ) from error
        try:
            _lock(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()} {Path(sys.argv[0]).name}\n".encode(errors="replace"), 0)
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise StoreUnavailableError(
                f"the store {self._path} belongs to {holder}. Stop that first, or give this process a file of its own:"
                " --store FILE on the command line, store= in Python"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise StoreUnavailableError(
                f"the store {self._path} cannot be locked: {self._file}: {error.strerror}"
            ) from error
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go; nothing happens if it is not held."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _holder(descriptor: int) -> str:
    text = ""
    with suppress(OSError):
        text = os.read(descriptor, 300).decode(errors="replace")
    number, _, program = text.strip().partition(" ")
    if not number.isdigit():
        return "another process"
    return f"process {number} ({program})" if program else f"process {number}"
