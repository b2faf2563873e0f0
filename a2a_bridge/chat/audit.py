"""What happened in a room, for an auditor: one line of JSON for each act, chained by their digests.

A line says who did what, in which room, when and on whose behalf, with which model, and with which card a remote agent
sat there. What was said stands in `content`, field by field, each with a salt; the chain goes over the digests of the
fields. So a field can be taken out again (`redact`) and the chain stays valid, and nobody can find out by trying what
has been taken out. The last line counts the lines. Whoever keeps its digest elsewhere can prove the file later:
who can write the file can also write another one, with a chain of its own.
"""

import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from a2a_bridge.chat.entry import Entry, Speaker, decision_json, usage_json
from a2a_bridge.chat.log import RERUN, RoomLog
from a2a_bridge.chat.seal import is_seal
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import JSONValue
from a2a_bridge.store.journal import MemoryJournal

VERSION = 1
_NOTHING = "0" * 32

_ACTIONS = {
    "said": "said", "decided": "chose the speaker", "asked": "asked", "answered": "answered", "failed": "failed",
    "passed": "passed", "noted": "noted", "joined": "joined", "left": "left", "stopped": "stopped",
}  # fmt: skip


class AuditError(ChatError):
    """These are no lines of an audit."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one line; lines are counted from 1."""

    line: int
    told: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a verification. `redacted` fields have been taken out on the record; `digest` is that of the last
    line: compare it with the one that was kept elsewhere."""

    lines: int
    redacted: int
    digest: str
    findings: tuple[Finding, ...] = ()

    @property
    def is_whole(self) -> bool:
        """Nothing is changed, missing, doubled or in another place."""
        return not self.findings


def audited(room: str, manager: Speaker, lines: Iterable[str]) -> Iterator[str]:
    """The audit of a room, from the lines of its log."""
    chain, log = _Chain(room), RoomLog(MemoryJournal(), manager)
    yield chain.line("audit", {"version": VERSION}, {"manager": manager.name})
    for text in lines:
        if is_seal(text.encode()):
            continue
        line = json.loads(text)
        log.take(line)
        if "seq" in line:
            yield from _acts(chain, log.entries[-1], _principal(log))
        elif line["kind"] == "run":
            assert log.head is not None
            about: dict[str, JSONValue] = {"seq": log.next_seq, "principal": _principal(log)}
            yield chain.line("began a run", about, {"turn": log.head.turn, "context": log.head.context})
        else:
            yield chain.line(line["kind"], {"seq": log.next_seq}, {"names": line.get("names", {})})
    yield chain.line("end", {"lines": chain.count}, {})


def _principal(log: RoomLog) -> str:
    return "" if log.head is None else f"{log.head.tenant}/{log.head.principal}".removeprefix("/")


class _Chain:
    """Makes lines, each with the digest of the one before."""

    def __init__(self, room: str) -> None:
        self._room = room
        self._before = _NOTHING
        self.count = 0

    def line(self, action: str, about: dict[str, JSONValue], content: dict[str, JSONValue]) -> str:
        """The next line."""
        held = {name: [secrets.token_hex(16), value] for name, value in content.items()}
        line: dict[str, Any] = {"n": self.count, "prev": self._before, "room": self._room, "action": action, **about}
        line["digests"] = {name: _digest(pair) for name, pair in held.items()}
        self._before = line["digest"] = _digest(line)
        self.count += 1
        return _json({**line, "content": held})


def _acts(chain: _Chain, entry: Entry, principal: str) -> Iterator[str]:
    about: dict[str, JSONValue] = {"seq": entry.seq, "at": entry.at, "turn": entry.turn, "principal": principal}
    if entry.speaker is not None:
        about["actor"] = _actor(entry.speaker)
    for one in _activity(entry):
        name = "result" if one[0] == "result" else "tool"
        action = "a tool gave" if one[0] == "result" else "ran code" if one[2] == "execute_code" else "called a tool"
        yield chain.line(action, about, {"id": one[1], name: one[2], "value": one[3]})
    if entry.attempt > 1:
        about["attempt"] = entry.attempt
    if entry.usage is not None:
        about["usage"] = usage_json(entry.usage)
    if entry.speaker is not None and entry.speaker.card is not None:
        about["card"] = entry.speaker.card
    if entry.flags:
        about["flags"] = list(entry.flags)
    yield chain.line(_action(entry), about, _content(entry))


def _action(entry: Entry) -> str:
    if entry.kind == "failed" and RERUN in entry.flags:
        return "failed, to be tried again"
    if entry.stop is not None and entry.stop.kind == "canceled":
        return "was canceled"
    if entry.kind == "asked" and any(ask.id.startswith(("tool:", "code:")) for ask in entry.asks):
        return "asked for approval"
    return _ACTIONS[entry.kind]


def _content(entry: Entry) -> dict[str, JSONValue]:
    found: dict[str, JSONValue] = {}
    if entry.text:
        found["text"] = entry.text
    if entry.raw is not None:
        found["raw"] = "\n".join(part.text or f"({part.kind})" for part in entry.raw)
    if entry.detail:
        found["detail"] = entry.detail
    if entry.why is not None and entry.kind == "decided":
        found["why"] = {**decision_json(entry.why), "answers": list(entry.why.answers)}
    if entry.asks:
        found["asks"] = [{"id": ask.id, "kind": ask.kind, "options": list(ask.options)} for ask in entry.asks]
    if entry.stop is not None:
        found["stop"] = {"kind": entry.stop.kind, "by": entry.stop.by, "detail": entry.stop.detail}
    return found


def _actor(speaker: Speaker) -> dict[str, JSONValue]:
    found: dict[str, JSONValue] = {"name": speaker.name, "kind": speaker.kind}
    if speaker.endpoint is not None:
        found["endpoint"] = speaker.endpoint
    return found


def _activity(entry: Entry) -> list[list[Any]]:
    found: Any = (entry.heard or {}).get("activity")
    return list(found or [])


def redact(
    lines: Iterable[str], which: Callable[[dict[str, Any]], bool], reason: str, fields: Sequence[str] | None = None
) -> Iterator[str]:
    """The lines with content taken out of those that `which` says, all of it or some fields; the reason stays.

    The chain is as valid as before. AuditError for lines that are none of an audit.
    """
    for number, text in enumerate(lines, 1):
        line = _parsed(text.rstrip("\n"))
        if line is None or not isinstance(line.get("content"), dict):
            raise AuditError(f"line {number} is no line of an audit")
        gone = [name for name in line["content"] if fields is None or name in fields] if which(line) else []
        if gone:
            line["content"] = {name: pair for name, pair in line["content"].items() if name not in gone}
            line["redacted"] = {**line.get("redacted", {}), **dict.fromkeys(gone, reason)}
        yield _json(line)


def verify(lines: Iterable[str]) -> Verdict:
    """Look for lines that were changed, are missing, doubled or in another place, and say which."""
    found: list[Finding] = []
    before, count, redacted, expected, ended = _NOTHING, 0, 0, 0, False
    for number, text in enumerate(lines, 1):
        count = number
        line = _parsed(text.rstrip("\n"))
        told = _broken(text.rstrip("\n"), line)
        if line is None or told is not None:
            found.append(Finding(number, told or "is no JSON object"))
            before, expected = str((line or {}).get("digest", "")), expected + 1
            continue
        if ended:
            found.append(Finding(number, "comes after the end"))
        if line["n"] != expected:
            found.append(Finding(number, _misplaced(line["n"], expected)))
        elif line["prev"] != before:
            found.append(Finding(number, "does not follow the line before it"))
        before, expected = line["digest"], line["n"] + 1
        redacted += len(line.get("redacted", {}))
        ended = line["action"] == "end"
        if ended and line.get("lines") != line["n"]:
            found.append(Finding(number, f"counts {line.get('lines')} lines before it, and is number {line['n']}"))
    if not ended:
        found.append(Finding(count, "is not the end: lines are missing after it"))
    return Verdict(count, redacted, before, tuple(found))


def _misplaced(number: int, expected: int) -> str:
    if number > expected:
        missing = number - expected
        return f"is number {number}: {missing} line{'s are' if missing > 1 else ' is'} missing before it"
    return f"is number {number}, which comes before number {expected - 1}: it is doubled, or in another place"


_MEMBERS = ("n", "prev", "room", "action", "digests", "digest", "content")


def _broken(text: str, line: dict[str, Any] | None) -> str | None:
    """What is wrong with a line by itself."""
    if line is None or any(name not in line for name in _MEMBERS) or not isinstance(line["n"], int):
        return "is no line of an audit"
    if _json(line) != text:
        return "is not written as it was"
    sealed = {name: value for name, value in line.items() if name not in ("digest", "content", "redacted")}
    if _digest(sealed) != line["digest"]:
        return "was changed"
    redacted, content, digests = line.get("redacted", {}), line["content"], line["digests"]
    if not isinstance(redacted, dict) or not isinstance(content, dict):
        return "was changed"
    for name in {*content, *redacted} - {*digests}:
        return f"has content that it had not: {name}"
    for name, digest in digests.items():
        if name in redacted and name not in content:
            continue
        if name not in content or name in redacted:
            return f"has lost its content {name}, and nobody says why"
        if _digest(content[name]) != digest:
            return f"was changed: its content {name}"
    return None


def _digest(value: Any) -> str:
    return blake2b(_json(value).encode("utf-8", "replace"), digest_size=16).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _parsed(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
