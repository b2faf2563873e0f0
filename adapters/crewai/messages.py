"""A2A messages as the words that CrewAI takes."""

from collections.abc import Iterable, Mapping, Set

from a2a_bridge.agent import speaker_of
from a2a_bridge.protocol.objects import Message, Part, Role, json_bytes
from adapters.crewai.files import file_words


def fills(part: Part, names: Set[str]) -> bool:
    """A data part that is an object with a member named like an input."""
    return isinstance(part.data, Mapping) and not names.isdisjoint(part.data)


def words(message: Message, names: Set[str] = frozenset(), *, shows: bool = False) -> str:
    """Text and data of a message as text, without the data that fills inputs, and its files in words.

    `shows`: its pictures are shown as well.
    """
    parts = (part for part in message.parts if not fills(part, names))
    return "\n".join(text for text in (_words(part, shows) for part in parts) if text)


def _words(part: Part, shows: bool) -> str:
    if part.text is not None:
        return part.text
    return json_bytes(part.data).decode() if part.kind == "data" else file_words(part, shows=shows)


def attributed(message: Message, names: Set[str] = frozenset(), *, shows: bool = False) -> str:
    """The words of a message, after `[name] ` when it is known who said them: CrewAI shows models no names."""
    said, speaker = words(message, names, shows=shows), speaker_of(message)
    prefix = f"[{speaker}] " if speaker else ""
    return said if said.startswith(prefix) else prefix + said


def transcript(messages: Iterable[Message], own_name: str, *, shows: bool = False) -> str:
    """A conversation, a line for each message, with its speaker."""
    lines = []
    for message in messages:
        speaker = speaker_of(message) or (own_name if message.role is Role.AGENT else "user")
        lines.append(f"{speaker}: {words(message, shows=shows).removeprefix(f'[{speaker}] ')}")
    return "\n".join(lines)
