"""MCP servers as tools. The only file that imports mcp, and only when a server is used.

Concurrency, in prose. A connection belongs to one event loop and is held by one task of its own, which opens it, waits,
and closes it: mcp's scopes must be left by the task that entered them. Whoever first wants the tools starts that task;
`aclose`, the `async with` block, or the end of the loop ends it, and a server that was started for us ends with it.
Calls are made from the tasks of the turns. A server that goes away fails the calls that wait, and is started or
connected anew by the next one; no call is made twice.
"""

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Self
from weakref import WeakKeyDictionary

from a2a_bridge.chat.tools import MAX_RESULT, TIMEOUT, Approval, Context, Tool
from a2a_bridge.errors import ToolError
from a2a_bridge.protocol.objects import JSONValue

if TYPE_CHECKING:
    from mcp import ClientSession

Connect = Callable[[Callable[[Any], Awaitable[None]]], AbstractAsyncContextManager[Any]]
"""Opens a session that hands what the server says of itself to a function."""

_log = logging.getLogger(__name__)
_CLOSED = -32000
"""mcp's own code for a connection that has ended."""
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")


@dataclass(frozen=True, slots=True)
class McpOptions:
    """How the tools of a server are used.

    `prefix` stands before their names, `only` names the ones that are taken (all if it is empty; as the server calls
    them). `timeout`: seconds for a call. `connect_timeout`: seconds to start or reach the server. `approval` holds for
    all of them.
    """

    prefix: str = ""
    only: tuple[str, ...] = ()
    timeout: float = TIMEOUT
    connect_timeout: float = 30.0
    max_result: int = MAX_RESULT
    approval: Approval | None = None


class McpServer:
    """The tools of one MCP server: `AssistantAgent(..., tools=[McpServer.stdio("python", ["server.py"])])`."""

    def __init__(self, name: str, connect: Connect, options: McpOptions = McpOptions()) -> None:
        self.name = name
        self._connect = connect
        self._options = options
        self._held: WeakKeyDictionary[asyncio.AbstractEventLoop, _Connection] = WeakKeyDictionary()

    @classmethod
    def stdio(
        cls,
        command: str,
        args: Sequence[str] = (),
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        options: McpOptions = McpOptions(),
    ) -> "McpServer":
        """A server that is started for us and spoken to over its standard input and output.

        It sees of our environment what mcp thinks harmless (PATH, HOME and the like), and `env`.
        """
        return cls(os.path.basename(command), partial(_stdio, command, tuple(args), dict(env or {}), cwd), options)

    @classmethod
    def http(
        cls, url: str, *, headers: Mapping[str, str] | None = None, options: McpOptions = McpOptions()
    ) -> "McpServer":
        """A server that runs somewhere, over streamable HTTP."""
        return cls(url.partition("?")[0], partial(_http, url, dict(headers or {})), options)

    def __repr__(self) -> str:
        return f"McpServer({self.name!r})"

    @property
    def approval(self) -> Approval | None:
        """Who must agree to its calls."""
        return self._options.approval

    async def __aenter__(self) -> Self:
        await self.tools()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def tools(self) -> Sequence[Tool]:
        """Its tools as it lists them now; listed again when it says that they have changed."""
        connection = await self._connection()
        if connection.listed is None:
            connection.listed = tuple(self._tool(found) for found in await self._listed(connection))
        return connection.listed

    async def aclose(self) -> None:
        """Close the connection of this event loop, and end the server if it was started for us."""
        connection = self._held.pop(asyncio.get_running_loop(), None)
        if connection is not None:
            await connection.aclose()

    async def _connection(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        held = self._held.get(loop)
        if held is None or held.is_over:
            held = self._held[loop] = _Connection(self.name, self._connect, self._options.connect_timeout)
        await held.session()
        return held

    async def _listed(self, connection: "_Connection") -> list[Any]:
        found: list[Any] = []
        cursor: str | None = None
        session = await connection.session()
        while True:
            page = await self._guarded(connection, session.list_tools(cursor))
            found += page.tools
            cursor = page.nextCursor
            if not cursor:
                break
        return [each for each in found if not self._options.only or each.name in self._options.only]

    def _tool(self, found: Any) -> Tool:
        options = self._options
        return Tool(
            name=_NOT_IN_A_NAME.sub("_", f"{options.prefix}{found.name}")[:64],
            description=found.description or found.name,
            parameters=found.inputSchema,
            run=partial(self._call, found.name),
            timeout=options.timeout,
            max_result=options.max_result,
            approval=options.approval,
        )

    async def _call(self, name: str, arguments: JSONValue, context: Context) -> str:
        connection = await self._connection()
        session = await connection.session()
        given = arguments if isinstance(arguments, dict) else {}
        result = await self._guarded(connection, session.call_tool(name, given))
        text = _text(result)
        if result.isError:
            raise ToolError(text or "the tool failed and did not say why")
        return text

    async def _guarded(self, connection: "_Connection", work: Any) -> Any:
        """Wait for an answer, or for the end of the connection."""
        asking = asyncio.ensure_future(work)
        try:
            await asyncio.wait({asking, connection.task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            asking.cancel()
            await asyncio.wait({asking})
        if asking.cancelled():
            raise ToolError(f"the MCP server {self.name} has gone away; it is connected again by the next call")
        error = asking.exception()  # whatever mcp raises: its types differ between versions
        if error is None:
            return asking.result()
        if getattr(getattr(error, "error", None), "code", _CLOSED) == _CLOSED:
            connection.drop()
        raise ToolError(f"the MCP server {self.name} answered with an error: {error}") from error


class _Connection:
    """One connection in one event loop, and the task that holds it."""

    def __init__(self, name: str, connect: Connect, timeout: float) -> None:
        self._name = name
        self._connect = connect
        self._timeout = timeout
        self._closing = asyncio.Event()
        self._dropped = False
        self._ready: asyncio.Future[ClientSession] = asyncio.get_running_loop().create_future()
        self.listed: tuple[Tool, ...] | None = None
        self.task = asyncio.create_task(self._hold(), name=f"mcp {name}")
        self.task.add_done_callback(self._ended)

    @property
    def is_over(self) -> bool:
        return self._dropped or self.task.done()

    async def session(self) -> "ClientSession":
        """The open session; ToolError if there is none to be had."""
        return await asyncio.shield(self._ready)

    def drop(self) -> None:
        """It is of no use any more: the next call makes another one, this one is closed by its task."""
        self._dropped = True
        self._closing.set()

    async def aclose(self) -> None:
        self._closing.set()
        await asyncio.wait({self.task}, timeout=self._timeout)
        self.task.cancel()  # if it does not let go
        await asyncio.wait({self.task})

    async def _hold(self) -> None:
        async with AsyncExitStack() as stack:
            try:
                async with asyncio.timeout(self._timeout):
                    session = await self._open(stack)
            except TimeoutError:
                raise ToolError(f"the MCP server {self._name} did not answer in {self._timeout:g} seconds") from None
            self._ready.set_result(session)
            await self._closing.wait()

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """What mcp and the server raised belongs to whoever waits for the session."""
        error = None if task.cancelled() else task.exception()
        if self._ready.done():
            if error is not None:
                _log.warning("the connection to the MCP server %s broke: %r", self._name, error)
            return
        if error is None:
            self._ready.cancel()
            return
        cannot = f"the MCP server {self._name} cannot be used: {_innermost(error)}"
        self._ready.set_exception(error if isinstance(error, ToolError) else ToolError(cannot))
        self._ready.exception()  # looked at, also if nobody waits any more

    async def _open(self, stack: AsyncExitStack) -> "ClientSession":
        session: ClientSession = await stack.enter_async_context(self._connect(self._heard))
        await session.initialize()
        return session

    async def _heard(self, message: Any) -> None:
        if getattr(getattr(message, "root", message), "method", "") == "notifications/tools/list_changed":
            self.listed = None


@asynccontextmanager
async def _stdio(
    command: str, args: tuple[str, ...], env: dict[str, str], cwd: str | None, heard: Any
) -> AsyncIterator[Any]:
    mcp = _package()
    told = mcp.StdioServerParameters(command=command, args=list(args), env=env, cwd=cwd)
    with open(os.devnull, "w", encoding="utf-8") as errors:  # noqa: ASYNC230
        async with (
            mcp.stdio_client(told, errlog=errors) as (read, write),
            mcp.ClientSession(read, write, message_handler=heard) as session,
        ):
            yield session


@asynccontextmanager
async def _http(url: str, headers: dict[str, str], heard: Any) -> AsyncIterator[Any]:
    mcp = _package()
    from mcp.client.streamable_http import create_mcp_http_client, streamable_http_client

    async with (
        create_mcp_http_client(headers=headers) as client,
        streamable_http_client(url, http_client=client) as streams,
        mcp.ClientSession(streams[0], streams[1], message_handler=heard) as session,
    ):
        yield session


def _package() -> Any:
    try:
        import mcp
    except ImportError:
        raise ToolError('MCP servers need the package mcp: pip install "a2a-agent-bridge[mcp]"') from None
    return mcp


def _innermost(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


def _text(result: Any) -> str:
    said = []
    for block in result.content:
        if block.type == "text":
            said.append(block.text)
        else:
            said.append(f"({block.type}, {getattr(block, 'mimeType', None) or 'of unknown type'})")
    return "\n".join(said)
