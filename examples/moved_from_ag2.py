"""A classic AG2 group chat, moved over: the import line is ours, and nothing else has changed.

Take the other import line, and AG2 itself runs it. The conversation is the same; what is gained is that any seat can be
an agent of another framework or a URL, and that `serve(manager)` publishes the room. A fake model speaks, offline.

Run it: python examples/moved_from_ag2.py
"""

# Before: from autogen import AssistantAgent, GroupChat, GroupChatManager, UserProxyAgent
from a2a_bridge import AssistantAgent, GroupChat, GroupChatManager, UserProxyAgent
from a2a_bridge.testing.fake_model import Conversation, Said
from a2a_bridge.testing.fake_openai import FakeOpenAI


def speak(asked: Conversation) -> Said:
    """The model of all agents: each says its line, told by its instructions."""
    told = " ".join(line.text for line in asked.lines if line.role == "system")
    if "research" in told:
        return Said("Instant payments, stablecoins, embedded credit.")
    if "challenge" in told:
        return Said("Embedded credit needs evidence.")
    return Said("Instant payments and stablecoins it is. TERMINATE")


with FakeOpenAI(speak) as model:
    llm_config = {
        "config_list": [{"model": "fake-model", "base_url": model.base_url, "api_key": "x", "price": [0, 0]}],
        "cache_seed": None,
    }
    researcher = AssistantAgent("researcher", system_message="You research trends.", llm_config=llm_config)
    critic = AssistantAgent("critic", system_message="You challenge weak claims.", llm_config=llm_config)
    editor = AssistantAgent("editor", system_message="You write the result down.", llm_config=llm_config)
    human = UserProxyAgent(
        "human",
        human_input_mode="NEVER",
        code_execution_config=False,
    )
    groupchat = GroupChat(
        agents=[human, researcher, critic, editor],
        messages=[],
        max_round=10,
        speaker_selection_method="round_robin",
    )
    manager = GroupChatManager(
        groupchat=groupchat,
        llm_config=False,
        is_termination_msg=lambda message: "TERMINATE" in (message["content"] or ""),
    )
    result = human.initiate_chat(manager, message="Identify three emerging fintech trends.")

for message in groupchat.messages:
    print(f"=> {message['name']}: {message['content']}")
