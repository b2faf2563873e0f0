"""Checkpointers that have sync methods only, as LangGraph's own for SQLite and Postgres, used from an event loop."""

from asyncio import to_thread
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver


def usable(saver: Any) -> Any:
    """The checkpointer, on the same connection; where it has no async methods its sync ones are called in threads.

    A saver says only when it is called that a method is not there: some inherit the one that raises, some have one.
    """
    if not isinstance(saver, BaseCheckpointSaver) or isinstance(saver, InMemorySaver):
        return saver
    kind = type(saver)
    made: Any = object.__new__(type(kind.__name__, (_InThreads, kind), {}))
    vars(made).update(vars(saver))
    return made


class _InThreads(BaseCheckpointSaver):  # type: ignore[misc]  # checked without the framework's types
    """Comes before the class of a saver. The saver's own locks guard its connection."""

    async def aget_tuple(self, config: Any) -> Any:
        try:
            return await super().aget_tuple(config)
        except NotImplementedError:
            return await to_thread(self.get_tuple, config)

    async def alist(
        self, config: Any, *, filter: Any = None, before: Any = None, limit: int | None = None
    ) -> AsyncIterator[Any]:
        try:
            async for found in super().alist(config, filter=filter, before=before, limit=limit):
                yield found
        except NotImplementedError:
            for found in await to_thread(lambda: list(self.list(config, filter=filter, before=before, limit=limit))):
                yield found

    async def aput(self, config: Any, checkpoint: Any, metadata: Any, new_versions: Mapping[str, Any]) -> Any:
        try:
            return await super().aput(config, checkpoint, metadata, new_versions)
        except NotImplementedError:
            return await to_thread(self.put, config, checkpoint, metadata, new_versions)

    async def aput_writes(self, config: Any, writes: Sequence[Any], task_id: str, task_path: str = "") -> None:
        try:
            await super().aput_writes(config, writes, task_id, task_path)
        except NotImplementedError:
            await to_thread(self.put_writes, config, writes, task_id, task_path)
