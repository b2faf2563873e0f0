"""An agent of the OpenAI Agents SDK as an agent.

Who owns what. An SDK agent is configuration, so one object is shared by all turns. A turn starts one run, which the SDK
makes a task of its own; that task belongs to `_events`, which cancels it and waits for it whenever it is left: turn
cancelled, reader gone. An open model call ends with it. What a context is (the items that were said, which agent has
the word after a handoff, a run that waits for an approval) stands in the turn's journal, so a pause can be answered in
another process. A turn that was cancelled or failed leaves the context as it was before it.
"""

import json
import logging
from asyncio import wait
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeAlias

from a2a_bridge.errors import AdapterError, framework_errors, needs_extra

with needs_extra("openai-agents"):
    from agents import (
        Agent,
        AgentBase,
        FunctionTool,
        InputGuardrailTripwireTriggered,
        MaxTurnsExceeded,
        ModelRefusalError,
        ModelSettings,
        OutputGuardrailTripwireTriggered,
        RunConfig,
        Runner,
        RunResultStreaming,
        RunState,
        ToolErrorFormatterArgs,
        ToolInputGuardrailTripwireTriggered,
        ToolOutputGuardrailTripwireTriggered,
        UserError,
        set_tracing_disabled,
    )
    from agents.items import ToolApprovalItem
    from agents.run import DEFAULT_MAX_TURNS

from a2a_bridge.agent import Answer, Ask, Fail, Refuse, Reply, Traits, Turn, Usage
from a2a_bridge.protocol.card import AgentSkill
from a2a_bridge.protocol.extensions import may_call
from a2a_bridge.protocol.objects import Part
from adapters.openai_agents.messages import FILES, to_items
from adapters.openai_agents.reading import Reading, arguments_of
from adapters.openai_agents.servers import Servers

_log = logging.getLogger(__name__)

# The SDK sends traces to OpenAI as soon as there is a key. Said once, when the first agent is published: whoever wants
# traces says set_tracing_disabled(False) after that.
set_tracing_disabled(True)

State: TypeAlias = RunState[Any, Agent[Any]]

_GONE = Fail("The question that this answers is not open any more. Please start again.")


@dataclass(frozen=True, slots=True)
class Kept:
    """What the journal keeps of a context. `waiting`: the state of a run that waits for an approval, as JSON."""

    items: Sequence[Any] = ()
    agent: str = ""
    waiting: Mapping[str, Any] | None = None

    def to_bytes(self) -> bytes:
        """As a record of the journal."""
        return json.dumps({"items": list(self.items), "agent": self.agent, "waiting": self.waiting}).encode()


class OpenAIAgent:
    """Takes turns with an agent of the SDK and with those that it hands over to.

    `context`: makes what the SDK calls the run's context, which tools get as `ctx.context`, for each turn; it is never
    kept. `max_turns`: the most model calls of one turn.
    """

    def __init__(
        self,
        agent: Agent[Any],
        *,
        name: str | None = None,
        description: str | None = None,
        context: Callable[[Turn], Any] | None = None,
        max_turns: int = DEFAULT_MAX_TURNS,
    ) -> None:
        if not isinstance(agent, Agent):
            raise AdapterError(
                f"the agent {agent.name!r} is a {type(agent).__name__}, which talks in a session of its own: publish an"
                " agents.Agent"
            )
        self._agent = agent
        self._context = context
        self._max_turns = max_turns
        self.name = name or agent.name
        self.description = description or _description(agent)
        agents = list(_agents(agent))
        self._servers = Servers(server for one in (*agents, *_behind_tools(agents)) for server in one.mcp_servers)
        self._agents = {one.name: one for one in reversed(agents)}
        # Said for the whole run, it would override an agent that says it does not want to be counted.
        self._counts = all(one.model_settings.include_usage is None for one in agents)
        self.traits = Traits(
            framework="openai_agents",
            skills=tuple(_skills(agents)),
            input_modes=("text/plain", "application/json", *FILES),
            keeps_context=True,
        )

    def __repr__(self) -> str:
        return f"OpenAIAgent({self.name!r})"

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """One run, new or taken up. What the SDK raises becomes an AdapterFailedError; a guardrail's refusal is one."""
        with framework_errors(f"the OpenAI agent {self.name!r}"):
            try:
                kept = await _recall(turn)
                state = await self._state(kept) if turn.answer else None
                if turn.answer and state is None:
                    yield _GONE
                elif turn.answer and state is not None and not _decided(state, turn.answer):
                    for item in state.get_interruptions():
                        yield _ask(item)
                else:
                    async with self._servers.in_use(), aclosing(self._replies(turn, kept, state)) as replies:
                        async for reply in replies:
                            yield reply
            except MaxTurnsExceeded:
                yield Fail("The agent was stopped after the most model calls of one turn without coming to an end.")
            except InputGuardrailTripwireTriggered:
                yield Refuse("A guardrail of the agent refused this message.")
            except OutputGuardrailTripwireTriggered:
                yield Refuse("A guardrail of the agent held the answer back.")
            except (ToolInputGuardrailTripwireTriggered, ToolOutputGuardrailTripwireTriggered):
                yield Refuse("A guardrail of the agent stopped one of its tools.")
            except ModelRefusalError as error:
                yield Refuse(error.refusal)

    async def _replies(self, turn: Turn, kept: Kept | None, state: State | None) -> AsyncGenerator[Reply | str, None]:
        """A run that goes on from `state`, or one from what was said."""
        kept = kept or Kept(to_items(await turn.history(), self.name))
        said = kept.items if state else [*kept.items, *to_items(turn.messages, self.name)]
        first = self._agents.get(kept.agent, self._agent)
        failed: set[str] = set()
        result = Runner.run_streamed(
            # A state knows by itself who has the word.
            self._agent if state else first,
            state or list(said),
            context=self._context(turn) if self._context else None,
            run_config=self._config(failed),
            max_turns=self._max_turns,
        )
        reading = Reading(first, result.context_wrapper.usage, failed)
        guards = 0 if state else len(first.input_guardrails)
        async with aclosing(_looked_at(result, reading, guards)) as replies:
            async for reply in replies:
                yield reply
        asks = [_ask(item) for item in result.interruptions]
        for reply in reading.result(result.final_output, result.context_wrapper.usage):
            yield reply
        if asks:
            # If nobody answers, the context goes on with what was said, without the calls that wait.
            kept = Kept(said, first.name, _without_context(result.to_state().to_json(context_serializer=_nothing)))
        else:
            kept = Kept(result.to_input_list(mode="normalized"), result.last_agent.name)
        await turn.journal.append(kept.to_bytes(), snapshot=True)
        for ask in asks:
            yield ask

    def _config(self, failed: set[str]) -> RunConfig:
        return RunConfig(
            tracing_disabled=True,
            tool_error_formatter=_noting(failed),
            model_settings=ModelSettings(include_usage=True) if self._counts else None,
        )

    async def _state(self, kept: Kept | None) -> State | None:
        """The run that waits; None if there is none, or if the agents were changed so that it cannot be taken up."""
        if kept is None or kept.waiting is None:
            return None
        try:
            return await RunState.from_json(self._agent, dict(kept.waiting))
        except UserError as error:
            _log.warning("%s cannot take up a run that waits for an approval: %s", self.name, error)
            return None


async def _recall(turn: Turn) -> Kept | None:
    records = await turn.journal.read()
    return Kept(**json.loads(records[-1][1])) if records else None


async def _events(result: RunResultStreaming) -> AsyncGenerator[Any, None]:
    """The run's events as they come; raises what the run raised."""
    try:
        async with aclosing(result.stream_events()) as events:
            try:
                async for event in events:
                    yield event
            finally:
                if not result.is_complete:
                    result.cancel()  # before the generator is closed, which waits for the run
    finally:
        if result.run_loop_task is not None:
            await wait([result.run_loop_task])


async def _looked_at(result: RunResultStreaming, reading: Reading, guards: int) -> AsyncGenerator[Reply | str, None]:
    """The replies of a run. Input guardrails look at the message while the model speaks already: nothing is shown
    before all of them (`guards` is their number) have let it pass, but for what has been used."""
    held: list[Reply | str] = []
    async with aclosing(_events(result)) as events:
        try:
            async for event in events:
                held += reading.take(event)
                if not guards or _let_pass(result, guards):
                    for reply in held:
                        yield reply
                    held = []
        except InputGuardrailTripwireTriggered:
            for reply in held:
                if isinstance(reply, Usage):
                    yield reply
            raise
    for reply in held:
        yield reply


def _let_pass(result: RunResultStreaming, guards: int) -> bool:
    looked = result.input_guardrail_results
    return len(looked) >= guards and not any(one.output.tripwire_triggered for one in looked)


def _nothing(context: Any) -> Mapping[str, Any]:
    """What the journal keeps of a run's context."""
    return {}


def _without_context(state: Any) -> Any:
    """A run's state, and those of agents behind tools in it, without contexts: the SDK writes mappings down."""
    if isinstance(state, list):
        return [_without_context(one) for one in state]
    if not isinstance(state, dict):
        return state
    found = {key: _without_context(value) for key, value in state.items()}
    return {**found, "context": {}} if "context_meta" in found else found


def _noting(failed: set[str]) -> Callable[[ToolErrorFormatterArgs[Any]], None]:
    """Looks at tool errors, and leaves it to the SDK what the model is told: that the tool failed, not why."""

    def note(error: ToolErrorFormatterArgs[Any]) -> None:
        failed.add(error.call_id)

    return note


def _ask(item: ToolApprovalItem) -> Ask:
    called = arguments_of(item.arguments)
    told = Part(data={"tool": item.name, "arguments": called}, media_type="application/json")
    return Ask(may_call(item.name or "a tool", called), parts=(told,), options=("yes", "no"), id=item.call_id or "")


def _decided(state: State, answer: Answer) -> bool:
    """Put the answers into the state; False if one of them is unclear, and nothing has been decided."""
    items = state.get_interruptions()
    given = Answer(tuple(_ask(item) for item in items), answer.message)
    options = [given.option(ask.id) for ask in given.asks]
    if None in options:
        return False
    for item, option in zip(items, options, strict=True):
        if option == "yes":
            state.approve(item)
        else:
            state.reject(item)
    return True


def _agents(agent: Agent[Any]) -> Iterator[Agent[Any]]:
    """The agent and those that it hands over to, each once."""
    found, waiting = [agent], [agent]
    while waiting:
        yield (one := waiting.pop(0))
        for target in one.handoffs:
            # A Handoff made by `handoff()` knows its agent by a weak reference only; one of another kind knows none.
            made_for = getattr(target, "_agent_ref", None)
            reached: AgentBase[Any] | None = made_for() if made_for is not None else target
            if isinstance(reached, Agent) and not any(reached is seen for seen in found):
                found.append(reached)
                waiting.append(reached)


def _behind_tools(agents: Sequence[Agent[Any]]) -> Iterator[Agent[Any]]:
    """The agents that are tools of these, those that they hand over to, and so on."""
    for tool in (tool for agent in agents for tool in agent.tools):
        inner = getattr(tool, "_agent_instance", None)
        if isinstance(inner, Agent):
            found = list(_agents(inner))
            yield from found
            yield from _behind_tools(found)


def _description(agent: Agent[Any]) -> str:
    return (agent.handoff_description or "").strip() or f"An OpenAI agent called {agent.name}."


def _skills(agents: Sequence[Agent[Any]]) -> Iterator[AgentSkill]:
    """The function tools of all agents, for the card; MCP servers tell theirs only when they run."""
    tools = {tool.name: tool for agent in agents for tool in agent.tools if isinstance(tool, FunctionTool)}
    for name, tool in tools.items():
        yield AgentSkill(id=name, name=name, description=tool.description, tags=("tool",))
