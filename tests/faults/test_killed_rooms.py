"""A room with three remote seats whose process is killed at any moment, and gone on with."""

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from room_nursery import TURNS, manager_of

from a2a_bridge.agent import Reply, Traits, Turn
from a2a_bridge.bridge import Bridge
from a2a_bridge.chat.exported import findings
from a2a_bridge.testing.agents import Scripted
from a2a_bridge.testing.server import running

ROOT = Path(__file__).parents[2]
NAMES = ("archivist", "critic", "editor")
MOMENTS = 3 * TURNS
KILLS = 50
_MESSAGE = re.compile(rb'"messageId":\s*"([^"]+)"')


class Remotes:
    """Three servers; what they were asked, and what their agents ran. At moment `until` the next agent that comes by
    is noticed, and stands still if it `holds`, until `go_on`."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self.asked: Counter[str] = Counter()
        self.runs: Counter[str] = Counter()
        self.begin(-1, holds=False)

    def begin(self, until: int, *, holds: bool) -> None:
        """A new room."""
        self.asked.clear()
        self.runs.clear()
        self._left = until
        self._holds = holds
        self.reached = asyncio.Event()
        self.go_on = asyncio.Event()

    async def _moment(self) -> None:
        self._left -= 1
        if self._left == -1:
            self.reached.set()
            if self._holds:
                await self.go_on.wait()

    async def speak(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """A turn has a beginning, a middle and an end."""
        self.runs[turn.context_id] += 1
        await self._moment()
        yield f"what {turn.id} is about "
        await self._moment()
        yield f"is worth {len(turn.messages)} words, no echo of {turn.context_id}"
        await self._moment()

    def bridge(self, name: str, url: str) -> Any:
        """A server of one agent, which knows its messages by their ids; what it is asked is counted."""
        agent = Scripted(self.speak, name=name, traits=Traits(keeps_context=True, after_crash="restartable"))
        bridge: Any = Bridge([agent], public_url=url)
        self.urls[name] = f"{url}/{name}/"
        return _Counted(bridge, self.asked)


class _Counted:
    def __init__(self, bridge: Any, asked: Counter[str]) -> None:
        self._bridge, self._asked = bridge, asked
        self.drain, self.app = bridge.drain, self

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def heard() -> Any:
            message = await receive()
            for found in _MESSAGE.findall(message.get("body", b"")):
                self._asked[found.decode()] += 1
            return message

        await self._bridge.app(scope, heard, send)


@pytest.fixture
async def remotes() -> AsyncIterator[Remotes]:
    made = Remotes()
    async with contextlib.AsyncExitStack() as stack:
        for name in NAMES:
            await stack.enter_async_context(running(lambda url, name=name: made.bridge(name, url)))
        yield made


class Nursery:
    """The process that forks rooms."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def start(self, store: Path, urls: dict[str, str]) -> int:
        """The pid of a process that runs the room in this store."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([str(store), urls]).encode() + b"\n")
        return await self._told()

    async def ended(self) -> int:
        """How it ended: 0, or minus the signal."""
        return await self._told()

    async def _told(self) -> int:
        assert self._process.stdout is not None
        async with asyncio.timeout(20):
            line = await self._process.stdout.readline()
        assert line, "the nursery has died"
        return int(line)


@pytest.fixture
async def nursery() -> AsyncIterator[Nursery]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(Path(__file__).with_name("room_nursery.py")), cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": ""}, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    yield Nursery(process)
    assert process.stdin is not None
    process.stdin.close()
    await process.wait()


async def lines_in(store: Path, urls: dict[str, str]) -> list[str]:
    """The one room in a store, exported."""
    manager = manager_of(str(store), urls)
    [room] = await manager.rooms()
    return [line async for line in manager.export(room.room_id)]


def said_in(lines: list[str]) -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in lines if line.startswith('{"seq"')]
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1)), "the log has no gaps"
    return [entry for entry in entries if entry["kind"] == "said" and entry["turn"]]


@pytest.mark.timeout(120)
async def test_a_room_that_is_killed_at_any_moment_goes_on_and_asks_nobody_twice(
    remotes: Remotes, nursery: Nursery, tmp_path: Path
) -> None:
    """Issue 4: finished turns asked once, the open one run once by a remote that de-duplicates, the log gap-free, the
    chain valid, and its replay the same."""
    chance = Random(4)
    kinds: Counter[str] = Counter()
    for number in range(KILLS):
        store, holds = tmp_path / f"{number}.sqlite", chance.random() < 0.5
        remotes.begin(chance.randrange(MOMENTS), holds=holds)
        pid = await nursery.start(store, remotes.urls)
        async with asyncio.timeout(20):
            await remotes.reached.wait()
        ending = asyncio.create_task(nursery.ended())
        if not holds:  # a moment later: while the answer travels, is written down, or somebody else is chosen
            await asyncio.wait([ending], timeout=chance.random() * 0.015)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        status = await ending
        assert status in (0, -signal.SIGKILL)
        before = await lines_in(store, remotes.urls)
        assert not findings(before)
        finished, asked = len(said_in(before)), [*remotes.asked]
        kinds["ended" if not status else "between" if len(asked) == finished else "open"] += 1
        times = {message: remotes.asked[message] for message in asked[:finished]}
        remotes.go_on.set()

        await nursery.start(store, remotes.urls)
        assert await nursery.ended() == 0
        lines = await lines_in(store, remotes.urls)
        assert not findings(lines), number
        assert lines[1 : len(before) - 4] == before[1:-4], "what was kept stays as it was"
        assert len(said_in(lines)) == TURNS, number
        assert {message: remotes.asked[message] for message in times} == times, "who has answered is not asked again"
        assert sorted(remotes.runs.values()) == [TURNS // 3] * 3, "each turn was run once"
        assert len(remotes.asked) == TURNS, "under one id each"
        manager = manager_of(str(store), remotes.urls)
        assert (await manager.replay((await manager.rooms())[0].room_id)).is_same, number
    assert kinds["open"] > KILLS // 2
    assert kinds["between"]
