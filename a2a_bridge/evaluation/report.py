"""What an evaluation came to, as JSON and as a page of text."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from statistics import fmean, stdev

from a2a_bridge.agent import Usage
from a2a_bridge.chat.entry import usage_json
from a2a_bridge.evaluation.scored import Scored
from a2a_bridge.protocol.objects import JSONValue

_WIDEST = 32


@dataclass(frozen=True, slots=True)
class Repeated:
    """The runs of one case: `score` is their mean, `deviation` the standard deviation of a sample of so many."""

    id: str
    runs: int
    passed: int
    errors: int
    score: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Report:
    """The results of all cases. `target` is shown as it was given."""

    target: str
    results: Sequence[Scored]

    def __str__(self) -> str:
        return self.page()

    @property
    def score(self) -> float:
        """The mean of all cases; one that went wrong counts as 0."""
        return fmean(one.score for one in self.results) if self.results else 0.0

    @property
    def passed(self) -> int:
        """How many cases passed."""
        return sum(one.passed for one in self.results)

    @property
    def errors(self) -> int:
        """How many could not be scored."""
        return sum(bool(one.error) for one in self.results)

    @property
    def used(self) -> dict[str, Usage]:
        """What each used who tells: target, asker, judge."""
        names = sorted({name for one in self.results for name in one.used})
        return {name: sum((one.used.get(name, Usage()) for one in self.results), Usage()) for name in names}

    @property
    def repeated(self) -> list[Repeated]:
        """Each case that was run more than once."""
        found = []
        for name, group in groupby(self.results, key=lambda one: one.case.id):
            runs = list(group)
            scores = [one.score for one in runs]
            passed, errors = sum(one.passed for one in runs), sum(bool(one.error) for one in runs)
            if len(runs) > 1:
                found.append(Repeated(name, len(runs), passed, errors, fmean(scores), stdev(scores)))
        return found

    def is_good(self, min_score: float | None = None) -> bool:
        """Whether all passed; with `min_score`, whether the mean reaches that."""
        return self.passed == len(self.results) if min_score is None else self.score >= min_score

    def to_json(self) -> dict[str, JSONValue]:
        """All of it as plain JSON."""
        cases: list[JSONValue] = [one.to_json() for one in self.results]
        return {
            "target": self.target,
            "score": self.score,
            "cases": len({one.case.id for one in self.results}),
            "runs": len(cases),
            "passed": self.passed,
            "errors": self.errors,
            "repeated": [asdict(one) for one in self.repeated],
            "used": {name: usage_json(usage) for name, usage in self.used.items()},
            "usage": usage_json(sum((one.usage for one in self.results), Usage())),
            "results": cases,
        }

    def page(self) -> str:
        """A table of the cases, with the reason below each that did not pass, and the sum."""
        wide = min(_WIDEST, max((len(_label(one)) for one in self.results), default=0))
        return "\n".join([*(line for one in self.results for line in row(one, wide)), "", self.sums()])

    def sums(self) -> str:
        """The end of the page: the cases that were run more than once, and the sum of all."""
        repeated = self.repeated
        wide = min(_WIDEST, max((len(one.id) for one in repeated), default=0))
        lines = [
            f"{one.passed} of {one.runs}  {one.id[:wide]:<{wide}}  {one.score:.2f} +- {one.deviation:.2f}"
            for one in repeated
        ]
        failed = len(self.results) - self.passed - self.errors
        sums = [f"{self.passed} passed", f"{failed} failed", f"{self.errors} could not be scored"]
        lines += [""] if lines else []
        return "\n".join([*lines, f"Score {self.score:.2f}: {', '.join(sums)}, {self.target}"]) + "\n"


def _label(one: Scored) -> str:
    return one.case.id if one.run == 1 else f"{one.case.id} #{one.run}"


def row(one: Scored, wide: int = _WIDEST) -> list[str]:
    """One case in a line, and more lines for one that did not pass."""
    word = "passed" if one.passed else "error " if one.error else "failed"
    lines = [f"{word}  {_label(one)[:wide]:<{wide}}  {one.score:.2f}  {one.seconds:6.1f} s"]
    if one.passed:
        return lines
    told = [one.error] if one.error else [f"not true: {name}" for name, holds in one.checks.items() if not holds]
    told += [f"{score:.2f} {name}" for name, score in one.criteria.items() if score < 1]
    told += [one.because] if one.because else []
    return lines + [f"        {' '.join(line.split())}" for line in told]
