"""The official SDK's client at the official SDK's server: what one call to another agent costs without a room.

A turn is one streamed send in one context, read to its end, as a seat's turn is.
"""

import asyncio
import time
from typing import Any
from uuid import uuid4

import httpx
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.types import AgentCapabilities, AgentCard, AgentInterface, Message, Part, Role, SendMessageRequest

from benchmarks.processes import answer_until_told


def card(url: str) -> AgentCard:
    """What the client must know of the server."""
    return AgentCard(
        name="answer",
        supported_interfaces=[AgentInterface(url=url, protocol_binding="JSONRPC", protocol_version="1.0")],
        capabilities=AgentCapabilities(streaming=True),
    )


async def turns(client: Client, number: int) -> None:
    """So many turns of one conversation."""
    context = str(uuid4())
    for _ in range(number):
        message = Message(
            message_id=str(uuid4()), context_id=context, role=Role.ROLE_USER, parts=[Part(text="Say something.")]
        )
        async for _ in client.send_message(SendMessageRequest(message=message)):
            pass


async def measured(question: dict[str, Any]) -> dict[str, float]:
    """Turns until there are `least`, and what one costs in microseconds."""
    done, cpu, wall = 0, 0.0, 0.0
    async with httpx.AsyncClient(timeout=60) as http:
        client = ClientFactory(ClientConfig(httpx_client=http, streaming=True)).create(card(question["remote"]))
        while done < question["least"]:
            before = time.process_time(), time.perf_counter()
            await turns(client, question["turns"])
            cpu, wall = cpu + time.process_time() - before[0], wall + time.perf_counter() - before[1]
            done += question["turns"]
    return {"cpu_us": cpu / done * 1e6, "wall_us": wall / done * 1e6, "turns": done}


def main() -> None:
    """One event loop for all questions."""
    with asyncio.Runner() as runner:
        answer_until_told(lambda question: runner.run(measured(question)))


if __name__ == "__main__":
    main()
