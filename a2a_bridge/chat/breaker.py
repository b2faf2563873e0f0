"""A breaker per endpoint: who cannot be reached again and again is not called for a while.

The state belongs to the process and is shared by all rooms: an endpoint that is down for one is down for all. After
three turns in a row that did not reach it, it is left alone for 30 seconds, twice as long after each further failure,
at most five minutes; then one turn tries it again.
"""

import time
from typing import ClassVar, NamedTuple

from a2a_bridge.observe import metrics

FAILURES = 3
SECONDS, LONGEST = 30.0, 300.0
_KNOWN = 1000


class _State(NamedTuple):
    failures: int
    until: float


class Breaker:
    """Which endpoints are left alone at present."""

    _states: ClassVar[dict[str, _State]] = {}

    @classmethod
    def tell(cls, endpoint: str, *, failed: bool, now: float | None = None) -> None:
        """A turn has tried the endpoint; `failed`: it was not reached."""
        if not failed:
            if cls._states.pop(endpoint, None) is not None:
                _show(endpoint, 0)
            return
        now = time.monotonic() if now is None else now
        failures = cls._states.get(endpoint, _State(0, 0.0)).failures + 1
        pause = 0.0 if failures < FAILURES else min(SECONDS * 2 ** (failures - FAILURES), LONGEST)
        if len(cls._states) >= _KNOWN:
            cls._states.clear()
        cls._states[endpoint] = _State(failures, now + pause)
        if pause:
            _show(endpoint, 1)

    @classmethod
    def seconds_left(cls, endpoint: str | None, now: float | None = None) -> float:
        """For how long the endpoint is still left alone; 0: it may be called."""
        state = cls._states.get(endpoint) if endpoint is not None and cls._states else None
        if state is None or state.failures < FAILURES:
            return 0.0
        return max(0.0, state.until - (time.monotonic() if now is None else now))

    @classmethod
    def reset(cls) -> None:
        """Call everybody again."""
        cls._states.clear()


def _show(endpoint: str, value: int) -> None:
    if (counted := metrics.active) is not None:
        counted.circuit.labels(endpoint).set(value)
