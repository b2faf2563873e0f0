"""What a running graph says, read from its stream.

Which tokens are the answer: those of every model call in any node, subgraphs included, one message after another;
not those of models that a tool calls for itself. When the graph has ended, the messages it added to its state decide:
if they say something else (a guard took words out, a planner's notes were only streamed), they replace what was shown.
Two models that speak at the same time are shown one after the other, the later one when the first is done.
"""

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, HumanMessage, ToolMessage

from a2a_bridge.agent import Chunk, Progress, Reply, ToolCall, ToolResult, Usage
from a2a_bridge.protocol.objects import json_bytes
from adapters.langgraph.messages import REMOTE, data_part, jsonable
from langgraph.types import Interrupt

STREAM_MODES = ("messages", "updates", "custom", "values")
BETWEEN_MESSAGES = "\n\n"
TOOL_FAILED = "The tool failed."
_PROGRESS_KEYS = ("text", "message", "status", "progress")


class Words:
    """The texts of several messages in one answer, a message at a time and each whole."""

    def __init__(self) -> None:
        self.shown: dict[str, str] = {}
        self._current: str | None = None
        self._waiting: dict[str, str] = {}
        self._ended: set[str] = set()

    def add(self, message_id: str, text: str) -> Iterator[str]:
        """A piece of a message: given out now, or when its turn comes."""
        if not text:
            return
        if self._current in (None, message_id):
            yield from self._show(message_id, text)
        else:
            self._waiting[message_id] = self._waiting.get(message_id, "") + text

    def end(self, message_id: str) -> Iterator[str]:
        """A message is complete: the next one may speak."""
        self._ended.add(message_id)
        while self._current is None or self._current in self._ended:
            self._current = None
            if not self._waiting:
                return
            following = next(iter(self._waiting))
            yield from self._show(following, self._waiting.pop(following))

    def end_all(self) -> Iterator[str]:
        """The graph has ended: so has every message."""
        self._ended.update(self._waiting)
        yield from self.end(self._current or "")

    def _show(self, message_id: str, text: str) -> Iterator[str]:
        self._current = message_id
        if message_id not in self.shown and self.shown:
            yield BETWEEN_MESSAGES
        self.shown[message_id] = self.shown.get(message_id, "") + text
        yield text


class Reading:
    """One run of a graph as replies, fed event by event.

    `tool_nodes`: names of nodes that run tools. `outputs`: the members of the state that are the result; None: its
    messages are.
    """

    def __init__(self, tool_nodes: frozenset[str], outputs: frozenset[str] | None = None) -> None:
        self.interrupts: tuple[Interrupt[Any], ...] = ()
        self.raised: Set[str] = frozenset()  # ids of tool calls that raised, filled in while the run goes on
        self._tool_nodes = tool_nodes
        self._outputs = outputs
        self._words = Words()
        self._calls: set[str] = set()
        self._results: set[str] = set()
        self._early: dict[str, ToolResult] = {}
        self._begun: set[tuple[str, ...]] = set()
        self._first: Mapping[str, Any] | None = None
        self._last: Mapping[str, Any] = {}

    def take(self, namespace: tuple[str, ...], mode: str, data: Any) -> Iterator[Reply | str]:
        """The replies that one event of the stream amounts to."""
        if mode == "messages":
            yield from self._message(*data)
        elif mode == "updates":
            yield from self._updates(namespace, data)
        elif mode == "custom":
            yield from self._custom(data)
        elif mode == "values" and isinstance(data, Mapping):
            self._values(namespace, data)

    def _values(self, namespace: tuple[str, ...], data: Mapping[str, Any]) -> None:
        if namespace not in self._begun:
            # What a graph, or one inside it, starts with has been told in an earlier turn.
            self._begun.add(namespace)
            for message in _messages(data):
                self._calls.update(str(call["id"]) for call in getattr(message, "tool_calls", ()))
                if isinstance(message, ToolMessage):
                    self._results.add(message.tool_call_id)
        if not namespace:
            self.interrupts = tuple(data.get("__interrupt__", ()))
            self._first = data if self._first is None else self._first
            self._last = data

    def _message(self, message: BaseMessage, metadata: Mapping[str, Any]) -> Iterator[Reply | str]:
        if isinstance(message, ToolMessage):
            yield from self._tool_result(message)
        if not isinstance(message, AIMessage):
            return
        if usage := message.usage_metadata:
            model = message.response_metadata.get("model_name") or metadata.get("ls_model_name")
            yield Usage(usage["input_tokens"], usage["output_tokens"], model=model)
        path = str(metadata.get("langgraph_checkpoint_ns") or metadata.get("langgraph_node", ""))
        if any(step.partition(":")[0] in self._tool_nodes for step in path.split("|")):
            return
        text, message_id = str(message.text), str(message.id)
        if isinstance(message, AIMessageChunk):
            yield from self._words.add(message_id, text)
            if message.chunk_position == "last":
                yield from self._words.end(message_id)
        elif message_id not in self._words.shown and text not in self._words.shown.values():
            # Not streamed: a model without streaming, or a node that wrote the message itself. A node that copies
            # what its model has just streamed into a message of its own is not heard twice.
            yield from self._words.add(message_id, text)
            yield from self._words.end(message_id)

    def _custom(self, data: Any) -> Iterator[Reply | str]:
        """What a node tells with LangGraph's writer; one that is a remote agent tells its tokens."""
        told = data.get(REMOTE) if isinstance(data, Mapping) else None
        if isinstance(told, Mapping) and "token" in told:
            yield from self._words.add(told["message"], told["token"])
        elif isinstance(told, Mapping):
            yield Progress(f"{told['agent']}: {told['progress']}")
        else:
            yield Progress(_progress(data))

    def _updates(self, namespace: tuple[str, ...], data: Any) -> Iterator[Reply | str]:
        for node, update in data.items() if isinstance(data, Mapping) else ():
            if node == "__interrupt__":
                self.interrupts = tuple(update)
                continue
            for message in _messages(update):
                if isinstance(message, ToolMessage):
                    yield from self._tool_result(message)
                elif isinstance(message, AIMessage):
                    yield from self._words.end(str(message.id))
                    yield from self._tool_calls(message)

    def _tool_calls(self, message: AIMessage) -> Iterator[Reply]:
        for call in message.tool_calls:
            call_id = str(call["id"])
            if call_id not in self._calls:
                self._calls.add(call_id)
                yield ToolCall(call_id, call["name"], jsonable(call["args"]))
            if early := self._early.pop(call_id, None):
                yield early

    def _tool_result(self, message: ToolMessage) -> Iterator[Reply]:
        call_id = message.tool_call_id
        if call_id in self._results:
            return
        self._results.add(call_id)
        failed = message.status == "error"
        content = message.content if isinstance(message.content, str) else jsonable(message.content)
        # The text of a tool's exception is for its model, not for whoever watches; who refuses a call has words for it.
        result = ToolResult(call_id, TOOL_FAILED if failed and call_id in self.raised else content, is_error=failed)
        if call_id in self._calls:
            yield result
        else:  # one node gave both, the call and its result: the call is told with the node's update
            self._early[call_id] = result

    def pending(self) -> Iterator[Reply | str]:
        """Words, and results of calls that nobody has heard of, that were held back."""
        yield from self._words.end_all()
        yield from self._early.values()

    def result(self) -> Iterator[Reply]:
        """What is left to say when the graph has reached its end: a correction, or values that are not words."""
        if self._outputs is not None:
            yield from self._state_result(self._outputs)
            return
        shown = list(self._words.shown.values())
        added = self._added()
        structured = self._last.get("structured_response")
        if structured is not None and structured is not (self._first or {}).get("structured_response"):
            part = data_part(structured)
            added = [text for text in added if not is_json(text, part.data)]
            yield Chunk(BETWEEN_MESSAGES.join(added), parts=(part,), append=False)
        elif added and sorted(added) != sorted(shown):
            yield Chunk(BETWEEN_MESSAGES.join(added), append=False)

    def _added(self) -> list[str]:
        """The texts of the messages that this run added to the state: by a model, or by a node in a speaker's name."""
        before = {_identity(message) for message in _messages(self._first)}
        return [
            str(message.text)
            for message in _messages(self._last)
            if (isinstance(message, AIMessage) or (isinstance(message, HumanMessage) and message.name))
            and _identity(message) not in before
            and str(message.text)
        ]

    def _state_result(self, outputs: frozenset[str]) -> Iterator[Reply]:
        """The answer of a graph that gives no messages: its one value if that is a text, else all of them as data."""
        told = {key: value for key, value in self._last.items() if key in outputs}
        texts = list(told.values())
        shown = BETWEEN_MESSAGES.join(self._words.shown.values())
        if len(texts) == 1 and isinstance(texts[0], str):
            if texts[0] and texts[0] != shown:
                yield Chunk(texts[0], append=False)
        elif told:
            yield Chunk(parts=(data_part(told),), artifact="result" if shown else "answer")


def _identity(message: BaseMessage) -> object:
    return message.id if message.id is not None else id(message)


def _messages(update: Any) -> Sequence[BaseMessage]:
    """The messages in a state or in a node's update, whatever form it has; a task's may be a message."""
    if isinstance(update, BaseMessage):
        return [update]
    if isinstance(update, list):
        return [message for one in update for message in _messages(one)]
    found = update.get("messages") if isinstance(update, Mapping) else getattr(update, "messages", None)
    found = found if isinstance(found, list | tuple) else [found]
    return [message for message in found if isinstance(message, BaseMessage)]


def is_json(text: str, value: object) -> bool:
    try:
        return bool(json.loads(text) == value)
    except ValueError:
        return False


def _progress(data: Any) -> str:
    if isinstance(data, str):
        return data
    known = data if isinstance(data, Mapping) else {}
    if text := next((known[key] for key in _PROGRESS_KEYS if isinstance(known.get(key), str)), None):
        return str(text)
    return json_bytes(jsonable(data)).decode()
