"""The probe that holds somebody's server to the protocol: ours passes, what is broken is found."""

import asyncio
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.agent import Say
from a2a_bridge.bridge import Bridge, Limits
from a2a_bridge.check.case import Verdict
from a2a_bridge.check.run import CARD_CASES, CASES
from a2a_bridge.client.client import Wanted
from a2a_bridge.errors import CardError, ConnectionFailedError
from a2a_bridge.testing.server import running

from .conftest import Spoil, Spoiled, a_bridge, everywhere, findings_at, on_json

WAYS = {"JSONRPC 1.0", "HTTP+JSON 1.0", "JSONRPC 0.3", "HTTP+JSON 0.3"}


def test_the_cases_have_names_rules_and_words_of_their_own() -> None:
    """Ours: a report can be read, and a case be found again."""
    cases = [*CARD_CASES, *CASES]
    assert len(cases) >= 100
    names = Counter((case.name, case.binding, case.version) for case in cases)
    assert [name for name, count in names.items() if count > 1] == []
    assert all(case.rules and case.about and case.level in "MSD" for case in cases)


async def test_a_server_of_ours_passes_every_case_that_applies() -> None:
    """R-BIND-01, R-COMPAT-05: in both versions over both bindings, and nothing is left out for lack of time."""
    async with running(a_bridge) as url:
        findings = await findings_at(url)
    wrong = [(finding.where, finding.case.name, finding.why) for finding in findings if finding.verdict in BAD]
    assert wrong == []
    asked = Counter(finding.where for finding in findings if finding.verdict is Verdict.OK)
    assert asked.keys() == WAYS | {"CARD"}
    assert min(asked.values()) >= 10
    assert {f.case.name for f in findings if f.verdict is Verdict.NOT_APPLICABLE and f.where.endswith("1.0")} == {
        "streams-that-are-not-offered",
        "webhooks-that-are-not-offered",
        "extended-card-is-given",
        "extended-card-is-guarded",
        "required-extensions",
        "credentials-are-asked-for",
        "challenge",
    }


BAD = (Verdict.FAILED, Verdict.NOT_ASKED)


async def test_only_what_is_wanted_is_asked() -> None:
    """One binding, one version."""
    async with running(a_bridge) as url:
        findings = await findings_at(url, wanted=Wanted("JSONRPC", "0.3"))
    assert {finding.where for finding in findings} == {"CARD", "JSONRPC 0.3"}


async def test_an_agent_that_answers_without_tasks_is_asked_what_can_be_asked() -> None:
    """Direct messages: what needs a task does not apply."""

    async def direct(text: str) -> Any:
        yield Say(text, direct=True)

    async with running(lambda url: Bridge(direct, public_url=url)) as url:
        findings = await findings_at(url)
    assert [(finding.case.name, finding.why) for finding in findings if finding.verdict in BAD] == []
    skipped = {finding.why for finding in findings if finding.verdict is Verdict.NOT_APPLICABLE}
    assert "the agent answers with messages, not with tasks" in skipped


async def test_what_there_is_no_time_for_is_said() -> None:
    """Bounded: the rest is neither right nor wrong."""

    async def slow(text: str) -> str:
        await asyncio.Event().wait()
        return text

    async with running(lambda url: Bridge(slow, public_url=url, limits=Limits(grace=0.1))) as url, asyncio.timeout(20):
        findings = await findings_at(url, total=1.0, each=0.3)
    by_verdict = Counter(finding.verdict for finding in findings)
    assert by_verdict[Verdict.NOT_ASKED] > 10
    assert "no answer in time" in {finding.why for finding in findings if finding.verdict is Verdict.FAILED}


async def test_without_an_agent_there_is_nothing_to_ask() -> None:
    """The error that a client has; exit code 3."""
    with pytest.raises(ConnectionFailedError):
        await findings_at("http://127.0.0.1:9")
    async with running(a_bridge) as url:
        with pytest.raises(CardError, match="there is no agent card"):
            await findings_at(f"{url}/nowhere")


# --- what is broken is found


def renamed(old: str, new: str) -> Spoil:
    return on_json(lambda value: everywhere(value, lambda o: {new if k == old else k: v for k, v in o.items()}))


def put(name: str, member: str, value: Any) -> Spoil:
    """Sets a member of every object that has another one."""
    return on_json(lambda whole: everywhere(whole, lambda o: o | {member: value} if name in o else o))


def without(name: str, member: str) -> Spoil:
    return on_json(
        lambda whole: everywhere(whole, lambda o: {k: v for k, v in o.items() if k != member} if name in o else o)
    )


def headers_without(name: str) -> Spoil:
    return lambda status, headers, body: (status, {k: v for k, v in headers.items() if k != name}, body)


def status_of_errors(status: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
    return (400 if b'"jsonrpc"' in body and b'"error"' in body and status == 200 else status), headers, body


def no_last_event(status: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
    if headers.get("content-type", "").startswith("text/event-stream"):
        events = [event for event in body.replace(b"\r\n", b"\n").split(b"\n\n") if b"data:" in event]
        body = b"\n\n".join(events[:-1]) + b"\n\n" if len(events) > 1 else body
    return status, headers, body


def found_after_all(whole: Any) -> Any:
    """A task for whoever asks for one that does not exist."""
    task = {"id": "check-no-such-task", "contextId": "c", "status": {"state": "TASK_STATE_COMPLETED"}}
    error = whole.get("error") if isinstance(whole, dict) else None
    if isinstance(error, dict) and error.get("code") == -32001:
        return {"jsonrpc": "2.0", "id": whole["id"], "result": task}
    return whole


def as_a_string(whole: Any) -> Any:
    return {**whole, "id": str(whole["id"])} if isinstance(whole, dict) and "jsonrpc" in whole else whole


def leaking(whole: Any) -> Any:
    def leak(found: dict[str, Any]) -> dict[str, Any]:
        return found | {"message": 'Traceback, File "x.py"'} if "code" in found and "message" in found else found

    return everywhere(whole, leak)


def bare_errors(whole: Any) -> Any:
    return everywhere(whole, lambda o: {k: v for k, v in o.items() if k not in ("data", "details")})


def one_more_interface(whole: Any) -> Any:
    """On a binding that nobody speaks, without TLS."""
    entry = {"url": "http://elsewhere.example/x", "protocolBinding": "urn:x", "protocolVersion": "1.0"}
    if "supportedInterfaces" not in whole:
        return whole
    return {**whole, "supportedInterfaces": [*whole["supportedInterfaces"], entry]}


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        (on_json(one_more_interface), {"interfaces-use-tls"}),
        (headers_without("etag"), {"card-has-an-etag"}),
        (headers_without("cache-control"), {"card-says-how-long-it-lasts"}),
        (headers_without("access-control-allow-origin"), {"card-is-readable-in-browsers"}),
        (headers_without("allow"), {"wrong-verbs"}),
        (headers_without("a2a-extensions"), {"activated-extensions"}),
        (renamed("contextId", "context_id"), {"camel-case", "answers-have-a-context", "stream-context"}),
        (put("messageId", "metadata", None), {"no-nulls"}),
        (put("timestamp", "timestamp", "2026-01-01T00:00:00+00:00"), {"timestamps"}),
        (without("artifactId", "artifactId"), {"stream-artifacts"}),
        (without("tasks", "totalSize"), {"list-members"}),
        (without("skills", "skills"), {"card-is-complete"}),
        (put("protocolBinding", "protocolVersion", "1.0.0"), {"interfaces-name-their-version"}),
        (put("state", "state", "TASK_STATE_DONE"), {"sends-wait", "stream-end"}),
        (status_of_errors, {"errors-come-with-200"}),
        (no_last_event, {"stream-end", "old-stream-end"}),
        (on_json(found_after_all), {"gets-nobody", "cancels-nobody", "sends-to-nobody"}),
        (on_json(as_a_string), {"id-comes-back", "id-of-a-parse-error"}),
        (on_json(leaking), {"no-leaks"}),
        (on_json(bare_errors), {"error-info", "error-bodies", "violations"}),
        (put("kind", "kind", "thing"), {"old-kinds", "old-event-kinds"}),
        (without("final", "final"), {"old-stream-end"}),
    ],
)
async def test_what_a_server_gets_wrong_is_found(spoil: Spoil, found: set[str]) -> None:
    """R-SEC-01 and many others: ours, with one thing broken in what it answers; the probe goes on to its end."""
    async with running(lambda url: Spoiled(url, spoil)) as url:  # type: ignore[arg-type, return-value]
        findings = await findings_at(url)
    failed = {finding.case.name for finding in findings if finding.verdict is Verdict.FAILED}
    assert found <= failed, failed
    assert all(finding.why for finding in findings if finding.verdict is Verdict.FAILED)


# --- the command


async def run_command(url: str, *options: str) -> tuple[int, str, str]:
    """The command line, in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "a2a_bridge", "check", url, *options,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


async def test_the_command_exits_with_zero_when_nothing_is_wrong() -> None:
    """What is right is counted, and shown when asked for."""
    async with running(a_bridge) as url:
        code, out, err = await run_command(url, "--webhook", "http://127.0.0.1:9/hook", "--strict")
        assert (code, err) == (0, "")
        assert out.startswith("Cases: ")
        assert out.count("\n") == 1
        code, out, _ = await run_command(url, "--all", "--binding", "JSONRPC", "--protocol-version", "1.0")
        assert "ok must R-JRPC-05 JSONRPC 1.0 jsonrpc other than" in out
        assert "HTTP+JSON" not in out


@pytest.mark.parametrize(
    ("spoil", "options", "expected"),
    [
        (headers_without("etag"), (), 0),
        (headers_without("etag"), ("--strict",), 1),
        (without("tasks", "totalSize"), (), 1),
    ],
)
async def test_the_exit_code_says_whether_a_binding_rule_is_broken(
    spoil: Spoil, options: tuple[str, ...], expected: int
) -> None:
    """Exit code 1 for a must; with --strict for any."""
    async with running(lambda url: Spoiled(url, spoil)) as url:  # type: ignore[arg-type, return-value]
        code, out, _ = await run_command(url, *options)
        assert code == expected
        assert "failed " in out
        code, out, _ = await run_command(url, "-o", "json", *options)
    report = json.loads(out)
    assert code == expected
    assert report["counts"]["failed"] == len([case for case in report["cases"] if case["verdict"] == "failed"]) > 0
    assert {"case", "rules", "level", "about", "where", "verdict", "why"} == report["cases"][0].keys()


async def test_the_command_says_when_it_could_not_ask() -> None:
    """Exit codes 2, 3 and 5."""
    code, _, err = await run_command("http://127.0.0.1:9", "--timeout", "5s")
    assert code == 3
    assert "cannot connect" in err
    assert (await run_command("http://127.0.0.1:9", "--binding", "SOAP"))[0] == 2

    async def slow(text: str) -> str:
        await asyncio.Event().wait()
        return text

    async with running(lambda url: Bridge(slow, public_url=url, limits=Limits(grace=0.1))) as url:
        code, out, _ = await run_command(url, "--timeout", "1s")
    assert code == 5
    assert "not-asked" in out


async def test_a_server_that_says_yes_to_everything_passes_nothing_that_it_did_not_do() -> None:
    """A result where an error belongs is no error with HTTP 200."""

    def yes(status: int, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        if b"supportedInterfaces" in body:
            return status, headers, body
        answer = b'{"jsonrpc":"2.0","id":"check","result":{"id":"x","status":{"state":"TASK_STATE_COMPLETED"}}}'
        return 200, {"content-type": "application/json"}, answer

    async with running(lambda url: Spoiled(url, yes)) as url:
        findings = await findings_at(url, wanted=Wanted("JSONRPC", "1.0"))
    verdicts = {finding.case.name: finding.verdict for finding in findings if finding.where == "JSONRPC 1.0"}
    assert verdicts["errors-come-with-200"] is Verdict.FAILED
    assert verdicts["streams-need-an-id"] is Verdict.FAILED
    assert verdicts["no-leaks"] is Verdict.NOT_APPLICABLE
