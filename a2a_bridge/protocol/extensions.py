"""Our two extensions and their JSON, written here once.

`TURN_EXTENSION` carries what one agent's turn knows beyond the protocol: hops, usage, tool activity, the asks of a
pause. `ROOM_EXTENSION` carries what a room knows: who spoke, and why that one was chosen. Both live in `metadata`
under their URI (A2A 1.0.1 §4.6, R-EXT-05) and are optional: a peer that ignores them misses nothing it needs.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from a2a_bridge.protocol.objects import JSONValue, Message, Part

TURN_EXTENSION: Final = "urn:a2a-bridge:turn:1"
ROOM_EXTENSION: Final = "urn:a2a-bridge:room:1"

_LONGEST_ARGUMENTS = 4000
"""Characters of a call's arguments that a question shows."""


def section(metadata: Mapping[str, Any] | None, uri: str) -> Mapping[str, Any]:
    """What stands under `uri`; an empty mapping when there is nothing, or something that is not an object."""
    found = (metadata or {}).get(uri)
    return found if isinstance(found, Mapping) else {}


def without_ours(metadata: Mapping[str, Any] | None) -> dict[str, JSONValue] | None:
    """A caller's metadata as it may stand where ours does: what our extensions say is for us to write."""
    found = {key: value for key, value in (metadata or {}).items() if key not in (TURN_EXTENSION, ROOM_EXTENSION)}
    return found or None


def speaker_metadata(
    name: str, *, kind: str | None = None, framework: str | None = None, endpoint: str | None = None
) -> dict[str, JSONValue]:
    """Metadata that says who spoke: for a message, a part or an artifact."""
    speaker: dict[str, JSONValue] = {"name": name}
    for key, value in (("kind", kind), ("framework", framework), ("endpoint", endpoint)):
        if value is not None:
            speaker[key] = value
    return {ROOM_EXTENSION: {"speaker": speaker}}


def with_decision(metadata: Mapping[str, Any], *, by: str, reason: str) -> dict[str, JSONValue]:
    """`speaker_metadata`, and why this speaker was chosen: by the model, a rule, a person, and their reason."""
    return {ROOM_EXTENSION: {**section(metadata, ROOM_EXTENSION), "decision": {"by": by, "reason": reason}}}


def with_stop(metadata: Mapping[str, Any], *, kind: str, by: str | None, detail: str) -> dict[str, JSONValue]:
    """`speaker_metadata` of a room's manager, and why the room stopped."""
    stop: dict[str, JSONValue] = {"kind": kind, "by": by, "detail": detail}
    return {ROOM_EXTENSION: {**section(metadata, ROOM_EXTENSION), "stop": stop}}


def speaker_in(metadata: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The speaker object of `speaker_metadata`, or an empty mapping."""
    found = section(metadata, ROOM_EXTENSION).get("speaker")
    return found if isinstance(found, Mapping) and isinstance(found.get("name"), str) else {}


def speaker_of(said: Message | Part) -> str | None:
    """Who said this: the name on the message, else the one name its parts agree on, else None."""
    name = speaker_in(said.metadata).get("name")
    if name is None and isinstance(said, Message):
        names = {speaker_in(part.metadata).get("name") for part in said.parts}
        name = names.pop() if len(names) == 1 else None
    return name


def hops_metadata(hops: int) -> dict[str, JSONValue]:
    """Request metadata that says through how many rooms a message has come."""
    return {TURN_EXTENSION: {"hops": hops}}


def hops_in(metadata: Mapping[str, Any] | None) -> int:
    """The hops of a request; 0 when none are given, or nonsense is."""
    hops = section(metadata, TURN_EXTENSION).get("hops", 0)
    return int(hops) if isinstance(hops, int | float) and not isinstance(hops, bool) and 0 <= hops < 1000 else 0


def usage_json(
    input_tokens: int, output_tokens: int, cost_usd: float | None, model: str | None
) -> dict[str, JSONValue]:
    """Token use as it stands in metadata, under the key `usage`."""
    usage: dict[str, JSONValue] = {"inputTokens": input_tokens, "outputTokens": output_tokens}
    if cost_usd is not None:
        usage["costUsd"] = cost_usd
    if model is not None:
        usage["model"] = model
    return usage


def ask_json(*, id: str, kind: str, text: str, schema: JSONValue, options: Iterable[str]) -> dict[str, JSONValue]:
    """One ask of a pause, as it stands in the status metadata under the key `asks`."""
    ask: dict[str, JSONValue] = {"id": id, "kind": kind}
    if text:
        ask["text"] = text
    if schema is not None:
        ask["schema"] = schema
    if found := list(options):
        ask["options"] = list[JSONValue](found)
    return ask


def options_in(message: Message) -> list[tuple[str, ...]]:
    """The words to choose from of each ask that the message of a pause, anybody's, tells of."""
    asks = section(message.metadata, TURN_EXTENSION).get("asks")
    found = [ask.get("options") for ask in asks if isinstance(ask, Mapping)] if isinstance(asks, list) else []
    return [tuple(word for word in options if isinstance(word, str)) for options in found if isinstance(options, list)]


def may_call(name: str, arguments: object) -> str:
    """The words that ask whether a tool may be called: with its arguments, so that nobody approves what they don't see.

    `arguments` are JSON values, or the text of some, which is told as it is; what JSON cannot say is told as text.
    Of more than 4000 characters the rest is left out, and the question says how many are missing.
    """
    told = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, default=str)
    missing = len(told) - _LONGEST_ARGUMENTS
    shown = told if missing <= 0 else f"{told[:_LONGEST_ARGUMENTS]}... ({missing} more characters)"
    return f"May {name} be called with {shown}?"
