"""A2A messages as the words that CrewAI takes."""

from collections.abc import Iterable, Mapping, Set

from a2a_bridge.agent import speaker_of
from a2a_bridge.protocol.objects import Message, Part, Role, json_bytes


def fills(part: Part, names: Set[str]) -> bool:
    """A data part that is an object with a member named like an input."""
    return isinstance(part.data, Mapping) and not names.isdisjoint(part.data)


def words(message: Message, names: Set[str] = frozenset()) -> str:
    """Text and data of a message as text, without the data that fills inputs; files are named, not shown."""
    return "\n".join(text for text in (_words(part) for part in message.parts if not fills(part, names)) if text)


def _words(part: Part) -> str:
    if part.text is not None:
        return part.text
    if part.kind == "data":
        return json_bytes(part.data).decode()
    where = f" at {part.url}" if part.url else ", not readable here"
    return f"[{part.filename or 'file'}: {part.media_type or 'a file'}{where}]"


def attributed(message: Message, names: Set[str] = frozenset()) -> str:
    """The words of a message, after `[name] ` when it is known who said them: CrewAI shows models no names."""
    said, speaker = words(message, names), speaker_of(message)
    prefix = f"[{speaker}] " if speaker else ""
    return said if said.startswith(prefix) else prefix + said


def transcript(messages: Iterable[Message], own_name: str) -> str:
    """A conversation, a line for each message, with its speaker."""
    lines = []
    for message in messages:
        speaker = speaker_of(message) or (own_name if message.role is Role.AGENT else "user")
        lines.append(f"{speaker}: {words(message).removeprefix(f'[{speaker}] ')}")
    return "\n".join(lines)
