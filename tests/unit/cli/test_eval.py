"""`a2a-bridge eval`: cases from a file, a served target, a judge of the caller's own, exit codes for CI."""

import json
from typing import Any

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
    """Ours: 2 for a file that is wrong or a judge that is missing; an agent that is not there fails its cases."""
    (tmp_path / "cases.jsonl").write_text('{"input": "hello", "rubric": "kind"}\n')
    done = run("eval", "cases.jsonl", "--target", served.agent("echo"))
    assert (done.code, "there is no judge" in done.err) == (2, True)
    assert run("eval", "none.jsonl", "--target", served.agent("echo")).code == 2
    assert run("eval", "cases.jsonl", "--target", served.agent("echo"), "--judge", "nobody:here").code == 2
    (tmp_path / "cases.jsonl").write_text('{"input": "hello"}\n')
    done = run("eval", "cases.jsonl", "--target", "http://127.0.0.1:9/")
    assert (done.code, "could not be reached" in done.out or "cannot connect" in done.out) == (1, True)
