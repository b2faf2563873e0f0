"""The benchmark's row of CrewAI, which only the environment that has CrewAI can fill."""

import sys
from pathlib import Path

import pytest

from benchmarks import adapters


@pytest.mark.timeout(240)  # CrewAI is imported
def test_what_the_adapter_of_crewai_adds_is_measured_by_the_interpreter_of_its_own_environment() -> None:
    """Issue 5: a turn of CrewAI's own beside one through its adapter; neither is timed here."""
    plan = adapters.Plan(frameworks=("crewai",), rounds=1, turns=1, environments=Path(sys.prefix).parent)
    rows = adapters.measure(plan, lambda what: None)
    assert [row["framework"] for row in rows] == ["crewai"]
    assert "absent" not in rows[0]
    assert rows[0]["own_us"] > 0
    assert rows[0]["adapted_us"] > 0
