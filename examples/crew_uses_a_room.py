"""A CrewAI crew that uses a published room as a tool: the crew asks, two agents discuss, the crew writes it down.

The crew runs in a process and an environment of its own; the room is a URL to it. A fake model speaks for everybody,
offline.

Run it: python examples/crew_uses_a_room.py
"""

import asyncio

from other_environment.process import in_the_other_environment

from a2a_bridge import AssistantAgent, GroupChat, GroupChatManager
from a2a_bridge.bridge import Bridge
from a2a_bridge.testing.fake_model import Call, Conversation, Said
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.server import running


def speak(asked: Conversation) -> Said:
    """The model of the crew and of the room."""
    told = " ".join(line.text for line in asked.lines)
    if "You are the writer" in told:
        if asked.results:
            return Said(f"Memo: {asked.results[-1]}")
        return Said(calls=(Call("ask_the_board", '{"message": "Mobile wallets: yes or no?"}'),))
    if "You are the skeptic" in told:
        return Said("Yes, if they work without a network.")
    return Said("Yes: four thousand new wallets a month.")


def board(model_url: str) -> GroupChatManager:
    llm_config = {"model": "fake-model", "base_url": model_url, "api_key": "x"}
    optimist = AssistantAgent("optimist", system_message="You are the optimist.", llm_config=llm_config)
    skeptic = AssistantAgent("skeptic", system_message="You are the skeptic.", llm_config=llm_config)
    return GroupChatManager(GroupChat([optimist, skeptic], max_round=3, speaker_selection_method="round_robin"))


async def main() -> None:
    with FakeOpenAI(speak) as model:
        room = board(model.base_url)
        async with (
            running(lambda url: Bridge(room, public_url=url)) as url,
            in_the_other_environment("crew_with_a_room.py", model.base_url, url) as crew,
        ):
            print((await crew.read()).decode().strip())


asyncio.run(main())
