"""One room with a LangGraph agent, a CrewAI crew, a classic AG2 agent, an OpenAI agent and a human.

The crew runs in a process and an environment of its own and is seated by its URL. The room is published, and the human
is whoever calls it: when it is their turn, the task waits for input. A fake model speaks for everybody, offline.

Run it: python examples/four_frameworks.py
"""

import asyncio

from agents import Agent, OpenAIChatCompletionsModel
from autogen import ConversableAgent, LLMConfig
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from openai import AsyncOpenAI
from other_environment.process import in_the_other_environment

from a2a_bridge import Client, GroupChat, GroupChatManager, Seat, Task, UserProxyAgent
from a2a_bridge.bridge import Bridge
from a2a_bridge.testing.fake_model import Conversation, Said
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.server import running

LINES = {
    "planner": "I propose a pilot in two rural towns.",
    "analyst": "Two towns are enough: four thousand wallets a month.",
    "critic": "And if the network is down for a day?",
    "writer": "A pilot in two towns, then; what happens without a network is open.",
}


def speak(asked: Conversation) -> Said:
    """Everybody's model: says the line of the one whose instructions it is given."""
    told = " ".join(line.text for line in asked.lines if line.role == "system")
    if "[human] Vouchers" in asked.last_user:
        return Said("So: a pilot in two rural towns, with vouchers for days without a network.")
    return Said(next(line for name, line in LINES.items() if f"You are the {name}" in told))


def room(model_url: str, crew_url: str) -> GroupChatManager:
    chat = ChatOpenAI(model="fake-model", base_url=model_url, api_key="x")
    planner = create_agent(chat, system_prompt="You are the planner.", name="planner")
    entry = {"model": "fake-model", "base_url": model_url, "api_key": "x", "price": [0, 0], "stream": True}
    critic = ConversableAgent("critic", "You are the critic.", llm_config=LLMConfig(entry), human_input_mode="NEVER")
    client = AsyncOpenAI(base_url=model_url, api_key="x")
    writer = Agent(
        name="writer", instructions="You are the writer.", model=OpenAIChatCompletionsModel("fake-model", client)
    )
    human = UserProxyAgent("human", human_input_mode="ALWAYS")
    seats = [human, planner, Seat(crew_url, name="analyst"), critic, writer]
    return GroupChatManager(GroupChat(seats, max_round=7, speaker_selection_method="round_robin"))


async def conversation(client: Client) -> None:
    """The human's side: one question, and one answer when the room asks for it."""
    task = await client.send("How do we bring mobile wallets to rural areas?")
    assert isinstance(task, Task)
    assert task.status.message is not None
    print(f"the room waits for {task.status.state.name}: {task.status.message.text}")
    task = await client.send("Vouchers, then.", task_id=task.id, context_id=task.context_id)
    assert isinstance(task, Task)
    for artifact in task.artifacts or ():
        print(f"{artifact.name or 'the answer'}: {''.join(part.text or '' for part in artifact.parts)}")


async def main() -> None:
    with FakeOpenAI(speak) as model:
        async with in_the_other_environment("crew.py", model.base_url) as crew:
            crew_url = (await crew.readline()).decode().strip()
            manager = room(model.base_url, crew_url)
            async with running(lambda url: Bridge(manager, public_url=url)) as url, Client(url) as client:
                await conversation(client)


asyncio.run(main())
