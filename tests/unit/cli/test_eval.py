"""`a2a-bridge eval`: cases from a file, a served target, a judge of the caller's own, exit codes for CI."""

import json
import signal
import subprocess
import sys
from typing import Any

from .conftest import environment

JUDGE = """
from a2a_bridge.testing.model import ScriptedModel

kind = ScriptedModel(lambda messages: '{"scores": [0.6], "because": "a bit short"}')
"""


def test_cases_that_pass_and_cases_that_fail(served, run, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Issue 4, part 11: a page in the terminal, and an exit code for CI."""
    (tmp_path / "judges.py").write_text(JUDGE)
    (tmp_path / "cases.jsonl").write_text(
        '{"id": "echo", "input": "hello", "contains": "hello", "rubric": "says it again"}\n'
        '{"id": "other", "input": "hello", "contains": "goodbye"}\n'
    )
    words = ("eval", "cases.jsonl", "--target", served.agent("echo"), "--judge", "judges:kind")
    done = run(*words)
    assert done.code == 1
    assert "passed  echo" in done.out
    assert "failed  other" in done.out
    assert "        not true: contains 'goodbye'" in done.out
    assert "Score 0.30: 1 passed, 1 failed, 0 could not be scored" in done.out
    assert run(*words, "--min-score", "0.3").code == 0
    assert run(*words, "--min-score", "0.31").code == 1
    told: Any = json.loads(run(*words, "-o", "json").out)
    assert [one["id"] for one in told["results"]] == ["echo", "other"]
    assert told["results"][0]["criteria"] == {"says it again": 0.6}


def test_what_cannot_be_evaluated_is_wrong_use(served, run, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Ours: 2 for a file that is wrong or a judge that is missing; 3 for an agent that is not there, which is no
    verdict on it, and 4 for one that does not let us in."""
    (tmp_path / "cases.jsonl").write_text('{"input": "hello", "rubric": "kind"}\n')
    done = run("eval", "cases.jsonl", "--target", served.agent("echo"))
    assert (done.code, "there is no judge" in done.err) == (2, True)
    assert run("eval", "none.jsonl", "--target", served.agent("echo")).code == 2
    assert run("eval", "cases.jsonl", "--target", served.agent("echo"), "--judge", "nobody:here").code == 2
    (tmp_path / "cases.jsonl").write_text('{"input": "hello"}\n')
    done = run("eval", "cases.jsonl", "--target", "http://127.0.0.1:9/")
    assert (done.code, done.out, "cannot connect" in done.err) == (3, "", True)
    done = run("eval", "cases.jsonl", "--target", served.agent("echo"), "--binding", "GRPC", "-o", "json")
    assert done.code == 2, "the options that say how to talk count"


def test_a_failure_is_told_once_with_its_case(served, shell, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Ours: a line in the log without the case tells nothing; what a judge of one's own raised has its traceback."""
    (tmp_path / "cases.jsonl").write_text('{"id": "a", "input": "hello"}\n')
    done = shell("eval", "cases.jsonl", "--target", served.agent("slow"), "--timeout", "0.5s")
    assert (done.code, done.err) == (1, "")
    assert "        target did not answer in time: nothing came for 0.5 seconds" in done.out
    (tmp_path / "judges.py").write_text("def broken(text: str) -> str:\n    raise ValueError('my mistake')\n")
    (tmp_path / "cases.jsonl").write_text('{"id": "a", "input": "hello", "rubric": "kind"}\n')
    done = shell("eval", "cases.jsonl", "--target", served.agent("echo"), "--judge", "judges:broken")
    assert done.code == 1
    assert "judges.py" in done.err
    assert "ValueError: my mistake" in done.err


def test_an_evaluation_that_was_cut_off_goes_on(served, run, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Ours: hundreds of cases against a paid agent are not asked twice; pandas and jq read the file as it is."""
    (tmp_path / "cases.jsonl").write_text(
        '{"id": "a", "input": "hello", "metadata": {"topic": "x"}}\n{"id": "b", "input": "there"}\n'
    )
    words = ("eval", "cases.jsonl", "--target", served.agent("echo"), "--results", "found.jsonl", "--repeat", "2")
    assert run(*words).code == 0
    kept = tmp_path / "found.jsonl"
    rows = [json.loads(line) for line in kept.read_text().splitlines()]
    assert sorted((row["id"], row["run"], row["passed"]) for row in rows) == [
        ("a", 1, True), ("a", 2, True), ("b", 1, True), ("b", 2, True),
    ]  # fmt: skip
    assert {row["target"] for row in rows} == {served.agent("echo")}
    assert {row["metadata"].get("topic") for row in rows if row["id"] == "a"} == {"x"}
    kept.write_text(json.dumps(rows[0]) + "\n" + json.dumps(rows[1])[:40])  # killed while it wrote
    done = run(*words)
    assert (done.code, done.out.count("passed  ")) == (0, 3)
    assert "2 of 2  a  1.00 +- 0.00" in done.out
    assert "Score 1.00: 4 passed, 0 failed" in done.out
    assert len(kept.read_text().splitlines()) == 4
    told: Any = json.loads(run(*words, "-o", "json").out)
    assert (told["cases"], told["runs"], [one["passed"] for one in told["repeated"]]) == (2, 4, [2, 2])
    (tmp_path / "cases.jsonl").write_text('{"id": "a", "input": "hello!"}\n')
    assert run(*words).out.count("passed  ") == 2, "another case of the same name is another case"
    done = run(*words[:-4], "--results", "cases.jsonl")
    assert (done.code, "cases.jsonl, line 1: no result" in done.err) == (2, True)


def test_ctrl_c_says_what_was_scored_and_how_to_go_on(served, tmp_path) -> None:  # type: ignore[no-untyped-def]
    """Ours: exit code 130, as other commands have it."""
    cases = (f'{{"id": "{number}", "input": "hello"}}' for number in range(500))
    (tmp_path / "cases.jsonl").write_text("\n".join(cases))
    words = ("eval", "cases.jsonl", "--target", served.agent("echo"), "--results", "found.jsonl", "--parallel", "1")
    process = subprocess.Popen(
        [sys.executable, "-m", "a2a_bridge", *words],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("passed  0")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode == 130
    kept = len((tmp_path / "found.jsonl").read_text().splitlines())
    assert err == f"Interrupted: {kept} of 500 runs were scored; the same command goes on\n"
