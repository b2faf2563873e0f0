"""Files in messages, as CrewAI and its models take them without further packages.

A text is told in words, a picture is shown. Whatever else a message holds is named as what cannot be read.
"""

import base64
from collections.abc import Iterable, Sequence
from typing import Any

from a2a_bridge.protocol.objects import JSONValue, Message, Part

PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp")
TEXTS = ("text/*", "application/xml", "application/yaml")

_OWN_FORM = ("gemini", "google")
_UNKNOWN_FORM = ("bedrock", "aws")
"""Models whose form of a picture CrewAI writes only with a package of its own, crewai-files."""


def file_words(part: Part, *, shows: bool) -> str:
    """A file in words: its text if it is one. `shows`: pictures are shown to the model as well."""
    name, kind = part.filename or "file", _kind(part) or "a file"
    if part.url is not None:
        return f"[{name}: {kind} at {part.url}]"
    text = _text(part)
    if text is not None:
        return f"[{name}: {kind}]\n{text}"
    return f"[{name}: {kind}]" if shows and kind in PICTURES else f"[{name}: {kind}, not readable here]"


def pictures(messages: Iterable[Message]) -> list[Part]:
    """The pictures of messages, in their order."""
    return [part for message in messages for part in message.parts if part.kind != "text" and _kind(part) in PICTURES]


def address(part: Part) -> str:
    """Where the file is; of one that came with the message a `data:` URL."""
    if part.url is not None:
        return part.url
    return f"data:{part.media_type or 'application/octet-stream'};base64,{base64.b64encode(part.raw or b'').decode()}"


def can_be_shown(llms: Iterable[Any]) -> bool:
    """Whether we know the form in which these models take a picture."""
    return all(_provider(llm) not in _UNKNOWN_FORM for llm in llms)


def with_pictures(text: str, shown: Sequence[Part], llm: Any) -> str | list[dict[str, Any]]:
    """The content of a message for this model; CrewAI itself turns OpenAI's form into Anthropic's."""
    if not shown:
        return text
    if _provider(llm) in _OWN_FORM:
        return [{"text": text}, *map(_gemini, shown)]
    blocks = [{"type": "image_url", "image_url": {"url": address(part)}} for part in shown]
    return [{"type": "text", "text": text}, *blocks]


def described(messages: Iterable[Message]) -> list[JSONValue]:
    """Files of every kind, for the state of a flow: name, media type and address."""
    return [
        {"filename": part.filename, "media_type": part.media_type, "url": address(part)}
        for message in messages
        for part in message.parts
        if part.raw is not None or part.url is not None
    ]


def _provider(llm: Any) -> str:
    """Whose form of messages it is; a model may still be its name."""
    return llm.partition("/")[0] if isinstance(llm, str) else str(getattr(llm, "provider", "openai"))


def _kind(part: Part) -> str:
    return (part.media_type or "").partition(";")[0].strip().lower()


def _gemini(part: Part) -> dict[str, Any]:
    if part.url is not None:
        return {"fileData": {"mimeType": part.media_type, "fileUri": part.url}}
    return {"inlineData": {"mimeType": part.media_type, "data": base64.b64encode(part.raw or b"").decode()}}


def _text(part: Part) -> str | None:
    """What a text file says."""
    kind = _kind(part)
    if part.raw is None or not (kind.startswith("text/") or kind in (*TEXTS, "application/json")):
        return None
    try:
        return part.raw.decode()
    except UnicodeDecodeError:
        return None
