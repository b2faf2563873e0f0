"""`initiate_chat`: one agent opens a conversation with another one, or with a room, and sees it through."""

import asyncio
import inspect
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from a2a_bridge.agent import Chunk, Turn, Usage
from a2a_bridge.chat.ask import TERMINAL, Human, put
from a2a_bridge.chat.cache import CHAT_CACHE, ResponseCache
from a2a_bridge.chat.classic import TerminationMessage, check_count, content_parts
from a2a_bridge.chat.entry import Entry, Speaker
from a2a_bridge.chat.interruption import is_interrupted
from a2a_bridge.chat.kept import RoomKeeper
from a2a_bridge.chat.model import Model
from a2a_bridge.chat.result import ChatResult
from a2a_bridge.chat.room import Room
from a2a_bridge.chat.rules import Host, Rules
from a2a_bridge.chat.seat import seated
from a2a_bridge.chat.show import Printer
from a2a_bridge.chat.speaker import Selector
from a2a_bridge.chat.summary import SummaryMethod, check_method, last_words, reflect
from a2a_bridge.chat.termination import Condition, MessageTermination
from a2a_bridge.chat.tools import as_text
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import Message, Part, Role
from a2a_bridge.store.journal import MemoryJournal, StreamJournal

Ended = Callable[[str], Awaitable[None]]


class Starter(Protocol):
    """Who opens a conversation."""

    name: str
    model: Model | None
    is_termination_msg: TerminationMessage | None

    def keep_result(self, peer: Any, result: ChatResult) -> None: ...
    def result_with(self, peer: Any) -> ChatResult | None: ...


@dataclass(frozen=True, slots=True)
class Chat:
    """What a call of `initiate_chat` asks for.

    `carryover`: what earlier chats came to; it follows the message, below the word "Context". `context`: words for a
    message that is a function.
    """

    recipient: Any
    message: Any = None
    clear_history: bool = True
    silent: bool = False
    max_turns: int | None = None
    summary_method: SummaryMethod = "last_msg"
    summary_args: Mapping[str, Any] = field(default_factory=dict)
    cache: ResponseCache | None = None
    carryover: tuple[str, ...] = ()
    context: Mapping[str, Any] = field(default_factory=dict)

    def with_words(self, words: Mapping[str, Any]) -> "Chat":
        """With what else was said to `initiate_chat`: the carryover, and words for the message's function."""
        if self.cache is not None and not (callable(getattr(self.cache, "get", None)) and hasattr(self.cache, "put")):
            raise TypeError(f"cache={self.cache!r}: use Cache.disk(...) or Cache.memory() of a2a_bridge.chat.cache")
        context = {word: value for word, value in words.items() if word != "carryover"}
        if context and not callable(self.message):
            raise TypeError(
                f"initiate_chat({next(iter(context))}=...): there is no such word; only a message that is a function of"
                " (sender, recipient, context) is told of words of your own"
            )
        return replace(self, carryover=carried(words.get("carryover")), context=context)


def carried(carryover: Any) -> tuple[str, ...]:
    """What is carried over, as texts: AutoGen takes one, or a list of anything."""
    if carryover is None:
        return ()
    if isinstance(carryover, str):
        return (carryover,)
    if not isinstance(carryover, list | tuple):
        raise TypeError(f"carryover={carryover!r}: a text, or a list")
    return tuple(as_text(each) for each in carryover)


async def initiate(sender: Starter, chat: Chat) -> ChatResult:
    """See one conversation through. The caller's task runs it; cancelling that cancels whoever speaks."""
    if chat.cache is None:
        return await _initiate(sender, chat)
    held = CHAT_CACHE.set(chat.cache)
    try:
        return await _initiate(sender, chat)
    finally:
        CHAT_CACHE.reset(held)


async def _initiate(sender: Starter, chat: Chat) -> ChatResult:
    check_method(chat.summary_method)
    recipient = chat.recipient
    rules = room_rules(chat) or pair_rules(sender, chat)
    human = _person(sender, recipient)
    parts = await _opening(sender, chat, human)
    before = None if chat.clear_history else sender.result_with(recipient)
    kept = before.kept if before is not None else None
    opened = Turn(
        id=str(uuid.uuid4()),
        messages=(Message(message_id=str(uuid.uuid4()), role=Role.USER, parts=parts),),
        context_id=kept.context_id if kept else str(uuid.uuid4()),
        journal=kept.journal if kept else MemoryJournal(),
    )
    async with _kept(recipient, opened) as (turn, ended):
        result = await _played(sender, chat, rules, turn, human, ended)
    _keep(sender, recipient, result)
    return result


@asynccontextmanager
async def _kept(recipient: Any, turn: Turn) -> AsyncGenerator[tuple[Turn, Ended], None]:
    """The turn with its journal where the recipient keeps its rooms, and how to say there why it ended."""
    if not isinstance(recipient, RoomKeeper) or recipient.room_store is None:

        async def nowhere(kind: str) -> None:
            return None

        yield turn, nowhere
        return
    rooms = recipient.room_store
    async with recipient.begun(turn) as (store, kept, journal):

        async def ended(kind: str) -> None:
            await rooms.ended(store, kept, kind)

        yield replace(turn, journal=journal), ended


async def _played(sender: Starter, chat: Chat, rules: Rules, turn: Turn, human: Human, ended: Ended) -> ChatResult:
    recipient = chat.recipient

    async def summarise(run: Sequence[Entry]) -> tuple[str, Usage]:
        _keep(sender, recipient, room.result())  # a summary function may want to look at the messages
        return await summed_up(sender, chat, rules, run)

    room = Room(rules, turn, human=human, opener=sender.name, summarise=summarise)
    printer = None if chat.silent else _printer(sender, recipient, rules)
    try:
        async with aclosing(room.play()) as shown:
            async for said in shown:
                if printer is not None and isinstance(said, Entry | Chunk):
                    printer.show(said)
    except asyncio.CancelledError:
        if is_interrupted():
            result = room.result()
            if printer is not None and room.log.entries:
                printer.show(_how_to_go_on(room.log.entries[-1], result))
            _keep(sender, recipient, result)
            await ended(result.stop.kind)
        raise
    result = room.result()
    await ended(result.stop.kind)
    return result


def _how_to_go_on(last: Entry, result: ChatResult) -> Entry:
    """The last entry, for the terminal: with the call that goes on with the room, where it is kept."""
    if last.stop is None or result.kept is None or not isinstance(result.kept.journal, StreamJournal):
        return last
    return replace(last, stop=replace(last.stop, detail=f"{last.stop.detail}: resume({result.room_id!r})"))


def _person(sender: Starter, recipient: Any) -> Human:
    """Who answers for a person: whom the room was given, else whom one of the agents in it was given."""
    seats = [seat.agent for seat in recipient.rules.seats] if isinstance(recipient, Host) else []
    for known in (recipient, sender, *seats):
        found: Human | None = getattr(known, "human", None)
        if found is not None:
            return found
    return TERMINAL


def room_rules(chat: Chat) -> Rules | None:
    if not isinstance(chat.recipient, Host):
        return None
    if chat.max_turns is not None:
        raise TypeError("max_turns counts the turns of two agents; for a room use GroupChat(max_round=...)")
    return chat.recipient.rules


def pair_rules(sender: Starter, chat: Chat) -> Rules:
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
        message = message(sender, chat.recipient, {**chat.context, "carryover": list(chat.carryover)})
        return content_parts(await message if inspect.isawaitable(message) else message)
    if message is None:
        message = await put(human, f"What does {sender.name} say to open the conversation?")
    return with_carryover(content_parts(message), chat.carryover)


def with_carryover(parts: tuple[Part, ...], carryover: Sequence[str]) -> tuple[Part, ...]:
    """The opening words, and below them what is carried over, as AutoGen writes it."""
    if not carryover:
        return parts
    text = "Context: \n" + "\n".join(carryover)
    if len(parts) == 1 and parts[0].is_plain_text:
        return (Part(text=f"{parts[0].text}\n{text}"),)
    return (*parts, Part(text=text))


async def summed_up(sender: Starter, chat: Chat, rules: Rules, run: Sequence[Entry]) -> tuple[str, Usage]:
    method = chat.summary_method
    if method is None:
        return "", Usage()
    if callable(method):
        summary = method(sender, chat.recipient, dict(chat.summary_args))
        if inspect.isawaitable(summary):
            summary = await summary
        return str(summary), Usage()
    if method == "last_msg":  # of a debate: what it came to, not the words of whoever spoke last
        return last_words(run) if rules.protocol is None else rules.protocol.measure(run).summary, Usage()
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
