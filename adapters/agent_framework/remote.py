"""A remote A2A agent, or any agent of ours, as an agent of Microsoft's Agent Framework: alone or in a workflow.

    critic = A2AAgent("https://example.org/critic", name="critic")
    workflow = WorkflowBuilder(start_executor=writer).add_edge(writer, critic).build()

The conversation is kept in the session's state, under the key "a2a:NAME", and goes where the session goes: into a
checkpoint of a workflow, say. The stream that `run` returns owns the turn: closing it, or cancelling who reads it,
cancels the remote task. A step that is run again with the session as it was sends the same message, and the remote
answers from the task it has.
"""

import hashlib
import json
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from a2a_bridge.errors import needs_extra

with needs_extra("agent-framework"):
    from agent_framework import (
        AgentResponse,
        AgentResponseUpdate,
        AgentSession,
        BaseAgent,
        Content,
        ResponseStream,
        UsageDetails,
        normalize_messages,
    )

from a2a_bridge.adaptation import adapt
from a2a_bridge.client.hosted import Hosted, Tokens, hosted_message
from a2a_bridge.protocol.objects import Message, Part, json_bytes
from adapters.agent_framework.messages import file_part

STATE = "a2a"


class A2AAgent(BaseAgent):  # type: ignore[misc]  # checked without the framework's types
    """`target`: a URL, or whatever `adapt` takes.

    When the remote agent asks, its question is the response, and the next run with the session is the answer. A
    failure of the remote is raised as AdapterFailedError. Without a session each run is a conversation of its own.
    """

    def __init__(self, target: Any, *, name: str, description: str | None = None) -> None:
        self._remote = adapt(target, name=name, description=description)
        super().__init__(name=name, description=description or self._remote.description)

    def run(
        self, messages: Any = None, *, stream: bool = False, session: AgentSession | None = None, **_: Any
    ) -> "ResponseStream[AgentResponseUpdate, AgentResponse[Any]] | Awaitable[AgentResponse[Any]]":
        """One turn of the remote agent. What else the framework passes on, tools say, is for its own models."""
        updates = ResponseStream(
            self._updates(normalize_messages(messages), session or AgentSession()),
            finalizer=AgentResponse.from_updates,
        )
        return updates if stream else updates.get_final_response()

    async def _updates(self, messages: Sequence[Any], session: AgentSession) -> AsyncGenerator[Any, None]:
        key = f"{STATE}:{self.name}"  # agents may share a session, and are conversations of their own in it
        kept = session.state.get(key) or {}
        hosted = Hosted(self._remote, str(uuid5(NAMESPACE_URL, f"urn:a2a-bridge:{session.session_id}:{self.name}")))
        if kept:
            hosted.load(kept["hosted"])
        new = self._new(messages, kept.get("heard", 0), kept.get("digest", ""))
        said = [_from_framework(message) for message in new] or [hosted_message([Part(text="")], key="empty")]
        tokens, shown, message_id = Tokens(), "", str(uuid4())

        def update(*contents: Any) -> Any:
            return AgentResponseUpdate(
                contents=list(contents), role="assistant", author_name=self.name, message_id=message_id
            )

        async with aclosing(hosted.take(said, key=f"{hosted.turns}:{_digest(new)}")) as replies:
            async for reply in replies:
                if text := tokens.of(reply):
                    shown += text
                    yield update(Content.from_text(text))
        session.state[key] = {"hosted": hosted.state, "heard": len(messages), "digest": _digest(messages)}
        words = "\n".join(_words(part) for part in hosted.parts if part.raw is None and part.url is None)
        if words != shown:
            yield update(Content.from_text(words, merge_mode="replace" if shown else None))
        for part in hosted.parts:
            if part.raw is not None:
                yield update(Content.from_data(part.raw, media_type=part.media_type or "application/octet-stream"))
            elif part.url is not None:
                yield update(Content.from_uri(part.url, media_type=part.media_type or "application/octet-stream"))
        used = hosted.outcome.usage
        if used.input_tokens or used.output_tokens:
            counted = UsageDetails(input_token_count=used.input_tokens, output_token_count=used.output_tokens)
            yield update(Content.from_usage(counted))

    def _new(self, messages: Sequence[Any], heard: int, digest: str) -> list[Any]:
        """What the remote has not been told: a workflow may pass on the whole conversation each time. What is the same
        as before is said again."""
        is_longer = 0 < heard < len(messages) and _digest(messages[:heard]) == digest
        new = messages[heard:] if is_longer else messages
        return [message for message in new if message.role != "assistant" or message.author_name != self.name]


def _digest(messages: Sequence[Any]) -> str:
    told = [
        [message.role, message.author_name, [content.to_dict() for content in message.contents]] for message in messages
    ]
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _from_framework(message: Any) -> Message:
    parts = []
    for content in message.contents:
        if content.type == "text":
            parts.append(Part(text=content.text))
        elif (found := file_part(content)) is not None:
            parts.append(found)
        elif content.type == "function_result":
            parts.append(Part(text=str(content.result)))
    key = message.message_id or _digest([message])
    return hosted_message(parts or [Part(text="")], key=key, speaker=message.author_name or None)


def _words(part: Part) -> str:
    return part.text if part.text is not None else json_bytes(part.data).decode()
