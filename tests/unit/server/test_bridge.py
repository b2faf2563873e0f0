"""Agents put together into one app, and how it starts and stops (`bridge.py`, `server/app.py`, `server/http.py`)."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest

from a2a_bridge.bridge import Bridge, serve, url_name
from a2a_bridge.errors import ConfigError, StoreError, StoreUnavailableError
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.server.http import header_list
from a2a_bridge.server.limits import Limits
from a2a_bridge.store.memory import MemoryStore
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.testing.agents import Gate, Obedient, Scripted
from a2a_bridge.testing.transport import AppTransport
from a2a_bridge.testing.wire import Wire, say


def echo(text: str) -> str:
    """Says it again."""
    return f"echo: {text}"


async def test_anything_that_can_take_a_turn_is_served(start: Any) -> None:
    """Issue: a function, a list, a mapping from names in URLs."""
    for agents, paths in (
        (echo, ["/", "/echo/"]),
        ([echo, Obedient(name="The Other One!")], ["/", "/echo/", "/the-other-one/"]),
        ({"x-1": echo}, ["/", "/x-1", "/x-1/"]),
    ):
        http = await start(Bridge(agents))
        for path in paths:
            assert (await Wire(http, path).send("hi"))["artifacts"][0]["parts"] == [{"text": "echo: hi"}]


async def test_the_root_is_the_first_agent_or_the_chosen_one(start: Any) -> None:
    """Architecture: one agent stands at the root too; the tasks are the same ones."""
    agents = {"one": Obedient(name="one"), "two": Obedient(name="two")}
    http = await start(Bridge(agents, root="two"))
    task = await Wire(http).send("hello")
    assert await Wire(http, "/two/").get(task["id"]) == task
    assert (await Wire(http, "/one/").error("GetTask", {"id": task["id"]}))["code"] == -32001


@pytest.mark.parametrize(
    ("agents", "options"),
    [
        ([], {}),
        ({}, {}),
        ({"Upper": echo}, {}),
        ({"a" * 65: echo}, {}),
        ({"healthz": echo}, {}),
        ({"": echo}, {}),
        ([Obedient(name="same"), Obedient(name="Same!")], {}),
        (Obedient(name="tasks"), {}),
        (Obedient(name="!!!"), {}),
        (echo, {"root": "other"}),
        (echo, {"cards": {"other": AgentCard(name="n", description="d", version="1")}}),
    ],
)
def test_what_cannot_be_served_is_said_when_it_is_made(agents: Any, options: Any) -> None:
    """Failure 14: no option and no name is silently dropped or changed."""
    with pytest.raises((ConfigError, ValueError)):
        Bridge(agents, **options)


@pytest.mark.parametrize(
    ("name", "found"), [("Plan ner", "plan-ner"), ("a_b.c", "a-b-c"), ("-x-", "x"), ("Ünï", "n"), ("x" * 99, "x" * 64)]
)
def test_a_name_becomes_a_part_of_a_url(name: str, found: str) -> None:
    """Architecture: [a-z0-9-], at most 64 characters."""
    assert url_name(name) == found


async def test_serve_refuses_a_running_loop_and_names_the_other_spelling() -> None:
    """Architecture: one of the three sync edges."""
    with pytest.raises(RuntimeError, match="await serve_async"):
        serve(echo)


async def test_an_app_under_a_path_of_another_app_is_found(start: Any) -> None:
    """Our decision: a mounted bridge answers below its mount."""
    bridge = Bridge(echo)
    await start(bridge)

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await bridge(scope | {"root_path": "/agents"}, receive, send)

    transport = AppTransport(mounted)
    async with httpx.AsyncClient(transport=transport, base_url="http://t", headers={"A2A-Version": "1.0"}) as http:
        assert (await Wire(http, "/agents/echo/").send("hi"))["status"]["state"] == "TASK_STATE_COMPLETED"
        assert (await http.get("/agents/.well-known/agent-card.json")).status_code == 200


def test_lists_in_headers_are_read_over_lines_and_commas() -> None:
    """R-EXT-01."""
    headers = [(b"x", b"a, b,,"), (b"y", b"z"), (b"x", b" c ")]
    assert header_list(headers, b"x") == ["a", "b", "c"]
    assert header_list(headers, b"none") == []


# --- starting and stopping


async def test_the_lifespan_of_the_app_starts_and_stops_the_bridge(tmp_path: Path) -> None:
    """Issue: under any ASGI server; the store is open in between."""
    bridge = Bridge(echo, store=SQLiteStore(tmp_path / "s.sqlite"))
    sent: asyncio.Queue[Any] = asyncio.Queue()
    received: asyncio.Queue[Any] = asyncio.Queue()
    received.put_nowait({"type": "lifespan.startup"})
    app = asyncio.create_task(bridge({"type": "lifespan", "state": {}}, received.get, sent.put))
    async with asyncio.timeout(5):
        assert (await sent.get())["type"] == "lifespan.startup.complete"
        async with httpx.AsyncClient(transport=AppTransport(bridge), base_url="http://t") as http:
            assert (await http.get("/readyz")).status_code == 200
            received.put_nowait({"type": "lifespan.shutdown"})
            assert (await sent.get())["type"] == "lifespan.shutdown.complete"
            assert (await http.get("/readyz")).status_code == 503
        await app
    with pytest.raises(StoreUnavailableError):
        await bridge.store.get("task", "x")


async def test_stopping_twice_is_stopping_once() -> None:
    """Our decision: a signal and the lifespan may both ask for it."""
    bridge = Bridge(echo)
    await bridge.start()
    await asyncio.gather(bridge.drain(), bridge.drain(), bridge.stop())
    await bridge.drain()


async def test_running_work_is_waited_for_and_then_cut_off(start: Any) -> None:
    """Issue: the grace is a limit, and no wait when nothing runs."""
    gate = Gate()

    async def behaviour(turn: Any) -> Any:
        await gate()
        yield "done"

    bridge = Bridge(Scripted(behaviour), limits=Limits(grace=0.1))
    wire = Wire(await start(bridge))
    sending = asyncio.create_task(wire.send())
    await gate.reached()
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await bridge.drain()
    assert 0.1 <= loop.time() - begun < 1.0
    assert (await sending)["status"]["state"] == "TASK_STATE_FAILED"
    idle = Bridge(echo, limits=Limits(grace=30.0))
    await idle.start()
    begun = loop.time()
    await idle.stop()
    assert loop.time() - begun < 1.0


async def test_housekeeping_outlives_a_store_that_fails(monkeypatch: Any, caplog: Any) -> None:
    """House rule: a background task has an owner, and an error in it is seen and not its end."""
    monkeypatch.setattr("a2a_bridge.bridge.SWEEP_SECONDS", 0.005)
    swept = asyncio.Event()

    class Failing(MemoryStore):
        count = 0

        async def expire(self, now: float) -> int:
            self.count += 1
            if self.count == 1:
                raise StoreError("full")
            swept.set()
            return 0

    bridge = Bridge(echo, store=Failing())
    with caplog.at_level(logging.ERROR):
        await bridge.start()
        async with asyncio.timeout(5):
            await swept.wait()
        await bridge.stop()
    assert "could not be removed" in caplog.text


async def test_the_log_tells_how_turns_ended_without_their_words(start: Any, caplog: Any) -> None:
    """Issue: structured lines with task, context and trace; never what was said."""
    wire = Wire(await start(Bridge(Obedient())))
    header = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    with caplog.at_level(logging.INFO):
        task = (await wire.result("SendMessage", say("fail", contextId="c-1"), headers=header))["task"]
    (line,) = [record for record in caplog.records if record.getMessage() == "turn ended"]
    assert line.fields["a2a.task.id"] == task["id"]  # type: ignore[attr-defined]
    assert line.fields["gen_ai.conversation.id"] == "c-1"  # type: ignore[attr-defined]
    assert line.fields["a2a.task.state"] == "TASK_STATE_FAILED"  # type: ignore[attr-defined]
    assert line.fields["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"  # type: ignore[attr-defined]
    assert "no more paint" not in caplog.text
