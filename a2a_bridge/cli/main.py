"""The command `a2a-bridge`: a table of commands, each in a module that is imported when it is used.

Grammar, output and exit codes of the client commands are those of the a2a-cli specification 0.2. `--help` loads typer
and nothing else, so it answers at once; that is why imports stand inside functions here.
"""

import os
import signal
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from importlib import import_module
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from a2a_bridge import __version__

PROG = "a2a-bridge"

COMMANDS = {
    "send": "Send a message to an agent, and wait for what comes of it.",
    "chat": "Talk with one agent, turn by turn.",
    "card": "Agent cards: get, lint, sign, verify, diff.",
    "task": "Tasks: get, list, cancel, subscribe.",
    "check": "Hold somebody's server to the protocol, from outside.",
    "eval": "Hold an agent to a file of cases.",
    "serve": "Publish agents over A2A.",
    "group": "Group chats: run, watch, explain, replay, resume.",
    "audit": "Audits of group chats: export, verify, redact.",
    "auth": "Keys for those who may call a server.",
    "demo": "A group chat of agents of several frameworks, over A2A.",
    "version": "Print the version.",
    "help": "Show help for a command.",
}
"""Name of a command, which is also the name of its module beside this one, and one line about it."""

_HERE = ("version", "help")


class _Commands(MutableMapping[str, Any]):
    """The commands of `COMMANDS` as typer wants them, each built when it is asked for."""

    def __init__(self, built: MutableMapping[str, Any]) -> None:
        self._built = dict(built)

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            if name not in COMMANDS:
                raise KeyError(name)
            module = import_module(f"a2a_bridge.cli.{name}")
            command = typer.main.get_command(module.app)
            command.name = name
            self._built[name] = command
        return self._built[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._built[name] = command

    def __delitem__(self, name: str) -> None:
        del self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Root(TyperGroup):
    """The root command: lists its commands from the table, without importing them."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{PROG} {__version__}")
        raise typer.Exit()


app = typer.Typer(
    cls=_Root,
    name=PROG,
    no_args_is_help=True,
    rich_markup_mode=None,  # brackets in help texts are brackets, and rich is not loaded
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", "-v", is_eager=True, callback=_print_version, help="Print the version, and exit."),
    ] = False,
) -> None:
    """Publish any agent over A2A, and talk to any A2A agent."""


@app.command("version")
def version() -> None:
    """Print the version."""
    _print_version(True)


@app.command("help")
def help_(
    ctx: typer.Context, command: Annotated[list[str] | None, typer.Argument(help="Such as: task get.")] = None
) -> None:
    """Show help for a command."""
    raise typer.Exit(main([*(command or []), "--help"]))


def _root_command() -> Any:
    command: Any = typer.main.get_command(app)
    command.commands = _Commands({name: command.commands[name] for name in _HERE})
    return command


def leave(number: int, frame: FrameType | None) -> None:
    """Ends the process in order: whoever asked it to stop gets exit code 0, for it did."""
    raise SystemExit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; see `fault.py` for what the codes mean."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if os.getpid() == 1:  # of a container: what has no handler is not delivered, and imports may take long
            signal.signal(signal.SIGTERM, leave)
        code = _root_command().main(args=given, prog_name=PROG, standalone_mode=False)
        sys.stdout.flush()
    # The edge of the process: whatever comes up, a bug too, becomes words and an exit code.
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        from a2a_bridge.cli.fault import report

        return report(error, given)
    return code if isinstance(code, int) else 0
