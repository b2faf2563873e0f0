"""What must hold, and what is aimed at, as one table: a ratio within one run, or a figure beside its target."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.peers.frameworks import FRAMEWORKS

Rows = Sequence[Mapping[str, Any]]
Found = Mapping[str, Rows]
"""The rows of each part of a run: wire, rooms, adapters."""

Find = Callable[[Found], float]


@dataclass(frozen=True, slots=True)
class Floor:
    """`least`: what `find` must give at least. `goal`: what we aim at, printed only."""

    what: str
    least: float
    goal: float
    find: Find


@dataclass(frozen=True, slots=True)
class Target:
    """`most`: what `find` should give at most; printed, never a reason to fail."""

    what: str
    most: float
    unit: str
    find: Find


def _wire(workload: str, workers: int, server: str, column: str) -> Find:
    def find(found: Found) -> float:
        return _only(found.get("wire", ()), column, workload=workload, workers=workers, server=server)

    return find


def _room(column: str = "cpu_us", **wanted: Any) -> Find:
    def find(found: Found) -> float:
        return _only(found.get("rooms", ()), column, **{"peer": "ours", "journal": "memory", "remote": False, **wanted})

    return find


def _only(rows: Rows, column: str, **wanted: Any) -> float:
    found = [row for row in rows if all(row[name] == value for name, value in wanted.items())]
    return float(found[0][column]) if len(found) == 1 else math.nan


def _times(one: Find, other: Find) -> Find:
    def find(found: Found) -> float:
        return other(found) / one(found)

    return find


def _adapter(framework: str, column: str) -> Find:
    def find(found: Found) -> float:
        return _only(found.get("adapters", ()), column, framework=framework)

    return find


def federated(rooms: Rows, peer: str = "ours") -> float:
    """What a turn at a remote seat costs, client and server together: of a room of two, every other turn is one."""
    found = [row["cpu_us"] for row in rooms if row["peer"] == peer and row["remote"]]
    if not found or peer != "ours":
        return float(found[0]) if found else math.nan
    local = [row["cpu_us"] for row in rooms if (row["peer"], row["seats"], row["journal"]) == ("ours", 2, "memory")]
    return 2 * found[0] - min(local)


def _federated(peer: str = "ours") -> Find:
    def find(found: Found) -> float:
        return federated(found.get("rooms", ()), peer)

    return find

    return find


FLOORS = (
    Floor("W1 c=16, memory: times the SDK", 12, 20, _wire("w1", 16, "memory", "times_sdk")),
    Floor("W1 c=16, memory: share of the limit", 0.33, 0.45, _wire("w1", 16, "memory", "of_limit")),
    Floor("W1 c=16, who calls is asked: times the SDK", 12, 20, _wire("w1", 16, "guarded", "times_sdk")),
    Floor("W1 c=16, who calls is asked: share of the limit", 0.33, 0.45, _wire("w1", 16, "guarded", "of_limit")),
    Floor("W1 c=16, HTTP+JSON: times JSON-RPC", 0.87, 1, _wire("w1", 16, "rest", "of_memory")),
    Floor("W2 c=16, HTTP+JSON: times JSON-RPC", 0.87, 1, _wire("w2", 16, "rest", "of_memory")),
    Floor("W1 c=16, SQLite: share of memory", 0.40, 0.50, _wire("w1", 16, "sqlite", "of_memory")),
    Floor("W2 c=1, never waits: times the SDK", 30, 50, _wire("w2", 1, "memory", "times_sdk")),
    Floor("W2 c=16, never waits: times the SDK", 30, 60, _wire("w2", 16, "memory", "times_sdk")),
    Floor("W2 c=1, waits: times the SDK", 25, 40, _wire("w2w", 1, "memory", "times_sdk")),
    Floor("W2 c=16, waits: times the SDK", 25, 40, _wire("w2w", 16, "memory", "times_sdk")),
    Floor(
        "room turn, 2 seats: times AG2",
        2, 5, _times(_room(seats=2, turns=100), _room(seats=2, turns=100, peer="AG2")),
    ),
    Floor(
        "room turn, 50 seats: times AG2",
        6, 10, _times(_room(seats=50, turns=100), _room(seats=50, turns=100, peer="AG2")),
    ),
    Floor(
        "room of 2, 100 turns: times 10,000 turns",
        0.8, 1, _times(_room(seats=2, turns=10_000), _room(seats=2, turns=100)),
    ),
    Floor(
        "room of 50, 100 turns: times 10,000 turns",
        0.8, 1, _times(_room(seats=50, turns=10_000), _room(seats=50, turns=100)),
    ),
    Floor(
        "room of 2, 10,000 turns: times 50 seats",
        0.8, 1, _times(_room(seats=50, turns=10_000), _room(seats=2, turns=10_000)),
    ),
    Floor(
        "a federated turn: times the SDK's call",
        3, 5, _times(_federated(), _federated("SDK")),
    ),
    Floor(
        "room of 2, 10 turns: times 1,000 turns",
        0.8, 1, _times(_room(seats=2, turns=1000), _room(seats=2, turns=10)),
    ),
    Floor(
        "room of 50, 10 turns: times 1,000 turns",
        0.8, 1, _times(_room(seats=50, turns=1000), _room(seats=50, turns=10)),
    ),
    *(
        Floor(f"a turn through the adapter: {name}'s own share of it", 0.8, 1, _adapter(name, "own_share"))
        for name in FRAMEWORKS
    ),
)  # fmt: skip

TARGETS = (
    Target("time to the first event, c=1", 2, "ms", _wire("w2", 1, "memory", "first_p50_ms")),
    Target("time to the first event, agent waits, c=1", 2, "ms", _wire("w2w", 1, "memory", "first_p50_ms")),
    Target("room turn, 2 seats, 100 turns", 40, "us", _room(seats=2, turns=100)),
    Target("a federated turn, both sides", 2000, "us", _federated()),
    Target("room turn, 50 seats, 1,000 turns", 60, "us", _room(seats=50, turns=1000)),
    *(Target(f"adapter of {name}, adds to a turn", 1000, "us", _adapter(name, "adds_us")) for name in FRAMEWORKS),
    *(Target(f"adapter of {name}, adds to a token", 30, "us", _adapter(name, "token_adds_us")) for name in FRAMEWORKS),
)


def missed(found: Found) -> list[Floor]:
    """The floors that were measured and do not hold; what was not measured is no miss."""
    return [floor for floor in FLOORS if floor.find(found) < floor.least]
