"""`a2a-bridge auth ...`: keys for callers of a server."""

import secrets
from dataclasses import dataclass
from typing import Annotated

import typer

from a2a_bridge.cli.options import flat
from a2a_bridge.cli.output import emit, note
from a2a_bridge.server.identity import digest_of

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """Whose key it is to be."""

    principal: Annotated[str, typer.Argument(metavar="NAME", help="Whom the key is for: owner of what it makes.")]


@app.callback()
def auth() -> None:
    """Keys for callers of a server."""


@app.command("key")
@flat
def key(options: KeyOptions) -> None:
    """Make an API key. The key goes to standard output; what the server's file needs, its digest, to standard error."""
    made = secrets.token_urlsafe(32)
    emit(f"{made}\n")
    note(f'For a2a-bridge.toml: {{ principal = "{options.principal}", digest = "{digest_of(made)}" }}')
