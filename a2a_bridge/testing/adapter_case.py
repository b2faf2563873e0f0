"""What an adapter's tests are told about its framework, and what they say about it afterwards.

A case makes objects in the framework's own terms. What the framework cannot do by nature it says in `limits`, with the
reason: the tests of that feature are then not part of the case, and `support` puts the reason where others have a yes.
"""

import asyncio
import importlib
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from importlib import metadata
from typing import Any, ClassVar, TypeVar

import pytest

from a2a_bridge.agent import Adapter, Agent, Outcome, Reply, Turn, outcome
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.network_guard import network_guard
from a2a_bridge.testing.turns import replies_of
from a2a_bridge.testing.wire import WAIT

STOPS = 5.0
"""Seconds in which a model call has ended whose turn was cancelled."""

IMPORT_WAIT = 120.0
"""Seconds for an interpreter that imports a whole framework on a busy machine."""

FEATURES: Mapping[str, str] = {
    "answers": "a message gets an answer, over HTTP too",
    "tokens": "tokens are streamed as they come",
    "history": "what was said before reaches the model",
    "speakers": "the model knows who said what",
    "images": "images reach the model",
    "structured": "structured output is data",
    "usage": "tokens are counted",
    "tools": "tool calls and results are told",
    "pauses": "stops for a human, goes on with the answer",
    "restarts": "the answer may come after a restart",
    "cancels": "a cancel stops the model call at once",
    "counted": "a cancelled turn is counted until its work has ended",
    "contexts": "contexts at the same time never mix",
    "errors": "errors are told without their words",
    "silence": "no terminal, no telemetry",
    "card": "the card tells the object's tools",
}
"""What the support matrix has a row for, in its order."""

_SHOWS = "a2a_bridge_shows"
_Test = TypeVar("_Test", bound=Callable[..., Any])


def shows(feature: str) -> Callable[[_Test], _Test]:
    """The test shows a feature of the matrix; a case that names the feature in its `limits` does not have the test."""
    if feature not in FEATURES:
        raise ValueError(f"{feature!r} is no feature: {', '.join(FEATURES)}")

    def mark(test: _Test) -> _Test:
        setattr(test, _SHOWS, feature)
        return test

    return mark


class AdapterCase:
    """What the tests need. `module` holds `ADAPTER`; the factories give one object each, in the framework's own terms.

    `plain` answers with its model and sees what was said before; `with_tools` has the tools `add(a: int, b: int)`
    ("Add two integers.") and `broken()`, which raises `RuntimeError(SECRET)`; `structured` answers with the model
    `Weather` (city: str, degrees: float); `asking` stops for an answer when it is told `ask`, and says `done` when
    the answer is yes. `memory` is whatever a rebuilt object must share with the first one: one per test.
    `limits`: feature of the matrix -> why this framework cannot have it, as a sentence without a stop.
    """

    module: ClassVar[str]
    ask: ClassVar[str] = ""
    done: ClassVar[str] = ""
    limits: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if unknown := set(cls.limits) - set(FEATURES):
            raise ValueError(f"{cls.__name__}.limits: {', '.join(sorted(unknown))} are no features")
        for name in dir(cls):
            if getattr(getattr(cls, name), _SHOWS, None) in cls.limits:
                setattr(cls, name, None)  # pytest collects functions

    def plain(self, model: FakeOpenAI) -> Any:
        """An object with a model and no tools."""
        raise NotImplementedError

    def with_tools(self, model: FakeOpenAI) -> Any:
        """An object whose model may call `add` and `broken`."""
        raise NotImplementedError

    def structured(self, model: FakeOpenAI) -> Any:
        """An object whose answer is a `Weather`."""
        raise NotImplementedError

    def memory(self) -> Any:
        """What outlives an object: a checkpointer, say."""
        return None

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        """An object that asks before it goes on."""
        raise NotImplementedError

    async def close(self) -> None:
        """Called after each test, in its event loop: close the connections of what the factories made."""

    @pytest.fixture(autouse=True)
    async def _closed(self) -> AsyncIterator[None]:
        yield
        await self.close()

    @pytest.fixture
    def adapter(self) -> Adapter:
        """The adapter under test."""
        adapter = importlib.import_module(self.module).ADAPTER
        assert isinstance(adapter, Adapter)
        return adapter

    @pytest.fixture
    def model(self) -> Iterator[FakeOpenAI]:
        """The fake model, inside the network guard."""
        with network_guard() as attempts, FakeOpenAI() as model:
            yield model
        assert attempts == []

    @pytest.fixture
    def agent(self, adapter: Adapter, model: FakeOpenAI) -> Agent:
        """`plain`, adapted."""
        return adapter.adapt(self.plain(model))


SECRET = "the password is swordfish"
"""What a tool's exception says, and nobody may hear."""


def support(case: type[AdapterCase]) -> dict[str, str]:
    """The case's column of the support matrix: for each feature "yes", or the reason why not."""
    return {feature: case.limits.get(feature, "yes") for feature in FEATURES}


def versions(adapter: Adapter) -> dict[str, str]:
    """The installed versions of what the adapter's `requires` names: of its extra, or of the distribution itself."""
    distribution, _, extra = adapter.requires.rstrip("]").partition("[")
    needed = [distribution]
    if extra:
        lines = metadata.requires(distribution) or []
        needed = [line for line in lines if re.search(rf"""extra == ['"]{re.escape(extra)}['"]""", line)]
    names = [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in needed]
    return {name: metadata.version(name) for name in sorted(names)}


def run_python(code: str) -> str:
    """What an interpreter of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=IMPORT_WAIT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def asked(model: FakeOpenAI) -> str:
    """What the model was asked last, as JSON text."""
    return json.dumps(model.requests[-1].body, ensure_ascii=False)


async def within(work: Any, seconds: float = WAIT) -> Any:
    """The result of `work`, which must come in time."""
    return await asyncio.wait_for(work, seconds)


async def said(agent: Agent, turn: Turn) -> Outcome:
    """What one turn came to."""
    replies: list[Reply | str] = await within(replies_of(agent, turn))
    return outcome(replies)
