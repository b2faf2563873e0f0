"""A2A messages and AG2's events, translated; events as records of a journal."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from a2a_bridge.agent import speaker_of
from a2a_bridge.protocol.objects import Message, Part, Role, json_bytes
from ag2 import events as vocabulary
from ag2.events import BinaryInput, BinaryResult, ImageInput, ModelMessage, ModelRequest, ModelResponse, TextInput
from ag2.events.input_events import BinaryType

FILES = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")

_KINDS = {"image": BinaryType.IMAGE, "audio": BinaryType.AUDIO, "video": BinaryType.VIDEO}


def to_inputs(messages: Iterable[Message]) -> list[Any]:
    """What a request to the model is made of; who said it stands before the text as `[name] `: AG2 has no names."""
    found: list[Any] = []
    for message in messages:
        speaker, is_named = speaker_of(message), False
        for part in message.parts:
            piece = _input(part)
            if isinstance(piece, TextInput) and speaker is not None and not is_named:
                is_named = True
                prefix = f"[{speaker}] "
                piece = piece if piece.content.startswith(prefix) else TextInput(prefix + piece.content)
            found.append(piece)
    return found


def to_events(messages: Iterable[Message], own_name: str) -> list[Any]:
    """A past as AG2 remembers it: requests and responses."""
    return [
        ModelResponse(ModelMessage(words((message,))))
        if message.role is Role.AGENT and speaker_of(message) in (None, own_name)
        else ModelRequest(to_inputs((message,)))
        for message in messages
    ]


def _input(part: Part) -> Any:
    if part.text is not None:
        return TextInput(part.text)
    if part.kind == "data":
        return TextInput(json_bytes(part.data).decode())
    media_type = part.media_type or "application/octet-stream"
    kind = media_type.partition("/")[0]
    if part.raw is not None:
        named = {"filename": part.filename} if part.filename and kind != "image" else {}
        known = _KINDS.get(kind, BinaryType.DOCUMENT)
        return BinaryInput(part.raw, media_type=media_type, kind=known, vendor_metadata=named)
    if kind == "image":
        return ImageInput(part.url)
    return TextInput(f"[{part.filename or 'file'}: {media_type} at {part.url}]")


def words(messages: Iterable[Message]) -> str:
    """Text and data of messages, as one text."""
    return "\n".join(
        json_bytes(part.data).decode() if part.kind == "data" else part.text or ""
        for message in messages
        for part in message.parts
    )


def file_part(made: BinaryResult) -> Part:
    """A file that the model has made."""
    media_type = made.metadata.get("media_type") or made.metadata.get("mime_type") or "image/png"
    return Part(raw=made.data, media_type=str(media_type))


def to_record(events: Iterable[Any]) -> bytes:
    """A conversation as a record of the journal."""
    return json.dumps([[type(event).__name__, event.to_dict()] for event in events]).encode()


def from_record(record: bytes) -> Sequence[Any]:
    """The events of a record; one that AG2 does not know any more is left out."""
    found = ((getattr(vocabulary, name, None), data) for name, data in json.loads(record))
    return [known.from_dict(data) for known, data in found if known is not None]
