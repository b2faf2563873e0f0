"""One run of a client command against one agent.

Concurrency: `run` owns the event loop and everything in it, for the length of one command. The work is one task with
one deadline around it; when `--timeout` is over, or on Ctrl-C, the work is cancelled, which closes its connection and
leaves the agent's task alone. What the user needs to find that task again is then told. When whoever reads our output
goes away, the command ends with the next line it writes.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import NoReturn

import typer

from a2a_bridge.cli import fault
from a2a_bridge.cli.credentials import credentials_of, headers_of, identifies, wanted_by
from a2a_bridge.cli.flow import Flow
from a2a_bridge.cli.options import AgentOptions, agent_url, local_card
from a2a_bridge.cli.output import emit, emit_json, event_json, field, ids_text, note, reply_text, task_text
from a2a_bridge.client.client import Client, Retries, Timeouts, Trust
from a2a_bridge.errors import BridgeError, RemoteTimeoutError
from a2a_bridge.protocol.objects import (
    Event,
    Message,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatusUpdateEvent,
)

_RETRIES = Retries(times=2)
_WAITING = Timeouts(first_byte=None)  # the agent may think as long as it likes; --timeout says how long we wait
_UNHAPPY = (TaskState.FAILED, TaskState.REJECTED, TaskState.CANCELED)


@dataclass(slots=True)
class Seen:
    """What the run knows about the task, so far."""

    task_id: str | None = None
    context_id: str | None = None
    state: TaskState | None = None
    message: Message | None = None

    def take(self, event: Event) -> None:
        """Note what an event says about the task."""
        if isinstance(event, Message):
            self.message = event
            return
        self.task_id = event.id if isinstance(event, Task) else event.task_id
        self.context_id = event.context_id or self.context_id
        if not isinstance(event, TaskArtifactUpdateEvent):
            self.state = event.status.state


class Session:
    """An agent, how to talk to it, and how to tell the user about it."""

    def __init__(self, options: AgentOptions, *, stream: bool = False, flow: Flow | None = None) -> None:
        self.options = options
        self._flow = flow or Flow()
        self.stream = stream
        self.seen = Seen()
        self._credentials = credentials_of(options)
        self._headers = headers_of(options)
        if options.extension:
            self._headers["a2a-extensions"] = ", ".join(options.extension)
        self._ids_are_last = False

    def run(self, work: Callable[[Client], Awaitable[None]]) -> None:
        """Do the work with a client, or end the command with the exit code of what went wrong."""
        try:
            asyncio.run(self._bounded(work))
        except (TimeoutError, BridgeError, fault.CommandError) as error:
            self.fail(error)
        except KeyboardInterrupt:
            if self.seen.task_id is not None:
                note(f"The task goes on: {self.follow_command()}")
            raise typer.Exit(fault.INTERRUPTED) from None

    def client(self) -> Client:
        """A client for the agent of this run; it fetches nothing yet."""
        options = self.options
        if (path := local_card(options.agent_card)) is not None:
            raise fault.usage(f"{path} is a file: only card get reads cards from files, so name the agent by its URL")
        return Client(
            agent_url(options.agent_card),
            auth=self._credentials,
            headers=self._headers,
            interface=wanted_by(options),
            timeouts=_WAITING,
            retries=_RETRIES,
            trust=Trust(allow_other_origin=options.allow_other_origin),
        )

    async def _bounded(self, work: Callable[[Client], Awaitable[None]]) -> None:
        async with self.client() as client, asyncio.timeout(self.options.timeout):
            await work(client)

    def fault_of(self, error: BaseException) -> fault.Fault:
        """What an error means in this run: the task, the agent and the credentials are known here."""
        options = self.options
        if isinstance(error, TimeoutError) or (isinstance(error, RemoteTimeoutError) and self.seen.task_id):
            return self._too_late()
        return fault.fault_of(error, agent=options.reference, authenticated=identifies(options))

    def fail(self, error: BaseException) -> NoReturn:
        """Tell about an error and end the command with its exit code."""
        found = self.fault_of(error)
        fault.say(found, as_json=self.options.as_json, one_line=self.stream)
        raise typer.Exit(found.exit_code)

    def _too_late(self) -> fault.Fault:
        limit = f"within {self.options.timeout:g} s" if self.options.timeout else "in time"
        if self.seen.task_id is None:
            return fault.Fault(fault.TIMEOUT, f"no answer {limit}", "wait longer with --timeout, or use --async")
        return fault.Fault(
            fault.TIMEOUT, f"task {self.seen.task_id} was not done {limit}; it goes on", self.follow_command()
        )

    # --- commands to paste

    def follow_command(self) -> str:
        """Waits for the task of this run."""
        return f"a2a-bridge task get {self.seen.task_id} --wait -a {self.options.reference}"

    def answer_command(self) -> str:
        """Answers the task of this run."""
        return f"a2a-bridge send -a {self.options.reference} --task-id {self.seen.task_id} --text 'YOUR ANSWER'"

    # --- telling

    async def follow(self, client: Client, events: AsyncGenerator[Event, None]) -> None:
        """Read a stream to its end and show it: event by event with --stream, else only what it came to."""
        try:
            async with aclosing(events) as reading:
                async for event in reading:
                    first = self.seen.task_id is None
                    self.seen.take(event)
                    if self.stream:
                        self._show_event(event)
                    elif first and self.seen.task_id is not None and not self.options.as_json:
                        emit(ids_text(self.seen.task_id, self.seen.context_id))
        finally:
            if rest := self._flow.end():
                emit(rest)
        if self.stream:
            self._close_stream()
        elif self.seen.task_id is not None:
            self.show_task(await client.get(self.seen.task_id), ids_shown=True)
        elif self.seen.message is not None:
            self.show_message(self.seen.message)

    def show_task(self, task: Task, *, ids_shown: bool = False, in_response: bool = True) -> None:
        """A task as the result of the command, and what can be done next; `in_response`: as SendMessageResponse."""
        self.seen.take(task)
        if self.options.as_json:
            emit_json(event_json(task) if in_response else event_json(task)["task"])
        else:
            text = task_text(task.model_copy(update={"history": None}) if in_response else task)
            emit(text.removeprefix(ids_text(task.id, task.context_id)) if ids_shown else text)
        self._show_next()

    def show_message(self, message: Message) -> None:
        """A message that came instead of a task."""
        if self.options.as_json:
            emit_json(event_json(message))
        else:
            emit(reply_text(message))

    def _show_event(self, event: Event) -> None:
        if self.options.as_json:
            emit_json(event_json(event), one_line=True)
        else:
            shown = event.model_copy(update={"history": None}) if isinstance(event, Task) else event
            emit(self._flow.text(shown))
            self._ids_are_last = isinstance(event, Task | TaskStatusUpdateEvent)

    def _close_stream(self) -> None:
        """The last words of a stream name the task, its context and its state."""
        seen = self.seen
        if seen.task_id is not None and not (self.options.as_json or self._ids_are_last or self._flow.is_chat):
            emit(ids_text(seen.task_id, seen.context_id, seen.state or TaskState.UNSPECIFIED))
        self._show_next()

    def _show_next(self) -> None:
        state = self.seen.state
        if state is None or self.seen.task_id is None:
            return
        if state in _UNHAPPY:
            note(f"Warning: the task ended as {state.value}")
        if state.is_terminal or self._flow.is_chat:
            return
        command = self.answer_command() if state.is_interrupted else self.follow_command()
        if self.options.as_json:
            note(f"Resume: {command}")
        else:
            emit(field("Resume", command))
