"""A2A messages as AutoGen's chat messages."""

import base64
import re
from collections.abc import Iterable, Sequence
from typing import Any

from autogen_agentchat.messages import BaseChatMessage, MultiModalMessage, TextMessage
from autogen_core import Image
from PIL import Image as Pictures

from a2a_bridge.agent import speaker_of
from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.objects import Message, Part, Role, json_bytes

IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")

_NOT_IN_A_SOURCE = re.compile(r"[^a-zA-Z0-9_-]+")


class UnreadableImageError(AdapterError):
    """An image that was sent cannot be read. Send it again as PNG or JPEG."""


def to_autogen(messages: Iterable[Message], own_name: str) -> list[BaseChatMessage]:
    """The messages with their speakers as sources; a name that a source cannot hold stands before the text too."""
    return [_to_autogen(message, own_name) for message in messages]


def as_task(messages: Sequence[Message], own_name: str) -> list[BaseChatMessage]:
    """The same as one message: a team's termination conditions count what it is told among what it says."""
    made = to_autogen(messages, own_name)
    if len(made) < 2:
        return made
    content: list[Any] = []
    for message in made:
        pieces = list(message.content) if isinstance(message, MultiModalMessage) else [message.to_text()]
        if message is not made[-1]:
            _prefix(pieces, f"[{message.source}] ", unless="[")
        content += pieces
    sources = {message.source for message in made}
    source, newest = sources.pop() if len(sources) == 1 else "user", made[-1].id
    if all(isinstance(piece, str) for piece in content):
        return [TextMessage(content="\n\n".join(content), source=source, id=newest)]
    return [MultiModalMessage(content=content, source=source, id=newest)]


def _to_autogen(message: Message, own_name: str) -> BaseChatMessage:
    speaker = speaker_of(message)
    who = speaker or (own_name if message.role is Role.AGENT else "user")
    source = _NOT_IN_A_SOURCE.sub("_", who)[:64]
    content = [_content(part) for part in message.parts]
    if speaker is not None:
        _prefix(content, f"[{speaker}] ")
    # Its id goes along: the turns of a room tell the same message by it.
    if all(isinstance(piece, str) for piece in content):
        return TextMessage(content="\n".join(content), source=source, id=message.message_id)
    return MultiModalMessage(content=content, source=source, id=message.message_id)


def _prefix(content: list[Any], prefix: str, *, unless: str | None = None) -> None:
    for number, piece in enumerate(content):
        if isinstance(piece, str):
            content[number] = piece if piece.startswith(unless or prefix) else prefix + piece
            return


def _content(part: Part) -> Any:
    if part.text is not None:
        return part.text
    if part.kind == "data":
        return json_bytes(part.data).decode()
    if part.raw is not None and part.media_type in IMAGES:
        try:
            return Image.from_base64(base64.b64encode(part.raw).decode("ascii"))
        except (OSError, ValueError, SyntaxError, Pictures.DecompressionBombError) as error:
            raise UnreadableImageError from error
    named = part.filename or part.url or "file"
    return f"[{named}: {part.media_type or 'a file'}{f' at {part.url}' if part.url else ', not readable here'}]"


def words(messages: Iterable[Message]) -> str:
    """What an answer says, as one text."""
    return "\n".join(
        json_bytes(part.data).decode() if part.kind == "data" else part.text or ""
        for message in messages
        for part in message.parts
    )
