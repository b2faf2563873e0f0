"""What a program is told when it names a framework that is not installed: here nothing is, but Python's own library."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [
    ("ag2", "ag2", "ag2", ("agent", "remote")),
    ("ag2_classic", "autogen", "ag2-classic", ("agent", "remote")),
    ("agent_framework", "agent_framework", "agent-framework", ("agent", "workflow", "functional", "remote")),
    ("autogen", "autogen_agentchat", "autogen", ("agent", "remote")),
    ("crewai", "crewai", "crewai", ("crew", "flow", "remote")),
    ("google_adk", "google", "google-adk", ("agent", "remote")),
    ("langgraph", "langchain_core", "langgraph", ("graph", "entrypoint", "remote")),
    ("openai_agents", "agents", "openai-agents", ("agent", "remote")),
    ("pydantic_ai", "pydantic_ai", "pydantic-ai", ("agent", "remote")),
]


@pytest.mark.parametrize(
    ("module", "missing", "extra"),
    [(f"adapters.{name}.{part}", missing, extra) for name, missing, extra, parts in MODULES for part in parts],
)
def test_a_module_whose_framework_is_missing_names_the_extra(module: str, missing: str, extra: str) -> None:
    """README, "Install": it stays a ModuleNotFoundError with the module's name, for those who catch it."""
    program = f"try: import {module}\nexcept ModuleNotFoundError as error: print(error.name, error, sep=': ')"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    wanted = f'{missing} is not installed. Install it with: pip install "a2a-agent-bridge[{extra}]"'
    assert done.stdout == f"{missing}: {wanted}\n"
