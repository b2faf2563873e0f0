"""Mutation testing: which small changes of the product no test notices.

    python -m tests.mutation [paths] [--sample N] [--seed S] [--tests PATH ...] [--results FILE]

Without paths: the protocol and the server. Without --sample: every mutant, which takes hours. The same paths, sample
and seed give the same mutants. Each mutant is tried with the tests that run its lines, one process at a time. What
survives is printed and written to the results file: either a test is missing, or the change changes nothing.
"""

import argparse
import ast
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.running import ROOT, Lines, load, survives, watch

_PATHS = ("a2a_bridge/protocol", "a2a_bridge/server")
_TESTS = ("tests/wire", "tests/unit/protocol", "tests/unit/server", "tests/unit/client", "tests/security")
_NICE = 10
_FIRST = 12


@dataclass(frozen=True, slots=True)
class Candidate:
    """One mutant of one module; `number` finds it again in another tree of the same source."""

    path: Path
    number: int
    mutant: Mutant

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.mutant.text}"


def candidates(paths: Sequence[str], sample: int | None, seed: int) -> list[Candidate]:
    """The mutants of these files and folders, or as many of them by chance, in the order of the source."""
    found = [
        Candidate(path, number, mutant)
        for path in _modules(paths)
        for number, mutant in enumerate(mutants_of(ast.parse(path.read_text("utf-8"))))
    ]
    if sample is None or sample >= len(found):
        return found
    chosen = sorted(random.Random(seed).sample(range(len(found)), sample))
    return [found[place] for place in chosen]


def _modules(paths: Sequence[str]) -> list[Path]:
    found = [(ROOT / path).resolve() for path in paths]
    return sorted({file for path in found for file in (path.rglob("*.py") if path.is_dir() else (path,))})


def reaching(candidate: Candidate, lines: Lines, weight: Counter[str]) -> list[str]:
    """The tests that run the lines of this mutant, the narrowest first; what is run on import all tests of the module
    may see."""
    mutant, by_line = candidate.mutant, lines[str(candidate.path)]
    found = {test for line in range(mutant.first, mutant.last + 1) for test in by_line.get(line, ())}
    if "" in found:
        found = {test for tests in by_line.values() for test in tests}
    return sorted(found - {""}, key=lambda test: (weight[test], test))


def verdict(candidate: Candidate, tests: Sequence[str], seconds: dict[str, float]) -> str:
    """`killed`, `survived` or `no test`."""
    if not tests:
        return "no test"
    tree = ast.parse(candidate.path.read_text("utf-8"))
    mutants_of(tree)[candidate.number].apply()
    for some in (tests[:_FIRST], tests[_FIRST:]):  # most changes are seen by the narrowest tests
        patience = 20 + 5 * sum(seconds.get(test, 0.0) for test in some)
        if some and not survives(candidate.path, tree, some, patience):
            return "killed"
    return "survived"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description="Which changes no test notices.")
    parser.add_argument("paths", nargs="*", default=_PATHS)
    parser.add_argument("--sample", type=int, help="so many mutants by chance instead of all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tests", nargs="+", default=_TESTS, metavar="PATH")
    parser.add_argument("--results", type=Path, default=Path("build/mutation.txt"))
    asked = parser.parse_args()
    os.nice(_NICE)
    found = candidates(asked.paths, asked.sample, asked.seed)
    print(f"{len(found)} mutants; running the tests once as they are", flush=True)
    base = watch(asked.tests, sorted({candidate.path for candidate in found}))
    if base.failed or not base.seconds:
        print("These tests fail without any change:", *base.failed or ("there are none",), sep="\n  ")
        return 2
    load(base.libraries)
    weight = Counter(test for by_line in base.lines.values() for tests in by_line.values() for test in tests)
    asked.results.parent.mkdir(parents=True, exist_ok=True)
    counts: Counter[str] = Counter()
    started = time.monotonic()
    with asked.results.open("w", encoding="utf-8") as results:
        for number, candidate in enumerate(found, 1):
            said = verdict(candidate, reaching(candidate, base.lines, weight), base.seconds)
            counts[said] += 1
            print(said, candidate, sep="\t", file=results, flush=True)
            if said != "killed":
                print(f"[{number}/{len(found)}] {said}: {candidate}", flush=True)
    spent = time.monotonic() - started
    print(f"{dict(counts)} in {spent:.0f} s; written to {asked.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
