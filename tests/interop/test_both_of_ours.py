"""Our client and our server, in every binding and version: the same words come out, whatever the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from sdk_peer import WAYS, Way, webhook

from a2a_bridge.agent import Ask, Chunk, Reply, Traits, Turn
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.client.client import Client, SendOptions, Wanted
from a2a_bridge.errors import TaskNotCancelableError, TaskNotFoundError, UnsupportedOperationError
from a2a_bridge.guard import Guard
from a2a_bridge.protocol.objects import Message, Part, Role, Task, TaskArtifactUpdateEvent, TaskState
from a2a_bridge.protocol.requests import TaskPushNotificationConfig
from a2a_bridge.tasks.push import Push
from a2a_bridge.testing.server import running

PARTS = (Part(text="hi"), Part(raw=b"\x00\xff", filename="a.bin", media_type="application/x"), Part(data={"n": [1]}))


class Mirror:
    """Says again what it was sent; asks once when it is told to."""

    name = "mirror"
    description = "Says it again."
    traits = Traits(input_modes=("*/*",))

    async def run(self, turn: Turn) -> AsyncIterator[Reply | str]:
        said = turn.messages[-1].text if turn.messages else ""
        if turn.answer is None and said == "ask":
            yield Ask("Which colour?")
            return
        if said == "wait":
            yield "before "
            await asyncio.Event().wait()
        if turn.answer is not None:
            yield f"painted {turn.answer.message.text}"
            return
        for part in turn.messages[-1].parts:
            yield Chunk(part.text) if part.text is not None else Chunk(parts=(part,))


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    found: Way = request.param
    return found


@pytest.fixture
async def client(way: Way) -> AsyncIterator[Client]:
    options = Options(push=Push(Guard(loopback=True)))
    async with running(lambda url: Bridge(Mirror(), public_url=url, options=options)) as url:
        yield Client(url, interface=Wanted(way.binding, way.version))


async def test_every_part_comes_back_as_it_was_sent(client: Client) -> None:
    """R-BIND-01, R-DM-06, R-COMPAT-02: text, bytes and data, in a send and in a stream."""
    message = Message(message_id="m1", role=Role.USER, parts=PARTS)
    task = await client.send(message)
    assert isinstance(task, Task)
    assert task.status.state is TaskState.COMPLETED
    found = [part.model_copy(update={"metadata": None}) for part in (task.artifacts or ())[0].parts]
    assert found == list(PARTS)
    async with asyncio.timeout(5), aclosing(client.stream("one two")) as events:
        chunks = [event async for event in events if isinstance(event, TaskArtifactUpdateEvent)]
    assert "".join(chunk.artifact.text for chunk in chunks) == "one two"


async def test_a_question_a_webhook_and_an_end(client: Client) -> None:
    """R-CTX-09, R-PUSH-01, R-PUSH-05 to R-PUSH-07, R-CANC-02, R-GET-02."""
    task = await client.send("ask")
    assert isinstance(task, Task)
    assert task.status.state is TaskState.INPUT_REQUIRED
    async with webhook() as (url, told):
        config = TaskPushNotificationConfig(task_id=task.id, url=url, id="mine", token="t")
        assert (await client.create_push_config(config)).id == "mine"
        assert (await client.get_push_config(task.id, "mine")).url == url
        assert [found.id for found in (await client.list_push_configs(task.id)).configs] == ["mine"]
        answer = await client.send("blue", task_id=task.id)
        assert isinstance(answer, Task)
        assert (answer.id, answer.text) == (task.id, "painted blue")
        assert (await asyncio.wait_for(told.get(), 5)).headers["x-a2a-notification-token"] == "t"
        await client.delete_push_config(task.id, "mine")
        with pytest.raises(TaskNotFoundError):
            await client.get_push_config(task.id, "mine")
    with pytest.raises(TaskNotCancelableError):
        await client.cancel(task.id)
    with pytest.raises(TaskNotFoundError):
        await client.get("nowhere")


async def test_a_running_task_is_followed_listed_and_canceled(client: Client, way: Way) -> None:
    """R-SUB-01, R-CANC-01, R-LIST-01: 0.3 has no list."""
    task = await client.send("wait", options=SendOptions(return_immediately=True))
    assert isinstance(task, Task)
    async with asyncio.timeout(10), aclosing(client.subscribe(task.id)) as events:
        first = await anext(events)
        assert isinstance(first, Task)
        assert (await client.cancel(task.id)).status.state is TaskState.CANCELED
        rest = [event async for event in events]
    assert rest
    assert (await client.get(task.id, history_length=0)).history is None
    if way.is_old:
        with pytest.raises(UnsupportedOperationError, match=r"0\.3, which has no ListTasks"):
            await client.list()
    else:
        assert [found.id for found in (await client.list(context_id=task.context_id)).tasks] == [task.id]
