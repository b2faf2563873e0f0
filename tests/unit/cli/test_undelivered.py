"""`task undelivered`: the dead letters of webhooks, read from a store beside the server that writes it."""

import asyncio
import threading
from pathlib import Path

import httpx
import pytest

from a2a_bridge.protocol.objects import json_bytes
from a2a_bridge.store.contract import Change
from a2a_bridge.store.sqlite import SQLiteStore

from .conftest import read_until, stop_server

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


def test_what_a_webhook_has_not_taken_is_sent_again(start, fixed, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Ours: from the first event that was given up, by the next server on the store; a running one holds it."""
    (tmp_path / "mine.py").write_text('def shout(text: str) -> str:\n    "Shouts."\n    return text.upper()\n')
    file = str(tmp_path / "s.sqlite")
    options = ("mine:shout", "--store", file)
    served = start(*options, cwd=tmp_path, A2A_BRIDGE_PUSH__LOOPBACK="true")
    message = {"messageId": "1", "role": "ROLE_USER", "parts": [{"text": "hello"}]}
    hook = {"url": f"{fixed.url}/hook", "id": "mine"}
    asked = {"message": message, "configuration": {"taskPushNotificationConfig": hook}}
    task = httpx.post(f"{served.url}/message:send", headers={"a2a-version": "1.0"}, json=asked).json()["task"]
    read_until(served.process.stderr, "webhook event given up")
    held = run("task", "redeliver", task["id"], "--store", file)
    assert held.code == 2
    assert "belongs to process" in held.err
    stop_server(served)
    (letter,) = run("task", "undelivered", "--store", file, "-o", "json").json["undelivered"]
    assert run("task", "redeliver", "other", "--store", file, "-o", "json").json == {"redelivered": [], "gone": []}
    done = run("task", "redeliver", task["id"], "--webhook", "mine", "--store", file, "-o", "json")
    assert (done.code, done.json) == (0, {"redelivered": [letter], "gone": []})
    assert "when a server is started on this store" in done.err
    assert run("task", "undelivered", "--store", file, "-o", "json").json == {"undelivered": []}
    refused, last = len(fixed.seen), threading.Event()

    def take(seen: dict[str, str]) -> tuple[int, bytes]:
        if len(fixed.seen) == 2 * refused:
            last.set()
        return 200, b""

    fixed.answers["/hook"] = take
    again = start(*options, cwd=tmp_path, A2A_BRIDGE_PUSH__LOOPBACK="true")
    assert last.wait(20)
    stop_server(again)
    assert run("task", "undelivered", "--store", file, "-o", "json").json == {"undelivered": []}


def test_a_webhook_that_is_gone_is_not_told_again(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """And its letter goes, too."""
    file = str(store_with(tmp_path / "s.sqlite", {}))
    done = run("task", "redeliver", "--all", "--store", file)
    assert (done.code, done.out) == (0, "Total: 0\n")
    assert "webhook mine of task t1 is not there any more" in done.err
    assert run("task", "undelivered", "--store", file, "-o", "json").json == {"undelivered": []}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "name a TASK_ID, or say --all"),
        (("t1", "--all"), "name a TASK_ID, or say --all"),
        (("--all", "--webhook", "mine"), "--webhook is one of a task"),
        (("--all",), "there is no store at"),
    ],
)
def test_what_is_sent_again_must_be_named(run, tmp_path: Path, words: tuple[str, ...], said: str) -> None:  # type: ignore[no-untyped-def]
    """Exit code 2, and no store is made."""
    done = run("task", "redeliver", *words, "--store", str(tmp_path / "no.sqlite"))
    assert done.code == 2
    assert said in done.err
    assert list(tmp_path.iterdir()) == []
