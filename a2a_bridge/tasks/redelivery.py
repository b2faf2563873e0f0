"""Webhooks that are to be told once more what they have not taken: done to the store, by whoever may write to it.

The dead letter goes and the delivery comes back, in one write, at the first event that was given up. The server that is
started next on the store takes it up like any other: all from there on is sent in order, with new tries.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from a2a_bridge.protocol.objects import json_bytes
from a2a_bridge.store.contract import Change, Store
from a2a_bridge.tasks.delivery import task_key_of, webhook_record

Letter = Mapping[str, Any]


class Queued(NamedTuple):
    """The dead letters that are sent again, and those whose webhook is not there any more."""

    again: list[Letter]
    gone: list[Letter]


async def dead_letters(store: Store) -> list[tuple[str, Letter]]:
    """All of them with their keys, the newest first."""
    found: list[tuple[str, Letter]] = []
    before = None
    while page := await store.page("undelivered", "undelivered", before=before, limit=100):
        found += [(entry.key, json.loads(entry.value)) for entry in page]
        before = (page[-1].sort, page[-1].key)
    return found


async def redeliver(store: Store, wanted: Callable[[Letter], bool]) -> Queued:
    """Queue the dead letters that are wanted. No server may be running on the store: it would not notice."""
    queued = Queued([], [])
    for key, letter in await dead_letters(store):
        if not wanted(letter):
            continue
        kept = await store.get("webhook", key)
        if kept is None:
            await store.put(Change("undelivered", key, None))
            queued.gone.append(letter)
            continue
        start = {"cursor": letter["first"] - 1, "tries": 0, "since": 0.0, "due": 0.0, "failing": False}
        await store.put(
            Change("undelivered", key, None),
            Change("delivery", key, json_bytes(start), group="delivery"),
            webhook_record(kept, group=task_key_of(key), expires=None),
        )
        queued.again.append(letter)
    return queued
