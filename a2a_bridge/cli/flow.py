"""The events of a stream as text for a person: an artifact's label once, then its words on one line as they come.

In a chat what was told is not told again: ids and states only when they change, a question or an artifact once.
"""

from a2a_bridge.cli.output import artifact_text, event_text, field, message_text, parts_text, safe
from a2a_bridge.protocol.objects import (
    Artifact,
    Event,
    Message,
    Task,
    TaskArtifactUpdateEvent,
    TaskStatus,
    TaskStatusUpdateEvent,
)


class Flow:
    """Say each event with `text`, in order, and what ends the last line with `end`."""

    def __init__(self, *, is_chat: bool = False) -> None:
        self.is_chat = is_chat
        self._open: tuple[str, str] | None = None  # task and artifact whose words the line at hand holds
        self._in_line = False
        self._told: set[tuple[str, str]] = set()  # of a chat: messages, and artifacts with their tasks
        self._fields: dict[str, str] = {}

    def text(self, event: Event) -> str:
        """The event; of an artifact that goes on, only its words."""
        if isinstance(event, TaskArtifactUpdateEvent):
            return self._piece(event)
        return self.end() + (self._news(event) if self.is_chat else event_text(event))

    def end(self) -> str:
        """The end of the line at hand, if there is one."""
        broken = "\n" if self._in_line else ""
        self._open, self._in_line = None, False
        return broken

    def _piece(self, event: TaskArtifactUpdateEvent) -> str:
        artifact, key = event.artifact, (event.task_id, event.artifact.artifact_id)
        self._told.add(key)
        words = "".join(part.text or "" for part in artifact.parts)
        is_text = bool(artifact.parts) and all(part.text is not None for part in artifact.parts)
        if is_text and event.append and key == self._open:
            shown = safe(words)
        elif is_text:
            shown = f"{self.end()}{artifact_text(artifact.model_copy(update={'parts': ()}))}Text: {safe(words)}"
        elif event.append and key == self._open:
            return self.end() + parts_text(artifact.parts)
        else:
            return self.end() + artifact_text(artifact)
        self._open, self._in_line = key, True
        return shown

    def _news(self, event: Task | Message | TaskStatusUpdateEvent) -> str:
        if isinstance(event, Message):
            return self._changed("Context ID", event.context_id or "") + self._message(event)
        if isinstance(event, Task):
            ids = self._changed("Task ID", event.id) + self._changed("Context ID", event.context_id or "")
            said = self._status(event.status)
            return ids + said + "".join(self._artifact(event.id, artifact) for artifact in event.artifacts or ())
        ids = self._changed("Task ID", event.task_id) + self._changed("Context ID", event.context_id or "")
        return ids + self._status(event.status)

    def _status(self, status: TaskStatus) -> str:
        said = self._message(status.message) if status.message is not None else ""
        return self._changed("State", status.state.value) + said

    def _artifact(self, task_id: str, artifact: Artifact) -> str:
        return "" if self._is_old(task_id, artifact.artifact_id) else artifact_text(artifact)

    def _message(self, message: Message) -> str:
        return "" if self._is_old("", message.message_id) else message_text(message)

    def _is_old(self, of: str, what: str) -> bool:
        is_old = (of, what) in self._told
        self._told.add((of, what))
        return is_old

    def _changed(self, label: str, value: str) -> str:
        if not value or self._fields.get(label) == value:
            return ""
        self._fields[label] = value
        return field(label, value)
