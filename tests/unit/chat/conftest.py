"""What the tests of rooms share: agents that do as they are told, and a way to watch a turn."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from a2a_bridge.agent import Reply, Traits, Turn
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.manager import GroupChatManager


class Puppet:
    """An agent that says what its script says, and keeps the turns it was given."""

    def __init__(
        self,
        name: str,
        script: Callable[[Turn], Sequence[Reply | str | Exception]] | Sequence[Any] | str | None = None,
        *,
        traits: Traits = Traits(framework="puppet"),
    ) -> None:
        self.name = name
        self.description = f"{name} is a puppet."
        self.traits = traits
        self.turns: list[Turn] = []
        self._script = f"{name} speaks" if script is None else script

    async def run(self, turn: Turn) -> AsyncGenerator[Reply | str, None]:
        self.turns.append(turn)
        script: Any = self._script
        if callable(script):
            script = script(turn)
        elif not isinstance(script, str):
            script = script[len(self.turns) - 1] if script and isinstance(script[0], list) else script
        for reply in [script] if isinstance(script, str) else script:
            if isinstance(reply, Exception):
                raise reply
            yield reply

    @property
    def heard(self) -> list[list[str]]:
        """The texts it was handed, turn by turn."""
        return [[message.text for message in turn.messages] for turn in self.turns]


@pytest.fixture
def puppet() -> type[Puppet]:
    return Puppet


@pytest.fixture
def room() -> Callable[..., GroupChatManager]:
    """A manager over these agents, round robin unless it is said otherwise."""

    def made(*agents: Any, llm_config: Any = None, name: str = "chat_manager", human: Any = None, **rules: Any) -> Any:
        rules.setdefault("speaker_selection_method", "round_robin" if llm_config is None else "auto")
        manager: dict[str, Any] = {"llm_config": llm_config, "name": name, "human": human}
        for word in ("summary_method", "is_termination_msg"):
            if word in rules:
                manager[word] = rules.pop(word)
        return GroupChatManager(GroupChat(list(agents), **rules), **manager)

    return made


@pytest.fixture
def watch() -> Callable[..., Any]:
    """Everything that one turn of an agent yields."""

    async def watched(agent: Any, turn: Turn) -> list[Reply | str]:
        async with aclosing(agent.run(turn)) as replies:
            return [reply async for reply in replies]

    return watched
