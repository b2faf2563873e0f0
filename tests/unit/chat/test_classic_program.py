"""The classic program: only its import line is ours."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from a2a_bridge import AssistantAgent, GroupChat, GroupChatManager, UserProxyAgent
from a2a_bridge.testing.fake_model import Conversation, Said
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.model import ScriptedModel

TASK = "Identify 3 emerging SA fintech trends. Researcher proposes; critic challenges; reach consensus."
GOLDEN = f"""human (to chat_manager):

{TASK}

--------------------------------------------------------------------------------

Next speaker: researcher (auto): it proposes

researcher (to chat_manager):

Instant payments, stablecoins, embedded credit.

--------------------------------------------------------------------------------

Next speaker: critic (auto): it challenges

critic (to chat_manager):

Embedded credit needs evidence.

--------------------------------------------------------------------------------

Next speaker: researcher (auto): it answers

researcher (to chat_manager):

Two retailers launched it this year; agreed.

--------------------------------------------------------------------------------

Nobody speaks next (auto): consensus is reached


The conversation ended (converged by chat_manager): consensus is reached
"""
REPLIES = [
    '{"next": "researcher", "reason": "it proposes"}',
    "Instant payments, stablecoins, embedded credit.",
    '{"next": "critic", "reason": "it challenges"}',
    "Embedded credit needs evidence.",
    '{"next": "researcher", "reason": "it answers"}',
    "Two retailers launched it this year; agreed.",
    '{"next": "END", "reason": "consensus is reached"}',
]


def classic(llm_config: Any) -> Any:
    """The program, as its users know it."""
    researcher = AssistantAgent(
        name="researcher", system_message="You research SA fintech trends with rigor.", llm_config=llm_config
    )
    critic = AssistantAgent(
        name="critic", system_message="You challenge weak claims and ask for evidence.", llm_config=llm_config
    )
    human = UserProxyAgent(name="human", human_input_mode="NEVER")
    groupchat = GroupChat(agents=[human, researcher, critic], messages=[], max_round=10)
    manager = GroupChatManager(groupchat=groupchat, llm_config=llm_config)
    return human.initiate_chat(manager, message=TASK), groupchat


def test_the_classic_program_runs_with_only_its_import_line_changed(capsys: pytest.CaptureFixture[str]) -> None:
    """Issue 2: the golden test with a scripted model."""
    model = ScriptedModel(REPLIES)
    result, groupchat = classic(model)
    assert capsys.readouterr().out == GOLDEN
    assert result.stop.kind == "converged"
    assert result.summary == "Two retailers launched it this year; agreed."
    assert [said["name"] for said in result.chat_history] == ["human", "researcher", "critic", "researcher"]
    assert [said["role"] for said in result.chat_history] == ["assistant", "user", "user", "user"]
    assert groupchat.messages == [{**said, "role": "user"} for said in result.chat_history]
    assert len(model.calls) == 7


def test_the_classic_program_runs_against_an_openai_compatible_server(capsys: pytest.CaptureFixture[str]) -> None:
    """Issue 2: the same over HTTP, with the classic llm_config dict."""
    replies = iter(REPLIES)

    def say(asked: Conversation) -> Said:
        return Said(text=next(replies))

    with FakeOpenAI(say) as server:
        result, _ = classic({"model": "gpt-5", "api_key": "key-1", "base_url": server.base_url, "temperature": 0})
        requests = server.requests
    assert capsys.readouterr().out == GOLDEN
    assert result.stop.kind == "converged"
    headers = [{name.lower(): value for name, value in request.headers.items()} for request in requests]
    assert {sent["authorization"] for sent in headers} == {"Bearer key-1"}
    assert all(request.body["temperature"] == 0 and request.body["stream"] for request in requests)
    options = requests[0].body["response_format"]["json_schema"]["schema"]["properties"]["next"]["enum"]
    assert options == ["researcher", "critic"]
    spoken = requests[3].body["messages"]
    assert [(said["role"], said.get("name")) for said in spoken] == [
        ("system", None),
        ("user", "human"),
        ("user", "researcher"),
    ]
    assert result.cost["usage_including_cached_inference"]["gpt-5"]["total_tokens"] > 0


def test_the_selecting_model_sees_roles_and_conversation_as_data() -> None:
    """Ours: descriptions and transcript are quoted, so that they cannot give instructions."""
    model = ScriptedModel(REPLIES)
    classic(model)
    asked: Sequence[Any] = model.calls[2].messages
    data = json.loads(asked[1]["content"])
    assert data["roles"] == [
        {"name": "researcher", "description": "You research SA fintech trends with rigor."},
        {"name": "critic", "description": "You challenge weak claims and ask for evidence."},
    ]
    assert data["conversation"][-1] == {
        "speaker": "researcher",
        "said": "Instant payments, stablecoins, embedded credit.",
    }
