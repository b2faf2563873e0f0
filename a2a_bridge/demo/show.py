"""What a reader of the demo sees: the conversation as it streams, or one JSON object per entry of the room's log."""

import json
import re
import shutil
from collections.abc import Callable, Iterable
from contextlib import aclosing
from typing import Any, Protocol, TextIO

from a2a_bridge.agent import Chunk, Reply, Usage
from a2a_bridge.chat.entry import Decision, Entry, Speaker, StopReason, entry_json
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.protocol.objects import JSONValue

Said = Entry | Reply
_LONGEST = 90


class Show(Protocol):
    """Takes in what a room streams, and notes about what the demo does besides."""

    def note(self, text: str) -> None: ...
    def take(self, said: Said) -> None: ...


class JsonShow:
    """Entries as JSON lines; notes go elsewhere, so that the lines are all there is."""

    def __init__(self, out: TextIO, notes: TextIO) -> None:
        self._out = out
        self._notes = notes

    def note(self, text: str) -> None:
        print(text, file=self._notes, flush=True)

    def take(self, said: Said) -> None:
        if isinstance(said, Entry):
            print(json.dumps(entry_json(said), ensure_ascii=False), file=self._out, flush=True)


class TextShow:
    """The conversation for a person, token by token."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._bold, self._dim, self._plain = ("\x1b[1m", "\x1b[2m", "\x1b[0m") if out.isatty() else ("", "", "")
        self._words = Wrapped(self._write, min(shutil.get_terminal_size().columns, 112))
        self._seats: dict[str, Speaker] = {}
        self._turn = 0
        self._shown = ""

    def note(self, text: str) -> None:
        if self._shown:  # the turn is broken off; if it goes on, it is shown anew
            self._words.end(" [...]")
            self._shown = ""
        self._write(f"{text}\n")

    def take(self, said: Said) -> None:
        if isinstance(said, Chunk):
            self._stream(said)
        elif isinstance(said, Entry):
            self._entry(said)

    def _entry(self, entry: Entry) -> None:
        speaker = entry.speaker
        if entry.kind == "joined" and speaker is not None:
            self._seats[speaker.name] = speaker
        elif entry.kind == "said" and speaker is not None and not entry.turn:
            self._write(f"\n{self._bold}{speaker.name}{self._plain}\n")
            self._words.say(entry.text)
        elif entry.kind == "decided" and entry.why is not None:
            self._decided(entry.why)
        elif entry.kind == "said":
            if not self._shown:
                self._words.say(entry.text)
            else:
                self._words.end("" if self._shown.strip() == entry.text.strip() else " [...]")
            self._shown = ""
            for used in tools_used(entry):
                self._write(f"  {self._dim}{used}{self._plain}\n")
        elif entry.kind in ("failed", "asked") and speaker is not None:
            self._words.end()
            self._shown = ""
            self._write(f"  {speaker.name}: {entry.text or entry.detail}\n")
        elif entry.kind == "stopped" and entry.stop is not None:
            self._stopped(entry.stop, entry.text)

    def _stopped(self, stop: StopReason, summary: str) -> None:
        why = ", ".join(part for part in (f"by {stop.by}" if stop.by else "", stop.detail) if part)
        self._write(f"\n{self._bold}Stopped:{self._plain} {stop.kind}{f' ({why})' if why else ''}\n")
        if summary:
            self._write(f"{self._bold}Summary:{self._plain}\n")
            self._words.say(summary)

    def _decided(self, why: Decision) -> None:
        self._shown = ""
        if why.chosen not in self._seats:
            return  # nobody any more: the reason is told with the stop
        self._turn += 1
        where = place(self._seats[why.chosen])
        self._write(f"\n{self._bold}{self._turn} {why.chosen}{self._plain}  {self._dim}{where}\n")
        reason = f": {why.reason}" if why.reason else ""
        self._write(f"  chosen by {why.chosen_by}{reason}; candidates {', '.join(why.candidates)}{self._plain}\n")

    def _stream(self, chunk: Chunk) -> None:
        if not chunk.append and self._shown:  # what was said is replaced
            if not self._shown.startswith(chunk.text):
                self._words.end(" [replaced:]")
                self._words.feed(chunk.text)
                self._shown = chunk.text
            return
        self._words.feed(chunk.text)
        self._shown += chunk.text

    def _write(self, text: str) -> None:
        self._out.write(text)
        self._out.flush()


class Wrapped:
    """Words into lines while they come: a word is written when it is whole. Code between fences keeps its lines."""

    def __init__(self, write: Callable[[str], None], width: int, indent: str = "  ") -> None:
        self._write = write
        self._width = width
        self._indent = indent
        self._column = 0
        self._word = ""
        self._is_code = False

    def feed(self, text: str) -> None:
        """More text."""
        *whole, self._word = re.split(r"(?<=[ \n])", self._word + text)
        for word in whole:
            self._take(word)

    def _take(self, word: str) -> None:
        """A word, and the space or the end of line behind it."""
        is_fence = word.startswith("```")
        if not is_fence and not self._is_code:
            self._put(word[:-1])
            return
        if is_fence and not self._is_code and self._column:
            self._write("\n")
            self._column = 0
        self._write(word if self._column else f"{self._indent}{word}")
        self._column = 0 if word.endswith("\n") else self._column + len(word)
        self._is_code = is_fence != self._is_code

    def end(self, mark: str = "") -> None:
        """The last word, and the end of the paragraph."""
        if self._is_code and self._word:
            self._take(self._word)
            self._word = ""
        self._is_code = False
        self._put(self._word + mark if self._word else mark.strip())
        if self._column:
            self._write("\n")
        self._column, self._word = 0, ""

    def say(self, text: str) -> None:
        """A whole paragraph."""
        self.feed(text)
        self.end()

    def _put(self, word: str) -> None:
        if not word:
            return
        if not self._column:
            self._write(self._indent + word)
            self._column = len(self._indent) + len(word)
        elif self._column + 1 + len(word) > self._width:
            self._write(f"\n{self._indent}{word}")
            self._column = len(self._indent) + len(word)
        else:
            self._write(f" {word}")
            self._column += 1 + len(word)


def place(speaker: Speaker) -> str:
    """In which framework a seat runs, and where."""
    framework = speaker.framework or ("unknown framework" if speaker.endpoint else "a2a_bridge")
    return f"[{framework}, {f'A2A at {speaker.endpoint}' if speaker.endpoint else 'in this process'}]"


def tools_used(entry: Entry) -> list[str]:
    """Each call of a tool in the turn that an entry is about, and what came of it, in a line."""
    activity: Any = (entry.heard or {}).get("activity") or ()
    results = {told[1]: told[2] for told in activity if told[0] == "result"}
    return [_called(name, arguments, results.get(call)) for kind, call, name, arguments in activity if kind == "call"]


def _called(name: str, arguments: JSONValue, result: JSONValue) -> str:
    told = json.dumps(arguments, ensure_ascii=False)
    return f"called {name} with {_short(told)}: {_short(str(result))}"


def _short(text: str) -> str:
    plain = " ".join(text.split())
    return plain if len(plain) <= _LONGEST else f"{plain[:_LONGEST]} ..."


async def converse(manager: GroupChatManager, question: str, show: Show) -> list[Entry]:
    """Put a question to a room and show what it streams; the entries of its log."""
    entries = []
    async with aclosing(manager.stream(question)) as said:
        async for each in said:
            show.take(each)
            if isinstance(each, Entry):
                entries.append(each)
    return entries


def tokens_table(used: Iterable[tuple[str, Usage]]) -> str:
    """Tokens per speaker."""
    rows = [(name, usage.input_tokens, usage.output_tokens) for name, usage in used]
    rows.append(("all", sum(row[1] for row in rows), sum(row[2] for row in rows)))
    wide = max(len(row[0]) for row in rows)
    head = f"  {'Tokens':<{wide}}  {'read':>7}  {'written':>7}"
    return "\n".join([head, *(f"  {name:<{wide}}  {read:>7}  {written:>7}" for name, read, written in rows)])
