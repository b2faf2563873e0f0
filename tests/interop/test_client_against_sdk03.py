"""Our client against a server of the last official SDK of A2A 0.3 (a2a-sdk 0.3.26), which runs in its own environment.

Over JSON-RPC and HTTP+JSON: card, send, stream, direct message, get, cancel, multi-turn, subscribe, webhooks and their
delivery, unknown task, failed task. The version has no list.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from sdk_peer import webhook

from a2a_bridge.agent import Chunk, Progress, outcome
from a2a_bridge.client.client import Client, Retries, SendOptions
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.errors import (
    A2AError,
    ClientError,
    ConnectionFailedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a_bridge.protocol.objects import Message, Task, TaskArtifactUpdateEvent, TaskState, TaskStatusUpdateEvent
from a2a_bridge.protocol.requests import TaskPushNotificationConfig
from a2a_bridge.testing.turns import make_turn

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-sdk03" / "bin" / "python"
QUICK = Retries(times=1, resumes=2, pause=0.01)


@pytest.fixture(params=["JSONRPC", "HTTP+JSON"])
def binding(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
async def url(binding: str) -> AsyncIterator[str]:
    """A server in a process of its own."""
    assert PYTHON.exists(), "the SDK of A2A 0.3 is not installed: run scripts/setup"
    process = await asyncio.create_subprocess_exec(
        str(PYTHON), str(HERE / "drivers" / "sdk03_server.py"), binding,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env={},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(20):
            yield (await process.stdout.readline()).decode().strip()
    finally:
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            process.kill()
            await process.wait()


@pytest.fixture
def client(url: str) -> Client:
    return Client(url, retries=QUICK)


async def collect(client: Client, text: str, **more: str) -> list[object]:
    async with asyncio.timeout(5), aclosing(client.stream(text, **more)) as events:
        return [event async for event in events]


async def test_the_card_of_0_3_is_read(client: Client, binding: str) -> None:
    """R-CARD-12, R-COMPAT-22: its binding and version are spoken, and the extended card is there."""
    card = await client.card()
    (interface,) = card.supported_interfaces
    assert (interface.protocol_binding, interface.protocol_version) == (binding, "0.3")
    assert (await client.extended_card()).description == "What only friends are told."


async def test_a_send_is_answered(client: Client) -> None:
    """R-SEND-02: and got again, with and without its history."""
    task = await client.send("hello")
    assert isinstance(task, Task)
    assert (task.status.state, task.text) == (TaskState.COMPLETED, "echo: hello")
    assert [message.text for message in (await client.get(task.id)).history or ()] == ["hello"]
    assert not (await client.get(task.id, history_length=0)).history
    with pytest.raises(UnsupportedOperationError):
        await client.list()


async def test_a_direct_message_comes_as_a_message(client: Client) -> None:
    """R-STRM-01."""
    answer = await client.send("direct")
    assert isinstance(answer, Message)
    assert answer.text == "directly"
    (event,) = await collect(client, "direct")
    assert isinstance(event, Message)


async def test_a_stream_shows_each_token(client: Client) -> None:
    """R-STRM-02."""
    first, *rest = await collect(client, "tokens")
    assert isinstance(first, Task)
    chunks = [event for event in rest if isinstance(event, TaskArtifactUpdateEvent)]
    assert [(chunk.artifact.text, chunk.append) for chunk in chunks] == [
        ("one ", False), ("two ", True), ("three", True),
    ]  # fmt: skip
    last = rest[-1]
    assert isinstance(last, TaskStatusUpdateEvent)
    assert last.status.state is TaskState.COMPLETED


async def test_parts_of_every_kind_come_through(client: Client) -> None:
    """R-COMPAT-02: over HTTP the bytes are base64 twice over."""
    task = await client.send("parts")
    assert isinstance(task, Task)
    assert task.artifacts
    words, raw, data = task.artifacts[0].parts
    assert (words.text, raw.raw, raw.filename, raw.media_type) == ("words", b"\x00\x01", "a.bin", "application/x")
    assert data.data == {"n": 1}


async def test_a_running_task_is_canceled(client: Client) -> None:
    """R-CANC-01, R-CANC-02."""
    task = await client.send("wait", options=SendOptions(return_immediately=True))
    assert isinstance(task, Task)
    assert (await client.cancel(task.id)).status.state is TaskState.CANCELED
    with pytest.raises(TaskNotCancelableError):
        await client.cancel(task.id)


async def test_a_question_is_answered_with_the_same_task(client: Client) -> None:
    """R-CTX-09."""
    first, *_, last = await collect(client, "ask")
    assert isinstance(first, Task)
    assert isinstance(last, TaskStatusUpdateEvent)
    assert last.status.state is TaskState.INPUT_REQUIRED
    assert last.status.message is not None
    assert last.status.message.text == "Which colour?"
    answer = await client.send("blue", task_id=first.id, context_id=first.context_id)
    assert isinstance(answer, Task)
    assert (answer.id, answer.status.state, answer.text) == (first.id, TaskState.COMPLETED, "painted blue")


async def test_subscribing_shows_the_task_and_what_follows(client: Client) -> None:
    """R-COMPAT-10, R-SUB-01: the server sends no snapshot; what comes adds up all the same."""
    task = await client.send("wait", options=SendOptions(return_immediately=True))
    assert isinstance(task, Task)
    async with asyncio.timeout(10), aclosing(client.subscribe(task.id)) as events:
        snapshot = await anext(events)
        assert isinstance(snapshot, Task)
        await client.send("go")
        rest = [event async for event in events]
    last = rest[-1]
    assert isinstance(last, TaskStatusUpdateEvent)
    assert last.status.state is TaskState.COMPLETED
    said = "".join(event.artifact.text for event in rest if isinstance(event, TaskArtifactUpdateEvent))
    assert snapshot.text + said == "before after"


async def test_subscribing_to_an_ended_task_gives_the_task(client: Client) -> None:
    """R-SUB-02."""
    task = await client.send("hello")
    assert isinstance(task, Task)
    async with asyncio.timeout(5), aclosing(client.subscribe(task.id)) as events:
        (found,) = [event async for event in events]
    assert isinstance(found, Task)
    assert found.status.state is TaskState.COMPLETED


async def test_an_unknown_task_is_the_error_of_that_name(client: Client) -> None:
    """R-GET-02, R-CANC-03: over HTTP told from the status alone."""
    with pytest.raises(TaskNotFoundError):
        await client.get("nowhere")
    with pytest.raises(TaskNotFoundError):
        await client.cancel("nowhere")
    with pytest.raises(TaskNotFoundError):
        async with aclosing(client.subscribe("nowhere")) as events:
            await anext(events)


async def test_a_failed_task_is_an_answer_with_its_reason(client: Client) -> None:
    """R-SEND-12."""
    task = await client.send("fail")
    assert isinstance(task, Task)
    assert task.status.state is TaskState.FAILED
    assert task.status.message is not None
    assert task.status.message.text == "no more paint"


async def test_a_send_to_an_ended_task_is_refused(client: Client) -> None:
    """R-SEND-06: as whatever error the server has for it."""
    task = await client.send("hello")
    assert isinstance(task, Task)
    with pytest.raises(A2AError):
        await client.send("more", task_id=task.id)


async def test_a_webhook_is_told_what_happens(client: Client) -> None:
    """A2A 0.3 §9.5: the whole task, with the token."""
    async with webhook() as (hook, told):
        task = await client.send("wait", options=SendOptions(return_immediately=True))
        assert isinstance(task, Task)
        made = await client.create_push_config(
            TaskPushNotificationConfig(task_id=task.id, url=hook, id="mine", token="t")
        )
        assert (made.task_id, made.id, made.url) == (task.id, "mine", hook)
        assert (await client.get_push_config(task.id, "mine")).url == hook
        await client.send("go")
        while True:
            delivery = await asyncio.wait_for(told.get(), 5)
            if delivery.body["status"]["state"] == "completed":
                break
        assert delivery.body["id"] == task.id
        assert delivery.headers["x-a2a-notification-token"] == "t"


async def test_webhooks_are_listed_and_deleted_where_the_sdk_can(client: Client, binding: str) -> None:
    """Over HTTP this SDK has neither: it says so, and the client too."""
    task = await client.send("ask")
    assert isinstance(task, Task)
    await client.create_push_config(TaskPushNotificationConfig(task_id=task.id, url="http://127.0.0.1:9/", id="a"))
    if binding == "HTTP+JSON":
        with pytest.raises((A2AError, ClientError)):
            await client.list_push_configs(task.id)
        with pytest.raises(ConnectionFailedError):
            await client.delete_push_config(task.id, "a")
        return
    assert [config.id for config in (await client.list_push_configs(task.id)).configs] == ["a"]
    await client.delete_push_config(task.id, "a")
    assert (await client.list_push_configs(task.id)).configs == ()


async def test_a_remote_agent_takes_its_turn(url: str) -> None:
    """In a room it makes no difference which version an agent speaks."""
    async with asyncio.timeout(5), aclosing(RemoteAgent(url, retries=QUICK).run(make_turn("tokens"))) as replies:
        said = [reply async for reply in replies]
    assert said == [Progress("thinking"), Chunk("one ", append=False), Chunk("two "), Chunk("three")]
    assert outcome(said).text == "one two three"
