"""A Pydantic AI agent as an agent.

Who owns what. An agent is configuration, so one object is shared by all turns. A turn starts one run, which is a task
of Pydantic AI's; leaving its events (turn cancelled, reader gone) cancels it and waits for it, and an open model call
ends with it. What a context is, the messages and the calls that wait for an answer, stands in the turn's journal, so a
pause can be answered in another process. A turn that was cancelled or failed leaves the context as it was before it.
"""

import logging
import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any, TypeAlias

from a2a_bridge.errors import framework_errors, needs_extra

with needs_extra("pydantic-ai"):
    from pydantic_ai import (
        AgentRunResultEvent,
        DeferredToolRequests,
        DeferredToolResults,
        NativeOutput,
        PromptedOutput,
        TextOutput,
        UsageLimitExceeded,
    )
    from pydantic_ai.agent import AbstractAgent
    from pydantic_ai.capabilities import ReinjectSystemPrompt

from a2a_bridge.agent import Answer, Ask, Fail, Reply, Traits, Turn
from a2a_bridge.protocol.card import AgentSkill
from a2a_bridge.protocol.extensions import may_call
from a2a_bridge.protocol.objects import Part
from adapters.pydantic_ai.messages import FILES, Kept, to_history, to_prompt
from adapters.pydantic_ai.reading import Reading, arguments_of, jsonable

_log = logging.getLogger(__name__)

# Pydantic AI greets whoever starts the first run in a terminal, which is not for a server's.
os.environ.setdefault("PYDANTIC_AI_NO_BANNER", "1")

Agent: TypeAlias = AbstractAgent[Any, Any]

_GONE = Fail("The question that this answers is not open any more. Please start again.")
_TEXT_KEYS = ("question", "message", "prompt", "text")


class PydanticAgent:
    """Takes turns with an agent. `deps`: makes what its tools get as `ctx.deps`, for each turn."""

    def __init__(
        self,
        agent: Agent,
        *,
        name: str | None = None,
        description: str | None = None,
        deps: Callable[[Turn], Any] | None = None,
    ) -> None:
        self._agent = agent
        self._deps = deps
        self.name = name or agent.name or "agent"
        self.description = description or agent.description or f"A Pydantic AI agent called {self.name}."
        if deps is None and agent.deps_type not in (object, type(None)):
            _log.warning(
                "%r is given no dependencies, but has a deps_type (%s). If it needs them, publish"
                " adapters.pydantic_ai.agent.PydanticAgent(agent, deps=...)",
                self.name,
                getattr(agent.deps_type, "__name__", agent.deps_type),
            )
        # An agent with output validators takes no other output type for a run than its own.
        self._is_validated = bool(getattr(agent, "_output_validators", ()))
        outputs = list(_outputs(agent.output_type))
        pauses = DeferredToolRequests in outputs
        self._output_type: Any = None if pauses or self._is_validated else [agent.output_type, DeferredToolRequests]
        made = (NativeOutput, PromptedOutput, TextOutput)
        self._holds = self._is_validated or any(isinstance(output, made) for output in outputs)
        self.traits = Traits(
            framework="pydantic_ai",
            skills=tuple(_skills(agent)),
            input_modes=("text/plain", "application/json", *FILES),
            keeps_context=True,
        )

    def __repr__(self) -> str:
        return f"PydanticAgent({self.name!r})"

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """One run, new or taken up. Whatever Pydantic AI raises becomes an AdapterFailedError."""
        with framework_errors(f"the Pydantic AI agent {self.name!r}"):
            try:
                kept = await self._recall(turn)
                results = None
                if turn.answer:
                    if kept is None or kept.waiting is None:
                        yield _GONE
                        return
                    results = _results(kept.waiting, turn.answer)
                    if results is None:
                        for ask in _asks(kept.waiting):
                            yield ask
                        return
                async with aclosing(self._replies(turn, kept, results)) as replies:
                    async for reply in replies:
                        yield reply
            except UsageLimitExceeded:
                yield Fail("The agent was stopped at a limit of one turn without coming to an end.")

    async def _recall(self, turn: Turn) -> Kept | None:
        records = await turn.journal.read()
        if not records:
            return None
        try:
            return Kept.from_bytes(records[-1][1])
        except ValueError as error:
            _log.warning("%s cannot read what it has kept, and reads the history instead: %s", self.name, error)
            return None

    async def _replies(
        self, turn: Turn, kept: Kept | None, results: DeferredToolResults | None
    ) -> AsyncGenerator[Reply | str, None]:
        if kept is None:
            past = to_history(await turn.history(), self.name)
        else:
            past = list(kept.messages if results else kept.given_up())
        reading = Reading(holds=self._holds, known=kept.calls if kept and results else frozenset())
        run = self._agent.run_stream_events(
            None if results else to_prompt(turn.messages),
            output_type=self._output_type,
            message_history=past,
            deferred_tool_results=results,
            deps=self._deps(turn) if self._deps else None,
            # A history of ours has no system prompt, and Pydantic AI gives one only to conversations without a past.
            capabilities=[ReinjectSystemPrompt()] if kept is None and past else None,
            infer_name=False,
        )
        result = None
        async with run as events:
            async for event in events:
                if isinstance(event, AgentRunResultEvent):
                    result = event.result
                for reply in reading.take(event):
                    yield reply
        if result is None:
            raise RuntimeError("the run has ended without a result")
        waiting = result.output if isinstance(result.output, DeferredToolRequests) else None
        for reply in reading.result(result, is_pause=waiting is not None):
            yield reply
        await turn.journal.append(Kept(result.all_messages(), waiting).to_bytes(), snapshot=True)
        if waiting is not None:
            for ask in _asks(waiting):
                yield ask


def _asks(waiting: DeferredToolRequests) -> Iterator[Ask]:
    """A question for each call: may it be made, or what does it give."""
    for call in waiting.approvals:
        yield _ask(call, waiting, may_call(call.tool_name, arguments_of(call)), ("yes", "no"))
    for call in waiting.calls:
        yield _ask(call, waiting, f"What does {call.tool_name} give?", ())


def _ask(call: Any, waiting: DeferredToolRequests, text: str, options: tuple[str, ...]) -> Ask:
    told = {"tool": call.tool_name, "arguments": arguments_of(call)}
    about = waiting.metadata.get(call.tool_call_id)
    if about:
        told["metadata"] = jsonable(about)
        own = next((about[key] for key in _TEXT_KEYS if isinstance(about.get(key), str)), None)
        if own is not None:  # what is to be approved is told in any case
            text = f"{own}\n{text}" if options else own
    data = Part(data=told, media_type="application/json")
    return Ask(text, parts=(data,), options=options, id=call.tool_call_id)


def _results(waiting: DeferredToolRequests, answer: Answer) -> DeferredToolResults | None:
    """The answers as Pydantic AI takes them; None if one of them is unclear."""
    given = Answer(tuple(_asks(waiting)), answer.message)
    options = {call.tool_call_id: given.option(call.tool_call_id) for call in waiting.approvals}
    if None in options.values():
        return None
    return DeferredToolResults(
        approvals={call: option == "yes" for call, option in options.items()},
        calls={call.tool_call_id: given.value(call.tool_call_id) for call in waiting.calls},
    )


def _outputs(output_type: Any) -> Iterator[Any]:
    """What an output may be, one by one."""
    if isinstance(output_type, list | tuple):
        for one in output_type:
            yield from _outputs(one)
    else:
        yield output_type


def _skills(agent: Agent) -> Iterator[AgentSkill]:
    """The function tools, for the card; MCP servers and other toolsets tell theirs only when they run."""
    found = {name: tool for toolset in agent.toolsets for name, tool in getattr(toolset, "tools", {}).items()}
    for name, tool in found.items():
        yield AgentSkill(id=name, name=name, description=tool.description or "", tags=("tool",))
