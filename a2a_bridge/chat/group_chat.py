"""Who sits in a room, and by what rules they talk."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, Never

from a2a_bridge.chat.absent import check_overrides, missing_member
from a2a_bridge.chat.budget import Budget
from a2a_bridge.chat.classic import ForReading, check_count, content_parts, refuse_words, seen_by
from a2a_bridge.chat.names import check_names
from a2a_bridge.chat.result import ChatResult
from a2a_bridge.chat.room_view import next_in_order
from a2a_bridge.chat.seat import OnFailure, Seat, View, seated
from a2a_bridge.chat.speaker import SelectionFunction, Selector
from a2a_bridge.chat.termination import Condition
from a2a_bridge.protocol.objects import Part

Filter = Callable[[Any, Any], bool]
"""Given an agent and the running room, says whether that agent may speak now."""


class GroupChat:
    """The seats of a room and its rules: `GroupChat(agents=[human, researcher, "https://..."], max_round=10)`.

    `agents` takes any mix of what `adapt` takes, and `Seat`s. `max_round` counts rounds, the opening message being
    the first, as in AutoGen. `speaker_selection_method`: "auto", "round_robin", "random", "manual", a function of
    (last_speaker, groupchat), or a `Selector`. `until`: a condition of `chat.termination` that ends the conversation.
    `view` and `on_failure` hold for seats that say nothing else. `min_seats`: fewer seats that can answer end it.
    `eligibility`: functions of (agent, room) that say who may speak now. `budget` bounds what a run may cost.
    `courtesies_end`: four messages in a row that only thank, take leave or echo end it, whatever else does. The
    templates and the role are for a model that chooses speakers, see `Selector`. `admin_name`: the person in
    whose name words and answers from outside are said that name nobody, if it has a seat; else it is the first one.

    The object is configuration and never written to while a room runs; `messages` shows, for reading, the last
    conversation that was driven from Python.
    """

    def __init__(
        self,
        agents: Sequence[Any],
        messages: Sequence[Any] = (),
        max_round: int = 10,
        *,
        speaker_selection_method: str | SelectionFunction | Selector = "auto",
        max_retries_for_selecting_speaker: int | None = None,
        allow_repeat_speaker: bool | Sequence[Any] | None = None,
        allowed_or_disallowed_speaker_transitions: Mapping[Any, Sequence[Any]] | None = None,
        speaker_transitions_type: Literal["allowed", "disallowed"] | None = None,
        send_introductions: bool = False,
        until: Condition | None = None,
        view: View = View(),
        on_failure: OnFailure = OnFailure(),
        min_seats: int = 1,
        admin_name: str = "Admin",
        select_speaker_message_template: str | None = None,
        select_speaker_prompt_template: str | None = None,
        role_for_select_speaker_messages: Literal["system", "user", "assistant"] | None = None,
        eligibility: Filter | Sequence[Filter] = (),
        budget: Budget | None = None,
        courtesies_end: bool = True,
        **other: Never,
    ) -> None:
        refuse_words("GroupChat", other)
        if not agents:
            raise ValueError("GroupChat(agents=[...]): a room needs at least one seat")
        check_count("max_round", max_round)
        check_count("min_seats", min_seats, least=0)
        _check_transitions(allowed_or_disallowed_speaker_transitions, speaker_transitions_type)
        self.seats: tuple[Seat, ...] = tuple(seated(agent) for agent in agents)
        check_names(tuple(seat.key for seat in self.seats))
        self.agents: list[Any] = ForReading(agents)
        self.max_round = max_round
        self.selector = _selector(
            speaker_selection_method,
            {
                "max_retries": max_retries_for_selecting_speaker,
                "message": select_speaker_message_template,
                "prompt": select_speaker_prompt_template,
                "role": role_for_select_speaker_messages,
            },
        )
        self.admin_name = admin_name
        self.eligibility: tuple[Filter, ...] = (eligibility,) if callable(eligibility) else tuple(eligibility)
        self.budget = budget
        self.courtesies_end = courtesies_end
        self.allow_repeat_speaker = allow_repeat_speaker
        self.allowed_or_disallowed_speaker_transitions = allowed_or_disallowed_speaker_transitions
        self.speaker_transitions_type = speaker_transitions_type
        self.send_introductions = send_introductions
        self.until = until
        self.view = view
        self.on_failure = on_failure
        self.min_seats = min_seats
        self.earlier = tuple(_earlier(message) for message in messages)
        self._result: ChatResult | None = None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        check_overrides(cls, "chat")

    def __getattr__(self, name: str) -> Any:
        missing_member(self, "chat", name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "messages" or (name in vars(self) and not name.startswith("_")):
            raise AttributeError(
                f"GroupChat.{name} is said when the room is made, and a manager has read it: make another"
                f" GroupChat({name}=...)"
            )
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        return f"GroupChat({', '.join(seat.key for seat in self.seats)})"

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The last conversation that was driven from Python, as classic dicts; before it, what the room began with."""
        if self._result is not None:
            return ForReading(seen_by(None, said) for said in self._result.messages)
        return ForReading({"role": "user", "name": name, "content": _text(parts)} for name, parts in self.earlier)

    @property
    def repeats(self) -> bool | tuple[Any, ...]:
        """Whether, or of whom, two turns in a row are allowed; transitions decide it when they are given."""
        if self.allow_repeat_speaker is None:
            return True
        if isinstance(self.allow_repeat_speaker, bool):
            return self.allow_repeat_speaker
        return tuple(self.allow_repeat_speaker)

    def agent_by_name(self, name: str) -> Any:
        """The agent of that name as it was given, or None."""
        return next((seat.original for seat in self.seats if seat.key == name), None)

    def next_agent(self, agent: Any, agents: Sequence[Any] | None = None) -> Any:
        """The agent after `agent` in the order of the seats, of these `agents` if they are given; the first one after
        somebody who has no seat. Both as they were given to the room."""
        return next_in_order(agent, self.agents, agents)

    @property
    def agent_names(self) -> list[str]:
        """The names of the agents, in their order."""
        return [seat.key for seat in self.seats]

    @property
    def speaker_selection_method(self) -> Any:
        """How speakers are chosen: a word, or a function."""
        return self.selector.method

    @property
    def max_retries_for_selecting_speaker(self) -> int:
        """How often a model that chooses is asked again."""
        return self.selector.max_retries

    @property
    def select_speaker_message_template(self) -> str | None:
        """What a model that chooses is told before the conversation; None: what it is told anyway."""
        return self.selector.message

    @property
    def select_speaker_prompt_template(self) -> str | None:
        """What a model that chooses is told after the conversation."""
        return self.selector.prompt

    @property
    def role_for_select_speaker_messages(self) -> str:
        """The role of what a model that chooses is told."""
        return self.selector.role

    def reset(self) -> None:
        """Forget the last conversation: `messages` shows what the room begins with."""
        self._result = None

    def keep_result(self, result: ChatResult) -> None:
        """Leave a finished conversation for reading."""
        self._result = result


def _check_transitions(table: Mapping[Any, Sequence[Any]] | None, kind: str | None) -> None:
    if (table is None) != (kind is None):
        raise ValueError(
            "allowed_or_disallowed_speaker_transitions and speaker_transitions_type belong together: give both"
        )
    if kind not in (None, "allowed", "disallowed"):
        raise ValueError(f"speaker_transitions_type={kind!r}: use 'allowed' or 'disallowed'")


def _selector(method: str | SelectionFunction | Selector, words: Mapping[str, Any]) -> Selector:
    given = {word: value for word, value in words.items() if value is not None}
    if not isinstance(method, Selector):
        return Selector(method, **given)
    if given:
        raise ValueError(f"with a Selector, say Selector({', '.join(f'{word}=...' for word in given)}) instead")
    return method


def _earlier(message: Any) -> tuple[str, tuple[Part, ...]]:
    name = message.get("name") if isinstance(message, Mapping) else None
    return str(name or "user"), content_parts(message)


def _text(parts: tuple[Part, ...]) -> str:
    return "\n".join(part.text for part in parts if part.text is not None)
