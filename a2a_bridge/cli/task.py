"""`a2a-bridge task`: look at tasks, end them, follow them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from a2a_bridge.cli.fault import usage
from a2a_bridge.cli.options import AgentOptions, Output, Stream, flat, seconds
from a2a_bridge.cli.output import emit, emit_json, field, note, task_text
from a2a_bridge.cli.session import Session
from a2a_bridge.client.client import Client
from a2a_bridge.protocol.objects import TaskState, dump
from a2a_bridge.store.contract import Store
from a2a_bridge.store.sqlite import SQLiteStore
from a2a_bridge.tasks.redelivery import Letter, dead_letters, redeliver

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True)

TaskId = Annotated[str, typer.Argument(metavar="TASK_ID", show_default=False)]


@app.callback()
def tasks() -> None:
    """Look at tasks, end them, follow them."""


@app.command("get")
@flat
def get(
    task_id: TaskId,
    agent: AgentOptions,
    history: Annotated[
        int | None, typer.Option(min=0, envvar="A2ACLI_HISTORY", metavar="N", help="Show the newest N messages.")
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", envvar="A2ACLI_WAIT", help="Wait until it has ended or asks.")
    ] = False,
    poll_interval: Annotated[
        float,
        typer.Option(
            parser=seconds,
            envvar="A2ACLI_POLL_INTERVAL",
            metavar="DURATION",
            show_default="2s",
            help="How often --wait looks.",
        ),
    ] = 2.0,
) -> None:
    """Show a task: its state, its artifacts, and its history if you ask for it."""
    session = Session(agent)
    # Text shows no history unless it is asked for, so it need not travel either.
    wanted = 0 if history is None and not agent.as_json else history

    async def work(client: Client) -> None:
        task = await client.get(task_id, history_length=wanted)
        while wait and not task.status.state.ends_turn:
            session.seen.take(task)
            await asyncio.sleep(poll_interval)
            task = await client.get(task_id, history_length=wanted)
        session.show_task(task, in_response=False)

    session.run(work)


@app.command("cancel")
@flat
def cancel(task_id: TaskId, agent: AgentOptions) -> None:
    """End a task that has not ended, and show it."""
    session = Session(agent)

    async def work(client: Client) -> None:
        session.show_task(await client.cancel(task_id), in_response=False)

    session.run(work)


@app.command("subscribe")
@flat
def subscribe(task_id: TaskId, agent: AgentOptions, stream: Stream = False) -> None:
    """Follow a task until it has ended or asks."""
    session = Session(agent, stream=stream)

    async def work(client: Client) -> None:
        await session.follow(client, client.subscribe(task_id))

    session.run(work)


@app.command("list")
@flat
def list_(
    agent: AgentOptions,
    context_id: Annotated[
        str | None, typer.Option(envvar="A2ACLI_CONTEXT_ID", metavar="ID", help="Only tasks of this context.")
    ] = None,
    status: Annotated[
        str | None, typer.Option(envvar="A2ACLI_STATUS", metavar="STATE", help="Only tasks in this state.")
    ] = None,
    page_size: Annotated[
        int | None, typer.Option(min=1, max=100, envvar="A2ACLI_PAGE_SIZE", metavar="N", help="At most this many.")
    ] = None,
    page_token: Annotated[
        str | None, typer.Option(metavar="TOKEN", help="Go on after the page that gave this token.")
    ] = None,
) -> None:
    """List your tasks with an agent, the newest first."""
    session = Session(agent)
    state = None if status is None else _state(status)

    async def work(client: Client) -> None:
        page = await client.list(
            context_id=context_id, status=state, page_size=page_size, page_token=page_token, history_length=0
        )
        if agent.as_json:
            emit_json(dump(page))
            return
        for task in page.tasks:
            emit(task_text(task) + "\n")
        emit(field("Total", str(page.total_size)))
        if page.next_page_token:
            emit(field("Next page token", page.next_page_token))

    session.run(work)


StoreFile = Annotated[Path, typer.Option(metavar="FILE", help="The store of the server; it may be running.")]
StoppedStore = Annotated[Path, typer.Option(metavar="FILE", help="The store of the server, which must not be running.")]
AsText = Annotated[Output, typer.Option("--output", "-o", envvar="A2ACLI_OUTPUT", help="Text, or JSON.")]


@app.command("undelivered")
def undelivered(store: StoreFile, output: AsText = Output.TEXT) -> None:
    """List what webhooks have not taken and will not be sent again, the newest first; `task redeliver` sends it."""

    async def read(opened: Store) -> list[Letter]:
        return [letter for _, letter in await dead_letters(opened)]

    found = asyncio.run(_with_store(SQLiteStore(store, readonly=True), read))
    if output is Output.JSON:
        emit_json({"undelivered": list[Any](found)})
    else:
        _show_letters(found)


@app.command("redeliver")
def redeliver_letters(
    store: StoppedStore,
    task_id: Annotated[str | None, typer.Argument(metavar="[TASK_ID]", show_default=False)] = None,
    webhook: Annotated[str | None, typer.Option(metavar="ID", help="Only this webhook of the task.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="What the webhooks of all tasks have not taken.")] = False,
    output: AsText = Output.TEXT,
) -> None:
    """Send webhooks what they have not taken once more, in order from the first event that was given up.

    It is sent by the server that is started next on the store, with as many tries as the first time. A server that is
    running holds its store: stop it, say this, and start it again.
    """
    if (task_id is None) == (not everything):
        raise usage("name a TASK_ID, or say --all", "a2a-bridge task undelivered --store FILE")
    if webhook is not None and task_id is None:
        raise usage("--webhook is one of a task: name its TASK_ID")
    if not store.is_file():
        raise usage(f"there is no store at {store}: check the path")

    def is_wanted(letter: Letter) -> bool:
        return task_id in (None, letter["task"]) and webhook in (None, letter["webhook"])

    found = asyncio.run(_with_store(SQLiteStore(store), lambda opened: redeliver(opened, is_wanted)))
    if output is Output.JSON:
        emit_json({"redelivered": list[Any](found.again), "gone": list[Any](found.gone)})
    else:
        _show_letters(found.again)
    for letter in found.gone:
        note(f"Warning: webhook {letter['webhook']} of task {letter['task']} is not there any more")
    if found.again:
        note("They are sent when a server is started on this store")


_LETTER = {
    "Task ID": "task", "Webhook": "webhook", "Host": "host", "Events given up": "count", "First": "first",
    "Last": "last", "Reason": "reason", "Time": "time",
}  # fmt: skip


def _show_letters(letters: Sequence[Letter]) -> None:
    for letter in letters:
        for label, name in _LETTER.items():
            emit(field(label, str(letter[name])))
        emit("\n")
    emit(field("Total", str(len(letters))))


T = TypeVar("T")


async def _with_store(store: Store, work: Callable[[Store], Awaitable[T]]) -> T:
    await store.open()
    try:
        return await work(store)
    finally:
        await store.close()


def _state(text: str) -> TaskState:
    """A state by its name, however it is written: completed, input-required, TASK_STATE_WORKING."""
    name = text.upper().replace("-", "_").removeprefix("TASK_STATE_")
    if name in TaskState.__members__:
        return TaskState[name]
    known = ", ".join(state.name.lower().replace("_", "-") for state in TaskState if state is not TaskState.UNSPECIFIED)
    raise usage(f"--status {text}: not a state of a task; known: {known}")
