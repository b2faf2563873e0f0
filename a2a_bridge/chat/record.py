"""An entry of the room log as it is kept in the journal: one line of JSON.

Speakers who have joined are written by name, and the lines that every turn has are put together by hand, so that a
turn costs little. `from_record` reads what `to_record` wrote.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from a2a_bridge.agent import Ask, Usage
from a2a_bridge.chat.entry import Decision, Entry, Speaker, StopReason, metadata_of, usage_json
from a2a_bridge.protocol.objects import Message, Part, Role, dump

_quote = json.encoder.encode_basestring
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@lru_cache(maxsize=512)
def _names(names: tuple[str, ...]) -> str:
    return _encode(names)


class _Names:
    """The JSON of candidates. Mostly they are those of the decision before, which is told by identity: to look up
    fifty names costs more than the rest of the line."""

    latest: tuple[tuple[str, ...], str] = (), "[]"

    @classmethod
    def written(cls, names: tuple[str, ...]) -> str:
        known, text = cls.latest
        if names is not known:
            text = _names(names)
            cls.latest = names, text
        return text


def to_record(entry: Entry, known: Mapping[str, Speaker]) -> str:
    """The line that is kept. Speakers in `known` (those who joined) are written by name."""
    speaker = entry.speaker
    by: Any = None
    if speaker is not None:
        held = known.get(speaker.name)
        by = speaker.name if held is speaker or held == speaker else speaker
    plain = entry.attempt == 1 and entry.usage is None and not entry.detail and not entry.flags and not entry.asks
    if plain and by is not None and entry.stop is None and entry.raw is None and entry.heard is None:
        usual = _usual_record(entry, _quote(by) if isinstance(by, str) else _whole(by))
        if usual is not None:
            return usual
    line = _line(entry)
    if by is not None:
        line["speaker"] = by if isinstance(by, str) else _speaker_json(by)
    if entry.why is None or entry.kind != "decided":
        return _encode(line)
    return f'{_encode(line)[:-1]},"why":{_why_record(entry.why)}}}'


def _line(entry: Entry) -> dict[str, Any]:
    """All of it but who spoke and why."""
    line: dict[str, Any] = {"seq": entry.seq, "at": entry.at, "kind": entry.kind, "turn": entry.turn}
    if entry.message is not None:
        _put_message(line, entry.message)
    if entry.raw is not None:
        line["raw"] = [_part_json(part) for part in entry.raw]
    if entry.attempt != 1:
        line["attempt"] = entry.attempt
    if entry.usage is not None:
        line["usage"] = usage_json(entry.usage)
    if entry.detail:
        line["detail"] = entry.detail
    if entry.flags:
        line["flags"] = entry.flags
    if entry.asks:
        line["asks"] = [_ask_json(ask) for ask in entry.asks]
    if entry.stop is not None:
        line["stop"] = [entry.stop.kind, entry.stop.by, entry.stop.detail, *entry.stop.also]
    if entry.heard:
        line["heard"] = entry.heard
    return line


@lru_cache(maxsize=512)
def _whole(speaker: Speaker) -> str:
    return _encode(_speaker_json(speaker))


def _usual_record(entry: Entry, by: str) -> str | None:
    """The same line for the entries that there are most of, put together by hand: it costs a third."""
    why = entry.why
    if entry.kind == "joined" and entry.message is None:
        return f'{{"seq":{entry.seq},"at":{entry.at},"kind":"joined","turn":{entry.turn},"speaker":{by}}}'
    if entry.kind == "decided" and why is not None and entry.message is None:
        told = _why_record(why)
        return f'{{"seq":{entry.seq},"at":{entry.at},"kind":"decided","turn":{entry.turn},"speaker":{by},"why":{told}}}'
    message = entry.message
    if entry.kind != "said" or message is None or len(message.parts) != 1:
        return None
    part = message.parts[0]
    if not part.is_plain_text or part.text is None:
        return None
    return (
        f'{{"seq":{entry.seq},"at":{entry.at},"kind":"said","turn":{entry.turn},"speaker":{by},'
        f'"id":{_quote(message.message_id)},"text":{_quote(part.text)}}}'
    )


def _why_record(why: Decision) -> str:
    """The candidates are the same in most turns of a room: their JSON is kept."""
    rejected = _encode(why.rejected) if why.rejected else "[]"
    chosen = f"{_quote(why.chosen)},{_quote(why.chosen_by)},{_quote(why.reason)}"
    more = f",{_encode(why.also)},{_encode(why.answers)}" if why.also or why.answers else ""
    return f"[{_Names.written(why.candidates)},{chosen},{rejected}{more}]"


def _why_from(found: list[Any]) -> Decision:
    also, answers = found[5:] or ((), ())
    return Decision(tuple(found[0]), found[1], found[2], found[3], tuple(found[4]), tuple(also), tuple(answers))


def _put_message(line: dict[str, Any], message: Message) -> None:
    line["id"] = message.message_id
    parts = message.parts
    if len(parts) == 1 and parts[0].is_plain_text:
        line["text"] = parts[0].text
    else:
        line["parts"] = [_part_json(part) for part in parts]


def _part_json(part: Part) -> Any:
    """A part, also one whose text is empty: which member it has must be readable again."""
    found = dump(part)
    if part.kind not in found:
        found[part.kind] = ""
    return found


def _speaker_json(speaker: Speaker) -> dict[str, Any]:
    found: dict[str, Any] = {"name": speaker.name, "kind": speaker.kind}
    if speaker.framework is not None:
        found["framework"] = speaker.framework
    if speaker.endpoint is not None:
        found["endpoint"] = speaker.endpoint
    if not speaker.may_terminate:
        found["may_terminate"] = False
    if speaker.card is not None:
        found["card"] = speaker.card
    return found


def _ask_json(ask: Ask) -> dict[str, Any]:
    found: dict[str, Any] = {"id": ask.id, "kind": ask.kind, "text": ask.text}
    if ask.parts:
        found["parts"] = [_part_json(part) for part in ask.parts]
    if ask.schema is not None:
        found["schema"] = ask.schema
    if ask.options:
        found["options"] = ask.options
    return found


def from_record(line: Mapping[str, Any], known: Mapping[str, Speaker], manager: Speaker) -> Entry:
    """The entry that `to_record` wrote. What is noted when a turn gave nothing, the manager says."""
    speaker = _speaker_from(line.get("speaker"), known)
    author = manager if line["kind"] in ("failed", "passed") else speaker
    usage, why, stop = line.get("usage"), line.get("why"), line.get("stop")
    return Entry(
        seq=line["seq"],
        kind=line["kind"],
        turn=line["turn"],
        speaker=speaker,
        message=_message_from(line, author),
        attempt=line.get("attempt", 1),
        usage=Usage(**usage) if usage else None,
        why=_why_from(why) if why else None,
        asks=tuple(_ask_from(ask) for ask in line.get("asks", ())),
        detail=line.get("detail", ""),
        flags=tuple(line.get("flags", ())),
        stop=StopReason(stop[0], stop[1], stop[2], tuple(stop[3:])) if stop else None,
        at=line["at"],
        raw=tuple(Part.model_validate(part) for part in line["raw"]) if "raw" in line else None,
        heard=line.get("heard"),
    )


def _speaker_from(found: Any, known: Mapping[str, Speaker]) -> Speaker | None:
    if found is None:
        return None
    return known.get(found) or Speaker(found) if isinstance(found, str) else Speaker(**found)


def _message_from(line: Mapping[str, Any], speaker: Speaker | None) -> Message | None:
    if "id" not in line:
        return None
    parts = (Part(text=line["text"]),) if "text" in line else tuple(Part.model_validate(p) for p in line["parts"])
    return Message(
        message_id=line["id"], role=Role.USER, parts=parts, metadata=metadata_of(speaker) if speaker else None
    )


def _ask_from(line: Mapping[str, Any]) -> Ask:
    return Ask(
        text=line["text"],
        parts=tuple(Part.model_validate(part) for part in line.get("parts", ())),
        kind=line["kind"],
        schema=line.get("schema"),
        options=tuple(line.get("options", ())),
        id=line["id"],
    )
