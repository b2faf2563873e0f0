"""What of a task's artifacts has been delivered, so that a snapshot adds exactly what is missing.

An artifact is counted in units: a character of plain text is one, any other part is one. Servers may merge
neighbouring texts in snapshots; the count stays the same. Beside the count goes a checksum of the units, which tells
an artifact that has grown from one that was replaced meanwhile.
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from a2a_bridge.protocol.objects import Artifact, Event, Part, Task, TaskArtifactUpdateEvent, to_json


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of one artifact, and the checksum of that much."""

    units: int = 0
    checksum: int = 0

    def plus(self, parts: Iterable[Part]) -> "Extent":
        """With these parts behind it."""
        units, checksum = self.units, self.checksum
        for part in parts:
            if part.is_plain_text and part.text is not None:
                units += len(part.text)
                checksum = zlib.crc32(part.text.encode("utf-8", "surrogatepass"), checksum)
            else:
                units += 1
                checksum = zlib.crc32(to_json(part), checksum)
        return Extent(units, checksum)


_EMPTY = Extent()


class Seen:
    """Artifacts of one task by id; an id that is not there has not been seen."""

    __slots__ = ("_extents",)

    def __init__(self, extents: Mapping[str, Extent] | None = None) -> None:
        self._extents: dict[str, Extent] = dict(extents or {})

    def extents(self) -> dict[str, Extent]:
        """A copy, to be kept."""
        return dict(self._extents)

    def add(self, event: Event) -> None:
        """Note what an event delivers: a chunk, or all artifacts of a snapshot."""
        if isinstance(event, TaskArtifactUpdateEvent):
            artifact = event.artifact
            before = self._extents.get(artifact.artifact_id, _EMPTY) if event.append else _EMPTY
            self._extents[artifact.artifact_id] = before.plus(artifact.parts)
        elif isinstance(event, Task):
            for artifact in event.artifacts or ():
                self._extents[artifact.artifact_id] = _EMPTY.plus(artifact.parts)

    def missing(self, task: Task) -> Iterator[TaskArtifactUpdateEvent]:
        """Events that lead from what was seen to what the snapshot holds; they are noted as seen."""
        for artifact in task.artifacts or ():
            seen = self._extents.get(artifact.artifact_id)
            append = seen is not None and _starts_with(artifact, seen)
            parts = _after(artifact.parts, seen.units) if append and seen else artifact.parts
            if not parts:
                continue
            event = TaskArtifactUpdateEvent(
                task_id=task.id,
                context_id=task.context_id,
                artifact=artifact.model_copy(update={"parts": parts}),
                append=append,
            )
            self.add(event)
            yield event


def _starts_with(artifact: Artifact, seen: Extent) -> bool:
    return _EMPTY.plus(_before(artifact.parts, seen.units)) == seen


def _before(parts: Iterable[Part], units: int) -> Iterator[Part]:
    for part in parts:
        if units <= 0:
            return
        size = _size(part)
        if size > units and part.text is not None:
            yield Part(text=part.text[:units])
        else:
            yield part
        units -= size


def _after(parts: Iterable[Part], units: int) -> tuple[Part, ...]:
    found = []
    for part in parts:
        size = _size(part)
        if units <= 0:
            if size:
                found.append(part)
        elif size > units and part.text is not None:
            found.append(Part(text=part.text[units:]))
        units -= size
    return tuple(found)


def _size(part: Part) -> int:
    return len(part.text) if part.is_plain_text and part.text is not None else 1
