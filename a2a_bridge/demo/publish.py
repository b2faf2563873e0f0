"""How a process of the demo publishes its agent."""

import argparse
import os
from pathlib import Path

from a2a_bridge.agent import Agent
from a2a_bridge.bridge import Bridge, url_name
from a2a_bridge.listen import Listening, run_server
from a2a_bridge.server.auth import Auth

CARDS = Path(__file__).parents[2] / "agent_cards"


def card_of(name: str) -> dict[str, Path]:
    """The card among `agent_cards/`, as `Bridge(cards=...)` takes it; nothing if there is none, and one is built."""
    file = CARDS / f"{name}.json"
    return {url_name(name): file} if file.exists() else {}


def publish(agent: Agent, *, has_card: bool = True) -> None:
    """Serve one agent until the process is told to end; host and port from the command line, else HOST and PORT.

    `has_card`: serve the card among `agent_cards/`; otherwise one is built from what the agent says of itself.
    """
    parser = argparse.ArgumentParser(description=f"Publishes the demo's agent {agent.name!r} over A2A.")
    parser.add_argument(
        "--host", default=os.environ.get("HOST", "127.0.0.1"), help="address to listen on (default: %(default)s)"
    )
    parser.add_argument(
        "--port", type=int, default=int(os.environ.get("PORT", "8080")), help="port to listen on (default: %(default)s)"
    )
    parser.add_argument("--public-url", help="where others reach it (default: http://HOST:PORT)")
    parser.add_argument(
        "--allow-anonymous",
        action="store_true",
        help="anybody who reaches the server may call: needed with a --host that others reach",
    )
    told = parser.parse_args()
    url = told.public_url or f"http://{told.host}:{told.port}"
    cards = card_of(agent.name) if has_card else {}
    bridge = Bridge(agent, public_url=url, cards=cards, auth=Auth(allow_anonymous=told.allow_anonymous))
    run_server(bridge, Listening(told.host, told.port))
