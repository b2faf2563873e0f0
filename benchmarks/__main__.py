"""`python -m benchmarks`: run the workloads, print tables, write JSON, exit with 1 when a floor is missed."""

import argparse
import asyncio
import sys
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import uvloop

from benchmarks import report, wire
from benchmarks.machine import LOAD_CORE, calibration, facts, pin

WIRE = ("w1", "w2", "w2w")


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"some of {', '.join(WIRE)}; all if none is named"
    )
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (3)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of load on one server in one round (1)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 16], help="requests in flight (1 16)")
    parser.add_argument("--servers", nargs="+", choices=wire.SERVERS, default=list(wire.SERVERS))
    parser.add_argument("--quick", action="store_true", help="shorter, for a first look: figures are rougher")
    found = parser.parse_args(arguments)
    unknown = set(found.workloads) - set(WIRE)
    if unknown:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    found.workloads = found.workloads or list(WIRE)
    return found


def tell(what: str) -> None:
    """Progress, where it does not mix with the tables."""
    print(what, file=sys.stderr, flush=True)


def run(task: Coroutine[Any, Any, Any]) -> Any:
    """The load generator's event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(task)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    asked = options(arguments)
    began = time.monotonic()
    pin(LOAD_CORE)
    found: dict[str, Any] = {"machine": facts(), "calibration_us": [calibration()]}
    workloads = [name for name in asked.workloads if name in WIRE]
    if workloads:
        plan = wire.Plan(workloads, asked.workers, asked.servers, asked.rounds, asked.seconds)
        cells = run(wire.measure(plan, tell))
        found["wire"] = report.wire_summary(cells)
        print(report.wire_text(found["wire"]) + "\n")
    found["calibration_us"].append(calibration())
    found["seconds"] = time.monotonic() - began
    print(f"calibration loop: {found['calibration_us']} us; the run took {found['seconds']:.0f} s")
    print(f"written: {report.write(found)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
