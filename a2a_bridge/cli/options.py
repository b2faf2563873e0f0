"""Options that commands share, as dataclasses, and the decorator that lets a command take them.

typer reads the options of a command from the parameters of a function. `flat` spreads the fields of dataclass
parameters into such a signature, so that a command says once that it takes `AgentOptions`.
"""

import dataclasses
import functools
import inspect
import re
import shlex
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from a2a_bridge.cli import environment
from a2a_bridge.cli.fault import usage
from a2a_bridge.net import check_url

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|)")
_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}


class Output(StrEnum):
    """The two formats of standard output."""

    TEXT = "text"
    JSON = "json"


def seconds(text: str | float) -> float:
    """A duration such as 30, 1.5s, 500ms, 2m or 1h; a bare number is seconds."""
    if isinstance(text, float):  # a default, which typer converts like any other value
        return text
    match = _DURATION.fullmatch(text.strip())
    if match is None or not float(match.group(1)):
        raise typer.BadParameter(f"{text!r} is not a duration such as 30s, 500ms, 2m or 1h")
    return float(match.group(1)) * _SECONDS[match.group(2)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FetchOptions:
    """How to get at what an agent's server holds, and who is asking."""

    output: Annotated[
        Output,
        typer.Option("--output", "-o", envvar="A2ACLI_OUTPUT", help="Text, or the protocol's own JSON."),
    ] = Output.TEXT
    timeout: Annotated[
        float | None,
        typer.Option(
            parser=seconds, envvar="A2ACLI_TIMEOUT", metavar="DURATION", help="Give up after this long (exit code 5)."
        ),
    ] = None
    bearer: Annotated[
        str | None,
        typer.Option(
            envvar="A2ACLI_BEARER", metavar="TOKEN", show_default=False,
            help="Bearer token. On a command line other users of this machine can see it: prefer the variable.",
        ),
    ] = None  # fmt: skip
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="A2ACLI_API_KEY", metavar="KEY", show_default=False,
            help="API key, sent as the card says. As with --bearer: prefer the variable.",
        ),
    ] = None  # fmt: skip
    basic: Annotated[
        str | None,
        typer.Option(
            envvar="A2ACLI_BASIC", metavar="USER:PASSWORD", show_default=False,
            help="User and password. As with --bearer: prefer the variable.",
        ),
    ] = None  # fmt: skip
    client_id: Annotated[
        str | None,
        typer.Option(envvar="A2ACLI_CLIENT_ID", metavar="ID", help="OAuth 2 client that gets its own token."),
    ] = None
    client_secret: Annotated[
        str | None,
        typer.Option(
            envvar="A2ACLI_CLIENT_SECRET", metavar="SECRET", show_default=False,
            help="Its secret. As with --bearer: prefer the variable.",
        ),
    ] = None  # fmt: skip
    token_url: Annotated[
        str | None,
        typer.Option(
            envvar="A2ACLI_TOKEN_URL", metavar="URL", help="Where it gets the token, if not where the card says."
        ),
    ] = None
    scope: Annotated[
        str | None,
        typer.Option(envvar="A2ACLI_SCOPE", metavar="SCOPES", help="What it asks for, if not what the card says."),
    ] = None
    header: Annotated[
        list[str] | None,
        typer.Option(
            metavar="'NAME: VALUE'", show_default=False,
            help="Send this header too; may be repeated. As with --bearer; in A2ACLI_HEADER one a line.",
        ),
    ] = None  # fmt: skip
    cert: Annotated[
        str | None, typer.Option(envvar="A2ACLI_CERT", metavar="FILE", help="Client certificate, PEM (mutual TLS).")
    ] = None
    ca: Annotated[
        str | None, typer.Option(envvar="A2ACLI_CA", metavar="FILE", help="Certificate authorities to trust as well.")
    ] = None
    config: Annotated[
        Path | None,
        typer.Option(
            is_eager=True, callback=environment.apply, metavar="FILE",
            help="Read defaults from this file of A2ACLI_KEY=value lines, instead of the nearest .env.",
        ),
    ] = None  # fmt: skip

    @property
    def as_json(self) -> bool:
        """JSON was asked for."""
        return self.output is Output.JSON

    @property
    def certificate_key(self) -> str | None:
        """The file of the client certificate's key, if it has one of its own."""
        return None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReadOptions(FetchOptions):
    """The same for commands whose own `--key` is none."""

    key: Annotated[
        str | None, typer.Option(envvar="A2ACLI_KEY", metavar="FILE", help="Its key, if that is not in the same file.")
    ] = None

    @property
    def certificate_key(self) -> str | None:
        """See `FetchOptions`."""
        return self.key


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TalkOptions(ReadOptions):
    """How to talk to an agent."""

    binding: Annotated[
        str | None,
        typer.Option(envvar="A2ACLI_BINDING", metavar="NAME", help="Speak JSONRPC or HTTP+JSON, and nothing else."),
    ] = None
    protocol_version: Annotated[
        str | None,
        typer.Option(envvar="A2ACLI_PROTOCOL_VERSION", metavar="VERSION", help="Speak 1.0 or 0.3, and nothing else."),
    ] = None
    allow_other_origin: Annotated[
        bool,
        typer.Option(
            "--allow-other-origin", envvar="A2ACLI_ALLOW_OTHER_ORIGIN",
            help="Follow a card that points to another host than its own.",
        ),
    ] = False  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AgentOptions(TalkOptions):
    """Which agent, and how to talk to it."""

    agent_card: Annotated[
        str,
        typer.Option(
            "--agent-card", "-a", envvar="A2ACLI_AGENT_CARD", metavar="REF",
            help="The agent: a host, a URL, or the URL of its card.",
        ),
    ]  # fmt: skip

    extension: Annotated[
        list[str] | None,
        typer.Option(envvar="A2ACLI_EXTENSION", metavar="URI", help="Activate this extension; may be repeated."),
    ] = None

    @property
    def reference(self) -> str:
        """The agent as it may be pasted into another command line."""
        return shlex.quote(self.agent_card)


Stream = Annotated[bool, typer.Option("--stream", help="Show events as they happen; with -o json one JSON a line.")]


def agent_url(reference: str) -> str:
    """The URL of an agent, or of its card, for a reference: a URL as it is, a host with a scheme before it.

    A host that is this machine is asked with http, any other with https.
    """
    url = reference if reference.startswith(("http://", "https://")) else _with_scheme(reference)
    try:
        check_url(url)
    except ValueError as error:
        raise usage(str(error)) from None
    return url


def _with_scheme(reference: str) -> str:
    if "://" in reference:
        raise usage(f"{reference}: an agent is reached by http:// or https://")
    host = reference.partition("/")[0]
    name = host.partition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
    is_here = name == "localhost" or name.startswith("127.") or name == "::1"
    return f"{'http' if is_here else 'https'}://{reference}"


def local_card(reference: str) -> Path | None:
    """The file that a reference means, if it means one: `file://...`, or a path that exists or looks like one."""
    if reference.startswith("file://"):
        return Path(reference.removeprefix("file://"))
    if "://" in reference:
        return None
    path = Path(reference)
    looks_like_one = reference.startswith(("./", "../", "/", "~")) or (
        reference.endswith(".json") and "/.well-known/" not in reference
    )
    return path.expanduser() if looks_like_one or path.is_file() else None


def flat(function: Callable[..., None]) -> Callable[..., None]:
    """The command with the fields of its dataclass parameters as parameters of its own."""
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}
    plain = inspect.signature(function).parameters
    spread = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is dataclasses.MISSING else field.default,
            annotation=get_type_hints(group, include_extras=True)[field.name],
        )
        for group in groups.values()
        for field in sorted(dataclasses.fields(group), key=lambda field: field.default is not dataclasses.MISSING)
    ]
    own = [
        parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY)
        for name, parameter in plain.items()
        if name not in groups
    ]

    @functools.wraps(function)
    def command(**given: Any) -> None:
        made = {
            name: group(**{field.name: given.pop(field.name) for field in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        function(**given, **made)

    command.__signature__ = inspect.Signature([*own, *spread])  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in [*own, *spread]}
    return command
