"""A workflow of Microsoft's Agent Framework as an agent.

A workflow holds its state and runs once at a time. So each turn works on a copy of it (`copies.py`), restored from the
last checkpoint of its context; the run's last checkpoint is the record that the turn leaves in its journal. A request
to the outside ends the run, and its answer takes up the checkpoint, in another process too. A turn that was cancelled,
failed or given up leaves the conversation as it was before it. The stream of a run belongs to `_run`, which closes
it however it is left; the framework cancels its executors then.
"""

import json
import logging
import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any

from a2a_bridge.errors import AdapterError, needs_extra

with needs_extra("agent-framework"):
    from agent_framework import (
        AgentResponse,
        AgentResponseUpdate,
        Content,
        Message,
        Workflow,
        WorkflowAgent,
        WorkflowCheckpointException,
        WorkflowMessage,
    )

from pydantic import BaseModel, TypeAdapter, ValidationError

from a2a_bridge.agent import Refuse, Reply, Traits, Turn
from a2a_bridge.protocol.objects import Message as Said
from adapters.agent_framework.agent import GONE, Published, closing, session_id, skills
from adapters.agent_framework.checkpoints import Checkpoints, types_of
from adapters.agent_framework.copies import agents_of, maker, name_conversations
from adapters.agent_framework.messages import FILES, to_framework, words
from adapters.agent_framework.questions import ask_of_event, responses_to
from adapters.agent_framework.reading import Reading

_log = logging.getLogger(__name__)

_MADE_UP = re.compile(r"\w+-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class FrameworkWorkflow(Published):
    """Takes turns with a copy of a workflow, or with what a function makes anew for each turn."""

    def __init__(self, obj: Any, *, name: str | None = None, description: str | None = None) -> None:
        wrapped = obj.workflow if isinstance(obj, WorkflowAgent) else obj
        self._make = maker(wrapped)
        sample = wrapped if isinstance(wrapped, Workflow) else self._make()
        if not isinstance(sample, Workflow):
            raise AdapterError(f"the function made a {type(sample).__name__}: make a Workflow")
        named = obj if isinstance(obj, WorkflowAgent) else sample
        self.name = name or _name(named)
        self.description = description or named.description or f"A workflow of {', '.join(sample.executors)}."
        agents = dict(agents_of(sample))
        self._models = {key: getattr(getattr(agent, "client", None), "model", None) for key, agent in agents.items()}
        self._structured = {
            key
            for key, agent in agents.items()
            if (getattr(agent, "default_options", None) or {}).get("response_format") is not None
        }
        self._names_speakers = sum(sample.is_terminal_executor(key) for key in agents if key in sample.executors) > 1
        self.traits = Traits(
            framework="agent_framework",
            skills=tuple(skills(agents.values())),
            input_modes=("text/plain", "application/json", *FILES),
            keeps_context=True,
        )

    async def replies(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """The replies of one run."""
        workflow, record = self._made(turn), await recall(turn)
        store = Checkpoints(types_of(workflow), record)
        requests: list[Any] | None = None
        if record is not None:
            requests = await _restored(workflow, store, self.name)
            if requests is None:  # with what its failed restoration has left in it, it is of no use
                workflow = self._made(turn)
                store = Checkpoints(types_of(workflow), None)
        if turn.answer:
            if not requests:
                yield GONE
                return
            responses = responses_to(requests, turn.answer)
            if responses is None:
                for request in requests:
                    yield ask_of_event(request)
                return
            start: dict[str, Any] = {"responses": responses}
        else:
            past = () if requests is not None else await turn.history()
            message = _input(workflow, past, turn.messages, self.name)
            if message is None:
                wanted = ", ".join(str(kind) for kind in workflow.input_types)
                yield Refuse(f"This agent takes data of another form: {wanted}.")
                return
            start = {"message": message}
        async with aclosing(self._run(turn, workflow, store, start)) as replies:
            async for reply in replies:
                yield reply

    def _made(self, turn: Turn) -> Workflow:
        workflow: Workflow = self._make()
        name_conversations(workflow, session_id(turn))
        return workflow

    async def _run(
        self, turn: Turn, workflow: Workflow, store: Checkpoints, start: dict[str, Any]
    ) -> AsyncGenerator[Reply | str, None]:
        reading, requests = Reading(names_speakers=self._names_speakers), []
        turns = InTurns()
        stream = workflow.run(stream=True, checkpoint_storage=store, **start)
        async with closing(stream):
            async for event in stream:
                if event.type == "request_info":
                    requests.append(event)
                for told in turns.take(event):
                    for reply in self._event(reading, told):
                        yield reply
        for reply in reading.end():
            yield reply
        if store.newest is not None:
            await turn.journal.append(store.to_record(waits=bool(requests)), snapshot=not requests)
        for request in requests:
            yield ask_of_event(request)

    def _event(self, reading: Reading, event: Any) -> list[Reply | str]:
        """What one event of the workflow amounts to."""
        if event.type == "output":
            return self._output(reading, event.data, event.executor_id)
        if event.type in ("intermediate", "data"):
            return list(reading.progress(event.data))
        if event.type == "executor_completed" and event.executor_id in self._structured:
            try:
                return list(reading.as_data(json.loads(reading.last_text)))
            except ValueError:  # it has called a tool, or asked
                return []
        return []

    def _output(self, reading: Reading, data: Any, executor: str) -> list[Reply | str]:
        reading.model = self._models.get(executor) or reading.model
        return list(tell(reading, data, executor))


def tell(reading: Reading, data: Any, executor: str) -> Iterator[Reply | str]:
    """What an output of a workflow amounts to."""
    if isinstance(data, AgentResponseUpdate):
        return reading.update(data, executor)
    if isinstance(data, AgentResponse | Message):
        return reading.response(data, executor)
    if isinstance(data, Content):
        return reading.content(data, executor, None)
    if isinstance(data, list) and data and all(isinstance(one, Message) for one in data):
        # A whole conversation: what was said last is the answer.
        return reading.response(data[-1], executor) if data[-1].role == "assistant" else iter(())
    return reading.value(data, executor)


class InTurns:
    """What executors say that work at the same time, one after another: the words of one are streamed, those of the
    others follow when it has ended."""

    def __init__(self) -> None:
        self._speaker: str | None = None
        self._held: dict[str, list[Any]] = {}

    def take(self, event: Any) -> Iterator[Any]:
        """The events that can be told now."""
        who = event.executor_id
        if event.type == "output" and isinstance(event.data, AgentResponseUpdate):
            self._speaker = self._speaker or who
            if who != self._speaker:
                self._held.setdefault(who, []).append(event)
                return
        elif event.type == "executor_completed" and who in self._held:
            self._held[who].append(event)
            return
        yield event
        if event.type == "executor_completed" and who == self._speaker:
            self._speaker = None
            yield from self._following()

    def _following(self) -> Iterator[Any]:
        while self._held and self._speaker is None:
            who = next(iter(self._held))
            events = self._held.pop(who)
            yield from events
            if events[-1].type != "executor_completed":
                self._speaker = who


def _name(named: Any) -> str:
    """What was said, never the random name that the framework makes up: an agent is found again by its name."""
    return "workflow" if not named.name or _MADE_UP.fullmatch(named.name) else str(named.name)


async def recall(turn: Turn) -> bytes | None:
    """The record to go on from: for an answer the newest, else the newest one that waits for none."""
    for _, record in reversed(await turn.journal.read()):
        if turn.answer or not Checkpoints.waits(record):
            return record
    return None


async def _restored(workflow: Workflow, store: Checkpoints, name: str) -> list[Any] | None:
    """The open requests of the restored workflow; None if it cannot take up its state, and starts with the history."""
    requests = []
    try:
        stream = workflow.run(stream=True, checkpoint_id=store.last_id, checkpoint_storage=store)
        async with closing(stream):
            async for event in stream:
                if event.type == "request_info":
                    requests.append(event)
    except (WorkflowCheckpointException, ValueError, KeyError, TypeError) as error:
        _log.warning("%s cannot take up its state, and reads the history instead: %s", name, error)
        return None
    return requests


def _input(workflow: Workflow, past: Sequence[Said], new: Sequence[Said], name: str) -> Any:
    """What the start executor is sent: messages, the last message, words, or data of its type; None if nothing fits."""
    start = workflow.get_start_executor()
    messages = to_framework([*past, *new], name)
    for candidate in (messages, messages[-1], words(new)):
        if start.can_handle(WorkflowMessage(data=candidate, source_id=start.id, target_id=start.id)):
            return candidate
    for part in (part for message in new for part in message.parts if part.kind == "data"):
        for kind in start.input_types:
            if isinstance(kind, type) and (issubclass(kind, BaseModel) or kind in (dict, list, int, float, bool)):
                try:
                    return TypeAdapter(kind).validate_python(part.data)
                except ValidationError:
                    continue
    return None
