"""`a2a-bridge check URL`: hold somebody's server to the protocol, from outside.

It exits with 0 when no rule that binds is broken, with 1 when one is (with --strict, when any is), 2 for wrong use, 3
when there is no agent to ask, 4 when it wants other credentials, and 5 when there was no time left for all questions.
"""

import asyncio
from collections import Counter
from contextlib import aclosing
from typing import Annotated

import typer

from a2a_bridge.check.case import MUST, Verdict
from a2a_bridge.check.run import TEXT, WEBHOOK, Finding, Probe, check_agent
from a2a_bridge.cli import fault
from a2a_bridge.cli.credentials import credentials_of, headers_of, identifies, wanted_by
from a2a_bridge.cli.options import TalkOptions, agent_url, flat
from a2a_bridge.cli.output import emit, emit_json, field, safe
from a2a_bridge.errors import BridgeError
from a2a_bridge.protocol.objects import JSONValue

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

_TOTAL = 120.0
_LEVELS = {"M": "must", "S": "should", "D": "advice"}


@app.command("check")
@flat
def check(
    url: Annotated[str, typer.Argument(metavar="URL", help="The agent: a host, a URL, or the URL of its card.")],
    talk: TalkOptions,
    text: Annotated[
        str, typer.Option(metavar="TEXT", help="What is said to the agent, three times per interface.")
    ] = TEXT,
    webhook: Annotated[
        str, typer.Option(metavar="URL", help="A webhook that the server accepts; nothing is sent there.")
    ] = WEBHOOK,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for advice that is not followed, too.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show what is right and what does not apply, too.")] = False,
) -> None:
    """Ask an agent's server about a hundred questions, in every version and binding of its card; at most 120 s."""
    probe = Probe(
        agent_url(url),
        auth=credentials_of(talk),
        headers=headers_of(talk),
        wanted=wanted_by(talk),
        allow_other_origin=talk.allow_other_origin,
        text=text,
        webhook=webhook,
        total=talk.timeout or _TOTAL,
    )
    try:
        findings = asyncio.run(_findings(probe, show=not talk.as_json, everything=everything))
    except BridgeError as error:
        found = fault.fault_of(error, agent=url, authenticated=identifies(talk))
        fault.say(found, as_json=talk.as_json)
        raise typer.Exit(3 if found.exit_code == 1 else found.exit_code) from None
    counts = Counter(finding.verdict for finding in findings)
    if talk.as_json:
        emit_json(_report(url, findings, counts))
    else:
        emit(field("Cases", ", ".join(f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict])))
    if counts[Verdict.NOT_ASKED]:
        raise typer.Exit(fault.EXIT_CODES[fault.TIMEOUT])
    if any(finding.verdict is Verdict.FAILED and (strict or finding.case.level == MUST) for finding in findings):
        raise typer.Exit(1)


async def _findings(probe: Probe, *, show: bool, everything: bool) -> list[Finding]:
    findings = []
    async with aclosing(check_agent(probe)) as asked:
        async for finding in asked:
            findings.append(finding)
            if show and (everything or finding.verdict is Verdict.FAILED):
                emit(_line(finding))
    return findings


def _line(finding: Finding) -> str:
    case = finding.case
    why = f": {finding.why}" if finding.why else ""
    said = f"{finding.verdict.value} {_LEVELS[case.level]} {' '.join(case.rules)} {finding.where} {case.about}{why}"
    return safe(said.replace("\n", " ")) + "\n"


def _report(url: str, findings: list[Finding], counts: Counter[Verdict]) -> dict[str, JSONValue]:
    return {
        "agent": url,
        "counts": {verdict.value: counts[verdict] for verdict in Verdict},
        "cases": [
            {
                "case": finding.case.name,
                "rules": list(finding.case.rules),
                "level": _LEVELS[finding.case.level],
                "about": finding.case.about,
                "where": finding.where,
                "verdict": finding.verdict.value,
                "why": finding.why,
            }
            for finding in findings
        ],
    }
