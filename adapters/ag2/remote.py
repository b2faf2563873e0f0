"""A remote A2A agent, or any agent of ours, as an AG2 1.x agent: to be asked, or to be a tool of another one.

    critic = a2a_agent("https://example.org/critic", name="critic")
    writer = Agent("writer", config=config, tools=[critic.as_tool(description="Criticises a draft.")])

It is an ordinary `ag2.Agent` whose model is the remote. A stream is a conversation: what the remote knows of it is kept
in memory by the stream's id, for the newest thousand streams. The call that AG2 awaits owns the turn: when AG2 cancels
it, the remote task is cancelled.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from typing import Any

from a2a_bridge.errors import AdapterError, needs_extra

with needs_extra("ag2"):
    from ag2 import Agent
    from ag2.config import LLMClient, ModelConfig
    from ag2.events import (
        BinaryInput,
        BinaryResult,
        DataInput,
        ModelMessage,
        ModelMessageChunk,
        ModelRequest,
        ModelResponse,
        TextInput,
        Usage,
    )
    from ag2.events.input_events import UrlInput

from pydantic_core import to_jsonable_python

from a2a_bridge.adaptation import adapt
from a2a_bridge.client.hosted import Conversations, Hosted, Tokens, hosted_message
from a2a_bridge.protocol.objects import Message, Part, dump, json_bytes


def a2a_agent(target: Any, *, name: str, description: str | None = None, leaves_out_tools: bool = False) -> Agent[Any]:
    """`target`, a URL or whatever `adapt` takes, as an AG2 agent.

    When the remote agent asks, its question is the reply, and the next `ask` on the same stream is the answer. It
    takes no tools and no response schema: those are the remote's own. A failure of the remote is raised.
    `leaves_out_tools`: for `ag2.network`, which gives every agent its tools: the remote does without them, and speaks.
    """
    return Agent(name, description or (), config=A2AConfig(target, name=name, leaves_out_tools=leaves_out_tools))


class A2AConfig(ModelConfig):  # type: ignore[misc]  # checked without the framework's types
    """A model configuration whose model is a remote agent."""

    def __init__(self, target: Any, *, name: str, leaves_out_tools: bool = False) -> None:
        self._talks = Conversations(adapt(target, name=name))
        self._name = name
        self._leaves_out_tools = leaves_out_tools

    @property
    def provider(self) -> Any:
        """None of AG2's own."""
        return "a2a"

    @property
    def model(self) -> str:
        """The remote agent's name here."""
        return self._name

    def copy(self) -> "A2AConfig":
        """The same: its conversations are kept by their streams."""
        return self

    def create(self) -> LLMClient:
        """What AG2 calls as its model."""
        return _RemoteClient(self)

    def create_files_client(self) -> Any:
        """There is no store of files behind an agent."""
        raise AdapterError(f"the agent {self._name!r} has no files API: send a file as an input of the message")

    def check(self, tools: Iterable[Any], response_schema: Any) -> None:
        """AdapterError for what is not for a remote agent."""
        if response_schema is not None or (list(tools) and not self._leaves_out_tools):
            raise AdapterError(
                f"the remote agent {self._name!r} takes no tools and no response schema of ours; where AG2 gives tools"
                " to all its agents, as its network does: a2a_agent(..., leaves_out_tools=True)"
            )

    def talk(self, stream_id: object, events: Sequence[Any]) -> Hosted:
        """The conversation of a stream that has had these events."""
        name, earlier = str(stream_id), None
        if name not in self._talks:
            answered = [number for number, event in enumerate(events, 1) if isinstance(event, ModelResponse)]
            earlier = _told(events[: answered[-1]]) if answered else None
        return self._talks.named(name, earlier=earlier)


class _RemoteClient(LLMClient):  # type: ignore[misc]  # checked without the framework's types
    def __init__(self, config: A2AConfig) -> None:
        self._config = config

    async def __call__(
        self,
        messages: Sequence[Any],
        context: Any,
        *,
        tools: Iterable[Any] = (),
        response_schema: Any = None,
        serializer: Any = None,
    ) -> ModelResponse:
        self._config.check(tools, response_schema)
        talk, tokens = self._config.talk(context.stream.id, messages), Tokens()
        async with aclosing(talk.take(_new(messages, talk, self._config.model), key=_key(messages))) as replies:
            async for reply in replies:
                if text := tokens.of(reply):
                    await context.send(ModelMessageChunk(text))
        used = talk.outcome.usage
        message = ModelMessage("\n".join(_words(part) for part in talk.parts if part.raw is None))
        await context.send(message)
        return ModelResponse(
            message,
            usage=Usage(prompt_tokens=used.input_tokens, completion_tokens=used.output_tokens),
            files=[
                BinaryResult(part.raw, {"media_type": part.media_type}) for part in talk.parts if part.raw is not None
            ],
            model=used.model or self._config.model,
            provider="a2a",
        )


def _new(events: Sequence[Any], talk: Hosted, name: str) -> list[Message]:
    """What has been said since the last response; everything, if the remote was never told anything here."""
    new: list[Message] = []
    for number, event in enumerate(events):
        if isinstance(event, ModelResponse):
            if talk.turns:
                new = []
            elif event.message is not None:
                new.append(hosted_message([Part(text=event.message.content)], key=f"{number}", speaker=name))
        elif isinstance(event, ModelRequest):
            new.append(hosted_message([_part(piece) for piece in event.parts], key=f"{number}"))
    return new or [hosted_message([Part(text="")], key="empty")]


def _key(events: Sequence[Any]) -> str:
    """The same for the same conversation: AG2's events have no ids."""
    return hashlib.sha256(json.dumps(_told(events), sort_keys=True, default=str).encode()).hexdigest()


def _told(events: Sequence[Any]) -> list[Any]:
    said: list[Any] = []
    for event in events:
        if isinstance(event, ModelRequest):
            said.append([dump(_part(piece)) for piece in event.parts])
        elif isinstance(event, ModelResponse):
            said.append(event.content)
    return said


def _part(piece: Any) -> Part:
    if isinstance(piece, TextInput):
        return Part(text=piece.content)
    if isinstance(piece, BinaryInput):
        return Part(raw=piece.data, media_type=str(piece.media_type), filename=piece.vendor_metadata.get("filename"))
    if isinstance(piece, UrlInput):
        return Part(url=piece.url)
    if isinstance(piece, DataInput):
        return Part(data=to_jsonable_python(piece.data, fallback=str), media_type="application/json")
    raise AdapterError(f"an input of the kind {type(piece).__name__} cannot be sent to a remote agent")


def _words(part: Part) -> str:
    if part.text is not None:
        return part.text
    return json_bytes(part.data).decode() if part.kind == "data" else f"[{part.filename or part.url}]"
