"""Making the calls that a model, ours or another agent's, has asked for.

Calls of one answer run at the same time; results come back in the order of the calls. Where a person may be asked
first, a ledger in the journal keeps any of them from being made twice: not when the question is answered twice, and
not when the process is killed in between (see `ledger.py`).
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from a2a_bridge.agent import Ask, Progress, ToolCall, ToolResult
from a2a_bridge.chat.approval import NO, YES, ask_about, decided, said_to
from a2a_bridge.chat.exchange import Exchange, Replying
from a2a_bridge.chat.failure import first_of
from a2a_bridge.chat.ledger import Ledger
from a2a_bridge.chat.tools import Context, ReplyResult, Tool, call, failed
from a2a_bridge.chat.variables import ContextVariables
from a2a_bridge.chat.wording import call_json, calls_in
from a2a_bridge.errors import ChatError
from a2a_bridge.observe import names
from a2a_bridge.observe.spans import span
from a2a_bridge.protocol.objects import Message, Part, Role

_INTERRUPTED = "it was interrupted; it may or may not have been done, and is not tried again"


@dataclass(frozen=True, slots=True)
class Made:
    """One call that was made, or refused, and what came of it."""

    call: ToolCall
    result: ToolResult
    target: str | None = None


class Calls:
    """The calls of one turn of one agent. `paused` is set once a person has been asked."""

    def __init__(self, agent: Replying, exchange: Exchange, runs: Mapping[str, Tool], ledger: Ledger | None) -> None:
        self._agent = agent
        self._exchange = exchange
        self._runs = runs
        self._ledger = ledger
        self._limit = asyncio.Semaphore(16)
        self.paused = False
        self.made: list[Made] = []

    async def make(
        self, calls: Sequence[ToolCall], plan: dict[str, Any], refused: Collection[str] | None = None
    ) -> AsyncGenerator[ToolCall | ToolResult | Ask, None]:
        """Make them, or ask a person first and set `paused`. `refused`: ids a person has said no to, once asked.

        `plan` is kept while the question is open. What came of them is in `made`.
        """
        asks = [] if refused is not None else [ask_about(each) for each in calls if self._needs_person(each)]
        if asks:
            await self._pause(plan, calls)
            for ask in asks:
                yield ask
            return
        denied = {each.id: "a person refused this call; do not try it again unless asked to"
                  for each in calls if each.id in (refused or ())}  # fmt: skip
        for each in calls:
            if each.id not in denied and not await self._is_approved(each):
                denied[each.id] = "this call was not approved"
        for each in calls:
            yield each
        self.made = await self._all(calls, denied)
        await self._exchange.keep_variables()
        for made in self.made:
            yield made.result

    async def _all(self, calls: Sequence[ToolCall], denied: Mapping[str, str]) -> list[Made]:
        variables = await self._exchange.variables()
        try:
            async with asyncio.TaskGroup() as group:  # cancelled with the turn: all of them are
                tasks = [group.create_task(self._one(each, variables, denied.get(each.id))) for each in calls]
        except BaseExceptionGroup as error:
            raise first_of(error) from None
        return [task.result() for task in tasks]

    async def _is_approved(self, asked: ToolCall) -> bool:
        """What its function says; without one it is. What the function raises fails the turn, before any call."""
        found = self._runs.get(asked.name)
        return found is None or not callable(found.approval) or await decided(found.approval, asked)

    def _needs_person(self, asked: ToolCall) -> bool:
        found = self._runs.get(asked.name)
        return found is not None and found.approval == "human" and not isinstance(asked.arguments, str)

    async def _pause(self, plan: dict[str, Any], calls: Sequence[ToolCall]) -> None:
        self.paused = True
        if self._ledger is None:  # cannot be: whoever has such a tool keeps a ledger
            raise ChatError(f"{self._agent.name} cannot ask a person here: there is no journal")
        await self._ledger.pause({**plan, "calls": [call_json(each) for each in calls]})

    async def _one(self, asked: ToolCall, variables: ContextVariables, denied: str | None) -> Made:
        found = self._runs.get(asked.name)
        if found is None:
            known = ", ".join(sorted(self._runs)) or "none"
            return Made(asked, failed(asked, f"there is no tool {asked.name!r}; there are: {known}"))
        if denied is not None:
            return Made(asked, failed(asked, denied))
        ledger = self._ledger
        if ledger is not None and ledger.plan is not None:
            standing = ledger.standing(asked.id)
            if standing == "done":
                kept: Any = ledger.result(asked.id)
                return Made(asked, ToolResult(asked.id, kept[0], kept[1]), kept[2])
            if standing == "begun":
                return Made(asked, failed(asked, _INTERRUPTED))
            await ledger.begin(asked.id)
        about = {names.OPERATION: names.EXECUTE_TOOL, names.TOOL: asked.name, names.TOOL_CALL_ID: asked.id}
        async with self._limit:
            with span(f"{names.EXECUTE_TOOL} {asked.name}", "internal", about) as executing:
                made = await self._call(found, asked, variables)
                if made.result.is_error:
                    executing.fail("failed")
        if ledger is not None and ledger.plan is not None:
            await ledger.finish(asked.id, [made.result.content, made.result.is_error, made.target])
        return made

    async def _call(self, found: Tool, asked: ToolCall, variables: ContextVariables) -> Made:
        hooks = self._agent.hooks
        if hooks.has("safeguard_tool_inputs"):
            told = await hooks.run("safeguard_tool_inputs", {"name": asked.name, "arguments": asked.arguments})
            if told is None:
                return Made(asked, failed(asked, "this call was not approved"))
            asked = ToolCall(asked.id, asked.name, told["arguments"])
        result, returned = await call(found, asked, Context(self._exchange.turn, variables, asked.id))
        if hooks.has("safeguard_tool_outputs"):
            told = await hooks.run("safeguard_tool_outputs", {"name": asked.name, "content": result.content})
            result = ToolResult(result.id, told["content"], result.is_error)
        if not isinstance(returned, ReplyResult):
            return Made(asked, result)
        if returned.context_variables and self._agent.context_variables is None:
            told = f"the tool sets context variables, which {self._agent.name} has not: give it context_variables={{}}"
            return Made(asked, failed(asked, told))
        variables.update(returned.context_variables)
        return Made(asked, result, returned.target)


async def ledger_of(agent: Replying, exchange: Exchange) -> Ledger | None:
    """The ledger of an agent that may ask a person. A new message, unlike an answer, ends what was pending."""
    if not agent.toolbox.asks_people:
        return None
    ledger = await Ledger(exchange.turn.journal.child("tools")).load()
    if ledger.plan is not None and not exchange.answers("tool"):
        await ledger.close()
    return ledger


def planned(ledger: Ledger | None, by: str) -> dict[str, Any] | None:
    """The plan that an answer goes on with, if it was made by that reply function: "model" or "executor"."""
    plan = ledger.plan if ledger is not None else None
    return plan if plan is not None and plan["by"] == by else None


def planned_calls(plan: dict[str, Any]) -> list[ToolCall]:
    """The calls of a plan."""
    part = Part(data={"tool_calls": plan["calls"]})
    return calls_in(Message(message_id="plan", role=Role.AGENT, parts=(part,)))


def verdicts(exchange: Exchange, calls: Sequence[ToolCall]) -> tuple[set[str], list[Ask]]:
    """What a person said: ids of refused calls, and the questions again whose answer is neither yes nor no."""
    answer = exchange.turn.answer
    refused: set[str] = set()
    unclear: list[Ask] = []
    for ask in answer.asks if answer is not None else ():
        said = said_to(answer, ask.id) if answer is not None else None
        if said == NO:
            refused.add(ask.id.removeprefix("tool:"))
        elif said != YES:
            unclear.append(ask)
    return refused, list(answer.asks) if unclear and answer is not None else []


def unclear_note() -> Progress:
    """Before the same questions are put again."""
    return Progress("The answer is neither yes nor no: asked again.")
