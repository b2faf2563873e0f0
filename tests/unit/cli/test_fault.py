"""Every kind of failure has one code, one exit code and words that help."""

import ast
import errno
import json
import re
from pathlib import Path

import pytest

from a2a_bridge.cli import fault
from a2a_bridge.cli.fault import CommandError, Fault, fault_of, report, say, usage
from a2a_bridge.errors import (
    A2AError,
    AdapterNotFoundError,
    CardError,
    ConfigError,
    ConnectionFailedError,
    InvalidParamsError,
    RemoteTimeoutError,
    StoreUnavailableError,
    StreamBrokenError,
    TaskNotFoundError,
    Violation,
)


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (usage("x"), "A2ACLI_ERR_USAGE", 2),
        (ConfigError("x"), "A2ACLI_ERR_USAGE", 2),
        (CardError("x"), "A2ACLI_ERR_CARD_INVALID", 1),
        (CardError("http://x answered HTTP 404: there is no agent card."), "A2ACLI_ERR_CARD_NOT_FOUND", 3),
        (ConnectionFailedError("x"), "A2ACLI_ERR_UNREACHABLE", 3),
        (ConnectionFailedError("x", status=503), "A2ACLI_ERR_UNREACHABLE", 3),
        (ConnectionFailedError("x", status=500), "A2ACLI_ERR_UNREACHABLE", 3),
        (ConnectionFailedError("x", status=401), "A2ACLI_ERR_CREDENTIALS_MISSING", 4),
        (StreamBrokenError("x"), "A2ACLI_ERR_UNREACHABLE", 3),
        (RemoteTimeoutError("x"), "A2ACLI_ERR_TIMEOUT", 5),
        (TaskNotFoundError(), "TaskNotFoundError", 1),
        (A2AError(), "A2AError", 1),
        (AdapterNotFoundError("x"), "A2ACLI_ERR_USAGE", 2),
        (StoreUnavailableError("x"), "A2ACLI_ERR_USAGE", 2),
        (OSError(errno.ENOSPC, "No space left on device", "file"), "A2ACLI_ERR_INTERNAL", 1),
        (ZeroDivisionError("x"), "A2ACLI_ERR_INTERNAL", 1),
    ],
)
def test_each_error_has_its_code_and_exit_code(error: Exception, code: str, exit_code: int) -> None:
    """a2a-cli 0.2 §9.4, §9.6, appendix E: the exit code agrees with the code."""
    found = fault_of(error)
    assert (found.code, found.exit_code) == (code, exit_code)


def test_credentials_that_were_sent_were_refused() -> None:
    """a2a-cli 0.2, appendix E: missing and refused are two things."""
    assert fault_of(ConnectionFailedError("x", status=403), authenticated=True).code == "A2ACLI_ERR_AUTH_FAILED"


def test_a_protocol_error_names_fields_and_keeps_its_code() -> None:
    """R-ERR-03: what is wrong with which field reaches the user."""
    found = fault_of(
        InvalidParamsError("No.", violations=[Violation("message.parts", "is empty"), Violation("", "odd")])
    )
    assert found.message == "No. (message.parts: is empty; odd)"
    assert found.a2a_code == -32602


def test_a_full_disk_is_a_sentence() -> None:
    """Failures of the system name the file."""
    assert fault_of(OSError(errno.ENOSPC, "No space left on device", "out")).message == "out: No space left on device"


def test_words_go_to_standard_error_and_the_envelope_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    """a2a-cli 0.2 §9.1, appendix B."""
    found = Fault("CODE", "went wrong", "do this", 7)
    say(found, as_json=False)
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "Error: went wrong\nCode: CODE\nHint: do this\n")
    say(found, as_json=True, one_line=True)
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    assert json.loads(said.out) == {"error": {"code": "CODE", "message": "went wrong", "hint": "do this", "a2aCode": 7}}


def test_a_bug_of_ours_is_told_without_a_traceback_unless_it_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """a2a-cli 0.2 §9.4: what cannot be classified is A2ACLI_ERR_INTERNAL."""
    assert report(ZeroDivisionError("oh"), []) == 1
    said = capsys.readouterr().err
    assert "unexpected ZeroDivisionError: oh" in said
    assert "Traceback" not in said
    monkeypatch.setenv("A2ACLI_DEBUG", "1")
    try:
        raise ZeroDivisionError("oh")
    except ZeroDivisionError as error:
        report(error, [])
    assert "Traceback" in capsys.readouterr().err


def test_ends_that_are_no_failures_keep_their_codes() -> None:
    """Ctrl-C is 130; an exit code that somebody chose stays."""

    class Abort(RuntimeError):
        """typer's, when the input ends."""

    assert report(KeyboardInterrupt(), []) == 130
    assert report(Abort(), []) == 130
    assert report(SystemExit(7), []) == 7
    assert report(SystemExit("words"), []) == 1


def test_the_exception_of_a_command_carries_its_fault() -> None:
    """Our decision: modules raise what they know."""
    fault = Fault("X", "y")
    assert fault_of(CommandError(fault)) is fault
    assert str(CommandError(fault)) == "y"


def test_advice_in_python_is_not_given_in_a_shell() -> None:
    """Every phrase of the library that says what to pass, as `name=...`, has another one here."""
    root = Path(fault.__file__).parents[1]
    advice = re.compile(r"(?:pass|raise) [^\"]*?(?:=\.\.\.|=\{|=True)")
    for path in [*root.glob("client/*.py"), root / "net.py"]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and advice.search(node.value):
                if "\n" in node.value or path.name in ("sending.py",):  # a docstring; options that no command has
                    continue
                told = fault_of(ConnectionFailedError(f"it failed{node.value}"))
                assert not advice.search(told.message), (path.name, node.value)


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (ConnectionFailedError("cannot connect to x: All connection attempts failed."), "check the URL"),
        (ConnectionFailedError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"), "--ca FILE"),
        (ConnectionFailedError("x", status=429), "try again later"),
        (ConnectionFailedError("x", status=401), "--api-key"),
        (CardError("the card points to another origin."), "--allow-other-origin"),
    ],
)
def test_a_hint_is_something_that_may_help(error: Exception, hint: str) -> None:
    """`card get` of an agent that cannot be reached fails like everything else."""
    assert hint in (fault_of(error).hint or "")
