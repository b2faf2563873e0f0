"""Room turns: in process beside AG2's classic GroupChat, and with one seat behind A2A."""

import contextlib
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.processes import Process, free_port

OURS, AG2 = "room_ours", "room_ag2"
NAMES = {OURS: "ours", AG2: "AG2"}


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


def talks(*, seats: Sequence[int] = (2, 10, 50), turns: Sequence[int] = (10, 100, 1000)) -> list[Talk]:
    """Every conversation of the default run."""
    found = [Talk(OURS, number, count) for number in seats for count in turns]
    found += [Talk(OURS, number, 100, journal="sqlite") for number in (seats[0], seats[-1])]
    found += [Talk(AG2, number, 100) for number in (seats[0], seats[-1])]
    found.append(Talk(OURS, 2, 100, remote=True))
    return found


def measure(plan: Plan, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row for each conversation: the medians over all rounds of what one turn costs."""
    with contextlib.ExitStack() as stack:
        peers = {talk.peer: None for talk in plan.talks}
        workers = {peer: stack.enter_context(Process(peer, talks=True)) for peer in peers}
        remote, url = None, ""
        if any(talk.remote for talk in plan.talks):
            port = free_port()
            remote = stack.enter_context(Process("ours", str(port), "memory"))
            remote.wait_for_port(port)
            url = f"http://127.0.0.1:{port}/answer/"
        found: dict[Talk, list[dict[str, float]]] = {talk: [] for talk in plan.talks}
        for number in range(plan.rounds + 1):
            tell(f"rooms round {number}" if number else "rooms warm-up")
            slices = plan.slices if number else 1
            taken: dict[Talk, list[dict[str, float]]] = {talk: [] for talk in plan.talks}
            for talk in [*plan.talks] * slices:
                question = {
                    **asdict(talk),
                    "least": plan.least if number else talk.turns,
                    "remote": talk.remote and url,
                }
                before = remote.cpu() if remote is not None else 0.0
                row = workers[talk.peer].ask(question)
                row["remote_cpu_us"] = (remote.cpu() - before) / row["turns"] * 1e6 if remote and talk.remote else 0.0
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
