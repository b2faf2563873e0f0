"""May this be done? A person is asked in the conversation, or a function decides."""

import inspect
from collections.abc import Callable
from typing import Any

from a2a_bridge.agent import Answer, Ask, ToolCall, run_in_thread
from a2a_bridge.protocol.extensions import may_call

YES, NO = "yes", "no"
_LONGEST = 4000


async def decided(function: Callable[..., Any], *asked: Any) -> bool:
    """What a function says; a sync one runs in a thread. What it raises is raised."""
    if inspect.iscoroutinefunction(function):
        return bool(await function(*asked))
    said = await run_in_thread(lambda: function(*asked))
    return bool(await said if inspect.isawaitable(said) else said)


def ask_about(call: ToolCall) -> Ask:
    """The question that a person is asked before a tool is called."""
    return Ask(text=may_call(f"the tool {call.name}", call.arguments), options=(YES, NO), id=f"tool:{call.id}")


def ask_about_code(code: str, digest: str) -> Ask:
    """The question that a person is asked before code runs."""
    shown = code if len(code) <= _LONGEST else f"{code[:_LONGEST]}..."
    return Ask(text=f"May this code be run?\n\n{shown}", options=(YES, NO), id=f"code:{digest}")


def answers(answer: Answer | None, kind: str) -> bool:
    """Whether an answer is one to questions of that kind: "tool" or "code"."""
    return answer is not None and any(ask.id.startswith(f"{kind}:") for ask in answer.asks)


def said_to(answer: Answer, ask_id: str) -> str | None:
    """Yes, no, or None for an answer that is neither. One word answers all questions of a pause."""
    return answer.option(ask_id)
