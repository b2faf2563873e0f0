"""One line of the room log, and its JSON.

The log is journal records; everything a room knows is a fold of its entries. Two JSON forms live here: the record
that is kept (names instead of whole speakers, so that a turn costs little), and `entry_json` for people and programs
that watch.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from a2a_bridge.agent import Ask, Usage, parts_of, speaker_metadata
from a2a_bridge.protocol.objects import JSONValue, Message, Part, Role, dump

Kind = Literal["joined", "left", "said", "decided", "asked", "answered", "failed", "passed", "stopped"]
SpeakerKind = Literal["local", "remote", "human", "manager"]

END = "END"
"""What a manager chooses when it ends the conversation."""

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who spoke. Set by the engine from the channel the words came through, never from the words.

    `kind` is "human" for words a person gave, also when they came through an agent. `may_terminate`: control words
    of this speaker count.
    """

    name: str
    kind: SpeakerKind = "local"
    framework: str | None = None
    endpoint: str | None = None
    may_terminate: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """Why this speaker: who could have been chosen, who was (`END`: nobody any more), by what, and the reason.

    `chosen_by`: auto, round_robin, random, manual, function, only_candidate, handover or fallback. `rejected` are
    the answers of the chooser that could not be used, each with what was wrong with it.
    """

    candidates: tuple[str, ...]
    chosen: str
    chosen_by: str
    reason: str = ""
    rejected: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why a conversation ended.

    `kind`: converged (the manager declared it), terminated (a condition or a closing word), max_round, max_turns,
    max_replies, human (a person ended it), function (the selection function named nobody), no_speaker, no_reply,
    selection_failed, failed, or input_required (somebody asked, and nobody was there to answer).
    """

    kind: str
    by: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the room log.

    `turn` counts what seats were asked for, over the whole life of the room; 0 is what came before. `detail` is for
    whoever runs the room: it may hold the text of an exception and is never sent to a seat.
    """

    seq: int
    kind: Kind
    turn: int
    speaker: Speaker | None = None
    message: Message | None = None
    attempt: int = 1
    usage: Usage | None = None
    why: Decision | None = None
    asks: tuple[Ask, ...] = ()
    detail: str = ""
    flags: tuple[str, ...] = ()
    stop: StopReason | None = None

    @property
    def text(self) -> str:
        """What was said, asked or noted, as text."""
        if self.message is not None:
            return self.message.text
        return "\n".join(part.text for ask in self.asks for part in parts_of(ask) if part.text)


def entry_json(entry: Entry) -> dict[str, JSONValue]:
    """An entry for `--json` and for logs: the same members on every line, `stop` only on the last."""
    speaker = entry.speaker
    said: dict[str, JSONValue] = {
        "seq": entry.seq,
        "kind": entry.kind,
        "turn": entry.turn,
        "speaker": None,
        "text": entry.text,
        "why": decision_json(entry.why) if entry.why else None,
        "usage": usage_json(entry.usage) if entry.usage else None,
    }
    if speaker is not None:
        said["speaker"] = {
            "name": speaker.name,
            "kind": speaker.kind,
            "framework": speaker.framework,
            "endpoint": speaker.endpoint,
        }
    if entry.detail:
        said["detail"] = entry.detail
    if entry.flags:
        said["flags"] = list(entry.flags)
    if entry.stop is not None:
        said["stop"] = {"kind": entry.stop.kind, "by": entry.stop.by, "detail": entry.stop.detail}
    return said


def decision_json(why: Decision) -> dict[str, JSONValue]:
    """A decision as plain JSON."""
    found: dict[str, JSONValue] = {
        "candidates": list(why.candidates),
        "chosen": why.chosen,
        "chosen_by": why.chosen_by,
        "reason": why.reason,
    }
    if why.rejected:
        found["rejected"] = list(why.rejected)
    return found


def usage_json(usage: Usage) -> dict[str, JSONValue]:
    """Token use as plain JSON."""
    found: dict[str, JSONValue] = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    if usage.cost_usd is not None:
        found["cost_usd"] = usage.cost_usd
    if usage.model is not None:
        found["model"] = usage.model
    return found


@lru_cache(maxsize=512)
def _names(names: tuple[str, ...]) -> str:
    return _encode(names)


def to_record(entry: Entry, known: Mapping[str, Speaker]) -> str:
    """The line that is kept. Speakers in `known` (those who joined) are written by name."""
    line: dict[str, Any] = {"seq": entry.seq, "kind": entry.kind, "turn": entry.turn}
    speaker = entry.speaker
    if speaker is not None:
        line["speaker"] = speaker.name if known.get(speaker.name) == speaker else _speaker_json(speaker)
    if entry.message is not None:
        _put_message(line, entry.message)
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
        line["stop"] = [entry.stop.kind, entry.stop.by, entry.stop.detail]
    if entry.why is None or entry.kind != "decided":
        return _encode(line)
    return f'{_encode(line)[:-1]},"why":{_why_record(entry.why)}}}'


def _why_record(why: Decision) -> str:
    """The candidates are the same in most turns of a room: their JSON is kept."""
    rest = _encode((why.chosen, why.chosen_by, why.reason, why.rejected))
    return f"[{_names(why.candidates)},{rest[1:]}"


def _put_message(line: dict[str, Any], message: Message) -> None:
    line["id"] = message.message_id
    parts = message.parts
    if len(parts) == 1 and parts[0].is_plain_text:
        line["text"] = parts[0].text
    else:
        line["parts"] = dump(parts)


def _speaker_json(speaker: Speaker) -> dict[str, Any]:
    found: dict[str, Any] = {"name": speaker.name, "kind": speaker.kind}
    if speaker.framework is not None:
        found["framework"] = speaker.framework
    if speaker.endpoint is not None:
        found["endpoint"] = speaker.endpoint
    if not speaker.may_terminate:
        found["may_terminate"] = False
    return found


def _ask_json(ask: Ask) -> dict[str, Any]:
    found: dict[str, Any] = {"id": ask.id, "kind": ask.kind, "text": ask.text}
    if ask.parts:
        found["parts"] = dump(ask.parts)
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
        why=Decision(tuple(why[0]), why[1], why[2], why[3], tuple(why[4])) if why else None,
        asks=tuple(_ask_from(ask) for ask in line.get("asks", ())),
        detail=line.get("detail", ""),
        flags=tuple(line.get("flags", ())),
        stop=StopReason(*stop) if stop else None,
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


def metadata_of(speaker: Speaker) -> dict[str, JSONValue]:
    """What a message or an artifact of this speaker carries, so that anybody can tell who spoke."""
    return speaker_metadata(speaker.name, kind=speaker.kind, framework=speaker.framework, endpoint=speaker.endpoint)
