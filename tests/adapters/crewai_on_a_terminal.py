"""A program as users write it, run by `test_crewai_own.py` on a terminal with an empty home: a crew, served once.

Not a test module: it is started as a program of its own, because what it shows happens while CrewAI is imported.
The argument says what comes first: `adapter` or `crewai`.
"""

import asyncio
import importlib
import sys
import warnings

from a2a_bridge.agent import outcome
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.network_guard import network_guard
from a2a_bridge.testing.turns import make_turn, replies_of


def main() -> None:
    """Build, adapt, take one turn with each, and say how it went."""
    warnings.simplefilter("ignore")
    if sys.argv[1] == "adapter":
        importlib.import_module("adapters.crewai.adapter")
    with network_guard() as attempts, FakeOpenAI() as model:
        from crewai import LLM, Agent, Crew, Task

        llm = LLM(model="openai/fake-model", base_url=model.base_url, api_key="x", max_retries=0)
        agent = Agent(role="Worker", goal="to work", backstory="Born to.", llm=llm, verbose=True)
        task = Task(description="{topic}", expected_output="x", agent=agent, human_input="review" in sys.argv)
        crew = Crew(agents=[agent], tasks=[task], verbose=True)
        adapter = importlib.import_module("adapters.crewai.adapter").ADAPTER
        print("-- built", flush=True)
        for obj in (crew, agent):
            replies = asyncio.run(replies_of(adapter.adapt(obj), make_turn("SAY good morning")))
            said = outcome(replies)
            print("-- said:", said.text, [ask.text for ask in said.asks], flush=True)
    print("-- went outside:", attempts, flush=True)


if __name__ == "__main__":
    main()
