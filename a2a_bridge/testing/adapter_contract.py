"""What every adapter has to do, as one class of tests: subclass `AdapterContract`, fill in the factories, run pytest.

The objects that the factories make talk to a `FakeOpenAI`, whose directives (`SAY`, `CALL`, `SLOW`, `FAIL500`; see
`fake_model`) decide what their model does. While a test runs, every connection that leaves this machine is refused
and fails the test. A framework that is not installed is a failure, never a skip. What a framework cannot do by nature
its case says in `limits` (see `adapter_case`).
"""

import asyncio
import builtins
import json
import logging
import sys
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from a2a_bridge.agent import Adapter, Agent, Ask, Chunk, ToolCall, ToolResult, abandon, outcome, traits_of
from a2a_bridge.bridge import Bridge
from a2a_bridge.cards.build import build_card
from a2a_bridge.client.client import Client
from a2a_bridge.errors import AdapterFailedError
from a2a_bridge.protocol.objects import Part, Task, TaskState
from a2a_bridge.testing.adapter_case import SECRET, STOPS, AdapterCase, asked, run_python, said, shows, within
from a2a_bridge.testing.adapter_leaks import AdapterLetsGo
from a2a_bridge.testing.fake_model import Conversation, Said, directed
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.network_guard import network_guard
from a2a_bridge.testing.server import running
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of

PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108020000009077"
    "53de0000000c4944415408d763f8cfc000000301010018dd8db00000000049454e44ae426082"
)
"""A PNG of one red pixel."""


class AdapterIsFound(AdapterCase):
    """How an adapter is found and loaded, and what it makes of an object before that takes a turn."""

    def test_the_adapter_knows_the_class_of_its_objects(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Architecture §1.2: an object is found by (module, qualified name) of its classes."""
        for obj in (self.plain(model), self.with_tools(model)):
            assert adapter.classes & {(cls.__module__, cls.__qualname__) for cls in type(obj).__mro__}

    def test_an_adapted_object_has_a_name_a_description_and_a_card(self, adapter: Adapter, agent: Agent) -> None:
        """Ours: what `serve(obj)` publishes needs no further words."""
        assert agent.name
        assert agent.description
        assert traits_of(agent).framework == adapter.name
        card = build_card(agent, url="http://127.0.0.1/")
        assert card.name == agent.name
        assert card.skills

    @shows("card")
    def test_the_card_tells_the_tools_of_the_object(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Issue 5, part 1: a card with skills and tools filled in from the object."""
        card = build_card(adapter.adapt(self.with_tools(model)), url="http://127.0.0.1/")
        found = {skill.id: skill for skill in card.skills}
        assert {"add", "broken"} <= set(found)
        assert "Add two integers" in found["add"].description

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


class AdapterSpeaks(AdapterCase):
    """What goes in and what comes out of a turn."""

    @shows("answers")
    async def test_a_message_gets_an_answer(self, agent: Agent) -> None:
        """Ours: the main path."""
        assert (await said(agent, make_turn("SAY good morning"))).text == "good morning"

    async def test_an_answer_in_any_script_arrives_whole(self, agent: Agent) -> None:
        """Ours: nothing is cut between the bytes of a letter."""
        assert (await said(agent, make_turn("SAY Grüße 世界 🙂👍🏽 مرحبا"))).text == "Grüße 世界 🙂👍🏽 مرحبا"

    @shows("tokens")
    async def test_an_answer_comes_in_more_than_one_piece(self, agent: Agent) -> None:
        """Issue 2, part 7: tokens are streamed, not collected."""
        replies = await within(replies_of(agent, make_turn("SAY one two three four")))
        assert len([reply for reply in replies if isinstance(reply, str | Chunk)]) > 1

    @shows("tokens")
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

    @shows("history")
    async def test_what_was_said_before_reaches_the_model(self, agent: Agent, model: FakeOpenAI) -> None:
        """Architecture §1.1: a context has a history, whether the framework keeps it or we hand it over."""
        talk = Talk(agent)
        await within(talk.say("SAY my name is Ada"))
        await within(talk.say("What is it?"))
        seen = asked(model)
        assert "my name is Ada" in seen
        assert seen.count("What is it?") == 1

    @shows("history")
    async def test_a_context_goes_on_in_another_process(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Ours: what was said is kept by us or by the framework's own store, never by the object alone."""
        talk = Talk(adapter.adapt(self.plain(model)))
        await within(talk.say("SAY my name is Ada"))
        talk.agent = adapter.adapt(self.plain(model))
        await within(talk.say("What is it?"))
        assert asked(model).count("SAY my name is Ada") == 1

    @shows("speakers")
    async def test_the_model_knows_who_said_what(self, agent: Agent, model: FakeOpenAI) -> None:
        """Architecture §6: adapters use `speaker_of` and their framework's own name field, or the words."""
        history = [make_message("Hello all.", speaker="host")]
        await said(agent, make_turn(make_message("Really?", speaker="critic"), history=history))
        assert "host" in asked(model)
        assert "critic" in asked(model)

    @shows("images")
    async def test_an_image_reaches_the_model(self, agent: Agent, model: FakeOpenAI) -> None:
        """Issue 5, part 1: files and images are parts, and what the agent takes is on its card."""
        assert "image/png" in traits_of(agent).input_modes
        picture = Part(raw=PICTURE, media_type="image/png", filename="pixel.png")
        answer = await said(agent, make_turn(make_message([Part(text="SAY red"), picture])))
        assert answer.text.startswith("red")
        assert "data:image/png;base64,iVBORw0KGgo" in asked(model)

    @shows("images")
    async def test_a_context_goes_on_after_an_image_that_the_model_refuses(self) -> None:
        """Ours: what no model takes fails its own turn, and not every one after it."""
        picture = (Part(text="SAY red"), Part(raw=PICTURE, media_type="image/png"))
        with network_guard(), FakeOpenAI(_blind) as model:
            obj = self.plain(model)
            async with running(lambda url: Bridge(obj, public_url=url)) as url, Client(url) as client:
                failed = await within(client.send(make_message(picture)))
                assert isinstance(failed, Task)
                assert failed.status.state is TaskState.FAILED
                task = await within(client.send("SAY here again", context_id=failed.context_id))
                assert isinstance(task, Task)
                assert (task.status.state, task.text) == (TaskState.COMPLETED, "here again")

    async def test_data_reaches_the_model_as_json(self, agent: Agent, model: FakeOpenAI) -> None:
        """Ours: a data part is never dropped in silence."""
        await said(agent, make_turn(make_message([Part(text="Look:"), Part(data={"price": 41.5})])))
        assert "41.5" in asked(model)

    @shows("structured")
    async def test_a_structured_answer_is_a_data_part(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Issue 5, part 1: structured output is data, not JSON in words."""
        agent = adapter.adapt(self.structured(model))
        result = await said(agent, make_turn('JSON {"city": "Oslo", "degrees": 3.5}'))
        assert [part.data for part in result.parts] == [{"city": "Oslo", "degrees": 3.5}]

    @shows("usage")
    async def test_tokens_are_counted(self, agent: Agent, model: FakeOpenAI) -> None:
        """Issue 2: the demo prints tokens per speaker, and what model it was, as the case has named it."""
        usage = (await said(agent, make_turn("SAY something"))).usage
        assert usage.input_tokens > 0
        assert usage.output_tokens > 0
        assert usage.model == model.requests[-1].body["model"]

    @shows("usage")
    async def test_a_second_turn_counts_only_its_own_tokens(self, agent: Agent) -> None:
        """Ours: frameworks keep running totals, a turn reports what it used."""
        first = (await said(agent, make_turn("SAY something", context_id="first"))).usage
        second = (await said(agent, make_turn("SAY something", context_id="second"))).usage
        assert (second.input_tokens, second.output_tokens) == (first.input_tokens, first.output_tokens)

    async def test_an_empty_message_is_answered(self, agent: Agent) -> None:
        """Ours: nothing a caller can send makes the framework stumble."""
        assert (await said(agent, make_turn(""))).failed is None

    @shows("contexts")
    async def test_contexts_at_the_same_time_are_kept_apart(self, agent: Agent, model: FakeOpenAI) -> None:
        """Architecture §1.1: fifty callers never see each other; eight are enough to show it."""
        talks = [Talk(agent, f"context-{number}") for number in range(8)]
        for line in ("SAY first", "SAY second"):
            answers = await within(asyncio.gather(*(talk.say(f"{line} of {talk.context_id}") for talk in talks)))
            for talk, answer in zip(talks, answers, strict=True):
                assert outcome(answer).text == f"{line.removeprefix('SAY ')} of {talk.context_id}"
        for seen in (json.dumps(request.body) for request in model.requests):
            assert len({talk.context_id for talk in talks if talk.context_id in seen}) == 1

    @shows("answers")
    async def test_a_published_object_answers_over_a2a(self, model: FakeOpenAI) -> None:
        """Issue 2: `serve(obj)`; found through its entry point, answered over HTTP."""
        async with running(lambda url: Bridge(self.plain(model), public_url=url)) as url, Client(url) as client:
            task = await within(client.send("SAY good morning"))
            assert isinstance(task, Task)
            assert (task.status.state, task.text) == (TaskState.COMPLETED, "good morning")


class AdapterUsesTools(AdapterCase):
    """Tools, errors, and what nobody may see of them."""

    @shows("tools")
    async def test_a_tool_call_and_its_result_are_told(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Issue 2, part 7: tool activity, under one id."""
        agent = adapter.adapt(self.with_tools(model))
        replies = await within(replies_of(agent, make_turn('CALL add {"a": 2, "b": 3}')))
        calls = [reply for reply in replies if isinstance(reply, ToolCall)]
        results = [reply for reply in replies if isinstance(reply, ToolResult)]
        assert [(call.name, call.arguments) for call in calls] == [("add", {"a": 2, "b": 3})]
        assert [(result.id, str(result.content)) for result in results] == [(calls[0].id, "5")]
        assert outcome(replies).text == "Tool said: 5"

    @shows("tools")
    async def test_several_tool_calls_at_once_keep_their_results(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Ours: each result has the id of its call, whatever the order."""
        agent = adapter.adapt(self.with_tools(model))
        said = 'PARALLEL CALL add {"a": 1, "b": 1} CALL add {"a": 20, "b": 2}'
        replies = await within(replies_of(agent, make_turn(said)))
        results = {reply.id: str(reply.content) for reply in replies if isinstance(reply, ToolResult)}
        calls = {reply.id: reply.arguments for reply in replies if isinstance(reply, ToolCall)}
        assert sorted(results.values()) == ["2", "22"]
        for call_id, arguments in calls.items():
            assert results[call_id] == str(arguments["a"] + arguments["b"])  # type: ignore[index, call-overload, operator]

    @shows("errors")
    async def test_a_tool_that_breaks_shows_nobody_where_it_broke(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Frameworks §7 trap 8: a traceback with paths is a leak to the model's provider and to remote peers."""
        agent = adapter.adapt(self.with_tools(model))
        replies: list[Any] = []
        try:
            replies = await within(replies_of(agent, make_turn("CALL broken {}")))
        except AdapterFailedError as error:
            replies = [str(error)]
        results = [reply for reply in replies if isinstance(reply, ToolResult)]
        assert all(result.is_error for result in results)
        assert SECRET not in repr(results)
        for told in (repr(replies), *(json.dumps(request.body) for request in model.requests)):
            assert "Traceback" not in told
            assert ".py" not in told

    @shows("errors")
    async def test_a_failing_model_fails_the_turn_without_its_words(self, agent: Agent) -> None:
        """Architecture §7: no exception text to a stranger; the cause is kept for our log."""
        with pytest.raises(AdapterFailedError) as failure:
            await within(replies_of(agent, make_turn("FAIL500")))
        assert failure.value.__cause__ is not None
        assert "the test asked for" not in str(failure.value)

    @shows("errors")
    async def test_a_context_goes_on_after_a_failed_turn(self, agent: Agent) -> None:
        """Ours: what failed once does not fail for ever."""
        talk = Talk(agent)
        with pytest.raises(AdapterFailedError):
            await within(talk.say("FAIL500ONCE"))
        # A crew is told the whole conversation in one message, and the fake model obeys all of it.
        assert outcome(await within(talk.say("SAY here again"))).text in ("here again", "Recovered.")

    @shows("silence")
    async def test_nothing_is_written_to_the_terminal_and_nothing_read_from_it(
        self, adapter: Adapter, model: FakeOpenAI, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Issue 2, part 7: a server's output belongs to the server, and nobody sits at its keyboard."""
        read: list[str] = []
        monkeypatch.setattr(builtins, "input", read.append)
        monkeypatch.setattr(sys, "stdin", None)
        await within(replies_of(adapter.adapt(self.with_tools(model)), make_turn('CALL add {"a": 2, "b": 3}')))
        if "pauses" not in self.limits:
            talk = Talk(adapter.adapt(self.asking(model, self.memory())))
            await within(talk.say(self.ask))
            await within(talk.say("yes"))
        assert capfd.readouterr().out == ""
        assert read == []

    @shows("silence")
    async def test_a_turn_that_goes_well_is_not_in_the_log(
        self, adapter: Adapter, model: FakeOpenAI, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Architecture §7: a server logs at INFO, and frameworks tell their loggers each step, and all that is said."""
        caplog.set_level(logging.INFO)
        agent = adapter.adapt(self.with_tools(model))
        await said(agent, make_turn("SAY the word is xylophone"))
        assert "xylophone" not in caplog.text
        caplog.clear()
        await said(agent, make_turn("SAY it again"))
        assert [found.name for found in caplog.records if not found.name.startswith("httpx")] == []


class AdapterPauses(AdapterCase):
    """Questions to a human, and their answers."""

    @shows("pauses")
    async def test_a_question_ends_the_turn_and_its_answer_goes_on(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Issue 2, part 7: a pause becomes INPUT_REQUIRED, and back."""
        talk = Talk(adapter.adapt(self.asking(model, self.memory())))
        replies = await within(talk.say(self.ask))
        assert isinstance(replies[-1], Ask)
        assert self.done in outcome(await within(talk.say("yes"))).text
        assert talk.asks == ()

    @shows("restarts")
    async def test_a_question_can_be_answered_after_a_restart(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Ours: a pause is kept by the framework's own store or by the journal, not by the object."""
        memory = self.memory()
        talk = Talk(adapter.adapt(self.asking(model, memory)))
        await within(talk.say(self.ask))
        talk.agent = adapter.adapt(self.asking(model, memory))
        assert self.done in outcome(await within(talk.say("yes"))).text

    @shows("pauses")
    async def test_an_answer_to_a_question_that_is_gone_fails_with_a_reason(
        self, adapter: Adapter, model: FakeOpenAI
    ) -> None:
        """Ours: a lost pause is told, not answered as if it were a new message."""
        talk = Talk(adapter.adapt(self.asking(model, self.memory())))
        talk.asks = (Ask(text="still there?"),)
        assert "not open any more" in (outcome(await within(talk.say("yes"))).failed or "")

    @shows("pauses")
    async def test_a_question_that_is_given_up_leaves_nothing_behind(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Architecture §1.1: `abandon` frees what waits, and the context goes on."""
        talk = Talk(adapter.adapt(self.asking(model, self.memory())))
        before = asyncio.all_tasks()
        await within(talk.say(self.ask))
        await within(abandon(talk.agent, make_turn("", context_id=talk.context_id, journal=talk.journal)))
        if left := asyncio.all_tasks() - before:  # a loop closes forgotten generators in tasks of their own
            assert (await asyncio.wait(left, timeout=1.0))[1] == set()
        talk.asks = ()
        assert outcome(await within(talk.say("SAY something else"))).failed is None
        assert "SAY something else" in asked(model)

    @shows("pauses")
    async def test_questions_of_two_contexts_get_their_own_answers(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Ours: one object, two conversations that wait."""
        agent = adapter.adapt(self.asking(model, self.memory()))
        talks = [Talk(agent, "left"), Talk(agent, "right")]
        for talk in talks:
            await within(talk.say(self.ask))
        for talk in reversed(talks):
            assert self.done in outcome(await within(talk.say("yes"))).text

    @shows("pauses")
    async def test_a_published_question_is_answered_over_a2a(self, model: FakeOpenAI) -> None:
        """Issue 2, part 7: INPUT_REQUIRED, the answer under the same task, COMPLETED."""
        obj = self.asking(model, self.memory())
        async with running(lambda url: Bridge(obj, public_url=url)) as url, Client(url) as client:
            waiting = await within(client.send(self.ask))
            assert isinstance(waiting, Task)
            assert waiting.status.state is TaskState.INPUT_REQUIRED
            assert waiting.status.message
            task = await within(client.send("yes", task_id=waiting.id, context_id=waiting.context_id))
            assert isinstance(task, Task)
            assert (task.id, task.status.state) == (waiting.id, TaskState.COMPLETED)
            assert self.done in task.text


class AdapterStops(AdapterCase):
    """Cancelled turns."""

    def test_what_the_agent_says_of_its_stopping_is_what_the_matrix_says(self, agent: Agent) -> None:
        """Issue 5, part 1: a cancel stops the model call, or `stops_on_cancel` is False."""
        assert traits_of(agent).stops_on_cancel == ("cancels" not in self.limits)

    @shows("cancels")
    async def test_a_cancel_stops_a_model_call_that_says_nothing(self, adapter: Adapter) -> None:
        """Issue 5: the fake server counts the open calls, and this one is long silent."""
        with network_guard(), FakeOpenAI(pace=60.0) as model:
            task = asyncio.create_task(replies_of(adapter.adapt(self.plain(model)), make_turn("SLOW")))
            await model.until(lambda m: m.open == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await within(task)
            await model.until(lambda m: m.open == 0, STOPS)
            assert model.aborted == 1

    @shows("counted")
    async def test_a_cancelled_turn_ends_when_its_work_has(self, adapter: Adapter) -> None:
        """Architecture §1.1: the slot is free after that, so no work may be left behind."""
        with network_guard(), FakeOpenAI(pace=60.0) as model:
            agent = adapter.adapt(self.plain(model))
            task = asyncio.create_task(replies_of(agent, make_turn("SLOW")))
            await model.until(lambda m: m.open == 1)
            task.cancel()
            # The model says nothing for a minute. What cannot be stopped may take it to its end, and no less.
            await asyncio.wait([task], timeout=0.2)
            if not task.done() and not traits_of(agent).stops_on_cancel:
                model.release()
            with pytest.raises(asyncio.CancelledError):
                await within(task)
            await model.until(lambda m: m.open == 0, STOPS)

    @shows("tokens")
    async def test_a_cancelled_turn_stops_at_the_next_token_at_the_latest(
        self, agent: Agent, model: FakeOpenAI
    ) -> None:
        """Ours: what streams can be stopped between two tokens, also in a thread."""
        task = asyncio.create_task(replies_of(agent, make_turn("SLOW")))
        await model.until(lambda m: m.open == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(task)
        await model.until(lambda m: m.open == 0, STOPS)
        assert model.aborted == 1

    async def test_a_cancelled_turn_leaves_another_one_of_the_same_object_alone(
        self, agent: Agent, model: FakeOpenAI
    ) -> None:
        """Ours: turns may share a client, and each closes what it has opened itself."""
        turns = (replies_of(agent, make_turn("SLOW", context_id=name)) for name in ("left", "other"))
        left, other = map(asyncio.create_task, turns)
        await model.until(lambda m: m.open == 2)
        left.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(left)
        await model.until(lambda m: m.open == 1, STOPS)
        assert model.aborted == 1
        model.release()
        assert outcome(await within(other)).text.endswith("w59")

    async def test_a_context_goes_on_after_a_cancelled_turn(self, adapter: Adapter, model: FakeOpenAI) -> None:
        """Ours: cancelling a turn does not break its conversation."""
        talk = Talk(adapter.adapt(self.with_tools(model)))
        task = asyncio.create_task(talk.say("SLOW"))
        await model.until(lambda m: m.open == 1)
        task.cancel()
        if "tokens" in self.limits:  # without any there may be nothing to stop it at before its end
            model.release()
        with pytest.raises(asyncio.CancelledError):
            await within(task)
        assert outcome(await within(talk.say("SAY here again"))).text == "here again"

    @shows("tokens")
    async def test_a_reader_that_leaves_early_leaves_no_work_behind(self, agent: Agent, model: FakeOpenAI) -> None:
        """Architecture §1.1: closing the generator ends the turn as a cancel does."""
        async with aclosing(agent.run(make_turn("SAY hello SLOW"))) as replies:
            async for reply in replies:
                if isinstance(reply, str) and reply.strip():
                    break
        await model.until(lambda m: m.open == 0, STOPS)
        assert model.aborted == 1


class AdapterContract(AdapterIsFound, AdapterSpeaks, AdapterUsesTools, AdapterPauses, AdapterStops, AdapterLetsGo):
    """All of it: subclass this one."""


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


def _blind(asked: Conversation) -> Said:
    """A model that refuses every request with an image in it."""
    sees = any("<image_url>" in line.text or "<input_image>" in line.text for line in asked.lines)
    return Said(failure=400) if sees else directed(asked)


def _top(adapter: Adapter) -> str:
    return adapter.package.partition(".")[0]
