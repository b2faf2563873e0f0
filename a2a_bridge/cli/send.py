"""`a2a-bridge send`: one message, and what comes of it."""

from dataclasses import dataclass
from typing import Annotated
from uuid import uuid4

import typer

from a2a_bridge.cli.fault import usage
from a2a_bridge.cli.options import AgentOptions, Stream, flat
from a2a_bridge.cli.parts import OrderedParts, json_value, typed_parts
from a2a_bridge.cli.session import Session
from a2a_bridge.client.client import Client, SendOptions
from a2a_bridge.protocol.objects import JSONValue, Message, Role, Task

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@dataclass(frozen=True, slots=True)
class PartOptions:
    """The message; `parts.py` reads these options once more, in their order."""

    message: Annotated[str | None, typer.Argument(metavar="TEXT", help="The same as --text.", show_default=False)] = (
        None
    )
    text: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="A text part. Repeatable.")] = None
    file: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH|URL", help="A file part: a path is sent as bytes, a URL as it is. Repeatable."),
    ] = None
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH|-|JSON", help="A data part: a JSON file, - for standard input, or JSON. Repeatable."
        ),
    ] = None
    media_type: Annotated[
        list[str] | None, typer.Option(metavar="TYPE", help="The media type of the part before it.")
    ] = None


@dataclass(frozen=True, slots=True)
class SendingOptions:
    """Where the message belongs, and how to wait."""

    context_id: Annotated[
        str | None,
        typer.Option(envvar="A2ACLI_CONTEXT_ID", metavar="ID", help="Go on in this context, with a new task."),
    ] = None
    task_id: Annotated[
        str | None,
        typer.Option(envvar="A2ACLI_TASK_ID", metavar="ID", help="Go on with this task: answer what it asked."),
    ] = None
    stream: Stream = False
    return_immediately: Annotated[
        bool,
        typer.Option("--async/--wait", envvar="A2ACLI_ASYNC", help="Return the ids at once, or wait for the outcome."),
    ] = False
    metadata: Annotated[
        str | None,
        typer.Option(envvar="A2ACLI_METADATA", metavar="JSON", help="Metadata of the request, as an object."),
    ] = None
    message_id: Annotated[
        str | None,
        typer.Option(envvar="A2ACLI_MESSAGE_ID", metavar="ID", help="Id of the message, to send it again safely."),
    ] = None


@app.command("send", cls=OrderedParts)
@flat
def send(ctx: typer.Context, parts: PartOptions, sending: SendingOptions, agent: AgentOptions) -> None:
    """Send a message to an agent, and wait for what comes of it.

    The exit code says whether the message was sent and answered, not whether the task succeeded: that is its state.
    """
    if sending.stream and sending.return_immediately:
        raise usage("--stream and --async contradict each other")
    message = Message(
        message_id=sending.message_id or str(uuid4()),
        role=Role.USER,
        parts=typed_parts(ctx),
        context_id=sending.context_id,
        task_id=sending.task_id,
    )
    options = SendOptions(return_immediately=sending.return_immediately, metadata=_metadata(sending.metadata))
    session = Session(agent, stream=sending.stream)

    async def work(client: Client) -> None:
        if not sending.return_immediately:
            await session.follow(client, client.stream(message, options=options))
            return
        answer = await client.send(message, options=options)
        if isinstance(answer, Task):
            session.show_task(answer)
        else:
            session.show_message(answer)

    session.run(work)


def _metadata(text: str | None) -> dict[str, JSONValue] | None:
    if text is None:
        return None
    found = json_value(text, "--metadata")
    if not isinstance(found, dict):
        raise usage("--metadata must be a JSON object")
    return found
