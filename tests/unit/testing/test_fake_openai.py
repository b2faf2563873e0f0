"""The fake OpenAI-compatible server, asked by OpenAI's own client."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlsplit

import openai
import pytest

from a2a_bridge.testing.fake_model import Conversation, Said, instance_of
from a2a_bridge.testing.fake_openai import FakeOpenAI

ADD = {
    "name": "add",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
}
TOOLS: Any = [{"type": "function", "function": ADD}]


@pytest.fixture
def model() -> Any:
    """The server."""
    with FakeOpenAI() as model:
        yield model


@pytest.fixture
async def client(model: FakeOpenAI) -> AsyncIterator[openai.AsyncOpenAI]:
    """OpenAI's client, without retries."""
    async with openai.AsyncOpenAI(base_url=model.base_url, api_key="x", max_retries=0) as client:
        yield client


def user(text: str) -> Any:
    """One user message."""
    return [{"role": "user", "content": text}]


async def test_it_says_what_it_is_told(client: openai.AsyncOpenAI) -> None:
    """Ours: a test foresees the words."""
    answer = await client.chat.completions.create(model="m", messages=user("[host] SAY good morning\nand more"))
    assert answer.choices[0].message.content == "good morning"
    assert answer.usage
    assert answer.usage.total_tokens > 1


async def test_it_echoes_by_default(client: openai.AsyncOpenAI) -> None:
    """Ours: any message gets an answer."""
    answer = await client.chat.completions.create(model="m", messages=user("hello"))
    assert answer.choices[0].message.content == "Echo: hello"


async def test_it_streams_word_by_word_and_counts_when_asked(client: openai.AsyncOpenAI) -> None:
    """OpenAI: usage comes in a last chunk, only with `include_usage`."""
    stream = await client.chat.completions.create(
        model="m", messages=user("SAY one two"), stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert [c.choices[0].delta.content for c in chunks if c.choices and c.choices[0].delta.content] == ["one ", "two"]
    assert chunks[-1].usage
    plain = await client.chat.completions.create(model="m", messages=user("SAY one"), stream=True)
    assert all(chunk.usage is None for chunk in [chunk async for chunk in plain])


@pytest.mark.parametrize("stream", [False, True])
async def test_it_calls_tools_and_reads_their_results(client: openai.AsyncOpenAI, stream: bool) -> None:
    """Ours: CALL makes a tool call, its result is told afterwards."""
    said = user('CALL add {"a": 2}')
    if stream:
        chunks = await client.chat.completions.create(model="m", messages=said, tools=TOOLS, stream=True)
        deltas = [c.choices[0].delta.tool_calls[0] async for c in chunks if c.choices[0].delta.tool_calls]
        call_id = deltas[0].id
        arguments = "".join(delta.function.arguments or "" for delta in deltas if delta.function)
    else:
        answer = await client.chat.completions.create(model="m", messages=said, tools=TOOLS)
        (call,) = answer.choices[0].message.tool_calls or ()
        assert call.type == "function"
        call_id, arguments = call.id, call.function.arguments
    assert json.loads(arguments) == {"a": 2}
    calls = [{"id": call_id, "type": "function", "function": {"name": "add", "arguments": arguments}}]
    done = [
        *said,
        {"role": "assistant", "tool_calls": calls},
        {"role": "tool", "tool_call_id": call_id, "content": "2"},
    ]
    answer = await client.chat.completions.create(model="m", messages=done, tools=TOOLS)
    assert answer.choices[0].message.content == "Tool said: 2"


async def test_it_refuses_a_tool_call_without_a_result(client: openai.AsyncOpenAI) -> None:
    """OpenAI: every tool call is answered before the conversation goes on."""
    calls = [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": "{}"}}]
    messages: Any = [{"role": "assistant", "tool_calls": calls}, *user("hello")]
    with pytest.raises(openai.BadRequestError, match="c1"):
        await client.chat.completions.create(model="m", messages=messages)


async def test_it_answers_in_the_form_of_a_schema(client: openai.AsyncOpenAI) -> None:
    """Ours: the given object, else a small instance of the schema."""
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": ADD["parameters"]}}
    for text, wanted in (("anything", {"a": 1}), ('JSON {"a": 7}', {"a": 7})):
        answer = await client.chat.completions.create(model="m", messages=user(text), response_format=form)
        assert json.loads(answer.choices[0].message.content or "") == wanted


async def test_a_forced_tool_is_called(client: openai.AsyncOpenAI) -> None:
    """OpenAI: `tool_choice` may name the tool."""
    choice: Any = {"type": "function", "function": {"name": "add"}}
    answer = await client.chat.completions.create(model="m", messages=user("x"), tools=TOOLS, tool_choice=choice)
    assert [
        call.type == "function" and call.function.arguments for call in answer.choices[0].message.tool_calls or ()
    ] == ['{"a": 1}']


@pytest.mark.parametrize("status", [500, 429])
async def test_it_fails_when_told(client: openai.AsyncOpenAI, status: int) -> None:
    """Ours: errors of the provider, always or once."""
    for _ in range(2):
        with pytest.raises(openai.APIStatusError) as failure:
            await client.chat.completions.create(model="m", messages=user(f"FAIL{status}"))
        assert failure.value.status_code == status
    with pytest.raises(openai.APIStatusError):
        await client.chat.completions.create(model="m", messages=user(f"FAIL{status}ONCE"))
    answer = await client.chat.completions.create(model="m", messages=user(f"FAIL{status}ONCE"))
    assert answer.choices[0].message.content == "Recovered."


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_hangs_up_is_noticed(client: openai.AsyncOpenAI, model: FakeOpenAI, stream: bool) -> None:
    """Ours: so that a test can tell whether a cancelled turn stopped its model."""

    async def ask() -> None:
        answer = await client.chat.completions.create(model="m", messages=user("SLOW"), stream=stream)
        if stream:
            async with answer:
                async for _ in answer:
                    pass

    task = asyncio.create_task(ask())
    await model.until(lambda m: m.open == 1)
    task.cancel()
    await model.until(lambda m: m.open == 0)
    assert model.aborted == 1


async def test_release_lets_slow_answers_finish(client: openai.AsyncOpenAI, model: FakeOpenAI) -> None:
    """Ours: a test waits for nothing but what it is about."""
    task = asyncio.create_task(client.chat.completions.create(model="m", messages=user("SLOW")))
    await model.until(lambda m: m.open == 1)
    model.release()
    answer = await asyncio.wait_for(task, 5)
    assert str(answer.choices[0].message.content).endswith("w59")
    assert model.aborted == 0


async def test_the_responses_wire_says_the_same(client: openai.AsyncOpenAI, model: FakeOpenAI) -> None:
    """OpenAI's other API, streamed and not, with a function call."""
    answer = await client.responses.create(model="m", input="SAY good morning", instructions="Be kind.")
    assert answer.output_text == "good morning"
    assert answer.usage
    tools: Any = [{"type": "function", **ADD}]
    called = await client.responses.create(model="m", input='CALL add {"a": 2}', tools=tools)
    assert [(item.type, getattr(item, "arguments", "")) for item in called.output] == [("function_call", '{"a": 2}')]
    stream = await client.responses.create(model="m", input="SAY one two", stream=True)
    events = [event async for event in stream]
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == ["one ", "two"]
    assert events[-1].type == "response.completed"


async def test_another_model_can_be_put_in() -> None:
    """Ours: `model` decides what is said."""

    def counts(asked: Conversation) -> Said:
        return Said(text=str(len(asked.lines)))

    with FakeOpenAI(counts) as model:
        async with openai.AsyncOpenAI(base_url=model.base_url, api_key="x") as client:
            assert [one.id async for one in client.models.list()] == ["fake-model"]
            answer = await client.chat.completions.create(model="m", messages=[*user("a"), *user("b")])
    assert answer.choices[0].message.content == "2"


def test_instances_fit_nested_schemas() -> None:
    """Ours: references, choices, arrays."""
    schema = {
        "$defs": {"name": {"type": "string", "enum": ["Ada", "Bob"]}},
        "type": "object",
        "properties": {
            "names": {"type": "array", "items": {"$ref": "#/$defs/name"}},
            "maybe": {"anyOf": [{"type": "null"}, {"type": "string"}]},
            "optional": {"type": "string"},
        },
        "required": ["names", "maybe"],
    }
    assert instance_of(schema) == {"names": ["Ada"], "maybe": None}


def test_many_clients_may_come_at_once() -> None:
    """Ours: whose turn it is not to be accepted yet is not sent away, also when the machine is slow."""
    model = FakeOpenAI()  # which accepts nobody yet
    address = urlsplit(model.base_url)
    with ExitStack() as clients:
        for _ in range(100):
            clients.enter_context(socket.create_connection((address.hostname or "", address.port or 0), timeout=2.0))
        with model:
            pass
