"""An agent inside a framework of somebody else."""

import json
from typing import Any

import pytest

from a2a_bridge import adapt
from a2a_bridge.agent import Ask, Fail, Say, Turn
from a2a_bridge.client.hosted import Hosted, HostJournal, hosted_message
from a2a_bridge.errors import AdapterFailedError
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.adapter_case import within


async def taken(hosted: Hosted, said: str, key: str) -> list[Any]:
    """One turn's replies."""
    message = hosted_message([Part(text=said)], key=key)
    return [reply async for reply in hosted.take([message], key=key)]


async def test_a_step_that_is_run_again_is_the_same_turn() -> None:
    """Issue 5, part 2: idempotent on a re-run."""
    seen: list[str] = []

    async def agent(turn: Turn) -> str:
        seen.append(turn.id)
        return "done"

    hosted = Hosted(adapt(agent), "context")
    await within(taken(hosted, "go", "1"))
    again = Hosted(adapt(agent))
    again.load(json.loads(json.dumps(hosted.state)))
    await within(taken(again, "go", "1"))
    await within(taken(again, "go", "2"))
    assert seen[0] == seen[1] != seen[2]


async def test_a_question_travels_in_the_state_and_is_answered_by_the_next_turn() -> None:
    """Ours: a host that is restored goes on where it was."""

    async def agent(turn: Turn) -> Any:
        yield Say(f"You said {turn.answer.option()}") if turn.answer else Ask("Sure?", options=("yes", "no"), id="q")

    hosted = Hosted(adapt(agent))
    await within(taken(hosted, "go", "1"))
    assert [part.text for part in hosted.parts] == ["Sure?"]
    again = Hosted(adapt(agent))
    again.load(json.loads(json.dumps(hosted.state)))
    await within(taken(again, "Yes!", "2"))
    assert (again.outcome.text, again.asks) == ("You said yes", ())


async def test_a_turn_that_failed_raises_with_its_reason() -> None:
    """Ours: a host knows failures as exceptions."""

    async def agent(turn: Turn) -> Any:
        yield Fail("no paper")

    with pytest.raises(AdapterFailedError, match="no paper"):
        await within(taken(Hosted(adapt(agent)), "go", "1"))


async def test_a_journal_in_a_hosts_state_is_a_journal() -> None:
    """Architecture §1.1: order, snapshots, children."""
    journal = HostJournal()
    await journal.append(b"1")
    await journal.append(b"2", snapshot=True)
    await journal.append(b"\xff")
    await journal.child("seat").append(b"inside")
    again = HostJournal(json.loads(json.dumps(journal.state())))
    assert await again.read() == [(2, b"2"), (3, b"\xff")]
    assert await again.read(after=2) == [(3, b"\xff")]
    assert await again.child("seat").read() == [(1, b"inside")]
    await again.append(b"4")
    assert (await again.read())[-1] == (4, b"4")
