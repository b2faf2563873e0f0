"""The one seam: whatever can take a turn is an `Agent`.

A conversable agent, a remote A2A endpoint, an adapted object of another framework and a whole room all satisfy this
contract; each can be published, and each can take a seat in a room. This file imports the protocol's objects and the
standard library, nothing else.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol, TypeVar, cast

from a2a_bridge.protocol.card import AgentSkill
from a2a_bridge.protocol.extensions import speaker_in, speaker_metadata, speaker_of
from a2a_bridge.protocol.objects import JSONValue, Message, Part, Struct

__all__ = [
    "MAX_HOPS", "Adapter", "Agent", "Answer", "Ask", "Caller", "Chunk", "Fail", "Journal", "Outcome", "OutcomeFold",
    "Progress", "Record", "Refuse", "Reply", "Say", "ToolCall", "ToolResult", "Traits", "Turn", "TurnSource", "Usage",
    "abandon", "outcome", "run_in_thread", "speaker_in", "speaker_metadata", "speaker_of", "traits_of",
]  # fmt: skip

MAX_HOPS = 8
"""A message that has come through more rooms than this is refused: rooms that seat each other must stop."""


class Agent(Protocol):
    """Anything that can take a turn in a conversation.

    `run` is an async generator of replies. Ending it completes the task, raising fails it (the text of the exception
    stays in our log), cancelling raises CancelledError at its `await`. Optional, looked up: `traits: Traits` and
    `async def abandon(turn)`, which frees what a task that waits for an answer holds, within 5 s.
    Agents are configuration: `run` never writes to them.
    """

    @property
    def name(self) -> str: ...
    @property
    def description(self) -> str: ...
    def run(self, turn: "Turn") -> AsyncGenerator["Reply | str", None]: ...


@dataclass(frozen=True, slots=True)
class Traits:
    """What a server or a room must know about an agent before it runs it."""

    framework: str | None = None
    skills: tuple[AgentSkill, ...] = ()
    input_modes: tuple[str, ...] = ("text/plain", "application/json")
    output_modes: tuple[str, ...] = ("text/plain", "application/json")
    after_crash: Literal["at_most_once", "restartable", "resumable"] = "at_most_once"
    stops_on_cancel: bool = True
    keeps_context: bool = False
    takes_interjections: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. Never holds a token."""

    principal: str = "anonymous"
    tenant: str = ""
    scopes: frozenset[str] = frozenset()


class Record(NamedTuple):
    """One record of a journal and its number, from 1, without gaps within the journal."""

    seq: int
    data: bytes


class Journal(Protocol):
    """What one agent remembers about one context: an append-only list of records, fenced by the run's epoch.

    Only agents with `keeps_context=True` may append. A `StoreConflictError` means that a newer run owns the context.
    """

    async def append(self, record: bytes, snapshot: bool = False) -> None:
        """Durable when it returns. `snapshot=True`: records before this one are never read again."""

    async def read(self, after: int = 0) -> Sequence[tuple[int, bytes]]:
        """Records above number `after`, in order, from the newest snapshot on: `Record`, or any such pair."""

    def child(self, key: str) -> "Journal":
        """A journal of its own inside this one: own order, own snapshots, the same fence."""


class TurnSource(Protocol):
    """Where a turn reads what it was not handed; an in-memory version is in `a2a_bridge.testing`."""

    async def history(self, limit: int | None) -> Sequence[Message]: ...
    def interjections(self) -> AsyncIterator[Message]: ...


class _Nothing:
    """The source of a turn that has no past, and that nobody can interrupt."""

    async def history(self, limit: int | None) -> Sequence[Message]:
        return ()

    async def interjections(self) -> AsyncIterator[Message]:
        return
        yield  # an async generator that is empty


class _Forgetful:
    """The journal of a turn that was given none: whoever drives the turn decides what is kept."""

    async def append(self, record: bytes, snapshot: bool = False) -> None:
        raise RuntimeError("this turn has no journal: pass Turn(journal=...), e.g. a2a_bridge.store.journal")

    async def read(self, after: int = 0) -> Sequence[tuple[int, bytes]]:
        return ()

    def child(self, key: str) -> "Journal":
        return self


@dataclass(frozen=True, slots=True)
class Ask:
    """The agent needs something: INPUT_REQUIRED (`kind="input"`) or AUTH_REQUIRED (`kind="auth"`).

    After an Ask that ends the turn only further Asks may follow; one message answers them all. `ends_turn=False`:
    the state is shown and the generator goes on by itself. `schema` is a JSON Schema of the answer, `options` are
    the words to choose from. `id` tells several asks of one pause apart.
    """

    text: str = ""
    parts: tuple[Part, ...] = ()
    kind: Literal["input", "auth"] = "input"
    schema: JSONValue = None
    options: tuple[str, ...] = ()
    id: str = ""
    ends_turn: bool = True


_YES = frozenset({"yes", "y", "ok", "okay", "true", "approve", "approved", "accept", "1"})
_NO = frozenset({"no", "n", "false", "reject", "rejected", "deny", "denied", "decline", "0"})


@dataclass(frozen=True, slots=True)
class Answer:
    """What was answered to the asks of the pause that this turn continues."""

    asks: tuple[Ask, ...]
    message: Message

    def value(self, ask_id: str = "") -> JSONValue:
        """The answer to one ask: the data part's value if there is one, else the text.

        With several asks, a data part that is an object with a member named `ask_id` answers that one.
        """
        for part in self.message.parts:
            if part.kind == "data":
                if ask_id and len(self.asks) > 1 and isinstance(part.data, dict) and ask_id in part.data:
                    return part.data[ask_id]
                return part.data
        return self.message.text

    def option(self, ask_id: str = "") -> str | None:
        """The chosen option of one ask, compared case-folded, yes and no in their usual words.

        None means that the answer is unclear: ask again.
        """
        said = self.value(ask_id)
        word = ("yes" if said else "no") if isinstance(said, bool) else str(said).strip().strip(".!\"'").casefold()
        asked = next((ask for ask in self.asks if ask.id == ask_id), self.asks[0] if self.asks else None)
        options = asked.options if asked and asked.options else ("yes", "no")
        for option in options:
            if option.casefold() == word:
                return option
        for words in (_YES, _NO):
            if word in words:
                return next((option for option in options if option.casefold() in words), None)
        return None


@dataclass(frozen=True, slots=True)
class Turn:
    """Everything an agent is handed when it is its turn.

    `messages` are new for this agent since its last accepted reply, oldest first; who said each: `speaker_of`.
    `id` is the same over transport retries and restarts. `context_id` names the conversation (for a seat: one per
    room and seat). `task_id` is None for a local seat. `answer` is set when this turn continues one that asked.
    """

    id: str
    messages: tuple[Message, ...]
    context_id: str
    task_id: str | None = None
    caller: Caller = Caller()
    journal: Journal = field(default_factory=_Forgetful)
    answer: Answer | None = None
    attempt: int = 1
    hops: int = 0
    accepted_output_modes: tuple[str, ...] = ()
    extensions: frozenset[str] = frozenset()
    metadata: Struct = field(default_factory=dict)
    _source: TurnSource = field(default_factory=_Nothing, repr=False)

    @property
    def text(self) -> str:
        """The text of the new messages, one below the other."""
        return "\n".join(message.text for message in self.messages)

    async def history(self, limit: int | None = None) -> Sequence[Message]:
        """The newest `limit` messages of this context before `messages`, oldest first; all of them for None."""
        return await self._source.history(limit)

    def interjections(self) -> AsyncIterator[Message]:
        """Messages sent to the task while this turn runs; ends when the turn does."""
        return self._source.interjections()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of an artifact; `append=False` replaces what the artifact held so far.

    `artifact` is the agent's own name for it; the reader's answer is the artifact called `answer`.
    """

    text: str = ""
    parts: tuple[Part, ...] = ()
    artifact: str = "answer"
    append: bool = True
    last: bool = False
    name: str | None = None
    metadata: Struct | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """What the agent is doing, for whoever watches."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The agent calls one of its tools; for observers, nobody executes it."""

    id: str
    name: str
    arguments: JSONValue


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What the tool of an earlier `ToolCall` with this id gave back."""

    id: str
    content: JSONValue
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """What was used since the last report of this turn: tokens, and US dollars if they are known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    model: str | None = None

    def __add__(self, other: "Usage") -> "Usage":
        cost = None
        if self.cost_usd is not None or other.cost_usd is not None:
            cost = (self.cost_usd or 0.0) + (other.cost_usd or 0.0)
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            cost,
            self.model or other.model,
        )


@dataclass(frozen=True, slots=True)
class Say:
    """Closing words. `direct=True`, as the first and only reply: a bare Message and no task. `next` proposes who
    should speak next in a room."""

    text: str = ""
    parts: tuple[Part, ...] = ()
    direct: bool = False
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """The turn has failed; `reason` is shown to the caller."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refuse:
    """The agent will not do this; `reason` is shown to the caller."""

    reason: str


Reply = Chunk | Progress | ToolCall | ToolResult | Usage | Ask | Say | Fail | Refuse
"""What an agent may yield. A plain `str` means `Chunk(text)`."""


def parts_of(said: Chunk | Say | Ask) -> tuple[Part, ...]:
    """The content of a reply as parts: its text first, if it has any."""
    return (Part(text=said.text), *said.parts) if said.text else said.parts


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a turn came to.

    `parts`: those of artifact `answer` if there is one, else of all artifacts in first-seen order, then `Say`;
    neighbouring plain texts are one part. `asks` are those of a pause. `failed` and `refused` are the reasons.
    """

    parts: tuple[Part, ...] = ()
    asks: tuple[Ask, ...] = ()
    usage: Usage = Usage()
    failed: str | None = None
    refused: str | None = None
    next: str | None = None

    @property
    def is_empty(self) -> bool:
        """The turn said nothing at all."""
        return not self.parts

    @property
    def text(self) -> str:
        """The text parts, one below the other."""
        return "\n".join(part.text for part in self.parts if part.text is not None)


class OutcomeFold:
    """The one fold that tells what a turn said, fed reply by reply."""

    __slots__ = ("_artifacts", "_asks", "_failed", "_next", "_refused", "_said", "_usage")

    def __init__(self) -> None:
        self._artifacts: dict[str, list[str | Part]] = {}
        self._said: list[str | Part] = []
        self._asks: list[Ask] = []
        self._usage = Usage()
        self._failed: str | None = None
        self._refused: str | None = None
        self._next: str | None = None

    def add(self, reply: "Reply | str") -> None:
        """Take in one reply; order matters."""
        if isinstance(reply, str):
            if reply:
                self._artifacts.setdefault("answer", []).append(reply)
        elif isinstance(reply, Chunk):
            self._add_chunk(reply)
        elif isinstance(reply, Say):
            self._said = [*([reply.text] if reply.text else []), *reply.parts]
            self._next = reply.next
        elif isinstance(reply, Ask):
            if reply.ends_turn:
                self._asks.append(reply)
        elif isinstance(reply, Usage):
            self._usage += reply
        elif isinstance(reply, Fail):
            self._failed = reply.reason
        elif isinstance(reply, Refuse):
            self._refused = reply.reason

    def _add_chunk(self, chunk: Chunk) -> None:
        if not chunk.append:
            self._artifacts[chunk.artifact] = []
        held = self._artifacts.setdefault(chunk.artifact, [])
        if chunk.text:
            held.append(chunk.text)
        held.extend(chunk.parts)

    def outcome(self) -> Outcome:
        """What the replies so far come to."""
        artifacts = self._artifacts
        shown = [artifacts["answer"]] if artifacts.get("answer") else list(artifacts.values())
        pieces = [piece for held in shown for piece in merged(held)] + merged(self._said)
        return Outcome(
            parts=tuple(pieces),
            asks=tuple(self._asks),
            usage=self._usage,
            failed=self._failed,
            refused=self._refused,
            next=self._next,
        )


def merged(pieces: Iterable[str | Part]) -> list[Part]:
    """Strings and parts as parts, neighbouring plain texts joined into one."""
    found: list[Part] = []
    words: list[str] = []
    for piece in pieces:
        text = piece if isinstance(piece, str) else piece.text if piece.is_plain_text else None
        if text is not None:
            words.append(text)
            continue
        if words:
            found.append(Part(text="".join(words)))
            words = []
        found.append(cast(Part, piece))
    if words:
        found.append(Part(text="".join(words)))
    return found


def outcome(replies: "Iterable[Reply | str]") -> Outcome:
    """What a whole turn came to; see `Outcome`."""
    fold = OutcomeFold()
    for reply in replies:
        fold.add(reply)
    return fold.outcome()


def traits_of(agent: Agent) -> Traits:
    """The agent's traits, or the defaults."""
    traits = getattr(agent, "traits", None)
    return traits if isinstance(traits, Traits) else Traits()


async def abandon(agent: Agent, turn: Turn) -> None:
    """Tell an agent that a turn which waits for an answer will get none. Does nothing if it does not want to know."""
    told = getattr(agent, "abandon", None)
    if told is not None:
        await told(turn)


class Adapts(Protocol):
    """Makes an agent of a framework's object; None leaves name and description to the object."""

    def __call__(self, obj: Any, *, name: str | None = None, description: str | None = None) -> Agent: ...


@dataclass(frozen=True, slots=True)
class Adapter:
    """How objects of one framework become agents; registered in the entry-point group `a2a_bridge.adapters`.

    `classes` are (module, qualified name) of framework classes, compared with those in the object's MRO without
    importing anything. `requires` is what `pip install` needs; `package` is a module that only this framework has,
    looked for before `adapt` is called. `adapt` may import the framework.
    """

    name: str
    requires: str
    package: str
    classes: frozenset[tuple[str, str]]
    adapt: Adapts


T = TypeVar("T")


async def run_in_thread(call: Callable[[], T]) -> T:
    """Run a blocking call in a thread of its own and wait for it, also when cancelled.

    The thread cannot be stopped: a cancelled caller leaves only when the call has returned, so that its slot stays
    counted (an agent that uses this says `stops_on_cancel=False`). The thread is a daemon: it does not hold up the
    end of the process.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if not done.done():
            done.set_exception(error) if error else done.set_result(cast(T, result))

    def work() -> None:
        result: T | None = None
        error: BaseException | None = None
        try:
            result = call()
        except (StopIteration, SystemExit) as raised:  # cannot be set on a future; ends a thread, not the program
            error = RuntimeError(f"the call raised {raised!r}")
        except BaseException as raised:  # whatever it is, it belongs to whoever waits for the call
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile: nobody waits any more
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, daemon=True, name="a2a-bridge-call").start()
    try:
        return await asyncio.shield(done)
    except asyncio.CancelledError:
        await asyncio.wait([done])
        if not done.cancelled():
            done.exception()  # looked at, so that it is not reported as never retrieved
        raise
