"""Events as bytes: each is serialised once, here, and those bytes are logged and sent to every reader.

The functions splice JSON from parts that are already JSON or need one string escaped; they never build an object
graph. All results are compact JSON in one line, in the shape of StreamResponse (A2A 1.0.1 §4.2.3).
"""

from collections.abc import Iterable
from functools import lru_cache
from json.encoder import encode_basestring

from a2a_bridge.protocol.objects import Message, Part, Role, Struct, TaskState, json_bytes, to_json

_ROLES = {role: role.value.encode() for role in Role}
_STATES = {state: state.value.encode() for state in TaskState}


def quoted(text: str) -> bytes:
    """A JSON string in UTF-8. Lone surrogates become the replacement character: they are not JSON (R-DM-14)."""
    try:
        return encode_basestring(text).encode("utf-8")
    except UnicodeEncodeError:
        clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return encode_basestring(clean).encode("utf-8")


quoted_id = lru_cache(maxsize=1024)(quoted)
"""`quoted`, for strings that are asked for again and again: the ids of a task and its context."""


def text_part(text: str) -> bytes:
    """A plain text part."""
    return b'{"text":' + quoted(text) + b"}"


def part_json(part: Part) -> bytes:
    """Any part."""
    return text_part(part.text) if part.is_plain_text and part.text is not None else to_json(part)


def message_json(
    *,
    message_id: str,
    parts: Iterable[bytes],
    context_id: str,
    task_id: str | None = None,
    metadata: Struct | None = None,
) -> bytes:
    """A message of the agent, with the ids that the server fills in (R-CTX-10)."""
    task = b"" if task_id is None else b',"taskId":' + quoted(task_id)
    more = b"" if not metadata else b',"metadata":' + json_bytes(metadata)
    return b'{"messageId":%b,"role":"ROLE_AGENT","parts":[%b],"contextId":%b%b%b}' % (
        quoted(message_id), b",".join(parts), quoted(context_id), task, more,
    )  # fmt: skip


def status_json(state: TaskState, timestamp: str, message: bytes | None = None) -> bytes:
    """A TaskStatus; `timestamp` is in wire form already."""
    said = b"" if message is None else b',"message":' + message
    return b'{"state":"%b"%b,"timestamp":"%b"}' % (_STATES[state], said, timestamp.encode())


class EventWriter:
    """Writes the events of one task: what is the same in all of them is encoded once."""

    __slots__ = ("_artifact_head", "_ids", "_status_head")

    def __init__(self, task_id: str, context_id: str) -> None:
        self._ids = b'"taskId":' + quoted_id(task_id) + b',"contextId":' + quoted_id(context_id)
        self._status_head = b'{"statusUpdate":{' + self._ids + b',"status":'
        self._artifact_head = b'{"artifactUpdate":{' + self._ids + b',"artifact":{"artifactId":'

    def status(self, status: bytes, metadata: Struct | None = None) -> bytes:
        """A statusUpdate around the JSON of a status."""
        if not metadata:
            return self._status_head + status + b"}}"
        return self._status_head + status + b',"metadata":' + json_bytes(metadata) + b"}}"

    def chunk_head(self, artifact_id: str) -> bytes:
        """The beginning of an artifact update up to the text of a single plain text part; see `text_chunk`."""
        return self._artifact_head + quoted(artifact_id) + b',"parts":[{"text":'

    def first_text(self, artifact_id: str, text: str) -> bytes:
        """The artifact update that begins an artifact with a plain text: `artifact` for the most usual case."""
        return b'%b%b,"parts":[{"text":%b}]}}}' % (self._artifact_head, quoted(artifact_id), quoted(text))

    def artifact(
        self,
        artifact_id: str,
        parts: Iterable[bytes],
        *,
        append: bool,
        last: bool = False,
        name: str | None = None,
        metadata: Struct | None = None,
    ) -> bytes:
        """An artifactUpdate."""
        more = b"" if name is None else b',"name":' + quoted(name)
        if metadata:
            more += b',"metadata":' + json_bytes(metadata)
        flags = (b',"append":true' if append else b"") + (b',"lastChunk":true' if last else b"")
        return (
            self._artifact_head + quoted(artifact_id) + b"%b" % more + b',"parts":[%b]}%b}}' % (b",".join(parts), flags)
        )


TEXT_CHUNK_END = b'}]},"append":true}}'
"""What follows the quoted text after `EventWriter.chunk_head` in an appending chunk of plain text."""


def task_event(task: bytes) -> bytes:
    """A stream's opening snapshot around the JSON of a task."""
    return b'{"task":' + task + b"}"


def message_event(message: bytes) -> bytes:
    """The one event of a message-only stream (R-STRM-01), and the result of such a send."""
    return b'{"message":' + message + b"}"


def client_message_json(message: Message, context_id: str, task_id: str) -> bytes:
    """A message of the client as it stands in the history, with the ids that the server settled (R-CTX-04)."""
    return with_ids(bare_message_json(message), context_id, task_id)


def with_ids(bare: bytes, context_id: str, task_id: str) -> bytes:
    """`client_message_json` from what `bare_message_json` made."""
    return b'%b,"contextId":%b,"taskId":%b}' % (bare[:-1], quoted_id(context_id), quoted_id(task_id))


def bare_message_json(message: Message) -> bytes:
    """A client's message without the context and task it names: what an idempotent resend is compared by."""
    parts = b",".join([part_json(part) for part in message.parts])
    more = b""
    if message.metadata:
        more += b',"metadata":' + to_json(message.metadata)
    for name, items in (("extensions", message.extensions), ("referenceTaskIds", message.reference_task_ids)):
        if items:
            more += b',"%b":%b' % (name.encode(), json_bytes(items))
    return b'{"messageId":%b,"role":"%b","parts":[%b]%b}' % (
        quoted(message.message_id), _ROLES[message.role], parts, more,
    )  # fmt: skip
