"""`a2a-bridge card`: agent cards."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from a2a_bridge.cards.build import card_json
from a2a_bridge.cards.load import card_from_json
from a2a_bridge.cli.fault import CARD_NOT_FOUND, CommandError, Fault
from a2a_bridge.cli.options import AgentOptions, flat, local_card
from a2a_bridge.cli.output import card_text, emit, emit_json
from a2a_bridge.cli.session import Session
from a2a_bridge.client.client import Client
from a2a_bridge.errors import CardError
from a2a_bridge.protocol.card import AgentCard

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True)


@app.callback()
def cards() -> None:
    """Agent cards."""


@app.command("get")
@flat
def get(
    agent: AgentOptions,
    validate: Annotated[
        bool, typer.Option("--validate", envvar="A2ACLI_VALIDATE", help="Hold the card to the specification.")
    ] = False,
) -> None:
    """Fetch an agent's card, or read one from a file, and show it."""
    path = local_card(agent.agent_card)
    if path is not None:
        _show(_read(path, strict=validate), agent)
        return
    session = Session(replace(agent, allow_other_origin=True))  # the card is shown; nobody is sent anywhere

    async def work(client: Client) -> None:
        card = await client.card()
        if validate:
            card_from_json(card_json(card), source=agent.agent_card)
        _show(card, agent)

    session.run(work)


def _show(card: AgentCard, agent: AgentOptions) -> None:
    if agent.as_json:
        emit_json(card_json(card))
    else:
        emit(card_text(card))


def _read(path: Path, *, strict: bool) -> AgentCard:
    try:
        body = path.read_bytes()
    except OSError as error:
        raise CommandError(Fault(CARD_NOT_FOUND, f"{path}: {error.strerror or error}")) from error
    try:
        return card_from_json(body, source=str(path))
    except CardError:
        if strict:
            raise
        return card_from_json(body, lenient=True, source=str(path))
