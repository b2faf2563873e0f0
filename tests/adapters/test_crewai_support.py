"""The column of CrewAI in the README's support matrix, which only the environment that has CrewAI can make."""

import os

from support_matrix import cases, check, column, missing_checks

from a2a_bridge.testing.adapter_contract import AdapterContract


def test_the_readme_shows_what_the_cases_of_crewai_say() -> None:
    """Issue 5: the matrix is generated and compared; WRITE_SUPPORT=1 writes it."""
    found = cases("test_crewai*.py")
    assert list(found) == ["crewai"]
    assert [missing for case in found["crewai"] for missing in missing_checks(case, AdapterContract)] == []
    check({"crewai": column("crewai", found["crewai"])}, os.environ.get("WRITE_SUPPORT") == "1")
