"""Sequences of chats: what one came to is carried over to the next.

`initiate_chats` plays them in order. `a_initiate_chats` plays each as soon as its `prerequisites` are over, so chats
without any run at the same time; the caller's task owns them all and cancels them all.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from a2a_bridge.chat.classic import refuse_words
from a2a_bridge.chat.failure import first_of
from a2a_bridge.chat.initiate import Chat, initiate
from a2a_bridge.chat.result import ChatResult
from a2a_bridge.chat.sync_edge import run_sync

_OF_CHAT = frozenset({"recipient", "message", "clear_history", "silent", "max_turns", "summary_method", "cache"})
_OF_SEQUENCE = frozenset(
    {"sender", "chat_id", "prerequisites", "finished_chat_indexes_to_exclude_from_carryover", "summary_args",
     "summary_prompt"}
)  # fmt: skip


def initiate_chats(chat_queue: Sequence[Mapping[str, Any]]) -> list[ChatResult]:
    """Play the chats one after another, each with what the earlier ones came to; each names its `sender`.

    The words of each are those of `initiate_chat`, `sender`, and `finished_chat_indexes_to_exclude_from_carryover`.
    """
    return run_sync(lambda: in_order(chat_queue, None), "await a_initiate_chats(...)")


async def a_initiate_chats(chat_queue: Sequence[Mapping[str, Any]]) -> dict[Any, ChatResult]:
    """Play the chats, each once its `prerequisites` (a list of `chat_id`s) are over and with what they came to.

    A chat without `chat_id` has its position in the list, from 1. The results are under these ids.
    """
    return await as_they_can(chat_queue, None)


def chat_from(words: Mapping[str, Any]) -> Chat:
    """One chat of a queue. TypeError for one without a recipient."""
    if words.get("recipient") is None:
        raise TypeError("each chat of a queue needs a 'recipient'")
    found = {word: words[word] for word in _OF_CHAT & words.keys()}
    args = dict(words.get("summary_args") or {})
    if words.get("summary_prompt"):
        args.setdefault("summary_prompt", words["summary_prompt"])
    other = {word: value for word, value in words.items() if word not in _OF_CHAT | _OF_SEQUENCE}
    chat = Chat(
        recipient=found["recipient"],
        message=found.get("message"),
        clear_history=found.get("clear_history", True),
        silent=found.get("silent", False),
        max_turns=found.get("max_turns"),
        summary_method=found.get("summary_method", "last_msg"),
        summary_args=args,
        cache=found.get("cache"),
    )
    return chat.with_words(other)


async def in_order(queue: Sequence[Mapping[str, Any]], sender: Any) -> list[ChatResult]:
    """One after another."""
    chats = [(_sender(each, sender), chat_from(each), each) for each in queue]
    for _, _, words in chats:
        refuse_words("initiate_chats", {"prerequisites": words.get("prerequisites")})
    results: list[ChatResult] = []
    for begins, chat, words in chats:
        left_out = set(words.get("finished_chat_indexes_to_exclude_from_carryover") or ())
        earlier = [each.summary for at, each in enumerate(results) if at not in left_out]
        results.append(await initiate(begins, replace(chat, carryover=(*chat.carryover, *earlier))))
    return results


async def as_they_can(queue: Sequence[Mapping[str, Any]], sender: Any) -> dict[Any, ChatResult]:
    """Each once what it needs is there."""
    chats = {words.get("chat_id", at): words for at, words in enumerate(queue, 1)}
    if len(chats) != len(queue):
        raise ValueError("two chats of the queue have the same chat_id")
    _check_order(chats)
    made = {chat_id: (_sender(words, sender), chat_from(words)) for chat_id, words in chats.items()}
    tasks: dict[Any, asyncio.Task[ChatResult]] = {}
    begins = asyncio.Event()

    async def play(chat_id: Any) -> ChatResult:
        await begins.wait()  # all tasks are known
        needed = list(chats[chat_id].get("prerequisites") or ())
        earlier = [(await asyncio.shield(tasks[each])).summary for each in needed]
        left_out = set(chats[chat_id].get("finished_chat_indexes_to_exclude_from_carryover") or ())
        kept = tuple(summary for at, summary in enumerate(earlier) if at not in left_out)
        who, chat = made[chat_id]
        return await initiate(who, replace(chat, carryover=(*chat.carryover, *kept)))

    try:
        async with asyncio.TaskGroup() as group:
            for chat_id in chats:
                tasks[chat_id] = group.create_task(play(chat_id))
            begins.set()
    except BaseExceptionGroup as error:
        raise first_of(error) from None
    return {chat_id: task.result() for chat_id, task in tasks.items()}


def _sender(words: Mapping[str, Any], sender: Any) -> Any:
    found = words.get("sender") or sender
    if found is None:
        raise TypeError("each chat of a queue needs a 'sender', or call the method of the agent that opens them")
    return found


def _check_order(chats: Mapping[Any, Mapping[str, Any]]) -> None:
    """ValueError for prerequisites that are not there, or wait for each other."""
    done: set[Any] = set()
    for chat_id, words in chats.items():
        if missing := set(words.get("prerequisites") or ()) - chats.keys():
            raise ValueError(f"chat {chat_id!r} waits for chats that are not in the queue: {sorted(map(str, missing))}")
    while left := [each for each in chats if each not in done]:
        ready = [each for each in left if set(chats[each].get("prerequisites") or ()) <= done]
        if not ready:
            raise ValueError(f"these chats wait for each other: {', '.join(map(str, left))}")
        done.update(ready)
