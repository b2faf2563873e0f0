"""Defaults of client commands from `.env` files: `A2ACLI_KEY=value`, one a line, the names of the variables.

Precedence: flag, environment variable, local file, `~/.config/a2a-cli/.env`, built-in default. The local file is the
one that `--config` names, else the nearest `.env` from the working directory upwards. Keys that do not begin with
`A2ACLI_` belong to somebody else and are not looked at. `A2ACLI_STREAM` is no such default, on purpose: the shape of
the output must be a function of the command line.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer

from a2a_bridge.cli.fault import usage

_PREFIX = "A2ACLI_"


def read_env_file(path: Path) -> dict[str, str]:
    """The `A2ACLI_` settings of a dotenv file. OSError if it cannot be read."""
    found: dict[str, str] = {}
    for line in path.read_text("utf-8", "replace").splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and name.strip().startswith(_PREFIX):
            found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value.partition(" #")[0].rstrip()


def _nearest(folder: Path) -> Path | None:
    return next((path for path in (f / ".env" for f in (folder, *folder.parents)) if path.is_file()), None)


def file_settings(config: Path | None) -> dict[str, str]:
    """What the files say together; the local one wins. CommandError for a `--config` that cannot be read."""
    found: dict[str, str] = {}
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "a2a-cli" / ".env"
    for path in (home, config or _nearest(Path.cwd())):
        if path is None or (path is home and not path.is_file()):
            continue
        try:
            found |= read_env_file(path)
        except OSError as error:
            if path is config:
                raise usage(f"--config {path}: {error.strerror or error}") from error
    return found


def lines(variable: str, config: Path | None) -> list[str]:
    """The lines of a variable, or of the setting of that name: for options whose values have spaces in them, which
    typer would part there."""
    found = os.environ.get(variable) or file_settings(config).get(variable, "")
    return [line for line in found.splitlines() if line.strip()]


def apply(ctx: typer.Context, config: Path | None) -> Path | None:
    """Callback of the eager option `--config`: makes the files the defaults of this command's other options."""
    if not ctx.resilient_parsing:
        settings = file_settings(config)
        ctx.default_map = {**(ctx.default_map or {}), **_by_parameter(ctx, settings)}
    return config


def _by_parameter(ctx: typer.Context, settings: Mapping[str, str]) -> dict[str, Any]:
    # What may be given several times has its values parted by spaces, as in a variable.
    return {
        parameter.name: settings[variable].split() if getattr(parameter, "multiple", False) else settings[variable]
        for parameter in ctx.command.params
        if parameter.name and isinstance(variable := getattr(parameter, "envvar", None), str) and variable in settings
    }
