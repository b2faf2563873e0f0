"""The demo's room: who may speak, how the next speaker is chosen, and how the talk is summed up."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager
from a2a_bridge.chat.model import Model, ModelMessage, ModelTool, OpenAIModel, Piece, ask_model
from a2a_bridge.chat.speaker import Selector
from a2a_bridge.chat.user_proxy import UserProxyAgent
from a2a_bridge.demo.endpoint import Endpoint
from a2a_bridge.demo.prompt import without_unfinished
from a2a_bridge.demo.roles import CRITIC, RESEARCHER
from a2a_bridge.demo.seats import local_agent
from a2a_bridge.protocol.objects import JSONValue

NAME = "room"
DESCRIPTION = "A group chat of agents of several frameworks that discusses a question and sums up what it found."
CHOICE_TOKENS = 24
SUMMARY_TOKENS = 70


def build_room(endpoint: Endpoint, urls: Sequence[str], rounds: int) -> GroupChatManager:
    """A human stand-in, two local agents, and the agents at `urls`; `rounds` turns follow the question."""
    human = UserProxyAgent(name="human", human_input_mode="NEVER")
    researcher, critic = (local_agent(role, endpoint) for role in (RESEARCHER, CRITIC))
    groupchat = GroupChat(
        agents=[human, researcher, critic, *urls],
        max_round=rounds + 1,  # the question is the first round
        allow_repeat_speaker=False,
        speaker_selection_method=_small_chooser(endpoint) if endpoint.is_embedded else Selector("auto"),
    )
    return GroupChatManager(
        groupchat,
        Summing(_model(endpoint, SUMMARY_TOKENS)) if endpoint.is_embedded else _model(endpoint),
        name=NAME,
        description=DESCRIPTION,
        summary_method="reflection_with_llm",
    )


def _model(endpoint: Endpoint, tokens: int | None = None) -> OpenAIModel:
    options = {} if tokens is None else {"max_tokens": tokens}
    return OpenAIModel(endpoint.model, endpoint.api_key, endpoint.base_url, options=options)


def _small_chooser(endpoint: Endpoint) -> Selector:
    """A very small model is asked once, and briefly. Held to the form of an answer it would name somebody every time,
    mostly END and at once, without having understood the question; in its own words it shows that it has not, and the
    deterministic rule chooses."""
    return Selector("auto", model=Brief(_model(endpoint, CHOICE_TOKENS)), max_retries=0, on_failure="fallback")


@dataclass(frozen=True, slots=True)
class Brief:
    """A very small model that chooses: it hears the last statement only, and is not held to a JSON Schema."""

    model: Model

    @property
    def name(self) -> str:
        return self.model.name

    async def stream(
        self, messages: Sequence[ModelMessage], *, schema: JSONValue = None, tools: Sequence[ModelTool] = ()
    ) -> AsyncGenerator[Piece, None]:
        asked = [*messages[:-1], {**messages[-1], "content": _last_statement(str(messages[-1]["content"]))}]
        async with aclosing(self.model.stream(asked)) as pieces:
            async for piece in pieces:
                yield piece


def _last_statement(told: str) -> str:
    """The manager's description of the conversation, shortened; as it is, if it is something else."""
    try:
        data = json.loads(told)
        return json.dumps({**data, "conversation": data["conversation"][-1:]}, ensure_ascii=False)
    except (ValueError, LookupError, TypeError):
        return told


@dataclass(frozen=True, slots=True)
class Summing:
    """A very small model that sums up: it is given one short instruction, and its last sentence only if it is whole."""

    model: Model

    @property
    def name(self) -> str:
        return self.model.name

    async def stream(
        self, messages: Sequence[ModelMessage], *, schema: JSONValue = None, tools: Sequence[ModelTool] = ()
    ) -> AsyncGenerator[Piece, None]:
        said = str(messages[-1]["content"]).removeprefix("The conversation:").strip()
        asked = [{"role": "user", "content": f"Summarize in one sentence:\n{said}"}]
        text, usage = await ask_model(self.model, asked)
        yield without_unfinished(text)
        yield usage
