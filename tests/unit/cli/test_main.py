"""The door: what `--help` loads and says, versions, wrong words."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from a2a_bridge import __version__
from a2a_bridge.cli.main import COMMANDS

ROOT = Path(__file__).parents[3]


def loaded(*command: str) -> set[str]:
    """The modules that a command line of Python imports."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *command],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def test_help_loads_typer_and_nothing_of_ours_but_the_table() -> None:
    """Architecture §3, issue 2 part 9: one import per command, and none for --help."""
    ours = loaded("-m", "a2a_bridge", "--help")
    alone = loaded("-c", "import typer.core")
    assert {name for name in ours if name.startswith("a2a_bridge")} == {
        "a2a_bridge",
        "a2a_bridge.cli",
        "a2a_bridge.cli.main",
    }
    foreign = {name.partition(".")[0] for name in ours - alone} - set(sys.stdlib_module_names)
    assert foreign <= {"a2a_bridge", "typer", "rich", "shellingham"}
    assert not {"pydantic", "httpx", "starlette"} & ours


def test_help_answers_quickly(capsys: pytest.CaptureFixture[str]) -> None:
    """Issue 2, part 9: `--help` in under 0.5 s CPU; printed beside an empty interpreter, gated only far above."""

    def cpu(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, *command], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    ours, empty = min(cpu("-m", "a2a_bridge", "--help") for _ in range(3)), min(cpu("-c", "") for _ in range(3))
    with capsys.disabled():
        print(f"\n--help: {ours:.2f} s CPU, an empty interpreter: {empty:.2f} s, ratio {ours / max(empty, 1e-3):.1f}")
    assert ours < 2.0


def test_help_lists_every_command_with_a_line_about_it(shell) -> None:  # type: ignore[no-untyped-def]
    """Our decision: the table of commands is the help."""
    done = shell("--help")
    assert done.code == 0
    assert done.err == ""
    for name, about in COMMANDS.items():
        assert f"  {name}" in done.out
        assert about in done.out
    assert "\x1b" not in shell("--help", FORCE_COLOR="1").out


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_every_command_has_help(run, name: str) -> None:  # type: ignore[no-untyped-def]
    """`COMMAND --help` and `help COMMAND` say the same."""
    by_option, by_command = run(name, "--help"), run("help", name)
    assert by_option.code == by_command.code == 0
    assert by_option.out == by_command.out
    assert f"Usage: a2a-bridge {name}" in by_option.out


def test_help_of_a_command_shows_defaults_and_variables(run) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §4.5: the effective defaults can be read before they are overridden."""
    said = " ".join(run("help", "send").out.split())
    assert "[env var: A2ACLI_OUTPUT; default: text]" in said
    assert "--async / --wait" in said
    assert "A2ACLI_STREAM" not in said
    assert "default: (2s)" in " ".join(run("help", "task", "get").out.split())


@pytest.mark.parametrize("words", [("version",), ("--version",), ("-v",)])
def test_the_version_is_printed(run, words: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §5.2."""
    done = run(*words)
    assert (done.code, done.out) == (0, f"a2a-bridge {__version__}\n")


def test_no_command_at_all_shows_help_and_is_wrong_use(shell) -> None:  # type: ignore[no-untyped-def]
    """Exit code 2: nothing was done, and standard output is for payload only."""
    done = shell()
    assert done.code == 2
    assert done.out == ""
    assert "Commands:" in done.err


@pytest.mark.parametrize(
    ("words", "meant"), [(("sned",), "send"), (("task", "cancle"), "cancel"), (("card", "gt"), "get")]
)
def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(run, words: tuple[str, ...], meant: str) -> None:  # type: ignore[no-untyped-def]
    """Conventions §2.1: "did you mean" is expected."""
    done = run(*words)
    assert done.code == 2
    assert done.out == ""
    assert f"Did you mean '{meant}'?" in done.err
    assert "Hint: a2a-bridge" in done.err


@pytest.mark.parametrize("how", [("-o", "json"), ("--output", "json"), ("-ojson",), ("--output=json",)])
def test_wrong_use_is_an_envelope_when_json_was_asked_for(run, how: tuple[str, ...]) -> None:  # type: ignore[no-untyped-def]
    """a2a-cli 0.2 §9.4, appendix E: also what could not be parsed."""
    done = run("send", "--nope", *how)
    assert done.code == 2
    assert done.json["error"]["code"] == "A2ACLI_ERR_USAGE"
    assert "--nope" in done.json["error"]["message"]
    assert done.json["error"]["hint"] == "a2a-bridge send --help"
    assert done.json["error"]["a2aCode"] is None


def test_wrong_use_is_an_envelope_when_the_variable_asks_for_json(shell) -> None:  # type: ignore[no-untyped-def]
    """Flag, then environment."""
    done = shell("send", "--nope", A2ACLI_OUTPUT="json")
    assert json.loads(done.out)["error"]["code"] == "A2ACLI_ERR_USAGE"


def test_a_command_that_needs_an_agent_says_how_to_name_one(run) -> None:  # type: ignore[no-untyped-def]
    """Exit code 2."""
    done = run("card", "get")
    assert done.code == 2
    assert "--agent-card" in done.err


def test_a_reader_that_goes_away_ends_the_command_quietly(served) -> None:  # type: ignore[no-untyped-def]
    """`a2a-bridge ... | head -1` leaves no traceback behind."""
    from subprocess import PIPE, Popen

    process = Popen(
        [sys.executable, "-m", "a2a_bridge", "send", "-a", served.agent("slow"), "--stream", "x"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=PIPE,
        stderr=PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.wait(20) == 1
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
