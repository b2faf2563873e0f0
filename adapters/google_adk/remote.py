"""A remote A2A agent, or any agent of ours, as an agent of Google's ADK: the root, a sub-agent, or an `AgentTool`.

    critic = A2AAgent("https://example.org/critic", name="critic", description="Criticises a draft.")
    desk = SequentialAgent(name="desk", sub_agents=[writer, critic])

The conversation is kept in the session's state, which ADK derives from its events: a session that is loaded again goes
on where it was, and a step that is run again sends the same message. The run of the agent owns the turn: when ADK
closes or cancels it, the remote task is cancelled.
"""

import hashlib
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from a2a_bridge.errors import needs_extra

with needs_extra("google-adk"):
    from google.adk.agents import BaseAgent
    from google.adk.agents.run_config import StreamingMode
    from google.adk.events import Event, EventActions
    from google.genai import types

from pydantic import PrivateAttr

from a2a_bridge.adaptation import adapt
from a2a_bridge.client.hosted import Hosted, Tokens, hosted_message
from a2a_bridge.protocol.objects import Message, Part, dump, json_bytes
from adapters.google_adk.messages import file_part


class A2AAgent(BaseAgent):  # type: ignore[misc]  # checked without the framework's types
    """`target`: a URL, or whatever `adapt` takes. `name` must be an identifier, as ADK wants it.

    When the remote agent asks, its question is the answer here, and what the user says next is the answer there. A
    failure of the remote is raised as AdapterFailedError. `description`: what a model that may hand over to it reads.
    """

    _remote: Any = PrivateAttr()

    def __init__(self, target: Any, *, name: str, description: str | None = None) -> None:
        remote = adapt(target, name=name, description=description)
        super().__init__(name=name, description=description or remote.description)
        self._remote = remote

    async def _run_async_impl(self, ctx: Any) -> AsyncGenerator[Any, None]:
        """One turn: words as partial events where ADK streams, then the whole with what is to be remembered."""
        key = f"a2a:{self.name}"
        hosted = Hosted(self._remote, self._context(ctx))
        if kept := ctx.session.state.get(key):
            hosted.load(json.loads(kept))
        said = list(self._new(ctx)) or [hosted_message([Part(text="")], key="empty")]
        streams = bool(ctx.run_config) and ctx.run_config.streaming_mode == StreamingMode.SSE
        tokens = Tokens()
        told = {"author": self.name, "invocation_id": ctx.invocation_id, "branch": ctx.branch}
        async with aclosing(hosted.take(said, key=f"{hosted.turns}:{_digest(said)}")) as replies:
            async for reply in replies:
                text = tokens.of(reply)
                if text and streams:
                    yield Event(content=_content([Part(text=text)]), partial=True, **told)
        used = hosted.outcome.usage
        counted = types.GenerateContentResponseUsageMetadata(
            prompt_token_count=used.input_tokens, candidates_token_count=used.output_tokens
        )
        yield Event(
            content=_content(hosted.parts),
            actions=EventActions(state_delta={key: json.dumps(hosted.state)}),
            usage_metadata=counted if used.input_tokens or used.output_tokens else None,
            model_version=used.model,
            **told,
        )

    def _context(self, ctx: Any) -> str:
        """A name for the conversation that no other session has. A session's id alone is none: it is the app's and the
        user's, and with sessions in memory often the same one in every process. So the first event belongs to it."""
        session = ctx.session
        begun = session.events[0].id if session.events else ""
        told = json.dumps([session.app_name, session.user_id, session.id, begun, ctx.branch, self.name])
        return str(uuid5(NAMESPACE_URL, f"urn:a2a-bridge:google-adk:{told}"))

    def _new(self, ctx: Any) -> Iterator[Message]:
        """What has been said in the session since this agent's last words, by anybody whom it can hear."""
        events = [event for event in ctx.session.events if not event.branch or _is_in(ctx.branch, event.branch)]
        last = max((number for number, event in enumerate(events) if event.author == self.name), default=-1)
        for number, event in enumerate(events[last + 1 :], last + 1):
            parts = [part for part in map(_from_adk, (event.content.parts if event.content else None) or []) if part]
            if parts:
                speaker = None if event.author == "user" else event.author
                yield hosted_message(parts, key=event.id or f"{number}", speaker=speaker)


def _is_in(branch: str | None, of: str) -> bool:
    """ADK's rule: an agent hears its own branch and those it comes from."""
    return branch is not None and (branch == of or branch.startswith(f"{of}."))


def _digest(messages: Sequence[Message]) -> str:
    told = [[dump(message)["parts"], dump(message).get("metadata")] for message in messages]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _from_adk(part: Any) -> Part | None:
    if part.text and not part.thought:
        return Part(text=part.text)
    return file_part(part)


def _content(parts: Sequence[Part]) -> Any:
    """The remote's parts as ADK knows them; data as its JSON."""
    found: list[Any] = []
    for part in parts:
        media_type = part.media_type or "application/octet-stream"
        if part.raw is not None:
            blob = types.Blob(data=part.raw, mime_type=media_type, display_name=part.filename)
            found.append(types.Part(inline_data=blob))
        elif part.url is not None:
            known = types.FileData(file_uri=part.url, mime_type=media_type, display_name=part.filename)
            found.append(types.Part(file_data=known))
        else:
            text = part.text if part.text is not None else json_bytes(part.data).decode()
            found.append(types.Part(text=text))
    return types.Content(role="model", parts=found)
