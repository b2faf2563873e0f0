"""A copy of a workflow for each turn.

A workflow and its executors hold state; what they call does not. So agents, model clients and tools are shared between
the copies, everything else is copied. What cannot be copied like this is given as a function that makes it. An executor
names the conversation with its agent when it is made, and a copy has the same name for it: stores, and agents that are
somewhere else, would take all callers for one. So each context has names of its own.
"""

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from a2a_bridge.errors import AdapterError
from agent_framework import AgentSession, BaseAgent, BaseChatClient, Executor, FunctionTool, Workflow, WorkflowAgent

_SHARED = (BaseAgent, BaseChatClient, FunctionTool)
_LOOKED_INTO = (Workflow, Executor, WorkflowAgent, list, tuple, dict, set)

Make = Callable[[], Any]


def maker(obj: Any) -> Make:
    """What makes a workflow for one turn: the function that was given, or a copier of the workflow."""
    if not isinstance(obj, Workflow):
        return obj  # type: ignore[no-any-return]  # a function
    try:  # as it is now: a workflow that its owner runs holds what cannot be copied
        make = functools.partial(_copied, _copied(obj))
        make()
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:  # what objects say that cannot be copied
        raise AdapterError(
            f"the workflow {obj.name!r} cannot be copied for each turn ({type(error).__name__}). Give a function that"
            " makes it instead: adapters.agent_framework.adapter.ADAPTER.adapt(make_workflow)"
        ) from error
    return make


def _copied(workflow: Workflow) -> Any:
    shared = {id(part): part for part in _parts(workflow, set()) if _is_shared(part)}
    return copy.deepcopy(workflow, shared)


def _is_shared(part: Any) -> bool:
    return isinstance(part, _SHARED) and not isinstance(part, WorkflowAgent)


def agents_of(workflow: Workflow) -> Iterator[tuple[str, Any]]:
    """The agents that a workflow's executors hold, by the executor's id; those of inner workflows too."""
    for key, executor in workflow.executors.items():
        for held in vars(executor).values():
            inner = held.workflow if isinstance(held, WorkflowAgent) else held
            if isinstance(inner, Workflow):
                yield from agents_of(inner)
            elif isinstance(inner, BaseAgent):
                yield key, inner


def name_conversations(workflow: Workflow, context: str, named: set[int] | None = None) -> None:
    """Give the conversations with a copy's agents names that only this context has; the same ones each time. One that
    executors share stays shared. Who is served elsewhere under a name of the owner's begins there anew."""
    named = set() if named is None else named
    for key, executor in workflow.executors.items():
        for held in list(vars(executor).values()):
            inner = held.workflow if isinstance(held, WorkflowAgent) else held
            if isinstance(inner, Workflow):
                name_conversations(inner, f"{context}/{key}", named)
            elif isinstance(held, AgentSession) and id(held) not in named:
                named.add(id(held))
                name = f"urn:a2a-bridge:agent-framework:{context}/{key}"
                vars(held).update(_session_id=str(uuid5(NAMESPACE_URL, name)))
                held.service_session_id = None


def _parts(obj: Any, seen: set[int]) -> Iterator[Any]:
    if id(obj) in seen:
        return
    seen.add(id(obj))
    yield obj
    if isinstance(obj, _LOOKED_INTO):
        if isinstance(obj, dict):
            held = list(obj.values())
        else:
            held = list(obj) if isinstance(obj, list | tuple | set) else list(vars(obj).values())
        for part in held:
            yield from _parts(part, seen)
