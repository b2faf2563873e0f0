"""Our own agents: a model, a person, or a fixed reply behind one name."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, Literal, Never

from a2a_bridge.agent import Reply, Say, Traits, Turn, Usage
from a2a_bridge.chat.ask import Human
from a2a_bridge.chat.classic import (
    TerminationMessage,
    check_count,
    check_name,
    missing_member,
    model_from,
    refuse_words,
    to_dict,
)
from a2a_bridge.chat.entry import SpeakerKind
from a2a_bridge.chat.initiate import Chat, initiate
from a2a_bridge.chat.model import Model
from a2a_bridge.chat.reply import Exchange, HumanInputMode, ReplyFunction, default, human, model, stop
from a2a_bridge.chat.result import ChatResult
from a2a_bridge.chat.spoken import Conversing, HumanWords, Pass, Spoken, StopChat
from a2a_bridge.chat.summary import SummaryMethod
from a2a_bridge.chat.sync_edge import run_sync
from a2a_bridge.protocol.objects import Message


class ConversableAgent(Conversing):
    """An agent with a name, a role and a way to reply.

    `llm_config` is the classic dict, a `Model`, or False or None for no model. `human_input_mode`: a person is asked
    ALWAYS, NEVER, or when the conversation would otherwise end (TERMINATE); the person is whoever drives the
    conversation, or the function `human` (sync or async) of the question. `max_consecutive_auto_reply`: replies in a
    row without a person, 100 by default. `description` is for everybody, a published card included; the model that
    chooses speakers reads the system message instead if there is none.
    `default_auto_reply`: said when nothing else is there to say.

    The object is configuration: a turn never writes to it, so it can take any number of turns at once.
    """

    DEFAULT_SYSTEM_MESSAGE: ClassVar[str] = "You are a helpful AI assistant."
    DEFAULT_INPUT_MODE: ClassVar[HumanInputMode] = "TERMINATE"
    speaker_kind: ClassVar[SpeakerKind] = "local"
    reply_chain: ClassVar[tuple[ReplyFunction, ...]] = (stop, human, model, default)
    """Tried in order, the first that says something wins; a subclass may have another list."""

    traits = Traits(framework="a2a_bridge")

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
        code_execution_config: Literal[False] | None = None,
        code_executor: None = None,
        tools: None = None,
        functions: None = None,
        function_map: None = None,
        handoffs: None = None,
        context_variables: None = None,
        memory: None = None,
        middleware: None = None,
        budget: None = None,
        **other: Never,
    ) -> None:
        refuse_words(
            type(self).__name__,
            {
                "code_execution_config": code_execution_config,
                "code_executor": code_executor,
                "tools": tools,
                "functions": functions,
                "function_map": function_map,
                "handoffs": handoffs,
                "context_variables": context_variables,
                "memory": memory,
                "middleware": middleware,
                "budget": budget,
                **other,
            },
        )
        check_name(type(self).__name__, name)
        if max_consecutive_auto_reply is not None:
            check_count("max_consecutive_auto_reply", max_consecutive_auto_reply, least=0)
        self.name = name
        self.system_message = self.DEFAULT_SYSTEM_MESSAGE if system_message is None else system_message
        self.description = description or f"The agent {name}."
        self.role = description or self.system_message or self.description
        self.model = model_from(llm_config)
        self.human_input_mode = _checked(human_input_mode or self.DEFAULT_INPUT_MODE)
        self.human = _asked_for(human, self.human_input_mode)
        self.is_termination_msg = is_termination_msg
        self.max_consecutive_auto_reply = max_consecutive_auto_reply
        self.default_auto_reply = default_auto_reply
        self._results: dict[int, tuple[Any, ChatResult]] = {}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    def __getattr__(self, name: str) -> Any:
        missing_member(self, name)

    @property
    def is_passive(self) -> bool:
        """Nothing here could ever answer: such an agent opens a chat and is not chosen to speak."""
        if self.model is not None or self.default_auto_reply or self.human_input_mode == "ALWAYS":
            return False
        asks_when_worn_out = self.human_input_mode == "TERMINATE" and self.max_consecutive_auto_reply is not None
        is_plain = type(self).reply_chain == ConversableAgent.reply_chain and type(self).run is ConversableAgent.run
        return is_plain and not asks_when_worn_out

    @property
    def is_patient(self) -> bool:
        """A person is asked within its turns, and may take any time."""
        return self.human is not None

    async def converse(self, turn: Turn) -> AsyncGenerator[Spoken, None]:
        """Take a turn in a room or chat of ours: may also end it, pass, or speak for a person."""
        exchange = Exchange(self, turn)
        for reply in self.reply_chain:
            has_spoken = False
            async with aclosing(reply(self, exchange)) as spoken:
                async for piece in spoken:
                    has_spoken = has_spoken or not isinstance(piece, Usage)
                    yield piece
            if has_spoken:
                return

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

    async def a_initiate_chat(
        self,
        recipient: Any,
        clear_history: bool = True,
        silent: bool = False,
        *,
        message: Any = None,
        max_turns: int | None = None,
        summary_method: SummaryMethod = "last_msg",
        summary_args: Mapping[str, Any] | None = None,
        cache: None = None,
        **other: Never,
    ) -> ChatResult:
        """Open a conversation with `recipient`, a `GroupChatManager` or any agent, and see it through.

        `message`: a text, a dict with `content`, or a function of (sender, recipient, context); without one a person
        is asked for it. `clear_history=False` goes on where the last chat of these two ended. Unless `silent`, the
        conversation is printed while it goes on. `max_turns` is for chats of two: how often each of them speaks.
        Does not raise when an agent fails: `ChatResult.stop` says so.
        """
        refuse_words("initiate_chat", {"cache": cache, **other})
        chat = Chat(recipient, message, clear_history, silent, max_turns, summary_method, dict(summary_args or {}))
        return await initiate(self, chat)

    def initiate_chat(
        self,
        recipient: Any,
        clear_history: bool = True,
        silent: bool = False,
        *,
        message: Any = None,
        max_turns: int | None = None,
        summary_method: SummaryMethod = "last_msg",
        summary_args: Mapping[str, Any] | None = None,
        cache: None = None,
        **other: Never,
    ) -> ChatResult:
        """`a_initiate_chat` for programs without an event loop."""
        refuse_words("initiate_chat", {"cache": cache, **other})
        chat = Chat(recipient, message, clear_history, silent, max_turns, summary_method, dict(summary_args or {}))
        return run_sync(lambda: initiate(self, chat), f"await {self.name}.a_initiate_chat(...)")

    # For reading after a conversation that was driven from Python; nothing of this is used while one runs.

    def keep_result(self, peer: Any, result: ChatResult) -> None:
        """Remember the last conversation with `peer`; called once it has ended."""
        self._results[id(peer)] = (peer, result)

    def result_with(self, peer: Any) -> ChatResult | None:
        """The last conversation with `peer` that was driven from Python."""
        found = self._results.get(id(peer))
        return found[1] if found else None

    @property
    def chat_messages(self) -> dict[Any, list[dict[str, Any]]]:
        """The last conversation with each peer, as classic dicts: own words are the assistant's."""
        return {peer: [self._seen(said) for said in result.messages] for peer, result in self._results.values()}

    def last_message(self, agent: Any = None) -> dict[str, Any] | None:
        """The last message of the conversation with `agent`, by default of the only or the latest one."""
        results = list(self._results.values()) if agent is None else [self._results[id(agent)]]
        return self._seen(results[-1][1].messages[-1]) if results and results[-1][1].messages else None

    def _seen(self, message: Message) -> dict[str, Any]:
        found = to_dict(message)
        return {**found, "role": "assistant" if found.get("name") == self.name else "user"}


def _asked_for(human: Human | None, mode: HumanInputMode) -> Human | None:
    if human is not None and mode == "NEVER":
        raise ValueError("human=... is never asked with human_input_mode='NEVER': use 'ALWAYS' or 'TERMINATE'")
    return human


def _checked(mode: str) -> HumanInputMode:
    if mode not in ("ALWAYS", "NEVER", "TERMINATE"):
        raise ValueError(f"human_input_mode={mode!r}: use 'ALWAYS', 'NEVER' or 'TERMINATE'")
    return mode  # type: ignore[return-value]
