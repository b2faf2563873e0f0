"""What every foreign client does with our server, and what it tells of it as JSON. Standard library only: it runs in
the environment of each SDK.

A peer turns what its SDK gives into plain values: an event is `{"kind", "state", "text", "said", "append", "id", …}`,
states are words ("input-required"), an error is what its SDK makes of it. `absent` stands for what an SDK cannot do.
"""

import asyncio
import json
import sys
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol

STEP = 10.0
"""Seconds that one scenario may take."""
Value = dict[str, Any]


class Absent(Exception):
    """The SDK has no such operation."""


class Peer(Protocol):
    """One SDK, on one binding, in one version."""

    async def card(self) -> Value: ...
    async def send(self, text: str, *, task: str | None = None, wait: bool = True) -> Value: ...
    def stream(self, text: str, *, task: str | None = None) -> AsyncIterator[Value]: ...
    async def get(self, task: str, history: int | None = None) -> Value: ...
    async def cancel(self, task: str) -> Value: ...
    def subscribe(self, task: str) -> AsyncIterator[Value]: ...
    async def list_tasks(self) -> list[str]: ...
    async def create_hook(self, task: str, hook: str, url: str, token: str) -> Value: ...
    async def get_hook(self, task: str, hook: str) -> Value: ...
    async def list_hooks(self, task: str) -> list[str]: ...
    async def delete_hook(self, task: str, hook: str) -> None: ...
    def error(self, error: Exception) -> Any: ...


async def attempt(peer: Peer, call: Awaitable[Any]) -> Any:
    """The result, or what the error is to this SDK."""
    try:
        return await call
    except Absent:
        return "absent"
    except Exception as error:  # whatever an SDK raises is what the test wants to know
        return {"error": peer.error(error)}


async def everything(events: AsyncIterator[Value]) -> list[Value]:
    return [event async for event in events]


async def send(peer: Peer, _: str) -> Value:
    return await peer.send("hello")


async def files(peer: Peer, _: str) -> Value:
    return await peer.send("files")


async def stream(peer: Peer, _: str) -> list[Value]:
    return await everything(peer.stream("tokens"))


async def direct(peer: Peer, _: str) -> Value:
    return {"sent": await peer.send("direct"), "streamed": await everything(peer.stream("direct"))}


async def get(peer: Peer, _: str) -> Value:
    task = await peer.send("hello")
    return {"same": await peer.get(task["id"]) == task, "one": len((await peer.get(task["id"], 1))["history"])}


async def cancel(peer: Peer, _: str) -> Value:
    events = peer.stream("wait c")
    first = await anext(events)
    answer = await peer.cancel(first["id"])
    rest = await everything(events)
    return {
        "answer": answer["state"], "last": rest[-1]["state"], "again": await attempt(peer, peer.cancel(first["id"])),
        "unknown": await attempt(peer, peer.cancel("nothing")),
    }  # fmt: skip


async def turns(peer: Peer, _: str) -> Value:
    asked = await peer.send("ask")
    done = await peer.send("blue", task=asked["id"])
    streamed = await everything(peer.stream("ask"))
    again = await everything(peer.stream("red", task=streamed[0]["id"]))
    return {
        "asked": asked["state"], "question": asked["said"], "same": done["id"] == asked["id"], "done": done["state"],
        "history": done["history"], "paused": streamed[-1]["state"], "streamed": again[-1]["state"],
    }  # fmt: skip


async def subscribe(peer: Peer, _: str) -> Value:
    events = peer.stream("wait s")
    first = await anext(events)
    await anext(events)  # what it says before it waits
    followed = peer.subscribe(first["id"])
    snapshot = await anext(followed)
    await peer.send("open s")
    rests = await asyncio.gather(everything(events), everything(followed))
    return {
        "first": snapshot, "rest": rests[1], "same": rests[0] == rests[1],
        "ended": await attempt(peer, everything(peer.subscribe(first["id"]))),
    }  # fmt: skip


async def unknown(peer: Peer, _: str) -> Value:
    return {
        "get": await attempt(peer, peer.get("nothing")),
        "send": await attempt(peer, peer.send("hello", task="nothing")),
        "stream": await attempt(peer, everything(peer.stream("hello", task="nothing"))),
        "subscribe": await attempt(peer, everything(peer.subscribe("nothing"))),
    }


async def failed(peer: Peer, _: str) -> Value:
    task = await peer.send("fail")
    return {
        "state": task["state"], "said": task["said"],
        "streamed": (await everything(peer.stream("fail")))[-1]["state"],
        "more": await attempt(peer, peer.send("more", task=task["id"])),
    }  # fmt: skip


async def polling(peer: Peer, _: str) -> Any:
    task = await attempt(peer, peer.send("wait p", wait=False))
    if task == "absent":
        return task
    await peer.send("open p")
    while (now := await peer.get(task["id"]))["state"] != "completed":
        await asyncio.sleep(0.02)  # the agent under test works meanwhile
    return {"before": task["state"], "after": now["state"]}


async def hooks(peer: Peer, webhook: str) -> Value:
    events = peer.stream("wait h")
    task = (await anext(events))["id"]
    found: Value = {
        "task": task,
        "made": await peer.create_hook(task, "hook", webhook, "a token"),
        "gone": (await peer.create_hook(task, "gone", f"{webhook}/gone", "a token"))["id"],
        "unknown": await attempt(peer, peer.create_hook("nothing", "hook", webhook, "a token")),
        "got": await attempt(peer, peer.get_hook(task, "hook")),
        "listed": await attempt(peer, peer.list_hooks(task)),
        "deleted": await attempt(peer, peer.delete_hook(task, "gone")),
        "after": await attempt(peer, peer.list_hooks(task)),
    }
    await peer.send("open h")
    await everything(events)
    return found


async def listing(peer: Peer, _: str) -> Any:
    task = await peer.send("hello")
    listed = await attempt(peer, peer.list_tasks())
    return listed if listed == "absent" else {"has": task["id"] in listed}


async def card(peer: Peer, _: str) -> Value:
    return await peer.card()


SCENARIOS: tuple[Callable[[Peer, str], Awaitable[Any]], ...] = (
    card, send, files, stream, direct, get, cancel, turns, subscribe, unknown, failed, polling, hooks, listing,
)  # fmt: skip


async def run(peer: Peer, webhook: str) -> None:
    """Do everything, and print what came of it."""
    found: Value = {}
    for scenario in SCENARIOS:
        try:
            found[scenario.__name__] = await asyncio.wait_for(scenario(peer, webhook), STEP)
        except Exception:  # one that fails is told like the others, and the rest goes on
            found[scenario.__name__] = {"crashed": traceback.format_exc()}
    json.dump(found, sys.stdout)
