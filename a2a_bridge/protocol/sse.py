"""Server-sent events, the reading side: bytes in as they come, events out (WHATWG HTML §9.2.6, R-JRPC-25, R-JRPC-26).

Lines end with LF, CR LF or CR, also mixed and cut anywhere; a byte order mark at the start is skipped; comments are
ignored; `data` lines of one event are joined by LF; an event without data is dropped, as is an unfinished one at the
end. Unlike a browser we drop an event whose data is one empty line too, as no JSON is in it, and leave `retry` to
the client, which has a back-off of its own.
"""

from typing import NamedTuple

from a2a_bridge.errors import InvalidAgentResponseError

MAX_EVENT_BYTES = 16 * 1024 * 1024
"""The default size above which an event is refused: our own events end at 4 MiB of content, snapshots are larger."""

_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One event. `id` is that of this event or of the last one that had any, "" when there was none."""

    data: str
    event: str = "message"
    id: str = ""


class SSEParser:
    """Feed it the chunks of one response, in order; it keeps at most one event's worth of bytes."""

    __slots__ = ("_after_cr", "_at_start", "_data", "_event", "_limit", "_line", "_size", "last_event_id")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.last_event_id = ""
        self._limit = max_event_bytes
        self._line: list[bytes] = []  # pieces of a line whose end has not come yet
        self._data: list[bytes] = []
        self._event = b""
        self._size = 0  # of the pieces and the data
        self._at_start = True
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """The events that this chunk completes. InvalidAgentResponseError when one is larger than allowed."""
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[:1] == b"\n":  # the second half of a CR LF whose first half ended the line already
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = chunk.split(b"\n")
        found: list[ServerSentEvent] = []
        for line in lines:
            if self._line:
                line = b"".join((*self._line, line))
                self._size -= sum(map(len, self._line))
                self._line.clear()
            self._take(line, found)
        if rest:
            self._line.append(rest)
            self._grow(len(rest))
        return found

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > self._limit:
            raise InvalidAgentResponseError(f"the agent sent an event of more than {self._limit} bytes")

    def _take(self, line: bytes, found: list[ServerSentEvent]) -> None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BOM)
        if not line:
            self._dispatch(found)
            return
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._data.append(value)
            self._grow(len(value) + 1)
        elif name == b"event":
            self._event = value
        elif name == b"id" and b"\0" not in value:
            self.last_event_id = value.decode("utf-8", "replace")

    def _dispatch(self, found: list[ServerSentEvent]) -> None:
        if self._data:
            data = b"\n".join(self._data) if len(self._data) > 1 else self._data[0]
            if data:
                event = self._event.decode("utf-8", "replace") or "message"
                found.append(ServerSentEvent(data.decode("utf-8", "replace"), event, self.last_event_id))
            self._data.clear()
            self._size = 0
        self._event = b""
