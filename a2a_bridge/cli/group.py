"""`a2a-bridge group ...`: group chats from the command line.

ROOM is a `GroupChatManager`; ID is one of its conversations, in its store. Exit codes are those of `fault.py`; `replay`
exits with 1 when the log comes out otherwise.
"""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from a2a_bridge.chat.entry import entry_json
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.sync_edge import run_sync
from a2a_bridge.cli.fault import usage
from a2a_bridge.cli.options import flat
from a2a_bridge.cli.output import emit, emit_json, field, note, safe
from a2a_bridge.cli.room import FileOptions, KeptOptions, RoomOptions, TalkOptions, show, shown

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

_LOOK_AGAIN = 0.25

Rename = Annotated[
    list[str] | None, typer.Option(metavar="OLD=NEW", help="Who has the seat OLD under another name now.")
]


@app.callback()
def group() -> None:
    """Group chats: run, watch, explain, replay, resume, fork, export, import."""


@app.command("run")
@flat
def run(options: TalkOptions) -> None:
    """Put a task to the room, and show what is said."""
    manager = options.talking()
    run_sync(lambda: shown(manager, manager.driven(options.task), options), "group run")


@app.command("list")
@flat
def list_(options: RoomOptions) -> None:
    """The conversations that are kept, the newest first."""
    manager = options.manager()
    if manager.room_store is None:
        raise usage("nothing is kept: GroupChatManager(store=...)", "--store FILE")
    rooms = asyncio.run(manager.rooms())
    if not rooms:
        note(
            f"No conversations of {manager.name!r} are kept there. What a server keeps is looked at by its contextId:"
            f" {options.command('explain')} CONTEXT_ID --caller NAME"
        )
    for kept in rooms:
        if options.as_json:
            emit_json(
                {"room": kept.room_id, "state": kept.state, "at": kept.at, "task": kept.message.text}, one_line=True
            )
        else:
            emit(field("Room", kept.room_id) + field("State", kept.state) + field("Task", kept.message.text))


@app.command("watch")
@flat
def watch(options: KeptOptions) -> None:
    """Show what has been said and what comes, until the conversation ends; another process may run it."""
    asyncio.run(_watched(options.manager(), options.room_id, as_json=options.as_json))


async def _watched(manager: GroupChatManager, room_id: str, *, as_json: bool) -> None:
    seen = 0
    while True:
        log = await manager.log(room_id)
        for entry in log.entries[seen:]:
            show(entry, as_json=as_json)
        seen = len(log.entries)
        if log.entries and not log.run:
            return
        await asyncio.sleep(_LOOK_AGAIN)


@app.command("explain")
@flat
def explain(options: KeptOptions) -> None:
    """Why it went as it did: each choice, failure, question and stop."""
    manager = options.manager()
    if not options.as_json:
        emit(safe(asyncio.run(manager.explain(options.room_id))))
        return
    for entry in asyncio.run(manager.entries(options.room_id)):
        emit_json(entry_json(entry), one_line=True)


@app.command("replay")
@flat
def replay(options: KeptOptions) -> None:
    """Decide anew on what was heard, without asking anybody, and compare; ID may also be the file of an export."""
    file = Path(options.room_id)
    given = _log_in(file) if file.is_file() else options.room_id
    found = asyncio.run(options.manager().replay(given))
    difference = found.difference
    if options.as_json:
        told: Any = None
        if difference is not None:
            told = {name: getattr(difference, name) for name in ("seq", "recorded", "replayed", "reason")}
        emit_json({"same": found.is_same, "entries": found.entries, "runs": found.runs, "difference": told})
    else:
        emit(field("Same", "yes" if found.is_same else "no") + field("Entries", str(found.entries)))
        if difference is not None:
            emit(field("Differs at", f"entry {difference.seq}") + field("Reason", difference.reason))
            emit(field("Was", difference.recorded or "nothing") + field("Is", difference.replayed or "nothing"))
    if not found.is_same:
        raise typer.Exit(1)


def _log_in(file: Path) -> list[str]:
    """The lines of a log in a file, also in that of an export."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith(('{"kind":"room"', '{"kind":"kept"', '{"kind":"end"'))]


@app.command("resume")
@flat
def resume(options: KeptOptions, rename: Rename = None) -> None:
    """Go on with a conversation that was cut off; nobody who has answered is asked again."""
    manager, names = options.talking(), _names(rename)
    run_sync(lambda: shown(manager, manager.resumed(options.room_id, rename=names), options), "group resume")


@app.command("fork")
@flat
def fork(
    options: KeptOptions,
    at: Annotated[int, typer.Option(metavar="N", help="The last entry that has happened.")],
    rename: Rename = None,
) -> None:
    """Go on as if the conversation had come to entry N and no further, in a room of its own."""
    manager, names = options.talking(), _names(rename)
    run_sync(lambda: shown(manager, manager.forked(options.room_id, at, rename=names), options), "group fork")


@app.command("export")
@flat
def export(options: KeptOptions) -> None:
    """All of a conversation as JSON Lines, on standard output."""

    async def written() -> None:
        async for line in options.manager().export(options.room_id):
            emit(f"{line}\n")

    asyncio.run(written())


@app.command("import")
@flat
def import_(options: FileOptions) -> None:
    """Take in a conversation that was exported."""
    with options.file.open(encoding="utf-8", newline="\n") as lines:
        room_id = asyncio.run(options.manager().import_room(lines))
    emit_json({"room": room_id}, one_line=True) if options.as_json else emit(field("Room", room_id))


def _names(rename: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in rename or ():
        old, equals, new = pair.partition("=")
        if not (old and equals and new):
            raise usage(f"--rename {pair}: OLD=NEW")
        found[old] = new
    return found
