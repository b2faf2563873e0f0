"""The room as an A2A endpoint of its own, for as long as a `with` block runs.

The server runs in a thread with its own event loop: uvicorn takes the process's signals for itself when it runs in the
main thread, and here one place decides what they do. Leaving the block cancels the server and waits a moment for it;
a thread that takes longer is a daemon, and ends with the process.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from a2a_bridge.bridge import serve_async
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.demo.processes import ChildFailedError, free_port, is_ready

START_SECONDS = 10.0
END_SECONDS = 2.0


@contextlib.contextmanager
def served(manager: GroupChatManager, folder: Path) -> Iterator[str]:
    """The URL of the room."""
    port = free_port()
    # What a server logs belongs into a file here: standard error is the terminal that shows the conversation.
    log = logging.FileHandler(folder / "room.log", delay=True)
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def run() -> None:
        server = loop.create_task(serve_async(manager, port=port, store=folder / "room.sqlite"))
        ended = loop.create_task(stop.wait())
        await asyncio.wait([server, ended], return_when=asyncio.FIRST_COMPLETED)
        server.cancel()
        await asyncio.wait([server])

    def run_in_thread() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(run())

    thread = threading.Thread(target=run_in_thread, daemon=True, name="room server")
    thread.start()
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(thread, url)
        logging.getLogger().handlers[:] = [log]
        yield url
    finally:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop.set)
        thread.join(END_SECONDS)
        logging.getLogger().removeHandler(log)
        log.close()


def _wait(thread: threading.Thread, url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready(url):
        if not thread.is_alive() or time.monotonic() > deadline:
            raise ChildFailedError(f"the room could not be served at {url}")
        time.sleep(0.05)
