"""`task undelivered`: the dead letters of webhooks, read from a store beside the server that writes it."""

import asyncio
from pathlib import Path

from a2a_bridge.protocol.objects import json_bytes
from a2a_bridge.store.contract import Change
from a2a_bridge.store.sqlite import SQLiteStore

LETTER = {
    "task": "t1", "webhook": "mine", "host": "hooks.example.com", "seq": 3, "tries": 8, "reason": "HTTP 503",
    "first": 2, "last": 3, "count": 2, "time": "2027-01-15T08:00:00.000Z",
}  # fmt: skip


def store_with(path: Path, *letters: dict[str, object]) -> Path:
    async def fill() -> None:
        store = SQLiteStore(path)
        await store.open()
        for number, letter in enumerate(letters):
            value = json_bytes({**LETTER, **letter})  # type: ignore[arg-type]
            await store.put(Change("undelivered", str(number), value, group="undelivered", sort=str(number)))
        await store.close()

    asyncio.run(fill())
    return path


def test_dead_letters_are_listed_the_newest_first(run, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Issue: dead letters visible."""
    path = store_with(tmp_path / "s.sqlite", {}, {"task": "t2", "reason": "HTTP 410\x1b[2J"})
    done = run("task", "undelivered", "--store", str(path))
    assert (done.code, done.err) == (0, "")
    first, second, total = done.out.split("\n\n")
    assert first.startswith(
        "Task ID: t2\nWebhook: mine\nHost: hooks.example.com\nEvents given up: 2\nFirst: 2\nLast: 3\n"
    )
    assert "Reason: HTTP 410[2J" in first
    assert second.endswith("Reason: HTTP 503\nTime: 2027-01-15T08:00:00.000Z")
    assert total == "Total: 2\n"


def test_dead_letters_in_json_are_one_document(run, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §9.2: the same in JSON; none is an empty list."""
    done = run("task", "undelivered", "-o", "json", "--store", str(store_with(tmp_path / "a.sqlite", {})))
    assert done.json == {"undelivered": [LETTER]}
    done = run("task", "undelivered", "-o", "json", "--store", str(store_with(tmp_path / "b.sqlite")))
    assert done.json == {"undelivered": []}


def test_a_store_that_is_not_there_is_not_made(run, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Reading commands read."""
    done = run("task", "undelivered", "--store", str(tmp_path / "no.sqlite"))
    assert done.code == 2
    assert "there is no store at" in done.err
    assert not (tmp_path / "no.sqlite").exists()
