"""What a debate has come to so far: pure functions of the log.

A round is a turn in which all debaters answered at once; it is told by its decision (`DEBATE`), and a judge's turn by
`JUDGE`. What the form is called in the log is written here once.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from a2a_bridge.agent import Usage
from a2a_bridge.chat.condition import ends_turn
from a2a_bridge.chat.entry import Entry
from a2a_bridge.chat.position import Position, answer_key, position_in
from a2a_bridge.protocol.objects import Message

UNRESOLVED = "unresolved"
"""The answer of a judge who cannot decide."""
DEBATE, JUDGE = "debate", "judge"
"""What decisions are `chosen_by`: everybody answers, and one decides."""
RULING = "ruling"
"""The flag of a note with what a model that judges has decided."""


@dataclass(frozen=True, slots=True)
class Flip:
    """Somebody changed the answer. `toward_majority`: to the answer that most held in the round before."""

    speaker: str
    before: str
    after: str
    because: str
    toward_majority: bool


@dataclass(frozen=True, slots=True)
class Round:
    """One round of answers. `agreement` is the share of the answer that most hold, `entropy` in bits (0: all hold the
    same), `new_evidence` counts pieces that nobody had brought before, `silent` are those who gave no answer. `usage`
    is what the round cost, as far as seats tell."""

    number: int
    positions: Mapping[str, Position]
    agreement: float
    entropy: float
    flips: tuple[Flip, ...]
    new_evidence: int
    silent: tuple[str, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Tally:
    """A vote. `weights` by answer, the heaviest first; `share` is that of the winner. `winner` is None when nobody has
    more than the quota, or two have the same."""

    weights: tuple[tuple[str, float], ...]
    winner: str | None
    share: float


@dataclass(slots=True)
class _Open:
    """A turn of the debate while its entries are read."""

    speakers: tuple[str, ...]
    positions: dict[str, Position] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    usage: Usage = Usage()


def rounds_in(entries: Sequence[Entry], options: Sequence[str] = ()) -> tuple[Round, ...]:
    """The rounds of a run that are complete, oldest first."""
    found: list[Round] = []
    evidence: set[str] = set()
    for turn in _turns(entries, options):
        if turn.done.issuperset(turn.speakers):
            found.append(_round(turn, found, evidence))
    return tuple(found)


def _turns(entries: Sequence[Entry], options: Sequence[str]) -> list[_Open]:
    turns: dict[int, _Open] = {}
    for entry in entries:
        if entry.kind == "decided":
            if entry.why is not None and entry.why.chosen_by == DEBATE:
                turns[entry.turn] = _Open(entry.why.speakers)
            continue
        turn = turns.get(entry.turn)
        if turn is None or entry.speaker is None or entry.speaker.name not in turn.speakers:
            continue
        turn.usage += entry.usage or Usage()
        if ends_turn(entry):
            turn.done.add(entry.speaker.name)
        if entry.kind == "said" and entry.message is not None:
            held = position_in(entry.message, options)
            if _counts(held, options):
                turn.positions[entry.speaker.name] = held
    return list(turns.values())


def _counts(held: Position, options: Sequence[str], *more: str) -> bool:
    """Whether this is an answer at all, and one of those that there are."""
    if not held.answer.strip():
        return False
    return not options or held.key in {answer_key(option) for option in (*options, *more)}


def _round(turn: _Open, before: Sequence[Round], evidence: set[str]) -> Round:
    held = _held_before(before)
    crowd = _most_held(before[-1].positions) if before else None
    positions, flips = {}, []
    for name in turn.speakers:  # in the order of the seats, whoever was quickest
        if name not in turn.positions:
            continue
        now, earlier = turn.positions[name], held.get(name)
        if earlier is not None and earlier.key != now.key:
            now = replace(now, changed_from=earlier.answer)
            flips.append(Flip(name, earlier.answer, now.answer, now.because, now.key == crowd))
        positions[name] = now
    brought = {answer_key(piece) for held in positions.values() for piece in held.evidence}
    fresh = len(brought - evidence)
    evidence |= brought
    counts = Counter(held.key for held in positions.values())
    total = counts.total()
    shares = [count / total for count in counts.values()]
    return Round(
        number=len(before) + 1,
        positions=positions,
        agreement=max(shares, default=0.0),
        entropy=sum((-share * math.log2(share) for share in shares if share < 1), 0.0),
        flips=tuple(flips),
        new_evidence=fresh,
        silent=tuple(name for name in turn.speakers if name not in positions),
        usage=turn.usage,
    )


def _held_before(rounds: Sequence[Round]) -> dict[str, Position]:
    return {name: held for one in rounds for name, held in one.positions.items()}


def _most_held(positions: Mapping[str, Position]) -> str | None:
    """The key that more hold than any other; None for a draw."""
    counts = Counter(held.key for held in positions.values()).most_common(2)
    if not counts or (len(counts) == 2 and counts[0][1] == counts[1][1]):
        return None
    return counts[0][0]


def tally(positions: Mapping[str, Position], *, by_confidence: bool, quota: float) -> Tally:
    """Count the answers, each once or as much as its speaker is sure of it."""
    weights: Counter[str] = Counter()
    answers: dict[str, str] = {}
    for held in positions.values():
        answers.setdefault(held.key, held.answer)
        weights[held.key] += held.confidence if by_confidence else 1.0  # type: ignore[assignment]
    listed = tuple((answers[key], float(weight)) for key, weight in weights.most_common())
    total = sum(weight for _, weight in listed)
    if not listed or not total:
        return Tally(listed, None, 0.0)
    share = listed[0][1] / total
    is_draw = len(listed) > 1 and math.isclose(listed[0][1], listed[1][1])
    return Tally(listed, None if is_draw or share <= quota else listed[0][0], share)


def ruling_in(entries: Sequence[Entry], options: Sequence[str] = ()) -> tuple[str, Position | None] | None:
    """Who was asked to judge, and the position that came of it (None: nothing did, or nothing that could be held);
    None if nobody was asked, or has not answered yet."""
    judging: int | None = None
    sides = {held.key for turn in _turns(entries, options) for held in turn.positions.values()}

    def ruling(message: Message) -> Position | None:
        held = position_in(message, options)
        is_one = held.is_stated or held.key in sides or held.key == answer_key(UNRESOLVED)
        return held if is_one and _counts(held, options, UNRESOLVED) else None

    for entry in entries:
        if entry.kind == "noted" and RULING in entry.flags and entry.message is not None and entry.speaker:
            return entry.speaker.name, ruling(entry.message)
        if entry.kind == "decided" and entry.why is not None:
            judging = entry.turn if entry.why.chosen_by == JUDGE else None
        elif judging == entry.turn and entry.speaker is not None and ends_turn(entry):
            said = entry.message if entry.kind == "said" else None
            return entry.speaker.name, None if said is None else ruling(said)
    return None
