"""The demo's crew, with a model that is told what to say; runs where CrewAI is installed."""

import os
from contextlib import aclosing
from pathlib import Path

import pytest

from a2a_bridge.agent import OutcomeFold
from a2a_bridge.demo.crew_agent import build_crew, default_cache, keep_quiet, speak_plainly
from a2a_bridge.demo.endpoint import EMBEDDED, Endpoint
from a2a_bridge.demo.prompt import Quoting
from a2a_bridge.demo.roles import MARKET_CREW
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import make_message, make_turn
from adapters.crewai.adapter import ADAPTER

pytestmark = pytest.mark.filterwarnings("ignore")  # CrewAI uses what it has deprecated itself

TURN = make_turn(make_message("Wallets grow.", speaker="planner"), history=[make_message("Trends.", speaker="human")])


@pytest.fixture(autouse=True)
def quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CrewAI as the demo runs it, writing below a folder that goes."""
    for name in ("HOME", "CREWAI_STORAGE_DIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    keep_quiet(tmp_path)
    return tmp_path


async def test_the_crew_hears_one_question_and_none_of_the_frameworks_own_sentences() -> None:
    """Demanded by the issue: the hook for the embedded model, the last message quoted, one question."""
    with FakeOpenAI() as fake:
        agent = Quoting(ADAPTER.adapt(build_crew(Endpoint(EMBEDDED, fake.base_url, "key")), name="crew"), MARKET_CREW)
        unhook = speak_plainly()
        fold = OutcomeFold()
        try:
            async with aclosing(agent.run(TURN)) as replies:
                async for reply in replies:
                    fold.add(reply)
        finally:
            unhook()
        (request,) = fake.requests
    asked = request.body["messages"][-1]["content"]
    assert asked == f'Topic: Trends.\nThe planner said: "Wallets grow."\n{MARKET_CREW.question}'
    assert fold.outcome().text.startswith("Echo: Topic: Trends.")
    assert fold.outcome().usage.output_tokens > 0


async def test_with_a_usual_model_the_crew_hears_the_whole_conversation(quiet: Path) -> None:
    """Our decision: the cure for a very small model is no way to treat others."""
    with FakeOpenAI() as fake:
        agent = ADAPTER.adapt(build_crew(Endpoint("usual", fake.base_url, "key")))
        async with aclosing(agent.run(TURN)) as replies:
            assert [reply async for reply in replies]
        asked = fake.requests[0].body["messages"][-1]["content"]
    assert "human: Trends.\nplanner: Wallets grow." in asked
    assert "This is the expected criteria" in asked


def test_what_a_crew_writes_goes_below_the_cache(quiet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Demanded by the issue: telemetry off, home and storage in a folder of ours."""
    assert os.environ["CREWAI_DISABLE_TELEMETRY"] == "true"
    assert Path(os.environ["HOME"]).is_relative_to(quiet)
    assert Path(os.environ["CREWAI_STORAGE_DIR"]).is_relative_to(quiet)
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_cache() == Path("/cache/a2a-bridge")
