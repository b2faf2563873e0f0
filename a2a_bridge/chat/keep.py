"""Where rooms that are driven from Python are kept: `GroupChatManager(store=...)`.

A path is a SQLite file, opened when the first room of it runs and closed when the last one has ended; it belongs to
one writing process meanwhile. A store that is given must be open and stays the caller's. A room's record says which
context it is and what opened it, so that it can be gone on with when nothing else of it has been written yet.
"""

import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from a2a_bridge.client.baton import Baton
from a2a_bridge.errors import UnknownRoomError
from a2a_bridge.protocol.objects import Message, Part, Role, dump
from a2a_bridge.store.contract import Change, Store
from a2a_bridge.store.journal import StreamJournal
from a2a_bridge.store.sqlite import SQLiteStore

_KIND = "room"
SERVED = "served"
"""The state of a room that a server keeps: its conversation goes on over A2A, and is only looked at from here."""

OF_A_SERVER = "a conversation that a server keeps is looked at by its contextId: manager.at(FILE, served=...)"


class KeptRoom(NamedTuple):
    """What a store knows of a room beside its log. `state` is "running" or the kind of its stop."""

    room_id: str
    context_id: str
    turn_id: str
    message: Message
    state: str
    at: float


class RoomStore:
    """The rooms of one manager in one store. `served`: tenant, owner and agent, as the keys of a server have them:
    their conversations with this room are found as well, by their contextId."""

    def __init__(self, store: Store | str | Path, manager: str, *, served: str | None = None) -> None:
        self._given = None if isinstance(store, str | Path) else store
        self._path = store if isinstance(store, str | Path) else None
        self._group = f"rooms/{manager}"
        self._served = served
        self._opened: Store | None = None
        self._users = 0
        self._turning = Baton()  # held while the file is opened or closed: two rooms may begin or end at once

    @asynccontextmanager
    async def opened(self, *, reading: bool = False) -> AsyncGenerator[Store, None]:
        """The store, open for as long as the block lasts. `reading`: also while another process writes to the file.
        StoreUnavailableError says why it cannot be had."""
        if self._given is not None:
            yield self._given
            return
        if reading and self._opened is None and self._path is not None and Path(self._path).is_file():
            looked_at = SQLiteStore(self._path, readonly=True)
            await looked_at.open()
            try:
                yield looked_at
            finally:
                await looked_at.close()
            return
        async with self._turning:
            if self._opened is None:
                assert self._path is not None
                store = SQLiteStore(self._path)
                await store.open()
                self._opened = store
            store_in_use = self._opened
            self._users += 1
        try:
            yield store_in_use
        finally:
            self._users -= 1  # at once: whoever is cancelled while he waits leaves it open for the next one
            async with self._turning:
                if not self._users and self._opened is store_in_use:
                    self._opened = None
                    await store_in_use.close()

    async def claim(self, store: Store, room: KeptRoom) -> StreamJournal:
        """The journal of a room, ours alone from now on."""
        return await StreamJournal.claim(store, _stream(room.room_id), (self._change(room),))

    async def look(self, store: Store, room: KeptRoom) -> StreamJournal:
        """The journal of a room, for reading: whoever runs it goes on."""
        name = self._served_stream(room.room_id) if room.state == SERVED else _stream(room.room_id)
        return await StreamJournal.look(store, name)

    def _served_stream(self, context_id: str) -> str:
        return f"journal/{self._served}/{context_id}"

    async def ended(self, store: Store, room: KeptRoom, state: str) -> None:
        """Say how it ended."""
        await store.put(self._change(room._replace(state=state, at=time.time())))

    async def find(self, store: Store, room_id: str) -> KeptRoom:
        """The room of that id; UnknownRoomError if the store has none."""
        entry = await store.get(_KIND, f"{self._group}/{room_id}")
        if entry is None and self._served is not None and await store.get("journal", self._served_stream(room_id)):
            asked = Message(message_id=room_id, role=Role.USER, parts=(Part(text="(asked over A2A)"),))
            return KeptRoom(room_id, room_id, "", asked, SERVED, 0.0)
        if entry is None:
            raise UnknownRoomError(f"there is no room {room_id!r} of this manager in the store; {OF_A_SERVER}")
        return _room(room_id, json.loads(entry.value))

    async def rooms(self, store: Store, limit: int = 50) -> list[KeptRoom]:
        """The rooms that were used last, the newest first."""
        found = await store.page(_KIND, self._group, limit=limit)
        return [_room(entry.key.rpartition("/")[2], json.loads(entry.value)) for entry in found]

    def _change(self, room: KeptRoom) -> Change:
        value = {
            "context": room.context_id,
            "turn": room.turn_id,
            "message": dump(room.message),
            "state": room.state,
            "at": room.at,
        }
        return Change(
            _KIND,
            f"{self._group}/{room.room_id}",
            json.dumps(value, ensure_ascii=False).encode(),
            group=self._group,
            sort=f"{room.at:017.3f}",
            stream=_stream(room.room_id),
        )


def _stream(room_id: str) -> str:
    return f"room/{room_id}"


def _room(room_id: str, value: dict[str, Any]) -> KeptRoom:
    message = Message.model_validate(value["message"])
    return KeptRoom(room_id, value["context"], value["turn"], message, value["state"], value["at"])
