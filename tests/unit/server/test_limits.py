"""Rates and places, by themselves: n - 1, n and n + 1, and time that a test sets."""

import pytest

from a2a_bridge.server.limits import KNOWN, Buckets, Places


def buckets(rate: float, burst: int) -> tuple[Buckets, list[float]]:
    now = [0.0]
    return Buckets(rate, burst, clock=lambda: now[0]), now


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    """R-SEC-10: the answer says how long until there is one."""
    found, now = buckets(2.0, 3)
    assert [found.take("a") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert found.take("a") == pytest.approx(0.5)
    now[0] = 0.49
    assert found.take("a") == pytest.approx(0.01)
    now[0] = 0.5
    assert found.take("a") == 0.0
    assert found.take("a") == pytest.approx(0.5)


def test_a_bucket_does_not_fill_beyond_its_burst() -> None:
    found, now = buckets(2.0, 3)
    now[0] = 1000.0
    assert [bool(found.take("a")) for _ in range(4)] == [False, False, False, True]


def test_each_key_has_its_own_bucket() -> None:
    """One caller never uses up what is another's."""
    found, _ = buckets(1.0, 1)
    assert found.take("a") == 0.0
    assert found.take("a") > 0
    assert found.take("b") == 0.0


def test_a_rate_of_nothing_is_no_limit() -> None:
    found, _ = buckets(0.0, 1)
    assert not any(found.take("a") for _ in range(100))


def test_whoever_was_not_seen_for_longest_is_forgotten_first() -> None:
    """A flood of addresses must not fill memory; whoever comes often stays known."""
    found, _ = buckets(1.0, 2)
    found.take("old")
    found.take("often")
    for number in range(KNOWN - 1):
        found.take(str(number))
        found.take("often")
    assert found.take("often") > 0
    assert found.take("old") == 0.0
    assert found.take("old") == 0.0


def test_places_are_counted_of_all_and_of_each() -> None:
    """n - 1 and n are given, n + 1 is not; one that is given back is free again, once."""
    found = Places(3, 2)
    first, second = found.take("a"), found.take("a")
    assert first is not None
    assert second is not None
    assert found.take("a") is None
    assert found.take("b") is not None
    assert found.take("b") is None
    first.give_back()
    first.give_back()
    assert found.take("a") is not None
    assert found.take("c") is None


def test_no_limit_of_places_is_no_limit() -> None:
    found = Places(0, 0)
    assert all(found.take("a") for _ in range(100))
