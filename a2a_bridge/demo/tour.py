"""`scripts/demo --tour`: a tool call, code in a sandbox, a question to a person, and a room that is killed and goes on.

The room that is killed has a process of its own (`kept_room.py`), and so has an agent that sits in it behind A2A.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence

from a2a_bridge.agent import Chunk
from a2a_bridge.chat.ask import TERMINAL, Human
from a2a_bridge.chat.entry import Entry, Speaker
from a2a_bridge.chat.execution.bubblewrap import BubblewrapExecutor
from a2a_bridge.chat.execution.contract import Limits
from a2a_bridge.chat.record import from_record
from a2a_bridge.client.client import Client
from a2a_bridge.demo.desk import QUESTION, build_desk
from a2a_bridge.demo.endpoint import Endpoint
from a2a_bridge.demo.kept_room import build_kept, tell
from a2a_bridge.demo.options import Options
from a2a_bridge.demo.processes import Children
from a2a_bridge.demo.seats import plan_of_planner, start_all
from a2a_bridge.demo.show import Show, converse, tools_used
from a2a_bridge.errors import CodeExecutionError

PREPARED = "yes"
_MANAGER = Speaker("kept_room", "manager")


def tour(options: Options, endpoint: Endpoint, children: Children, show: Show) -> int:
    """Show all of it; the exit code is 1, and a sentence says why, if something of it could not be shown."""
    (url,) = start_all([plan_of_planner(show.note)], children, endpoint, show.note)
    troubles = [*asyncio.run(_desk(options, endpoint, show)), *_killed(endpoint, url, children, show)]
    for trouble in troubles:
        show.note(f"Not shown: {trouble}")
    return 1 if troubles else 0


async def _desk(options: Options, endpoint: Endpoint, show: Show) -> list[str]:
    """The first room, and what it did not show."""
    show.note("\n1. A tool, code in a sandbox, and a person, in one room.")
    if endpoint.is_embedded:
        show.note(
            "  So small a model can neither call tools nor write code: the call and the code are written down in\n"
            "  a2a_bridge/demo/desk.py. That the tool is called and the code is run is real."
        )
    executor = await _sandbox(show)
    entries = await converse(build_desk(endpoint, _person(options, show), executor), QUESTION, show)
    done = {call.split()[1] for entry in entries for call in tools_used(entry)}
    troubles = []
    if "instalment" not in done:
        troubles.append("a tool call; the model did not ask for one.")
    if executor is not None and "execute_code" not in done:
        troubles.append("code in a sandbox; the model did not write any.")
    if not any(entry.kind == "answered" for entry in entries):
        troubles.append("a question to a person; nobody was asked, or nobody answered.")
    return troubles


async def _sandbox(show: Show) -> BubblewrapExecutor | None:
    """What runs code; None where there is none, and a sentence has said why."""
    executor = BubblewrapExecutor(limits=Limits(timeout=20.0))
    try:
        await executor.check()
    except CodeExecutionError as error:
        show.note(f"  No code is run: {error}")
        return None
    return executor


def _person(options: Options, show: Show) -> Human:
    """Whoever sits at the terminal, or an answer that was prepared."""

    async def at_the_terminal(question: str) -> str:
        return await TERMINAL("")  # the question is shown with the rest of the log

    def prepared(question: str) -> str:
        show.note(f"  > {PREPARED}  (prepared: nobody sits at a terminal)")
        return PREPARED

    return at_the_terminal if sys.stdin.isatty() and not options.json else prepared


class Watch:
    """What a process tells of its room: shown, but for the entries that are `known` already."""

    def __init__(self, show: Show, known: Sequence[Entry] = ()) -> None:
        self.entries: list[Entry] = list(known)
        self.asked: list[str] = []
        self.stray: list[str] = []
        self._show = show
        self._known = {entry.seq: entry for entry in known}

    def take(self, line: str) -> bool:
        """A line of its output; True when it stands still."""
        try:
            kind, *rest = json.loads(line)
        except ValueError:  # a warning, or a traceback
            self.stray.append(line)
            return False
        if kind == "asked":
            self.asked.append(rest[0])
        elif kind == "words":
            self._show.take(Chunk(rest[0]))
        elif kind == "entry":
            entry = from_record(json.loads(rest[0]), {}, _MANAGER)
            if self._known.get(entry.seq) != entry:
                self.entries.append(entry)
                self._show.take(entry)
        return bool(kind == "still")


def _killed(endpoint: Endpoint, url: str, children: Children, show: Show) -> list[str]:
    """The second room, killed while the agent at `url` speaks, and gone on with; what was not shown."""
    show.note("\n2. A room that is killed in the middle of a turn, and goes on in another process.")
    store = children.folder / "rooms.sqlite"
    command = [sys.executable, "-m", "a2a_bridge.demo.kept_room", str(store), url]
    environ = {**os.environ, **endpoint.environ()}
    before = Watch(show)
    code = children.run([*command, "--stop-in", "planner"], environ, before.take)
    if code != -signal.SIGKILL:
        return [f"a kill in the middle of a turn; the room's process ended with code {code}." + _last(before)]
    kept = asyncio.run(build_kept(endpoint, url, store, tell).rooms())
    show.note(
        f"\n  SIGKILL: the room's process is gone. Its log has {len(before.entries)} entries; it goes on as"
        f" {kept[0].room_id}, in a new process ..."
    )
    after = Watch(show, before.entries)
    code = children.run([*command, "--resume", kept[0].room_id], environ, after.take)
    if code:
        return [f"a room that goes on; its process ended with code {code}." + _last(after)]
    asked = Counter([*before.asked, *after.asked])
    asked["planner"] = asyncio.run(_tasks_at(url))
    show.note(f"  Asked, over both processes: {', '.join(f'{name} {times}' for name, times in asked.items())}.")
    seqs = [entry.seq for entry in after.entries]
    if set(asked.values()) != {1} or seqs != list(range(seqs[0], seqs[0] + len(seqs))):
        return ["a room that asks nobody twice and keeps its log."]
    return []


def _last(watch: Watch) -> str:
    return "".join(f"\n    {line}" for line in watch.stray[-15:])


async def _tasks_at(url: str) -> int:
    """How many tasks an agent has been given: a request that is repeated under its messageId makes no new one."""
    async with Client(url) as client:
        return len((await client.list()).tasks)
