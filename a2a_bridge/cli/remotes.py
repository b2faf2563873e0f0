"""The agents of others that a server stands in front of, looked at before it starts.

Their cards say what they are called and what they can do, which is what our own cards say of them then. A target that
nobody can reach is told at once, and not by its first caller.
"""

import asyncio
from collections.abc import Sequence

from a2a_bridge.agent import Agent
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.errors import BridgeError

SECONDS = 10.0
"""How long all of them together get to hand out their cards."""


def unread_cards(agents: Sequence[Agent]) -> list[str | None]:
    """For each agent why its card cannot be read, or None: it has been, or it is no agent of somebody else."""
    if not any(isinstance(agent, RemoteAgent) for agent in agents):
        return [None] * len(agents)
    return asyncio.run(_all_unread(agents))


async def _all_unread(agents: Sequence[Agent]) -> list[str | None]:
    return await asyncio.gather(*map(_unread, agents))


async def _unread(agent: Agent) -> str | None:
    if not isinstance(agent, RemoteAgent):
        return None
    try:
        async with asyncio.timeout(SECONDS):
            await agent.describe()
    except TimeoutError:
        return f"its card did not come within {SECONDS:g} s"
    except BridgeError as error:
        return error.message.rstrip(".")
    return None
