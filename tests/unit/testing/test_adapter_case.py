"""What a case of the adapter contract is made of."""

import pytest

from a2a_bridge.testing.adapter_case import FEATURES, support
from a2a_bridge.testing.adapter_contract import AdapterContract


class Whole(AdapterContract):
    """A framework that can do everything; no factories, so nothing of it is run."""

    __test__ = False


class Limited(AdapterContract):
    """A framework that cannot wait."""

    __test__ = False
    limits = {"restarts": "it keeps a pause in memory only"}


def collected(case: type) -> set[str]:
    """The names of the tests that pytest would collect."""
    return {name for name in dir(case) if name.startswith("test_") and callable(getattr(case, name))}


def test_a_limit_takes_its_tests_out_and_its_reason_into_the_matrix() -> None:
    """Issue 5: none skipped except what is impossible, and each such cell is explained."""
    assert collected(Whole) - collected(Limited) == {"test_a_question_can_be_answered_after_a_restart"}
    assert set(support(Whole).values()) == {"yes"}
    assert support(Limited) == {**support(Whole), "restarts": "it keeps a pause in memory only"}


def test_every_feature_of_the_matrix_is_shown_by_a_test() -> None:
    """Ours: a row without a test behind it would be a promise."""
    shown = {getattr(getattr(Whole, name), "a2a_bridge_shows", None) for name in collected(Whole)}
    assert set(FEATURES) <= shown


def test_a_limit_that_is_no_feature_is_refused() -> None:
    """Ours: a misspelt limit would silently limit nothing."""
    with pytest.raises(ValueError, match="telepathy"):
        type("Misspelt", (AdapterContract,), {"limits": {"telepathy": "no"}})


def test_a_framework_that_does_not_stream_need_not_stop_between_tokens() -> None:
    """Ours: what blocks and tells nothing on its way goes on to its end, and is held to nothing else."""
    case = type("Blocks", (AdapterContract,), {"limits": {"tokens": "it says all at once"}})
    assert case.test_a_cancelled_turn_stops_at_the_next_token_at_the_latest is None
    assert case.test_a_reader_that_leaves_early_leaves_no_work_behind is None
    assert case.test_a_context_goes_on_after_a_cancelled_turn is not None
