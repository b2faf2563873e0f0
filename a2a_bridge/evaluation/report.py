"""What an evaluation came to, as JSON and as a page of text."""

from collections.abc import Sequence
from dataclasses import dataclass

from a2a_bridge.agent import Usage
from a2a_bridge.chat.entry import usage_json
from a2a_bridge.evaluation.run import Scored
from a2a_bridge.protocol.objects import JSONValue

_WIDEST = 32


@dataclass(frozen=True, slots=True)
class Report:
    """The results of all cases. `target` is shown as it was given."""

    target: str
    results: Sequence[Scored]

    @property
    def score(self) -> float:
        """The mean of all cases; one that went wrong counts as 0."""
        return sum(one.score for one in self.results) / len(self.results) if self.results else 0.0

    @property
    def passed(self) -> int:
        """How many cases passed."""
        return sum(one.passed for one in self.results)

    @property
    def errors(self) -> int:
        """How many could not be scored."""
        return sum(bool(one.error) for one in self.results)

    def is_good(self, min_score: float | None = None) -> bool:
        """Whether all passed; with `min_score`, whether the mean reaches that."""
        return self.passed == len(self.results) if min_score is None else self.score >= min_score

    def to_json(self) -> dict[str, JSONValue]:
        """All of it as plain JSON."""
        cases: list[JSONValue] = [one.to_json() for one in self.results]
        return {
            "target": self.target,
            "score": self.score,
            "cases": len(cases),
            "passed": self.passed,
            "errors": self.errors,
            "usage": usage_json(sum((one.usage for one in self.results), Usage())),
            "results": cases,
        }

    def page(self) -> str:
        """A table of the cases, with the reason below each that did not pass, and the sum."""
        wide = min(_WIDEST, max((len(one.case.id) for one in self.results), default=0))
        lines = [line for one in self.results for line in row(one, wide)]
        failed = len(self.results) - self.passed - self.errors
        sums = [f"{self.passed} passed", f"{failed} failed", f"{self.errors} could not be scored"]
        return "\n".join([*lines, "", f"Score {self.score:.2f}: {', '.join(sums)}, {self.target}"]) + "\n"


def row(one: Scored, wide: int = _WIDEST) -> list[str]:
    """One case in a line, and more lines for one that did not pass."""
    word = "passed" if one.passed else "error " if one.error else "failed"
    lines = [f"{word}  {one.case.id[:wide]:<{wide}}  {one.score:.2f}  {one.seconds:6.1f} s"]
    if one.passed:
        return lines
    told = [one.error] if one.error else [f"not true: {name}" for name, holds in one.checks.items() if not holds]
    told += [f"{score:.2f} {name}" for name, score in one.criteria.items() if score < 1]
    told += [one.because] if one.because else []
    return lines + [f"        {' '.join(line.split())}" for line in told]
