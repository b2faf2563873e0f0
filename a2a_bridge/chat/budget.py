"""What a conversation may cost, and what it has cost: a fold of its log.

A budget bounds a room, a seat, or both. Before a turn is asked for, what it will probably cost is reserved: as much as
the dearest turn so far, so that the last turn does not run over; afterwards what it did cost counts. Of a seat that
does not tell, tokens are estimated from its words, and the entry says so. At four fifths the room is told once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from a2a_bridge.agent import Usage
from a2a_bridge.chat.entry import Entry

ESTIMATED = "usage_estimated"
"""The flag of an entry whose tokens were not told but counted from the words."""
NOTICE_AT = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Bounds of a conversation or of one seat in it; None: no bound. `seconds` are counted from the run's beginning.

    `reserve_tokens` and `reserve_usd` are what a turn is expected to cost before there has been one.
    """

    tokens: int | None = None
    usd: float | None = None
    seconds: float | None = None
    messages: int | None = None
    remote_calls: int | None = None
    reserve_tokens: int = 0
    reserve_usd: float = 0.0

    def __post_init__(self) -> None:
        for name in ("tokens", "usd", "seconds", "messages", "remote_calls"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not value > 0):
                raise ValueError(f"Budget({name}={value!r}): a number above 0, or None for no bound")


@dataclass(slots=True)
class Spent:
    """What has been spent, and the dearest turn so far."""

    tokens: int = 0
    usd: float = 0.0
    messages: int = 0
    remote_calls: int = 0
    most_tokens: int = 0
    most_usd: float = 0.0

    def add(self, entry: Entry) -> None:
        """Count one entry."""
        used = entry.usage
        if used is not None:
            tokens, usd = used.input_tokens + used.output_tokens, used.cost_usd or 0.0
            self.tokens += tokens
            self.usd += usd
            self.most_tokens = max(self.most_tokens, tokens)
            self.most_usd = max(self.most_usd, usd)
        self.messages += entry.kind == "said"
        is_remote = entry.speaker is not None and entry.speaker.kind == "remote"
        self.remote_calls += is_remote and entry.kind in ("said", "failed", "passed", "asked")


def broken(
    budget: Budget, spent: Spent, seconds: float, needs: tuple[float, float, float, float] = (0, 0, 0, 0)
) -> str | None:
    """The bound that is reached, or that a turn which `needs` so much would break, in words; None if there is none.

    `needs`: tokens, US dollars, messages, remote calls.
    """
    for name, bound, has, need in zip(
        ("tokens", "US dollars", "messages", "remote calls"),
        (budget.tokens, budget.usd, budget.messages, budget.remote_calls),
        (spent.tokens, spent.usd, spent.messages, spent.remote_calls),
        needs,
        strict=True,
    ):
        if bound is not None and (has >= bound or has + need > bound):
            more = f", and a turn may take {_figure(need)}" if need else ""
            return f"{_figure(has)} of {_figure(bound)} {name} are spent{more}"
    if budget.seconds is not None and seconds >= budget.seconds:
        return f"{budget.seconds:g} seconds have passed"
    return None


class Meter:
    """One run's spending, against the room's budget and those of its seats. `counts`: there is any budget at all."""

    def __init__(self, budget: Budget | None, seats: dict[str, Budget]) -> None:
        self._budget = budget
        self._seats = seats
        self._room = Spent()
        self._spent: dict[str, Spent] = {name: Spent() for name in seats}
        self._began: int | None = None
        self._now = 0
        self._noticed = False
        self.has_seats = bool(seats)
        self.counts = budget is not None or self.has_seats

    def add(self, entry: Entry) -> None:
        """Count one entry of the run, in order."""
        self._now = entry.at
        if self._began is None:
            self._began = entry.at
        self._room.add(entry)
        spent = self._spent.get(entry.speaker.name) if entry.speaker is not None else None
        if spent is not None:
            spent.add(entry)

    def over(self, now: int, speakers: Sequence[str] = (), *, remote: int = 0) -> str | None:
        """The bound of the room that the next turn would break, in words; None if there is room for it.

        `now` in milliseconds since 1970; `remote` of the speakers are remote agents.
        """
        if self._budget is None:
            return None
        return self._over(self._budget, self._room, now, max(1, len(speakers)), remote)

    def seat_over(self, name: str, now: int, *, remote: bool) -> str | None:
        """The same of one seat."""
        budget = self._seats.get(name)
        return None if budget is None else self._over(budget, self._spent[name], now, 1, int(remote))

    def _over(self, budget: Budget, spent: Spent, now: int, turns: int, remote: int) -> str | None:
        tokens = turns * max(spent.most_tokens, budget.reserve_tokens)
        usd = turns * max(spent.most_usd, budget.reserve_usd)
        seconds = 0.0 if self._began is None else (now - self._began) / 1000
        return broken(budget, spent, seconds, (tokens, usd, turns, remote))

    def notice(self) -> str | None:
        """Once, when four fifths of a bound are spent: which, in words for the room."""
        budget, spent = self._budget, self._room
        if budget is None or self._noticed:
            return None
        for name, bound, has in (
            ("tokens", budget.tokens, spent.tokens),
            ("US dollars", budget.usd, spent.usd),
            ("messages", budget.messages, spent.messages),
            ("remote calls", budget.remote_calls, spent.remote_calls),
        ):
            if bound is not None and has >= NOTICE_AT * bound:
                self._noticed = True
                return f"{_figure(has)} of {_figure(bound)} {name} are spent: come to an end soon."
        return None


def _figure(value: float) -> str:
    return f"{value:g}" if value < 1e6 else f"{value:.0f}"


def estimated(words: str) -> Usage:
    """A rule of thumb for agents that do not tell: four characters are a token."""
    return Usage(output_tokens=max(1, len(words) // 4))
