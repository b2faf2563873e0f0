"""A classic AutoGen agent, or a group chat behind its manager, as an agent.

Each turn works on copies (`copies.py`); `work.py` says who owns the thread of a run and what cancelling does. A single
agent is handed the conversation each time. A group chat's messages are kept in the turn's journal. Where a human
would be asked at the terminal, the run ends: what was said so far is a record of the journal, and the answer, also in
another process, is what that human says next.
"""

import json
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

from a2a_bridge.errors import AdapterError, framework_errors, needs_extra

with needs_extra("ag2-classic"):
    from autogen import ConversableAgent, GroupChat, UserProxyAgent

from pydantic_core import to_json

from a2a_bridge.agent import Ask, Fail, Reply, Say, Traits, Turn
from a2a_bridge.protocol.card import AgentSkill
from adapters.ag2_classic.copies import check_replies, maker, members
from adapters.ag2_classic.messages import Line, to_classic, words
from adapters.ag2_classic.reading import Reading, usage_of
from adapters.ag2_classic.work import HumanWanted, Work

MAX_ROUNDS = 100
"""Model calls and tool runs of one turn of a single agent."""

_GONE = Fail("The question that this answers is not open any more. Please start again.")


class Kept(NamedTuple):
    """What the journal keeps: the messages so far, and the human who is to speak, if one is."""

    messages: list[Line]
    human: str = ""

    def to_bytes(self) -> bytes:
        """As a record of the journal."""
        return to_json({"messages": self.messages, "human": self.human}, fallback=str)


class TooManyRoundsError(AdapterError):
    """The agent was stopped: it went on calling its tools without coming to an end."""


class ClassicAgent:
    """Takes turns with a ConversableAgent or a GroupChatManager, or with what a function makes for each turn."""

    def __init__(self, obj: Any, *, name: str | None = None, description: str | None = None) -> None:
        self._make = maker(obj)
        sample = obj if isinstance(obj, ConversableAgent) else obj()
        if not isinstance(sample, ConversableAgent):
            raise AdapterError(f"the function made a {type(sample).__name__}: make an agent, or a group chat's manager")
        check_replies(sample)
        self.name = name or sample.name
        self._own_name = sample.name
        self._is_chat = isinstance(getattr(sample, "groupchat", None), GroupChat)
        agents = members(sample)
        self.description = description or _description(sample, self._is_chat)
        self._forms = frozenset(agent.name for agent in agents if _has_form(agent))
        speaking = [agent for agent in agents[: len(agents) - self._is_chat] if not isinstance(agent, UserProxyAgent)]
        self._names_speakers = len(speaking) > 1
        self._keeps = self._is_chat or sample.human_input_mode != "NEVER"
        self.traits = Traits(
            framework="ag2_classic",
            skills=tuple(_skills(agents)),
            input_modes=("text/plain", "application/json", "image/png", "image/jpeg", "image/gif", "image/webp"),
            stops_on_cancel=False,
            keeps_context=self._keeps,
        )

    def __repr__(self) -> str:
        return f"ClassicAgent({self.name!r})"

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """One run. Whatever AutoGen raises becomes an AdapterFailedError."""
        kept = await _recall(turn) if self._keeps else None
        if turn.answer and not (kept and kept.human):
            yield _GONE
            return
        if turn.answer and words(turn.messages).strip().casefold() == "exit":  # AutoGen's word for it
            await turn.journal.append(Kept(kept.messages if kept else []).to_bytes(), snapshot=True)
            yield Say("Stopped.")
            return
        with framework_errors(f"the AutoGen agent {self.name!r}"):
            try:
                async with aclosing(self._replies(turn, kept)) as replies:
                    async for reply in replies:
                        yield reply
            except TooManyRoundsError as error:
                yield Fail(str(error))

    async def _replies(self, turn: Turn, kept: Kept | None) -> AsyncGenerator[Reply | str, None]:
        obj, work = self._make(), Work()
        agents = members(obj)
        for agent in agents:
            work.listen_to(agent)
        lines: list[Line]
        if self._is_chat:
            lines = obj.groupchat.messages
            call = await self._chat(obj, turn, kept)
        else:
            lines = await self._lines(turn, kept)
            call = _conversation(obj, lines, words(turn.messages) if turn.answer else None)
        reading = Reading(self._forms, names_speakers=self._names_speakers)
        wanted: HumanWanted | None = None
        try:
            async with aclosing(work.events(call)) as events:
                async for event in events:
                    for reply in reading.take(event):
                        yield reply
        except HumanWanted as raised:
            wanted = raised
        if self._keeps:
            asked = wanted.name if wanted else ""
            await turn.journal.append(Kept(lines, asked).to_bytes(), snapshot=True)
        for agent in agents:
            for usage in usage_of(agent):
                yield usage
        if wanted:
            yield Ask(text=wanted.prompt.strip() or f"What does {wanted.name} say?")

    async def _lines(self, turn: Turn, kept: Kept | None) -> list[Line]:
        """The conversation of a single agent: taken up where it stopped, or as it is now."""
        if turn.answer and kept:
            return kept.messages
        return to_classic([*await turn.history(), *turn.messages], self._own_name)

    async def _chat(self, manager: Any, turn: Turn, kept: Kept | None) -> Callable[[], Any]:
        """The work of one turn of a group chat, for a thread."""
        past: Sequence[Any] = () if kept else await turn.history()
        new = to_classic([*past, *turn.messages], self._own_name)
        if turn.answer and kept:
            new = [{"role": "user", "name": kept.human, "content": words(turn.messages)}]

        def chat() -> Any:
            for line in [*(kept.messages if kept else ()), *new[:-1]]:
                _hear(manager, line)
            speaker = _speaker(manager, new[-1])
            return manager.run_chat(messages=[dict(new[-1])], sender=speaker, config=manager.groupchat)

        return chat


def _conversation(agent: Any, lines: list[Line], answer: str | None) -> Callable[[], Any]:
    """The work of one turn of a single agent, for a thread; `answer`: what the human says who is asked first."""

    def converse() -> None:
        if answer is not None:
            ask = agent.get_human_input

            def answered(prompt: str, *, iostream: Any = None) -> str:
                agent.get_human_input = ask
                return answer

            agent.get_human_input = answered
        for _ in range(MAX_ROUNDS):
            reply = agent.generate_reply(messages=lines)
            if not reply:
                return
            line = dict(reply) if isinstance(reply, dict) else {"content": reply}
            lines.append({"role": "assistant", **line})
            if not (line.get("tool_calls") or line.get("function_call") or line.get("role") in ("tool", "function")):
                return
        raise TooManyRoundsError

    return converse


def _hear(manager: Any, line: Line) -> None:
    """Everybody in a chat knows what was said before, as AutoGen's own `resume` makes it."""
    speaker = _speaker(manager, line)
    manager.groupchat.append(dict(line), speaker)
    for agent in manager.groupchat.agents:
        if agent is speaker:
            agent.send(dict(line), manager, request_reply=False, silent=True)
        else:
            manager.send(dict(line), agent, request_reply=False, silent=True)


def _speaker(manager: Any, line: Line) -> Any:
    """Who says a line: a member of that name; for the caller, who has none, the chat's human; else a stand-in."""
    agents = manager.groupchat.agents
    name = line.get("name") or (manager.name if line["role"] == "assistant" else "")
    for agent in agents:
        if agent.name == name or (not name and isinstance(agent, UserProxyAgent)):
            return agent
    return ConversableAgent(name or "user", llm_config=False, human_input_mode="NEVER", code_execution_config=False)


async def _recall(turn: Turn) -> Kept | None:
    records = await turn.journal.read()
    found = json.loads(records[-1][1]) if records else None
    return Kept(found["messages"], found["human"]) if found else None


def _description(obj: Any, is_chat: bool) -> str:
    if is_chat and obj.description in ("", "Group chat manager."):
        return f"A group chat of {', '.join(agent.name for agent in obj.groupchat.agents)}."
    # AutoGen takes the system message for a description where none is given: not for everybody who reads the card.
    told = "" if obj.description == obj.system_message else str(obj.description or "")
    return told or f"An AutoGen agent called {obj.name}."


def _config(agent: Any) -> dict[str, Any]:
    config = agent.llm_config
    return config if isinstance(config, dict) else config.model_dump() if hasattr(config, "model_dump") else {}


def _has_form(agent: Any) -> bool:
    config = _config(agent)
    return bool(
        config.get("response_format") or any(one.get("response_format") for one in config.get("config_list", ()))
    )


def _skills(agents: Sequence[Any]) -> Iterator[AgentSkill]:
    """The tools that the models may call, for the card."""
    seen = set()
    for agent in agents:
        for tool in _config(agent).get("tools") or ():
            function = tool["function"]
            if function["name"] not in seen:
                seen.add(function["name"])
                yield AgentSkill(
                    id=function["name"],
                    name=function["name"],
                    description=function.get("description") or "",
                    tags=("tool",),
                )
