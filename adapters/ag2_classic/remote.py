"""A remote A2A agent, or any agent of ours, as a classic ConversableAgent: for a chat, or a seat in a GroupChat.

    groupchat = GroupChat([writer, A2AAgent("https://example.org/critic", name="critic")], messages=[])

Async chats take the turn in their own event loop and cancel it when they are cancelled. A sync chat blocks as classic
AutoGen does: the turn runs in an event loop that all sync calls of the process share, in a thread of its own.
What the agent keeps of a conversation belongs to the one it talks to, as AutoGen's own messages do.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from a2a_bridge.errors import needs_extra

with needs_extra("ag2-classic"):
    from autogen import ConversableAgent
    from autogen.events.client_events import StreamEvent
    from autogen.io import IOStream

from a2a_bridge.adaptation import adapt
from a2a_bridge.client.hosted import Hosted, Tokens, hosted_message
from a2a_bridge.client.loop_thread import blocking
from a2a_bridge.protocol.objects import Message, Part, json_bytes
from adapters.ag2_classic.copies import LeadsConversations

Line = Mapping[str, Any]


class A2AAgent(ConversableAgent, LeadsConversations):  # type: ignore[misc]  # checked without the framework's types
    """`target`: a URL, or whatever `adapt` takes. `context`: the name of the conversation, to go on with one of an
    earlier process; with the same name and the same messages a step that is run again is not worked twice. Published,
    it leads a conversation of its own for each turn, which has no such name: it would be one for all callers.

    A question of the remote agent is its message, and the next message to it is the answer. A failure is raised.
    `stream`: tokens go to AutoGen's IOStream as they come. The two last options end a chat, as with
    any agent of AutoGen.
    """

    def __init__(
        self,
        target: Any,
        *,
        name: str,
        description: str | None = None,
        context: str | None = None,
        stream: bool = True,
        is_termination_msg: Callable[[dict[str, Any]], bool] | None = None,
        max_consecutive_auto_reply: int | None = None,
    ) -> None:
        self._agent = adapt(target, name=name, description=description)
        super().__init__(
            name,
            description=description or self._agent.description,
            llm_config=False,
            human_input_mode="NEVER",
            code_execution_config=False,
            is_termination_msg=is_termination_msg,
            max_consecutive_auto_reply=max_consecutive_auto_reply,
        )
        self._context = context
        self._streams = stream
        self._talks: dict[str, Hosted] = {}
        # In the place of the model, so that what AutoGen asks first comes first: the chat's end, and nested chats.
        self.replace_reply_func(ConversableAgent.generate_oai_reply, A2AAgent._reply)
        self.replace_reply_func(ConversableAgent.a_generate_oai_reply, A2AAgent._a_reply)

    def _reply(self, messages: Any = None, sender: Any = None, config: Any = None) -> tuple[bool, Any]:
        return True, blocking(self._answer(messages, sender))

    async def _a_reply(self, messages: Any = None, sender: Any = None, config: Any = None) -> tuple[bool, Any]:
        return True, await self._answer(messages, sender)

    async def _answer(self, messages: Sequence[Line] | None, sender: Any) -> Any:
        lines = list(messages if messages is not None else self._oai_messages[sender])
        partner = "" if sender is None else str(sender.name)
        talk, tokens = self._talk(partner), Tokens()
        stream = IOStream.get_default() if self._streams else None
        async with aclosing(talk.take(self._new(lines, talk, partner), key=_digest(lines))) as replies:
            async for reply in replies:
                if stream is not None and (text := tokens.of(reply)):
                    stream.send(StreamEvent(content=text))
        return _content(talk.parts)

    def _talk(self, partner: str) -> Hosted:
        """The conversation with one partner; agents of one name are one partner."""
        if partner not in self._talks:
            named = f"{self._context}/{partner}" if self._context is not None else None
            self._talks[partner] = Hosted(self._agent, named)
        return self._talks[partner]

    def _new(self, lines: Sequence[Line], talk: Hosted, partner: str) -> list[Message]:
        """What has been said since this agent spoke last: the remote knows the rest. One that was never told anything
        is told everything, unless the conversation has a name, which the remote may know from an earlier process. Who
        said something is told where there are several: in a group chat, whose manager is the partner."""
        knows_nothing = talk.turns == 0 and self._context is None
        new: list[Message] = []
        for number, line in enumerate(lines):
            is_own = line.get("role") == "assistant" or line.get("name") == self.name
            if is_own and not knows_nothing:
                new = []
                continue
            speaker = self.name if is_own else line.get("name")
            speaker = None if speaker == partner else speaker
            new.append(_message(line, f"{number}:{_digest([line])}", speaker))
        return new or [hosted_message([Part(text="")], key="empty")]

    def clear_history(self, recipient: Any = None, nr_messages_to_preserve: int | None = None) -> None:
        """Forget the messages, and with all of them also the conversation with the remote agent."""
        super().clear_history(recipient, nr_messages_to_preserve)
        if not nr_messages_to_preserve:
            for partner in [recipient.name] if recipient is not None else list(self._talks):
                self._talks.pop(partner, None)

    def reset(self) -> None:
        """Start anew with everybody."""
        super().reset()
        self._talks.clear()

    def begin_anew(self) -> None:
        """On a copy that is made for one turn of a published agent."""
        self._talks, self._context = {}, None

    @property
    def state(self) -> dict[str, Any]:
        """A JSON value for `load`: all conversations with the remote agent."""
        return {partner: talk.state for partner, talk in self._talks.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._talks.clear()
        for partner, kept in state.items():
            self._talks[partner] = Hosted(self._agent)
            self._talks[partner].load(kept)


def _digest(lines: Sequence[Line]) -> str:
    return hashlib.sha256(json.dumps(list(lines), sort_keys=True, default=str).encode()).hexdigest()


def _message(line: Line, key: str, speaker: str | None) -> Message:
    content = line.get("content")
    pieces = content if isinstance(content, list) else [{"type": "text", "text": str(content or "")}]
    return hosted_message([_part(piece) for piece in pieces], key=key, speaker=speaker)


def _part(piece: Mapping[str, Any]) -> Part:
    if piece.get("type") != "image_url":
        return Part(text=str(piece.get("text") or ""))
    url = piece["image_url"]["url"]
    head, _, data = url.partition(",")
    if not head.startswith("data:"):
        return Part(url=url, media_type="image/*")
    return Part(raw=base64.b64decode(data), media_type=head.removeprefix("data:").partition(";")[0])


def _content(parts: Sequence[Part]) -> Any:
    """Words as a string, which every agent takes; with images as content pieces."""
    pieces = [_piece(part) for part in parts]
    if all(piece["type"] == "text" for piece in pieces):
        return "\n".join(piece["text"] for piece in pieces)
    return {"content": pieces}


def _piece(part: Part) -> dict[str, Any]:
    if part.text is not None:
        return {"type": "text", "text": part.text}
    if part.kind == "data":
        return {"type": "text", "text": json_bytes(part.data).decode()}
    media_type = part.media_type or "application/octet-stream"
    if media_type.startswith("image/"):
        encoded = base64.b64encode(part.raw or b"").decode("ascii")
        return {"type": "image_url", "image_url": {"url": part.url or f"data:{media_type};base64,{encoded}"}}
    return {"type": "text", "text": f"[{part.filename or part.url or 'file'}: {media_type}]"}
