"""Rooms that are kept: forked, gone on with under other names, exported, imported, replayed by their id."""

import asyncio
import json
import random
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.agent import Traits, Turn
from a2a_bridge.chat.conversable import ConversableAgent
from a2a_bridge.chat.entry import Entry
from a2a_bridge.chat.exchange import Exchange
from a2a_bridge.chat.exported import findings
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.seat import Seat
from a2a_bridge.errors import ChatError, UnknownRoomError
from a2a_bridge.testing.model import ScriptedModel

RESTARTABLE = Traits(after_crash="restartable")


class KilledError(BaseException):
    """The process is killed here."""


@pytest.fixture
def kept(tmp_path: Path) -> Any:
    """A manager over these agents, on the one store of the test."""

    def made(*agents: Any, **rules: Any) -> GroupChatManager:
        rules.setdefault("speaker_selection_method", "round_robin")
        model = rules.pop("llm_config", None)
        return GroupChatManager(GroupChat(list(agents), **rules), model, store=tmp_path / "rooms.sqlite")

    return made


def said(entries: Any) -> list[str]:
    return [f"{entry.speaker.name}: {entry.text}" for entry in entries if entry.kind == "said"]


def decisions(entries: list[Entry]) -> list[int]:
    return [entry.seq for entry in entries if entry.kind == "decided"]


async def test_a_room_is_forked_at_an_entry_with_another_agent_in_a_seat(kept: Any, puppet: Any) -> None:
    """Conversation §4.16, §6 item 5: what if the critic were another model. It hears everything anew."""
    first = await kept(puppet("a"), puppet("critic"), max_round=5).chat("go")
    a, other = puppet("a", "a again"), puppet("critic", "well done")
    manager = kept(a, other, max_round=5)
    second = decisions(first.entries)[1]
    result = await manager.fork(first.room_id, second)
    assert result.room_id != first.room_id
    assert said((await manager.log(result.room_id)).entries) == [
        "user: go", "a: a speaks", "critic: well done", "a: a again", "critic: well done",
    ]  # fmt: skip
    assert other.heard[0] == ["go", "a speaks"]
    assert a.heard[0] == ["go", "a speaks", "well done"], "what was said in its seat is news to it"
    assert said(await manager.entries(first.room_id))[2] == "critic: critic speaks"
    assert len({turn.context_id for turn in other.turns}) == 1
    assert (await manager.replay(result.room_id)).is_same
    assert len(await manager.rooms()) == 2


async def test_rooms_that_begin_and_end_at_the_same_time_share_the_file(kept: Any, puppet: Any) -> None:
    """Ours: it is opened by the first and closed by the last; who comes while it is opened or closed waits."""
    manager = kept(puppet("a"), puppet("b"), max_round=3)

    async def chat(number: int) -> Any:
        for _ in range(number):
            await asyncio.sleep(0)  # so that some begin while others end
        return await manager.chat(f"go {number}")

    results = await asyncio.gather(*map(chat, range(12)))
    assert {len(said(result.entries)) for result in results} == {3}
    assert len(await manager.rooms()) == 12


async def test_context_variables_of_a_fork_are_those_of_its_entry(kept: Any) -> None:
    """Semantics 16: what a conversation knows besides its words goes with it, also into a fork of a fork."""

    def counting(name: str) -> ConversableAgent:
        async def reply(agent: Any, exchange: Exchange) -> AsyncGenerator[str, None]:
            variables = await exchange.variables()
            variables["n"] = int(str(variables["n"])) + 1
            variables[name] = True
            await exchange.keep_variables()
            yield f"{variables['n']}"

        agent = ConversableAgent(name, human_input_mode="NEVER", context_variables={"n": 0})
        agent.register_reply(None, reply)
        return agent

    manager = kept(counting("a"), counting("b"), max_round=5)
    first = await manager.chat("go")
    assert [said.text for said in first.messages] == ["go", "1", "2", "3", "4"]
    third = decisions(first.entries)[2]
    forked = await manager.fork(first.room_id, third)
    assert [said.text for said in forked.messages] == ["go", "1", "2", "3", "4"]
    again = await manager.fork(forked.room_id, decisions(forked.entries)[1])
    assert [said.text for said in again.messages] == ["go", "1", "2", "3", "4"]
    assert (await manager.replay(again.room_id)).is_same


async def test_who_may_not_be_asked_twice_is_asked_in_a_fork(kept: Any, puppet: Any) -> None:
    """Ours: nobody has been asked in the new room; after a crash of that one it is as ever."""
    first = await kept(puppet("a"), max_round=3).chat("go")
    a = Dies("a")
    manager = kept(a, max_round=3)
    with pytest.raises(KilledError):
        await manager.fork(first.room_id, decisions(first.entries)[0])
    [made] = [room for room in await manager.rooms() if room.room_id != first.room_id]
    result = await kept(puppet("a"), max_round=3).resume(made.room_id)
    assert [entry.kind for entry in result.entries if entry.turn == 1][-1] == "failed"
    assert (await manager.replay(made.room_id)).is_same


class Dies:
    """An agent whose process is killed when it is asked."""

    description = "dies"
    traits = Traits()

    def __init__(self, name: str) -> None:
        self.name = name

    async def run(self, turn: Turn) -> Any:
        raise KilledError
        yield


async def test_an_entry_that_is_not_there_and_one_that_ended_the_room_cannot_be_forked_at(
    kept: Any, puppet: Any
) -> None:
    """Ours: what happened, and what to do."""
    manager = kept(puppet("a"), max_round=2)
    first = await manager.chat("go")
    with pytest.raises(ChatError, match="has no entry 99"):
        await manager.fork(first.room_id, 99)
    with pytest.raises(ChatError, match="had ended"):
        await manager.fork(first.room_id, len(first.entries))
    with pytest.raises(UnknownRoomError):
        await manager.fork("nothing", 1)


async def test_all_who_had_a_seat_must_have_one_or_it_is_said_who_has_it_now(kept: Any, puppet: Any) -> None:
    """Conversation §4.16: the same seat names, else an explicit mapping. Whoever takes over hears everything."""
    with pytest.raises(KilledError):
        await kept(puppet("a"), Seat(Dies("b")), max_round=4).chat("go")
    manager = kept(puppet("a"), puppet("c", traits=RESTARTABLE), max_round=4)
    [room] = await manager.rooms()
    with pytest.raises(ChatError, match=r"'b' had a seat .* rename=\{'b': ...\}"):
        await manager.resume(room.room_id)
    with pytest.raises(ChatError, match="'z'"):
        await manager.resume(room.room_id, rename={"z": "c", "b": "c"})
    with pytest.raises(ChatError, match="'b'"):
        await manager.fork(room.room_id, 4)
    result = await manager.resume(room.room_id, rename={"b": "c"})
    assert said(result.entries) == ["user: go", "a: a speaks", "c: c speaks", "a: a speaks"]
    assert manager.groupchat.seats[1].original.heard == [["go", "a speaks"]]
    assert (await manager.replay(room.room_id)).is_same
    forked = await manager.fork(room.room_id, 6, rename={"b": "c"})
    assert said(forked.entries)[:3] == ["user: go", "a: a speaks", "c: c speaks"]


class Remembers:
    """An agent that keeps something in its journal."""

    description = "remembers"
    traits = Traits(keeps_context=True, after_crash="resumable")

    def __init__(self, name: str) -> None:
        self.name = name

    async def run(self, turn: Turn) -> Any:
        await turn.journal.append(f"turn {turn.id}".encode())
        yield f"{len(await turn.journal.read())}"


async def test_a_room_is_exported_and_imported_whole(kept: Any, puppet: Any, tmp_path: Path) -> None:
    """Issue 4, part 5: JSON Lines, lossless: what seats keep as well."""
    with pytest.raises(KilledError):
        await kept(Remembers("a"), Dies("b"), max_round=4).chat("gö")
    manager = kept(Remembers("a"), puppet("b", traits=RESTARTABLE), max_round=4)
    [room] = await manager.rooms()
    lines = [line async for line in manager.export(room.room_id)]
    assert json.loads(lines[0])["version"] == 1
    assert not findings(lines)
    with pytest.raises(ChatError, match="already"):
        await manager.import_room(lines)
    chat = GroupChat([Remembers("a"), puppet("b", traits=RESTARTABLE)], speaker_selection_method="round_robin",
                     max_round=4)  # fmt: skip
    other = GroupChatManager(chat, store=tmp_path / "other.sqlite")
    assert await other.import_room(lines) == room.room_id
    assert [line async for line in other.export(room.room_id)] == lines
    result = await other.resume(room.room_id)
    assert said(result.entries)[-1] == "a: 2"
    with pytest.raises(ChatError, match="chat_manager"):
        await GroupChatManager(chat, name="else", store=tmp_path / "third.sqlite").import_room(lines)
    assert (await other.replay(line for line in lines if line.startswith(('{"seq"', '{"kind":"run"')))).is_same


async def test_any_line_of_an_export_that_is_changed_missing_moved_or_doubled_is_found(kept: Any, puppet: Any) -> None:
    """Issue 4, part 6."""
    manager = kept(Remembers("a"), puppet("b"), max_round=4)
    result = await manager.chat("go")
    lines = [line async for line in manager.export(result.room_id)]
    chance = random.Random(4)
    for _ in range(300):
        at = chance.randrange(len(lines))
        kind = chance.randrange(5)
        changed = [*lines]
        if kind == 0:
            place = chance.randrange(len(lines[at]))
            changed[at] = lines[at][:place] + chr(ord(lines[at][place]) ^ 1) + lines[at][place + 1 :]
        elif kind == 1:
            del changed[at]
        elif kind == 2:
            changed.insert(at, lines[at])
        elif kind == 3 and at:
            changed[at - 1], changed[at] = changed[at], changed[at - 1]
        else:
            changed = lines[:at]
        if changed != lines:
            found = findings(changed)
            assert found, (kind, at)
            with pytest.raises(ChatError, match="line"):
                await manager.import_room(changed)


async def test_a_room_that_is_not_kept_cannot_be_gone_back_to(puppet: Any) -> None:
    """Ours: what to do."""
    manager = GroupChatManager(GroupChat([puppet("a")]), ScriptedModel(["END"]))
    for call in (manager.fork("x", 1), manager.replay("x"), manager.entries("x"), manager.resume("x")):
        with pytest.raises(ChatError, match="store="):
            await call


async def test_a_chat_that_an_agent_opens_is_kept_as_one_of_the_manager_is(kept: Any, puppet: Any) -> None:
    """Ours: the same log, and `rooms`, `explain`, `replay` and `resume` know it; what goes on is the same room."""
    a = puppet("a")
    manager = kept(a, max_round=3)
    boss = ConversableAgent("boss", human_input_mode="NEVER")
    first = await boss.a_initiate_chat(manager, message="go", silent=True)
    [room] = await manager.rooms()
    assert (room.room_id, room.state, room.message.text) == (first.room_id, "max_round", "go")
    assert [entry.kind for entry in await manager.entries(room.room_id)] == [entry.kind for entry in first.entries]
    assert "next a" in await manager.explain(room.room_id)
    assert (await manager.replay(room.room_id)).is_same
    again = await boss.a_initiate_chat(manager, message="and?", clear_history=False, silent=True)
    assert again.room_id == first.room_id
    [room] = await manager.rooms()
    assert said(await manager.entries(room.room_id))[0] == "boss: go"
    assert "boss: and?" in said(await manager.entries(room.room_id))
    assert (await manager.replay(room.room_id)).runs == 2
    asked = len(a.turns)
    resumed = await kept(a, max_round=3).resume(room.room_id)
    assert (resumed.stop.kind, len(a.turns)) == ("max_round", asked)
    await boss.a_initiate_chat(manager, message="anew", silent=True)
    assert len(await manager.rooms()) == 2


async def test_a_chat_that_is_killed_is_gone_on_with_from_the_store(kept: Any, puppet: Any) -> None:
    """Ours: what an agent has opened survives its process."""
    boss = ConversableAgent("boss", human_input_mode="NEVER")
    with pytest.raises(KilledError):
        await boss.a_initiate_chat(kept(puppet("a"), Dies("b"), max_round=4), message="go", silent=True)
    [room] = await kept(puppet("a"), puppet("b")).rooms()
    assert room.state == "running"
    result = await kept(puppet("a"), puppet("b"), max_round=4).resume(room.room_id)
    assert said(result.entries)[:2] == ["boss: go", "a: a speaks"]
    assert result.stop.kind == "max_round"
