"""What operators see: one trace over everything, metrics with few labels, a line for each request, no secrets."""

import asyncio
import json
import logging
import subprocess
import sys
from contextlib import aclosing
from typing import Any

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from a2a_bridge.agent import Fail, Say, Turn
from a2a_bridge.bridge import Bridge, Options
from a2a_bridge.chat.assistant import AssistantAgent
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.client.client import Client
from a2a_bridge.guard import Guard
from a2a_bridge.observe import log, names
from a2a_bridge.observe.metrics import Metrics
from a2a_bridge.observe.requests import caller_hash
from a2a_bridge.observe.scrub import scrub
from a2a_bridge.observe.spans import span
from a2a_bridge.observe.trace import continue_trace, current_traceparent
from a2a_bridge.protocol.objects import Part, Task
from a2a_bridge.server.auth import Auth
from a2a_bridge.server.identity import ApiKeys, Key
from a2a_bridge.server.limits import Limits
from a2a_bridge.tasks.push import Push
from a2a_bridge.testing.agents import Scripted
from a2a_bridge.testing.fake_openai import FakeOpenAI
from a2a_bridge.testing.receiver import Receiver
from a2a_bridge.testing.server import running
from a2a_bridge.testing.wire import Wire, eventually, say

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def by_name(exporter: InMemorySpanExporter) -> dict[str, Any]:
    return {made.name: made for made in exporter.get_finished_spans()}


async def test_a_room_its_remote_seat_and_the_model_behind_that_are_one_trace(traced: InMemorySpanExporter) -> None:
    """Demand 23. Issue 3, part 8: W3C context in, through the store, out with calls."""
    with FakeOpenAI() as model:
        critic = AssistantAgent("critic", llm_config={"model": "m1", "base_url": model.base_url, "api_key": "k"})
        async with running(lambda url: Bridge(critic, public_url=url)) as url:
            room = GroupChat([url], max_round=2, speaker_selection_method="round_robin")
            panel = GroupChatManager(room, name="panel")
            async with running(lambda at: Bridge(panel, public_url=at)) as front, Client(front) as client:
                task = await client.send("SAY good morning")
    assert isinstance(task, Task)
    found = by_name(traced)
    assert len({made.context.trace_id for made in found.values()}) == 1
    assert found["invoke_workflow panel"].attributes[names.WORKFLOW] == "panel"
    parents = {made.context.span_id: made for made in traced.get_finished_spans()}
    ancestors = []
    made: Any = found["chat m1"]
    while made.parent is not None and made.parent.span_id in parents:
        made = parents[made.parent.span_id]
        ancestors.append((made.name, made.kind.name))
    assert ancestors == [
        ("invoke_agent critic", "INTERNAL"),
        ("SendStreamingMessage", "SERVER"),
        ("SendStreamingMessage", "CLIENT"),
        ("invoke_agent critic", "CLIENT"),
        ("invoke_workflow panel", "INTERNAL"),
        ("invoke_agent panel", "INTERNAL"),
        ("SendMessage", "SERVER"),
        ("SendMessage", "CLIENT"),
    ]
    assert not [made for made in parents.values() if "good morning" in str(dict(made.attributes or {}))]


async def test_a_tool_call_and_a_choice_are_spans_without_words(traced: InMemorySpanExporter) -> None:
    """Issue 3, part 8: a call hangs below the turn that made it; a tool that failed is a failed span."""

    def lucky(number: int) -> str:
        """Say whether it is."""
        if number == 13:
            raise ValueError("no secret")
        return "yes"

    with FakeOpenAI() as model:
        config = {"model": "m1", "base_url": model.base_url, "api_key": "k"}
        seats = [AssistantAgent("ann", tools=[lucky], llm_config=config), AssistantAgent("bob", llm_config=config)]
        room = GroupChat(seats, max_round=2, speaker_selection_method=lambda last, chat: seats[0])
        await GroupChatManager(room, name="panel").chat('CALL lucky {"number": 7}')
        await GroupChatManager(room, name="panel").chat('CALL lucky {"number": 13}')
    made = traced.get_finished_spans()
    called = [each for each in made if each.name == "execute_tool lucky"]
    assert [each.attributes.get(names.ERROR_TYPE) for each in called] == [None, "failed"]
    turns = {each.context.span_id: each.name for each in made}
    for each in called:
        assert turns[each.parent.span_id] == "invoke_agent ann"
        assert set(each.attributes) - {names.ERROR_TYPE} == {names.OPERATION, names.TOOL, names.TOOL_CALL_ID}
    chosen = [each.attributes for each in made if each.name == names.SELECT_SPEAKER]
    assert {(each[names.CHOSEN], each[names.CHOSEN_BY]) for each in chosen} == {("ann", "function")}


async def test_a_trace_that_comes_in_is_the_parent_of_ours(traced: InMemorySpanExporter) -> None:
    """W3C Trace Context §3.2."""
    with continue_trace(TRACE), span("inner"):
        assert (current_traceparent() or "").startswith(TRACE[:36])
        assert current_traceparent() != TRACE
    [made] = traced.get_finished_spans()
    assert made.parent is not None
    assert f"{made.parent.span_id:016x}" == TRACE[36:52]


async def test_a_turn_that_fails_is_a_failed_span(traced: InMemorySpanExporter) -> None:
    """Ours: what went wrong is found by its class, never by its words."""

    async def broken(text: str) -> Fail:
        return Fail("the secret reason")

    async with running(lambda url: Bridge(broken, public_url=url)) as url, Client(url) as client:
        await client.send("hello")
    made = by_name(traced)["invoke_agent broken"]
    assert made.attributes[names.ERROR_TYPE] == "TASK_STATE_FAILED"
    assert "secret" not in str(made.to_json())


async def test_metrics_count_requests_turns_and_streams(counted: Metrics) -> None:
    """Conventions of Prometheus: base units, few labels, no ids."""

    async def echo(text: str) -> str:
        return text

    async with running(lambda url: Bridge(echo, public_url=url)) as url, Client(url) as client:
        await client.send("one")
        async with aclosing(client.stream("two")) as events:
            async for _ in events:
                pass
        task = await client.send("three")
        http = await client._http()
        from a2a_bridge.net import Deadline, Timeouts

        async with await http.request(
            "GET", f"{url}/metrics", headers={}, timeouts=Timeouts(), deadline=Deadline(5)
        ) as answer:
            text = (await answer.read(1 << 20)).decode()
    assert 'a2a_requests_total{binding="JSONRPC",code="OK",method="SendMessage"} 2.0' in text
    assert 'a2a_requests_total{binding="JSONRPC",code="OK",method="SendStreamingMessage"} 1.0' in text
    assert 'a2a_tasks_total{agent="echo",state="TASK_STATE_COMPLETED"} 3.0' in text
    assert 'a2a_tasks_in_progress{agent="echo"} 0.0' in text
    assert 'a2a_stream_connections{agent="echo"} 0.0' in text
    assert 'a2a_stream_events_total{agent="echo",type="artifactUpdate"} 1.0' in text
    assert "a2a_client_requests_total{" in text
    assert isinstance(task, Task)
    assert task.id not in text


async def test_metrics_that_are_off_are_not_there() -> None:
    """Ours: nothing is shown that nobody asked for."""

    async def echo(text: str) -> str:
        return text

    async with running(lambda url: Bridge(echo, public_url=url)) as url, Client(url) as client:
        http = await client._http()
        from a2a_bridge.net import Deadline, Timeouts

        async with await http.request(
            "GET", f"{url}/metrics", headers={}, timeouts=Timeouts(), deadline=Deadline(5)
        ) as answer:
            assert answer.status == 404


async def test_a_request_is_one_line_with_ids_and_without_words(logged: None, caplog: pytest.LogCaptureFixture) -> None:
    """Issue 3, part 8: task, context, caller hash, trace id."""

    async def echo(text: str) -> str:
        return text

    caplog.set_level(logging.INFO, "a2a_bridge.requests")
    async with running(lambda url: Bridge(echo, public_url=url)) as url, Client(url) as client:
        with continue_trace(TRACE):
            task = await client.send("the words of a person")
        with pytest.raises(Exception):
            await client.get("nothing")
    assert isinstance(task, Task)
    lines = [record for record in caplog.records if record.name == "a2a_bridge.requests"]
    fields = [getattr(line, "fields") for line in lines]  # noqa: B009
    assert fields[0][names.TASK_ID] == task.id
    assert fields[0][names.CONVERSATION] == task.context_id
    assert fields[0]["caller"] == caller_hash("", "anonymous")
    assert fields[0]["trace_id"] == TRACE[3:35]
    assert (fields[0]["code"], fields[1]["code"]) == ("OK", "TASK_NOT_FOUND")
    assert "words" not in str(fields)
    assert "anonymous" not in str(fields)


async def test_a_span_may_be_left_in_another_task_than_it_was_entered_in(traced: InMemorySpanExporter) -> None:
    """Ours: async generators are closed wherever the loop likes."""

    async def generator() -> Any:
        with span("outer"):
            yield current_traceparent()
            yield current_traceparent()

    running_one = generator()
    await asyncio.create_task(anext(running_one))
    await asyncio.create_task(running_one.aclose())
    assert [made.name for made in traced.get_finished_spans()] == ["outer"]
    assert current_traceparent() is None


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abcdef123456", "abcdef123456"),
        ('{"api_key": "k-998877665544"}', "k-998877665544"),
        ("https://bob:hunter22@example.org/x", "hunter22"),
        ("x-api-key=9f8e7d6c5b", "9f8e7d6c5b"),
        ("Incorrect API key provided: sk-proj-abcDEF1234567", "sk-proj-abcDEF1234567"),
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abcdef", "eyJzdWIiOiIxMjM0NTY3ODkwIn0"),
        ("client_secret='s3cr3t-value'", "s3cr3t-value"),
        ("Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA"),
    ],
)
def test_what_looks_like_a_credential_is_scrubbed(text: str, secret: str) -> None:
    """Issue 3, part 8: secrets scrubbed."""
    assert secret in text
    assert secret not in scrub(text)


@pytest.mark.parametrize(
    "text", ["task 0198 ended", "a basic rule of tokens", "see https://example.org/a@b", "secrets"]
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Ours: a log that is full of stars helps nobody."""
    assert scrub(text) == text


def test_while_off_nothing_of_opentelemetry_or_prometheus_is_imported() -> None:
    """Ours: extras cost nothing until they are switched on."""
    code = (
        "import sys, a2a_bridge.bridge, a2a_bridge.chat.manager, a2a_bridge.client.client;"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'prometheus_client'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


async def test_webhooks_are_counted_and_belong_to_the_trace(
    start: Any, traced: InMemorySpanExporter, counted: Metrics
) -> None:
    """Issue 3, part 8: the context goes out with webhooks; a2a_push_deliveries_total by outcome."""

    async def talks(turn: Any) -> Any:
        yield "hello"

    async with Receiver(410) as hook:
        options = Options(push=Push(Guard(loopback=True)))
        wire = Wire(await start(Bridge(Scripted(talks), options=options)))
        params = say() | {"configuration": {"taskPushNotificationConfig": {"url": hook.url}}}
        await wire.result("SendMessage", params, headers={"traceparent": TRACE})
        got = await hook.until_state("COMPLETED")
        await eventually(lambda: len([s for s in traced.get_finished_spans() if s.name == names.PUSH]) == len(got))
    pushes = [made for made in traced.get_finished_spans() if made.name == names.PUSH]
    assert {f"{made.context.trace_id:032x}" for made in pushes} == {TRACE[3:35]}
    sent = [found.headers["traceparent"].split("-")[2] for found in got]
    assert sent == [f"{made.context.span_id:016x}" for made in pushes]
    assert pushes[0].attributes[names.ERROR_TYPE] == "HTTP 410"
    assert pushes[0].attributes[names.ADDRESS] == "127.0.0.1"
    text = counted.text()[0].decode()
    assert 'a2a_push_deliveries_total{outcome="given_up"} 1.0' in text
    assert f'a2a_push_deliveries_total{{outcome="delivered"}} {len(got) - 1}.0' in text


OLD_PARTS = [{"kind": "text", "text": "hi"}]


def lines_of(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The request log: the fields of each line."""
    return [vars(record)["fields"] for record in caplog.records if record.name == "a2a_bridge.requests"]


async def test_only_the_ids_of_the_task_itself_are_logged(
    start: Any, logged: None, caplog: pytest.LogCaptureFixture
) -> None:
    """An id that is a skill's, or another task's, or words of the agent sends whoever looks for it astray."""
    caplog.set_level(logging.INFO, "a2a_bridge.requests")
    key = Key.of("ann", "a-key-of-twenty-and-more")

    def data(turn: Turn) -> Say:
        return Say(parts=(Part(data={"id": "secret", "taskId": "secret"}),), direct="direct" in str(turn.messages))

    options = Options(extended_cards={"data": lambda caller, card: card})
    bridge = Bridge(data, auth=Auth(schemes={"key": ApiKeys([key])}), options=options)
    wire = Wire(await start(bridge))
    headers = {"x-api-key": "a-key-of-twenty-and-more"}
    task = (await wire.result("SendMessage", say(), headers=headers))["task"]
    message = (await wire.result("SendMessage", say("direct"), headers=headers))["message"]
    await wire.result("GetTask", {"id": task["id"]}, headers=headers)
    await wire.result("ListTasks", {}, headers=headers)
    await wire.result("GetExtendedAgentCard", {}, headers=headers)
    old = {"a2a-version": "0.3", **headers}
    await wire.result("tasks/get", {"id": task["id"]}, headers=old)
    sent = await wire.result(
        "message/send",
        {"message": {"kind": "message", "messageId": "o1", "role": "user", "parts": OLD_PARTS}},
        headers=old,
    )
    await wire.result("agent/getAuthenticatedExtendedCard", {}, headers=old)
    found = [(line.get(names.TASK_ID), line.get(names.CONVERSATION), line[names.VERSION]) for line in lines_of(caplog)]
    this = task["id"], task["contextId"]
    assert found == [
        (*this, "1.0"), (None, message["contextId"], "1.0"), (*this, "1.0"), (None, None, "1.0"), (None, None, "1.0"),
        (*this, "0.3"), (sent["id"], sent["contextId"], "0.3"), (None, None, "0.3"),
    ]  # fmt: skip


async def test_requests_that_are_refused_are_counted_and_logged(
    start: Any, logged: None, counted: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """R-SEC-10: whoever is asked why calls fail sees 401s and 429s, and what never was an operation."""
    caplog.set_level(logging.INFO, "a2a_bridge.requests")
    key = Key.of("ann", "a-key-of-twenty-and-more")
    auth = Auth(schemes={"key": ApiKeys([key])})
    http = await start(Bridge(Scripted(lambda turn: None), auth=auth, limits=Limits(rate=0.01, burst=4)))
    known = {"x-api-key": "a-key-of-twenty-and-more", "a2a-version": "1.0"}
    assert (await http.post("/", content=b"{}")).status_code == 401
    assert (await http.get("/tasks/x", headers={"a2a-version": "1.0"})).status_code == 401
    assert (await http.post("/", content=b"{", headers=known)).status_code == 200
    assert (await http.post("/", json={"jsonrpc": "2.0", "id": 1, "method": "Nope"}, headers=known)).status_code == 200
    assert (await http.get("/tasks/x", headers={**known, "a2a-version": "9.0"})).status_code == 400
    assert (await http.get("/tasks/x", headers=known)).status_code == 404
    assert (await http.get("/tasks/x", headers=known)).status_code == 429
    codes = [(line[names.METHOD], line[names.BINDING], line["code"]) for line in lines_of(caplog)]
    assert codes == [
        ("-", "JSONRPC", "UNAUTHENTICATED"),
        ("-", "HTTP+JSON", "UNAUTHENTICATED"),
        ("-", "JSONRPC", "INVALID_REQUEST"),
        ("-", "JSONRPC", "METHOD_NOT_FOUND"),
        ("GetTask", "HTTP+JSON", "VERSION_NOT_SUPPORTED"),
        ("GetTask", "HTTP+JSON", "TASK_NOT_FOUND"),
        ("-", "HTTP+JSON", "RESOURCE_EXHAUSTED"),
    ]
    text = counted.text()[0].decode()
    for method, binding, code in codes:
        assert f'a2a_requests_total{{binding="{binding}",code="{code}",method="{method}"}} 1.0' in text


def test_a_warning_of_python_is_a_line_of_the_log_where_a_machine_reads_it() -> None:
    """README: one JSON object a line; frameworks warn on standard error as they please."""
    program = "import warnings; from a2a_bridge.observe import log; log.configure(); warnings.warn('mind this')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=20, check=True)
    (line,) = done.stderr.splitlines()
    said = json.loads(line)
    assert (said["level"], said["logger"]) == ("warning", "py.warnings")
    assert "UserWarning: mind this" in said["event"]


@pytest.mark.parametrize("form", [log.JsonLines(), log.KeyValues()])
def test_a_field_never_takes_the_place_of_what_a_line_says(form: logging.Formatter) -> None:
    """A number called `event` once was all that was left of a line."""
    record = logging.makeLogRecord(
        {"name": "a2a_bridge.tasks", "levelname": "INFO", "msg": "webhook not reached", "fields": {"event": 4, "n": 5}}
    )
    line = form.format(record)
    assert "webhook not reached" in line
    assert '"event_": 4' in line or "event_=4" in line
    assert '"n": 5' in line or "n=5" in line
