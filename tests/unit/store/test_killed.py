"""A process that is killed while it writes: what it had been told is kept is there, and the file is sound."""

import asyncio
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from a2a_bridge.errors import StoreUnavailableError
from a2a_bridge.store.sqlite import SQLiteStore

ROOT = Path(__file__).parents[3]


async def start(path: Path, seed: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("killed_writer.py")),
        str(path),
        str(seed),
        stdout=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )


async def told(process: asyncio.subprocess.Process, lines: int, kept: dict[str, int]) -> None:
    """Hear what has been kept, kill the process, and hear what it had said until then."""
    assert process.stdout is not None
    for _ in range(lines):
        name, _, number = (await process.stdout.readline()).decode().rpartition(" ")
        kept[name] = int(number)
    process.kill()
    rest = (await process.stdout.read()).decode()
    await process.wait()
    for line in rest.splitlines(keepends=True):
        if line.endswith("\n"):
            name, _, number = line.rpartition(" ")
            kept[name] = int(number)


async def test_a_killed_process_loses_nothing_that_it_was_told_is_kept(tmp_path: Path) -> None:
    """Issue, reliability §5: kill -9 in the middle of writing, five times on one file; no gap, integrity_check ok."""
    path = tmp_path / "store.sqlite"
    kept: dict[str, int] = {}
    for seed, lines in enumerate((1, 40, 333, 90, 500)):
        async with asyncio.timeout(15):
            await told(await start(path, seed), lines, kept)
        store = SQLiteStore(path)
        await store.open()  # the lock went with the process
        for name, number in kept.items():
            events = await store.read(name, limit=100_000)
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            assert [event.data.rstrip() for event in events] == [b"%s %d" % (name.encode(), seq) for seq, _ in events]
            assert len(events) >= number
            row = await store.get("task", name)
            assert row is not None
            assert int(row.value) == len(events)
            assert (await store.claim(name)).last == len(events)
        page = await store.page("task", "g")
        counted = [await store.count("task", "g", labels=(label, None)) for label in "012"]
        assert sum(counted) == len(page) == await store.count("task", "g")
        await store.close()
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_writing_process_is_named_and_its_death_frees_the_file(tmp_path: Path) -> None:
    """Architecture §4: the sentence says who to stop; a reader works meanwhile, and after the kill without a writer."""
    path = tmp_path / "store.sqlite"
    async with asyncio.timeout(20):
        process = await start(path, 1)
        assert process.stdout is not None
        await process.stdout.readline()
        with pytest.raises(StoreUnavailableError, match=rf"process {process.pid} \(killed_writer.py\)"):
            await SQLiteStore(path).open()
        reader = SQLiteStore(path, readonly=True)
        await reader.open()
        assert await reader.page("task", "g")
        await reader.close()
        kept: dict[str, int] = {}
        await told(process, 20, kept)
        reader = SQLiteStore(path, readonly=True)
        await reader.open()
        for name, number in kept.items():
            assert len(await reader.read(name, limit=100_000)) >= number
        await reader.close()
