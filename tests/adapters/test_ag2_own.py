"""What is AG2's own: humans asked from inside tools, approvals, events in the journal, one client for all turns."""

import asyncio
import gc
from typing import Any

import httpx2
import pytest
from ag2 import Agent, Context, observer, tool
from ag2.config import OpenAIConfig
from ag2.events import ModelMessageChunk
from ag2.exceptions import HumanInputTimeoutError
from ag2.middleware import approval_required
from ag2.tools.final import ClientTool

from a2a_bridge.agent import Ask, Caller, Chunk, Outcome, ToolResult, outcome
from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.objects import Part, Role
from a2a_bridge.testing.adapter_case import STOPS, asked, said, within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk, make_answer, make_message, make_turn, replies_of
from adapters.ag2.adapter import ADAPTER
from adapters.ag2.agent import Ag2Agent
from tests.adapters.clients import kept


def worker(model: FakeOpenAI, *tools: Any, streaming: bool = True, **options: Any) -> Agent[Any]:
    """An AG2 agent."""
    config = OpenAIConfig(
        model="fake-model",
        base_url=model.base_url,
        api_key="x",
        streaming=streaming,
        max_retries=0,
        http_client=kept(httpx2.AsyncClient()),
    )
    return Agent("worker", config=config, tools=tools, **options)


@tool
async def erase(what: str, context: Context) -> str:
    """Erase something, if a human agrees."""
    return f"erase {what}: " + await context.input(f"Erase {what}?")


@tool
async def count(to: int) -> int:
    """Count."""
    return to


def asks_in(replies: list[Any]) -> list[Ask]:
    """The questions of a turn."""
    return [reply for reply in replies if isinstance(reply, Ask)]


async def test_an_approval_is_asked_with_its_options(model: FakeOpenAI) -> None:
    """Issue 5, part 1: an approval is a question too."""

    @tool(middleware=[approval_required()])
    async def remove(path: str) -> str:
        """Remove."""
        return f"removed {path}"

    for word, result in (("Yes.", "removed /x"), ("deny", "denied")):
        talk = Talk(ADAPTER.adapt(worker(model, remove)))
        (ask,) = asks_in(await within(talk.say('CALL remove {"path": "/x"}')))
        assert ask.options == ("yes", "no")
        assert ask.text.endswith("Please approve or deny this request.")  # and no keys of a terminal
        assert asks_in(await within(talk.say("what?"))) == [ask]
        assert result in outcome(await within(talk.say(word))).text


async def test_a_prompt_of_the_authors_does_not_hide_what_is_to_be_approved(model: FakeOpenAI) -> None:
    """Ours: who approves a call reads its arguments in the sentence, whatever the author's prompt says."""

    @tool(middleware=[approval_required(message="Shall {tool_name} run?")])
    async def remove(path: str) -> str:
        """Remove."""
        return f"removed {path}"

    (ask,) = asks_in(await within(Talk(ADAPTER.adapt(worker(model, remove))).say('CALL remove {"path": "/x"}')))
    assert ask.text == 'Shall remove run?\nMay remove be called with {"path": "/x"}?'


async def test_tools_that_ask_at_the_same_time_are_answered_apart(model: FakeOpenAI) -> None:
    """Architecture §1.1: one pause, several asks, each with its id."""
    talk = Talk(ADAPTER.adapt(worker(model, erase)))
    asks = asks_in(await within(talk.say('PARALLEL CALL erase {"what": "A"} CALL erase {"what": "B"}')))
    ids = {ask.text: ask.id for ask in asks}  # AG2 runs the tools at once: whichever comes first asks first
    assert sorted(ids) == ["Erase A?", "Erase B?"]
    answer = {ids["Erase A?"]: "no", ids["Erase B?"]: "yes"}
    assert outcome(await within(talk.say("", answer))).text == "Tool said: erase A: no | erase B: yes"


def located() -> Any:
    """A tool that the caller works."""
    schema = {"type": "object", "properties": {}}
    function = {"name": "locate", "description": "Tell where you are.", "parameters": schema}
    return ClientTool({"type": "function", "function": function})


@pytest.mark.parametrize(("given", "told"), [("Oslo", "Oslo"), ({"city": "Oslo"}, '{"city":"Oslo"}')])
async def test_a_tool_of_the_callers_is_asked_for_and_answered_after_a_restart(
    model: FakeOpenAI, given: Any, told: str
) -> None:
    """Ours: AG2 ends its run with such a call, and no provider takes a conversation that goes on without a result."""
    talk = Talk(ADAPTER.adapt(worker(model, located(), count)))
    replies = await within(talk.say('PARALLEL CALL locate {} CALL count {"to": 3}'))
    (ask,) = asks_in(replies)
    assert ask.text == "What does locate give for {}?"
    assert ask.parts[0].data == {"tool": "locate", "arguments": {}}
    talk.agent = ADAPTER.adapt(worker(model, located(), count))
    replies = await within(talk.say("", given) if isinstance(given, dict) else talk.say(given))
    assert outcome(replies).text.replace(" ", "") == f"Toolsaid:{told}|3".replace(" ", "")
    assert [reply.content for reply in replies if isinstance(reply, ToolResult)] == [given, 3]
    assert outcome(await within(talk.say("SAY and on"))).text == "and on"


async def test_a_tool_of_the_callers_that_was_never_answered_is_told_as_unfinished(model: FakeOpenAI) -> None:
    """Ours: the conversation goes on without it."""
    agent = ADAPTER.adapt(worker(model, located()))
    assert agent.traits.skills == ()  # type: ignore[attr-defined]
    talk = Talk(agent)
    assert asks_in(await within(talk.say("CALL locate {}")))
    talk.asks = ()
    assert outcome(await within(talk.say("SAY something else"))).text == "something else"
    assert "Not finished" in asked(model)


async def test_a_human_that_an_agent_behind_a_tool_asks_for_is_asked(model: FakeOpenAI) -> None:
    """Issue 5, part 1: the question of a subagent goes out, and its answer goes in."""

    @tool
    async def confirm(context: Context) -> str:
        """Ask a human."""
        return await context.input("Sure?")

    inner = worker(model, confirm)
    talk = Talk(ADAPTER.adapt(worker(model, inner.as_tool(description="Ask somebody."))))
    asks = asks_in(await within(talk.say('CALL task_worker {"objective": "\\u0043ALL confirm {}"}')))
    assert [ask.text for ask in asks] == ["Sure?"]
    assert outcome(await within(talk.say("yes"))).text == "Tool said: Tool said: yes"


async def test_a_run_that_no_longer_waits_cannot_be_answered(model: FakeOpenAI) -> None:
    """Ours: the tool has given up before the human came."""
    gave_up = asyncio.Event()

    @tool
    async def hurry(context: Context) -> str:
        """Ask, but not for long."""
        try:
            return await context.input("Quick?", timeout=0.05)
        finally:
            gave_up.set()

    talk = Talk(ADAPTER.adapt(worker(model, hurry)))
    assert asks_in(await within(talk.say("CALL hurry {}")))
    await within(gave_up.wait())
    assert "not open any more" in (outcome(await within(talk.say("yes"))).failed or "")


async def test_an_answer_is_for_the_question_that_was_shown(model: FakeOpenAI) -> None:
    """Ours: a yes to one question is no yes to the next one, which the tool asked when it had waited long enough."""
    asks_again = asyncio.Event()

    @tool
    async def purge(context: Context) -> str:
        """Ask, but not for long, and then something else."""
        try:
            return await context.input("The draft?", timeout=0.05)
        except HumanInputTimeoutError:
            second = asyncio.ensure_future(context.input("The database?"))
        for _ in range(20):  # until it has been asked
            await asyncio.sleep(0)
        asks_again.set()
        return "database: " + await second

    talk = Talk(ADAPTER.adapt(worker(model, purge)))
    assert [ask.text for ask in asks_in(await within(talk.say("CALL purge {}")))] == ["The draft?"]
    await within(asks_again.wait())
    assert [ask.text for ask in asks_in(await within(talk.say("yes")))] == ["The database?"]
    assert outcome(await within(talk.say("no"))).text == "Tool said: database: no"


async def test_a_run_whose_question_has_gone_is_stopped(model: FakeOpenAI) -> None:
    """Ours: it would ask again, when nobody reads it and nobody counts it."""
    gave_up, ended = asyncio.Event(), asyncio.Event()

    @tool
    async def hurry(context: Context) -> str:
        """Ask, but not for long, and work on."""
        try:
            return await context.input("Quick?", timeout=0.05)
        except HumanInputTimeoutError:
            gave_up.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    talk = Talk(ADAPTER.adapt(worker(model, hurry)))
    assert asks_in(await within(talk.say("CALL hurry {}")))
    await within(gave_up.wait())
    assert "not open any more" in (outcome(await within(talk.say("yes"))).failed or "")
    await within(ended.wait())


def test_a_most_of_waiting_runs_is_one_at_least(model: FakeOpenAI) -> None:
    with pytest.raises(AdapterError, match="1 or more"):
        Ag2Agent(worker(model), max_waiting=0)


async def test_of_questions_that_nobody_answers_the_oldest_are_given_up(model: FakeOpenAI) -> None:
    """Ours: a run that waits is large, and whoever asks for more and more of them must not fill the memory."""
    agent = Ag2Agent(worker(model, erase), max_waiting=2)
    talks = [Talk(agent, name) for name in ("first", "second", "third")]
    tasks = len(asyncio.all_tasks())
    waiting = []
    for talk in talks:
        assert asks_in(await within(talk.say('CALL erase {"what": "all"}')))
        waiting.append(len(asyncio.all_tasks()) - tasks)
    assert waiting[0] < waiting[1] == waiting[2]
    assert "not open any more" in (outcome(await within(talks[0].say("yes"))).failed or "")
    for talk in talks[1:]:
        assert "erase all: yes" in outcome(await within(talk.say("yes"))).text


async def test_one_callers_questions_do_not_push_out_those_of_another(model: FakeOpenAI) -> None:
    """Ours: who has most of them gives way, not who asked first."""
    agent = Ag2Agent(worker(model, erase), max_waiting=3)

    async def turn(who: str, context_id: str, said: str, asks: tuple[Ask, ...] = ()) -> Outcome:
        answer = make_answer(said, asks) if asks else None
        words = () if asks else (said,)
        caller = Caller(principal=who)
        return outcome(
            await within(replies_of(agent, make_turn(*words, context_id=context_id, answer=answer, caller=caller)))
        )

    wanted = 'CALL erase {"what": "all"}'
    quiet = await turn("quiet", "one", wanted)
    loud = [await turn("loud", name, wanted) for name in ("a", "b", "c")]
    assert "erase all: yes" in (await turn("quiet", "one", "yes", quiet.asks)).text
    assert "not open any more" in ((await turn("loud", "a", "yes", loud[0].asks)).failed or "")
    assert "erase all: yes" in (await turn("loud", "c", "yes", loud[2].asks)).text


async def test_callers_with_the_same_context_id_wait_apart(model: FakeOpenAI) -> None:
    """Architecture §4: keys are (tenant, owner, agent), whatever a client calls its context."""
    agent = ADAPTER.adapt(worker(model, erase))
    ada, bob = Caller("ada"), Caller("bob")
    shown = {}
    for caller in (ada, bob):
        turn = make_turn(f'CALL erase {{"what": "{caller.principal}"}}', caller=caller)
        shown[caller] = asks_in(await within(replies_of(agent, turn)))
        assert shown[caller]
    for caller in (bob, ada):
        answered = make_turn("yes", caller=caller, answer=make_answer("yes", shown[caller]))
        assert (await said(agent, answered)).text == f"Tool said: erase {caller.principal}: yes"


async def test_what_tools_gave_is_remembered_in_another_process(model: FakeOpenAI) -> None:
    """Ours: AG2's own events are kept, not only the words."""
    talk = Talk(ADAPTER.adapt(worker(model, count)))
    await within(talk.say('CALL count {"to": 41}'))
    talk.agent = ADAPTER.adapt(worker(model, count))
    await within(talk.say("And now?"))
    roles = [message["role"] for message in model.requests[-1].body["messages"] if message["role"] != "system"]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


async def test_a_tool_that_was_called_wrongly_tells_the_model_how(model: FakeOpenAI) -> None:
    """Frameworks §7 trap 8: without the traceback that AG2 would give it."""
    replies = await within(replies_of(ADAPTER.adapt(worker(model, count)), make_turn('CALL count {"to": "many"}')))
    assert [reply.content for reply in replies if isinstance(reply, ToolResult)] == ["The tool failed."]
    assert "valid integer" in asked(model)
    assert "Traceback" not in asked(model)


async def test_an_answer_that_is_not_streamed_is_told_once(model: FakeOpenAI) -> None:
    """Ours: streaming is the user's choice."""
    replies = await within(replies_of(ADAPTER.adapt(worker(model, streaming=False)), make_turn("SAY in one piece")))
    assert [reply for reply in replies if isinstance(reply, str | Chunk)] == ["in one piece"]


async def test_the_agents_own_words_are_its_own(model: FakeOpenAI) -> None:
    """Ours: a past that AG2 did not see is told as requests and responses."""
    history = [make_message("Hello.", speaker="Zoë"), make_message("I am here.", role=Role.AGENT)]
    await said(ADAPTER.adapt(worker(model)), make_turn("And now?", history=history))
    sent = model.requests[-1].body["messages"]
    told = [(one["role"], str(one["content"])) for one in sent if one["role"] != "system"]
    assert [role for role, _ in told] == ["user", "assistant", "user"]
    assert "[Zoë] Hello." in told[0][1]


async def test_a_document_reaches_the_model(model: FakeOpenAI) -> None:
    """Issue 5, part 1: files, as far as the framework hands them on."""
    await said(ADAPTER.adapt(worker(model)), make_turn(make_message(Part(raw=b"%PDF", media_type="application/pdf"))))
    assert "JVBERg==" in asked(model)


async def test_a_cancel_between_two_tokens_stops_the_model(model: FakeOpenAI) -> None:
    """Ours: an observer is at work, nobody reads the model's stream at that moment, and AG2 would leave it open."""
    watching = asyncio.Event()

    async def watch(event: ModelMessageChunk) -> None:
        watching.set()
        await asyncio.Event().wait()

    agent = ADAPTER.adapt(worker(model, observers=[observer(ModelMessageChunk, watch)]))
    gc.disable()  # it would close the stream some time
    try:
        task = asyncio.create_task(replies_of(agent, make_turn("SLOW")))
        await within(watching.wait())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await within(task)
        await model.until(lambda m: m.open == 0, STOPS)
    finally:
        gc.enable()
    assert model.aborted == 1


async def test_one_client_serves_all_turns(model: FakeOpenAI) -> None:
    """Ours: AG2 makes a client for each turn, and leaves its connections to the garbage collector."""
    agent = worker(model)
    made = []
    create = type(agent.config).create

    class Counting(OpenAIConfig):
        def create(self) -> Any:
            made.append(self)
            return create(self)

    agent.config = Counting(
        model="fake-model", base_url=model.base_url, api_key="x", http_client=kept(httpx2.AsyncClient())
    )
    adapted = ADAPTER.adapt(agent)
    for _ in range(3):
        await said(adapted, make_turn("SAY hello"))
    assert len(made) == 1


def test_an_agent_without_a_model_is_refused() -> None:
    """Ours: told when it is published."""
    with pytest.raises(AdapterError, match="no model"):
        ADAPTER.adapt(Agent("worker"))


def test_instructions_are_not_shown_on_the_card(model: FakeOpenAI) -> None:
    """Ours: a card is for everybody."""
    agent = ADAPTER.adapt(worker(model, prompt="Never tell that the code is 4711."))
    assert agent.description == "An AG2 agent called worker."
