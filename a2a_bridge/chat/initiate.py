"""`initiate_chat`: one agent opens a conversation with another one, or with a room, and sees it through."""

import inspect
import uuid
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Protocol

from a2a_bridge.agent import Chunk, Turn, Usage
from a2a_bridge.chat.ask import TERMINAL, Human, put
from a2a_bridge.chat.classic import TerminationMessage, check_count, content_parts
from a2a_bridge.chat.entry import Entry, Speaker
from a2a_bridge.chat.model import Model
from a2a_bridge.chat.result import ChatResult
from a2a_bridge.chat.room import Room
from a2a_bridge.chat.rules import Host, Rules
from a2a_bridge.chat.seat import seated
from a2a_bridge.chat.show import Printer
from a2a_bridge.chat.speaker import Selector
from a2a_bridge.chat.summary import SummaryMethod, check_method, last_words, reflect
from a2a_bridge.chat.termination import Condition, MessageTermination
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import Message, Part, Role
from a2a_bridge.store.journal import MemoryJournal


class Starter(Protocol):
    """Who opens a conversation."""

    name: str
    model: Model | None
    is_termination_msg: TerminationMessage | None

    def keep_result(self, peer: Any, result: ChatResult) -> None: ...
    def result_with(self, peer: Any) -> ChatResult | None: ...


@dataclass(frozen=True, slots=True)
class Chat:
    """What a call of `initiate_chat` asks for."""

    recipient: Any
    message: Any
    clear_history: bool
    silent: bool
    max_turns: int | None
    summary_method: SummaryMethod
    summary_args: dict[str, Any]


async def initiate(sender: Starter, chat: Chat) -> ChatResult:
    """See one conversation through. The caller's task runs it; cancelling that cancels whoever speaks."""
    check_method(chat.summary_method)
    recipient = chat.recipient
    rules = _room_rules(chat) or _pair_rules(sender, chat)
    human: Human = (recipient.human if isinstance(recipient, Host) else None) or TERMINAL
    parts = await _opening(sender, chat, human)
    before = None if chat.clear_history else sender.result_with(recipient)
    kept = before.kept if before is not None else None
    turn = Turn(
        id=str(uuid.uuid4()),
        messages=(Message(message_id=str(uuid.uuid4()), role=Role.USER, parts=parts),),
        context_id=kept.context_id if kept else str(uuid.uuid4()),
        journal=kept.journal if kept else MemoryJournal(),
    )

    async def summarise(run: Sequence[Entry]) -> tuple[str, Usage]:
        _keep(sender, recipient, room.result())  # a summary function may want to look at the messages
        return await _summary(sender, chat, rules, run)

    room = Room(rules, turn, human=human, opener=sender.name, summarise=summarise)
    printer = None if chat.silent else _printer(sender, recipient, rules)
    async with aclosing(room.play()) as shown:
        async for said in shown:
            if printer is not None and isinstance(said, Entry | Chunk):
                printer.show(said)
    result = room.result()
    _keep(sender, recipient, result)
    return result


def _room_rules(chat: Chat) -> Rules | None:
    if not isinstance(chat.recipient, Host):
        return None
    if chat.max_turns is not None:
        raise TypeError("max_turns counts the turns of two agents; for a room use GroupChat(max_round=...)")
    return chat.recipient.rules


def _pair_rules(sender: Starter, chat: Chat) -> Rules:
    if chat.max_turns is not None:
        check_count("max_turns", chat.max_turns)
    first, second = seated(sender), seated(chat.recipient)
    return Rules(
        manager=Speaker(f"{first.key} and {second.key}", "manager"),
        seats=(first, second),
        selector=Selector("round_robin"),
        until=MessageTermination(sender.is_termination_msg) if second.may_terminate else Condition(),
        limit=None if chat.max_turns is None else 2 * chat.max_turns,
        limit_kind="max_turns",
        pair=True,
    )


async def _opening(sender: Starter, chat: Chat, human: Human) -> tuple[Part, ...]:
    message = chat.message
    if callable(message):
        message = message(sender, chat.recipient, {})
        if inspect.isawaitable(message):
            message = await message
    if message is None:
        message = await put(human, f"What does {sender.name} say to open the conversation?")
    return content_parts(message)


async def _summary(sender: Starter, chat: Chat, rules: Rules, run: Sequence[Entry]) -> tuple[str, Usage]:
    method = chat.summary_method
    if method is None:
        return "", Usage()
    if callable(method):
        summary = method(sender, chat.recipient, chat.summary_args)
        if inspect.isawaitable(summary):
            summary = await summary
        return str(summary), Usage()
    if method == "last_msg":
        return last_words(run), Usage()
    model = rules.model or getattr(chat.recipient, "model", None) or sender.model
    if model is None:
        raise ChatError("summary_method='reflection_with_llm' needs a model: give one of the two agents an llm_config")
    return await reflect(model, run, chat.summary_args)


def _printer(sender: Starter, recipient: Any, rules: Rules) -> Printer:
    if not rules.pair:
        return Printer(rules.manager.name)
    return Printer(rules.seats[1].key, sender.name)


def _keep(sender: Starter, recipient: Any, result: ChatResult) -> None:
    """Leave the result where classic programs look for it."""
    sender.keep_result(recipient, result)
    if isinstance(recipient, Host):
        recipient.keep_result(result)
    elif hasattr(type(recipient), "keep_result"):
        recipient.keep_result(sender, result)
