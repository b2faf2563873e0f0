"""A functional workflow of Microsoft's Agent Framework (`@workflow`) as an agent.

A definition holds no state, and each turn builds a workflow of its own from it. It starts with the conversation;
nothing is kept between two runs. A request to the outside ends the run with a checkpoint, which is the record that the
turn leaves in its journal; the function then runs again from its top, its finished `@step`s do not, and every question
that was answered before gets its answer again, because the framework forgets those. The framework tells the events of a
run when it has ended; here they are told as they happen. The run belongs to `_events`, which ends it in any case.
"""

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Union, get_args, get_origin, get_type_hints

from a2a_bridge.errors import AdapterError, needs_extra

with needs_extra("agent-framework"):
    from agent_framework import (
        AgentResponse,
        AgentResponseUpdate,
        BaseAgent,
        FunctionalWorkflow,
        FunctionalWorkflowAgent,
        Message,
        RunContext,
        StepWrapper,
        WorkflowCheckpointException,
    )

from a2a_bridge.agent import Answer, Progress, Refuse, Reply, Traits, Turn
from a2a_bridge.protocol.objects import Message as Said
from adapters.agent_framework.agent import GONE, Published, closing, skills
from adapters.agent_framework.checkpoints import Checkpoints, parts_of
from adapters.agent_framework.messages import FILES, to_framework, words
from adapters.agent_framework.questions import UNCLEAR, ask_of_event, fitted, responses_to
from adapters.agent_framework.reading import Reading
from adapters.agent_framework.workflow import recall, tell

_log = logging.getLogger(__name__)


class FrameworkFunction(Published):
    """Takes turns with what a definition builds anew for each turn. A workflow that was built is built again."""

    def __init__(self, obj: Any, *, name: str | None = None, description: str | None = None) -> None:
        workflow = obj._workflow if isinstance(obj, FunctionalWorkflowAgent) else obj  # noqa: SLF001  # nothing else has it
        self._function: Callable[..., Any] = workflow.__wrapped__
        self._workflow_name = workflow.name
        parameter, self._takes = _parameter(self._function)
        self._takes_messages = _is_conversation(self._takes) or (self._takes in (Any, list) and parameter == "messages")
        named = list(_named(self._function, set()))
        agents = [one for one in named if isinstance(one, BaseAgent)]
        models = {getattr(getattr(agent, "client", None), "model", None) for agent in agents}
        self._model = models.pop() if len(models) == 1 else None
        self._types = frozenset(_types(self._function, named))
        self.name = name or obj.name
        about = obj.description or inspect.getdoc(self._function)
        self.description = description or about or f"A workflow called {self.name}."
        self.traits = Traits(
            framework="agent_framework",
            skills=tuple(skills(agents)),
            input_modes=("text/plain", "application/json", *(FILES if self._takes_messages else ())),
            keeps_context=True,
        )

    async def replies(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """The replies of one run."""
        workflow, record = _Live(self._function, name=self._workflow_name), await recall(turn)
        store = Checkpoints(self._types, record)
        start = await self._answered(turn.answer, workflow, store) if turn.answer else await self._started(turn)
        if isinstance(start, tuple):  # said without running the function
            for said in start:
                yield said
            return
        reading, requests, heard = Reading(model=self._model), [], set[str]()
        async with aclosing(_events(workflow, {"checkpoint_storage": store, **start})) as events:
            async for event in events:
                if event.type == "request_info":
                    requests.append(event)
                for reply in _told(reading, event, heard):
                    yield reply
        for reply in reading.end():
            yield reply
        if requests or record is not None:
            kept = store.to_record(waits=bool(requests), answers=start.get("responses"))
            await turn.journal.append(kept, snapshot=not requests)
        for request in requests:
            yield ask_of_event(request)

    async def _started(self, turn: Turn) -> Any:
        """What a run starts with, or a tuple of replies to give instead."""
        past = await turn.history() if self._takes_messages else ()
        message = self._input(past, turn.messages)
        if message is UNCLEAR:
            return (Refuse(f"This agent takes data of another form: {self._takes}."),)
        return {"message": message}

    async def _answered(self, answer: Answer, workflow: FunctionalWorkflow, store: Checkpoints) -> Any:
        """What a run goes on with after a pause, or a tuple of replies to give instead."""
        try:
            checkpoint = await store.asked()
        except (WorkflowCheckpointException, ValueError, KeyError, TypeError) as error:
            _log.warning("%s cannot take up the question that was answered: %s", self.name, error)
            return (GONE,)
        if checkpoint is None or checkpoint.graph_signature_hash != workflow.graph_signature_hash:
            return (GONE,)  # it asked nothing, or was changed since
        requests = list(checkpoint.pending_request_info_events.values())
        responses = responses_to(requests, answer)
        if responses is None:
            return tuple(ask_of_event(request) for request in requests)
        return {"checkpoint_id": store.last_id, "responses": {**store.answers, **responses}}

    def _input(self, past: Sequence[Said], new: Sequence[Said]) -> Any:
        """What the function is given: messages, the last one, words, or data of its type; UNCLEAR if nothing fits."""
        if self._takes_messages:
            return to_framework([*past, *new], self.name)
        data = [part.data for message in new for part in message.parts if part.kind == "data"]
        return fitted(self._takes, data[-1] if data and self._takes is not str else words(new), new[-1])


class _Live(FunctionalWorkflow):  # type: ignore[misc]  # checked without the framework's types
    """A workflow whose events can be read while it runs, and that keeps only the checkpoint of its pause: those of
    steps on the way would ask more of the steps than a run without a pause needs."""

    def __init__(self, function: Callable[..., Any], *, name: str) -> None:
        super().__init__(function, name=name)
        self.events: asyncio.Queue[Any] = asyncio.Queue()

    async def _execute(self, ctx: RunContext, message: Any) -> Any:
        ctx._events = _Heard(self.events)  # noqa: SLF001  # the framework's own list, which it reads in the end
        return await super()._execute(ctx, message)

    async def _save_checkpoint(self, ctx: RunContext, storage: Any, previous_checkpoint_id: str | None = None) -> str:
        if not ctx._pending_requests:  # noqa: SLF001  # what the checkpoint would hold
            return previous_checkpoint_id or ""
        return str(await super()._save_checkpoint(ctx, storage, previous_checkpoint_id))


class _Heard(list[Any]):
    """The events of a run; each is put into a queue as it comes."""

    def __init__(self, heard: asyncio.Queue[Any]) -> None:
        super().__init__()
        self._heard = heard

    def append(self, event: Any) -> None:
        super().append(event)
        self._heard.put_nowait(event)


async def _events(workflow: _Live, start: dict[str, Any]) -> AsyncGenerator[Any, None]:
    """The events of one run; leaving ends it."""
    stream = workflow.run(stream=True, **start)
    async with closing(stream):
        work = asyncio.create_task(stream.get_final_response())
        work.add_done_callback(lambda _: workflow.events.put_nowait(None))
        try:
            while (event := await workflow.events.get()) is not None:
                yield event
            await work
        finally:
            work.cancel()
            await asyncio.wait([work])


def _told(reading: Reading, event: Any, heard: set[str]) -> Iterator[Reply | str]:
    """The replies that an event amounts to. `heard` are the responses whose calls and tokens have been told."""
    data = event.data
    if event.type == "output":
        if isinstance(data, AgentResponse):
            yield from _answer(reading, data, event.executor_id, data.response_id in heard)
        elif not isinstance(data, str | Message) or _text(data) != reading.last_text:  # else it was streamed
            yield from tell(reading, data, event.executor_id)
    elif event.type == "executor_completed":
        if isinstance(data, AgentResponse) and data.response_id not in heard:
            yield from reading.activity(data)
    elif event.type in ("intermediate", "data", "warning"):
        yield from [Progress(data)] if isinstance(data, str) else reading.progress(data)
    if isinstance(data, AgentResponse | AgentResponseUpdate) and data.response_id:
        heard.add(data.response_id)


def _answer(reading: Reading, response: Any, executor: str, was_heard: bool) -> Iterator[Reply | str]:
    """A response that is put out whole; what was streamed of it before is not told again."""
    if not was_heard:
        yield from tell(reading, response, executor)
    elif response.text != reading.last_text:
        yield from reading.value(response.text)
    if response.value is not None:
        yield from reading.as_data(response.value)


def _text(data: Any) -> str:
    return data if isinstance(data, str) else str(data.text)


def _parameter(function: Callable[..., Any]) -> tuple[str, Any]:
    """The parameter that takes the message, and its type: Any if it says nothing, or names what cannot be found."""
    hints = _hints(function)
    for name, parameter in inspect.signature(function).parameters.items():
        if name == "ctx" or hints.get(name) is RunContext:
            continue
        given = parameter.annotation
        return name, hints.get(name, Any if given is parameter.empty or isinstance(given, str) else given)
    raise AdapterError(f"the workflow {function.__name__!r} takes no message: give its function a parameter for it")


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(function)
    except (NameError, TypeError):
        return {}


def _is_conversation(kind: Any) -> bool:
    """A list of messages, or a choice that has one."""
    if isinstance(get_origin(kind), type) and issubclass(get_origin(kind), Sequence):
        return any(Message in (one, *get_args(one)) for one in get_args(kind))
    return any(_is_conversation(one) for one in get_args(kind)) if _is_choice(kind) else False


def _is_choice(kind: Any) -> bool:
    return get_origin(kind) is Union or isinstance(kind, type(int | str))


def _named(function: Callable[..., Any], seen: set[int]) -> Iterator[Any]:
    """What a function and its steps name: agents, steps, classes, and lists or dicts of them."""
    try:
        found = inspect.getclosurevars(inspect.unwrap(function))
    except (TypeError, ValueError):  # no Python function, or one whose variables are not bound yet
        return
    held = [*found.nonlocals.values(), *found.globals.values()]
    for one in held:
        held.extend(one if isinstance(one, list | tuple) else one.values() if isinstance(one, dict) else ())
        if not isinstance(one, BaseAgent | StepWrapper | type) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, StepWrapper):
            yield from _named(one.__wrapped__, seen)


def _types(function: Callable[..., Any], named: Sequence[Any]) -> Iterator[type]:
    """The classes that a checkpoint may hold: those that the function and its steps name, in their words or types."""
    for one in named:
        if isinstance(one, type):
            yield one
    for told in (function, *(one.__wrapped__ for one in named if isinstance(one, StepWrapper))):
        for kind in _hints(told).values():
            yield from parts_of(kind)
