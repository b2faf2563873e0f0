"""The audit of a room, and why it went as it did."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from a2a_bridge.agent import Ask, Fail, ToolCall, ToolResult, Traits, Turn, Usage
from a2a_bridge.chat.audit import AuditError, redact, verify
from a2a_bridge.chat.explain import explain
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.testing.model import ScriptedModel

RESTARTABLE = Traits(after_crash="restartable")


async def eventful(puppet: Any, store: Path) -> tuple[GroupChatManager, str]:
    """A room in which most things happen once."""

    def asks(turn: Turn) -> list[Any]:
        if turn.answer is None:
            return [Ask("May the tool rm be called?", id="tool:1", options=("yes", "no"))]
        code = ToolCall("2", "execute_code", [{"language": "python", "code": "1/0"}])
        return [ToolCall("1", "rm", {"path": "x"}), ToolResult("1", "gone"), code, Usage(5, 6, 0.1, "m"), "done"]

    fails = puppet("b", [[Fail("cannot")], ["[a] well"]], traits=RESTARTABLE)
    model = ScriptedModel(["zoe", "a", "b", '{"next": "END", "reason": "that is all"}'])
    chat = GroupChat([puppet("a", asks), fails], max_round=9)
    manager = GroupChatManager(chat, model, human=lambda _: "yes", store=store / "rooms.sqlite")
    return manager, (await manager.chat("go")).room_id


@pytest.fixture
async def lines(puppet: Any, tmp_path: Path) -> list[str]:
    manager, room = await eventful(puppet, tmp_path)
    return [line async for line in manager.audit(room)]


async def test_the_audit_says_who_did_what_on_whose_behalf(lines: list[str]) -> None:
    """Issue 4, part 6; conversation §4.17: selections with their reasons, approvals, tools, code, retries, the end."""
    acts = [json.loads(line) for line in lines]
    assert [act["action"] for act in acts] == [
        "audit", "began a run", "joined", "joined", "said", "chose the speaker", "asked for approval", "answered",
        "called a tool", "a tool gave", "ran code", "said", "chose the speaker", "failed, to be tried again", "said",
        "chose the speaker", "stopped", "end",
    ]  # fmt: skip
    assert {act.get("principal", "anonymous") for act in acts} == {"anonymous"}
    chosen = acts[5]["content"]["why"][1]
    assert chosen["rejected"] == ["'zoe': the answer is 'zoe', which is none of a, b"]
    assert chosen["answers"] == ["zoe", "a"]
    said = acts[11]
    assert said["actor"] == {"name": "a", "kind": "local"}
    assert said["usage"]["model"] == "m"
    assert acts[13]["content"]["detail"][1] == "could not answer (it says: 'cannot')"
    assert acts[14]["flags"] == ["impersonation_suspected"]
    verdict = verify(lines)
    assert verdict.is_whole
    assert verdict.lines == len(lines)


async def test_content_is_taken_out_and_the_chain_stays_valid(lines: list[str]) -> None:
    """Conversation §4.17: redaction keeps digests so the chain still verifies; what was taken out is gone."""
    shorter = [*redact(lines, lambda act: act.get("actor", {}).get("name") == "a", "privacy", ["text", "value"])]
    assert "done" not in "".join(shorter)
    verdict = verify(shorter)
    assert (verdict.is_whole, verdict.redacted, verdict.digest) == (True, 5, verify(lines).digest)
    again = [*redact(shorter, lambda act: act["action"] == "stopped", "secret")]
    assert verify(again).is_whole
    silent = [line.replace('"redacted":{"text":"privacy"}', '"redacted":{}') for line in shorter]
    assert not verify(silent).is_whole, "nobody says why it is gone"
    with pytest.raises(AuditError, match="line 1"):
        [*redact(["hello"], lambda act: True, "x")]


def mutated(lines: list[str], chance: Random) -> tuple[list[str], int]:
    """The lines after one mutation, and the number of the line that shows it."""
    at = chance.randrange(len(lines))
    kind = chance.choice(["change", "change", "insert", "drop", "missing", "doubled", "moved", "cut"])
    changed = [*lines]
    if kind == "missing":
        del changed[at]
        return changed, min(at + 1, len(changed))
    if kind == "doubled":
        changed.insert(at, lines[at])
        return changed, at + 2
    if kind == "moved":
        to = chance.randrange(len(lines))
        changed.insert(to, changed.pop(at))
        return changed, min(at, to) + 1
    if kind == "cut":
        return changed[:at], at
    place = chance.randrange(len(lines[at]))
    letter = "" if kind == "drop" else chance.choice([*'"{}[]:,0a9 ', "é"])
    changed[at] = lines[at][:place] + letter + lines[at][place + (kind != "insert") :]
    return changed, at + 1


@pytest.mark.parametrize("seed", range(20))
async def test_any_line_that_is_changed_missing_moved_doubled_or_cut_off_is_found(lines: list[str], seed: int) -> None:
    """Issue 4, part 6: any single mutation, and which line."""
    chance = Random(seed)
    for _ in range(100):
        changed, at = mutated(lines, chance)
        if changed != lines:
            found = verify(changed).findings
            assert found
            assert found[0].line == at


async def test_a_file_that_is_no_audit_is_not_whole() -> None:
    """Ours."""
    assert not verify([]).is_whole
    assert [finding.line for finding in verify(["hello"]).findings] == [1, 1]


async def test_why_a_room_went_as_it_did_is_told_in_words(puppet: Any, tmp_path: Path) -> None:
    """Issue 4, part 6; conversation §6 item 3."""
    manager, room = await eventful(puppet, tmp_path)
    told = await manager.explain(room)
    assert told.splitlines() == [
        "   1  a takes a seat",
        "   2  b takes a seat",
        "   3  user says: go",
        "   4  next a, a model chose",
        "      candidates: a, b",
        "      rejected: 'zoe': the answer is 'zoe', which is none of a, b",
        "   5  a asks: May the tool rm be called?",
        "   6  user answers: yes",
        "   7  a says: done",
        "      called rm with {'path': 'x'}",
        "      which gave: gone",
        "      called execute_code with [{'language': 'python', 'code': '1/0'}]",
        "   8  next b, a model chose",
        "      candidates: a, b",
        "   9  b fails at attempt 1, and is asked again: could not answer (it says: 'cannot')",
        "  10  b says: \\[a] well",
        "      a line that imitates another speaker is escaped",
        "  11  nobody is next, a model chose: that is all",
        "      candidates: a, b",
        "  12  ended by chat_manager (converged): that is all",
    ]


async def test_who_leaves_who_is_not_waited_for_and_who_has_nothing_to_say_is_told(puppet: Any) -> None:
    """Ours: also of a room that is not kept."""
    from a2a_bridge.chat.entry import Entry, Speaker, StopReason

    a = Speaker("a")
    entries = [
        Entry(1, "joined", 0, a, flags=("card_changed",)),
        Entry(2, "passed", 1, a, flags=("late",)),
        Entry(3, "passed", 1, a, detail="pressed Enter"),
        Entry(4, "left", 1, a),
        Entry(5, "stopped", 1, a, stop=StopReason("budget", "m", "all spent", ("max_round",))),
    ]
    assert explain(entries).splitlines() == [
        "   1  a takes a seat, with another card than before",
        "   2  a is not waited for: enough others had answered",
        "   3  a has nothing to say: pressed Enter",
        "   4  a leaves",
        "   5  ended by m (budget): all spent; max_round would have ended it too",
    ]
