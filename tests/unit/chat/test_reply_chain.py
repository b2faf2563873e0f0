"""The reply chain, and everything that can be put into it or around it."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from a2a_bridge.agent import Ask, Chunk, Progress, Say, ToolCall, ToolResult, Usage, speaker_metadata
from a2a_bridge.chat.assistant import AssistantAgent
from a2a_bridge.chat.conversable import ConversableAgent
from a2a_bridge.chat.exchange import Exchange
from a2a_bridge.chat.handoff import Handoff
from a2a_bridge.chat.hooks import UpdateSystemMessage
from a2a_bridge.chat.memory import Notes
from a2a_bridge.chat.seat import Seat
from a2a_bridge.chat.tools import ReplyResult, tool
from a2a_bridge.chat.user_proxy import UserProxyAgent
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import Part
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.model import ScriptedModel
from a2a_bridge.testing.turns import Talk, make_message, make_turn, replies_of


def words(replies: Sequence[Any]) -> str:
    return "".join(each for each in replies if isinstance(each, str))


def bot(name: str, *replies: Any, **more: Any) -> ConversableAgent:
    return AssistantAgent(name, llm_config=ScriptedModel(list(replies)), **more)


# register_reply


def test_a_classic_reply_function_is_asked_first_and_may_be_final() -> None:
    """AutoGen: register_reply(trigger, f) with (recipient, messages, sender, config) -> (final, reply)."""
    seen: list[Any] = []

    def first(recipient: Any, messages: Any, sender: Any, config: Any) -> tuple[bool, Any]:
        seen.append((recipient, messages[-1]["content"], sender, config))
        return (True, "mine") if "go" in messages[-1]["content"] else (False, None)

    ann, ben = bot("ann", "and stop"), bot("ben", "by the model")
    ben.register_reply([ConversableAgent, None], first, config={"n": 1})
    result = ann.initiate_chat(ben, message="go", max_turns=2, silent=True)
    assert [said.text for said in result.messages] == ["go", "mine", "and stop", "by the model"]
    assert seen[0] == (ben, "go", ann, {"n": 1}), "the sender is the agent itself"


@pytest.mark.parametrize(
    ("trigger", "fires"),
    [
        ("ann", True), ("zoe", False), (lambda sender: sender.name == "ann", True), (AssistantAgent, True),
        (UserProxyAgent, False), (None, False), ([None, "ann"], True), ([], False),
    ],
)  # fmt: skip
async def test_a_trigger_says_for_whom_a_reply_function_is(trigger: Any, fires: bool) -> None:
    """AutoGen: triggers."""
    ann, ben = bot("ann"), bot("ben", "model")
    ben.register_reply(trigger, lambda agent, **_: (True, "function"))
    result = await ann.a_initiate_chat(ben, message="go", max_turns=1, silent=True)
    assert result.summary == ("function" if fires else "model")


async def test_an_agent_is_a_trigger_too_and_async_functions_are_awaited() -> None:
    """AutoGen: an agent as trigger, async reply functions."""
    ann, ben = bot("ann"), bot("ben", "model")

    async def answer(recipient: Any, messages: Any, sender: Any, config: Any) -> tuple[bool, Any]:
        return True, {"content": "async"}

    ben.register_reply(ann, answer)
    assert (await ann.a_initiate_chat(ben, message="go", max_turns=1, silent=True)).summary == "async"


async def test_final_without_words_ends_a_chat_and_replies_can_be_taken_away() -> None:
    """AutoGen: (True, None); remove_other_reply_funcs; replace_reply_func."""
    ann, ben = bot("ann"), bot("ben", "model")

    def nothing(*_: Any, **__: Any) -> tuple[bool, None]:
        return True, None

    ben.register_reply([ConversableAgent], nothing, remove_other_reply_funcs=True)
    assert len(ben.replies) == 1
    result = await ann.a_initiate_chat(ben, message="go", silent=True)
    assert (result.stop.kind, result.stop.by) == ("no_reply", "ben")
    ben.replace_reply_func(nothing, lambda *_, **__: (True, "now"))
    assert (await ann.a_initiate_chat(ben, message="go", max_turns=1, silent=True)).summary == "now"
    with pytest.raises(ValueError, match="is not among the replies of ben"):
        ben.replace_reply_func(nothing, nothing)


async def test_a_reply_function_of_ours_streams_and_sees_the_exchange() -> None:
    """Issue 4: an ordered list of small functions that a user can extend."""

    async def counting(agent: Any, exchange: Exchange) -> AsyncGenerator[Any, None]:
        last = await exchange.last()
        if last is not None and last.text.isdigit():
            yield Progress("counting")
            for number in range(int(last.text)):
                yield f"{number} "

    agent = bot("bot", "model")
    agent.register_reply(None, counting, position=2)
    assert words(await replies_of(agent, make_turn("3"))) == "0 1 2 "
    assert words(await replies_of(agent, make_turn("three"))) == "model"
    with pytest.raises(TypeError, match="decides itself"):
        agent.register_reply("ann", counting)


# Middleware and hooks


async def test_middleware_goes_around_the_whole_chain_in_order() -> None:
    """Issue 4: middleware; the first is outermost."""

    def around(mark: str) -> Any:
        async def middleware(agent: Any, exchange: Exchange, inner: Any) -> AsyncGenerator[Any, None]:
            yield f"<{mark}>"
            async with aclosing(inner()) as spoken:
                async for piece in spoken:
                    yield piece.upper() if isinstance(piece, str) else piece
            yield f"</{mark}>"

        return middleware

    agent = bot("bot", "hello", middleware=[around("a"), around("b")])
    assert words(await replies_of(agent, make_turn("x"))) == "<a><B>HELLO</B></a>"


async def test_middleware_may_answer_itself() -> None:
    """Ours: a guard needs no model."""

    async def guard(agent: Any, exchange: Exchange, inner: Any) -> AsyncGenerator[Any, None]:
        yield "not here"

    agent = AssistantAgent("guard", middleware=[guard])
    assert words(await replies_of(agent, make_turn("x"))) == "not here"
    assert not agent.is_passive


async def test_hooks_see_and_change_what_goes_in_and_out() -> None:
    """AutoGen: register_hook, all nine names."""
    model = ScriptedModel([ToolCall("1", "f", {"x": 1}), "answer"])
    agent = AssistantAgent("bot", "system", llm_config=model, tools=[tool(name="f")(lambda x: f"got {x}")])
    agent.register_hook("process_all_messages_before_reply", lambda messages: messages[-1:])
    agent.register_hook("process_last_received_message", lambda content: content + "!")
    agent.register_hook("safeguard_llm_inputs", lambda messages: [*messages, {"role": "system", "content": "be nice"}])
    agent.register_hook("safeguard_tool_inputs", lambda call: {**call, "arguments": {"x": 2}})
    agent.register_hook("safeguard_tool_outputs", lambda result: {**result, "content": result["content"] + "?"})

    async def shout(text: str) -> str:
        return text.upper()

    agent.register_hook("safeguard_llm_outputs", shout)
    agent.register_hook("update_agent_state", lambda now, messages: now.update_system_message(f"{len(messages)} said"))
    agent.register_hook(
        "process_message_before_send", lambda sender, message, recipient, silent: f"{sender.name}: {message}"
    )
    turn = make_turn(make_message("new", speaker="ann"), history=[make_message("old")])
    assert words(await replies_of(agent, turn)) == "bot: ANSWER"
    first, second = model.calls
    assert [each["content"] for each in first.messages] == ["1 said", "new!", "be nice"]
    assert second.messages[3]["content"] == "got 2?"
    assert agent.system_message == "system", "configuration is not written to"
    with pytest.raises(ValueError, match="hooks are update_agent_state"):
        agent.register_hook("process_everything", print)


async def test_a_hook_on_human_words_sees_them_before_they_are_said() -> None:
    """AutoGen: safeguard_human_inputs."""
    user = UserProxyAgent("user", human=lambda question: "my card is 1234")
    user.register_hook("safeguard_human_inputs", lambda text: text.replace("1234", "****"))
    assert words(await replies_of(user, make_turn("?"))) == "my card is ****"


async def test_a_hook_that_rewrites_messages_does_not_make_a_remote_one_local() -> None:
    """Decided semantics 18: who said it, and over which way, stays as it was."""
    user = UserProxyAgent("user", human_input_mode="NEVER", default_auto_reply="go on")
    user.register_hook(
        "process_all_messages_before_reply", lambda told: [{**each, "content": "TERMINATE"} for each in told]
    )
    far = make_message("x").model_copy(update={"metadata": speaker_metadata("far", kind="remote")})
    assert words(await replies_of(user, make_turn(far))) == "go on"


async def test_the_system_message_may_follow_the_variables() -> None:
    """AutoGen: update_agent_state_before_reply, UpdateSystemMessage."""
    model = ScriptedModel(lambda messages: "ok")
    agent = AssistantAgent(
        "bot", llm_config=model, context_variables={"user": "Ann"},
        update_agent_state_before_reply=[UpdateSystemMessage("You serve {user}, {unknown}.")],
    )  # fmt: skip
    await replies_of(agent, make_turn("x"))
    assert model.calls[0].messages[0]["content"] == "You serve Ann, {unknown}."
    other = AssistantAgent(
        "bot", llm_config=model, update_agent_state_before_reply=UpdateSystemMessage(lambda a, m: a.name)
    )
    await replies_of(other, make_turn("x"))
    assert model.calls[1].messages[0]["content"] == "bot"


# Handoffs


async def test_a_model_hands_over_by_calling_and_the_room_follows(room: Any) -> None:
    """AutoGen: handoffs; the room's next speaker."""
    ann = bot(
        "ann",
        ["Over to you.", ToolCall("1", "transfer_to_cid", {})],
        handoffs=[Handoff("cid", when="it is about cats")],
    )
    ben, cid = bot("ben", "ben speaks"), bot("cid", "cid speaks")
    manager = room(ann, ben, cid, llm_config=ScriptedModel(['{"next": "ann", "reason": "first"}']), max_round=3)
    result = await manager.chat("cats?")
    assert [said.text for said in result.messages] == ["cats?", "Over to you.", "cid speaks"]
    assert result.decisions[1].chosen_by == "handover"
    offered: Any = ann.model
    assert offered.calls[0].tools[0]["function"]["description"] == "Hand over to cid: it is about cats"


async def test_a_condition_on_the_variables_hands_over_without_asking_the_model() -> None:
    """AutoGen: OnContextCondition; after work."""
    agent = bot("bot", context_variables={"done": True}, handoffs=[Handoff("cid", condition="done")])
    assert await replies_of(agent, make_turn("x")) == [Say("(hands over to cid)", next="cid")]
    agent = bot(
        "bot",
        "work",
        context_variables={"n": 1},
        handoffs=[Handoff("cid", condition=lambda v: v["n"] == 2), Handoff("dan")],
    )
    replies = await replies_of(agent, make_turn("x"))
    assert words(replies) == "work"
    assert replies[-1] == Say(next="dan")


async def test_a_tool_may_hand_over() -> None:
    """AutoGen: ReplyResult(target=...)."""
    made = tool(name="f")(lambda: ReplyResult("found it", target="cid"))
    replies = await replies_of(bot("bot", ToolCall("1", "f", {}), tools=[made]), make_turn("x"))
    assert words(replies) == "found it"
    assert replies[-1] == Say(next="cid")


def test_handoffs_that_make_no_sense_are_refused() -> None:
    """Ours: mistakes of the programmer."""
    with pytest.raises(ValueError, match="either when"):
        Handoff("a", when="x", condition="y")
    with pytest.raises(ValueError, match="lead to the same agent"):
        bot("bot", handoffs=[Handoff("a", when="x"), Handoff("a", when="y")])
    with pytest.raises(TypeError, match="an agent, or its name"):
        Handoff(3)
    with pytest.raises(ValueError, match="nobody has an empty one"):
        Handoff(" ")


async def test_a_handover_to_an_agent_finds_its_seat_whatever_it_is_called_there(room: Any) -> None:
    """Ours: `Seat(agent, name=...)`. A tool may name an agent too."""
    cid = bot("cid", "cid speaks")
    assert ReplyResult("", target=cid).target == "cid"
    ann = bot("ann", ["Over to you."], handoffs=[Handoff(cid)])
    manager = room(ann, bot("ben"), Seat(cid, name="editor"), llm_config=first("ann"), max_round=3)
    result = await manager.chat("cats?")
    assert [said.text for said in result.messages] == ["cats?", "Over to you.", "cid speaks"]
    assert (result.decisions[1].chosen, result.decisions[1].chosen_by) == ("editor", "handover")
    ann = bot("ann", ["Over to you."], handoffs=[Handoff("CID")])
    result = await room(ann, bot("ben"), cid, llm_config=first("ann"), max_round=3).chat("cats?")
    assert result.decisions[1].chosen == "cid"


@pytest.mark.parametrize(
    ("to", "rules", "told"),
    [
        ("dora", {}, "who has no seat here"),
        ("x" * 200, {}, f"ann hands over to {'x' * 80!r}, who has no seat here"),
        ("ann", {"allow_repeat_speaker": False}, "hands over to 'ann', who may not speak now"),
        ("cid", {"speaker_selection_method": "round_robin"}, "is not asked: speakers are chosen by round_robin"),
    ],
)
async def test_a_handover_that_cannot_be_followed_says_why_and_the_room_goes_on(
    room: Any, to: str, rules: dict[str, Any], told: str
) -> None:
    """Demand 6: a declared target is never silently ignored. The room goes on by its rule."""
    ann = bot("ann", ["Over to you."], handoffs=[Handoff(to)])
    model = ScriptedModel(['{"next": "ann", "reason": "first"}', '{"next": "ben", "reason": "his turn"}'])
    manager = room(ann, bot("ben", "ben speaks"), bot("cid", "cid speaks"), llm_config=model, max_round=3, **rules)
    result = await manager.chat("cats?")
    assert [said.text for said in result.messages] == ["cats?", "Over to you.", "ben speaks"]
    assert told in result.decisions[1].reason
    assert "hands over" not in result.decisions[0].reason


def first(name: str) -> ScriptedModel:
    return ScriptedModel([json.dumps({"next": name, "reason": "first"})])


# Memory, form, pictures


async def test_memory_is_put_before_the_model_and_told_what_was_said() -> None:
    """Issue 4: memory."""

    class Diary(Notes):
        def __init__(self) -> None:
            super().__init__("Ann likes tea.")
            self.kept: list[Any] = []

        async def remember(self, turn: Any, messages: Any, reply: str) -> None:
            self.kept.append((turn.caller.principal, messages[-1].text, reply))

    diary = Diary()
    agent = bot("bot", "Tea, then.", memory=[Notes("It is late."), diary])
    await replies_of(agent, make_turn("What now?"))
    model: Any = agent.model
    assert model.calls[0].messages[1] == {
        "role": "system", "content": "What you remember:\n- It is late.\n- Ann likes tea.",
    }  # fmt: skip
    assert diary.kept == [("anonymous", "What now?", "Tea, then.")]


class Verdict(BaseModel):
    grade: Literal["good", "bad"]
    points: int = 0


async def test_a_reply_has_the_form_that_was_asked_for(room: Any) -> None:
    """Issue 4: structured output."""
    agent = bot("bot", '```json\n{"grade": "good"}\n```', response_format=Verdict)
    replies = await replies_of(agent, make_turn("x"))
    chunk = next(each for each in replies if isinstance(each, Chunk))
    assert chunk.parts == (Part(data={"grade": "good", "points": 0}, media_type="application/json"),)
    model: Any = agent.model
    assert model.calls[0].schema["required"] == ["grade", "points"], "endpoints want all of them"
    assert model.calls[0].schema["additionalProperties"] is False


async def test_a_form_that_was_missed_is_asked_for_again_with_the_reason() -> None:
    """Issue 4: structured output is checked."""
    agent = bot("bot", "well", '{"grade": "so so"}', '{"grade": "bad", "points": 3}', response_format=Verdict)
    replies = await replies_of(agent, make_turn("x"))
    assert [each.parts[0].data for each in replies if isinstance(each, Chunk)] == [{"grade": "bad", "points": 3}]
    model: Any = agent.model
    assert "the answer is not JSON" in str(model.calls[1].messages[-1]["content"])
    assert "grade: Input should be 'good' or 'bad'" in str(model.calls[2].messages[-1]["content"])
    with pytest.raises(ChatError, match="gave no answer in the form"):
        await replies_of(bot("bot", "a", "b", "c", response_format=Verdict), make_turn("x"))


async def test_the_form_goes_to_the_endpoint_and_a_config_may_say_it() -> None:
    """AutoGen: llm_config['response_format']."""
    with FakeOpenAI() as fake:
        config = {"model": "m", "base_url": fake.base_url, "response_format": Verdict}
        replies = await replies_of(AssistantAgent("bot", llm_config=config), make_turn("x"))
        sent = fake.requests[0].body["response_format"]
    assert sent["json_schema"]["schema"]["properties"]["grade"]["enum"] == ["good", "bad"]
    assert next(each for each in replies if isinstance(each, Chunk)).parts[0].data == {"grade": "good", "points": 0}
    with pytest.raises(TypeError, match="a pydantic model, or a JSON Schema"):
        bot("bot", response_format={"strict": True})


async def test_pictures_reach_the_model_as_pictures() -> None:
    """Issue 4: image parts and OpenAI's content parts."""
    model = ScriptedModel(lambda messages: "seen")
    agent = AssistantAgent("bot", "", llm_config=model)
    parts = [
        Part(text="look"), Part(raw=b"\x89", media_type="image/png"), Part(url="https://x/y.jpg", media_type="image/*"),
        Part(raw=b"RIFF", media_type="audio/wav"), Part(raw=b"%PDF", media_type="application/pdf", filename="a.pdf"),
        Part(raw=b"a,b", media_type="text/csv", filename="a.csv"), Part(raw=b"?", filename="z.bin"),
    ]  # fmt: skip
    await replies_of(agent, make_turn(make_message(parts)))
    content = model.calls[0].messages[0]["content"]
    assert [each["type"] for each in content] == [
        "text", "image_url", "image_url", "input_audio", "file", "text", "text",
    ]  # fmt: skip
    assert content[1]["image_url"]["url"] == "data:image/png;base64,iQ=="
    assert content[2]["image_url"]["url"] == "https://x/y.jpg"
    assert content[5]["text"] == "a.csv:\na,b"
    assert "z.bin" in content[6]["text"]


async def test_classic_pictures_in_a_message_become_parts_and_come_back() -> None:
    """AutoGen: content as a list with image_url."""
    ann, ben = bot("ann"), bot("ben", "nice")
    content = [
        {"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,iQ=="}},
        {"type": "image_url", "image_url": {"url": "https://x/y.jpg"}},
    ]  # fmt: skip
    result = await ann.a_initiate_chat(ben, message={"content": content}, max_turns=1, silent=True)
    assert result.messages[0].parts[1].raw == b"\x89"
    assert result.chat_history[0]["content"] == content


# One reply, and what was used


async def test_one_reply_can_be_asked_for_without_a_chat() -> None:
    """AutoGen: generate_reply, a_generate_reply."""
    agent = bot("bot", "hello", ToolCall("1", "f", {}), "")
    agent.register_for_llm(name="f", description="F.")(lambda: None)
    assert await agent.a_generate_reply([{"role": "user", "content": "x"}]) == "hello"
    model: Any = agent.model
    assert model.calls[0].messages[-1] == {"role": "user", "content": "x"}
    proposed = await agent.a_generate_reply([{"content": "y"}], sender=bot("ann"))
    assert isinstance(proposed, dict)
    assert (proposed["role"], proposed["name"]) == ("assistant", "bot")
    assert proposed["tool_calls"][0]["function"]["name"] == "f"
    assert model.calls[1].messages[-1]["name"] == "ann"
    assert await agent.a_generate_reply([{"content": "z"}]) is None
    with pytest.raises(ValueError, match="nothing to reply to"):
        await agent.a_generate_reply()
    with pytest.raises(ChatError, match="nobody is there"):
        await UserProxyAgent("user").a_generate_reply([{"content": "z"}])


def test_a_chat_goes_on_with_send_and_its_usage_is_counted() -> None:
    """AutoGen: send, receive, clear_history; Issue 4: usage and cost per agent."""
    ann = bot("ann")
    ben = AssistantAgent("ben", llm_config=ScriptedModel(["b1 TERMINATE", "b2 TERMINATE"], cost_usd=0.25))
    ann.send("one", ben, silent=True)
    assert [said["content"] for said in ann.chat_messages[ben]] == ["one", "b1 TERMINATE"]
    result = ben.receive("two", ann, silent=True)
    assert [said["content"] for said in result.chat_history][2:] == ["two", "b2 TERMINATE"]
    assert ben.usage().cost_usd == 0.25
    assert ann.usage() == Usage()
    ben.clear_history()
    assert ben.usage() == Usage()
    with pytest.raises(TypeError, match="request_reply=False"):
        ann.send("x", ben, request_reply=False)


async def test_the_cost_is_the_providers_then_the_price_then_the_tables(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """Issue 4: provider figures first, prices from a table the user can replace."""
    from types import SimpleNamespace

    from a2a_bridge.chat.prices import cost_of

    used = SimpleNamespace(prompt_tokens=1000, completion_tokens=2000)
    assert cost_of(used, "gpt-4o-2024-08-06", None, None) == pytest.approx(0.0225)
    assert cost_of(used, "unheard-of", None, None) is None
    assert cost_of(used, "gpt-4o", (1, 2), None) == 5
    assert cost_of(used, "m", None, {"m": (2, 0)}) == 2
    assert cost_of(SimpleNamespace(prompt_tokens=1, completion_tokens=1, cost=0.7), "gpt-4o", (1, 1), None) == 0.7
    table = tmp_path / "prices.json"
    table.write_text(json.dumps({"mine": [3, 0]}))
    monkeypatch.setenv("A2A_BRIDGE_PRICES", str(table))
    assert cost_of(used, "mine", None, None) == 3
    assert cost_of(used, "gpt-4o", None, None) is None, "the user's table takes the place of ours"
    broken = tmp_path / "broken.json"
    broken.write_text("[1]")
    monkeypatch.setenv("A2A_BRIDGE_PRICES", str(broken))
    with pytest.raises(ChatError, match="A2A_BRIDGE_PRICES"):
        cost_of(used, "mine", None, None)


async def test_an_approval_and_a_person_who_speaks_do_not_get_in_each_others_way() -> None:
    """Ours: the answer to one question is not taken for the answer to another."""
    ran: list[str] = []
    made = tool(name="f", approval="human")(lambda: ran.append("ran") or "done")
    agent = ConversableAgent(
        "bot", llm_config=ScriptedModel([ToolCall("1", "f", {}), "finished"]), tools=[made], human_input_mode="ALWAYS"
    )
    talk = Talk(agent)
    assert isinstance((await talk.say("hello"))[-1], Ask)
    asked = (await talk.say(""))[-1]
    assert isinstance(asked, Ask)
    assert asked.id == "tool:1"
    replies = await talk.say("yes")
    assert (ran, words(replies).strip()) == (["ran"], "finished")
    assert [each.content for each in replies if isinstance(each, ToolResult)] == ["done"]
