"""a2a_bridge: publish any agent over A2A, and seat any agents together in one group chat.

The door is lazy: importing this package loads nothing but the standard library.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_WHERE = {
    "A2AError": "errors",
    "Agent": "agent",
    "AgentCard": "protocol.card",
    "AgentSkill": "protocol.card",
    "Artifact": "protocol.objects",
    "Ask": "agent",
    "AssistantAgent": "chat.assistant",
    "Bridge": "bridge",
    "BridgeError": "errors",
    "ChatResult": "chat.room",
    "Chunk": "agent",
    "Client": "client.client",
    "ConversableAgent": "chat.conversable",
    "GroupChat": "chat.group_chat",
    "GroupChatManager": "chat.manager",
    "Message": "protocol.objects",
    "Part": "protocol.objects",
    "RemoteAgent": "client.remote",
    "Reply": "agent",
    "Say": "agent",
    "Seat": "chat.seat",
    "Task": "protocol.objects",
    "TaskArtifactUpdateEvent": "protocol.objects",
    "TaskState": "protocol.objects",
    "TaskStatus": "protocol.objects",
    "TaskStatusUpdateEvent": "protocol.objects",
    "Turn": "agent",
    "UserProxyAgent": "chat.user_proxy",
    "adapt": "adaptation",
    "load_card": "cards.load",
    "serve": "bridge",
}

__all__ = [*_WHERE, "__version__"]


def __getattr__(name: str) -> Any:
    module = _WHERE.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
