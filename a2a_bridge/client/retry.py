"""When a request is sent again, and after how long. The same messageId travels with every attempt (R-SEND-09)."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from a2a_bridge.errors import ConnectionFailedError
from a2a_bridge.net import Deadline

T = TypeVar("T")

_AGAIN = frozenset({None, 429, 502, 503})


@dataclass(frozen=True, slots=True)
class Retries:
    """How often a call (`times`) or a cut stream (`resumes`) is tried again in a row, and the pauses in seconds.

    Before attempt n + 1 the client waits a random time between half of and all of `pause * 2 ** n`, at most
    `longest`; a `Retry-After` of the agent is obeyed up to `longest`, and above that the error is raised at once.
    0 never tries again. A stream that brought a new event starts counting afresh; it is given more attempts than a
    call, enough for a server to be restarted meanwhile.
    """

    times: int = 3
    resumes: int = 6
    pause: float = 0.25
    longest: float = 10.0

    def wait_after(
        self, failed: int, error: Exception | None, deadline: Deadline, *, resuming: bool = False
    ) -> float | None:
        """Seconds to wait after the `failed`-th failure in a row, or None: give up."""
        if failed > (self.resumes if resuming else self.times) or deadline.is_over:
            return None
        asked = error.retry_after if isinstance(error, ConnectionFailedError) else None
        if asked is not None and asked > self.longest:
            return None
        wait = min(self.longest, self.pause * 2.0 ** (failed - 1)) * random.uniform(0.5, 1.0)
        return max(wait, asked or 0.0)


def is_transient(error: Exception) -> bool:
    """No connection, a broken one, or an agent that says it is busy: the same request may succeed in a moment."""
    return isinstance(error, ConnectionFailedError) and error.status in _AGAIN


async def with_retries(call: Callable[[], Awaitable[T]], retries: Retries, deadline: Deadline) -> T:
    """The call's result, tried again while what fails is transient."""
    failed = 0
    while True:
        try:
            return await call()
        except ConnectionFailedError as error:
            failed += 1
            wait = retries.wait_after(failed, error, deadline) if is_transient(error) else None
            if wait is None:
                raise
        await asyncio.sleep(deadline.cut(wait) or 0.0)
