"""How the demo's agents put what they heard to a very small model.

Given a whole conversation, such a model copies it. Given the last thing that was said, quoted, and one question, it
answers. Models of the usual size need none of this, and get the conversation as it is.
"""

import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from a2a_bridge.agent import Agent, Chunk, Reply, Traits, Turn, speaker_of, traits_of
from a2a_bridge.protocol.objects import Message, Part, Role

LONGEST_QUOTE = 600
_UNFINISHED = re.compile(r"(?<=[.!?])\s+[^.!?]*$", re.DOTALL)


def statements(messages: Sequence[Message]) -> Iterator[tuple[str | None, str]]:
    """Who said what. One message may hold what several said: each part then names its speaker."""
    for message in messages:
        for part in message.parts:
            if part.text:
                speaker = speaker_of(part) or speaker_of(message)
                yield speaker, part.text.removeprefix(f"[{speaker}] ").strip()


async def ask_about_last(turn: Turn, question: str) -> str:
    """The prompt of a turn: the topic of the conversation, what was said last, and the agent's own question."""
    heard = list(statements(turn.messages))
    past = await turn.history()
    topic = next(statements([*past, *turn.messages]), (None, ""))[1]
    speaker, last = heard[-1] if heard else (None, "")
    if last == topic:
        return f"Topic: {topic}\n{question}"
    return f'Topic: {topic}\nThe {speaker or "user"} said: "{last[:LONGEST_QUOTE]}"\n{question}'


class Quoting:
    """An agent that is handed such a prompt instead of the conversation; an unfinished last sentence is taken back."""

    def __init__(self, agent: Agent, question: str) -> None:
        self.name, self.description = agent.name, agent.description
        self.traits: Traits = traits_of(agent)
        self._agent = agent
        self._question = question

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        prompt = await ask_about_last(turn, self._question)
        message = Message(message_id=f"{turn.id}-prompt", role=Role.USER, parts=(Part(text=prompt),))
        words: list[str] = []
        async with aclosing(self._agent.run(replace(turn, messages=(message,)))) as replies:
            async for reply in replies:
                if isinstance(reply, str):
                    words.append(reply)
                elif isinstance(reply, Chunk) and reply.artifact == "answer":
                    words = [*words, reply.text] if reply.append else [reply.text]
                yield reply
        said = "".join(words)
        finished = without_unfinished(said)
        if finished != said:
            yield Chunk(finished, append=False)


def without_unfinished(text: str) -> str:
    """The text up to its last whole sentence; all of it if there is none."""
    said = text.rstrip()
    return text if not said or said[-1] in ".!?\"'" else _UNFINISHED.sub("", said)
