"""`a2a-bridge audit ...`: what happened in a group chat, for an auditor.

`verify` exits with 0 when all lines are as they were written, with 1 when not.
"""

import asyncio
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from a2a_bridge.chat.audit import redact as redacted
from a2a_bridge.chat.audit import verify as verified
from a2a_bridge.chat.exported import findings
from a2a_bridge.cli.options import Output, flat
from a2a_bridge.cli.output import emit, emit_json, field
from a2a_bridge.cli.room import KeptOptions

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

File = Annotated[Path, typer.Argument(metavar="FILE", help="An audit, or an exported room; - is standard input.")]


@app.callback()
def audit() -> None:
    """Audits of group chats: export, verify, redact."""


@app.command("export")
@flat
def export(options: KeptOptions) -> None:
    """What happened in a conversation, line by line, chained by digests."""

    async def written() -> None:
        async for line in options.manager().audit(options.room_id):
            emit(f"{line}\n")

    asyncio.run(written())


@app.command("verify")
def verify(
    file: File,
    digest: Annotated[
        str | None, typer.Option(metavar="HEX", help="What the last line's digest must be: it was kept elsewhere.")
    ] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", envvar="A2ACLI_OUTPUT", help="Text, or one JSON document.")
    ] = Output.TEXT,
) -> None:
    """Find lines that were changed, are missing, doubled or in another place; says which."""
    lines = _lines(file)
    redactions, last = 0, ""
    if lines and lines[0].startswith('{"kind":"room"'):
        wrong = findings(lines)
        last = lines[-1].rpartition('"digest":"')[2].rstrip('"}')
    else:
        found = verified(lines)
        wrong = [(one.line, one.told) for one in found.findings]
        redactions, last = found.redacted, found.digest
    if digest is not None and digest != last:
        wrong.append((len(lines), f"has the digest {last}, which is not the one that was kept"))
    if output is Output.JSON:
        told: Any = [{"line": number, "told": text} for number, text in wrong]
        emit_json({"whole": not wrong, "lines": len(lines), "redacted": redactions, "digest": last, "findings": told})
    else:
        emit(field("Whole", "no" if wrong else "yes") + field("Lines", str(len(lines))))
        emit(field("Redacted", str(redactions)) + field("Digest", last))
        emit("".join(field("Line", f"{number} {text}") for number, text in wrong))
    if wrong:
        raise typer.Exit(1)


@app.command("redact")
def redact(
    file: File,
    reason: Annotated[str, typer.Option(help="Why; it stays in the audit.")],
    entry: Annotated[list[int], typer.Option(metavar="N", help="Number of an entry whose content is taken out.")],
    fields: Annotated[
        list[str] | None, typer.Option("--field", metavar="NAME", help="Only this field, such as text.  [default: all]")
    ] = None,
) -> None:
    """Take content out; the chain stays valid. The new audit goes to standard output."""
    for line in redacted(_lines(file), lambda one: one.get("seq") in entry, reason, fields):
        emit(f"{line}\n")


def _lines(file: Path) -> list[str]:
    text = sys.stdin.read() if str(file) == "-" else file.read_bytes().decode("utf-8", "replace")
    return text.removesuffix("\n").split("\n")
