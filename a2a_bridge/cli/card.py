"""`a2a-bridge card`: agent cards.

`get` is a client command and exits as those do. The commands that judge cards exit with 0 when there is nothing to
say against them, with 1 when there is, with 2 for wrong use and 3 when a card cannot be had.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from a2a_bridge.cards.build import card_json
from a2a_bridge.cards.canonical import JSONObject, strict_json
from a2a_bridge.cards.diff import CHANGES, Change, compare
from a2a_bridge.cards.findings import Finding
from a2a_bridge.cards.lint import lint_text
from a2a_bridge.cards.load import card_from_json
from a2a_bridge.cards.sign import ALGORITHMS, TrustedKeys, load_signing_key, sign_card, verify_card
from a2a_bridge.cli.card_text import CardText, read_card, served_findings
from a2a_bridge.cli.fault import CARD_INVALID, CARD_NOT_FOUND, CommandError, Fault, usage
from a2a_bridge.cli.options import AgentOptions, FetchOptions, ReadOptions, flat, local_card
from a2a_bridge.cli.output import card_text, emit, emit_json, field, note, safe
from a2a_bridge.cli.session import Session
from a2a_bridge.client.client import Client
from a2a_bridge.errors import CardError
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.objects import JSONValue

Reference = Annotated[str, typer.Argument(metavar="CARD", help="A file, - for standard input, a host or a URL.")]

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
    return _parsed(body, str(path), strict=strict)


def _parsed(body: bytes, name: str, *, strict: bool) -> AgentCard:
    """A card of ours, which may leave its interfaces to the server, else one of somebody's."""
    try:
        return card_from_json(body, source=name)
    except CardError:
        if strict:
            raise
        return card_from_json(body, lenient=True, source=name)


@app.command("lint")
@flat
def lint_cards(
    cards: Annotated[list[str], typer.Argument(metavar="CARD...", help="Files, - for standard input, hosts or URLs.")],
    fetching: ReadOptions,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
) -> None:
    """Hold cards to the specification, versions 1.0 and 0.3: coded findings, each with its place and a hint."""
    judged = [_judged(read_card(card, fetching)) for card in cards]
    if fetching.as_json:
        emit_json([_report(*each) for each in judged])
    else:
        emit("".join(_report_text(*each) for each in judged))
    grave = {"error", "warning"} if strict else {"error"}
    if any(finding.severity in grave for _, _, findings in judged for finding in findings):
        raise typer.Exit(1)


Judged = tuple[str, str, list[Finding]]


def _judged(card: CardText) -> Judged:
    shape, findings = lint_text(card.body, served=card.url is not None)
    if shape != "unknown":
        findings = [*findings, *served_findings(card, strict_json(card.body.removeprefix(b"\xef\xbb\xbf"), card.name))]
    return card.name, shape, findings


def _count(findings: Sequence[Finding], severity: str) -> int:
    return sum(finding.severity == severity for finding in findings)


def _report(name: str, shape: str, findings: Sequence[Finding]) -> dict[str, JSONValue]:
    return {
        "card": name,
        "version": shape,
        "errors": _count(findings, "error"),
        "warnings": _count(findings, "warning"),
        "findings": [finding.as_json() for finding in findings],
    }


def _report_text(name: str, shape: str, findings: Sequence[Finding]) -> str:
    text = field("Card", f"{name} ({shape})")
    for finding in findings:
        where = f" {finding.field}:" if finding.field else ""
        text += safe(f"{finding.code} {finding.severity}{where} {finding.message}".replace("\n", " ")) + "\n"
        text += safe(f"    {finding.hint}") + "\n" if finding.hint else ""
    counted = (f"{n} {kind}{'' if n == 1 else 's'}" for kind in ("error", "warning") for n in [_count(findings, kind)])
    return text + field("Found", ", ".join(counted))


@app.command("sign")
def sign(
    card: Reference,
    key: Annotated[str, typer.Option(metavar="FILE", help="Private key: PEM, or a JWK.")],
    key_id: Annotated[
        str | None, typer.Option("--kid", metavar="ID", help="Default: the JWK's kid, or the key's thumbprint.")
    ] = None,
    algorithm: Annotated[str | None, typer.Option("--alg", help="Default: the usual one of the key.")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write here, not to standard output.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Sign it whatever `card lint` finds.")] = False,
) -> None:
    """Add a signature to a card, and write the card; signatures that it has stay.

    A card in which `card lint` finds an error is not signed: what is vouched for should be right.
    """
    text = read_card(card, FetchOptions())
    if not force:
        _refuse_errors(text)
    signed = sign_card(strict_json(text.body, text.name), [load_signing_key(key, key_id=key_id, algorithm=algorithm)])
    if out is None:
        emit_json(signed)
        return
    out.write_text(_pretty(signed), "utf-8")
    note(f"signed: {out}")


def _refuse_errors(text: CardText) -> None:
    name, shape, findings = _judged(text)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        note(_report_text(name, shape, errors).rstrip("\n"))
        raise CommandError(
            Fault(CARD_INVALID, f"{name} was not signed", "mend it, or sign it as it is with --force"),
        )


@app.command("verify")
@flat
def verify(
    card: Reference,
    fetching: FetchOptions,
    keys: Annotated[
        list[str] | None, typer.Option("--key", metavar="FILE", help="Public key: PEM or JWK; may be repeated.")
    ] = None,
    sets: Annotated[list[str] | None, typer.Option("--jwks", metavar="FILE", help="JWK set; may be repeated.")] = None,
    algorithms: Annotated[
        list[str] | None, typer.Option("--alg", help="Accept these algorithms only; may be repeated.")
    ] = None,
) -> None:
    """Check a card's signature with keys that you have; exit with 1 when none of its signatures can be trusted.

    Keys are never fetched: a card cannot name the key that vouches for it.
    """
    sources = [*(keys or ()), *(sets or ())]
    if not sources:
        raise usage("name the keys that you trust: --key FILE or --jwks FILE")
    trusted = TrustedKeys(*sources, algorithms=algorithms or ALGORITHMS)
    text = read_card(card, fetching)
    found = verify_card(text.body, trusted, source=text.name)
    if fetching.as_json:
        emit_json({"verified": True, "keyId": found.key_id, "algorithm": found.algorithm, "card": found.body})
        return
    emit(field("Verified", "yes") + field("Key", found.key_id or "(unnamed)") + field("Algorithm", found.algorithm))


@app.command("diff")
@flat
def diff(
    before: Annotated[str, typer.Argument(metavar="BEFORE", help="A file, a host or a URL.")],
    after: Annotated[str, typer.Argument(metavar="AFTER", help="Likewise.")],
    fetching: ReadOptions,
) -> None:
    """Compare two cards of an agent; exit with 1 when a client of the first may fail with the second."""
    texts = [read_card(reference, fetching) for reference in (before, after)]
    old, new = (_parsed(text.body, text.name, strict=False) for text in texts)
    changes = compare(old, new)
    breaking = sum(change.is_breaking for change in changes)
    if fetching.as_json:
        emit_json({"breaking": breaking, "changes": [change.as_json() for change in changes]})
    else:
        emit("".join(map(_change_text, changes)) + field("Found", f"{breaking} breaking, {len(changes)} in all"))
    if breaking:
        raise typer.Exit(1)


def _change_text(change: Change) -> str:
    kind = "breaking" if change.is_breaking else "compatible"
    text = f"{change.code} {kind} {change.field}: {CHANGES[change.code]}\n"
    if change.before is not None:
        text += f"  - {change.before}\n"
    if change.after is not None:
        text += f"  + {change.after}\n"
    return safe(text)


def _pretty(card: JSONObject) -> str:
    return json.dumps(card, ensure_ascii=False, indent=2) + "\n"
