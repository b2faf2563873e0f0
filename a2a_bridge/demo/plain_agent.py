"""Stands in for the LangGraph agent where LangGraph is not installed: the same role, as a plain function.

`python -m a2a_bridge.demo.plain_agent --port PORT` publishes it.
"""

# ruff: noqa: E402
from a2a_bridge.demo.processes import watch_parent

watch_parent()

import os

from a2a_bridge.demo.endpoint import endpoint_in
from a2a_bridge.demo.publish import publish
from a2a_bridge.demo.roles import PLANNER
from a2a_bridge.demo.seats import local_agent


def main() -> None:
    endpoint = endpoint_in(os.environ)
    if endpoint is None:
        raise SystemExit("set OPENAI_BASE_URL or OPENAI_API_KEY, and OPENAI_MODEL")
    publish(local_agent(PLANNER, endpoint), has_card=False)  # the card that is kept says LangGraph


if __name__ == "__main__":
    main()
