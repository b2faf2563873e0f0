"""A remote A2A agent, or any agent of ours, for the OpenAI Agents SDK: as a tool, or as an agent to hand over to.

    critic = a2a_agent("https://example.org/critic", name="critic")
    writer = Agent(name="writer", tools=[a2a_tool("https://example.org/weather", name="weather")], handoffs=[critic])

The agent is an ordinary `agents.Agent` whose model is the remote. Which conversation of the remote a run goes on with
stands in the ids of the messages that the remote has given, so it is found again wherever the host keeps its items;
what the remote knows is kept in memory. The SDK's task that awaits the tool or the model owns the turn: when it is
cancelled, the remote task is.
"""

import hashlib
import json
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, cast
from uuid import NAMESPACE_URL, UUID, uuid4, uuid5

from a2a_bridge.errors import AdapterError, AdapterFailedError, needs_extra

with needs_extra("openai-agents"):
    from agents import (
        Agent,
        FunctionTool,
        Model,
        ModelResponse,
        RunContextWrapper,
        Usage,
        default_tool_error_function,
        function_tool,
    )
    from agents.tool_context import ToolContext
    from openai.types.responses import (
        Response,
        ResponseCompletedEvent,
        ResponseOutputItemAddedEvent,
        ResponseOutputItemDoneEvent,
        ResponseOutputMessage,
        ResponseOutputText,
        ResponseTextDeltaEvent,
        ResponseUsage,
    )

from a2a_bridge.adaptation import adapt
from a2a_bridge.client.hosted import UNIQUE_ID, Conversations, Hosted, Tokens, Tool, hosted_message, retold
from a2a_bridge.protocol.media import words_of
from a2a_bridge.protocol.objects import Message, Part
from adapters.openai_agents.messages import to_parts

_MARK = "msg_a2a"


def a2a_agent(target: Any, *, name: str, description: str | None = None) -> Agent[Any]:
    """`target`, a URL or whatever `adapt` takes, as an agent to run, to hand over to, or to make a tool with `as_tool`.

    It is told what was said, not what the host's tools were called with and gave. When it asks, its question is the
    reply and what the user says next is the answer. It takes no instructions, tools, handoffs or output
    type: those are the remote's own. A failure of the remote is raised as AdapterFailedError.
    """
    model = A2AModel(target, name=name)
    return Agent(name=name, handoff_description=description or model.description, model=model)


def a2a_tool(target: Any, *, name: str, description: str | None = None) -> FunctionTool:
    """`target`, a URL or whatever `adapt` takes, as a function tool.

    What it gives names the conversation, which the model may go on with: that is how it answers a question of the
    remote. A call that is run again with the same call id is the same turn.
    """
    tool = Tool(adapt(target, name=name, description=description))

    @function_tool(  # type: ignore[untyped-decorator]  # checked without the framework's types
        name_override=name,
        description_override=description or tool.agent.description,
        failure_error_function=_failure,
    )
    async def ask(context: ToolContext[Any], message: str, conversation: str = "") -> str:
        """Ask the remote agent.

        Args:
            message: What is said to the agent.
            conversation: Empty for a new conversation, else the one that an earlier result names.
        """
        call = context.tool_call_id
        return await tool.call(message, conversation, unique=call if len(call) >= UNIQUE_ID else "")

    return cast(FunctionTool, ask)


def _failure(context: RunContextWrapper[Any], error: Exception) -> str:
    """What the model is told: our own words, which were made to be read, and the SDK's for anything else."""
    return str(error) if isinstance(error, AdapterFailedError) else default_tool_error_function(context, error)


class A2AModel(Model):  # type: ignore[misc]  # checked without the framework's types
    """A model that is a remote agent."""

    def __init__(self, target: Any, *, name: str) -> None:
        self._talks = Conversations(adapt(target, name=name))
        self._name = name
        self._owner = hashlib.sha256(name.encode()).hexdigest()[:8]

    @property
    def description(self) -> str:
        """What the remote's card says, once it is known."""
        return self._talks.agent.description

    # The SDK passes more than two things to a model, and more with every release: `_check` looks at those that matter.

    async def get_response(
        self, system_instructions: str | None, input: str | list[Any], *given: Any, **named: Any
    ) -> ModelResponse:
        """The remote's turn."""
        self._check(system_instructions, dict(zip(_GIVEN, given, strict=False)) | named)
        async with aclosing(self._events(input)) as events:
            async for event in events:
                if isinstance(event, ResponseCompletedEvent):
                    return ModelResponse(event.response.output, _usage(event.response.usage), response_id=None)
        raise AdapterFailedError(f"the agent {self._name!r} did not answer")

    async def stream_response(
        self, system_instructions: str | None, input: str | list[Any], *given: Any, **named: Any
    ) -> AsyncGenerator[Any, None]:
        """The remote's words as they come, then the whole response."""
        self._check(system_instructions, dict(zip(_GIVEN, given, strict=False)) | named)
        async with aclosing(self._events(input)) as events:
            async for event in events:
                yield event

    async def _events(self, input: str | list[Any]) -> AsyncGenerator[Any, None]:
        items = [{"role": "user", "content": input}] if isinstance(input, str) else input
        digest = _digest(items)
        talk, new = self._conversation(items, digest)
        message_id = f"{_MARK}_{UUID(talk.context_id).hex}_{self._owner}{digest[:12]}"
        number, tokens = 0, Tokens()
        yield ResponseOutputItemAddedEvent(
            item=_message(message_id), output_index=0, sequence_number=0, type="response.output_item.added"
        )
        async with aclosing(talk.take(new, key=digest)) as replies:
            async for reply in replies:
                if text := tokens.of(reply):
                    number += 1
                    yield _delta(text, message_id, number)
        message = _message(message_id, words_of(talk.parts))
        yield ResponseOutputItemDoneEvent(
            item=message, output_index=0, sequence_number=number + 1, type="response.output_item.done"
        )
        response = _response(message, talk, self._name)
        yield ResponseCompletedEvent(response=response, sequence_number=number + 2, type="response.completed")

    def _check(self, instructions: str | None, given: Mapping[str, Any]) -> None:
        if instructions or given.get("tools") or given.get("output_schema") or given.get("handoffs"):
            raise AdapterError(
                f"the remote agent {self._name!r} takes no instructions, tools, handoffs or output type of ours"
            )

    def _is_own(self, message_id: str) -> bool:
        """Whether it is a message of this agent, and not one of another remote that the host has handed over to."""
        return message_id.startswith(_MARK) and message_id.rpartition("_")[2].startswith(self._owner)

    def _conversation(self, items: Sequence[Any], digest: str) -> tuple[Hosted, list[Message]]:
        """The conversation that the items belong to, and what is new in it. One that is not known here is told from its
        start, in a context of its own."""
        marked = [number for number, item in enumerate(items) if self._is_own(str(item.get("id")))]
        if marked:
            name, begin = str(UUID(items[marked[-1]]["id"].split("_")[2])), marked[-1] + 1
            if name not in self._talks:
                name, begin = retold(name, items[:begin]), 0
        else:
            ids = (str(item.get("call_id") or item.get("id") or "") for item in items)
            name, begin = _fresh(digest, is_unique=any(len(one) >= UNIQUE_ID for one in ids)), 0
        new = []
        for number, item in enumerate(items[begin:], begin):
            if parts := to_parts(item):
                own = self._name if number in marked else "assistant"
                speaker = own if item["role"] == "assistant" else None
                new.append(hosted_message(parts, key=f"{digest}:{number}", speaker=speaker))
        return self._talks.named(name), new or [hosted_message([Part(text="")], key=f"{digest}:empty")]


_GIVEN = ("model_settings", "tools", "output_schema", "handoffs", "tracing")
"""The names of what the SDK passes by position."""


def _fresh(told: str, *, is_unique: bool) -> str:
    """A name for a new conversation: always the same for what is told, if nobody else can tell the same."""
    return str(uuid5(NAMESPACE_URL, f"urn:a2a-bridge:openai-agents:{told}") if is_unique else uuid4())


def _digest(items: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(items, sort_keys=True, default=str).encode()).hexdigest()


def _message(message_id: str, text: str | None = None) -> ResponseOutputMessage:
    """The whole message, or one that has only begun."""
    content = [] if text is None else [ResponseOutputText(text=text, type="output_text", annotations=[])]
    status: Any = "in_progress" if text is None else "completed"
    return ResponseOutputMessage(id=message_id, content=content, role="assistant", status=status, type="message")


def _delta(text: str, message_id: str, number: int) -> ResponseTextDeltaEvent:
    return ResponseTextDeltaEvent(
        content_index=0,
        delta=text,
        item_id=message_id,
        logprobs=[],
        output_index=0,
        sequence_number=number,
        type="response.output_text.delta",
    )


def _response(message: ResponseOutputMessage, talk: Hosted, name: str) -> Response:
    used = talk.outcome.usage
    usage = {
        "input_tokens": used.input_tokens,
        "output_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    return Response(
        id=message.id,
        created_at=time.time(),
        model=used.model or name,
        object="response",
        output=[message],
        parallel_tool_calls=False,
        tool_choice="none",
        tools=[],
        usage=ResponseUsage.model_validate(usage),
    )


def _usage(used: ResponseUsage | None) -> Usage:
    if used is None:
        return Usage()
    return Usage(1, input_tokens=used.input_tokens, output_tokens=used.output_tokens, total_tokens=used.total_tokens)
