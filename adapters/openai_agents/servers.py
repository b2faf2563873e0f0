"""The MCP servers of agents. The SDK wants them connected before a run, and `serve()` leaves no place to do it.

Concurrency, in prose. A server that nobody has connected is connected by the first turn that needs it, in a task of its
own for each event loop, because mcp's scopes must be left by the task that entered them; the end of the loop ends that
task, and a server that was started for us ends with it. Turns that run at the same time share the connection. When a
turn fails for a reason that may be a server's, the last turn to leave closes the connection, and the next one connects
anew. A server that somebody else has connected is left alone.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, nullcontext
from typing import Any
from weakref import WeakKeyDictionary

from agents import AgentsException, UserError

from a2a_bridge.errors import AdapterError

CONNECT_TIMEOUT = 30.0
"""Seconds for all servers to start or be reached."""

_log = logging.getLogger(__name__)

# A loop knows its tasks by weak references only, and the agent may be gone before the loop is.
_HOLDING: set[asyncio.Task[None]] = set()


class Servers:
    """The servers of some agents, held while turns use them."""

    def __init__(self, servers: Iterable[Any]) -> None:
        # Servers of other kinds than the SDK's do not tell whether they are connected.
        self._servers = [one for one in {id(each): each for each in servers}.values() if hasattr(one, "session")]
        self._held: WeakKeyDictionary[asyncio.AbstractEventLoop, _Held] = WeakKeyDictionary()

    def in_use(self) -> AbstractAsyncContextManager[object]:
        """Connected while it is entered; AdapterError if one of them cannot be."""
        return _Use(self.connection) if self._servers else nullcontext()

    async def connection(self) -> "_Held":
        """That of the running loop, when it is ready; whoever gets it is one of its users, and leaves it."""
        loop = asyncio.get_running_loop()
        # Others may wait for the same end, and the first of them makes the next one.
        while (held := self._held.get(loop)) is not None and held.closing.is_set() and not held.task.done():
            await asyncio.wait([held.task])
        if held is None or held.task.done():
            held = self._held[loop] = _Held([one for one in self._servers if one.session is None])
        held.users += 1  # before it is waited for: else one who leaves meanwhile could close it
        with ExitStack() as unless_ready:
            unless_ready.callback(held.leave)
            await asyncio.shield(held.ready)
            unless_ready.pop_all()
        return held


class _Use:
    """One turn's use of a connection. The last user of a broken one closes it."""

    def __init__(self, connection: Callable[[], Awaitable["_Held"]]) -> None:
        self._connection = connection
        self._held: _Held | None = None

    async def __aenter__(self) -> None:
        self._held = await self._connection()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if (held := self._held) is None:
            return
        if isinstance(error, Exception) and (not isinstance(error, AgentsException) or isinstance(error, UserError)):
            held.is_broken = True  # whatever it is: it may come from a server that has gone away
        held.leave()


class _Held:
    """The connections of one event loop, and the task that holds them."""

    def __init__(self, servers: list[Any]) -> None:
        self._servers = servers
        self.users = 0
        self.is_broken = False
        self.closing = asyncio.Event()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._hold(), name="mcp servers")
        _HOLDING.add(self.task)
        self.task.add_done_callback(self._ended)

    def leave(self) -> None:
        """One user less; the last one of a broken connection ends it."""
        self.users -= 1
        if self.is_broken and not self.users:
            self.closing.set()

    async def _hold(self) -> None:
        async with AsyncExitStack() as stack:
            for server in self._servers:
                stack.push_async_callback(server.cleanup)
            async with asyncio.timeout(CONNECT_TIMEOUT):
                for server in self._servers:
                    await server.connect()
            self.ready.set_result(None)
            await self.closing.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """What went wrong belongs to whoever waits for the connection."""
        _HOLDING.discard(task)
        error = None if task.cancelled() else task.exception()
        if self.ready.done():
            return
        names = ", ".join(server.name for server in self._servers)
        self.ready.set_exception(AdapterError(f"the MCP servers {names} cannot be connected: {type(error).__name__}"))
        self.ready.exception()  # looked at, also if nobody waits any more
        _log.warning("the MCP servers %s cannot be connected: %r", names, error)
