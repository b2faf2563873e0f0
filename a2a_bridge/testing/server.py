"""A real server on a free port of loopback, in the running event loop."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import uvicorn

from a2a_bridge.bridge import Bridge
from a2a_bridge.connection import HTTP


def free_socket() -> socket.socket:
    """A socket bound to a free port of 127.0.0.1; the caller closes it or hands it to a server."""
    # With the protocol named, asyncio sets TCP_NODELAY; without, every small answer waits for 40 ms.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", 0))
    return bound


class _Quiet(uvicorn.Server):
    """uvicorn without signal handlers: the test decides when it ends. It drains the bridge as `serve` does."""

    bridge: Bridge

    @contextlib.contextmanager
    def capture_signals(self):  # type: ignore[no-untyped-def]
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self.bridge.drain()
        await super().shutdown(sockets)


@contextlib.asynccontextmanager
async def running(make: Callable[[str], Bridge], bound: socket.socket | None = None) -> AsyncIterator[str]:
    """Serve `make(public_url)`, on a socket that is bound already if one is given; gives the URL.

    At the end the server stops as it would on SIGTERM.
    """
    bound = free_socket() if bound is None else bound
    url = f"http://127.0.0.1:{bound.getsockname()[1]}"
    bridge = make(url)
    config = uvicorn.Config(
        bridge.app, http=HTTP, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=3
    )
    server = _Quiet(config)
    server.bridge = bridge
    task = asyncio.get_running_loop().create_task(server.serve([bound]))
    try:
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.005)
        yield url
    finally:
        server.should_exit = True
        await task
        bound.close()
