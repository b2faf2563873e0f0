"""Every example runs to its end, offline."""

import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
GUARDED = """
import pathlib, runpy, sys
from a2a_bridge.testing.network_guard import network_guard

sys.path.insert(0, str(pathlib.Path(sys.argv[1]).parent))
with network_guard() as tried:
    runpy.run_path(sys.argv[1], run_name="__main__")
assert tried == [], tried
"""

pytestmark = pytest.mark.timeout(150)  # some import four frameworks, in two environments


@cache
def run_example(example: Path) -> str:
    """What it prints, run once; a connection that leaves this machine is refused, and fails it at its end."""
    run = subprocess.run(
        [sys.executable, "-c", GUARDED, str(example)], cwd=ROOT, capture_output=True, text=True, timeout=140
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_to_its_end(example: Path) -> None:
    """Ours: nobody copies code that does not run, and none needs a network."""
    assert run_example(example).strip()


def test_a_group_chat_of_ag2_that_was_moved_over_says_the_same_as_before(tmp_path: Path) -> None:
    """Issue 5, part 5: an existing AG2 classic group chat moved over by changing imports."""
    moved = ROOT / "examples" / "moved_from_ag2.py"
    before = tmp_path / "before.py"
    text, changed = re.subn(r"(?m)^from a2a_bridge import ", "from autogen import ", moved.read_text("utf-8"))
    assert changed == 1
    before.write_text(text)
    spoken = [
        [line for line in run_example(program).splitlines() if line.startswith("=> ")] for program in (before, moved)
    ]
    assert len(spoken[0]) == 4
    assert spoken[0] == spoken[1]


def test_the_mixed_room_hears_its_human_and_all_four_frameworks() -> None:
    """Issue 5, part 5: a mixed room of LangGraph, CrewAI, AG2 classic and OpenAI Agents with a human."""
    shown = run_example(ROOT / "examples" / "four_frameworks.py")
    spoken = re.findall(r"(?m)^(\w+): ", shown)
    assert spoken[:6] == ["planner", "analyst", "critic", "writer", "human", "planner"]
    assert "INPUT_REQUIRED" in shown
    assert "planner: So: a pilot in two rural towns, with vouchers" in shown


def test_the_red_team_finds_the_leak() -> None:
    """Issue 5, part 5: a room that red-teams a LangGraph agent behind A2A."""
    shown = run_example(ROOT / "examples" / "red_team.py")
    assert shown.count("judge: Held.") == 2
    assert shown.splitlines()[-1] == "3 attempts; stopped: terminated by judge"


def test_a_crew_writes_down_what_a_published_room_came_to() -> None:
    """Issue 5, part 5: a CrewAI crew that uses a published room as a tool."""
    shown = run_example(ROOT / "examples" / "crew_uses_a_room.py")
    assert shown.strip() == "Memo: Yes, if they work without a network."
