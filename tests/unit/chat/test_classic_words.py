"""Words of the classic line: understood, or refused with a sentence; never ignored."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from a2a_bridge.chat.classic import Dicts, content_parts, model_from, to_dict
from a2a_bridge.chat.conversable import ConversableAgent
from a2a_bridge.chat.execution.docker import DockerExecutor
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.model import OpenAIModel
from a2a_bridge.chat.speaker import Selector
from a2a_bridge.chat.user_proxy import UserProxyAgent
from a2a_bridge.protocol.objects import Message, Part, Role
from a2a_bridge.testing.model import ScriptedModel
from a2a_bridge.testing.turns import make_message


def agent(text: str) -> str:
    return text


def drawn() -> GroupChat:
    return GroupChat([agent], speaker_selection_method="random")


anything: Any = object()


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: ConversableAgent("a", budget=anything), r"Seat\(agent, budget="),
        (lambda: ConversableAgent("a").initiate_chat(agent, message="x", cache=anything), r"use Cache.disk\("),
        (lambda: ConversableAgent("a").initiate_chat(agent, message="x", topic=anything), "only a message that is"),
        (lambda: ConversableAgent("a").initiate_chat(agent, message="x", carryover=anything), "a text, or a list"),
        (lambda: ConversableAgent("a", tools=[anything]), "a tool is a function with type hints"),
        (lambda: ConversableAgent("a", handoffs=[anything]), r"takes Handoff\(to, when="),
        (lambda: ConversableAgent("a", update_agent_state_before_reply=anything), "a function is needed"),
        (lambda: ConversableAgent("a", code_executor=anything), "is no executor: use BubblewrapExecutor"),
        (lambda: ConversableAgent("a", code_execution_config={"work_dri": "x"}), "'work_dri'] is not understood"),
        (lambda: ConversableAgent("a", code_execution_config=anything), "must be a dict or False"),
        (lambda: ConversableAgent("a", silent=anything), r"initiate_chat\(..., silent=True\)"),
        (lambda: ConversableAgent("a", chat_messages=anything), r"GroupChat\(messages="),
        (lambda: ConversableAgent("a", sytem_message=anything), r"Agent\(sytem_message=...\): there is no such word"),
        (lambda: GroupChat([agent], select_speaker_auto_llm_config=anything), r"Selector\('auto', model=...\)"),
        (lambda: GroupChat([agent], select_speaker_transform_messages=anything), "rewriting what the chooser"),
        (lambda: GroupChat([agent], func_call_filter=anything), "only agents that a tool is registered with"),
        (lambda: GroupChatManager(drawn(), system_message=anything), "the manager has no part in the conversation"),
        (lambda: GroupChatManager(drawn(), human_input_mode=anything), "speaker_selection_method='manual'"),
        (lambda: GroupChatManager(drawn(), max_consecutive_auto_reply=anything), r"GroupChat\(max_round=...\)"),
        (lambda: GroupChatManager(drawn(), silent=anything), r"initiate_chat\(..., silent=True\)"),
        (lambda: GroupChatManager(drawn(), default_auto_reply=anything), "does not reply itself"),
        (lambda: GroupChatManager(drawn(), code_execution_config=anything), "the manager runs no code"),
        (lambda: GroupChatManager(drawn(), frobnicate=anything), r"\(frobnicate=...\): there is no such word"),
    ],
)  # fmt: skip
def test_words_that_are_not_built_yet_are_named(make: Callable[[], Any], told: str) -> None:
    """Ours: no option that is silently ignored."""
    with pytest.raises(TypeError, match=told):
        make()


def test_classic_words_that_ask_for_what_is_done_anyway_are_taken() -> None:
    """AutoGen: `code_execution_config=False` stands in most classic programs."""
    no: Any = False
    yes: Any = True
    never: Any = "NEVER"
    assert ConversableAgent("a", code_execution_config=False, silent=no).name == "a"
    chat = GroupChat([agent], speaker_selection_method="random", func_call_filter=yes, enable_clear_history=no)
    assert GroupChatManager(chat, human_input_mode=never, silent=no, code_execution_config=no).groupchat is chat


def test_a_name_has_letters_and_no_line_breaks() -> None:
    """Ours: it stands in front of words that others read."""
    for name in ("", "  ", "a\nb", "a\u2028b", "\x00"):
        with pytest.raises(ValueError, match="a name has at least one letter, and no line breaks"):
            ConversableAgent(name)
        with pytest.raises(ValueError, match="a name has at least one letter"):
            GroupChatManager(drawn(), name=name)
    with pytest.raises(TypeError, match="a name is a text"):
        ConversableAgent(3)  # type: ignore[arg-type]


def test_a_number_of_rounds_is_a_whole_number() -> None:
    """Ours: a TypeError that is a sentence."""
    rounds: Any
    for rounds in ("5", None, 2.5, True):
        with pytest.raises(TypeError, match=r"max_round=.*: a whole number, not"):
            GroupChat([agent], max_round=rounds, speaker_selection_method="random")
    with pytest.raises(TypeError, match="max_turns='2': a whole number, not str"):
        ConversableAgent("a").initiate_chat(agent, message="x", max_turns="2")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="max_consecutive_auto_reply='1'"):
        ConversableAgent("a", max_consecutive_auto_reply="1")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["run_code", "get_human_input"])
def test_attributes_that_are_not_there_say_what_to_use(name: str) -> None:
    """Ours: an AttributeError that is a sentence."""
    with pytest.raises(AttributeError, match="is AutoGen's and not here: give the agent"):
        getattr(ConversableAgent("a"), name)
    for owner in (ConversableAgent("a"), drawn(), GroupChatManager(drawn())):
        with pytest.raises(AttributeError, match="has no attribute 'frobnicate'"):
            owner.frobnicate  # type: ignore[union-attr]  # noqa: B018


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: GroupChat([]), "at least one seat"),
        (lambda: GroupChat([agent], speaker_selection_method=Selector(), max_retries_for_selecting_speaker=1), "Sel"),
        (lambda: ConversableAgent("a", human_input_mode="NEVER", human=input), "is never asked"),
        (lambda: GroupChat([agent], max_round=0), "at least 1"),
        (lambda: GroupChat([agent], speaker_selection_method="best"), "speaker_selection_method='best'"),
        (lambda: GroupChat([agent], speaker_transitions_type="allowed"), "belong together"),
        (lambda: GroupChat([agent], allowed_or_disallowed_speaker_transitions={}), "belong together"),
        (lambda: ConversableAgent("a", human_input_mode="SOMETIMES"), "human_input_mode='SOMETIMES'"),  # type: ignore[arg-type]
        (lambda: Selector(on_failure="cry"), "on_failure='cry'"),  # type: ignore[arg-type]
        (lambda: GroupChatManager(drawn(), summary_method="x"), "summary_method='x'"),
    ],
)  # fmt: skip
def test_values_that_mean_nothing_are_refused(make: Callable[[], Any], told: str) -> None:
    """Ours: mistakes of the programmer are ValueErrors that say what to use."""
    with pytest.raises(ValueError, match=told):
        make()


def test_an_llm_config_becomes_a_model() -> None:
    """AutoGen: the dict; None and False mean no model, a Model is taken as it is."""
    assert model_from(None) is None
    assert model_from(False) is None
    scripted = ScriptedModel([])
    assert model_from(scripted) is scripted
    model = model_from({"model": "m", "temperature": 0, "cache_seed": None, "api_type": "openai", "timeout": 3})
    assert isinstance(model, OpenAIModel)
    assert (model.model, model.options, model.timeout) == ("m", {"temperature": 0}, 3)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"config_list": [{"model": "m", "cache_seed": 42}]}, "say it beside 'config_list'"),
        ({"model": "m", "cache": 1}, "use 'cache_seed'"),
        ({"model": "m", "api_type": "azure"}, "only OpenAI-compatible endpoints"),
        ({"model": "m", "temprature": 0}, r"llm_config\['temprature'\] is not understood; known are api_key, base_url"),
        ({"model": "m", "functions": [1]}, r"llm_config\['functions'\]: give the agent tools=\[...\]"),
        ({"model": "m", "tools": [1]}, r"llm_config\['tools'\]: give the agent tools=\[...\]"),
        ({"temperature": 0}, "needs a 'model'"),
        ({"config_list": []}, "at least one dict"),
        ("gpt-5", "llm_config must be a dict"),
        (True, "llm_config must be a dict"),
    ],
)
def test_an_llm_config_is_understood_to_the_last_key(config: Any, told: str) -> None:
    """Ours: a key with a slip in it must not change what a model is asked."""
    with pytest.raises(TypeError, match=told):
        model_from(config)


def test_what_classic_programs_say_becomes_parts() -> None:
    """AutoGen: content is a text, or a list of pieces."""
    assert content_parts("a") == (Part(text="a"),)
    assert content_parts({"content": "a"}) == (Part(text="a"),)
    assert content_parts(Part(text="a")) == (Part(text="a"),)
    assert content_parts(make_message("a")) == (Part(text="a"),)
    pieces = ["a", {"type": "text", "text": "b"}, {"url": "http://x/y.png", "media_type": "image/png"}, Part(data=1)]
    assert [part.kind for part in content_parts({"content": pieces})] == ["text", "text", "url", "data"]
    for wrong in (7, [7], None):
        with pytest.raises(TypeError):
            content_parts(wrong)


def test_messages_become_classic_dicts() -> None:
    """AutoGen: role, name, content."""
    message = Message(message_id="1", role=Role.AGENT, parts=(Part(text="a"), Part(raw=b"x", media_type="image/png")))
    assert to_dict(message) == {
        "role": "assistant",
        "content": [
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,eA=="}},
        ],
    }
    assert to_dict(make_message("a", speaker="zoe")) == {"role": "user", "content": "a", "name": "zoe"}


def test_a_long_room_costs_user_code_only_what_it_looks_at() -> None:
    """Ours: dicts are made when they are looked at."""
    messages = [make_message(str(number)) for number in range(5)]
    dicts = Dicts(messages)
    assert dicts[-1]["content"] == "4"
    assert [one["content"] for one in dicts[1:3]] == ["1", "2"]
    assert dicts[-1] is dicts[4]
    with pytest.raises(IndexError):
        dicts[5]


def test_a_group_chat_shows_its_seats_as_they_were_given() -> None:
    """AutoGen: groupchat.agents, agent_by_name, messages."""
    chat = GroupChat([agent], messages=[{"name": "zoe", "content": "hello"}], speaker_selection_method="random")
    assert chat.agents == [agent]
    assert chat.agent_by_name("agent") is agent
    assert chat.agent_by_name("nobody") is None
    assert chat.messages == [{"role": "user", "name": "zoe", "content": "hello"}]
    assert repr(GroupChatManager(chat)) == "GroupChatManager('chat_manager', GroupChat(agent))"


@pytest.mark.parametrize(
    ("base", "method", "told"),
    [
        (ConversableAgent, "generate_reply", r"Mine.generate_reply would never be called in a conversation: register_"),
        (ConversableAgent, "a_generate_oai_reply", "a_generate_oai_reply would never be called: register_reply"),
        (GroupChat, "select_speaker", r"takes a function of \(last_speaker, groupchat\)"),
        (GroupChatManager, "run_chat", r"would never be called: await manager.chat\(task\)"),
    ],
)
def test_a_subclass_that_overrides_what_nothing_calls_is_refused(base: type, method: str, told: str) -> None:
    """Ours: what a classic program overrides is never silently ignored."""
    with pytest.raises(TypeError, match=told):
        type("Mine", (base,), {method: lambda self: None})
    assert type("Mine", (base,), {"of_its_own": lambda self: None, "summary_args": {}}).__name__ == "Mine"


@pytest.mark.parametrize("method", ["get_human_input", "a_get_human_input"])
def test_a_subclass_asks_its_person_as_autogen_has_it(method: str) -> None:
    """AutoGen: `get_human_input(prompt)` of a subclass, which async chats know as `a_get_human_input`."""
    asked: list[str] = []

    def sync(self: Any, prompt: str) -> str:
        asked.append(f"{self.name}: {prompt}")
        return "exit"

    async def later(self: Any, prompt: str) -> str:
        return sync(self, prompt)

    mine = type("Mine", (UserProxyAgent,), {method: later if method.startswith("a_") else sync})
    result = ConversableAgent("ann", default_auto_reply="hm").initiate_chat(mine("bea"), message="well?", silent=True)
    assert result.stop.kind == "human"
    assert asked == ["bea: Your reply to ann? Enter says nothing, exit ends the conversation."]
    assert mine("bea", human_input_mode="NEVER").human is None
    assert mine("bea", human=input).human is input
    assert not hasattr(UserProxyAgent("c"), method)


def test_what_a_group_chat_was_made_with_is_not_changed_under_its_manager() -> None:
    """Ours: the manager has read it; an assignment that would be ignored says so."""
    chat = drawn()
    values: dict[str, Any] = {"max_round": 3, "messages": [], "agents": [agent]}
    for name, value in values.items():
        with pytest.raises(AttributeError, match=rf"make another GroupChat\({name}=...\)"):
            setattr(chat, name, value)
    assert chat.max_round == 10
    changes: list[Any] = [lambda said: said.append(1), lambda said: said.clear(), lambda said: said.__setitem__(0, 1)]
    for change in changes:
        for listed in (chat.messages, chat.agents):
            with pytest.raises(TypeError, match="for reading: who sits in a room, and what it begins with, is said"):
                change(listed)
    assert chat.agents == [agent]
    began = GroupChat([agent], messages=["a"], speaker_selection_method="random").messages
    assert (
        copy.deepcopy(began) == pickle.loads(pickle.dumps(began)) == [{"role": "user", "name": "user", "content": "a"}]
    )
    assert type(copy.deepcopy(began)) is list


def test_a_changed_description_or_system_message_is_what_a_chooser_reads() -> None:
    """AutoGen: both may be changed before a conversation."""
    critic = ConversableAgent("critic", "You ask.", max_consecutive_auto_reply=2)
    assert critic.role == "You ask."
    critic.update_system_message("You doubt.")
    assert critic.role == "You doubt."
    critic.description = "Doubts."
    assert critic.role == "Doubts."
    assert critic.max_consecutive_auto_reply() == 2
    critic.update_max_consecutive_auto_reply(5)
    assert critic.max_consecutive_auto_reply(agent) == 5
    assert UserProxyAgent("u", human_input_mode="TERMINATE").is_passive
    worn_out = UserProxyAgent("u", human_input_mode="TERMINATE")
    worn_out.update_max_consecutive_auto_reply(1)
    assert not worn_out.is_passive


def test_what_an_agent_has_used_is_printed_model_by_model(capsys: pytest.CaptureFixture[str]) -> None:
    """AutoGen: `get_total_usage` has the total and the models, `print_usage_summary` prints it."""
    model = ScriptedModel(["well, hm"], name="m", cost_usd=0.25)
    ann, ben = ConversableAgent("ann"), ConversableAgent("ben", llm_config=model, human_input_mode="NEVER")
    ann.print_usage_summary()
    ann.initiate_chat(ben, message="go", max_turns=1, silent=True)
    spent = {"cost": 0.25, "prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert ben.get_total_usage() == ben.get_actual_usage() == {"total_cost": 0.25, "m": spent}
    assert ann.get_total_usage() is None
    ben.print_usage_summary(mode="total")
    shown = "Agent 'ann' has used no model.\nAgent 'ben' has used (US$ 0.250000):\n"
    assert capsys.readouterr().out == f"{shown}* m: 7 tokens in, 2 out, US$ 0.250000\n"
    with pytest.raises(KeyError, match="ann has had no conversation with agent 7"):
        ann.last_message("agent 7")


def test_an_agent_shows_its_tools_and_what_runs_code() -> None:
    """AutoGen: `agent.tools`, `agent.code_executor`."""

    def look(up: str) -> str:
        return up

    executor = DockerExecutor()
    one = ConversableAgent("a", tools=[look], code_executor=executor)
    assert [tool.name for tool in one.tools] == ["look"]
    assert one.code_executor is executor
    assert ConversableAgent("b").code_executor is None
