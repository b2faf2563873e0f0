"""How an agent of ours replies: an ordered list of small functions, the first that says something wins.

Each is an async generator of (agent, exchange). One that yields nothing leaves the reply to the next. Streams stay
streams: what a model says is passed on word by word.
"""

import re
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Literal, Protocol

from a2a_bridge.agent import Ask, Turn, speaker_in, speaker_of
from a2a_bridge.chat.ask import Human, put
from a2a_bridge.chat.classic import TerminationMessage, content_parts, to_dict
from a2a_bridge.chat.entry import words_of
from a2a_bridge.chat.model import Model, ModelMessage
from a2a_bridge.chat.spoken import HumanWords, Pass, Spoken, StopChat
from a2a_bridge.chat.termination import is_closing_word
from a2a_bridge.protocol.objects import Message, Role

HumanInputMode = Literal["ALWAYS", "NEVER", "TERMINATE"]

MAX_REPLIES = 100
"""How many automatic replies in a row an agent gives when nothing else was agreed, as in AutoGen."""


class Replying(Protocol):
    """What the functions here need to know of an agent."""

    name: str
    system_message: str
    model: Model | None
    human: Human | None
    human_input_mode: HumanInputMode
    is_termination_msg: TerminationMessage | None
    max_consecutive_auto_reply: int | None
    default_auto_reply: str | dict[str, Any] | None


class Exchange:
    """One turn as the reply functions see it; the past is read when the first of them looks at it."""

    __slots__ = ("_agent", "_past", "turn")

    def __init__(self, agent: Replying, turn: Turn) -> None:
        self._agent = agent
        self._past: list[Message] | None = None
        self.turn = turn

    async def past(self) -> list[Message]:
        """What was said before the new messages."""
        if self._past is None:
            self._past = list(await self.turn.history())
        return self._past

    async def messages(self) -> list[Message]:
        """The conversation so far. The answer to a question is not part of it: it is for who asked."""
        past = await self.past()
        return past if self.turn.answer is not None else [*past, *self.turn.messages]

    async def last(self) -> Message | None:
        """The message that wants a reply."""
        if self.turn.answer is None:
            return self.turn.messages[-1] if self.turn.messages else None
        return next((said for said in reversed(await self.past()) if said.role is Role.USER), None)

    async def ends(self) -> bool:
        """The last message is a closing word. One from a remote agent is not: control words are not its to say."""
        last = await self.last()
        if last is None or speaker_in(last.metadata).get("kind") == "remote":
            return False
        check = self._agent.is_termination_msg
        return is_closing_word(last.text) if check is None else bool(check(to_dict(last)))

    async def is_worn_out(self) -> bool:
        """So many automatic replies have been given in a row, since a person spoke through this agent."""
        limit = self._agent.max_consecutive_auto_reply
        limit = MAX_REPLIES if limit is None else limit
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


ReplyFunction = Callable[[Any, Exchange], AsyncGenerator[Spoken, None]]


async def stop(agent: Replying, exchange: Exchange) -> AsyncGenerator[Spoken, None]:
    """End the conversation at a closing word, or when enough replies were given; only where no person is asked."""
    if agent.human_input_mode != "NEVER":
        return
    if await exchange.ends():
        yield StopChat("terminated", f"{await exchange.asked_by()} said the closing word")
    elif await exchange.is_worn_out():
        yield StopChat("max_replies", f"{agent.name} has given all its automatic replies")


async def human(agent: Replying, exchange: Exchange) -> AsyncGenerator[Spoken, None]:
    """Ask a person: always, or (TERMINATE) where the conversation would otherwise end."""
    if agent.human_input_mode == "NEVER":
        return
    ends = await exchange.ends()
    if exchange.turn.answer is not None:
        words = str(exchange.turn.answer.value()).strip()
    elif agent.human_input_mode == "ALWAYS" or ends or await exchange.is_worn_out():
        question = await _question(agent, exchange, ends)
        if agent.human is None:
            yield Ask(text=question)
            return
        words = (await put(agent.human, question)).strip()
    else:
        return
    if words == "exit":
        yield StopChat("human", f"ended through {agent.name}")
    elif words:
        yield HumanWords(words)
    elif ends:
        yield StopChat("terminated", f"{await exchange.asked_by()} said the closing word")
    elif agent.model is None and not agent.default_auto_reply:
        yield Pass("nothing to add")


async def _question(agent: Replying, exchange: Exchange, ends: bool) -> str:
    skipped = "ends the conversation" if ends else "gives the automatic reply" if agent.model else "says nothing"
    return f"Your reply to {await exchange.asked_by()}? Enter {skipped}, exit ends the conversation."


async def model(agent: Replying, exchange: Exchange) -> AsyncGenerator[Spoken, None]:
    """Let the model speak, word by word."""
    if agent.model is None:
        return
    messages: list[ModelMessage] = []
    if agent.system_message:
        messages.append({"role": "system", "content": agent.system_message})
    messages += [model_message(message, agent.name) for message in await exchange.messages()]
    async with aclosing(agent.model.stream(messages)) as pieces:
        async for piece in pieces:
            yield piece


async def default(agent: Replying, exchange: Exchange) -> AsyncGenerator[Spoken, None]:
    """The fixed reply of an agent that has no better one."""
    if agent.default_auto_reply:
        for part in content_parts(agent.default_auto_reply):
            if part.text:
                yield part.text


_NAME = re.compile(r"[^a-zA-Z0-9_-]+")


def model_message(message: Message, own_name: str) -> ModelMessage:
    """A message as a model takes it: own words as the assistant's, everybody else's under their name."""
    own = message.role is Role.AGENT
    name = speaker_of(message) or (own_name if own else None)
    found: dict[str, Any] = {"role": "assistant" if own else "user", "content": words_of(message.parts)}
    if name is not None:
        found["name"] = _NAME.sub("_", name)[:64]
    return found
