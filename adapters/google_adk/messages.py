"""A2A messages and ADK's contents, translated."""

from collections.abc import Iterable
from typing import Any

from google.adk.events import Event
from google.genai import types

from a2a_bridge.agent import speaker_of
from a2a_bridge.protocol.objects import Message, Part, Role, json_bytes

FILES = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf", "audio/*", "video/*")


def to_content(messages: Iterable[Message], *, keeps_json: bool = False) -> Any:
    """One content of the user's; who said what stands before the text as `[name] `: ADK shows models no names.

    `keeps_json`: not before JSON, which a workflow's node may read.
    """
    parts = [part for message in messages for part in _parts(message, keeps_json)]
    return types.Content(role="user", parts=parts or [types.Part(text="")])


def to_events(messages: Iterable[Message], own_name: str, author: str) -> list[Event]:
    """A past as ADK remembers it. `author`: the agent that has said our own words."""
    return [
        Event(author=author, invocation_id="past", content=types.Content(role="model", parts=_parts(message)))
        if message.role is Role.AGENT and speaker_of(message) in (None, own_name)
        else Event(author="user", invocation_id="past", content=types.Content(role="user", parts=_parts(message)))
        for message in messages
    ]


def _parts(message: Message, keeps_json: bool = False) -> list[Any]:
    speaker = speaker_of(message) if message.role is Role.USER else None
    parts = [_part(part) for part in message.parts]
    named = next((part for part in parts if part.text is not None), None)
    if speaker is None or named is None or (keeps_json and named.text.lstrip().startswith(("{", "["))):
        return parts
    if not named.text.startswith(f"[{speaker}] "):
        named.text = f"[{speaker}] {named.text}"
    return parts


def _part(part: Part) -> Any:
    if part.text is not None:
        return types.Part(text=part.text)
    if part.kind == "data":
        return types.Part(text=json_bytes(part.data).decode())
    media_type = part.media_type or "application/octet-stream"
    if part.raw is not None:
        return types.Part(inline_data=types.Blob(data=part.raw, mime_type=media_type, display_name=part.filename))
    return types.Part(file_data=types.FileData(file_uri=part.url, mime_type=media_type, display_name=part.filename))


def file_part(part: Any) -> Part | None:
    """A file that an agent has made; None if the part is none."""
    if part.inline_data is not None and part.inline_data.data is not None:
        blob = part.inline_data
        return Part(raw=blob.data, media_type=blob.mime_type, filename=blob.display_name)
    if part.file_data is not None and part.file_data.file_uri:
        found = part.file_data
        return Part(url=found.file_uri, media_type=found.mime_type, filename=found.display_name)
    return None
