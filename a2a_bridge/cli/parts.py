"""The parts of a message from a command line: `--text`, `--file`, `--data`, in the order in which they were typed.

typer collects each option by itself and forgets what came between; `OrderedParts` is a command that reads the same
words once more and keeps their order. `--media-type` belongs to the part before it.
"""

import json
import mimetypes
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from typer.core import TyperCommand

from a2a_bridge.cli.fault import CommandError, Fault, usage
from a2a_bridge.protocol.objects import JSONValue, Part

_PART_OPTIONS = {"--text": "text", "--file": "file", "--data": "data", "--media-type": "media-type"}
_META = "a2a_bridge.parts"
_INLINE = ("{", "[", '"')


@dataclass(frozen=True, slots=True)
class Typed:
    """One word that makes a part, or says more about the one before: its kind and its value."""

    kind: str
    value: str


class OrderedParts(TyperCommand):
    """A command that remembers the order of its part options and of its positional text; see `typed_parts`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        given = list(args)
        rest = super().parse_args(ctx, args)
        takes_value = {
            option
            for parameter in self.params
            if not getattr(parameter, "is_flag", False)
            for option in parameter.opts
            if option.startswith("-")
        }
        ctx.meta[_META] = list(_scan(given, takes_value))
        return rest


def _scan(arguments: Sequence[str], takes_value: set[str]) -> Iterator[Typed]:
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if word == "--":
            yield from (Typed("text", text) for text in words)
        elif name in _PART_OPTIONS:
            yield Typed(_PART_OPTIONS[name], value if equals else next(words))
        elif word in takes_value:
            next(words)
        elif not word.startswith("-") or word == "-":
            yield Typed("text", word)


def typed_parts(ctx: Any) -> tuple[Part, ...]:
    """The parts that a command line under `OrderedParts` describes; CommandError if one cannot be made."""
    found: list[tuple[Typed, str | None]] = []
    for typed in ctx.meta.get(_META, ()):
        if typed.kind != "media-type":
            found.append((typed, None))
        elif not found or found[-1][1] is not None:
            raise usage(
                "--media-type has no part before it that lacks one",
                "write it after its part: --file report.bin --media-type application/pdf",
            )
        else:
            found[-1] = (found[-1][0], typed.value)
    if not found:
        raise usage("nothing to send: give a text, --text, --file or --data")
    if sum(typed == Typed("data", "-") for typed, _ in found) > 1:
        raise usage("standard input can be read once: --data - stands here twice")
    return tuple(_part(typed, media_type) for typed, media_type in found)


def _part(typed: Typed, media_type: str | None) -> Part:
    if typed.kind == "text":
        if not typed.value:
            raise usage("a text must not be empty")
        return Part(text=typed.value, **_media(media_type))
    if typed.kind == "data":
        return Part(data=_json(typed.value), **_media(media_type))
    return _file(typed.value, media_type)


def _media(media_type: str | None) -> dict[str, Any]:
    return {} if media_type is None else {"media_type": media_type}


def _file(where: str, media_type: str | None) -> Part:
    """A URL is sent as a URL, for the agent to fetch; a path is sent as bytes."""
    is_url = where.startswith(("http://", "https://"))
    name = Path(unquote(urlsplit(where).path) if is_url else where).name
    known = _media(media_type or mimetypes.guess_type(name)[0])
    if is_url:
        return Part(url=where, **known, **({"filename": name} if name else {}))
    try:
        return Part(raw=Path(where).read_bytes(), filename=name, **known)
    except OSError as error:
        raise usage(f"--file {where}: {error.strerror or error}") from error


def _json(where: str) -> JSONValue:
    """JSON from standard input (`-`), written out in place (it starts with {, [ or a quote), or from a file."""
    try:
        if where == "-":
            text, source = sys.stdin.read(), "standard input"
        elif where.lstrip().startswith(_INLINE):
            text, source = where, "--data"
        else:
            text, source = Path(where).read_text("utf-8"), where
    except OSError as error:
        raise usage(f"--data {where}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise usage(f"--data {where}: not UTF-8 text") from error
    return json_value(text, source)


def json_value(text: str, source: str) -> JSONValue:
    """A JSON value from the command line; `source` stands in the error."""

    def no_constant(name: str) -> JSONValue:
        raise ValueError(f"{name} is not JSON")

    try:
        found: JSONValue = json.loads(text, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise CommandError(Fault("A2ACLI_ERR_USAGE", f"{source}: not JSON: {error}")) from error
    return found
