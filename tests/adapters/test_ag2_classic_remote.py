"""A remote A2A agent as a classic AutoGen agent, over real HTTP."""

import asyncio
import json
import warnings
from typing import Any

import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what AutoGen imports warns of coming days
    from autogen import Agent, ConversableAgent, GroupChat, GroupChatManager
    from autogen.io import IOStream

    from adapters.ag2_classic.remote import A2AAgent

from a2a_bridge.errors import AdapterFailedError
from a2a_bridge.testing.adapter_case import said, within
from a2a_bridge.testing.turns import make_turn
from adapters.ag2_classic.adapter import ADAPTER
from tests.adapters.remote_agent import Remote

pytestmark = pytest.mark.filterwarnings("ignore")  # AutoGen uses what is deprecated


class Silent(IOStream):  # type: ignore[misc]
    """Keeps what would go to the terminal."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def print(self, *objects: Any, sep: str = " ", end: str = "\n", flush: bool = False) -> None:
        pass

    def send(self, message: Any) -> None:
        if message.type == "stream":
            self.tokens.append(message.content.content)

    def input(self, prompt: str = "", *, password: bool = False) -> str:
        return ""


def writer(*drafts: str) -> ConversableAgent:
    """A local agent with its words ready."""
    agent = ConversableAgent("writer", llm_config=False, human_input_mode="NEVER")
    left = list(drafts)
    agent.register_reply([Agent, None], lambda *_, **__: (True, left.pop(0)), position=0)
    return agent


def lines(*texts: str) -> list[dict[str, Any]]:
    """A conversation: the others and the agent, in turn."""
    return [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)]


@pytest.mark.parametrize("is_async", [False, True])
async def test_in_a_group_chat_it_hears_everybody_and_is_heard(remote: tuple[Remote, str], is_async: bool) -> None:
    """Issue 5, part 2: sync and async, in a classic group chat."""
    agent, url = remote
    local, seat, heard = writer("a draft", "another"), A2AAgent(url, name="critic"), Silent()
    chat = GroupChat([local, seat], messages=[], max_round=4, speaker_selection_method="round_robin")
    manager = GroupChatManager(chat, llm_config=False)

    def talk() -> None:
        with IOStream.set_default(heard):
            local.initiate_chat(manager, message="begin")

    if is_async:
        with IOStream.set_default(heard):
            await within(local.a_initiate_chat(manager, message="begin"))
    else:
        await within(asyncio.to_thread(talk))
    assert [line["content"] for line in chat.messages] == [
        "begin",
        "I heard: [writer] begin",
        "a draft",
        "I heard: [writer] a draft",
    ]
    assert "".join(heard.tokens) == "I heard: [writer] beginI heard: [writer] a draft"
    assert agent.turns[0].context_id == agent.turns[1].context_id


async def test_a_sync_reply_works_inside_a_running_event_loop(remote: tuple[Remote, str]) -> None:
    """Ours: notebooks have a loop running, and classic programs call sync methods in it."""
    _, url = remote
    seat = A2AAgent(url, name="critic", stream=False)

    async def in_a_loop() -> Any:
        return seat.generate_reply(lines("hello"))

    assert await within(asyncio.to_thread(asyncio.run, in_a_loop())) == "I heard: hello"


async def test_an_agent_of_ours_keeps_its_event_loop_over_sync_turns() -> None:
    """Ours: what it holds belongs to a loop, the connections of its model's client say, and fails in another."""
    loops = []

    async def agent(said: str) -> str:
        loops.append(asyncio.get_running_loop())
        return said

    seat = A2AAgent(agent, name="critic", stream=False)
    for _ in range(2):
        await within(asyncio.to_thread(seat.generate_reply, lines("hello")))
    assert loops[0] is loops[1]


async def test_a_step_that_is_run_again_in_another_process_is_not_worked_twice(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: idempotent on a re-run, the same messageId from the host's state."""
    agent, url = remote
    for _ in range(2):
        seat = A2AAgent(url, name="critic", context="my chat", stream=False)
        assert await within(seat.a_generate_reply(lines("hello"))) == "I heard: hello"
    assert len(agent.turns) == 1
    assert await within(seat.a_generate_reply(lines("hello", "I heard: hello", "more"))) == "I heard: more"
    assert len(agent.turns) == 2


async def test_who_joins_late_is_told_what_was_said(remote: tuple[Remote, str]) -> None:
    """Ours: a conversation that the remote does not know is told from its start."""
    agent, url = remote
    seat = A2AAgent(url, name="critic", stream=False)
    await within(seat.a_generate_reply(lines("one", "two", "three")))
    assert agent.turns[0].text == "one\n[critic] two\nthree"
    await within(seat.a_generate_reply(lines("one", "two", "three", "four", "five")))
    assert agent.turns[1].text == "five"


async def test_a_question_is_a_message_and_the_next_message_its_answer(remote: tuple[Remote, str]) -> None:
    """Ours: INPUT_REQUIRED of the remote, also after the host was restarted."""
    _, url = remote
    seat = A2AAgent(url, name="critic", stream=False)
    assert await within(seat.a_generate_reply(lines("ASK"))) == "Shall I?"
    again = A2AAgent(url, name="critic", stream=False)
    again.load(json.loads(json.dumps(seat.state)))
    assert await within(again.a_generate_reply(lines("ASK", "Shall I?", "yes"))) == "You said yes."


async def test_what_the_host_cancels_is_cancelled_at_the_remote(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 2: cancelled when the host cancels."""
    agent, url = remote
    task = asyncio.create_task(A2AAgent(url, name="critic").a_generate_reply(lines("WAIT")))
    await within(agent.at_work.wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await within(task, 10)
    await within(agent.stopped.wait())


async def test_a_failure_of_the_remote_is_raised_without_its_words(remote: tuple[Remote, str]) -> None:
    """Ours: a host knows failures as exceptions; the remote keeps its secrets."""
    _, url = remote
    with pytest.raises(AdapterFailedError, match="critic") as failure:
        await within(A2AAgent(url, name="critic").a_generate_reply(lines("BREAK")))
    assert "secret" not in str(failure.value)


async def test_a_chat_of_two_ends_as_autogen_says_and_needs_no_names(remote: tuple[Remote, str]) -> None:
    """AutoGen's own rules: a word that ends the chat, and a limit to the answers. Who speaks is told in groups only."""
    _, url = remote
    seat = A2AAgent(url, name="critic", stream=False, max_consecutive_auto_reply=2)
    result = await within(writer("TERMINATE").a_initiate_chat(seat, message="begin"))
    assert [line["content"] for line in result.chat_history] == ["begin", "I heard: begin", "TERMINATE"]
    seat = A2AAgent(url, name="critic", stream=False, max_consecutive_auto_reply=2)
    result = await within(writer("more", "and more").a_initiate_chat(seat, message="begin"))
    assert [line["content"] for line in result.chat_history][-2:] == ["I heard: more", "and more"]
    seat = A2AAgent(url, name="critic", is_termination_msg=lambda line: "enough" in line["content"])
    assert len((await within(writer().a_initiate_chat(seat, message="enough"))).chat_history) == 1


@pytest.mark.parametrize("is_async", [False, True])
async def test_its_nested_chats_come_before_its_own_answer(remote: tuple[Remote, str], is_async: bool) -> None:
    """AutoGen's own order: nested chats stand before the model, whose place the remote has."""
    agent, url = remote
    seat, user = A2AAgent(url, name="critic", stream=False), writer()
    inner = {"recipient": writer("from inside"), "message": "nested", "max_turns": 1, "summary_method": "last_msg"}
    inner |= {"chat_id": 1} if is_async else {}
    seat.register_nested_chats([inner], trigger=user, use_async=is_async)
    if is_async:
        result = await within(user.a_initiate_chat(seat, message="go", max_turns=1))
    else:
        result = await within(asyncio.to_thread(user.initiate_chat, seat, message="go", max_turns=1))
    assert (result.summary, agent.turns) == ("from inside", [])


async def test_a_cleared_conversation_is_a_new_one(remote: tuple[Remote, str]) -> None:
    """AutoGen's own way: `clear_history` and `reset` forget."""
    agent, url = remote
    seat = A2AAgent(url, name="critic", stream=False)
    for forget in (seat.clear_history, seat.reset, lambda: None):
        await within(seat.a_generate_reply(lines("hello")))
        forget()
    assert len({turn.context_id for turn in agent.turns}) == 3


async def test_an_image_is_a_part(remote: tuple[Remote, str]) -> None:
    """Issue 5, part 1: files as parts, this way too."""
    agent, url = remote
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}}
    line = {"role": "user", "content": [{"type": "text", "text": "see"}, picture]}
    await within(A2AAgent(url, name="critic", stream=False).a_generate_reply([line]))
    assert agent.turns[0].messages[0].parts[1].raw == b"\x89PNG"


async def test_a_published_chat_may_seat_a_remote_agent(remote: tuple[Remote, str]) -> None:
    """Ours: both ways at once; the remote is told everything, because each turn of a chat is a copy."""
    agent, url = remote
    chat = GroupChat([writer("unused"), A2AAgent(url, name="critic")], messages=[], max_round=2)
    chat.speaker_selection_method = by_name
    published = ADAPTER.adapt(GroupChatManager(chat, llm_config=False))
    assert (await said(published, make_turn("hello"))).text == "[critic] I heard: [user] hello"
    assert len(agent.turns) == 1


def by_name(last: Any, chat: GroupChat) -> Any:
    """Selects the critic."""
    return chat.agent_by_name("critic")


async def test_contexts_of_a_published_chat_are_conversations_of_their_own(remote: tuple[Remote, str]) -> None:
    """Ours: what one caller says to the remote is nobody else's, nor what the owner has said before, whatever it was
    called."""
    agent, url = remote
    plain, named = A2AAgent(url, name="critic"), A2AAgent(url, name="critic", context="the owner's")
    make = lambda: A2AAgent(url, name="critic", context="made")  # noqa: E731
    for seat, target in ((plain, plain), (named, named), (make(), make)):
        agent.turns.clear()
        await within(seat.a_generate_reply(messages=[{"role": "user", "content": "the owner's words"}]))
        published = ADAPTER.adapt(target, name="critic")
        for name in ("left", "right"):
            assert "I heard: hello" in (await said(published, make_turn("hello", context_id=name))).text
        assert len({turn.context_id for turn in agent.turns}) == 3
