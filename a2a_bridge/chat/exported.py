"""A kept room as JSON Lines: all of it, so that it can be gone on with elsewhere.

The first line says which room it is and in which version of this format. Then come the lines of its log as they are,
seals included; then what its seats keep (contexts at remote agents, states of frameworks), record by record; the last
line counts the lines before it, and has their digest.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

from a2a_bridge.agent import Journal
from a2a_bridge.chat.keep import KeptRoom
from a2a_bridge.chat.seal import NO_SEAL, is_seal, sealed
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import Message, dump
from a2a_bridge.store.contract import Numbered

VERSION = 1

Inner = Sequence[tuple[tuple[str, ...], Sequence[Numbered]]]


class ImportFailedError(ChatError):
    """The lines are not a whole room."""


def exported(room: KeptRoom, manager: str, records: Sequence[Numbered], inner: Inner) -> Iterator[str]:
    """The lines of one room."""
    count, digest = 0, blake2b(digest_size=16)
    for line in _lines(room, manager, records, inner):
        count += 1
        digest.update(line.encode() + b"\n")
        yield line
    yield _json({"kind": "end", "lines": count, "digest": digest.hexdigest()})


def _lines(room: KeptRoom, manager: str, records: Sequence[Numbered], inner: Inner) -> Iterator[str]:
    head = {"kind": "room", "version": VERSION, "manager": manager, **room._asdict(), "message": dump(room.message)}
    yield _json(head)
    for _, record in records:
        yield from record.decode().split("\n")
    for path, kept in inner:
        for _, record in kept:
            yield _json({"kind": "kept", "path": path, "record": base64.b64encode(record).decode()})


class Imported:
    """What such lines hold. ChatError says which line is wrong, or that lines are missing at the end."""

    def __init__(self, lines: Iterable[str]) -> None:
        given = [line.rstrip("\n") for line in lines]
        self.findings = findings(given)
        if self.findings:
            number, told = self.findings[0]
            raise ImportFailedError(f"line {number}: {told}")
        head = json.loads(given[0])
        self.manager = str(head.pop("manager"))
        del head["kind"], head["version"]
        self.room = KeptRoom(**{**head, "message": Message.model_validate(head["message"])})
        self.log = [line for line in given[1:-1] if not line.startswith(_KEPT)]
        self.inner = [json.loads(line) for line in given[1:-1] if line.startswith(_KEPT)]

    async def write(self, journal: Journal) -> None:
        """Put all of it into an empty journal."""
        record: list[bytes] = []
        for line in self.log:
            record.append(line.encode())
            if is_seal(record[-1]):
                await journal.append(b"\n".join(record))
                record = []
        for kept in self.inner:
            into = journal
            for key in kept["path"]:
                into = into.child(key)
            await into.append(base64.b64decode(kept["record"]))


_KEPT = '{"kind":"kept"'


def findings(lines: Sequence[str]) -> list[tuple[int, str]]:
    """What is wrong with the lines of a room, by number of the line, beginning with 1."""
    found: list[tuple[int, str]] = []
    parsed = [_parsed(line) for line in lines]
    head, end = (parsed[0], parsed[-1]) if parsed else ({}, {})
    if head.get("kind") != "room":
        return [(1, "is not the first line of a room")]
    if head.get("version") != VERSION:
        return [(1, f"is of version {head.get('version')!r} of the format, and this reads {VERSION}")]
    log = [
        (number, line)
        for number, line in enumerate(lines, 1)
        if number > 1 and parsed[number - 1].get("kind") not in ("kept", "end")
    ]
    found += _chain(log)
    if end.get("kind") != "end":
        found.append((len(lines), "is not the end of the room: lines are missing after it"))
        return found
    digest = blake2b("".join(f"{line}\n" for line in lines[:-1]).encode(), digest_size=16).hexdigest()
    if end.get("lines") != len(lines) - 1:
        found.append((len(lines), f"counts {end.get('lines')} lines before it, and there are {len(lines) - 1}"))
    if end.get("digest") != digest or _json(end) != lines[-1]:
        found.append((len(lines), "seals other lines than stand before it"))
    return sorted(found)


def _chain(log: Sequence[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Where the chain of seals breaks; one commit has few lines, and their numbers say more."""
    seal, commit, last = NO_SEAL, list[str](), 0
    first = 0
    for number, line in log:
        data = line.encode()
        first = first or number
        if not is_seal(data):
            commit.append(line)
            seq = _parsed(line).get("seq", last + 1)
            if seq != last + 1 and "seq" in _parsed(line):
                yield number, f"is entry {seq}, and entry {last + 1} comes next"
            last = seq if "seq" in _parsed(line) and isinstance(seq, int) else last
            continue
        record, seal = sealed(seal, "\n".join(commit).encode())
        if not record.endswith(b"\n" + data) or not commit:
            yield first, f"to line {number}: changed since they were sealed, or not in their place"
            seal = _parsed(line).get("seal", "").encode()
        commit, first = [], 0
    if commit:
        yield first, "has no seal after it"


def _parsed(line: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
