"""A2A messages and LangChain messages, translated."""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage
from pydantic_core import to_jsonable_python

from a2a_bridge.agent import speaker_of
from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.objects import JSONValue, Message, Part, Role, json_bytes

REMOTE = "a2a"
"""The key under which a node that is a remote agent tells its tokens, and keeps where the conversation is."""

_NOT_IN_A_NAME = re.compile(r"[^\w-]+")


def to_langchain(messages: Iterable[Message], own_name: str) -> list[BaseMessage]:
    """The messages as a model reads them: this agent's own as AIMessage, everybody else's as HumanMessage.

    Ids are kept, so a message that a thread already holds replaces itself. A speaker's name stands in the message's
    name and, because few providers show that to the model, before the text as `[name] `.
    """
    return [_to_langchain(message, own_name) for message in messages]


def _to_langchain(message: Message, own_name: str) -> BaseMessage:
    speaker = speaker_of(message)
    blocks = [_block(part) for part in message.parts]
    if message.role is Role.AGENT and speaker in (None, own_name):
        return AIMessage(content=_content(blocks), id=message.message_id)
    name = None
    if speaker is not None:
        name = _NOT_IN_A_NAME.sub("_", speaker)[:64]
        _prefix(blocks, f"[{speaker}] ")
    return HumanMessage(content=_content(blocks), id=message.message_id, name=name)


def _prefix(blocks: list[dict[str, Any]], prefix: str) -> None:
    for block in blocks:
        if block["type"] == "text":
            if not block["text"].startswith(prefix):
                block["text"] = prefix + block["text"]
            return


def _content(blocks: list[dict[str, Any]]) -> Any:
    """Plain text as a string, which every model takes; anything else as content blocks."""
    if all(block["type"] == "text" for block in blocks):
        return "\n".join(block["text"] for block in blocks)
    return blocks


def to_content(parts: Iterable[Part]) -> Any:
    """Parts as the content of a message."""
    return _content([_block(part) for part in parts])


def to_parts(message: BaseMessage) -> list[Part]:
    """What a message of a human or a model says and shows; nothing of what tools were called with and gave."""
    if not isinstance(message, HumanMessage | AIMessage):
        return []
    found = []
    for block in message.content_blocks:
        kind = block["type"]
        if kind == "text" and block["text"]:
            found.append(Part(text=block["text"]))
        elif kind in ("image", "audio", "video", "file"):
            known: Mapping[str, Any] = {**block.get("extras", {}), **block}
            raw = base64.b64decode(known["base64"]) if known.get("base64") else None
            if raw is None and not known.get("url"):
                raise AdapterError(f"a block of the kind {kind!r} without its content cannot be sent to a remote agent")
            url = known.get("url") if raw is None else None
            found.append(Part(raw=raw, url=url, media_type=known.get("mime_type"), filename=known.get("filename")))
    return found


def _block(part: Part) -> dict[str, Any]:
    if part.text is not None:
        return {"type": "text", "text": part.text}
    if part.kind == "data":
        return {"type": "text", "text": json_bytes(part.data).decode()}
    media_type = part.media_type or "application/octet-stream"
    kind = media_type.partition("/")[0]
    if part.raw is None and kind != "image":  # few providers take a link to a file, and others refuse the whole request
        return {"type": "text", "text": f"[{part.filename or 'file'}: {media_type} at {part.url}]"}
    block: dict[str, Any] = {"type": kind if kind in ("image", "audio", "video") else "file", "mime_type": media_type}
    if part.raw is not None:
        block["base64"] = base64.b64encode(part.raw).decode("ascii")
    else:
        block["url"] = part.url
    if part.filename and block["type"] == "file":
        block["filename"] = part.filename
    return block


def unanswered_calls(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Results for the tool calls at the end of a conversation that have none.

    A turn that was cancelled, or paused and never answered, leaves such calls in the thread, and providers refuse a
    conversation that goes on after one.
    """
    answered: set[str] = set()
    for message in reversed(messages):
        if isinstance(message, ToolMessage):
            answered.add(message.tool_call_id)
            continue
        if not isinstance(message, AIMessage):
            return []
        return [
            ToolMessage(
                content="Not finished: the conversation went on without it.",
                tool_call_id=cast(str, call["id"]),
                name=call["name"],
                status="error",
            )
            for call in message.tool_calls
            if call["id"] not in answered
        ]
    return []


def refused_files(messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """What was said last, with its files named only, to replace it in a thread whose run failed: a file that no model
    takes would fail every run after it."""
    found: list[BaseMessage] = []
    for message in reversed(messages):
        if isinstance(message, AIMessage):
            break
        if isinstance(message, HumanMessage) and not isinstance(message.content, str):
            blocks = [block if _is_text(block) else _named(block) for block in message.content]
            found.append(message.model_copy(update={"content": blocks}))
    return found[::-1]


def _is_text(block: Any) -> bool:
    return isinstance(block, str) or block.get("type") == "text"


def _named(block: Mapping[str, Any]) -> dict[str, Any]:
    kind = block.get("mime_type") or block.get("type")
    return {"type": "text", "text": f"[{block.get('filename') or 'file'}: {kind}, not shown again]"}


def jsonable(value: object) -> JSONValue:
    """Any value of a graph's state as JSON; what has no JSON form becomes its text."""
    return cast(JSONValue, to_jsonable_python(value, fallback=str, inf_nan_mode="null", serialize_unknown=True))


def data_part(value: object) -> Part:
    """Any value of a graph's state as a data part."""
    return Part(data=jsonable(value), media_type="application/json")


def input_value(messages: Sequence[Message], key: str) -> JSONValue:
    """What a graph whose input has the one key `key` gets: the newest data part's value, else the text."""
    for message in reversed(messages):
        for part in reversed(message.parts):
            if part.kind == "data":
                data = part.data
                return data[key] if isinstance(data, Mapping) and set(data) == {key} else data
    return "\n".join(message.text for message in messages)
