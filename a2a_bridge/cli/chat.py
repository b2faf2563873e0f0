"""`a2a-bridge chat`: talk with one agent, turn by turn, its words as they come.

Whoever types is asked for a line only when standard input is a terminal; otherwise each line of standard input is a
message, so a pipe works as well. When standard output is not a terminal the answers come as the text that `send
--stream` prints, ids and states only when they change. The context goes along from turn to turn, and so does the task
while it waits for an answer.

Concurrency: lines are read between turns, never while one runs, so nothing reads standard input in a thread. Ctrl-C
while the agent talks cancels that turn: its connection is closed here, and then its task is asked to end. Ctrl-C at
the prompt ends the chat, and so does the end of the input.
"""

import asyncio
import sys
from contextlib import aclosing
from typing import Annotated
from uuid import uuid4

import typer

from a2a_bridge.cli import fault
from a2a_bridge.cli.flow import Flow
from a2a_bridge.cli.options import AgentOptions, flat
from a2a_bridge.cli.output import emit, note, options_text, parts_text, safe
from a2a_bridge.cli.session import Session
from a2a_bridge.errors import BridgeError
from a2a_bridge.protocol.objects import (
    Artifact,
    Event,
    Message,
    Part,
    Role,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
)

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

_QUIT = ("/quit", "/exit")
_NEW = "/new"
_CANCEL_SECONDS = 5.0


@app.command("chat")
@flat
def chat(
    agent: AgentOptions,
    context_id: Annotated[
        str | None, typer.Option(envvar="A2ACLI_CONTEXT_ID", metavar="ID", help="Go on in this context.")
    ] = None,
) -> None:
    """Talk with one agent, turn by turn.

    /new starts over in a new context, /quit or the end of the input leaves. Ctrl-C cancels what the agent is doing.
    --timeout limits each turn. For programs there is: send -o json.
    """
    if agent.as_json:
        raise fault.usage("chat speaks text only", "a2a-bridge send -o json")
    with asyncio.Runner() as runner:
        _Talk(agent, runner, context_id).run()


class _Talk:
    """A conversation: the context, and the task that waits for an answer, if one does."""

    def __init__(self, agent: AgentOptions, runner: asyncio.Runner, context_id: str | None) -> None:
        self._agent = agent
        self._runner = runner
        self._client = Session(agent).client()
        self._context_id = context_id
        self._task_id: str | None = None
        self._asks = sys.stdin.isatty()
        self._flow = Flow(is_chat=True)
        self._live = _Live() if sys.stdout.isatty() else None

    def run(self) -> None:
        """Until the input ends."""
        session = Session(self._agent)
        try:
            card = self._runner.run(asyncio.wait_for(self._client.card(), self._agent.timeout))
        except (TimeoutError, BridgeError) as error:
            session.fail(error)
        note(f"{card.name}: {card.description}")
        while (line := self._next_line()) is not None:
            if line.strip() == _NEW:
                self._context_id = self._task_id = None
                note("New context.")
            elif line.strip():
                self._turn(line)

    def _next_line(self) -> str | None:
        if self._asks:
            sys.stderr.write("> ")
            sys.stderr.flush()
        line = sys.stdin.readline()
        if not line and self._asks:
            note("")
        said = line.rstrip("\r\n")
        return None if not line or said.strip() in _QUIT else said

    def _turn(self, line: str) -> None:
        session = Session(self._agent, stream=True, flow=self._flow)
        try:
            self._runner.run(self._answer(session, line))
        except KeyboardInterrupt:
            self._cancel(session)
        except (TimeoutError, BridgeError) as error:
            if not self._asks:
                session.fail(error)  # nobody is there to read and try again
            fault.say(session.fault_of(error), as_json=False)
        seen = session.seen
        self._context_id = seen.context_id or (seen.message.context_id if seen.message else None) or self._context_id
        self._task_id = seen.task_id if seen.state is not None and seen.state.is_interrupted else None

    async def _answer(self, session: Session, line: str) -> None:
        message = Message(
            message_id=str(uuid4()),
            role=Role.USER,
            parts=(Part(text=line),),
            context_id=self._context_id,
            task_id=self._task_id,
        )
        async with asyncio.timeout(self._agent.timeout):
            if self._live is None:
                await session.follow(self._client, self._client.stream(message))
                return
            async with aclosing(self._client.stream(message)) as events:
                async for event in events:
                    session.seen.take(event)
                    self._live.show(event)
            self._live.end()

    def _cancel(self, session: Session) -> None:
        task_id = session.seen.task_id
        if task_id is None:
            note("\nCanceled.")
            return
        try:
            task = self._runner.run(asyncio.wait_for(self._client.cancel(task_id), _CANCEL_SECONDS))
        except (TimeoutError, BridgeError) as error:
            note(f"\nThe task could not be canceled: {error}")
        else:
            session.seen.take(task)
            note("\nCanceled.")


class _Live:
    """The agent's words on a terminal: pieces of text run on, anything else stands on lines of its own.

    What was shown once is not shown again: a turn that goes on with a task begins with that task as it stands.
    """

    def __init__(self) -> None:
        self._artifact: str | None = None
        self._in_line = False
        self._shown: set[str] = set()

    def show(self, event: Event) -> None:
        """One event, as it comes."""
        if isinstance(event, Message):
            self._message(event)
        elif isinstance(event, TaskArtifactUpdateEvent):
            self._piece(event.task_id, event.artifact, event.append)
        elif isinstance(event, Task):
            for artifact in event.artifacts or ():
                if f"{event.id} {artifact.artifact_id}" not in self._shown:
                    self._piece(event.id, artifact, False)
            self._status(event.status)
        else:
            self._status(event.status)

    def end(self) -> None:
        """The turn is over."""
        self._break()
        self._artifact = None

    def _piece(self, task_id: str, artifact: Artifact, append: bool) -> None:
        self._shown.add(f"{task_id} {artifact.artifact_id}")
        if artifact.artifact_id != self._artifact or not append:
            self._break()
            self._artifact = artifact.artifact_id
            if artifact.name:
                self._write(f"{safe(artifact.name)}: ")
        for part in artifact.parts:
            if part.text is not None:
                self._write(safe(part.text))
            else:
                self._block(parts_text((part,)))

    def _message(self, message: Message) -> None:
        if message.message_id not in self._shown:
            self._shown.add(message.message_id)
            only_text = all(part.text is not None for part in message.parts)
            self._block(message.text if only_text else parts_text(message.parts))
            self._block(options_text(message))

    def _status(self, status: TaskStatus) -> None:
        if status.message is not None and status.state is TaskState.WORKING:
            self._break()
            note(f"({status.message.text})")
        elif status.message is not None:
            self._message(status.message)
        if status.state.is_terminal and status.state is not TaskState.COMPLETED:
            self._break()
            note(f"The task ended as {status.state.value}.")
        elif status.state is TaskState.AUTH_REQUIRED:
            self._break()
            note("The agent wants you to authenticate; answer here when that is done.")

    def _write(self, text: str) -> None:
        if text:
            emit(text)
            self._in_line = not text.endswith("\n")

    def _block(self, text: str) -> None:
        self._break()
        self._write(safe(text))
        self._break()

    def _break(self) -> None:
        if self._in_line:
            emit("\n")
            self._in_line = False
