"""Nested chats: a reply that is found in conversations of the agent with others, one after another.

They run inside the turn of the agent that has them, as rooms of their own whose logs are kept in that turn's journal.
What somebody in them asks becomes the turn's own question; the answer finds its way back to who asked, after a restart
as well. What is said in them is shown as progress, never as words of the agent: its reply is the last summary.
"""

import inspect
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from a2a_bridge.agent import MAX_HOPS, Answer, Ask, Journal, Progress, ToolCall, ToolResult, Turn, Usage
from a2a_bridge.chat.classic import content_parts
from a2a_bridge.chat.entry import Entry
from a2a_bridge.chat.exchange import Exchange
from a2a_bridge.chat.initiate import pair_rules, room_rules, summed_up, with_carryover
from a2a_bridge.chat.ledger import Ledger
from a2a_bridge.chat.reply import triggered
from a2a_bridge.chat.result import ChatResult
from a2a_bridge.chat.room import Room
from a2a_bridge.chat.seat import uuid_of
from a2a_bridge.chat.sequence import chat_from
from a2a_bridge.chat.spoken import Spoken, StopChat
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import Message, Part, Role

_PREFIX = "nested:"
_SHOWN = 200
_FAILED = "a nested chat failed: "


class NestedReply:
    """The reply function that `register_nested_chats` puts into the chain. `number` tells several of an agent apart."""

    def __init__(self, queue: Sequence[Mapping[str, Any]], trigger: Any, number: int) -> None:
        self._queue = tuple(dict(each) for each in queue)
        self._trigger = trigger
        self._number = number
        for each in self._queue:
            chat_from({**each, "message": each.get("message") or "checked"})

    async def __call__(self, agent: Any, exchange: Exchange) -> AsyncGenerator[Spoken, None]:
        turn = exchange.turn
        place = turn.journal.child(f"nested-{self._number}")
        ledger = await Ledger(place).load()
        plan = ledger.plan if exchange.answers("nested") else None
        if plan is None:
            if turn.answer is not None or not triggered(self._trigger, await exchange.sender()):
                return
            plan = await self._plan(agent, exchange)
        run = _NestedRun(agent, exchange, place, plan)
        for at in range(plan["at"], len(self._queue)):
            plan["at"] = at
            text = plan["texts"][at]
            if not text:
                continue
            async with aclosing(run.play(self._queue[at], text)) as shown:
                async for piece in shown:
                    yield piece
            if run.asks:
                await ledger.pause(plan)
                for ask in run.asks:
                    yield ask
                return
            plan["carried"].append(run.summary)
        await ledger.close()
        if plan["carried"] and plan["carried"][-1]:
            yield str(plan["carried"][-1])
        elif plan["carried"]:
            yield StopChat("no_reply", f"{agent.name} has nothing to say: its nested chats came to nothing")

    async def _plan(self, agent: Any, exchange: Exchange) -> dict[str, Any]:
        turn = exchange.turn
        if turn.hops >= MAX_HOPS:
            raise ChatError(f"{agent.name} is asked from within {turn.hops} conversations: nested chats must end")
        return {"run": turn.id, "at": 0, "carried": [], "texts": await self._texts(agent, exchange)}

    async def _texts(self, agent: Any, exchange: Exchange) -> list[str]:
        """What opens each chat, as AutoGen has it: the first of them is given the last message if it says nothing."""
        messages = await exchange.dicts()
        found = []
        for at, chat in enumerate(self._queue):
            message = chat.get("message")
            if message is None and at == 0 and messages:
                message = messages[-1]["content"]
            if callable(message):
                message = message(agent, messages, await exchange.sender(), None)
                message = await message if inspect.isawaitable(message) else message
            parts = content_parts(message) if message else ()
            found.append("\n".join(part.text for part in parts if part.text is not None))
        return found


class _NestedRun:
    """The chats of one turn, played one by one."""

    def __init__(self, agent: Any, exchange: Exchange, place: Journal, plan: dict[str, Any]) -> None:
        self._agent = agent
        self._turn = exchange.turn
        self._answer = exchange.turn.answer if exchange.answers("nested") else None
        self._place = place
        self._plan = plan
        self.asks: list[Ask] = []
        self.summary = ""

    async def play(self, given: Mapping[str, Any], text: str) -> AsyncGenerator[Spoken, None]:
        """One chat, to its end or to a question; then `summary` or `asks` is set."""
        chat = replace(chat_from({**given, "message": text}), context={})
        sender = given.get("sender") or self._agent
        rules = room_rules(chat) or pair_rules(sender, chat)
        parts = with_carryover((Part(text=text),), (*chat.carryover, *self._plan["carried"]))

        async def summarise(run: Sequence[Entry]) -> tuple[str, Usage]:
            result = room.result()
            seen = replace(chat, recipient=_Seen(chat.recipient, result))
            return await summed_up(_Seen(sender, result), seen, rules, run)

        room = Room(rules, self._room_turn(parts), opener=sender.name, pauses=True, summarise=summarise)
        self._answer = None
        self.asks = []
        async with aclosing(room.play()) as shown:
            async for said in shown:
                if isinstance(said, Ask):
                    self.asks.append(replace(said, id=f"{_PREFIX}{said.id}"))
                elif isinstance(said, Usage | ToolCall | ToolResult):
                    yield said
                elif isinstance(said, Entry) and said.kind == "said" and said.speaker is not None:
                    yield Progress(f"{said.speaker.name}: {said.text[:_SHOWN]}")
        if room.stop is not None and room.stop.kind == "failed" and not room.summary:
            innermost = room.stop.detail.rpartition(_FAILED)[2]
            raise ChatError(f"{_FAILED}{innermost}")
        self.summary = room.summary

    def _room_turn(self, parts: tuple[Part, ...]) -> Turn:
        run, at = self._plan["run"], self._plan["at"]
        message = Message(message_id=uuid_of("nested", run, at), role=Role.USER, parts=parts)
        answer = _inner(self._answer) if self._answer is not None else None
        return Turn(
            id=uuid_of("nested", self._turn.id, at),
            messages=(answer.message,) if answer is not None else (message,),
            context_id=uuid_of("nested", self._turn.context_id, run, at),
            caller=self._turn.caller,
            journal=self._place.child(f"{run}-{at}"),
            answer=answer,
            hops=self._turn.hops,  # the room adds one
        )


def _inner(answer: Answer) -> Answer:
    """The answer to the inner questions, under their own ids."""
    parts = tuple(
        Part(data={key.removeprefix(_PREFIX): value for key, value in part.data.items()})
        if part.kind == "data" and isinstance(part.data, dict)
        else part
        for part in answer.message.parts
    )
    asks = tuple(replace(ask, id=ask.id.removeprefix(_PREFIX)) for ask in answer.asks)
    return Answer(asks, answer.message.model_copy(update={"parts": parts}))


class _Seen:
    """An agent as a summary function sees it after a nested chat: with the messages of that chat, which the agent
    itself never keeps."""

    def __init__(self, agent: Any, result: ChatResult) -> None:
        self._agent = agent
        self._result = result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)

    def last_message(self, agent: Any = None) -> dict[str, Any] | None:
        """The newest message of the chat."""
        history = self._result.chat_history
        return history[-1] if history else None

    @property
    def chat_messages(self) -> dict[Any, list[dict[str, Any]]]:
        """The messages of the chat, under the agent."""
        return {self._agent: self._result.chat_history}
