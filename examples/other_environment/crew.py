"""A CrewAI crew, published on a free port, whose URL is printed: `python crew.py MODEL_URL`."""

import asyncio
import sys

import adapters.crewai.adapter  # noqa: F401  # first: it switches CrewAI's telemetry off

# isort: split
from crewai import LLM, Agent, Crew, Task

from a2a_bridge.bridge import Bridge
from a2a_bridge.testing.server import running


def crew(model_url: str) -> Crew:
    """One analyst, who is told the whole conversation."""
    llm = LLM(model="openai/fake-model", base_url=model_url, api_key="x")
    analyst = Agent(role="analyst", goal="weigh the numbers", backstory="You are the analyst.", llm=llm)
    task = Task(description="{transcript}", expected_output="One sentence.", agent=analyst)
    return Crew(agents=[analyst], tasks=[task], name="analyst")


async def main(model_url: str) -> None:
    async with running(lambda url: Bridge(crew(model_url), public_url=url)) as url:
        print(url, flush=True)
        await asyncio.to_thread(sys.stdin.read)  # until whoever started us closes it


asyncio.run(main(sys.argv[1]))
