"""What is registered with an agent while it is configured: replies, hooks, tools, nested chats. AutoGen's methods.

All of it belongs before the agent takes part in a conversation: an agent is never written to while it runs, and what
is registered in the middle of a turn holds from some later moment on.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal
from weakref import WeakKeyDictionary

from a2a_bridge.chat.execution.config import CodeExecution
from a2a_bridge.chat.execution.contract import CodeExecutor
from a2a_bridge.chat.hooks import Hooks
from a2a_bridge.chat.nested import NestedReply
from a2a_bridge.chat.reply import ClassicReply, ReplyFunction
from a2a_bridge.chat.toolbox import Toolbox
from a2a_bridge.chat.tools import Tool, from_function


class Registering:
    """The part of an agent that is configured after its constructor."""

    name: str
    replies: list[ReplyFunction]
    hooks: Hooks
    toolbox: Toolbox
    execution: CodeExecution | None
    nested_chats: int

    def register_reply(
        self,
        trigger: Any,
        reply_func: Callable[..., Any],
        position: int = 0,
        config: Any = None,
        *,
        remove_other_reply_funcs: bool = False,
    ) -> None:
        """Put a reply function into the chain, at `position`: 0 is asked first.

        `reply_func`: AutoGen's (recipient, messages, sender, config) -> (final, reply), sync or async, whose messages
        are plain dicts; or one of ours, an async generator of (agent, exchange), for which `trigger` may be None and
        is not looked at. `trigger`: a class, an agent, a name, a function of the sender, None, or a list of these.
        """
        made: ReplyFunction
        if inspect.isasyncgenfunction(reply_func):
            if trigger is not None or config is not None:
                raise TypeError("a reply function of (agent, exchange) decides itself: trigger and config must be None")
            made = reply_func
        else:
            triggers = trigger if isinstance(trigger, list | tuple) else [trigger]
            made = ClassicReply(reply_func, triggers, config)
        if remove_other_reply_funcs:
            self.replies.clear()
        self.replies.insert(position, made)

    def replace_reply_func(self, old_reply_func: Callable[..., Any], new_reply_func: Callable[..., Any]) -> None:
        """Put another function in the place of one. ValueError if that is not in the chain."""
        for at, held in enumerate(self.replies):
            if held is old_reply_func:
                self.replies[at] = new_reply_func
                return
            if isinstance(held, ClassicReply) and held.function is old_reply_func:
                held.function = new_reply_func
                return
        raise ValueError(f"{old_reply_func!r} is not among the replies of {self.name}")

    def register_hook(self, hookable_method: str, hook: Callable[..., Any]) -> None:
        """Add a hook; the names are those of AutoGen, listed in `chat.hooks.NAMES`."""
        self.hooks.add(hookable_method, hook)

    def register_nested_chats(
        self,
        chat_queue: Sequence[Mapping[str, Any]],
        trigger: Any,
        reply_func_from_nested_chats: str | Callable[..., Any] = "summary_from_nested_chats",
        position: int = 2,
    ) -> None:
        """Reply with what a sequence of chats came to, whenever `trigger` speaks; see `chat.nested`.

        `chat_queue`: chats as for `initiate_chats`; the sender is this agent unless one is named. A function in the
        place of "summary_from_nested_chats" is called with (chat_queue, recipient, messages, sender, config).
        """
        if callable(reply_func_from_nested_chats):
            own = reply_func_from_nested_chats

            def reply(recipient: Any, messages: Any, sender: Any, config: Any) -> Any:
                return own(chat_queue, recipient, messages, sender, config)

            self.register_reply(trigger, reply, position)
            return
        if reply_func_from_nested_chats != "summary_from_nested_chats":
            raise ValueError(
                f"reply_func_from_nested_chats={reply_func_from_nested_chats!r}: a function, or"
                " 'summary_from_nested_chats'"
            )
        self.nested_chats += 1
        self.replies.insert(position, NestedReply(chat_queue, trigger, self.nested_chats))

    def register_for_llm(
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        api_style: Literal["tool"] = "tool",
    ) -> Callable[[Any], Any]:
        """A decorator: the model is told of the function, and may propose calls of it."""
        if api_style != "tool":
            raise ValueError(f"api_style={api_style!r}: only 'tool', which endpoints take today")

        def offer(function: Any) -> Any:
            self.toolbox.offer(_made(function, name, description))
            return function

        return offer

    def register_for_execution(self, name: str | None = None, description: str | None = None) -> Callable[[Any], Any]:
        """A decorator: calls of the function are made here, whichever agent of the conversation proposes them."""

        def run(function: Any) -> Any:
            self.toolbox.run(_made(function, name, description))
            return function

        return run

    def register_function(self, function_map: Mapping[str, Callable[..., Any] | None]) -> None:
        """Calls of these functions are made here; None takes one away."""
        for name, function in function_map.items():
            if function is None:
                if self.toolbox.runs.pop(name, None) is None:
                    raise ValueError(f"{self.name} runs no function {name!r}")
            else:
                self.toolbox.run(_made(function, name, None))

    @property
    def tools(self) -> list[Tool]:
        """What the model is told of, besides the tools of MCP servers."""
        return list(self.toolbox.offered.values())

    @property
    def code_executor(self) -> CodeExecutor | None:
        """What runs the code that others write; None if nothing does."""
        return None if self.execution is None else self.execution.executor

    @property
    def function_map(self) -> dict[str, Tool]:
        """What is run here."""
        return dict(self.toolbox.runs)


_MADE: WeakKeyDictionary[Any, Tool] = WeakKeyDictionary()
"""Tools of functions that a decorator has seen: the next decorator of a pile knows the name and the description."""


def _made(function: Any, name: str | None, description: str | None) -> Tool:
    """The tool of a function, or a tool as it is, under another name or description."""
    made = function if isinstance(function, Tool) else _MADE.get(function)
    if made is None:
        made = from_function(function, name=name, description=description)
    else:
        made = replace(made, name=name or made.name, description=description or made.description)
    if not isinstance(function, Tool):
        _MADE[function] = made
    return made


def register_function(
    f: Callable[..., Any] | Tool, *, caller: Registering, executor: Registering, name: str | None = None,
    description: str,
) -> Tool:  # fmt: skip
    """AutoGen's: the model of `caller` is told of the function, and `executor` makes its calls."""
    made = _made(f, name, description)
    caller.toolbox.offer(made)
    executor.toolbox.run(made)
    return made
