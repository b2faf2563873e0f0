"""A2A messages and the framework's messages, translated."""

from base64 import b64decode
from collections.abc import Iterable
from typing import Any

from a2a_bridge.agent import speaker_of
from a2a_bridge.protocol.objects import Message as Said
from a2a_bridge.protocol.objects import Part, Role, json_bytes
from agent_framework import Content, Message

FILES = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")


def to_framework(messages: Iterable[Said], own_name: str) -> list[Any]:
    """The messages with their speakers: as `author_name`, and as `[name] ` before the text, because only some model
    clients pass names on."""
    return [_message(message, own_name) for message in messages]


def _message(message: Said, own_name: str) -> Any:
    speaker = speaker_of(message)
    if message.role is Role.AGENT and speaker in (None, own_name):
        return Message("assistant", [_content(part) for part in message.parts], message_id=message.message_id)
    contents = [_content(part) for part in message.parts]
    named = next((content for content in contents if content.type == "text"), None)
    if speaker is not None and named is not None and not named.text.startswith(f"[{speaker}] "):
        named.text = f"[{speaker}] {named.text}"
    if len(contents) > 1 and sum(content.type == "text" for content in contents) == 1:
        # The chat completions client makes a message of each content: what is asked is then the newest one.
        contents.sort(key=lambda content: content.type == "text")
    return Message("user", contents, author_name=speaker, message_id=message.message_id)


def _content(part: Part) -> Any:
    if part.text is not None:
        return Content.from_text(part.text)
    if part.kind == "data":
        return Content.from_text(json_bytes(part.data).decode())
    named = {"filename": part.filename} if part.filename else {}
    if part.media_type in FILES:
        if part.raw is not None:
            return Content.from_data(part.raw, media_type=part.media_type, additional_properties=named)
        return Content.from_uri(part.url or "", media_type=part.media_type, additional_properties=named)
    where = f" at {part.url}" if part.url else ", not readable here"
    return Content.from_text(f"[{part.filename or 'file'}: {part.media_type or 'a file'}{where}]")


def file_part(content: Any) -> Part | None:
    """A file that the framework's content is; None if it is none."""
    if content.type == "uri" and content.uri:
        return Part(url=content.uri, media_type=content.media_type)
    if content.type == "data" and content.uri:
        return Part(raw=b64decode(content.uri.partition(",")[2]), media_type=content.media_type)
    return None


def words(messages: Iterable[Said]) -> str:
    """Text and data of messages, as one text, with the speakers that are known."""
    lines = []
    for message in messages:
        speaker = speaker_of(message)
        prefix = f"[{speaker}] " if speaker else ""
        texts = [json_bytes(part.data).decode() if part.kind == "data" else part.text or "" for part in message.parts]
        text = "\n".join(text for text in texts if text)
        lines.append(text if text.startswith(prefix) else prefix + text)
    return "\n".join(lines)
