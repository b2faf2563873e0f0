"""A copy of an agent or a team for each turn.

AutoGen's agents and teams hold their conversation, and a team runs once at a time. So every turn gets a copy, which
has the state of its context loaded. What is configuration or a connection is shared (model clients, tools,
workbenches, memories, code executors); what is state is copied; a team's runtime and queues are made anew. An object
that cannot be copied like this is given as a function that makes one.
"""

import asyncio
import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

from autogen_agentchat.agents import UserProxyAgent
from autogen_agentchat.base import ChatAgent, Team, TerminationCondition
from autogen_core import SingleThreadedAgentRuntime
from autogen_core.code_executor import CodeExecutor
from autogen_core.memory import Memory
from autogen_core.model_context import ChatCompletionContext
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import BaseTool, Workbench

from a2a_bridge.errors import AdapterError
from adapters.autogen.streams import for_one_turn

_SHARED = (Workbench, Memory, CodeExecutor, BaseTool)
_LOOKED_INTO = (ChatAgent, Team, TerminationCondition, ChatCompletionContext, list, tuple, dict)

_PLAIN = frozenset({str, int, float, bool, bytes, type(None), type})
"""What nothing can be in: told by its class, because asking AutoGen's protocols costs more than everything else."""

Make = Callable[[], Any]


def maker(obj: Any) -> Make:
    """What makes an object for one turn: the function that was given, or a copier of the object."""
    if not isinstance(obj, ChatAgent | Team):
        return obj  # type: ignore[no-any-return]  # a function
    make = functools.partial(_copied, obj)
    try:
        make()
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:  # what objects say that cannot be copied
        raise AdapterError(
            f"{obj.name!r} cannot be copied for each turn ({type(error).__name__}). Give a function that makes it"
            " instead: adapters.autogen.adapter.ADAPTER.adapt(make_team)"
        ) from error
    return make


def _copied(obj: Any) -> Any:
    memo: dict[int, Any] = {}
    for part in parts_of(obj):
        if isinstance(part, _SHARED):
            memo[id(part)] = part
        elif isinstance(part, ChatCompletionClient):
            memo[id(part)] = for_one_turn(part)
        elif isinstance(part, SingleThreadedAgentRuntime):
            memo[id(part)] = SingleThreadedAgentRuntime(ignore_unhandled_exceptions=False)
        elif isinstance(part, asyncio.Queue):
            memo[id(part)] = asyncio.Queue()
    made = copy.deepcopy(obj, memo)
    for part in parts_of(made) if isinstance(made, Team) else ():
        if isinstance(part, Team):
            # The original may have been run: its copy has a runtime in which nobody is registered yet.
            vars(part).update({name: False for name in ("_initialized", "_is_running") if name in vars(part)})
    return made


def parts_of(obj: Any) -> Iterator[Any]:
    """An agent or team, and whatever it and what it holds are made of."""
    return _parts(obj, set())


def _parts(obj: Any, seen: set[int]) -> Iterator[Any]:
    if id(obj) in seen:
        return
    seen.add(id(obj))
    yield obj
    if isinstance(obj, _LOOKED_INTO):
        held = obj.values() if isinstance(obj, dict) else obj if isinstance(obj, list | tuple) else vars(obj).values()
        for part in list(held):
            if type(part) not in _PLAIN:
                yield from _parts(part, seen)


def people(obj: Any) -> list[Any]:
    """The human participants of a team; AdapterError where a question could not be passed on."""
    members = [part for part in parts_of(obj) if isinstance(part, UserProxyAgent)]
    seats = list(getattr(obj, "_participants", ())) if isinstance(obj, Team) else []
    if any(member not in seats for member in members):
        raise AdapterError(
            f"{obj.name!r} asks a human from inside a part of it, and there its run cannot be taken up again. Seat the"
            " UserProxyAgent in the team that is published, or hand off to a user with HandoffTermination"
        )
    return members
