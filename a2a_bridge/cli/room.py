"""Which group chat a command line names, and how its entries are shown."""

import asyncio
import os
import shlex
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from a2a_bridge.bridge import url_name
from a2a_bridge.chat.ask import TERMINAL
from a2a_bridge.chat.entry import Entry, entry_json
from a2a_bridge.chat.interruption import is_interrupted
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.result import ChatResult
from a2a_bridge.cli.fault import usage
from a2a_bridge.cli.options import Output
from a2a_bridge.cli.output import content, emit, emit_json, field, note
from a2a_bridge.cli.target import load_target
from a2a_bridge.config import CONFIG_FILE, load_config
from a2a_bridge.tasks.live import scope_of


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomOptions:
    """Which group chat, and how to speak of it."""

    room: Annotated[
        str,
        typer.Argument(metavar="ROOM", help=f"MODULE:ATTRIBUTE of a GroupChatManager, or its name in {CONFIG_FILE}."),
    ]
    store: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Where its conversations are kept.  [default: as the manager says]"),
    ] = None
    config: Annotated[
        Path | None, typer.Option(envvar="A2A_BRIDGE_CONFIG", metavar="FILE", help=f"Default: {CONFIG_FILE}.")
    ] = None
    output: Annotated[Output, typer.Option("--output", "-o", envvar="A2ACLI_OUTPUT", help="Text, or JSON Lines.")] = (
        Output.TEXT
    )

    @property
    def as_json(self) -> bool:
        """JSON is wanted."""
        return self.output is Output.JSON

    def manager(self) -> GroupChatManager:
        """The manager; a person at the terminal answers what it asks, unless it says who does."""
        found: Any = load_target(self._target())
        if not isinstance(found, GroupChatManager):
            raise usage(f"{self.room} is {type(found).__name__} and no GroupChatManager")
        if self.store is not None:
            found = found.at(self.store, served=self.served_to(url_name(found.name)))
        return cast(GroupChatManager, found)

    def served_to(self, agent: str) -> str | None:
        """Whose conversations are looked at in the store of a server, as its keys have it."""
        return None

    def talking(self) -> GroupChatManager:
        """The same, with a person at the terminal to answer what seats ask, unless the manager says who does."""
        manager = self.manager()
        return manager if manager.human is not None else manager.answered_by(TERMINAL)

    def command(self, name: str, *more: str) -> str:
        """The line to type for another command of this room."""
        options = [("--store", self.store), ("--config", self.config)]
        given = [word for option, value in options if value is not None for word in (option, str(value))]
        return shlex.join(["a2a-bridge", "group", name, self.room, *more, *given])

    def _target(self) -> str:
        if ":" in self.room:
            return self.room
        path = self.config or Path(CONFIG_FILE)
        if not path.is_file():
            raise usage(f"{self.room!r} is not MODULE:ATTRIBUTE, and there is no {path}", "--config FILE")
        agents = load_config(path, os.environ).agents
        if self.room not in agents:
            raise usage(f"{path} has no [agents.{self.room}]: it has {', '.join(agents) or 'none'}")
        return agents[self.room].target


@dataclass(frozen=True, slots=True, kw_only=True)
class TalkOptions(RoomOptions):
    """A room that something is put to."""

    task: Annotated[str, typer.Argument(metavar="TASK", help="What they talk about.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptOptions(RoomOptions):
    """One of the conversations of a room."""

    room_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Which conversation; `group list` shows them. In the store of a server: its contextId."
        ),
    ]
    caller: Annotated[str, typer.Option(metavar="NAME", help="Whose conversation it is, in the store of a server.")] = (
        "anonymous"
    )
    tenant: Annotated[str, typer.Option(metavar="NAME", help="Under which tenant, likewise.")] = ""

    def served_to(self, agent: str) -> str | None:
        """See `RoomOptions`."""
        return scope_of(self.tenant, self.caller, agent if ":" in self.room else self.room)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileOptions(RoomOptions):
    """A room, and a file for it."""

    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `group export` wrote.")]


def show(entry: Entry, *, as_json: bool) -> None:
    """One entry of the log: a line of JSON, or what was said."""
    if as_json:
        emit_json(entry_json(entry), one_line=True)
    elif entry.kind in ("said", "asked", "answered", "noted", "failed") and entry.speaker is not None and entry.text:
        emit(
            content(f"{entry.speaker.name} ({entry.kind})" if entry.kind != "said" else entry.speaker.name, entry.text)
        )


def show_result(result: ChatResult, *, as_json: bool) -> None:
    """What a conversation came to, after its entries."""
    stop = result.stop
    if as_json:
        ended = {"kind": stop.kind, "by": stop.by, "detail": stop.detail}
        emit_json({"room": result.room_id, "stop": cast(Any, ended), "summary": result.summary}, one_line=True)
        return
    emit(field("Room", result.room_id))
    emit(field("Stop", f"{stop.kind}{f' ({stop.detail})' if stop.detail else ''}"))
    emit(content("Summary", result.summary))


async def shown(manager: GroupChatManager, played: AsyncIterator[Any], options: RoomOptions) -> None:
    """Entries as they come, and the result. After Ctrl-C: how to go on."""
    began, last = time.time(), 0
    try:
        async with aclosing(cast(Any, played)) as entries:
            async for said in entries:
                # A room that had ended gives its result and nothing else: its entries are in there.
                found = said.entries if isinstance(said, ChatResult) else (said,)
                for entry in found:
                    if isinstance(entry, Entry) and entry.seq > last:
                        show(entry, as_json=options.as_json)
                        last = entry.seq
                if isinstance(said, ChatResult):
                    show_result(said, as_json=options.as_json)
    except asyncio.CancelledError:
        if is_interrupted():
            rooms = [room for room in await manager.rooms() if room.at >= began and room.state == "interrupted"]
            _show_interrupted(rooms[0].room_id if rooms else None, options)
        raise


def _show_interrupted(room_id: str | None, options: RoomOptions) -> None:
    """To standard error, which is read by the person who pressed Ctrl-C; JSON is one more line where the others are."""
    go_on = options.command("resume", room_id) if room_id else "nothing is kept; to go on after Ctrl-C: --store FILE"
    if options.as_json:
        stop = {"kind": "interrupted", "by": "human", "detail": go_on}
        emit_json({"room": room_id, "stop": cast(Any, stop), "summary": ""}, one_line=True)
    elif room_id:
        note(f"Interrupted. Room: {room_id}\nTo go on: {go_on}")
    else:
        note(f"Interrupted: {go_on}")
