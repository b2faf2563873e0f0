"""An AutoGen agent or team as an agent.

Who owns what. Each turn works on a copy of its own (`fresh.py`), with the state of its context loaded from the turn's
journal and saved there in the end; so a pause can be answered in another process. One task of ours reads the run's
events. It belongs to `_events`, which cancels AutoGen's token and then waits for that task whenever it is left: turn
cancelled, reader gone, human asked. AutoGen's own tasks end with the token, and an open model call with them. A turn
that was cancelled or failed leaves the state as it was before it.
"""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from a2a_bridge.errors import AdapterError, framework_errors, needs_extra

with needs_extra("autogen"):
    from autogen_agentchat.agents import BaseChatAgent, UserProxyAgent
    from autogen_agentchat.base import ChatAgent, Handoff, Team
    from autogen_agentchat.messages import BaseChatMessage, HandoffMessage, TextMessage, UserInputRequestedEvent
    from autogen_core import CancellationToken
    from autogen_core.models import ChatCompletionClient
    from autogen_core.tools import BaseTool

from pydantic_core import to_json

from a2a_bridge.agent import Ask, Fail, Refuse, Reply, Traits, Turn
from a2a_bridge.protocol.card import AgentSkill
from adapters.autogen.fresh import maker, parts_of, people
from adapters.autogen.messages import IMAGES, UnreadableImageError, as_task, to_autogen, words
from adapters.autogen.reading import Reading

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """What the journal keeps of a context: AutoGen's state, and who waits for an answer.

    `human` is the participant whose words the answer is; `handed_by` has handed over to `handed_to`, the caller.
    """

    state: Any
    human: str = ""
    handed_by: str = ""
    handed_to: str = ""

    @property
    def waits(self) -> bool:
        """A question is open."""
        return bool(self.human or self.handed_by)

    def to_bytes(self) -> bytes:
        """As a record of the journal."""
        members = {"state": self.state, "human": self.human, "by": self.handed_by, "to": self.handed_to}
        return to_json(members)


class AutoGenAgent:
    """Takes turns with an agent or a team, or with what a function makes anew for each turn."""

    def __init__(self, obj: Any, *, name: str | None = None, description: str | None = None) -> None:
        sample = obj if isinstance(obj, ChatAgent | Team) else obj()
        if not isinstance(sample, ChatAgent | Team):
            raise AdapterError(f"the function made a {type(sample).__name__}: make an AutoGen agent or team")
        if isinstance(sample, UserProxyAgent):
            raise AdapterError("a UserProxyAgent alone is the caller's own voice: publish the agents, or a team")
        self.name = name or sample.name
        people(sample)  # those who could not be asked are refused first
        self._make = maker(obj)
        self._own_name = sample.name
        self._is_team = isinstance(sample, Team)
        agents = [part for part in parts_of(sample) if isinstance(part, ChatAgent)]
        self.description = description or _description(sample, agents)
        self._participants = frozenset(agent.name for agent in agents)
        self._names_speakers = len([agent for agent in agents if not isinstance(agent, UserProxyAgent)]) > 1
        self._models = dict(_models(sample))
        # Agents that say nothing about their state are told the history each time.
        self._keeps = isinstance(sample, Team) or type(sample).save_state is not BaseChatAgent.save_state
        self.traits = Traits(
            framework="autogen",
            skills=tuple(_skills(sample)),
            input_modes=("text/plain", "application/json", *IMAGES),
            keeps_context=self._keeps,
        )

    def __repr__(self) -> str:
        return f"AutoGenAgent({self.name!r})"

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """One run of the agent or team. Whatever AutoGen raises becomes an AdapterFailedError."""
        kept = await _recall(turn) if self._keeps else None
        if turn.answer and not (kept and kept.waits):
            yield _GONE
            return
        with framework_errors(f"the AutoGen agent {self.name!r}"):
            try:
                obj = self._make()
                if kept and not await _loaded(obj, kept):
                    kept = None
                    if turn.answer:
                        yield _GONE
                        return
                task = await self._task(turn, kept)
                async with aclosing(self._replies(turn, obj, task)) as replies:
                    async for reply in replies:
                        yield reply
            except UnreadableImageError as error:
                yield Refuse(str(error))

    async def _replies(
        self, turn: Turn, obj: Any, task: Sequence[BaseChatMessage]
    ) -> AsyncGenerator[Reply | str, None]:
        reading, human = Reading(self._models, names_speakers=self._names_speakers), ""
        async with aclosing(_events(obj, task)) as events:
            async for event in events:
                if isinstance(event, UserInputRequestedEvent):
                    human = event.source
                    break
                for reply in reading.take(event):
                    yield reply
            # Also while a human is waited for: nobody else is at work then.
            state = await obj.save_state() if self._keeps else None
        if human:
            _count_the_answer(state)
        handoff = None if human else self._handoff(reading)
        if self._keeps:
            by, to = (handoff.source, handoff.target) if handoff else ("", "")
            await turn.journal.append(Kept(state, human, by, to).to_bytes(), snapshot=True)
        if human:
            yield Ask(text=f"What does {human} say?")
        elif handoff:
            yield Ask(text=handoff.content)

    async def _task(self, turn: Turn, kept: Kept | None) -> list[BaseChatMessage]:
        """What the run is started with. A handoff to the caller is answered by whatever the caller says next."""
        if kept and kept.handed_by:
            said = words(turn.messages)
            return [HandoffMessage(source=kept.handed_to, target=kept.handed_by, content=said)]
        if kept and kept.human and turn.answer:
            return [TextMessage(source=kept.human, content=words(turn.messages))]
        past = () if kept else await turn.history()
        tell = as_task if self._is_team else to_autogen
        return [*tell(past, self._own_name), *tell(turn.messages, self._own_name)]

    def _handoff(self, reading: Reading) -> HandoffMessage | None:
        """The handoff to somebody who is not here, which the run has ended with: it goes to the caller."""
        last = reading.result.messages[-1] if reading.result and reading.result.messages else None
        return last if isinstance(last, HandoffMessage) and last.target not in self._participants else None


_GONE = Fail("The question that this answers is not open any more. Please start again.")


async def _recall(turn: Turn) -> Kept | None:
    records = await turn.journal.read()
    if not records:
        return None
    found = json.loads(records[-1][1])
    return Kept(found["state"], found["human"], found["by"], found["to"])


def _count_the_answer(state: Any) -> None:
    """A human's answer is a turn of the team, as in AutoGen; the run that is started with it counts others only."""
    for part in state["agent_states"].values():
        if "current_turn" in part:  # the one who leads the team
            part["current_turn"] += 1


async def _loaded(obj: Any, kept: Kept) -> bool:
    """Whether the object could take up its state; one that was changed since cannot, and starts with the history."""
    try:
        await obj.load_state(kept.state)
    except (ValueError, KeyError, TypeError) as error:
        _log.warning("%s cannot take up its state, and reads the history instead: %s", obj.name, error)
        return False
    return True


async def _events(obj: Any, task: Sequence[BaseChatMessage]) -> AsyncGenerator[Any, None]:
    """The run's events as they come; raises what the run raised."""
    token = CancellationToken()
    heard: asyncio.Queue[Any] = asyncio.Queue()

    async def read() -> None:
        stream = obj.run_stream(task=list(task), cancellation_token=token, output_task_messages=False)
        async with aclosing(stream) as events:
            async for event in events:
                heard.put_nowait(event)

    reading = asyncio.create_task(read())
    reading.add_done_callback(lambda _: heard.put_nowait(None))
    try:
        while (event := await heard.get()) is not None:
            yield event
        if reading.cancelled():
            raise RuntimeError("the run was cancelled from inside")
        reading.result()
    finally:
        token.cancel()
        if not reading.done():
            await asyncio.wait([reading])
        if not reading.cancelled():
            reading.exception()  # looked at: whoever stopped the run does not want to hear of it


def _description(obj: Any, agents: Sequence[Any]) -> str:
    told = str(obj.description or "")
    if isinstance(obj, Team) and told.rstrip(".") in ("", "A team of agents"):  # what AutoGen says of all of them
        return f"A team of {', '.join(agent.name for agent in agents)}."
    return told or f"An AutoGen agent called {obj.name}."


def _models(obj: Any) -> list[tuple[str, str]]:
    """The model of each agent, as far as its client tells it."""
    found = []
    for agent in (part for part in parts_of(obj) if isinstance(part, ChatAgent)):
        for client in (part for part in vars(agent).values() if isinstance(part, ChatCompletionClient)):
            try:
                model = client.dump_component().config.get("model")
            except (TypeError, ValueError, AttributeError, NotImplementedError):  # it cannot be written down
                continue
            if isinstance(model, str):
                found.append((agent.name, model))
    return found


def _skills(obj: Any) -> list[AgentSkill]:
    """The tools of all agents, for the card; handing over to each other is not one."""
    parts = list(parts_of(obj))
    handoffs = {part.name for part in parts if isinstance(part, Handoff)}
    tools = {part.name: part for part in parts if isinstance(part, BaseTool) and part.name not in handoffs}
    return [
        AgentSkill(id=name, name=name, description=tool.description, tags=("tool",)) for name, tool in tools.items()
    ]
