"""Runs a program with the Python that has CrewAI: CrewAI needs older packages than other frameworks, so it has an
environment of its own, and A2A is the way in."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = Path(os.environ.get("CREWAI_PYTHON") or HERE.parents[1] / ".venv-crewai" / "bin" / "python")


@asynccontextmanager
async def in_the_other_environment(program: str, *arguments: str) -> AsyncIterator[asyncio.StreamReader]:
    """The program's standard output; it ends when its standard input closes, so at the latest when we end."""
    if not PYTHON.exists():
        sys.exit(f"{PYTHON} is missing: run scripts/setup, or set CREWAI_PYTHON to a Python that has crewai.")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(PYTHON, HERE / program, *arguments, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        process.stdin.close()
        await process.wait()
