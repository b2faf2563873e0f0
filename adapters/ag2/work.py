"""One run of an AG2 agent, which may outlive its turn: while it waits for a human it is a task that waits.

AG2 asks a human by awaiting a hook in the middle of a tool. So the run is a task of ours. It belongs to the turn that
started it, and while its questions are open to the agent's table of waiting runs; whoever takes it from there owns
it. `stop` cancels it and waits for it. AG2's model call ends with it.
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from typing import Any

from a2a_bridge.agent import Answer, Ask
from a2a_bridge.protocol.extensions import may_call
from ag2.events import (
    BaseEvent,
    HumanInputRequest,
    ModelMessage,
    ModelMessageChunk,
    ToolApprovalRequest,
    ToolCallsEvent,
    ToolResultEvent,
    ToolResultsEvent,
    UsageEvent,
)

_HEARD = (ModelMessageChunk, ModelMessage, ToolCallsEvent, ToolResultEvent, ToolResultsEvent, UsageEvent)

_KEYS = re.compile(r"\s*Y/N(/Always)?\?\s*$")

_NOT_TOLD = (HumanInputRequest, ToolResultEvent)  # a tuple: AG2 makes a condition of its own of `A | B`


class Work:
    """`start`, read `events` until they end; then there is a `result`, or there are `asks` to be answered."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._heard: asyncio.Queue[Any] = asyncio.Queue()
        self._waiting: dict[str, tuple[Ask, asyncio.Future[str]]] = {}
        self._calls: dict[str, Any] = {}  # calls of tools that are at work, by their ids
        self._running: asyncio.Task[Any] | None = None

        async def hear(event: BaseEvent) -> None:
            if isinstance(event, ToolCallsEvent):
                self._calls.update((call.id, call) for call in event.calls)
            elif isinstance(event, ToolResultEvent):
                self._calls.pop(event.parent_id, None)
            if isinstance(event, _HEARD):
                self._heard.put_nowait(event)

        stream.subscribe(hear)

    def start(self, run: Any) -> None:
        """`run` is the coroutine of the agent's whole run."""
        self._running = asyncio.create_task(run)
        self._running.add_done_callback(self._ended)

    def _ended(self, running: asyncio.Task[Any]) -> None:
        if not running.cancelled():
            running.exception()  # looked at: a run that waits in vain may end when no turn reads it
        self._heard.put_nowait(None)

    async def human(self, event: HumanInputRequest) -> str:
        """AG2's hook: the human's answer, which may take days."""
        answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[event.id] = (self._ask(event), answered)
        self._heard.put_nowait(event)
        try:
            return await answered
        finally:
            self._waiting.pop(event.id, None)

    async def events(self) -> AsyncGenerator[Any, None]:
        """What AG2 tells as it comes, until the run has ended or waits for a human; raises what the run raised."""
        while True:
            # Tools that run side by side ask together: the others are waited for.
            if self._waiting and len(self._waiting) >= len(self._calls) and self._heard.empty():
                return
            event = await self._heard.get()
            if event is None:
                break
            if not isinstance(event, _NOT_TOLD):
                yield event
        if self._running is not None and self._running.cancelled():
            raise RuntimeError("the run was cancelled from inside")

    def _ask(self, event: HumanInputRequest) -> Ask:
        if not isinstance(event, ToolApprovalRequest):
            return Ask(text=event.content, id=event.id)
        # AG2's own prompt ends with the keys that somebody at a terminal may press.
        text = _KEYS.sub("", event.content)
        call = self._calls.get(event.tool_call_id)
        if call is not None and call.arguments not in text:  # a prompt of the author's that does not tell them
            text = f"{text}\n{may_call(call.name, call.arguments)}"
        return Ask(text=text, options=("yes", "no"), id=event.id)

    @property
    def asks(self) -> list[Ask]:
        """The questions that are open."""
        return [ask for ask, _ in self._waiting.values()]

    @property
    def result(self) -> Any:
        """What the run gave; raises what it raised."""
        return self._running.result() if self._running is not None else None

    def answer(self, answer: Answer) -> bool:
        """Hand the answers on; False if one of them is unclear, and nothing has been answered."""
        answers: list[tuple[asyncio.Future[str], str]] = []
        given = Answer(tuple(self.asks), answer.message)
        for ask, waiting in self._waiting.values():
            value = given.option(ask.id) if ask.options else given.value(ask.id)
            if value is None:
                return False
            answers.append((waiting, str(value)))
        self._waiting.clear()
        for waiting, text in answers:
            if not waiting.done():
                waiting.set_result(text)
        return True

    async def stop(self) -> None:
        """End the run and wait for its end."""
        if self._running is None:
            return
        self._running.cancel()
        await asyncio.wait([self._running])
        if not self._running.cancelled():
            self._running.exception()  # looked at: whoever stopped the run does not want to hear of it
