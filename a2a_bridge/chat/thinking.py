"""The model's part of a turn: it speaks, calls tools, reads what came of them, and speaks again until it is done.

Words are passed on as they come, unless somebody must see the whole answer first (a form, a hook). Only what is said
becomes part of the conversation: calls and results are shown to observers, and are gone with the turn. A turn that
pauses for a person keeps what the model was told so far in the agent's journal, and goes on from there.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from a2a_bridge.agent import Chunk, Say, ToolCall, Usage
from a2a_bridge.chat.cache import cached
from a2a_bridge.chat.calls import Calls, ledger_of, planned, planned_calls, unclear_note, verdicts
from a2a_bridge.chat.exchange import Exchange, Replying
from a2a_bridge.chat.handoff import Handoff, after_work, by_condition, for_model
from a2a_bridge.chat.ledger import Ledger
from a2a_bridge.chat.memory import recalled
from a2a_bridge.chat.model import ModelMessage, asked
from a2a_bridge.chat.spoken import Spoken
from a2a_bridge.chat.structured import ATTEMPTS, misfit
from a2a_bridge.chat.tools import Tool
from a2a_bridge.chat.turns import SeatTurn
from a2a_bridge.chat.wording import calling, calls_part, model_messages, result_message
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.objects import JSONValue, Part

MAX_ROUNDS = 25
"""How often in one turn a model may answer with calls: then something is going round in circles."""


def is_plain(agent: Replying) -> bool:
    """The model has nothing to do but to speak."""
    more = agent.handoffs or agent.memory or agent.form is not None or agent.hooks.held
    return not more and agent.toolbox.is_empty


async def plainly(agent: Replying, exchange: Exchange) -> AsyncGenerator[Spoken, None]:
    """What such a model says: as few steps for each word as can be."""
    assert agent.model is not None
    messages = model_messages(await exchange.messages(), agent.name)
    if agent.system_message:
        messages.insert(0, {"role": "system", "content": agent.system_message})
    async with aclosing(cached(agent.model).stream(messages, schema=_form(agent, exchange))) as pieces:
        async for piece in pieces:
            yield piece


def _form(agent: Replying, exchange: Exchange) -> JSONValue:
    """The JSON Schema of the answer: what the agent was made with, else what the room hopes for."""
    if agent.form is not None:
        return agent.form.schema
    turn = exchange.turn
    return turn.form if isinstance(turn, SeatTurn) else None


class Thinking:
    """One turn of an agent's model. Read `speak` once, to its end."""

    def __init__(self, agent: Replying, exchange: Exchange) -> None:
        self._agent = agent
        self._exchange = exchange
        self._messages: list[ModelMessage] = []
        self._offers: list[dict[str, Any]] = []
        self._runs: Mapping[str, Tool] = {}
        self._transfers: Mapping[str, Handoff] = for_model(agent.handoffs)
        self._ledger: Ledger | None = None
        self._said: list[str] = []
        self._words = ""
        self._calls: list[ToolCall] = []
        self._is_over = False
        self._misfits = 0

    async def speak(self) -> AsyncGenerator[Spoken, None]:
        """What the agent says."""
        at_once = by_condition(self._agent.handoffs, await self._exchange.variables())
        if at_once is not None:
            yield self._handing_over(self._seat_of(at_once))
            return
        await self._open()
        plan = planned(self._ledger, "model") if self._exchange.answers("tool") else None
        if plan is not None:
            self._messages, self._said = list(plan["messages"]), list(plan["said"])
            async with aclosing(self._go_on(planned_calls(plan))) as pieces:
                async for piece in pieces:
                    yield piece
        else:
            self._messages = await self._opening()
        for _ in range(MAX_ROUNDS):
            if self._is_over:
                return
            async with aclosing(self._round()) as pieces:
                async for piece in pieces:
                    yield piece
        if not self._is_over:
            raise ChatError(f"the model of {self._agent.name!r} has called tools {MAX_ROUNDS} times in one turn")

    async def _open(self) -> None:
        if not self._agent.toolbox.is_empty:
            offered, self._runs = await self._agent.toolbox.open()
            self._offers = [each.offer for each in offered.values()]
            self._ledger = await ledger_of(self._agent, self._exchange)
        self._offers += [each.offer for each in self._transfers.values()]

    async def _opening(self) -> list[ModelMessage]:
        agent, exchange = self._agent, self._exchange
        heard = await exchange.messages()
        system = agent.system_message if not agent.hooks.held else (await exchange.now()).system_message
        found: list[ModelMessage] = [{"role": "system", "content": system}] if system else []
        if agent.memory and (note := await recalled(agent.memory, exchange.turn, heard)):
            found.append({"role": "system", "content": note})
        return [*found, *model_messages(heard, agent.name)]

    # One answer of the model.

    async def _round(self) -> AsyncGenerator[Spoken, None]:
        hooks = self._agent.hooks
        holds = self._agent.form is not None or hooks.has("safeguard_llm_outputs")
        async with aclosing(self._ask(holds)) as pieces:
            async for piece in pieces:
                yield piece
        if holds and self._words and hooks.has("safeguard_llm_outputs"):
            self._words = str(await hooks.run("safeguard_llm_outputs", self._words))
        if not self._calls:
            for piece in await self._final(holds):
                yield piece
            return
        if holds and self._words and self._agent.form is None:
            yield self._words
        self._said += [self._words] if self._words else []
        async with aclosing(self._called()) as pieces:
            async for piece in pieces:
                yield piece

    async def _ask(self, holds: bool) -> AsyncGenerator[Spoken, None]:
        """Ask the model once: what it says is passed on unless it is held; words and calls are kept."""
        agent = self._agent
        assert agent.model is not None
        messages = self._messages
        if agent.hooks.has("safeguard_llm_inputs"):
            messages = list(await agent.hooks.run("safeguard_llm_inputs", [dict(each) for each in messages]))
        words: list[str] = []
        self._calls = []
        schema = _form(agent, self._exchange)
        async with aclosing(asked(cached(agent.model), messages, schema, self._offers)) as pieces:
            async for piece in pieces:
                if isinstance(piece, ToolCall):
                    self._calls.append(piece)
                elif isinstance(piece, Usage):
                    yield piece
                else:
                    if not words and self._said and not holds:
                        yield "\n\n"  # what it said before it called a tool stands by itself
                    words.append(piece)
                    if not holds:
                        yield piece
        self._words = "".join(words)

    async def _final(self, holds: bool) -> list[Spoken]:
        """The model is done: its answer in the form that was asked for, and what follows from it."""
        agent = self._agent
        said: list[Spoken] = []
        if agent.form is not None:
            try:
                value = agent.form.read(self._words)
            except ValueError as error:
                self._misfits += 1
                if self._misfits >= ATTEMPTS:
                    raise misfit(agent.name, str(error)) from None
                wrong = f"{error}. Answer again, with JSON of the form that was asked for and nothing else."
                self._messages += [
                    {"role": "assistant", "content": self._words}, {"role": "user", "content": wrong},
                ]  # fmt: skip
                return []
            said.append(Chunk(parts=(Part(data=value, media_type="application/json"),)))
        elif holds and self._words:
            said.append(self._words)
        self._is_over = True
        reply = "\n\n".join([*self._said, *([self._words] if self._words else [])])
        if reply and agent.memory:
            heard = await self._exchange.messages()
            for memory in agent.memory:
                await memory.remember(self._exchange.turn, heard, reply)
        follows = after_work(agent.handoffs)
        if follows is not None and reply:
            said.append(Say(next=self._seat_of(follows)))
        return said

    # What the model called.

    async def _called(self) -> AsyncGenerator[Spoken, None]:
        transfer = next((self._transfers[each.name] for each in self._calls if each.name in self._transfers), None)
        if transfer is not None:
            yield self._handing_over(self._seat_of(transfer))
            return
        known = {offer["function"]["name"] for offer in self._offers}
        others = [each for each in self._calls if each.name in known and each.name not in self._runs]
        own = [each for each in self._calls if each not in others]
        if own:
            self._messages.append(calling(self._words, own))
            async with aclosing(self._make(own, None)) as pieces:
                async for piece in pieces:
                    yield piece
        if others and not self._is_over:  # somebody else in the conversation runs them
            self._is_over = True
            yield Chunk(parts=(calls_part(others),))

    async def _go_on(self, calls: list[ToolCall]) -> AsyncGenerator[Spoken, None]:
        """A person has answered: make the calls, or ask again."""
        refused, again = verdicts(self._exchange, calls)
        if again:
            self._is_over = True
            yield unclear_note()
            for ask in again:
                yield ask
            return
        async with aclosing(self._make(calls, refused)) as pieces:
            async for piece in pieces:
                yield piece

    async def _make(self, calls: list[ToolCall], refused: set[str] | None) -> AsyncGenerator[Spoken, None]:
        making = Calls(self._agent, self._exchange, self._runs, self._ledger)
        plan = {"by": "model", "messages": self._messages, "said": self._said}
        async with aclosing(making.make(calls, plan, refused)) as pieces:
            async for piece in pieces:
                yield piece
        self._is_over = making.paused
        self._messages += [result_message(made.result) for made in making.made]
        target = next((made.target for made in making.made if made.target), None)
        if target is not None:
            words = [str(made.result.content) for made in making.made if made.target and made.result.content]
            if words:
                yield "\n".join(words)
            yield self._handing_over(target, said=bool(words))

    def _seat_of(self, handoff: Handoff) -> str:
        turn = self._exchange.turn
        return handoff.seat_among(turn.peers if isinstance(turn, SeatTurn) else {})

    def _handing_over(self, target: str, *, said: bool = False) -> Say:
        self._is_over = True
        return Say("" if said or self._said else f"(hands over to {target})", next=target)
