"""One conversation between a local agent, a published one behind A2A on loopback, and a stand-in for the human.

No model is needed: the agents are functions. The second question goes to the room itself, which is published like any
other agent.

Run it: python examples/mixed_room.py
"""

import asyncio

from a2a_bridge import Client, GroupChat, GroupChatManager, Seat, Turn, UserProxyAgent
from a2a_bridge.agent import speaker_of
from a2a_bridge.bridge import Bridge
from a2a_bridge.testing.server import running


def proposer(turn: Turn) -> str:
    """Proposes something."""
    return "Mobile wallets grow fast in rural areas."


def critic(turn: Turn) -> str:
    """Challenges what the others said; who said what stands in the text, whatever framework listens."""
    return f"Where is the evidence? I heard: {turn.text.splitlines()}"


def room_with(url: str) -> GroupChatManager:
    human = UserProxyAgent("human", human_input_mode="NEVER")
    chat = GroupChat([human, proposer, Seat(url, name="critic")], max_round=3, speaker_selection_method="round_robin")
    return GroupChatManager(chat)


async def main() -> None:
    async with running(lambda url: Bridge(critic, public_url=url)) as critic_url:
        manager = room_with(critic_url)
        result = await manager.chat("Name one trend.")
        for message in result.messages:
            print(f"{speaker_of(message)}: {message.text}")
        print(f"stopped: {result.stop}")
        async with running(lambda url: Bridge(manager, public_url=url)) as url, Client(url) as client:
            task = await client.send("Name another trend.")
            print(f"the room as an agent says: {task.text}")


asyncio.run(main())
