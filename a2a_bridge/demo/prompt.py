"""How the demo's agents put what they heard to a very small model.

Given a whole conversation, such a model copies it. Given the last thing that was said, quoted, and one question, it
answers. Models of the usual size need none of this, and get the conversation as it is.
"""

import re
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace

from a2a_bridge.agent import Agent, Chunk, Reply, Traits, Turn, speaker_of, traits_of
from a2a_bridge.demo.roles import Role
from a2a_bridge.protocol.objects import Message, Part
from a2a_bridge.protocol.objects import Role as Side

LONGEST_QUOTE = 300
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_UNFINISHED = re.compile(r"(?<=[.!?])\s+[^.!?]*$", re.DOTALL)


def statements(messages: Sequence[Message]) -> Iterator[tuple[str | None, str]]:
    """Who said what. One message may hold what several said: each part then names its speaker."""
    for message in messages:
        for part in message.parts:
            if part.text:
                speaker = speaker_of(part) or speaker_of(message)
                yield speaker, part.text.removeprefix(f"[{speaker}] ").strip()


async def prompt_for(turn: Turn, role: Role) -> str:
    """What a turn asks of the model: the topic of the conversation, what was said last, quoted, and the role's own
    question. Of topic and quotation the first sentence, because a very small model copies long ones. A role that
    has another question `again` goes on by itself with that, without the quotation, once it has spoken."""
    heard = list(statements(turn.messages))
    past = await turn.history()
    topic = next(statements([*past, *turn.messages]), (None, ""))[1]
    lines = [f"Topic: {_first_sentence(topic)}"]
    if role.again and past:
        return "\n".join([*lines, role.again])
    speaker, last = heard[-1] if heard else (None, topic)
    if last != topic:
        lines.append(f'The {speaker or "user"} said: "{_first_sentence(last)[:LONGEST_QUOTE]}"')
    return "\n".join([*lines, role.question])


def _first_sentence(text: str) -> str:
    return _SENTENCE_END.split(text.strip(), maxsplit=1)[0]


class Quoting:
    """An agent that is handed such a prompt instead of the conversation; an unfinished last sentence is taken back."""

    def __init__(self, agent: Agent, role: Role) -> None:
        self.name, self.description = agent.name, agent.description
        self.traits: Traits = traits_of(agent)
        self._agent = agent
        self._role = role

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        prompt = await prompt_for(turn, self._role)
        message = Message(message_id=f"{turn.id}-prompt", role=Side.USER, parts=(Part(text=prompt),))
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
