"""An agent inside a framework of somebody else: what the host keeps of it, and one call that takes a turn.

Every adapter's `remote.py` stands on this. A host calls its agents in its own way and keeps its own state; `Hosted`
gives the agent the turns it needs. Turn ids are made from the context and a key that the host derives from its state,
so a step that the host runs again is the same turn: a `RemoteAgent` sends the same messageId, and finds the task that
is there already. `state` is a JSON value for the host's own store.
"""

import asyncio
import base64
import json
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from a2a_bridge.agent import (
    Agent,
    Answer,
    Ask,
    Chunk,
    Journal,
    Outcome,
    OutcomeFold,
    Record,
    Reply,
    Turn,
    parts_of,
    speaker_metadata,
)
from a2a_bridge.client.baton import Baton
from a2a_bridge.client.remote import ended
from a2a_bridge.errors import A2AError, AdapterFailedError, CardError, ClientError
from a2a_bridge.protocol.media import words_of
from a2a_bridge.protocol.objects import JSONValue, Message, Part, Role, json_bytes


class HostJournal:
    """A turn's journal whose records travel in the host's state."""

    def __init__(self, state: Mapping[str, Any] | None = None) -> None:
        found = state or {"given": 0, "records": [], "children": {}}
        self._given: int = found["given"]
        self._records = [Record(number, base64.b64decode(data)) for number, data in found["records"]]
        self._children = {key: HostJournal(child) for key, child in found["children"].items()}

    async def append(self, record: bytes, snapshot: bool = False) -> None:
        """At once: it is the host that decides when its state is durable."""
        self._given += 1
        if snapshot:
            self._records = []
        self._records.append(Record(self._given, record))

    async def read(self, after: int = 0) -> Sequence[tuple[int, bytes]]:
        """Records above number `after`, from the newest snapshot on."""
        return [record for record in self._records if record.seq > after]

    def child(self, key: str) -> Journal:
        """A journal of its own inside this one."""
        return self._children.setdefault(key, HostJournal())

    def state(self) -> dict[str, JSONValue]:
        """What `HostJournal(state)` takes."""
        return {
            "given": self._given,
            "records": [[number, base64.b64encode(data).decode("ascii")] for number, data in self._records],
            "children": {key: child.state() for key, child in self._children.items()},
        }


class Hosted:
    """One conversation of `agent` in a host. `context_id`: a name that is the same when the host runs again.

    `turns`: how many have come to their end. Turns that a host asks for at the same time are taken one after
    another, also those of different threads and event loops.
    """

    def __init__(self, agent: Agent, context_id: str | None = None) -> None:
        self.agent = agent
        self.context_id = context_id or str(uuid4())
        self.asks: tuple[Ask, ...] = ()
        self.outcome = Outcome()
        self.turns = 0
        self._journal = HostJournal()
        self._taking = Baton()

    def __deepcopy__(self, memo: object) -> "Hosted":
        """Another conversation with the same agent: hosts copy their agents, and what was said to one is not the
        other's."""
        return Hosted(self.agent)

    @property
    def state(self) -> dict[str, Any]:
        """What `load` takes: where the conversation is, and whether a question is open."""
        waits = [{"text": ask.text, "id": ask.id, "kind": ask.kind, "options": list(ask.options)} for ask in self.asks]
        told = {"context_id": self.context_id, "turns": self.turns, "asks": waits}
        return {**told, "journal": self._journal.state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.context_id = state["context_id"]
        self.turns = state["turns"]
        self._journal = HostJournal(state["journal"])
        self.asks = tuple(
            Ask(text=ask["text"], id=ask["id"], kind=ask["kind"], options=tuple(ask["options"]))
            for ask in state["asks"]
        )

    def turn_id(self, key: str) -> str:
        """The id of the turn that the host calls `key`, the messageId of a RemoteAgent."""
        return str(uuid5(NAMESPACE_URL, f"urn:a2a-bridge:host:{self.context_id}:{key}"))

    async def take(self, messages: Sequence[Message], *, key: str) -> AsyncGenerator[Reply | str, None]:
        """One turn. Afterwards `outcome` is what it came to, and `asks` are its questions, which the next turn
        answers. Raises AdapterFailedError for a turn that failed or was refused, with the agent's own reason, and for
        a remote that cannot be reached or answers with an error, which is its cause."""
        async with self._taking:
            answer = Answer(self.asks, messages[-1]) if self.asks and messages else None
            turn = Turn(
                id=self.turn_id(key),
                messages=tuple(messages),
                context_id=self.context_id,
                journal=self._journal,
                answer=answer,
            )
            fold = OutcomeFold()
            try:
                async with aclosing(_apart(self.agent.run(turn))) as replies:
                    async for reply in replies:
                        fold.add(reply)
                        yield reply
            except (A2AError, CardError, ClientError) as error:
                raise AdapterFailedError(f"the agent {self.agent.name!r} did not answer: {error}") from error
            self.outcome = fold.outcome()
            self.asks = self.outcome.asks
            self.turns += 1
        reason = self.outcome.failed or self.outcome.refused
        if reason is not None:
            raise AdapterFailedError(f"the agent {self.agent.name!r} did not answer: {reason}")

    @property
    def parts(self) -> tuple[Part, ...]:
        """What the last turn said, its questions last."""
        return (*self.outcome.parts, *(part for ask in self.asks for part in parts_of(ask)))


async def _apart(replies: AsyncGenerator[Reply | str, None]) -> AsyncGenerator[Reply | str, None]:
    """The replies, read by a task of its own, which is cancelled once when they are left, and waited for.

    Hosts cancel more than once, and what an agent does when it is cancelled has a limit of its own.
    """
    heard: deque[Reply | str] = deque()
    bell = asyncio.Event()

    async def read() -> None:
        async with aclosing(replies):
            async for reply in replies:
                heard.append(reply)
                bell.set()

    reading = asyncio.create_task(read())
    reading.add_done_callback(lambda _: bell.set())
    try:
        while heard or not reading.done():
            await bell.wait()
            bell.clear()
            while heard:
                yield heard.popleft()
        reading.result()
    finally:
        reading.cancel()
        await ended(reading)


class Conversations:
    """Conversations of one agent in memory, by the host's names for them; the newest `MAX_CONVERSATIONS`.

    One that was dropped, or that another process has led, is a new one to the agent: tell it from its start.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self._kept: OrderedDict[str, Hosted] = OrderedDict()

    def __contains__(self, name: object) -> bool:
        return name in self._kept

    def named(self, name: str, *, earlier: object = None) -> Hosted:
        """The conversation of that name, begun if there is none. `earlier`: what the agent has said in it, in JSON; one
        that is begun with that is told from its start, in a context of its own: the old one may hold all of it."""
        if name not in self._kept:
            self._kept[name] = Hosted(self.agent, retold(name, earlier) if earlier else name)
        self._kept.move_to_end(name)
        if len(self._kept) > MAX_CONVERSATIONS:
            self._kept.popitem(last=False)
        return self._kept[name]


def retold(name: str, earlier: object) -> str:
    """A name for a conversation that is told from its start; the same for the same `earlier`, which is JSON."""
    told = json.dumps(earlier, sort_keys=True, default=str)
    return str(uuid5(NAMESPACE_URL, f"urn:a2a-bridge:retold:{name}:{told}"))


MAX_CONVERSATIONS = 1000
"""How many are remembered."""


class Tool:
    """An agent as a tool of somebody else's model: texts go in and come out, and a conversation is named in them.

    A tool cannot ask, so a question of the agent is a result, and a call that names its conversation is the answer.
    """

    def __init__(self, agent: Agent) -> None:
        self.agent = agent
        self._talks = Conversations(agent)

    async def call(self, message: str, conversation: str = "", *, unique: str = "") -> str:
        """JSON with the `conversation` and the `answer`, or the `question`; raises AdapterFailedError with words that
        a model may read. `unique`: what this call alone is known by in the world, so that it can be told when it is
        run again; empty if there is no such thing, and a call that is run again is a new one."""
        if conversation and conversation not in self._talks:
            raise AdapterFailedError(
                f"the agent {self.agent.name!r} does not know the conversation {conversation!r}: begin a new one"
            )
        key = f"{unique}:{message}" if unique else str(uuid4())
        talk = self._talks.named(conversation or str(uuid5(NAMESPACE_URL, f"urn:a2a-bridge:tool:{key}")))
        said = hosted_message([Part(text=message)], key=f"{key}:message")
        async with aclosing(talk.take([said], key=key)) as replies:
            async for _ in replies:
                pass
        kind = "question" if talk.asks else "answer"
        return json_bytes({"conversation": talk.context_id, kind: words_of(talk.parts)}).decode()


UNIQUE_ID = 20
"""Length from which on a model provider's id is believed to be the only one in the world; some count their calls."""


class Tokens:
    """The answer's words as they come, for a host that can show them. A correction cannot be shown: the turn's outcome
    is what counts in the end."""

    def __init__(self) -> None:
        self._begun = False

    def of(self, reply: Reply | str) -> str:
        """What of a reply is shown; empty for what is no word of the answer."""
        if isinstance(reply, Chunk):
            # A remote's first piece replaces an artifact that was not there.
            is_shown = reply.artifact == "answer" and (reply.append or not self._begun)
            text = reply.text or "".join(part.text or "" for part in reply.parts) if is_shown else ""
        else:
            text = reply if isinstance(reply, str) else ""
        self._begun = self._begun or bool(text)
        return text


def hosted_message(parts: Sequence[Part], *, key: str, speaker: str | None = None) -> Message:
    """A message of the host; the same `key` gives the same id."""
    from_speaker = speaker_metadata(speaker) if speaker else None
    return Message(message_id=key, role=Role.USER, parts=tuple(parts), metadata=from_speaker)
