"""A CrewAI flow as an agent.

A flow writes to itself while it runs, so each turn has a flow of its own, made from the class and the settings of the
one that was published, or by the function that was given. Its state is one record of the turn's journal, under an id
that is the same for the whole context; what a `@human_feedback` step waits for is kept there too, so an answer may come
after a restart. `work.py` says who owns the thread of a run and what cancelling does.
"""

import functools
import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from a2a_bridge.errors import AdapterError, needs_extra

with needs_extra("crewai"):
    from crewai import Flow
    from crewai.events.event_listener import event_listener
    from crewai.flow.async_feedback import HumanFeedbackPending, PendingFeedbackContext
    from crewai.flow.human_feedback import HumanFeedbackResult
    from crewai.flow.persistence import FlowPersistence

from pydantic import BaseModel, PrivateAttr
from pydantic_core import to_json, to_jsonable_python

from a2a_bridge.agent import Ask, Fail, Reply, Traits, Turn
from a2a_bridge.protocol.objects import JSONValue
from adapters.crewai.files import PICTURES, TEXTS, described
from adapters.crewai.messages import attributed, fills, transcript, words
from adapters.crewai.published import GONE, Published
from adapters.crewai.reading import Reading
from adapters.crewai.review import Reviewer
from adapters.crewai.work import Work

_log = logging.getLogger(__name__)

MESSAGE = "message"
"""The member of the state that gets the text of the new messages."""

TRANSCRIPT = "transcript"
"""The member that gets the whole conversation."""

FILES = "message_files"
"""The member that gets the files of the new messages: name, media type and address, a `data:` URL if need be."""


class FlowAgent(Published):
    """Takes turns with a flow, or with what a function makes anew for each turn."""

    def __init__(self, obj: Any, *, name: str | None = None, description: str | None = None) -> None:
        self._make = _maker(obj)
        sample = self._make()
        if not isinstance(sample, Flow):
            raise AdapterError(f"the function made a {type(sample).__name__}: make a CrewAI Flow")
        kind = type(sample)
        self.name = name or str(sample.name or kind.__name__)
        self.description = description or (kind.__doc__ or "").strip() or f"A CrewAI flow called {self.name}."
        # What a structured state has no member for cannot be given to it.
        self._members = frozenset(type(sample.state).model_fields) if isinstance(sample.state, BaseModel) else None
        if self._members is not None and self._members.isdisjoint({MESSAGE, TRANSCRIPT}):
            raise AdapterError(
                f"the state of the flow {self.name!r} has no member for what is said. Give it one:"
                f' {MESSAGE}: str = "", or {TRANSCRIPT}: str = ""'
            )
        modes = (*PICTURES, "*/*") if self._members is None or FILES in self._members else TEXTS
        self.traits = Traits(
            framework="crewai",
            input_modes=("text/plain", "application/json", *modes),
            stops_on_cancel=False,
            keeps_context=True,
        )

    async def replies(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """The replies of one run, new or resumed."""
        records = [json.loads(data) for _, data in await turn.journal.read()]
        kept = next((one for one in reversed(records) if turn.answer or one["pending"] is None), None)
        memory = TurnMemory()
        memory.load(kept)
        if turn.answer:
            if memory.pending is None:
                yield GONE
                return
            feedback = _feedback(memory.pending, turn.answer.option(), words(turn.answer.message))
            call = functools.partial(self._resume, memory, feedback)
        else:
            call = functools.partial(self._kickoff, memory, await self._inputs(turn))
        reading, asking = Reading(), Asking()
        work = Work(Reviewer())
        try:
            async with aclosing(work.events(functools.partial(call, asking))) as events:
                async for event in events:
                    for reply in reading.take(event):
                        yield reply
        except AskedInside:
            yield Fail("This flow asks with Flow.ask(), which cannot wait for an answer: use @human_feedback in it.")
            return
        output = work.result
        pending = output if isinstance(output, HumanFeedbackPending) else None
        if pending:
            output = pending.context.method_output
        elif isinstance(output, HumanFeedbackResult):  # the last step was looked at
            output = output.output
        for reply in reading.whole(output):
            yield reply
        await turn.journal.append(memory.to_record(), snapshot=pending is None)
        if pending:
            yield Ask(text=pending.context.message, options=tuple(pending.context.emit or ()))

    def _kickoff(self, memory: "TurnMemory", inputs: dict[str, JSONValue], asking: "Asking") -> Any:
        """In a thread: a whole run."""
        flow = self._ready(self._make(), memory, asking)
        memory.pending = None
        output = flow.kickoff(inputs=inputs)
        return memory.keep(flow, output)

    def _resume(self, memory: "TurnMemory", feedback: str, asking: "Asking") -> Any:
        """In a thread: the rest of a run that waited."""
        made = self._make()
        settings = {key: value for key, value in _settings(made).items() if key != "persistence"}
        flow = type(made).from_pending(memory.flow_id, memory, **settings)
        memory.pending = None
        output = self._ready(flow, memory, asking).resume(feedback)
        return memory.keep(flow, output)

    def _ready(self, flow: Any, memory: "TurnMemory", asking: "Asking") -> Any:
        """Quiet, with its state in our hands, and with nobody at the terminal."""
        memory.inner = flow.persistence if flow.persistence is not memory else None
        flow.stream = event_listener.formatter.verbose = False
        flow.persistence = memory
        flow.input_provider = asking
        # CrewAI's own switches for these two are for the whole process.
        own = flow._resolve_feedback_provider  # noqa: SLF001
        vars(flow)["_resolve_feedback_provider"] = lambda definition: own(definition) or asking
        vars(flow)["_log_flow_event"] = _log_event
        return flow

    async def _inputs(self, turn: Turn) -> dict[str, JSONValue]:
        """What the run begins with; a data part that is an object fills the members it names."""
        known = self._members if self._members is not None else frozenset({MESSAGE, TRANSCRIPT, FILES})
        new = list(turn.messages)
        inputs: dict[str, JSONValue] = {}
        if MESSAGE in known:
            inputs[MESSAGE] = "\n\n".join(attributed(message, known, shows=FILES in known) for message in new)
        if TRANSCRIPT in known:
            inputs[TRANSCRIPT] = transcript([*await turn.history(), *new], self.name)
        if FILES in known:
            inputs[FILES] = described(new)
        for part in (part for message in new for part in message.parts if fills(part, known)):
            inputs.update({key: value for key, value in part.data.items() if key in known})  # type: ignore[union-attr]
        return {**inputs, "id": _flow_id(turn)}


class AskedInside(BaseException):
    """A flow waits for words in the middle of a method. Not an Exception: CrewAI would take it for an empty answer."""


class Asking:
    """Where a flow would read the terminal: a `@human_feedback` step ends the run, to be taken up with the answer."""

    def request_feedback(self, context: PendingFeedbackContext, flow: Any) -> str:
        """CrewAI's provider of feedback."""
        raise HumanFeedbackPending(context=context)

    def request_input(self, message: str, flow: Any, metadata: Any = None) -> str:
        """CrewAI's provider of input for `Flow.ask`."""
        raise AskedInside


class TurnMemory(FlowPersistence):  # type: ignore[misc]  # checked without the framework's types
    """CrewAI's persistence for one turn; what the flow's own would keep is kept there as well."""

    flow_id: str = ""
    pending: Any = None
    inner: Any = None
    _state: dict[str, Any] | None = PrivateAttr(default=None)

    def load(self, record: Any) -> None:
        """Go on from a record of the journal."""
        if record is not None:
            self.flow_id, self._state = record["id"], record["state"]
            self.pending = PendingFeedbackContext.from_dict(record["pending"]) if record["pending"] else None

    def keep(self, flow: Any, output: Any) -> Any:
        """What the next turn goes on from; gives the output."""
        self._state = _plain(flow.state)
        self.flow_id = str(flow.flow_id)
        self.pending = output.context if isinstance(output, HumanFeedbackPending) else None
        return output

    def to_record(self) -> bytes:
        """For the journal."""
        pending = self.pending.to_dict() if self.pending else None
        return to_json({"id": self.flow_id, "state": self._state, "pending": pending}, fallback=str)

    def init_db(self) -> None:
        """There is none."""

    def save_state(self, flow_uuid: str, method_name: str, state_data: Any) -> None:
        """After each method of a flow with `@persist`."""
        if self.inner is not None:
            self.inner.save_state(flow_uuid, method_name, state_data)

    def load_state(self, flow_uuid: str) -> dict[str, Any] | None:
        """The state that the context has; else what the flow's own persistence has."""
        if self._state is None and self.inner is not None:
            return self.inner.load_state(flow_uuid)  # type: ignore[no-any-return]
        return self._state

    def load_pending_feedback(self, flow_uuid: str) -> tuple[dict[str, Any], PendingFeedbackContext] | None:
        """What waits for an answer."""
        return (self._state or {}, self.pending) if self.pending else None


def _maker(obj: Any) -> Callable[[], Any]:
    """What makes a flow for one turn: the function that was given, or the flow's class with its settings."""
    if not isinstance(obj, Flow):
        return obj  # type: ignore[no-any-return]  # a function
    kind: Callable[..., Any] = type(obj)
    make = functools.partial(kind, **_settings(obj))
    try:
        make()
    except (TypeError, ValueError) as error:
        raise AdapterError(
            f"the flow {type(obj).__name__!r} cannot be made anew for each turn ({type(error).__name__}). Give a"
            " function that makes it instead: adapters.crewai.adapter.ADAPTER.adapt(make_flow)"
        ) from error
    return make


def _log_event(message: str, color: str = "", level: str = "info") -> None:
    """What CrewAI would print in a colour."""
    _log.debug("%s", message)


def _settings(flow: Any) -> dict[str, Any]:
    """What was said when the flow was made."""
    return {name: getattr(flow, name) for name in flow.model_fields_set if name in type(flow).model_fields}


def _plain(state: Any) -> Any:
    return to_jsonable_python(state.model_dump() if isinstance(state, BaseModel) else dict(state), fallback=str)


def _feedback(pending: PendingFeedbackContext, option: str | None, said: str) -> str:
    """The word that routes, if there are such and it is one of them; else what was said."""
    return option if pending.emit and option else said


def _flow_id(turn: Turn) -> str:
    """The id of the state: the context; for a caller with a name, one that no other caller can name."""
    caller = turn.caller
    if caller.tenant or caller.principal != "anonymous":
        named = json.dumps([caller.tenant, caller.principal, turn.context_id])
        return str(uuid5(NAMESPACE_URL, f"urn:a2a-bridge:flow:{named}"))
    return turn.context_id
