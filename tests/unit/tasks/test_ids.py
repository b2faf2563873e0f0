"""Ids of tasks, contexts and messages: unique, unguessable, and in the order of time (our decision: what a store writes
together lies together)."""

import uuid

from a2a_bridge.tasks.run import new_id


def test_ids_are_uuids_of_version_7_and_all_different() -> None:
    ids = [new_id() for _ in range(1000)]
    assert len(set(ids)) == 1000
    assert {(uuid.UUID(made).version, uuid.UUID(made).variant) for made in ids} == {(7, uuid.RFC_4122)}


def test_the_random_part_of_neighbours_has_nothing_in_common() -> None:
    """72 bits: nobody finds a task by counting on from his own."""
    tails = {new_id()[-12:] for _ in range(1000)}
    assert len(tails) == 1000
    assert len({tail[:2] for tail in tails}) > 100
