"""Which group chat a command line names, and how its entries are shown."""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from a2a_bridge.bridge import url_name
from a2a_bridge.chat.ask import TERMINAL
from a2a_bridge.chat.entry import Entry, entry_json
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.result import ChatResult
from a2a_bridge.cli.fault import usage
from a2a_bridge.cli.options import Output
from a2a_bridge.cli.output import content, emit, emit_json, field
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


async def shown(played: AsyncIterator[Any], *, as_json: bool) -> None:
    """Entries as they come."""
    async with aclosing(cast(Any, played)) as entries:
        async for entry in entries:
            if isinstance(entry, Entry):
                show(entry, as_json=as_json)
            elif isinstance(entry, ChatResult):
                show_result(entry, as_json=as_json)
