"""A person in a conversation, or a stand-in for one."""

from typing import ClassVar

from a2a_bridge.chat.conversable import ConversableAgent
from a2a_bridge.chat.entry import SpeakerKind
from a2a_bridge.chat.reply import HumanInputMode


class UserProxyAgent(ConversableAgent):
    """Speaks for a person, who is asked ALWAYS, NEVER, or when the conversation would otherwise end (TERMINATE).

    With NEVER, and neither a model nor `default_auto_reply`, it is a passive stand-in: it opens a chat, and is never
    chosen to speak.
    """

    DEFAULT_SYSTEM_MESSAGE: ClassVar[str] = ""
    DEFAULT_INPUT_MODE: ClassVar[HumanInputMode] = "ALWAYS"
    speaker_kind: ClassVar[SpeakerKind] = "human"
