"""`initiate_chat` between two agents."""

import asyncio
import sys
import types
from typing import Any

import pytest

from a2a_bridge.bridge import Bridge
from a2a_bridge.chat.assistant import AssistantAgent
from a2a_bridge.chat.conversable import ConversableAgent
from a2a_bridge.chat.user_proxy import UserProxyAgent
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.errors import ChatError
from a2a_bridge.testing.model import ScriptedModel
from a2a_bridge.testing.server import running


def bot(name: str, *replies: str, **words: Any) -> ConversableAgent:
    model = ScriptedModel(list(replies) if replies else (lambda messages: f"{name} {len(messages)}"))
    return ConversableAgent(name, llm_config=model, human_input_mode="NEVER", **words)


def said(result: Any) -> list[tuple[str, str]]:
    return [(message["name"], message["content"]) for message in result.chat_history]


def test_max_turns_is_how_often_each_speaks() -> None:
    """AutoGen: max_turns=2 gives four messages."""
    result = bot("ann", "second").initiate_chat(bot("ben", "one", "two"), message="first", max_turns=2, silent=True)
    assert said(result) == [("ann", "first"), ("ben", "one"), ("ann", "second"), ("ben", "two")]
    assert (result.stop.kind, result.summary) == ("max_turns", "two")


def test_each_sees_the_other_as_the_user() -> None:
    """AutoGen: own words are the assistant's."""
    ann = bot("ann", "second")
    ben = bot("ben", "one", "two", system_message="You are Ben.")
    ann.initiate_chat(ben, message="first", max_turns=2, silent=True)
    model: Any = ben.model
    assert [(one["role"], one["content"], one.get("name")) for one in model.calls[1].messages] == [
        ("system", "You are Ben.", None), ("user", "first", "ann"), ("assistant", "one", "ben"),
        ("user", "second", "ann"),
    ]  # fmt: skip


def test_the_receivers_closing_word_ends_the_chat_at_the_sender() -> None:
    """AutoGen: is_termination_msg of the agent that would reply."""
    user = UserProxyAgent("user", human_input_mode="NEVER", is_termination_msg=lambda one: "DONE" in one["content"])
    result = user.initiate_chat(bot("ben", "all DONE"), message="go", silent=True)
    assert (result.stop.kind, result.stop.by) == ("terminated", "user")
    assert said(result) == [("user", "go"), ("ben", "all DONE")]


def test_a_stand_in_without_replies_ends_the_chat_instead_of_sending_blanks() -> None:
    """AutoGen issue 108."""
    result = UserProxyAgent("user", human_input_mode="NEVER").initiate_chat(bot("ben", "hi"), message="go", silent=True)
    assert (result.stop.kind, result.stop.detail) == ("no_reply", "user has nothing to say")
    assert result.summary == "hi"


def test_max_consecutive_auto_reply_bounds_each_agent() -> None:
    """AutoGen: max_consecutive_auto_reply."""
    result = bot("ann", max_consecutive_auto_reply=2).initiate_chat(bot("ben"), message="go", silent=True)
    assert [name for name, _ in said(result)] == ["ann", "ben"] * 3, "the opening is no reply"
    assert (result.stop.kind, result.stop.by) == ("max_replies", "ann")


def test_two_models_never_talk_for_ever() -> None:
    """AutoGen: 100 automatic replies in a row are the default bound."""
    result = bot("ann").initiate_chat(bot("ben"), message="go", silent=True)
    assert result.stop.kind == "max_replies"
    assert len(result.messages) == 201


def test_a_chat_is_printed_while_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    """AutoGen prints who speaks to whom, unless silent."""
    bot("ann").initiate_chat(bot("ben", "one"), message="first", max_turns=1)
    rule = "-" * 80
    assert capsys.readouterr().out == (
        f"ann (to ben):\n\nfirst\n\n{rule}\nben (to ann):\n\none\n\n{rule}\n"
        "\nThe conversation ended (max_turns by ann and ben): max_turns=1: each of the two has had so many turns\n"
    )


def test_a_result_reads_as_the_conversation() -> None:
    """Ours: `print(result)` in a script or a notebook."""
    result = bot("ann").initiate_chat(bot("ben", "one"), message="first", max_turns=1, silent=True)
    ended = "(max_turns by ann and ben: max_turns=1: each of the two has had so many turns)"
    assert str(result) == f"ann: first\nben: one\n{ended}"


async def test_a_remote_agent_is_printed_by_the_name_on_its_card(capsys: pytest.CaptureFixture[str]) -> None:
    """Ours: when the chat begins only its URL is known."""

    def shout(text: str) -> str:
        return text.upper()

    async with running(lambda url: Bridge(shout, public_url=url)) as url:
        await bot("ann").a_initiate_chat(RemoteAgent(url), message="first", max_turns=1)
    printed = capsys.readouterr().out
    assert printed.startswith("ann (to shout):\n\nfirst\n")
    assert "shout (to ann):\n" in printed


def test_clear_history_false_goes_on_where_the_last_chat_ended() -> None:
    """AutoGen: clear_history."""
    ann, ben = bot("ann"), bot("ben")
    first = ann.initiate_chat(ben, message="one", max_turns=1, silent=True)
    second = ann.initiate_chat(ben, clear_history=False, message="two", max_turns=1, silent=True)
    fresh = ann.initiate_chat(ben, message="three", max_turns=1, silent=True)
    assert said(first) == [("ann", "one"), ("ben", "ben 2")]
    assert said(second) == [*said(first), ("ann", "two"), ("ben", "ben 4")]
    assert second.room_id == first.room_id
    assert said(fresh) == [("ann", "three"), ("ben", "ben 2")]


def test_the_last_chat_can_be_read_from_both_agents() -> None:
    """AutoGen: chat_messages and last_message."""
    ann, ben = bot("ann"), bot("ben", "one")
    ann.initiate_chat(ben, message="first", max_turns=1, silent=True)
    assert [(one["role"], one["content"]) for one in ann.chat_messages[ben]] == [
        ("assistant", "first"), ("user", "one"),
    ]  # fmt: skip
    assert [(one["role"], one["content"]) for one in ben.chat_messages[ann]] == [
        ("user", "first"), ("assistant", "one"),
    ]  # fmt: skip
    assert ann.last_message(ben) == {"role": "user", "name": "ben", "content": "one"}


@pytest.mark.parametrize(
    ("method", "summary"),
    [
        ("last_msg", "the answer"),
        ("reflection_with_llm", "short"),
        (None, ""),
        (
            lambda sender, recipient, args: f"{recipient.last_message(sender)['content']} {args['n']}",
            "the answer  TERMINATE 1",
        ),
    ],
)
def test_a_chat_is_summed_up_in_the_classic_ways(method: Any, summary: str) -> None:
    """AutoGen: summary_method."""
    ben = bot("ben", "the answer  TERMINATE", "short")
    result = bot("ann").initiate_chat(
        ben, message="go", max_turns=1, summary_method=method, summary_args={"n": 1}, silent=True
    )
    assert result.summary == summary


def test_reflection_takes_a_prompt_of_the_users() -> None:
    """AutoGen: summary_args."""
    ben = bot("ben", "x", "short")
    bot("ann").initiate_chat(
        ben, message="go", max_turns=1, summary_method="reflection_with_llm", silent=True,
        summary_args={"summary_prompt": "In one word.", "summary_role": "user"},
    )  # fmt: skip
    model: Any = ben.model
    assert model.calls[1].messages[0] == {"role": "user", "content": "In one word."}


def test_an_unknown_summary_method_is_refused() -> None:
    """Ours: before anything is asked."""
    with pytest.raises(ValueError, match="use 'last_msg', 'reflection_with_llm'"):
        bot("ann").initiate_chat(bot("ben"), message="go", summary_method="best", silent=True)


def test_the_opening_may_be_a_function_or_a_dict() -> None:
    """AutoGen: message as a callable of (sender, recipient, context)."""
    opened = bot("ann").initiate_chat(
        bot("ben", "x"), message=lambda sender, recipient, context: f"{sender.name} to {recipient.name}", max_turns=1,
        silent=True,
    )  # fmt: skip
    assert said(opened)[0] == ("ann", "ann to ben")
    again = bot("ann").initiate_chat(bot("ben", "x"), message={"content": "dict"}, max_turns=1, silent=True)
    assert said(again)[0] == ("ann", "dict")


def test_without_a_message_a_person_is_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """AutoGen: the initial message is asked for."""
    monkeypatch.setattr("builtins.input", lambda prompt: "typed")
    assert said(bot("ann").initiate_chat(bot("ben", "x"), max_turns=1, silent=True))[0] == ("ann", "typed")


def test_any_agent_can_be_talked_to() -> None:
    """Issue 2: two agents, whatever they are made of."""

    async def upper(text: str) -> str:
        return text.upper()

    result = bot("ann", "more").initiate_chat(upper, message="go", max_turns=2, silent=True)
    assert said(result) == [("ann", "go"), ("upper", "GO"), ("ann", "more"), ("upper", "MORE")]


def test_a_failure_ends_a_chat_of_two_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    """Ours: the result says so, and the log has the exception."""
    ben = ConversableAgent("ben", llm_config=ScriptedModel([ChatError("no key")]), human_input_mode="NEVER")
    result = bot("ann").initiate_chat(ben, message="go", silent=True)
    assert (result.stop.kind, result.stop.detail) == ("failed", "ben could not answer: no key")
    assert "no key" in caplog.text


async def test_in_a_running_loop_the_sync_spelling_names_the_other_one() -> None:
    """Semantics 20. Ours: it would block the loop it runs in."""
    with pytest.raises(RuntimeError, match=r"use await ann\.a_initiate_chat\(\.\.\.\)"):
        bot("ann").initiate_chat(bot("ben"), message="go", silent=True)


async def test_under_ipython_it_runs_in_a_loop_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours: notebooks always have a loop running."""
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: object()))
    result = bot("ann").initiate_chat(bot("ben", "one"), message="first", max_turns=1, silent=True)
    assert said(result)[-1] == ("ben", "one")


async def test_chats_of_the_same_agents_can_go_on_at_once() -> None:
    """Ours: agents are configuration."""
    ann, ben = bot("ann"), bot("ben")
    chats = [ann.a_initiate_chat(ben, message=f"task {n}", max_turns=2, silent=True) for n in range(10)]
    for number, result in enumerate(await asyncio.gather(*chats)):
        assert said(result)[0] == ("ann", f"task {number}")
        assert len(result.messages) == 4


def test_an_assistant_needs_nobody_and_has_a_role() -> None:
    """AutoGen: AssistantAgent is NEVER, UserProxyAgent ALWAYS, ConversableAgent TERMINATE."""
    assert AssistantAgent("a").human_input_mode == "NEVER"
    assert UserProxyAgent("u").human_input_mode == "ALWAYS"
    assert ConversableAgent("c").human_input_mode == "TERMINATE"
    assert AssistantAgent("a", "You are short.").role == "You are short."
    assert AssistantAgent("a", "You are short.").description == "The agent a.", "a card does not show the prompt"
    assert AssistantAgent("a", "You are short.", description="Short.").role == "Short."
    assert "TERMINATE" in AssistantAgent("a").system_message


def test_max_turns_is_not_for_rooms(room: Any, puppet: Any) -> None:
    """Ours: a word that would mean nothing is refused."""
    with pytest.raises(TypeError, match="max_round"):
        bot("ann").initiate_chat(room(puppet("x")), message="go", max_turns=2)
    with pytest.raises(ValueError, match="at least 1"):
        bot("ann").initiate_chat(bot("ben"), message="go", max_turns=0)


def test_an_agent_from_outside_may_open_a_room_and_go_on_with_it(room: Any, puppet: Any) -> None:
    """AutoGen: initiate_chat with a manager the sender does not sit with; clear_history=False goes on."""
    manager = room(puppet("x"), max_round=2)
    ann = bot("ann")
    first = ann.initiate_chat(manager, message="one", silent=True)
    again = ann.initiate_chat(manager, clear_history=False, message="two", silent=True)
    assert said(first) == [("ann", "one"), ("x", "x speaks")]
    assert said(again) == [*said(first), ("ann", "two"), ("x", "x speaks")]
    assert [each["role"] for each in again.chat_history] == ["assistant", "user", "assistant", "user"]
    assert manager.groupchat.messages == [{**each, "role": "user"} for each in again.chat_history]
