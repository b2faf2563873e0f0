"""A CrewAI crew whose only tool is a published room: `python crew_with_a_room.py MODEL_URL ROOM_URL`."""

import sys

import adapters.crewai.adapter  # noqa: F401  # first: it switches CrewAI's telemetry off

# isort: split
from crewai import LLM, Agent, Crew, Task

from adapters.crewai.remote import A2ATool


def main(model_url: str, room_url: str) -> None:
    llm = LLM(model="openai/fake-model", base_url=model_url, api_key="x")
    board = A2ATool(room_url, name="ask_the_board", description="Ask the board of experts; it discusses and answers.")
    writer = Agent(role="writer", goal="write a memo", backstory="You are the writer.", llm=llm, tools=[board])
    task = Task(
        description="Ask the board about {topic}, then write its answer down.",
        expected_output="One sentence.",
        agent=writer,
    )
    crew = Crew(agents=[writer], tasks=[task], verbose=False)
    print(crew.kickoff(inputs={"topic": "mobile wallets"}).raw)


main(*sys.argv[1:])
