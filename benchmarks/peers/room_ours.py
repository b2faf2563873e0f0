"""Rooms of local function agents, in one process; each question is a kind of conversation to be measured.

The agents answer at once and never look at what was said: what is measured is what a room costs beside its agents.
"""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any
from uuid import uuid4

from a2a_bridge.agent import Journal, Turn
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.protocol.objects import Message, Part
from a2a_bridge.store.journal import MemoryJournal, StreamJournal
from a2a_bridge.store.sqlite import SQLiteStore
from benchmarks.peers.words import ANSWER
from benchmarks.processes import answer_until_told


def seat(number: int, said: list[int]) -> Callable[[Turn], Awaitable[str]]:
    """A function agent that notes when it speaks; like the other's it is handed the messages and reads none."""

    async def speak(turn: Turn) -> str:
        said.append(number)
        return ANSWER

    speak.__name__ = f"seat{number}"
    return speak


def room_of(question: dict[str, Any], said: list[int]) -> GroupChatManager:
    """The room, made once for all its conversations."""
    agents: list[Any] = [seat(number, said) for number in range(question["seats"])]
    if question["remote"]:
        agents[1] = question["remote"]
    chat = GroupChat(agents, max_round=question["turns"] + 1, speaker_selection_method="round_robin")
    return GroupChatManager(chat, summary_method=None)


async def converse(room: GroupChatManager, journal: Journal) -> tuple[float, float]:
    """One conversation: its CPU and wall seconds."""
    opening = Message(message_id=str(uuid4()), role="ROLE_USER", parts=(Part(text="Say something."),))
    turn = Turn(id=str(uuid4()), messages=(opening,), context_id=str(uuid4()), journal=journal)
    cpu, wall = time.process_time(), time.perf_counter()
    async with aclosing(room.run(turn)) as replies:
        async for _ in replies:
            pass
    return time.process_time() - cpu, time.perf_counter() - wall


async def measured(question: dict[str, Any]) -> dict[str, float]:
    """Conversations until there are `least` turns, and what one turn costs in microseconds."""
    turns, cpu, wall, said = 0, 0.0, 0.0, list[int]()
    room = room_of(question, said)
    with tempfile.TemporaryDirectory(prefix="a2a-benchmark-") as folder:
        store = SQLiteStore(Path(folder) / "rooms.sqlite") if question["journal"] == "sqlite" else None
        if store is not None:
            await store.open()
        while turns < question["least"]:
            journal: Journal = MemoryJournal() if store is None else await StreamJournal.claim(store, f"room/{uuid4()}")
            more = await converse(room, journal)
            turns, cpu, wall = turns + question["turns"], cpu + more[0], wall + more[1]
        if store is not None:
            await store.close()
    if not question["remote"] and len(said) != turns:
        raise RuntimeError(f"{len(said)} turns were taken instead of {turns}")
    return {"cpu_us": cpu / turns * 1e6, "wall_us": wall / turns * 1e6, "turns": turns}


def main() -> None:
    """One event loop for all questions."""
    with asyncio.Runner() as runner:
        answer_until_told(lambda question: runner.run(measured(question)))


if __name__ == "__main__":
    main()
