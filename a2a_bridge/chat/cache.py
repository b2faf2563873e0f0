"""A cache of what models answered: the same question to the same model gets the same answer, and costs nothing.

`llm_config={"cache_seed": 42}` keeps answers below `.cache/a2a_bridge/42`, another seed begins anew. `Cache.disk(...)`
and `Cache.memory()` go into `initiate_chat(cache=...)`, for all models of that conversation, or around one model:
`CachedModel(model, Cache.memory())`. Answers from a cache report no usage.
"""

import hashlib
import json
import os
import tempfile
from collections import OrderedDict
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from a2a_bridge.agent import ToolCall
from a2a_bridge.chat.model import Model, ModelMessage, ModelTool, Piece, asked
from a2a_bridge.protocol.objects import JSONValue

ROOT = Path(".cache") / "a2a_bridge"


class ResponseCache(Protocol):
    """Where answers are kept. Both methods are short: they are called in the event loop."""

    def get(self, key: str) -> bytes | None:
        """What was put under the key, or None."""

    def put(self, key: str, answer: bytes) -> None:
        """Keep an answer; one that cannot be kept is no error."""


class _Memory:
    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._held: OrderedDict[str, bytes] = OrderedDict()

    def get(self, key: str) -> bytes | None:
        return self._held.get(key)

    def put(self, key: str, answer: bytes) -> None:
        self._held[key] = answer
        while len(self._held) > self._entries:
            self._held.popitem(last=False)


class _Disk:
    """A file for each answer, put in place whole: other processes may use the same folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> bytes | None:
        try:
            return (self._folder / key).read_bytes()
        except OSError:
            return None

    def put(self, key: str, answer: bytes) -> None:
        with suppress(OSError):  # a full or read-only disk: the answer is not kept
            self._folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._folder)
            with os.fdopen(handle, "wb") as file:
                file.write(answer)
            os.replace(name, self._folder / key)


class Cache:
    """The classic name: `Cache.disk(cache_seed=42)`, `Cache.memory()`."""

    @staticmethod
    def disk(cache_seed: int | str = 42, cache_path_root: str | os.PathLike[str] = ROOT) -> ResponseCache:
        """Kept in files, for every program that uses the same folder and seed."""
        return _Disk(Path(cache_path_root) / str(cache_seed))

    @staticmethod
    def memory(entries: int = 10_000) -> ResponseCache:
        """Kept while the program runs; the oldest entries go first."""
        return _Memory(entries)


@dataclass(frozen=True)
class CachedModel:
    """A model whose answers are kept. An answer is kept when it is complete."""

    model: Model
    cache: ResponseCache

    @property
    def name(self) -> str:
        """The model's own."""
        return self.model.name

    async def stream(
        self, messages: Sequence[ModelMessage], *, schema: JSONValue = None, tools: Sequence[ModelTool] = ()
    ) -> AsyncGenerator[Piece, None]:
        key = _key(self.model, messages, schema, tools)
        kept = self.cache.get(key)
        if kept is not None:
            for piece in json.loads(kept):
                yield piece if isinstance(piece, str) else ToolCall(*piece)
            return
        said: list[Any] = []
        async with aclosing(asked(self.model, messages, schema, tools)) as pieces:
            async for piece in pieces:
                if isinstance(piece, str):
                    said.append(piece)
                elif isinstance(piece, ToolCall):
                    said.append([piece.id, piece.name, piece.arguments])
                yield piece
        self.cache.put(key, json.dumps(said).encode())


def _key(model: Model, messages: Sequence[ModelMessage], schema: JSONValue, tools: Sequence[ModelTool]) -> str:
    """What decides the answer. Where the model is, and how long it is waited for, does not."""
    asked_for = [model.name, getattr(model, "options", None), [dict(each) for each in messages], schema, list(tools)]
    text = json.dumps(asked_for, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


CHAT_CACHE: ContextVar[ResponseCache | None] = ContextVar("a2a_bridge_chat_cache", default=None)
"""The cache of the conversation that is being driven here; set by `initiate_chat(cache=...)` for its own task."""


def cached(model: Model) -> Model:
    """The model, behind the cache of this conversation if it has one."""
    cache = CHAT_CACHE.get()
    return model if cache is None or isinstance(model, CachedModel) else CachedModel(model, cache)
