"""A debate in rounds: everybody answers alone, then all read all and revise, until it is settled or gets nowhere.

    GroupChatManager(GroupChat([a, b, c]), protocol=Rounds(rounds=3))

What the literature says about when this helps and when not: `docs/decisions/014-debate.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from a2a_bridge.agent import Usage
from a2a_bridge.chat.debate.measure import JUDGE, UNRESOLVED, Round, Tally, rounds_in, ruling_in, tally
from a2a_bridge.chat.debate.outcome import Debate, Minority
from a2a_bridge.chat.entry import Decision, Entry, StopReason
from a2a_bridge.chat.model import Model
from a2a_bridge.chat.position import Position, answer_key, schema_of
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import JSONValue


@dataclass(frozen=True, slots=True)
class Judge:
    """Who decides: a seat of the room, by its name, which takes no other part in the debate, or a model."""

    by: str | Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounds:
    """How a debate goes. Each round is one turn in which all speak at once, none hearing the others.

    `rounds`: at most so many, the first, independent one counted. It ends sooner when a share of `agreement` holds the
    same answer, when for `stable` rounds nobody has changed an answer, when a round brings no evidence that is new
    (`needs_news`; only where evidence was brought before), and by the conditions and budgets of the room.

    `decide`, when they do not agree: "vote" (each counts once), "confidence" (each counts as much as it is sure),
    "manager" (the manager's model decides) or a `Judge`. Whoever wins a vote has more than a share of `quota`. A vote
    that gives nothing, and a judge who does not answer, leave the vote of the first round, when nobody had been talked
    into anything; if that gives nothing either the debate is unresolved, and says so.

    `options`: the answers that there are. `instructions` are told to everybody before the first round.
    """

    rounds: int = 3
    agreement: float = 1.0
    stable: int = 1
    needs_news: bool = True
    decide: Literal["vote", "confidence", "manager"] | Judge = "vote"
    quota: float = 0.5
    options: tuple[str, ...] = ()
    instructions: str = ""

    def __post_init__(self) -> None:
        for word, count in (("rounds", self.rounds), ("stable", self.stable)):
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ValueError(f"Rounds({word}={count!r}): a whole number, 1 or more")
        if not 0.5 < self.agreement <= 1:
            raise ValueError(f"Rounds(agreement={self.agreement!r}): more than a half, 1.0 at most")
        if not 0 <= self.quota < 1:
            raise ValueError(f"Rounds(quota={self.quota!r}): 0 or more, below 1")
        if self.decide not in ("vote", "confidence", "manager") and not isinstance(self.decide, Judge):
            raise ValueError(f"Rounds(decide={self.decide!r}): 'vote', 'confidence', 'manager' or Judge(...)")
        if isinstance(self.options, str) or len({answer_key(one) for one in self.options}) < len(self.options):
            raise ValueError(f"Rounds(options={self.options!r}): answers that can be told apart")

    def form(self, why: Decision | None) -> dict[str, JSONValue]:
        """The form of what is asked for in a turn; a judge may leave it unresolved."""
        if self.options and why is not None and why.chosen_by == JUDGE:
            return schema_of((*self.options, UNRESOLVED))
        return schema_of(self.options)

    @property
    def judge_seat(self) -> str | None:
        """The name of the seat that judges, if one does."""
        by = self.decide.by if isinstance(self.decide, Judge) else None
        return by if isinstance(by, str) else None

    def judge_model(self, managers: Model | None) -> Model | None:
        """The model that judges, if one does. ChatError if it is the manager's and there is none."""
        if self.decide == "manager" and managers is None:
            raise ChatError("Rounds(decide='manager') needs a model: GroupChatManager(groupchat, llm_config=...)")
        if self.decide == "manager":
            return managers
        return self.decide.by if isinstance(self.decide, Judge) and not isinstance(self.decide.by, str) else None

    def debaters(self, names: Sequence[str]) -> tuple[str, ...]:
        """Who answers: everybody but the judge."""
        return tuple(name for name in names if name != self.judge_seat)

    def why_over(self, rounds: Sequence[Round]) -> str | None:
        """Why there is no further round; None if there is one."""
        if not rounds:
            return None
        last = rounds[-1]
        if self._agreed(last):
            return "agreement"
        if not last.positions:
            return "nobody answered"
        if len(rounds) > self.stable and all(not one.flips for one in rounds[-self.stable :]):
            return "stable"
        if self.needs_news and len(rounds) > 1 and not last.new_evidence and any(one.new_evidence for one in rounds):
            return "no new evidence"
        return "rounds" if len(rounds) >= self.rounds else None

    def _agreed(self, last: Round) -> bool:
        return len(last.positions) > 1 and last.agreement >= self.agreement - 1e-9

    def measure(self, entries: Sequence[Entry]) -> Debate:
        """What the debate in these entries of a run has come to; also of one that was cut off."""
        rounds = rounds_in(entries, self.options)
        first, final = (self._tally(one) for one in ((rounds[0], rounds[-1]) if rounds else (None, None)))
        ruling = ruling_in(entries, self.options)
        answer, by, share = self._conclusion(rounds, first, final, ruling)
        outcome: Literal["agreed", "decided", "unresolved"] = "decided" if answer is not None else "unresolved"
        if by == "agreement":
            outcome = "agreed"
        usage = sum((one.usage for one in rounds), Usage())
        return Debate(
            outcome=outcome,
            answer=answer,
            decided_by=by,
            share=share,
            reason=ruling[1].because if ruling is not None and ruling[1] is not None else "",
            over=self.why_over(rounds) or "cut off",
            rounds=rounds,
            first_vote=first,
            final_vote=final,
            minority=_minority(rounds, answer),
            usage=usage,
            warnings=_warnings(entries, rounds),
        )

    def _tally(self, one: Round | None) -> Tally:
        positions = one.positions if one is not None else {}
        return tally(positions, by_confidence=self.decide == "confidence", quota=self.quota)

    def _conclusion(
        self, rounds: Sequence[Round], first: Tally, final: Tally, ruling: tuple[str, Position | None] | None
    ) -> tuple[str | None, str, float]:
        """The answer, by what it was found, and the share of those who hold it."""
        if not rounds:
            return None, "", 0.0
        if self._agreed(rounds[-1]):
            return final.weights[0][0], "agreement", rounds[-1].agreement
        who, held = ruling if ruling is not None else ("", None)
        if held is not None:
            if held.key == UNRESOLVED:
                return None, who, 0.0
            return held.answer, who, _share(rounds[-1], held.key)
        if final.winner is not None:
            return final.winner, "vote" if self.decide != "confidence" else "confidence", final.share
        if first.winner is not None and len(rounds) > 1:
            return first.winner, "first vote", first.share
        return None, "", final.share

    def stop(self, entries: Sequence[Entry], manager: str) -> StopReason:
        """Why a debate that is over ends the conversation."""
        found = self.measure(entries)
        kind = {"agreed": "converged", "decided": "decided", "unresolved": "unresolved"}[found.outcome]
        by = manager if found.decided_by in ("", "agreement", "vote", "confidence", "first vote") else found.decided_by
        return StopReason(kind, by, found.in_words)


def _share(last: Round, key: str) -> float:
    held = [position.key for position in last.positions.values()]
    return held.count(key) / len(held) if held else 0.0


def _minority(rounds: Sequence[Round], answer: str | None) -> tuple[Minority, ...]:
    """Who holds something else in the end; with no answer, everybody."""
    latest = {name: held for one in rounds for name, held in one.positions.items()}
    key = None if answer is None else answer_key(answer)
    firsts = rounds[0].positions if rounds else {}
    return tuple(
        Minority(name, held, name in firsts and firsts[name].key == held.key)
        for name, held in latest.items()
        if held.key != key
    )


def _warnings(entries: Sequence[Entry], rounds: Sequence[Round]) -> tuple[str, ...]:
    debaters = {name for one in rounds for name in one.positions}
    models = {
        entry.speaker.name: entry.usage.model
        for entry in entries
        if entry.kind == "said" and entry.usage is not None and entry.speaker and entry.speaker.name in debaters
    }
    found = []
    if len(models) > 1 and len(set(models.values())) == 1 and None not in models.values():
        name = next(iter(models.values()))
        found.append(f"all answer with the model {name!r}: different models see more of each other's mistakes")
    loose = [name for one in rounds for name, held in one.positions.items() if not held.is_stated]
    if loose:
        names = ", ".join(dict.fromkeys(loose))
        found.append(f"read out of plain words, not stated in the form that was asked for: {names}")
    return tuple(found)
