"""Nested chats, sequences of chats, carryover, and the cache of answers."""

import asyncio
from typing import Any

import pytest

from a2a_bridge.agent import Ask, Progress
from a2a_bridge.chat.assistant import AssistantAgent
from a2a_bridge.chat.cache import Cache, CachedModel
from a2a_bridge.chat.conversable import ConversableAgent
from a2a_bridge.chat.model import ask_model
from a2a_bridge.chat.sequence import a_initiate_chats, initiate_chats
from a2a_bridge.chat.user_proxy import UserProxyAgent
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.model import ScriptedModel
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of


def bot(name: str, *replies: Any, **more: Any) -> ConversableAgent:
    model = ScriptedModel(list(replies) if replies else (lambda messages: f"{name} heard {messages[-1]['content']}"))
    return AssistantAgent(name, "", llm_config=model, **more)


# Sequences


def test_chats_in_a_row_carry_over_what_the_earlier_ones_came_to() -> None:
    """AutoGen: initiate_chats."""
    user, ann, ben, cid = UserProxyAgent("user", human_input_mode="NEVER"), bot("ann", "A"), bot("ben", "B"), bot("cid")
    results = user.initiate_chats(
        [
            {"recipient": ann, "message": "one", "max_turns": 1, "silent": True},
            {"recipient": ben, "message": "two", "max_turns": 1, "silent": True, "carryover": "given"},
            {
                "recipient": cid, "message": "three", "max_turns": 1, "silent": True,
                "finished_chat_indexes_to_exclude_from_carryover": [0],
            },
        ]
    )  # fmt: skip
    assert [result.summary for result in results][:2] == ["A", "B"]
    assert results[1].messages[0].text == "two\nContext: \ngiven\nA"
    assert results[2].messages[0].text == "three\nContext: \nB"


def test_a_message_function_is_told_the_carryover_and_words_of_the_users() -> None:
    """AutoGen: message(sender, recipient, context)."""

    def opening(sender: Any, recipient: Any, context: dict[str, Any]) -> str:
        return f"{sender.name} {recipient.name} {context['carryover']} {context['topic']}"

    result = bot("ann").initiate_chat(
        bot("ben", "x"), message=opening, max_turns=1, silent=True, carryover=["c", {"d": 1}], topic="cats"
    )
    assert result.messages[0].text == "ann ben ['c', '{\"d\": 1}'] cats"


def test_a_sequence_may_have_a_sender_each() -> None:
    """AutoGen: the module's initiate_chats."""
    ann, ben = bot("ann", "A"), bot("ben", "B")
    results = initiate_chats(
        [
            {"sender": ann, "recipient": ben, "message": "one", "max_turns": 1, "silent": True},
            {"sender": ben, "recipient": ann, "message": "two", "max_turns": 1, "silent": True},
        ]
    )
    assert [result.summary for result in results] == ["B", "A"]
    with pytest.raises(TypeError, match="needs a 'sender'"):
        initiate_chats([{"recipient": ben, "message": "x"}])
    with pytest.raises(TypeError, match="needs a 'recipient'"):
        ann.initiate_chats([{"message": "x"}])
    with pytest.raises(TypeError, match="chats run in order here"):
        ann.initiate_chats([{"recipient": ben, "message": "x", "prerequisites": [1]}])


async def test_chats_without_prerequisites_go_on_at_once_and_others_wait_for_them() -> None:
    """AutoGen: a_initiate_chats with prerequisites."""
    both = asyncio.Barrier(2)

    async def together(text: str) -> str:
        await asyncio.wait_for(both.wait(), 5)
        return f"done {text}"

    user = UserProxyAgent("user", human_input_mode="NEVER")
    results = await user.a_initiate_chats(
        [
            {
                "chat_id": "last", "recipient": bot("cid", "C"), "message": "sum", "prerequisites": ["x", "y"],
                "max_turns": 1, "silent": True,
            },
            {"chat_id": "x", "recipient": together, "message": "1", "max_turns": 1, "silent": True},
            {"chat_id": "y", "recipient": together, "message": "2", "max_turns": 1, "silent": True},
        ]
    )  # fmt: skip
    assert results["last"].messages[0].text == "sum\nContext: \ndone 1\ndone 2"
    plain = await a_initiate_chats(
        [{"sender": user, "recipient": bot("a", "A"), "message": "1", "max_turns": 1, "silent": True}]
    )
    assert list(plain) == [1]


@pytest.mark.parametrize(
    ("needs", "told"),
    [({1: [2], 2: [1]}, "wait for each other: 1, 2"), ({1: [3]}, "waits for chats that are not in the queue: .'3'")],
)
async def test_prerequisites_that_cannot_be_met_are_refused_first(needs: Any, told: str) -> None:
    """Ours: before anything is asked."""
    user = UserProxyAgent("user", human_input_mode="NEVER")
    queue = [{"chat_id": n, "recipient": bot("a"), "message": "x", "prerequisites": each} for n, each in needs.items()]
    with pytest.raises(ValueError, match=told):
        await user.a_initiate_chats(queue)


async def test_what_one_of_several_chats_raises_is_raised_as_it_is() -> None:
    """Ours: not in a group."""

    def opening(sender: Any, recipient: Any, context: Any) -> str:
        raise LookupError("no topic")

    user = UserProxyAgent("user", human_input_mode="NEVER")
    with pytest.raises(LookupError, match="no topic"):
        await user.a_initiate_chats([{"recipient": bot("a"), "message": opening}])


# Nested chats


async def test_a_reply_is_found_in_nested_chats() -> None:
    """AutoGen: register_nested_chats; the last summary is the reply, the first message the one that came."""
    user, writer = UserProxyAgent("user", human_input_mode="NEVER"), bot("writer")
    critic, editor = bot("critic"), bot("editor")

    def edit(recipient: Any, messages: Any, sender: Any, config: Any) -> str:
        return f"edit {messages[-1]['content']}"

    writer.register_nested_chats(
        [
            {"recipient": critic, "max_turns": 1},
            {"recipient": editor, "message": edit, "max_turns": 1},
        ],
        trigger=user,
    )  # fmt: skip
    result = await user.a_initiate_chat(writer, message="text", max_turns=1, silent=True)
    assert result.summary == "editor heard edit text\nContext: \ncritic heard text"
    assert [said.text for said in result.messages] == ["text", result.summary]
    assert writer.result_with(critic) is None, "agents are not written to while they run"
    untriggered = await bot("ann").a_initiate_chat(writer, message="text", max_turns=1, silent=True)
    assert untriggered.summary == "writer heard text"


async def test_nested_chats_show_their_words_as_progress_and_count_their_usage() -> None:
    """Ours: whoever watches sees what goes on."""
    writer = bot("writer")
    writer.register_nested_chats([{"recipient": bot("critic", "hm"), "max_turns": 1}], trigger="ann")
    replies = await replies_of(writer, make_turn(make_message("go", speaker="ann")))
    assert [each.text for each in replies if isinstance(each, Progress)] == ["writer: go", "critic: hm"]


async def test_a_question_in_a_nested_chat_is_asked_outside_and_answered_inside() -> None:
    """Issue 4: the human anywhere; also after a restart."""

    def made() -> ConversableAgent:
        writer = bot("writer")
        person = UserProxyAgent("person")
        writer.register_nested_chats(
            [{"recipient": bot("first", "F"), "max_turns": 1}, {"recipient": person, "message": "ok?", "max_turns": 1}],
            trigger=lambda sender: True,
        )
        return writer

    talk = Talk(made())
    replies = await talk.say(make_message("go", speaker="ann"))
    asks = [each for each in replies if isinstance(each, Ask)]
    assert len(asks) == 1
    assert asks[0].text.startswith("[person] Your reply to writer?")
    talk.agent = made()  # started anew: what is known is in the journal
    assert [each for each in await talk.say("fine") if isinstance(each, str)] == ["fine"]


async def test_a_summary_function_of_a_nested_chat_sees_that_chat() -> None:
    """AutoGen: summary_method as a function."""
    writer = bot("writer")
    writer.register_nested_chats(
        [
            {
                "recipient": bot("critic", "hm"), "max_turns": 1,
                "summary_method": lambda one, other, args: f"{one.name}: {other.last_message()['content']}",
            }
        ],
        trigger="ann",
    )  # fmt: skip
    replies = await replies_of(writer, make_turn(make_message("go", speaker="ann")))
    assert [each for each in replies if isinstance(each, str)] == ["writer: hm"]


async def test_a_function_may_take_the_place_of_the_nested_summary() -> None:
    """AutoGen: reply_func_from_nested_chats."""
    writer = bot("writer")
    queue = [{"recipient": bot("critic")}]
    writer.register_nested_chats(
        queue, "ann", lambda chats, recipient, messages, sender, config: (True, f"{len(chats)} {sender.name}")
    )
    replies = await replies_of(writer, make_turn(make_message("go", speaker="ann")))
    assert [each.parts[0].text for each in replies] == ["1 ann"]  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="summary_from_nested_chats"):
        writer.register_nested_chats(queue, "ann", "first")
    with pytest.raises(TypeError, match="needs a 'recipient'"):
        writer.register_nested_chats([{"message": "x"}], "ann")


async def test_agents_that_nest_each_other_stop() -> None:
    """Decided: 8 hops."""
    ann, ben = bot("ann"), bot("ben")
    ann.register_nested_chats([{"recipient": ben, "max_turns": 1}], trigger=lambda sender: True)
    ben.register_nested_chats([{"recipient": ann, "max_turns": 1}], trigger=lambda sender: True)
    result = await bot("cid").a_initiate_chat(ann, message="go", max_turns=1, silent=True)
    assert result.stop.kind == "failed"
    assert "is asked from within 8 conversations: nested chats must end" in result.stop.detail


# The cache


async def test_the_same_question_is_asked_once() -> None:
    """AutoGen: a cache of answers; what comes from it is not counted."""
    with FakeOpenAI() as fake:
        config = {"model": "m", "base_url": fake.base_url}
        cache = Cache.memory()
        ann, ben = UserProxyAgent("ann", human_input_mode="NEVER"), AssistantAgent("ben", llm_config=config)
        first = await ann.a_initiate_chat(ben, message="SAY hi", max_turns=1, silent=True, cache=cache)
        again = await ann.a_initiate_chat(ben, message="SAY hi", max_turns=1, silent=True, cache=cache)
        assert (first.summary, again.summary, len(fake.requests)) == ("hi", "hi", 1)
        assert "ben" not in again.usage
        await ann.a_initiate_chat(ben, message="SAY hi", max_turns=1, silent=True)
        assert len(fake.requests) == 2, "only that conversation has the cache"


async def test_answers_are_kept_on_disk_under_a_seed(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """AutoGen: cache_seed."""
    monkeypatch.chdir(tmp_path)
    with FakeOpenAI() as fake:
        for seed, requests in ((1, 1), (1, 1), (2, 2)):
            config = {"model": "m", "base_url": fake.base_url, "cache_seed": seed}
            model: Any = AssistantAgent("a", llm_config=config).model
            assert isinstance(model, CachedModel)
            assert (await ask_model(model, [{"role": "user", "content": "SAY hi"}]))[0] == "hi"
            assert len(fake.requests) == requests
    assert len(list((tmp_path / ".cache" / "a2a_bridge" / "1").iterdir())) == 1
