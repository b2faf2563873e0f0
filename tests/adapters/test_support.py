"""The support matrix of the README is what the cases say, for all frameworks of the MODERN environment."""

import os
from functools import cache

import pytest
from support_matrix import NOT_YET, Column, adapter_names, cases, check, column, missing_checks, read, render, vars_of

from a2a_bridge.testing.adapter_case import FEATURES, AdapterCase
from a2a_bridge.testing.adapter_contract import AdapterContract

pytestmark = pytest.mark.timeout(300)  # all frameworks are imported
ELSEWHERE = "crewai"
LEAST = 14


@cache
def ours() -> dict[str, list[type[AdapterCase]]]:
    """The cases of every adapter whose framework is in this environment."""
    return cases("test_*.py", without="test_crewai*.py")


def test_the_readme_shows_what_the_cases_of_each_adapter_say() -> None:
    """Issue 5: the matrix is generated and compared; WRITE_SUPPORT=1 writes it."""
    assert set(ours()) == set(adapter_names()) - {ELSEWHERE}
    own = {name: column(name, of) for name, of in ours().items()}
    check(own, os.environ.get("WRITE_SUPPORT") == "1")


def test_every_case_runs_the_whole_contract_but_for_what_it_explains() -> None:
    """Issue 5: at least 14 checks for each adapter, none skipped except what is impossible."""
    assert len(vars_of(AdapterContract)) >= LEAST
    for case in (case for of in ours().values() for case in of):
        assert missing_checks(case, AdapterContract) == [], case
        assert sum(callable(test) for test in vars_of(case).values()) >= LEAST, case


class Whole(AdapterContract):
    """The first of two."""

    __test__ = False
    module = "adapters.made_up.adapter"


class Limited(AdapterContract):
    """The second of two."""

    __test__ = False
    module = "adapters.made_up.adapter"
    limits = {"tokens": "it speaks in whole sentences"}


def test_what_only_some_objects_of_a_framework_can_is_partly_and_says_which() -> None:
    """Ours: a reason is shown at every limit."""
    at = list(FEATURES).index("tokens")
    assert column("made_up", [Whole]).cells == ("yes",) * len(FEATURES)
    both = column("made_up", [Whole, Limited])
    assert both.cells[at] == "partly"
    expected = f"- **made_up**, {FEATURES['tokens']} (“The second of two”): it speaks in whole sentences"
    assert both.reasons == (expected,)
    alone = column("made_up", [Limited])
    assert alone.cells[at] == "no"
    assert alone.reasons == (expected.replace(" (“The second of two”)", ""),)


def test_a_check_that_was_taken_out_without_a_reason_is_found() -> None:
    """Ours: overriding a check of the contract is no way to pass it."""
    lazy = type("Lazy", (AdapterContract,), {"__test__": False, "test_a_message_gets_an_answer": None})
    assert missing_checks(lazy, AdapterContract) == ["test_a_message_gets_an_answer"]
    assert missing_checks(Limited, AdapterContract) == []


def test_columns_of_another_environment_stay_as_they_are() -> None:
    """Ours: no environment has all frameworks."""
    columns = {"first": column("first", [Limited]), "second": Column()}
    assert read(render(columns)) == columns
    assert set(columns["second"].cells) == {NOT_YET}
