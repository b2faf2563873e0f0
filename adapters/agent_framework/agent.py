"""An agent of Microsoft's Agent Framework as an agent.

The framework's agents are configuration: what a conversation is stands in an `AgentSession`. Each turn loads the
session of its context from the turn's journal and saves it there in the end, with the requests that wait for an answer;
so an approval can come in another process. A turn that was cancelled, failed or given up leaves no record, or one that
is passed over: the conversation goes on as it was before it. The stream of a run belongs to `_run`, which closes it
however it is left; the model call ends with it.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from a2a_bridge.errors import framework_errors, needs_extra

with needs_extra("agent-framework"):
    from agent_framework import (
        AgentSession,
        BaseAgent,
        Content,
        FunctionalWorkflow,
        FunctionalWorkflowAgent,
        FunctionalWorkflowDefinition,
        Message,
        WorkflowAgent,
    )

from pydantic_core import to_json

from a2a_bridge.agent import Answer, Fail, Journal, Reply, Traits, Turn
from a2a_bridge.protocol.card import AgentSkill
from adapters.agent_framework.messages import FILES, to_framework
from adapters.agent_framework.questions import UNCLEAR, ask_of, id_of, reply_to
from adapters.agent_framework.reading import Reading

GONE = Fail("The question that this answers is not open any more. Please start again.")


def is_agent(obj: Any) -> bool:
    """An agent that takes turns itself; one that wraps a workflow is taken as the workflow."""
    return isinstance(obj, BaseAgent) and not isinstance(obj, WorkflowAgent)


def is_functional(obj: Any) -> bool:
    """A workflow that is a function (`@workflow`), built or not, or an agent that wraps one."""
    return isinstance(obj, FunctionalWorkflowDefinition | FunctionalWorkflow | FunctionalWorkflowAgent)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the journal keeps of a context: the session, and the requests that are open."""

    session: AgentSession
    requests: tuple[Content, ...] = ()

    def to_bytes(self) -> bytes:
        """As a record of the journal."""
        waiting = [request.to_dict() for request in self.requests]
        return to_json({"session": self.session.to_dict(), "waits": waiting}, fallback=str)


class Published:
    """What agents and workflows have in common: a turn in which whatever is raised becomes an AdapterFailedError."""

    name: str

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """One run."""
        with framework_errors(f"{self.name!r}"):
            async with aclosing(self.replies(turn)) as replies:
                async for reply in replies:
                    yield reply

    def replies(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """The replies of one run."""
        raise NotImplementedError


class FrameworkAgent(Published):
    """Takes turns with an agent, which is shared by all of them."""

    def __init__(self, agent: Any, *, name: str | None = None, description: str | None = None) -> None:
        self._agent = agent
        options = getattr(agent, "default_options", None) or {}
        self.name = name or agent.name or type(agent).__name__
        self.description = description or agent.description or f"An agent called {self.name}."
        self._model = options.get("model") or getattr(getattr(agent, "client", None), "model", None)
        self._is_structured = options.get("response_format") is not None
        self.traits = Traits(
            framework="agent_framework",
            skills=tuple(skills([agent])),
            input_modes=("text/plain", "application/json", *FILES),
            keeps_context=True,
        )

    async def replies(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """The replies of one run."""
        kept = await self._recall(turn)
        if turn.answer:
            if not kept.requests:
                yield GONE
                return
            messages = _answers(kept.requests, turn.answer)
            if messages is None:
                for request in kept.requests:
                    yield ask_of(request)
                return
        else:
            # A session that holds nothing is a new one, or its agent keeps none: it is told what was said before.
            holds = kept.session.state or kept.session.service_session_id
            past = () if holds else await turn.history()
            messages = to_framework([*past, *turn.messages], self.name)
        async with aclosing(self._run(turn.journal, kept.session, messages)) as replies:
            async for reply in replies:
                yield reply

    async def _run(
        self, journal: Journal, session: AgentSession, messages: Sequence[Any]
    ) -> AsyncGenerator[Reply | str, None]:
        reading = Reading(model=self._model)
        result: Any = self._agent.run(list(messages), stream=True, session=session)
        if hasattr(result, "__aiter__"):
            async with closing(result):
                async for update in result:
                    for reply in reading.update(update):
                        yield reply
                response = await result.get_final_response()
        else:  # an agent of somebody's own making, which does not stream
            response = await result
            for reply in reading.response(response):
                yield reply
        for reply in reading.end():
            yield reply
        requests = tuple(response.user_input_requests)
        if self._is_structured and not requests and response.value is not None:
            for reply in reading.as_data(response.value):
                yield reply
        await journal.append(Kept(session, requests).to_bytes(), snapshot=not requests)
        for request in requests:
            yield ask_of(request)

    async def _recall(self, turn: Turn) -> Kept:
        """Where the conversation stands: for an answer the newest record, else the newest one that waits for none."""
        for _, record in reversed(await turn.journal.read()):
            found = json.loads(record)
            if turn.answer or not found["waits"]:
                requests = tuple(Content.from_dict(one) for one in found["waits"])
                return Kept(AgentSession.from_dict(found["session"]), requests)
        return Kept(AgentSession(session_id=session_id(turn)))


@asynccontextmanager
async def closing(stream: Any) -> AsyncIterator[None]:
    """Close a stream of the framework's however it is left: what it reads from may be open when it has ended."""
    try:
        yield
    finally:
        await stream.close()


def skills(agents: Iterable[Any]) -> Iterator[AgentSkill]:
    """The tools of agents that are functions, for the card."""
    tools = [tool for agent in agents for tool in (getattr(agent, "default_options", None) or {}).get("tools") or ()]
    found = {tool.name: tool for tool in tools if getattr(tool, "name", None)}
    for name, tool in found.items():
        yield AgentSkill(id=name, name=name, description=tool.description or name, tags=("tool",))


def _answers(requests: Sequence[Content], answer: Answer) -> list[Any] | None:
    """What the agent is told in answer to its requests; None if one of the answers is unclear."""
    given = Answer(tuple(ask_of(request) for request in requests), answer.message)
    contents = [reply_to(request, given, id_of(request)) for request in requests]
    if any(content is UNCLEAR for content in contents):
        return None
    results = [content for content in contents if content.type == "function_result"]
    said = [content for content in contents if content.type != "function_result"]
    return [*([Message("tool", results)] if results else ()), *([Message("user", said)] if said else ())]


def session_id(turn: Turn) -> str:
    """For stores of the agent's own: the context; for a caller with a name, one that no other caller can name."""
    caller = turn.caller
    if caller.tenant or caller.principal != "anonymous":
        return "/".join(quote(part, safe="") for part in (caller.tenant, caller.principal, turn.context_id))
    return turn.context_id
