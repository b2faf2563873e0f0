"""How long a sandbox takes to start: one line of code in it, from the call to its result, beside the same without."""

import asyncio
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from a2a_bridge.chat.execution.bubblewrap import BubblewrapExecutor
from a2a_bridge.chat.execution.contract import CodeBlock
from a2a_bridge.errors import CodeExecutionError

GOAL_MS = 250.0
"""What the 99th percentile should stay below."""

_BARE = [shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin") or sys.executable, "-c", "print(1)"]


async def measure(runs: int, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row for each language in the sandbox, and one for a bare interpreter. No rows where there is no sandbox."""
    executor = BubblewrapExecutor()
    try:
        await executor.check()
    except CodeExecutionError as error:
        tell(f"sandbox: not measured: {error.message}")
        return []

    async def python() -> None:
        await executor.execute([CodeBlock("python", "print(1)")])

    async def shell() -> None:
        await executor.execute([CodeBlock("sh", "echo 1")])

    async def bare() -> None:
        await asyncio.to_thread(subprocess.run, _BARE, capture_output=True, check=True)

    rows = []
    for name, start in (("bubblewrap, Python", python), ("bubblewrap, shell", shell), ("no sandbox, Python", bare)):
        tell(f"sandbox: {name}")
        rows.append(_row(name, await _times(start, runs)))
    return rows


async def _times(start: Callable[[], Awaitable[None]], runs: int) -> list[float]:
    await start()
    found = []
    for _ in range(runs):
        began = time.perf_counter()
        await start()
        found.append((time.perf_counter() - began) * 1e3)
    return sorted(found)


def _row(name: str, times: Sequence[float]) -> dict[str, Any]:
    return {
        "start": name,
        "runs": len(times),
        "p50_ms": times[len(times) // 2],
        "p99_ms": times[min(len(times) - 1, math.ceil(len(times) * 0.99) - 1)],
        "max_ms": times[-1],
    }


def text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table, with the target below it."""
    lines = [f"{'start of':22}{'runs':>6}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}"]
    for row in rows:
        lines.append(
            f"{row['start']:22}{row['runs']:>6}{row['p50_ms']:>9.1f}{row['p99_ms']:>9.1f}{row['max_ms']:>9.1f}"
        )
    return "\n".join([*lines, f"target: p99 of a sandbox below {GOAL_MS:.0f} ms"])
