"""The demo's tour: with a model that is told what to say, and with the real small one."""

import functools
import json
import os
import pty
import select
import shutil
import subprocess
import sys
from typing import Any

import pytest
from demo_process import ROOT, point_at, run_offline

import a2a_bridge.demo.tour
from a2a_bridge.chat.execution.bubblewrap import BubblewrapExecutor
from a2a_bridge.demo.main import main
from a2a_bridge.testing.fake_model import Call, Conversation, Said
from a2a_bridge.testing.fake_openai import FakeOpenAI

LOAN = json.dumps({"amount": 30000, "percent": 18, "months": 24})
pytestmark = [pytest.mark.timeout(120), pytest.mark.usefixtures("process_as_it_was")]


def able(asked: Conversation) -> Said:
    """Calls the tool that it has, writes code where it is told to, and else says a sentence."""
    if asked.tools and not asked.results:
        return Said(calls=(Call("instalment", LOAN),))
    if asked.results:
        return Said(text=f"It costs {asked.results[0]}.")
    if "You write Python" in asked.lines[0].text:
        return Said(text='```python\nopen("plan.csv", "w").write("1,2")\nprint(6 * 7)\n```')
    return Said(text="Trends come and go.")


def tour(
    fake: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[dict[str, Any]], str]:
    """A tour in this process: its exit code, the entries, and the notes."""
    point_at(fake, monkeypatch)
    code = main(["--tour", "--json"])
    out, notes = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], notes


def speakers(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["speaker"]["name"] for entry in entries if entry["kind"] == "said" and entry["turn"]]


def assert_nobody_was_asked_twice(entries: list[dict[str, Any]], notes: str) -> None:
    """Of the second room: its log has no gap and nothing twice, over the kill."""
    assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
    assert speakers(entries) == ["researcher", "planner", "critic"]
    assert entries[-1]["stop"]["kind"] == "max_round"
    assert "SIGKILL: the room's process is gone" in notes
    assert "Asked, over both processes: researcher 1, critic 1, planner 1." in notes


def test_the_tour_calls_a_tool_runs_code_asks_a_person_and_goes_on_after_a_kill(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Demanded by the issue; the lines are the logs of the two rooms."""
    with FakeOpenAI(able) as fake:
        code, entries, notes = tour(fake, monkeypatch, capsys)
    assert code == 0, notes
    began = next(number for number, entry in enumerate(entries) if number and entry["seq"] == 1)
    desk, kept = entries[:began], entries[began:]
    said = {entry["speaker"]["name"]: entry["text"] for entry in desk if entry["kind"] == "said"}
    assert said["clerk"] == "It costs 1497.72 rand a month."
    if os.environ.get("A2A_BRIDGE_NO_SANDBOX") != "1":
        assert "42" in said["runner"]
        assert "plan.csv" in said["runner"]
    assert [entry["text"] for entry in desk if entry["kind"] == "asked"] == ["Shall the trader get the loan?"]
    assert said["approver"] == "A person has decided: the loan is granted."
    assert "> yes  (prepared: nobody sits at a terminal)" in notes
    assert_nobody_was_asked_twice(kept, notes)


def test_without_a_sandbox_the_tour_says_so_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Demanded by the issue: a host without user namespaces is told so in a sentence."""
    broken = functools.partial(BubblewrapExecutor, bwrap=shutil.which("false"))
    monkeypatch.setattr(a2a_bridge.demo.tour, "BubblewrapExecutor", broken)
    with FakeOpenAI(able) as fake:
        code, entries, notes = tour(fake, monkeypatch, capsys)
    assert code == 0, notes
    assert "No code is run: the sandbox cannot be started here" in notes
    assert speakers(entries) == ["clerk", "approver", "researcher", "planner", "critic"]


def test_what_could_not_be_shown_is_said_and_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ours: a model that does nothing of what it is for, and an agent that falls silent where it should be cut off."""
    broken = functools.partial(BubblewrapExecutor, bwrap=shutil.which("false"))
    monkeypatch.setattr(a2a_bridge.demo.tour, "BubblewrapExecutor", broken)
    with FakeOpenAI(lambda asked: Said(text="" if "planner" in asked.lines[0].text else "No.")) as fake:
        code, _, notes = tour(fake, monkeypatch, capsys)
    assert code == 1
    assert "Not shown: a tool call; the model did not ask for one." in notes
    assert "Not shown: a kill in the middle of a turn; the room's process ended with code 0." in notes


def test_whoever_sits_at_the_terminal_is_asked_until_the_answer_is_clear() -> None:
    """Demanded by the issue: a person's answer, where there is a person."""
    ours, theirs = pty.openpty()
    with FakeOpenAI(able) as fake:
        told = {"OPENAI_BASE_URL": fake.base_url, "OPENAI_API_KEY": "key", "OPENAI_MODEL": "fake-model"}
        process = subprocess.Popen(
            [sys.executable, "-m", "a2a_bridge.demo", "--tour"],
            cwd=ROOT, env={**os.environ, **told}, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        )  # fmt: skip
        os.close(theirs)
        shown = ""
        try:
            for answer in ("perhaps\n", "no\n"):
                shown += read_until(ours, "\n> ")
                os.write(ours, answer.encode())
            shown += read_until(ours, "all processes are being ended.")
            assert process.wait(10) == 0, shown
        finally:
            process.kill()
            process.wait()
            os.close(ours)
    assert shown.count("approver: Shall the trader get the loan?") == 2
    assert "A person has decided: no loan." in shown
    assert "(prepared" not in shown


def read_until(terminal: int, wanted: str) -> str:
    """What a terminal shows up to these words; they must come within 60 s."""
    shown = ""
    while wanted not in shown:
        assert select.select([terminal], [], [], 60)[0], shown
        shown += os.read(terminal, 4096).decode(errors="replace").replace("\r\n", "\n")
    return shown


@pytest.mark.timeout(300)
def test_the_tour_with_the_real_small_model_and_no_network(capsys: pytest.CaptureFixture[str]) -> None:
    """Demanded by the issue: the embedded model will do."""
    entries, notes = run_offline(capsys, "--tour")
    began = next(number for number, entry in enumerate(entries) if number and entry["seq"] == 1)
    clerk = next(entry for entry in entries if entry["kind"] == "said" and entry["speaker"]["name"] == "clerk")
    assert clerk["text"].startswith("That is 1497.72 rand a month.")
    assert_nobody_was_asked_twice(entries[began:], notes)
