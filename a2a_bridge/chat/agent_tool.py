"""Any agent as a tool: the model writes a message to it and reads its answer."""

import re
from contextlib import aclosing

from a2a_bridge.agent import MAX_HOPS, Agent, OutcomeFold, Turn, abandon, parts_of
from a2a_bridge.chat.entry import words_of
from a2a_bridge.chat.tools import MAX_RESULT, Approval, Context, Tool
from a2a_bridge.errors import ToolError
from a2a_bridge.protocol.objects import JSONValue, Message, Part, Role
from a2a_bridge.store.journal import MemoryJournal

_PARAMETERS = {
    "type": "object",
    "properties": {"message": {"type": "string", "description": "What to say to the agent; it knows nothing else."}},
    "required": ["message"],
    "additionalProperties": False,
}
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]+")


def agent_tool(
    agent: Agent,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float = 300.0,
    max_result: int = MAX_RESULT,
    approval: Approval | None = None,
) -> Tool:
    """The tool that an agent is, a remote one for instance. Each call is a conversation of its own, seconds as given.

    An agent that asks something instead of answering gives its question as the result, and is told that nobody will
    answer: the model may call again and say more.
    """
    title = _NOT_IN_A_NAME.sub("_", name or agent.name).strip("_-")[:64] or "agent"
    title = title if title[0].isalpha() or title[0] == "_" else f"_{title}"[:64]

    async def run(arguments: JSONValue, context: Context) -> str:
        message = arguments.get("message") if isinstance(arguments, dict) else None
        if not isinstance(message, str) or not message.strip():
            raise ToolError("the arguments are not valid: message: a text is needed")
        return await ask_agent(agent, message, context)

    return Tool(title, description or agent.description, _PARAMETERS, run, timeout, max_result, approval)


async def ask_agent(agent: Agent, message: str, context: Context) -> str:
    """One question to an agent; what it came to as text. ToolError when it came to nothing."""
    if context.turn.hops >= MAX_HOPS:
        raise ToolError(f"this message has come through {context.turn.hops} agents: agents that call each other stop")
    turn_id = f"{context.turn.id}:{context.call_id}"
    asked = Message(message_id=turn_id, role=Role.USER, parts=(Part(text=message),))
    turn = Turn(
        id=turn_id,
        messages=(asked,),
        context_id=turn_id,
        caller=context.turn.caller,
        journal=MemoryJournal(),
        hops=context.turn.hops + 1,
    )
    fold = OutcomeFold()
    async with aclosing(agent.run(turn)) as replies:
        async for reply in replies:
            fold.add(reply)
    outcome = fold.outcome()
    if outcome.failed is not None or outcome.refused is not None:
        raise ToolError(f"{agent.name} could not answer: {outcome.failed or outcome.refused}")
    if outcome.asks:
        await abandon(agent, turn)
        words = words_of(part for ask in outcome.asks for part in parts_of(ask))
        raise ToolError(f"{agent.name} asks back: {words}")
    if outcome.is_empty:
        raise ToolError(f"{agent.name} said nothing")
    return words_of(outcome.parts)
