"""Room turns: in process beside AG2's classic GroupChat, and with one seat behind A2A."""

import contextlib
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.processes import Process, free_port

OURS, AG2, SDK = "room_ours", "room_ag2", "room_sdk"
NAMES = {OURS: "ours", AG2: "AG2", SDK: "SDK"}
SERVERS = {OURS: ("ours", "memory"), SDK: ("sdk",)}
"""Which server, with what arguments, a peer's remote turns go to."""


@dataclass(frozen=True, slots=True)
class Talk:
    """One kind of conversation. `journal`: memory or sqlite; `remote`: its second seat is served over loopback."""

    peer: str
    seats: int
    turns: int
    journal: str = "memory"
    remote: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """Which conversations, in how many rounds; a round takes at least `least` turns of each in each of its slices."""

    talks: Sequence[Talk]
    rounds: int = 3
    least: int = 250
    slices: int = 4


def talks(*, seats: Sequence[int] = (2, 10, 50), turns: Sequence[int] = (10, 100, 1000, 10_000)) -> list[Talk]:
    """Every conversation of the default run."""
    found = [Talk(OURS, number, count) for number in seats for count in turns]
    found += [Talk(OURS, number, 100, journal="sqlite") for number in (seats[0], seats[-1])]
    found += [Talk(AG2, number, 100) for number in (seats[0], seats[-1])]
    found += [Talk(OURS, 2, 100, remote=True), Talk(SDK, 1, 100, remote=True)]
    return found


def measure(plan: Plan, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row for each conversation: the medians over all rounds of what one turn costs."""
    with contextlib.ExitStack() as stack:
        peers = {talk.peer: None for talk in plan.talks}
        workers = {peer: stack.enter_context(Process(peer, talks=True)) for peer in peers}
        served: dict[str, tuple[Process, str]] = {}
        for peer in {talk.peer for talk in plan.talks if talk.remote}:
            port = free_port()
            server, *arguments = SERVERS[peer]
            process = stack.enter_context(Process(server, str(port), *arguments))
            process.wait_for_port(port)
            served[peer] = process, f"http://127.0.0.1:{port}/answer/"
        found: dict[Talk, list[dict[str, float]]] = {talk: [] for talk in plan.talks}
        for number in range(plan.rounds + 1):
            tell(f"rooms round {number}" if number else "rooms warm-up")
            slices = plan.slices if number else 1
            taken: dict[Talk, list[dict[str, float]]] = {talk: [] for talk in plan.talks}
            for talk in [*plan.talks] * slices:
                remote, url = served[talk.peer] if talk.remote else (None, "")
                question = {**asdict(talk), "least": plan.least if number else talk.turns, "remote": url}
                before = remote.cpu() if remote is not None else 0.0
                row = workers[talk.peer].ask(question)
                row["remote_cpu_us"] = (remote.cpu() - before) / row["turns"] * 1e6 if remote is not None else 0.0
                taken[talk].append(row)
            if number:
                for talk, rows in taken.items():
                    found[talk].append({name: statistics.mean(row[name] for row in rows) for name in rows[0]})
        return [_row(talk, rows) for talk, rows in found.items()]


def _row(talk: Talk, rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    cpu = [row["cpu_us"] + row["remote_cpu_us"] for row in rows]
    return {
        **asdict(talk),
        "peer": NAMES[talk.peer],
        "cpu_us": statistics.median(cpu),
        "cpu_us_min": min(cpu),
        "cpu_us_rounds": cpu,
        "wall_us": statistics.median(row["wall_us"] for row in rows),
    }
