"""A CrewAI crew, or one of its agents, as an agent.

Each turn works on a fresh copy, because CrewAI writes to a crew while it runs. Crews take no conversation: their
placeholders are filled with what was said. `work.py` says who owns the thread of a run and what cancelling does.
"""

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, cast

from a2a_bridge.errors import AdapterError, needs_extra

with needs_extra("crewai"):
    from crewai import Agent, Crew
    from crewai.agents.agent_builder.base_agent import BaseAgent

from pydantic import BaseModel

from a2a_bridge.agent import Reply, Traits, Turn, speaker_of
from a2a_bridge.protocol.card import AgentSkill
from a2a_bridge.protocol.objects import JSONValue, Message, Part, Role, Struct
from adapters.crewai.copies import agent_copy, crew_copy
from adapters.crewai.files import PICTURES, TEXTS, can_be_shown, pictures, with_pictures
from adapters.crewai.messages import attributed, fills, transcript, words
from adapters.crewai.published import GONE, Published
from adapters.crewai.reading import Reading
from adapters.crewai.review import QUESTION, Reviewer, ReviewWanted, forget, recall, remember, with_feedback
from adapters.crewai.work import Work

TRANSCRIPT = "transcript"
"""The placeholder for the whole conversation so far; any other one gets the text of the new messages."""

MESSAGE = "message"
"""The input that is added to the first task of a crew without placeholders."""

_IN_BRACES = re.compile(r"\{[A-Za-z_][A-Za-z0-9_\-]*\}")
_PLACEHOLDER = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")


def is_crew_or_agent(obj: Any) -> bool:
    """What a `CrewAgent` takes."""
    return isinstance(obj, Crew | BaseAgent)


class CrewAgent(Published):
    """Takes turns with a `Crew`, or with a single CrewAI `Agent`, which is handed the conversation as messages.

    `response_format`: the pydantic model that a single agent answers with; a crew has it at its tasks.
    """

    def __init__(
        self,
        obj: Any,
        *,
        name: str | None = None,
        description: str | None = None,
        response_format: type[BaseModel] | None = None,
    ) -> None:
        self._obj = obj
        self._is_crew = isinstance(obj, Crew)
        self._response_format = response_format
        if self._is_crew and response_format is not None:
            raise AdapterError("the form of a crew's answer is its last task's: Task(output_pydantic=...)")
        self.name = name or str((obj.name or "crew") if self._is_crew else obj.role)
        self.description = description or _description(obj)
        reviewed = [bool(task.human_input) for task in obj.tasks] if self._is_crew else []
        if any(reviewed[:-1]):
            raise AdapterError(
                f"the crew {self.name!r} wants a human's review of a task that is not its last one. Set"
                " human_input=True on the last task only, or split the crew in two"
            )
        agents = _agents(obj)
        models = [*(one.llm for one in agents), *([obj.manager_llm] if self._is_crew else ())]
        self._shows = all(isinstance(agent, Agent) for agent in agents) and can_be_shown(models)
        self.traits = Traits(
            framework="crewai",
            skills=_skills(obj),
            input_modes=("text/plain", "application/json", *TEXTS, *(PICTURES if self._shows else ())),
            stops_on_cancel=False,
            keeps_context=any(reviewed),
        )

    async def replies(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """The replies of one kickoff."""
        reading = Reading()
        review = await recall(turn.journal) if turn.answer and self.traits.keeps_context else None
        if turn.answer and review is None:
            yield GONE
            return
        if turn.answer and review:
            if turn.answer.option() == "yes":
                await forget(turn.journal)
                yield review.draft
                return
            call = self._kickoff(await self._inputs(turn), reading, resumed=True)
            feedback = words(turn.answer.message, shows=self._shows)
            reviewer = Reviewer(with_feedback(review, feedback), self._pictures([turn.answer.message]))
        elif self._is_crew:
            call = self._kickoff(await self._inputs(turn), reading)
            reviewer = Reviewer(pictures=self._pictures(turn.messages))
        else:
            call = await self._ask(turn)
            reviewer = Reviewer(pictures=self._pictures(turn.messages[-1:]))
        try:
            work = Work(reviewer)
            async with aclosing(work.events(call)) as events:
                async for event in events:
                    for reply in reading.take(event):
                        yield reply
            for reply in reading.result(work.result):
                yield reply
            if review:
                await forget(turn.journal)
        except ReviewWanted as wanted:
            await remember(turn.journal, wanted)
            yield QUESTION

    def _kickoff(
        self, inputs: Mapping[str, JSONValue], reading: Reading, *, resumed: bool = False
    ) -> Callable[[], Any]:
        """The work of one turn of a crew, for a thread. `resumed`: only its last task is left."""

        def kickoff() -> Any:
            crew = crew_copy(self._obj)
            if MESSAGE in inputs and not _placeholders(crew):
                crew.tasks[0].description += "\n\n{" + MESSAGE + "}"
            if resumed:
                crew.tasks = crew.tasks[-1:]
            reading.answer_task = str(crew.tasks[-1].id)
            reading.tasks = len(crew.tasks)
            return crew.kickoff(inputs=dict(inputs))

        return kickoff

    async def _ask(self, turn: Turn) -> Callable[[], Any]:
        """The work of one turn of a single agent, for a thread."""
        said = [*await turn.history(), *turn.messages]

        def kickoff() -> Any:
            agent = agent_copy(self._obj)
            # Of the newest message CrewAI takes the words only: its pictures are shown by the Reviewer.
            told = [self._as_dict(message, agent.llm) for message in said[:-1]] + [self._as_dict(said[-1])]
            return agent.kickoff(told, response_format=self._response_format)

        return kickoff

    def _is_own(self, message: Message) -> bool:
        return message.role is Role.AGENT and speaker_of(message) in (None, self.name)

    def _as_dict(self, message: Message, shown_to: Any = None) -> dict[str, Any]:
        if self._is_own(message):
            return {"role": "assistant", "content": words(message)}
        shown = self._pictures([message]) if shown_to is not None else []
        said = attributed(message, shows=self._shows)
        return {"role": "user", "content": with_pictures(said, shown, shown_to)}

    def _pictures(self, messages: Iterable[Message]) -> list[Part]:
        return pictures(messages) if self._shows else []

    async def _inputs(self, turn: Turn) -> dict[str, JSONValue]:
        """What fills the crew's placeholders; a data part that is an object fills those it names."""
        names = _placeholders(self._obj)
        said = "\n\n".join(attributed(message, names, shows=self._shows) for message in turn.messages)
        inputs: dict[str, JSONValue] = dict.fromkeys(names or {MESSAGE}, said)
        if TRANSCRIPT in names:
            past, new = await turn.history(), transcript(turn.messages, self.name, shows=self._shows)
            inputs[TRANSCRIPT] = "\n".join(filter(None, (transcript(past, self.name), new)))
        for part in (part for message in turn.messages for part in message.parts if fills(part, names)):
            inputs.update({key: value for key, value in cast(Struct, part.data).items() if key in names})
        return inputs


def _placeholders(crew: Any) -> set[str]:
    """The names in braces that CrewAI fills, in tasks and agents; JSON examples are not among them."""
    return {name for name in crew.fetch_inputs() if _PLACEHOLDER.fullmatch(name)}


def _skills(obj: Any) -> tuple[AgentSkill, ...]:
    """The tools of the crew's agents and tasks, or of the agent, for the card."""
    owners = (*obj.agents, *obj.tasks) if isinstance(obj, Crew) else (obj,)
    tools = {str(tool.name): tool for owner in owners for tool in owner.tools or ()}
    return tuple(
        AgentSkill(id=name, name=name, description=str(tool.description), tags=("tool",))
        for name, tool in tools.items()
    )


def _agents(obj: Any) -> list[Any]:
    """Those whose models are spoken to."""
    if not isinstance(obj, Crew):
        return [obj]
    return [*obj.agents, *([obj.manager_agent] if obj.manager_agent else ())]


def _description(obj: Any) -> str:
    if not isinstance(obj, Crew):
        return _without_placeholders(obj.goal)
    roles = [_without_placeholders(agent.role) for agent in obj.agents]
    return f"A CrewAI crew of {len(roles)}: {', '.join(roles)}."


def _without_placeholders(text: Any) -> str:
    """What is left of a role or goal when it is said to everybody: what fills it is known in a turn only."""
    return " ".join(_IN_BRACES.sub(" ", str(text)).split())
