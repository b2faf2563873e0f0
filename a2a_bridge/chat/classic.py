"""Between the plain dicts of classic programs and the values inside: this file is the whole translation.

User code of the classic line receives and returns `{"role", "name", "content"}`; inside it is `Message`. A classic
`llm_config` becomes a `Model` here, once, at the edge.
"""

import base64
import unicodedata
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NoReturn, overload

from a2a_bridge.agent import speaker_metadata, speaker_of
from a2a_bridge.chat.cache import Cache, CachedModel
from a2a_bridge.chat.entry import words_of
from a2a_bridge.chat.model import FallOver, Model, OpenAIModel
from a2a_bridge.protocol.objects import Message, Part, Role

TerminationMessage = Callable[[dict[str, Any]], bool]
"""The classic `is_termination_msg`: told a message as a dict, says whether it ends the conversation."""

_TEMPLATES = "a prompt template for speaker selection"
_LATER = {
    "select_speaker_auto_multiple_template": _TEMPLATES, "select_speaker_auto_none_template": _TEMPLATES,
    "select_speaker_transform_messages": "rewriting what the chooser of speakers reads",
    "select_speaker_auto_model_client_cls": "a client class for speaker selection",
}  # fmt: skip
_REPLACED = {
    "budget": "give it to the seat, Seat(agent, budget=Budget(...)), or to the room, GroupChat(budget=...)",
    "may_answer": "give it to the seat: Seat(agent, may_answer=True)",
    "func_call_filter": "only agents that a tool is registered with for execution run it",
    "prerequisites": "chats run in order here; a_initiate_chats runs each when its prerequisites are over",
    "code_execution_config": "the manager runs no code; give it to an agent in the room",
    "tools": "the manager calls no tools; give them to an agent in the room",
    "functions": "the manager calls no tools; give them to an agent in the room",
    "function_map": "the manager runs no tools; give them to an agent in the room",
    "ignore_async_in_sync_chat": "sync and async functions are both called in every chat",
    "reset_config": "a configuration is not written to while a conversation runs",
}
_MANAGER = {
    "system_message": "the manager has no part in the conversation; its model chooses by the roles of the agents, so"
    " say in their description or system_message what each is for",
    "human_input_mode": "the manager asks nobody itself; give it to the agent that speaks for a person, or choose"
    " speakers by hand with GroupChat(speaker_selection_method='manual')",
    "max_consecutive_auto_reply": "GroupChat(max_round=...) says how long a room talks",
    "default_auto_reply": "the manager does not reply itself",
}
_ANYWHERE = {
    "silent": "say it where the conversation starts: initiate_chat(..., silent=True)",
    "chat_messages": "a room begins with GroupChat(messages=[...]), and initiate_chat(clear_history=False) goes on"
    " with the last conversation",
    "enable_clear_history": "initiate_chat(clear_history=...) says whether a conversation begins anew",
    "select_speaker_auto_llm_config": "GroupChat(speaker_selection_method=Selector('auto', model=...)) says which model"
    " chooses",
    "select_speaker_auto_verbose": "every choice and its reason is printed, and kept in result.decisions",
}
_AS_IT_IS = (
    ("silent", False), ("enable_clear_history", False), ("select_speaker_auto_verbose", False),
    ("func_call_filter", True), ("code_execution_config", False),
)  # fmt: skip
"""Classic words whose value asks for what is done anyway."""

_ENDPOINT = frozenset({"model", "api_key", "base_url", "timeout", "max_retries", "default_headers", "price", "prices"})
_NOT_THE_MODELS = frozenset({"cache_seed", "response_format"})
"""Keys of a classic config that say something else than which model is asked and how."""
_SAMPLING = frozenset(
    {
        "temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "stop", "frequency_penalty",
        "presence_penalty", "reasoning_effort", "extra_body",
    }
)  # fmt: skip


def refuse_words(owner: str, words: Mapping[str, object]) -> None:
    """Raise the TypeError for words that are given and not available, and say what is the matter with each.

    None stands for a word that was not given; a word that AutoGen has not either is refused with any value.
    """
    for word, value in words.items():
        why = _trouble_with(owner, word)
        if why is None:
            raise TypeError(f"{owner}({word}=...): there is no such word")
        if value is not None and (word, value) not in _AS_IT_IS and not _nobody_is_asked(owner, word, value):
            raise TypeError(f"{owner}({word}=...){why}")


def _trouble_with(owner: str, word: str) -> str | None:
    if owner == "GroupChatManager" and word in _MANAGER:
        return f" is not supported: {_MANAGER[word]}"
    if word in _LATER:
        return f": {_LATER[word]} is not available in this version; leave it out"
    told = _REPLACED.get(word) or _ANYWHERE.get(word)
    return f" is not supported: {told}" if told else None


def _nobody_is_asked(owner: str, word: str, value: object) -> bool:
    return (owner, word, value) == ("GroupChatManager", "human_input_mode", "NEVER")


def check_name(owner: str, name: object) -> None:
    """Raise for a name that is empty or has a line break or another control character in it: others read it."""
    if not isinstance(name, str):
        raise TypeError(f"{owner}(name={name!r}): a name is a text")
    if not name.strip() or any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in name):
        raise ValueError(f"{owner}(name={name!r}): a name has at least one letter, and no line breaks")


def check_count(word: str, value: object, *, least: int = 1) -> None:
    """Raise for a number that is no whole one, or too small."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{word}={value!r}: a whole number, not {type(value).__name__}")
    if value < least:
        raise ValueError(f"{word}={value}: at least {least}")


def to_dict(message: Message) -> dict[str, Any]:
    """A message as classic user code knows it: data is its JSON; with files among the parts, `content` is a list.

    Tool calls and their results stand where AutoGen has them: in `tool_calls`, and in `tool_responses` of role tool.
    """
    found: dict[str, Any] = {
        "role": "user" if message.role is Role.USER else "assistant",
        "content": words_of(message.parts) if _is_text(message) else [_part_dict(part) for part in message.parts],
    }
    for key in ("tool_calls", "tool_responses"):
        for part in message.parts:
            listed: Any = part.data.get(key) if isinstance(part.data, dict) else None
            if isinstance(listed, list):
                rest = tuple(other for other in message.parts if other is not part)
                found |= {key: listed, "content": words_of(rest) or None}
                if key == "tool_responses":
                    told = [str(each.get("content")) for each in listed if isinstance(each, Mapping)]
                    found |= {"role": "tool", "content": "\n\n".join(told)}
    name = speaker_of(message)
    if name is not None:
        found["name"] = name
    return found


def seen_by(name: str | None, message: Message) -> dict[str, Any]:
    """The same as the agent of that name has it in its history: own words are the assistant's, all others the user's.
    For None, nobody's: all are the user's, as in AutoGen's `groupchat.messages`."""
    found = to_dict(message)
    if found["role"] == "tool":
        return found
    return {**found, "role": "assistant" if name is not None and found.get("name") == name else "user"}


def _is_text(message: Message) -> bool:
    return all(part.text is not None or part.kind == "data" for part in message.parts)


def _part_dict(part: Part) -> dict[str, Any]:
    if part.text is not None:
        return {"type": "text", "text": part.text}
    if (part.media_type or "").startswith("image/") and (part.url is not None or part.raw is not None):
        return {"type": "image_url", "image_url": {"url": part.url or data_url(part)}}
    if part.url is not None:
        return {"type": "file", "url": part.url, "media_type": part.media_type}
    if part.raw is not None:
        return {"type": "file", "raw": part.raw, "media_type": part.media_type}
    return {"type": "data", "data": part.data}


def content_parts(content: object) -> tuple[Part, ...]:
    """The parts of what a classic program says: a text, a dict with `content`, parts, or a message."""
    if isinstance(content, Message):
        return content.parts
    if isinstance(content, Part):
        return (content,)
    if isinstance(content, str):
        return (Part(text=content),)
    if isinstance(content, Mapping) and "content" in content:
        moved = tuple(Part(data={key: content[key]}) for key in ("tool_calls", "tool_responses") if content.get(key))
        said = content["content"]
        if moved and (said is None or "tool_responses" in content):
            return moved
        return (*content_parts(said), *moved)
    if isinstance(content, Iterable):
        return tuple(_part_of(piece) for piece in content)
    raise TypeError(f"a message must be a text, a dict with 'content', or a Message, not {type(content).__name__}")


def _part_of(piece: object) -> Part:
    if isinstance(piece, Part):
        return piece
    if isinstance(piece, str):
        return Part(text=piece)
    if isinstance(piece, Mapping) and isinstance(piece.get("text"), str):
        return Part(text=piece["text"])
    picture = piece.get("image_url") if isinstance(piece, Mapping) else None
    if picture is not None:
        return picture_part(str(picture["url"] if isinstance(picture, Mapping) else picture))
    if isinstance(piece, Mapping) and isinstance(piece.get("url"), str):
        return Part(url=piece["url"], media_type=piece.get("media_type"))
    if isinstance(piece, Mapping) and isinstance(piece.get("raw"), bytes):
        return Part(raw=piece["raw"], media_type=piece.get("media_type"))
    if isinstance(piece, Mapping) and "data" in piece:
        return Part(data=piece["data"])
    raise TypeError(f"a piece of content must be a text or a dict with 'text' or 'url', not {piece!r}")


def data_url(part: Part) -> str:
    """The bytes of a part as a `data:` URL."""
    return f"data:{part.media_type};base64,{base64.b64encode(part.raw or b'').decode()}"


def picture_part(url: str) -> Part:
    """A picture that classic content names by its URL; one inside a `data:` URL becomes bytes. ValueError if broken."""
    if not url.startswith("data:"):
        return Part(url=url, media_type="image/*")
    head, _, data = url[5:].partition(",")
    kind, _, coding = head.partition(";")
    if coding != "base64":
        raise ValueError("a data: URL of a picture must be base64")
    return Part(raw=base64.b64decode(data, validate=True), media_type=kind or "image/png")


def message_from(said: Mapping[str, Any], like: Message | None = None) -> Message:
    """A classic dict as a message: of the agent itself if it is the assistant's. `like`: the one it was made from."""
    parts = content_parts(said)
    if like is not None:
        return like.model_copy(update={"parts": parts})
    name = said.get("name")
    role = Role.AGENT if said.get("role") == "assistant" else Role.USER
    metadata = speaker_metadata(str(name)) if name else None
    return Message(message_id=str(uuid.uuid4()), role=role, parts=parts or (Part(text=""),), metadata=metadata)


class ForReading(list[Any]):
    """A list of a group chat, which classic programs would change and which nothing here reads again."""

    def _refuse(self, *given: Any, **words: Any) -> NoReturn:
        raise TypeError(
            "this list is for reading: who sits in a room, and what it begins with, is said when it is made,"
            " GroupChat(agents=[...], messages=[...]); manager.seat and manager.interject act on one that runs"
        )

    def __reduce__(self) -> tuple[type, tuple[list[Any]]]:
        return list, ([*self],)  # a copy is a list like any other

    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse


class Dicts(Sequence[dict[str, Any]]):
    """Messages as classic dicts, made when they are looked at: what user code sees of a long room costs nothing."""

    __slots__ = ("_made", "_messages")

    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = messages
        self._made: dict[int, dict[str, Any]] = {}

    def __len__(self) -> int:
        return len(self._messages)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        at = index + len(self) if index < 0 else index
        if at not in self._made:
            self._made[at] = to_dict(self._messages[at])
        return self._made[at]


def model_from(llm_config: Any) -> Model | None:
    """The model that a classic `llm_config` means; None for None and False: no model.

    Every key must be understood, so that nothing is silently ignored. `cache_seed`: answers are kept below
    `.cache/a2a_bridge`, see `chat.cache`.
    """
    if llm_config is None or llm_config is False:
        return None
    if isinstance(llm_config, Mapping):
        configs = _endpoints({key: value for key, value in llm_config.items() if key not in _NOT_THE_MODELS})
        models = [_openai_model(config) for config in configs]
        found: Model = models[0] if len(models) == 1 else FallOver(tuple(models))
        seed = llm_config.get("cache_seed")
        return found if seed is None else CachedModel(found, Cache.disk(seed))
    if isinstance(llm_config, str) or not callable(getattr(llm_config, "stream", None)):
        raise TypeError(
            f"llm_config must be a dict such as {{'model': 'gpt-5'}}, a Model, False or None, not {llm_config!r}"
        )
    model: Model = llm_config
    return model


def form_in(llm_config: Any) -> Any:
    """The `response_format` of a classic config."""
    return llm_config.get("response_format") if isinstance(llm_config, Mapping) else None


def _endpoints(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    shared = {key: value for key, value in config.items() if key != "config_list"}
    listed = config.get("config_list")
    if listed is None:
        return [shared]
    if isinstance(listed, Mapping) or not isinstance(listed, Sequence) or not listed:
        raise TypeError("llm_config['config_list'] must be a list with at least one dict")
    return [{**shared, **entry} for entry in listed]


def _openai_model(config: Mapping[str, Any]) -> Model:
    endpoint: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for key, value in config.items():
        if key in _ENDPOINT:
            endpoint[key] = value
        elif key in _SAMPLING:
            options[key] = value
        elif not _means_nothing(key, value):
            raise TypeError(_not_understood(key, value))
    if not endpoint.get("model"):
        raise TypeError("llm_config needs a 'model', for instance {'model': 'gpt-5'}")
    return OpenAIModel(**endpoint, options=options)


def _means_nothing(key: str, value: object) -> bool:
    """Classic keys whose value asks for what is done anyway."""
    return (key, value) in (
        ("cache", None), ("api_type", "openai"), ("stream", True), ("tools", None), ("tags", []),
        ("functions", None), ("tools", []), ("functions", []),
    )  # fmt: skip


def _not_understood(key: str, value: object) -> str:
    if key in _NOT_THE_MODELS:
        return f"llm_config[{key!r}] holds for all models: say it beside 'config_list', not in it"
    if key == "cache":
        return "llm_config['cache']: use 'cache_seed', or initiate_chat(cache=Cache.disk(...)) of a2a_bridge.chat.cache"
    if key in ("tools", "functions"):
        return f"llm_config[{key!r}]: give the agent tools=[...], functions with type hints"
    if key == "api_type":
        return f"llm_config['api_type']={value!r}: only OpenAI-compatible endpoints are spoken to; set 'base_url'"
    known = ", ".join(sorted(_ENDPOINT | _SAMPLING | _NOT_THE_MODELS | {"config_list"}))
    return f"llm_config[{key!r}] is not understood; known are {known}"
