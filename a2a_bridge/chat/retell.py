"""What was written down, as it had come: the replies of a seat, and words from outside."""

from collections.abc import Iterator, Sequence
from typing import Any, cast

from a2a_bridge.agent import Chunk, Say, ToolCall, ToolResult
from a2a_bridge.chat.budget import ESTIMATED
from a2a_bridge.chat.entry import Entry, Speaker, metadata_of
from a2a_bridge.chat.failure import Failure, RecordedError
from a2a_bridge.chat.names import fold_name
from a2a_bridge.chat.opening import OUTSIDER
from a2a_bridge.chat.spoken import HumanWords, Pass, Spoken, StopChat
from a2a_bridge.protocol.objects import JSONValue, Message, Part, Role


def said_outside(entry: Entry, names: frozenset[str], stand_in: Speaker) -> tuple[str | None, Message]:
    """What came from outside, before the room has put its name to it."""
    assert entry.speaker is not None
    assert entry.message is not None
    name: str | None = entry.speaker.name
    if entry.speaker == stand_in:
        name = None
    elif name is not None and fold_name(name.removesuffix(OUTSIDER)) in names:
        name = name.removesuffix(OUTSIDER)
    metadata = None if name is None else metadata_of(Speaker(name, "human"))
    return name, Message(message_id=entry.message.message_id, role=Role.USER, parts=_parts(entry), metadata=metadata)


def retold(entry: Entry) -> Iterator[Spoken]:
    """What a seat said, so that the same is written down; raises what it raised."""
    heard = entry.heard or {}
    for one in cast("list[list[Any]]", heard.get("activity") or []):
        yield _activity(one)
    if entry.usage is not None and ESTIMATED not in entry.flags:
        yield entry.usage
    if entry.kind == "asked":
        yield from entry.asks
    elif entry.kind == "passed":
        yield from _ends(entry, heard.get("ends"))
    elif entry.kind == "failed":
        reason = str(heard.get("reason", entry.detail))
        detail = "" if entry.detail == reason else entry.detail
        raise RecordedError(reason, Failure(reason, detail, is_unreached=bool(heard.get("unreached"))))
    else:
        yield from _words(entry)
        if "next" in heard:
            yield Say(next=cast("str | None", heard["next"]))


def _ends(entry: Entry, ends: JSONValue) -> Iterator[Spoken]:
    if ends is not None:
        yield Pass(entry.detail) if ends == "pass" else StopChat(str(ends), entry.detail)


def _words(entry: Entry) -> Iterator[Spoken]:
    if entry.speaker is not None and entry.speaker.kind == "human":
        yield HumanWords("")
    for part in _parts(entry):
        yield _word(part, is_raw=entry.raw is not None)


def _parts(entry: Entry) -> tuple[Part, ...]:
    assert entry.message is not None
    return entry.raw if entry.raw is not None else entry.message.parts


def _word(part: Part, *, is_raw: bool) -> Spoken:
    if is_raw and part.is_plain_text:
        return part.text or ""  # the speaker's own name is taken off again
    return Chunk(parts=(part,), artifact="answer" if is_raw else "words")


def _activity(one: Sequence[Any]) -> ToolCall | ToolResult:
    if one[0] == "call":
        return ToolCall(one[1], one[2], one[3])
    return ToolResult(one[1], one[2], one[3])
