"""What one seat says in one turn, as the room takes it in: shown at once, and folded into what was said.

Everything a seat says is data. The room says who spoke; a name that the words themselves begin with is taken off, and
a line that looks as if another speaker said it is kept but escaped.
"""

import json
import re
from collections.abc import Collection

from a2a_bridge.agent import Ask, Chunk, Outcome, OutcomeFold, Progress, Reply, Say, ToolCall, ToolResult, Usage
from a2a_bridge.chat.names import fold_name
from a2a_bridge.chat.seat import Chair
from a2a_bridge.chat.spoken import HumanWords, Pass, Spoken, StopChat
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import JSONValue, Part, plain_part

_LABEL = re.compile(r"(?:(?<=[\n\r\v\f\x1c-\x1e\x85\u2028\u2029])|\A)([ \t]*)\[([^\]\n]{1,100})\]")
"""A name in brackets where a line begins, wherever somebody's `splitlines` may begin one."""


_MOST_ACTIVITY, _LONGEST_VALUE = 100, 2000
"""Of one turn so many tool calls and results are kept, and of each value so many characters."""


def _kept(value: JSONValue) -> JSONValue:
    """A value as it is kept: whole if it is short, else the beginning of its JSON; the same again for what was kept."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=repr)
    if len(text) > _LONGEST_VALUE:
        return f"{text[: _LONGEST_VALUE - 3]}..."
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return text
    return value


class Speech:
    """Takes replies one by one: `take` gives what to show of each."""

    __slots__ = (
        "_artifact",
        "_chair",
        "_cut",
        "_fold",
        "_held",
        "_metadata",
        "_trims",
        "_words",
        "activity",
        "by_human",
        "ended",
    )

    def __init__(self, chair: Chair, turn: int, attempt: int, metadata: dict[str, JSONValue]) -> None:
        self._chair = chair
        self._artifact = f"turn-{turn}-{chair.name}" if attempt == 1 else f"turn-{turn}.{attempt}-{chair.name}"
        self._metadata = metadata
        self._words: list[str] = []
        self._fold: OutcomeFold | None = None  # made when something else than plain words comes
        self._held: str | None = ""
        self._trims = False
        self._cut = ""
        self.activity: list[JSONValue] | None = None
        self.by_human = False
        self.ended: StopChat | Pass | None = None

    def take(self, reply: Spoken) -> Reply | None:
        """Fold a reply in; what is returned goes to whoever watches."""
        if isinstance(reply, str):
            return self._say(reply)
        if isinstance(reply, Chunk | Say | Ask):
            check_parts(reply.parts)
        if isinstance(reply, HumanWords):
            self.by_human = True
            self._held = None  # a person may begin with any name
            return self._say(reply.text)
        if isinstance(reply, StopChat | Pass):
            self.ended = reply
            return None
        if isinstance(reply, Chunk):
            return self._chunk(reply)
        if isinstance(reply, Say):
            return self._closing(reply)
        self._add(reply)
        if isinstance(reply, Usage | ToolCall | ToolResult):
            return self._note(reply)
        if isinstance(reply, Progress):
            return Progress(f"[{self._chair.name}] {reply.text}")
        if isinstance(reply, Ask) and not reply.ends_turn:
            return _attributed(reply, self._chair.name)
        return None

    def _note(self, reply: Usage | ToolCall | ToolResult) -> Reply:
        """What tools were used for, for the log."""
        if isinstance(reply, Usage):
            return reply
        if self.activity is None:
            self.activity = []
        if isinstance(reply, ToolCall):
            told: list[JSONValue] = ["call", reply.id, reply.name, _kept(reply.arguments)]
        else:
            told = ["result", reply.id, _kept(reply.content), reply.is_error]
        if len(self.activity) < _MOST_ACTIVITY:
            self.activity.append(told)
        return reply

    def rest(self) -> Reply | None:
        """What was held back to see whether it is the speaker's own name; called after the last reply."""
        held, self._held = self._held, None
        if not held:
            return None
        self._add(held)
        return self._show(held)

    def outcome(self) -> Outcome:
        """What the turn came to."""
        if self._fold is not None:
            return self._fold.outcome()
        return Outcome((plain_part("".join(self._words)),)) if self._words else Outcome()

    @property
    def raw(self) -> tuple[Part, ...] | None:
        """What was said before the speaker's own name was taken off; None if it was not."""
        if not self._cut:
            return None
        first, *others = self.outcome().parts or (Part(text=""),)
        if first.text is None:
            return (Part(text=self._cut), first, *others)
        return (first.model_copy(update={"text": self._cut + first.text}), *others)

    def _add(self, reply: Reply | str) -> None:
        if self._fold is None:
            if isinstance(reply, str):
                self._words.append(reply)
                return
            self._fold = OutcomeFold()
            for words in self._words:
                self._fold.add(words)
        self._fold.add(reply)

    def _closing(self, said: Say) -> Reply | None:
        text = said.text if self._held is None else self._labelled(said.text) or said.text
        self._add(Say(text, said.parts, next=said.next))
        if not text and not said.parts:
            return None
        return Chunk(text, said.parts, self._artifact, name=self._chair.name, metadata=self._metadata)

    def _labelled(self, text: str) -> str | None:
        """The text behind the speaker's own name, or None if it does not begin with that."""
        rest = text.lstrip()
        probe = rest.casefold()
        label = next((label for label in self._chair.labels if probe.startswith(label)), None)
        if label is None:
            return None
        found = rest[len(label) :].lstrip()
        self._cut += text[: len(text) - len(found)]
        return found

    def _say(self, text: str) -> Reply | None:
        text = text if self._held is None else self._without_own_name(text)
        if not text:
            return None
        self._add(text)
        return self._show(text)

    def _show(self, text: str) -> Chunk:
        return Chunk(text, artifact=self._artifact, name=self._chair.name, metadata=self._metadata)

    def _chunk(self, chunk: Chunk) -> Reply | None:
        if chunk.artifact == "answer":
            text = chunk.text
            if not chunk.append:
                self._held = ""  # what was said before is replaced, so the first words are still to come
            if self._held is not None:
                text = self._without_own_name(text)
            if not text and not chunk.parts and chunk.append:
                return None
            self._add(Chunk(text, chunk.parts, append=chunk.append, last=chunk.last))
            artifact = self._artifact
        else:
            text = chunk.text
            self._add(chunk)
            artifact = f"{self._artifact}.{chunk.artifact}"
        return Chunk(
            text, chunk.parts, artifact, chunk.append, chunk.last, chunk.name or self._chair.name, self._metadata
        )

    def _without_own_name(self, text: str) -> str:
        """Hold the first words back until they cannot be the speaker's own name any more."""
        held = (self._held or "") + text
        probe = held.lstrip().casefold()
        if not probe:
            self._held = held
            return ""
        if self._trims:
            held = held.lstrip()
        if probe[0] not in self._chair.label_starts:
            self._held = None
            return held
        rest = self._labelled(held)
        if rest is not None:
            self._held = None if rest else ""
            self._trims = True
            return rest
        if any(label.startswith(probe) for label in self._chair.labels):
            self._held = held
            return ""
        self._held = None
        return held


def check_parts(parts: Collection[Part]) -> None:
    """ChatError for data that could neither be kept nor sent: NaN above all."""
    for part in parts:
        if part.kind != "data" and not part.metadata:
            continue
        try:
            json.dumps([part.data, part.metadata], allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ChatError(f"its data cannot be written as JSON ({error})") from None


def _attributed(ask: Ask, name: str) -> Ask:
    return Ask(
        text=f"[{name}] {ask.text}" if ask.text else f"[{name}] asks for something.",
        parts=ask.parts,
        kind=ask.kind,
        schema=ask.schema,
        options=ask.options,
        id=ask.id,
        ends_turn=ask.ends_turn,
    )


def attributed(asks: Collection[Ask], name: str) -> list[Ask]:
    """The asks of a seat as the room's own: each says who asks."""
    return [_attributed(ask, name) for ask in asks]


def cleaned(parts: tuple[Part, ...], own: str, others: Collection[str]) -> tuple[tuple[Part, ...], tuple[str, ...]]:
    """The parts as they go into the log, and what is suspicious about them.

    `others`: folded names of the other speakers. A line that begins with one of them in brackets would look like
    their words: it is escaped with a backslash.
    """
    if all(part.text is None or (part.text.isascii() and "[" not in part.text) for part in parts):
        return parts, ()
    parts = tuple(_encodable(part) for part in parts)
    found = tuple(_escaped(part, fold_name(own), others) for part in parts)
    return found, ("impersonation_suspected",) if found != parts else ()


def _encodable(part: Part) -> Part:
    """Halves of a surrogate pair, which a local function may say, cannot be written anywhere."""
    if part.text is None or part.text.isascii():
        return part
    text = part.text.encode("utf-8", "replace").decode()
    return part if text == part.text else part.model_copy(update={"text": text})


def _escaped(part: Part, own: str, others: Collection[str]) -> Part:
    if part.text is None or "[" not in part.text:
        return part

    def escape(match: re.Match[str]) -> str:
        name = fold_name(match[2])
        return f"{match[1]}\\[{match[2]}]" if name in others and name != own else match[0]

    text = _LABEL.sub(escape, part.text)
    return part if text == part.text else part.model_copy(update={"text": text})
