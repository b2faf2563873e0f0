"""`module:attribute` as the object it names, with errors that say what is wrong with it."""

import difflib
import importlib
import os
import sys
from pathlib import Path
from typing import Any

from a2a_bridge.adaptation import adapters
from a2a_bridge.errors import ConfigError


def load_target(target: str) -> Any:
    """The object that `module:attribute` names; the working directory is searched first.

    `attribute` may be dotted. ConfigError says whether the module or the attribute is missing; an error that the
    module itself raises while it is imported is passed on as the cause.
    """
    module_name, colon, path = target.partition(":")
    if not colon or not module_name or not path:
        raise ConfigError(f"{target!r} is not MODULE:ATTRIBUTE, such as app.agents:planner")
    if module_name.endswith(".py") and Path(module_name).is_file():
        dotted = ".".join(Path(module_name).with_suffix("").parts)
        raise ConfigError(
            f"{target!r} names a file: a module is named without .py, with dots for folders: {dotted}:{path}"
        )
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.insert(0, folder)
    found: Any = _module(module_name, target, folder)
    for step in path.split("."):
        try:
            found = getattr(found, step)
        except AttributeError:
            raise ConfigError(f"{target}: {module_name} has no {path!r}{_near(found, step)}") from None
    return found


def _module(name: str, target: str, folder: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ConfigError(f"{target}: there is no module {error.name!r} in {folder} or installed") from None
        raise ConfigError(
            f"{target}: {name} needs the module {error.name!r}, which is not installed{_extra(error.name)}"
        ) from error
    except Exception as error:  # code of the user: whatever it raises is told, with its place
        raise ConfigError(
            f"{target}: importing {name} failed: {type(error).__name__}: {error}{_place(error)}"
        ) from error


def _extra(module: str | None) -> str:
    """What to type if the module is the framework of an adapter, or its top-level package."""
    for adapter in adapters():
        if module is not None and f"{adapter.package}.".startswith(f"{module}."):
            return f'. Install it with: pip install "{adapter.requires}"'
    return ""


def _place(error: BaseException) -> str:
    """File and line where an error came up; a SyntaxError says them itself."""
    if isinstance(error, SyntaxError):
        return ""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f" ({trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno})"


def _near(owner: Any, name: str) -> str:
    close = difflib.get_close_matches(name, [known for known in dir(owner) if not known.startswith("_")], n=1)
    return f". Did you mean {close[0]!r}?" if close else ""
