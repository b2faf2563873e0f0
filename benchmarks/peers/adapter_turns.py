"""Turns of one framework's agent, its own way and through our adapter, in turns: what one costs, in CPU.

The whole process is counted, threads included: some frameworks call their models from threads. The model is elsewhere.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from a2a_bridge.adaptation import adapt
from a2a_bridge.testing.turns import make_turn
from benchmarks.peers.frameworks import FRAMEWORKS, OwnTurn
from benchmarks.processes import answer_until_told

_made: dict[str, Mapping[str, OwnTurn]] = {}


def subject(framework: str, url: str) -> Mapping[str, OwnTurn]:
    """The two ways to take a turn with the framework's agent; made once."""
    if framework not in _made:
        obj, own = FRAMEWORKS[framework](url)
        agent = adapt(obj)

        async def adapted(text: str) -> None:
            said = 0
            async with aclosing(agent.run(make_turn(text))) as replies:
                async for reply in replies:
                    said += isinstance(reply, str)
            if not said:
                raise RuntimeError(f"{framework}: no token came")

        _made[framework] = {"own": own, "adapted": adapted}
    return _made[framework]


async def measured(question: Mapping[str, Any]) -> dict[str, float]:
    """`turns` turns of `tokens` tokens each way: microseconds of CPU a turn."""
    ways = subject(question["framework"], question["url"])
    text = "SAY " + " ".join(["word"] * question["tokens"])
    spent = dict.fromkeys(ways, 0.0)
    for _ in range(question["turns"]):
        for name, turn in ways.items():
            began = time.process_time()
            await turn(text)
            spent[name] += time.process_time() - began
    return {name: seconds / question["turns"] * 1e6 for name, seconds in spent.items()}


def main() -> None:
    """One event loop for all questions: clients belong to it."""
    with asyncio.Runner() as runner:
        answer_until_told(lambda question: runner.run(measured(question)))


if __name__ == "__main__":
    main()
