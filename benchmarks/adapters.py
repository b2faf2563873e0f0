"""What an adapter adds to its framework: the same turn, the framework's own way and through ours, in one process."""

import contextlib
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.peers.frameworks import ELSEWHERE, FRAMEWORKS
from benchmarks.processes import ROOT, Process

SHORT, LONG = 10, 210
"""Tokens of the two kinds of turn; their difference tells the price of a token."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Which frameworks; in each of `rounds` rounds `turns` turns of each kind and way.

    `environments`: the folder that holds the environments of those frameworks that have one of their own.
    """

    frameworks: Sequence[str] = tuple(FRAMEWORKS)
    rounds: int = 3
    turns: int = 40
    environments: Path = ROOT


def measure(plan: Plan, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """One row for each framework: medians over the rounds. What has no environment here says so in its row."""
    rows = []
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(Process("fake_model", talks=True)).ask("url")
        for name in plan.frameworks:
            tell(f"adapter of {name}")
            python = plan.environments / ELSEWHERE[name] / "bin" / "python" if name in ELSEWHERE else None
            if python is not None and not python.exists():
                rows.append(_absent(name, f"the environment {ELSEWHERE[name]} is not here: scripts/setup makes it"))
                continue
            with Process("adapter_turns", talks=True, python=python) as worker:
                question = {"framework": name, "url": url}
                for tokens in (SHORT, LONG):
                    worker.ask({**question, "tokens": tokens, "turns": 3})  # imports, connections, caches
                rounds = [
                    {
                        tokens: worker.ask({**question, "tokens": tokens, "turns": plan.turns})
                        for tokens in (SHORT, LONG)
                    }
                    for _ in range(plan.rounds)
                ]
            rows.append(_row(name, rounds))
    return rows


FIGURES = ("own_us", "adapted_us", "adds_us", "own_share", "own_share_long", "token_own_us", "token_adds_us")


def _absent(name: str, why: str) -> dict[str, Any]:
    """The row of what could not be measured: no figures, and the reason."""
    return {"framework": name, **dict.fromkeys(FIGURES, math.nan), "absent": why}


def _row(name: str, rounds: Sequence[Mapping[int, Mapping[str, float]]]) -> dict[str, Any]:
    def median(find: Callable[[Mapping[int, Mapping[str, float]]], float]) -> float:
        return statistics.median(find(found) for found in rounds)

    return {
        "framework": name,
        "own_us": median(lambda found: found[SHORT]["own"]),
        "adapted_us": median(lambda found: found[SHORT]["adapted"]),
        "adds_us": median(lambda found: found[SHORT]["adapted"] - found[SHORT]["own"]),
        "own_share": median(lambda found: found[SHORT]["own"] / found[SHORT]["adapted"]),
        "own_share_long": median(lambda found: found[LONG]["own"] / found[LONG]["adapted"]),
        "token_own_us": median(lambda found: _per_token(found, "own")),
        "token_adds_us": median(lambda found: _per_token(found, "adapted") - _per_token(found, "own")),
    }


def _per_token(found: Mapping[int, Mapping[str, float]], way: str) -> float:
    return (found[LONG][way] - found[SHORT][way]) / (LONG - SHORT)
