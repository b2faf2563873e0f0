"""What is looked at before a message is accepted: its media types, its digest, whether its words are secret."""

from hashlib import blake2b

from a2a_bridge.errors import ContentTypeNotSupportedError
from a2a_bridge.protocol.media import takes
from a2a_bridge.protocol.objects import Message, TaskState, json_bytes
from a2a_bridge.tasks.live import LiveTask


def asks_for_auth(live: LiveTask) -> bool:
    """Whether a message to this task may carry what an `auth` ask wants: that is never written down."""
    return live.pieces.state is TaskState.AUTH_REQUIRED or any(ask.kind == "auth" for ask in live.asks)


_NOWHERE = json_bytes(["", ""])


def digest_of(message: Message, bare: bytes) -> bytes:
    """What a repeated message is compared by: everything it says, and where to."""
    where = _NOWHERE
    if message.context_id or message.task_id:
        where = json_bytes([message.context_id or "", message.task_id or ""])
    return blake2b(bare + where, digest_size=12).hexdigest().encode()


def check_modes(modes: tuple[str, ...], message: Message) -> None:
    """R-SEND-07: a part whose media type the agent does not take is refused."""
    for part in message.parts:
        if part.media_type is not None and not takes(modes, part.media_type):
            raise ContentTypeNotSupportedError(
                f"The agent does not accept {part.media_type[:100]!r}; it accepts: {', '.join(modes)}"
            )
