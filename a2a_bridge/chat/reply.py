"""How an agent of ours replies: an ordered list of small functions, the first that says something wins.

Each is an async generator of (agent, exchange). One that yields nothing leaves the reply to the next. Streams stay
streams: what a model says is passed on word by word. Around the list go the agent's middleware, which see the whole
turn, and hooks that must see the whole answer before it is said.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Literal

from a2a_bridge.agent import Ask, Chunk, ToolCall, ToolResult, Usage
from a2a_bridge.chat.ask import put
from a2a_bridge.chat.calls import Calls, ledger_of, planned, planned_calls, unclear_note, verdicts
from a2a_bridge.chat.classic import content_parts, to_dict
from a2a_bridge.chat.coding import code
from a2a_bridge.chat.exchange import Exchange, Replying
from a2a_bridge.chat.spoken import HumanWords, Pass, Spoken, StopChat
from a2a_bridge.chat.thinking import Thinking, is_plain, plainly
from a2a_bridge.chat.wording import calls_in, responses_part
from a2a_bridge.protocol.objects import Part, Role

HumanInputMode = Literal["ALWAYS", "NEVER", "TERMINATE"]

ReplyFunction = Callable[[Any, Exchange], AsyncGenerator[Spoken, None]]
"""One step of the chain."""

Middleware = Callable[[Any, Exchange, Callable[[], AsyncGenerator[Spoken, None]]], AsyncGenerator[Spoken, None]]
"""Goes around the whole chain: is called with the agent, the exchange and a function that gives the rest, which it may
call once, more often, or not at all. Read it within `contextlib.aclosing`."""


async def stop(agent: Replying, exchange: Exchange) -> AsyncGenerator[Spoken, None]:
    """End the conversation at a closing word, or when enough replies were given; only where no person is asked."""
    if agent.human_input_mode != "NEVER" or exchange.turn.answer is not None:
        return
    if await exchange.ends():
        yield StopChat("terminated", f"{await exchange.asked_by()} said the closing word")
    elif await exchange.is_worn_out():
        yield StopChat("max_replies", f"{agent.name} has given all its automatic replies")


async def human(agent: Replying, exchange: Exchange) -> AsyncGenerator[Spoken, None]:
    """Ask a person: always, or (TERMINATE) where the conversation would otherwise end."""
    answer = exchange.turn.answer
    if agent.human_input_mode == "NEVER" or (answer is not None and not exchange.answers("")):
        return
    ends = await exchange.ends()
    if answer is not None:
        said = str(answer.value()).strip()
        words = "" if said.casefold() == "pass" else said
    elif agent.human_input_mode == "ALWAYS" or ends or await exchange.is_worn_out():
        asked = f"Your reply to {await exchange.asked_by()}?"
        skipped = _skipped(agent, ends)
        if agent.human is None:  # whoever is asked may sit anywhere, at no terminal, and be unable to send nothing
            yield Ask(text=f"{asked} pass (or an empty answer) {skipped}, exit ends the conversation.")
            return
        words = (await put(agent.human, f"{asked} Enter {skipped}, exit ends the conversation.")).strip()
    else:
        return
    if words and agent.hooks.has("safeguard_human_inputs"):
        words = str(await agent.hooks.run("safeguard_human_inputs", words))
    if words == "exit":
        yield StopChat("human", f"ended through {agent.name}")
    elif words:
        yield HumanWords(words)
    elif ends:
        yield StopChat("terminated", f"{await exchange.asked_by()} said the closing word")
    elif not _goes_on(agent):
        yield Pass("nothing to add")


def _goes_on(agent: Replying) -> bool:
    """Somebody else than the person may have a reply."""
    return agent.model is not None or bool(agent.default_auto_reply or agent.toolbox.runs or agent.execution)


def _skipped(agent: Replying, ends: bool) -> str:
    """What it means to say nothing."""
    return "ends the conversation" if ends else "gives the automatic reply" if _goes_on(agent) else "says nothing"


async def tool(agent: Replying, exchange: Exchange) -> AsyncGenerator[Spoken, None]:
    """Run the calls that another agent's model has proposed, those of them that are registered for execution here."""
    if not agent.toolbox.runs:
        return
    ledger = await ledger_of(agent, exchange) if exchange.answers("tool") else None
    plan = planned(ledger, "executor")
    refused: set[str] | None = None
    if plan is not None:
        calls = planned_calls(plan)
        refused, again = verdicts(exchange, calls)
        if again:
            yield unclear_note()
            for ask in again:
                yield ask
            return
    else:
        last = await exchange.last()
        if last is None or last.role is Role.AGENT or exchange.answers("tool") or not await exchange.is_ours():
            return
        calls = calls_in(last)
        if not any(each.name in agent.toolbox.runs for each in calls):
            return
        ledger = await ledger_of(agent, exchange)
    making = Calls(agent, exchange, agent.toolbox.runs, ledger)
    async with aclosing(making.make(calls, {"by": "executor"}, refused)) as pieces:
        async for piece in pieces:
            yield piece
    if not making.paused:
        yield Chunk(parts=(responses_part(made.result for made in making.made),))


async def model(agent: Replying, exchange: Exchange) -> AsyncGenerator[Spoken, None]:
    """Let the model speak, word by word, and call tools."""
    if agent.model is None:
        return
    speaking = plainly(agent, exchange) if is_plain(agent) else Thinking(agent, exchange).speak()
    async with aclosing(speaking) as pieces:
        async for piece in pieces:
            yield piece


async def default(agent: Replying, exchange: Exchange) -> AsyncGenerator[Spoken, None]:
    """The fixed reply of an agent that has no better one."""
    if agent.default_auto_reply:
        for part in content_parts(agent.default_auto_reply):
            if part.text:
                yield part.text


CHAIN: tuple[ReplyFunction, ...] = (stop, human, tool, code, model, default)
"""The chain of an agent that says nothing else."""

_IDLE: Mapping[Any, Callable[[Replying], bool]] = {
    stop: lambda agent: agent.human_input_mode != "NEVER",
    human: lambda agent: agent.human_input_mode == "NEVER",
    tool: lambda agent: not agent.toolbox.runs,
    code: lambda agent: agent.execution is None,
    model: lambda agent: agent.model is None,
    default: lambda agent: not agent.default_auto_reply,
}
"""When one of ours has nothing to say whatever was said: it is passed over, for that costs less than asking it."""


async def chained(
    agent: Replying, exchange: Exchange, replies: Sequence[ReplyFunction]
) -> AsyncGenerator[Spoken, None]:
    """The chain: what the first of them says that says anything."""
    for reply in replies:
        idle = _IDLE.get(reply)
        if idle is not None and idle(agent):
            continue
        has_spoken = False
        async with aclosing(reply(agent, exchange)) as spoken:
            async for piece in spoken:
                has_spoken = has_spoken or not isinstance(piece, Usage | ToolCall | ToolResult)
                yield piece
        if has_spoken:
            return


def wrapped(
    agent: Replying, exchange: Exchange, replies: Sequence[ReplyFunction], middleware: Sequence[Middleware]
) -> AsyncGenerator[Spoken, None]:
    """The chain with everything that goes around it."""

    def inner() -> AsyncGenerator[Spoken, None]:
        return chained(agent, exchange, replies)

    speak = inner
    for each in reversed(middleware):
        speak = _around(each, agent, exchange, speak)
    if agent.hooks.has("process_message_before_send"):
        return _whole(agent, exchange, speak())
    return speak()


def _around(
    middleware: Middleware, agent: Replying, exchange: Exchange, inner: Callable[[], AsyncGenerator[Spoken, None]]
) -> Callable[[], AsyncGenerator[Spoken, None]]:
    return lambda: middleware(agent, exchange, inner)


async def _whole(
    agent: Replying, exchange: Exchange, speaking: AsyncGenerator[Spoken, None]
) -> AsyncGenerator[Spoken, None]:
    """Hold the words back, let the hooks see them as one message, and say what they make of it."""
    words: list[str] = []
    parts: list[Part] = []
    last: list[Spoken] = []
    async with aclosing(speaking) as spoken:
        async for piece in spoken:
            if isinstance(piece, str):
                words.append(piece)
            elif isinstance(piece, Chunk) and piece.artifact == "answer":
                words += [piece.text] if piece.text else []
                parts += piece.parts
            elif isinstance(piece, Usage | ToolCall | ToolResult):
                yield piece
            else:
                last.append(piece)
    if words:
        peer = await exchange.sender()
        said = await agent.hooks.run("process_message_before_send", "".join(words), agent, after=(peer, False))
        for part in content_parts(said):
            yield part.text if part.is_plain_text and part.text is not None else Chunk(parts=(part,))
    if parts:
        yield Chunk(parts=tuple(parts))
    for piece in last:
        yield piece


class ClassicReply:
    """A reply function as AutoGen writes it: (recipient, messages, sender, config) -> (is it final, the reply)."""

    def __init__(self, function: Callable[..., Any], triggers: Sequence[Any], config: Any) -> None:
        self.function = function
        self._triggers = triggers
        self._config = config

    async def __call__(self, agent: Replying, exchange: Exchange) -> AsyncGenerator[Spoken, None]:
        sender = await exchange.sender()
        if exchange.turn.answer is not None or not any(triggered(each, sender) for each in self._triggers):
            return
        messages = [to_dict(each) for each in await exchange.messages()]
        returned = self.function(agent, messages=messages, sender=sender, config=self._config)
        is_final, reply = await returned if hasattr(returned, "__await__") else returned
        if reply is not None:
            yield Chunk(parts=content_parts(reply))
        elif is_final:
            yield StopChat("no_reply", f"{agent.name} has nothing to say")


def triggered(trigger: Any, sender: Any) -> bool:
    """AutoGen's triggers: a class, an agent, a name, a function of the sender, None for no sender, or a list of these.

    Of a sender that does not sit in the same room only the name is known: no class of agents matches but the widest.
    """
    if isinstance(trigger, list | tuple):
        return any(triggered(each, sender) for each in trigger)
    if trigger is None or sender is None:
        return trigger is None and sender is None
    if isinstance(trigger, str):
        return bool(getattr(sender, "name", None) == trigger)
    if isinstance(trigger, type):
        widest = getattr(trigger, "_is_protocol", False) or trigger.__name__ == "ConversableAgent"
        return bool(widest) or isinstance(sender, trigger)
    if hasattr(trigger, "name"):
        return trigger is sender or getattr(sender, "name", None) == trigger.name
    return bool(trigger(sender))
