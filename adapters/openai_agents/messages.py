"""A2A messages as the items that the OpenAI Agents SDK hands to its models, and back."""

import base64
import mimetypes
from collections.abc import Iterable, Mapping
from typing import Any

from a2a_bridge.agent import speaker_of
from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.objects import Message, Part, Role, json_bytes

FILES = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")


def to_items(messages: Iterable[Message], own_name: str) -> list[Any]:
    """The messages, this agent's own as the assistant's. Who said it stands before the text as `[name] `: items have
    no names."""
    return [_item(message, own_name) for message in messages]


def _item(message: Message, own_name: str) -> dict[str, Any]:
    speaker = speaker_of(message)
    pieces = [_piece(part) for part in message.parts]
    if message.role is Role.AGENT and speaker in (None, own_name):
        return {"role": "assistant", "content": _words(pieces)}
    if speaker is not None:
        _prefix(pieces, f"[{speaker}] ")
    only_text = all(piece["type"] == "input_text" for piece in pieces)
    return {"role": "user", "content": _words(pieces) if only_text else pieces}


def _words(pieces: Iterable[dict[str, Any]]) -> str:
    return "\n".join(str(piece.get("text") or f"[{piece.get('filename') or piece['type']}]") for piece in pieces)


def _prefix(pieces: Iterable[dict[str, Any]], prefix: str) -> None:
    for piece in pieces:
        if piece["type"] == "input_text":
            if not piece["text"].startswith(prefix):
                piece["text"] = prefix + piece["text"]
            return


def _piece(part: Part) -> dict[str, Any]:
    if part.text is not None:
        return {"type": "input_text", "text": part.text}
    if part.kind == "data":
        return {"type": "input_text", "text": json_bytes(part.data).decode()}
    media_type = part.media_type or "application/octet-stream"
    is_image = media_type.startswith("image/")
    if part.raw is None:
        if is_image:
            return {"type": "input_image", "image_url": part.url, "detail": "auto"}
        # Chat completions know no link to a file.
        return {"type": "input_text", "text": f"[{part.filename or 'file'}: {media_type} at {part.url}]"}
    data = f"data:{media_type};base64,{base64.b64encode(part.raw).decode('ascii')}"
    if is_image:
        return {"type": "input_image", "image_url": data, "detail": "auto"}
    return {"type": "input_file", "file_data": data, "filename": part.filename or "file"}


def to_parts(item: Mapping[str, Any]) -> list[Part]:
    """What an item says; nothing, if it is no message. AdapterError for a file that only the model's provider has."""
    content = item.get("content")
    if item.get("type", "message") != "message" or item.get("role") not in ("user", "assistant"):
        return []
    pieces = [{"type": "input_text", "text": content}] if isinstance(content, str) else content or ()
    return [_part(piece) for piece in pieces]


def _part(piece: Mapping[str, Any]) -> Part:
    kind = piece.get("type")
    if kind in ("input_text", "output_text"):
        return Part(text=piece["text"])
    if kind == "refusal":
        return Part(text=piece["refusal"])
    found = {"input_image": ("image_url",), "input_file": ("file_data", "file_url")}.get(str(kind), ())
    url = next((piece[key] for key in found if piece.get(key)), None)
    if url is None:
        raise AdapterError(f"a piece of the kind {kind!r} without its content cannot be sent to a remote agent")
    head, is_data, data = url.partition(";base64,")
    filename = piece.get("filename")
    if head.startswith("data:") and is_data:
        return Part(raw=base64.b64decode(data), media_type=head.removeprefix("data:"), filename=filename)
    media_type, _ = mimetypes.guess_type(url)
    return Part(url=url, media_type=media_type, filename=filename)
