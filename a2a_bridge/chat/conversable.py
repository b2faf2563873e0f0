"""Our own agents: a model, a person, tools, code or a fixed reply behind one name."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, ClassVar, Literal, Never

from a2a_bridge.agent import Reply, Say, Traits, Turn
from a2a_bridge.chat.absent import check_overrides, missing_member
from a2a_bridge.chat.ask import Human
from a2a_bridge.chat.classic import (
    TerminationMessage,
    check_count,
    check_name,
    form_in,
    model_from,
    refuse_words,
)
from a2a_bridge.chat.driving import Driving
from a2a_bridge.chat.entry import SpeakerKind
from a2a_bridge.chat.exchange import Exchange
from a2a_bridge.chat.execution.config import execution_of
from a2a_bridge.chat.execution.contract import CodeExecutor
from a2a_bridge.chat.handoff import Handoff, checked
from a2a_bridge.chat.hooks import Hooks
from a2a_bridge.chat.memory import Memory
from a2a_bridge.chat.model import Model
from a2a_bridge.chat.registering import Registering
from a2a_bridge.chat.reply import CHAIN, HumanInputMode, Middleware, ReplyFunction, wrapped
from a2a_bridge.chat.result import ChatResult
from a2a_bridge.chat.spoken import HumanWords, Pass, Spoken, StopChat
from a2a_bridge.chat.structured import form_of
from a2a_bridge.chat.toolbox import filled
from a2a_bridge.protocol.objects import JSONValue


class ConversableAgent(Registering, Driving):
    """An agent with a name, a role and a way to reply.

    `llm_config` is the classic dict, a `Model`, or False or None for no model. `human_input_mode`: a person is asked
    ALWAYS, NEVER, or when the conversation would otherwise end (TERMINATE); the person is whoever drives the
    conversation, or the function `human` (sync or async) of the question; a subclass may define `get_human_input` or
    `a_get_human_input` instead, as in AutoGen. `max_consecutive_auto_reply`: replies in a row without a person, 100 by
    default. `description` is for everybody, a published card included; the model that
    chooses speakers reads the system message instead if there is none.
    `default_auto_reply`: said when nothing else is there to say.

    `tools`: functions with type hints, `Tool`s, MCP servers, agents or their URLs, which the model may call.
    `functions` is their old name; `function_map`: functions that are run here when another agent proposes them.
    `code_executor` or `code_execution_config`: code that others write is run, in a sandbox. `response_format`: the form
    of every reply. `handoffs`: who speaks next. `context_variables`: what the conversation knows besides its words.
    `memory`: what is put before the model. `middleware`: what goes around every reply.

    The object is configuration: a turn never writes to it, so it can take any number of turns at once.
    """

    DEFAULT_SYSTEM_MESSAGE: ClassVar[str] = "You are a helpful AI assistant."
    DEFAULT_INPUT_MODE: ClassVar[HumanInputMode] = "TERMINATE"
    MAX_CONSECUTIVE_AUTO_REPLY: ClassVar[int] = 100
    speaker_kind: ClassVar[SpeakerKind] = "local"
    reply_chain: ClassVar[tuple[ReplyFunction, ...]] = CHAIN
    """Tried in order, the first that says something wins; a subclass may have another list."""

    def __init__(
        self,
        name: str,
        system_message: str | None = None,
        *,
        description: str | None = None,
        llm_config: Mapping[str, Any] | Model | Literal[False] | None = None,
        human_input_mode: HumanInputMode | None = None,
        human: Human | None = None,
        is_termination_msg: TerminationMessage | None = None,
        max_consecutive_auto_reply: int | None = None,
        default_auto_reply: str | dict[str, Any] | None = None,
        code_execution_config: Mapping[str, Any] | Literal[False] | None = None,
        code_executor: CodeExecutor | None = None,
        tools: Sequence[Any] = (),
        functions: Sequence[Any] | Any = (),
        function_map: Mapping[str, Callable[..., Any]] | None = None,
        handoffs: Sequence[Handoff] = (),
        context_variables: Mapping[str, JSONValue] | None = None,
        memory: Sequence[Memory] = (),
        middleware: Sequence[Middleware] = (),
        response_format: Any = None,
        update_agent_state_before_reply: Sequence[Callable[..., Any]] | Callable[..., Any] = (),
        **other: Never,
    ) -> None:
        refuse_words(type(self).__name__, other)
        check_name(type(self).__name__, name)
        if max_consecutive_auto_reply is not None:
            check_count("max_consecutive_auto_reply", max_consecutive_auto_reply, least=0)
        self.name = name
        self.system_message = self.DEFAULT_SYSTEM_MESSAGE if system_message is None else system_message
        self.description = description or f"The agent {name}."
        self._llm_config = llm_config
        self.model = model_from(llm_config)
        self.human_input_mode = _checked(human_input_mode or self.DEFAULT_INPUT_MODE)
        self.human = _asked_for(human, self.human_input_mode) or _own_asking(self)
        self.is_termination_msg = is_termination_msg
        self._is_limited = max_consecutive_auto_reply is not None
        self.max_replies = (
            self.MAX_CONSECUTIVE_AUTO_REPLY if max_consecutive_auto_reply is None else max_consecutive_auto_reply
        )
        self.default_auto_reply = default_auto_reply
        self.execution = execution_of(code_execution_config, code_executor)
        self.toolbox = filled((*tools, *_several(functions)), function_map)
        self.handoffs = checked(handoffs)
        self.context_variables: Mapping[str, JSONValue] | None = (
            None if context_variables is None else dict(context_variables)
        )
        self.memory = tuple(memory)
        self.middleware = tuple(middleware)
        self.form = form_of(response_format if response_format is not None else form_in(llm_config))
        self.hooks = Hooks()
        for hook in _several(update_agent_state_before_reply):
            self.hooks.add("update_agent_state", hook)
        self.replies: list[ReplyFunction] = list(self.reply_chain)
        self.nested_chats = 0
        self._results: dict[int, tuple[Any, ChatResult]] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        check_overrides(cls, "agent")

    def __getattr__(self, name: str) -> Any:
        missing_member(self, "agent", name)

    @property
    def role(self) -> str:
        """What it is for, for the model that chooses speakers."""
        is_told = self.description != f"The agent {self.name}."
        return self.description if is_told else self.system_message or self.description

    @property
    def llm_config(self) -> Any:
        """What it was given, for another agent; False for no model."""
        return False if self._llm_config is None else self._llm_config

    @property
    def traits(self) -> Traits:
        """A turn that may pause for an approval, and what lasts from turn to turn, need a journal."""
        return _TRAITS[self._keeps_context, self.toolbox.is_blocking]

    @property
    def _keeps_context(self) -> bool:
        return (
            self.context_variables is not None
            or self.nested_chats > 0
            or self.toolbox.asks_people
            or (self.execution is not None and self.execution.approval == "human")
        )

    @property
    def is_passive(self) -> bool:
        """Nothing here could ever answer: such an agent opens a chat and is not chosen to speak."""
        if self.model is not None or self.default_auto_reply or self.human_input_mode == "ALWAYS":
            return False
        if self.toolbox.runs or self.execution is not None or self.middleware:
            return False
        asks_when_worn_out = self.human_input_mode == "TERMINATE" and self._is_limited
        is_plain = tuple(self.replies) == CHAIN and type(self).run is ConversableAgent.run
        return is_plain and not asks_when_worn_out

    @property
    def is_patient(self) -> bool:
        """A person is asked within its turns, and may take any time."""
        return self.human is not None

    def max_consecutive_auto_reply(self, sender: Any = None) -> int:
        """How many replies in a row it gives without a person, whoever the sender is."""
        return self.max_replies

    def update_max_consecutive_auto_reply(self, value: int, sender: Any = None) -> None:
        """Another number, before it takes part in a conversation; it holds for every sender."""
        check_count("update_max_consecutive_auto_reply", value, least=0)
        self.max_replies, self._is_limited = value, True

    def update_system_message(self, system_message: str) -> None:
        """Give it another system message, before it takes part in a conversation."""
        self.system_message = system_message

    def converse(self, turn: Turn) -> AsyncGenerator[Spoken, None]:
        """Take a turn in a room or chat of ours: may also end it, pass, or speak for a person."""
        return wrapped(self, Exchange(self, turn), self.replies, self.middleware)

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        """Take a turn anywhere."""
        async with aclosing(self.converse(turn)) as spoken:
            async for piece in spoken:
                if isinstance(piece, HumanWords):
                    yield piece.text
                elif isinstance(piece, StopChat | Pass):
                    yield Say(piece.detail or "Nothing to add.")
                else:
                    yield piece


_TRAITS = {
    (keeps, blocks): Traits(framework="a2a_bridge", keeps_context=keeps, stops_on_cancel=not blocks)
    for keeps in (True, False)
    for blocks in (True, False)
}


def _several(given: Any) -> tuple[Any, ...]:
    """AutoGen takes one of these or a list of them."""
    return tuple(given) if isinstance(given, list | tuple) else (given,)


def _asked_for(human: Human | None, mode: HumanInputMode) -> Human | None:
    if human is not None and mode == "NEVER":
        raise ValueError("human=... is never asked with human_input_mode='NEVER': use 'ALWAYS' or 'TERMINATE'")
    return human


def _own_asking(agent: ConversableAgent) -> Human | None:
    """How an agent of a subclass asks its person, as AutoGen's users write it."""
    if agent.human_input_mode == "NEVER":
        return None
    for name in ("a_get_human_input", "get_human_input"):
        found: Human | None = getattr(type(agent), name, None)
        if found is not None:
            return found.__get__(agent)  # type: ignore[no-any-return]
    return None


def _checked(mode: str) -> HumanInputMode:
    if mode not in ("ALWAYS", "NEVER", "TERMINATE"):
        raise ValueError(f"human_input_mode={mode!r}: use 'ALWAYS', 'NEVER' or 'TERMINATE'")
    return mode  # type: ignore[return-value]
