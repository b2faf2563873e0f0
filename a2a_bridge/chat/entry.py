"""One line of the room log, and its JSON.

The log is journal records; everything a room knows is a fold of its entries. `entry_json` is for people and programs
that watch; what is kept is in `record.py`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from a2a_bridge.agent import Ask, Usage, parts_of, speaker_metadata
from a2a_bridge.protocol.objects import JSONValue, Message, Part

Kind = Literal["joined", "left", "noted", "said", "decided", "asked", "answered", "failed", "passed", "stopped"]
SpeakerKind = Literal["local", "remote", "human", "manager"]

END = "END"
"""What a manager chooses when it ends the conversation."""
EXTERNAL = "finish"
"""The flag of a note with which somebody outside asked for the end."""


@dataclass(frozen=True, slots=True)
class Speaker:
    """Who spoke. Set by the engine from the channel the words came through, never from the words.

    `kind` is "human" for words a person gave, also when they came through an agent. `may_terminate`: control words
    of this speaker count. `card` is the digest of the card that a remote agent had when it took its seat.
    """

    name: str
    kind: SpeakerKind = "local"
    framework: str | None = None
    endpoint: str | None = None
    may_terminate: bool = True
    card: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """Why this speaker: who could have been chosen, who was (`END`: nobody any more), by what, and the reason.

    `chosen_by`: auto, round_robin, random, manual, function, only_candidate, handover or fallback. `rejected` are
    the answers of the chooser that could not be used, each with what was wrong with it; `answers` are all that it
    gave, as it gave them, the one that was used last. `also` speak in the same turn, each without hearing the others.
    """

    candidates: tuple[str, ...]
    chosen: str
    chosen_by: str
    reason: str = ""
    rejected: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()

    @property
    def speakers(self) -> tuple[str, ...]:
        """Everybody whose turn it is; nobody after END."""
        return () if self.chosen == END else (self.chosen, *self.also)


@dataclass(frozen=True, slots=True)
class StopReason:
    """Why a conversation ended.

    `kind`: converged (the manager declared it, or everybody in a debate holds the same), decided and unresolved (a
    debate ended with an answer, or without), terminated (a condition or a closing word), max_round, max_turns,
    max_replies, budget, deadline, canceled, human (a person ended it), function (the selection function named nobody),
    no_speaker, no_reply, selection_failed, failed, interrupted (the process ended, and another conversation began; by
    "human": somebody pressed Ctrl-C, and if it is kept it can be gone on with), or input_required (somebody asked, and
    nobody was there to answer).
    `also` are kinds that would have ended it at the same moment.
    """

    kind: str
    by: str = ""
    detail: str = ""
    also: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the room log.

    `turn` counts what seats were asked for, over the whole life of the room; 0 is what came before. `detail` is for
    whoever runs the room: it may hold the text of an exception and is never sent to a seat. `at` is when it was
    written, in milliseconds since 1970. `raw` is what was said, where the room has changed it (a speaker's own name
    taken off, a line that imitates somebody escaped). `heard` is what the room was told with it and the rest does not
    show: who should go on (`next`), why a turn failed (`reason`, `unreached`), by which word one ended (`ends`), the
    tools that were used (`activity`), how a guest sits (`seat`). With it a run can be replayed.
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
    at: int = 0
    raw: tuple[Part, ...] | None = None
    heard: Mapping[str, JSONValue] | None = None

    @property
    def is_end(self) -> bool:
        """The run is over. One that somebody interrupted by Ctrl-C is not: it can be gone on with."""
        stop = self.stop
        return self.kind == "stopped" and (stop is None or (stop.kind, stop.by) != ("interrupted", "human"))

    @property
    def text(self) -> str:
        """What was said, asked or noted, as text; of a failed turn the reason."""
        if self.message is not None:
            return words_of(self.message.parts)
        if self.kind == "failed":
            return self.detail
        return "\n".join(part.text for ask in self.asks for part in parts_of(ask) if part.text)


def words_of(parts: Iterable[Part]) -> str:
    """Parts as text: data as its JSON, a file by its name and type."""
    return "\n".join(_words(part) for part in parts)


def _words(part: Part) -> str:
    if part.text is not None:
        return part.text
    if part.kind == "data":
        return json.dumps(part.data, ensure_ascii=False)
    return f"({part.filename or part.url or 'a file'}, {part.media_type or 'of unknown type'})"


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
    if why.also:
        found["also"] = list(why.also)
    return found


def usage_json(usage: Usage) -> dict[str, JSONValue]:
    """Token use as plain JSON."""
    found: dict[str, JSONValue] = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    if usage.cost_usd is not None:
        found["cost_usd"] = usage.cost_usd
    if usage.model is not None:
        found["model"] = usage.model
    return found


def metadata_of(speaker: Speaker) -> dict[str, JSONValue]:
    """What a message or an artifact of this speaker carries, so that anybody can tell who spoke. Where a remote agent
    lives is the room owner's business and not in it."""
    return speaker_metadata(speaker.name, kind=speaker.kind, framework=speaker.framework)
