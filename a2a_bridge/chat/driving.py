"""Conversations that a program drives with an agent.

The sync spellings are edges: each runs its async twin in an event loop of its own.
"""

import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from a2a_bridge.agent import Fail, OutcomeFold, Refuse, Turn
from a2a_bridge.chat.cache import ResponseCache
from a2a_bridge.chat.classic import TerminationMessage, message_from, to_dict
from a2a_bridge.chat.initiate import Chat, initiate
from a2a_bridge.chat.model import Model
from a2a_bridge.chat.remembering import Remembering
from a2a_bridge.chat.result import ChatResult
from a2a_bridge.chat.sequence import as_they_can, in_order
from a2a_bridge.chat.spoken import Conversing, HumanWords, Pass, StopChat
from a2a_bridge.chat.summary import SummaryMethod
from a2a_bridge.chat.sync_edge import run_sync
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import Message
from a2a_bridge.store.journal import MemoryJournal


class _Told:
    """A past that the program tells."""

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages

    async def history(self, limit: int | None) -> Sequence[Message]:
        return self._messages if limit is None else self._messages[max(0, len(self._messages) - limit) :]

    async def interjections(self) -> AsyncIterator[Message]:
        return
        yield  # an async generator that is empty


class Driving(Remembering, Conversing):
    """The part of an agent that opens conversations."""

    model: Model | None
    is_termination_msg: TerminationMessage | None

    async def a_initiate_chat(
        self,
        recipient: Any,
        clear_history: bool = True,
        silent: bool = False,
        *,
        message: Any = None,
        max_turns: int | None = None,
        summary_method: SummaryMethod = "last_msg",
        summary_args: Mapping[str, Any] | None = None,
        cache: ResponseCache | None = None,
        **context: Any,
    ) -> ChatResult:
        """Open a conversation with `recipient`, a `GroupChatManager` or any agent, and see it through.

        `message`: a text, a dict with `content`, or a function of (sender, recipient, context), which is told of any
        words besides these; without one a person is asked for it. `carryover=`: a text or a list that follows the
        message. `clear_history=False` goes on where the last chat of these two ended. Unless `silent`, the
        conversation is printed while it goes on. `max_turns` is for chats of two: how often each of them speaks.
        `cache`: for the answers of all models in it (`chat.cache`). A manager with `store=` keeps the room there, as
        `GroupChatManager.chat` does: StoreError when it cannot be written.
        Does not raise when an agent fails: `ChatResult.stop` says so.
        """
        chat = Chat(recipient, message, clear_history, silent, max_turns, summary_method, summary_args or {}, cache)
        return await initiate(self, chat.with_words(context))

    def initiate_chat(
        self,
        recipient: Any,
        clear_history: bool = True,
        silent: bool = False,
        *,
        message: Any = None,
        max_turns: int | None = None,
        summary_method: SummaryMethod = "last_msg",
        summary_args: Mapping[str, Any] | None = None,
        cache: ResponseCache | None = None,
        **context: Any,
    ) -> ChatResult:
        """`a_initiate_chat` for programs without an event loop."""
        chat = Chat(recipient, message, clear_history, silent, max_turns, summary_method, summary_args or {}, cache)
        chat = chat.with_words(context)
        return run_sync(lambda: initiate(self, chat), f"await {self.name}.a_initiate_chat(...)")

    def initiate_chats(self, chat_queue: Sequence[Mapping[str, Any]]) -> list[ChatResult]:
        """Open these chats one after another, each with what the earlier ones came to; see `chat.sequence`."""
        return run_sync(lambda: in_order(chat_queue, self), f"await {self.name}.a_initiate_chats(...)")

    async def a_initiate_chats(self, chat_queue: Sequence[Mapping[str, Any]]) -> dict[Any, ChatResult]:
        """Open each of these chats as soon as its `prerequisites` are over; the results by `chat_id`."""
        return await as_they_can(chat_queue, self)

    async def a_send(
        self, message: Any, recipient: Any, request_reply: bool | None = None, silent: bool = False
    ) -> ChatResult:
        """Say something to `recipient` and go on from there: the last chat of these two continues."""
        if request_reply is False:
            raise TypeError("send(request_reply=False): say it together with the message that wants a reply")
        return await self.a_initiate_chat(recipient, clear_history=False, silent=silent, message=message)

    def send(self, message: Any, recipient: Any, request_reply: bool | None = None, silent: bool = False) -> ChatResult:
        """`a_send` for programs without an event loop."""
        return run_sync(
            lambda: self.a_send(message, recipient, request_reply, silent), f"await {self.name}.a_send(...)"
        )

    async def a_receive(
        self, message: Any, sender: "Driving", request_reply: bool | None = None, silent: bool = False
    ) -> ChatResult:
        """Be told something by `sender`: its `a_send`."""
        return await sender.a_send(message, self, request_reply, silent)

    def receive(
        self, message: Any, sender: "Driving", request_reply: bool | None = None, silent: bool = False
    ) -> ChatResult:
        """`a_receive` for programs without an event loop."""
        return sender.send(message, self, request_reply, silent)

    async def a_generate_reply(
        self, messages: Sequence[Mapping[str, Any]] | None = None, sender: Any = None
    ) -> str | dict[str, Any] | None:
        """One reply to these messages (classic dicts, the last is the new one), by default to the last chat with
        `sender`: a text, a dict if it is more than that, None if there is none. ChatError if the turn fails."""
        told = list(messages) if messages is not None else self._heard_from(sender)
        if not told:
            raise ValueError("generate_reply(messages=[...]): there is nothing to reply to")
        given = [message_from({**each, "name": each.get("name") or _name_of(each, sender)}) for each in told]
        turn = Turn(
            id=str(uuid.uuid4()),
            messages=(given[-1],),
            context_id=str(uuid.uuid4()),
            journal=MemoryJournal(),
            _source=_Told(given[:-1]),
        )
        return await self._one_reply(turn)

    def generate_reply(
        self, messages: Sequence[Mapping[str, Any]] | None = None, sender: Any = None
    ) -> str | dict[str, Any] | None:
        """`a_generate_reply` for programs without an event loop."""
        return run_sync(lambda: self.a_generate_reply(messages, sender), f"await {self.name}.a_generate_reply(...)")

    async def _one_reply(self, turn: Turn) -> str | dict[str, Any] | None:
        fold = OutcomeFold()
        async with aclosing(self.converse(turn)) as spoken:
            async for piece in spoken:
                if isinstance(piece, Fail | Refuse):
                    raise ChatError(f"{self.name} could not reply: {piece.reason}")
                if isinstance(piece, HumanWords):
                    fold.add(piece.text)
                elif not isinstance(piece, StopChat | Pass):
                    fold.add(piece)
        outcome = fold.outcome()
        if outcome.asks:
            raise ChatError(f"{self.name} asks somebody, and nobody is there: give it human=..., or open a chat")
        if outcome.is_empty:
            return None
        said = to_dict(turn.messages[0].model_copy(update={"parts": outcome.parts, "metadata": None}))
        content = said["content"]
        if isinstance(content, str) and not said.keys() & {"tool_calls", "tool_responses"}:
            return content
        return {**said, "role": said["role"] if said["role"] == "tool" else "assistant", "name": self.name}


def _name_of(said: Mapping[str, Any], sender: Any) -> str | None:
    """Whoever said it, if the message does not tell."""
    return None if said.get("role") == "assistant" else getattr(sender, "name", None)
