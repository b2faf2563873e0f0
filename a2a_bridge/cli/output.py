"""What goes to standard output: the protocol's own JSON, or text of `Label: value` lines.

Text has one field a line and always the same labels; content of several lines is a block: its label, the lines, an
empty line. What an agent says never reaches the terminal with control characters in it: another party's words must
not move the cursor, ring the bell or turn letters around.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator

from a2a_bridge.cards.build import card_json
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.extensions import options_in
from a2a_bridge.protocol.objects import (
    Artifact,
    Event,
    JSONValue,
    Message,
    Part,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatusUpdateEvent,
    dump,
    format_timestamp,
)

_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LINES = re.compile("[\r\n\u2028\u2029]+")


def safe(text: str) -> str:
    """The text without control and direction characters; line breaks and tabs stay."""
    return _UNSAFE.sub("", text.replace("\r\n", "\n"))


def field(label: str, value: str) -> str:
    """One `Label: value` line; line breaks in the value become spaces."""
    return f"{label}: {safe(_LINES.sub(' ', value))}\n"


def content(label: str, text: str) -> str:
    """A field if the text is one line, else a block."""
    clean = safe(text)
    if "\n" not in clean:
        return f"{label}: {clean}\n"
    return f"{label}:\n{clean}{'' if clean.endswith(chr(10)) else chr(10)}\n"


def emit(text: str) -> None:
    """Write to standard output and flush, so that a reader of a pipe sees it now."""
    sys.stdout.write(text)
    sys.stdout.flush()


def emit_json(value: JSONValue, *, one_line: bool = False) -> None:
    """One JSON document, or one line of JSON Lines."""
    separators = (",", ":") if one_line else None
    emit(json.dumps(value, ensure_ascii=False, indent=None if one_line else 2, separators=separators) + "\n")


def note(text: str) -> None:
    """Something for whoever watches, on standard error."""
    print(safe(text), file=sys.stderr, flush=True)


def parts_text(parts: Iterable[Part]) -> str:
    """Every part, none left out: text as text, data as JSON, files by name, media type and size."""
    return "".join(line for part in parts for line in _part_lines(part))


def _part_lines(part: Part) -> Iterator[str]:
    if part.text is not None:
        yield content("Text", part.text)
    elif part.kind == "data":
        yield content("Data", json.dumps(part.data, ensure_ascii=False, indent=2))
    else:
        yield field("File", part.filename or part.url or "unnamed")
        if part.media_type:
            yield field("Media type", part.media_type)
        if part.url is not None:
            yield field("URL", part.url)
        if part.raw is not None:
            yield field("Size", f"{len(part.raw)} bytes")


def ids_text(task_id: str, context_id: str | None, state: TaskState | None = None) -> str:
    """The three lines by which a task is found again."""
    text = field("Task ID", task_id) + field("Context ID", context_id or "")
    return text + field("State", state.value) if state is not None else text


def message_text(message: Message) -> str:
    """A message: its ids, its parts, the options of its questions."""
    text = field("Message ID", message.message_id)
    return text + parts_text(message.parts) + options_text(message)


def options_text(message: Message) -> str:
    """The words that a question lets choose from: a line for each question of a pause that has other ones."""
    return "".join(field("Options", ", ".join(options)) for options in dict.fromkeys(options_in(message)) if options)


def reply_text(message: Message) -> str:
    """A message that came instead of a task."""
    context = field("Context ID", message.context_id) if message.context_id else ""
    return context + message_text(message)


def artifact_text(artifact: Artifact) -> str:
    """An artifact, or a piece of one."""
    text = field("Artifact ID", artifact.artifact_id)
    if artifact.name:
        text += field("Name", artifact.name)
    if artifact.description:
        text += field("Description", artifact.description)
    return text + parts_text(artifact.parts)


def task_text(task: Task) -> str:
    """A task: ids and state, when that was, what the agent said about it, its artifacts, its history if it has one."""
    text = ids_text(task.id, task.context_id, task.status.state)
    if task.status.timestamp is not None:
        text += field("Updated", format_timestamp(task.status.timestamp))
    if task.status.message is not None:
        text += message_text(task.status.message)
    text += "".join(artifact_text(artifact) for artifact in task.artifacts or ())
    for message in task.history or ():
        text += field("Role", message.role.value) + message_text(message)
    return text


def event_text(event: Event) -> str:
    """One event of a stream."""
    if isinstance(event, Task):
        return task_text(event)
    if isinstance(event, Message):
        return reply_text(event)
    if isinstance(event, TaskStatusUpdateEvent):
        said = message_text(event.status.message) if event.status.message is not None else ""
        return ids_text(event.task_id, event.context_id, event.status.state) + said
    return artifact_text(event.artifact)


def card_text(card: AgentCard) -> str:
    """Identity, interfaces, capabilities, security and skills of a card."""
    text = field("Name", card.name) + content("Description", card.description) + field("Version", card.version)
    if card.provider is not None:
        text += field("Provider", f"{card.provider.organization} ({card.provider.url})")
    if card.documentation_url:
        text += field("Documentation", card.documentation_url)
    for interface in card.supported_interfaces:
        text += field("Interface", f"{interface.protocol_binding} {interface.protocol_version} {interface.url}")
    capabilities = card.capabilities
    text += field("Streaming", _yes(capabilities.streaming))
    text += field("Push notifications", _yes(capabilities.push_notifications))
    text += field("Extended card", _yes(capabilities.extended_agent_card))
    for extension in capabilities.extensions or ():
        text += field("Extension", extension.uri + (" (required)" if extension.required else ""))
    for name, scheme in (card.security_schemes or {}).items():
        text += field("Security scheme", f"{name} ({', '.join(dump(scheme)) or 'unknown'})")
    text += field("Input modes", ", ".join(card.default_input_modes))
    text += field("Output modes", ", ".join(card.default_output_modes))
    for skill in card.skills:
        tags = f" [{', '.join(skill.tags)}]" if skill.tags else ""
        text += field("Skill", f"{skill.id}: {skill.name}{tags}")
        text += content("Description", skill.description)
        text += "".join(field("Example", example) for example in skill.examples or ())
    return text


def _yes(value: bool | None) -> str:
    return "yes" if value else "no"


def event_json(event: Event) -> dict[str, JSONValue]:
    """The event as a StreamResponse, or a Task or Message as a SendMessageResponse."""
    for kind, name in _MEMBERS:
        if isinstance(event, kind):
            return {name: dump(event)}
    raise TypeError(f"not an event: {type(event).__name__}")


_MEMBERS: tuple[tuple[type, str], ...] = (
    (Task, "task"),
    (Message, "message"),
    (TaskStatusUpdateEvent, "statusUpdate"),
    (TaskArtifactUpdateEvent, "artifactUpdate"),
)

__all__ = [
    "artifact_text", "card_json", "card_text", "content", "emit", "emit_json", "event_json", "event_text", "field",
    "ids_text", "message_text", "note", "options_text", "parts_text", "reply_text", "safe", "task_text",
]  # fmt: skip
