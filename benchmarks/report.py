"""Tables for people and JSON for machines, from what was measured."""

import json
import math
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.adapters import LONG, SHORT
from benchmarks.floors import FLOORS, TARGETS, Found, federated
from benchmarks.load import percentile
from benchmarks.wire import LIMIT, MEMORY, SDK, Cell

RESULTS = Path(__file__).resolve().parent / "results"
TITLES = {
    "w1": "W1 one request, one answer (us per request)",
    "w2": "W2 stream of 200 chunks, agent never waits (us per event)",
    "w2w": "W2 stream of 200 chunks, agent waits after each chunk (us per event)",
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns padded to their widest cell."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)


def paired(cells: Sequence[Cell], server: str, other: str, *, wall: bool = False) -> float:
    """Median over rounds of: cost on `other` divided by cost on `server` in the same round; NaN if one is missing."""
    cost = {(cell.server, cell.round): cell.wall_us if wall else cell.cpu_us for cell in cells}
    found = [
        cost[other, number] / cost[server, number]
        for number in {cell.round for cell in cells}
        if (server, number) in cost and (other, number) in cost
    ]
    return statistics.median(found) if found else float("nan")


def select(cells: Iterable[Cell], workload: str, workers: int) -> list[Cell]:
    """The cells of one table."""
    return [cell for cell in cells if cell.workload == workload and cell.workers == workers]


def wire_summary(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """One row for each workload, concurrency and server."""
    rows = []
    for workload, workers in sorted({(cell.workload, cell.workers) for cell in cells}):
        group = select(cells, workload, workers)
        for server in dict.fromkeys(cell.server for cell in group):
            mine = [cell for cell in group if cell.server == server]
            firsts = [first for cell in mine for first in cell.load.firsts]
            latencies = [latency for cell in mine for latency in cell.load.latencies]
            rows.append(
                {
                    "workload": workload,
                    "workers": workers,
                    "server": server,
                    "cpu_us": statistics.median(cell.cpu_us for cell in mine),
                    "cpu_us_min": min(cell.cpu_us for cell in mine),
                    "wall_us": statistics.median(cell.wall_us for cell in mine),
                    "of_limit": paired(group, server, LIMIT),
                    "times_sdk": paired(group, server, SDK),
                    "times_sdk_wall": paired(group, server, SDK, wall=True),
                    "of_memory": paired(group, server, MEMORY),
                    "p50_ms": percentile(latencies, 0.5) * 1e3,
                    "p99_ms": percentile(latencies, 0.99) * 1e3,
                    "first_p50_ms": percentile(firsts, 0.5) * 1e3,
                    "first_p99_ms": percentile(firsts, 0.99) * 1e3,
                }
            )
    return rows


def wire_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The tables of W1 and W2."""
    parts = []
    for workload in dict.fromkeys(row["workload"] for row in rows):
        mine = [row for row in rows if row["workload"] == workload]
        head = ["c", "server", "CPU us", "(min)", "wall us", "% of limit", "x SDK", "(wall)", "% of memory"]
        head += ["p50 ms", "p99 ms"] if workload == "w1" else ["first event p50 ms", "p99 ms"]
        timed = ("p50_ms", "p99_ms") if workload == "w1" else ("first_p50_ms", "first_p99_ms")
        lines = [
            [
                str(row["workers"]),
                row["server"],
                f"{row['cpu_us']:.1f}",
                f"{row['cpu_us_min']:.1f}",
                f"{row['wall_us']:.1f}",
                f"{row['of_limit'] * 100:.0f}",
                f"{row['times_sdk']:.1f}",
                f"{row['times_sdk_wall']:.1f}",
                f"{row['of_memory'] * 100:.0f}",
                *(f"{row[name]:.2f}" for name in timed),
            ]
            for row in mine
        ]
        parts.append(f"{TITLES[workload]}\n{table(head, lines)}")
    return "\n\n".join(parts)


def write(found: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """The whole run as JSON, one file a run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / time.strftime("%Y%m%dT%H%M%SZ.json", time.gmtime())
    path.write_text(json.dumps(found, indent=1, default=str) + "\n")
    return path


def rooms_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of room turns; a federated turn is what a turn at a remote seat costs, both sides together."""
    lines = [
        [
            row["peer"],
            str(row["seats"]),
            str(row["turns"]),
            row["journal"] + (", one seat remote" if row["remote"] else ""),
            f"{row['cpu_us']:.1f}",
            f"{row['cpu_us_min']:.1f}",
            f"{row['wall_us']:.1f}",
        ]
        for row in rows
    ]
    text = "Room turns (us per turn)\n" + table(
        ["room", "seats", "turns", "journal", "CPU us", "(min)", "wall us"], lines
    )
    for whose, cost in (("ours", federated(rows)), ("the official SDK's call", federated(rows, "SDK"))):
        if not math.isnan(cost):
            text += f"\na federated turn, {whose}: {cost:.0f} us of CPU, client and server together"
    return text


def adapters_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of what adapters add."""
    names = ("own_us", "adapted_us", "adds_us", "token_own_us", "token_adds_us")
    shares = ("own_share", "own_share_long")
    head = ["framework", "own turn", "through us", "adds", "own token", "adds", "% on a short turn", "% on a long one"]
    lines = [
        [row["framework"], *("-" for _ in head[1:])]
        if "absent" in row
        else [
            row["framework"],
            *(f"{row[name]:.1f}" for name in names),
            *(f"{(1 / row[name] - 1) * 100:.0f}" for name in shares),
        ]
        for row in rows
    ]
    text = f"What an adapter adds (us of CPU; turns of {SHORT} and {LONG} tokens)\n" + table(head, lines)
    absent = [f"{row['framework']} is not measured: {row['absent']}" for row in rows if "absent" in row]
    return "\n".join([text, *absent])


def floors_text(found: Found) -> str:
    """Floors and targets with what was found; what was not measured is left out."""
    lines = []
    for floor in FLOORS:
        if not math.isnan(value := floor.find(found)):
            verdict = "MISSED" if value < floor.least else "goal met" if value >= floor.goal else "ok"
            lines.append([floor.what, f"{value:.2f}", f">= {floor.least:g}", f"{floor.goal:g}", verdict])
    for target in TARGETS:
        if not math.isnan(value := target.find(found)):
            verdict = "goal met" if value <= target.most else "above"
            lines.append([target.what, f"{value:.2f} {target.unit}", "-", f"<= {target.most:g}", verdict])
    return "Floors (by CPU) and goals\n" + table(["what", "found", "floor", "goal", ""], lines) if lines else ""
