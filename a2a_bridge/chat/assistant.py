"""An agent with a model, and nobody who is asked."""

from typing import ClassVar

from a2a_bridge.chat.conversable import ConversableAgent
from a2a_bridge.chat.reply import HumanInputMode


class AssistantAgent(ConversableAgent):
    """Answers with its model: `AssistantAgent("critic", system_message="You ask for evidence.", llm_config=...)`."""

    DEFAULT_SYSTEM_MESSAGE: ClassVar[str] = (
        "You are a helpful assistant. Work on the task step by step, say what you are sure of and what you are not,"
        " and ask when something that you need is missing. When all that was asked for is done, answer with the one"
        " word TERMINATE."
    )
    DEFAULT_INPUT_MODE: ClassVar[HumanInputMode] = "NEVER"
