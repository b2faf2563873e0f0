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

if TYPE_CHECKING:
    from a2a_bridge.adaptation import adapt as adapt
    from a2a_bridge.agent import Agent as Agent
    from a2a_bridge.agent import Ask as Ask
    from a2a_bridge.agent import Chunk as Chunk
    from a2a_bridge.agent import Reply as Reply
    from a2a_bridge.agent import Say as Say
    from a2a_bridge.agent import Turn as Turn
    from a2a_bridge.bridge import Bridge as Bridge
    from a2a_bridge.bridge import serve as serve
    from a2a_bridge.cards.load import load_card as load_card
    from a2a_bridge.chat.assistant import AssistantAgent as AssistantAgent
    from a2a_bridge.chat.conversable import ConversableAgent as ConversableAgent
    from a2a_bridge.chat.group_chat import GroupChat as GroupChat
    from a2a_bridge.chat.manager import GroupChatManager as GroupChatManager
    from a2a_bridge.chat.room import ChatResult as ChatResult
    from a2a_bridge.chat.seat import Seat as Seat
    from a2a_bridge.chat.user_proxy import UserProxyAgent as UserProxyAgent
    from a2a_bridge.client.client import Client as Client
    from a2a_bridge.client.remote import RemoteAgent as RemoteAgent
    from a2a_bridge.errors import A2AError as A2AError
    from a2a_bridge.errors import BridgeError as BridgeError
    from a2a_bridge.protocol.card import AgentCard as AgentCard
    from a2a_bridge.protocol.card import AgentSkill as AgentSkill
    from a2a_bridge.protocol.objects import Artifact as Artifact
    from a2a_bridge.protocol.objects import Message as Message
    from a2a_bridge.protocol.objects import Part as Part
    from a2a_bridge.protocol.objects import Task as Task
    from a2a_bridge.protocol.objects import TaskArtifactUpdateEvent as TaskArtifactUpdateEvent
    from a2a_bridge.protocol.objects import TaskState as TaskState
    from a2a_bridge.protocol.objects import TaskStatus as TaskStatus
    from a2a_bridge.protocol.objects import TaskStatusUpdateEvent as TaskStatusUpdateEvent

__all__ = [*_WHERE, "__version__"]


_ERRORS = "from a2a_bridge.errors import ChatError, or one of its subclasses"
_CONFIG = "read the file yourself and pass llm_config={'config_list': [...]}"
_ELIGIBLE = "GroupChat(eligibility=...) takes functions of (agent, groupchat)"
_ELSEWHERE = {
    "AgentDescriptionGuard": _ELIGIBLE,
    "AgentEligibilityPolicy": _ELIGIBLE,
    "AgentNameConflictError": _ERRORS,
    "Cache": "from a2a_bridge.chat.cache import Cache",
    "ContextExpression": "Handoff(condition=...) takes a function of the context variables",
    "DEFAULT_MODEL": "llm_config says which model",
    "FAST_MODEL": "llm_config says which model",
    "IOStream": "rooms print to standard output; GroupChatManager.stream() gives what happens as it happens",
    "InvalidCarryOverTypeError": _ERRORS,
    "LLMConfig": "pass llm_config={'model': ..., 'api_key': ...}, a dict",
    "ModelClient": "from a2a_bridge.chat.model import Model",
    "NoEligibleSpeakerError": _ERRORS,
    "OpenAIWrapper": "from a2a_bridge.chat.model import OpenAIModel",
    "SelectionContext": _ELIGIBLE,
    "SenderRequiredError": _ERRORS,
    "UndefinedNextAgentError": _ERRORS,
    "UpdateSystemMessage": "from a2a_bridge.chat.hooks import UpdateSystemMessage",
    "a_initiate_chats": "from a2a_bridge.chat.sequence import a_initiate_chats",
    "config_list_from_dotenv": _CONFIG,
    "config_list_from_json": _CONFIG,
    "config_list_from_models": _CONFIG,
    "config_list_gpt4_gpt35": _CONFIG,
    "config_list_openai_aoai": _CONFIG,
    "gather_usage_summary": "result.cost is that of a whole conversation, agent.usage() that of one agent in it",
    "get_config_list": _CONFIG,
    "initiate_chats": "from a2a_bridge.chat.sequence import initiate_chats",
    "register_function": "from a2a_bridge.chat.registering import register_function",
}
"""Words of the classic line that people will look for here, and where they are."""


def __getattr__(name: str) -> Any:
    module = _WHERE.get(name)
    if name in _ELSEWHERE:
        raise ImportError(f"a2a_bridge has no {name}: {_ELSEWHERE[name]}")
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{module}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
