"""The demo's room as a service of its own: `python -m a2a_bridge.demo.room_agent`.

ROOM_SEATS names the agents behind A2A that it seats, separated by commas; ROOM_ROUNDS how many turns follow a question.
"""

import os

from a2a_bridge.demo.endpoint import endpoint_in
from a2a_bridge.demo.publish import publish
from a2a_bridge.demo.room import build_room


def main() -> None:
    endpoint = endpoint_in(os.environ)
    if endpoint is None:
        raise SystemExit("set OPENAI_BASE_URL or OPENAI_API_KEY, and OPENAI_MODEL")
    seats = [url.strip() for url in os.environ.get("ROOM_SEATS", "").split(",") if url.strip()]
    publish(build_room(endpoint, seats, int(os.environ.get("ROOM_ROUNDS", "6"))))


if __name__ == "__main__":
    main()
