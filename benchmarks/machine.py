"""The machine: which core runs what, whose CPU time was spent, and how fast the machine is at the moment."""

import contextlib
import importlib.metadata
import os
import platform
import statistics
import sys
import time

SERVER_CORE = 0
LOAD_CORE = 1
CALIBRATION_LOOPS = 200_000


def pin(core: int) -> None:
    """Keep this process on one core; does nothing where that cannot be said or there is only one."""
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, {core})


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far, all threads, ended ones too, in nanosecond steps.

    Linux gives every process a CPU clock whose number follows from its id (clock_getcpuclockid(3)). Elsewhere there
    is no such clock to ask: NaN, and only the wall figures mean anything.
    """
    if sys.platform != "linux":
        return float("nan")
    return time.clock_gettime((~pid << 3) | 2)


def calibration() -> float:
    """Microseconds of CPU that a fixed bit of Python takes: divide by it to compare figures of two machines."""
    found = []
    for _ in range(5):
        began = time.process_time()
        total, seen = 0, {}
        for number in range(CALIBRATION_LOOPS):
            total += number & 7
            seen[number & 255] = total
        found.append(time.process_time() - began)
    return statistics.median(found) * 1e6


def facts() -> dict[str, str]:
    """What a reader of the figures must know about where they come from."""
    names = ("a2a-sdk", "autogen", "starlette", "uvicorn", "uvloop", "httptools", "sse-starlette", "pydantic")
    found = {"python": platform.python_version(), "system": platform.platform(), "cores": str(os.cpu_count())}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
