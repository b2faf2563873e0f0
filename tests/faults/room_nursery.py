"""Runs rooms in processes that the fault tests kill: `python room_nursery.py`.

For each line on standard input, the path of a store and the URLs of the seats, a process of its own is forked, which
goes on with the room in that store, or begins one. So a process costs a fork and not a start of Python. What is told on
standard output: its pid, and when it is gone, how it ended.
"""

import asyncio
import json
import os
import sys

from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.seat import Seat

TURNS = 12


def manager_of(store: str, urls: dict[str, str]) -> GroupChatManager:
    """A room of three remote seats."""
    seats = [Seat(url, name=name) for name, url in urls.items()]
    chat = GroupChat(seats, max_round=TURNS + 1, speaker_selection_method="round_robin")
    return GroupChatManager(chat, store=store)


async def run(store: str, urls: dict[str, str]) -> None:
    manager = manager_of(store, urls)
    rooms = await manager.rooms() if os.path.exists(store) else []
    result = await (manager.resume(rooms[0].room_id) if rooms else manager.chat("go"))
    assert result.stop.kind == "max_round", result.stop


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            asyncio.run(run(*json.loads(line)))
            os._exit(0)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
