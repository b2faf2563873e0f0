"""The fake model in a process of its own, so that its work is nobody's CPU time; any question gives its base URL."""

import json
import sys

from a2a_bridge.testing.fake_openai import FakeOpenAI
from benchmarks.machine import LOAD_CORE, pin


def main() -> None:
    """Until standard input closes."""
    pin(LOAD_CORE)
    with FakeOpenAI() as model:
        for _ in sys.stdin:
            print(json.dumps(model.base_url), flush=True)


if __name__ == "__main__":
    main()
