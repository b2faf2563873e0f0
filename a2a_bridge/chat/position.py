"""Positions: what a speaker holds to be the answer, how sure it is, and why.

A position is data of the form {"answer", "confidence", "evidence", "because"}. It is read tolerantly: a data part, a
JSON object alone, in a fence or among words, lines such as `Answer: 42` and `Confidence: 80 %`, else the whole text.
What was answered before, `changed_from`, is taken from the log and never from what somebody says of themselves.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from a2a_bridge.protocol.objects import JSONValue, Message

UNKNOWN = 0.5
"""The confidence of a position that does not say."""
_LONGEST = 2000
_LINE = r"^[\s>*_#-]*{word}[\s*_]*[:=][\s*_]*(.+?)[\s*_]*$"
_ANSWER = re.compile(_LINE.format(word="(?:final )?answer"), re.IGNORECASE | re.MULTILINE)
_CONFIDENCE = re.compile(_LINE.format(word="confidence"), re.IGNORECASE | re.MULTILINE)
_BECAUSE = re.compile(_LINE.format(word="(?:because|reason)"), re.IGNORECASE | re.MULTILINE)
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_PUNCTUATION = " \t\r\n\"'`*_.,;:!?()[]<>"
_WORDS = {"certain": 0.95, "high": 0.8, "medium": 0.5, "low": 0.2}


@dataclass(frozen=True, slots=True)
class Position:
    """What one speaker holds. `confidence` is between 0 and 1. `is_stated`: it came in the form that was asked for;
    else it was read out of plain words. `changed_from` is the answer that the same speaker gave before, if another."""

    answer: str
    confidence: float = UNKNOWN
    evidence: tuple[str, ...] = ()
    because: str = ""
    changed_from: str | None = None
    is_stated: bool = True

    @property
    def key(self) -> str:
        """Answers of the same key are the same answer."""
        return answer_key(self.answer)


def answer_key(answer: str) -> str:
    """An answer without what makes no difference: case, spaces, punctuation around it, and how a number is written."""
    text = " ".join(answer.casefold().split()).strip(_PUNCTUATION)
    plain = text.replace(",", "")
    if _NUMBER.fullmatch(plain):
        return f"{float(plain):g}" if len(plain) < 16 else plain
    return text


def stated_in(message: Message) -> Position | None:
    """The position that a message states in the form for it; None for plain words."""
    for part in message.parts:
        if part.kind == "data" and isinstance(part.data, dict) and "answer" in part.data:
            return _from_object(part.data)
    found = object_in(message.text, "answer")
    return None if found is None else _from_object(found)


def position_in(message: Message, options: Sequence[str] = ()) -> Position:
    """What a message comes to, however it is written. `options`: the answers that there are; another one is kept as
    it is, and a text that names exactly one of them gives that one."""
    found = stated_in(message) or _from_words(message.text)
    named = _option(found.answer, options)
    return found if named is None else Position(
        named, found.confidence, found.evidence, found.because, None, found.is_stated
    )  # fmt: skip


def schema_of(options: Sequence[str]) -> dict[str, JSONValue]:
    """The form of a position, for a model that can keep to one."""
    answer: dict[str, JSONValue] = {"type": "string"}
    if options:
        answer["enum"] = list(options)
    return {
        "type": "object",
        "properties": {
            "answer": answer,
            "confidence": {"type": "number"},
            "evidence": {"type": "array", "items": {"type": "string"}},
            "because": {"type": "string"},
        },
        "required": ["answer", "confidence", "evidence", "because"],
        "additionalProperties": False,
    }


def object_in(text: str, member: str) -> dict[str, Any] | None:
    """The first JSON object in a text that has this member: alone, in a fence or among words; None if there is none."""
    at = text.find("{")
    while at >= 0:
        try:
            found, _ = json.JSONDecoder().raw_decode(text, at)
        except (ValueError, RecursionError):
            found = None
        if isinstance(found, dict) and member in found:
            return found
        at = text.find("{", at + 1)
        if at > _LONGEST * 10:  # whoever writes a book of braces is not read to the end
            return None
    return None


def _from_object(found: Mapping[str, Any]) -> Position:
    evidence = found.get("evidence")
    listed = evidence if isinstance(evidence, list) else [evidence] if evidence else []
    because = found.get("because") or found.get("reason") or ""
    return Position(
        _text(found["answer"]), _confidence(found.get("confidence")), tuple(_text(one) for one in listed if one),
        _text(because),
    )  # fmt: skip


def _from_words(text: str) -> Position:
    answers = _ANSWER.findall(text)
    confidence, because = _CONFIDENCE.search(text), _BECAUSE.search(text)
    return Position(
        (answers[-1] if answers else text.strip())[:_LONGEST],
        _confidence(confidence[1] if confidence else None),
        because=because[1][:_LONGEST] if because else "",
        is_stated=False,
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)).strip()[:_LONGEST]


def _confidence(said: Any) -> float:
    if isinstance(said, str):
        number = _NUMBER.search(said)
        if number is None:
            return _WORDS.get(said.casefold().strip(_PUNCTUATION), UNKNOWN)
        said = float(number[0]) / (100 if "%" in said else 1)
    if isinstance(said, bool) or not isinstance(said, int | float) or said != said:
        return UNKNOWN
    if 1 < said <= 100:
        said = said / 100
    return min(1.0, max(0.0, float(said)))


def _option(answer: str, options: Sequence[str]) -> str | None:
    key = answer_key(answer)
    for option in options:
        if answer_key(option) == key:
            return option
    named = [
        option
        for option in options
        if re.search(rf"(?<!\w){re.escape(answer_key(option))}(?!\w)", answer, re.IGNORECASE)
    ]
    return named[0] if len(named) == 1 else None
