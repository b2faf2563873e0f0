"""The official SDK's client (a2a-sdk 1.3.0) and AG2's own remote agent against our server, over real HTTP.

What the issue demands of both directions: send, stream, direct message, get, list, cancel, multi-turn with
INPUT_REQUIRED, subscribe, unknown task, failed task.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from a2a.client import Client, ClientConfig, ClientFactory
from a2a.client.card_resolver import A2ACardResolver
from a2a.types.a2a_pb2 import (
    CancelTaskRequest,
    GetTaskRequest,
    ListTasksRequest,
    Message,
    Part,
    Role,
    SendMessageConfiguration,
    SendMessageRequest,
    StreamResponse,
    SubscribeToTaskRequest,
    TaskState,
)
from a2a.utils.errors import (
    ContentTypeNotSupportedError,
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from ag2 import Agent
from ag2.a2a import A2AConfig
from google.protobuf.json_format import MessageToDict

from a2a_bridge.bridge import Bridge
from a2a_bridge.protocol.extensions import TURN_EXTENSION
from a2a_bridge.testing.agents import Obedient
from a2a_bridge.testing.server import running
from a2a_bridge.testing.wire import WAIT


class Peer:
    """Our server, and an SDK client for it."""

    def __init__(self, url: str, agent: Obedient, streaming: Client, unary: Client, http: httpx.AsyncClient) -> None:
        self.url = url
        self.agent = agent
        self.streaming = streaming
        self.unary = unary
        self.http = http

    async def stream(self, text: str, **members: Any) -> list[StreamResponse]:
        """Everything that a streamed send gives."""
        return await everything(self.streaming.send_message(request(text, **members)))

    async def send(self, text: str, **members: Any) -> StreamResponse:
        """The one answer to a unary send."""
        (found,) = await everything(self.unary.send_message(request(text, **members)))
        return found


def request(text: str, *, configuration: Any = None, **members: Any) -> SendMessageRequest:
    message = Message(
        message_id=f"sdk-{id(text)}-{len(members)}-{asyncio.get_running_loop().time()}",
        role=Role.ROLE_USER, parts=[Part(text=text)], **members,
    )  # fmt: skip
    return SendMessageRequest(message=message, configuration=configuration or SendMessageConfiguration())


async def everything(events: AsyncIterator[StreamResponse]) -> list[StreamResponse]:
    async with asyncio.timeout(WAIT):
        return [event async for event in events]


def kinds(events: list[StreamResponse]) -> list[str]:
    return [str(event.WhichOneof("payload")) for event in events]


@pytest.fixture(params=["JSONRPC", "HTTP+JSON"])
async def peer(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    """A served agent under its own path, and both kinds of SDK clients, on each binding."""
    agent = Obedient()
    async with running(lambda url: Bridge(agent, public_url=url)) as url, httpx.AsyncClient(timeout=WAIT) as http:
        base = f"{url}/obedient"
        bindings = [request.param]
        streaming, unary = [
            await ClientFactory(
                ClientConfig(httpx_client=http, streaming=streams, supported_protocol_bindings=bindings)
            ).create_from_url(base)
            for streams in (True, False)
        ]
        yield Peer(base, agent, streaming, unary, http)
        agent.gate.open()


async def test_the_sdk_reads_our_card(peer: Peer) -> None:
    """R-CARD-01, R-CARD-04, R-CARD-05: an interface for each binding and version, those of 1.0 first."""
    card = await A2ACardResolver(peer.http, peer.url).get_agent_card()
    assert card.name == "obedient"
    assert [(i.url, i.protocol_binding, i.protocol_version) for i in card.supported_interfaces] == [
        (f"{peer.url}/", "JSONRPC", "1.0"),
        (peer.url, "HTTP+JSON", "1.0"),
        (f"{peer.url}/", "JSONRPC", "0.3"),
        (peer.url, "HTTP+JSON", "0.3"),
    ]
    assert card.capabilities.streaming is True
    assert TURN_EXTENSION in [extension.uri for extension in card.capabilities.extensions]


async def test_send(peer: Peer) -> None:
    """Issue: a task that has ended, with its artifact and history."""
    task = (await peer.send("hello")).task
    assert task.status.state == TaskState.TASK_STATE_COMPLETED
    assert task.artifacts[0].parts[0].text == "echo: hello"
    assert [part.text for message in task.history for part in message.parts] == ["hello"]


async def test_stream(peer: Peer) -> None:
    """Issue, R-STRM-02: the task, its pieces, its end."""
    events = await peer.stream("tokens")
    assert kinds(events) == ["task", *["artifact_update"] * 3, "status_update"]
    assert "".join(event.artifact_update.artifact.parts[0].text for event in events[1:4]) == "one two three"
    assert [event.artifact_update.append for event in events[1:4]] == [False, True, True]
    assert events[-1].status_update.status.state == TaskState.TASK_STATE_COMPLETED
    assert {event.status_update.task_id or event.artifact_update.task_id for event in events[1:]} == {events[0].task.id}


async def test_parts_of_every_kind(peer: Peer) -> None:
    """R-DM-06, R-DM-08: through protobuf and back; its numbers are floats."""
    task = (await peer.send("files")).task
    shown = MessageToDict(task.artifacts[0])
    assert shown["name"] == "Files"
    assert shown["parts"] == [
        {"text": "words"},
        {"data": {"n": 1.0, "list": [True, None]}},
        {"raw": "AP8=", "filename": "a.bin", "mediaType": "image/png"},
        {"url": "https://example.org/b"},
    ]


async def test_direct_message(peer: Peer) -> None:
    """Issue, R-STRM-01: unary and streamed."""
    assert (await peer.send("direct")).message.parts[0].text == "directly"
    events = await peer.stream("direct")
    assert kinds(events) == ["message"]
    assert events[0].message.role == Role.ROLE_AGENT


async def test_get_and_history_length(peer: Peer) -> None:
    """Issue, R-HIST-02: absent and zero are told apart."""
    task = (await peer.send("hello")).task
    assert await peer.unary.get_task(GetTaskRequest(id=task.id)) == task
    assert not (await peer.unary.get_task(GetTaskRequest(id=task.id, history_length=0))).history


async def test_list(peer: Peer) -> None:
    """Issue, R-LIST-03, R-LIST-06: pages, filters, artifacts."""
    made = [(await peer.send("hello", context_id="c")).task for _ in range(3)]
    await peer.send("ask")
    found: list[str] = []
    token = ""
    while True:
        asked = ListTasksRequest(context_id="c", page_size=2, page_token=token, include_artifacts=True)
        page = await peer.unary.list_tasks(asked)
        assert page.total_size == 3
        found += [task.id for task in page.tasks]
        assert all(task.artifacts for task in page.tasks)
        token = page.next_page_token
        if not token:
            break
    assert sorted(found) == sorted(task.id for task in made)
    waiting = await peer.unary.list_tasks(ListTasksRequest(status=TaskState.TASK_STATE_INPUT_REQUIRED))
    assert (waiting.total_size, len(waiting.tasks), waiting.page_size) == (1, 1, 50)


async def test_cancel(peer: Peer) -> None:
    """Issue, R-CANC-01, R-CANC-02, R-CANC-05: a running task, its stream, and once more."""
    stream = peer.streaming.send_message(request("wait"))
    task_id = (await anext(stream)).task.id
    await peer.agent.gate.reached()
    canceled = await peer.unary.cancel_task(CancelTaskRequest(id=task_id))
    assert canceled.status.state == TaskState.TASK_STATE_CANCELED
    rest = await everything(stream)
    assert rest[-1].status_update.status.state == TaskState.TASK_STATE_CANCELED
    with pytest.raises(TaskNotCancelableError):
        await peer.unary.cancel_task(CancelTaskRequest(id=task_id))


async def test_multi_turn_with_input_required(peer: Peer) -> None:
    """Issue, R-CTX-09: the question, the answer, one task; unary and streamed."""
    asked = (await peer.send("ask")).task
    assert asked.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
    assert asked.status.message.parts[0].text == "Which colour?"
    again = await peer.stream("ask", task_id=asked.id, context_id=asked.context_id)
    assert kinds(again)[0] == "task"
    assert again[-1].status_update.status.state == TaskState.TASK_STATE_INPUT_REQUIRED
    done = (await peer.send("blue", task_id=asked.id)).task
    assert (done.id, done.context_id) == (asked.id, asked.context_id)
    assert done.status.state == TaskState.TASK_STATE_COMPLETED
    said = ["ask", "Which colour?", "ask", "Which colour?", "Please answer with one of: red, blue", "blue"]
    assert [part.text for message in done.history for part in message.parts] == said


async def test_subscribe(peer: Peer) -> None:
    """Issue, R-SUB-01, R-SUB-02: a running task from a snapshot on; an ended one is refused."""
    started = await peer.send("wait", configuration=SendMessageConfiguration(return_immediately=True))
    task_id = started.task.id
    await peer.agent.gate.reached()
    events = peer.streaming.subscribe(SubscribeToTaskRequest(id=task_id))
    first = await anext(events)
    assert first.task.artifacts[0].parts[0].text == "before "
    peer.agent.gate.open()
    rest = await everything(events)
    assert kinds(rest) == ["artifact_update", "status_update"]
    assert rest[0].artifact_update.artifact.parts[0].text == "after"
    with pytest.raises(UnsupportedOperationError):
        await everything(peer.streaming.subscribe(SubscribeToTaskRequest(id=task_id)))


async def test_unknown_task(peer: Peer) -> None:
    """Issue, R-GET-02, R-SEND-05: each operation raises the SDK's own error."""
    with pytest.raises(TaskNotFoundError):
        await peer.unary.get_task(GetTaskRequest(id="nothing"))
    with pytest.raises(TaskNotFoundError):
        await peer.unary.cancel_task(CancelTaskRequest(id="nothing"))
    with pytest.raises(TaskNotFoundError):
        await peer.send("hello", task_id="nothing")
    with pytest.raises(TaskNotFoundError):
        await peer.stream("hello", task_id="nothing")
    with pytest.raises(TaskNotFoundError):
        await everything(peer.streaming.subscribe(SubscribeToTaskRequest(id="nothing")))


@pytest.mark.parametrize(
    ("word", "state"), [("fail", TaskState.TASK_STATE_FAILED), ("refuse", TaskState.TASK_STATE_REJECTED)]
)
async def test_failed_task(peer: Peer, word: str, state: TaskState) -> None:
    """Issue, R-SEND-12, R-SEND-06: a task with the reason, unary and streamed, that takes no more messages."""
    task = (await peer.send(word)).task
    assert task.status.state == state
    assert task.status.message.parts[0].text in ("no more paint", "not my job")
    events = await peer.stream(word)
    assert events[-1].status_update.status.state == state
    with pytest.raises(UnsupportedOperationError):
        await peer.send("more", task_id=task.id)


async def test_an_agent_that_raises(peer: Peer) -> None:
    """R-ERR-06, R-STRM-10: FAILED in the stream, without its words."""
    events = await peer.stream("crash")
    assert events[-1].status_update.status.state == TaskState.TASK_STATE_FAILED
    assert "secret" not in str(events)


async def test_other_errors_reach_the_sdk_as_its_own(peer: Peer) -> None:
    """R-ERR-02: the SDK rebuilds its classes from our details."""
    asked = request("x")
    asked.message.parts.append(Part(raw=b"x", media_type="image/png"))
    with pytest.raises(ContentTypeNotSupportedError):
        await everything(peer.unary.send_message(asked))


async def test_the_remote_agent_of_ag2_talks_to_our_agent(peer: Peer) -> None:
    """Issue: AG2 1.2.1's own agent over A2A, streaming; its words and ours arrive whole."""
    agent = Agent("remote", config=A2AConfig(card_url=peer.url))
    async with asyncio.timeout(WAIT):
        reply = await agent.ask("tokens please")
        assert reply.body == "one two three"
        reply = await reply.ask("hello")
    assert reply.body == "echo: hello"
