"""A2A messages as Pydantic AI's and back, and a conversation as a record of the journal."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from a2a_bridge.agent import speaker_of
from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.objects import Message, Part, Role, json_bytes
from pydantic_ai import (
    BinaryContent,
    CachePoint,
    DeferredToolRequests,
    FilePart,
    FileUrl,
    ImageUrl,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    TextContent,
    TextPart,
    UserPromptPart,
)

FILES = ("image/png", "image/jpeg", "image/gif", "image/webp", "application/pdf")

_REQUESTS = TypeAdapter(DeferredToolRequests)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the journal keeps of a context. `waiting`: the calls that wait for an answer, made in the last messages."""

    messages: Sequence[ModelMessage]
    waiting: DeferredToolRequests | None = None

    def to_bytes(self) -> bytes:
        """As a record of the journal: two JSON texts, one in each line."""
        waiting = b"" if self.waiting is None else _REQUESTS.dump_json(self.waiting)
        return b"\n".join((waiting, ModelMessagesTypeAdapter.dump_json(list(self.messages))))

    @classmethod
    def from_bytes(cls, record: bytes) -> "Kept":
        """What `to_bytes` has made. Raises ValueError for what this release of Pydantic AI cannot read."""
        waiting, _, messages = record.partition(b"\n")
        requests = _REQUESTS.validate_json(waiting) if waiting else None
        return cls(ModelMessagesTypeAdapter.validate_json(messages), requests)

    @property
    def calls(self) -> frozenset[str]:
        """The ids of the calls that wait."""
        if self.waiting is None:
            return frozenset()
        return frozenset(call.tool_call_id for call in (*self.waiting.approvals, *self.waiting.calls))

    def given_up(self) -> Sequence[ModelMessage]:
        """The conversation without what waits: nobody has answered, and it goes on."""
        for number, message in enumerate(self.messages):
            parts = message.parts if isinstance(message, ModelResponse) else ()
            if any(getattr(part, "tool_call_id", None) in self.calls for part in parts):
                return self.messages[:number]
        return self.messages


def to_prompt(messages: Iterable[Message]) -> str | list[Any]:
    """What a user says, as a text if it is nothing else: not every provider takes pieces. Who said it stands before
    the text as `[name] `: Pydantic AI has no names."""
    found: list[Any] = []
    for message in messages:
        speaker, is_named = speaker_of(message), False
        for part in message.parts:
            piece = _piece(part)
            if isinstance(piece, str) and speaker is not None and not is_named:
                is_named = True
                prefix = f"[{speaker}] "
                piece = piece if piece.startswith(prefix) else prefix + piece
            found.append(piece)
    return "\n".join(found) if all(isinstance(piece, str) for piece in found) else found


def to_history(messages: Iterable[Message], own_name: str) -> list[ModelMessage]:
    """A past as Pydantic AI remembers it: requests and responses."""
    return [
        ModelResponse([TextPart(_words(message))])
        if message.role is Role.AGENT and speaker_of(message) in (None, own_name)
        else ModelRequest([UserPromptPart(to_prompt((message,)))])
        for message in messages
    ]


def _words(message: Message) -> str:
    return "\n".join(piece for piece in map(_piece, message.parts) if isinstance(piece, str))


def _piece(part: Part) -> Any:
    if part.text is not None:
        return part.text
    if part.kind == "data":
        return json_bytes(part.data).decode()
    media_type = part.media_type or "application/octet-stream"
    if part.raw is not None:
        return BinaryContent(part.raw, media_type=media_type)
    if media_type.startswith("image/"):
        return ImageUrl(str(part.url), media_type=media_type)
    # Pydantic AI would fetch it for most models: not for whoever sends us a link.
    return f"[{part.filename or 'file'}: {media_type} at {part.url}]"


def file_part(made: BinaryContent) -> Part:
    """A file that the model has made."""
    return Part(raw=made.data, media_type=made.media_type)


def to_parts(message: ModelMessage) -> list[Part]:
    """What a message says: what users and models have said and shown, not what tools were called with and gave."""
    if isinstance(message, ModelResponse):
        texts = [Part(text=part.content) for part in message.parts if isinstance(part, TextPart) and part.content]
        return [*texts, *(file_part(part.content) for part in message.parts if isinstance(part, FilePart))]
    found: list[Part] = []
    for part in message.parts:
        if isinstance(part, UserPromptPart):
            pieces = [part.content] if isinstance(part.content, str) else part.content
            found += [_part(piece) for piece in pieces if not isinstance(piece, CachePoint)]
    return found


def _part(piece: Any) -> Part:
    if isinstance(piece, str):
        return Part(text=piece)
    if isinstance(piece, TextContent):
        return Part(text=piece.content)
    if isinstance(piece, BinaryContent):
        return file_part(piece)
    if isinstance(piece, FileUrl):
        return Part(url=piece.url, media_type=_media_type(piece))
    raise AdapterError(f"a piece of the kind {type(piece).__name__} cannot be sent to a remote agent")


def _media_type(link: FileUrl) -> str | None:
    try:
        return str(link.media_type)
    except ValueError:  # nothing in the link tells
        return None
