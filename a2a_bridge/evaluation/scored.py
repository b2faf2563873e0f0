"""What came of a case, and a file that keeps it.

A file of results is JSON Lines, one run of a case a line, as they come: pandas and jq read it as it is. What it holds
of the same target and the same case is not asked again, so that an evaluation that was cut off goes on; what could not
be scored is. It belongs to one evaluation at a time.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from a2a_bridge.agent import Usage
from a2a_bridge.chat.entry import StopReason, usage_json
from a2a_bridge.evaluation.cases import Case, CaseError
from a2a_bridge.protocol.objects import JSONValue, json_bytes


@dataclass(frozen=True, slots=True)
class Scored:
    """What came of one case. `score` is from 0 to 1: 0 when a check fails or something goes wrong (`error` says what),
    else the judge's. `said` is the conversation, `stop` why it ended, `used` what each used who tells: target, asker,
    judge. `run` counts from 1 the times that a case is run."""

    case: Case
    passed: bool
    score: float
    checks: Mapping[str, bool]
    criteria: Mapping[str, float]
    because: str
    error: str
    said: tuple[Mapping[str, str], ...]
    stop: StopReason | None
    seconds: float
    used: Mapping[str, Usage]
    run: int = 1

    @property
    def usage(self) -> Usage:
        """What all used together."""
        return sum(self.used.values(), Usage())

    def to_json(self) -> dict[str, JSONValue]:
        """All of it as plain JSON."""
        stop = None if self.stop is None else {"kind": self.stop.kind, "by": self.stop.by, "detail": self.stop.detail}
        found: dict[str, Any] = {
            "id": self.case.id,
            "run": self.run,
            "passed": self.passed,
            "score": self.score,
            "checks": dict(self.checks),
            "criteria": dict(self.criteria),
            "because": self.because,
            "error": self.error,
            "conversation": [dict(one) for one in self.said],
            "stop": stop,
            "seconds": round(self.seconds, 3),
            "usage": usage_json(self.usage),
            "used": {name: usage_json(usage) for name, usage in self.used.items()},
            "metadata": dict(self.case.metadata),
            "digest": self.case.digest,
        }
        return found


def scored_from(found: Mapping[str, Any], case: Case) -> Scored:
    """A result of this case from its JSON. KeyError, TypeError or AttributeError when it is none."""
    return Scored(
        case, found["passed"], found["score"], found["checks"], found["criteria"], found["because"], found["error"],
        tuple(found["conversation"]), None if found["stop"] is None else StopReason(**found["stop"]), found["seconds"],
        {name: Usage(**usage) for name, usage in found["used"].items()}, found["run"],
    )  # fmt: skip


class Results:
    """The file of results of one target. CaseError when it cannot be read or written, or holds something else."""

    def __init__(self, path: str | Path, target: str) -> None:
        self._path = Path(path)
        self._target = target
        self._found: dict[tuple[str, int], Mapping[str, Any]] = {}
        try:
            lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
            if lines and not lines[-1].endswith(b"\n"):  # it was being written when the process was killed
                lines.pop()
                self._path.write_bytes(b"".join(lines))
        except OSError as error:
            raise CaseError(f"{path} cannot be read: {error.strerror or error}") from None
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                if row["target"] == target and not row["error"]:
                    self._found[row["digest"], row["run"]] = row
            except (ValueError, KeyError, TypeError):
                raise CaseError(f"{path}, line {number}: no result of an evaluation; name another file") from None

    def find(self, case: Case, run: int) -> Scored | None:
        """What came of this run of a case, if it could be scored."""
        row = self._found.get((case.digest, run))
        try:
            return None if row is None else scored_from(row, case)
        except (KeyError, TypeError, AttributeError):
            raise CaseError(f"{self._path}: the result of {case.id!r} cannot be read; name another file") from None

    def add(self, one: Scored) -> None:
        """Write one more."""
        try:
            with self._path.open("ab") as file:
                file.write(json_bytes({"target": self._target, **one.to_json()}) + b"\n")
        except OSError as error:
            raise CaseError(f"{self._path} cannot be written: {error.strerror or error}") from None
