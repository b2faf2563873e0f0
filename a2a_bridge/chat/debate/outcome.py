"""What a debate came to: the answer or that there is none, how it got there, what it cost, and who disagrees."""

from dataclasses import dataclass
from typing import Any, Literal

from a2a_bridge.agent import Usage
from a2a_bridge.chat.debate.measure import Round, Tally
from a2a_bridge.chat.entry import usage_json
from a2a_bridge.chat.position import Position
from a2a_bridge.protocol.objects import JSONValue


@dataclass(frozen=True, slots=True)
class Minority:
    """Somebody who holds another answer in the end. `survived`: the same from the first round on."""

    speaker: str
    position: Position
    survived: bool


@dataclass(frozen=True, slots=True)
class Debate:
    """What a debate came to.

    `outcome`: "agreed", "decided" or "unresolved"; then `answer` is None. `decided_by`: "agreement", "vote",
    "confidence", "first vote", or the name of who judged. `share` of those who hold it. `over` says why there was no
    further round: "agreement", "stable", "no new evidence", "nobody answered", "rounds", or "cut off" (a budget, a
    cancel, a condition of the room). `first_vote` is that of the answers before anybody had read anybody.
    """

    outcome: Literal["agreed", "decided", "unresolved"]
    answer: str | None
    decided_by: str
    share: float
    reason: str
    over: str
    rounds: tuple[Round, ...]
    first_vote: Tally
    final_vote: Tally
    minority: tuple[Minority, ...]
    usage: Usage
    warnings: tuple[str, ...]

    @property
    def agreement(self) -> tuple[float, ...]:
        """The share of the answer that most held, round by round."""
        return tuple(one.agreement for one in self.rounds)

    @property
    def flips(self) -> int:
        """How often somebody changed an answer."""
        return sum(len(one.flips) for one in self.rounds)

    @property
    def usd_per_flip(self) -> float | None:
        """US dollars that it took to change an answer; None when none changed, or nobody tells what it cost."""
        return self.usage.cost_usd / self.flips if self.flips and self.usage.cost_usd is not None else None

    @property
    def in_words(self) -> str:
        """One sentence: how it ended."""
        after = f"after {len(self.rounds)} round{'' if len(self.rounds) == 1 else 's'} ({self.over})"
        share = f"{self.share:.0%}"
        if self.outcome == "agreed":
            return f"{share} agree {after}"
        if self.outcome == "unresolved":
            return f"nobody could settle it {after}"
        how = {
            "vote": f"decided by vote, {share} of the votes",
            "confidence": f"decided by confidence, {share} of the weight",
            "first vote": f"decided by the first vote, {share} of the votes, because the later ones gave nothing",
        }
        return f"{how.get(self.decided_by, f'decided by {self.decided_by}, {share} hold the same')} {after}"

    @property
    def summary(self) -> str:
        """The answer, how it was found, and the minority report."""
        lines = [self.answer if self.answer is not None else "Unresolved.", "", f"({self.in_words})"]
        if self.reason:
            lines.append(self.reason)
        if self.minority:
            lines += ["", "Held in the end:" if self.answer is None else "Not agreed:"]
        for one in self.minority:
            held = one.position
            because = f": {held.because}" if held.because else ""
            lines.append(f"- {one.speaker}: {held.answer} ({held.confidence:.0%} sure){because}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, JSONValue]:
        """All of it as plain JSON."""
        found: dict[str, Any] = {
            "outcome": self.outcome,
            "answer": self.answer,
            "decided_by": self.decided_by,
            "share": self.share,
            "reason": self.reason,
            "over": self.over,
            "flips": self.flips,
            "rounds": [_round_json(one) for one in self.rounds],
            "first_vote": _tally_json(self.first_vote),
            "final_vote": _tally_json(self.final_vote),
            "minority": [
                {"speaker": one.speaker, "survived": one.survived, **_position_json(one.position)}
                for one in self.minority
            ],
            "usage": usage_json(self.usage),
            "warnings": list(self.warnings),
        }
        return found


def _round_json(one: Round) -> dict[str, Any]:
    return {
        "number": one.number,
        "agreement": one.agreement,
        "entropy": one.entropy,
        "new_evidence": one.new_evidence,
        "silent": list(one.silent),
        "positions": {name: _position_json(held) for name, held in one.positions.items()},
        "flips": [
            {"speaker": flip.speaker, "from": flip.before, "to": flip.after, "because": flip.because,
             "toward_majority": flip.toward_majority}
            for flip in one.flips
        ],
        "usage": usage_json(one.usage),
    }  # fmt: skip


def _position_json(held: Position) -> dict[str, Any]:
    return {
        "answer": held.answer,
        "confidence": held.confidence,
        "evidence": list(held.evidence),
        "because": held.because,
        "changed_from": held.changed_from,
    }


def _tally_json(vote: Tally) -> dict[str, Any]:
    return {"winner": vote.winner, "share": vote.share, "weights": [list(one) for one in vote.weights]}
