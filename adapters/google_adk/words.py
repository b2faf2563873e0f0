"""What is said in one artifact, event by event.

With streaming, a model's words come as partial events, and then once more as a whole; here they are told once. Agents
that speak at the same time are told one after another: the words of one are streamed, the others' come as a whole.
"""

import json
from collections.abc import Iterator, Set
from typing import Any

from pydantic_core import to_jsonable_python

from a2a_bridge.agent import Chunk
from a2a_bridge.protocol.objects import Part
from adapters.google_adk.messages import file_part
from adapters.google_adk.roots import Place

BETWEEN_MESSAGES = "\n\n"


class Words:
    """`structured`: agents whose answer is JSON."""

    def __init__(self, place: Place, structured: Set[str]) -> None:
        self._place = place
        self._structured = structured
        self._told: list[str | Part] = []
        self._streams: tuple[str, str | None] | None = None  # the agent whose words are being streamed, its branch
        self._open = ""
        self._held: list[Any] = []  # whole events of other agents meanwhile
        self._late: set[tuple[str, str | None]] = set()

    def take(self, event: Any) -> Iterator[Chunk | str]:
        """What one event says, or what can now be said of earlier ones."""
        key = (event.author, event.branch)
        if self._streams not in (None, key):
            if event.partial:
                self._late.add(key)  # the beginning is missed: its words are told as a whole
            else:
                self._held.append(event)
            return
        if event.partial and key in self._late:
            return
        self._late.discard(key)
        yield from self._event(event)
        while self._held and self._streams is None:
            held = self._held.pop(0)
            self._late.discard((held.author, held.branch))
            yield from self._event(held)

    def give(self, output: Any) -> Iterator[Chunk | str]:
        """A value that a node gives, unless it has just been said."""
        if not isinstance(output, str):
            data = Part(
                data=to_jsonable_python(output, fallback=str, bytes_mode="base64"), media_type="application/json"
            )
            if [data] != self._told[-1:]:
                yield from self._add(data)
        elif output.strip() and [output.strip()] != [one.strip() for one in self._told[-1:] if isinstance(one, str)]:
            text = self._gap() + output
            self._told.append(text)
            yield self._chunk(text)

    def end(self) -> Iterator[Chunk | str]:
        """What is left when the run is over: an agent was stopped in the middle of its words."""
        for event in self._held:
            yield from self._event(event)
        self._held = []

    def _event(self, event: Any) -> Iterator[Chunk | str]:
        parts = (event.content.parts if event.content else None) or []
        text = "".join(part.text for part in parts if part.text and not part.thought)
        if event.partial:
            yield from self._token(event, text)
            return
        yield from self._message(event, text)
        for part in parts:
            if (made := file_part(part)) is not None:
                yield from self._add(made)

    def _token(self, event: Any, text: str) -> Iterator[Chunk | str]:
        if text:
            token = text if self._open else self._opening(event.author) + text
            self._streams = (event.author, event.branch)
            self._open += token
            yield self._chunk(token)

    def _message(self, event: Any, text: str) -> Iterator[Chunk | str]:
        """A whole message, of which nothing, a part or all has been shown."""
        shown = ""
        if self._streams == (event.author, event.branch):
            shown, self._open, self._streams = self._open, "", None
        if not text and not shown:
            return
        opening = self._opening(event.author)
        if event.author in self._structured and (data := _parsed(text)) is not None:
            self._told += [*([opening] if opening.strip() else ()), data]
        else:
            self._told.append(opening + text if text else shown)
            if not shown:
                yield self._chunk(opening + text)
                return
        if [shown] != self._told[-1:]:
            whole = tuple(Part(text=piece) if isinstance(piece, str) else piece for piece in self._told)
            yield self._chunk("", whole, append=False)

    def _add(self, part: Part) -> Iterator[Chunk | str]:
        self._told.append(part)
        yield self._chunk("", (part,))

    def _gap(self) -> str:
        return BETWEEN_MESSAGES if self._told else ""

    def _opening(self, author: str) -> str:
        return f"{self._gap()}[{author}] " if self._place.names_speakers else self._gap()

    def _chunk(self, text: str, parts: tuple[Part, ...] = (), *, append: bool = True) -> Chunk | str:
        step = self._place.step
        if step is not None:
            return Chunk(text, parts, artifact=step, append=append, name=step)
        return Chunk(text, parts, append=append) if parts else text


def _parsed(text: str) -> Part | None:
    try:
        return Part(data=json.loads(text), media_type="application/json")
    except ValueError:
        return None
