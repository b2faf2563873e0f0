"""A2A messages as AutoGen's classic message dicts."""

import base64
import re
from collections.abc import Iterable
from typing import Any

from a2a_bridge.agent import speaker_of
from a2a_bridge.protocol.objects import Message, Part, Role, json_bytes

Line = dict[str, Any]

_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]+")


def to_classic(messages: Iterable[Message], own_name: str) -> list[Line]:
    """The messages as a model reads them: this agent's own as assistant, everybody else's as user, with a name.

    A speaker's name stands in the message's name and, because few providers show that to the model, before the text
    as `[name] `.
    """
    return [_to_classic(message, own_name) for message in messages]


def _to_classic(message: Message, own_name: str) -> Line:
    speaker = speaker_of(message)
    pieces = [_piece(part) for part in message.parts]
    if message.role is Role.AGENT and speaker in (None, own_name):
        return {"role": "assistant", "content": _content(pieces)}
    line: Line = {"role": "user"}
    if speaker is not None:
        line["name"] = safe_name(speaker)
        _prefix(pieces, f"[{speaker}] ")
    return {**line, "content": _content(pieces)}


def safe_name(speaker: str) -> str:
    """A speaker's name as providers take it in a message."""
    return _NOT_IN_A_NAME.sub("_", speaker)[:64]


def _prefix(pieces: list[Line], prefix: str) -> None:
    for piece in pieces:
        if piece["type"] == "text":
            if not piece["text"].startswith(prefix):
                piece["text"] = prefix + piece["text"]
            return


def _content(pieces: list[Line]) -> Any:
    """Plain text as a string, which every model takes; anything else as content pieces."""
    if all(piece["type"] == "text" for piece in pieces):
        return "\n".join(piece["text"] for piece in pieces)
    return pieces


def _piece(part: Part) -> Line:
    if part.text is not None:
        return {"type": "text", "text": part.text}
    if part.kind == "data":
        return {"type": "text", "text": json_bytes(part.data).decode()}
    media_type = part.media_type or "application/octet-stream"
    if media_type.startswith("image/"):
        encoded = base64.b64encode(part.raw or b"").decode("ascii")
        return {"type": "image_url", "image_url": {"url": part.url or f"data:{media_type};base64,{encoded}"}}
    where = f"at {part.url}" if part.url else "not readable here"
    return {"type": "text", "text": f"[{part.filename or 'file'}: {media_type}, {where}]"}


def words(messages: Iterable[Message]) -> str:
    """What an answer says, as one text."""
    return "\n".join(
        json_bytes(part.data).decode() if part.kind == "data" else part.text or ""
        for message in messages
        for part in message.parts
    )
