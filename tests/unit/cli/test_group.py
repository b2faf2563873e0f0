"""`a2a-bridge group` and `a2a-bridge audit`."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.bridge import Bridge
from a2a_bridge.cli.main import main
from a2a_bridge.cli.target import load_target
from a2a_bridge.client.client import Client
from a2a_bridge.protocol.objects import Task
from a2a_bridge.server.auth import Auth
from a2a_bridge.server.identity import ApiKeys, Key
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.testing.transport import AppTransport

KEY = "0123456789-0123456789-ann"

MODULE = """
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager

def a(text: str) -> str:
    return "A speaks"

def b(text: str) -> str:
    return "B speaks"

def room(first, **rules):
    chat = GroupChat([first, b], max_round=rules.pop("max_round", 3), speaker_selection_method="round_robin")
    return GroupChatManager(chat, **rules)

manager = room(a, store="rooms.sqlite")
longer = room(a, store="rooms.sqlite", max_round=4)
unkept = room(a)
nothing = 5
"""

CUT = """
from a2a_bridge.agent import Traits
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from tests.unit.cli.test_group import CutError

class Seated:
    traits = Traits(after_crash="restartable")
    description = "speaks"

    def __init__(self, name, cut=False):
        self.name = name
        self.cut = cut

    async def run(self, turn):
        if self.cut:
            self.cut = False
            raise CutError
        print(f"({self.name} is asked)")
        yield f"{self.name.upper()} speaks"

chat = GroupChat(
    [Seated("a"), Seated("b", cut=True), Seated("c")], max_round=4, speaker_selection_method="round_robin"
)
manager = GroupChatManager(chat, store="cut.sqlite")
"""


class CutError(BaseException):
    """The process ends here."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command line in a folder with rooms; its exit code and what it says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "some_rooms.py").write_text(MODULE)

    def ran(*words: str) -> tuple[int, str, str]:
        code = main([*words])
        said = capsys.readouterr()
        return code, said.out, said.err

    return ran


@pytest.fixture
def room_id(run: Any) -> str:
    code, out, _ = run("group", "run", "some_rooms:manager", "go", "-o", "json")
    assert code == 0
    return str(json.loads(out.splitlines()[-1])["room"])


def test_a_room_is_run_and_what_is_said_is_shown(run: Any) -> None:
    """Issue 4, part 12."""
    code, out, _ = run("group", "run", "some_rooms:manager", "go")
    assert code == 0
    assert out.splitlines()[:3] == ["user: go", "a: A speaks", "b: B speaks"]
    assert out.splitlines()[4:] == ["Stop: max_round (3 rounds, the opening one counted)", "Summary: B speaks"]
    code, out, _ = run("group", "list", "some_rooms:manager")
    assert (code, out.splitlines()[1:]) == (0, ["State: max_round", "Task: go"])


def test_a_room_is_explained_watched_replayed_and_resumed(run: Any, room_id: str) -> None:
    """Issue 4, part 12."""
    code, out, _ = run("group", "explain", "some_rooms:manager", room_id)
    assert code == 0
    assert "next a, whose turn it is in the order of the seats" in out
    code, out, _ = run("group", "explain", "some_rooms:manager", room_id, "-o", "json")
    assert [json.loads(line)["kind"] for line in out.splitlines()][-1] == "stopped"
    code, out, _ = run("group", "watch", "some_rooms:manager", room_id)
    assert (code, out.splitlines()) == (0, ["user: go", "a: A speaks", "b: B speaks"])
    code, out, _ = run("group", "replay", "some_rooms:manager", room_id)
    assert (code, out.splitlines()) == (0, ["Same: yes", "Entries: 8"])
    code, out, _ = run("group", "replay", "some_rooms:longer", room_id, "-o", "json")
    assert (code, json.loads(out)["difference"]["seq"]) == (1, 8)
    code, out, _ = run("group", "replay", "some_rooms:longer", room_id)
    assert "Differs at: entry 8" in out
    code, out, _ = run("group", "resume", "some_rooms:manager", room_id)
    assert (code, out.splitlines()[-1]) == (0, "Summary: B speaks")


def test_a_room_is_forked_exported_and_imported(run: Any, room_id: str, tmp_path: Path) -> None:
    """Issue 4, part 5, from the command line."""
    code, out, _ = run("group", "fork", "some_rooms:longer", room_id, "--at", "4")
    assert (code, out.splitlines()[-1]) == (0, "Summary: A speaks")
    assert run("group", "fork", "some_rooms:longer", room_id, "--at", "4", "--rename", "b")[0] == 2
    code, out, _ = run("group", "export", "some_rooms:manager", room_id)
    (tmp_path / "room.jsonl").write_text(out)
    assert run("group", "replay", "some_rooms:manager", "room.jsonl")[0] == 0
    code, out, _ = run("group", "import", "some_rooms:manager", "room.jsonl", "--store", "other.sqlite")
    assert (code, out) == (0, f"Room: {room_id}\n")
    assert run("group", "import", "some_rooms:manager", "room.jsonl", "--store", "other.sqlite")[0] == 2
    assert run("audit", "verify", "room.jsonl")[0] == 0
    (tmp_path / "room.jsonl").write_text(out.replace("A speaks", "C speaks"))
    assert run("audit", "verify", "room.jsonl")[0] == 1


def test_an_audit_is_exported_verified_and_redacted(run: Any, room_id: str, tmp_path: Path) -> None:
    """Issue 4, part 6: `a2a-bridge audit verify FILE` says which line."""
    _, audit, _ = run("audit", "export", "some_rooms:manager", room_id)
    (tmp_path / "audit.jsonl").write_text(audit)
    code, out, _ = run("audit", "verify", "audit.jsonl", "-o", "json")
    found = json.loads(out)
    assert (code, found["whole"], found["findings"]) == (0, True, [])
    assert run("audit", "verify", "audit.jsonl", "--digest", found["digest"])[0] == 0
    assert run("audit", "verify", "audit.jsonl", "--digest", "abc")[0] == 1
    _, out, _ = run("audit", "redact", "audit.jsonl", "--entry", "5", "--reason", "privacy", "--field", "text")
    (tmp_path / "short.jsonl").write_text(out)
    assert run("audit", "verify", "short.jsonl")[:2] == (
        0, f"Whole: yes\nLines: 11\nRedacted: 1\nDigest: {found['digest']}\n",
    )  # fmt: skip
    lines = audit.splitlines(keepends=True)
    (tmp_path / "audit.jsonl").write_text("".join([*lines[:4], *lines[5:]]))
    code, out, _ = run("audit", "verify", "audit.jsonl")
    assert (code, out.splitlines()[-1]) == (1, "Line: 5 is number 5: 1 line is missing before it")


def test_a_room_may_be_named_in_the_settings(run: Any, tmp_path: Path) -> None:
    """Issue 4, part 12: by name in a2a-bridge.toml."""
    code, _, err = run("group", "list", "talk")
    assert (code, "--config FILE" in err) == (2, True)
    (tmp_path / "a2a-bridge.toml").write_text('[agents.talk]\ntarget = "some_rooms:unkept"\n')
    code, out, _ = run("group", "run", "talk", "go", "--store", "mine.sqlite")
    assert (code, out.splitlines()[0]) == (0, "user: go")
    assert (tmp_path / "mine.sqlite").is_file()
    assert run("group", "list", "else")[0] == 2
    assert run("group", "list", "some_rooms:nothing")[0] == 2
    code, _, err = run("group", "explain", "talk", "x")
    assert code == 2
    assert "store=" in err
    assert "by its contextId: --store FILE, the server's, and --caller NAME" in err
    code, out, err = run("group", "list", "talk")
    assert (code, out) == (2, "")
    assert "nothing is kept: GroupChatManager(store=...)" in err


async def _served(store: Path, agent: Any, headers: dict[str, str]) -> str:
    """A conversation with a served room; its contextId."""
    keys = ApiKeys([Key.of("ann", KEY, tenants=("blue",))])
    auth = Auth(schemes={"key": keys}) if headers else Auth()
    bridge = Bridge(agent, store=SQLiteStore(store), auth=auth)
    await bridge.start()
    try:
        task = await Client(bridge.public_url, headers=headers, transport=AppTransport(bridge.app)).send("go")
    finally:
        await bridge.stop()
    assert isinstance(task, Task)
    return task.context_id or ""


@pytest.mark.parametrize(
    ("headers", "options"), [({}, ()), ({"x-api-key": KEY}, ("--caller", "ann", "--tenant", "blue"))]
)
def test_a_conversation_that_a_server_keeps_is_explained_and_audited(
    run: Any, tmp_path: Path, headers: dict[str, str], options: tuple[str, ...]
) -> None:
    """Ours: by its contextId, for whoever may read the server's store; it goes on over A2A only."""
    store = tmp_path / "served.sqlite"
    context = asyncio.run(_served(store, load_target("some_rooms:manager"), headers))
    where = ("some_rooms:manager", context, "--store", str(store), *options)
    code, out, err = run("group", "explain", *where)
    assert (code, err) == (0, "")
    assert "max_round" in out
    code, audit, _ = run("audit", "export", *where)
    (tmp_path / "audit.jsonl").write_text(audit)
    assert code == 0
    assert "B speaks" in audit
    assert run("audit", "verify", "audit.jsonl")[1].startswith("Whole: yes")
    assert run("group", "replay", *where)[1].startswith("Same: yes")
    assert "B speaks" in run("group", "watch", *where)[1]
    for words in (("resume", *where), ("fork", *where, "--at", "1"), ("export", *where)):
        code, _, err = run("group", *words)
        assert code == 2
        assert "is kept by a server: go on with it by a message in its context" in err
    code, _, err = run("group", "explain", "some_rooms:manager", context, "--store", str(store), "--caller", "eve")
    assert code == 2
    assert "there is no room" in err
    code, _, err = run("group", "list", "some_rooms:manager", "--store", str(store))
    assert code == 0
    assert f"a2a-bridge group explain some_rooms:manager --store {store} CONTEXT_ID --caller NAME" in err


def test_a_room_that_is_not_there_is_a_mistake_in_the_command_line(run: Any, room_id: str) -> None:
    """Ours: not a failure of the program; and where else it may be."""
    code, _, err = run("group", "resume", "some_rooms:manager", "nonsense")
    assert code == 2
    assert "A2ACLI_ERR_USAGE" in err
    assert "--store FILE, the server's" in err


def test_what_a_resumed_room_says_is_shown_as_it_comes(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: what was said before first, then each line before the next speaker is asked; each line once."""
    (tmp_path / "cut_rooms.py").write_text(CUT)
    with pytest.raises(CutError):
        asyncio.run(load_target("cut_rooms:manager").chat("go"))
    (kept,) = asyncio.run(load_target("cut_rooms:manager").rooms())
    capsys.readouterr()
    code, out, err = run("group", "resume", "cut_rooms:manager", kept.room_id)
    assert (code, err) == (0, "")
    assert out.splitlines()[:5] == ["user: go", "a: A speaks", "(b is asked)", "b: B speaks", "(c is asked)"]
    assert out.count("A speaks") == 1
    code, out, _ = run("group", "resume", "cut_rooms:manager", kept.room_id)
    assert out.splitlines()[:4] == ["user: go", "a: A speaks", "b: B speaks", "c: C speaks"]
