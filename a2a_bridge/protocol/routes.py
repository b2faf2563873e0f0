"""Paths of the HTTP+JSON binding (A2A 1.0.1 §11.3), from the table of operations, and which one a path is.

A path is looked at as it came, one segment after the other, and a segment is decoded once, after it has been found to
be a segment: an encoded slash never parts one (R-REST-03). Fixed segments win over a tenant, and a tenant may not be
called like a fixed segment, so that no path means two things.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from a2a_bridge.protocol import v03
from a2a_bridge.protocol.dialect import V1, Dialect
from a2a_bridge.protocol.methods import OPERATIONS, Operation

Asked = tuple[Operation, Dialect]
RESERVED: Final = frozenset({"tasks", "v1", "message:send", "message:stream", "extendedAgentCard", ".well-known"})
"""What no tenant is called: these begin paths of their own."""


class Segment(NamedTuple):
    """One segment of a pattern: a fixed text, or a parameter and what follows it in the same segment."""

    fixed: str
    name: str | None = None


class Found(NamedTuple):
    """What a path means: an operation for each verb, the values in it by their snake_case names, the tenant or ""."""

    verbs: Mapping[str, Asked]
    values: Mapping[str, str]
    tenant: str

    @property
    def dialect(self) -> Dialect:
        """The version that the path belongs to; all its verbs do."""
        return next(iter(self.verbs.values()))[1]

    @property
    def allow(self) -> str:
        """The verbs, as the header Allow lists them."""
        return ", ".join(sorted(self.verbs))


class Routes:
    """Patterns and their operations."""

    def __init__(self, paths: Iterable[tuple[str, Asked]]) -> None:
        self._patterns: dict[tuple[Segment, ...], dict[str, Asked]] = {}
        for path, (operation, dialect) in paths:
            verbs = self._patterns.setdefault(_segments(path), {})
            for verb in operation.verbs:
                verbs[verb] = operation, dialect
                if verb == "GET" and not operation.streams:
                    verbs.setdefault("HEAD", (operation, dialect))
        self._by_length: dict[int, list[tuple[Segment, ...]]] = {}
        for pattern in self._patterns:
            self._by_length.setdefault(len(pattern), []).append(pattern)
        self._suffixes = tuple({p.fixed.encode() for pattern in self._patterns for p in pattern if p.name and p.fixed})

    def find(self, path: Sequence[bytes]) -> Found | None:
        """What these segments, as they were sent, mean; None when nothing is there."""
        found = self._match(path)
        if found is not None or len(path) < 2:
            return found
        tenant = _decoded(path[0])
        if tenant is None or tenant in RESERVED or "/" in tenant or tenant in (".", ".."):
            return None
        found = self._match(path[1:])
        if found is None or found.dialect.version == v03.VERSION:
            return None  # 0.3 knows no tenants (R-TEN-05)
        return found._replace(tenant=tenant)

    def _match(self, path: Sequence[bytes]) -> Found | None:
        if len(path) > 1 and path[-1] == b"" and _is_collection(path[-2]):
            path = path[:-1]  # R-REST-23
        for pattern in self._by_length.get(len(path), ()):
            values = self._values(pattern, path)
            if values is not None:
                return Found(self._patterns[pattern], values, "")
        return None

    def _values(self, pattern: Sequence[Segment], path: Sequence[bytes]) -> dict[str, str] | None:
        values: dict[str, str] = {}
        for (fixed, name), sent in zip(pattern, path, strict=True):
            if name is None:
                if sent != fixed.encode() and _decoded(sent) != fixed:
                    return None
                continue
            if fixed:
                if not sent.endswith(fixed.encode()):
                    return None
                sent = sent[: -len(fixed)]
            elif sent.endswith(self._suffixes):
                return None  # `x:cancel` is never the task of that name (R-REST-02)
            value = _decoded(sent)
            if value is None:
                return None
            values[name] = value
        return values


def _segments(path: str) -> tuple[Segment, ...]:
    found = []
    for text in path.strip("/").split("/"):
        if text.startswith("{"):
            name, _, fixed = text[1:].partition("}")
            found.append(Segment(fixed, name))
        else:
            found.append(Segment(text))
    return tuple(found)


def _decoded(segment: bytes) -> str | None:
    """A segment as text; None for an empty one, and for bytes that are no UTF-8."""
    try:
        return unquote_to_bytes(segment).decode("utf-8") or None
    except UnicodeDecodeError:
        return None


def _is_collection(segment: bytes) -> bool:
    return segment in _COLLECTIONS


_COLLECTIONS: Final = frozenset(
    operation.path.rpartition("/")[2].encode()
    for operation in OPERATIONS
    if not operation.path.endswith("}") and ":" not in operation.path
)

V1_ROUTES: Final = Routes((operation.path, (operation, V1)) for operation in OPERATIONS)
"""The routes of 1.0."""
ROUTES: Final = Routes([*((operation.path, (operation, V1)) for operation in OPERATIONS), *v03.ROUTES])
"""Every route there is."""
