"""What a manager can do with the rooms that it keeps: run them, go on with them, fork, replay, explain, carry away."""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from a2a_bridge.agent import Chunk, Reply, Turn
from a2a_bridge.chat.ask import Human
from a2a_bridge.chat.audit import audited
from a2a_bridge.chat.classic import content_parts
from a2a_bridge.chat.entry import Entry
from a2a_bridge.chat.explain import explain
from a2a_bridge.chat.exported import Imported, exported
from a2a_bridge.chat.guest import is_guest, is_of
from a2a_bridge.chat.interruption import is_interrupted
from a2a_bridge.chat.keep import OF_A_SERVER, SERVED, KeptRoom, RoomStore
from a2a_bridge.chat.log import RoomLog
from a2a_bridge.chat.replay import Replay, replay
from a2a_bridge.chat.result import ChatResult
from a2a_bridge.chat.room import Room
from a2a_bridge.chat.rules import Host, Rules
from a2a_bridge.chat.run import room_id
from a2a_bridge.chat.seal import NO_SEAL, is_seal, sealed
from a2a_bridge.chat.variables import copy_variables
from a2a_bridge.errors import ChatError, UnknownRoomError
from a2a_bridge.protocol.objects import Message, Role
from a2a_bridge.store.contract import Store
from a2a_bridge.store.journal import MemoryJournal, StreamJournal


class RoomKeeper(Host):
    """The rooms of one manager."""

    name: str
    room_store: RoomStore | None

    async def chat(self, task: Any, *, opener: str | None = None) -> ChatResult:
        """Put a task to the room and see the conversation through. `task`: a text, a dict with `content`, a Message.
        `opener`: the seat in whose name it is said, else a person outside.

        With `store=` the room is kept while it runs: `ChatResult.room_id` names it, and `resume` goes on with it
        after a crash. Cancelling the call cancels whoever speaks.
        """
        return await _result(self.driven(task, opener))

    async def stream(self, task: Any) -> AsyncGenerator[Entry | Chunk, None]:
        """The same, to watch: the entries of the log and, between them, the words as they come.

        Read it within `contextlib.aclosing`, or to its end.
        """
        async with aclosing(self.driven(task)) as shown:
            async for said in shown:
                if isinstance(said, Entry | Chunk):
                    yield said

    async def resume(
        self, room: str | Sequence[Mapping[str, Any]], *, rename: Mapping[str, str] | None = None
    ) -> ChatResult:
        """Go on with a conversation.

        The id of a room of this manager's store: it goes on where it was cut off; nobody who has answered is asked
        again. A room that had ended gives its result. All who had a seat must have one; `rename={old: new}` says who
        has it under another name. A list of classic messages: a new room begins with them, the last one opens it.
        UnknownRoomError, and ChatError for a manager without a store.
        """
        if not isinstance(room, str):
            return await self._resume_messages(room)
        return await _result(self.resumed(room, rename=rename))

    async def resumed(
        self, room: str, *, rename: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Entry | Reply | ChatResult, None]:
        """The same for a room by its id, to watch: first what the run that was cut off has in its log, then all that
        happens, and at the end what it came to."""
        async with self._rooms().opened() as store:
            kept = _ours(await self._rooms().find(store, room))
            journal = await self._rooms().claim(store, kept)
            log = RoomLog(journal, self.rules.manager)
            await log.load()
            names = dict(rename or {})
            if log.run:
                check_seats(self.rules, log, names)
                if names:
                    log.mark({"kind": "renamed", "names": names})
                    await log.commit()
            async with aclosing(self._kept_run(store, kept, journal)) as shown:
                for entry in log.run:
                    yield entry
                async for said in shown:
                    yield said

    async def fork(self, room: str, at: int, *, rename: Mapping[str, str] | None = None) -> ChatResult:
        """Go on with a conversation as if it had come to entry `at` and no further, in a room of its own.

        The manager may be another one than that which ran the room, with other agents in the seats, on the same store:
        what if the critic were another model. Everybody is told everything anew, in new contexts; context variables are
        as they were at that entry; the room that it was forked from stays as it is. `rename={old: new}` says who has a
        seat under another name. ChatError when there is no such entry, or the conversation had ended there.
        """
        return await _result(self.forked(room, at, rename=rename))

    async def forked(
        self, room: str, at: int, *, rename: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Entry | Reply | ChatResult, None]:
        """The same, to watch: first the entries that it begins with, then all that happens, and at the end what it came
        to."""
        async with self._rooms().opened() as store:
            kept = _ours(await self._rooms().find(store, room))
            lines = _up_to(at, await self._lines(store, kept))
            turn = turn_of(kept.message)
            made = KeptRoom(room_id(self.rules, turn), turn.context_id, turn.id, kept.message, "running", time.time())
            journal = MemoryJournal()
            await journal.append(sealed(NO_SEAL, "\n".join(lines).encode())[0])
            log = RoomLog(journal, self.rules.manager)
            await log.load()
            names = dict(rename or {})
            if not log.run or log.head is None:
                raise ChatError(f"the conversation had ended at entry {at}: fork before that, or ask a new question")
            check_seats(self.rules, log, names)
            head = log.head._replace(turn=turn.id, context=turn.context_id)
            log.mark({"kind": "forked", "from": room, "at": at, "head": head, "names": names})
            await log.commit()
            claimed = await self._rooms().claim(store, made)
            await copy_variables(await self._rooms().look(store, kept), claimed, at)
            for _, record in await journal.read():
                await claimed.append(record)
            async with aclosing(self._kept_run(store, made, claimed)) as shown:
                for entry in log.run:
                    yield entry
                async for said in shown:
                    yield said

    async def replay(self, room: str | Iterable[str]) -> Replay:
        """Let the rules decide anew on what was heard in a room, by its id or its lines, and compare: nobody is asked.

        See `chat.replay`. LogError for lines that are no log of a room.
        """
        if not isinstance(room, str):
            return await replay(self.rules, room)
        async with self._rooms().opened(reading=True) as store:
            lines = await self._lines(store, await self._rooms().find(store, room))
        return await replay(self.rules, lines)

    async def explain(self, room: str) -> str:
        """Why a room went as it did: each choice with its reason, candidates and what was rejected, each failure, each
        stop; also while it runs. For whoever runs the room, see `chat.explain`."""
        return explain(await self.entries(room))

    async def audit(self, room: str) -> AsyncIterator[str]:
        """What happened in a room, line by line, chained by digests: see `chat.audit`."""
        async with self._rooms().opened(reading=True) as store:
            lines = await self._lines(store, await self._rooms().find(store, room))
        for line in audited(room, self.rules.manager, lines):
            yield line

    def answered_by(self, human: Human) -> Self:
        """The same manager, whose questions this function answers."""
        other = copy(self)
        other.human = human
        return other

    def at(self, store: Store | str | Path, *, served: str | None = None) -> Self:
        """The same manager with its rooms in another store. With `served` (TENANT/OWNER/AGENT) in that of a server:
        what that caller and the room have said can be explained, replayed and audited, by its contextId."""
        other = copy(self)
        other.room_store = RoomStore(store, self.name, served=served)
        return other

    async def entries(self, room: str) -> list[Entry]:
        """What is written down of a room so far, also while it runs. See `chat.explain` for what it says."""
        return (await self.log(room)).entries

    async def log(self, room: str) -> RoomLog:
        """The log of a room so far, for reading."""
        async with self._rooms().opened(reading=True) as store:
            kept = await self._rooms().find(store, room)
            log = RoomLog(await self._rooms().look(store, kept), self.rules.manager)
            await log.load()
        return log

    async def export(self, room: str) -> AsyncIterator[str]:
        """A room as JSON Lines, all of it: see `chat.exported`. Nothing in it is a credential, but it is all that was
        said."""
        async with self._rooms().opened(reading=True) as store:
            kept = _ours(await self._rooms().find(store, room))
            journal = await self._rooms().look(store, kept)
            lines = exported(kept, self.name, await journal.read(), journal.inner())
        for line in lines:
            yield line

    async def import_room(self, lines: Iterable[str]) -> str:
        """Take in a room that was exported, and return its id. ChatError when lines are missing or were changed, for a
        room of a manager with another name, and for one that is there."""
        given = Imported(lines)
        if given.manager != self.name:
            raise ChatError(f"the room is one of {given.manager!r}: import it to a manager of that name")
        async with self._rooms().opened() as store:
            try:
                await self._rooms().find(store, given.room.room_id)
            except UnknownRoomError:
                await given.write(await self._rooms().claim(store, given.room))
                return given.room.room_id
        raise ChatError(f"the room {given.room.room_id!r} is in this store already")

    async def rooms(self) -> list[KeptRoom]:
        """The rooms in this manager's store, the newest first; at most 50."""
        if self.room_store is None:
            return []
        async with self.room_store.opened(reading=True) as store:
            return await self.room_store.rooms(store)

    # How a run is driven from here.

    def _rooms(self) -> RoomStore:
        if self.room_store is None:
            raise ChatError(
                f"only rooms that are kept can be gone back to: GroupChatManager(store='rooms.sqlite'); {OF_A_SERVER}"
            )
        return self.room_store

    async def _lines(self, store: Store, room: KeptRoom) -> list[str]:
        journal = await self._rooms().look(store, room)
        return [line.decode() for _, record in await journal.read() for line in record.split(b"\n")]

    async def _resume_messages(self, messages: Sequence[Mapping[str, Any]]) -> ChatResult:
        if not messages:
            raise ChatError("resume(messages): there are none")
        *earlier, last = messages
        began = tuple((str(said.get("name") or "user"), content_parts(said)) for said in earlier)
        opening = Message(message_id=str(uuid.uuid4()), role=Role.USER, parts=content_parts(last))
        rules = replace(self.rules, earlier=began)
        return await _result(_played(Room(rules, turn_of(opening), human=self.human, opener=last.get("name"))))

    async def driven(self, task: Any, opener: str | None = None) -> AsyncGenerator[Entry | Reply | ChatResult, None]:
        """All that happens when a task is put to the room, and at the end what it came to."""
        message = message_of(task)
        turn = turn_of(message)
        if self.room_store is None:
            async with aclosing(_played(Room(self.rules, turn, human=self.human, opener=opener))) as shown:
                async for said in shown:
                    yield said
            return
        async with (
            self.begun(turn) as (store, kept, journal),
            aclosing(self._kept_run(store, kept, journal, opener)) as shown,
        ):
            async for said in shown:
                yield said

    @asynccontextmanager
    async def begun(self, turn: Turn) -> AsyncGenerator[tuple[Store, KeptRoom, StreamJournal], None]:
        """The room of this turn in the store, its journal ours while the block lasts. A context that it has had before
        goes on."""
        (message,) = turn.messages
        kept = KeptRoom(room_id(self.rules, turn), turn.context_id, turn.id, message, "running", time.time())
        async with self._rooms().opened() as store:
            yield store, kept, await self._rooms().claim(store, kept)

    async def _kept_run(
        self, store: Store, kept: KeptRoom, journal: StreamJournal, opener: str | None = None
    ) -> AsyncGenerator[Entry | Reply | ChatResult, None]:
        turn = Turn(id=kept.turn_id, messages=(kept.message,), context_id=kept.context_id, journal=journal)
        async with aclosing(_played(Room(self.rules, turn, human=self.human, opener=opener))) as shown:
            try:
                async for said in shown:
                    if isinstance(said, ChatResult):
                        await self._rooms().ended(store, kept, said.stop.kind)
                    yield said
            except asyncio.CancelledError:
                if is_interrupted():
                    await self._rooms().ended(store, kept, "interrupted")
                raise


def _ours(room: KeptRoom) -> KeptRoom:
    """A room that may be gone on with and carried away: not one that a server keeps."""
    if room.state == SERVED:
        raise ChatError(
            f"the conversation {room.room_id!r} is kept by a server: go on with it by a message in its context; from"
            " here it can be explained, replayed and audited"
        )
    return room


def check_seats(rules: Rules, log: RoomLog, names: Mapping[str, str]) -> None:
    """Raise ChatError if somebody who sits in the room has no seat under its name, or that in `names`."""
    guests = {entry.speaker.name for entry in log.entries if is_guest(entry) and entry.speaker is not None}
    missing = [
        name
        for name, speaker in log.speakers.items()
        if name != rules.manager.name
        and name not in guests
        and not any(is_of(seat, speaker, names.get(name, name)) for seat in rules.seats)
    ]
    unknown = [name for name in names if name not in log.speakers]
    if unknown:
        raise ChatError(f"rename= names {', '.join(map(repr, unknown))}, who had no seat in this room")
    if missing:
        seats = ", ".join(repr(seat.key) for seat in rules.seats)
        raise ChatError(
            f"{', '.join(map(repr, missing))} had a seat in this room and has none here, where there are {seats}:"
            f" say who has it now with rename={{{missing[0]!r}: ...}}"
        )


def message_of(task: Any) -> Message:
    """A task in any of its forms."""
    if isinstance(task, Message):
        return task
    return Message(message_id=str(uuid.uuid4()), role=Role.USER, parts=content_parts(task))


def turn_of(message: Message) -> Turn:
    """The turn of a room that nobody has asked over A2A."""
    return Turn(id=str(uuid.uuid4()), messages=(message,), context_id=str(uuid.uuid4()), journal=MemoryJournal())


def _up_to(at: int, lines: Sequence[str]) -> list[str]:
    """The lines up to an entry, without seals."""
    found: list[str] = []
    for line in lines:
        if is_seal(line.encode()):
            continue
        found.append(line)
        if line.startswith(f'{{"seq":{at},'):
            return found
    raise ChatError(f"the room has no entry {at}: its log ends before")


async def _played(room: Room) -> AsyncGenerator[Entry | Reply | ChatResult, None]:
    """What a room shows, and at the end its result."""
    async with aclosing(room.play()) as shown:
        async for said in shown:
            yield said
    yield room.result()


async def _result(played: AsyncGenerator[Entry | Reply | ChatResult, None]) -> ChatResult:
    async with aclosing(played) as shown:
        async for said in shown:
            if isinstance(said, ChatResult):
                return said
    raise AssertionError("a run ends with its result")
