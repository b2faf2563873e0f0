"""A remote A2A agent, or any agent of ours, as a CrewAI tool, or as the model behind a CrewAI agent.

    agent = Agent(role="Writer", ..., tools=[A2ATool("https://example.org/critic", name="ask_critic")])
    agent = Agent(role="Critic", ..., llm=A2ALLM("https://example.org/critic"))

CrewAI calls tools from sync code, also in its async runs: the turn then runs in an event loop that all sync calls of
the process share, in a thread of its own. A call that is awaited cancels the remote task when it is cancelled;
a sync one cannot be cancelled.
"""

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any
from uuid import uuid4

from a2a_bridge.errors import AdapterError, needs_extra

with needs_extra("crewai"):
    from crewai import BaseLLM
    from crewai.events.types.llm_events import LLMCallType
    from crewai.llms.base_llm import llm_call_context
    from crewai.tools import BaseTool

from pydantic import BaseModel, Field, PrivateAttr

from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import Agent
from a2a_bridge.client.hosted import Hosted, Tokens, hosted_message
from a2a_bridge.client.loop_thread import blocking
from a2a_bridge.protocol.objects import Message, Part, json_bytes

MAX_OPEN = 1000
"""How many conversations that wait for an answer are remembered; an older one starts anew."""


class Said(BaseModel):
    """What a model fills in when it calls the tool."""

    message: str = Field(description="What to say to the agent.")
    conversation: str = Field(
        default="", description="The conversation that a question of the agent named, to answer it; else empty."
    )


class Talks:
    """The conversations with one remote agent. Shared by the copies of a tool or model; CrewAI copies both."""

    def __init__(self, agent: Agent, context: str | None) -> None:
        self.agent = agent
        self._named = Hosted(agent, context) if context is not None else None
        self._open: OrderedDict[str, Hosted] = OrderedDict()

    def __deepcopy__(self, memo: object) -> "Talks":
        return self

    def _begin(self, key: str) -> Hosted:
        """The named conversation; else the one that `key` waits in, or whose last try failed; else a new one."""
        return self._named or self._open.pop(key, None) or Hosted(self.agent)

    def _keep(self, key: str, talk: Hosted) -> None:
        if self._named is None:
            self._open[key] = talk
            if len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)

    async def take(self, said: Sequence[Message], key: str, conversation: str = "", tell: Any = None) -> Hosted:
        """One turn. A call that failed and is made again is the same message to the remote agent."""
        digest = _digest(said)
        talk, tokens = self._begin(conversation or digest), Tokens()
        is_done = False
        try:
            async with aclosing(talk.take(said, key=f"{talk.turns}:{digest}")) as replies:
                async for reply in replies:
                    if tell is not None and (text := tokens.of(reply)):
                        tell(text)
            is_done = True
        finally:
            if not is_done:
                self._keep(conversation or digest, talk)
        if talk.asks:
            self._keep(key, talk)
        return talk


class A2ATool(BaseTool):  # type: ignore[misc]  # checked without the framework's types
    """`target`: a URL, or whatever `adapt` takes.

    Each call is a conversation of its own, so that crews that share the tool never share one. A question of the remote
    agent is the result, with the conversation that the model names to answer it. `context`: one conversation for all
    calls, under this name; in another process too the same call is the same message, and is not worked twice.
    """

    args_schema: type[BaseModel] = Said
    _talks: Any = PrivateAttr()

    def __init__(self, target: Any, *, name: str, description: str | None = None, context: str | None = None) -> None:
        agent = adapt(target, name=name, description=description)
        super().__init__(name=name, description=description or agent.description)
        self._talks = Talks(agent, context)

    def _run(self, message: str, conversation: str = "") -> str:
        return str(blocking(self._arun(message, conversation)))

    async def _arun(self, message: str, conversation: str = "") -> str:
        key = str(uuid4())
        said = hosted_message([Part(text=message)], key=message)
        talk = await self._talks.take([said], key, conversation)
        words = _words(talk.parts)
        return f"{words}\n[To answer, call this tool again with the conversation {key}.]" if talk.asks else words


class A2ALLM(BaseLLM):  # type: ignore[misc]  # checked without the framework's types
    """A model that is a remote agent. CrewAI hands it the whole conversation at each call, so each is one turn in a
    conversation of its own. It calls no tools: those are the remote agent's own.

    A question of the remote agent is an answer here: an agent of CrewAI's has nobody to pass it on to.
    """

    llm_type: str = "a2a"
    _talks: Any = PrivateAttr()

    def __init__(self, target: Any, *, name: str = "remote") -> None:
        super().__init__(model=name, provider="a2a", stream=True)
        self._talks = Talks(adapt(target, name=name), None)

    def supports_function_calling(self) -> bool:
        """No: what the remote agent calls is its own affair."""
        return False

    def call(  # CrewAI's signature
        self, messages: Any, tools: Any = None, callbacks: Any = None, available_functions: Any = None,
        from_task: Any = None, from_agent: Any = None, response_model: Any = None,
    ) -> str:  # fmt: skip
        """The remote agent's answer, for sync code."""
        return str(blocking(self._answer(messages, response_model, from_task, from_agent)))

    async def acall(  # CrewAI's signature
        self, messages: Any, tools: Any = None, callbacks: Any = None, available_functions: Any = None,
        from_task: Any = None, from_agent: Any = None, response_model: Any = None,
    ) -> str:  # fmt: skip
        """The remote agent's answer; cancelling it cancels the remote task."""
        return await self._answer(messages, response_model, from_task, from_agent)

    async def _answer(self, messages: Any, response_model: Any, task: Any, agent: Any) -> str:
        if response_model is not None:
            raise AdapterError(
                f"the remote agent {self.model!r} takes no response model: its answers have its own form"
            )
        lines = [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)
        said = [
            hosted_message([Part(text=str(line.get("content") or ""))], key=f"{number}", speaker=_speaker(line))
            for number, line in enumerate(lines)
        ]
        with llm_call_context():
            self._emit_call_started_event(messages=messages, from_task=task, from_agent=agent)

            def tell(text: str) -> None:
                self._emit_stream_chunk_event(text, from_task=task, from_agent=agent)

            talk = await self._talks.take(said, str(uuid4()), tell=tell)
            words, used = _words(talk.parts), talk.outcome.usage
            usage = {"prompt_tokens": used.input_tokens, "completion_tokens": used.output_tokens}
            usage["total_tokens"] = used.input_tokens + used.output_tokens
            self._emit_call_completed_event(
                response=words, call_type=LLMCallType.LLM_CALL, from_task=task, from_agent=agent, usage=usage
            )
        return words


def _speaker(line: Any) -> str | None:
    return "assistant" if line.get("role") == "assistant" else None


def _digest(said: Sequence[Message]) -> str:
    told = [[message.message_id, message.text] for message in said]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _words(parts: Sequence[Part]) -> str:
    return "\n".join(_piece(part) for part in parts)


def _piece(part: Part) -> str:
    if part.text is not None:
        return part.text
    if part.kind == "data":
        return json_bytes(part.data).decode()
    return f"[{part.filename or part.url or 'file'}: {part.media_type or 'a file'}]"
