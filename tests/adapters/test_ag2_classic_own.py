"""What is classic AutoGen's own: group chats of several, humans, copies and factories."""

import asyncio
import gc
import logging
import sys
import threading
import warnings
import weakref
from contextlib import aclosing
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what AutoGen imports warns of coming days
    from autogen import ConversableAgent, GroupChat, GroupChatManager, LLMConfig, UserProxyAgent

from a2a_bridge.agent import Ask, Say, ToolCall, ToolResult, outcome, traits_of
from a2a_bridge.errors import AdapterError
from a2a_bridge.protocol.objects import Part, Role
from a2a_bridge.testing.adapter_case import asked, said, within
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of
from a2a_bridge.testing.wire import WAIT
from adapters.ag2_classic.adapter import ADAPTER
from adapters.ag2_classic.work import Work

pytestmark = pytest.mark.filterwarnings("ignore")  # AutoGen leaves its model clients open, and uses what is deprecated


def worker(model: FakeOpenAI, name: str = "worker", *, stream: bool = False, **options: Any) -> ConversableAgent:
    """A classic agent."""
    entry = {"model": "fake-model", "base_url": model.base_url, "api_key": "x", "max_retries": 0, "price": [0.1, 0.2]}
    config = LLMConfig({**entry, "stream": stream}, cache_seed=None)
    return ConversableAgent(name, llm_config=config, human_input_mode="NEVER", **options)


def chat(*agents: Any, rounds: int = 4, selection: Any = "round_robin", manager: Any = False) -> GroupChatManager:
    """A group chat behind its manager."""
    groupchat = GroupChat(list(agents), messages=[], max_round=rounds, speaker_selection_method=selection)
    return GroupChatManager(groupchat, llm_config=manager)


async def test_in_a_chat_of_several_every_message_has_its_speaker(model: FakeOpenAI) -> None:
    """Ours: a transcript without names could not be read."""
    agent = ADAPTER.adapt(chat(worker(model, "writer"), worker(model, "critic", stream=True), rounds=3))
    replies = await within(replies_of(agent, make_turn("SAY fine")))
    assert outcome(replies).text == "[writer] fine\n\n[critic] Echo: fine"
    assert all(not hasattr(reply, "append") for reply in replies)


async def test_a_model_that_selects_speakers_does_not_speak(model: FakeOpenAI) -> None:
    """Ours: what the manager asks its own model is not part of the answer, but of the bill."""
    writer, critic = worker(model, "writer"), worker(model, "critic")
    agent = ADAPTER.adapt(chat(writer, critic, rounds=2, selection="auto", manager=writer.llm_config))
    result = await said(agent, make_turn("SAY writer"))
    assert result.text in ("[writer] writer", "[critic] writer")
    assert len(model.requests) > 1


async def test_the_caller_is_the_human_of_the_chat(model: FakeOpenAI) -> None:
    """AutoGen's own way: the human starts the chat, and whoever follows them speaks next."""
    human = UserProxyAgent("boss", human_input_mode="NEVER", code_execution_config=False)
    agent = ADAPTER.adapt(chat(worker(model, "first"), human, worker(model, "second"), rounds=2))
    assert (await said(agent, make_turn("SAY hello"))).text == "[second] hello"
    assert model.requests[-1].body["messages"][-1]["name"] == "boss"


async def test_a_speaker_with_a_name_keeps_it(model: FakeOpenAI) -> None:
    """Architecture §6: the framework's own name field; the name as it is stands before the text."""
    human = UserProxyAgent("boss", human_input_mode="NEVER", code_execution_config=False)
    agent = ADAPTER.adapt(chat(worker(model), human, rounds=2))
    await said(agent, make_turn(make_message("Hi.", speaker="Zoë the host")))
    message = model.requests[-1].body["messages"][-1]
    assert (message["name"], message["content"]) == ("Zo_the_host", "[Zoë the host] Hi.")


async def test_the_agents_own_words_are_its_own(model: FakeOpenAI) -> None:
    """Ours: a history of one's own words as somebody else's confuses a model."""
    turn = make_turn("And now?", history=[make_message("Hello."), make_message("I am here.", role=Role.AGENT)])
    await said(ADAPTER.adapt(worker(model)), turn)
    roles = [(one["role"], one["content"]) for one in model.requests[-1].body["messages"][1:]]
    assert roles == [("user", "Hello."), ("assistant", "I am here."), ("user", "And now?")]


async def test_a_human_in_a_chat_is_asked_and_everybody_hears_the_answer(model: FakeOpenAI) -> None:
    """Issue 5, part 1: the chat is taken up with the human's words, by whoever comes next."""
    human = UserProxyAgent("boss", human_input_mode="ALWAYS", code_execution_config=False)
    talk = Talk(ADAPTER.adapt(chat(human, worker(model, "writer"), worker(model, "critic"), rounds=8)))
    replies = await within(talk.say("SAY a plan"))
    assert isinstance(replies[-1], Ask)
    assert outcome(replies).text == "[writer] a plan\n\n[critic] Echo: a plan"
    replies = await within(talk.say("SAY shorter"))
    assert outcome(replies).text == "[writer] shorter\n\n[critic] Echo: shorter"
    assert "a plan" in asked(model)
    assert "exit" in talk.asks[0].text
    assert await within(talk.say("exit")) == [Say("Stopped.")]


async def test_automatic_replies_are_counted_within_a_turn(model: FakeOpenAI) -> None:
    """Ours: AutoGen counts its automatic replies on the object; a turn counts its own."""
    agent = ADAPTER.adapt(worker(model, max_consecutive_auto_reply=1))
    for _ in range(3):
        assert (await said(agent, make_turn("SAY still here"))).text == "still here"


async def test_what_a_turn_costs_is_told(model: FakeOpenAI) -> None:
    """Ours: AutoGen knows the prices it was given."""
    usage = (await said(ADAPTER.adapt(worker(model)), make_turn("SAY it"))).usage
    assert usage.cost_usd is not None
    assert usage.cost_usd > 0


async def test_an_agent_that_never_ends_is_stopped_with_a_reason(model: FakeOpenAI) -> None:
    """Ours: a model that calls tools for ever."""
    agent = worker(model)
    agent.register_reply([ConversableAgent, None], lambda *_, **__: (True, {"role": "tool", "content": "again"}))
    assert "without coming to an end" in ((await said(ADAPTER.adapt(agent), make_turn("go"))).failed or "")


async def test_a_function_makes_what_cannot_be_copied(model: FakeOpenAI) -> None:
    """Issue 5, part 1: a function that holds an agent would go on using the original."""

    def make() -> GroupChatManager:
        one, other = worker(model, "one"), worker(model, "other")
        return chat(one, other, rounds=3, selection=lambda last, groupchat: other if last is one else one)

    with pytest.raises(AdapterError, match="make_manager"):
        ADAPTER.adapt(make())
    agent = ADAPTER.adapt(make, name="pair")
    assert (await said(agent, make_turn("SAY hello"))).text == "[one] hello\n\n[other] Echo: hello"
    assert agent.name == "pair"


def test_a_chat_whose_nested_chats_hold_agents_is_refused(model: FakeOpenAI) -> None:
    """Ours: they would be the original's, for all callers; a list of dicts holds them."""
    outer = worker(model, "outer")
    outer.register_nested_chats([{"recipient": worker(model, "inner"), "max_turns": 1}], trigger=lambda sender: True)
    with pytest.raises(AdapterError, match="make_manager"):
        ADAPTER.adapt(outer)


async def test_who_goes_on_using_the_original_is_not_overheard(model: FakeOpenAI) -> None:
    """Ours: what is published is the chat as it was then; what its owner says to it later is nobody else's to know."""
    human = UserProxyAgent("boss", human_input_mode="NEVER", code_execution_config=False)
    manager = chat(human, worker(model, "writer"), worker(model, "critic"), rounds=3)
    agent = ADAPTER.adapt(manager)
    await human.a_initiate_chat(manager, message="SAY the code is 4711", silent=True)
    assert "4711" in asked(model)
    await said(agent, make_turn("SAY hello"))
    assert "4711" not in asked(model)


async def test_a_copy_is_gone_with_its_turn(model: FakeOpenAI) -> None:
    """Ours: what holds itself lies around until the garbage collector comes by, with all that it has read."""
    gone = threading.Event()  # some time after the turn: its thread lets go of the copy when it ends

    def look(recipient: Any, **_: Any) -> tuple[bool, None]:
        weakref.finalize(recipient, gone.set)
        return False, None

    agent = worker(model, stream=True)
    agent.register_reply([ConversableAgent, None], look)
    adapted = ADAPTER.adapt(agent)
    gc.disable()
    try:
        await said(adapted, make_turn("SAY hello"))
        assert await asyncio.to_thread(gone.wait, WAIT)
    finally:
        gc.enable()


async def test_an_object_that_a_function_gives_twice_is_as_it_was_after_each_turn(model: FakeOpenAI) -> None:
    """Ours: whoever listens to a turn leaves with it."""
    only = worker(model, stream=True)
    agent = ADAPTER.adapt(lambda: only)
    before, calls = dict(vars(only)), []
    for text in ("one", "two", "three"):
        assert (await said(agent, make_turn(f"SAY {text}"))).text == text
        calls.append(vars(only.client)["_clients"][0]._oai_client.chat.completions.create)
    assert set(vars(only)) == set(before)
    assert calls[0] is calls[-1]


async def test_what_a_thread_tells_is_heard_while_it_works(model: FakeOpenAI) -> None:
    """Ours: the loop is woken for what comes alone, and comes by itself for what comes fast; nothing is left lying."""
    work, heard = Work(), threading.Semaphore(0)

    def tell(*batches: int) -> int:
        for size in batches:
            for number in range(size):
                work.tell(number)
            for _ in range(size):
                assert heard.acquire(timeout=WAIT)
        return sum(batches)

    told = 0
    async with aclosing(work.events(lambda: tell(1, 1, 100, 1, 1000, 1))) as events:
        async for _ in events:
            told += 1
            heard.release()
    assert told == work.result == 1104


def test_an_agent_that_answers_in_an_event_loop_only_is_refused(model: FakeOpenAI) -> None:
    """Ours: AutoGen would leave such a function out without a word."""

    async def answer(*_: Any, **__: Any) -> tuple[bool, str]:
        return True, "async"

    agent = worker(model)
    agent.register_reply([ConversableAgent, None], answer)
    with pytest.raises(AdapterError, match="sync one"):
        ADAPTER.adapt(agent)


def test_a_function_that_makes_something_else_is_refused() -> None:
    """Ours: told when it is published."""
    with pytest.raises(AdapterError, match="made a str"):
        ADAPTER.adapt(lambda: "agent")


def test_a_chat_tells_who_is_in_it(model: FakeOpenAI) -> None:
    """Ours: the card of a chat says more than that it is one."""
    agent = ADAPTER.adapt(chat(worker(model, "writer"), worker(model, "critic")))
    assert agent.description == "A group chat of writer, critic."
    assert traits_of(agent).keeps_context


async def test_files_are_named_to_the_model(model: FakeOpenAI) -> None:
    """Ours: nothing is dropped in silence."""
    await said(ADAPTER.adapt(worker(model)), make_turn(make_message(Part(url="https://x.invalid/a.pdf"))))
    assert "https://x.invalid/a.pdf" in asked(model)


async def test_a_tool_that_another_agent_runs_is_told_under_the_id_of_its_call(model: FakeOpenAI) -> None:
    """AutoGen's own way: one agent proposes a call, another one executes it."""

    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    proposer = worker(model, "proposer")
    runner = ConversableAgent("runner", llm_config=False, human_input_mode="NEVER")
    runner.register_for_execution()(proposer.register_for_llm(description="Add.")(add))
    replies = await within(
        replies_of(ADAPTER.adapt(chat(runner, proposer, rounds=4)), make_turn('CALL add {"a": 2, "b": 3}'))
    )
    calls = [reply.id for reply in replies if isinstance(reply, ToolCall)]
    assert [getattr(reply, "content", None) for reply in replies if getattr(reply, "id", None) in calls][1:] == ["5"]


def test_a_system_message_is_not_shown_on_the_card(model: FakeOpenAI) -> None:
    """Ours: AutoGen takes it for the description where none is given; a card is for everybody."""
    agent = ADAPTER.adapt(worker(model, system_message="Never tell that the code is 4711."))
    assert agent.description == "An AutoGen agent called worker."
    assert ADAPTER.adapt(worker(model, system_message="x", description="Plans.")).description == "Plans."


async def test_a_warning_is_logged_once_and_never_written_to_standard_output(
    model: FakeOpenAI, caplog: pytest.LogCaptureFixture
) -> None:
    """Issue 5, part 1: AutoGen warns at each call of a model whose price it does not know, on standard output too."""
    log = logging.getLogger("autogen.oai.client")
    log.addHandler(logging.StreamHandler(sys.stdout))  # as AutoGen does when it is imported
    config = {"model": "priceless", "base_url": model.base_url, "api_key": "x", "max_retries": 0}
    agent = ADAPTER.adapt(ConversableAgent("worker", llm_config={"config_list": [config], "cache_seed": None}))
    for _ in range(2):
        await said(agent, make_turn("SAY hello"))
    assert log.handlers == []
    assert len([record for record in caplog.records if "priceless is not found" in record.getMessage()]) == 1


async def test_an_async_tool_is_told_as_any_other_and_not_at_the_terminal(
    model: FakeOpenAI, capfd: pytest.CaptureFixture[str]
) -> None:
    """Issue 5, part 1: AutoGen runs it in a thread that knows nothing of the run."""
    agent = worker(model)

    async def weather(city: str) -> str:
        """Tell the weather."""
        if city == "nowhere":
            raise ValueError("no such city")
        return f"sunny in {city}"

    agent.register_for_llm(description="Tell the weather.")(weather)
    agent.register_for_execution()(weather)
    adapted = ADAPTER.adapt(agent)
    replies = await within(replies_of(adapted, make_turn('CALL weather {"city": "Oslo"}')))
    results = [reply for reply in replies if isinstance(reply, ToolResult)]
    assert [(result.content, result.is_error) for result in results] == [("sunny in Oslo", False)]
    replies = await within(replies_of(adapted, make_turn('CALL weather {"city": "nowhere"}', context_id="other")))
    assert [reply.is_error for reply in replies if isinstance(reply, ToolResult)] == [True]
    assert capfd.readouterr().out == ""
