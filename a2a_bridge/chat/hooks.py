"""Hooks, under AutoGen's names: functions that see, and may change, what goes in and out of an agent.

A hook is sync or async; what it returns takes the place of what it was given. Sync ones run in the event loop, as they
do there: they are meant to be short. An agent that has one which must see a whole answer does not stream.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from a2a_bridge.chat.variables import ContextVariables

NAMES = (
    "update_agent_state",
    "process_all_messages_before_reply",
    "process_last_received_message",
    "process_message_before_send",
    "safeguard_tool_inputs",
    "safeguard_tool_outputs",
    "safeguard_llm_inputs",
    "safeguard_llm_outputs",
    "safeguard_human_inputs",
)
WHOLE = frozenset({"process_message_before_send", "safeguard_llm_outputs"})
"""Hooks that must see the whole answer before any of it is said."""


class AgentNow:
    """An agent as hooks see it during one turn: what they change holds for this turn only."""

    def __init__(self, agent: Any, variables: ContextVariables) -> None:
        self._agent = agent
        self.system_message: str = agent.system_message
        self.context_variables = variables

    def __getattr__(self, name: str) -> Any:
        return getattr(self._agent, name)

    def update_system_message(self, system_message: str) -> None:
        """The system message of this turn."""
        self.system_message = system_message


@dataclass(frozen=True, slots=True)
class UpdateSystemMessage:
    """For `update_agent_state_before_reply=[...]`: a text with {names} of context variables, or a function of
    (agent, messages) that returns the text."""

    content_updater: str | Callable[..., Any]

    async def __call__(self, agent: AgentNow, messages: list[dict[str, Any]]) -> None:
        if isinstance(self.content_updater, str):
            agent.update_system_message(_filled(self.content_updater, agent.context_variables))
            return
        said = self.content_updater(agent, messages)
        agent.update_system_message(str(await said if inspect.isawaitable(said) else said))


class _Known(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return f"{{{key}}}"  # left as it is


def _filled(template: str, variables: Mapping[str, Any]) -> str:
    return template.format_map(_Known(variables))


@dataclass(slots=True)
class Hooks:
    """Filled while an agent is configured, only read while it runs."""

    held: dict[str, list[Callable[..., Any]]] = field(default_factory=dict)

    def add(self, name: str, hook: Callable[..., Any]) -> None:
        """ValueError for a name that is none."""
        if name not in NAMES:
            raise ValueError(f"register_hook({name!r}): hooks are {', '.join(NAMES)}")
        if not callable(hook):
            raise TypeError(f"register_hook({name!r}): a function is needed, not {type(hook).__name__}")
        self.held.setdefault(name, []).append(hook)

    def has(self, *names: str) -> bool:
        """Whether any of them is there."""
        return any(name in self.held for name in names)

    @property
    def hold_back(self) -> bool:
        """Answers are not streamed."""
        return self.has(*WHOLE)

    async def run(self, name: str, value: Any, *before: Any, after: Iterable[Any] = ()) -> Any:
        """Pass a value through all hooks of that name: each is called with `before`, the value, and `after`."""
        for hook in self.held.get(name, ()):
            returned = hook(*before, value, *after)
            value = await returned if inspect.isawaitable(returned) else returned
        return value

    async def tell(self, name: str, *told: Any) -> None:
        """Call all hooks of that name for what they do."""
        for hook in self.held.get(name, ()):
            returned = hook(*told)
            if inspect.isawaitable(returned):
                await returned
