"""The classic GroupChat of AG2 with agents whose reply function answers at once: no model, nothing printed."""

import time
from typing import Any

from autogen import Agent, ConversableAgent, GroupChat, GroupChatManager

from benchmarks.peers.words import ANSWER
from benchmarks.processes import answer_until_told


def seat(number: int, said: list[int]) -> ConversableAgent:
    """An agent that notes when it speaks."""
    agent = ConversableAgent(
        f"seat{number}", llm_config=False, human_input_mode="NEVER", code_execution_config=False, description="Speaks."
    )

    def speak(recipient: Any, messages: Any = None, sender: Any = None, config: Any = None) -> tuple[bool, str]:
        said.append(number)
        return True, ANSWER

    agent.register_reply([Agent, None], speak, position=0)
    return agent


def measured(question: dict[str, Any]) -> dict[str, float]:
    """Conversations until there are `least` turns, and what one turn costs in microseconds."""
    turns, cpu, wall, said = 0, 0.0, 0.0, list[int]()
    agents: list[Agent] = [seat(number, said) for number in range(question["seats"])]
    first = agents[0]
    assert isinstance(first, ConversableAgent)
    rounds = question["turns"] + 1
    chat = GroupChat(agents=agents, messages=[], max_round=rounds, speaker_selection_method="round_robin")
    manager = GroupChatManager(groupchat=chat, llm_config=False)
    while turns < question["least"]:
        chat.reset()  # type: ignore[no-untyped-call]
        began_cpu, began = time.process_time(), time.perf_counter()
        first.initiate_chat(manager, message="Say something.", silent=True)
        cpu, wall = cpu + time.process_time() - began_cpu, wall + time.perf_counter() - began
        turns += question["turns"]
    if len(said) != turns:
        raise RuntimeError(f"{len(said)} turns were taken instead of {turns}")
    return {"cpu_us": cpu / turns * 1e6, "wall_us": wall / turns * 1e6, "turns": turns}


if __name__ == "__main__":
    answer_until_told(measured)
