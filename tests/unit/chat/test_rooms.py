"""A room that is driven from Python: who speaks, for how long, and what comes of it."""

import asyncio
import itertools
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from a2a_bridge.agent import Chunk, Reply, Say, Turn, Usage
from a2a_bridge.chat.assistant import AssistantAgent
from a2a_bridge.chat.entry import END, Entry, entry_json
from a2a_bridge.chat.reply import Exchange, stop
from a2a_bridge.chat.seat import Seat
from a2a_bridge.chat.speaker import Selector
from a2a_bridge.chat.termination import MaxMessageTermination, SourceMatchTermination, TextMentionTermination
from a2a_bridge.chat.user_proxy import UserProxyAgent
from a2a_bridge.errors import ChatError
from a2a_bridge.testing.model import ScriptedModel


def names(result: Any) -> list[str]:
    return [said["name"] for said in result.chat_history]


async def test_round_robin_follows_the_order_of_the_seats(room: Any, puppet: Any) -> None:
    """AutoGen: round_robin."""
    result = await room(puppet("a"), puppet("b"), puppet("c"), max_round=6).chat("go")
    assert names(result) == ["user", "a", "b", "c", "a", "b"]


async def test_max_round_counts_the_opening_message_as_autogen_does(room: Any, puppet: Any) -> None:
    """AutoGen: max_round=n gives n messages in all."""
    result = await room(puppet("a"), max_round=3).chat("go")
    assert len(result.messages) == 3
    assert (result.stop.kind, result.stop.by) == ("max_round", "chat_manager")
    only = await room(puppet("a"), max_round=1).chat("go")
    assert names(only) == ["user"]


async def test_one_round_is_the_opening_alone(room: Any, puppet: Any) -> None:
    """AutoGen: max_round counts the opening message."""
    result = await room(puppet("a"), max_round=1).chat("go")
    assert (len(result.messages), result.stop.detail) == (1, "1 round, the opening one counted")


async def test_chance_with_a_seed_falls_in_the_same_way_in_each_conversation(room: Any, puppet: Any) -> None:
    """Ours: an experiment can be repeated; without a seed only the log can say how it fell."""

    async def order(seed: int | None) -> list[str]:
        selector = Selector("random", seed=seed)
        manager = room(*(puppet(name) for name in "abc"), speaker_selection_method=selector, max_round=30)
        return [decision.chosen for decision in (await manager.chat("go")).decisions]

    assert await order(7) == await order(7)
    assert await order(7) != await order(8)
    assert await order(None) != await order(None)
    with pytest.raises(ValueError, match="whole number"):
        Selector("random", seed="7")  # type: ignore[arg-type]


async def test_random_selection_stays_among_the_candidates(room: Any, puppet: Any) -> None:
    """AutoGen: random; repeats are not allowed here."""
    result = await room(
        *(puppet(name) for name in "abc"), speaker_selection_method="random", allow_repeat_speaker=False, max_round=30
    ).chat("go")
    said = names(result)
    assert all(one != other for one, other in itertools.pairwise(said))
    assert {decision.chosen_by for decision in result.decisions} == {"random"}


async def test_a_selection_function_sees_the_room_as_classic_programs_do(room: Any, puppet: Any) -> None:
    """AutoGen: speaker_selection_method=f(last_speaker, groupchat)."""
    seen: list[Any] = []
    a, b = puppet("a"), puppet("b")

    def pick(last_speaker: Any, groupchat: Any) -> Any:
        seen.append((last_speaker, groupchat.messages[-1]["content"], len(groupchat.messages), groupchat.agents))
        return {1: a, 2: "b", 3: "round_robin", 4: None}[len(groupchat.messages)]

    result = await room(a, b, speaker_selection_method=pick).chat("go")
    assert names(result) == ["user", "a", "b", "a"]
    assert (result.stop.kind, result.stop.detail) == ("function", "pick named nobody")
    assert seen[0] == (None, "go", 1, [a, b])
    assert seen[1] == (a, "a speaks", 2, [a, b])
    assert [decision.chosen_by for decision in result.decisions] == ["function", "function", "round_robin", "function"]


async def test_an_async_selection_function_works(room: Any, puppet: Any) -> None:
    """Ours: whatever a user hands over may be async."""

    async def pick(last_speaker: Any, groupchat: Any) -> Any:
        await asyncio.sleep(0)
        return "b"

    result = await room(puppet("a"), puppet("b"), speaker_selection_method=pick, max_round=2).chat("go")
    assert names(result) == ["user", "b"]


async def test_a_function_that_names_somebody_else_stops_the_room(room: Any, puppet: Any) -> None:
    """Ours: the chosen speaker is always one of the candidates."""
    result = await room(puppet("a"), speaker_selection_method=lambda last, chat: "stranger").chat("go")
    assert result.stop.kind == "selection_failed"
    assert "'stranger', who is not a candidate" in result.stop.detail


async def test_a_selection_function_that_raises_stops_the_room_and_the_conversation_is_kept(
    room: Any, puppet: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Ours: what was said is worth more than the mistake, whose traceback is in the log and not in the reason."""

    def pick(last_speaker: Any, groupchat: Any) -> Any:
        if len(groupchat.messages) == 2:
            raise KeyError("mistake")
        return "a"

    result = await room(puppet("a"), speaker_selection_method=pick).chat("go")
    assert (result.stop.kind, result.stop.detail) == ("selection_failed", "pick raised KeyError, see the log")
    assert [said["content"] for said in result.chat_history] == ["go", "a speaks"]
    assert "KeyError: 'mistake'" in caplog.text


async def test_transitions_say_who_may_follow_whom(room: Any, puppet: Any) -> None:
    """AutoGen: allowed_or_disallowed_speaker_transitions."""
    a, b, c = puppet("a"), puppet("b"), puppet("c")
    allowed = await room(
        a, b, c, max_round=5, allowed_or_disallowed_speaker_transitions={a: [c], c: [a]},
        speaker_transitions_type="allowed",
    ).chat("go")  # fmt: skip
    assert names(allowed) == ["user", "a", "c", "a", "c"]
    disallowed = await room(
        a, b, c, max_round=5, allowed_or_disallowed_speaker_transitions={a: [a, b], "c": ["c", "b"]},
        speaker_transitions_type="disallowed",
    ).chat("go")  # fmt: skip
    assert names(disallowed) == ["user", "a", "c", "a", "c"]


async def test_a_room_in_which_nobody_may_speak_stops_and_says_so(room: Any, puppet: Any) -> None:
    """Failure seen elsewhere: a declared dead end is ignored."""
    a, b = puppet("a"), puppet("b")
    result = await room(
        a, b, allowed_or_disallowed_speaker_transitions={a: []}, speaker_transitions_type="allowed"
    ).chat("go")
    assert (result.stop.kind, result.stop.detail) == ("no_speaker", "nobody may speak after a")


async def test_transitions_that_name_a_stranger_are_refused_before_the_first_turn(room: Any, puppet: Any) -> None:
    """Ours: a room checks its transitions before anybody speaks."""
    manager = room(
        puppet("a"), allowed_or_disallowed_speaker_transitions={"a": ["zoe"]}, speaker_transitions_type="allowed"
    )
    with pytest.raises(ChatError, match="names 'zoe', who has no seat"):
        await manager.chat("go")


async def test_repeats_may_be_allowed_for_some(room: Any, puppet: Any) -> None:
    """AutoGen: allow_repeat_speaker as a list."""
    a, b = puppet("a"), puppet("b")
    manager = room(a, b, allow_repeat_speaker=[b], speaker_selection_method=lambda last, chat: "b", max_round=4)
    assert names(await manager.chat("go")) == ["user", "b", "b", "b"]
    manager = room(a, b, allow_repeat_speaker=[a], speaker_selection_method=lambda last, chat: "b", max_round=4)
    assert (await manager.chat("go")).stop.kind == "selection_failed"


async def test_a_message_that_trips_a_condition_is_part_of_the_conversation(room: Any, puppet: Any) -> None:
    """Semantics 14; demand 5. Ours: it is admitted and delivered, then the room stops."""
    result = await room(
        puppet("a"), puppet("b", "we are DONE"), is_termination_msg=lambda said: "DONE" in said["content"]
    ).chat("go")
    assert names(result) == ["user", "a", "b"]
    assert (result.stop.kind, result.stop.by) == ("terminated", "b")


async def test_without_a_condition_the_closing_word_alone_ends_it(room: Any, puppet: Any) -> None:
    """AutoGen's default: TERMINATE and nothing else; the summary is then what was said before."""
    result = await room(puppet("a", "the answer is 42"), puppet("b", " TERMINATE\n")).chat("go")
    assert (result.stop.kind, result.stop.by, result.summary) == ("terminated", "b", "the answer is 42")


async def test_conditions_are_joined_and_checked_in_order(room: Any, puppet: Any) -> None:
    """Ours: `until` with |, & and ~; a condition comes before max_round."""
    until = MaxMessageTermination(3) & SourceMatchTermination(["b"]) | TextMentionTermination("never said")
    result = await room(puppet("a"), puppet("b"), until=until, max_round=3).chat("go")
    assert (result.stop.kind, result.stop.detail) == ("terminated", "3 messages and b has spoken")
    assert result.stop.also == ("max_round",), "what would have ended it as well is listed"


async def test_a_passive_stand_in_opens_the_chat_and_is_never_chosen(room: Any, puppet: Any) -> None:
    """Semantics 7; demand 3. AutoGen issue 108: no loop of blank messages."""
    human = UserProxyAgent("human", human_input_mode="NEVER")
    result = await room(human, puppet("a"), max_round=4).chat("go")
    assert names(result) == ["human", "a", "a", "a"]
    assert all(decision.candidates == ("a",) for decision in result.decisions)


async def test_a_room_of_nobody_but_a_stand_in_stops(room: Any) -> None:
    """Ours: no candidates is a reason, not a loop."""
    result = await room(UserProxyAgent("human", human_input_mode="NEVER")).chat("go")
    assert result.stop.kind == "no_speaker"


async def test_the_manager_may_declare_that_the_conversation_is_over(room: Any, puppet: Any) -> None:
    """Semantics 6 and 14; demand 6. Ours: convergence, with the reason."""
    model = ScriptedModel(['{"next": "b", "reason": "b knows"}', '{"next": "END", "reason": "all is said"}'])
    result = await room(puppet("a"), puppet("b"), llm_config=model).chat("go")
    assert (result.stop.kind, result.stop.by, result.stop.detail) == ("converged", "chat_manager", "all is said")
    assert [(decision.chosen, decision.chosen_by) for decision in result.decisions] == [("b", "auto"), (END, "auto")]
    assert END not in model.calls[0].messages[0]["content"], "nobody has answered yet"


async def test_two_turns_in_a_row_with_nothing_new_come_with_an_instruction(room: Any, puppet: Any) -> None:
    """Semantics 2; demand 13. Ours: a seat is never handed nothing."""
    a = puppet("a")
    await room(a, max_round=3).chat("go")
    assert a.heard == [["go"], ["Nobody has spoken since your last words. Please go on."]]


async def test_a_seat_sees_the_task_and_everything_new_and_nothing_twice(room: Any, puppet: Any) -> None:
    """Semantics 1. Ours: order a, b, r, a, b, r."""
    r = puppet("r")
    await room(puppet("a"), puppet("b"), r, max_round=7).chat("task")
    assert r.heard == [["task", "a speaks", "b speaks"], ["a speaks", "b speaks"]]
    past = [(said.role.value, said.text) for said in await r.turns[1].history()]
    assert past == [
        ("ROLE_USER", "task"), ("ROLE_USER", "a speaks"), ("ROLE_USER", "b speaks"), ("ROLE_AGENT", "r speaks"),
    ]  # fmt: skip
    assert [said.text for said in await r.turns[1].history(2)] == ["b speaks", "r speaks"]


async def test_an_agent_may_hand_over(room: Any, puppet: Any) -> None:
    """Ours: `Say(next=...)` proposes, and holds if that one is a candidate and a model would choose otherwise."""
    model = ScriptedModel(['{"next": "a", "reason": ""}', '{"next": "END", "reason": ""}'])
    result = await room(puppet("a", [Say("over to you", next="c")]), puppet("b"), puppet("c"), llm_config=model).chat(
        "go"
    )
    assert names(result) == ["user", "a", "c"]
    assert result.decisions[1].chosen_by == "handover"


async def test_streaming_shows_entries_and_words_in_order(room: Any, puppet: Any) -> None:
    """Issue 2: the conversation is printed as it streams, token by token."""
    shown = [one async for one in room(puppet("a", ["to", "ken", Usage(3, 2)]), max_round=2).stream("go")]
    kinds = [one.kind if isinstance(one, Entry) else one.text for one in shown]
    assert kinds == ["joined", "said", "decided", "to", "ken", "said", "stopped"]
    assert isinstance(shown[3], Chunk)
    assert (shown[3].artifact, shown[3].name) == ("turn-1-a", "a")


async def test_entries_as_json_have_the_same_members_on_every_line(room: Any, puppet: Any) -> None:
    """Issue 2: the form of `--json`."""
    shown = [one async for one in room(puppet("a", ["hi", Usage(3, 2)]), max_round=2).stream("go")]
    lines = [entry_json(one) for one in shown if isinstance(one, Entry)]
    assert all(set(line) >= {"seq", "kind", "turn", "speaker", "text", "why", "usage"} for line in lines)
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5]
    said = lines[3]
    assert said["speaker"] == {"name": "a", "kind": "local", "framework": "puppet", "endpoint": None}
    assert said["why"] == {"candidates": ["a"], "chosen": "a", "chosen_by": "round_robin", "reason": ""}
    assert said["usage"] == {"input_tokens": 3, "output_tokens": 2}
    assert (lines[-1]["kind"], lines[-1]["stop"]["kind"]) == ("stopped", "max_round")  # type: ignore[index,call-overload]


async def test_usage_is_counted_by_speaker_and_by_model(room: Any, puppet: Any) -> None:
    """Issue 2: tokens per speaker, and the classic cost."""
    model = ScriptedModel(["one two"], name="m", cost_usd=0.5)
    writer = AssistantAgent("writer", system_message="s", llm_config=model)
    result = await room(writer, puppet("a", ["x", Usage(10, 20, 1.0, "other")]), max_round=3).chat("go")
    assert result.usage == {"writer": Usage(2, 2, 0.5, "m"), "a": Usage(10, 20, 1.0, "other")}
    cost = result.cost["usage_including_cached_inference"]
    assert cost["total_cost"] == 1.5
    assert cost["other"] == {"cost": 1.0, "prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}


async def test_a_room_may_begin_with_messages_and_introductions(room: Any, puppet: Any) -> None:
    """AutoGen: messages=[...] and send_introductions."""
    a = puppet("a")
    before = [{"role": "user", "name": "editor", "content": "house style: short"}, {"name": "a", "content": "noted"}]
    result = await room(a, messages=before, send_introductions=True, max_round=2).chat("go")
    assert names(result) == ["editor", "a", "chat_manager", "user", "a"]
    assert "a: a is a puppet." in result.chat_history[2]["content"]


async def test_a_manual_choice_is_made_by_the_rooms_human(room: Any, puppet: Any) -> None:
    """AutoGen: manual; by number, by name, after a mistake, and q to end."""
    answers = iter(["2", "nobody", "a", "q"])
    asked: list[str] = []

    def human(question: str) -> str:
        asked.append(question)
        return next(answers)

    result = await room(puppet("a"), puppet("b"), speaker_selection_method="manual", human=human).chat("go")
    assert names(result) == ["user", "b", "a"]
    assert result.stop.kind == "human"
    assert asked[0].startswith("chat_manager: Who speaks next? 1 a, 2 b; q ends the conversation.")


async def test_a_manual_choice_that_stays_unclear_falls_back(room: Any, puppet: Any) -> None:
    """Ours: the fallback is deterministic and says so; the second in a row ends it."""
    manager = room(puppet("a"), puppet("b"), speaker_selection_method="manual", human=lambda question: "hm")
    result = await manager.chat("go")
    assert [decision.chosen_by for decision in result.decisions] == ["fallback", "fallback"]
    assert result.stop.kind == "selection_failed"


async def test_a_selector_may_have_a_model_of_its_own(room: Any, puppet: Any) -> None:
    """Ours: a small model may choose while a large one speaks."""
    model = ScriptedModel(['{"next": "b", "reason": ""}'])
    result = await room(
        puppet("a"), puppet("b"), speaker_selection_method=Selector("auto", model=model), max_round=2
    ).chat("go")
    assert names(result) == ["user", "b"]


async def test_choosing_by_model_without_a_model_is_refused_at_once(room: Any, puppet: Any) -> None:
    """Ours: a message that says what to do."""
    with pytest.raises(ChatError, match=r"llm_config=\.\.\."):
        room(puppet("a"), speaker_selection_method="auto")


async def test_what_a_run_did_is_read_from_the_result(room: Any, puppet: Any) -> None:
    """Demand 5. Issue 2: ChatResult with stop, summary, cost, decisions."""
    result = await room(puppet("a"), max_round=2).chat({"content": "go"})
    assert result.summary == "a speaks"
    assert result.chat_history == [
        {"role": "user", "name": "user", "content": "go"},
        {"role": "user", "name": "a", "content": "a speaks"},
    ]
    assert result.human_input == []
    assert len(result.room_id) == 36


async def test_a_manager_sums_up_with_its_model_or_a_function(room: Any, puppet: Any) -> None:
    """AutoGen: summary_method reflection_with_llm and a function."""
    model = ScriptedModel(['{"next": "a", "reason": ""}', "in short: yes"])
    result = await room(
        puppet("a"), puppet("b"), llm_config=model, summary_method="reflection_with_llm", max_round=2
    ).chat("q")
    assert result.summary == "in short: yes"
    assert "user: q\na: a speaks" in model.calls[1].text
    assert result.usage["chat_manager"].output_tokens > 3
    counted = await room(puppet("a"), summary_method=lambda manager, chat, args: "function", max_round=2).chat("q")
    assert counted.summary == "function"
    none = await room(puppet("a"), summary_method=None, max_round=2).chat("q")
    assert none.summary == ""


async def test_a_summary_that_fails_leaves_the_last_words(room: Any, puppet: Any) -> None:
    """Ours: what was said is never lost to a model that cannot be reached."""
    model = ScriptedModel(['{"next": "a", "reason": ""}', ChatError("no model")])
    result = await room(
        puppet("a"), puppet("b"), llm_config=model, summary_method="reflection_with_llm", max_round=2
    ).chat("q")
    assert (result.summary, result.stop.kind) == ("a speaks", "max_round")


async def test_a_seat_gives_an_agent_another_name(room: Any, puppet: Any) -> None:
    """Ours: the same agent twice in one room."""
    agent = puppet("a")
    result = await room(Seat(agent, "left"), Seat(agent, "right"), max_round=3).chat("go")
    assert names(result) == ["user", "left", "right"]
    writer = AssistantAgent("w", llm_config=ScriptedModel(["x"]))
    assert names(await room(Seat(writer, "editor"), max_round=2).chat("go")) == ["user", "editor"]


async def test_a_subclass_may_have_a_run_or_a_reply_chain_of_its_own(room: Any) -> None:
    """Ours: what a subclass says about speaking holds in a room too."""

    class Runs(UserProxyAgent):
        async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
            yield "own run"

    async def sixth(agent: Any, exchange: Exchange) -> AsyncGenerator[Any, None]:
        last = await exchange.last()
        yield f"sixth says {last.text if last else ''}"

    class Replies(UserProxyAgent):
        reply_chain = (stop, sixth)

    runs = Runs("runs", human_input_mode="NEVER")
    replies = Replies("replies", human_input_mode="NEVER")
    result = await room(
        runs,
        replies,
        max_round=3,
        speaker_selection_method=lambda last, chat: "runs" if len(chat.messages) == 1 else "replies",
    ).chat("go")
    assert [said["content"] for said in result.chat_history][1:] == ["own run", "sixth says own run"]
