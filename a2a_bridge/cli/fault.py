"""Errors as people and programs read them: one envelope, one table of codes, one exit code each.

    0  the command did its job, whatever became of the task        3  the agent, or its card, cannot be reached
    1  failure with no better code                                 4  credentials are missing or were refused
    2  wrong use                                                   5  --timeout was over before the task was

What the agent answered keeps the name that the protocol gives it; what went wrong on this side of the wire has a code
`A2ACLI_ERR_*` (a2a-cli specification 0.2, appendix E). With `-o json` the envelope goes to standard output, as the one
document there or as the last line of a stream; otherwise the words go to standard error.
"""

import json
import os
import re
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from a2a_bridge.errors import (
    A2AError,
    AdapterNotFoundError,
    AdapterNotInstalledError,
    BridgeError,
    CardError,
    ChatError,
    ClientError,
    ConfigError,
    ConnectionFailedError,
    RemoteTimeoutError,
    StoreUnavailableError,
    StreamBrokenError,
    TaskNotFoundError,
    UnknownRoomError,
)

USAGE = "A2ACLI_ERR_USAGE"
CARD_NOT_FOUND = "A2ACLI_ERR_CARD_NOT_FOUND"
CARD_INVALID = "A2ACLI_ERR_CARD_INVALID"
UNREACHABLE = "A2ACLI_ERR_UNREACHABLE"
CREDENTIALS_MISSING = "A2ACLI_ERR_CREDENTIALS_MISSING"
AUTH_FAILED = "A2ACLI_ERR_AUTH_FAILED"
TIMEOUT = "A2ACLI_ERR_TIMEOUT"
INTERNAL = "A2ACLI_ERR_INTERNAL"

EXIT_CODES = {
    USAGE: 2,
    CARD_NOT_FOUND: 3,
    UNREACHABLE: 3,
    CREDENTIALS_MISSING: 4,
    AUTH_FAILED: 4,
    TIMEOUT: 5,
}
"""Exit codes; what is not named here exits with 1."""

INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Fault:
    """One failure: `code` as in the table above or the protocol's name, `hint` is what to type or do next."""

    code: str
    message: str
    hint: str | None = None
    a2a_code: int | None = None

    @property
    def exit_code(self) -> int:
        """What the process exits with."""
        return EXIT_CODES.get(self.code, 1)

    def envelope(self) -> dict[str, dict[str, str | int | None]]:
        """The machine-readable form."""
        return {
            "error": {"code": self.code, "message": self.message, "hint": self.hint, "a2aCode": self.a2a_code},
        }


class CommandError(Exception):
    """A command could not do its job, and knows which fault that is."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def usage(message: str, hint: str | None = None) -> CommandError:
    """Wrong use of the command line."""
    return CommandError(Fault(USAGE, message, hint))


def fault_of(error: BaseException, *, agent: str | None = None, authenticated: bool = False) -> Fault:
    """What an exception means to the user; `agent` is the reference given, for hints."""
    if isinstance(error, CommandError):
        return error.fault
    ref = f" -a {agent}" if agent else " -a AGENT"
    if isinstance(error, A2AError):
        hint = f"a2a-bridge task list{ref}" if isinstance(error, TaskNotFoundError) else None
        details = "; ".join(f"{v.field}: {v.description}" if v.field else v.description for v in error.violations)
        message = f"{error.message} ({details})" if details else error.message
        return Fault(type(error).__name__, message, hint, error.code)
    if isinstance(error, ClientError):
        return _client_fault(error, authenticated)
    if isinstance(error, CardError):
        # The client has one class for both; its words tell them apart, and a test holds them to that.
        missing = "there is no agent card" in error.message
        hint = "if you trust it: --allow-other-origin" if "another origin" in error.message else None
        return Fault(CARD_NOT_FOUND if missing else CARD_INVALID, _in_a_shell(error.message), hint)
    if isinstance(error, ConfigError | AdapterNotFoundError | AdapterNotInstalledError | StoreUnavailableError):
        return Fault(USAGE, error.message)
    if type(error) in (ChatError, UnknownRoomError):  # a room that is not there, or with which this cannot be done
        return Fault(USAGE, _in_a_shell(str(error)))
    if isinstance(error, BridgeError):
        return Fault(INTERNAL, error.message)
    if hasattr(error, "format_message"):  # typer's errors, whatever their class is in this version of it
        return Fault(USAGE, str(error.format_message()), _help_hint(error))
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return Fault(INTERNAL, f"{where}{error.strerror}")
    return Fault(INTERNAL, f"unexpected {type(error).__name__}: {error}", "set A2ACLI_DEBUG=1 to see where")


_PYTHON = (
    ("; pass them as auth=..., or as headers={'Authorization': ...}", ""),
    ("; if you know the header, pass it as headers={...}", ""),
    ("pass trust=Trust(allow_other_origin=True)", "pass --allow-other-origin"),
    ("pass it as token_url=...", "pass it as --token-url"),
    ("pass token_url=...", "pass --token-url"),
    ("manager.at(FILE, served=...)", "--store FILE, the server's, and --caller NAME"),
)
"""Advice of the library, in Python, and what to say in a shell instead; a test looks for what is missing here."""


def _in_a_shell(text: str) -> str:
    for python, shell in _PYTHON:
        text = text.replace(python, shell)
    return _WAIT_LONGER.sub("", text)


_WAIT_LONGER = re.compile(r"; raise\s+Timeouts\(\w+=\.\.\.\) to wait longer")
_CREDENTIALS = (
    "pass what its card asks for: --api-key, --bearer, --basic, --client-id and --client-secret, or --cert; or set"
    " A2ACLI_API_KEY, A2ACLI_BEARER, ..."
)


def _client_fault(error: ClientError, authenticated: bool) -> Fault:
    text = _in_a_shell(error.message)
    if isinstance(error, RemoteTimeoutError):
        return Fault(TIMEOUT, text, "wait longer with --timeout, or use --async and a2a-bridge task get")
    status = error.status if isinstance(error, ConnectionFailedError) else None
    if status in (401, 403):
        if authenticated:
            return Fault(AUTH_FAILED, text, "check the credentials", status)
        return Fault(CREDENTIALS_MISSING, text, _CREDENTIALS, status)
    if isinstance(error, StreamBrokenError) or status in (None, 429, 502, 503, 504):
        return Fault(UNREACHABLE, text, _what_to_try(text, status), status)
    return Fault(UNREACHABLE, text, None, status)


def _what_to_try(text: str, status: int | None) -> str:
    if status is not None:
        return "try again later"
    if "certificate" in text.lower():
        return "if its certificate is of an authority of your own: --ca FILE"
    return "check the URL, and that the agent runs there"


def _help_hint(error: BaseException) -> str | None:
    context = getattr(error, "ctx", None)
    path = getattr(context, "command_path", None)
    return f"{path} --help" if path else None


def report(error: BaseException, arguments: Sequence[str]) -> int:
    """Tell the user, and return the exit code. Never raises; a reader that went away is not told anything."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else 1
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        # The reader of our output is gone, as `head` goes; the interpreter must not try to flush to it at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
        return 2
    if type(error).__name__ == "Abort":
        return INTERRUPTED
    fault = fault_of(error)
    if os.environ.get("A2ACLI_DEBUG"):
        traceback.print_exception(error)
    say(fault, as_json=wants_json(arguments))
    return fault.exit_code


def say(fault: Fault, *, as_json: bool, one_line: bool = False) -> None:
    """Write a fault: the envelope to standard output, or words to standard error."""
    if as_json:
        print(json.dumps(fault.envelope(), ensure_ascii=False, indent=None if one_line else 2), flush=True)
        return
    print(f"Error: {fault.message}", file=sys.stderr)
    print(f"Code: {fault.code}", file=sys.stderr)
    if fault.hint:
        print(f"Hint: {fault.hint}", file=sys.stderr, flush=True)


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether a command line that could not be parsed asked for JSON; the environment is asked last."""
    for index, argument in enumerate(arguments):
        if argument in ("-o", "--output"):
            return arguments[index + 1 : index + 2] == ["json"]
        if argument in ("-ojson", "--output=json"):
            return True
    return os.environ.get("A2ACLI_OUTPUT") == "json"
