"""A seat says how one agent takes part in a room; a chair is that seat in one run, with its card read.

Seats are configuration. Chairs are made at the start of a run, never written to, and hold nothing of the
conversation, so that any number of rooms can share those of local agents.
"""

import asyncio
import inspect
import json
import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b, sha1
from typing import Any, Literal
from urllib.parse import urlsplit

from a2a_bridge import net
from a2a_bridge.adaptation import adapt
from a2a_bridge.agent import Agent, Caller, Traits, Turn, traits_of
from a2a_bridge.chat.budget import Budget
from a2a_bridge.chat.entry import Decision, Speaker, SpeakerKind, metadata_of
from a2a_bridge.chat.names import check_names
from a2a_bridge.chat.spoken import Conversing, Spoken
from a2a_bridge.client.auth import Auth
from a2a_bridge.client.remote import CALLER, RemoteAgent
from a2a_bridge.errors import BridgeError
from a2a_bridge.protocol.card import AgentCard
from a2a_bridge.protocol.extensions import with_decision
from a2a_bridge.protocol.objects import JSONValue, dump

_log = logging.getLogger(__name__)
_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
_NAMESPACE = uuid.UUID("7d0f6c1e-54a1-5d0e-9a53-3f5f0a5b8c11").bytes


SILENCE = 300.0
"""Seconds of silence that are borne of a seat that says nothing else."""


@dataclass(frozen=True, slots=True)
class View:
    """What a seat is handed on its turn.

    `delta`: everything new since its last accepted reply; the agent, or its endpoint, remembers the rest. `full`: the
    whole conversation each time, for an endpoint that remembers nothing. `window(n)`: the newest n messages, each
    time. `last`: the newest message alone. `summary(n)`: the newest n messages, and what came before in the words of
    the room's model.
    """

    kind: Literal["delta", "full", "window", "last", "summary"] = "delta"
    size: int = 0

    def __post_init__(self) -> None:
        if self.kind not in ("delta", "full", "window", "last", "summary"):
            raise ValueError(f"View({self.kind!r}): use View.delta(), full(), window(n), last() or summary(n)")
        if self.kind in ("window", "summary") and (isinstance(self.size, bool) or self.size < 1):
            raise ValueError(f"View.{self.kind}({self.size!r}): a number of messages, 1 or more")

    @classmethod
    def delta(cls) -> "View":
        """Everything new since the seat's last accepted reply."""
        return cls("delta")

    @classmethod
    def full(cls) -> "View":
        """The whole conversation, each time."""
        return cls("full")

    @classmethod
    def window(cls, size: int) -> "View":
        """The newest `size` messages, each time."""
        return cls("window", size)

    @classmethod
    def last(cls) -> "View":
        """The newest message alone."""
        return cls("last")

    @classmethod
    def summary(cls, size: int = 4) -> "View":
        """The newest `size` messages, and a summary of what came before."""
        return cls("summary", size)

    def start(self, heard: int, seen: int) -> int:
        """The first of so many messages that is handed over, if so many have been seen."""
        if self.kind == "delta":
            return seen
        if self.kind == "full":
            return 0
        return max(0, heard - (1 if self.kind == "last" else self.size))


@dataclass(frozen=True, slots=True)
class OnFailure:
    """What happens when a turn of a seat fails, is canceled or says nothing.

    `rerun`: how often it is asked again, as a new request; None means once if the agent says that it may be run
    again (`Traits.after_crash`), else never. Retries of the transport are the client's business and do not count;
    with None, an agent that could not be reached in spite of them is not asked again in that turn.
    `then`: "skip" tells the room and goes on; "replace" lets `replacement`, anything that `adapt` takes, speak in that
    seat from now on, beginning with this turn; "pause" asks the room's human whether to try again; "abort" ends the
    conversation.
    """

    rerun: int | None = None
    then: Literal["skip", "replace", "pause", "abort"] = "skip"
    replacement: Any = None

    def __post_init__(self) -> None:
        if self.rerun is not None and (
            isinstance(self.rerun, bool) or not isinstance(self.rerun, int) or self.rerun < 0
        ):
            raise ValueError(f"OnFailure(rerun={self.rerun!r}): a whole number, 0 or more, or None")
        if self.then not in ("skip", "replace", "pause", "abort"):
            raise ValueError(f"OnFailure(then={self.then!r}): use 'skip', 'replace', 'pause' or 'abort'")
        if (self.then == "replace") != (self.replacement is not None):
            raise ValueError("OnFailure(then='replace', replacement=agent): the two belong together")


OnCardChange = Literal["ask", "note", "stop"]

SeatAuth = Callable[[Caller, AgentCard], Awaitable[Mapping[str, str]]]
"""Headers for a remote agent, by whose turn it is and by its card; called for each request."""


REPLACED = " (replaced)"
"""What the key of a seat ends with that another agent has taken over."""


class Seat:
    """A place in a room: `Seat("https://agents.example/critic", name="critic")`.

    `agent` is anything that `adapt` takes. `timeout`: seconds without a reply of any kind, after which a turn has
    failed; a reply is a word, progress, or a tool call, so that a turn may take as long as it likes while something
    comes. 300 by default, for local and remote agents alike; None waits for ever, which is also the default of a
    seat that asks a person itself (`human=`) and of a room. `may_terminate`: closing words of this seat end the
    conversation; by default those of local agents do, those of remote ones do not. `may_answer`: what other seats ask
    is put to this one before a person is asked, of everybody (True) or of the seats named; never what asks for
    credentials. `budget` bounds this seat; when it is spent the seat is not chosen any more. `auth`: headers for a
    remote agent, as `async (caller, card) -> headers`, or anything that `RemoteAgent(auth=)` takes; a caller's own
    token is never passed on. `on_card_change`: what happens when a remote agent has another card than the one that it
    was let in with: the room's person is asked, it is noted, or the conversation stops. `view` and `on_failure` default
    to the room's.
    """

    def __init__(
        self,
        agent: Any,
        name: str | None = None,
        *,
        view: View | None = None,
        timeout: float | None = SILENCE,
        on_failure: OnFailure | None = None,
        may_terminate: bool | None = None,
        may_answer: bool | Sequence[str] = False,
        budget: Budget | None = None,
        auth: "Auth | SeatAuth | None" = None,
        on_card_change: OnCardChange = "ask",
    ) -> None:
        if on_card_change not in ("ask", "note", "stop"):
            raise ValueError(f"Seat(on_card_change={on_card_change!r}): use 'ask', 'note' or 'stop'")
        if timeout is not None and (not isinstance(timeout, int | float) or not timeout > 0):
            raise ValueError(f"Seat(timeout={timeout!r}): seconds above 0, or None for no limit")
        self.original = agent  # ours is called directly, also under another name: what only it can say is not lost
        if auth is not None:
            agent = _signed_in(agent, name, auth)
        self.agent: Agent = agent if isinstance(agent, Conversing) else adapt(agent, name=name)
        self.named = name
        self.view = view
        self.timeout = None if timeout is SILENCE and getattr(self.agent, "is_patient", False) else timeout
        self.on_failure = on_failure
        self.may_terminate = may_terminate
        self.may_answer: bool | tuple[str, ...] = may_answer if isinstance(may_answer, bool) else tuple(may_answer)
        self.budget = budget
        self.on_card_change = on_card_change
        self.key: str = name if name is not None else self.agent.name
        self.endpoint = _endpoint_of(agent, self.agent)
        self._chairs: dict[tuple[View, OnFailure], Chair] = {}  # of a local agent they are always the same
        self._digest: tuple[Any, str] = (None, "")

    def __repr__(self) -> str:
        return f"Seat({self.key!r})"

    def digest_of(self, card: Any) -> str:
        """The digest of a card, which is counted once as long as the card is the same."""
        if self._digest[0] is not card:
            self._digest = card, digest_of(card)
        return self._digest[1]

    def chair(self, view: View, on_failure: OnFailure, card: Any) -> "Chair":
        """The chair of this seat in a run; `card` is what a remote agent said about itself."""
        if card is not None or self.endpoint is not None:
            return make_chair(self, view, on_failure, card)
        made = self._chairs.get((view, on_failure))
        if made is None:
            made = self._chairs[view, on_failure] = make_chair(self, view, on_failure, None)
        return made


def digest_of(card: Any) -> str:
    """The digest of what a card says. Its signatures are left out: a server makes new ones whenever it starts."""
    said = {name: value for name, value in dump(card).items() if name != "signatures"}
    body = json.dumps(said, sort_keys=True, ensure_ascii=False).encode("utf-8", "replace")
    return blake2b(body, digest_size=16).hexdigest()


def _signed_in(agent: Any, name: str | None, auth: "Auth | SeatAuth") -> RemoteAgent:
    """A remote agent that is called with these credentials; a function of two parameters is told whose turn it is."""
    if not isinstance(agent, str):
        raise ValueError("Seat(auth=...) is for a seat that is given by its URL; RemoteAgent(auth=...) is for others")
    given: Any = auth
    if callable(auth) and len(inspect.signature(auth).parameters) == 2:

        async def headers(card: AgentCard) -> Mapping[str, str]:
            found: Mapping[str, str] = await given(CALLER.get() or Caller(), card)
            return found

        return RemoteAgent(agent, name=name, auth=headers)
    return RemoteAgent(agent, name=name, auth=given)


def _endpoint_of(given: Any, agent: Agent) -> str | None:
    url = given if isinstance(given, str) else getattr(agent, "url", None)
    if not isinstance(url, str):
        return None
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"  # no credentials: it is shown and kept


def seated(agent: Any) -> Seat:
    """The seat itself, or a default seat for the agent."""
    return agent if isinstance(agent, Seat) else Seat(agent)


@dataclass(frozen=True, slots=True)
class Chair:
    """A seat in one run of a room. `labels` are the ways in which a model announces its own name before its words."""

    name: str
    key: str
    agent: Agent
    card: Any
    speaker: Speaker
    traits: Traits
    view: View
    on_failure: OnFailure
    timeout: float | None
    original: Any
    metadata: dict[str, JSONValue]
    labels: tuple[str, ...]
    label_starts: frozenset[str]
    may_answer: bool | tuple[str, ...]
    budget: Budget | None
    on_card_change: OnCardChange
    speak: Callable[[Turn], AsyncGenerator[Spoken, None]]

    @property
    def description(self) -> str:
        """What the agent is for, in words for everybody: its card says, or itself."""
        return getattr(self.card, "description", None) or self.agent.description

    @property
    def role(self) -> str:
        """What the agent is for, in words for whoever chooses speakers: of our own agents the system message."""
        return getattr(self.agent, "role", None) or self.description

    async def has_changed(self) -> bool:
        """The agent has another card now than when the seat was taken; False if it cannot be read."""
        describe = getattr(self.agent, "describe", None)
        if self.card is None or describe is None:
            return False
        card = await _card(self.name, describe)
        return card is not None and card is not self.card and digest_of(card) != self.speaker.card

    @property
    def is_passive(self) -> bool:
        """A stand-in that could never answer: it may open the conversation and is never chosen."""
        return bool(getattr(self.agent, "is_passive", False))

    @property
    def reruns(self) -> int:
        """How often a turn that gave nothing may be asked for again."""
        if self.on_failure.rerun is not None:
            return self.on_failure.rerun
        return 0 if self.traits.after_crash == "at_most_once" else 1

    def words_metadata(self, why: Decision | None) -> dict[str, JSONValue]:
        """What the words of a turn carry while they stream: who speaks, and why that one was chosen."""
        return self.metadata if why is None else with_decision(self.metadata, by=why.chosen_by, reason=why.reason)

    def voice(self, kind: SpeakerKind) -> Speaker:
        """The speaker of this chair as one of that kind: words of a person and of a machine come through the same."""
        if kind == self.speaker.kind:
            return self.speaker
        return replace(self.speaker, kind=kind)

    def as_guest(self) -> dict[str, JSONValue]:
        """What the rules of the room need to know of a seat that is not in its configuration."""
        policy, may = self.on_failure, self.may_answer
        return {
            "after_crash": self.traits.after_crash,
            "passive": self.is_passive,
            "rerun": policy.rerun,
            "then": policy.then,
            "on_card_change": self.on_card_change,
            "may_answer": may if isinstance(may, bool) else [*may],
            "budget": None if self.budget is None else asdict(self.budget),
        }


def make_chair(seat: Seat, view: View, on_failure: OnFailure, card: Any) -> Chair:
    """The chair of a seat, made anew."""
    agent = seat.agent
    name = seat.named or agent.name
    is_remote = seat.endpoint is not None
    kind: SpeakerKind = "remote" if is_remote else getattr(agent, "speaker_kind", "local")
    traits = traits_of(agent)
    labels = _labels(name)
    speaker = Speaker(
        name,
        kind,
        traits.framework,
        seat.endpoint,
        seat.may_terminate if seat.may_terminate is not None else not is_remote,
        None if card is None else seat.digest_of(card),
    )
    return Chair(
        name=name,
        key=seat.key,
        agent=agent,
        card=card,
        speaker=speaker,
        traits=traits,
        view=seat.view or view,
        on_failure=seat.on_failure or on_failure,
        timeout=seat.timeout,
        original=seat.original,
        metadata=metadata_of(speaker),
        labels=labels,
        label_starts=frozenset(label[0] for label in labels),
        may_answer=seat.may_answer,
        budget=seat.budget,
        on_card_change=seat.on_card_change,
        speak=_way_to_speak(agent),
    )


def _way_to_speak(agent: Agent) -> Callable[[Turn], AsyncGenerator[Spoken, None]]:
    """`converse` of an agent of ours, unless a subclass of somebody's has a `run` of its own."""
    if isinstance(agent, Conversing):
        for cls in type(agent).__mro__:
            if "converse" in vars(cls):
                return agent.converse
            if "run" in vars(cls):
                break
    return agent.run


def _labels(name: str) -> tuple[str, ...]:
    folded = name.casefold()
    return (f"[{folded}]:", f"[{folded}]", f"**{folded}:**", f"**{folded}**:", f"{folded}:")


async def take_chairs(seats: Sequence[Seat], view: View, on_failure: OnFailure) -> tuple[Chair, ...]:
    """All chairs of a room, the cards of remote agents read at once, their names checked.

    A card that cannot be read does not keep the room from starting: that seat goes by the name it has. Raises
    ChatError when two names cannot be told apart.
    """
    cards: dict[int, Any] = {}
    asked = [(at, describe) for at, seat in enumerate(seats) if (describe := getattr(seat.agent, "describe", None))]
    if asked:
        await net.warm()
        async with asyncio.TaskGroup() as group:  # waits for all; a cancelled room cancels them
            tasks = {at: group.create_task(_card(seats[at].key, describe)) for at, describe in asked}
        cards = {at: task.result() for at, task in tasks.items()}
    chairs = tuple(seat.chair(view, on_failure, cards.get(at)) for at, seat in enumerate(seats))
    check_names(tuple(chair.name for chair in chairs))
    return chairs


async def _card(name: str, describe: Any) -> Any:
    try:
        return await describe()
    except Exception as error:  # one seat's card must not keep the others from talking
        trace = None if isinstance(error, BridgeError) else error
        _log.warning("the card of %s cannot be read, it sits without: %s", name, error, exc_info=trace)
        return None


def uuid_of(*names: object) -> str:
    """A UUID (version 5) that is the same whenever the names are; uuid.uuid5, without its detour over an object."""
    found = sha1(_NAMESPACE + "\n".join(map(str, names)).encode(), usedforsecurity=False).hexdigest()
    return f"{found[:8]}-{found[8:12]}-5{found[13:16]}-{_VARIANTS[found[16]]}{found[17:20]}-{found[20:32]}"
