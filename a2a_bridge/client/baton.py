"""A lock for tasks of any event loop: hosts run one conversation from several threads, each with a loop of its own.

Whoever has the baton hands it to who has waited longest, in that one's own loop. A task that is cancelled while it
waits leaves the row; one that was handed the baton in that moment hands it on. A loop that was closed meanwhile is
passed over.
"""

import asyncio
import threading
from collections import deque
from types import TracebackType
from typing import Any


class Baton:
    """`async with baton`: one at a time, first come first served. A copy is a baton of its own."""

    def __init__(self) -> None:
        self._guard = threading.Lock()  # held for moments, never over an await
        self._is_taken = False
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()

    def __reduce__(self) -> tuple[type["Baton"], tuple[()]]:
        return Baton, ()  # hosts copy and pickle what holds conversations; a lock cannot be

    async def __aenter__(self) -> None:
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return
            loop = asyncio.get_running_loop()
            mine = (loop, loop.create_future())
            self._waiting.append(mine)
        try:
            await mine[1]
        except asyncio.CancelledError:
            with self._guard:
                is_waiting = mine in self._waiting
                if is_waiting:
                    self._waiting.remove(mine)
            if not is_waiting:
                self._hand_on()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hand_on()

    def _hand_on(self) -> None:
        with self._guard:
            while self._waiting:
                loop, turn = self._waiting.popleft()
                try:
                    loop.call_soon_threadsafe(_settle, turn)
                except RuntimeError:  # that loop is closed: nobody waits there
                    continue
                return
            self._is_taken = False


def _settle(turn: "asyncio.Future[Any]") -> None:
    if not turn.done():
        turn.set_result(None)
