"""send, task and card against a served process: text, JSON, ids, resume commands, exit codes."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def test_send_waits_and_prints_the_task(served, shell) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §8.2, §9.2: labels, one field a line, ids and state; a golden text."""
    done = shell("send", "-a", served.agent("echo"), "hello there")
    assert done.code == 0
    assert done.err == ""
    assert done.golden == (
        "Task ID: <id 1>\n"
        "Context ID: <id 2>\n"
        "State: TASK_STATE_COMPLETED\n"
        "Updated: <time>\n"
        "Artifact ID: answer\n"
        "Text: hello there \n"
    )


def test_send_in_json_is_one_document_of_the_protocol(served, shell) -> None:  # type: ignore[no-untyped-def]
    """Appendix B: a SendMessageResponse with the final task."""
    done = shell("send", "-a", served.agent("echo"), "-o", "json", "--text", "hello")
    assert done.code == 0
    assert list(done.json) == ["task"]
    assert done.json["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    assert done.json["task"]["artifacts"][0]["parts"] == [{"text": "hello "}]


def test_a_stream_in_text_flows_on_one_line_and_ends_with_ids_and_state(served, run) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §9.2: the last event names task, context and state."""
    done = run("send", "-a", served.agent("echo"), "--stream", "hello there")
    assert done.code == 0
    assert "\nArtifact ID: answer\nText: hello there \nTask ID: " in done.out
    assert done.golden.endswith("Task ID: <id 1>\nContext ID: <id 2>\nState: TASK_STATE_COMPLETED\n")
    assert done.out.count("TASK_STATE_COMPLETED") == 1


def test_a_stream_in_json_is_one_event_a_line(served, run) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §9.3: JSON Lines; the last one carries the state."""
    done = run("send", "-a", served.agent("echo"), "-o", "json", "--stream", "hello there")
    assert [list(line) for line in done.lines] == [["task"], ["artifactUpdate"], ["artifactUpdate"], ["statusUpdate"]]
    assert done.lines[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"


def test_a_pause_prints_the_command_that_answers_it(served, run) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §6.3: the printed command is the exact one; exit code 0, for the command did its job."""
    done = run("send", "-a", served.agent("asks"), "hello")
    assert done.code == 0
    assert done.golden == (
        "Task ID: <id 1>\n"
        "Context ID: <id 2>\n"
        "State: TASK_STATE_INPUT_REQUIRED\n"
        "Updated: <time>\n"
        "Message ID: <id 3>\n"
        "Text: What is your name?\n"
        f"Resume: a2a-bridge send -a {served.agent('asks')} --task-id <id 1> --text 'YOUR ANSWER'\n"
    )
    resume = done.out.splitlines()[-1].removeprefix("Resume: a2a-bridge ").replace("'YOUR ANSWER'", "Bob").split()
    answered = run(*resume)
    assert "State: TASK_STATE_COMPLETED" in answered.out
    assert "Text: Hello Bob" in answered.out


def test_in_json_the_resume_command_goes_to_standard_error(served, run) -> None:  # type: ignore[no-untyped-def]
    """Standard output is payload only."""
    done = run("send", "-a", served.agent("asks"), "-o", "json", "hello")
    assert done.json["task"]["status"]["state"] == "TASK_STATE_INPUT_REQUIRED"
    assert done.err.startswith("Resume: a2a-bridge send ")


def test_a_context_goes_on_with_a_new_task(served, run) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §6.2."""
    first = run("send", "-a", served.agent("echo"), "-o", "json", "one").json["task"]
    second = run("send", "-a", served.agent("echo"), "-o", "json", "--context-id", first["contextId"], "two").json[
        "task"
    ]
    assert second["contextId"] == first["contextId"]
    assert second["id"] != first["id"]


def test_async_returns_at_once_with_the_command_that_waits(served, run) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §9.5."""
    done = run("send", "-a", served.agent("slow"), "--async", "x")
    assert done.code == 0
    assert "State: TASK_STATE_WORKING\n" in done.out
    task_id = done.out.splitlines()[0].removeprefix("Task ID: ")
    assert done.out.splitlines()[-1] == f"Resume: a2a-bridge task get {task_id} --wait -a {served.agent('slow')}"
    canceled = run("task", "cancel", task_id, "-a", served.agent("slow"))
    assert canceled.code == 0
    assert "State: TASK_STATE_CANCELED\n" in canceled.out
    assert canceled.err == "Warning: the task ended as TASK_STATE_CANCELED\n"


def test_a_failed_task_is_told_and_exits_with_zero(served, run) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §4.6: the command did its job; the outcome is the state, and a warning."""
    done = run("send", "-a", served.agent("fails"), "x")
    assert done.code == 0
    assert "State: TASK_STATE_FAILED\n" in done.out
    assert "Text: no luck\n" in done.out
    assert done.err == "Warning: the task ended as TASK_STATE_FAILED\n"


@pytest.mark.parametrize("more", [(), ("--async",), ("--stream",)])
def test_a_direct_answer_is_a_message(served, run, more: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §8.2: exits cleanly."""
    done = run("send", "-a", served.agent("direct"), "x", *more)
    assert done.code == 0
    assert done.golden == "Context ID: <id 1>\nMessage ID: <id 2>\nText: hi\n"
    as_json = run("send", "-a", served.agent("direct"), "x", "-o", "json", *more)
    assert list(json.loads(as_json.out)) == ["message"]


def test_no_part_is_left_out_and_nothing_controls_the_terminal(served, run) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §8.2, §9.2: text, data, files; the words of another party carry no control characters."""
    done = run("send", "-a", served.agent("parts"), "hi")
    assert done.golden.partition("Updated: <time>\n")[2] == (
        "Artifact ID: given\n"
        "Name: What came\n"
        "Text: hi\n"
        "Artifact ID: mixed\n"
        "Text:\none\ntwo[31m red\n\n"
        'Data:\n{\n  "b": [\n    1,\n    null\n  ]\n}\n\n'
        "File: x.bin\n"
        "Media type: application/octet-stream\n"
        "Size: 2 bytes\n"
        "File: https://files.example/y.png\n"
        "Media type: image/png\n"
        "URL: https://files.example/y.png\n"
    )


def sent_parts(done: Any) -> list[dict[str, Any]]:
    """The parts that the agent `parts` says it got."""
    found: list[dict[str, Any]] = done.json["task"]["artifacts"][0]["parts"]
    return found


def test_parts_keep_their_order_and_media_types_bind_to_the_part_before(served, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §8.2: repeatable and order-preserving."""
    (tmp_path / "report.bin").write_bytes(b"\x00")
    (tmp_path / "data.json").write_text('{"n": 1}')
    done = run(
        "send", "--text", "first", "-a", served.agent("parts"), "--data", "data.json", "--media-type",
        "application/json", "--file=report.bin", "--media-type", "text/plain", "-o", "json", "second",
        "--data", '{"inline": true}', "--text", "third",
    )  # fmt: skip
    assert done.code == 0, done
    assert sent_parts(done) == [
        {"text": "first"},
        {"data": {"n": 1}, "mediaType": "application/json"},
        {"raw": "AA==", "filename": "report.bin", "mediaType": "text/plain"},
        {"text": "second"},
        {"data": {"inline": True}},
        {"text": "third"},
    ]


def test_data_comes_from_standard_input_and_urls_stay_urls(served, shell) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §8.2: `--data -`; a URL is a reference for the agent to fetch."""
    done = shell(
        "send", "-a", served.agent("parts"), "-o", "json", "--data", "-", "--file", "https://files.example/a%20b.txt",
        stdin="[1, 2]",
    )  # fmt: skip
    assert sent_parts(done) == [
        {"data": [1, 2]},
        {"url": "https://files.example/a%20b.txt", "filename": "a b.txt", "mediaType": "text/plain"},
    ]


def test_words_after_two_dashes_are_text(served, run) -> None:  # type: ignore[no-untyped-def]
    """A text may begin with a dash; one that is called like an option's name is a text too."""
    assert sent_parts(run("send", "-a", served.agent("parts"), "-o", "json", "--", "--stream")) == [
        {"text": "--stream"}
    ]
    assert sent_parts(run("send", "-a", served.agent("parts"), "-o", "json", "message")) == [{"text": "message"}]


def test_metadata_and_message_id_are_sent(served, run) -> None:  # type: ignore[no-untyped-def]
    """--message-id makes a second send harmless: it is the same task."""
    words = (
        "send",
        "-a",
        served.agent("metadata"),
        "-o",
        "json",
        "--metadata",
        '{"k": [1]}',
        "--message-id",
        "m-1",
        "x",
    )
    first, second = run(*words), run(*words)
    assert first.json["task"]["artifacts"][0]["parts"][0]["data"]["k"] == [1]
    assert second.json["task"]["id"] == first.json["task"]["id"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "nothing to send"),
        (("--text", ""), "must not be empty"),
        (("--media-type", "text/plain", "hi"), "--media-type has no part before it"),
        (("hi", "--media-type", "a/b", "--media-type", "c/d"), "--media-type has no part before it"),
        (("--data", "{bad"), "--data: not JSON"),
        (("--data", '{"a": NaN}'), "not JSON"),
        (("--data", "nothing.json"), "nothing.json: No such file"),
        (("--file", "nothing.bin"), "nothing.bin: No such file"),
        (("--data", "-", "--data", "-"), "can be read once"),
        (("--metadata", "[]", "hi"), "--metadata must be a JSON object"),
        (("--metadata", "{", "hi"), "--metadata: not JSON"),
        (("--stream", "--async", "hi"), "contradict each other"),
        (("--timeout", "soon", "hi"), "'soon' is not a duration"),
        (("--output", "xml", "hi"), "xml"),
        (("one", "two"), "unexpected extra argument"),
    ],
)
def test_wrong_use_of_send_exits_with_two(served, run, words: tuple[str, ...], said: str) -> None:  # type: ignore[no-untyped-def]
    """Exit code 2, and the words say what to change."""
    done = run("send", "-a", served.agent("echo"), *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Code: A2ACLI_ERR_USAGE" in done.err


def test_task_get_shows_history_when_asked(served, run) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §8.3."""
    task_id = run("send", "-a", served.agent("echo"), "-o", "json", "hello").json["task"]["id"]
    plain = run("task", "get", task_id, "-a", served.agent("echo"))
    assert "Text: hello \n" in plain.out
    assert "Role: " not in plain.out
    with_history = run("task", "get", task_id, "-a", served.agent("echo"), "--history", "5")
    assert "Role: ROLE_USER\n" in with_history.out
    as_json = run("task", "get", "-o", "json", task_id, "-a", served.agent("echo"))
    assert as_json.json["id"] == task_id
    assert as_json.json["history"][0]["parts"] == [{"text": "hello"}]


def test_task_get_can_wait(served, run) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §7.3: a paused task ends the waiting, and a timeout too (exit code 5)."""
    paused = run("send", "-a", served.agent("asks"), "-o", "json", "x").json["task"]["id"]
    assert "TASK_STATE_INPUT_REQUIRED" in run("task", "get", paused, "--wait", "-a", served.agent("asks")).out
    working = run("send", "-a", served.agent("slow"), "-o", "json", "--async", "x").json["task"]["id"]
    done = run(
        "task", "get", working, "--wait", "-a", served.agent("slow"), "--timeout", "200ms", "--poll-interval", "50ms"
    )
    assert done.code == 5
    assert f"task {working} was not done within 0.2 s" in done.err
    run("task", "cancel", working, "-a", served.agent("slow"))


def test_task_list_pages_and_filters(served, run) -> None:  # type: ignore[no-untyped-def]
    """R-LIST: one page, the token of the next, a state in any spelling."""
    context = run("send", "-a", served.agent("echo"), "-o", "json", "1").json["task"]["contextId"]
    run("send", "-a", served.agent("echo"), "--context-id", context, "2")
    words = ("task", "list", "-a", served.agent("echo"), "--context-id", context)
    page = run(*words, "--page-size", "1", "--status", "completed")
    assert page.golden == (
        "Task ID: <id 1>\nContext ID: <id 2>\nState: TASK_STATE_COMPLETED\nUpdated: <time>\n\n"
        f"Total: 2\nNext page token: {page.out.splitlines()[-1].removeprefix('Next page token: ')}\n"
    )
    token = page.out.splitlines()[-1].removeprefix("Next page token: ")
    last = run(*words, "--page-size", "1", "--status", "completed", "--page-token", token, "-o", "json").json
    assert len(last["tasks"]) == 1
    assert last["nextPageToken"] == ""
    assert run(*words, "--status", "TASK_STATE_FAILED", "-o", "json").json["tasks"] == []
    wrong = run(*words, "--status", "done")
    assert wrong.code == 2
    assert "known: submitted, working, completed" in wrong.err


def test_task_subscribe_follows_to_the_end(served, shell, run) -> None:  # type: ignore[no-untyped-def]
    """The final task, or with --stream every event from the snapshot on."""
    paused = run("send", "-a", served.agent("asks"), "-o", "json", "x").json["task"]["id"]
    follower = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "a2a_bridge",
            "task",
            "subscribe",
            paused,
            "-a",
            served.agent("asks"),
            "--stream",
            "-o",
            "json",
        ],
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
    )
    assert follower.stdout is not None
    assert json.loads(follower.stdout.readline())["task"]["id"] == paused
    run("send", "-a", served.agent("asks"), "--task-id", paused, "Eve")
    rest = [json.loads(line) for line in follower.stdout.read().splitlines()]
    assert follower.wait(10) == 0
    follower.stdout.close()
    assert rest[-1]["statusUpdate"]["status"]["state"] == "TASK_STATE_COMPLETED"
    ended = run("task", "subscribe", paused, "-a", served.agent("asks"))
    assert "Text: Hello Eve\n" in ended.out


def test_an_unknown_task_keeps_the_name_the_protocol_gives_it(served, run) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §9.4: the A2A error by name and code; exit code 1; a rejected id starts nothing."""
    done = run("task", "get", "nope", "-a", served.agent("echo"), "-o", "json")
    assert done.code == 1
    assert done.json["error"]["code"] == "TaskNotFoundError"
    assert done.json["error"]["a2aCode"] == -32001
    assert done.json["error"]["hint"] == f"a2a-bridge task list -a {served.agent('echo')}"
    assert run("send", "--task-id", "nope", "-a", served.agent("echo"), "x").code == 1
    in_stream = run("send", "--task-id", "nope", "-a", served.agent("echo"), "x", "--stream", "-o", "json")
    assert in_stream.out.count("\n") == 1
    assert in_stream.json["error"]["code"] == "TaskNotFoundError"


def test_a_finished_task_cannot_be_canceled(served, run) -> None:  # type: ignore[no-untyped-def]
    """Exit code 1, TaskNotCancelableError."""
    task_id = run("send", "-a", served.agent("echo"), "-o", "json", "x").json["task"]["id"]
    done = run("task", "cancel", task_id, "-a", served.agent("echo"))
    assert done.code == 1
    assert "Code: TaskNotCancelableError" in done.err


def test_a_timeout_names_the_task_and_exits_with_five(served, run) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §7.3: the ids were printed before, and the hint goes on waiting."""
    done = run("send", "-a", served.agent("slow"), "x", "--timeout", "0.5s")
    assert done.code == 5
    assert done.golden == "Task ID: <id 1>\nContext ID: <id 2>\n"
    task_id = done.out.splitlines()[0].removeprefix("Task ID: ")
    assert f"Hint: a2a-bridge task get {task_id} --wait -a {served.agent('slow')}" in done.err
    as_json = run("send", "-a", served.agent("slow"), "x", "--timeout", "0.5s", "-o", "json")
    assert as_json.code == 5
    assert as_json.json["error"]["code"] == "A2ACLI_ERR_TIMEOUT"


def test_ctrl_c_leaves_the_task_alone_and_says_how_to_find_it(served) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §7.3: interruptible without losing the task; exit code 130."""
    process = subprocess.Popen(
        [sys.executable, "-m", "a2a_bridge", "send", "-a", served.agent("slow"), "x"],
        env={"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin:/bin"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    task_id = process.stdout.readline().removeprefix("Task ID: ").strip()
    assert task_id
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130
    assert f"The task goes on: a2a-bridge task get {task_id} --wait" in err
    assert "Traceback" not in err


def test_nobody_there_exits_with_three(run) -> None:  # type: ignore[no-untyped-def]
    """A2ACLI_ERR_UNREACHABLE; a host of this machine is asked over http."""
    done = run("card", "get", "-a", "127.0.0.1:9", "-o", "json")
    assert done.code == 3
    assert done.json["error"]["code"] == "A2ACLI_ERR_UNREACHABLE"
    assert "http://127.0.0.1:9/" in done.json["error"]["message"]


def test_no_card_exits_with_three(fixed, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A2ACLI_ERR_CARD_NOT_FOUND, for a URL and for a file."""
    for reference in (fixed.url, "./nothing.json", f"file://{tmp_path}/nothing.json"):
        done = run("card", "get", "-a", reference, "-o", "json")
        assert done.code == 3
        assert done.json["error"]["code"] == "A2ACLI_ERR_CARD_NOT_FOUND"


CARD = "/.well-known/agent-card.json"


def test_a_broken_card_exits_with_one(fixed, run) -> None:  # type: ignore[no-untyped-def]
    """A2ACLI_ERR_CARD_INVALID."""
    fixed.answers[CARD] = (200, b"[]")
    done = run("send", "-a", fixed.url, "x", "-o", "json")
    assert done.code == 1
    assert done.json["error"]["code"] == "A2ACLI_ERR_CARD_INVALID"


def test_a_card_that_points_elsewhere_needs_consent(fixed, run) -> None:  # type: ignore[no-untyped-def]
    """Our decision: credentials and words go where the user said, or to nobody."""
    fixed.answers[CARD] = (
        200,
        json.dumps(
            {
                "name": "a",
                "supportedInterfaces": [
                    {"url": "http://agents.example/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}
                ],
            }
        ).encode(),
    )
    done = run("send", "-a", fixed.url, "x")
    assert done.code == 1
    assert "Hint: if you trust it: --allow-other-origin" in done.err
    assert run("card", "get", "-a", fixed.url).code == 0


@pytest.mark.parametrize(
    ("credentials", "code"), [((), "CREDENTIALS_MISSING"), (("--bearer", "s3cret"), "AUTH_FAILED")]
)
def test_credentials_that_are_missing_or_refused_exit_with_four(  # type: ignore[no-untyped-def]
    fixed, run, credentials: tuple[str, ...], code: str
) -> None:
    """Exit code 4, and the token is not told."""
    fixed.answers[CARD] = (401, b"{}")
    done = run("send", "-a", fixed.url, "x", *credentials)
    assert done.code == 4
    assert f"Code: A2ACLI_ERR_{code}" in done.err
    assert "s3cret" not in done.err
    # The card is public, as far as anybody knows: credentials are sent when it turns out not to be.
    assert [seen.get("authorization") for seen in fixed.seen] == [None, *(["Bearer s3cret"] if credentials else [])]


def test_card_get_prints_the_card(served, run) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §8.1; a golden text."""
    done = run("card", "get", "-a", served.agent("echo"), "--validate")
    assert done.code == 0
    assert done.out == (
        "Name: echo\n"
        "Description: Says it again.\n"
        "Version: 0.1.0\n"
        f"Interface: JSONRPC 1.0 {served.agent('echo')}/\n"
        f"Interface: HTTP+JSON 1.0 {served.agent('echo')}\n"
        f"Interface: JSONRPC 0.3 {served.agent('echo')}/\n"
        f"Interface: HTTP+JSON 0.3 {served.agent('echo')}\n"
        "Streaming: yes\n"
        "Push notifications: yes\n"
        "Extended card: no\n"
        "Extension: urn:a2a-bridge:turn:1\n"
        "Input modes: text/plain, application/json\n"
        "Output modes: text/plain, application/json\n"
        "Skill: echo: echo [agent, python]\n"
        "Description: Says it again.\n"
    )


def test_card_get_reads_files_and_card_urls(served, run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §8.1: a full card URL is used as it is; a path and file:// name files."""
    by_url = run("card", "get", "-a", served.agent("echo") + CARD, "-o", "json")
    (tmp_path / "c.json").write_text(by_url.out)
    for reference in ("c.json", str(tmp_path / "c.json"), f"file://{tmp_path}/c.json"):
        assert run("card", "get", "-a", reference, "-o", "json").json == by_url.json
    (tmp_path / "old.json").write_text('{"name": "old", "url": "https://old.example"}')
    assert run("card", "get", "-a", "old.json").code == 0
    strict = run("card", "get", "-a", "old.json", "--validate")
    assert strict.code == 1
    assert "skills: is required" in strict.err


def test_defaults_come_from_variables_and_files(served, run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §5.2, §6.4: flag, variable, local file, global file; the nearest .env upwards."""
    (tmp_path / "config" / "a2a-cli").mkdir(parents=True)
    (tmp_path / "config" / "a2a-cli" / ".env").write_text(
        f"A2ACLI_OUTPUT=json\nOTHER=1\nexport A2ACLI_AGENT_CARD='{served.agent('direct')}'\n"
    )
    assert list(run("send", "x").json) == ["message"]
    (tmp_path / ".env").write_text(f"# mine\nA2ACLI_AGENT_CARD={served.agent('echo')} # the echo\nA2ACLI_STREAM=true\n")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert list(run("send", "x").json) == ["task"]
    monkeypatch.setenv("A2ACLI_OUTPUT", "text")
    assert run("send", "x").out.startswith("Task ID: ")
    (tmp_path / "other.env").write_text(f"A2ACLI_AGENT_CARD={served.agent('direct')}\n")
    assert "Text: hi" in run("send", "x", "--config", str(tmp_path / "other.env")).out
    assert "Text: x" in run("send", "x", "--config", str(tmp_path / "other.env"), "-a", served.agent("echo")).out
    missing = run("send", "x", "--config", "none.env")
    assert missing.code == 2
    assert "--config none.env: No such file" in missing.err


def test_a_variable_can_say_async_and_a_flag_overrides_it(served, run, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §5.2: `--wait` overrides a configured default."""
    monkeypatch.setenv("A2ACLI_ASYNC", "true")
    begun = run("send", "-a", served.agent("slow"), "-o", "json", "x")
    assert begun.json["task"]["status"]["state"] == "TASK_STATE_WORKING"
    run("task", "cancel", begun.json["task"]["id"], "-a", served.agent("slow"))
    assert "TASK_STATE_COMPLETED" in run("send", "-a", served.agent("echo"), "--wait", "x").out


def test_a_reference_that_is_no_agent_is_wrong_use(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Exit code 2: another scheme; a file where an agent is needed."""
    assert run("send", "-a", "ftp://x", "x").code == 2
    (tmp_path / "c.json").write_text("{}")
    done = run("send", "-a", "c.json", "x")
    assert done.code == 2
    assert "name the agent by its URL" in done.err
