"""The benchmarks run: smallest workloads end to end, nothing is timed. What must hold is in benchmarks/floors.py."""

import asyncio
import math
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from benchmarks import adapters, load, report, rooms, sandbox, wire
from benchmarks.floors import FLOORS, missed
from benchmarks.machine import calibration, facts
from benchmarks.peers.frameworks import FRAMEWORKS


def quiet(what: str) -> None:
    """Progress is for people."""


async def test_our_servers_and_the_limit_are_loaded_and_give_figures() -> None:
    """Issue 2, part 11: through `serve()`, memory and SQLite, beside raw Starlette on the same bytes."""
    servers = (wire.LIMIT, wire.MEMORY, wire.REST, wire.GUARDED, wire.SQLITE)
    plan = wire.Plan(workers=(2,), servers=servers, rounds=1, seconds=0.01)
    cells = await asyncio.wait_for(wire.measure(plan, quiet), 50.0)
    assert {(cell.workload, cell.server) for cell in cells} == {
        (workload, server) for workload in wire.AGENTS for server in servers
    }
    streams = [cell for cell in cells if cell.workload != "w1"]
    assert all(cell.load.events == 202 * cell.load.requests for cell in streams), "task, 200 chunks, completed"
    rows = report.wire_summary(cells)
    assert "sqlite" in report.wire_text(rows)
    assert "share of the limit" not in report.floors_text({"wire": rows}), "floors are about 16 requests in flight"


def test_rooms_are_measured_in_both_journals_and_over_loopback() -> None:
    """Issue 2, part 11: room turns, in process and federated."""
    talks = [
        rooms.Talk(rooms.OURS, 2, 4),
        rooms.Talk(rooms.OURS, 2, 4, journal="sqlite"),
        rooms.Talk(rooms.OURS, 2, 4, remote=True),
    ]
    rows = rooms.measure(rooms.Plan(talks, rounds=1, least=4), quiet)
    assert [row["remote"] for row in rows] == [False, False, True]
    assert "a federated turn" in report.rooms_text(rows)


@pytest.mark.parametrize("framework", ["langgraph", "google_adk"])
def test_what_an_adapter_adds_is_measured_beside_the_frameworks_own_turn(framework: str) -> None:
    """Issue 5: printed by the benchmark, per turn and per token; the floor is a ratio within one process."""
    rows = adapters.measure(adapters.Plan(frameworks=(framework,), rounds=1, turns=1), quiet)
    assert [row["framework"] for row in rows] == [framework]
    assert rows[0]["own_us"] > 0
    assert rows[0]["adds_us"] == pytest.approx(rows[0]["adapted_us"] - rows[0]["own_us"])
    assert framework in report.adapters_text(rows)
    told = report.floors_text({"adapters": rows})
    assert f"a turn through the adapter: {framework}'s own share of it" in told
    assert f"adapter of {framework}, adds to a token" in told


def test_every_adapter_of_the_project_is_measured() -> None:
    """A framework that is left out of the table would look as if it cost nothing."""
    assert set(FRAMEWORKS) == {point.name for point in entry_points(group="a2a_bridge.adapters")}


def test_a_framework_whose_environment_is_not_here_is_told_in_the_table_and_misses_no_floor(tmp_path: Path) -> None:
    """CrewAI has an environment of its own; what was not measured is never left out in silence."""
    rows = adapters.measure(adapters.Plan(frameworks=("crewai",), environments=tmp_path), quiet)
    told = report.adapters_text(rows)
    assert "crewai is not measured: the environment .venv-crewai is not here: scripts/setup makes it" in told
    assert "nan" not in told
    assert missed({"adapters": rows}) == []
    assert report.floors_text({"adapters": rows}) == ""


def test_an_adapter_that_costs_more_than_a_quarter_misses_its_floor() -> None:
    """Issue 5: at most 25 % on top of the framework's own turn."""
    row: dict[str, Any] = {"framework": "ag2", "own_share": 0.79}
    assert len(missed({"adapters": [row]})) == 1
    assert missed({"adapters": [{**row, "own_share": 0.8}]}) == []


async def test_the_official_sdk_answers_the_same_requests() -> None:
    """A peer that answered with an error would look fast."""
    plan = wire.Plan(workers=(1,), servers=(wire.MEMORY, wire.SDK), rounds=1, seconds=0.01)
    cells = await asyncio.wait_for(wire.measure(plan, quiet), 50.0)
    assert {cell.load.events // cell.load.requests for cell in cells if cell.workload == "w2"} == {202}


async def test_a_server_that_refuses_is_an_error_and_not_a_figure() -> None:
    async with wire.running((wire.MEMORY,)) as (server,):
        make = wire.requests(server.port, "nobody", stream=False)
        with pytest.raises(load.LoadError, match="not an answer"):
            await load.run(server.port, make, workers=1, seconds=0.01, stream=False, cpu=server.process.cpu)


def test_a_floor_is_missed_when_its_figure_is_too_low_and_not_when_there_is_none() -> None:
    row: dict[str, Any] = {"workload": "w1", "workers": 16, "server": "memory", "times_sdk": 3.0, "of_limit": math.nan}
    assert [floor.what for floor in missed({"wire": [row]})] == [FLOORS[0].what]
    assert missed({}) == []
    assert "MISSED" in report.floors_text({"wire": [row]})


def test_a_run_says_where_it_was_made() -> None:
    assert facts().keys() > {"python", "cores", "a2a-sdk"}
    assert calibration() > 0


async def test_the_start_of_a_sandbox_is_measured_or_it_is_said_why_not() -> None:
    """Issue 4: start-up p99 printed."""
    told: list[str] = []
    rows = await sandbox.measure(2, told.append)
    assert [row["start"] for row in rows] == ["bubblewrap, Python", "bubblewrap, shell", "no sandbox, Python"] or (
        rows == [] and "not measured" in told[0]
    )
    assert "target: p99 of a sandbox below 250 ms" in sandbox.text(rows)
