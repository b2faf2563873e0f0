"""Our client and our `RemoteAgent` against a server of the official SDK (a2a-sdk 1.3.0), over real HTTP on loopback.

In both bindings and both versions: card, send, stream, direct message, get, list where the version has it, cancel,
multi-turn with INPUT_REQUIRED, subscribe, webhooks and their delivery, unknown task, failed task.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from google.protobuf.json_format import MessageToDict
from sdk_peer import WAYS, Peer, Way, sdk_server, webhook

from a2a_bridge.agent import Ask, Chunk, Fail, Progress, Refuse, Reply, Say, Turn, outcome, speaker_metadata
from a2a_bridge.client.client import Client, Retries, SendOptions
from a2a_bridge.client.remote import RemoteAgent
from a2a_bridge.errors import (
    TaskNotCancelableError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from a2a_bridge.protocol.objects import (
    Message,
    Part,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatusUpdateEvent,
)
from a2a_bridge.protocol.requests import AuthenticationInfo, TaskPushNotificationConfig
from a2a_bridge.store.journal import MemoryJournal
from a2a_bridge.testing.turns import make_answer, make_message, make_turn


@pytest.fixture(params=WAYS, ids=str)
def way(request: pytest.FixtureRequest) -> Way:
    """Every binding in every version."""
    found: Way = request.param
    return found


@pytest.fixture
async def peer(way: Way, request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
    """A server of the SDK. `indirect` False: one that cannot stream."""
    async with sdk_server(way, streaming=getattr(request, "param", True)) as running:
        yield running


@pytest.fixture
def client(peer: Peer) -> Client:
    return Client(peer.url, retries=Retries(times=1, pause=0.01))


async def collect(client: Client, text: str, **more: str) -> list[object]:
    """All events of one stream, bounded."""
    async with asyncio.timeout(5), aclosing(client.stream(text, **more)) as events:
        return [event async for event in events]


async def test_the_card_of_an_sdk_agent_is_read(client: Client) -> None:
    """Discovery, A2A 1.0 §8; R-CARD-06, R-CARD-12: in 0.3 the card is a hybrid."""
    card = await client.card()
    assert card.name == "sdk agent"
    assert card.skills[0].tags == ("test",)
    assert await client.card(refresh=True) is card, "304 keeps the card"


async def test_a_send_gives_the_finished_task(client: Client) -> None:
    """R-SEND-02."""
    task = await client.send("hello")
    assert isinstance(task, Task)
    assert task.status.state is TaskState.COMPLETED
    assert task.text == "echo: hello"
    assert task.context_id


async def test_a_stream_shows_each_token(client: Client) -> None:
    """R-STRM-02."""
    first, *rest = await collect(client, "tokens please")
    assert isinstance(first, Task)
    chunks = [event for event in rest if isinstance(event, TaskArtifactUpdateEvent)]
    assert [chunk.artifact.text for chunk in chunks] == ["one ", "two ", "three"]
    assert [chunk.append for chunk in chunks] == [False, True, True]
    last = rest[-1]
    assert isinstance(last, TaskStatusUpdateEvent)
    assert last.status.state is TaskState.COMPLETED


async def test_a_direct_message_comes_as_a_message(client: Client) -> None:
    """R-STRM-01, R-SEND-01."""
    answer = await client.send("direct")
    assert isinstance(answer, Message)
    assert answer.text == "directly"
    (event,) = await collect(client, "direct")
    assert isinstance(event, Message)


async def test_parts_of_every_kind_come_through(client: Client) -> None:
    """R-DM-06, R-DM-08, T-25: numbers come back as floats."""
    task = await client.send("parts")
    assert isinstance(task, Task)
    assert task.artifacts
    words, raw, data = task.artifacts[0].parts
    assert words.text == "words"
    assert raw.raw == b"\x00\x01"
    assert raw.filename == "a.bin"
    assert data.data == {"n": 1.0, "list": [True, None]}


async def test_a_task_can_be_got_and_listed(client: Client, way: Way) -> None:
    """R-GET-01, R-LIST-05, R-HIST-07: the SDK prints defaults in lists; 0.3 has none, and there 0 means all history."""
    task = await client.send("hello")
    assert isinstance(task, Task)
    again = await client.get(task.id, history_length=0)
    assert again.status.state is TaskState.COMPLETED
    assert not again.history
    if way.is_old:
        with pytest.raises(UnsupportedOperationError, match=r"0\.3, which has no ListTasks"):
            await client.list()
        return
    page = await client.list(context_id=task.context_id, include_artifacts=True)
    assert [found.id for found in page.tasks] == [task.id]
    assert page.tasks[0].artifacts is not None
    assert page.tasks[0].artifacts[0].parts[0].filename is None
    assert page.total_size == 1
    assert page.next_page_token == ""


async def test_a_running_task_is_canceled(client: Client, peer: Peer) -> None:
    """R-CANC-01, R-CANC-02."""
    task = await client.send("wait", options=SendOptions(return_immediately=True))
    assert isinstance(task, Task)
    canceled = await client.cancel(task.id)
    assert canceled.status.state is TaskState.CANCELED
    assert peer.executor.canceled == [task.id]
    with pytest.raises(TaskNotCancelableError):
        await client.cancel(task.id)


async def test_a_question_is_answered_with_the_same_task(client: Client) -> None:
    """R-CTX-09, T-01, T-19: the stream ends at INPUT_REQUIRED, and the answer keeps its task and context."""
    first, *_, last = await collect(client, "ask")
    assert isinstance(first, Task)
    assert isinstance(last, TaskStatusUpdateEvent)
    assert last.status.state is TaskState.INPUT_REQUIRED
    answer = await client.send("blue", task_id=first.id)
    assert isinstance(answer, Task)
    assert answer.id == first.id
    assert answer.status.state is TaskState.COMPLETED


async def test_subscribing_shows_the_task_and_what_follows(client: Client, peer: Peer) -> None:
    """R-SUB-01, R-SUB-03."""
    task = await client.send("wait", options=SendOptions(return_immediately=True))
    assert isinstance(task, Task)
    async with asyncio.timeout(5), aclosing(client.subscribe(task.id)) as events:
        snapshot = await anext(events)
        assert isinstance(snapshot, Task)
        peer.executor.go_on.set()
        rest = [event async for event in events]
    assert isinstance(rest[-1], TaskStatusUpdateEvent)
    assert rest[-1].status.state is TaskState.COMPLETED
    assert (await client.get(task.id)).text == "before after"


async def test_subscribing_to_an_ended_task_gives_the_task(client: Client) -> None:
    """Failures 5 and 6: the server refuses (R-SUB-02), the reader still learns how it ended."""
    task = await client.send("hello")
    assert isinstance(task, Task)
    async with asyncio.timeout(5), aclosing(client.subscribe(task.id)) as events:
        (found,) = [event async for event in events]
    assert isinstance(found, Task)
    assert found.status.state is TaskState.COMPLETED


async def test_an_unknown_task_is_the_error_of_that_name(client: Client) -> None:
    """R-GET-02, R-CANC-03, R-SUB-02."""
    with pytest.raises(TaskNotFoundError):
        await client.get("nowhere")
    with pytest.raises(TaskNotFoundError):
        await client.cancel("nowhere")
    with pytest.raises(TaskNotFoundError):
        async with aclosing(client.subscribe("nowhere")) as events:
            await anext(events)


async def test_a_send_to_an_ended_task_is_refused(client: Client) -> None:
    """R-SEND-06."""
    task = await client.send("hello")
    assert isinstance(task, Task)
    with pytest.raises(UnsupportedOperationError):
        await client.send("more", task_id=task.id)


async def test_a_failed_task_is_an_answer_with_its_reason(client: Client) -> None:
    """R-SEND-12."""
    task = await client.send("fail")
    assert isinstance(task, Task)
    assert task.status.state is TaskState.FAILED
    assert task.status.message is not None
    assert task.status.message.text == "no more paint"


@pytest.mark.parametrize("peer", [False], indirect=True)
async def test_an_agent_that_cannot_stream_is_asked_without(client: Client) -> None:
    """R-CAP-05, T-30."""
    (task,) = await collect(client, "tokens please")
    assert isinstance(task, Task)
    assert task.text == "one two three"


async def test_a_client_that_is_known_gets_the_extended_card(client: Client) -> None:
    """R-EXTC-03: in place of the public one."""
    card = await client.extended_card()
    assert card.description == "What only friends are told."
    assert await client.card() is card
    assert isinstance(await client.send("hello"), Task)


# --- webhooks


async def test_a_webhook_is_told_what_happens(client: Client, peer: Peer) -> None:
    """R-PUSH-01, R-PUSH-09: made for a running task; the SDK tells everybody in the form of 1.0."""
    async with webhook() as (url, told):
        task = await client.send("wait", options=SendOptions(return_immediately=True))
        assert isinstance(task, Task)
        how = AuthenticationInfo(scheme="Bearer", credentials="c")
        made = await client.create_push_config(
            TaskPushNotificationConfig(task_id=task.id, url=url, id="mine", token="t", authentication=how)
        )
        assert (made.task_id, made.id, made.url, made.token) == (task.id, "mine", url, "t")
        assert made.authentication == how
        peer.executor.go_on.set()
        while True:
            delivery = await asyncio.wait_for(told.get(), 5)
            update = delivery.body.get("statusUpdate")
            if update is not None and update["status"]["state"] == "TASK_STATE_COMPLETED":
                break
        assert delivery.headers["x-a2a-notification-token"] == "t"
        assert delivery.headers["authorization"] == "Bearer c"


async def test_a_webhook_comes_with_the_send(client: Client) -> None:
    """R-PUSH-03: registered before the work begins."""
    async with webhook() as (url, told):
        await client.send("hello", options=SendOptions(push=TaskPushNotificationConfig(url=url, token="t")))
        delivery = await asyncio.wait_for(told.get(), 5)
        assert delivery.headers["x-a2a-notification-token"] == "t"


async def test_webhooks_are_got_listed_and_deleted(client: Client) -> None:
    """R-PUSH-05 to R-PUSH-07. R-COMPAT-22: the SDK has no route of 0.3 for
    deleting, and says that it is one of 1.0: so that is spoken from then on."""
    task = await client.send("ask")
    assert isinstance(task, Task)
    for number in (1, 2):
        config = TaskPushNotificationConfig(task_id=task.id, id=f"c{number}", url=f"http://127.0.0.1:9/{number}")
        await client.create_push_config(config)
    assert (await client.get_push_config(task.id, "c2")).url == "http://127.0.0.1:9/2"
    assert sorted(str(found.id) for found in (await client.list_push_configs(task.id)).configs) == ["c1", "c2"]
    with pytest.raises(TaskNotFoundError):
        await client.get_push_config(task.id, "c3")
    await client.delete_push_config(task.id, "c1")
    assert [found.id for found in (await client.list_push_configs(task.id)).configs] == ["c2"]


# --- RemoteAgent


async def take(agent: RemoteAgent, turn: Turn) -> list[Reply | str]:
    """All replies of one turn, bounded."""
    async with asyncio.timeout(5), aclosing(agent.run(turn)) as replies:
        return [reply async for reply in replies]


@pytest.fixture
def agent(peer: Peer) -> RemoteAgent:
    return RemoteAgent(peer.url, retries=Retries(times=1, pause=0.01))


async def test_a_remote_agent_streams_tokens_and_progress(agent: RemoteAgent) -> None:
    """Our contract of replies: artifact updates are chunks, WORKING with words is progress."""
    replies = await take(agent, make_turn("tokens"))
    assert replies == [
        Progress("thinking"),
        Chunk("one ", append=False),
        Chunk("two "),
        Chunk("three"),
    ]
    assert outcome(replies).text == "one two three"


async def test_a_remote_agent_takes_its_name_from_its_card(agent: RemoteAgent, peer: Peer) -> None:
    """A provisional name until `describe`; a given one stays."""
    assert agent.name == peer.url.removeprefix("http://")
    await agent.describe()
    assert agent.name == "sdk agent"
    assert agent.description == "An agent of the official SDK."
    assert [skill.id for skill in agent.traits.skills] == ["echo"]
    given = RemoteAgent(peer.url, name="painter", description="Paints.")
    await given.describe()
    assert (given.name, given.description) == ("painter", "Paints.")


async def test_the_remote_sees_who_said_what(agent: RemoteAgent, peer: Peer) -> None:
    """Attribution in text and metadata, one message per send, messageId is the turn's id."""
    turn = make_turn(make_message("the task"), make_message("a claim", speaker="critic"))
    await take(agent, turn)
    received = peer.executor.received[-1].message
    assert received.message_id == turn.id
    assert [part.text for part in received.parts] == ["the task", "[critic] a claim"]
    assert MessageToDict(received.parts[1].metadata) == speaker_metadata("critic")
    assert received.context_id == turn.context_id


async def test_a_remote_agent_asks_and_is_answered_in_the_same_task(agent: RemoteAgent, peer: Peer) -> None:
    """Failure 23 and R-CTX-09: the pause is an Ask, the answer finds the task, what was said before is not repeated."""
    journal = MemoryJournal()
    replies = await take(agent, make_turn("ask", journal=journal))
    assert replies == [Chunk("so far", artifact="notes", append=False), Ask("Which colour?")]
    answer = make_answer("blue", [Ask("Which colour?")])
    replies = await take(agent, make_turn(answer=answer, journal=journal))
    assert outcome(replies).text == "painted blue\ndone"
    asked, answered = peer.executor.received
    assert asked.task_id == answered.task_id
    assert answered.get_user_input() == "blue", "an answer has no prefix"


async def test_a_new_turn_is_a_new_task_in_the_same_context(agent: RemoteAgent, peer: Peer) -> None:
    """One context per seat, a task per turn, earlier tasks as references."""
    journal = MemoryJournal()
    await take(agent, make_turn("hello", journal=journal))
    await take(agent, make_turn("again", journal=journal))
    first, second = peer.executor.received
    assert first.context_id == second.context_id
    assert first.task_id != second.task_id
    # The proto form of 0.3 has no place for references.
    references = [] if peer.way == Way("HTTP+JSON", "0.3") else [first.task_id]
    assert list(second.message.reference_task_ids) == references


async def test_failures_are_replies_and_not_words(agent: RemoteAgent) -> None:
    """Failure 21: a FAILED task never becomes chat content; a rejected one is a refusal."""
    assert await take(agent, make_turn("fail")) == [Fail("no more paint")]
    assert await take(agent, make_turn("refuse")) == [Refuse("not my job")]


async def test_a_direct_message_is_what_the_agent_says(agent: RemoteAgent) -> None:
    """R-STRM-01."""
    replies = await take(agent, make_turn("direct"))
    assert replies == [Say(parts=(Part(text="directly"),))]


async def test_cancelling_the_turn_cancels_the_remote_task(agent: RemoteAgent, peer: Peer) -> None:
    """Cancel goes through: no peer does this, and paid work runs on."""
    started = asyncio.Event()

    async def read() -> None:
        async with aclosing(agent.run(make_turn("wait"))) as replies:
            async for _ in replies:
                started.set()

    reading = asyncio.create_task(read())
    await asyncio.wait_for(started.wait(), 5)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(reading, 5)
    assert peer.executor.canceled == [peer.executor.received[0].task_id]


async def test_leaving_the_turn_early_cancels_the_remote_task(agent: RemoteAgent, peer: Peer) -> None:
    """Closing the generator at a yield is a cancellation too."""
    async with asyncio.timeout(5), aclosing(agent.run(make_turn("wait"))) as replies:
        await anext(replies)
    assert peer.executor.canceled == [peer.executor.received[0].task_id]


async def test_the_same_turn_after_a_crash_finds_the_running_task(peer: Peer) -> None:
    """`after_crash="resumable"`: nothing is sent twice."""
    journal = MemoryJournal()
    turn = make_turn("wait", journal=journal)
    lost = RemoteAgent(peer.url).run(turn)
    assert await asyncio.wait_for(anext(lost), 5) == Chunk("before ", append=False)
    kept = [bytes(data) for _, data in await journal.read()]
    peer.executor.go_on.set()
    replies = await take(RemoteAgent(peer.url), turn)
    assert outcome(replies).text == "before after"
    assert len(peer.executor.received) == 1
    assert kept
    await lost.aclose()


async def test_abandoning_a_pause_cancels_the_remote_task(agent: RemoteAgent, peer: Peer) -> None:
    """A task that waits for an answer is freed when nobody will give one."""
    turn = make_turn("ask")
    await take(agent, turn)
    await asyncio.wait_for(agent.abandon(turn), 5)
    assert peer.executor.canceled == [peer.executor.received[0].task_id]


@pytest.mark.parametrize("peer", [False], indirect=True)
async def test_a_final_snapshot_alone_is_the_whole_answer(agent: RemoteAgent) -> None:
    """AG2 1.2 turns such a stream into an empty answer; ours does not."""
    assert outcome(await take(agent, make_turn("tokens"))).text == "one two three"
