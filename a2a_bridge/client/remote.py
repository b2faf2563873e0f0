"""`RemoteAgent`: somebody's A2A endpoint as an agent, for a seat in a room, for `adapt(url)`, or to be served again.

Ownership. `run` reads one stream and owns it; whoever runs it owns the generator. When the turn is cancelled, at an
`await` here or by closing the generator, the remote task is cancelled too: one task of our own does that, shielded
from the cancellation, however often it comes, and bounded by 4 s: more than a server of ours takes to answer, so that
a chain of them answers from its far end. A turn that fails for lack of a
connection leaves the remote task alone, so that the same turn, tried again, finds it. If the process is killed, the
journal names the remote task, and the same turn takes it up where it is. A turn that was cancelled and is taken again
all the same is a new task. If the journal cannot be written the turn
fails, as it must: an unrecorded task could neither be answered nor cancelled.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5

from a2a_bridge.agent import MAX_HOPS, Caller, Progress, Refuse, Reply, Traits, Turn
from a2a_bridge.cards.build import input_modes
from a2a_bridge.client.auth import Auth
from a2a_bridge.client.client import Client, SendOptions
from a2a_bridge.client.remote_message import compose
from a2a_bridge.client.remote_replies import Interpreter
from a2a_bridge.client.remote_state import RemoteState, load_state
from a2a_bridge.client.resolve import card_url
from a2a_bridge.client.retry import Retries
from a2a_bridge.errors import BridgeError, StreamBrokenError, TaskNotCancelableError, TaskNotFoundError
from a2a_bridge.net import Timeouts, Transport, shown
from a2a_bridge.protocol.card import WELL_KNOWN_PATH, AgentCard
from a2a_bridge.protocol.extensions import ROOM_EXTENSION, TURN_EXTENSION, hops_metadata
from a2a_bridge.protocol.objects import Event, JSONValue, Message, Struct, Task, TaskState

_EXTENSIONS = (TURN_EXTENSION, ROOM_EXTENSION)
CANCEL_WITHIN = 4.0
_ANEW = 10

_log = logging.getLogger(__name__)

CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""Whose turn is taken: for credentials that depend on it."""


class RemoteAgent:
    """An A2A agent at a URL. Nothing is fetched before the first turn, or before `describe()`.

    `name` and `description` are those of its card unless they are given; until the card has been read the name is
    made from the URL. The other options are those of `Client`; whoever needs more of them gives a `Client` in place of
    the URL, and then says them there.
    """

    def __init__(
        self,
        url: str | Client,
        *,
        name: str | None = None,
        description: str | None = None,
        auth: Auth | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts = Timeouts(),
        retries: Retries = Retries(),
        transport: Transport | None = None,
    ) -> None:
        if isinstance(url, Client):
            if auth or headers or transport or timeouts != Timeouts() or retries != Retries():
                raise ValueError("with a Client, options other than name and description belong to that client")
            self._client = url
        else:
            self._client = Client(
                url, auth=auth, headers=headers, timeouts=timeouts, retries=retries, transport=transport
            )
        self.url = self._client.url
        self._name = name
        self._description = description

    def __repr__(self) -> str:
        return f"RemoteAgent({shown(self.url)!r}, name={self.name!r})"

    @property
    def name(self) -> str:
        """Given, or the card's, or made from the URL."""
        card = self._client.known_card
        return self._name or (card.name if card else _provisional_name(self.url))

    @property
    def description(self) -> str:
        """Given, or the card's."""
        card = self._client.known_card
        if self._description is not None:
            return self._description
        return (card.description if card else "") or f"The A2A agent at {shown(self.url)}."

    @property
    def traits(self) -> Traits:
        """What the card says, once it has been read. Its turns survive a crash of ours: see the module's text."""
        card = self._client.known_card
        if card is None:
            return Traits(after_crash="resumable", keeps_context=True)
        told = _turn_params(card)
        framework = told.get("framework")
        return Traits(
            framework=framework if isinstance(framework, str) and framework else None,
            skills=card.skills,
            input_modes=input_modes(card),
            output_modes=card.default_output_modes,
            after_crash="resumable",
            stops_on_cancel=told.get("stopsOnCancel") is not False,
            keeps_context=True,
        )

    async def describe(self) -> AgentCard:
        """The agent's card, fetched unless a fresh one is at hand; from then on `name` and the rest come from it."""
        return await self._client.card()

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """Send what is new as one message and pass on what comes. Raises the A2AError that the remote answers with,
        and ClientErrors; a task that fails, refuses or is canceled is a `Fail` or `Refuse`."""
        CALLER.set(turn.caller)
        if turn.hops > MAX_HOPS:
            yield Refuse(f"this message has come through {turn.hops} rooms; rooms that seat each other must stop")
            return
        running = await self._prepared(turn)
        try:
            while True:
                async with aclosing(self._events(running)) as events:
                    async for event in events:
                        if running.is_spent(event):
                            break
                        for reply in await running.take(event):
                            yield reply
                        if running.reading.paused_by is not None:
                            return  # a stream may stay open while the task waits
                    else:
                        break
                running.begin_anew()
        except (asyncio.CancelledError, GeneratorExit):
            if not running.reading.is_over:
                await ended(asyncio.create_task(_within_bounds(self._end(running.state.task, running.message))))
            raise
        if not running.reading.is_over:
            raise StreamBrokenError("the remote agent ended its stream, but neither ended its task nor asked")

    async def _prepared(self, turn: Turn) -> "_RunningTurn":
        known = await load_state(turn.journal)
        state = known.at_turn(turn)
        card = await self._client.card()
        message = None
        if known.turn != turn.id or state.task is None:
            earlier = await turn.history() if state.forgot and turn.answer is None else ()
            message = compose(turn, state, earlier, own_name=self.name, modes=input_modes(card) or ("*/*",))
        reading = Interpreter(state, numbers_artifacts=_lists(card, TURN_EXTENSION))
        return _RunningTurn(turn, known, state, message, reading)

    def _events(self, running: "_RunningTurn") -> AsyncGenerator[Event, None]:
        turn, message = running.turn, running.message
        if message is None:
            return self._client.subscribe(running.state.task or "")
        options = SendOptions(
            accepted_output_modes=turn.accepted_output_modes,
            metadata=hops_metadata(turn.hops) if turn.hops else None,
            extensions=_EXTENSIONS,
        )
        return self._client.stream(message, options=options)

    async def abandon(self, turn: Turn) -> None:
        """Cancel the remote task of this context, if there is one that has not ended; within 4 s."""
        CALLER.set(turn.caller)
        state = await load_state(turn.journal)
        if state.task is not None:
            await _within_bounds(self._end(state.task, None))

    async def _end(self, task_id: str | None, message: Message | None) -> None:
        """Cancel the remote task. When its id is not known yet, the same message sent again finds it out, with
        agents that know the message by its id (ours do, and our extension on their card says so)."""
        card = self._client.known_card
        if task_id is None and message is not None and card is not None and _lists(card, TURN_EXTENSION):
            found = await self._client.send(message, options=SendOptions(return_immediately=True))
            task_id = found.id if isinstance(found, Task) else None
        if task_id is not None:
            with contextlib.suppress(TaskNotCancelableError, TaskNotFoundError):
                await self._client.cancel(task_id)


class _RunningTurn:
    """One turn while it is taken: what was known before, what is known now. `message` None: it was sent before."""

    def __init__(
        self, turn: Turn, known: RemoteState, state: RemoteState, message: Message | None, reading: Interpreter
    ) -> None:
        self.turn = turn
        self.state = state
        self.message = message
        self.reading = reading
        self._known = known
        self._is_named = message is None
        self._times = 0

    def is_spent(self, event: Event) -> bool:
        """Whether the message was sent before, and its task has been canceled since: whoever takes the turn again wants
        it done. A few times, for an agent that cancels whatever it is asked."""
        return (
            not self._is_named
            and isinstance(event, Task)
            and event.status.state is TaskState.CANCELED
            and self.message is not None
            and self.message.task_id is None
            and self._times < _ANEW
        )

    def begin_anew(self) -> None:
        """Say the same under another id, which is the same each time the turn is taken again."""
        assert self.message is not None
        self._times += 1
        again = str(uuid5(NAMESPACE_URL, f"urn:a2a-bridge:anew:{self.turn.id}:{self._times}"))
        self.message = self.message.model_copy(update={"message_id": again})

    async def take(self, event: Event) -> list[Reply]:
        """The replies that an event means, after what must not be lost has been written down."""
        found: list[Reply] = []
        if not self._is_named:
            self._is_named = True
            if await self._name(event):
                found.append(Progress("the remote agent has started a new context and may have forgotten the old one"))
        found += self.reading.replies(event)
        if self.reading.paused_by is not None:
            message = self.reading.paused_by.message
            self.state = replace(
                self.state,
                waits=True,
                asked=message.message_id if message is not None else None,
                seen=self.reading.seen.extents(),
                used=self.reading.used,
            )
            await self._write()
        return found

    async def _name(self, event: Event) -> bool:
        """Learn the remote's ids from its first event; True if it has left the context that it had."""
        before = self._known.context
        task, context = self.state.task, self.state.context
        if isinstance(event, Task | Message) and task is None:
            # Updates may carry a made-up context (T-19); a task or message that opens the stream is believed.
            context = event.context_id or context
        if not isinstance(event, Message):
            task = event.id if isinstance(event, Task) else event.task_id
        forgot = before is not None and context != before
        self.state = replace(self.state, task=task, context=context, forgot=forgot)
        if task is not None or context != before or self._known.forgot:
            await self._write()
        return forgot

    async def _write(self) -> None:
        await self.turn.journal.append(self.state.to_bytes(), snapshot=True)


async def _within_bounds(work: Coroutine[Any, Any, None]) -> None:
    try:
        async with asyncio.timeout(CANCEL_WITHIN):
            await work
    except (BridgeError, TimeoutError) as error:
        _log.warning("a remote task may go on running: %s", str(error) or "no answer in time")


async def ended(task: "asyncio.Task[None]") -> None:
    """Wait until it has ended, although we are being cancelled, however often: hosts cancel more than once (LangGraph
    its tasks and their tasks, AnyIO's scopes at every await). Who was cancelled meanwhile hears of it then."""
    again: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:  # for us: raised below
            again = error
    if not task.cancelled():
        task.exception()  # looked at: whoever has left does not want to hear of it
    if again is not None:
        raise again


def _lists(card: AgentCard, uri: str) -> bool:
    return any(extension.uri == uri for extension in card.capabilities.extensions or ())


def _turn_params(card: AgentCard) -> Struct:
    """What the card says about the agent's turns, under our extension; nothing if it is somebody else's."""
    found: dict[str, JSONValue] = {}
    for extension in reversed(card.capabilities.extensions or ()):
        if extension.uri in _EXTENSIONS:
            found.update(extension.params or {})
    return found


def _provisional_name(url: str) -> str:
    """The last segment of the path, or the host: something to call it until the card has been read."""
    parts = urlsplit(card_url(url))
    path = parts.path.removesuffix(WELL_KNOWN_PATH).removesuffix(".json").rstrip("/")
    return path.rpartition("/")[2] or parts.netloc.rpartition("@")[2] or url
