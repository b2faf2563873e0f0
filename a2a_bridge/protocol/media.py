"""Media types: which of them somebody takes who names some, and what a part is called by those who take only words."""

from collections.abc import Iterable, Sequence

from a2a_bridge.protocol.objects import Part, json_bytes


def takes(modes: Iterable[str], media_type: str) -> bool:
    """Whether one of `modes`, as cards list them, covers a media type (R-SEND-07).

    Whoever takes JSON takes every type that is JSON too, as its suffix says: AG2 sends its history that way. A type
    that is not known to the end, `image/*`, is covered by any of its kind.
    """
    kind = media_type.partition(";")[0].strip().lower()
    family, _, rest = kind.partition("/")
    fitting = {kind, family + "/*", "*/*", "*"}
    if kind.endswith("+json"):
        fitting.add("application/json")
    known = [mode.lower() for mode in modes]
    return any(mode in fitting or (rest == "*" and mode.startswith(family + "/")) for mode in known)


def words_of(parts: Sequence[Part]) -> str:
    """Parts as a text, for somebody who takes nothing else: data as JSON, of files what they are called."""
    return "\n".join(
        part.text
        if part.text is not None
        else json_bytes(part.data).decode()
        if part.kind == "data"
        else f"[{part.filename or part.url or 'file'}: {part.media_type or 'a file'}]"
        for part in parts
    )
