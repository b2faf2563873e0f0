"""`a2a-bridge eval CASES --target URL`: hold an agent to a file of cases.

It exits with 0 when all cases pass (with --min-score, when their mean reaches it), with 1 when not, and with 2 when the
cases cannot be read or need somebody who is not there.
"""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer

from a2a_bridge.chat.seat import SILENCE
from a2a_bridge.cli import fault
from a2a_bridge.cli.credentials import credentials_of, headers_of
from a2a_bridge.cli.options import TalkOptions, agent_url, flat
from a2a_bridge.cli.output import emit, emit_json, safe
from a2a_bridge.cli.target import load_target
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.errors import BridgeError, ConfigError
from a2a_bridge.evaluation.cases import CaseError, read_cases
from a2a_bridge.evaluation.report import Report, row
from a2a_bridge.evaluation.run import TARGET, Evaluation, Scored

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command("eval")
@flat
def evaluate(
    cases: Annotated[Path, typer.Argument(metavar="CASES", help="A file of cases, one JSON object a line.")],
    talk: TalkOptions,
    target: Annotated[str, typer.Option(metavar="URL", help="The agent: a host, a URL, or the URL of its card.")],
    judge: Annotated[
        str | None,
        typer.Option(metavar="AGENT", help="Who scores rubrics: MODULE:ATTRIBUTE (an agent or a model), or a URL."),
    ] = None,
    asker: Annotated[
        str | None, typer.Option(metavar="AGENT", help="Who goes on by the goal of a case; likewise.")
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(metavar="SCORE", min=0, max=1, help="The mean that is good enough, from 0 to 1.")
    ] = None,
    parallel: Annotated[int, typer.Option(metavar="N", min=1, max=64, help="So many cases at once.")] = 4,
) -> None:
    """Talk to an agent, case by case, and score what it says; a report for people, or with -o json for programs.

    --timeout is how long the target or the judge may be silent. Credentials are for the target.
    """
    try:
        found = read_cases(cases)
        evaluation = Evaluation(
            target=RemoteAgent(agent_url(target), name=TARGET, auth=credentials_of(talk), headers=headers_of(talk)),
            judge=_somebody(judge),
            asker=_somebody(asker),
            parallel=parallel,
            timeout=talk.timeout or SILENCE,
        )
        evaluation.check(found)
    except (CaseError, ConfigError, ValueError) as error:
        raise fault.usage(str(error), "a2a-bridge eval --help") from None
    except BridgeError as error:
        fault.say(fault.fault_of(error, agent=target, authenticated=False), as_json=talk.as_json)
        raise typer.Exit(1) from None
    report = Report(target, asyncio.run(evaluation.evaluate(found, done=None if talk.as_json else _show)))
    if talk.as_json:
        emit_json(report.to_json())
    else:
        emit("\n" + safe(report.page().splitlines()[-1]) + "\n")
    if not report.is_good(min_score):
        raise typer.Exit(1)


def _show(one: Scored) -> None:
    emit(safe("\n".join(row(one))) + "\n")


def _somebody(named: str | None) -> Any:
    """An agent by its URL, or whatever MODULE:ATTRIBUTE names."""
    if named is None or "://" in named:
        return named
    return load_target(named)
