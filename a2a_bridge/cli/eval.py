"""`a2a-bridge eval CASES --target URL`: hold an agent to a file of cases.

It exits with 0 when all cases pass (with --min-score, when their mean reaches it), with 1 when not, with 2 when the
cases cannot be read or need somebody who is not there, and with 3 when the target is not reached at the start.
"""

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from a2a_bridge.chat import failure
from a2a_bridge.chat.seat import SILENCE
from a2a_bridge.cli import fault
from a2a_bridge.cli.credentials import credentials_of, headers_of, identifies, wanted_by
from a2a_bridge.cli.options import TalkOptions, agent_url, flat
from a2a_bridge.cli.output import emit, emit_json, note, safe
from a2a_bridge.cli.target import load_target
from a2a_bridge.client.client import Client, Trust
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.errors import BridgeError, ConfigError
from a2a_bridge.evaluation.cases import Case, CaseError, read_cases
from a2a_bridge.evaluation.report import Report, row
from a2a_bridge.evaluation.run import TARGET, Evaluation
from a2a_bridge.evaluation.scored import Results, Scored

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
    repeat: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="Run each case so many times.")] = 1,
    results: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write each result to this file, and do not ask again what it holds."),
    ] = None,
) -> None:
    """Talk to an agent, case by case, and score what it says; a report for people, or with -o json for programs.

    --timeout is how long the target or the judge may be silent. Credentials are for the target. --results is a file of
    JSON Lines, one run of a case a line, as they come; the same command goes on after it was cut off.
    """
    try:
        found = read_cases(cases)
        evaluation = Evaluation(
            target=RemoteAgent(_client(target, talk), name=TARGET),
            judge=_somebody(judge),
            asker=_somebody(asker),
            parallel=parallel,
            repeat=repeat,
            timeout=talk.timeout or SILENCE,
        )
        evaluation.check(found)
        kept = None if results is None else Results(results, target)
    except (CaseError, ConfigError, ValueError) as error:
        raise fault.usage(str(error), "a2a-bridge eval --help") from None
    except BridgeError as error:
        fault.say(fault.fault_of(error, agent=target, authenticated=False), as_json=talk.as_json)
        raise typer.Exit(1) from None
    report = Report(target, _scored(evaluation, found, kept, talk))
    if talk.as_json:
        emit_json(report.to_json())
    else:
        emit("\n" + safe(report.sums()))
    if not report.is_good(min_score):
        raise typer.Exit(1)


def _client(target: str, talk: TalkOptions) -> Client:
    return Client(
        agent_url(target),
        auth=credentials_of(talk),
        headers=headers_of(talk),
        interface=wanted_by(talk),
        trust=Trust(allow_other_origin=talk.allow_other_origin),
    )


def _scored(evaluation: Evaluation, cases: list[Case], kept: Results | None, talk: TalkOptions) -> list[Scored]:
    """Run them all, once the target has shown its card; or end the command with what is in the way."""
    fresh: list[Scored] = []

    def show(one: Scored) -> None:
        fresh.append(one)
        if not talk.as_json:
            emit(safe("\n".join(row(one))) + "\n")

    async def work() -> list[Scored]:
        await evaluation.target.describe()
        return await evaluation.evaluate(cases, done=show, results=kept)

    try:
        with _quiet():
            return asyncio.run(work())
    except BridgeError as error:
        told = fault.fault_of(error, agent=evaluation.target.url, authenticated=identifies(talk))
        fault.say(told, as_json=talk.as_json)
        raise typer.Exit(told.exit_code) from None
    except KeyboardInterrupt:
        go_on = "what is scored is lost: --results FILE keeps it" if kept is None else "the same command goes on"
        note(f"Interrupted: {len(fresh)} of {len(cases) * evaluation.repeat} runs were scored; {go_on}")
        raise typer.Exit(fault.INTERRUPTED) from None


@contextmanager
def _quiet() -> Iterator[None]:
    """A failure that is one line is told with its case; a traceback of somebody's own code stays in the log."""
    log = logging.getLogger(failure.__name__)

    def has_traceback(record: logging.LogRecord) -> bool:
        return bool(record.exc_info)

    log.addFilter(has_traceback)
    try:
        yield
    finally:
        log.removeFilter(has_traceback)


def _somebody(named: str | None) -> Any:
    """An agent by its URL, or whatever MODULE:ATTRIBUTE names."""
    if named is None or "://" in named:
        return named
    return load_target(named)
