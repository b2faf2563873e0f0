"""How much one caller, and all of them together, may have: a rate, and a number of things at a time.

Plain bookkeeping, on one event loop: nothing waits here and no task runs. Who is refused is told for how long.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

KNOWN = 10_000
"""For so many callers or addresses a rate is remembered; the one that was not seen for longest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server allows. Sizes in bytes, times in seconds; 0 where it says so: no limit.

    A request: `body` and `depth` bound its body, `parts` those of its message; its head, and the time in which it
    must have come, have fixed bounds (`connection.py`). A caller, or an address where nobody says who he is: `rate`
    requests a second in the long run and `burst` at once (0: any rate); `caller_streams` open streams (0: any).
    An address: `attempts` to say who calls that were refused, a second and `attempts_burst` at once (0: any).
    All together: `streams` open streams, `runs` turns at a time (0: any). A task: `queue` messages that wait for it,
    `history` messages in it, `log` bytes of its events (0: any); `turn` is how long one turn of an agent may take.
    `grace` is what running turns get when the server stops. `ping` is the silence after which a stream gets a comment
    (0: never), `send` the time after which a reader that does not read is cut.
    """

    body: int = 4 << 20
    depth: int = 64
    parts: int = 256
    rate: float = 0.0
    burst: int = 40
    attempts: float = 1.0
    attempts_burst: int = 20
    streams: int = 2000
    caller_streams: int = 500
    runs: int = 1000
    queue: int = 100
    history: int = 1000
    log: int = 64 << 20
    turn: float = 1800.0
    grace: float = 10.0
    ping: float = 15.0
    send: float = 30.0


class Buckets:
    """A token bucket for each key: `rate` takes a second in the long run, `burst` at once. `rate` 0: no limit."""

    def __init__(self, rate: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def take(self, key: str) -> float:
        """0 if one was taken, else the seconds until there is one."""
        if not self._rate:
            return 0.0
        now = self._clock()
        left, before = self._left.pop(key, (self._burst, now))
        left = min(self._burst, left + (now - before) * self._rate)
        taken = left >= 1.0
        self._left[key] = (left - 1.0 if taken else left, now)  # at the end: the dictionary is in order of use
        if len(self._left) > KNOWN:
            del self._left[next(iter(self._left))]
        return 0.0 if taken else (1.0 - left) / self._rate


class Place:
    """One place that was taken; it is given back once, however often that is asked for."""

    __slots__ = ("_key", "_places")

    def __init__(self, places: "Places", key: str) -> None:
        self._places: Places | None = places
        self._key = key

    def give_back(self) -> None:
        """Somebody else may have it."""
        places, self._places = self._places, None
        if places is not None:
            places.free(self._key)


class Places:
    """At most `total` at a time, and `each` of one key. 0: no limit."""

    def __init__(self, total: int, each: int) -> None:
        self._total = total
        self._each = each
        self._taken = 0
        self._of: dict[str, int] = {}

    def take(self, key: str) -> Place | None:
        """A place, or None if all are taken; whoever got one gives it back."""
        mine = self._of.get(key, 0)
        if 0 < self._total <= self._taken or 0 < self._each <= mine:
            return None
        self._taken += 1
        self._of[key] = mine + 1
        return Place(self, key)

    def free(self, key: str) -> None:
        """A `Place` under this key is given back."""
        self._taken -= 1
        mine = self._of.pop(key) - 1
        if mine:
            self._of[key] = mine
