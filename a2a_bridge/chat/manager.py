"""A room as an agent: it runs a group chat for whoever takes a turn with it."""

import inspect
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, Literal, Never

from a2a_bridge.agent import MAX_HOPS, Chunk, Fail, Refuse, Reply, Traits, Turn, Usage
from a2a_bridge.chat import control
from a2a_bridge.chat.absent import check_overrides, missing_member
from a2a_bridge.chat.ask import Human
from a2a_bridge.chat.classic import (
    TerminationMessage,
    check_name,
    model_from,
    refuse_words,
)
from a2a_bridge.chat.condition import Condition
from a2a_bridge.chat.debate.rounds import Rounds
from a2a_bridge.chat.entry import Entry, Speaker, metadata_of
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.keep import RoomStore
from a2a_bridge.chat.kept import RoomKeeper, message_of
from a2a_bridge.chat.model import Model
from a2a_bridge.chat.remembering import RoomRemembering
from a2a_bridge.chat.result import ChatResult
from a2a_bridge.chat.room import Room, abandon_room
from a2a_bridge.chat.rules import Host, Rules
from a2a_bridge.chat.seat import seated
from a2a_bridge.chat.summary import SummaryMethod, check_method, last_words, reflect
from a2a_bridge.chat.termination import MessageTermination
from a2a_bridge.errors import ChatError
from a2a_bridge.protocol.extensions import with_stop
from a2a_bridge.protocol.objects import Part
from a2a_bridge.store.contract import Store


class GroupChatManager(RoomRemembering, RoomKeeper):
    """Runs a group chat, and is an agent itself: it can be published, and can take a seat in another room.

    `llm_config` is the model that chooses the speakers and may end the conversation (speaker selection "auto").
    `store`: where rooms that are driven from Python are kept, a path of a SQLite file or an open store; in memory if
    not given. `human`: a function (sync or async) of a question's text that answers what seats ask. Without it a served
    room hands the question to its caller, and `initiate_chat` asks at the terminal. `summary_method`: "last_msg",
    "reflection_with_llm", a function of (manager, groupchat, {}), or None.

    `protocol`: how a debate goes, see `chat.debate.rounds`; everybody then speaks in every round, nobody is chosen, and
    the summary is what the debate came to.

    Other words of AutoGen are taken where they ask for what is done anyway, and else refused with a sentence.

    The object is configuration: every turn is a run of its own, and what a room remembers is in that turn's journal.
    """

    def __init__(
        self,
        groupchat: GroupChat,
        llm_config: Mapping[str, Any] | Model | Literal[False] | None = None,
        *,
        name: str = "chat_manager",
        description: str | None = None,
        is_termination_msg: TerminationMessage | None = None,
        human: Human | None = None,
        summary_method: SummaryMethod = "last_msg",
        store: Store | str | Path | None = None,
        protocol: Rounds | None = None,
        **other: Never,
    ) -> None:
        refuse_words("GroupChatManager", other)
        check_name("GroupChatManager", name)
        check_method(summary_method)
        self.name = name
        self.groupchat = groupchat
        self._llm_config = llm_config
        self.model = model_from(llm_config)
        self.human = human
        self.description = description or f"A conversation of {', '.join(seat.key for seat in groupchat.seats)}."
        self.protocol = protocol
        self._summary_method = summary_method
        self.room_store = None if store is None else RoomStore(store, name)
        self.rules = self._rules(is_termination_msg)
        if protocol is not None:
            _check_debate(protocol, groupchat, self.model)
        elif groupchat.selector.method == "auto" and self.model is None and groupchat.selector.model is None:
            raise ChatError(
                "speaker_selection_method='auto' lets a model choose the speakers: GroupChatManager(groupchat,"
                " llm_config=...), or choose 'round_robin', 'random', 'manual' or a function in GroupChat"
            )
        if self.model is None and any((seat.view or groupchat.view).kind == "summary" for seat in groupchat.seats):
            raise ChatError("View.summary() needs a model that sums up: GroupChatManager(llm_config=...)")
        if summary_method == "reflection_with_llm" and self.model is None:
            raise ChatError("summary_method='reflection_with_llm' needs GroupChatManager(llm_config=...)")

    def __repr__(self) -> str:
        return f"GroupChatManager({self.name!r}, {self.groupchat!r})"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        check_overrides(cls, "manager")

    def __getattr__(self, name: str) -> Any:
        missing_member(self, "manager", name)

    @property
    def llm_config(self) -> Any:
        """What it was given, for another one; False for no model."""
        return False if self._llm_config is None else self._llm_config

    traits = Traits(
        framework="a2a_bridge", keeps_context=True, after_crash="resumable", takes_interjections=True
    )  # fmt: skip

    def _rules(self, is_termination_msg: TerminationMessage | None) -> Rules:
        chat = self.groupchat
        until: Condition = MessageTermination(is_termination_msg, courtesies=chat.courtesies_end)
        if chat.until is not None:
            until = until | chat.until
        return Rules(
            manager=Speaker(self.name, "manager", "a2a_bridge"),
            seats=chat.seats,
            selector=chat.selector,
            until=until,
            limit=chat.max_round,
            model=self.model,
            repeats=chat.repeats,
            transitions=chat.allowed_or_disallowed_speaker_transitions,
            transitions_kind=chat.speaker_transitions_type,
            view=chat.view,
            on_failure=chat.on_failure,
            min_seats=chat.min_seats,
            earlier=chat.earlier,
            introduces=chat.send_introductions,
            summarise=self._summary,
            budget=chat.budget,
            eligibility=chat.eligibility,
            protocol=self.protocol,
            admin=chat.admin_name,
        )

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """Run the room for one turn. Each speaker's words stream as an artifact of its own, the summary comes last,
        as artifact `answer`; what a seat asks becomes the room's own question."""
        if turn.hops > MAX_HOPS:
            yield Refuse(f"this message has come through {turn.hops} rooms; rooms that seat each other must stop")
            return
        room = Room(self.rules, turn, human=self.human, pauses=True)
        async with aclosing(room.play()) as shown:
            async for said in shown:
                if not isinstance(said, Entry):
                    yield said
        if room.stop is not None:
            if self.protocol is not None and (debate := room.result().debate) is not None:
                yield Chunk(parts=(Part(data=debate.to_json()),), artifact="debate")
            yield self._last_word(room)

    def _last_word(self, room: Room) -> Reply:
        stop = room.stop
        assert stop is not None
        if stop.kind in ("failed", "selection_failed") and not room.summary:
            return Fail(f"the conversation came to nothing ({stop.kind})")
        detail = "" if stop.kind in ("failed", "selection_failed") else stop.detail  # troubles are the owner's business
        metadata = with_stop(metadata_of(self.rules.manager), kind=stop.kind, by=stop.by, detail=detail)
        text = room.summary or f"The conversation ended without a word ({stop.kind})."
        return Chunk(text, artifact="answer", metadata=metadata)

    async def abandon(self, turn: Turn) -> None:
        """A turn that waits for an answer gets none: the seat that asked is told."""
        await abandon_room(self.rules, turn)

    # What can be asked of a room while it runs; RoomNotRunningError when it does not run in this process.

    def interject(self, room_id: str, text: str, name: str | None = None) -> None:
        """Say something in a running room at once, under the name of a person, or of the room's stand-in."""
        control.running(room_id).interject(message_of(text), name)

    def pause(self, room_id: str) -> None:
        """Let whoever speaks finish, and ask nobody else until `unpause`."""
        control.running(room_id).pause()

    def unpause(self, room_id: str) -> None:
        """Go on after `pause`."""
        control.running(room_id).go_on()

    def finish(self, room_id: str, reason: str = "asked to end") -> None:
        """Let whoever speaks finish, then end: its result says `terminated`, by `outside`. See `External` for rooms
        that end on more than that."""
        control.running(room_id).finish(reason)

    def cancel(self, room_id: str, reason: str = "canceled") -> None:
        """Stop a running room now: whoever speaks is cancelled, remote tasks with it. Its result says `canceled`."""
        control.running(room_id).cancel(reason)

    def seat(self, room_id: str, agent: Any) -> None:
        """Give somebody a seat in a running room: anything that `adapt` takes, or a `Seat`. It is there from the next
        turn on."""
        one = seated(agent)
        control.running(room_id).join(one)

    def unseat(self, room_id: str, name: str) -> None:
        """Ask somebody to leave a running room. ChatError when nobody of that name came with `seat` or the room."""
        control.running(room_id).leave(name)

    def keep_result(self, result: ChatResult) -> None:
        """Leave a finished conversation for reading, in `groupchat.messages` and with the agents in it."""
        self.groupchat.keep_result(result)
        for seat in self.groupchat.seats:
            agent: Any = seat.agent
            if hasattr(type(agent), "keep_result") and not isinstance(agent, Host):
                agent.keep_result(self, result)

    async def _summary(self, run: Sequence[Entry]) -> tuple[str, Usage]:
        method = self._summary_method
        if self.protocol is not None:
            return self.protocol.measure(run).summary, Usage()
        if method is None:
            return "", Usage()
        if callable(method):
            summary = method(self, self.groupchat, {})
            return str(await summary if inspect.isawaitable(summary) else summary), Usage()
        if method == "last_msg" or self.model is None:
            return last_words(run), Usage()
        return await reflect(self.model, run, {})


def _check_debate(protocol: Rounds, chat: GroupChat, model: Model | None) -> None:
    """Raise for a debate that cannot be had."""
    names = tuple(seat.key for seat in chat.seats)
    protocol.judge_model(model)
    if protocol.judge_seat is not None and protocol.judge_seat not in names:
        raise ChatError(f"Judge({protocol.judge_seat!r}) has no seat in this room: {', '.join(names)}")
    if len(protocol.debaters(names)) < 2:
        raise ChatError("a debate needs two seats at least, besides the judge")
    if chat.allowed_or_disallowed_speaker_transitions is not None or chat.allow_repeat_speaker is not None:
        raise ChatError("in a debate everybody speaks in every round: leave transitions and allow_repeat_speaker out")
