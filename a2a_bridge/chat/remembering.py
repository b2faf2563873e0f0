"""What a program may read of an agent or a manager after conversations that it drove. AutoGen's attributes.

Nothing of this is used while a conversation runs: agents and managers are configuration then.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from a2a_bridge.agent import Usage
from a2a_bridge.chat.classic import seen_by
from a2a_bridge.chat.group_chat import GroupChat
from a2a_bridge.chat.result import ChatResult, usage_by_model


class Remembering:
    """The part of an agent that knows its last conversation with each peer."""

    name: str
    _results: dict[int, tuple[Any, ChatResult]]

    def keep_result(self, peer: Any, result: ChatResult) -> None:
        """Remember the last conversation with `peer`; called once it has ended."""
        self._results.pop(id(peer), None)  # the latest is the last
        self._results[id(peer)] = (peer, result)

    def result_with(self, peer: Any) -> ChatResult | None:
        """The last conversation with `peer` that was driven from Python."""
        found = self._results.get(id(peer))
        return found[1] if found else None

    def clear_history(self, recipient: Any = None) -> None:
        """Forget the last conversation with `recipient`, by default with everybody."""
        if recipient is None:
            self._results.clear()
        else:
            self._results.pop(id(recipient), None)

    def reset(self) -> None:
        """Forget all conversations. Nothing else changes from one to the next."""
        self.clear_history()

    @property
    def chat_messages(self) -> dict[Any, list[dict[str, Any]]]:
        """The last conversation with each peer, as classic dicts: own words are the assistant's."""
        found: dict[Any, list[dict[str, Any]]] = defaultdict(list)
        for peer, result in self._results.values():
            found[peer] = [seen_by(self.name, said) for said in result.messages]
        return found

    def chat_messages_for_summary(self, agent: Any) -> list[dict[str, Any]]:
        """The last conversation with `agent`."""
        return [dict(said) for said in self._heard_from(agent)]

    def last_message(self, agent: Any = None) -> dict[str, Any] | None:
        """The last message of the conversation with `agent`, by default of the latest one; None if there was none.
        KeyError if there was none with that agent."""
        if agent is not None and self.result_with(agent) is None:
            raise KeyError(f"{self.name} has had no conversation with {getattr(agent, 'name', agent)}")
        results = [each for _, each in self._results.values()] if agent is None else [self.result_with(agent)]
        latest = results[-1] if results else None
        return seen_by(self.name, latest.messages[-1]) if latest is not None and latest.messages else None

    def usage(self) -> Usage:
        """What this agent has used in the last conversation with each of its peers: tokens, and US dollars if known."""
        return sum((each.usage.get(self.name, Usage()) for _, each in self._results.values()), Usage())

    def get_total_usage(self) -> dict[str, Any] | None:
        """The same by model, in the classic shape; None if nothing was used."""
        used = [
            entry.usage
            for _, result in self._results.values()
            for entry in result.entries
            if entry.usage is not None and entry.speaker is not None and entry.speaker.name == self.name
        ]
        return usage_by_model(used) if used else None

    def get_actual_usage(self) -> dict[str, Any] | None:
        """The same: what comes from a cache uses nothing and is not counted."""
        return self.get_total_usage()

    def print_usage_summary(self, mode: str | Sequence[str] = ("actual", "total")) -> None:
        """Print what this agent has used, model by model. `mode` makes no difference."""
        used = self.get_total_usage()
        lines = [f"Agent {self.name!r} has used no model."]
        if used is not None:
            lines = [f"Agent {self.name!r} has used (US$ {used.pop('total_cost'):.6f}):"]
            for model, spent in used.items():
                tokens = f"{spent['prompt_tokens']} tokens in, {spent['completion_tokens']} out"
                lines.append(f"* {model}: {tokens}, US$ {spent['cost']:.6f}")
        sys.stdout.write("\n".join(lines) + "\n")

    def _heard_from(self, sender: Any) -> list[Mapping[str, Any]]:
        result = self.result_with(sender)
        return [seen_by(self.name, said) for said in result.messages] if result is not None else []


class RoomRemembering:
    """The part of a manager that knows the last conversation that was driven from Python."""

    groupchat: GroupChat

    @property
    def chat_messages(self) -> dict[Any, list[dict[str, Any]]]:
        """The last conversation as the manager had it with each of the agents: their words are the user's."""
        return {agent: self._had_with(agent) for agent in self.groupchat.agents}

    def chat_messages_for_summary(self, agent: Any) -> list[dict[str, Any]]:
        """The last conversation, whoever asks."""
        return self.groupchat.messages

    def last_message(self, agent: Any = None) -> dict[str, Any] | None:
        """The newest message of the last conversation; None if there was none."""
        messages = self.groupchat.messages if agent is None else self._had_with(agent)
        return messages[-1] if messages else None

    @property
    def last_speaker(self) -> Any:
        """The agent who spoke last in the last conversation, as it was given; None if there was none."""
        spoke = (self.groupchat.agent_by_name(said.get("name") or "") for said in reversed(self.groupchat.messages))
        return next((agent for agent in spoke if agent is not None), None)

    def clear_history(self, recipient: Any = None) -> None:
        """Forget the last conversation. The agents remember it still; see their own `clear_history`."""
        self.groupchat.reset()

    def reset(self) -> None:
        """Forget the last conversation."""
        self.groupchat.reset()

    def _had_with(self, agent: Any) -> list[dict[str, Any]]:
        name = getattr(agent, "name", agent)
        return [_turned(said, name) for said in self.groupchat.messages]


def _turned(said: Mapping[str, Any], name: Any) -> dict[str, Any]:
    if said["role"] == "tool":
        return dict(said)
    return {**said, "role": "user" if said.get("name") == name else "assistant"}
