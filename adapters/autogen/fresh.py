"""A copy of an agent or a team for each turn.

AutoGen's agents and teams hold their conversation, and a team runs once at a time. So every turn gets a copy of what
was published, as it was at that moment: whoever goes on using the original is not overheard. The copy has the state of
its context loaded. What is configuration or a connection is shared (model clients, tools, workbenches, memories, code
executors); what is state is copied; a team's runtime and queues are made anew. An object that cannot be copied like
this is given as a function that makes one.
"""

import asyncio
import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any

from autogen_agentchat.agents import UserProxyAgent
from autogen_agentchat.base import ChatAgent, Team, TerminationCondition
from autogen_core import CancellationToken, SingleThreadedAgentRuntime
from autogen_core.code_executor import CodeExecutor
from autogen_core.memory import Memory
from autogen_core.model_context import ChatCompletionContext
from autogen_core.models import ChatCompletionClient
from autogen_core.tools import BaseTool, Workbench

from a2a_bridge.errors import AdapterError
from adapters.autogen.streams import careful, is_careful

_SHARED = (ChatCompletionClient, Workbench, Memory, CodeExecutor, BaseTool)
_LOOKED_INTO = (ChatAgent, Team, TerminationCondition, ChatCompletionContext, list, tuple, dict)

_PLAIN = frozenset({str, int, float, bool, bytes, type(None), type})
"""What nothing can be in: told by its class, because asking AutoGen's protocols costs more than everything else."""

Make = Callable[[], Any]


def maker(obj: Any) -> Make:
    """What makes an object for one turn: the function that was given, or a copier of the object as it is now."""
    if not isinstance(obj, ChatAgent | Team):
        return lambda: _with_careful_clients(_asking_nobody(obj()))
    try:
        make = _copier(_template(obj))
        make()
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:  # what objects say that cannot be copied
        raise AdapterError(
            f"{obj.name!r} cannot be copied for each turn ({type(error).__name__}). Give a function that makes it"
            " instead: adapters.autogen.adapter.ADAPTER.adapt(make_team)"
        ) from error
    return make


def _template(obj: Any) -> Any:
    """What the copies are made of. It is never run, and nobody else has it."""
    clients = {id(part): careful(part) for part in parts_of(obj) if isinstance(part, ChatCompletionClient)}
    template = _asking_nobody(copy.deepcopy(obj, {**_memo(obj)(), **clients}))
    for part in parts_of(template):
        if isinstance(part, Team):
            # The original may have been run: its copy has a runtime in which nobody is registered yet.
            vars(part).update({name: False for name in ("_initialized", "_is_running") if name in vars(part)})
    return template


def _copier(template: Any) -> Make:
    """What makes copies. What a template consists of is looked up once: it never changes."""
    memo = _memo(template)
    return lambda: copy.deepcopy(template, memo())


def _memo(obj: Any) -> Callable[[], dict[int, Any]]:
    """What makes the memos of deep copies: there stands, by its id, what is shared, and what is made anew."""
    shared: dict[int, Any] = {}
    anew: dict[int, Make] = {}
    for part in parts_of(obj):
        if isinstance(part, _SHARED):
            shared[id(part)] = part
        elif isinstance(part, SingleThreadedAgentRuntime):
            anew[id(part)] = functools.partial(SingleThreadedAgentRuntime, ignore_unhandled_exceptions=False)
        elif isinstance(part, asyncio.Queue):
            anew[id(part)] = asyncio.Queue
    return lambda: {**shared, **{key: make() for key, make in anew.items()}}


def _asking_nobody(made: Any) -> Any:
    """The object, with humans in it that wait instead of reading the terminal."""
    for person in people(made):
        vars(person).update(input_func=_wait, _is_async=True)
    return made


def _with_careful_clients(made: Any) -> Any:
    """What a function has made, with the clients that copies have."""
    for holder in [part for part in parts_of(made) if isinstance(part, _LOOKED_INTO) and hasattr(part, "__dict__")]:
        for name, held in list(vars(holder).items()):
            if isinstance(held, ChatCompletionClient) and not is_careful(held):
                vars(holder)[name] = careful(held)
    return made


async def _wait(prompt: str, token: CancellationToken | None) -> str:
    """A human's words in the middle of a run: they never come, the run ends and is taken up with them."""
    waiting: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    if token is not None:
        token.link_future(waiting)
    return await waiting


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
