"""What every adapter has to do, as one class of tests: subclass `AdapterContract`, fill in the factories, run pytest.

The objects that the factories make talk to a `FakeOpenAI`, whose directives (`SAY`, `CALL`, `SLOW`, `FAIL500`; see
`fake_model`) decide what their model does. While a test runs, every connection that leaves this machine is refused
and fails the test. A framework that is not installed is a failure, never a skip.
"""

import asyncio
import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, ClassVar

import pytest

from a2a_bridge.agent import (
    Adapter,
    Agent,
    Ask,
    Chunk,
    Outcome,
    Reply,
    ToolCall,
    ToolResult,
    Turn,
    outcome,
    traits_of,
)  # fmt: skip
from a2a_bridge.bridge import Bridge
from a2a_bridge.cards.build import build_card
from a2a_bridge.client.client import Client
from a2a_bridge.errors import AdapterFailedError
from a2a_bridge.protocol.objects import Task, TaskState
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.network_guard import network_guard
from a2a_bridge.testing.server import running
from a2a_bridge.testing.turns import Talk, make_turn, replies_of

WAIT = 5.0
"""Seconds that a test waits for anything."""

IMPORT_WAIT = 120.0
"""Seconds for an interpreter that imports a whole framework on a busy machine."""


class AdapterCase:
    """What the tests need. `module` holds `ADAPTER`; the factories give one object each, in the framework's own terms.

    `plain` answers with its model and sees what was said before; `with_tool` has a tool `add(a: int, b: int)`;
    `asking` stops for an answer when it is told `ask`, and when the answer is yes says `done` (None: the
    framework cannot pause). `memory` is whatever a rebuilt object must share with the first one: one per test.
    """

    module: ClassVar[str]
    ask: ClassVar[str] = ""
    done: ClassVar[str] = ""

    def plain(self, model: FakeOpenAI) -> Any:
        """An object with a model and no tools."""
        raise NotImplementedError

    def with_tool(self, model: FakeOpenAI) -> Any:
        """An object whose model may call `add`."""
        raise NotImplementedError

    def memory(self) -> Any:
        """What outlives an object: a checkpointer, say."""
        return None

    def asking(self, model: FakeOpenAI, memory: Any) -> Any:
        """An object that asks before it goes on; None if the framework cannot."""
        return None

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


class AdapterIsFound(AdapterCase):
    """How an adapter is found and loaded, and what it makes of an object before that takes a turn."""

    def test_the_adapter_knows_the_class_of_its_objects(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Architecture §1.2: an object is found by (module, qualified name) of its classes."""
        for obj in (self.plain(model), self.with_tool(model)):
            assert adapter.classes & {(cls.__module__, cls.__qualname__) for cls in type(obj).__mro__}

    def test_an_adapted_object_has_a_name_a_description_and_a_card(self, adapter: Adapter, agent: Agent) -> None:
        """Ours: what `serve(obj)` publishes needs no further words."""
        assert agent.name
        assert agent.description
        assert traits_of(agent).framework == adapter.name
        card = build_card(agent, url="http://127.0.0.1/")
        assert card.name == agent.name
        assert card.skills

    def test_a_given_name_and_description_win(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Architecture §1.2: `adapt(obj, name=, description=)` overrides."""
        agent = adapter.adapt(self.plain(model), name="planner", description="Plans trips.")
        assert (agent.name, agent.description) == ("planner", "Plans trips.")

    def test_importing_the_adapter_does_not_import_its_framework(self, adapter: Adapter) -> None:
        """Architecture §1.2: looking for an adapter costs nothing."""
        assert run_python(f"import sys, {self.module}; print({_top(adapter)!r} in sys.modules)") == "False"

    def test_without_its_framework_the_adapter_says_what_to_install(self, adapter: Adapter) -> None:
        """Architecture §3: the text of AdapterNotInstalledError is the pip install line."""
        words = run_python(_HIDDEN.format(package=_top(adapter)) + _ADAPT.format(module=self.module))
        assert f'pip install "{adapter.requires}"' in words

    def test_another_package_under_the_frameworks_name_is_pointed_out(self, adapter: Adapter, tmp_path: Path) -> None:
        """Architecture §3: a hidden framework says which other package hides it."""
        hiding = tmp_path / _top(adapter)
        hiding.mkdir()
        (hiding / "__init__.py").touch()
        words = run_python(f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n" + _ADAPT.format(module=self.module))
        assert str(hiding) in words


class AdapterContract(AdapterIsFound):
    """All of it: subclass this one."""

    async def test_a_message_gets_an_answer(self, agent: Agent) -> None:
        """Ours: the main path."""
        assert (await said(agent, make_turn("SAY good morning"))).text == "good morning"

    async def test_an_answer_comes_in_more_than_one_piece(self, agent: Agent) -> None:
        """Issue 2, part 7: tokens are streamed, not collected."""
        replies = await within(replies_of(agent, make_turn("SAY one two three four")))
        assert len([reply for reply in replies if isinstance(reply, str | Chunk)]) > 1

    async def test_the_first_piece_comes_while_the_model_is_still_speaking(
        self, agent: Agent, model: FakeOpenAI
    ) -> None:
        """Issue 2, part 7: streamed means as it happens."""
        async with aclosing(agent.run(make_turn("SAY hello SLOW"))) as replies:
            async for reply in replies:
                if isinstance(reply, str) and reply.strip():
                    break
            assert model.open == 1
            model.release()

    async def test_what_was_said_before_reaches_the_model(self, agent: Agent, model: FakeOpenAI) -> None:
        """Architecture §1.1: a context has a history, whether the framework keeps it or we hand it over."""
        talk = Talk(agent)
        await within(talk.say("SAY my name is Ada"))
        await within(talk.say("What is it?"))
        seen = asked(model)
        assert "my name is Ada" in seen
        assert seen.count("What is it?") == 1

    async def test_tokens_are_counted(self, agent: Agent) -> None:
        """Issue 2: the demo prints tokens per speaker."""
        usage = (await said(agent, make_turn("SAY something"))).usage
        assert usage.input_tokens > 0
        assert usage.output_tokens > 0
        assert usage.model == "fake-model"

    async def test_a_tool_call_and_its_result_are_told(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Issue 2, part 7: tool activity, under one id."""
        agent = adapter.adapt(self.with_tool(model))
        replies = await within(replies_of(agent, make_turn('CALL add {"a": 2, "b": 3}')))
        calls = [reply for reply in replies if isinstance(reply, ToolCall)]
        results = [reply for reply in replies if isinstance(reply, ToolResult)]
        assert [(call.name, call.arguments) for call in calls] == [("add", {"a": 2, "b": 3})]
        assert [(result.id, str(result.content)) for result in results] == [(calls[0].id, "5")]
        assert outcome(replies).text == "Tool said: 5"

    async def test_a_question_ends_the_turn_and_its_answer_goes_on(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Issue 2, part 7: a pause becomes INPUT_REQUIRED, and back."""
        memory = self.memory()
        obj = self.asking(model, memory)
        if obj is None:
            return
        talk = Talk(adapter.adapt(obj))
        replies = await within(talk.say(self.ask))
        assert isinstance(replies[-1], Ask)
        assert self.done in outcome(await within(talk.say("yes"))).text
        assert talk.asks == ()

    async def test_a_question_can_be_answered_after_a_restart(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Ours: a pause is kept by the framework's own store or by the journal, not by the object."""
        memory = self.memory()
        obj = self.asking(model, memory)
        if obj is None:
            return
        talk = Talk(adapter.adapt(obj))
        await within(talk.say(self.ask))
        talk.agent = adapter.adapt(self.asking(model, memory))
        assert self.done in outcome(await within(talk.say("yes"))).text

    async def test_an_answer_to_a_question_that_is_gone_fails_with_a_reason(
        self, adapter: Adapter, model: FakeOpenAI
    ) -> None:
        """Ours: a lost pause is told, not answered as if it were a new message."""
        obj = self.asking(model, self.memory())
        if obj is None:
            return
        talk = Talk(adapter.adapt(obj))
        talk.asks = (Ask(text="still there?"),)
        assert "not open any more" in (outcome(await within(talk.say("yes"))).failed or "")

    async def test_cancelling_a_turn_stops_the_model_or_waits_for_it(self, agent: Agent, model: FakeOpenAI) -> None:
        """Architecture §1.1: the slot is free after that, so no work may be left behind."""
        task = asyncio.create_task(replies_of(agent, make_turn("SLOW")))
        await model.until(lambda m: m.open == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(task)
        await model.until(lambda m: m.open == 0)
        assert model.aborted == 1

    async def test_a_context_goes_on_after_a_cancelled_turn(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Ours: cancelling a turn does not break its conversation."""
        talk = Talk(adapter.adapt(self.with_tool(model)))
        task = asyncio.create_task(talk.say("SLOW"))
        await model.until(lambda m: m.open == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(task)
        assert outcome(await within(talk.say("SAY here again"))).text == "here again"

    async def test_a_failing_model_fails_the_turn_without_its_words(self, agent: Agent) -> None:
        """Architecture §7: no exception text to a stranger; the cause is kept for our log."""
        with pytest.raises(AdapterFailedError) as failure:
            await within(replies_of(agent, make_turn("FAIL500")))
        assert failure.value.__cause__ is not None
        assert "the test asked for" not in str(failure.value)

    async def test_an_empty_message_is_answered(self, agent: Agent) -> None:
        """Ours: nothing a caller can send makes the framework stumble."""
        assert (await said(agent, make_turn(""))).failed is None

    async def test_contexts_at_the_same_time_are_kept_apart(self, agent: Agent, model: FakeOpenAI) -> None:
        """Architecture §1.1: fifty callers never see each other; eight are enough to show it."""
        talks = [Talk(agent, f"context-{number}") for number in range(8)]
        for line in ("SAY first", "SAY second"):
            answers = await within(
                asyncio.gather(*(talk.say(f"{line} of {talk.context_id}") for talk in talks)), 4 * WAIT
            )
            for talk, answer in zip(talks, answers, strict=True):
                assert outcome(answer).text == f"{line.removeprefix('SAY ')} of {talk.context_id}"
        for seen in (json.dumps(request.body) for request in model.requests):
            assert len({talk.context_id for talk in talks if talk.context_id in seen}) == 1

    async def test_nothing_is_written_to_the_terminal(
        self, adapter: Adapter, model: FakeOpenAI, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """Issue 2, part 7: a server's output belongs to the server."""
        await within(replies_of(adapter.adapt(self.with_tool(model)), make_turn('CALL add {"a": 2, "b": 3}')))
        assert capfd.readouterr().out == ""

    async def test_a_published_object_answers_over_a2a(self, model: FakeOpenAI) -> None:
        """Issue 2: `serve(obj)`; found through its entry point, answered over HTTP."""
        async with running(lambda url: Bridge(self.plain(model), public_url=url)) as url, Client(url) as client:
            task = await within(client.send("SAY good morning"), 2 * WAIT)
            assert isinstance(task, Task)
            assert (task.status.state, task.text) == (TaskState.COMPLETED, "good morning")

    async def test_a_published_question_is_answered_over_a2a(self, model: FakeOpenAI) -> None:
        """Issue 2, part 7: INPUT_REQUIRED, the answer under the same task, COMPLETED."""
        obj = self.asking(model, self.memory())
        if obj is None:
            return
        async with running(lambda url: Bridge(obj, public_url=url)) as url, Client(url) as client:
            waiting = await within(client.send(self.ask), 2 * WAIT)
            assert isinstance(waiting, Task)
            assert waiting.status.state is TaskState.INPUT_REQUIRED
            assert waiting.status.message
            task = await within(client.send("yes", task_id=waiting.id, context_id=waiting.context_id), 2 * WAIT)
            assert isinstance(task, Task)
            assert (task.id, task.status.state) == (waiting.id, TaskState.COMPLETED)
            assert self.done in task.text


_HIDDEN = """
import sys
class Without:
    def __init__(self, finder):
        self.finder = finder
    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] == {package!r} else self.finder.find_spec(name, path, target)
sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""

_ADAPT = """
from {module} import ADAPTER
from a2a_bridge.adaptation import require
from a2a_bridge.errors import AdapterNotInstalledError
try:
    require(ADAPTER)
except AdapterNotInstalledError as error:
    print(error)
"""


def _top(adapter: Adapter) -> str:
    return adapter.package.partition(".")[0]


def run_python(code: str) -> str:
    """What an interpreter of its own prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=IMPORT_WAIT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def asked(model: FakeOpenAI) -> str:
    """What the model was asked last, as JSON text."""
    return json.dumps(model.requests[-1].body)


async def within(work: Any, seconds: float = WAIT) -> Any:
    """The result of `work`, which must come in time."""
    return await asyncio.wait_for(work, seconds)


async def said(agent: Agent, turn: Turn) -> Outcome:
    """What one turn came to."""
    replies: list[Reply | str] = await within(replies_of(agent, turn))
    return outcome(replies)
