"""The tour's second room, in a process that may be killed at any time: `python -m a2a_bridge.demo.kept_room`.

It tells on standard output what happens, one JSON array a line: ["asked", NAME] before a local seat is asked,
["entry", RECORD] for each entry of its log, ["words", TEXT] while somebody speaks. With --stop-in NAME it stands still
in the middle of that seat's turn, after ["still"], and waits for its end.
"""

# ruff: noqa: E402
from a2a_bridge.demo.processes import watch_parent

watch_parent()  # before the slow imports

import argparse
import asyncio
import json
import logging
import os
import signal
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

from a2a_bridge.agent import Agent, Reply, Traits, Turn, traits_of
from a2a_bridge.chat.entry import Entry
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.record import to_record
from a2a_bridge.demo.endpoint import Endpoint, endpoint_in
from a2a_bridge.demo.roles import CRITIC, RESEARCHER
from a2a_bridge.demo.seats import local_agent

QUESTION = "Three emerging fintech trends in South Africa."
Tell = Callable[..., None]


class Heralded:
    """An agent that tells when it is asked."""

    def __init__(self, agent: Agent, tell: Tell) -> None:
        self.name, self.description = agent.name, agent.description
        self.traits: Traits = traits_of(agent)
        self._agent = agent
        self._tell = tell

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        self._tell("asked", self.name)
        async with aclosing(self._agent.run(turn)) as replies:
            async for reply in replies:
                yield reply


def build_kept(endpoint: Endpoint, url: str, store: Path, tell: Tell) -> GroupChatManager:
    """A researcher here, the agent at `url`, and a critic here; each speaks once, and all of it is kept in `store`."""
    researcher, critic = (Heralded(local_agent(role, endpoint), tell) for role in (RESEARCHER, CRITIC))
    seats = [researcher, url, critic]
    chat = GroupChat(seats, max_round=len(seats) + 1, speaker_selection_method="round_robin")
    return GroupChatManager(chat, name="kept_room", store=store)


async def begin(manager: GroupChatManager, tell: Tell, stop_in: str | None) -> None:
    """A new conversation, told while it goes on."""
    has_floor = ""
    async with aclosing(manager.stream(QUESTION)) as said:
        async for each in said:
            if isinstance(each, Entry):
                tell("entry", to_record(each, {}))
                has_floor = each.why.chosen if each.kind == "decided" and each.why else has_floor
            elif each.text:
                tell("words", each.text)
                if has_floor == stop_in:
                    tell("still")
                    signal.pause()  # nothing in this process goes on, not even its event loop


async def go_on(manager: GroupChatManager, tell: Tell, room: str) -> None:
    """The conversation of that id, told once it has ended."""
    for entry in (await manager.resume(room)).entries:
        tell("entry", to_record(entry, {}))


def tell(*what: str) -> None:
    print(json.dumps(what), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A room that is kept in a file, and tells what happens in it.")
    parser.add_argument("store", type=Path, help="the SQLite file")
    parser.add_argument("url", help="an agent that sits in it")
    parser.add_argument("--resume", metavar="ROOM", help="go on with this one")
    parser.add_argument("--stop-in", metavar="NAME", help="stand still in the turn of this seat")
    told = parser.parse_args(arguments)
    endpoint = endpoint_in(os.environ)
    if endpoint is None:
        raise SystemExit("set OPENAI_BASE_URL or OPENAI_API_KEY, and OPENAI_MODEL")
    logging.disable(logging.INFO)
    manager = build_kept(endpoint, told.url, told.store, tell)
    asyncio.run(go_on(manager, tell, told.resume) if told.resume else begin(manager, tell, told.stop_in))


if __name__ == "__main__":
    main()
