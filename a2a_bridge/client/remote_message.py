"""One A2A message for all that is new in a turn, with who said what (conversation by delta, one message per send).

Who spoke is said twice: `[name] ` in front of the first text of each message, for any model to read, and metadata on
every part, for those who know our extension.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from a2a_bridge.agent import Turn
from a2a_bridge.client.remote_state import RemoteState
from a2a_bridge.protocol.extensions import ROOM_EXTENSION, speaker_in, speaker_metadata, speaker_of
from a2a_bridge.protocol.media import takes, words_of
from a2a_bridge.protocol.objects import Message, Part, Role


def compose(
    turn: Turn,
    state: RemoteState,
    earlier: Iterable[Message] = (),
    *,
    own_name: str = "",
    modes: Collection[str] = ("*/*",),
) -> Message:
    """The message of a turn: what is new, behind `earlier` if the remote has lost its memory.

    An answer goes to the task that asked, without a prefix: it may be a single word that is looked up. Of a part that
    none of `modes` covers the remote is told the words, of a file its name: it would refuse all for the sake of one.
    Raises ValueError when there is nothing to say.
    """
    asked = turn.answer.message if turn.answer is not None and state.task is not None else None
    parts: list[Part] = []
    for message in earlier:
        parts += _spoken(message, own_name, modes)
    for message in turn.messages:
        if asked is None or message.message_id != asked.message_id:
            parts += _spoken(message, own_name, modes)
    if asked is not None:
        parts += _spoken(asked, own_name, modes, prefixed=False)
    if not parts:
        raise ValueError("this turn has no messages, so there is nothing to send to the remote agent")
    return Message(
        message_id=turn.id,
        role=Role.USER,
        parts=tuple(parts),
        context_id=state.context or turn.context_id or None,
        task_id=state.task if asked is not None else None,
        extensions=(ROOM_EXTENSION,) if any(ROOM_EXTENSION in (part.metadata or {}) for part in parts) else None,
        reference_task_ids=state.references or None,
    )


def _spoken(message: Message, own_name: str, modes: Collection[str], *, prefixed: bool = True) -> Iterator[Part]:
    name = speaker_of(message) or (own_name if message.role is Role.AGENT else "")
    of_message = speaker_in(message.metadata)
    for part in (_taken(part, modes) for part in message.parts):
        metadata: Mapping[str, Any] | None = part.metadata
        if name and not speaker_in(metadata):
            metadata = {**(metadata or {}), **_metadata(name, of_message)}
        text = part.text
        if prefixed and name and text is not None:
            text, prefixed = f"[{name}] {text}", False
        if metadata is part.metadata and text is part.text:
            yield part
        else:
            yield part.model_copy(update={"text": text, "metadata": metadata})


def _taken(part: Part, modes: Collection[str]) -> Part:
    if part.media_type is None or takes(modes, part.media_type):
        return part
    return Part(text=words_of((part,)), metadata=part.metadata)


def _metadata(name: str, speaker: Mapping[str, Any]) -> Mapping[str, Any]:
    return {ROOM_EXTENSION: {"speaker": dict(speaker)}} if speaker else speaker_metadata(name)
