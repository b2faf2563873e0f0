"""A running room as functions of the user see it: for choosing speakers, and for saying who may speak."""

from collections.abc import Sequence
from typing import Any

from a2a_bridge.chat.absent import missing_member
from a2a_bridge.chat.classic import Dicts
from a2a_bridge.chat.log import RoomLog
from a2a_bridge.chat.seat import Chair


class RoomView:
    """What a selection function sees of a running room, under the names of the classic GroupChat. For reading only."""

    __slots__ = ("_chairs", "max_round", "messages")

    def __init__(self, chairs: Sequence[Chair], log: RoomLog, max_round: int | None) -> None:
        self._chairs = chairs
        self.messages = Dicts(log.messages)
        self.max_round = max_round

    @property
    def agents(self) -> list[Any]:
        """The agents, as they were given to the GroupChat."""
        return [chair.original for chair in self._chairs]

    @property
    def agent_names(self) -> list[str]:
        """Their names, in the same order."""
        return [chair.name for chair in self._chairs]

    def agent_by_name(self, name: str) -> Any:
        """The agent of that name, or None."""
        return next((chair.original for chair in self._chairs if chair.name == name), None)

    def next_agent(self, agent: Any, agents: Sequence[Any] | None = None) -> Any:
        """The agent after `agent` in the order of the seats, of these `agents` if they are given."""
        return next_in_order(agent, self.agents, agents)

    def __getattr__(self, name: str) -> Any:
        missing_member(self, "chat", name)


def next_in_order(agent: Any, seated: Sequence[Any], among: Sequence[Any] | None = None) -> Any:
    """AutoGen's `next_agent`: whoever comes after `agent` in the order of the seats and is one of `among`."""
    at = next((at for at, one in enumerate(seated) if one is agent), -1)
    wanted = seated if among is None else among
    for one in (*seated[at + 1 :], *seated[: at + 1]):
        if any(one is other for other in wanted):
            return one
    raise ValueError("next_agent(..., agents=[...]): none of them has a seat in this room")
