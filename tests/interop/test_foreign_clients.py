"""Foreign clients against our server over loopback, each in a process of its own: the official SDKs of Python, as 1.0
and as 0.3 (a2a-sdk 1.3.0), of 0.3 alone (a2a-sdk 0.3.26) and of JavaScript (1.0.1), on both bindings.

Each does what `drivers/plan.py` says, and prints what its SDK made of it; here it is looked at. What an SDK cannot do
is "absent", and listed with it: a new version that can will be noticed.
"""

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.agent import Ask, Chunk, Fail, Reply, Say, Turn
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.guard import Guard
from a2a_bridge.protocol.objects import Part
from a2a_bridge.tasks.push import Push
from a2a_bridge.testing.agents import Gate, Scripted
from a2a_bridge.testing.receiver import Notification, Receiver
from a2a_bridge.testing.server import running

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STAMP = HERE / "js" / "node_modules" / "set-up-complete"
BOUND = 60.0
RPC_CODES = {"not_found": -32001, "not_cancelable": -32002, "unsupported": -32004}
STATUSES = {"not_found": 404, "not_cancelable": 400, "unsupported": 400}


@dataclass(frozen=True)
class Peer:
    """One client: how it is started, and how it says what we refuse.

    `absent`: what its SDK cannot do. `stumbles`: what its SDK makes of an answer that others read, by scenario.
    """

    name: str
    binding: str
    version: str
    errors: dict[str, Any]
    absent: frozenset[str] = frozenset()
    stumbles: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}-{self.binding.partition('+')[0]}-{self.version}"

    def command(self, url: str, webhook: str) -> list[str]:
        """What to run; a sentence for who has not set up what it needs."""
        if self.name == "js":
            assert STAMP.exists(), "the JavaScript SDK is not installed: run scripts/setup"
            node = STAMP.read_text().splitlines()[1]
            return [node, str(HERE / "js" / "driver.mjs"), url, self.binding, self.version, webhook]
        if self.name == "sdk03":
            python = ROOT / ".venv-sdk03" / "bin" / "python"
            assert python.exists(), "the SDK of A2A 0.3 is not installed: run scripts/setup"
            return [str(python), str(HERE / "drivers" / "sdk03.py"), url, self.binding, webhook]
        return [sys.executable, str(HERE / "drivers" / "sdk1.py"), url, self.binding, self.version, webhook]


def names(before: str = "") -> dict[str, str]:
    return {
        "not_found": f"{before}TaskNotFoundError",
        "not_cancelable": f"{before}TaskNotCancelableError",
        "unsupported": f"{before}UnsupportedOperationError",
    }


NO_HOOK_LISTS = frozenset({"listed", "deleted", "after"})
PEERS = (
    Peer("sdk1", "JSONRPC", "1.0", names()),
    Peer("sdk1", "HTTP+JSON", "1.0", names()),
    Peer("sdk1", "JSONRPC", "0.3", names(), frozenset({"listing"})),
    Peer("sdk1", "HTTP+JSON", "0.3", names(), frozenset({"listing", "polling"}) | NO_HOOK_LISTS),
    Peer("sdk03", "JSONRPC", "0.3", RPC_CODES, frozenset({"listing"}) | NO_HOOK_LISTS),
    Peer(
        "sdk03", "HTTP+JSON", "0.3", STATUSES, frozenset({"listing", "polling"}) | NO_HOOK_LISTS,
        {"subscribe": 400},  # to this client every subscription that is no stream is a 400
    ),
    Peer("js", "JSONRPC", "1.0", names("JsonRpc")),
    Peer("js", "HTTP+JSON", "1.0", names("Rest")),
    Peer("js", "JSONRPC", "0.3", names("JsonRpc"), frozenset({"listing"})),
    Peer(
        "js", "HTTP+JSON", "0.3", names(), frozenset({"listing", "polling"}),
        # Of bytes over HTTP+JSON every Python SDK of 0.3 says base64 twice, and so do we; this one reads it once, and
        # drops the name of a file and the `append` of a piece.
        {"raw": ["raw", "QVA4PQ==", "", "image/png"], "append": False},
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Seen:
    """What one client did and told, and what its webhooks got."""

    peer: Peer
    told: dict[str, Any]
    hooks: list[Notification]

    def __getitem__(self, scenario: str) -> Any:
        found = self.told[scenario]
        if isinstance(found, dict) and "crashed" in found:
            pytest.fail(f"{self.peer}: {scenario}\n{found['crashed']}")
        return found

    def refused(self, found: Any, kind: str, scenario: str = "") -> bool:
        """Whether this is how the client tells such an error."""
        return bool(found == {"error": self.peer.stumbles.get(scenario, self.peer.errors[kind])})


def gated() -> Scripted:
    """`wait NAME` stands at a gate that `open NAME` opens, so that another process can say when."""
    gates: defaultdict[str, Gate] = defaultdict(Gate)

    async def behave(turn: Turn) -> AsyncGenerator[Reply | str, None]:
        word, _, name = turn.text.partition(" ")
        if word == "wait":
            yield "before "
            await gates[name]()
            yield "after"
        elif word == "open":
            gates[name].open()
            yield "opened"
        else:
            for reply in ANSWERS.get(word, (f"echo: {turn.text}",)):
                yield reply

    return Scripted(behave, name="gated")


ANSWERS: dict[str, tuple[Reply | str, ...]] = {
    "tokens": ("one ", "two ", "three"),
    "direct": (Say("directly", direct=True),),
    "ask": (Chunk("so far", artifact="notes"), Ask("Which colour?", options=("red", "blue"))),
    "fail": (Fail("no more paint"),),
    "files": (
        Chunk(
            "words",
            (
                Part(data={"n": 1, "list": [True, None]}),
                Part(raw=b"\x00\xff", filename="a.bin", media_type="image/png"),
            ),
            artifact="files",
        ),
        Chunk(parts=(Part(url="https://example.org/b"),), artifact="files", last=True),
        Say("two files"),
    ),
}


async def observed(peer: Peer) -> Seen:
    """Serve, let the client do its things, wait for what its webhook is owed."""
    options = Options(push=Push(Guard(loopback=True)))
    async with (
        Receiver() as receiver,
        running(lambda url: Bridge(gated(), public_url=url, options=options)) as url,
        asyncio.timeout(BOUND),
    ):
        process = await asyncio.create_subprocess_exec(
            *peer.command(url, receiver.url), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        said, complaints = await process.communicate()
        assert process.returncode == 0, complaints.decode()
        told = json.loads(said)
        hooks = await receiver.until(1) if "crashed" in told["hooks"] else await _ended(receiver)
        return Seen(peer, told, hooks)


async def _ended(receiver: Receiver) -> list[Notification]:
    """Everything up to the end of the task: in 1.0 an event tells it, in 0.3 the task itself."""
    count = 1
    while True:
        found = await receiver.until(count)
        held = found[-1].body
        state = (held.get("statusUpdate") or held.get("task") or held).get("status", {}).get("state")
        if state in ("completed", "TASK_STATE_COMPLETED"):
            return found
        count += 1


@pytest.fixture(scope="module", params=PEERS, ids=str)
def seen(request: pytest.FixtureRequest) -> Seen:
    """Each client runs once."""
    return asyncio.run(observed(request.param))


def test_card(seen: Seen) -> None:
    """R-CARD-03, R-CARD-04, R-CARD-06: it finds the interface of its version, whatever else the card says."""
    expected = "0.3.0" if seen.peer.name == "sdk03" else seen.peer.version
    assert seen["card"] == {"name": "gated", "version": expected, "streaming": True}


def test_send(seen: Seen) -> None:
    """R-SEND-01, R-SEND-02."""
    task = seen["send"]
    assert (task["kind"], task["state"], task["text"]) == ("task", "completed", "echo: hello")
    assert task["history"] == ["hello"]


def test_parts_of_every_kind(seen: Seen) -> None:
    """R-DM-06, R-DM-08, T-09, T-25: each as it was given."""
    task = seen["files"]
    raw = seen.peer.stumbles.get("raw", ["raw", "AP8=", "a.bin", "image/png"])
    expected = [["text", "words"], ["data", {"n": 1, "list": [True, None]}], raw, ["url", "https://example.org/b"]]
    assert task["parts"] == expected
    assert task["said"] == "two files"


def test_stream(seen: Seen) -> None:
    """R-STRM-02, R-STRM-05, R-COMPAT-10."""
    events = seen["stream"]
    assert [event["kind"] for event in events] == ["task", *["artifact"] * 3, "status"]
    assert "".join(event["text"] for event in events[1:4]) == "one two three"
    appends = [event["append"] for event in events[1:4]]
    assert appends == [False, *[seen.peer.stumbles.get("append", True)] * 2]
    assert events[-1]["state"] == "completed"
    if seen.peer.name == "sdk03":
        assert events[-1]["final"] is True


def test_direct_message(seen: Seen) -> None:
    """R-STRM-01, T-40."""
    assert seen["direct"]["sent"] == {"kind": "message", "text": "directly"}
    assert seen["direct"]["streamed"] == [{"kind": "message", "text": "directly"}]


def test_get(seen: Seen) -> None:
    """R-GET-01, R-HIST-03."""
    assert seen["get"] == {"same": True, "one": 1}


def test_cancel(seen: Seen) -> None:
    """R-CANC-01, R-CANC-02, R-CANC-05, T-14."""
    found = seen["cancel"]
    assert (found["answer"], found["last"]) == ("canceled", "canceled")
    assert seen.refused(found["again"], "not_cancelable"), found
    assert seen.refused(found["unknown"], "not_found"), found


def test_several_turns(seen: Seen) -> None:
    """R-CTX-09, R-STRM-04: a question, its answer, unary and streamed."""
    found = seen["turns"]
    assert (found["asked"], found["question"], found["same"]) == ("input-required", "Which colour?", True)
    assert (found["done"], found["history"]) == ("completed", ["ask", "Which colour?", "blue"])
    assert (found["paused"], found["streamed"]) == ("input-required", "completed")


def test_subscribe(seen: Seen) -> None:
    """R-SUB-01, R-SUB-02, R-STRM-06: a snapshot, then what the other stream gets; an ended task is refused."""
    found = seen["subscribe"]
    assert (found["first"]["kind"], found["first"]["text"]) == ("task", "before ")
    assert [event["kind"] for event in found["rest"]] == ["artifact", "status"]
    assert (found["rest"][0]["text"], found["rest"][1]["state"], found["same"]) == ("after", "completed", True)
    assert seen.refused(found["ended"], "unsupported"), found


def test_unknown_task(seen: Seen) -> None:
    """R-GET-02, R-SEND-05, R-COMPAT-12: by every operation, as the client's own error."""
    for scenario, found in seen["unknown"].items():
        assert seen.refused(found, "not_found", scenario), (scenario, found)


def test_failed_task(seen: Seen) -> None:
    """R-SEND-12, R-SEND-06, R-COMPAT-11."""
    found = seen["failed"]
    assert (found["state"], found["said"], found["streamed"]) == ("failed", "no more paint", "failed")
    assert seen.refused(found["more"], "unsupported"), found


def test_a_send_that_does_not_wait(seen: Seen) -> None:
    """R-SEND-03."""
    absent = "polling" in seen.peer.absent
    assert seen["polling"] == ("absent" if absent else {"before": "working", "after": "completed"})


def test_list(seen: Seen) -> None:
    """R-LIST-01: 0.3 has no list."""
    assert seen["listing"] == ("absent" if "listing" in seen.peer.absent else {"has": True})


def test_webhooks_are_kept(seen: Seen) -> None:
    """R-PUSH-01, R-PUSH-06, R-PUSH-07, R-COMPAT-20: made, got, listed, deleted, as far as the client can."""
    found = seen["hooks"]
    made = found["made"]
    assert (made["task"], made["id"], made["token"]) == (found["task"], "hook", "a token")
    assert {name: found["got"][name] for name in ("task", "id", "url")} == {
        name: made[name] for name in ("task", "id", "url")
    }
    assert found["gone"] == "gone"
    assert seen.refused(found["unknown"], "not_found"), found
    expected = {"listed": ["gone", "hook"], "deleted": None, "after": ["hook"]}
    for name, value in expected.items():
        told = sorted(found[name]) if isinstance(found[name], list) else found[name]
        assert told == ("absent" if name in seen.peer.absent else value), name


def test_webhooks_are_called(seen: Seen) -> None:
    """R-PUSH-09, R-PUSH-10, R-PUSH-11, R-PUSH-19: in the words of the version that made the config."""
    mine = [found for found in seen.hooks if found.path == "/hook"]
    assert mine
    old = seen.peer.version == "0.3"
    for found in mine:
        assert found.headers["authorization"] == "Bearer credentials"
        assert found.headers["x-a2a-notification-token"] == "a token"
        assert found.headers["content-type"] == ("application/json" if old else "application/a2a+json")
        assert ("kind" in found.body) is old
    last = mine[-1].body
    ended = last if old else last["statusUpdate"]
    assert ended["id" if old else "taskId"] == seen["hooks"]["task"]
    if "deleted" not in seen.peer.absent:
        assert mine == seen.hooks  # nothing went to the one that was deleted


def test_nothing_else_is_absent() -> None:
    """Ours: what no client can do would not be tested at all."""
    assert not set.intersection(*(set(peer.absent) for peer in PEERS))
