"""One turn as the reply functions of an agent see it. What is read lazily is read once."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from a2a_bridge.agent import Turn, parts_of, speaker_in, speaker_of
from a2a_bridge.chat.approval import answers
from a2a_bridge.chat.ask import Human
from a2a_bridge.chat.classic import TerminationMessage, message_from, to_dict
from a2a_bridge.chat.handoff import Handoff
from a2a_bridge.chat.hooks import AgentNow, Hooks
from a2a_bridge.chat.memory import Memory
from a2a_bridge.chat.model import Model
from a2a_bridge.chat.structured import Form
from a2a_bridge.chat.termination import is_closing_word
from a2a_bridge.chat.toolbox import Toolbox
from a2a_bridge.chat.variables import ContextVariables, variables_of
from a2a_bridge.protocol.objects import JSONValue, Message, Role

if TYPE_CHECKING:
    from a2a_bridge.chat.execution.config import CodeExecution


class Replying(Protocol):
    """What the reply functions need to know of an agent."""

    name: str
    system_message: str
    model: Model | None
    human: Human | None
    human_input_mode: Any
    is_termination_msg: TerminationMessage | None
    max_replies: int
    default_auto_reply: str | dict[str, Any] | None
    toolbox: Toolbox
    execution: "CodeExecution | None"
    handoffs: tuple[Handoff, ...]
    memory: tuple[Memory, ...]
    hooks: Hooks
    form: Form | None
    context_variables: Mapping[str, JSONValue] | None


class Peer:
    """Somebody who takes part in the conversation and of whom only the name is known here."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Peer({self.name!r})"


class Exchange:
    """One turn as the reply functions see it; the past is read when the first of them looks at it."""

    __slots__ = ("_agent", "_heard", "_now", "_past", "_variables", "turn")

    def __init__(self, agent: Replying, turn: Turn) -> None:
        self._agent = agent
        self._past: list[Message] | None = None
        self._heard: list[Message] | None = None
        self._variables: ContextVariables | None = None
        self._now: AgentNow | None = None
        self.turn = turn

    async def past(self) -> list[Message]:
        """What was said before the new messages. After a question of this agent the question is not part of it."""
        if self._past is None:
            past = list(await self.turn.history())
            if self.turn.answer is not None:
                asked = {part.text for ask in self.turn.answer.asks for part in parts_of(ask)}
                while past and past[-1].role is Role.AGENT and {part.text for part in past[-1].parts} <= asked:
                    past.pop()
            self._past = past
        return self._past

    async def messages(self) -> list[Message]:
        """The conversation so far. The answer to a question is not part of it: it is for who asked."""
        if self._heard is None:
            past = await self.past()
            heard = past if self.turn.answer is not None else [*past, *self.turn.messages]
            self._heard = await self._hooked(heard) if self._agent.hooks.held else heard
        return self._heard

    async def _hooked(self, heard: list[Message]) -> list[Message]:
        hooks = self._agent.hooks
        if hooks.has("process_all_messages_before_reply"):
            dicts = [to_dict(each) for each in heard]
            told = await hooks.run("process_all_messages_before_reply", list(dicts))
            heard = [_as_heard(each, dicts, heard) for each in told]
        if heard and hooks.has("process_last_received_message"):
            last = to_dict(heard[-1])
            content = await hooks.run("process_last_received_message", last["content"])
            heard = [*heard[:-1], message_from({**last, "content": content}, like=heard[-1])]
        return heard

    async def last(self) -> Message | None:
        """The message that wants a reply."""
        messages = await self.messages()
        if self.turn.answer is None:
            return messages[-1] if self.turn.messages and messages else None
        return next((said for said in reversed(messages) if said.role is Role.USER), None)

    async def is_ours(self) -> bool:
        """The last message was said by an agent or a person of this program: its calls and its code may be run.

        What comes over the wire is data: from a remote seat, and from whoever calls a published agent.
        """
        last = await self.last()
        kind = speaker_in(last.metadata).get("kind") if last is not None else None
        return self.turn.task_id is None and kind != "remote"

    async def ends(self) -> bool:
        """The last message is a closing word. One from a remote agent is not: control words are not its to say."""
        last = await self.last()
        if last is None or speaker_in(last.metadata).get("kind") == "remote":
            return False
        check = self._agent.is_termination_msg
        return is_closing_word(last.text) if check is None else bool(check(to_dict(last)))

    async def is_worn_out(self) -> bool:
        """So many automatic replies have been given in a row, since a person spoke through this agent."""
        limit = self._agent.max_replies
        count = 0
        for message in reversed(await self.past() if limit else []):
            if message.role is Role.AGENT:
                if speaker_in(message.metadata).get("kind") == "human":
                    break
                count += 1
        return count >= limit

    async def asked_by(self) -> str:
        """The name of whoever said the last message."""
        last = await self.last()
        return (speaker_of(last) if last else None) or "the conversation"

    async def sender(self) -> Any:
        """Whoever said the last message: the agent itself where it sits in the same room, else a `Peer`; or None."""
        last = await self.last()
        name = speaker_of(last) if last is not None else None
        if name is None:
            return None
        peers: Mapping[str, Any] = getattr(self.turn, "peers", {})
        return peers.get(name) or Peer(name)

    async def variables(self) -> ContextVariables:
        """The context variables of this conversation."""
        if self._variables is None:
            beginning = self._agent.context_variables
            self._variables = ContextVariables() if beginning is None else await variables_of(self.turn, beginning)
        return self._variables

    async def keep_variables(self) -> None:
        """Write down what has been changed in them."""
        if self._variables is not None and self._agent.context_variables is not None:
            await self._variables.keep(self.turn)

    async def now(self) -> AgentNow:
        """The agent as its hooks see and change it for this turn."""
        if self._now is None:
            self._now = AgentNow(self._agent, await self.variables())
            if self._agent.hooks.has("update_agent_state"):
                dicts = [to_dict(each) for each in await self.messages()]
                await self._agent.hooks.tell("update_agent_state", self._now, dicts)
                await self.keep_variables()
        return self._now

    def answers(self, kind: str) -> bool:
        """This turn answers questions of that kind: "tool" or "code"; "" for what a person was asked to say."""
        if not kind:
            return self.turn.answer is not None and not any(
                answers(self.turn.answer, other) for other in ("tool", "code", "nested")
            )
        return answers(self.turn.answer, kind)

    async def dicts(self) -> list[dict[str, Any]]:
        """The conversation as classic user code knows it."""
        return [to_dict(each) for each in await self.messages()]


def _as_heard(told: dict[str, Any], dicts: list[dict[str, Any]], heard: list[Message]) -> Message:
    """The message that a hook has left as it was or has changed: who said it, and over which way, stays as it was."""
    for at, known in enumerate(dicts):
        if known is told or known == told:
            return heard[at]
    same = (at for at in reversed(range(len(dicts))) if dicts[at].get("name") == told.get("name"))
    at = next(same, -1)
    return message_from(told, like=heard[at]) if at >= 0 else message_from(told)
