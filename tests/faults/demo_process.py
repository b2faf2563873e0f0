"""The demo as a program: how it is started, pointed at a model, and measured."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.testing.fake_openai import FakeOpenAI

ROOT = Path(__file__).parents[2]


def point_at(fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", fake.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_MODEL", "fake-model")


def demo(*words: str, **environ: str) -> subprocess.Popen[str]:
    """The demo in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "a2a_bridge.demo", *words],
        cwd=ROOT, env={**os.environ, **environ}, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip


def relatives(pid: int) -> dict[int, int]:
    """Memory (KiB) by process, of this one and all below it."""
    parents: dict[int, int] = {}
    memory: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            status = dict(line.split(":", 1) for line in (entry / "status").read_text().splitlines())
            parents[int(entry.name)] = int(status["PPid"])
            memory[int(entry.name)] = int(status.get("VmRSS", "0 kB").split()[0])
    found = {pid}
    while more := {child for child, above in parents.items() if above in found} - found:
        found |= more
    return {one: memory[one] for one in found if one in memory}


def without_network(command: list[str]) -> list[str]:
    """The command in a network namespace that has nothing but loopback, where this machine allows one."""
    wrapped = ["unshare", "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    possible = shutil.which("unshare") and shutil.which("ip")
    if not possible or subprocess.run([*wrapped, "true"], capture_output=True, check=False).returncode:
        return command
    return [*wrapped, *command]


def run_offline(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[list[dict[str, Any]], str]:
    """The demo with the small model and no network, which must take less than 1 GB; the lines that it writes, and
    its notes."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    command = without_network([sys.executable, "-m", "a2a_bridge.demo", "--json", *words])
    began, peak = time.monotonic(), 0
    with subprocess.Popen(
        command, cwd=ROOT, env=environ, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while True:
            peak = max(peak, sum(relatives(process.pid).values()))
            with contextlib.suppress(subprocess.TimeoutExpired):
                out, notes = process.communicate(timeout=0.5)
                break
    seconds = time.monotonic() - began
    network = "no network" if command[0] == "unshare" else "a network"
    with capsys.disabled():
        print(f"\nthe demo {' '.join(words)}: {seconds:.0f} s in all, {peak // 1024} MiB at most, {network}")
    assert process.returncode == 0, notes
    assert peak < 1024 * 1024
    return [json.loads(line) for line in out.splitlines()], notes
