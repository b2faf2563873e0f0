"""What docs/operating.md says is so."""

import re
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from a2a_bridge.bridge import Bridge
from a2a_bridge.config import ServerSettings, load_config
from a2a_bridge.listen import FEW_FILES
from a2a_bridge.observe import metrics
from a2a_bridge.server.limits import Limits
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.server import running
from a2a_bridge.testing.wire import Wire

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operating.md").read_text("utf-8")


@pytest.fixture
def counting() -> Iterator[metrics.Metrics]:
    """As a server has them that counts."""
    before = metrics.active
    metrics.switch_off()
    yield metrics.switch_on()
    metrics.active = before


@asynccontextmanager
async def serving(store: Path | None = None) -> AsyncIterator[Wire]:
    """A client of a server that keeps its tasks there."""
    kept = None if store is None else SQLiteStore(store)
    async with (
        running(lambda url: Bridge(Obedient(), public_url=url, store=kept)) as url,
        httpx.AsyncClient(base_url=url, headers={"A2A-Version": "1.0"}) as http,
    ):
        yield Wire(http)


def families(text: str) -> dict[str, tuple[str, ...]]:
    return {family.name: tuple(family.samples) for family in text_string_to_metric_families(text)}


def test_every_metric_is_in_the_table_with_its_labels(counting: metrics.Metrics) -> None:
    rows = re.findall(r"^\| (`.*`) \| (.*?) \|", PAGE, re.MULTILINE)
    told = {name: labels.split(", ") for names, labels in rows for name in re.findall(r"`(\w+)`", names)}
    own = metrics.Metrics(CollectorRegistry())
    made = {
        name + ("_total" if kind == "counter" else ""): list(labels)
        for name, kind, labels in (
            (found._name, found._type, found._labelnames) for found in set(own.registry._collector_to_names)
        )
    }
    assert told == made


def test_the_process_is_measured_too(counting: metrics.Metrics) -> None:
    text, _ = counting.text()
    assert {"process_open_fds", "process_resident_memory_bytes"} <= families(text.decode()).keys()


async def test_what_callers_make_up_does_not_become_a_label(counting: metrics.Metrics) -> None:
    """A series for each id, path or method that a stranger thinks of would fill the memory of whoever collects them."""
    async with serving() as wire:

        async def odd(n: int) -> int:
            call = {"jsonrpc": "2.0", "id": n, "method": f"Odd{n}", "params": {"tenant": f"t{n}"}}
            await wire.http.post("/", json=call)
            await wire.http.get(f"/odd{n}")
            await wire.http.get(f"/tasks/odd{n}", headers={"A2A-Version": f"9.{n}"})
            await wire.http.request(f"ODD{n}", "/message:send")
            await wire.send(f"odd {n}")
            return sum(map(len, families((await wire.http.get("/metrics")).text).values()))

        first = await odd(0)
        assert [await odd(n) for n in range(1, 4)] == [first] * 3
        assert "odd" not in (await wire.http.get("/metrics")).text.lower()


async def test_the_copy_of_a_running_store_is_whole(tmp_path: Path) -> None:
    """By the page's own words."""
    command = re.search(r"python -m sqlite3 \S+ \"(VACUUM INTO '(\S+)')\"", PAGE)
    assert command is not None
    file, copy = tmp_path / "tasks.sqlite", tmp_path / "copy.sqlite"
    async with serving(file) as wire:
        task = await wire.send("hello")
        with closing(sqlite3.connect(file)) as connection:
            connection.execute(command[1].replace(command[2], str(copy)))
    async with serving(copy) as wire:
        assert await wire.get(task["id"]) == task


def test_its_numbers_and_variables_are_those_of_the_program() -> None:
    variables = dict(re.findall(r"^    (A2A_BRIDGE_\w+)=(.*)$", PAGE, re.MULTILINE))
    assert load_config(None, variables).auth.schemes.keys() == {"key"}
    assert load_config(None, {"A2A_BRIDGE_SERVER__LIMITS__RATE": "2"}).server.limits.rate == 2
    limits = Limits()
    assert limits.grace == 10
    assert ServerSettings().keep_alive > 60
    words = " ".join(PAGE.split())
    told = ("`grace` (ten seconds)", f"`ping` ({limits.ping:g} seconds)", f"`body` ({limits.body >> 20} MiB;")
    assert [each for each in (*told, f"below {FEW_FILES:,}.") if each not in words] == []


def test_what_it_links_to_is_there() -> None:
    targets = re.findall(r"\]\(([^)]+)\)", PAGE)
    assert targets
    assert [target for target in targets if not (ROOT / "docs" / target).exists()] == []
