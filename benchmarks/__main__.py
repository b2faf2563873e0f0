"""`python -m benchmarks`: run the workloads, print tables, write JSON, exit with 1 when a floor is missed."""

import argparse
import asyncio
import sys
import time
from collections.abc import Coroutine, Sequence
from typing import Any

import uvloop

from benchmarks import adapters, report, rooms, sandbox, wire
from benchmarks.floors import missed
from benchmarks.machine import LOAD_CORE, calibration, facts, pin

WIRE = ("w1", "w2", "w2w")
ROOMS = "rooms"
SANDBOX = "sandbox"
ADAPTERS = "adapters"
WORKLOADS = {
    "w1": "one request, one answer (with the server on SQLite: W7)",
    "w2": "a stream of 200 chunks from an agent that never waits",
    "w2w": "the same from an agent that waits after each chunk",
    "rooms": "turns of a room",
    "sandbox": "the start of a sandbox for code",
    "adapters": "what an adapter adds to a turn and a token of its framework",
}


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command line says."""
    described = "; ".join(f"{name}: {text}" for name, text in WORKLOADS.items())
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "workloads", nargs="*", metavar="WORKLOAD", help=f"which ones, all if none is named. {described}"
    )
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (3)")
    parser.add_argument("--seconds", type=float, help="of load on one server in one round (1; quick: 0.4)")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 16], help="requests in flight (1 16)")
    parser.add_argument("--servers", nargs="+", choices=wire.SERVERS, default=list(wire.SERVERS))
    parser.add_argument("--quick", action="store_true", help="in less than 90 seconds; the figures are rougher")
    found = parser.parse_args(arguments)
    unknown = set(found.workloads) - WORKLOADS.keys()
    if unknown:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    found.workloads = found.workloads or list(WORKLOADS)
    found.seconds = found.seconds or (0.4 if found.quick else 1.0)
    return found


def tell(what: str) -> None:
    """Progress, where it does not mix with the tables."""
    print(what, file=sys.stderr, flush=True)


def run(task: Coroutine[Any, Any, Any]) -> Any:
    """The load generator's event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(task)


def measured(asked: argparse.Namespace) -> dict[str, Any]:
    """Run what was asked for; the tables are printed as they come."""
    found: dict[str, Any] = {"wire": [], "rooms": [], "sandbox": [], "adapters": []}
    if workloads := [name for name in WIRE if name in asked.workloads]:
        slices = 2 if asked.quick else 4
        plan = wire.Plan(workloads, asked.workers, asked.servers, asked.rounds, asked.seconds, slices)
        found["wire"] = report.wire_summary(run(wire.measure(plan, tell)))
        print(report.wire_text(found["wire"]) + "\n")
    if ROOMS in asked.workloads:
        turns = (10, 100) if asked.quick else (10, 100, 1000, 10_000)
        found["rooms"] = rooms.measure(rooms.Plan(rooms.talks(turns=turns), asked.rounds), tell)
        print(report.rooms_text(found["rooms"]) + "\n")
    if SANDBOX in asked.workloads:
        found["sandbox"] = run(sandbox.measure(30 if asked.quick else 200, tell))
        print(sandbox.text(found["sandbox"]) + "\n")
    if ADAPTERS in asked.workloads:
        found["adapters"] = adapters.measure(adapters.Plan(rounds=asked.rounds, turns=15 if asked.quick else 40), tell)
        print(report.adapters_text(found["adapters"]) + "\n")
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    asked = options(arguments)
    began = time.monotonic()
    pin(LOAD_CORE)
    machine, before = facts(), calibration()
    found = measured(asked)
    calibrated = [before, calibration()]
    print(report.floors_text(found))
    print("\n" + ", ".join(f"{name} {version}" for name, version in machine.items()))
    print(f"calibration loop before and after: {calibrated[0] / 1e3:.1f} and {calibrated[1] / 1e3:.1f} ms of CPU")
    below = missed(found)
    kept = {
        "machine": machine,
        "asked": vars(asked),
        "calibration_us": calibrated,
        "seconds": time.monotonic() - began,
        "missed": [floor.what for floor in below],
        **found,
    }
    print(f"{kept['seconds']:.0f} seconds; written: {report.write(kept)}")
    return 1 if below else 0


if __name__ == "__main__":
    sys.exit(main())
