"""A remote A2A agent, or any agent of ours, as an AutoGen agent: for a seat in a team, or alone.

    team = RoundRobinGroupChat([writer, A2AAgent("https://example.org/critic", name="critic")], max_turns=4)

The task is run by `on_messages_stream`, which owns it: a cancelled token, or a stream that is left, cancels the
remote task. `save_state` holds the remote's context and task, so a team that is loaded again and runs a step again
sends the same message, and the remote answers from the task it has.
"""

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from a2a_bridge.errors import AdapterError, needs_extra

with needs_extra("autogen"):
    from autogen_agentchat.agents import BaseChatAgent
    from autogen_agentchat.base import Response
    from autogen_agentchat.messages import (
        BaseAgentEvent,
        BaseChatMessage,
        HandoffMessage,
        ModelClientStreamingChunkEvent,
        MultiModalMessage,
        StructuredMessage,
        TextMessage,
        ThoughtEvent,
    )
    from autogen_core import CancellationToken, Component, Image
    from autogen_core.models import RequestUsage

from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import Progress, Reply
from a2a_bridge.client.hosted import Hosted, Tokens, hosted_message
from a2a_bridge.protocol.objects import Message, Part, json_bytes


class A2AAgentConfig(BaseModel):
    """What AutoGen writes down of an agent at a URL."""

    url: str
    name: str
    description: str | None = None
    asks: str | None = None


class A2AAgent(BaseChatAgent, Component[A2AAgentConfig]):  # type: ignore[misc]  # checked without the framework's types
    """`target`: a URL, or whatever `adapt` takes. `name` must be an identifier, as AutoGen wants it.

    When the remote agent asks, its question is the message, and the next message that comes is the answer. `asks`:
    a handoff target, "user" say, that the question is handed to instead, for a team with a HandoffTermination.
    """

    component_config_schema = A2AAgentConfig
    component_provider_override = "adapters.autogen.remote.A2AAgent"

    def __init__(self, target: Any, *, name: str, description: str | None = None, asks: str | None = None) -> None:
        agent = adapt(target, name=name, description=description)
        super().__init__(name, description or agent.description)
        self._hosted = Hosted(agent)
        self._asks = asks
        self._url, self._described = target if isinstance(target, str) else None, description

    @property
    def produced_message_types(self) -> Sequence[type[BaseChatMessage]]:
        """What a response may be."""
        return (TextMessage, MultiModalMessage, HandoffMessage)

    async def on_messages(self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken) -> Response:
        """The response to what is new."""
        async for event in self.on_messages_stream(messages, cancellation_token):
            if isinstance(event, Response):
                return event
        raise RuntimeError(f"{self.name!r} has given no response")

    async def on_messages_stream(
        self, messages: Sequence[BaseChatMessage], cancellation_token: CancellationToken
    ) -> AsyncGenerator[BaseAgentEvent | BaseChatMessage | Response, None]:
        """What the remote agent says as it comes, then the response. Raises AdapterFailedError when it fails."""
        inner: list[BaseAgentEvent] = []
        tokens = Tokens()
        async with aclosing(self._replies(messages, cancellation_token)) as replies:
            async for reply in replies:
                if isinstance(reply, Progress):
                    inner.append(ThoughtEvent(content=reply.text, source=self.name))
                    yield inner[-1]
                elif text := tokens.of(reply):
                    yield ModelClientStreamingChunkEvent(content=text, source=self.name)
        yield Response(chat_message=self._message(), inner_messages=inner)

    async def _replies(
        self, messages: Sequence[BaseChatMessage], token: CancellationToken
    ) -> AsyncGenerator[Reply | str, None]:
        """The remote's replies; the token ends the wait for each."""
        said = [_from_autogen(message) for message in messages] or [hosted_message([Part(text="")], key="empty")]
        ids = hashlib.sha256("\n".join(message.message_id for message in said).encode()).hexdigest()
        async with aclosing(self._hosted.take(said, key=f"{self._hosted.turns}:{ids}")) as replies:
            while True:
                following = asyncio.ensure_future(anext(replies, None))
                token.link_future(following)
                try:
                    reply = await following
                finally:
                    if not following.done():
                        following.cancel()
                        await asyncio.wait([following])
                if reply is None:
                    return
                yield reply

    def _message(self) -> BaseChatMessage:
        outcome, usage = self._hosted.outcome, self._hosted.outcome.usage
        counted = RequestUsage(prompt_tokens=usage.input_tokens, completion_tokens=usage.output_tokens)
        said: Any = [_content(part) for part in self._hosted.parts]
        # A remote's tokens are its own; they are told, and AutoGen counts them to this agent.
        told = {"source": self.name, "models_usage": counted if usage.input_tokens or usage.output_tokens else None}
        if outcome.asks and self._asks:
            text = "\n".join(piece for piece in said if isinstance(piece, str))
            return HandoffMessage(content=text, target=self._asks, **told)
        if all(isinstance(piece, str) for piece in said):
            return TextMessage(content="\n".join(said), **told)
        return MultiModalMessage(content=said, **told)

    async def on_reset(self, cancellation_token: CancellationToken) -> None:
        """Start a new conversation with the remote agent."""
        self._hosted = Hosted(self._hosted.agent)

    async def save_state(self) -> Mapping[str, Any]:
        """The remote's context and task, and how far the conversation is."""
        return self._hosted.state

    async def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on where the state was saved."""
        self._hosted = Hosted(self._hosted.agent)
        self._hosted.load(state)

    def _to_config(self) -> A2AAgentConfig:
        """For `dump_component`, of a team too."""
        if self._url is None:
            raise AdapterError(f"the agent {self.name!r} was not given by a URL, so it cannot be written down as one")
        return A2AAgentConfig(url=self._url, name=self.name, description=self._described, asks=self._asks)

    @classmethod
    def _from_config(cls, config: A2AAgentConfig) -> "A2AAgent":
        return cls(config.url, name=config.name, description=config.description, asks=config.asks)


def _from_autogen(message: BaseChatMessage) -> Message:
    parts = []
    if isinstance(message, MultiModalMessage):
        for piece in message.content:
            is_image = isinstance(piece, Image)
            raw = base64.b64decode(piece.to_base64()) if is_image else None
            parts.append(Part(raw=raw, media_type="image/png") if is_image else Part(text=piece))
    elif isinstance(message, StructuredMessage):
        parts.append(Part(data=to_jsonable_python(message.content, fallback=str), media_type="application/json"))
    else:
        parts.append(Part(text=message.to_text()))
    return hosted_message(parts, key=message.id, speaker=None if message.source == "user" else message.source)


def _content(part: Part) -> Any:
    if part.text is not None:
        return part.text
    if part.kind == "data":
        return json_bytes(part.data).decode()
    if part.raw is not None and (part.media_type or "").startswith("image/"):
        return Image.from_base64(base64.b64encode(part.raw).decode("ascii"))
    return f"[{part.filename or part.url or 'file'}: {part.media_type or 'a file'}]"
