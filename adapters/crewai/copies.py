"""Copies of crews and agents for one turn: CrewAI writes to both while it runs, and prints.

A copy makes all anew that CrewAI keeps for the next run of the same object. Two things of that cost more than the rest
of a turn around the model's, and are seen to here: each executor makes a pydantic class for its state, and each task's
output is written to a file on disk, one for all crews of the machine, for `crewai replay`. And a task that a review or
a cancel has ended is in CrewAI's eyes still at work: it would be kept for ever, with its whole crew.
"""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any
from weakref import WeakKeyDictionary

from adapters.crewai.review import ReviewWanted
from adapters.crewai.work import Stopped
from crewai import BaseLLM
from crewai.events.event_listener import event_listener
from crewai.experimental.agent_executor import AgentExecutor, AgentExecutorState
from crewai.flow.flow import FlowState
from crewai.utilities.llm_utils import create_llm

# What CrewAI's telemetry notes of tasks that are at work goes with the task, if nobody has told their end before.
event_listener.execution_spans = WeakKeyDictionary(event_listener.execution_spans)


class ExecutorState(FlowState, AgentExecutorState):  # type: ignore[misc]  # checked without the framework's types
    """What CrewAI makes anew for each executor."""


class Executor(AgentExecutor):  # type: ignore[misc]  # checked without the framework's types
    """CrewAI's executor, with the class of its state made once."""

    initial_state: Any = ExecutorState

    @classmethod
    def flow_definition(cls) -> Any:
        """Its steps: CrewAI does not look for them in the class that this one is made from."""
        return AgentExecutor.flow_definition()


class NothingKept:
    """Stands in a copy where CrewAI writes what tasks gave, for `crewai replay`: a turn's words are the caller's."""

    def reset(self) -> None:
        """At the start of a run."""

    def update(self, task_index: int, log: dict[str, Any]) -> None:
        """After each task."""


def crew_copy(crew: Any) -> Any:
    """A crew of its own for one turn, silent."""
    made = crew.copy()
    # Our own streaming reads the models' events; the crew's would hand them out a second time.
    made.stream = made.verbose = False
    made._task_output_handler = NothingKept()  # noqa: SLF001  # CrewAI has no switch for it
    if made.manager_llm is not None:  # CrewAI makes the manager of it when the crew starts
        made.manager_llm = create_llm(made.manager_llm)
        made.manager_llm.stream = True
    for task in made.tasks:
        if task.async_execution:
            vars(task)["_execute_task_async"] = _settled(task._execute_task_async)  # noqa: SLF001  # see there
    for agent in (*made.agents, *([made.manager_agent] if made.manager_agent else ())):
        _prepare(agent)
    return made


def agent_copy(agent: Any) -> Any:
    """An agent of its own for one turn, silent."""
    made = agent.copy()
    _prepare(made)
    return made


def _settled(execute: Callable[..., Any]) -> Callable[..., Any]:
    """A task in a thread of its own, which always gives its crew an end.

    CrewAI waits for ever for a task that ends with what is no Exception.
    """

    def run(agent: Any, context: Any, tools: Any, future: "Future[Any]") -> None:
        try:
            execute(agent, context, tools, future)
        except (ReviewWanted, Stopped) as ended:
            future.set_exception(ended)

    return run


def _prepare(agent: Any) -> None:
    """On a copy: no panels on the terminal, and a model that streams (the copy's model is its own)."""
    agent.verbose = event_listener.formatter.verbose = False
    if isinstance(agent.llm, BaseLLM):
        agent.llm.stream = True
    if getattr(agent, "executor_class", None) is AgentExecutor:
        agent.executor_class = Executor
