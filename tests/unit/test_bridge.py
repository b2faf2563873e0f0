"""What a bridge refuses, and what `serve` says when it cannot start."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge import serve
from a2a_bridge.bridge import Bridge, serve_async, url_name
from a2a_bridge.client.client import Client, Retries
from a2a_bridge.errors import ConfigError, StoreUnavailableError
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.testing.server import free_socket
from a2a_bridge.testing.wire import Wire, eventually


def echo(text: str) -> str:
    return text


def shout(text: str) -> str:
    return text.upper()


def free_port() -> int:
    with free_socket() as bound:
        return int(bound.getsockname()[1])


def test_names_of_agents_become_names_in_urls() -> None:
    assert url_name("Market Crew_2") == "market-crew-2"
    for name in ("tasks", "!!!", "healthz"):
        with pytest.raises(ConfigError):
            url_name(name)


def test_two_agents_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"same name in URLs: echo\. .* in a dict"):
        Bridge([echo, shout, echo])
    assert list(Bridge({"first": echo, "second": echo}, store=MemoryStore()).agents) == ["first", "second"]


def test_a_root_or_a_card_of_nobody_is_refused() -> None:
    with pytest.raises(ConfigError, match="none of the agents"):
        Bridge([echo], root="planner")
    with pytest.raises(ConfigError, match="not served"):
        Bridge([echo], cards={"planner": "planner.json"})
    with pytest.raises(ConfigError, match="no agent"):
        Bridge([])


async def test_inside_a_running_loop_serve_names_the_awaitable_spelling() -> None:
    with pytest.raises(RuntimeError, match="await serve_async"):
        serve(echo)


def test_a_taken_port_is_a_sentence() -> None:
    """Ours: not a line in the log and an exit code."""
    with free_socket() as bound:
        bound.listen()
        with pytest.raises(ConfigError, match="cannot listen on"):
            serve(echo, port=bound.getsockname()[1], store="memory")


async def test_a_taken_store_is_a_sentence(tmp_path: Path) -> None:
    first = SQLiteStore(tmp_path / "tasks.sqlite")
    await first.open()
    try:
        with pytest.raises(StoreUnavailableError, match="belongs to process"):
            await serve_async(echo, port=free_port(), store=tmp_path / "tasks.sqlite")
    finally:
        await first.close()


async def test_a_server_that_is_cancelled_gives_back_its_port_and_its_store(tmp_path: Path) -> None:
    """Ours: `asyncio.create_task(serve_async(...))`, and again when the cell of a notebook is run again."""
    port, store = free_port(), tmp_path / "tasks.sqlite"
    for _ in range(2):
        serving = asyncio.create_task(serve_async(echo, port=port, store=store))
        async with Client(f"http://127.0.0.1:{port}", retries=Retries(times=100, longest=0.1)) as client:
            assert (await client.send("hello")).text == "hello"
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(serving, 10)
    again = SQLiteStore(store)
    await again.open()
    await again.close()


class Noticed(SQLiteStore):
    """Says when it is open, and when it is closed."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.opened, self.closed = asyncio.Event(), asyncio.Event()

    async def open(self) -> None:
        await super().open()
        self.opened.set()

    async def close(self) -> None:
        await super().close()
        self.closed.set()


async def test_a_server_that_is_cancelled_while_it_starts_closes_its_store_and_its_port(tmp_path: Path) -> None:
    """Ours: at any step from there on; before, the thread that opens it lets it go."""
    for steps in range(20):
        port, store = free_port(), Noticed(tmp_path / "tasks.sqlite")
        serving = asyncio.create_task(serve_async(echo, port=port, store=store))
        await asyncio.wait_for(store.opened.wait(), 5)
        for _ in range(steps):
            await asyncio.sleep(0)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(serving, 10)
        assert store.closed.is_set(), steps
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_server_that_is_cancelled_while_its_store_is_opened_lets_it_go(tmp_path: Path) -> None:
    """Ours: soon, as its thread may be in the middle of it."""
    serving = asyncio.create_task(serve_async(echo, port=free_port(), store=tmp_path / "tasks.sqlite"))
    await asyncio.sleep(0)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(serving, 10)
    await eventually(lambda: is_free(tmp_path / "tasks.sqlite"))


async def is_free(path: Path) -> bool:
    store = SQLiteStore(path)
    try:
        await store.open()
    except StoreUnavailableError:
        return False
    await store.close()
    return True


async def test_a_bridge_that_could_not_take_up_its_tasks_may_be_opened_again(start: Any) -> None:
    """Ours: the disk was full, and is not any more."""

    class FullAtFirst(MemoryStore):
        is_full = True

        async def page(self, *args: Any, **more: Any) -> Any:
            if self.is_full:
                raise StoreUnavailableError("full")
            return await super().page(*args, **more)

    store = FullAtFirst()
    bridge = Bridge(echo, store=store)
    with pytest.raises(StoreUnavailableError, match="full"):
        await bridge.open()
    store.is_full = False
    sent = await Wire(await start(bridge)).send("hello")
    assert sent["status"]["state"] == "TASK_STATE_COMPLETED"


def test_the_stores_of_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: a file that is named after the first agent, unless something else is said."""
    handed: list[Bridge] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("a2a_bridge.bridge.run_server", lambda bridge, listening, ready: handed.append(bridge))
    serve([shout, echo])
    serve(echo, store="memory")
    serve(echo, store="mine.sqlite")
    first, second, third = (bridge.store for bridge in handed)
    assert isinstance(first, SQLiteStore)
    assert first.path == tmp_path / "a2a-bridge-shout.sqlite"
    assert isinstance(second, MemoryStore)
    assert isinstance(third, SQLiteStore)
    assert third.path == tmp_path / "mine.sqlite"


def test_a_card_never_names_an_address_that_nobody_can_call(monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[Bridge] = []
    monkeypatch.setattr("a2a_bridge.bridge.run_server", lambda bridge, listening, ready: handed.append(bridge))
    serve(echo, host="0.0.0.0", port=9000, store="memory")
    assert handed[0].cards["echo"].supported_interfaces[0].url == "http://127.0.0.1:9000/echo/"
