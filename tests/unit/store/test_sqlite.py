"""The SQLite store: whose file it is, what it refuses to open, and what happens when it cannot write."""

import asyncio
import errno
import os
import resource
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.errors import StoreConflictError, StoreUnavailableError
from a2a_bridge.store.contract import Change, Claim, Entry
from a2a_bridge.store.sqlite import SQLiteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.sqlite"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    made = SQLiteStore(path)
    await made.open()
    yield made
    async with asyncio.timeout(5):
        await made.close()


@contextmanager
def blocked(path: Path) -> Iterator[None]:
    """Somebody else is writing: the store's next transaction waits, and what comes meanwhile shares the one after."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


async def pragma(store: SQLiteStore, text: str) -> Any:
    """Ask the writing connection, in its thread."""
    ledger = store._writing()
    return await store._writer.submit(lambda: ledger._connection.execute(f"PRAGMA {text}").fetchone())


async def reopened(path: Path) -> SQLiteStore:
    store = SQLiteStore(path)
    await store.open()
    return store


class TestTheFile:
    async def test_a_second_writer_is_told_whom_to_stop(self, store: SQLiteStore, path: Path) -> None:
        """Architecture §4: a file belongs to one writing process."""
        with pytest.raises(StoreUnavailableError, match=rf"belongs to process {os.getpid()} .*Stop that first"):
            await SQLiteStore(path).open()
        await store.put(Change("k", "a", b"still works"))

    async def test_two_names_of_one_file_are_one_file(self, store: SQLiteStore, path: Path) -> None:
        """Architecture §4: the lock is on the file, not on its name."""
        link = path.with_name("link.sqlite")
        link.symlink_to(path)
        with pytest.raises(StoreUnavailableError, match="belongs to process"):
            await SQLiteStore(link).open()

    async def test_closing_lets_the_next_one_in(self, path: Path) -> None:
        """Architecture §4: held for as long as the store is open."""
        for n in range(3):
            store = await reopened(path)
            assert await store.claim("s") == Claim(n + 1, 0)
            await store.close()

    async def test_a_lock_that_cannot_be_made_is_a_clear_error(self, tmp_path: Path) -> None:
        """Our contract: `open` says why not and what to do."""
        (tmp_path / "store.sqlite.lock").mkdir()
        with pytest.raises(StoreUnavailableError, match="cannot be locked"):
            await SQLiteStore(tmp_path / "store.sqlite").open()

    async def test_a_folder_in_its_place_is_told(self, tmp_path: Path) -> None:
        """Ours: the path of a volume instead of a file in it."""
        with pytest.raises(StoreUnavailableError, match="is a folder: name a file in it"):
            await SQLiteStore(tmp_path).open()

    async def test_the_holder_is_told_with_its_machine(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Ours: in containers every server is process 1."""
        monkeypatch.setattr("socket.gethostname", lambda: "pod-a")
        store = await reopened(path)
        monkeypatch.setattr("socket.gethostname", lambda: "pod-b")
        with pytest.raises(StoreUnavailableError, match=rf"belongs to process {os.getpid()} on pod-a \("):
            await SQLiteStore(path).open()
        await store.close()

    async def test_a_full_disk_does_not_keep_a_store_from_its_owner(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ours: what is in it can still be read; that nobody can write down who holds the lock does no harm."""

        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        await (await reopened(path)).close()
        monkeypatch.setattr("os.pwrite", full)
        store = await reopened(path)
        with pytest.raises(StoreUnavailableError, match="belongs to another process"):
            await SQLiteStore(path).open()
        await store.close()

    async def test_a_file_that_may_not_be_written_says_who_must_be_let_in(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Ours: a volume that belongs to root is the usual mistake with containers."""

        def refused(name: Any, *more: Any) -> int:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(name))

        monkeypatch.setattr("os.open", refused)
        hint = rf"lock: Permission denied. This process is user {os.getuid()}: let it write to the file and to its"
        with pytest.raises(StoreUnavailableError, match=hint):
            await SQLiteStore(path).open()

    async def test_a_damaged_file_is_told_in_a_sentence_and_let_go(self, path: Path) -> None:
        """Ours: not a traceback; and the lock is free for whoever puts a backup in its place."""
        await (await reopened(path)).close()
        whole = path.read_bytes()
        page = int.from_bytes(whole[16:18], "big")
        path.write_bytes(whole[:page] + b"\xff" * (len(whole) - page))
        with pytest.raises(StoreUnavailableError, match=r"malformed\. It is damaged: put a backup in its place"):
            await SQLiteStore(path).open()
        path.write_bytes(whole)
        await (await reopened(path)).close()

    async def test_only_its_owner_can_read_it(self, store: SQLiteStore, path: Path) -> None:
        """Our decision: conversations are private."""
        await store.put(Change("k", "a", b""))
        for file in path.parent.iterdir():
            assert stat.S_IMODE(file.stat().st_mode) == 0o600, file

    async def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        """Our contract: `open` says why not and what to do."""
        with pytest.raises(StoreUnavailableError, match="nowhere does not exist: create it"):
            await SQLiteStore(tmp_path / "nowhere" / "store.sqlite").open()

    async def test_a_file_of_a_newer_version_is_refused(self, path: Path) -> None:
        """Our decision: what this version does not know it must not write to."""
        await (await reopened(path)).close()
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA user_version = 99")
        for readonly in (False, True):
            with pytest.raises(StoreUnavailableError, match="newer a2a_bridge"):
                await SQLiteStore(path, readonly=readonly).open()
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA user_version = 1")
        await (await reopened(path)).close()  # the refusal has let go of the lock

    async def test_somebody_elses_database_is_refused_and_left_alone(self, path: Path) -> None:
        """Our decision: a wrong path must not put our tables into another program's file."""
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE theirs (a)")
        before = path.read_bytes()
        with pytest.raises(StoreUnavailableError, match="not a store of a2a_bridge"):
            await SQLiteStore(path).open()
        assert path.read_bytes() == before

    async def test_a_file_that_is_no_database_is_refused_and_left_alone(self, path: Path) -> None:
        """Our decision: likewise."""
        path.write_bytes(b"Dear diary, " * 1000)
        for readonly in (False, True):
            with pytest.raises(StoreUnavailableError, match="not a SQLite file"):
                await SQLiteStore(path, readonly=readonly).open()
        assert path.read_bytes() == b"Dear diary, " * 1000

    async def test_full_sync_waits_for_the_disk(self, path: Path) -> None:
        """Architecture §4: `sync = "full"` for power failure, normal otherwise."""
        store = SQLiteStore(path, sync="full")
        await store.open()
        assert await pragma(store, "synchronous") == (2,)
        await store.close()
        store = await reopened(path)
        assert await pragma(store, "synchronous") == (1,)
        assert await pragma(store, "journal_mode") == ("wal",)
        await store.close()


class TestReadOnly:
    async def test_it_reads_beside_the_writer_and_writes_nothing(self, store: SQLiteStore, path: Path) -> None:
        """Architecture §4: reading commands open it read-only, without the lock."""
        await store.claim("s", [Change("k", "a", b"1", group="g")])
        reader = SQLiteStore(path, readonly=True)
        await reader.open()
        assert await reader.get("k", "a") == Entry("a", b"1", "", ("", ""))
        await store.append("s", 1, 1, [b"e"])
        assert await reader.read("s") == [(1, b"e")]
        assert await reader.count("k", "g") == 1
        for write in (
            lambda: reader.claim("s"),
            lambda: reader.append("s", 1, 2, [b"e"]),
            lambda: reader.trim("s", 1),
            lambda: reader.put(Change("k", "a", None)),
            lambda: reader.expire(1.0),
        ):
            with pytest.raises(StoreUnavailableError, match="reading only"):
                await write()
        await reader.close()

    async def test_it_keeps_no_writer_out(self, path: Path) -> None:
        """Architecture §4: only writing takes the lock."""
        await (await reopened(path)).close()
        reader = SQLiteStore(path, readonly=True)
        await reader.open()
        writer = await reopened(path)
        await writer.put(Change("k", "a", b""))
        await writer.close()
        assert await reader.get("k", "a") is not None
        await reader.close()

    async def test_a_file_that_is_not_there_is_not_made(self, path: Path) -> None:
        """Our decision: a reading command with a wrong path says so."""
        with pytest.raises(StoreUnavailableError, match="there is no store at"):
            await SQLiteStore(path, readonly=True).open()
        assert not path.exists()


class TestClosing:
    async def test_closing_writes_what_is_waiting(self, path: Path) -> None:
        """Our contract: wait for what is being written."""
        store = await reopened(path)
        await store.claim("s")
        for n in range(1, 501):
            store.append("s", 1, n, [b"%d" % n])
        async with asyncio.timeout(5):
            await store.close()
        store = await reopened(path)
        assert len(await store.read("s")) == 500
        await store.close()

    async def test_a_closed_store_says_so(self, path: Path) -> None:
        """Our contract: closed database is StoreUnavailableError, for reads and writes."""
        store = await reopened(path)
        await store.close()
        await store.close()
        for call in (
            lambda: store.claim("s"),
            lambda: store.append("s", 1, 1, []),
            lambda: store.put(),
            lambda: store.read("s"),
            lambda: store.get("k", "a"),
            lambda: store.page("k", "g"),
            lambda: store.count("k", "g"),
            lambda: store.expire(1.0),
        ):
            with pytest.raises(StoreUnavailableError, match="not open"):
                await call()

    async def test_closing_what_was_never_opened_does_nothing(self, path: Path) -> None:
        """Our decision: a failed start may be cleaned up without asking how far it came."""
        await SQLiteStore(path).close()

    async def test_no_thread_is_left(self, path: Path) -> None:
        """Style: every background thing has an owner that ends it."""
        store = await reopened(path)
        assert any("a2a-bridge-store" in thread.name for thread in threading.enumerate())
        await store.close()
        async with asyncio.timeout(5):
            while any("a2a-bridge-store" in thread.name for thread in threading.enumerate()):
                await asyncio.sleep(0)

    async def test_a_close_that_is_cancelled_still_closes(self, path: Path) -> None:
        """Our decision: a shutdown that runs out of time leaves the file to the next process."""
        store = await reopened(path)
        with blocked(path):
            kept = store.put(Change("k", "a", b"1"))
            closing_ = asyncio.create_task(store.close())
            await asyncio.sleep(0)
            closing_.cancel()
            with pytest.raises(asyncio.CancelledError):
                await closing_
        async with asyncio.timeout(5):
            await kept
            while any("a2a-bridge-store" in thread.name for thread in threading.enumerate()):
                await asyncio.sleep(0)
        store = await reopened(path)
        assert await store.get("k", "a") is not None
        await store.close()

    def test_a_program_that_forgets_to_close_ends_and_loses_nothing(self, path: Path) -> None:
        """Our decision: the thread does not hold up the end of the process."""
        program = (
            "import asyncio, sys\n"
            "from a2a_bridge.store.contract import Change\n"
            "from a2a_bridge.store.sqlite import SQLiteStore\n"
            "async def main():\n"
            "    global store\n"
            "    store = SQLiteStore(sys.argv[1])\n"
            "    await store.open()\n"
            "    await store.put(Change('k', 'a', b'1'))\n"
            "asyncio.run(main())\n"
        )
        root = Path(__file__).parents[3]
        subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=20, cwd=root)
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT key FROM records").fetchall() == [("a",)]


class TestTransactions:
    async def test_readers_see_committed_data_only(self, store: SQLiteStore, path: Path) -> None:
        """Our contract: at most `limit` *committed* events."""
        await store.claim("s")
        with blocked(path):
            pending = store.append("s", 1, 1, [b"e"], [Change("k", "a", b"", group="g")])
            assert await store.read("s") == []
            assert await store.get("k", "a") is None
            assert await store.page("k", "g") == []
            assert await store.count("k", "g") == 0
        await pending
        assert await store.read("s") == [(1, b"e")]
        assert await store.count("k", "g") == 1

    async def test_a_refused_call_spoils_nothing_of_its_transaction(self, store: SQLiteStore, path: Path) -> None:
        """Architecture §4: each call of a batch is all or nothing."""
        await store.claim("s")
        with blocked(path):
            first = store.put(Change("k", "first", b""))
            before = store.append("s", 1, 1, [b"1"])
            refused = [
                store.append("s", 1, 5, [b"gap"], [Change("k", "x", b"")]),
                store.append("s", 9, 2, [b"epoch"], [Change("k", "x", b"")]),
                store.append("s", 1, 2, [b"absent"], [Change("k", "x", b""), Change("k", "first", b"", absent=True)]),
                store.claim("t", [Change("k", "x", b""), Change("k", "first", b"", unless=frozenset({""}))]),
            ]
            after = store.append("s", 1, 2, [b"2"])
        await asyncio.gather(first, before, after)
        for call in refused:
            with pytest.raises(StoreConflictError):
                await call
        assert await store.read("s") == [(1, b"1"), (2, b"2")]
        assert await store.get("k", "x") is None
        assert await store.claim("t") == Claim(1, 0)

    async def test_what_cannot_be_written_fails_alone(self, store: SQLiteStore, path: Path) -> None:
        """Our decision: a string that is not Unicode is its caller's mistake, and nobody else's."""
        await store.claim("s")
        with blocked(path):
            first = store.put(Change("k", "first", b""))
            before = store.append("s", 1, 1, [b"1"])
            bad = store.append("s", 1, 2, [b"2"], [Change("k", "x", b""), Change("k", "\ud800", b"")])
            worse = store.put(Change("k", "y", "text", group="g"), Change("k", "y", b"", sort=object()))  # type: ignore[arg-type]
            after = store.append("s", 1, 2, [b"2"])
        await asyncio.gather(first, before, after)
        with pytest.raises(UnicodeEncodeError):
            await bad
        with pytest.raises(StoreUnavailableError, match="cannot be written"):
            await worse
        assert await store.read("s") == [(1, b"1"), (2, b"2")]
        assert await store.get("k", "x") is None
        assert await store.get("k", "y") is None

    async def test_what_is_trimmed_with_its_append_leaves_nothing_in_the_file(
        self, store: SQLiteStore, path: Path
    ) -> None:
        """Our decision: trimmed events must not stay where nobody can read them, whichever transaction they met in."""
        await store.claim("s")
        with blocked(path):
            first = store.put()
            appended = store.append("s", 1, 1, [b"1", b"2"])
            trimmed = store.trim("s", 2)
        await asyncio.gather(first, appended, trimmed)
        with closing(sqlite3.connect(path)) as other:
            assert other.execute("SELECT count(*) FROM events").fetchone() == (0,)

    async def test_events_that_are_not_bytes_are_refused_at_once(self, store: SQLiteStore) -> None:
        """Our decision: a mistake of the programmer is told where it is made."""
        await store.claim("s")
        with pytest.raises(TypeError):
            store.append("s", 1, 1, ["text"])  # type: ignore[list-item]
        await store.append("s", 1, 1, [b"bytes"])


class TestADiskThatFails:
    async def test_when_it_is_full_nothing_is_kept_and_later_writes_work(self, store: SQLiteStore) -> None:
        """Architecture §7, reliability §5: a full disk refuses, it does not corrupt."""
        await store.claim("s", [Change("k", "a", b"before", group="g")])
        await store.append("s", 1, 1, [b"1"])
        (pages,) = await pragma(store, "page_count")
        await pragma(store, f"max_page_count = {pages + 2}")
        large = [Change("k", "a", b"x" * 100_000, group="g"), Change("k", "b", b"", group="g")]
        with pytest.raises(StoreUnavailableError, match="Free some space"):
            await store.append("s", 1, 2, [b"2"], large)
        with pytest.raises(StoreUnavailableError, match="Free some space"):
            await store.claim("t", large)
        assert await store.read("s") == [(1, b"1")]
        assert await store.get("k", "a") == Entry("a", b"before", "", ("", ""))
        assert await store.count("k", "g") == 1
        await pragma(store, "max_page_count = 1000000")
        await store.append("s", 1, 2, [b"2"], large)
        assert await store.read("s") == [(1, b"1"), (2, b"2")]
        assert await store.claim("t") == Claim(1, 0)
        assert await pragma(store, "integrity_check") == ("ok",)

    async def test_what_was_numbered_after_a_lost_append_is_unavailable_too(
        self, store: SQLiteStore, path: Path
    ) -> None:
        """Our decision: nobody has taken over, so it must not look as if somebody had."""
        await store.claim("s")
        (pages,) = await pragma(store, "page_count")
        await pragma(store, f"max_page_count = {pages + 2}")
        with blocked(path):
            calls = [store.append("s", 1, 1, [b"x" * 100_000])]
        calls += [store.append("s", 1, n, [b"e"]) for n in range(2, 300)]
        for call in calls:
            with pytest.raises(StoreUnavailableError):
                await call
        with pytest.raises(StoreConflictError):
            await store.append("s", 1, 0, [b"e"])
        await store.append("s", 1, 1, [b"e"])
        with pytest.raises(StoreConflictError):  # now it is an ordinary gap again
            await store.append("s", 1, 3, [b"e"])

    async def test_an_error_of_the_file_system_is_told_and_survived(self, store: SQLiteStore, path: Path) -> None:
        """Our contract: I/O errors are StoreUnavailableError; here a file that may not grow any more."""
        await store.claim("s")
        await store.append("s", 1, 1, [b"1"])
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        size = path.with_name("store.sqlite-wal").stat().st_size
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10_000, hard))
        try:
            with pytest.raises(StoreUnavailableError, match="cannot be written"):
                await store.append("s", 1, 2, [b"x" * 100_000], [Change("k", "a", b"")])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert await store.read("s") == [(1, b"1")]
        assert await store.get("k", "a") is None
        await store.append("s", 1, 2, [b"2"])
        assert await store.read("s") == [(1, b"1"), (2, b"2")]
        assert await pragma(store, "integrity_check") == ("ok",)

    async def test_a_file_that_somebody_else_keeps_locked_is_unavailable(self, store: SQLiteStore, path: Path) -> None:
        """Our decision: whoever holds it is an operator with a shell; say so and go on afterwards."""
        await pragma(store, "busy_timeout = 20")
        with blocked(path), pytest.raises(StoreUnavailableError, match="Another program holds it locked"):
            await store.claim("s")
        assert await store.claim("s") == Claim(1, 0)


class TestSpeed:
    @pytest.mark.parametrize(
        ("labels", "since", "before", "index"),
        [
            ((None, None), "", None, "listed"),
            ((None, None), "3", ("5", "a"), "listed"),
            (("A", None), "", ("5", "a"), "listed1"),
            ((None, "x"), "3", None, "listed2"),
            (("A", "x"), "", ("5", "a"), "listed2"),
            ((None, ""), "", None, "listed"),
            (("A", ""), "", None, "listed1"),
        ],
    )
    async def test_a_page_is_read_in_the_order_of_an_index(
        self, store: SQLiteStore, labels: Any, since: str, before: Any, index: str
    ) -> None:
        """Architecture §5: lists through indexes; nothing is sorted and no table is scanned."""
        seen = await explain(store, lambda: store.page("k", "g", labels=labels, since=since, before=before))
        assert f"USING INDEX {index} (kind=? AND grp=?" in seen
        assert "SCAN" not in seen
        assert "TEMP B-TREE" not in seen

    async def test_a_count_by_group_and_first_label_reads_the_counters(self, store: SQLiteStore) -> None:
        """Our contract: it does not depend on how many records there are."""
        for labels in ((None, None), ("A", None)):
            seen = await explain(store, lambda labels=labels: store.count("k", "g", labels=labels))  # type: ignore[misc]
            assert "SEARCH counts USING PRIMARY KEY (kind=? AND grp=?" in seen

    async def test_a_stream_is_read_from_where_it_is_asked(self, store: SQLiteStore) -> None:
        """Architecture §4: a reader is a cursor."""
        seen = await explain(store, lambda: store.read("s", after=5))
        assert "SEARCH e USING PRIMARY KEY (stream=? AND last>?)" in seen
        assert "TEMP B-TREE" not in seen


async def explain(store: SQLiteStore, call: Callable[[], Any]) -> str:
    """The query plan of what a call asks."""
    assert store._reader is not None
    asked: list[str] = []
    store._reader.set_trace_callback(asked.append)
    await call()
    store._reader.set_trace_callback(None)
    return "\n".join(row[3] for row in store._reader.execute(f"EXPLAIN QUERY PLAN {asked[0]}"))
