"""A remote A2A agent, or any agent of ours, for Pydantic AI: as an agent or model, or as a tool.

    critic = a2a_agent("https://example.org/critic", name="critic")
    writer = Agent("openai:gpt-5", tools=[a2a_tool("https://example.org/weather", name="weather")])

The agent is an ordinary `pydantic_ai.Agent` whose model is the remote. A conversation of Pydantic AI is one of the
remote's; what the remote knows of it is kept in memory. The task that awaits the model or the tool owns the turn: when
it is cancelled, or a stream is left, the remote task is cancelled.
"""

import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from a2a_bridge.errors import AdapterError, AdapterFailedError, needs_extra

with needs_extra("pydantic-ai"):
    from pydantic_ai import (
        Agent,
        BinaryContent,
        FilePart,
        ModelAPIError,
        ModelMessage,
        ModelMessagesTypeAdapter,
        ModelResponse,
        RequestUsage,
        RunContext,
        TextPart,
        Tool,
        ToolFailed,
    )
    from pydantic_ai.messages import ModelResponseStreamEvent
    from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
    from pydantic_ai.settings import ModelSettings

from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import Reply
from a2a_bridge.client.hosted import UNIQUE_ID, Conversations, Hosted, Tokens, hosted_message
from a2a_bridge.client.hosted import Tool as HostedTool
from a2a_bridge.protocol.media import words_of
from a2a_bridge.protocol.objects import Message, Part
from adapters.pydantic_ai.messages import to_parts

_SYSTEM = "a2a"


def a2a_agent(target: Any, *, name: str, description: str | None = None) -> Agent[Any, str]:
    """`target`, a URL or whatever `adapt` takes, as an agent to run and to stream.

    When it asks, its question is the output and the next run of the conversation is the answer. It takes no
    instructions, tools or output type: those are the remote's own. A failure of the remote is raised as
    RemoteFailedError.
    """
    model = A2AModel(target, name=name)
    return Agent(model, name=name, description=description or model.description)


def a2a_tool(target: Any, *, name: str, description: str | None = None) -> Tool[Any]:
    """`target`, a URL or whatever `adapt` takes, as a tool.

    What it gives names the conversation, which the model may go on with: that is how it answers a question of the
    remote. A call that is run again is the same turn.
    """
    tool = HostedTool(adapt(target, name=name, description=description))

    async def ask(context: RunContext[Any], message: str, conversation: str = "") -> str:
        """Ask the remote agent.

        Args:
            message: What is said to the agent.
            conversation: Empty for a new conversation, else the one that an earlier result names.
        """
        call = context.tool_call_id or ""
        # A run that is taken up has a new id; a call that a provider only counts is one of many in a conversation.
        scope = context.conversation_id if len(call) >= UNIQUE_ID else context.run_id
        try:
            return await tool.call(message, conversation, unique=f"{scope}:{call}" if scope and call else "")
        except AdapterFailedError as error:
            raise ToolFailed(str(error)) from error

    return Tool(ask, name=name, description=description or tool.agent.description)


class RemoteFailedError(AdapterFailedError, ModelAPIError):  # type: ignore[misc]  # checked without the framework's types
    """The remote agent did not answer. Pydantic AI knows it as a failure of a model: a FallbackModel takes the next."""

    def __init__(self, model_name: str, message: str) -> None:
        ModelAPIError.__init__(self, model_name, message)


class A2AModel(Model):  # type: ignore[misc]  # checked without the framework's types
    """A model that is a remote agent."""

    def __init__(self, target: Any, *, name: str) -> None:
        super().__init__()
        self._talks = Conversations(adapt(target, name=name))
        self._name = name

    @property
    def description(self) -> str:
        """What the remote's card says, once it is known."""
        return self._talks.agent.description

    @property
    def model_name(self) -> str:
        """The remote agent's name here."""
        return self._name

    @property
    def system(self) -> str:
        """None of Pydantic AI's own."""
        return _SYSTEM

    @property
    def provider(self) -> None:
        """None of Pydantic AI's own."""
        return None

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """The remote's turn. The settings are those of a model, and a remote agent is none."""
        talk, new, key = self._turn(messages, model_request_parameters)
        async with aclosing(self._replies(talk, new, key)) as replies:
            async for _ in replies:
                pass
        used = talk.outcome.usage
        return ModelResponse(
            [TextPart(_text(talk)), *_files(talk)],
            usage=RequestUsage(input_tokens=used.input_tokens, output_tokens=used.output_tokens),
            model_name=self._name,
            provider_name=_SYSTEM,
        )

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse, None]:
        """The remote's words as they come."""
        talk, new, key = self._turn(messages, model_request_parameters)
        async with aclosing(self._replies(talk, new, key)) as replies:
            yield _Streamed(model_request_parameters, _name=self._name, _talk=talk, _replies=replies)

    async def _replies(self, talk: Hosted, new: list[Message], key: str) -> AsyncGenerator[Reply | str, None]:
        try:
            async with aclosing(talk.take(new, key=key)) as replies:
                async for reply in replies:
                    yield reply
        except AdapterFailedError as error:
            raise RemoteFailedError(self._name, str(error)) from error

    def _turn(
        self, messages: Sequence[ModelMessage], parameters: ModelRequestParameters
    ) -> tuple[Hosted, list[Message], str]:
        """The conversation, what is new in it, and what the turn is called; all of it is new to who knows nothing."""
        last = messages[-1]
        tools = (*parameters.function_tools, *parameters.output_tools, *parameters.native_tools)
        if tools or parameters.output_mode != "text" or getattr(last, "instructions", None):
            raise AdapterError(f"the remote agent {self._name!r} takes no instructions, tools or output type of ours")
        own = [number for number, message in enumerate(messages) if self._is_own(message)]
        name, earlier = last.conversation_id or str(uuid4()), None
        if own and name not in self._talks:
            earlier = ModelMessagesTypeAdapter.dump_python(list(messages[: own[-1] + 1]), mode="json")
        talk = self._talks.named(name, earlier=earlier)
        begin = own[-1] + 1 if own and talk.turns else 0
        digest = hashlib.sha256(ModelMessagesTypeAdapter.dump_json(list(messages[begin:]))).hexdigest()
        key, new = f"{len(messages)}:{digest}", []
        for number, message in enumerate(messages[begin:], begin):
            if parts := to_parts(message):
                speaker = (self._name if number in own else "assistant") if isinstance(message, ModelResponse) else None
                new.append(hosted_message(parts, key=f"{key}:{number}", speaker=speaker))
        return talk, new or [hosted_message([Part(text="")], key=f"{key}:empty")], key

    def _is_own(self, message: ModelMessage) -> bool:
        return (
            isinstance(message, ModelResponse) and message.provider_name == _SYSTEM and message.model_name == self._name
        )


@dataclass
class _Streamed(StreamedResponse):  # type: ignore[misc]  # checked without the framework's types
    _name: str
    _talk: Hosted
    _replies: AsyncGenerator[Reply | str, None]
    _begun: datetime = field(default_factory=lambda: datetime.now(UTC))

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        tokens, shown, parts = Tokens(), "", self._parts_manager
        async for reply in self._replies:
            if text := tokens.of(reply):
                shown += text
                for event in parts.handle_text_delta(vendor_part_id="text", content=text):
                    yield event
        text = _text(self._talk)
        if not shown or not text.startswith(shown):  # a correction
            yield parts.handle_part(vendor_part_id="text", part=TextPart(text))
        elif text != shown:
            for event in parts.handle_text_delta(vendor_part_id="text", content=text.removeprefix(shown)):
                yield event
        for number, made in enumerate(_files(self._talk)):
            yield parts.handle_part(vendor_part_id=f"file-{number}", part=made)
        used = self._talk.outcome.usage
        self._usage = RequestUsage(input_tokens=used.input_tokens, output_tokens=used.output_tokens)

    async def close_stream(self) -> None:
        """Ends the remote task, if it has not ended."""
        await self._replies.aclose()

    @property
    def model_name(self) -> str:
        """The remote agent's name here."""
        return self._name

    @property
    def provider_name(self) -> str:
        """None of Pydantic AI's own."""
        return _SYSTEM

    @property
    def provider_url(self) -> None:
        """The agent's URL is the agent's."""
        return None

    @property
    def timestamp(self) -> datetime:
        """When the stream was begun."""
        return self._begun


def _text(talk: Hosted) -> str:
    return words_of([part for part in talk.parts if part.raw is None])


def _files(talk: Hosted) -> list[FilePart]:
    return [
        FilePart(BinaryContent(part.raw, media_type=part.media_type or "application/octet-stream"))
        for part in talk.parts
        if part.raw is not None
    ]
