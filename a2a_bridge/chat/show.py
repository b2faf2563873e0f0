"""A conversation on the terminal, while it goes on."""

import sys

from a2a_bridge.agent import Chunk, Reply
from a2a_bridge.chat.entry import END, Decision, Entry, words_of

_RULE = "-" * 80


class Printer:
    """Prints who speaks to whom, the words as they come, and why it ended, to standard output."""

    def __init__(self, to: str, other: str | None = None) -> None:
        self._to = to
        self._other = other
        self._speaking: str | None = None
        self._decisions = other is None
        self._together = False  # several speak at once: each is printed when it is done

    def show(self, shown: Entry | Reply) -> None:
        """Print what there is to see in an entry or a reply."""
        if isinstance(shown, Chunk):
            if not self._together:
                self._words(shown)
        elif isinstance(shown, Entry):
            self._entry(shown)

    def _words(self, chunk: Chunk) -> None:
        if self._speaking != chunk.artifact:
            self._speaking = chunk.artifact
            self._write(f"{self._heading(chunk.name or '')}\n\n")
        self._write(chunk.text + words_of(chunk.parts))

    def _heading(self, name: str) -> str:
        to = self._other if name == self._to and self._other is not None else self._to
        return f"{name} (to {to}):"

    def _entry(self, entry: Entry) -> None:
        name = entry.speaker.name if entry.speaker else ""
        streamed, self._speaking = self._speaking is not None, None
        if entry.kind == "decided" and entry.why is not None:
            self._together = bool(entry.why.also)
        if entry.kind == "joined" and self._other not in (None, name):
            self._to = name  # of a remote agent it is known when its card has been read
        elif entry.kind == "said":
            self._write("" if streamed else f"{self._heading(name)}\n\n{entry.text}")
            self._write(f"\n\n{_RULE}\n")
        elif entry.kind == "decided" and entry.why is not None and self._decisions:
            self._write(f"\n{_next(entry.why)}\n\n")
        elif entry.kind == "failed":
            told = entry.text if entry.message is not None else f"{name} failed: {entry.text}"
            self._write(f"\n{told}\n\n{_RULE}\n")
        elif entry.kind == "stopped" and entry.stop is not None:
            by = f" by {entry.stop.by}" if entry.stop.by else ""
            detail = f": {entry.stop.detail}" if entry.stop.detail else ""
            self._write(f"\nThe conversation ended ({entry.stop.kind}{by}){detail}\n")

    def _write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
        except UnicodeEncodeError:  # half a surrogate pair, or a terminal that cannot show the letters
            encoding = sys.stdout.encoding or "utf-8"
            sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
        sys.stdout.flush()


def _next(why: Decision) -> str:
    reason = f": {why.reason}" if why.reason else ""
    if why.chosen == END:
        return f"Nobody speaks next ({why.chosen_by}){reason}"
    speakers = f"Next speaker: {why.chosen}" if not why.also else f"Next speakers, at once: {', '.join(why.speakers)}"
    return f"{speakers} ({why.chosen_by}){reason}"
